//! Why a call to ARM did not do what was asked, in the terms in which a caller acts on it.

use std::error::Error;
use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, Headers};
use serde_json::Value;

/// Longest wait that we let Azure ask for; anything above is a mistake, and the ledger has its own deadlines.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Longest error text that is kept, in characters: it goes into the ledger and into logs.
const MESSAGE_CHARS_MAX: usize = 500;

/// A call to ARM failed. Says what was asked of us or of Azure; causes are in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// 429: our token bucket is empty. Not retried here; the ledger schedules the next attempt.
    #[error("call ARM: throttled")]
    Throttled {
        /// How long Azure asks us to wait, at most an hour; none if it did not say.
        retry_after: Option<Duration>,
    },
    /// 409: another operation is in progress on the resource or its parent. Not retried here.
    #[error("call ARM: another operation is in progress ({code}: {message})")]
    Busy {
        /// Azure's code, usually `Conflict`.
        code: String,
        /// Azure's text.
        message: String,
        /// How long Azure asks us to wait, at most an hour; none if it did not say.
        retry_after: Option<Duration>,
    },
    /// 400: the origin is the last enabled one of its group. A refusal that protects the workload, not an outage.
    #[error("disable the last enabled origin of its group")]
    LastEnabledOrigin,
    /// 404: there is no such resource, or the record of the operation has expired.
    #[error("find {path}")]
    NotFound {
        /// The path that was asked for.
        path: String,
    },
    /// 401: the token was not accepted.
    #[error("call ARM: the token was not accepted ({code}: {message})")]
    Unauthorized {
        /// Azure's code.
        code: String,
        /// Azure's text.
        message: String,
    },
    /// 403: our identity lacks the permission, or a policy denies the change.
    #[error("call ARM: not permitted ({code}: {message})")]
    Forbidden {
        /// Azure's code, such as `AuthorizationFailed`.
        code: String,
        /// Azure's text.
        message: String,
    },
    /// Any other refusal. The same request will be refused again.
    #[error("call ARM: rejected with status {status} ({code}: {message})")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// Azure's code.
        code: String,
        /// Azure's text.
        message: String,
    },
    /// 408 or 5xx, still so after the quick retries. Of a write, the outcome is unknown.
    #[error("call ARM: unavailable with status {status} ({code}: {message})")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// Azure's code.
        code: String,
        /// Azure's text.
        message: String,
        /// How long Azure asks us to wait, at most an hour; none if it did not say.
        retry_after: Option<Duration>,
    },
    /// No answer came. Of a write, the outcome is unknown.
    #[error("reach ARM")]
    Unreachable {
        /// The transport's error.
        #[source]
        source: azure_core::Error,
    },
    /// No answer came within the time that one call may take. Of a write, the outcome is unknown.
    #[error("get an answer from ARM within {} ms", budget.as_millis())]
    TimedOut {
        /// The time that the call had.
        budget: Duration,
    },
    /// The credential gave no token.
    #[error("get a token for ARM")]
    NoToken {
        /// The credential's error.
        #[source]
        source: azure_core::Error,
    },
    /// An answer is not the document that belongs there.
    #[error("read {what}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An address that we were to follow is not on the ARM origin. When it answered a write, the write may stand:
    /// read the resource before writing again.
    #[error("follow an address on {host}, which is not the ARM endpoint")]
    ForeignAddress {
        /// Its host only: such addresses are signed, and the rest is nobody's business.
        host: String,
    },
    /// A list did not end within the allowed number of pages.
    #[error("list {path} within {pages} pages")]
    TooManyPages {
        /// The path that was listed.
        path: String,
        /// The bound.
        pages: usize,
    },
}

impl ArmError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. }
            | Self::Busy { .. }
            | Self::Unavailable { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::NoToken { .. } => true,
            Self::LastEnabledOrigin
            | Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Rejected { .. }
            | Self::Malformed { .. }
            | Self::ForeignAddress { .. }
            | Self::TooManyPages { .. } => false,
        }
    }

    /// How long Azure asks us to wait before the next attempt, at most an hour, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after }
            | Self::Busy { retry_after, .. }
            | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// An error of the pipeline, before there was a response.
    pub(super) fn from_pipeline(mut source: azure_core::Error) -> Self {
        // The transport's error shows the address, and poll addresses are signed.
        if let Some(url) = source.downcast_mut::<reqwest::Error>().and_then(reqwest::Error::url_mut) {
            url.set_query(None);
        }
        if *source.kind() == ErrorKind::Credential {
            Self::NoToken { source }
        } else {
            Self::Unreachable { source }
        }
    }

    /// A response with a status outside 200–299.
    pub(super) fn from_response(path: &str, status: u16, headers: &Headers, body: &[u8]) -> Self {
        let Detail { code, message } = Detail::read(status, body);
        let retry_after = retry_after(headers);
        match status {
            400 if says(&message, "must contain at least one enabled endpoint") => Self::LastEnabledOrigin,
            401 => Self::Unauthorized { code, message },
            403 => Self::Forbidden { code, message },
            404 => Self::NotFound { path: path.to_owned() },
            // App Service answers 409 also when a plan is asked for more workers than it can ever have.
            409 if says(&message, "exceeds the maximum allowed") => Self::Rejected { status, code, message },
            409 => Self::Busy { code, message, retry_after },
            429 => Self::Throttled { retry_after },
            408 | 500..=599 => Self::Unavailable { status, code, message, retry_after },
            _ => Self::Rejected { status, code, message },
        }
    }
}

