//! The epoch over Microsoft's emulator: a forced failover that loses commits, and what Cordon does next.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use adapters::cosmos::emulator::{CosmosEmulator, EmulatorSettings};
use adapters::cosmos::{CosmosGates, CosmosLedger};
use adapters::epoch::{Epoch, EpochStore, EpochWrite, StoredEpoch};
use adapters::memory::{MemoryAudit, MemoryEpoch};
use adapters::{AuditStore, ManualClock, StoreError};
use async_trait::async_trait;
use cordon::controller::{Cadence, Controller, ControllerError, GatesRead, evaluate, order};
use domain::audit::{AuditRecord, verify_chain};
use domain::fork::{Copied, ForkError, Trunk};
use domain::state::WorkloadState;
use domain::{Facts, Generation, InboxItem, ItemBody, Order, StampId, Timestamp, WorkloadId};
use tests::fixtures;

const WRITE_REGION: &str = "West US 3";

/// Tries until the ledger answers from another region; each may take the adapter's whole limit for one request.
const TRIES_MAX: u32 = 12;

/// An epoch store that can be taken away.
#[derive(Default)]
struct Epochs {
    inner: MemoryEpoch,
    down: AtomicBool,
}

impl Epochs {
    fn check(&self) -> Result<(), StoreError> {
        if !self.down.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(StoreError::Unavailable { store: "epoch store", source: "taken away by the test".into() })
    }
}

#[async_trait]
impl EpochStore for Epochs {
    async fn read(&self) -> Result<Option<StoredEpoch>, StoreError> {
        self.check()?;
        self.inner.read().await
    }

    async fn write(&self, replaces: Option<&str>, epoch: &Epoch) -> Result<EpochWrite, StoreError> {
        self.check()?;
        self.inner.write(replaces, epoch).await
    }
}

/// One process of Cordon on the account, and what it shares with the next one.
struct House {
    emulator: CosmosEmulator,
    epochs: Arc<Epochs>,
    clock: Arc<ManualClock>,
    copy: Arc<MemoryAudit>,
    controller: Controller,
}

impl House {
    fn new() -> Self {
        let emulator = CosmosEmulator::new(EmulatorSettings::default()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_800_000_000)));
        let (epochs, copy) = (Arc::new(Epochs::default()), Arc::new(MemoryAudit::new()));
        let controller = process(&emulator, &epochs, &clock, &copy);
        Self { emulator, epochs, clock, copy, controller }
    }

    fn restart(&mut self) {
        self.controller = process(&self.emulator, &self.epochs, &self.clock, &self.copy);
    }

    fn workload(&self) -> WorkloadId {
        self.controller.policy.workload.name.clone()
    }

    fn later(&self, seconds: u64) -> Timestamp {
        use adapters::Clock;
        let now = self.clock.now() + Duration::from_secs(seconds);
        self.clock.set(now);
        now
    }

    async fn put(&self, item: InboxItem) {
        let mut tries = 0;
        while let Err(error) =
            self.controller.ledger.append(&self.workload(), std::slice::from_ref(&item)).await
        {
            tries += 1;
            assert!(tries < TRIES_MAX, "{tries} tries: {error:?}");
        }
    }

    /// An order, so that there is a record.
    async fn order(&self, given: Order) {
        let now = self.later(10);
        self.put(order::item(order::command("sam", "a drill", given, now).unwrap(), now)).await;
    }

    async fn stamps_are_found(&self) {
        let now = self.later(10);
        let found = fixtures::topology().stamps.values().cloned().collect();
        let facts = Facts { topology: Some(found), ..Facts::default() };
        let body = ItemBody::Observed { signals: vec![], facts };
        self.put(InboxItem { id: "run:stamps:1".into(), event_at: now, received_at: now, body }).await;
    }

    async fn evaluate(&self) -> Result<(), ControllerError> {
        evaluate(&self.controller).await.map(|_| ())
    }

    async fn evaluate_until_it_works(&self) {
        let mut tries = 0;
        while let Err(error) = self.evaluate().await {
            tries += 1;
            assert!(tries < TRIES_MAX, "{tries} tries: {error:?}");
        }
    }

    async fn state(&self) -> WorkloadState {
        self.controller.ledger.state(&self.workload()).await.unwrap().unwrap()
    }

    async fn records(&self) -> Vec<AuditRecord> {
        self.controller.ledger.audit(&self.workload(), 0, 99).await.unwrap()
    }

    /// What the change feed does.
    async fn publish(&self) {
        for record in self.records().await {
            let _ = self.copy.append(&record).await.unwrap();
        }
    }
}

fn process(
    emulator: &CosmosEmulator,
    epochs: &Arc<Epochs>,
    clock: &Arc<ManualClock>,
    copy: &Arc<MemoryAudit>,
) -> Controller {
    let policy = fixtures::policy();
    let account = emulator.account();
    Controller {
        clock: clock.clone(),
        ledger: Arc::new(CosmosLedger::new(account.clone())),
        gates: Arc::new(CosmosGates::new(account, policy.workload.name.clone())),
        spool: None,
        epoch: epochs.clone(),
        audit: copy.clone(),
        azure: tests::fakes::azure_out_of_reach(),
        cadence: Cadence::default(),
        gates_read: GatesRead::default(),
        instance: "test".into(),
        policy,
    }
}

