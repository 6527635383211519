//! What would have had to be otherwise, at its bounds: each ruling with what it lacked.

use std::collections::BTreeMap;

use crate::counterfactual::{Change, Would};
use crate::decide::{Action, HoldReason, StepBackReason, WaitReason};
use crate::state::{RampRun, Stage};
use crate::testing::{held, waits};
use crate::{EvidenceClass, StampId, Verdict};

use super::drawn::{Drawn, LOST, MOMENT, OTHER, s};

fn more_in_other(more: u32) -> Change {
    Change::MoreReady { instances: BTreeMap::from([(StampId::from(OTHER), more)]) }
}

fn stepped_back(why: StepBackReason) -> Drawn {
    Drawn::ruled(2, Stage::Cordoned, Action::StepBack { why })
}

#[test]
fn a_step_back_names_the_first_voice_against_it_and_an_alert_is_none() {
    use EvidenceClass::{Data, Direct, Edge, Platform, Traffic};
    use Verdict::{Degraded, Healthy, Unhealthy};
    type Voices = &'static [(EvidenceClass, Verdict)];
    let table: [(Voices, Option<EvidenceClass>); 6] = [
        (&[], None),
        (&[(Platform, Unhealthy)], None),
        (&[(Platform, Unhealthy), (Direct, Unhealthy)], Some(Direct)),
        (&[(Edge, Healthy), (Direct, Healthy), (Traffic, Degraded)], Some(Traffic)),
        (&[(Edge, Degraded), (Direct, Unhealthy)], Some(Edge)),
        (&[(Data, Unhealthy), (Direct, Healthy)], Some(Data)),
    ];
    for (voices, expected) in table {
        let mut drawn = stepped_back(StepBackReason::BadSample);
        for (class, verdict) in voices {
            drawn.says(LOST, *class, *verdict, s(10));
        }
        let expected = expected.map(|class| (Would::NotStepBack, Change::Without { class }));
        assert_eq!(drawn.would(), expected, "{voices:?}");
    }
}

#[test]
fn a_step_back_for_load_says_how_much_less_should_have_arrived() {
    // Of 300 requests per second, three times the slice's share and 15 for small numbers.
    for (slice, arrived, expected) in [
        (Some(0), 400.5, 341), // 60 were allowed: 3 * 15 + 15
        (Some(1), 400.5, 161), // 240 were allowed: 3 * 75 + 15
        (Some(1), 241.0, 1),
        (Some(1), 240.25, 1),
        (Some(1), 200.0, 0),
        (None, 400.5, 401), // without a slice nothing
    ] {
        let mut drawn = stepped_back(StepBackReason::TooMuchLoad);
        let since = drawn.now().before(s(30));
        drawn.after(LOST).demand_rps = 300.0;
        drawn.before(LOST).ramp = slice.map(|slice| RampRun { slice, since, emergency: false });
        drawn.load(LOST).requests_per_second = arrived;
        let found = drawn.would();
        let expected = Some((Would::NotStepBack, Change::LessLoad { rps: expected }));
        assert_eq!(found, expected, "{slice:?}, {arrived} arrived");
    }
}

#[test]
fn a_step_back_that_nobody_saw_and_a_window_that_is_void_say_what_was_missing() {
    let found = stepped_back(StepBackReason::Unobserved).would();
    assert_eq!(found, Some((Would::NotStepBack, Change::Observed)));
    let found = Drawn::ruled(2, Stage::Cordoned, Action::RestartWindow).would();
    assert_eq!(found, Some((Would::Return, Change::Healthy)));
}

#[test]
fn a_hold_holds_back_what_the_stage_would_do_next() {
    let operator = HoldReason::Operator;
    let harm = HoldReason::MoreHarm;
    for (stage, reason, would) in [
        (Stage::Suspect, operator, Would::Cordon),
        (Stage::Held, operator, Would::Cordon),
        (Stage::Evacuating, operator, Would::CloseGate),
        (Stage::Cordoned, operator, Would::Latch),
        (Stage::Proving, operator, Would::Return),
        (Stage::Readmitting, operator, Would::Return),
        (Stage::Proving, harm, Would::Return),
        (Stage::Readmitting, harm, Would::StepBack),
    ] {
        // Without it the other gets 600 requests per second, with the margin 630: it has four instances of five.
        let change = if reason == harm { more_in_other(1) } else { Change::Released };
        assert_eq!(
            Drawn::ruled(2, stage, held(reason)).would(),
            Some((would, change)),
            "{stage:?} {reason:?}"
        );
    }
}

