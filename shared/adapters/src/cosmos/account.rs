//! One account of Cordon's own: how it is reached and reached again, and what each request may take.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use azure_core::http::{Etag, HttpClient};
use azure_data_cosmos::models::{TransactionalBatch, TransactionalBatchResponse};
use azure_data_cosmos::options::{
    ItemReadOptions, ItemWriteOptions, MaxItemCountHint, OperationOptions, Precondition, QueryOptions,
    Region, ThrottlingRetryOptionsBuilder,
};
use azure_data_cosmos::{
    AccountEndpoint, AccountReference, ContainerClient, CosmosClient, CosmosError, CosmosRuntime, FeedScope,
    Query, RoutingStrategy,
};
use domain::RegionName;
use futures_util::StreamExt;
use tokio::sync::Mutex;

use super::charges::{Charges, Kind};
use super::document::{Document, Stored};
use super::topology::Topology;
use crate::StoreError;
use crate::memory::rules;

/// What one request may take, with all retries of the SDK: half of the evaluation's interval.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// What connecting may take: account, database and container are looked up.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long the SDK waits in all while the account says "too many requests".
const THROTTLED_WAIT: Duration = Duration::from_secs(4);

/// How often it asks again meanwhile.
const THROTTLED_RETRIES_MAX: u32 = 9;

/// Requests without an answer in a row before everything is built anew. After a forced failover the SDK keeps sending
/// writes to the old write region for 300 s, also from a new client on the same runtime; a new runtime finds the new one.
const FAILURES_MAX: u32 = 3;

/// Documents asked for in one page: the whole of an idle ledger, and of a busy one a full drain and its steps.
const PAGE_MAX: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// The containers, as infra/modules/controller/ledger.bicep makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Container {
    Ledger,
    Gates,
    Audit,
}

impl Container {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Gates => "gates",
            Self::Audit => "audit",
        }
    }

    const fn store(self) -> &'static str {
        match self {
            Self::Ledger => rules::LEDGER,
            Self::Gates => rules::GATES,
            Self::Audit => rules::AUDIT,
        }
    }
}

/// Where the account is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosmosSettings {
    /// `https://ACCOUNT.documents.azure.com/`.
    pub endpoint: String,
    /// The database.
    pub database: String,
    /// Read from the region nearest to this one; the account's own order if none, which begins with the write region.
    pub near: Option<RegionName>,
}

/// Makes clients. Each is on a runtime of its own, so that nothing that went wrong is remembered.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// A new client.
    async fn connect(&self) -> azure_data_cosmos::Result<CosmosClient>;

    /// The region that takes writes, as the account says at this moment.
    async fn write_region(&self) -> Result<RegionName, StoreError>;
}

/// The account, connected to at the first request. Clones share it.
#[derive(Clone)]
pub struct CosmosAccount(Arc<Inner>);

impl std::fmt::Debug for CosmosAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CosmosAccount").field("database", &self.0.database).finish_non_exhaustive()
    }
}

/// The same connection, not one that looks the same.
impl PartialEq for CosmosAccount {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CosmosAccount {}

struct Inner {
    connect: Box<dyn Connect>,
    database: String,
    charges: Charges,
    open: Mutex<Option<Open>>,
    /// In a row, by way: reads may go on from a replica while no write finds its region.
    failures: [AtomicU32; 2],
}

/// Reads and writes fail apart.
#[derive(Clone, Copy)]
enum Way {
    Reading,
    Writing,
}

struct Open {
    client: CosmosClient,
    containers: BTreeMap<Container, ContainerClient>,
}

/// What became of a conditional write.
#[derive(Clone, Debug)]
pub(super) enum Written {
    /// Stored, with its new ETag.
    Stored(Option<Etag>),
    /// It is there already, was changed meanwhile, or is gone.
    Changed,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub(super) enum BatchEnd {
    /// All of it is stored; the ETags in the order of the operations, where the service told them.
    Stored(Vec<Option<Etag>>),
    /// Nothing is stored: a part of it was there already, changed meanwhile, or gone.
    Changed,
}

impl CosmosAccount {
    /// The account at an address, with a token for each request.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(
        settings: CosmosSettings,
        credential: Arc<dyn TokenCredential>,
        http: Arc<dyn HttpClient>,
    ) -> Result<Self, StoreError> {
        let database = settings.database.clone();
        Ok(Self::with(Box::new(service(settings, credential, http)?), database))
    }

