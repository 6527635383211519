//! What an operator orders by hand: out, back early, another mode. All of it is recorded and obeys the same rules.

use std::time::Duration;

use crate::decide::{Action, HoldReason};
use crate::judge::replay;
use crate::modes::{ModeCause, in_force};
use crate::policy::Mode;
use crate::state::{Cause, Stage};
use crate::testing::{Direct, Story, check, held};
use crate::{GatePosition, Order, Timestamp};

const ONE: &str = "eastus2";
const OTHER: &str = "centralus";

fn cordon(stamp: &str) -> Order {
    Order::Cordon { stamp: stamp.into() }
}

fn readmit(stamp: &str) -> Order {
    Order::Readmit { stamp: stamp.into() }
}

/// Every instance that the other is asked for is there.
fn grown(story: &mut Story) {
    story.scene(OTHER).ready = 30;
}

#[track_caller]
fn every_record_is_the_same_again(story: &Story) {
    for record in &story.records {
        assert_eq!(replay(record, &story.policy), Ok(()), "{}", record.headline);
    }
}

#[test]
fn a_healthy_stamp_leaves_by_order_once_the_others_can_carry_it_and_stays_out() {
    let mut story = Story::calm(2);
    story.order(cordon(ONE));
    story.tick();
    assert_eq!(story.case(ONE).stage, Stage::Evacuating);
    assert_eq!(story.case(ONE).cause, Some(Cause::Order));
    assert_eq!(story.case(ONE).gate, GatePosition::Open, "the survivors grow first");
    grown(&mut story);
    story.until(ONE, Stage::Cordoned, 120);
    story.run(3_600);
    check(&story, ONE, Stage::Proving, GatePosition::Closed, &held(HoldReason::Operator));
    story.order(readmit(ONE));
    story.until(ONE, Stage::Readmitting, 60);
    assert!(story.case(ONE).by_hand.is_none());
    every_record_is_the_same_again(&story);
}

#[test]
fn the_last_region_never_leaves_by_order() {
    let mut story = Story::calm(2);
    grown(&mut story);
    story.scene(OTHER).direct = Direct::Down;
    story.until(OTHER, Stage::Cordoned, 200);
    story.order(cordon(ONE));
    story.run(60);
    check(&story, ONE, Stage::Serving, GatePosition::Open, &held(HoldReason::LastServing));
    every_record_is_the_same_again(&story);
}

#[test]
fn survivors_that_cannot_carry_it_keep_it_in_rotation() {
    let mut story = Story::calm(2);
    story.scene(OTHER).ready = 1;
    story.order(cordon(ONE));
    story.run(3_600);
    assert_ne!(story.case(ONE).gate, GatePosition::Closed);
}

#[test]
fn a_pause_and_a_hold_are_obeyed_before_an_order_to_leave() {
    let mut story = Story::calm(2);
    grown(&mut story);
    let until = story.now + Duration::from_secs(600);
    story.order(Order::Pause { until });
    story.order(cordon(ONE));
    story.run(60);
    check(&story, ONE, Stage::Serving, GatePosition::Open, &held(HoldReason::Paused));
    story.order(Order::Hold { stamp: OTHER.into() });
    story.order(cordon(OTHER));
    story.run(60);
    assert_eq!(story.case(OTHER).stage, Stage::Held);
    assert!(story.case(OTHER).by_hand.is_none(), "an order about a held stamp is refused");
}

#[test]
fn an_order_that_was_not_obeyed_yet_can_be_taken_back() {
    let mut story = Story::calm(2);
    let until = story.now + Duration::from_secs(600);
    story.order(Order::Pause { until });
    story.order(cordon(ONE));
    story.run(30);
    story.order(readmit(ONE));
    story.order(Order::Resume);
    story.run(60);
    assert_eq!(story.case(ONE).stage, Stage::Serving);
}

#[test]
fn an_order_to_leave_that_was_not_obeyed_in_time_is_void() {
    let mut story = Story::calm(2);
    grown(&mut story);
    let until = story.now + Duration::from_secs(600);
    story.order(Order::Pause { until });
    story.order(cordon(ONE));
    story.run(240);
    check(&story, ONE, Stage::Serving, GatePosition::Open, &held(HoldReason::Paused));
    story.run(600);
    check(&story, ONE, Stage::Serving, GatePosition::Open, &Action::Stay);
    assert_eq!(
        story.case(ONE).by_hand,
        None,
        "nobody remembers it hours later, when nothing forbids it any more"
    );
    every_record_is_the_same_again(&story);
}

#[test]
fn a_stamp_comes_back_early_by_order_as_soon_as_it_is_healthy_and_not_before() {
    let mut story = Story::calm(2);
    story.scene(ONE).direct = Direct::Down;
    story.until(ONE, Stage::Cordoned, 200);
    story.order(readmit(ONE));
    story.run(120);
    assert_eq!(story.case(ONE).stage, Stage::Cordoned, "it is not healthy");
    story.scene(ONE).direct = Direct::Healthy;
    let waited = story.until(ONE, Stage::Readmitting, 400);
    assert!(waited < 300, "{waited} s is no less than the window");
    every_record_is_the_same_again(&story);
}

#[test]
fn a_mode_by_order_stands_over_the_file_until_it_is_given_back() {
    let mut story = Story::calm(2);
    story.order(Order::Mode { cause: ModeCause::HardLoss, mode: Some(Mode::Observe) });
    story.scene(ONE).direct = Direct::Down;
    story.run(300);
    check(&story, ONE, Stage::Suspect, GatePosition::Open, &held(HoldReason::ModeObserve));
    assert_eq!(in_force(&story.policy, &story.state).modes.hard_loss, Mode::Observe);
    story.order(Order::Mode { cause: ModeCause::HardLoss, mode: None });
    story.until(ONE, Stage::Cordoned, 60);
    every_record_is_the_same_again(&story);
}

#[test]
fn an_order_names_who_gave_it_and_when() {
    let mut story = Story::calm(2);
    story.order(cordon(ONE));
    story.tick();
    let order = story.case(ONE).by_hand.clone().unwrap();
    assert!(!order.by.is_empty() && !order.reason.is_empty() && order.at > Timestamp::default());
}