#[test]
fn a_spent_budget_passes_when_its_oldest_cordon_that_counts_is_a_day_old() {
    let day = s(86_400);
    for (cordons, expected) in [
        (vec![], None),
        (vec![day], None),
        (vec![day + MOMENT, day], None),
        (vec![day - MOMENT], Some(MOMENT)),
        (vec![day, s(100), s(50)], Some(day - s(100))),
        (vec![day - s(1), s(100)], Some(s(1))),
    ] {
        let mut drawn = Drawn::ruled(2, Stage::Suspect, held(HoldReason::BudgetSpent));
        let now = drawn.now();
        drawn.after(LOST).auto_cordons = cordons.iter().map(|ago| now.before(*ago)).collect();
        let change = Change::Passes { at: expected.map(|span| now + span) };
        assert_eq!(drawn.would(), Some((Would::Cordon, change)), "cordons {cordons:?} ago");
    }
}

#[test]
fn what_is_awaited_is_what_would_have_had_to_be_there() {
    let now = Drawn::calm(2).now();
    let (past, soon) = (Some(now.before(s(1))), Some(now + MOMENT));
    let passes = |at| Change::Passes { at };
    for (stage, on, next_at, would, change) in [
        (Stage::Cordoned, WaitReason::Recovery, soon, Would::Return, Change::Healthy),
        (Stage::Suspect, WaitReason::Recovery, soon, Would::Clear, passes(soon)),
        (Stage::Evacuating, WaitReason::Recovery, None, Would::Clear, passes(None)),
        // A window whose time is over stands still because nobody sees the stamp.
        (Stage::Proving, WaitReason::Window, past, Would::Return, Change::Observed),
        (Stage::Proving, WaitReason::Window, Some(now), Would::Return, Change::Observed),
        (Stage::Proving, WaitReason::Window, soon, Would::Return, passes(soon)),
        (Stage::Proving, WaitReason::Window, None, Would::Return, passes(None)),
        // Anything else that is over is not for want of eyes.
        (Stage::Proving, WaitReason::Stagger, past, Would::Return, passes(past)),
    ] {
        let mut drawn = Drawn::ruled(2, stage, Action::Stay);
        drawn.rule(LOST, waits(on), next_at);
        assert_eq!(drawn.would(), Some((would, change)), "{stage:?} waits for {on:?} until {next_at:?}");
    }
}

#[test]
fn a_return_lacks_the_instances_for_nine_tenths_of_its_demand() {
    for (demand_rps, ready, expected) in [
        (500.0, 3, None), // 450: three instances
        (500.0, 2, Some(1)),
        (501.0, 3, Some(1)),
        (600.0, 1, Some(3)), // 540: four instances
        (100.0, 1, None),
        (100.0, 0, Some(1)),
    ] {
        let mut drawn = Drawn::ruled(2, Stage::Proving, waits(WaitReason::ReturnCapacity));
        drawn.after(LOST).demand_rps = demand_rps;
        drawn.load(LOST).ready_instances = ready;
        let expected = expected.map(|more| {
            let instances = BTreeMap::from([(StampId::from(LOST), more)]);
            (Would::Return, Change::MoreReady { instances })
        });
        assert_eq!(drawn.would(), expected, "{demand_rps} on {ready}");
    }
}