    /// The account behind whatever makes clients for it.
    pub fn with(connect: Box<dyn Connect>, database: String) -> Self {
        Self(Arc::new(Inner {
            connect,
            database,
            charges: Charges::default(),
            open: Mutex::new(None),
            failures: [AtomicU32::new(0), AtomicU32::new(0)],
        }))
    }

    /// What the account charged since the start.
    pub fn charges(&self) -> &Charges {
        &self.0.charges
    }

    /// The region that takes writes at this moment.
    pub(super) async fn write_region(&self) -> Result<RegionName, StoreError> {
        let asked = tokio::time::timeout(CONNECT_LIMIT, self.0.connect.write_region()).await;
        asked.map_err(|elapsed| rules::unavailable(rules::LEDGER, elapsed))?
    }

    /// One document; none if it is not there.
    pub(super) async fn read(
        &self,
        container: Container,
        partition: &str,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let client = self.container(container).await?;
        let options = ItemReadOptions::default().with_operation_options(options());
        let answer = client.read_item(partition.to_owned(), id, Some(options)).await;
        let response = match answer {
            Err(error) if error.status().is_not_found() => {
                self.charge(Kind::Read, charged(&error));
                self.answered(Way::Reading);
                return Ok(None);
            }
            answer => self.take(container, Way::Reading, answer).await?,
        };
        self.charge(Kind::Read, response.headers().request_charge().map(|charge| charge.value()));
        let stored = response.into_model::<Stored>();
        stored.map(Some).map_err(|error| rules::unreadable(container.store(), id.to_owned(), error))
    }

    /// Documents of a partition by a query, page by page until `enough` says so of what is there.
    pub(super) async fn query(
        &self,
        container: Container,
        partition: &str,
        query: Query,
        enough: impl Fn(&[Stored]) -> bool + Send,
    ) -> Result<Vec<Stored>, StoreError> {
        let client = self.container(container).await?;
        let options = QueryOptions::default()
            .with_operation_options(options())
            .with_max_item_count(MaxItemCountHint::Limit(PAGE_MAX));
        let scope = FeedScope::partition(partition.to_owned());
        let items = client.query_items::<Stored>(query, scope, Some(options)).await;
        let mut pages = self.take(container, Way::Reading, items).await?.into_pages();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = self.take(container, Way::Reading, page).await?;
            self.charge(Kind::Query, page.headers().request_charge().map(|charge| charge.value()));
            found.extend(page.into_items());
            if enough(&found) {
                break;
            }
        }
        Ok(found)
    }

    /// Creates a document, or replaces the one with this ETag.
    pub(super) async fn write(
        &self,
        container: Container,
        partition: &str,
        document: &Document,
        replaces: Option<&Etag>,
    ) -> Result<Written, StoreError> {
        let client = self.container(container).await?;
        let write = ItemWriteOptions::default().with_operation_options(options());
        let partition = partition.to_owned();
        let answer = match replaces {
            None => client.create_item(partition, &document.id, document, Some(write)).await,
            Some(etag) => {
                let write = write.with_precondition(Precondition::IfMatch(etag.clone()));
                client.replace_item(partition, &document.id, document, Some(write)).await
            }
        };
        match answer {
            Err(error) if has_changed(&error) || (replaces.is_some() && error.status().is_not_found()) => {
                self.charge(Kind::Write, charged(&error));
                self.answered(Way::Writing);
                Ok(Written::Changed)
            }
            answer => {
                let response = self.take(container, Way::Writing, answer).await?;
                let headers = response.headers();
                self.charge(Kind::Write, headers.request_charge().map(|charge| charge.value()));
                Ok(Written::Stored(headers.etag().cloned()))
            }
        }
    }

