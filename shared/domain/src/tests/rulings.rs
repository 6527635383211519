//! Rulings about a stamp in rotation and on its way out, at their bounds.

use std::time::Duration;

use crate::assess::Condition;
use crate::decide::{Action, GateRead, HoldReason, Ruling, WaitReason};
use crate::overriding::Overridable;
use crate::policy::Mode;
use crate::state::{Cause, Penalty, Stage, TimedMeasure};
use crate::testing::{Direct, Story, TICK_S, held, waits};
use crate::{GatePosition, Measure, StampId};

use super::moment::{Change, LOST, MOMENT, Moment, OTHER, document, s, waiting};

/// What stands beside a cordon that is due, and what forbids it then. The bounds are those of the policy that ships.
const OBJECTIONS: [(&str, Change, Option<HoldReason>); 31] = [
    ("nothing", |_| {}, None),
    ("seen 35 s ago", |m| m.situation.state.observed_at = Some(m.now().before(s(35))), None),
    (
        "seen longer ago",
        |m| m.situation.state.observed_at = Some(m.now().before(s(35) + MOMENT)),
        Some(HoldReason::Quiet),
    ),
    ("quiet until now", |m| m.situation.state.quiet_until = Some(m.now()), None),
    ("quiet", |m| m.situation.state.quiet_until = Some(m.now() + MOMENT), Some(HoldReason::Quiet)),
    (
        "quiet, set aside",
        |m| {
            m.situation.state.quiet_until = Some(m.now() + MOMENT);
            m.sets_aside(Overridable::S6);
        },
        None,
    ),
    (
        "quiet, another rule set aside",
        |m| {
            m.situation.state.quiet_until = Some(m.now() + MOMENT);
            m.sets_aside(Overridable::S3);
        },
        Some(HoldReason::Quiet),
    ),
    (
        "quiet set aside, and a freeze",
        |m| {
            m.freezes();
            m.sets_aside(Overridable::S6);
        },
        Some(HoldReason::Frozen),
    ),
    ("a freeze", Moment::freezes, Some(HoldReason::Frozen)),
    ("a pause until now", |m| m.pauses(Duration::ZERO), None),
    ("a pause", |m| m.pauses(MOMENT), Some(HoldReason::Paused)),
    ("a removal 10 min ago", |m| removed(m, s(600)), None),
    ("a removal less long ago", |m| removed(m, s(600) - MOMENT), Some(HoldReason::Velocity)),
    ("a removal now", |m| removed(m, Duration::ZERO), Some(HoldReason::Velocity)),
    (
        "a removal, spacing set aside",
        |m| {
            removed(m, s(1));
            m.sets_aside(Overridable::S3);
        },
        None,
    ),
    (
        "a removal, another rule set aside",
        |m| {
            removed(m, s(1));
            m.sets_aside(Overridable::S6);
        },
        Some(HoldReason::Velocity),
    ),
    (
        "a removal, approved",
        |m| {
            removed(m, s(1));
            m.approves();
        },
        None,
    ),
    (
        "another is out",
        |m| m.case(OTHER).decided_at = Some(m.now().before(s(5_000))),
        Some(HoldReason::NeedsApproval),
    ),
    (
        "another is out, approved",
        |m| {
            m.case(OTHER).decided_at = Some(m.now().before(s(5_000)));
            m.approves();
        },
        None,
    ),
    (
        "a topology of a day ago",
        |m| m.situation.state.topology.read_at = Some(m.now().before(s(86_400))),
        None,
    ),
    (
        "an older topology",
        |m| m.situation.state.topology.read_at = Some(m.now().before(s(86_400) + MOMENT)),
        Some(HoldReason::TopologyStale),
    ),
    ("no topology", |m| m.situation.state.topology.read_at = None, Some(HoldReason::TopologyStale)),
    (
        "its gate unreadable",
        |m| {
            m.situation.gates.insert(LOST.into(), GateRead::Unreadable);
        },
        Some(HoldReason::GateUnreadable),
    ),
    (
        "its gate not read",
        |m| {
            m.situation.gates.remove(&StampId::from(LOST));
        },
        Some(HoldReason::GateUnreadable),
    ),
    ("two must serve", |m| m.story.policy.capacity.regions_min = 2, None),
    ("three must serve", |m| m.story.policy.capacity.regions_min = 3, Some(HoldReason::LastServing)),
    ("none must serve", |m| m.story.policy.capacity.regions_min = 0, None),
    ("two cordons in a day", |m| cordoned(m, [s(86_400) - MOMENT, s(5_000)]), Some(HoldReason::BudgetSpent)),
    ("two cordons in more", |m| cordoned(m, [s(86_400), s(5_000)]), None),
    (
        "two cordons, approved",
        |m| {
            cordoned(m, [s(4_000), s(5_000)]);
            m.approves();
        },
        None,
    ),
    (
        "a mode that observes",
        |m| m.story.policy.modes.hard_loss = Mode::Observe,
        Some(HoldReason::ModeObserve),
    ),
];

