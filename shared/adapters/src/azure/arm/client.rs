//! The client itself: one pipeline, one attempt, the few quick retries, and the requests built on them.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::Policy;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, Context, HttpClient, Method, Pipeline, PipelineStreamOptions, Request,
    RetryOptions, Transport,
};
use azure_core::time::parse_rfc7231;
use domain::Timestamp;
use futures_util::TryStreamExt;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use super::endpoint::ArmEndpoint;
use super::error::{self, ArmError};
use super::operation::{self, Accepted, Follow, OperationStatus, OperationUrl};
use super::resource_id::ResourceId;
use crate::azure::http::LoopbackHttpClient;

/// Longest time that one call may take, quick retries included. An invocation has seconds, not minutes.
pub const CALL_BUDGET: Duration = Duration::from_secs(10);
/// Longest time that one list may take, all its pages included.
pub const LIST_BUDGET: Duration = Duration::from_secs(20);
/// Quick retries inside one call; whatever needs more patience is the ledger's business.
pub const RETRIES_MAX: u32 = 2;
/// Most pages of one list. Ours have one or two; more means that a `nextLink` leads in a circle.
pub const PAGES_MAX: usize = 50;
/// Largest answer that is read, in bytes. A page of Resource Graph, the largest that we ask for, stays below a tenth.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Upper end of the first random pause; doubled for the second. Long enough for a connection to be moved to another
/// front end, short enough to leave the budget to the request.
const BACKOFF: Duration = Duration::from_millis(400);
/// A 503 that asks for a longer pause than this is left to the ledger.
const QUICK_RETRY_AFTER_MAX: Duration = Duration::from_secs(2);

/// When an answer was made.
const DATE: HeaderName = HeaderName::from_static("date");

const _: () = assert!(CALL_BUDGET.as_millis() < LIST_BUDGET.as_millis());
const _: () = assert!(BACKOFF.as_millis() * 4 < CALL_BUDGET.as_millis());

/// Talks to one ARM. Cheap to clone; clones share the connections and the token.
#[derive(Clone, Debug)]
pub struct ArmClient {
    endpoint: ArmEndpoint,
    pipeline: Pipeline,
    retries_max: u32,
}

/// One request, as it is sent each time.
struct Call<'a> {
    method: Method,
    url: Url,
    body: Option<&'a Value>,
    if_match: Option<&'a str>,
    repeat: Repeat,
    budget: Duration,
}

impl Call<'_> {
    /// Reads what is at an address.
    const fn get(url: Url, budget: Duration) -> Self {
        Self { method: Method::Get, url, body: None, if_match: None, repeat: Repeat::Safe, budget }
    }
}

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Clone, Copy, PartialEq)]
enum Repeat {
    Safe,
    Unsafe,
}

struct Reply {
    status: u16,
    headers: Headers,
    body: Value,
}

impl ArmClient {
    /// A client for `endpoint`. `http` is to be shared with the credential: see [`http_client`](crate::azure::http::http_client).
    pub fn new(
        endpoint: ArmEndpoint,
        credential: Arc<dyn TokenCredential>,
        http: Arc<dyn HttpClient>,
    ) -> Self {
        let http = match endpoint.loopback() {
            Some(base) => Arc::new(LoopbackHttpClient::new(&endpoint, base.clone(), http)),
            None => http,
        };
        let options = ClientOptions {
            // The retries of azure_core wait up to a minute and know nothing of our budget; ours are in `attempts`.
            retry: RetryOptions::none(),
            transport: Some(Transport::new(http)),
            ..ClientOptions::default()
        };
        let bearer: Arc<dyn Policy> =
            Arc::new(BearerTokenAuthorizationPolicy::new(credential, [endpoint.scope()]));
        let pipeline = Pipeline::new(
            Some("cordon"),
            option_env!("CARGO_PKG_VERSION"),
            options,
            vec![],
            vec![bearer],
            None,
        );
        Self { endpoint, pipeline, retries_max: RETRIES_MAX }
    }

