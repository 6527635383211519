//! A ledger under several callers at once, and under answers that get lost.

use std::sync::Arc;

use adapters::faulty::{Fault, FaultSwitch, FaultyLedger};
use adapters::{ClaimOutcome, CommitOutcome, Ledger, StoreError};
use domain::{ItemId, StepId, StepStatus, StoredStep, Timestamp};

use super::fixtures::{audited, created, follow, item, step, workload};
use super::ledger::{committed, view};

const CALLERS: u32 = 8;
const ROUNDS: u32 = 5;

pub(super) async fn one_of_eight_committers_wins(ledger: impl Ledger) {
    let ledger = Arc::new(ledger);
    let mut state = committed(&*ledger, &follow(None, "first")).await;
    for round in 0..ROUNDS {
        let mut racers = Vec::new();
        for caller in 0..CALLERS {
            let mut attempt = audited(follow(Some(&state), &format!("{round}/{caller}")), "race");
            attempt.steps = vec![created(&format!("{round}-{caller}"))];
            let ledger = Arc::clone(&ledger);
            racers.push(tokio::spawn(async move { (ledger.commit(&attempt).await, attempt) }));
        }
        let mut winners = Vec::new();
        for racer in racers {
            let (outcome, attempt) = racer.await.expect("no racer panics");
            if outcome.expect("commit") == CommitOutcome::Committed {
                winners.push(attempt);
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let view = view(&*ledger).await;
        assert_eq!(view.state.as_ref(), winners.first().map(|winner| &winner.state));
        assert_eq!(view.steps.len(), usize::try_from(round + 1).expect("few rounds"), "a loser left a step");
        state = view.state.expect("it was committed");
    }
    let records = ledger.audit(&workload(), 0, 100).await.expect("audit");
    assert_eq!(domain::audit::verify_chain(&records, None), Ok(u64::from(ROUNDS)));
}

pub(super) async fn one_of_eight_claims_wins(ledger: impl Ledger) {
    let ledger = Arc::new(ledger);
    let mut first = follow(None, "first");
    first.steps = vec![created("1-0")];
    committed(&*ledger, &first).await;
    let mut racers = Vec::new();
    for caller in 0..CALLERS {
        let ledger = Arc::clone(&ledger);
        racers.push(tokio::spawn(async move {
            let free = StoredStep { version: 1, step: step("1-0") };
            let mut claimed = step("1-0");
            let deadline = Timestamp::from_secs(90);
            claimed.status = StepStatus::Claimed { owner: caller.to_string(), deadline };
            ledger.replace_step(&workload(), &free, &claimed).await
        }));
    }
    let mut won = Vec::new();
    for racer in racers {
        if let ClaimOutcome::Claimed(stored) = racer.await.expect("no racer panics").expect("claim") {
            won.push(stored);
        }
    }
    assert_eq!(won.len(), 1);
    let stored = ledger.step(&workload(), &StepId::new("1-0")).await.expect("step");
    assert_eq!(stored.as_ref(), won.first());
}

pub(super) async fn eight_deliveries_are_one_item(ledger: impl Ledger) {
    let ledger = Arc::new(ledger);
    let mut deliveries = Vec::new();
    for caller in 0..CALLERS {
        let ledger = Arc::clone(&ledger);
        deliveries.push(tokio::spawn(async move {
            let own = format!("own-{caller}");
            ledger.append(&workload(), &[item("shared", 1), item(&own, 2)]).await
        }));
    }
    let mut new = 0;
    for delivery in deliveries {
        new += delivery.await.expect("no delivery panics").expect("append");
    }
    let expected = usize::try_from(CALLERS).expect("few callers") + 1;
    assert_eq!((new, view(&*ledger).await.inbox.len()), (expected, expected));
}

pub(super) async fn survives_a_lost_answer(ledger: impl Ledger) {
    let switch = FaultSwitch::new();
    let ledger = FaultyLedger::new(ledger, switch.clone());
    switch.set(Fault::TimesOutAfterStore);
    let appended = ledger.append(&workload(), &[item("a", 1)]).await;
    assert!(matches!(appended, Err(StoreError::Unavailable { .. })), "{appended:?}");
    assert_eq!(ledger.append(&workload(), &[item("a", 1)]).await.expect("append"), 0, "it was stored");
    let mut first = audited(follow(None, "first"), "cordon");
    first.consumed = vec![ItemId::new("a")];
    switch.set(Fault::TimesOutAfterStore);
    let lost = ledger.commit(&first).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
    committed(&ledger, &first).await;
    switch.set(Fault::Unavailable);
    assert!(matches!(ledger.load(&workload(), 1).await, Err(StoreError::Unavailable { .. })));
    let second = follow(Some(&first.state), "second");
    assert!(matches!(ledger.commit(&second).await, Err(StoreError::Unavailable { .. })));
    switch.set(Fault::Available);
    assert_eq!(view(&ledger).await.state, Some(first.state), "an unavailable store stored something");
}
