//! A look at somebody else's account: can the workload's container be read and written from here, each by itself?
//!
//! One point read and one upsert of the asker's own document, through the SDK's own way from region to region: what an
//! application of the same place would meet. Nothing here decides what an answer means for the stamp.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::HttpClient;
use azure_data_cosmos::diagnostics::DiagnosticsContext;
use azure_data_cosmos::options::{ItemReadOptions, ItemWriteOptions, ReadConsistencyStrategy};
use azure_data_cosmos::{ContainerClient, CosmosError};
use domain::{RegionName, StampId, Timestamp};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::account::{Connect, CosmosSettings, bounded, service, told};
use super::document::document_id;
use crate::StoreError;

/// What connecting may take: account and container are looked up, a token is fetched. It outlives the look that began it.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long the document of an asker that is gone stays, s. Each write begins it anew.
const TTL_S: u32 = 600;

/// How often the SDK asks again while the account says "too many requests"; then that is the answer.
const THROTTLED_RETRIES_MAX: u32 = 2;

/// How long it waits for that in all: well within the second that a look has.
const THROTTLED_WAIT: Duration = Duration::from_millis(400);

/// What is left of a request's time when the SDK ends it: it says then what it met on its way, and we would not know.
const TELLING: Duration = Duration::from_millis(100);

/// Looks in a row without an answer, by one way, before a new client is made beside the old one: the SDK remembers for minutes
/// which region it gave up.
const FAILURES_MAX: u32 = 3;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answered well, and from which region, where the SDK says so.
    Well(Option<RegionName>),
    /// "Too many requests", also when asked again.
    Throttled,
    /// No answer in time.
    Late,
    /// An answer that says something about our own request or rights, by its status and first line.
    Refused(String),
    /// "Not here, not now", or nobody was there.
    Failed(String),
}

/// What a look found, by way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The point read.
    pub read: Answer,
    /// The upsert.
    pub write: Answer,
}

/// The check of one container from one stamp. Clones share its connection.
#[derive(Clone)]
pub struct CosmosCheck(Arc<Inner>);

struct Inner {
    connect: Arc<dyn Connect>,
    database: String,
    container: String,
    stamp: StampId,
    /// Also the partition: the container's key is `/id`.
    id: String,
    link: Mutex<Link>,
}

/// The connection, and the one that is being made.
#[derive(Default)]
struct Link {
    client: Option<ContainerClient>,
    connecting: Option<JoinHandle<Result<ContainerClient, Answer>>>,
    /// What the last attempt came to, until one succeeds.
    failed: Option<Answer>,
    /// In a row, of reads and of writes.
    unanswered: [u32; 2],
}

/// The one document of a stamp, the same from each of its instances. Its region alone writes it, so that no two regions'
/// versions ever have to be reconciled.
#[derive(Serialize)]
struct Mark<'a> {
    id: &'a str,
    stamp: &'a str,
    written_at: String,
    ttl: u32,
}

impl CosmosCheck {
    /// The check of a container whose partition key is `/id`, with a token for each request.
    ///
    /// # Errors
    /// When the account's address is none.
    pub fn new(
        settings: CosmosSettings,
        container: String,
        stamp: StampId,
        credential: Arc<dyn TokenCredential>,
        http: Arc<dyn HttpClient>,
    ) -> Result<Self, StoreError> {
        let database = settings.database.clone();
        Ok(Self::with(Box::new(service(settings, credential, http)?), database, container, stamp))
    }

    /// The check over whatever makes clients for the account.
    pub fn with(connect: Box<dyn Connect>, database: String, container: String, stamp: StampId) -> Self {
        let id = document_id("stamp-health", stamp.as_str());
        let link = Mutex::default();
        Self(Arc::new(Inner { connect: connect.into(), database, container, stamp, id, link }))
    }

    /// Reads and writes side by side, each for as long as `within`. None while the first connection is still being made: not
    /// to have looked yet is no finding.
    pub async fn look(&self, now: Timestamp, within: Duration) -> Option<Look> {
        let client = match tokio::time::timeout(within, self.client()).await {
            Ok(Ok(client)) => client,
            Ok(Err(answer)) => return Some(Look { read: answer.clone(), write: answer }),
            Err(_) => {
                let answer = self.0.link.lock().await.failed.clone()?;
                return Some(Look { read: answer.clone(), write: answer });
            }
        };
        let (read, write) = tokio::join!(self.read(&client, within), self.write(&client, now, within));
        self.count(&read, &write).await;
        Some(Look { read, write })
    }

