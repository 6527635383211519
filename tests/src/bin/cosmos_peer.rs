//! The stores in Cosmos DB over an emulator of another maker (`@vercel/cosmosdb-server`), by real HTTP: a second opinion on
//! single operations. Its batch is not atomic, so the ledger's commits are left out; it reads a query of one partition over all of
//! them, so the audit of two workloads is. `tests/tests/cosmos.rs` has both.
//!
//! `cargo run -p tests --bin cosmos_peer -- http://127.0.0.1:PORT`. `cargo xtask verify` installs and starts the server.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use adapters::cosmos::emulator::account_over_http;
use adapters::cosmos::{CosmosAccount, CosmosAudit, CosmosGates, CosmosLedger};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tests::conformance::fixtures::workload;
use tests::conformance::{gate_conformance, one_workload_audit_conformance, single_operation_conformance};
use tokio::net::TcpListener;

/// Each rule of the suites wants an empty store, and each store is a database; more than there are rules.
const DATABASES: u32 = 24;

/// Longest body that the shim takes, in bytes: the service's own bound.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Headers that are one connection's affair.
const HOP_BY_HOP: [&str; 4] = ["connection", "transfer-encoding", "content-length", "host"];

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the server lacks to be taken for the service.
struct Shim {
    server: String,
    own: String,
    http: reqwest::Client,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(server) = std::env::args().nth(1) else {
        eprintln!("name the server's address: http://127.0.0.1:PORT");
        return ExitCode::from(2);
    };
    match run(server.trim_end_matches('/').to_owned()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(server: String) -> Result<(), Failure> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let own = format!("http://{}", listener.local_addr()?);
    for number in 0..DATABASES {
        create(&http, &format!("{server}/dbs"), &json!({ "id": database(number) })).await?;
        for container in ["ledger", "gates", "audit"] {
            let key = json!({ "paths": ["/workload"], "kind": "Hash", "version": 2 });
            let body = json!({ "id": container, "partitionKey": key });
            create(&http, &format!("{server}/dbs/{}/colls", database(number)), &body).await?;
        }
    }
    let shim = Arc::new(Shim { server, own: own.clone(), http });
    let front = Router::new().fallback(forward).with_state(shim);
    tokio::spawn(async move { axum::serve(listener, front).await });

    let used = AtomicU32::new(0);
    let account = || -> CosmosAccount {
        let number = used.fetch_add(1, Ordering::Relaxed);
        assert!(number < DATABASES, "there are more rules than databases");
        account_over_http(&own, database(number)).expect("the shim's address is one")
    };
    // A rule that does not hold panics and names itself.
    single_operation_conformance(|| CosmosLedger::new(account())).await;
    println!("4 rules of the ledger hold (single operations; the 22 with commits want an atomic batch)");
    gate_conformance(|| CosmosGates::new(account(), workload())).await;
    println!("10 rules of the gates hold");
    one_workload_audit_conformance(|| CosmosAudit::new(account())).await;
    println!("3 rules of the audit hold (the one with two workloads wants queries of one partition)");
    Ok(())
}

fn database(number: u32) -> String {
    format!("cordon-{number}")
}

async fn create(http: &reqwest::Client, url: &str, body: &Value) -> Result<(), Failure> {
    let response = http.post(url).json(body).send().await?;
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(format!("{url} answered {status}").into()) }
}

async fn forward(State(shim): State<Arc<Shim>>, request: Request) -> Response {
    match shim.answer(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Shim {
    async fn answer(&self, request: Request) -> Result<Response, Failure> {
        let (parts, body) = request.into_parts();
        let (path, method) = (parts.uri.path().to_owned(), parts.method.clone());
        if path.ends_with("/pkranges") {
            return Ok(ranges(parts.headers.get("if-none-match")));
        }
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut asked = self.http.request(parts.method, format!("{}{path}{query}", self.server));
        for (name, value) in parts.headers.iter().filter(|(name, _)| !is_hop_by_hop(name)) {
            asked = asked.header(name, value);
        }
        let answered = asked.body(to_bytes(body, BODY_BYTES_MAX).await?).send().await?;
        let (mut status, headers) = (answered.status(), answered.headers().clone());
        let mut text = answered.text().await?;
        if status == StatusCode::INTERNAL_SERVER_ERROR && text.contains("Cannot read properties of undefined")
        {
            // A document that is not there makes the server fall over it; the service says 404.
            status = StatusCode::NOT_FOUND;
        }
        if path == "/" && method == Method::GET {
            text = self.with_own_addresses(&text)?;
        }
        let mut response = Response::builder().status(status);
        for (name, value) in headers.iter().filter(|(name, _)| !is_hop_by_hop(name)) {
            response = response.header(name, value);
        }
        Ok(response.body(Body::from(text))?)
    }

    /// It says https of itself also when it speaks http.
    fn with_own_addresses(&self, text: &str) -> Result<String, Failure> {
        let mut account: Value = serde_json::from_str(text)?;
        for locations in ["writableLocations", "readableLocations"] {
            for location in account[locations].as_array_mut().into_iter().flatten() {
                location["databaseAccountEndpoint"] = json!(format!("{}/", self.own));
            }
        }
        Ok(account.to_string())
    }
}

/// The ranges of a container's key space. The server has one for each container too, with a number for its id, and gives it
/// again where the service says that nothing changed, so that the client would ask without end.
fn ranges(known: Option<&HeaderValue>) -> Response {
    let etag = [("etag", "\"1\"")];
    if known.is_some() {
        return (StatusCode::NOT_MODIFIED, etag).into_response();
    }
    let range =
        json!({ "id": "0", "minInclusive": "", "maxExclusive": "FF", "status": "online", "parents": [] });
    (etag, axum::Json(json!({ "PartitionKeyRanges": [range], "_count": 1 }))).into_response()
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}
