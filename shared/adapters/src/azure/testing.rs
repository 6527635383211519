//! A scripted transport: a queue of answers, and a record of what was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request, StatusCode};
use serde_json::Value;

use super::arm::{ArmClient, ArmEndpoint, ResourceId};
use super::credential::StaticCredential;

/// One canned answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// None: the connection fails.
    status: Option<u16>,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
}

impl Answer {
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status: Some(status), headers: vec![], body: body.into(), after: Duration::ZERO }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::text(status, "")
    }

    pub(crate) fn unreachable() -> Self {
        Self { status: None, ..Self::empty(0) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer takes so long.
    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// One request that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) line: String,
    pub(crate) headers: Headers,
    pub(crate) body: Value,
}

/// Answers in the order of the script; a request beyond its end fails the test.
#[derive(Debug)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Answer>>,
    sent: Mutex<Vec<Sent>>,
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), sent: Mutex::default() })
    }

    /// Method and address of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.line).collect()
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

#[async_trait]
impl HttpClient for Script {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let Body::Bytes(body) = request.body() else { panic!("a streamed body") };
        self.sent.lock().unwrap().push(Sent {
            line: format!("{} {}", request.method(), request.url()),
            headers: request.headers().clone(),
            body: serde_json::from_slice(body).unwrap_or_default(),
        });
        let answer =
            self.answers.lock().unwrap().pop_front().expect("a request beyond the end of the script");
        tokio::time::sleep(answer.after).await;
        let Some(status) = answer.status else {
            return Err(azure_core::Error::with_message(ErrorKind::Connection, "connection refused"));
        };
        let mut headers = Headers::new();
        for (name, value) in answer.headers {
            headers.insert(name, value);
        }
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), headers, answer.body))
    }
}

/// A client of the public cloud whose wire is the script.
pub(crate) fn arm(script: &Arc<Script>) -> ArmClient {
    let endpoint = ArmEndpoint::public_cloud().unwrap();
    ArmClient::new(endpoint, Arc::new(StaticCredential::new("test-token")), script.clone())
}

pub(crate) fn id(text: &str) -> ResourceId {
    ResourceId::parse(text).unwrap()
}