    /// Stores all of a batch or nothing.
    pub(super) async fn batch(
        &self,
        container: Container,
        batch: TransactionalBatch,
    ) -> Result<BatchEnd, StoreError> {
        let client = self.container(container).await?;
        let options = azure_data_cosmos::options::BatchOptions::default().with_operation_options(options());
        let response = match client.execute_transactional_batch(batch, Some(options)).await {
            Err(error) if has_changed(&error) => {
                self.charge(Kind::Batch, charged(&error));
                self.answered(Way::Writing);
                return Ok(BatchEnd::Changed);
            }
            answer => self.take(container, Way::Writing, answer).await?,
        };
        self.charge(Kind::Batch, response.headers().request_charge().map(|charge| charge.value()));
        let model = response.into_model();
        let model =
            model.map_err(|error| rules::unreadable(container.store(), "answer to a batch".into(), error))?;
        batch_end(container, &model)
    }

    async fn container(&self, container: Container) -> Result<ContainerClient, StoreError> {
        let mut open = self.0.open.lock().await;
        let connecting = async {
            let opened = match open.take() {
                Some(opened) => opened,
                None => Open { client: self.0.connect.connect().await?, containers: BTreeMap::new() },
            };
            let opened = open.insert(opened);
            if let Some(client) = opened.containers.get(&container) {
                return Ok(client.clone());
            }
            let database = opened.client.database_client(self.0.database.clone());
            let client = database.container_client(container.name(), None).await?;
            opened.containers.insert(container, client.clone());
            Ok(client)
        };
        match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => {
                // What could not even find its container is not kept: the next request begins from the start.
                *open = None;
                Err(failed(container.store(), &error))
            }
            Err(elapsed) => {
                *open = None;
                Err(rules::unavailable(container.store(), elapsed))
            }
        }
    }

    /// Counts what got no answer, and after a few of them in a row gives the client up.
    async fn take<T>(
        &self,
        container: Container,
        way: Way,
        answer: Result<T, CosmosError>,
    ) -> Result<T, StoreError> {
        let error = match answer {
            Ok(value) => {
                self.answered(way);
                return Ok(value);
            }
            Err(error) => error,
        };
        let failures = &self.0.failures[way as usize];
        if is_unanswered(&error) && failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MAX {
            self.answered(Way::Reading);
            self.answered(Way::Writing);
            *self.0.open.lock().await = None;
            tracing::warn!(
                store = container.store(),
                failures = FAILURES_MAX,
                "the account did not answer several times in a row; the next request uses a new client"
            );
        }
        Err(failed(container.store(), &error))
    }

    fn answered(&self, way: Way) {
        self.0.failures[way as usize].store(0, Ordering::Relaxed);
    }

    fn charge(&self, kind: Kind, units: Option<f64>) {
        tracing::event!(
            target: crate::meter::METRICS, tracing::Level::TRACE,
            monotonic_counter.cordon.cosmos.request_units = units.unwrap_or(0.0),
            kind = ?kind
        );
        self.0.charges.add(kind, units);
    }
}

/// The live service at an address.
pub(super) fn service(
    settings: CosmosSettings,
    credential: Arc<dyn TokenCredential>,
    http: Arc<dyn HttpClient>,
) -> Result<Service, StoreError> {
    let endpoint = settings.endpoint.parse();
    let endpoint: AccountEndpoint =
        endpoint.map_err(|error: CosmosError| rules::unavailable(rules::LEDGER, told(&error)))?;
    let topology = Topology::new(endpoint.clone().into_url(), Arc::clone(&credential), http);
    Ok(Service { endpoint, credential, near: settings.near, topology })
}

