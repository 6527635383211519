//! The host's invocation envelope `{Data, Metadata}`, with its quirks undone (contracts/AZURE.md 1.4).

use std::collections::BTreeMap;

use domain::Timestamp;
use serde_json::{Map, Value};
use url::Url;

use super::{HttpCall, base64};

/// How often a string that contains JSON is opened. The host wraps at most twice; a third time is for extensions that
/// wrap once more. A bound, so that a hostile payload cannot make us dig for ever.
const UNWRAPS_MAX: usize = 3;

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

/// One invocation as the host posts it.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    data: Map<String, Value>,
    metadata: Map<String, Value>,
}

/// What a timer trigger brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// A tick was missed: this process, or the whole host, was away.
    pub past_due: bool,
    /// When it last ran, if the host monitors the schedule.
    pub last: Option<Timestamp>,
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// When it is not JSON or has no `Data`. Missing `Metadata` is fine: nothing is decided on it.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let value: Value = serde_json::from_slice(bytes).map_err(EnvelopeError::NotJson)?;
        let Value::Object(mut fields) = value else { return Err(EnvelopeError::NoData) };
        let Some(Value::Object(data)) = fields.remove("Data") else { return Err(EnvelopeError::NoData) };
        let metadata = match fields.remove("Metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        Ok(Self { data, metadata })
    }

    /// A timer trigger.
    ///
    /// # Errors
    /// When the binding is missing or is no object.
    pub fn timer(&self, binding: &'static str) -> Result<Timer, EnvelopeError> {
        let value = unwrap(self.binding(binding)?.clone());
        let Value::Object(timer) = value else {
            return Err(EnvelopeError::WrongShape { binding, expected: "a timer object" });
        };
        let last = timer.get("ScheduleStatus").and_then(|status| status.get("Last")).and_then(Value::as_str);
        Ok(Timer {
            past_due: timer.get("IsPastDue").and_then(Value::as_bool).unwrap_or(false),
            last: last.and_then(|text| Timestamp::parse(text).ok()),
        })
    }

    /// A queue message, a single Event Grid event or a single Event Hub event, opened as far as it is JSON.
    ///
    /// # Errors
    /// When the binding is missing.
    pub fn message(&self, binding: &'static str) -> Result<Value, EnvelopeError> {
        Ok(unwrap(self.binding(binding)?.clone()))
    }

    /// A batch: Cosmos documents, or Event Hub messages with cardinality `many`. Each is opened by itself, so that one
    /// that is no JSON stays a string and spoils nothing for the others.
    ///
    /// # Errors
    /// When the binding is missing or is neither an array nor an object.
    pub fn batch(&self, binding: &'static str) -> Result<Vec<Value>, EnvelopeError> {
        match unwrap(self.binding(binding)?.clone()) {
            Value::Array(items) => Ok(items.into_iter().map(unwrap).collect()),
            one @ Value::Object(_) => Ok(vec![one]),
            _ => Err(EnvelopeError::WrongShape { binding, expected: "an array of messages" }),
        }
    }

    /// An HTTP request in envelope mode.
    ///
    /// # Errors
    /// When the binding is missing or is no request object.
    pub fn http(&self, binding: &'static str) -> Result<HttpCall, EnvelopeError> {
        let Value::Object(request) = unwrap(self.binding(binding)?.clone()) else {
            return Err(EnvelopeError::WrongShape { binding, expected: "an HTTP request object" });
        };
        let method = request.get("Method").and_then(Value::as_str);
        let (Some(method), Some(url)) = (method, request.get("Url").and_then(Value::as_str)) else {
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
            Value::String(text) => {
                Some(serde_json::from_str::<String>(text).unwrap_or_else(|_| text.clone()))
            }
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    fn binding(&self, binding: &'static str) -> Result<&Value, EnvelopeError> {
        self.data.get(binding).ok_or(EnvelopeError::NoBinding { binding })
    }
}

/// Opens strings that contain JSON, a bounded number of times. Only for what opens to an object, an array or a string:
/// the text payload `123` stays a text.
pub fn unwrap(mut value: Value) -> Value {
    for _ in 0..UNWRAPS_MAX {
        let opened = match &value {
            Value::String(text) => serde_json::from_str::<Value>(text).ok(),
            _ => None,
        };
        match opened {
            Some(inner @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => value = inner,
            _ => break,
        }
    }
    value
}

fn headers_of(headers: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(headers)) = headers else { return BTreeMap::new() };
    headers
        .iter()
        .map(|(name, values)| {
            let value = match values {
                Value::Array(values) => {
                    values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
                }
                Value::String(value) => value.clone(),
                other => other.to_string(),
            };
            (name.to_ascii_lowercase(), value)
        })
        .collect()
}

fn scalars_of(fields: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(fields)) = fields else { return BTreeMap::new() };
    fields.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
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
fn body_of(body: Option<&Value>, content_type: Option<&str>) -> Vec<u8> {
    let binary = content_type.is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.starts_with("application/octet-stream") || kind.starts_with("multipart/")
    });
    match body {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if binary => {
            base64::decode(text).unwrap_or_else(|| text.as_bytes().to_vec())
        }
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        // Not what the host does today; a body that arrives opened is the same body.
        Some(opened) => opened.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(data: &Value) -> Envelope {
        Envelope::parse(json!({ "Data": data, "Metadata": {} }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn opens_json_in_strings_and_leaves_text_alone() {
        for (wrapped, expected) in [
            (json!("\"aaaaa\""), json!("aaaaa")),
            (json!("\"{\\\"a\\\":1}\""), json!({"a": 1})),
            (json!("[{\"id\":\"x\"}]"), json!([{"id": "x"}])),
            (json!("123"), json!("123")),
            (json!("true"), json!("true")),
            (json!({"a": "1"}), json!({"a": "1"})),
        ] {
            assert_eq!(unwrap(wrapped.clone()), expected, "{wrapped}");
        }
    }

    #[test]
    fn stops_to_open_after_the_bound() {
        let mut text = json!({"deep": true}).to_string();
        for _ in 0..5 {
            text = Value::String(text).to_string();
        }
        assert!(unwrap(Value::String(text)).is_string());
    }

    #[test]
    fn one_message_that_is_no_json_spoils_nothing_for_the_others() {
        let batch = envelope(&json!({"events": "[\"{\\\"a\\\":1}\",\"not json\"]"})).batch("events").unwrap();
        assert_eq!(batch, [json!({"a": 1}), json!("not json")]);
    }

    #[test]
    fn a_request_has_its_path_query_headers_and_body_whatever_the_encoding() {
        let call = envelope(&json!({"req": {
            "Url": "https://cordon.example/api/healthz/ungated?a=1%202&b=x",
            "Method": "post",
            "Headers": {"X-Forwarded-For": ["10.0.0.1", "10.0.0.2"], "Content-Type": ["application/octet-stream"]},
            "Body": "eyJhIjoxfQ=="
        }}))
        .http("req")
        .unwrap();
        assert_eq!((call.method.as_str(), call.route()), ("POST", "healthz/ungated"));
        assert_eq!(call.query["a"], "1 2");
        assert_eq!(call.header("x-forwarded-for"), Some("10.0.0.1, 10.0.0.2"));
        assert_eq!(call.body, b"{\"a\":1}");
    }

    #[test]
    fn an_absent_body_is_empty_and_a_text_body_is_itself() {
        let request =
            |body: &Value| json!({"req": {"Url": "/api/x", "Method": "POST", "Headers": {}, "Body": body}});
        assert_eq!(envelope(&request(&Value::Null)).http("req").unwrap().body, b"");
        assert_eq!(envelope(&request(&json!("test"))).http("req").unwrap().body, b"test");
    }

    #[test]
    fn names_the_binding_that_is_missing() {
        let error = envelope(&json!({"other": 1})).timer("timer").unwrap_err();
        assert!(error.to_string().contains("\"timer\""), "{error}");
    }
}
