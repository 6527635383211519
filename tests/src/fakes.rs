//! Ports that only remember, for tests of the edge. They decide nothing: the stores' rules have their own tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use adapters::{
    AuditAppend, AuditStore, ClaimOutcome, CommitOutcome, GateReader, GateStore, GateWrite, Ledger,
    LedgerView, StoreError,
};
use async_trait::async_trait;
use cordon::stamp::{GateSource, GateView, Status, UngatedView};
use domain::audit::AuditRecord;
use domain::state::{Topology, WorkloadState};
use domain::{
    GateDocument, InboxItem, ItemId, StampId, Step, StepId, StoredStep, Timestamp, Transition, WorkloadId,
};

/// A ledger that holds a topology and an inbox.
#[derive(Default)]
pub struct InboxLedger {
    topology: Topology,
    appended: tokio::sync::Notify,
    inbox: Mutex<BTreeMap<ItemId, InboxItem>>,
    committed: Mutex<Option<(WorkloadState, BTreeSet<ItemId>)>>,
    down: Mutex<Down>,
}

/// Whether a store answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Down {
    /// It does.
    #[default]
    No,
    /// It is not reachable.
    Unreachable,
    /// It is, and takes no item: each breaks a rule of its.
    Refusing,
}

impl InboxLedger {
    /// A ledger that knows these stamps.
    pub fn new(topology: Topology) -> Self {
        Self { topology, ..Self::default() }
    }

    /// What came from outside, by id, consumed or not. The observers' own runs are left out.
    pub fn inbox(&self) -> Vec<InboxItem> {
        let all = lock(&self.inbox);
        all.values().filter(|item| !item.id.is_own_run()).cloned().collect()
    }

    /// Waits until something was appended since this was last asked.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }

    /// Takes the store away, or gives it back.
    pub fn set(&self, down: Down) {
        *lock(&self.down) = down;
    }

    fn check(&self) -> Result<(), StoreError> {
        match *lock(&self.down) {
            Down::No => Ok(()),
            Down::Refusing => Ok(()),
            Down::Unreachable => Err(unreachable_store("ledger")),
        }
    }
}

#[async_trait]
impl Ledger for InboxLedger {
    async fn load(&self, workload: &WorkloadId, items_max: usize) -> Result<LedgerView, StoreError> {
        self.check()?;
        let mut first = WorkloadState::new(workload.clone(), 1, Timestamp::from_secs(0));
        first.topology = self.topology.clone();
        let (state, consumed) = lock(&self.committed).clone().unwrap_or((first, BTreeSet::new()));
        let waiting: Vec<InboxItem> =
            lock(&self.inbox).values().filter(|item| !consumed.contains(&item.id)).cloned().collect();
        let inbox = waiting.into_iter().take(items_max).collect();
        Ok(LedgerView { state: Some(state), steps: Vec::new(), inbox, more: false })
    }

    async fn append(&self, _: &WorkloadId, items: &[InboxItem]) -> Result<usize, StoreError> {
        self.check()?;
        if *lock(&self.down) == Down::Refusing {
            return Err(StoreError::Refused { store: "ledger", reason: "an item is too large".to_owned() });
        }
        let mut inbox = lock(&self.inbox);
        let before = inbox.len();
        for item in items {
            inbox.entry(item.id.clone()).or_insert_with(|| item.clone());
        }
        self.appended.notify_one();
        Ok(inbox.len() - before)
    }

    /// Keeps the state and what was consumed; steps and audit are not what these tests look at.
    async fn commit(&self, transition: &Transition) -> Result<CommitOutcome, StoreError> {
        self.check()?;
        let mut committed = lock(&self.committed);
        let mut consumed = committed.take().map(|(_, consumed)| consumed).unwrap_or_default();
        consumed.extend(transition.consumed.iter().cloned());
        *committed = Some((transition.state.clone(), consumed));
        Ok(CommitOutcome::Committed)
    }

    async fn replace_step(
        &self,
        _: &WorkloadId,
        _: &StoredStep,
        _: &Step,
    ) -> Result<ClaimOutcome, StoreError> {
        Ok(ClaimOutcome::Lost)
    }

    async fn step(&self, _: &WorkloadId, _: &StepId) -> Result<Option<StoredStep>, StoreError> {
        Ok(None)
    }

    async fn audit(&self, _: &WorkloadId, _: u64, _: usize) -> Result<Vec<AuditRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn trim(&self, _: &WorkloadId, _: Timestamp) -> Result<usize, StoreError> {
        Ok(0)
    }

    async fn consumed(&self, _: &WorkloadId, _: &ItemId) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// Gates in memory, with a counter of reads.
#[derive(Default)]
pub struct Gates {
    documents: Mutex<BTreeMap<StampId, GateDocument>>,
    down: Mutex<Down>,
    reads: AtomicU32,
}

impl Gates {
    /// Puts a document there, whatever was there.
    pub fn put(&self, document: GateDocument) {
        lock(&self.documents).insert(document.stamp.clone(), document);
    }

    /// Takes the store away, or gives it back.
    pub fn set(&self, down: Down) {
        *lock(&self.down) = down;
    }

