//! The stores in Cosmos DB, over Microsoft's in-memory emulator: the same suite as memory and files, also while the account
//! throttles, loses a region or stops replicating; and what each of its errors comes to.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adapters::cosmos::emulator::fault_injection::{
    FaultInjectionConditionBuilder, FaultInjectionErrorType, FaultInjectionResultBuilder, FaultInjectionRule,
    FaultInjectionRuleBuilder, FaultOperationType,
};
use adapters::cosmos::emulator::{
    CosmosEmulator, EmulatorSettings, RequestObserver, RequestUnitChargingModel,
};
use adapters::cosmos::{CosmosAudit, CosmosGates, CosmosLedger, Kind};
use adapters::{
    AuditAppend, AuditStore, ClaimOutcome, CommitOutcome, GateReader, GateStore, GateWrite, Ledger,
    StoreError,
};
use domain::audit::verify_chain;
use domain::{CONSUMED_MAX, GatePosition, ItemId, StepId, StoredStep};
use tests::conformance::fixtures::{audited, created, follow, gate, item, record, step, workload};
use tests::conformance::{audit_conformance, gate_conformance, ledger_conformance};
use tests::drills;

const WRITE_REGION: &str = "West US 3";
const REPLICA: &str = "East US 2";

fn emulator() -> CosmosEmulator {
    CosmosEmulator::new(EmulatorSettings::default()).unwrap()
}

/// Each rule of the suite has a store of its own, so the requests must be dear to run into the limit.
fn throttled(units: u64, observer: Option<Arc<dyn RequestObserver>>) -> CosmosEmulator {
    let charging = RequestUnitChargingModel {
        read_base_ru: 20.0,
        create_base_ru: 390.0,
        ..RequestUnitChargingModel::default()
    };
    let settings =
        EmulatorSettings { units_per_second: Some(units), charging, observer, ..EmulatorSettings::default() };
    CosmosEmulator::new(settings).unwrap()
}

/// More than fit into two seconds of a throttled account.
const DELIVERIES: u64 = 12;