#[test]
fn a_survivor_lacks_the_instances_for_its_share_and_five_percent() {
    for (own, ready, expected) in [
        (300.0, 5, None), // 600, with the margin 630
        (300.0, 4, Some(1)),
        (570.0, 4, Some(3)), // 870, with the margin 913.5: the seventh instance is for the margin alone
        (570.0, 6, Some(1)),
        (570.0, 7, None),
    ] {
        let mut drawn = Drawn::ruled(2, Stage::Evacuating, waits(WaitReason::SurvivorsReady));
        drawn.after(OTHER).demand_rps = own;
        drawn.load(OTHER).ready_instances = ready;
        let expected = expected.map(|more| (Would::CloseGate, more_in_other(more)));
        assert_eq!(drawn.would(), expected, "{own} of its own on {ready}");
    }
}

fn suspect() -> Drawn {
    Drawn::ruled(2, Stage::Suspect, waits(WaitReason::Confirmation))
}

#[test]
fn a_second_class_must_agree_for_as_long_as_the_loss_asks_and_an_alert_halves_it() {
    use Verdict::{Degraded, Unhealthy};
    for (verdict, alert, needs) in
        [(Unhealthy, false, 60), (Degraded, false, 90), (Unhealthy, true, 30), (Degraded, true, 45)]
    {
        // What shows for 20 s goes on from there; what shows for longer, from as long ago as is needed.
        for (shows, since, in_a_while) in [(20, 20, needs - 20), (200, needs, 0)] {
            let mut drawn = suspect();
            if alert {
                drawn.alert(LOST);
            }
            drawn.says(LOST, EvidenceClass::Direct, verdict, s(shows));
            drawn.suspicious(s(shows), None, None);
            let (since, at) = (drawn.now().before(s(since)), drawn.now() + s(in_a_while));
            let expected = Some((Would::Cordon, Change::SecondClass { since, at }));
            assert_eq!(drawn.would(), expected, "{verdict:?} for {shows} s, alert: {alert}");
        }
    }
}

#[test]
fn nothing_from_before_the_end_of_a_freeze_counts_for_a_second_class() {
    let mut drawn = suspect();
    drawn.says(LOST, EvidenceClass::Direct, Verdict::Degraded, s(200));
    drawn.suspicious(s(200), None, None);
    let since = drawn.now().before(s(10));
    drawn.judgement.decision.freeze_ended_at = Some(since);
    let at = drawn.now() + s(80);
    assert_eq!(drawn.would(), Some((Would::Cordon, Change::SecondClass { since, at })));
}

#[test]
fn a_contradiction_is_all_that_is_missing_only_where_two_classes_agree_already() {
    use EvidenceClass::{Data, Direct, Edge, Platform, Traffic};
    let contradicted = Change::NoContradiction { class: Edge };
    let now = Drawn::calm(2).now();
    let second = Change::SecondClass { since: now.before(s(20)), at: now + s(70) };
    type Classes = &'static [EvidenceClass];
    let table: [(Classes, Option<EvidenceClass>, &Change); 5] = [
        (&[Direct], Some(Edge), &second),
        (&[Direct, Platform], Some(Edge), &second),
        (&[Direct, Traffic], Some(Edge), &contradicted),
        (&[Direct, Traffic, Data], Some(Edge), &contradicted),
        (&[Direct, Traffic], None, &second),
    ];
    for (bad, by, expected) in table {
        let mut drawn = suspect();
        for class in bad {
            drawn.says(LOST, *class, Verdict::Degraded, s(20));
        }
        drawn.suspicious(s(20), None, by);
        let expected = Some((Would::Cordon, expected.clone()));
        assert_eq!(drawn.would(), expected, "{bad:?} bad, contradicted by {by:?}");
    }
}

#[test]
fn what_confirms_itself_no_later_than_a_second_class_would_only_has_to_last() {
    for (confirmed_in, lasts) in [(s(30), true), (s(90), true), (s(90) + MOMENT, false)] {
        let mut drawn = suspect();
        let until = drawn.now() + confirmed_in;
        drawn.says(LOST, EvidenceClass::Direct, Verdict::Degraded, s(20));
        drawn.suspicious(s(20), Some(until), None);
        let (since, at) = (drawn.now().before(s(20)), drawn.now() + s(70));
        let expected = if lasts { Change::Lasts { until } } else { Change::SecondClass { since, at } };
        assert_eq!(drawn.would(), Some((Would::Cordon, expected)), "confirmed in {confirmed_in:?}");
    }
}