    /// How often it was read.
    pub fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl GateReader for Gates {
    async fn read(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match *lock(&self.down) {
            Down::No | Down::Refusing => Ok(lock(&self.documents).get(stamp).cloned()),
            Down::Unreachable => Err(unreachable_store("gates")),
        }
    }
}

#[async_trait]
impl GateStore for Gates {
    async fn write(&self, document: &GateDocument) -> Result<GateWrite, StoreError> {
        self.put(document.clone());
        Ok(GateWrite::Written(document.clone()))
    }
}

/// An audit store in memory.
#[derive(Default)]
pub struct Audit {
    records: Mutex<BTreeMap<String, AuditRecord>>,
    down: Mutex<Down>,
}

impl Audit {
    /// What was stored, by id.
    pub fn records(&self) -> Vec<AuditRecord> {
        lock(&self.records).values().cloned().collect()
    }

    /// Takes the store away, or gives it back.
    pub fn set(&self, down: Down) {
        *lock(&self.down) = down;
    }
}

#[async_trait]
impl AuditStore for Audit {
    async fn append(&self, record: &AuditRecord) -> Result<AuditAppend, StoreError> {
        if *lock(&self.down) == Down::Unreachable {
            return Err(unreachable_store("audit store"));
        }
        let mut records = lock(&self.records);
        match records.get(&record.id) {
            Some(stored) if stored == record => Ok(AuditAppend::AlreadyThere),
            Some(_) => Err(refused("the record is there with another body")),
            None => {
                records.insert(record.id.clone(), record.clone());
                Ok(AuditAppend::Stored)
            }
        }
    }

    async fn list(
        &self,
        _: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        Ok(self.records().into_iter().filter(|record| record.seq > after).take(records_max).collect())
    }
}

fn unreachable_store(store: &'static str) -> StoreError {
    StoreError::Unavailable { store, source: "the test took it away".into() }
}

fn refused(reason: &str) -> StoreError {
    StoreError::Refused { store: "fake", reason: reason.to_owned() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An Azure at which nobody answers: what it observes is a failure to observe.
///
/// # Panics
/// Never: the addresses are constants.
pub fn azure_out_of_reach() -> cordon::controller::Azure {
    azure_at("http://127.0.0.1:9")
}

/// An Azure whose ARM is at this address.
///
/// # Panics
/// When it is none on loopback.
pub fn azure_at(loopback: &str) -> cordon::controller::Azure {
    use adapters::azure::arm::{ArmClient, ArmEndpoint};
    use adapters::azure::credential::{CredentialKind, credential};
    use cordon::controller::{Azure, DirectClient};

    let endpoint = ArmEndpoint::public_cloud().and_then(|endpoint| endpoint.with_loopback(loopback));
    let endpoint = endpoint.expect("the addresses are valid");
    let http = adapters::azure::http::http_client(&endpoint).expect("a client can be built");
    let identity = credential(CredentialKind::Static("none".into()), http.clone()).expect("a token is given");
    let arm = ArmClient::new(endpoint, identity, http);
    let direct = reqwest::Client::builder().no_proxy().build().expect("a client can be built");
    Azure { arm_observed: arm.without_retries(), arm, direct: DirectClient::new(direct, "none") }
}

/// Serves on loopback, at the address that is returned, and does not say what time it is: tests live at times of their own, and
/// the server would say ours.
///
/// # Panics
/// When there is no free port.
pub async fn serve_undated(router: axum::Router) -> String {
    use axum::http::HeaderValue;
    use axum::response::Response;

    let router = router.layer(axum::middleware::map_response(async |mut response: Response| {
        response.headers_mut().entry("date").or_insert(HeaderValue::from_static("unknown"));
        response
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A controller that observes, at a time that stands still.
pub fn observer(
    policy: domain::Policy,
    azure: cordon::controller::Azure,
    ledger: std::sync::Arc<dyn Ledger>,
    now: Timestamp,
) -> cordon::controller::Controller {
    use std::sync::Arc;

    cordon::controller::Controller {
        policy,
        clock: Arc::new(adapters::ManualClock::new(now)),
        ledger,
        gates: Arc::new(Gates::default()),
        spool: None,
        epoch: Arc::new(adapters::memory::MemoryEpoch::new()),
        audit: Arc::new(Audit::default()),
        azure,
        cadence: cordon::controller::Cadence::default(),
        gates_read: cordon::controller::GatesRead::default(),
        instance: "test".into(),
    }
}

/// A notifier whose patience is a few milliseconds, with its places in this store.
///
/// # Panics
/// When no HTTP client can be built.
pub fn notifier(places: std::sync::Arc<dyn adapters::PlaceStore>) -> cordon::notify::Notifier {
    use std::time::Duration;

    cordon::notify::Notifier::new(cordon::notify::Means {
        http: reqwest::Client::builder().no_proxy().build().expect("a client can be built"),
        places,
        credential: Some(std::sync::Arc::new(adapters::azure::credential::StaticCredential::new("a token"))),
        secrets: cordon::notify::Secrets::new([("TOPIC_KEY".to_owned(), "the key".to_owned())]),
        patience: cordon::notify::Patience {
            first: Duration::from_millis(5),
            longest: Duration::from_millis(20),
        },
    })
}

/// What the health service of a stamp that is well and open to all shows to those who have its key.
pub fn healthy_view(stamp: &StampId, observed_at: Timestamp) -> UngatedView {
    let gate = GateView {
        position: None,
        percent: 100,
        generation: None,
        heartbeat_at: None,
        source: GateSource::Memory,
    };
    UngatedView {
        stamp: stamp.clone(),
        status: Status::Healthy,
        observed_at,
        components: Vec::new(),
        load: None,
        gate,
        peers: None,
    }
}