#[test]
fn each_thing_that_forbids_a_removal_does_so_up_to_its_bound() {
    let moment = Moment::of_a_cordon();
    for (what, change, forbidden) in OBJECTIONS {
        match (moment.action(change), forbidden) {
            (Action::Hold { reason }, Some(expected)) => assert_eq!(reason, expected, "{what}"),
            (Action::Cordon { cause: Cause::HardLoss, .. }, None) => {}
            (action, _) => panic!("{what}: {action:?}"),
        }
    }
}

fn removed(moment: &mut Moment, ago: Duration) {
    moment.situation.state.last_removal_at = Some(moment.now().before(ago));
}

fn cordoned(moment: &mut Moment, ago: [Duration; 2]) {
    let now = moment.now();
    moment.case(LOST).auto_cordons = ago.map(|ago| now.before(ago)).to_vec();
}

#[test]
fn a_cordon_remembers_those_of_the_last_day_and_itself_unless_it_was_approved() {
    let moment = Moment::of_a_cordon();
    let now = moment.now();
    for (ago, approved, expected) in [
        (s(86_400), false, vec![now]),
        (s(86_400) - MOMENT, false, vec![now.before(s(86_400) - MOMENT), now]),
        (s(86_400) + MOMENT, false, vec![now]),
        (s(86_400) - MOMENT, true, vec![now.before(s(86_400) - MOMENT)]),
    ] {
        let (case, ruling) = moment.ruled(|moment| {
            moment.case(LOST).auto_cordons = vec![now.before(ago)];
            if approved {
                moment.approves();
            }
        });
        assert!(matches!(ruling.action, Action::Cordon { .. }), "{ruling:?}");
        assert_eq!(case.auto_cordons, expected, "{ago:?} ago, approved: {approved}");
        assert_eq!((case.decided_at, case.approval), (Some(now), None));
    }
}

/// The survivors get ten minutes (`gray.ready_deadline`) unless Front Door has moved the load already.
#[test]
fn a_gate_closes_in_the_very_decision_only_where_the_load_has_moved_and_has_room() {
    let at_once = |moment: &Moment, change: Change| {
        let (case, ruling) = moment.ruled(change);
        let Action::Cordon { cause, .. } = ruling.action else { panic!("{ruling:?}") };
        let waits = case.ready_deadline.is_some();
        assert_eq!(case.gate == GatePosition::Closed, !waits, "{case:?}");
        assert!(!waits || case.ready_deadline == Some(moment.now() + s(600)), "{case:?}");
        (cause, !waits)
    };
    let lost = Moment::of_a_cordon();
    assert_eq!(at_once(&lost, |_| {}), (Cause::HardLoss, true));
    // It answers every request with failure, and still gets its share of them.
    let fails = |edge: Option<u64>, direct, traffic| {
        let scene = |seconds| {
            let mut story = Story::calm(3);
            let scene = story.scene(LOST);
            (scene.direct, scene.edge, scene.traffic) = (direct, edge, Some(traffic));
            story.run(seconds);
            story
        };
        let takes = scene(0).run_until(600, |story| matches!(story.action(LOST), Action::Cordon { .. }));
        Moment::next(scene(takes - TICK_S))
    };
    assert_eq!(at_once(&fails(None, Direct::Errors(20), 100), |_| {}), (Cause::HardLoss, false));
    // Gray, although the edge sees it down.
    assert_eq!(at_once(&fails(Some(60), Direct::Errors(4), 20), |_| {}), (Cause::Gray, false));
}

