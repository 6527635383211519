//! The throughput of the databases: raised once for a cordon, given back when all serve again, and only while it is ours.

use crate::policy::{Policy, ThroughputLever};
use crate::state::Stage;
use crate::testing::{Direct, Executor, Story, shipped};
use crate::{Actuator, Effect, StepStatus};

const LOST: &str = "eastus2";
const ORDERS: &str = "sqlDatabases/shop/containers/orders";

fn policy(maximum: u32) -> Policy {
    let lever = ThroughputLever { resource: ORDERS.to_owned(), maximum };
    Policy { throughput: vec![lever], ..shipped() }
}

/// Three stamps; the setting is read as 4 000 RU/s, of which 20 000 are there at once.
fn calm(maximum: u32) -> Story {
    let mut story = Story::calm_under(policy(maximum), 3);
    story.throughput = Some(4_000);
    story.run(60);
    story
}

fn effects(story: &Story) -> Vec<Effect> {
    let of_databases = |effect: &Effect| effect.actuator() == Actuator::Throughput;
    story.steps.iter().map(|stored| stored.step.effect.clone()).filter(of_databases).collect()
}

#[test]
fn a_cordon_raises_it_once_and_the_last_return_gives_it_back() {
    let mut story = calm(12_000);
    assert_eq!(effects(&story), []);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.run(300);
    let raised = Effect::RaiseThroughput {
        stamp: LOST.into(),
        resource: ORDERS.to_owned(),
        before: 4_000,
        maximum: 12_000,
    };
    assert_eq!((effects(&story), story.throughput), (vec![raised], Some(12_000)));
    let text = "raise the throughput of sqlDatabases/shop/containers/orders from 4000 to 12000 RU/s";
    assert!(story.records.iter().any(|record| record.steps.to_string().contains(text)));
    story.scene(LOST).direct = Direct::Healthy;
    // No more load arrives than a slice should bring: none.
    story.scene(LOST).load_rps = 0.0;
    story.until(LOST, Stage::Serving, 3_600);
    assert_eq!(story.throughput, Some(12_000), "not before it has served for a while");
    story.run_until(1_200, |story| story.throughput == Some(4_000));
    story.run(600);
    assert!(story.state.throughput_held.is_empty());
    let given_back = effects(&story).into_iter().filter(|e| matches!(e, Effect::RestoreThroughput { .. }));
    assert_eq!(given_back.count(), 1);
}

#[test]
fn no_more_is_asked_for_than_is_there_at_once_and_nothing_where_there_is_enough() {
    for (maximum, now, expected) in
        [(90_000, 4_000, Some(20_000)), (12_000, 12_000, None), (12_000, 16_000, None)]
    {
        let mut story = calm(maximum);
        story.throughput = Some(now);
        story.run(30);
        story.scene(LOST).direct = Direct::Down;
        story.until(LOST, Stage::Cordoned, 200);
        story.run(120);
        let asked = effects(&story).into_iter().find_map(|effect| match effect {
            Effect::RaiseThroughput { maximum, .. } => Some(maximum),
            _ => None,
        });
        assert_eq!(asked, expected, "{maximum} wanted, {now} there");
    }
}

#[test]
fn without_a_lever_in_the_policy_or_a_fresh_read_nothing_is_written_and_the_gate_closes_all_the_same() {
    let mut story = Story::calm_under(shipped(), 3);
    story.throughput = Some(4_000);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    assert_eq!(effects(&story), []);
    let mut unread = calm(12_000);
    unread.throughput = None;
    unread.run(300);
    unread.scene(LOST).direct = Direct::Down;
    unread.until(LOST, Stage::Cordoned, 200);
    assert_eq!(effects(&unread), [], "last read five minutes ago");
}

#[test]
fn what_somebody_else_changed_is_left_to_them() {
    let mut story = calm(12_000);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.run(60);
    story.throughput = Some(6_000);
    let before = story.records.len();
    story.run(120);
    let told: Vec<_> = story.records[before..].iter().flat_map(|record| &record.because).collect();
    let told = told.iter().filter(|line| line.contains("changed the throughput of")).count();
    assert_eq!(told, 1, "said once, and not raised again");
    assert_eq!(effects(&story).len(), 1);
    story.scene(LOST).direct = Direct::Healthy;
    // No more load arrives than a slice should bring: none.
    story.scene(LOST).load_rps = 0.0;
    story.until(LOST, Stage::Serving, 3_600);
    story.run(1_800);
    assert_eq!(story.throughput, Some(6_000), "not ours to give back");
    assert!(story.state.throughput_held.is_empty());
}

#[test]
fn a_refused_raise_keeps_nothing_else_from_being_done() {
    let mut story = calm(12_000);
    story.executor = Executor::Refused;
    story.scene(LOST).direct = Direct::Down;
    story.run(200);
    story.executor = Executor::Works;
    story.until(LOST, Stage::Cordoned, 300);
    story.run(120);
    assert_eq!(story.throughput, Some(12_000), "asked for again a minute later");
    let failed = |status: &StepStatus| matches!(status, StepStatus::Failed { .. });
    assert!(story.steps.iter().any(|stored| failed(&stored.step.status)));
}

#[test]
fn what_an_attempt_left_whose_end_nobody_heard_of_is_given_back_too() {
    let mut story = calm(12_000);
    story.executor = Executor::DiesAfterTheEffect;
    story.scene(LOST).direct = Direct::Down;
    story.run_until(300, |story| story.throughput == Some(12_000));
    let failed = |code| StepStatus::Failed { at: crate::Timestamp::default(), code, detail: String::new() };
    let now = story.now;
    for stored in &mut story.steps {
        if stored.step.effect.actuator() == Actuator::Throughput {
            // The record of the operation had expired when somebody looked.
            stored.step.status = failed(crate::FailureCode::NotFound);
            if let StepStatus::Failed { at, .. } = &mut stored.step.status {
                *at = now;
            }
        }
    }
    story.executor = Executor::Works;
    story.tick();
    let held = story.state.throughput_held[ORDERS];
    assert_eq!((held.before, held.set), (4_000, 12_000));
    story.scene(LOST).direct = Direct::Healthy;
    story.scene(LOST).load_rps = 0.0;
    story.until(LOST, Stage::Serving, 7_200);
    story.run_until(1_200, |story| story.throughput == Some(4_000));
}

#[test]
fn a_mode_that_only_observes_raises_nothing() {
    let mut policy = policy(12_000);
    policy.modes.hard_loss = crate::policy::Mode::Observe;
    let mut story = Story::calm_under(policy, 3);
    story.throughput = Some(4_000);
    story.scene(LOST).direct = Direct::Down;
    story.run(600);
    assert_eq!(effects(&story), []);
    assert!(
        !story.records.iter().any(|record| record.because.iter().any(|line| line.contains("somebody else")))
    );
}
