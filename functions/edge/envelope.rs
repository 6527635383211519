//! The host's invocation envelope `{Data, Metadata}`, with its quirks undone (contracts/AZURE.md 1.4).

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::Timestamp;
use url::Url;

use super::json::Fields;
use super::{HttpCall, Json, base64};

/// The host sent something other than its contract says.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON at all.
    #[error("parse the envelope as JSON")]
    NotJson(#[source] serde_json::Error),
    /// No `Data` object.
    #[error("find \"Data\" in the envelope: post {{\"Data\": {{..}}, \"Metadata\": {{..}}}}")]
    NoData,
    /// The binding is not there.
    #[error(
        "find the binding {binding:?} under \"Data\": function.json and the handler must name it the same"
    )]
    NoBinding {
        /// Its name.
        binding: &'static str,
    },
    /// The binding is there, in another shape.
    #[error("read the binding {binding:?} as {expected}")]
    WrongShape {
        /// Its name.
        binding: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// One invocation as the host posts it, borrowed from its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<'a> {
    data: Fields<'a>,
    metadata: Fields<'a>,
}

/// A batch of messages, each of which may still be JSON in a string.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<'a>(Cow<'a, Json<'a>>);

impl Batch<'_> {
    /// The messages. Each is opened by itself, so that one that is no JSON stays a string and spoils nothing for the others.
    pub fn messages(&self) -> Vec<Cow<'_, Json<'_>>> {
        match self.0.elements() {
            Some(messages) => messages.iter().map(Json::opened).collect(),
            None => vec![Cow::Borrowed(&*self.0)],
        }
    }

    /// All of them as one array.
    pub fn array(&self) -> Json<'_> {
        Json::Array(self.messages().into_iter().map(Cow::into_owned).collect())
    }
}

/// What a timer trigger brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// A tick was missed: this process, or the whole host, was away.
    pub past_due: bool,
    /// When it last ran, if the host monitors the schedule.
    pub last: Option<Timestamp>,
}

impl<'a> Envelope<'a> {
    /// Reads an envelope.
    ///
    /// # Errors
    /// When it is not JSON or has no `Data`. Missing `Metadata` is fine: nothing is decided on it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let Json::Object(mut fields) = Json::read_bytes(bytes).map_err(EnvelopeError::NotJson)? else {
            return Err(EnvelopeError::NoData);
        };
        let Some(Json::Object(data)) = fields.take("Data") else { return Err(EnvelopeError::NoData) };
        let metadata = match fields.take("Metadata") {
            Some(Json::Object(metadata)) => metadata,
            _ => Fields::default(),
        };
        Ok(Self { data, metadata })
    }

    /// A timer trigger.
    ///
    /// # Errors
    /// When the binding is missing or is no object.
    pub fn timer(&self, binding: &'static str) -> Result<Timer, EnvelopeError> {
        let value = self.binding(binding)?.opened();
        let Some(timer) = value.fields() else {
            return Err(EnvelopeError::WrongShape { binding, expected: "a timer object" });
        };
        let last = timer.get("ScheduleStatus").and_then(|status| status.field("Last")).and_then(Json::text);
        Ok(Timer {
            past_due: matches!(timer.get("IsPastDue"), Some(Json::Bool(true))),
            last: last.and_then(|text| Timestamp::parse(text).ok()),
        })
    }

    /// A queue message, a single Event Grid event or a single Event Hub event, opened as far as it is JSON.
    ///
    /// # Errors
    /// When the binding is missing.
    pub fn message(&self, binding: &'static str) -> Result<Cow<'_, Json<'_>>, EnvelopeError> {
        Ok(self.binding(binding)?.opened())
    }

    /// A batch: Cosmos documents, or Event Hub messages with cardinality `many`.
    ///
    /// # Errors
    /// When the binding is missing or is neither an array nor an object.
    pub fn batch(&self, binding: &'static str) -> Result<Batch<'_>, EnvelopeError> {
        let opened = self.binding(binding)?.opened();
        match *opened {
            Json::Array(_) | Json::Object(_) => Ok(Batch(opened)),
            _ => Err(EnvelopeError::WrongShape { binding, expected: "an array of messages" }),
        }
    }

    /// An HTTP request in envelope mode.
    ///
    /// # Errors
    /// When the binding is missing or is no request object.
    pub fn http(&self, binding: &'static str) -> Result<HttpCall, EnvelopeError> {
        let opened = self.binding(binding)?.opened();
        let Some(request) = opened.fields() else {
            return Err(EnvelopeError::WrongShape { binding, expected: "an HTTP request object" });
        };
        let method = request.get("Method").and_then(Json::text);
        let (Some(method), Some(url)) = (method, request.get("Url").and_then(Json::text)) else {
            return Err(EnvelopeError::WrongShape { binding, expected: "a request with Method and Url" });
        };
        let headers = headers_of(request.get("Headers"));
        let (path, url_query) = split_url(url);
        let mut query = HttpCall::parse_query(&url_query);
        query.extend(scalars_of(request.get("Query")));
        let body = body_of(request.get("Body"), headers.get("content-type").map(String::as_str));
        Ok(HttpCall { method: method.to_ascii_uppercase(), path, query, headers, body })
    }

    /// A scalar of the metadata, for logs only. Never for dedup or trust: the host copies fields of the message itself
    /// over it, `Id` and `DequeueCount` included.
    pub fn metadata_text(&self, key: &str) -> Option<String> {
        match self.metadata.get(key)? {
            // Strings are JSON inside a string; dates and numbers are bare.
            Json::Text(text) => {
                Some(serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_string()))
            }
            Json::Number(number) => Some(number.to_string()),
            Json::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    fn binding(&self, binding: &'static str) -> Result<&Json<'a>, EnvelopeError> {
        self.data.get(binding).ok_or(EnvelopeError::NoBinding { binding })
    }
}

fn headers_of(headers: Option<&Json<'_>>) -> BTreeMap<String, String> {
    let Some(headers) = headers.and_then(Json::fields) else { return BTreeMap::new() };
    headers
        .iter()
        .map(|(name, values)| {
            let value = match values {
                Json::Array(values) => values.iter().filter_map(Json::text).collect::<Vec<_>>().join(", "),
                Json::Text(value) => value.to_string(),
                other => other.to_string(),
            };
            (name.to_ascii_lowercase(), value)
        })
        .collect()
}

fn scalars_of(fields: Option<&Json<'_>>) -> BTreeMap<String, String> {
    let Some(fields) = fields.and_then(Json::fields) else { return BTreeMap::new() };
    fields.iter().filter_map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned()))).collect()
}