/// `evidence.suspect_after` is half a minute.
#[test]
fn a_degraded_stamp_is_suspect_after_half_a_minute_and_a_failing_one_at_once() {
    let mut story = Story::calm(3);
    story.scene(LOST).traffic = Some(20);
    story.tick();
    let since = story.now;
    let ruling = |story: &Story| story.decision().rulings[&StampId::from(LOST)].clone();
    for _ in 0..3 {
        assert_eq!(story.case(LOST).stage, Stage::Serving);
        let waits = Ruling { action: waits(WaitReason::Confirmation), next_at: Some(since + s(30)) };
        assert_eq!(ruling(&story), waits, "{:?} after the first symptom", story.now.since(since));
        story.tick();
    }
    assert_eq!((story.case(LOST).stage, story.action(LOST)), (Stage::Suspect, &Action::Suspect));
    assert_eq!(story.case(LOST).first_symptom_at, Some(since));

    let mut story = Story::calm(3);
    story.scene(LOST).traffic = Some(60);
    story.tick();
    assert_eq!((story.case(LOST).stage, story.action(LOST)), (Stage::Suspect, &Action::Suspect));
    // From then on: who contradicts it, and when it would be confirmed alone.
    story.tick();
    let since = story.now.before(s(TICK_S));
    let waits = Ruling { action: waits(WaitReason::Contradiction), next_at: Some(since + s(300)) };
    assert_eq!(ruling(&story), waits);
}

#[test]
fn a_stamp_that_is_suspect_already_waits_for_the_rule_and_not_to_be_suspect() {
    let mut story = Story::calm(3);
    story.scene(LOST).traffic = Some(20);
    let moment = Moment::next(story);
    let (case, ruling) = moment.ruled(|moment| moment.case(LOST).stage = Stage::Suspect);
    assert_eq!((case.stage, ruling.action), (Stage::Suspect, waits(WaitReason::Contradiction)));
    assert_eq!(ruling.next_at, Some(moment.now() + s(300)));
}

/// `evidence.clear_after` is a minute.
#[test]
fn suspicion_ends_after_a_minute_of_being_seen_well_and_never_by_silence() {
    let moment = Moment::next(Story::calm(2));
    let now = moment.now();
    let suspect_for = |moment: &mut Moment, ago| {
        (moment.case(LOST).stage, moment.case(LOST).since) = (Stage::Suspect, now.before(ago));
        moment.case(LOST).first_symptom_at = Some(now.before(ago));
    };
    let (case, ruling) = moment.ruled(|moment| suspect_for(moment, s(60) - MOMENT));
    assert_eq!((case.stage, ruling.action), (Stage::Suspect, waits(WaitReason::Recovery)));
    assert_eq!(ruling.next_at, Some(now + MOMENT));
    let (case, ruling) = moment.ruled(|moment| suspect_for(moment, s(60)));
    assert_eq!((case.stage, ruling.action), (Stage::Serving, Action::Clear));
    assert_eq!((case.since, case.first_symptom_at), (now, None));
    let silent = |moment: &mut Moment| moment.situation.state.evidence = std::sync::Arc::default();
    let (case, ruling) = moment.ruled(|moment| {
        suspect_for(moment, s(86_400));
        silent(moment);
    });
    assert_eq!((case.stage, ruling.action), (Stage::Suspect, waits(WaitReason::Recovery)));
    assert_eq!(moment.action(silent), Action::Stay, "nor does silence make anybody suspect");
}

