//! The way back at its bounds: the window, an early return, each slice, and what steps back.

use std::sync::Arc;

use crate::decide::{Action, HoldReason, Ruling, StepBackReason, WaitReason, load_allowed};
use crate::policy::Mode;
use crate::state::{BusySlice, RampRun, Stage};
use crate::testing::{Direct, Story, held, shipped, waits};
use crate::{EnabledState, GatePosition, StampId};

use super::moment::{Change, LOST, MOMENT, Moment, OTHER, proving, s};

/// `LOST` is readmitted, and this slice has been open for so long.
fn readmitting(slice: u32, gate: GatePosition, open_for: std::time::Duration) -> Moment {
    let mut moment = Moment::of_a_window();
    let since = moment.ago(open_for);
    let case = moment.case(LOST);
    (case.stage, case.gate, case.window) = (Stage::Readmitting, gate, None);
    case.ramp = Some(RampRun { slice, since, emergency: false });
    moment
}

/// Its window is over.
fn due() -> Moment {
    let mut moment = Moment::of_a_window();
    let started_at = moment.ago(s(1_000));
    let window = moment.case(LOST).window.as_mut().unwrap();
    (window.started_at, window.needs_s, window.paused_s) = (started_at, 1_000, 0);
    moment
}

/// `evidence.clear_after` is a minute.
#[test]
fn a_window_starts_when_health_has_lasted_for_a_minute() {
    let moment = Moment::of_a_window();
    let healthy_for = |span| {
        moment.ruled(move |moment| {
            let (well_since, out_since) = (moment.ago(span), moment.ago(s(5_000)));
            moment.probes().run.since = well_since;
            let case = moment.case(LOST);
            (case.stage, case.since, case.window) = (Stage::Cordoned, out_since, None);
        })
    };
    for span in [s(1), s(60) - MOMENT] {
        let (case, ruling) = healthy_for(span);
        let settled_at = moment.ago(span) + s(60);
        let waiting = Ruling { action: waits(WaitReason::Recovery), next_at: Some(settled_at) };
        assert_eq!((case.stage, ruling), (Stage::Cordoned, waiting), "healthy for {span:?}");
    }
    for span in [s(60), s(60) + MOMENT] {
        let (case, ruling) = healthy_for(span);
        assert!(matches!(ruling.action, Action::StartWindow { .. }), "{ruling:?}");
        assert_eq!(case.window.map(|window| window.started_at), Some(moment.ago(span)));
    }
}

/// The window of one cordon is a quarter of an hour, and up to a minute of jitter comes on top.
#[test]
fn returns_do_not_align() {
    let moment = Moment::of_a_window();
    let jitters = (0..64).map(|n| {
        let (case, _) = moment.ruled(|moment| {
            let (out_since, decided_at, now) = (moment.ago(s(500)), moment.ago(s(600 + n)), moment.now());
            moment.probes().run.since = out_since;
            let case = moment.case(LOST);
            (case.stage, case.since, case.window) = (Stage::Cordoned, out_since, None);
            case.decided_at = Some(decided_at);
            (case.penalty.points, case.penalty.at) = (1.0, now);
        });
        case.window.unwrap().needs_s.checked_sub(900).unwrap()
    });
    let jitters: Vec<u64> = jitters.collect();
    // Of 64 even draws of sixty seconds none in a given quarter is one in a hundred million.
    for quarter in 0..4 {
        let within = |jitter: &u64| (quarter * 15..(quarter + 1) * 15).contains(jitter);
        assert!(jitters.iter().any(within), "none in quarter {quarter}: {jitters:?}");
    }
    assert!(jitters.iter().all(|jitter| *jitter < 60), "{jitters:?}");
}

#[test]
fn a_window_takes_what_it_needs_and_what_it_stood_still() {
    for (needs_s, paused_s, over) in
        [(800, 200, true), (1_000, 0, true), (801, 200, false), (800, 201, false)]
    {
        let moment = due();
        let (case, ruling) = moment.ruled(|moment| {
            let window = moment.case(LOST).window.as_mut().unwrap();
            (window.needs_s, window.paused_s) = (needs_s, paused_s);
        });
        let next_at = Some(moment.now() + s(1));
        let (action, next_at, gate) = if over {
            (Action::OpenSlice { percent: 5 }, None, GatePosition::Slice(5))
        } else {
            (waits(WaitReason::Window), next_at, GatePosition::Closed)
        };
        assert_eq!(
            (case.gate, ruling),
            (gate, Ruling { action, next_at }),
            "{needs_s} s, still for {paused_s} s"
        );
    }
}

