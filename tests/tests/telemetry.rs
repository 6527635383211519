//! Spans and metrics as a collector gets them: the production handler, and a collector over HTTP that reads what arrives.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use adapters::azure::credential::IdentityEnvironment;
use adapters::faulty::{Fault, FaultSwitch};
use axum::extract::Path;
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::edge::Page;
use cordon::page::OperatorPage;
use cordon::telemetry::{Telemetry, TelemetrySettings};
use serde_json::{Value, json};
use tests::fixtures;
use tests::host_double::HostDouble;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;

/// What the collector was sent, by signal.
type Sent = Arc<Mutex<BTreeMap<String, Vec<Value>>>>;

async fn collector(sent: Sent) -> String {
    let take = move |Path(signal): Path<String>, body: String| {
        let mut sent = sent.lock().unwrap();
        sent.entry(signal).or_default().push(serde_json::from_str(&body).unwrap());
        async { "{}" }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/v1/{signal}", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn settings(ledger_faults: FaultSwitch) -> ControllerSettings {
    ControllerSettings {
        policies: vec![fixtures::policy()],
        store: StoreKind::Memory,
        clock: ClockKind::Invocation,
        arm_base: None,
        arm_loopback: Some("http://127.0.0.1:9".into()),
        arm_token: Some("none".into()),
        identity: IdentityEnvironment::default(),
        stamp_key: "key".into(),
        instance: "test".into(),
        ledger_faults,
        gate_faults: FaultSwitch::new(),
    }
}

/// Every value below a key, however deep.
fn below<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|value| below(value, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| below(value, key, found)),
        _ => {}
    }
}

fn all<'a>(sent: &'a [Value], key: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    sent.iter().for_each(|body| below(body, key, &mut found));
    found
}

/// Names of the metrics that arrived, and of each the attributes of its points.
fn metrics(sent: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for metric in all(sent, "metrics").into_iter().filter_map(Value::as_array).flatten() {
        let attributes = all(std::slice::from_ref(metric), "attributes");
        let values = all(&attributes.into_iter().cloned().collect::<Vec<_>>(), "stringValue")
            .into_iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect::<Vec<_>>();
        metrics.entry(metric["name"].as_str().unwrap().to_owned()).or_default().extend(values);
    }
    metrics
}

#[tokio::test]
async fn a_collector_gets_spans_and_metrics_and_none_is_no_trouble() {
    let sent = Sent::default();
    let endpoint = collector(Arc::clone(&sent)).await;
    let telemetry = TelemetrySettings { endpoint, service: "cordon".into(), instance: "test".into() };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let telemetry = Telemetry::start(&telemetry, http).unwrap();
    let layers = tracing_subscriber::registry().with(telemetry.layer());
    // For this thread, on which everything of this test runs.
    let listening = tracing::subscriber::set_default(layers);
    let faults = FaultSwitch::new();
    let app = assemble::controller(&settings(faults.clone()), None).unwrap();
    let mut host = HostDouble::in_process(app).await.unwrap();
    host.set_clock("2026-03-10T09:40:30Z");
    let incident = fixtures::payload("action_group", "servicehealth-incident-several-regions");
    host.event_hub("azure_monitor_stream", &[incident.to_string()]).await.unwrap();
    host.event_hub("front_door_probe", &[json!({"records": []}).to_string()]).await.unwrap();
    host.timer("evaluate_timer").await.unwrap();
    faults.set(Fault::Unavailable);
    assert!(host.timer("evaluate_timer").await.is_err(), "the ledger is gone, and the host is told");
    drop(listening);
    telemetry.end().await;

    let sent = sent.lock().unwrap();
    let spans: BTreeSet<&str> = all(&sent["traces"], "spans")
        .into_iter()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|span| span["name"].as_str())
        .collect();
    assert!(spans.is_superset(&BTreeSet::from(["invocation", "store"])), "{spans:?}");
    let metrics = metrics(&sent["metrics"]);
    for name in [
        "cordon.invocation.duration",
        "cordon.inbox.evidence",
        "cordon.inbox.items",
        "cordon.inbox.depth",
        "cordon.evaluation.duration",
        "cordon.evaluation.folded",
        "cordon.store.duration",
        "cordon.store.errors",
    ] {
        assert!(metrics.contains_key(name), "{name} is missing among {:?}", metrics.keys());
    }
    assert!(metrics["cordon.invocation.duration"].contains("azure_monitor_stream"), "{metrics:?}");
    assert!(metrics["cordon.store.errors"].contains("unavailable"), "{metrics:?}");
    let services: BTreeSet<_> = all(&sent["traces"], "resource").into_iter().map(Value::to_string).collect();
    assert!(services.iter().all(|service| service.contains("service.name")), "{services:?}");
}