/// The live service.
pub(super) struct Service {
    endpoint: AccountEndpoint,
    credential: Arc<dyn TokenCredential>,
    near: Option<RegionName>,
    topology: Topology,
}

#[async_trait]
impl Connect for Service {
    async fn write_region(&self) -> Result<RegionName, StoreError> {
        self.topology.write_region().await
    }

    async fn connect(&self) -> azure_data_cosmos::Result<CosmosClient> {
        let account = AccountReference::with_credential(self.endpoint.clone(), Arc::clone(&self.credential));
        let runtime = CosmosRuntime::builder().build().await?;
        let builder = azure_data_cosmos::CosmosClientBuilder::new().with_runtime(runtime);
        builder.build(account, routing(self.near.as_ref())).await
    }
}

/// From near to far, or in the account's own order.
pub(super) fn routing(near: Option<&RegionName>) -> RoutingStrategy {
    match near {
        Some(region) => RoutingStrategy::ProximityTo(Region::from(region.as_str().to_owned())),
        None => RoutingStrategy::PreferredRegions(Vec::new()),
    }
}

/// Bounds for each request of ours.
fn options() -> OperationOptions {
    bounded(REQUEST_LIMIT, THROTTLED_RETRIES_MAX, THROTTLED_WAIT)
}

/// Bounds for one request: its whole time, and how often and how long it is asked again while throttled. No hedging: a second
/// region's answer may be older, hides who answered, and costs a second time.
pub(super) fn bounded(within: Duration, retries_max: u32, wait_max: Duration) -> OperationOptions {
    let mut options = OperationOptions::default();
    options.end_to_end_latency_policy = Some(within.into());
    options.hedging_enabled = Some(false);
    let throttling = ThrottlingRetryOptionsBuilder::new()
        .with_max_retry_count(retries_max)
        .with_max_retry_wait_time(wait_max)
        .build();
    options.throttling_retry_options = Some(throttling);
    options
}

/// There already (409) or changed meanwhile (412). Not found (404) is not among them: for a document to be created it
/// means that the container is gone, and an event would be taken for known.
fn has_changed(error: &CosmosError) -> bool {
    error.status().is_conflict() || error.status().is_precondition_failed()
}

/// No answer, or one that says "not here, not now": a new client may find another way. Throttling (429) is an answer.
fn is_unanswered(error: &CosmosError) -> bool {
    matches!(u16::from(error.status().status_code()), 403 | 408 | 410 | 500..)
}

fn charged(error: &CosmosError) -> Option<f64> {
    error.response().and_then(|response| response.headers().request_charge).map(|charge| charge.value())
}

/// 400 and 413 break a rule of the service, and sending the same again cannot help; everything else may pass.
fn failed(store: &'static str, error: &CosmosError) -> StoreError {
    match u16::from(error.status().status_code()) {
        400 | 413 => StoreError::Refused { store, reason: told(error) },
        _ => rules::unavailable(store, told(error)),
    }
}

/// The status and the first line: what follows is the SDK's diagnostics, pages of it, with every address.
pub(super) fn told(error: &CosmosError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The service answers a failed batch with a status for each operation: the one that failed has its own, the others 424.
fn batch_end(container: Container, response: &TransactionalBatchResponse) -> Result<BatchEnd, StoreError> {
    let results = response.results();
    let Some(fault) = results.iter().find(|result| !result.is_success() && result.status_code() != 424)
    else {
        let etags = results.iter().map(|result| result.etag().map(|etag| Etag::from(etag.to_owned())));
        return Ok(BatchEnd::Stored(etags.collect()));
    };
    match fault.status_code() {
        404 | 409 | 412 => Ok(BatchEnd::Changed),
        400 | 413 => Err(StoreError::Refused {
            store: container.store(),
            reason: format!("the account refused a part of the batch ({})", fault.status_code()),
        }),
        status => Err(rules::unavailable(
            container.store(),
            format!("the account could not store a part of the batch ({status})"),
        )),
    }
}