#[test]
fn a_ramp_begins_with_the_first_slice_that_is_wider_than_the_gate() {
    for (percent, slice, opens) in
        [(0, 0, 5), (4, 0, 5), (5, 1, 25), (24, 1, 25), (25, 2, 50), (50, 3, 100), (58, 3, 100), (99, 3, 100)]
    {
        let moment = due();
        let gate = GatePosition::from_percent(percent);
        let (case, ruling) = moment.ruled(|moment| moment.case(LOST).gate = gate);
        assert_eq!(ruling.action, Action::OpenSlice { percent: opens }, "{gate:?}");
        assert_eq!(case.ramp, Some(RampRun { slice, since: moment.now(), emergency: false }), "{gate:?}");
    }
}

/// `latch.settle` is twenty minutes; `capacity.return_ready_share` nine tenths, of 300 requests per second.
#[test]
fn a_return_waits_for_its_origin_and_its_own_instances_and_not_longer() {
    let moment = due();
    let opens = Action::OpenSlice { percent: 5 };
    let enabled =
        |ago| moment.ruled(move |moment| moment.case(LOST).origin_enabled_at = Some(moment.ago(ago))).1;
    assert_eq!(enabled(s(1_200)).action, opens);
    let settles = Ruling { action: waits(WaitReason::OriginSettled), next_at: Some(moment.now() + MOMENT) };
    assert_eq!(enabled(s(1_200) - MOMENT), settles);
    for (instance_rps, expected) in [(67.5, opens), (67.4, waits(WaitReason::ReturnCapacity))] {
        let action = moment.action(|moment| {
            moment.story.policy.capacity.instance_rps = instance_rps;
            moment.case(LOST).demand_rps = 300.0;
            moment.load(LOST).ready_instances = 4;
        });
        assert_eq!(action, expected, "{instance_rps} requests per second of each of four");
    }
}

/// The other one is full and fails for it, and `LOST` has been well for two minutes (`confirm.alone_after`).
fn needed() -> Moment {
    let mut story = proving();
    let other = story.scene(OTHER);
    (other.direct, other.load_rps, other.saturation, other.ready) = (Direct::Full, 600.0, 1.0, 2);
    let mut moment = Moment::next(story);
    let (started_at, now) = (moment.ago(s(120)), moment.now());
    moment.case(LOST).window.as_mut().unwrap().started_at = started_at;
    // So full since a moment only, or it were an emergency.
    moment.case(OTHER).since = now;
    moment
}

fn drains(moment: &mut Moment) {
    let stamps = Arc::make_mut(&mut moment.situation.state.topology.stamps);
    stamps.get_mut(&StampId::from(LOST)).unwrap().state = Some("draining".into());
}

fn spends_its_budget(moment: &mut Moment) {
    let at = moment.ago(s(5_000));
    moment.case(LOST).auto_cordons = vec![at, at];
}

/// What stands beside it, and whether it returns early all the same.
const EARLY: [(&str, Change, bool); 14] = [
    ("nothing", |_| {}, true),
    (
        "well for a moment less",
        |m| {
            let at = m.ago(s(120) - MOMENT);
            m.case(LOST).window.as_mut().unwrap().started_at = at;
        },
        false,
    ),
    ("a pause", |m| m.pauses(s(60)), false),
    ("taken out by an order", Moment::orders_out, false),
    ("draining", drains, false),
    (
        "its gate unreadable",
        |m| {
            m.situation.gates.clear();
        },
        false,
    ),
    ("a spent budget", spends_its_budget, false),
    (
        "a spent budget, acknowledged",
        |m| {
            spends_its_budget(m);
            m.case(LOST).acknowledged = true;
        },
        true,
    ),
    ("acknowledged", |m| m.case(LOST).acknowledged = true, true),
    ("a mode that observes", |m| m.story.policy.modes.readmit = Mode::Observe, false),
    ("the other is not full", |m| m.load(OTHER).saturation = 0.9, false),
    ("nobody sees it", |m| m.situation.state.evidence = Arc::default(), false),
    ("the other just carries all of it", |m| m.load(OTHER).ready_instances = 4, true),
    (
        "the other just carries all of it, and here is nothing",
        |m| {
            m.load(OTHER).ready_instances = 4;
            m.load(LOST).ready_instances = 0;
        },
        false,
    ),
];

#[test]
fn a_stamp_returns_before_its_window_is_over_only_where_it_is_needed_and_nothing_forbids_it() {
    let moment = needed();
    for (what, change, returns) in EARLY {
        let (case, ruling) = moment.ruled(change);
        let (action, stage) = if returns {
            (Action::ReturnEarly { percent: 5 }, Stage::Readmitting)
        } else {
            (waits(WaitReason::Window), Stage::Proving)
        };
        assert_eq!((ruling.action, case.stage), (action, stage), "{what}");
    }
}