    /// The same client for callers that come back by themselves within seconds, as observers do: what fails now is
    /// asked again in their next run, not in this one.
    #[must_use]
    pub fn without_retries(&self) -> Self {
        Self { retries_max: 0, ..self.clone() }
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// See [`ArmError`].
    pub async fn get(&self, id: &ResourceId, api_version: &str) -> Result<Value, ArmError> {
        self.read(self.address(id.as_str(), api_version, &[]), CALL_BUDGET).await
    }

    /// Reads what stands below a resource, with further query parameters: `get_below(&id,
    /// "providers/Microsoft.Insights/metrics", …)`. `below` is part of our program, never of an event.
    ///
    /// # Errors
    /// See [`ArmError`].
    pub async fn get_below(
        &self,
        id: &ResourceId,
        below: &'static str,
        api_version: &str,
        query: &[(&str, &str)],
    ) -> Result<Value, ArmError> {
        let path = format!("{id}/{below}");
        self.read(self.address(&path, api_version, query), CALL_BUDGET).await
    }

    /// Lists a collection below a resource, such as `origins` of a group, with all its pages (at most
    /// [`PAGES_MAX`], within [`LIST_BUDGET`]). A list is whole or an error, never a part.
    ///
    /// # Errors
    /// See [`ArmError`]; a page that lies outside the ARM origin is [`ArmError::ForeignAddress`].
    pub async fn list(
        &self,
        under: &ResourceId,
        collection: &'static str,
        api_version: &str,
    ) -> Result<Vec<Value>, ArmError> {
        let started = Instant::now();
        let path = format!("{under}/{collection}");
        let mut address = self.address(&path, api_version, &[]);
        let mut items = Vec::new();
        for _page in 0..PAGES_MAX {
            let left = LIST_BUDGET.saturating_sub(started.elapsed());
            let mut page = self.read(address, left.min(CALL_BUDGET)).await?;
            match page.get_mut("value").map(Value::take) {
                Some(Value::Array(values)) => items.extend(values),
                _ => return Err(malformed("a list", "it has no array named value")),
            }
            match page.get("nextLink").and_then(Value::as_str) {
                Some(next) if !next.is_empty() => address = self.own_address(next)?,
                _ => return Ok(items),
            }
        }
        Err(ArmError::TooManyPages { path, pages: PAGES_MAX })
    }

    /// Changes parts of a resource. Our PATCH bodies state a wish ("disabled"), never a step ("one more"), so a
    /// repeated one does no harm, and it is retried like a PUT.
    ///
    /// # Errors
    /// See [`ArmError`].
    pub async fn patch(
        &self,
        id: &ResourceId,
        api_version: &str,
        body: &Value,
    ) -> Result<Accepted, ArmError> {
        self.write(Method::Patch, self.address(id.as_str(), api_version, &[]), body, None).await
    }

    /// Replaces a resource.
    ///
    /// # Errors
    /// See [`ArmError`].
    pub async fn put(&self, id: &ResourceId, api_version: &str, body: &Value) -> Result<Accepted, ArmError> {
        self.write(Method::Put, self.address(id.as_str(), api_version, &[]), body, None).await
    }

    /// Replaces a resource if it still has this ETag, where its provider knows ETags; a 412 is [`ArmError::Rejected`].
    ///
    /// # Errors
    /// See [`ArmError`].
    pub async fn put_if_match(
        &self,
        id: &ResourceId,
        api_version: &str,
        body: &Value,
        etag: &str,
    ) -> Result<Accepted, ArmError> {
        self.write(Method::Put, self.address(id.as_str(), api_version, &[]), body, Some(etag)).await
    }

    /// Asks a resource to do `action`. Sent once: whether it may be repeated is not known here.
    ///
    /// # Errors
    /// See [`ArmError`].
    pub async fn post(
        &self,
        id: &ResourceId,
        action: &'static str,
        api_version: &str,
        body: &Value,
    ) -> Result<Accepted, ArmError> {
        let path = format!("{id}/{action}");
        self.write(Method::Post, self.address(&path, api_version, &[]), body, None).await
    }

    /// Puts a question to a tenant-wide provider: a POST that changes nothing, and is retried like a GET. `path` is
    /// part of our program, never of an event.
    ///
    /// # Errors
    /// See [`ArmError`].
    pub async fn query(
        &self,
        path: &'static str,
        api_version: &str,
        body: &Value,
    ) -> Result<Value, ArmError> {
        let url = self.address(path, api_version, &[]);
        let call = Call {
            method: Method::Post,
            url,
            body: Some(body),
            if_match: None,
            repeat: Repeat::Safe,
            budget: CALL_BUDGET,
        };
        Ok(self.send(&call).await?.body)
    }

    /// Looks once at an operation, and never waits for it. An address that answers with a refusal (400, 409, …)
    /// reports how the operation ended, so that is [`OperationStatus::Failed`]; not found (the record has expired),
    /// throttled, unavailable and the like are errors, and say nothing about the operation.
    ///
    /// # Errors
    /// See [`ArmError`]; an address outside the ARM origin is [`ArmError::ForeignAddress`], and is not followed.
    pub async fn poll(&self, operation: &OperationUrl) -> Result<OperationStatus, ArmError> {
        let url = self.own_address(operation.as_str())?;
        let call = Call::get(url, CALL_BUDGET);
        match self.send(&call).await {
            Ok(reply) => self.status(operation, &reply),
            Err(ArmError::Rejected { code, message, .. } | ArmError::Busy { code, message, .. }) => {
                Ok(OperationStatus::Failed { code, message })
            }
            Err(refusal @ ArmError::LastEnabledOrigin) => {
                Ok(OperationStatus::Failed { code: "BadRequest".into(), message: refusal.to_string() })
            }
            Err(error) => Err(error),
        }
    }

    /// What time it is by ARM's own clock: the date of its answer to a GET of `id`, whatever else it answers. None when there
    /// is no answer, or one without a date.
    pub async fn time(&self, id: &ResourceId, api_version: &str) -> Option<Timestamp> {
        let url = self.address(id.as_str(), api_version, &[]);
        let call = Call::get(url, CALL_BUDGET);
        let answer = timeout(call.budget, self.exchange(&call)).await.ok()?.ok()?;
        let (_, headers, _) = answer.deconstruct();
        let date = parse_rfc7231(headers.get_optional_str(&DATE)?).ok()?;
        Some(Timestamp::from_secs(date.unix_timestamp()))
    }

    fn status(&self, asked: &OperationUrl, reply: &Reply) -> Result<OperationStatus, ArmError> {
        let said = operation::read_status(reply.status, &reply.headers, &reply.body);
        let next = operation::moved(reply.status, &reply.headers, &reply.body);
        match (said, next.filter(|next| *next != asked.as_str())) {
            (OperationStatus::Running { retry_after, .. }, Some(next)) => {
                let moved = Some(OperationUrl::new(self.own_address(next)?));
                Ok(OperationStatus::Running { retry_after, moved })
            }
            (said, _) => Ok(said),
        }
    }

    async fn read(&self, url: Url, budget: Duration) -> Result<Value, ArmError> {
        let call = Call::get(url, budget);
        Ok(self.send(&call).await?.body)
    }

    async fn write(
        &self,
        method: Method,
        url: Url,
        body: &Value,
        if_match: Option<&str>,
    ) -> Result<Accepted, ArmError> {
        let repeat = if method == Method::Post { Repeat::Unsafe } else { Repeat::Safe };
        let call = Call { method, url, body: Some(body), if_match, repeat, budget: CALL_BUDGET };
        let Reply { status, headers, body } = self.send(&call).await?;
        let operation = match operation::follow(status, &headers, &body) {
            Follow::Nothing => return Ok(Accepted::Done(body)),
            Follow::Header(address) => self.own_address(&address)?,
            Follow::Resource if method == Method::Post => {
                return Err(malformed(
                    "the answer to a POST",
                    "it was accepted without an address to follow",
                ));
            }
            Follow::Resource => call.url,
        };
        let retry_after = error::retry_after(&headers);
        Ok(Accepted::Running { operation: OperationUrl::new(operation), retry_after, body })
    }

    fn address(&self, path: &str, api_version: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.endpoint.origin().clone();
        url.set_path(path);
        url.query_pairs_mut().append_pair("api-version", api_version).extend_pairs(query);
        // Form encoding writes a space as `+`, which is a plus sign to an OData filter. A real plus is `%2B` by now.
        let encoded = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(encoded.as_deref());
        url
    }

    fn own_address(&self, address: &str) -> Result<Url, ArmError> {
        self.endpoint.own(address).ok_or_else(|| {
            let host = Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
            ArmError::ForeignAddress { host: host.unwrap_or_else(|| "no host".into()) }
        })
    }

    async fn send(&self, call: &Call<'_>) -> Result<Reply, ArmError> {
        let started = Instant::now();
        let deadline = started + call.budget;
        let outcome = match timeout_at(deadline, self.attempts(call, deadline)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(ArmError::TimedOut { budget: call.budget }),
        };
        tracing::debug!(
            http.method = %call.method,
            // Without the query: poll addresses are signed.
            http.path = call.url.path(),
            http.status = outcome.as_ref().ok().map(|reply| reply.status),
            http.error = outcome.as_ref().err().map(tracing::field::display),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "called ARM",
        );
        outcome
    }

    async fn attempts(&self, call: &Call<'_>, deadline: Instant) -> Result<Reply, ArmError> {
        let mut retries = 0;
        loop {
            let outcome = self.attempt(call).await;
            let Err(error) = &outcome else { return outcome };
            let pause = pause_before_retry(error, retries).filter(|_| retries < self.retries_max);
            let left = deadline.saturating_duration_since(Instant::now());
            match pause {
                Some(pause) if call.repeat == Repeat::Safe && pause < left => sleep(pause).await,
                _ => return outcome,
            }
            retries += 1;
        }
    }

    /// One request, and the answer with its body unread.
    async fn exchange(&self, call: &Call<'_>) -> Result<AsyncRawResponse, ArmError> {
        let mut request = Request::new(call.url.clone(), call.method);
        request.insert_header("accept", "application/json");
        if let Some(etag) = call.if_match {
            request.insert_header("if-match", etag.to_owned());
        }
        if let Some(body) = call.body {
            request.insert_header("content-type", "application/json");
            request.set_body(body.to_string());
        }
        let options = PipelineStreamOptions { skip_checks: true, ..PipelineStreamOptions::default() };
        let answer = self.pipeline.stream(&Context::new(), &mut request, Some(options)).await;
        answer.map_err(ArmError::from_pipeline)
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Reply, ArmError> {
        let response = self.exchange(call).await?;
        let (status, headers, mut pieces) = response.deconstruct();
        let status = u16::from(status);
        let mut body = Vec::new();
        while let Some(piece) = pieces.try_next().await.map_err(ArmError::from_pipeline)? {
            if body.len() + piece.len() > BODY_BYTES_MAX {
                return Err(malformed("an answer of ARM", "it is too large"));
            }
            body.extend_from_slice(&piece);
        }
        if !(200..300).contains(&status) {
            return Err(ArmError::from_response(call.url.path(), status, &headers, &body));
        }
        Ok(Reply { status, headers, body: parse(&body)? })
    }
}

/// How long to pause before the retry after `retries` others, or none when `error` does not call for a quick retry.
fn pause_before_retry(error: &ArmError, retries: u32) -> Option<Duration> {
    if retries >= RETRIES_MAX {
        return None;
    }
    match error {
        ArmError::Unreachable { source }
            if matches!(source.kind(), ErrorKind::Connection | ErrorKind::Io) =>
        {
            Some(full_jitter(retries))
        }
        ArmError::Unavailable { status: 500 | 502 | 503 | 504, retry_after: None, .. } => {
            Some(full_jitter(retries))
        }
        ArmError::Unavailable { status: 500 | 502 | 503 | 504, retry_after: Some(asked), .. } => {
            (*asked <= QUICK_RETRY_AFTER_MAX).then_some(*asked)
        }
        _ => None,
    }
}

/// Anything from nothing to the doubled backoff, so that callers that failed together do not return together.
fn full_jitter(retries: u32) -> Duration {
    let ceiling_ms = u64::try_from((BACKOFF * (1 << retries)).as_millis()).unwrap_or(u64::MAX);
    // A fresh `RandomState` is seeded differently each time: enough to spread retries, without a crate for it.
    Duration::from_millis(RandomState::new().hash_one(retries) % (ceiling_ms + 1))
}

fn parse(body: &[u8]) -> Result<Value, ArmError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body)
        .map_err(|source| ArmError::Malformed { what: "an answer of ARM", source: source.into() })
}

fn malformed(what: &'static str, why: &'static str) -> ArmError {
    ArmError::Malformed { what, source: why.into() }
}

#[cfg(test)]
mod tests;