/// Azure's code and text for a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) code: String,
    pub(super) message: String,
}

impl Detail {
    fn read(status: u16, body: &[u8]) -> Self {
        let fallback = || {
            // A gateway in front of ARM answers in HTML; its first words are still the best hint there is.
            Self { code: format!("Http{status}"), message: bounded(&String::from_utf8_lossy(body)) }
        };
        serde_json::from_slice::<Value>(body).ok().and_then(|body| Self::of(&body)).unwrap_or_else(fallback)
    }

    /// Reads `{"error":{"code","message"}}`, and App Service's `{"Code","Message"}` without the wrapper.
    pub(super) fn of(body: &Value) -> Option<Self> {
        let error = field(body, "error").unwrap_or(body);
        let text = |name| field(error, name).and_then(Value::as_str);
        let (code, message) = (text("code"), text("message"));
        if code.is_none() && message.is_none() {
            return None;
        }
        Some(Self { code: bounded(code.unwrap_or("Unknown")), message: bounded(message.unwrap_or_default()) })
    }
}

/// Reads `Retry-After` in its forms that ARM uses: milliseconds in a header of their own, or whole seconds.
pub(super) fn retry_after(headers: &Headers) -> Option<Duration> {
    let number = |name: &'static str| -> Option<u64> {
        headers.get_optional_str(&HeaderName::from_static(name))?.trim().parse().ok()
    };
    let wait = number("x-ms-retry-after-ms")
        .or_else(|| number("retry-after-ms"))
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))?;
    Some(wait.min(RETRY_AFTER_MAX))
}

fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let (_, value) = object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    (!value.is_null()).then_some(value)
}

fn says(message: &str, lower_case: &str) -> bool {
    message.to_ascii_lowercase().contains(lower_case)
}

fn bounded(text: &str) -> String {
    text.trim().chars().take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> String {
        let mut map = Headers::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        match ArmError::from_response("/subscriptions/s", status, &map, body.as_bytes()) {
            ArmError::Throttled { retry_after } => format!("throttled {retry_after:?}"),
            ArmError::Busy { code, .. } => format!("busy {code}"),
            ArmError::LastEnabledOrigin => "last".into(),
            ArmError::NotFound { path } => format!("not found {path}"),
            ArmError::Unauthorized { code, .. } => format!("unauthorized {code}"),
            ArmError::Forbidden { code, .. } => format!("forbidden {code}"),
            ArmError::Rejected { status, code, message } => format!("rejected {status} {code} {message}"),
            ArmError::Unavailable { status, retry_after, .. } => {
                format!("unavailable {status} {retry_after:?}")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_refusal_becomes_the_variant_that_a_caller_acts_on() {
        let busy = r#"{"error":{"code":"Conflict","message":"The requested operation cannot be executed on the entity as another operation is in progress."}}"#;
        let last = r#"{"error":{"code":"BadRequest","message":"Endpoint pools must contain at least one enabled endpoint"}}"#;
        let workers = r#"{"Code":"Conflict","Message":"Number of Web workers exceeds the maximum allowed for the hosting plan.","Target":null}"#;
        let sku = r#"{"Code":"BadRequest","Message":"The parameter SKU cannot be null.","Details":[{"Code":"X"}],"Innererror":null}"#;
        let denied = r#"{"error":{"code":"AuthorizationFailed","message":"no"}}"#;
        let cases: [(u16, &[_], &str, &str); 15] = [
            (409, &[], busy, "busy Conflict"),
            (409, &[], "", "busy Http409"),
            (
                409,
                &[],
                workers,
                "rejected 409 Conflict Number of Web workers exceeds the maximum allowed for the hosting plan.",
            ),
            (400, &[], last, "last"),
            (400, &[], sku, "rejected 400 BadRequest The parameter SKU cannot be null."),
            (401, &[], denied, "unauthorized AuthorizationFailed"),
            (403, &[], denied, "forbidden AuthorizationFailed"),
            (404, &[], "", "not found /subscriptions/s"),
            (429, &[("retry-after", "17")], "", "throttled Some(17s)"),
            (429, &[("retry-after", "99999999")], "", "throttled Some(3600s)"),
            (429, &[("retry-after", "soon")], "", "throttled None"),
            (503, &[("retry-after-ms", "1500")], "<html>", "unavailable 503 Some(1.5s)"),
            (302, &[], "", "rejected 302 Http302 "),
            (422, &[], "[1,2]", "rejected 422 Http422 [1,2]"),
            (400, &[], r#"{"error":null,"message":"plain"}"#, "rejected 400 Unknown plain"),
        ];
        for (status, headers, body, expected) in cases {
            assert_eq!(kind(status, headers, body), expected, "{status} {body}");
        }
    }
}
