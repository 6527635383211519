//! One HTTP request and its answer, however the host delivered it: in an envelope or forwarded as it came.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::form_urlencoded;

use super::Reply;

/// A request to an HTTP function. The same for both delivery modes, so that a function cannot tell them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCall {
    /// Upper case.
    pub method: String,
    /// The path as the caller wrote it, `/api/` included.
    pub path: String,
    /// Decoded query parameters; of a repeated one the last.
    pub query: BTreeMap<String, String>,
    /// Names in lower case; a repeated header's values joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body; empty if there was none.
    pub body: Vec<u8>,
}

impl HttpCall {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// The path below the host's route prefix, without slashes at either end: `healthz/ungated`.
    pub fn route(&self) -> &str {
        let path = self.path.trim_matches('/');
        path.strip_prefix("api/").unwrap_or(path)
    }

    /// Reads a query string.
    pub(super) fn parse_query(text: &str) -> BTreeMap<String, String> {
        form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }
}

/// What an HTTP function answers to its caller.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// Headers beyond the content type.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: HttpBody,
}

/// A body with its content type.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpBody {
    /// None.
    Empty,
    /// `application/json`.
    Json(Value),
    /// Any text.
    Text {
        /// Its content type.
        content_type: &'static str,
        /// The text.
        text: String,
    },
}

impl HttpReply {
    /// A JSON answer.
    pub const fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: HttpBody::Json(body) }
    }

    /// A plain-text answer.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let body = HttpBody::Text { content_type: "text/plain; charset=utf-8", text: text.into() };
        Self { status, headers: Vec::new(), body }
    }

    /// A status without a body.
    pub const fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: HttpBody::Empty }
    }

    /// A JSON answer that says what is wrong and what to do about it.
    pub fn reason(status: u16, reason: impl Into<String>) -> Self {
        Self::json(status, json!({ "error": reason.into() }))
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// What an HTTP function did: its answer to the caller, and what it hands to the host besides.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpOutcome {
    /// For the caller.
    pub reply: HttpReply,
    /// For the host: outputs and logs. A forwarded request has no way to carry them; the timers make up for it.
    pub outputs: Reply,
}

impl From<HttpReply> for HttpOutcome {
    fn from(reply: HttpReply) -> Self {
        Self { reply, outputs: Reply::default() }
    }
}