#[test]
fn the_origin_settles_from_when_it_was_read_enabled_for_good() {
    use EnabledState::{Disabled, Enabled};
    for (enabled, updating, for_good) in
        [(Enabled, false, true), (Enabled, true, false), (Disabled, false, false), (Disabled, true, false)]
    {
        let moment = Moment::of_a_window();
        let read_at = moment.situation.state.origins[&StampId::from(LOST)].read_at;
        let (case, ruling) = moment.ruled(|moment| {
            moment.case(LOST).latched_at = Some(moment.ago(s(1_000)));
            let origin = moment.situation.state.origins.get_mut(&StampId::from(LOST)).unwrap();
            (origin.enabled, origin.updating) = (enabled, updating);
        });
        assert_eq!(ruling.action, waits(WaitReason::OriginSettled), "{enabled:?}, updating: {updating}");
        let expected = for_good.then_some(read_at);
        assert_eq!(case.origin_enabled_at, expected, "{enabled:?}, updating: {updating}");
        assert_eq!(case.latched_at.is_none(), for_good, "{enabled:?}, updating: {updating}");
        assert_eq!(ruling.next_at, expected.map(|read| read + s(1_200)), "{enabled:?}, updating: {updating}");
    }
}

/// `ramp.watch` is three minutes, `ramp.quiet_wait` two more; 5 % of the 15 requests per second of the first slice are 0.75.
#[test]
fn a_slice_is_watched_and_then_widened_when_its_load_has_come_or_patience_is_over() {
    let closed = |open_for, rps: f64| {
        let moment = readmitting(0, GatePosition::Slice(5), open_for);
        let (case, ruling) = moment.ruled(|moment| {
            moment.case(LOST).demand_rps = 300.0;
            moment.case(LOST).traffic_from = None;
            moment.load(LOST).requests_per_second = rps;
        });
        assert_eq!(case.traffic_from, None, "masked from the first slice on, not from each");
        let since = moment.ago(open_for);
        (ruling.action, ruling.next_at.map(|at| at.since(since)))
    };
    let widened = || (Action::OpenSlice { percent: 25 }, None);
    let watched = (waits(WaitReason::SliceWatched), Some(s(180)));
    let awaited = || (waits(WaitReason::SliceLoad), Some(s(300)));
    assert_eq!(closed(s(180) - MOMENT, 15.0), watched);
    assert_eq!(closed(s(180), 15.0), widened());
    assert_eq!(closed(s(180), 0.75), widened());
    assert_eq!(closed(s(180), 0.74), awaited());
    assert_eq!(closed(s(180), 0.0), awaited());
    assert_eq!(closed(s(300) - MOMENT, 0.0), awaited());
    assert_eq!(closed(s(300), 0.0), widened());
}

#[test]
fn after_the_last_slice_it_serves() {
    let after = |open_for| readmitting(3, GatePosition::Open, open_for).ruled(|_| {});
    assert_eq!(after(s(180) - MOMENT).1.action, waits(WaitReason::SliceWatched));
    let (case, ruling) = after(s(180));
    assert_eq!((case.stage, ruling.action), (Stage::Serving, Action::Serve));
    let moment = due();
    assert_eq!(moment.ruled(|_| {}).0.traffic_from, Some(moment.now()), "masked from its first slice on");
}

#[test]
fn an_emergency_that_latched_nothing_does_not_wait_for_an_origin() {
    for (emergency, latched, expected) in [
        (true, false, WaitReason::SliceWatched),
        (true, true, WaitReason::OriginSettled),
        (false, true, WaitReason::SliceWatched),
        (false, false, WaitReason::SliceWatched),
    ] {
        let action = readmitting(3, GatePosition::Open, s(20)).action(|moment| {
            let latched_at = latched.then(|| moment.ago(s(1_000)));
            moment.case(LOST).latched_at = latched_at;
            moment.case(LOST).ramp.as_mut().unwrap().emergency = emergency;
            moment.situation.state.origins.get_mut(&StampId::from(LOST)).unwrap().updating = true;
        });
        assert_eq!(action, waits(expected), "emergency: {emergency}, latched: {latched}");
    }
}

/// Its own probes are bad, and the other one is dead.
#[test]
fn a_doubtful_slice_stays_as_it_is_while_nothing_else_serves() {
    let mut story = proving();
    story.scene(OTHER).direct = Direct::Down;
    story.scene(LOST).direct = Direct::Errors(20);
    let mut moment = bad(story);
    let since = moment.ago(s(1_000));
    for (slice, gate, expected) in [
        (0, GatePosition::Slice(5), waits(WaitReason::SliceWatched)),
        (2, GatePosition::Slice(50), waits(WaitReason::SliceWatched)),
        (3, GatePosition::Open, Action::Serve),
    ] {
        let case = moment.case(LOST);
        (case.stage, case.gate, case.window) = (Stage::Readmitting, gate, None);
        case.ramp = Some(RampRun { slice, since, emergency: false });
        let (next, ruling) = moment.ruled(|_| {});
        assert_eq!((next.gate, ruling.action), (gate, expected));
    }
}