fn split_url(text: &str) -> (String, String) {
    match Url::parse(text) {
        Ok(url) => (url.path().to_owned(), url.query().unwrap_or_default().to_owned()),
        // A bare path, as test tools send it.
        Err(_) => match text.split_once('?') {
            Some((path, query)) => (path.to_owned(), query.to_owned()),
            None => (text.to_owned(), String::new()),
        },
    }
}

/// The body as bytes. The host sends it as text, or as base64 for binary content types; it is absent when the request
/// had no Content-Length.
fn body_of(body: Option<&Json<'_>>, content_type: Option<&str>) -> Vec<u8> {
    let binary = content_type.is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.starts_with("application/octet-stream") || kind.starts_with("multipart/")
    });
    match body {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Text(text)) if binary => base64::decode(text).unwrap_or_else(|| text.as_bytes().to_vec()),
        Some(Json::Text(text)) => text.as_bytes().to_vec(),
        // Not what the host does today; a body that arrives opened is the same body.
        Some(opened) => opened.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(data: &Value) -> Vec<u8> {
        json!({ "Data": data, "Metadata": {} }).to_string().into_bytes()
    }

    fn http(data: &Value) -> HttpCall {
        Envelope::parse(&text(data)).unwrap().http("req").unwrap()
    }

    #[test]
    fn one_message_that_is_no_json_spoils_nothing_for_the_others() {
        let text = text(&json!({"events": "[\"{\\\"a\\\":1}\",\"not json\"]"}));
        let envelope = Envelope::parse(&text).unwrap();
        let batch = envelope.batch("events").unwrap();
        assert_eq!(batch.array().to_value(), json!([{"a": 1}, "not json"]));
    }

    #[test]
    fn a_request_has_its_path_query_headers_and_body_whatever_the_encoding() {
        let call = http(&json!({"req": {
            "Url": "https://cordon.example/api/healthz/ungated?a=1%202&b=x",
            "Method": "post",
            "Headers": {"X-Forwarded-For": ["10.0.0.1", "10.0.0.2"], "Content-Type": ["application/octet-stream"]},
            "Body": "eyJhIjoxfQ=="
        }}));
        assert_eq!((call.method.as_str(), call.route()), ("POST", "healthz/ungated"));
        assert_eq!(call.query["a"], "1 2");
        assert_eq!(call.header("x-forwarded-for"), Some("10.0.0.1, 10.0.0.2"));
        assert_eq!(call.body, b"{\"a\":1}");
    }

    #[test]
    fn an_absent_body_is_empty_and_a_text_body_is_itself() {
        let request =
            |body: &Value| json!({"req": {"Url": "/api/x", "Method": "POST", "Headers": {}, "Body": body}});
        assert_eq!(http(&request(&Value::Null)).body, b"");
        assert_eq!(http(&request(&json!("test"))).body, b"test");
    }

    #[test]
    fn names_the_binding_that_is_missing() {
        let text = text(&json!({"other": 1}));
        let error = Envelope::parse(&text).unwrap().timer("timer").unwrap_err();
        assert!(error.to_string().contains("\"timer\""), "{error}");
    }
}
