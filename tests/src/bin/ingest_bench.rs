//! How many events an ingest function takes per second of one core, beside a bare route that only parses, and beside handlers
//! in Node and Python that do the same normalisation (`tests/bench`).
//!
//! `cargo run --release -p tests --bin ingest_bench [-- SERVER..]`, all of them or some of `bare`, `memory`, `durable`,
//! `handler.mjs`, `handler.py`. Prints; judges nothing. Every event is a new one. The servers take turns, so that what
//! else runs on the machine meets all of them; each has one thread. The bare route and ours have the allocator of the
//! packaged program.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use adapters::azure::credential::IdentityEnvironment;
use axum::Router;
use axum::body::Bytes;
use axum::routing::post as route;
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::edge::{App, Role, router};
use domain::Timestamp;
use domain::state::WorkloadState;
use domain::{OperationId, Transition};
use serde_json::Value;
use tests::bench::{Server, post};
use tests::conformance::fixtures::TempDir;
use tests::fixtures;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What this process is to be.
const SERVER: &str = "CORDON_BENCH_SERVER";

/// When the payloads happened, and some minutes more.
const NOW: &str = "2026-03-10T09:40:30Z";

/// Events of one measurement: in memory, and made durable one by one.
const EVENTS: u64 = 40_000;
const EVENTS_DURABLE: u64 = 4_000;

/// Measurements of each; the median is printed.
const ROUNDS: usize = 5;

/// Text in the payloads that a number replaces, so that each event is a new one.
const MARK: &str = "EVENT-NUMBER";

/// What is posted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Payload {
    ProbeLog,
    ServiceHealth,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    match std::env::var(SERVER).as_deref() {
        Ok("bare") => {
            let parse = async |body: Bytes| match serde_json::from_slice::<Value>(&body) {
                Ok(_) => (axum::http::StatusCode::OK, "{}"),
                Err(_) => (axum::http::StatusCode::BAD_REQUEST, "{}"),
            };
            serve(Router::new().route("/{*path}", route(parse))).await;
        }
        Ok("durable") => {
            let directory = TempDir::new();
            serve(router(app(StoreKind::Embedded(directory.path().to_owned())).await)).await;
        }
        Ok(_) => serve(router(app(StoreKind::Memory).await)).await,
        Err(_) => measure().await,
    }
}

async fn measure() {
    let own = std::env::current_exe().expect("find this executable");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
    let only: Vec<String> = std::env::args().skip(1).collect();
    let servers = [
        ("bare axum, parses only", own.as_path(), "bare"),
        ("cordon, ledger in memory", &own, "memory"),
        ("cordon, each event durable first", &own, "durable"),
        ("node", Path::new("node"), "handler.mjs"),
        ("python", Path::new("python3"), "handler.py"),
    ];
    let servers: Vec<_> = servers
        .into_iter()
        .filter(|(.., argument)| only.is_empty() || only.iter().any(|wanted| wanted == argument))
        .collect();
    println!("| payload | server | requests per second of one core | beside the bare route |");
    println!("| --- | --- | --- | --- |");
    for (payload, name) in
        [(Payload::ProbeLog, "probe log batch"), (Payload::ServiceHealth, "Service Health alert")]
    {
        let mut rates = vec![Vec::new(); servers.len()];
        for _ in 0..ROUNDS {
            for ((_, program, argument), rates) in servers.iter().zip(&mut rates) {
                let mut command = Command::new(program);
                if *program == own {
                    command.env(SERVER, argument);
                } else {
                    command.arg(scripts.join(argument));
                }
                rates.push(rate(&mut command, payload, argument).await);
            }
        }
        let bare = rates.first().map_or(f64::NAN, |rates| median(rates));
        for ((server, ..), rates) in servers.iter().zip(&rates) {
            let rate = median(rates);
            println!("| {name} | {server} | {rate:.0} | {:.0} % |", rate / bare * 100.0);
        }
    }
}

fn median(rates: &[f64]) -> f64 {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

async fn rate(command: &mut Command, payload: Payload, server: &str) -> f64 {
    let server_process = Server::start(command);
    let (path, text) = body(payload);
    let status = match (payload, server) {
        (Payload::ServiceHealth, "bare") | (Payload::ProbeLog, _) => 200,
        (Payload::ServiceHealth, _) => 202,
    };
    let events = if server == "durable" { EVENTS_DURABLE } else { EVENTS };
    let warm_up = text.clone();
    server_process
        .drive(events / 20, status, move |n| post(path, &warm_up.replace(MARK, &format!("warm-up-{n}"))))
        .await;
    server_process
        .drive(events, status, move |n| post(path, &text.replace(MARK, &n.to_string())))
        .await
        .per_core()
}

/// The fixture, as the host or the action group posts it, with a mark in what identifies the event.
fn body(payload: Payload) -> (&'static str, String) {
    match payload {
        Payload::ProbeLog => {
            let batch = fixtures::payload("probe_log", "batch-two-stamps-three-buckets").to_string();
            let batch = batch.replace("9642AEA07BA64675A0A7AD214ACF746E", MARK);
            let messages: Vec<Value> = serde_json::from_str(&batch).expect("the fixture is an array");
            let messages: Vec<String> = messages.iter().map(Value::to_string).collect();
            let events = serde_json::to_string(&messages).expect("text");
            let envelope = serde_json::json!({ "Data": { "events": events }, "Metadata": {} });
            ("/front_door_probe", envelope.to_string())
        }
        Payload::ServiceHealth => {
            let alert =
                fixtures::payload("action_group", "servicehealth-incident-several-regions").to_string();
            ("/api/azure_monitor_alert", alert.replace("11000099990003", MARK))
        }
    }
}

/// The controller, with the tests' policy and a ledger that knows the stamps.
async fn app(store: StoreKind) -> Arc<App> {
    let settings = ControllerSettings {
        policies: vec![fixtures::policy()],
        store,
        clock: ClockKind::Invocation,
        arm_base: None,
        arm_loopback: Some("http://127.0.0.1:9".into()),
        arm_token: Some("none".into()),
        identity: IdentityEnvironment { identity_endpoint: None, client_id: None },
        stamp_key: "key".into(),
        instance: "bench".into(),
        ledger_faults: Default::default(),
        gate_faults: Default::default(),
    };
    let app = assemble::controller(&settings, None).expect("the controller is assembled");
    let now = Timestamp::parse(NOW).expect("a time");
    app.invocation_clock.as_ref().expect("an invocation's clock").set(now);
    let controllers = match &app.role {
        Role::Controller(app) => &app.controllers,
        Role::Stamp(_) => return app,
    };
    let controller = controllers.only().expect("one workload");
    let mut state = WorkloadState::new(controller.policy.workload.name.clone(), 1, now);
    state.topology = fixtures::topology();
    state.operation = OperationId::new("bench");
    let first =
        Transition { parent: None, state, steps: vec![], forgotten: vec![], audit: None, consumed: vec![] };
    let committed = controller.ledger.commit(&first).await.expect("commit");
    assert_eq!(committed, adapters::CommitOutcome::Committed);
    app
}

async fn serve(router: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    println!("{}", listener.local_addr().expect("it is bound").port());
    axum::serve(listener, router).await.expect("serve");
}
