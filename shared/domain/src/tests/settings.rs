//! A throughput setting as it is read: whose it is, whose it was, and when it is given back.

use std::time::Duration;

use crate::decide::Decision;
use crate::fold::FoldNote;
use crate::judge::judge;
use crate::state::{Stage, StampCase};
use crate::testing::{Story, shipped, stored_step};
use crate::throughput::{HeldThroughput, ThroughputFacts, take_facts, wanted};
use crate::{Effect, FailureCode, GatePosition, Purpose, StampId, Step, StepStatus, StoredStep, Timestamp};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";
const ORDERS: &str = "sqlDatabases/shop/containers/orders";

const MOMENT: Duration = Duration::from_millis(1);

fn facts(read_at: Timestamp, maximum: u32) -> ThroughputFacts {
    ThroughputFacts { read_at, maximum, instant: Some(20_000) }
}

/// Two stamps that serve, and a maximum that we raised from 4 000 to 12 000 ten minutes ago, as it is read now.
fn raised() -> Story {
    let mut story = Story::calm(2);
    let since = story.now.before(Duration::from_secs(600));
    let held = HeldThroughput { since, before: 4_000, set: 12_000, yielded_at: None };
    story.state.throughput_held.insert(ORDERS.to_owned(), held);
    story.state.throughput.insert(ORDERS.to_owned(), facts(story.now, 12_000));
    story
}

fn stored(story: &Story, effect: Effect, attempts: u32, status: StepStatus) -> StoredStep {
    let stored = stored_step(effect, status, attempts, story.now);
    let step = Step { generation: story.state.generation, purpose: Purpose::Restore, ..stored.step };
    StoredStep { step, ..stored }
}

fn restore(resource: &str) -> Effect {
    let (stamp, resource) = (StampId::from(OTHER), resource.to_owned());
    Effect::RestoreThroughput { stamp, resource, before: 4_000, recorded: 12_000 }
}

fn failed(at: Timestamp) -> StepStatus {
    StepStatus::Failed { at, code: FailureCode::Rejected, detail: "refused".into() }
}

/// What is wanted of the settings after the cases of both stamps were changed.
fn wanted_of(story: &Story, change: impl Fn(&StampId, &mut StampCase)) -> Vec<(Effect, Purpose)> {
    let situation = story.situation(&[]);
    let mut decision: Decision = judge(&situation, &story.policy).decision;
    for (stamp, case) in &mut decision.cases {
        change(stamp, case);
    }
    wanted(&decision, &situation, &story.policy)
}

#[test]
fn it_is_given_back_when_all_have_served_for_the_policys_time_and_none_wants_a_floor() {
    let rest = shipped().capacity.restore_after.get();
    for (stage, floor, age, gives_back) in [
        (Stage::Serving, None, rest, true),
        (Stage::Serving, None, rest + MOMENT, true),
        (Stage::Serving, None, rest.saturating_sub(MOMENT), false),
        (Stage::Serving, Some(3), rest, false),
        (Stage::Suspect, None, rest, false),
        (Stage::Held, None, rest, false),
        (Stage::Suspect, Some(3), rest, false),
        (Stage::Readmitting, None, Duration::ZERO, false),
    ] {
        // One of the two; the other has rested for long.
        for about in [LOST, OTHER] {
            let story = raised();
            let got = wanted_of(&story, |stamp, case| {
                (case.stage, case.floor) = (Stage::Serving, None);
                case.since = story.now.before(rest * 2);
                if stamp.as_str() == about {
                    (case.stage, case.floor, case.since) = (stage, floor, story.now.before(age));
                }
            });
            let expected = if gives_back { vec![(restore(ORDERS), Purpose::Restore)] } else { vec![] };
            assert_eq!(got, expected, "{about}: {stage:?}, floor {floor:?}, for {age:?}");
        }
    }
}

#[test]
fn what_a_step_has_done_since_the_setting_was_read_is_not_wanted_again() {
    let rested = |story: &Story| {
        wanted_of(story, |_, case| {
            (case.stage, case.floor) = (Stage::Serving, None);
            case.since = story.now.before(Duration::from_secs(86_400));
        })
    };
    let read_at = raised().now;
    let done = |verified_at| StepStatus::Done { verified_at };
    for (effect, status, again) in [
        (restore(ORDERS), done(read_at), false),
        (restore(ORDERS), done(read_at + MOMENT), false),
        (restore(ORDERS), done(read_at.before(MOMENT)), true),
        (restore(ORDERS), failed(read_at + MOMENT), true),
        (restore("sqlDatabases/shop/containers/returns"), done(read_at), true),
        (raise(ORDERS, 4_000, 12_000), done(read_at), true),
    ] {
        let mut story = raised();
        let step = stored(&story, effect, 1, status);
        story.steps.push(step.clone());
        assert_eq!(!rested(&story).is_empty(), again, "{step:?}");
    }
}

/// One of the two is out, so that what was left to somebody else is remembered.
fn raised_and_out() -> Story {
    let mut story = raised();
    let case = story.state.cases.get_mut(&StampId::from(LOST)).unwrap();
    (case.stage, case.decided_at, case.gate) = (Stage::Cordoned, Some(story.now), GatePosition::Closed);
    story
}

fn read(story: &mut Story, steps: &[StoredStep], facts: ThroughputFacts) -> Vec<FoldNote> {
    take_facts(&mut story.state, steps, &[(ORDERS.to_owned(), facts)].into())
}