/// The evaluation after two more runs of the observers, which are not judged by themselves.
fn bad(mut story: Story) -> Moment {
    for _ in 0..2 {
        story.now = story.now + s(10);
        let item = story.observe();
        story.inbox.push(item);
    }
    let items = std::mem::take(&mut story.inbox);
    let situation = story.situation(&items);
    Moment { story, situation }
}

#[test]
fn an_open_gate_is_opened_by_no_emergency() {
    let mut story = proving();
    story.scene(OTHER).direct = Direct::Down;
    let moment = bad(story);
    assert_eq!(moment.action(|_| {}), Action::EmergencyReturn);
    let open = moment.ruled(|moment| {
        let since = moment.ago(s(20));
        let case = moment.case(LOST);
        (case.stage, case.gate, case.window) = (Stage::Readmitting, GatePosition::Open, None);
        case.ramp = Some(RampRun { slice: 3, since, emergency: true });
    });
    assert_eq!(open.1.action, waits(WaitReason::SliceWatched), "it is open");
    assert_eq!(
        open.0.ramp.map(|ramp| ramp.since),
        Some(moment.ago(s(20))),
        "and is watched from when it opened"
    );
}

/// Three times what its locations should bring, and 5 % of 300 on top: 15 x 3 + 15.
#[test]
fn a_slice_steps_back_for_more_than_it_may_bring_and_not_for_that() {
    for (rps, expected) in [
        (60.0, waits(WaitReason::SliceWatched)),
        (60.01, Action::StepBack { why: StepBackReason::TooMuchLoad }),
    ] {
        let action = readmitting(0, GatePosition::Slice(5), s(20)).action(|moment| {
            moment.case(LOST).demand_rps = 300.0;
            moment.load(LOST).requests_per_second = rps;
            // Or the survivors were to be asked whether they can take it.
            moment.load(OTHER).ready_instances = 12;
            moment.load(LOST).ready_instances = 0;
        });
        assert_eq!(action, expected, "{rps} requests per second");
    }
}

#[test]
fn what_a_slice_may_bring_is_measured_by_what_its_locations_are_known_to_carry() {
    let busy = |percent, rps| Some(BusySlice { percent, rps, at: Default::default() });
    for (busy, slice, expected) in [
        // 5, 25, 50 and 100 % of 300, three times, and 15.
        (None, 0, 60.0),
        (None, 1, 240.0),
        (None, 2, 465.0),
        (None, 3, 915.0),
        // 75 on the first 5 %, and an even part of the rest: 60, 135 and 285 more.
        (busy(5, 75.0), 0, 240.0),
        (busy(5, 75.0), 1, 420.0),
        (busy(5, 75.0), 2, 645.0),
        (busy(5, 75.0), 3, 1_095.0),
        // A narrower one brings no more than the wider did; less than even is no reason to expect less.
        (busy(50, 290.0), 0, 305.0),
        (busy(5, 1.0), 0, 60.0),
    ] {
        let allowed = load_allowed(300.0, busy, slice, &shipped());
        assert!((allowed - expected).abs() < 1e-9, "{busy:?}, slice {slice}: {allowed}");
    }
}

/// Of the 15 requests per second that a slice should bring, the survivor has room for half: 600 on 592.5. So it is closed where
/// more than half of what arrives fails, and kept where less does.
#[test]
fn a_slice_with_too_much_load_is_closed_only_where_that_harms_less() {
    // Of 100 that arrive, three instances carry 30, seven 70, and twelve more than all.
    for (ready, expected) in [
        (3, Action::StepBack { why: StepBackReason::TooMuchLoad }),
        (7, held(HoldReason::MoreHarm)),
        (12, held(HoldReason::MoreHarm)),
    ] {
        let action = readmitting(0, GatePosition::Slice(5), s(20)).action(|moment| {
            moment.story.policy.capacity.instance_rps = 10.0;
            for stamp in [LOST, OTHER] {
                moment.case(stamp).demand_rps = 300.0;
            }
            let here = moment.load(LOST);
            (here.ready_instances, here.requests_per_second, here.saturation) = (ready, 100.0, 0.5);
            // By its own measure: 474 / 0.8.
            let there = moment.load(OTHER);
            (there.ready_instances, there.requests_per_second, there.saturation) = (100, 474.0, 0.8);
        });
        assert_eq!(action, expected, "{ready} instances");
    }
}
