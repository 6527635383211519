//! What a ledger refuses: writes that break its rules, which a retry cannot help.

use adapters::memory::{COMMIT_BYTES_MAX, COMMIT_OPERATIONS_MAX};
use adapters::{Ledger, StoreError};
use domain::{CONSUMED_MAX, ItemId, StepId, StoredStep, Timestamp, Transition};

use super::fixtures::{audited, created, follow, item, step, workload};
use super::ledger::{committed, conflicts, view};

async fn refused(ledger: &impl Ledger, transition: &Transition, what: &str) {
    let before = view(ledger).await;
    let outcome = ledger.commit(transition).await;
    assert!(matches!(outcome, Err(StoreError::Refused { .. })), "{what}: {outcome:?}");
    assert_eq!(view(ledger).await, before, "{what}: a refusal left something behind");
}

pub(super) async fn refuses_records_that_do_not_chain(ledger: &impl Ledger) {
    let first = committed(ledger, &audited(follow(None, "first"), "one")).await;
    let good = audited(follow(Some(&first), "second"), "two");
    let spoil = |change: fn(&mut domain::audit::AuditRecord)| {
        let mut bad = good.clone();
        if let Some(mut record) = bad.audit.take() {
            change(&mut record);
            let sealed = record.sealed();
            bad.state.audit_seq = sealed.seq;
            bad.state.audit_head.clone_from(&sealed.hash);
            bad.audit = Some(sealed);
        }
        bad
    };
    refused(ledger, &spoil(|record| record.seq = 3), "a gap").await;
    refused(ledger, &spoil(|record| record.seq = 1), "a number twice").await;
    refused(ledger, &spoil(|record| record.previous.clear()), "another chain").await;
    refused(ledger, &spoil(|record| record.workload = "other".into()), "another workload").await;
    refused(ledger, &spoil(|record| record.generation.n += 1), "another generation").await;
    let mut altered = good.clone();
    if let Some(record) = &mut altered.audit {
        record.headline = "all quiet".to_owned();
    }
    refused(ledger, &altered, "altered after it was sealed").await;
    committed(ledger, &good).await;
}

pub(super) async fn refuses_a_state_that_misnames_the_chain(ledger: &impl Ledger) {
    let first = committed(ledger, &audited(follow(None, "first"), "one")).await;
    let mut silent = follow(Some(&first), "drops the chain");
    silent.state.audit_seq = 0;
    silent.state.audit_head.clear();
    refused(ledger, &silent, "a state that forgets the chain").await;
    let mut ahead = audited(follow(Some(&first), "points elsewhere"), "two");
    ahead.state.audit_head = "ff".repeat(32);
    refused(ledger, &ahead, "a state that points elsewhere").await;
}

pub(super) async fn refuses_what_breaks_the_bounds(ledger: &impl Ledger) {
    let many: Vec<_> = (0..=CONSUMED_MAX).map(|n| item(&format!("item-{n:03}"), 1)).collect();
    ledger.append(&workload(), &many).await.expect("append");
    let mut batch = follow(None, "first");
    batch.consumed = many.iter().map(|item| item.id.clone()).collect();
    refused(ledger, &batch, "one item too many").await;
    batch.consumed.pop();
    batch.steps = (0..COMMIT_OPERATIONS_MAX - CONSUMED_MAX).map(|n| created(&format!("1-{n:02}"))).collect();
    refused(ledger, &batch, "one operation too many").await;
    batch.steps.pop();
    let mut twice = batch.clone();
    twice.consumed[1] = twice.consumed[0].clone();
    refused(ledger, &twice, "one item twice").await;
    let mut both = batch.clone();
    both.steps.truncate(1);
    both.forgotten = vec![both.steps[0].step.id.clone()];
    refused(ledger, &both, "written and forgotten").await;
    let mut large = batch.clone();
    large.state.decision_digest = "x".repeat(COMMIT_BYTES_MAX);
    refused(ledger, &large, "too many bytes").await;
    committed(ledger, &batch).await;
    let stored = ledger.step(&workload(), &StepId::new("1-00")).await.expect("step");
    let swapped = StoredStep { step: step("1-01"), ..stored.expect("it was created") };
    let claim = ledger.replace_step(&workload(), &swapped, &step("1-00")).await;
    assert!(matches!(claim, Err(StoreError::Refused { .. })), "{claim:?}");
}

pub(super) async fn refuses_what_could_not_be_read_back(ledger: &impl Ledger) {
    let mut endless = follow(None, "not a number");
    let mut case = domain::state::StampCase::new(Timestamp::from_secs(1));
    case.demand_rps = f64::NAN;
    endless.state.cases.insert("eastus2".into(), case);
    refused(ledger, &endless, "a number that JSON cannot carry").await;
    let mut timeless = follow(None, "no such time");
    timeless.state.as_of = Timestamp::from_millis(i64::MAX);
    refused(ledger, &timeless, "a time that RFC 3339 cannot carry").await;
    let mut newer = follow(None, "newer");
    newer.state.schema += 1;
    refused(ledger, &newer, "a schema that is not ours").await;
    let batch = [item("good", 1), item("bad", i64::MAX / 2_000)];
    let appended = ledger.append(&workload(), &batch).await;
    assert!(matches!(appended, Err(StoreError::Refused { .. })), "{appended:?}");
    assert!(view(ledger).await.inbox.is_empty(), "half a delivery was taken in");
}

pub(super) async fn refuses_a_generation_that_does_not_rise(ledger: &impl Ledger) {
    let first = committed(ledger, &follow(None, "first")).await;
    let mut same = follow(Some(&first), "same");
    same.state.generation = first.generation;
    refused(ledger, &same, "the parent's own generation").await;
}

pub(super) async fn prefers_a_conflict_to_a_refusal_when_the_parent_is_old(ledger: &impl Ledger) {
    let first = committed(ledger, &audited(follow(None, "first"), "one")).await;
    let late = audited(follow(Some(&first), "late"), "two, but late");
    committed(ledger, &audited(follow(Some(&first), "second"), "two")).await;
    // Its record no longer chains, but that is because it lost: evaluate again, do not give up.
    conflicts(ledger, &late).await;
    let mut lost = late.clone();
    lost.consumed = vec![ItemId::new("unheard-of")];
    conflicts(ledger, &lost).await;
}