/// Counts requests for documents, tries and retries alike.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl RequestObserver for Counted {
    fn on_request(&self, request: &azure_core::http::Request) {
        if request.url().path().contains("/docs") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_in_cosmos_db_conforms() {
    ledger_conformance(|| CosmosLedger::new(emulator().account())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gates_in_cosmos_db_conform() {
    gate_conformance(|| CosmosGates::new(emulator().account(), workload())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_in_cosmos_db_conforms() {
    audit_conformance(|| CosmosAudit::new(emulator().account())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_conform_while_the_account_throttles() {
    // The emulator throttles point operations and not batches. Five creations fit into a second.
    let counted = Arc::new(Counted::default());
    let ledger = CosmosLedger::new(throttled(2_000, Some(counted.clone())).account());
    for n in 0..DELIVERIES {
        let delivered = ledger.append(&workload(), &[item(&format!("item-{n}"), 1)]).await;
        assert_eq!(delivered.unwrap(), 1, "item {n}");
    }
    let requests = counted.0.load(Ordering::Relaxed);
    assert!(requests > DELIVERIES, "nothing was throttled: {requests} requests");
    assert_eq!(ledger.load(&workload(), 99).await.unwrap().inbox.len(), 12);
    ledger_conformance(|| CosmosLedger::new(throttled(2_000, None).account())).await;
    audit_conformance(|| CosmosAudit::new(throttled(2_000, None).account())).await;
    // A gate of 60 KB, rewritten 200 times, costs 560 units each time.
    let settings = EmulatorSettings { units_per_second: Some(20_000), ..EmulatorSettings::default() };
    gate_conformance(|| {
        CosmosGates::new(CosmosEmulator::new(settings.clone()).unwrap().account(), workload())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_conform_while_a_replica_region_is_offline() {
    let with_a_region_lost = || {
        let emulator = emulator();
        emulator.store().set_region_offline(REPLICA).unwrap();
        emulator.account()
    };
    ledger_conformance(|| CosmosLedger::new(with_a_region_lost())).await;
    gate_conformance(|| CosmosGates::new(with_a_region_lost(), workload())).await;
    audit_conformance(|| CosmosAudit::new(with_a_region_lost())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_conform_while_replication_is_paused() {
    let paused = || {
        let emulator = emulator();
        for region in &emulator.regions()[1..] {
            emulator.store().pause_replication(region);
        }
        emulator.account()
    };
    ledger_conformance(|| CosmosLedger::new(paused())).await;
    gate_conformance(|| CosmosGates::new(paused(), workload())).await;
    audit_conformance(|| CosmosAudit::new(paused())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_reads_its_replica_which_may_be_behind_and_catches_up() {
    let emulator = emulator();
    let gates = CosmosGates::new(emulator.account(), workload());
    let replica = CosmosGates::new(emulator.account_near(Some("eastus2".into()), vec![]), workload());
    let open = gate("eastus2", 1, GatePosition::Open);
    let closed = gate("eastus2", 2, GatePosition::Closed);
    assert_eq!(gates.write(&open).await.unwrap(), GateWrite::Written(open.clone()));
    emulator.store().drain_pending_replications().await;
    assert_eq!(replica.read(&"eastus2".into()).await.unwrap(), Some(open.clone()));
    emulator.store().pause_replication(REPLICA);
    assert_eq!(gates.write(&closed).await.unwrap(), GateWrite::Written(closed.clone()));
    assert_eq!(replica.read(&"eastus2".into()).await.unwrap(), Some(open), "the replica is behind");
    emulator.store().resume_replication(REPLICA);
    emulator.store().drain_pending_replications().await;
    assert_eq!(replica.read(&"eastus2".into()).await.unwrap(), Some(closed));
}

fn fault(kind: FaultInjectionErrorType, operation: FaultOperationType) -> FaultInjectionRuleBuilder {
    let condition = FaultInjectionConditionBuilder::new().with_operation_type(operation).build();
    let result = FaultInjectionResultBuilder::new().with_error(kind).build();
    FaultInjectionRuleBuilder::new(format!("{kind:?} on {operation:?}"), result).with_condition(condition)
}

/// One after the other, each once: what a retry must get over.
const PASSING: [FaultInjectionErrorType; 8] = [
    FaultInjectionErrorType::TooManyRequests,
    FaultInjectionErrorType::RetryWith,
    FaultInjectionErrorType::PartitionIsGone,
    FaultInjectionErrorType::ServiceUnavailable,
    FaultInjectionErrorType::Timeout,
    FaultInjectionErrorType::ConnectionError,
    FaultInjectionErrorType::ResponseTimeout,
    FaultInjectionErrorType::ResponseTimeoutAfterService,
];

async fn committed_through(faults: Vec<Arc<FaultInjectionRule>>, what: &str) {
    let emulator = emulator();
    let ledger = CosmosLedger::new(emulator.account_near(None, faults.clone()));
    let workload = workload();
    let appended = ledger.append(&workload, &[item("a", 1)]).await;
    assert!(appended.is_ok(), "{what}: {appended:?}");
    let mut first = audited(follow(None, "first"), "cordon");
    first.steps = vec![created("1-0")];
    first.consumed = vec![ItemId::new("a")];
    let committed = ledger.commit(&first).await;
    assert!(matches!(committed, Ok(CommitOutcome::Committed)), "{what}: {committed:?}");
    let free = StoredStep { version: 1, step: step("1-0") };
    let claimed = ledger.replace_step(&workload, &free, &step("1-0")).await;
    assert!(matches!(claimed, Ok(ClaimOutcome::Claimed(_))), "{what}: {claimed:?}");
    assert!(faults.iter().all(|rule| rule.hit_count() > 0), "{what}: the fault did not come");
    // What is there, by another instance with nothing in its way.
    let other = CosmosLedger::new(emulator.account());
    let view = other.load(&workload, 9).await.unwrap();
    assert_eq!(view.state.as_ref(), Some(&first.state), "{what}");
    assert_eq!((view.steps.len(), view.inbox.len()), (1, 0), "{what}");
    assert_eq!(view.steps[0].version, 2, "{what}: one claim");
    let records = other.audit(&workload, 0, 9).await.unwrap();
    assert_eq!(verify_chain(&records, None), Ok(1), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_once_or_loses_its_answer_is_stored_once() {
    for kind in PASSING {
        for operation in
            [FaultOperationType::CreateItem, FaultOperationType::BatchItem, FaultOperationType::ReplaceItem]
        {
            let rule = Arc::new(fault(kind, operation).with_hit_limit(1).build());
            committed_through(vec![rule], &format!("{kind:?} on {operation:?}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_out_of_reach_and_leaves_nothing_behind() {
    for kind in [
        FaultInjectionErrorType::TooManyRequests,
        FaultInjectionErrorType::ServiceUnavailable,
        FaultInjectionErrorType::WriteForbidden,
        FaultInjectionErrorType::ConnectionError,
    ] {
        let emulator = emulator();
        let rule = Arc::new(fault(kind, FaultOperationType::BatchItem).build());
        let ledger = CosmosLedger::new(emulator.account_near(None, vec![rule.clone()]));
        let first = audited(follow(None, "first"), "cordon");
        let refused = ledger.commit(&first).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{kind:?}: {refused:?}");
        assert_eq!(ledger.load(&workload(), 9).await.unwrap().state, None, "{kind:?}");
        assert!(ledger.audit(&workload(), 0, 9).await.unwrap().is_empty(), "{kind:?}");
        rule.disable();
        assert_eq!(ledger.commit(&first).await.unwrap(), CommitOutcome::Committed, "{kind:?}: it passed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_instances_that_know_the_same_state_one_commits_and_one_claims() {
    let emulator = emulator();
    let (one, two) = (CosmosLedger::new(emulator.account()), CosmosLedger::new(emulator.account()));
    let workload = workload();
    let mut first = follow(None, "first");
    first.steps = vec![created("1-0")];
    assert_eq!(one.commit(&first).await.unwrap(), CommitOutcome::Committed);
    for ledger in [&one, &two] {
        assert_eq!(ledger.load(&workload, 9).await.unwrap().state.as_ref(), Some(&first.state));
    }
    let ours = follow(Some(&first.state), "ours");
    let theirs = follow(Some(&first.state), "theirs");
    assert_eq!(one.commit(&ours).await.unwrap(), CommitOutcome::Committed);
    assert_eq!(two.commit(&theirs).await.unwrap(), CommitOutcome::Conflict, "by its ETag: it knew no better");
    let free = StoredStep { version: 1, step: step("1-0") };
    let mut claim = step("1-0");
    claim.attempts = 1;
    assert!(matches!(one.replace_step(&workload, &free, &claim).await.unwrap(), ClaimOutcome::Claimed(_)));
    claim.attempts = 2;
    assert_eq!(two.replace_step(&workload, &free, &claim).await.unwrap(), ClaimOutcome::Lost);
    let stored = two.step(&workload, &StepId::new("1-0")).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.step.attempts), (2, 1));
}

/// Tries until a commit is stored again; each may take the adapter's whole limit for one request.
const TRIES_MAX: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn the_write_region_is_lost_and_the_ledger_goes_on_in_the_next_without_a_gap() {
    let emulator = emulator();
    let ledger = CosmosLedger::new(emulator.account());
    let workload = workload();
    let mut state = None;
    for n in 1..=3 {
        let next = audited(follow(state.as_ref(), &format!("op-{n}")), &format!("record {n}"));
        assert_eq!(ledger.commit(&next).await.unwrap(), CommitOutcome::Committed);
        state = Some(next.state);
    }
    emulator.store().drain_pending_replications().await;
    emulator.store().set_region_offline(WRITE_REGION).unwrap();
    let next = audited(follow(state.as_ref(), "after"), "record 4");
    let mut tries = 0;
    loop {
        tries += 1;
        match ledger.commit(&next).await {
            Ok(outcome) => break assert_eq!(outcome, CommitOutcome::Committed),
            Err(error) => assert!(tries < TRIES_MAX, "{tries} tries: {error:?}"),
        }
    }
    println!("committed in the next region at try {tries}");
    let records = ledger.audit(&workload, 0, 9).await.unwrap();
    assert_eq!(verify_chain(&records, None), Ok(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_an_idle_ledger_is_one_point_read_and_one_page() {
    let emulator = emulator();
    let account = emulator.account();
    let ledger = CosmosLedger::new(account.clone());
    let mut first = audited(follow(None, "first"), "cordon");
    first.steps = (0..9).map(|n| created(&format!("1-{n}"))).collect();
    assert_eq!(ledger.commit(&first).await.unwrap(), CommitOutcome::Committed);
    let before = (account.charges().of(Kind::Read), account.charges().of(Kind::Query));
    ledger.load(&workload(), CONSUMED_MAX).await.unwrap();
    let (reads, queries) = (account.charges().of(Kind::Read), account.charges().of(Kind::Query));
    assert_eq!((reads.requests - before.0.requests, queries.requests - before.1.requests), (1, 1));
    assert!(
        reads.units > before.0.units && queries.units > before.1.units,
        "the account says what it charges"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_of_the_audit_takes_a_record_once_although_the_answer_is_lost() {
    let kind = FaultInjectionErrorType::ResponseTimeoutAfterService;
    let rule = Arc::new(fault(kind, FaultOperationType::CreateItem).with_hit_limit(1).build());
    let audit = CosmosAudit::new(emulator().account_near(None, vec![rule.clone()]));
    let record = record(1, "", domain::Generation { epoch: 1, n: 1 }, "cordon");
    let appended = audit.append(&record).await;
    assert!(matches!(
        appended,
        Ok(AuditAppend::AlreadyThere | AuditAppend::Stored) | Err(StoreError::Unavailable { .. })
    ));
    assert_eq!(audit.append(&record).await.unwrap(), AuditAppend::AlreadyThere);
    assert_eq!(audit.list(&workload(), 0, 9).await.unwrap(), [record]);
    assert_eq!(rule.hit_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_over_the_emulator_is_the_drill_over_memory() {
    let mut scenario = drills::scenario("hard-loss");
    scenario.duration_s = 1200;
    let options = drills::options(scenario);
    let memory = drills::run(&options).await;
    let account = emulator().account();
    let store = cordon::assemble::StoreKind::Account(account.clone());
    let cosmos = drills::run(&cordon::drill::DrillOptions { store, ..options }).await;
    assert_eq!(cosmos.golden(), memory.golden());
    assert_eq!(cosmos.played.audit.len(), memory.played.audit.len());
    assert!(account.charges().total().units > 0.0);
}