#[test]
fn a_full_stamp_becomes_suspect_and_then_waits_for_relief() {
    let mut story = Story::calm(2);
    let scene = story.scene(OTHER);
    (scene.direct, scene.load_rps, scene.saturation) = (Direct::Full, 600.0, 1.0);
    story.tick();
    assert_eq!((story.case(OTHER).stage, story.action(OTHER)), (Stage::Suspect, &Action::Suspect));
    assert_eq!(story.case(OTHER).overloaded_until, Some(story.now));
    story.tick();
    assert_eq!(story.action(OTHER), &waits(WaitReason::OverloadRelief));
    assert_eq!(story.case(OTHER).overloaded_until, Some(story.now));
}

#[test]
fn a_removal_that_a_freeze_withdraws_counts_for_nothing() {
    let moment = Moment::of_a_wait(2);
    let now = moment.now();
    let (decided, earlier) = (now.before(s(30)), now.before(s(5_000)));
    for (penalty_at, points, left) in [(decided, 2.5, 1.5), (decided, 0.5, 0.0), (earlier, 2.5, 2.5)] {
        let (case, ruling) = moment.ruled(|moment| {
            moment.freezes();
            let case = moment.case(LOST);
            (case.decided_at, case.auto_cordons) = (Some(decided), vec![earlier, decided]);
            case.penalty = Penalty { points, at: penalty_at };
        });
        assert_eq!((case.stage, ruling.action), (Stage::Suspect, held(HoldReason::Frozen)));
        assert_eq!((case.decided_at, case.auto_cordons), (None, vec![earlier]));
        assert_eq!(case.penalty.points, left, "{points} points of {penalty_at}");
        assert_eq!((case.since, case.cause, case.ready_deadline), (now, None, None));
    }
}

#[test]
fn the_survivor_is_waited_for_until_the_deadline_and_not_beyond() {
    let moment = Moment::of_a_wait(2);
    let until = |deadline| moment.ruled(move |moment| moment.case(LOST).ready_deadline = Some(deadline)).1;
    let later = moment.now() + MOMENT;
    let waiting = Ruling { action: waits(WaitReason::SurvivorsReady), next_at: Some(later) };
    assert_eq!(until(later), waiting);
    assert_eq!(until(moment.now()).action, held(HoldReason::CapacityShort));
}

#[test]
fn a_stamp_that_fails_while_something_forbids_its_removal_is_suspect_since_then() {
    let moment = Moment::of_a_cordon();
    let earlier = moment.ago(s(40));
    for (stage, since, expected) in
        [(Stage::Serving, earlier, moment.now()), (Stage::Suspect, earlier, earlier)]
    {
        let (case, ruling) = moment.ruled(|moment| {
            moment.pauses(s(60));
            (moment.case(LOST).stage, moment.case(LOST).since) = (stage, since);
        });
        assert_eq!(ruling.action, held(HoldReason::Paused));
        assert_eq!((case.stage, case.since), (Stage::Suspect, expected), "{stage:?} before");
    }
}

