//! Why, why not, and what would have had to be otherwise: each counterfactual is tried out.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::alternatives::{Alternative, WhyNot};
use crate::counterfactual::{Change, Would};
use crate::decide::{Action, HoldReason};
use crate::explanation::{Explanation, FiredRule};
use crate::judge::judge;
use crate::policy::Mode;
use crate::state::Stage;
use crate::testing::{Direct, Plane, Story, shipped};
use crate::{EvidenceClass, Order, StampId, Standing};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";

fn explain(story: &Story) -> Explanation {
    let situation = story.situation(&[]);
    Explanation::of(&situation, &judge(&situation, &story.policy), &story.policy)
}

fn counterfactual(story: &Story, stamp: &str) -> (Would, Change) {
    let all = explain(story).counterfactuals;
    let of = all.iter().find(|found| found.stamp.as_str() == stamp);
    of.map(|found| (found.would, found.change.clone())).unwrap_or_else(|| panic!("{all:?}"))
}

fn alternatives(story: &Story, stamp: &str) -> Vec<(Alternative, WhyNot)> {
    let all = explain(story).alternatives.into_iter();
    all.filter(|found| found.stamp.as_str() == stamp).map(|found| (found.alternative, found.why)).collect()
}

#[track_caller]
fn is_cordoned(story: &Story) {
    assert!(matches!(story.action(LOST), Action::Cordon { .. }), "{:?}", story.action(LOST));
}

#[test]
fn it_would_have_been_cordoned_if_a_second_class_had_agreed() {
    for seconds in [40, 80] {
        let mut story = Story::calm(2);
        let mut with = story.clone();
        story.scene(LOST).direct = Direct::DownForWitnessOnly;
        story.run(seconds);
        let (would, Change::SecondClass { since, at }) = counterfactual(&story, LOST) else {
            panic!("{:?}", counterfactual(&story, LOST))
        };
        assert_eq!((would, at.since(since).as_secs()), (Would::Cordon, 60));
        assert_eq!(at.since(story.now).as_secs(), 70_u64.saturating_sub(seconds));
        // Tried out: the same story with that class speaking from then on.
        with.scene(LOST).direct = Direct::DownForWitnessOnly;
        while with.now + Duration::from_secs(10) < since {
            with.tick();
        }
        with.scene(LOST).edge = Some(100);
        while with.now < at {
            assert_ne!(with.case(LOST).stage, Stage::Evacuating);
            with.tick();
        }
        is_cordoned(&with);
    }
}

#[test]
fn it_would_be_cordoned_in_a_while_if_everything_stays_as_it_is() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.run(100);
    let (Would::Cordon, Change::Lasts { until }) = counterfactual(&story, LOST) else { panic!() };
    assert_eq!(until.since(story.now).as_secs(), 30);
    story.run(20);
    assert_eq!(story.case(LOST).stage, Stage::Suspect);
    story.run(10);
    is_cordoned(&story);
}

#[test]
fn it_would_close_if_the_survivor_had_as_many_more_instances_as_it_says_and_not_one_less() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Errors(4);
    story.scene(LOST).traffic = Some(20);
    story.scene(OTHER).ready = 2;
    story.until(LOST, Stage::Evacuating, 120);
    story.tick();
    let (Would::CloseGate, Change::MoreReady { instances }) = counterfactual(&story, LOST) else { panic!() };
    assert_eq!(instances, BTreeMap::from([(StampId::from(OTHER), 3)]));
    for (more, closes) in [(2, false), (3, true)] {
        let mut tried = story.clone();
        tried.scene(OTHER).ready += more;
        tried.tick();
        assert_eq!(*tried.action(LOST) == Action::CloseGate, closes, "{more} more");
    }
}

#[test]
fn it_would_be_cordoned_when_the_ten_minutes_have_passed() {
    let mut story = Story::calm(3);
    story.state.last_removal_at = Some(story.now);
    story.scene(LOST).direct = Direct::Down;
    story.run(400);
    let (Would::Cordon, Change::Passes { at: Some(at) }) = counterfactual(&story, LOST) else { panic!() };
    assert_eq!(at.since(story.now).as_secs(), 200);
    let words = crate::explain::why::counterfactual(&explain(&story).counterfactuals[0], story.now);
    assert_eq!(words, "eastus2 would be cordoned in 3 min 20 s at the earliest, when the time has passed");
    while story.now < at {
        assert_eq!(story.case(LOST).stage, Stage::Suspect);
        story.tick();
    }
    is_cordoned(&story);
}

