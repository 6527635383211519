//! Long-running operations as data: an address to keep, and what one look at it said.

use std::fmt;
use std::time::Duration;

use azure_core::http::headers::{HeaderName, Headers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{Detail, retry_after};
use crate::azure::is_one_of;

/// Where the state of an operation can be read. Opaque and often signed: keep it in the ledger, give it back to
/// [`poll`](super::ArmClient::poll), and do not show it; `Debug` leaves the query out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationUrl(String);

impl OperationUrl {
    /// Wraps an address that was kept. It is checked against the ARM origin each time it is followed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole address, with its signature.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OperationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split('?').next().unwrap_or_default())
    }
}

/// What ARM said to a write.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Accepted {
    /// It is done as far as ARM is concerned. (Front Door's edges follow minutes later, unobservably.)
    Done(Value),
    /// It was begun. Keep `operation` and look again with [`poll`](super::ArmClient::poll).
    Running {
        /// Where to look.
        operation: OperationUrl,
        /// When to look, at most an hour; none if Azure did not say.
        retry_after: Option<Duration>,
        /// The resource as the write was accepted; `Null` when there was none.
        body: Value,
    },
}

/// What one look at an operation said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum OperationStatus {
    /// Not finished.
    Running {
        /// When to look again, at most an hour; none if Azure did not say.
        retry_after: Option<Duration>,
        /// Where to look from now on, if Azure gave another address: keep it in place of the one before.
        moved: Option<OperationUrl>,
    },
    /// Finished as asked.
    Succeeded,
    /// Finished otherwise; the resource stands as it was or half way. Read it before acting again.
    Failed {
        /// Azure's code, or `Failed` or `Canceled` when it gave none.
        code: String,
        /// Azure's text, possibly empty.
        message: String,
    },
}

/// Where an accepted write can be followed, if it is still running.
pub(super) enum Follow {
    /// It is done.
    Nothing,
    /// At the address of a header; not yet checked.
    Header(String),
    /// By reading the resource itself, whose `provisioningState` says when it is done.
    Resource,
}

const ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
const LOCATION: HeaderName = HeaderName::from_static("location");

/// Where to follow a write that was answered with `status` (200–299), `headers` and `body`.
pub(super) fn follow(status: u16, headers: &Headers, body: &Value) -> Follow {
    // A 200 that says so itself is done; some services leave the address of an operation in its headers all the same.
    if status == 200
        && matches!(of_state(provisioning_state(body), body, None), Some(OperationStatus::Succeeded))
    {
        return Follow::Nothing;
    }
    // Azure-AsyncOperation first: it carries the error of a failed operation, which Location does not always.
    if let Some(address) = headers.get_optional_str(&ASYNC_OPERATION) {
        return Follow::Header(address.to_owned());
    }
    // Location on a 201 is merely the address of the new resource.
    match headers.get_optional_str(&LOCATION) {
        Some(address) if status == 202 => Follow::Header(address.to_owned()),
        _ if status == 202 => Follow::Resource,
        _ => match of_state(provisioning_state(body), body, None) {
            Some(OperationStatus::Running { .. }) => Follow::Resource,
            _ => Follow::Nothing,
        },
    }
}

/// Where an operation that is still running is to be followed from now on, if an answer about it says so.
pub(super) fn moved<'a>(status: u16, headers: &'a Headers, body: &Value) -> Option<&'a str> {
    // Beside a status, Location is where the result will be.
    let is_the_operation = body.get("status").is_some();
    let location = || headers.get_optional_str(&LOCATION).filter(|_| status == 202 && !is_the_operation);
    headers.get_optional_str(&ASYNC_OPERATION).or_else(location)
}

/// Reads one answer (200–299) from any of the three kinds of address: of an operation (`status` in the body), of a
/// result (202 until it is there), of the resource itself (`provisioningState`). The address does not say of which
/// kind it is, App Service uses the same one for two of them, and their answers do not contradict each other.
pub(super) fn read_status(status: u16, headers: &Headers, body: &Value) -> OperationStatus {
    let retry_after = retry_after(headers);
    if let Some(said) = of_state(body.get("status").and_then(Value::as_str), body, retry_after) {
        return said;
    }
    if status == 202 {
        return OperationStatus::Running { retry_after, moved: None };
    }
    of_state(provisioning_state(body), body, retry_after).unwrap_or(OperationStatus::Succeeded)
}

fn of_state(state: Option<&str>, body: &Value, retry_after: Option<Duration>) -> Option<OperationStatus> {
    let state = state.filter(|state| !state.is_empty())?;
    if is_one_of(state, &["succeeded", "completed", "online"]) {
        return Some(OperationStatus::Succeeded);
    }
    if is_one_of(state, &["failed", "canceled", "cancelled"]) {
        let detail = Detail::of(body).or_else(|| Detail::of(body.get("properties")?));
        let Detail { code, message } =
            detail.unwrap_or(Detail { code: state.to_owned(), message: String::new() });
        return Some(OperationStatus::Failed { code, message });
    }
    Some(OperationStatus::Running { retry_after, moved: None })
}

fn provisioning_state(body: &Value) -> Option<&str> {
    body.pointer("/properties/provisioningState").and_then(Value::as_str)
}
