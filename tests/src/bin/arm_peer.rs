//! Our ARM client against Microsoft's test server for generated clients: long-running operations in every form that ARM knows,
//! paging, retries, and answers that are wrong. `cargo xtask verify` installs and starts the server.
//!
//! `cargo run -p tests --bin arm_peer -- http://127.0.0.1:PORT`. Exit code 1 if an outcome is not the expected one.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adapters::azure::arm::{Accepted, ArmClient, ArmEndpoint, OperationStatus, OperationUrl, ResourceId};
use adapters::azure::credential::StaticCredential;
use async_trait::async_trait;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request, StatusCode};
use serde_json::{Value, json};

/// The server's paths are no resource ids; below this they are.
const UNDER: &str = "/subscriptions/peer";

/// What the client believes to talk to; it follows addresses nowhere else.
const ARM: &str = "https://management.azure.com";

/// Looks at one operation. The server's need two or three.
const LOOKS_MAX: u32 = 12;

/// What an operation or a list came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Done with the first answer.
    Done,
    /// Done after looking at it.
    Succeeded,
    /// Looked at, and it failed or was cancelled.
    Failed,
    /// An error: refused, or an answer that nobody can go by.
    Error,
    /// This many items.
    Items(usize),
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Put(&'static str),
    Patch(&'static str),
    Post(&'static str, &'static str),
    List(&'static str, &'static str),
}

use End::{Done, Error, Failed, Items, Succeeded};
use Sent::{List, Patch, Post, Put};

const CASES: [(Sent, End); 47] = [
    (Put("put/200/succeeded"), Done),
    (Put("put/201/succeeded"), Done),
    (Put("put/200/succeeded/nostate"), Done),
    (Patch("patch/200/succeeded/ignoreheaders"), Done),
    (Patch("patch/201/retry/onlyAsyncHeader"), Succeeded),
    (Patch("patch/202/retry/asyncAndLocationHeader"), Succeeded),
    (Put("put/202/retry/200"), Succeeded),
    (Put("put/201/creating/succeeded/200"), Succeeded),
    (Put("put/200/updating/succeeded/200"), Succeeded),
    (Put("put/201/created/failed/200"), Failed),
    (Put("put/200/accepted/canceled/200"), Failed),
    (Put("put/noheader/202/200"), Succeeded),
    (Put("putasync/retry/succeeded"), Succeeded),
    (Put("putasync/noretry/succeeded"), Succeeded),
    (Put("putasync/retry/failed"), Failed),
    (Put("putasync/noretry/canceled"), Failed),
    (Put("putasync/noheader/201/200"), Succeeded),
    (Put("putsubresource/202/200"), Succeeded),
    (Put("putsubresourceasync/202/200"), Succeeded),
    (Put("putnonresource/202/200"), Succeeded),
    (Put("putnonresourceasync/202/200"), Succeeded),
    (Post("post/202/retry", "200"), Succeeded),
    (Post("post/202/noretry", "204"), Succeeded),
    (Post("postasync/retry", "succeeded"), Succeeded),
    (Post("postasync/noretry", "succeeded"), Succeeded),
    (Post("postasync/retry", "failed"), Failed),
    (Post("postasync/retry", "canceled"), Failed),
    // 500 first: a write that states a wish is sent again by itself, an action is the ledger's to repeat.
    (Put("retryerror/put/201/creating/succeeded/200"), Succeeded),
    (Put("retryerror/putasync/retry/succeeded"), Succeeded),
    (Post("retryerror/post/202/retry", "200"), Error),
    (Put("nonretryerror/put/400"), Error),
    (Put("nonretryerror/put/201/creating/400"), Failed),
    (Put("nonretryerror/put/201/creating/400/invalidjson"), Failed),
    (Put("nonretryerror/putasync/retry/400"), Failed),
    (Post("nonretryerror/post", "400"), Error),
    (Post("nonretryerror/post/202/retry", "400"), Failed),
    // Microsoft's clients fail here. Ours takes an answer without a status for the end, as App Service's addresses need it,
    // and then reads back what was written.
    (Put("error/putasync/retry/nostatus"), Succeeded),
    (Put("error/putasync/retry/nostatuspayload"), Succeeded),
    (Put("error/put/200/invalidjson"), Error),
    (Put("error/putasync/retry/invalidheader"), Error),
    (Put("error/putasync/retry/invalidjsonpolling"), Error),
    (List("paging", "noitemname"), Items(1)),
    (List("paging", "single"), Items(1)),
    (List("paging", "multiple"), Items(10)),
    (List("paging", "multiple/retryfirst"), Items(10)),
    (List("paging", "multiple/retrysecond"), Items(10)),
    (List("paging", "multiple/failure"), Error),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(server) = std::env::args().nth(1) else {
        eprintln!("name the test server's address: http://127.0.0.1:PORT");
        return ExitCode::from(2);
    };
    let mut wrong = 0;
    for (sent, expected) in CASES {
        // A client each: the server tells its callers apart by cookies.
        let http = Arc::new(Peer {
            server: server.trim_end_matches('/').to_owned(),
            http: reqwest::Client::builder().no_proxy().build().expect("build a client"),
            cookies: Mutex::default(),
        });
        let endpoint = ArmEndpoint::public_cloud().expect("the public cloud");
        let arm = ArmClient::new(endpoint, Arc::new(StaticCredential::new("peer")), http);
        let (end, why) = play(&arm, sent).await;
        if end != expected {
            wrong += 1;
            println!("{sent:?}: {end:?}, expected {expected:?} ({why})");
        }
    }
    println!("{} of {} as expected", CASES.len() - wrong, CASES.len());
    ExitCode::from(u8::from(wrong > 0))
}

async fn play(arm: &ArmClient, sent: Sent) -> (End, String) {
    let body = json!({ "location": "West US", "properties": {} });
    let id = |path: &str| ResourceId::parse(&format!("{UNDER}/{path}")).expect("an id");
    let accepted = match sent {
        Put(path) => arm.put(&id(&format!("lro/{path}")), "1", &body).await,
        Patch(path) => arm.patch(&id(&format!("lro/{path}")), "1", &body).await,
        Post(path, action) => arm.post(&id(&format!("lro/{path}")), action, "1", &body).await,
        List(path, collection) => {
            return match arm.list(&id(path), collection, "1").await {
                Ok(items) => (Items(items.len()), String::new()),
                Err(error) => (Error, error.to_string()),
            };
        }
    };
    match accepted {
        Ok(Accepted::Done(_)) => (Done, String::new()),
        Ok(Accepted::Running { operation, .. }) => follow(arm, &operation).await,
        Err(error) => (Error, error.to_string()),
    }
}

async fn follow(arm: &ArmClient, operation: &OperationUrl) -> (End, String) {
    let mut operation = operation.clone();
    for _ in 0..LOOKS_MAX {
        match arm.poll(&operation).await {
            Ok(OperationStatus::Running { moved, .. }) => {
                operation = moved.unwrap_or(operation);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(OperationStatus::Succeeded) => return (Succeeded, String::new()),
            Ok(OperationStatus::Failed { code, message }) => return (Failed, format!("{code}: {message}")),
            Err(error) => return (Error, error.to_string()),
        }
    }
    (Error, format!("still running after {LOOKS_MAX} looks"))
}

/// Carries requests to the server and its addresses back, as if it were ARM.
#[derive(Debug)]
struct Peer {
    server: String,
    http: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

#[async_trait]
impl HttpClient for Peer {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let url = request.url();
        let path = url.path().strip_prefix(UNDER).unwrap_or(url.path());
        let address = format!("{}{path}?{}", self.server, url.query().unwrap_or_default());
        let method = request.method().to_string().parse().expect("a method");
        let Body::Bytes(body) = request.body() else { return Err(broken("a body that is a stream")) };
        let cookies: Vec<String> =
            self.known().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let sent = self
            .http
            .request(method, address)
            .header("content-type", "application/json")
            .header("cookie", cookies.join("; "))
            .body(body.clone());
        let response = sent.send().await.map_err(|error| broken(&error.to_string()))?;
        let status = StatusCode::from(response.status().as_u16());
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            let value = value.to_str().unwrap_or_default();
            if name == "set-cookie" {
                self.learn(value);
            } else {
                headers.insert(name.as_str().to_owned(), self.translated(value));
            }
        }
        let text = response.text().await.map_err(|error| broken(&error.to_string()))?;
        Ok(AsyncRawResponse::from_bytes(status, headers, self.page(&text)))
    }
}

impl Peer {
    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap_or_default();
        let Some((name, value)) = pair.split_once('=') else { return };
        if value.is_empty() {
            self.known().remove(name);
        } else {
            self.known().insert(name.to_owned(), value.to_owned());
        }
    }

    /// The server's addresses, in headers and pages, become ARM's.
    fn translated(&self, text: &str) -> String {
        text.replace(&self.server, &format!("{ARM}{UNDER}"))
    }

    /// Its older pages call the array `values`; ARM's call it `value`.
    fn page(&self, text: &str) -> String {
        let text = self.translated(text);
        match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(mut page)) if page.contains_key("values") => {
                let values = page.remove("values").unwrap_or_default();
                page.insert("value".to_owned(), values);
                Value::Object(page).to_string()
            }
            _ => text,
        }
    }
}

fn broken(why: &str) -> azure_core::Error {
    azure_core::Error::with_message(azure_core::error::ErrorKind::Io, why.to_owned())
}
