//! What a cause that may not act does: the same decision and plan are drawn up and recorded, and nothing happens.

use serde_json::Value;

use crate::audit::AuditRecord;
use crate::decide::{Action, HoldReason};
use crate::judge::{judge, replay};
use crate::policy::{Mode, Policy};
use crate::shadow::Told;
use crate::state::Stage;
use crate::testing::{Direct, Story, check, held, shipped};
use crate::{EnabledState, GatePosition, StampId, Standing};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";

fn under(change: impl Fn(&mut Policy)) -> Policy {
    let mut policy = shipped();
    change(&mut policy);
    policy
}

/// The record's last word on what was not enforced.
fn unenforced(story: &Story) -> &Value {
    let records = story.records.iter().rev();
    records.map(|record| &record.explanation["unenforced"]).find(|shadow| !shadow.is_null()).unwrap()
}

#[track_caller]
fn every_record_is_the_same_again(story: &Story) {
    for record in &story.records {
        let read: AuditRecord = serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap();
        assert_eq!(replay(&read, &story.policy), Ok(()), "{}", record.headline);
    }
}

#[test]
fn what_is_only_observed_is_drawn_up_as_it_would_be_done_and_not_enforced() {
    for (mode, reason, told) in [
        (Mode::Observe, HoldReason::ModeObserve, Told::RecordOnly),
        (Mode::Advise, HoldReason::ModeAdvise, Told::Advice),
    ] {
        let mut acting = Story::calm(2);
        let mut story = Story::calm_under(under(|policy| policy.modes.hard_loss = mode), 2);
        for story in [&mut acting, &mut story] {
            story.scene(LOST).direct = Direct::Down;
            story.scene(LOST).edge = Some(100);
            story.run(70);
        }
        check(&story, LOST, Stage::Suspect, GatePosition::Open, &held(reason));
        let shadow = story.last.as_ref().unwrap().shadow.clone().unwrap();
        assert_eq!(shadow.told, told);
        assert_eq!(shadow.rulings[&StampId::from(LOST)].action, *acting.action(LOST));
        let effects = |story: &Story| story.created().iter().map(|s| s.effect.clone()).collect::<Vec<_>>();
        assert_eq!(shadow.steps.iter().map(|step| step.effect.clone()).collect::<Vec<_>>(), effects(&acting));
        assert!(story.steps.is_empty(), "nothing enters the ledger");

        let recorded = unenforced(&story);
        assert_eq!(recorded["enforced"], false);
        let steps = recorded["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 2);
        assert!(steps.iter().all(|step| step["enforced"] == false && step["undo_s"].as_u64() > Some(0)));
        assert_eq!(recorded["rulings"][LOST]["action"]["action"], "cordon");
        every_record_is_the_same_again(&story);
    }
}

#[test]
fn an_observed_cause_is_recorded_once_and_not_at_every_evaluation() {
    let mut story = Story::calm_under(under(|policy| policy.modes.hard_loss = Mode::Observe), 2);
    story.scene(LOST).direct = Direct::Down;
    story.run(300);
    let records = story.records.len();
    story.run(1_800);
    assert_eq!(story.records.len(), records);
}

#[test]
fn an_observed_return_stays_out_and_says_what_it_would_open() {
    let mut story = Story::calm_under(under(|policy| policy.modes.readmit = Mode::Observe), 2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.scene(LOST).direct = Direct::Healthy;
    story.run(1_800);
    check(&story, LOST, Stage::Proving, GatePosition::Closed, &held(HoldReason::ModeObserve));
    assert_eq!(unenforced(&story)["rulings"][LOST]["action"]["action"], "open_slice");
    every_record_is_the_same_again(&story);
}

#[test]
fn an_observed_return_enables_no_origin() {
    let mut story = Story::calm_under(under(|policy| policy.modes.readmit = Mode::Advise), 3);
    story.scene(LOST).direct = Direct::Down;
    story.run(700);
    story.scene(LOST).direct = Direct::Healthy;
    story.run(1_800);
    check(&story, LOST, Stage::Proving, GatePosition::Closed, &held(HoldReason::ModeAdvise));
    assert_eq!(story.scenes[&StampId::from(LOST)].origin, EnabledState::Disabled);
    assert_eq!(unenforced(&story)["rulings"][LOST]["action"]["action"], "enable_origin");
}

#[test]
fn a_ramp_whose_mode_is_taken_back_keeps_its_slice() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Readmitting, 1_800);
    story.scene(LOST).load_rps = 15.0;
    story.policy.modes.readmit = Mode::Observe;
    story.run(900);
    check(&story, LOST, Stage::Readmitting, GatePosition::Slice(5), &held(HoldReason::ModeObserve));
    story.scene(LOST).direct = Direct::Errors(10);
    story.run(60);
    assert_eq!(story.case(LOST).gate, GatePosition::Closed, "back is never forbidden");
}

#[test]
fn the_emergency_return_asks_no_mode() {
    let mut story = Story::calm_under(under(|policy| policy.modes.readmit = Mode::Observe), 2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Proving, 300);
    story.scene(OTHER).direct = Direct::Down;
    story.run(20);
    check(&story, LOST, Stage::Readmitting, GatePosition::Open, &Action::EmergencyReturn);
}

#[test]
fn an_observed_alert_or_overload_asks_for_no_capacity_and_says_how_much_it_would() {
    type Fault = fn(&mut Story);
    type Change = fn(&mut Policy);
    let table: [(Change, Fault); 2] = [
        (|policy| policy.modes.platform_alert = Mode::Observe, |story| story.platform(LOST, Standing::Fired)),
        (
            |policy| policy.modes.overload = Mode::Observe,
            |story| {
                let full = story.scene(OTHER);
                full.load_rps = 600.0;
                full.saturation = 1.0;
                full.direct = Direct::Full;
            },
        ),
    ];
    for (change, fault) in table {
        let mut story = Story::calm_under(under(change), 2);
        fault(&mut story);
        story.run(300);
        assert!(story.steps.is_empty(), "{:?}", story.steps);
        assert_eq!(story.case(OTHER).floor, None);
        let steps = &unenforced(&story)["steps"];
        assert_eq!(steps[0]["in_words"], "keep at least 5 instances in centralus", "{steps}");
        every_record_is_the_same_again(&story);
    }
}

#[test]
fn while_every_cause_acts_there_is_no_shadow() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.run(300);
    let situation = story.situation(&[]);
    assert_eq!(judge(&situation, &story.policy).shadow, None);
}

#[test]
fn only_what_is_in_mode_observe_alone_calls_nobody() {
    for (mode, told) in [(Mode::Observe, false), (Mode::Advise, true)] {
        let mut story = Story::calm_under(under(|policy| policy.modes.hard_loss = mode), 2);
        story.scene(LOST).direct = Direct::Down;
        story.run(300);
        let record = story.records.last().unwrap();
        let kinds = serde_json::from_value(record.explanation["notices"].clone()).unwrap();
        assert_eq!(crate::notice::is_told(&kinds), told, "{kinds:?}");
    }
}
