//! What the host gets back: always the same three fields, always JSON, never empty.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{HttpBody, HttpOutcome, HttpReply};

/// The reply to one invocation. An empty or `null` body would leave the host waiting until its time-out and then kill
/// this process (contracts/AZURE.md 1.5), so there is no way to build one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reply {
    outputs: Map<String, Value>,
    logs: Vec<String>,
    /// Always there, and always `null`: our functions bind their outputs by name.
    return_value: (),
}

impl Reply {
    /// Adds an output. Only objects: the host silently base64-decodes any string that happens to be valid base64.
    #[must_use]
    pub fn with_output(mut self, binding: &str, fields: Map<String, Value>) -> Self {
        self.outputs.insert(binding.to_owned(), Value::Object(fields));
        self
    }

    /// Adds a line to the host's log.
    #[must_use]
    pub fn with_log(mut self, line: impl Into<String>) -> Self {
        self.logs.push(line.into());
        self
    }
}

impl From<HttpOutcome> for Reply {
    /// An HTTP answer as the output `res`.
    fn from(outcome: HttpOutcome) -> Self {
        let HttpReply { status, headers, body } = outcome.reply;
        let mut fields: Map<String, Value> =
            headers.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        let body = match body {
            HttpBody::Empty => Value::String(String::new()),
            HttpBody::Json(value) => {
                fields.insert("Content-Type".into(), "application/json".into());
                value
            }
            HttpBody::Text { content_type, text } => {
                fields.insert("Content-Type".into(), content_type.into());
                Value::String(text)
            }
        };
        let res = json!({ "statusCode": status, "headers": fields, "body": body });
        let mut reply = outcome.outputs;
        reply.outputs.insert("res".into(), res);
        reply
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, &self)
    }
}

impl IntoResponse for HttpReply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self.body {
            HttpBody::Empty => status.into_response(),
            HttpBody::Json(value) => json_response(status, &value),
            HttpBody::Text { content_type, text } => {
                (status, [(header::CONTENT_TYPE, content_type)], text).into_response()
            }
        };
        for (name, value) in self.headers {
            // A header that cannot be written is dropped: the answer matters more.
            if let (Ok(name), Ok(value)) =
                (header::HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
            {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    // Neither a reply nor a value can fail to be written: their names are texts. An empty body is the one thing that the host
    // must never see.
    let text = serde_json::to_vec(body).unwrap_or_else(|_| b"{}".to_vec());
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(reply: &Reply) -> Value {
        serde_json::to_value(reply).unwrap()
    }

    #[test]
    fn the_triple_is_always_complete() {
        assert_eq!(document(&Reply::default()), json!({"Outputs": {}, "Logs": [], "ReturnValue": null}));
    }

    #[test]
    fn an_http_answer_travels_as_res_beside_the_other_outputs() {
        let outputs = Reply::default().with_output("wakeup", Map::new()).with_log("one");
        let reply = Reply::from(HttpOutcome {
            reply: HttpReply::json(202, json!({"accepted": 1})).with_header("Retry-After", "5"),
            outputs,
        });
        assert_eq!(
            document(&reply)["Outputs"],
            json!({
                "wakeup": {},
                "res": {
                    "statusCode": 202,
                    "headers": {"Retry-After": "5", "Content-Type": "application/json"},
                    "body": {"accepted": 1}
                }
            })
        );
    }
}
