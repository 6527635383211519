//! Microsoft's JavaScript client of Cosmos DB reads an audit that we wrote: a drill with its stores in Microsoft's emulator, the
//! emulator behind a front that speaks HTTP, and the program that is named started with the front's address.
//!
//! `cargo run -p tests --bin audit_peer -- PROGRAM ARGUMENT..`. `cargo xtask verify` names `node tests/peers/cosmos-audit.mjs`.

use std::process::ExitCode;
use std::sync::Arc;

use adapters::cosmos::emulator::CosmosEmulator;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use azure_core::http::headers::HeaderName;
use cordon::assemble::StoreKind;
use cordon::drill::{self, Quiet};
use tests::{drills, peer};
use tokio::net::TcpListener;
use tokio::process::Command;

/// The drill: a loss and the whole return.
const SCENARIO: &str = "hard-loss-n1";

/// Longest request body that the front takes, in bytes: the service's own bound.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Headers that are one connection's affair.
const HOP_BY_HOP: [&str; 3] = ["connection", "transfer-encoding", "content-length"];

#[tokio::main]
async fn main() -> ExitCode {
    peer::run_named("reads the audit", run).await
}

async fn run(program: &str, arguments: Vec<String>) -> Result<bool, Box<dyn std::error::Error>> {
    let emulator = CosmosEmulator::new(Default::default())?;
    let mut options = drills::options(drills::scenario(SCENARIO));
    options.store = StoreKind::Account(emulator.account());
    let played = drill::play(&options, &mut Quiet).await?;
    let last = played.audit.last().ok_or("the drill left no audit")?;
    println!("{} audit records of {SCENARIO} in the emulator", played.audit.len());

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let front = Router::new().fallback(forward).with_state(Arc::new(emulator));
    tokio::spawn(async move { axum::serve(listener, front).await });
    let status = Command::new(program)
        .args(arguments)
        .env("CORDON_COSMOS", address)
        .env("CORDON_WORKLOAD", last.workload.as_str())
        .env("CORDON_RECORDS", played.audit.len().to_string())
        .env("CORDON_HEAD", &last.hash)
        .status()
        .await?;
    Ok(status.success())
}

/// Hands a request to the emulator as if it had come to the account's own address.
async fn forward(State(emulator): State<Arc<CosmosEmulator>>, request: Request) -> Response {
    match answer(&emulator, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn answer(
    emulator: &CosmosEmulator,
    request: Request,
) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let mut url = emulator.endpoint()?;
    url.set_path(parts.uri.path());
    url.set_query(parts.uri.query());
    let mut asked = azure_core::http::Request::new(url, parts.method.as_str().parse()?);
    for (name, value) in &parts.headers {
        asked.insert_header(HeaderName::from(name.as_str().to_owned()), value.to_str()?.to_owned());
    }
    asked.set_body(to_bytes(body, BODY_BYTES_MAX).await?);
    let answered = emulator.answer(&asked).await?.try_into_raw_response().await?;
    let mut response = Response::builder().status(u16::from(answered.status()));
    for (name, value) in answered.headers().iter() {
        if !HOP_BY_HOP.contains(&name.as_str()) {
            response = response.header(name.as_str(), value.as_str());
        }
    }
    Ok(response.body(Body::from(answered.into_body().as_ref().to_vec()))?)
}