#[test]
fn an_older_read_is_passed_over_and_one_of_the_same_moment_is_taken() {
    for (ahead, taken) in [(0, true), (1, true), (-1, false), (-60_000, false), (60_000, true)] {
        let mut story = raised_and_out();
        let read_at = if ahead < 0 {
            story.now.before(Duration::from_millis(i64::unsigned_abs(ahead)))
        } else {
            story.now + Duration::from_millis(i64::unsigned_abs(ahead))
        };
        let notes = read(&mut story, &[], facts(read_at, 6_000));
        let known = story.state.throughput[ORDERS];
        let expected = if taken { facts(read_at, 6_000) } else { facts(story.now, 12_000) };
        assert_eq!((known, notes.len()), (expected, usize::from(taken)), "{ahead} ms");
    }
}

#[test]
fn a_maximum_that_is_not_ours_is_somebody_elses_unless_we_are_giving_it_back() {
    let now = raised_and_out().now;
    let elsewhere = "sqlDatabases/shop/containers/returns";
    let pending = || StepStatus::Pending { not_before: now };
    let claimed = || StepStatus::Claimed { owner: "one".into(), deadline: now };
    for (step, theirs) in [
        (None, true),
        // Nobody has tried it yet.
        (Some((restore(ORDERS), 0, pending())), true),
        (Some((restore(ORDERS), 1, claimed())), false),
        (Some((restore(ORDERS), 2, pending())), false),
        (Some((restore(ORDERS), 1, StepStatus::Done { verified_at: now })), false),
        (Some((restore(ORDERS), 1, failed(now))), true),
        (Some((restore(ORDERS), 3, failed(now))), true),
        (Some((restore(elsewhere), 1, claimed())), true),
        (Some((raise(ORDERS, 4_000, 12_000), 1, claimed())), true),
    ] {
        let mut story = raised_and_out();
        let steps: Vec<StoredStep> = step
            .into_iter()
            .map(|(effect, attempts, status)| stored(&story, effect, attempts, status))
            .collect();
        let notes = read(&mut story, &steps, facts(now, 4_000));
        let held = story.state.throughput_held[ORDERS];
        assert_eq!(held.yielded_at, theirs.then_some(now), "{steps:?}");
        assert_eq!(notes.len(), usize::from(theirs), "{steps:?}");
        assert!(notes.iter().all(|note| matches!(note, FoldNote::ChangedElsewhere { .. })), "{notes:?}");
    }
}

#[test]
fn only_what_was_read_after_we_raised_it_can_have_been_changed_since() {
    for (after, maximum, theirs) in [
        (MOMENT, 6_000, true),
        (MOMENT, 20_000, true),
        (MOMENT, 12_000, false),
        (Duration::ZERO, 6_000, false),
        (Duration::ZERO, 12_000, false),
    ] {
        let mut story = raised_and_out();
        story.state.throughput.clear();
        let since = story.now;
        story.state.throughput_held.get_mut(ORDERS).unwrap().since = since;
        let notes = read(&mut story, &[], facts(since + after, maximum));
        let yielded = story.state.throughput_held[ORDERS].yielded_at.is_some();
        assert_eq!((yielded, notes.len()), (theirs, usize::from(theirs)), "{after:?} later, {maximum}");
    }
    // It is told once.
    let mut story = raised_and_out();
    let now = story.now;
    assert_eq!(read(&mut story, &[], facts(now, 6_000)).len(), 1);
    assert_eq!(read(&mut story, &[], facts(now + MOMENT, 7_000)), []);
}

fn raise(resource: &str, before: u32, maximum: u32) -> Effect {
    let (stamp, resource) = (StampId::from(LOST), resource.to_owned());
    Effect::RaiseThroughput { stamp, resource, before, maximum }
}

/// 12 000 are read, and nothing is known to be ours.
#[test]
fn what_stands_is_ours_if_a_lost_attempt_wanted_just_that_and_more_than_there_was() {
    let now = raised_and_out().now;
    let void = || StepStatus::Void { at: now, why: "no longer wanted".into() };
    let elsewhere = "sqlDatabases/shop/containers/returns";
    for (effect, attempts, status, ours) in [
        (raise(ORDERS, 4_000, 12_000), 1, failed(now), true),
        (raise(ORDERS, 4_000, 12_000), 1, void(), true),
        (raise(ORDERS, 11_999, 12_000), 2, void(), true),
        (raise(elsewhere, 4_000, 12_000), 1, failed(now), false),
        (raise(ORDERS, 4_000, 11_000), 1, failed(now), false),
        (raise(ORDERS, 4_000, 13_000), 1, failed(now), false),
        // It was there already.
        (raise(ORDERS, 12_000, 12_000), 1, failed(now), false),
        (raise(ORDERS, 13_000, 12_000), 1, failed(now), false),
        // Nobody ever tried it.
        (raise(ORDERS, 4_000, 12_000), 0, failed(now), false),
        (raise(ORDERS, 4_000, 12_000), 0, void(), false),
        // Its end will be heard of, or was.
        (raise(ORDERS, 4_000, 12_000), 1, StepStatus::Pending { not_before: now }, false),
        (raise(ORDERS, 4_000, 12_000), 1, StepStatus::Done { verified_at: now }, false),
        (restore(ORDERS), 1, failed(now), false),
    ] {
        let mut story = raised_and_out();
        let before = if let Effect::RaiseThroughput { before, .. } = effect { before } else { 0 };
        let step = stored(&story, effect, attempts, status);
        story.state.throughput_held.clear();
        let notes = read(&mut story, std::slice::from_ref(&step), facts(now, 12_000));
        assert_eq!(notes, [], "{step:?}");
        let expected = HeldThroughput { since: now, before, set: 12_000, yielded_at: None };
        let held = story.state.throughput_held.get(ORDERS);
        assert_eq!(held, ours.then_some(&expected), "{step:?}");
    }
}