#[tokio::test]
async fn a_collector_that_is_not_there_stops_nothing() {
    let gone = TelemetrySettings {
        endpoint: "http://127.0.0.1:9/".into(),
        service: "cordon".into(),
        instance: "test".into(),
    };
    let telemetry = Telemetry::start(&gone, reqwest::Client::new()).unwrap();
    let listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(telemetry.layer()));
    let app = assemble::controller(&settings(FaultSwitch::new()), None).unwrap();
    let host = HostDouble::in_process(app).await.unwrap();
    host.timer("evaluate_timer").await.unwrap();
    drop(listening);
    telemetry.end().await;
}

/// What a log got, one line of JSON each.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// With the ledger away for minutes whoever looks at the page, at the log or at the metrics is told; that nothing acts
/// meanwhile is in `refused.rs`.
#[tokio::test]
async fn a_ledger_that_refuses_everything_for_minutes_is_told_by_the_page_the_log_and_the_metrics() {
    let sent = Sent::default();
    let endpoint = collector(Arc::clone(&sent)).await;
    let telemetry = TelemetrySettings { endpoint, service: "cordon".into(), instance: "test".into() };
    let telemetry =
        Telemetry::start(&telemetry, reqwest::Client::builder().no_proxy().build().unwrap()).unwrap();
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
    let lines = lines.with_filter(tracing_subscriber::filter::LevelFilter::INFO);
    let listening =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(telemetry.layer()).with(lines));
    let faults = FaultSwitch::new();
    let page: Arc<dyn Page> = Arc::new(OperatorPage::reading_only());
    let app = assemble::controller(&settings(faults.clone()), Some(page)).unwrap();
    let mut host = HostDouble::in_process(app).await.unwrap();
    host.set_clock("2026-03-10T09:40:00Z");
    host.timer("evaluate_timer").await.unwrap();
    faults.set(Fault::Unavailable);
    for minute in 41..=45 {
        host.set_clock(&format!("2026-03-10T09:{minute}:00Z"));
        for timer in ["observe_stamps", "cosmos_region_status", "evaluate_timer"] {
            assert!(host.timer(timer).await.is_err(), "{timer} in minute {minute}: the host is told");
        }
        for page in ["status", "audit", "state.json"] {
            let (status, body) =
                host.forward("GET", &format!("/api/operator/{page}"), &[], "").await.unwrap();
            assert_eq!(status, 503, "{page} in minute {minute}");
            assert!(body.contains("ledger"), "{page}: {body}");
        }
        let (_, status) = host.forward("GET", "/api/operator/status", &[], "").await.unwrap();
        for said in ["The ledger cannot be read", "Gates, origins and floors stay as they are"] {
            assert!(status.contains(said), "{said}: {status}");
        }
    }
    faults.set(Fault::Available);
    host.set_clock("2026-03-10T09:46:00Z");
    host.timer("evaluate_timer").await.unwrap();
    drop(listening);
    telemetry.end().await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let logged: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (said, least) in [("an invocation failed", 15), ("the page cannot read the ledger", 5)] {
        let errors = logged.iter().filter(|line| line["level"] == "ERROR" && line.to_string().contains(said));
        let errors: Vec<_> = errors.collect();
        assert!(errors.len() >= least, "{said}: {} times in {text}", errors.len());
        assert!(
            errors.iter().all(|line| line.to_string().contains("switched off by the drill")),
            "with its cause"
        );
    }
    let metrics = metrics(&sent.lock().unwrap()["metrics"]);
    for call in ["state", "load"] {
        assert!(metrics["cordon.store.errors"].contains(call), "{call}: {metrics:?}");
    }
    assert!(metrics["cordon.store.errors"].contains("unavailable"), "{metrics:?}");
    for timer in ["observe_stamps", "cosmos_region_status", "evaluate_timer"] {
        assert!(metrics["cordon.invocation.duration"].contains(timer), "{timer}: {metrics:?}");
    }
}
