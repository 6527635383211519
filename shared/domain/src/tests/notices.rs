//! What a person is told, and how often: once when it begins, again while it waits for him, and not at every record.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Order;
use crate::decide::HoldReason;
use crate::judge::replay;
use crate::notice::Notice;
use crate::policy::Span;
use crate::state::Stage;
use crate::testing::{Direct, Story, held, shipped};

const ONE: &str = "eastus2";
const OTHER: &str = "centralus";

fn kinds(record: &crate::audit::AuditRecord) -> BTreeSet<Notice> {
    serde_json::from_value(record.explanation["notices"].clone()).unwrap()
}

/// How many records were news of this kind.
fn told(story: &Story, kind: Notice) -> usize {
    story.records.iter().filter(|record| kinds(record).contains(&kind)).count()
}

fn lose(story: &mut Story, stamp: &str) {
    story.scene(stamp).direct = Direct::Down;
    story.scene(stamp).edge = Some(100);
}

#[track_caller]
fn every_record_is_the_same_again(story: &Story) {
    for record in &story.records {
        assert_eq!(replay(record, &story.policy), Ok(()), "{}", record.headline);
    }
}

/// One region out, and a second that waits for an approval.
fn waiting(policy: crate::Policy) -> Story {
    let mut story = Story::calm_under(policy, 3);
    lose(&mut story, ONE);
    story.until(ONE, Stage::Cordoned, 120);
    lose(&mut story, OTHER);
    story.run_until(300, |story| story.action(OTHER) == &held(HoldReason::NeedsApproval));
    story
}

#[test]
fn an_unanswered_approval_is_asked_for_again_at_the_policys_pace_and_the_hold_stands() {
    let mut story = waiting(shipped());
    assert_eq!(told(&story, Notice::NeedsApproval), 1);
    let generation = story.case(OTHER).awaiting_approval;
    story.run(590);
    assert_eq!(told(&story, Notice::NeedsApproval), 1);
    story.run(10);
    assert_eq!(told(&story, Notice::NeedsApproval), 2, "after 10 min");
    story.run(1_200);
    assert_eq!(told(&story, Notice::NeedsApproval), 4, "and every 10 min");
    assert_eq!(story.case(OTHER).held_for.unwrap().told, 4);
    assert_eq!(story.action(OTHER), &held(HoldReason::NeedsApproval), "the hold stands");
    assert_eq!(
        story.case(OTHER).awaiting_approval,
        generation,
        "the same approval answers every one of them"
    );
    let again =
        story.records.iter().rev().find(|record| kinds(record).contains(&Notice::NeedsApproval)).unwrap();
    assert!(again.because.iter().any(|line| line.contains("asked 4 times since")), "{:?}", again.because);
    every_record_is_the_same_again(&story);

    story.order(Order::Approve { stamp: OTHER.into(), generation: generation.unwrap() });
    story.run(1_800);
    assert_eq!(told(&story, Notice::NeedsApproval), 4, "answered: nobody is asked any more");
}

#[test]
fn the_pace_is_the_policys() {
    let mut policy = shipped();
    policy.reminders.unanswered_every = Span::from_secs(120);
    let mut story = waiting(policy);
    story.run(600);
    assert_eq!(told(&story, Notice::NeedsApproval), 6);
}

#[test]
fn a_pause_is_told_of_again_for_as_long_as_it_lasts() {
    let mut story = Story::calm(2);
    story.order(Order::Pause { until: story.now + Duration::from_secs(2 * 3_600) });
    story.run(1_790);
    assert_eq!(told(&story, Notice::StillPaused), 0);
    story.run(10 + 10);
    assert_eq!(told(&story, Notice::StillPaused), 1, "after 30 min");
    story.run(2 * 3_600);
    assert_eq!(told(&story, Notice::StillPaused), 3, "and every 30 min until it ends");
    let last =
        story.records.iter().rev().find(|record| kinds(record).contains(&Notice::StillPaused)).unwrap();
    assert!(last.headline.contains("the automation is paused since"), "{}", last.headline);
    every_record_is_the_same_again(&story);
}

#[test]
fn what_merely_stands_is_no_news_in_the_next_record() {
    let mut story = waiting(shipped());
    // Notes make records; the hold that stands meanwhile is not told with each of them.
    for _ in 0..5 {
        story.order(Order::Release { stamp: ONE.into() });
        story.tick();
    }
    assert_eq!(told(&story, Notice::NeedsApproval), 1);
}

#[test]
fn an_incident_tells_each_of_its_turns_once() {
    let mut story = Story::calm(2);
    story.scene(OTHER).ready = 30;
    lose(&mut story, ONE);
    story.run(600);
    story.scene(ONE).direct = Direct::Healthy;
    story.scene(ONE).edge = Some(0);
    story.until(ONE, Stage::Readmitting, 3_600);
    while story.case(ONE).stage == Stage::Readmitting {
        // As much load as the slice should bring.
        story.scene(ONE).load_rps = 3.0 * f64::from(story.case(ONE).gate.percent());
        story.tick();
    }
    assert_eq!(story.case(ONE).stage, Stage::Serving);
    story.run(1_200);
    assert_eq!(told(&story, Notice::Cordoned), 1);
    assert_eq!(told(&story, Notice::ReturnStarted), 1, "four slices are one return");
    assert_eq!(told(&story, Notice::Returned), 1);
    let news = |record: &&crate::audit::AuditRecord| {
        kinds(record).iter().any(|kind| !matches!(kind, Notice::Noted | Notice::Observed))
    };
    let posts = story.records.iter().filter(news).count();
    assert!(posts <= 4, "{posts} posts for one outage");
}

#[test]
fn a_freeze_is_told_when_it_begins_and_when_it_ends() {
    let mut story = Story::calm(3);
    lose(&mut story, ONE);
    lose(&mut story, OTHER);
    story.run(600);
    assert_eq!(told(&story, Notice::Frozen), 1);
    for stamp in [ONE, OTHER] {
        story.scene(stamp).direct = Direct::Healthy;
        story.scene(stamp).edge = Some(0);
    }
    story.run(600);
    assert_eq!((told(&story, Notice::Frozen), told(&story, Notice::Thawed)), (1, 1));
}

#[test]
fn a_survivor_that_cannot_carry_it_is_told_as_capacity_short() {
    let mut story = Story::calm(2);
    story.scene(OTHER).ready = 2;
    story.order(Order::Cordon { stamp: ONE.into() });
    story.run(1_800);
    assert_eq!(story.action(ONE), &held(HoldReason::CapacityShort));
    assert!(told(&story, Notice::CapacityShort) >= 1);
    assert!(told(&story, Notice::CannotGrow) >= 1);
}
