//! Microsoft's JavaScript publisher of Event Grid, and the CloudEvents project's own library, against our endpoints: the webhook
//! takes what they post as it comes, and a topic in between hands each event on as the Functions host does.
//!
//! `cargo run -p tests --bin event_peer -- PROGRAM ARGUMENT..`. `cargo xtask verify` names `node tests/peers/events.mjs`.

use std::process::ExitCode;
use std::sync::Arc;

use adapters::SystemClock;
use adapters::memory::{MemoryEpoch, MemoryPlaces};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use cordon::controller::{Cadence, Controller, Controllers, GatesRead};
use cordon::edge::entra::Callers;
use cordon::edge::{App, ControllerApp, Role};
use domain::policy::Speaker;
use domain::{EvidenceClass, ItemBody};
use serde_json::{Value, json};
use tests::fakes::{self, InboxLedger};
use tests::host_double::HostDouble;
use tests::{fixtures, peer};
use tokio::net::TcpListener;
use tokio::process::Command;

/// What Event Grid writes into each event of the topic; the publisher cannot.
const TOPIC: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/contoso-shoes/providers/Microsoft.EventGrid/topics/checkout";

/// The topic's key.
const KEY: &str = "dG9waWMta2V5";

struct Topic {
    host: HostDouble,
    ledger: Arc<InboxLedger>,
}

#[tokio::main]
async fn main() -> ExitCode {
    peer::run_named("publishes", run).await
}

async fn run(program: &str, arguments: Vec<String>) -> Result<bool, Box<dyn std::error::Error>> {
    let ledger = Arc::new(InboxLedger::new(fixtures::topology()));
    let host =
        HostDouble::in_process(Arc::new(app(Arc::clone(&ledger))?)).await.map_err(|breach| breach.0)?;
    let webhook = format!("{}/api/cloud_event", host.base());
    let topic = Router::new()
        .route("/api/events", post(publish))
        .route("/recorded", get(recorded))
        .with_state(Arc::new(Topic { host, ledger }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, topic).await });
    let status = Command::new(program)
        .args(arguments)
        .env("CORDON_WEBHOOK", webhook)
        .env("CORDON_TOPIC", base)
        .env("CORDON_TOPIC_KEY", KEY)
        .status()
        .await?;
    Ok(status.success())
}

/// The production router over a ledger that only remembers: what is recorded is the question here.
fn app(ledger: Arc<InboxLedger>) -> Result<App, Box<dyn std::error::Error>> {
    let mut policy = fixtures::policy();
    policy.speakers.push(Speaker { source: TOPIC.into(), class: EvidenceClass::Traffic, stamp: None });
    let controller = Controller {
        policy,
        clock: Arc::new(SystemClock),
        ledger,
        gates: Arc::new(fakes::Gates::default()),
        epoch: Arc::new(MemoryEpoch::new()),
        audit: Arc::new(fakes::Audit::default()),
        azure: fakes::azure_out_of_reach(),
        cadence: Cadence::default(),
        gates_read: GatesRead::default(),
        spool: None,
        instance: "peer".into(),
    };
    let role = Role::Controller(ControllerApp {
        controllers: Controllers::new(vec![Arc::new(controller)]).ok_or("one workload")?,
        outbound: reqwest::Client::builder().no_proxy().build()?,
        notifier: fakes::notifier(Arc::new(MemoryPlaces::default())),
        callers: Callers::with_keys(),
        page: None,
    });
    Ok(App { role, invocation_clock: None })
}

/// A topic with the function `event_grid_signal` subscribed to it: checks the key, writes itself into events of its own
/// schema, and hands on one event an invocation.
async fn publish(
    State(topic): State<Arc<Topic>>,
    headers: HeaderMap,
    Json(events): Json<Vec<Value>>,
) -> (StatusCode, String) {
    let key = headers.get("aeg-sas-key").and_then(|key| key.to_str().ok());
    if key != Some(KEY) {
        return (StatusCode::UNAUTHORIZED, "the topic's key is missing".to_owned());
    }
    for mut event in events {
        if event.get("specversion").is_none() {
            event["topic"] = json!(TOPIC);
            event["metadataVersion"] = json!("1");
        }
        if let Err(breach) = topic.host.event_grid("event_grid_signal", event).await {
            return (StatusCode::BAD_GATEWAY, breach.0);
        }
    }
    (StatusCode::OK, String::new())
}

/// What stands in the inbox: of each item what it says, or why it was refused.
async fn recorded(State(topic): State<Arc<Topic>>) -> Json<Value> {
    let items = topic.ledger.inbox().into_iter().map(|item| match item.body {
        ItemBody::Observed { signals, .. } => json!({ "id": item.id, "signals": signals }),
        ItemBody::Refused { refusal } => {
            json!({ "id": item.id, "refused": refusal.code, "why": refusal.note })
        }
        _ => json!({ "id": item.id }),
    });
    Json(items.collect())
}