    /// The client at hand. A newer one takes its place when it is made; only the first is waited for.
    async fn client(&self) -> Result<ContainerClient, Answer> {
        let mut link = self.0.link.lock().await;
        if link.client.is_none() && link.connecting.is_none() {
            link.connecting = Some(self.begin());
        }
        let is_there = link.client.is_some();
        if let Some(connecting) = &mut link.connecting
            && (!is_there || connecting.is_finished())
        {
            let made = connecting.await;
            link.connecting = None;
            match made.unwrap_or_else(|_| Err(Answer::Failed("connecting broke off".to_owned()))) {
                Ok(client) => {
                    link.client = Some(client);
                    link.failed = None;
                }
                Err(answer) => link.failed = Some(answer),
            }
        }
        let failed = || Answer::Failed("not connected".to_owned());
        link.client.clone().ok_or_else(|| link.failed.clone().unwrap_or_else(failed))
    }

    /// In a task of its own: a look has less time than a first connection may take, and must not begin it again and again.
    fn begin(&self) -> JoinHandle<Result<ContainerClient, Answer>> {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let connecting = async {
                let client = inner.connect.connect().await?;
                client.database_client(inner.database.clone()).container_client(&inner.container, None).await
            };
            match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
                Ok(made) => made.map_err(|error| judge(&error)),
                Err(_) => Err(Answer::Failed(format!("no connection within {} s", CONNECT_LIMIT.as_secs()))),
            }
        })
    }

    async fn read(&self, client: &ContainerClient, within: Duration) -> Answer {
        let mut options = bounded(within.saturating_sub(TELLING), THROTTLED_RETRIES_MAX, THROTTLED_WAIT);
        // Else a write that another region took would bind the read to that region.
        options.read_consistency_strategy = Some(ReadConsistencyStrategy::Eventual);
        let options = ItemReadOptions::default().with_operation_options(options);
        let id = &self.0.id;
        match tokio::time::timeout(within, client.read_item(id.clone(), id, Some(options))).await {
            Err(_) => Answer::Late,
            Ok(Ok(response)) => Answer::Well(last_region(&response.diagnostics())),
            // Nobody wrote it yet, or it expired: the container answered.
            Ok(Err(error)) if error.status().is_not_found() => {
                Answer::Well(error.diagnostics().and_then(|told| last_region(&told)))
            }
            Ok(Err(error)) => judge(&error),
        }
    }

    async fn write(&self, client: &ContainerClient, now: Timestamp, within: Duration) -> Answer {
        let Inner { id, stamp, .. } = &*self.0;
        let mark = Mark { id, stamp: stamp.as_str(), written_at: now.to_string(), ttl: TTL_S };
        let options = bounded(within.saturating_sub(TELLING), THROTTLED_RETRIES_MAX, THROTTLED_WAIT);
        let options = ItemWriteOptions::default().with_operation_options(options);
        match tokio::time::timeout(within, client.upsert_item(id.clone(), id, &mark, Some(options))).await {
            Err(_) => Answer::Late,
            Ok(Ok(response)) => Answer::Well(last_region(&response.diagnostics())),
            Ok(Err(error)) => judge(&error),
        }
    }

    async fn count(&self, read: &Answer, write: &Answer) {
        let mut link = self.0.link.lock().await;
        for (count, answer) in link.unanswered.iter_mut().zip([read, write]) {
            *count = if matches!(answer, Answer::Late | Answer::Failed(_)) { *count + 1 } else { 0 };
        }
        if link.unanswered.iter().any(|count| *count >= FAILURES_MAX) && link.connecting.is_none() {
            link.unanswered = [0; 2];
            link.connecting = Some(self.begin());
        }
    }
}

fn judge(error: &CosmosError) -> Answer {
    let status = error.status();
    match u16::from(status.status_code()) {
        429 => Answer::Throttled,
        408 => forbidden_on_the_way(error).map_or(Answer::Late, Answer::Failed),
        // "Not the write region" and "no account here" are the region's, not a missing right of ours.
        403 if status.is_write_forbidden() || status.is_database_account_not_found() => {
            Answer::Failed(told(error))
        }
        410 | 449 | 500.. => Answer::Failed(told(error)),
        _ => Answer::Refused(told(error)),
    }
}

/// That the account takes no writes where it was asked. The SDK goes on to ask from region to region until its time is up, so
/// that a write which every region forbids comes out as "no answer".
fn forbidden_on_the_way(error: &CosmosError) -> Option<String> {
    let requests = error.diagnostics()?.requests();
    let forbidding: BTreeSet<&str> = requests
        .iter()
        .filter(|request| request.status().is_write_forbidden())
        .map(|request| request.region().map_or("a region that has no name", |region| region.as_str()))
        .collect();
    let regions = forbidding.into_iter().collect::<Vec<_>>().join(", ");
    (!regions.is_empty()).then(|| format!("answered: writes are forbidden (403/3) by {regions}"))
}

/// The SDK lists regions in the order in which they were asked: the last one answered.
fn last_region(told: &DiagnosticsContext) -> Option<RegionName> {
    told.regions_contacted().last().map(|region| RegionName::from_display(region.as_str()))
}
