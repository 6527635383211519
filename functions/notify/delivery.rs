//! One target of one workload: claim its place, read on from there, post, and note each record that it took.

use std::sync::Arc;
use std::time::Duration;

use adapters::azure::credential;
use adapters::{StoreError, TargetPlace};
use domain::Timestamp;
use domain::audit::AuditRecord;
use domain::audit_line::AuditQuery;
use domain::policy::{NotifyAuth, NotifyTarget};
use serde_json::Value;

use super::{Means, chain, is_told, template};
use crate::controller::Controller;

/// Each post gets this long.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a claim of a place holds without being renewed, which each post does. Whoever dies meanwhile is followed by
/// somebody else after it, and one record may then come twice.
const CLAIM: Duration = Duration::from_secs(60);

/// Records read at once.
const PAGE_MAX: usize = 20;

/// Event Grid's audience.
const EVENT_GRID_SCOPE: &str = "https://eventgrid.azure.net/.default";

const _: () = assert!(CLAIM.as_secs() > 2 * POST_TIMEOUT.as_secs(), "a claim outlasts a post");

/// Tells one target of one workload.
pub(super) struct Teller {
    pub(super) controller: Arc<Controller>,
    pub(super) target: NotifyTarget,
    pub(super) means: Means,
}

/// What a turn came to.
pub(super) enum Turn {
    /// There is nothing more to tell.
    Told,
    /// There may be more.
    Again,
    /// It did not work, and why.
    Later(String),
}

/// What became of one record.
enum Told {
    Posted,
    /// This target is not told of it.
    NoNews,
}

impl Teller {
    /// Tells a page of records. `first` is the record that a target without a place is told first.
    pub(super) async fn turn(&self, first: Option<u64>) -> Turn {
        self.page(first).await.unwrap_or_else(|error| Turn::Later(error.to_string()))
    }

    async fn page(&self, first: Option<u64>) -> Result<Turn, StoreError> {
        let workload = &self.controller.policy.workload.name;
        let known = self.means.places.read(workload, &self.target.name).await?;
        let after = match (&known, first) {
            (Some(place), _) => place.after,
            (None, Some(first)) => first.saturating_sub(1),
            // Nothing was ever told, and nothing is known to begin with.
            (None, None) => return Ok(Turn::Told),
        };
        // Looked at before the place is claimed: nothing to tell costs no write.
        let records = self.controller.audit.list(workload, after, PAGE_MAX).await?;
        if records.is_empty() {
            return Ok(Turn::Told);
        }
        let Some(mut place) = self.claim(known, after).await? else {
            return Ok(Turn::Later("another process is telling it".to_owned()));
        };
        let (mut after, mut failed) = (place.after, None);
        for record in &records {
            match self.tell(record).await {
                Ok(Told::Posted) => {
                    let next = TargetPlace { after: record.seq, ..self.held() };
                    if !self.replace(Some(&place), &next).await? {
                        return Ok(Turn::Later("another process took over".to_owned()));
                    }
                    place = next;
                    after = record.seq;
                }
                // Not written down one by one: to pass over it again costs nothing.
                Ok(Told::NoNews) => after = record.seq,
                Err(why) => {
                    failed = Some(format!("record {}: {why}", record.seq));
                    break;
                }
            }
        }
        // A place that cannot be given back now is free again when the claim ends.
        let free = TargetPlace { after, until: Timestamp::default(), ..place.clone() };
        let _ = self.replace(Some(&place), &free).await?;
        Ok(failed.map_or(Turn::Again, Turn::Later))
    }

    /// The place as ours; none if it is somebody else's, who may be alive.
    async fn claim(&self, known: Option<TargetPlace>, after: u64) -> Result<Option<TargetPlace>, StoreError> {
        let held = self.held();
        let theirs =
            |place: &TargetPlace| place.until > self.controller.clock.now() && place.owner != held.owner;
        if known.as_ref().is_some_and(theirs) {
            return Ok(None);
        }
        let next = TargetPlace { after, ..held };
        Ok(self.replace(known.as_ref(), &next).await?.then_some(next))
    }

    fn held(&self) -> TargetPlace {
        let until = self.controller.clock.now() + CLAIM;
        TargetPlace { after: 0, owner: self.controller.instance.clone(), until }
    }

    async fn replace(&self, expected: Option<&TargetPlace>, next: &TargetPlace) -> Result<bool, StoreError> {
        let workload = &self.controller.policy.workload.name;
        self.means.places.replace(workload, &self.target.name, expected, next).await
    }

    async fn tell(&self, record: &AuditRecord) -> Result<Told, String> {
        let record = &chain::checked(&self.controller, record).await;
        if !is_told(record) {
            return Ok(Told::NoNews);
        }
        let incident = incident(&self.controller, record).await;
        let Some(body) = template::body(&self.target, record, incident) else { return Ok(Told::NoNews) };
        self.post(&body).await?;
        tracing::info!(
            notify.target = self.target.name,
            audit.seq = record.seq,
            "a notification target took an event"
        );
        Ok(Told::Posted)
    }

    async fn post(&self, body: &Value) -> Result<(), String> {
        let secrets = &self.means.secrets;
        let mut request = self
            .means
            .http
            .post(secrets.value(&self.target.url)?)
            .header("content-type", template::content_type(&self.target))
            .timeout(POST_TIMEOUT);
        request = match (self.target.auth, &self.target.key, &self.means.credential) {
            (None, ..) => request,
            (Some(NotifyAuth::EventGridKey), Some(key), _) => {
                request.header("aeg-sas-key", secrets.value(key)?)
            }
            (Some(NotifyAuth::EventGridKey), None, _) => {
                return Err("it needs a key: set its key to env:NAME".to_owned());
            }
            (Some(NotifyAuth::Entra), _, Some(credential)) => {
                let token = credential::token(credential, EVENT_GRID_SCOPE).await;
                request.bearer_auth(token.map_err(|error| format!("no token for Event Grid: {error}"))?)
            }
            (Some(NotifyAuth::Entra), _, None) => {
                return Err("this process has no identity to show".to_owned());
            }
        };
        match request.body(body.to_string()).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("answered {}", response.status().as_u16())),
            Err(error) if error.is_timeout() => Err(format!("no answer within {} s", POST_TIMEOUT.as_secs())),
            // Without the URL: webhooks carry their secret in it. An address that is none is not shown either.
            Err(error) if error.is_builder() => Err("its address cannot be used".to_owned()),
            Err(error) => Err(error.without_url().to_string()),
        }
    }
}

/// By this a receiver keeps one thread for each incident. A ledger that cannot say leaves it out.
async fn incident(controller: &Controller, record: &AuditRecord) -> Option<u64> {
    let query = AuditQuery { before: Some(record.seq + 1), ..AuditQuery::default() };
    let lines = controller.ledger.audit_lines(&record.workload, &query, 1).await.ok()?;
    lines.first().filter(|line| line.seq == record.seq)?.incident
}