#[test]
fn what_forbids_a_cordon_is_what_would_have_had_to_be_otherwise() {
    type Prevent = fn(&mut Story);
    type Lift = fn(&mut Story);
    let table: [(HoldReason, Change, Prevent, Lift); 5] = [
        (
            HoldReason::Paused,
            Change::Resumed,
            |story| story.order(Order::Pause { until: story.now + Duration::from_secs(9_000) }),
            |story| story.order(Order::Resume),
        ),
        (
            HoldReason::GateUnreadable,
            Change::Readable,
            |story| story.gate_store = Plane::Down,
            |story| story.gate_store = Plane::Up,
        ),
        (
            HoldReason::ModeObserve,
            Change::Acts,
            |story| story.policy.modes.hard_loss = Mode::Observe,
            |story| story.policy.modes.hard_loss = Mode::Act,
        ),
        (
            HoldReason::LastServing,
            Change::AnotherServes,
            |story| story.policy.capacity.regions_min = 2,
            |story| story.policy.capacity.regions_min = 1,
        ),
        (
            HoldReason::Operator,
            Change::Released,
            |story| story.order(Order::Hold { stamp: LOST.into() }),
            |story| story.order(Order::Release { stamp: LOST.into() }),
        ),
    ];
    for (reason, change, prevent, lift) in table {
        let mut story = Story::calm(2);
        prevent(&mut story);
        story.scene(LOST).direct = Direct::Down;
        story.run(300);
        assert_eq!(counterfactual(&story, LOST), (Would::Cordon, change));
        assert_eq!(alternatives(&story, LOST)[0], (Alternative::Cordon, WhyNot::Forbidden { reason }));
        lift(&mut story);
        story.tick();
        is_cordoned(&story);
    }
}

#[test]
fn an_alert_alone_lacks_two_voices() {
    let mut story = Story::calm(2);
    story.platform(LOST, Standing::Fired);
    story.run(300);
    let since = story.now.before(Duration::from_secs(30));
    assert_eq!(counterfactual(&story, LOST), (Would::Cordon, Change::TwoClasses { since }));
    assert!(explain(&story).fired.iter().any(|fired| fired.rule == FiredRule::Alerted));
}

#[test]
fn a_cordon_says_what_it_was_chosen_over_and_what_the_survivors_would_carry() {
    let mut story = Story::calm(3);
    story.scene(LOST).direct = Direct::Down;
    story.scene(LOST).edge = Some(100);
    story.until(LOST, Stage::Evacuating, 90);
    let record = story.records.last().unwrap();
    let explained = &record.explanation;
    let found: BTreeMap<&str, &str> = explained["alternatives"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["stamp"] == LOST)
        .map(|found| (found["alternative"].as_str().unwrap(), found["why"]["code"].as_str().unwrap()))
        .collect();
    let expected = [
        ("do_nothing", "comes_back_half_alive"),
        ("partial_evacuation", "still_fails"),
        ("pre_scale_only", "still_fails"),
        ("latch", "too_soon"),
        ("emergency_return", "not_healthy"),
    ];
    assert_eq!(found, expected.into_iter().collect());
    assert_eq!(explained["survivors"][0]["without"], LOST);
    assert_eq!(explained["survivors"][0]["shares"][OTHER]["demand_rps"], 450.0);
    assert_eq!(explained["fired"][0]["rule"]["rule"], "fails");
    assert_eq!(explained["counterfactuals"][0]["would"], "not_cordon");
    assert_eq!(
        explained["counterfactuals"][0]["in_words"],
        "eastus2 would not have been cordoned if direct had not spoken against it"
    );
}

#[test]
fn a_partial_evacuation_says_how_much_is_missing_for_all_of_it() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Errors(4);
    story.scene(LOST).traffic = Some(20);
    story.scene(OTHER).ready = 3;
    story.until(LOST, Stage::Evacuating, 120);
    story.run_until(700, |story| matches!(story.action(LOST), Action::EvacuatePartly { .. }));
    let explained = &story.records.last().unwrap().explanation;
    let instances = &explained["counterfactuals"][0]["change"]["instances"];
    assert_eq!(*instances, serde_json::json!({ "centralus": 2 }));
    let rejected: Vec<(&str, &str)> = explained["alternatives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| (found["alternative"].as_str().unwrap(), found["why"]["code"].as_str().unwrap()))
        .collect();
    assert!(rejected.contains(&("do_nothing", "goes_on_failing")), "{rejected:?}");
    assert!(rejected.contains(&("cordon", "survivors_short")), "{rejected:?}");
}

#[test]
fn a_return_says_why_it_is_not_at_once() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    assert!(alternatives(&story, LOST).contains(&(Alternative::ReturnNow, WhyNot::NotHealthy)));
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Proving, 300);
    story.tick();
    let (Would::Return, Change::Passes { at: Some(at) }) = counterfactual(&story, LOST) else { panic!() };
    let found = alternatives(&story, LOST);
    assert!(found.contains(&(Alternative::ReturnNow, WhyNot::TooSoon { until: Some(at) })), "{found:?}");
    assert!(found.contains(&(Alternative::EmergencyReturn, WhyNot::SomethingServes)), "{found:?}");
    story.until(LOST, Stage::Readmitting, 1_200);
    assert!(at <= story.now && story.now.since(at).as_secs() < 10);
}

#[test]
fn a_calm_workload_has_nothing_to_explain() {
    let mut policy = shipped();
    policy.modes.gray = Mode::Observe;
    let explanation = explain(&Story::calm_under(policy, 3));
    assert_eq!((explanation.alternatives, explanation.counterfactuals), (vec![], vec![]));
    assert_eq!((explanation.fired, explanation.survivors), (vec![], vec![]));
}

#[test]
fn what_was_discounted_is_among_the_rules_that_fired() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.scene(LOST).edge = Some(100);
    story.until(LOST, Stage::Cordoned, 200);
    let because = crate::evidence::Discount::Masked;
    let rule = FiredRule::Discounted { class: EvidenceClass::Edge, because };
    assert!(explain(&story).fired.iter().any(|fired| fired.rule == rule));
}