/// The survivor has room, and the gate would close; but its latest probes were good.
#[test]
fn in_a_good_moment_nothing_is_taken_away_unless_an_operator_ordered_it() {
    let good_for = |seconds| {
        let mut story = waiting(2);
        story.scene(LOST).direct = Direct::Healthy;
        story.run(seconds - TICK_S);
        story.scene(OTHER).ready = 12;
        Moment::next(story)
    };
    let bad = {
        let mut story = waiting(2);
        story.scene(OTHER).ready = 12;
        Moment::next(story)
    };
    assert_eq!(bad.action(|_| {}), Action::CloseGate);
    // Three runs without a failure, of sixty probes; and six, which leave nothing else in the span: then it is well, and
    // the requests alone say otherwise.
    for seconds in [30, 60] {
        let moment = good_for(seconds);
        let (case, ruling) = moment.ruled(|_| {});
        assert_eq!(
            (case.stage, ruling.action),
            (Stage::Evacuating, waits(WaitReason::Recovery)),
            "{seconds} s"
        );
        assert_eq!(moment.action(Moment::orders_out), Action::CloseGate, "{seconds} s");
    }
    let condition = &good_for(60).decision(|_| {}).assessments[&StampId::from(LOST)].condition;
    assert!(matches!(condition, Condition::Suspicious { contradicted_by: Some(_), .. }), "{condition:?}");
    // Well for the minute of `evidence.clear_after`: it is not taken out any more. It is well from the fifth good run on.
    let (case, ruling) = good_for(110).ruled(|_| {});
    assert_eq!((case.stage, ruling.action), (Stage::Suspect, Action::Clear));
    assert_eq!(good_for(100).action(|_| {}), waits(WaitReason::Recovery));
}

/// With a ratio of one in twenty before, sixty good probes in a row are luck once in 22 times, and forty once in 8.
#[test]
fn a_row_of_good_probes_is_measured_by_what_failed_before_it() {
    let moment = Moment::of_a_cordon();
    let probes = |failed: &[u64]| {
        moment.action(|moment| {
            let (now, count) = (moment.now(), failed.len());
            let runs = failed.iter().enumerate().map(|(at, failed)| TimedMeasure {
                at: now.before(s(TICK_S * u64::try_from(count - at).unwrap())),
                measure: Measure { failed: *failed, total: 20 },
            });
            moment.probes().measures = runs.collect();
        })
    };
    let well = waits(WaitReason::Recovery);
    assert_eq!(probes(&[1, 0, 0, 0]), well);
    assert_ne!(probes(&[1, 0, 0]), well);
    assert_ne!(probes(&[0, 1, 0, 0, 0]), well, "one in forty before");
    assert_eq!(probes(&[20, 0]), well);
    assert_ne!(probes(&[20, 0, 20]), well, "the newest is bad");
    assert_ne!(probes(&[0, 0, 0, 0]), well, "nothing failed before");
}

#[test]
fn a_freeze_withdraws_what_is_not_in_force_and_nothing_else() {
    let (open, closed, slice) = (GatePosition::Open, GatePosition::Closed, GatePosition::Slice(58));
    let moment = Moment::of_a_wait(2);
    let later = moment.now() + MOMENT;
    for (reads, withdrawn) in [
        (Some(GateRead::Absent), true),
        (Some(document(open, later)), true),
        (Some(document(open, moment.now())), true),
        (Some(document(closed, later)), false),
        (Some(document(slice, later)), false),
        // It has expired, and keeps nobody out.
        (Some(document(closed, moment.now())), true),
        (Some(document(slice, moment.ago(s(60)))), true),
        (Some(GateRead::Unreadable), false),
        (None, false),
    ] {
        let (case, ruling) = moment.ruled(|moment| {
            moment.freezes();
            moment.situation.gates = reads.clone().map(|read| (LOST.into(), read)).into_iter().collect();
        });
        assert_eq!(ruling.action, held(HoldReason::Frozen), "{reads:?}");
        let expected = if withdrawn { (Stage::Suspect, None) } else { (Stage::Evacuating, case.decided_at) };
        assert_eq!((case.stage, case.decided_at), expected, "{reads:?}");
    }
}

#[test]
fn a_pause_is_told_of_again_while_it_lasts() {
    let moment = Moment::of_a_cordon();
    let told = |left| moment.decision(|moment| moment.pauses(left)).pause_told_at;
    assert_eq!(told(MOMENT), Some(moment.now()));
    assert_eq!(told(Duration::ZERO), None, "it is over");
}