fn hold(stamp: &str) -> Order {
    Order::Hold { stamp: stamp.into() }
}

/// Two commits that reach no other region, and the write region gone.
async fn lose_the_last_commits(house: &House) -> (Generation, Vec<AuditRecord>) {
    house.stamps_are_found().await;
    house.order(hold("eastus2")).await;
    house.evaluate().await.unwrap();
    house.emulator.store().drain_pending_replications().await;
    let stayed = house.state().await.generation;
    for region in &house.emulator.regions()[1..] {
        house.emulator.store().pause_replication(region);
    }
    for given in [Order::Release { stamp: "eastus2".into() }, hold("centralus")] {
        house.order(given).await;
        house.evaluate().await.unwrap();
    }
    house.publish().await;
    let lost = house.records().await.into_iter().filter(|record| record.generation > stayed).collect();
    house.emulator.store().set_region_offline(WRITE_REGION).unwrap();
    (stayed, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_lost_commits_begins_an_epoch_and_no_generation_is_given_twice() {
    let mut house = House::new();
    let (stayed, lost) = lose_the_last_commits(&house).await;
    assert!(lost.len() >= 2, "two orders were recorded and lost");
    house.restart();
    house.order(hold("centralus")).await;
    house.evaluate_until_it_works().await;
    let state = house.state().await;
    assert_eq!(house.controller.ledger.write_region().await.unwrap().unwrap().as_str(), "eastus2");
    assert_eq!((stayed.epoch, state.generation.epoch), (1, 2));

    let records = house.records().await;
    assert_eq!(verify_chain(&records, None).unwrap(), state.audit_seq);
    let first = records.iter().find(|record| record.generation.epoch == 2).unwrap();
    assert_eq!(first.begins_epoch_after(), Some(stayed), "{}", first.headline);
    assert!(
        first.because.iter().any(|line| line.contains("commits were decided in westus3")),
        "{:?}",
        first.because
    );
    let given: BTreeSet<Generation> = records.iter().chain(&lost).map(|record| record.generation).collect();
    assert_eq!(given.len(), records.len() + lost.len(), "a generation was given twice");

    // A stamp may still obey a gate that the ledger lost: every one has a document of the new epoch, and no older one of
    // the lost generations overtakes it.
    for stamp in ["eastus2", "centralus"] {
        let gate = house.controller.gates.read(&StampId::from(stamp)).await.unwrap().unwrap();
        assert_eq!(gate.generation.epoch, 2, "{stamp}");
        assert!(lost.iter().all(|record| gate.generation > record.generation));
        let late = domain::GateDocument { generation: lost[0].generation, ..gate.clone() };
        let written = house.controller.gates.write(&late).await.unwrap();
        assert_eq!(written, adapters::GateWrite::Newer(gate));
    }

    house.publish().await;
    let copy = house.copy.list(&house.workload(), 0, 99).await.unwrap();
    assert_eq!(copy.len(), records.len() + lost.len(), "the copy has both sides of the fork");
    let mut trunk = Trunk::default();
    for record in &records {
        trunk.take(record).unwrap();
    }
    let compared: Vec<Copied> = copy.iter().map(|record| trunk.compare(record).unwrap()).collect();
    assert_eq!(compared.iter().filter(|copied| **copied == Copied::Lost).count(), lost.len());

    // The same without the record that says so is no recorded fork.
    let mut unsaid = Trunk::default();
    for record in records.iter().filter(|record| record.begins_epoch_after().is_none()) {
        let _ = unsaid.take(record);
    }
    assert_eq!(unsaid.compare(&lost[0]), Err(ForkError::Missing { seq: lost[0].seq }));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_epoch_cannot_be_read_nothing_is_committed_and_events_wait() {
    let house = House::new();
    house.stamps_are_found().await;
    house.evaluate().await.unwrap();
    let before = house.state().await;
    house.epochs.down.store(true, Ordering::SeqCst);
    house.order(hold("eastus2")).await;
    assert!(matches!(house.evaluate().await, Err(ControllerError::Store(StoreError::Unavailable { .. }))));
    assert_eq!(house.state().await, before);
    house.epochs.down.store(false, Ordering::SeqCst);
    house.evaluate().await.unwrap();
    let after = house.state().await;
    assert_eq!(after.generation.epoch, before.generation.epoch);
    assert!(after.cases[&StampId::from("eastus2")].hold.is_some(), "the order waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_stood_still_begins_an_epoch_although_the_region_is_the_same() {
    let house = House::new();
    house.stamps_are_found().await;
    house.evaluate().await.unwrap();
    assert_eq!(house.state().await.generation.epoch, 1);
    house.later(3_600);
    house.order(hold("eastus2")).await;
    house.evaluate().await.unwrap();
    assert_eq!(house.state().await.generation.epoch, 2);
    house.order(hold("centralus")).await;
    house.evaluate().await.unwrap();
    assert_eq!(house.state().await.generation.epoch, 2, "once");
    assert_eq!(verify_chain(&house.records().await, None).unwrap(), house.state().await.audit_seq);
}
