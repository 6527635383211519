//! The wire contract with the host, held against the router on loopback.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::sync::Arc;

use adapters::{Clock, ManualClock};
use async_trait::async_trait;
use cordon::controller::{Controller, Controllers};
use cordon::edge::{App, CALL_BODY_MAX, ControllerApp, HttpCall, HttpReply, Page, Role};
use domain::audit::AuditRecord;
use domain::{Generation, ItemBody, RefusalCode, Timestamp, WorkloadId};
use serde_json::{Value, json};
use tests::fakes::{Audit, Down, Gates, InboxLedger};
use tests::fixtures;
use tests::host_double::{HostDouble, check};

struct House {
    host: HostDouble,
    ledger: Arc<InboxLedger>,
    audit: Arc<Audit>,
    clock: Arc<ManualClock>,
}

struct BadPage;

#[async_trait]
impl Page for BadPage {
    async fn respond(&self, _: &Controllers, call: &HttpCall) -> HttpReply {
        assert!(call.route() != "operator/panic", "this page panics when asked to");
        HttpReply::text(200, format!("{} {}", call.method, call.route()))
    }
}

async fn house() -> House {
    house_with(|_| {}).await
}

async fn house_with(change: impl FnOnce(&mut domain::Policy)) -> House {
    let (app, ledger, audit, clock) = app(change);
    House { host: HostDouble::in_process(Arc::new(app)).await.unwrap(), ledger, audit, clock }
}

fn app(change: impl FnOnce(&mut domain::Policy)) -> (App, Arc<InboxLedger>, Arc<Audit>, Arc<ManualClock>) {
    app_with(change, None)
}

fn app_with(
    change: impl FnOnce(&mut domain::Policy),
    spool: Option<cordon::controller::Spool>,
) -> (App, Arc<InboxLedger>, Arc<Audit>, Arc<ManualClock>) {
    let mut policy = fixtures::policy();
    change(&mut policy);
    let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-03-10T09:40:30Z").unwrap()));
    let (ledger, audit) = (Arc::new(InboxLedger::new(fixtures::topology())), Arc::new(Audit::default()));
    let controller = Controller {
        policy,
        clock: clock.clone(),
        ledger: ledger.clone(),
        gates: Arc::new(Gates::default()),
        spool,
        epoch: Arc::new(adapters::memory::MemoryEpoch::new()),
        audit: audit.clone(),
        azure: tests::fakes::azure_out_of_reach(),
        cadence: cordon::controller::Cadence::default(),
        gates_read: cordon::controller::GatesRead::default(),
        instance: "test".into(),
    };
    let role = Role::Controller(ControllerApp {
        controllers: Controllers::new(vec![Arc::new(controller)]).unwrap(),
        outbound: reqwest::Client::builder().no_proxy().build().unwrap(),
        notifier: tests::fakes::notifier(Arc::new(adapters::memory::MemoryPlaces::default())),
        callers: cordon::edge::entra::Callers::with_keys(),
        page: Some(Arc::new(BadPage)),
    });
    (App { role, invocation_clock: Some(clock.clone()) }, ledger, audit, clock)
}

fn codes(ledger: &InboxLedger) -> Vec<RefusalCode> {
    ledger
        .inbox()
        .into_iter()
        .filter_map(|item| match item.body {
            ItemBody::Refused { refusal } => Some(refusal.code),
            _ => None,
        })
        .collect()
}

fn incident() -> Value {
    fixtures::payload("action_group", "servicehealth-incident-informational-level")
}

const POST_JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

#[tokio::test]
async fn an_alert_is_recorded_once_over_both_paths_and_wakes_the_evaluation_once() {
    let house = house().await;
    let first = house
        .host
        .http("azure_monitor_alert", "POST", "/api/azure_monitor_alert", POST_JSON, &incident().to_string())
        .await
        .unwrap();
    assert_eq!(first.http_status(), Some(202));
    assert_eq!(
        first.outputs["wakeup"],
        json!({"workload": "contoso-shoes", "reason": "azure_monitor_alert"})
    );
    let again = house.host.event_hub("azure_monitor_stream", &[incident().to_string()]).await.unwrap();
    assert!(!again.outputs.contains_key("wakeup"));
    assert_eq!(house.ledger.inbox().len(), 1);
}

#[tokio::test]
async fn every_trigger_is_read_as_the_host_encodes_it() {
    let House { host, ledger, .. } = house().await;
    for function in ["cosmos_region_status", "observe_stamps", "evaluate_timer"] {
        host.timer(function).await.unwrap();
    }
    host.queue("evaluate", "wakeup", &json!({"workload": "contoso-shoes", "reason": "test"})).await.unwrap();
    host.event_grid(
        "event_grid_signal",
        fixtures::payload("event_grid", "availability-unavailable-allow-listed"),
    )
    .await
    .unwrap();
    let probes = fixtures::payload("probe_log", "more-locations-than-a-note-holds");
    host.event_hub("front_door_probe", &[probes.to_string()]).await.unwrap();
    assert_eq!((ledger.inbox().len(), codes(&ledger)), (2, vec![]));
}

#[tokio::test]
async fn what_is_no_json_is_refused_and_recorded_and_spoils_nothing() {
    let House { host, ledger, .. } = house().await;
    let bad = host
        .http("azure_monitor_alert", "POST", "/api/azure_monitor_alert", &[], "{\"half\":")
        .await
        .unwrap();
    assert_eq!(bad.http_status(), Some(202));
    let empty = host.http("azure_monitor_alert", "POST", "/api/azure_monitor_alert", &[], "").await.unwrap();
    assert_eq!(empty.http_status(), Some(400));
    host.event_hub("azure_monitor_stream", &["not json".into(), incident().to_string()]).await.unwrap();
    assert_eq!(codes(&ledger), [RefusalCode::Malformed, RefusalCode::Malformed]);
    assert_eq!(ledger.inbox().len(), 3);
}

#[tokio::test]
async fn a_lost_ledger_is_a_503_to_the_caller_and_a_failed_invocation_to_the_host() {
    let House { host, ledger, .. } = house().await;
    ledger.set(Down::Unreachable);
    let alert = incident().to_string();
    let webhook = host
        .http("azure_monitor_alert", "POST", "/api/azure_monitor_alert", POST_JSON, &alert)
        .await
        .unwrap();
    assert_eq!(webhook.http_status(), Some(503), "action groups retry on 503 and never on 500");
    let stream = host.event_hub("azure_monitor_stream", std::slice::from_ref(&alert)).await.unwrap_err();
    assert!(stream.0.contains("status 503"), "{stream:?}");
    ledger.set(Down::No);
    host.event_hub("azure_monitor_stream", &[alert]).await.unwrap();
    assert_eq!(ledger.inbox().len(), 1);
}

#[tokio::test]
async fn with_a_data_directory_events_wait_for_a_lost_ledger_and_outlive_the_process() {
    let data = std::env::temp_dir().join(format!("cordon-events-{}", std::process::id()));
    let spool = || cordon::controller::Spool::below(&data, &fixtures::policy().workload.name);
    let (app, ledger, ..) = app_with(|_| {}, Some(spool()));
    let host = HostDouble::in_process(Arc::new(app)).await.unwrap();
    let alert = incident().to_string();
    let post = || host.http("azure_monitor_alert", "POST", "/api/azure_monitor_alert", POST_JSON, &alert);
    ledger.set(Down::Unreachable);
    let unknown = post().await.unwrap().http_status();
    assert_eq!(unknown, Some(503), "nobody can say yet whose event it is");
    ledger.set(Down::No);
    host.event_hub("azure_monitor_stream", &["not json".into()]).await.unwrap();
    assert_eq!(ledger.inbox().len(), 1);
    ledger.set(Down::Unreachable);
    for _ in 0..2 {
        assert_eq!(post().await.unwrap().http_status(), Some(202), "it is laid down, once");
    }
    host.event_hub("azure_monitor_stream", std::slice::from_ref(&alert)).await.unwrap();
    assert_eq!(ledger.inbox().len(), 1, "nothing of it is in the ledger");

    // Another process finds it. While the ledger is away it stays where it is.
    let directory = data.join("events").join(fixtures::policy().workload.name.as_str());
    std::fs::write(directory.join("noise.json"), "{").unwrap();
    let (app, ledger, ..) = app_with(|_| {}, Some(spool()));
    let Role::Controller(app) = &app.role else { panic!("a controller") };
    let controller = app.controllers.only().unwrap();
    let spool = controller.spool.as_ref().unwrap();
    ledger.set(Down::Unreachable);
    assert!(spool.drain(controller).await.is_err());
    ledger.set(Down::No);
    let mut left = 0;
    for _ in 0..2 {
        left += spool.drain(controller).await.unwrap();
    }
    assert_eq!((left, ledger.inbox().len()), (1, 1), "the same event thrice is one");
    assert!(directory.join("noise.refused").exists(), "and what is no event is put aside");

    // What the ledger will never take does not stand in the way of what comes after it.
    let events = |ending: &str| {
        let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|found| found == ending)).count()
    };
    let refused_before = events("refused");
    spool.put(&ledger.inbox()).await.unwrap();
    ledger.set(Down::Refusing);
    assert_eq!((spool.drain(controller).await.unwrap(), events("json")), (0, 0));
    assert_eq!(events("refused"), refused_before + 1, "and it is not lost");
    ledger.set(Down::No);

    // A directory that cannot be used keeps nobody from deciding.
    std::fs::remove_dir_all(&directory).unwrap();
    std::fs::write(&directory, "a file where the directory was").unwrap();
    assert!(spool.drain(controller).await.is_err());
    cordon::controller::evaluate(controller).await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
}

#[tokio::test]
async fn a_panic_is_one_500_and_the_next_call_is_answered() {
    let House { host, .. } = house().await;
    let (status, body) = host.forward("GET", "/api/operator/panic", &[], "").await.unwrap();
    assert_eq!(status, 500);
    assert!(serde_json::from_str::<Value>(&body).unwrap()["error"].is_string());
    assert_eq!(
        host.forward("GET", "/api/operator/x", &[], "").await.unwrap(),
        (200, "GET operator/x".into())
    );
}

#[tokio::test]
async fn unknown_functions_and_long_bodies_have_a_reason() {
    let House { host, .. } = house().await;
    for path in ["/nobody", "/stamp_health", "/api/nobody", "/api/healthz"] {
        let (status, body) = host.forward("POST", path, &[], "{\"Data\":{}}").await.unwrap();
        assert_eq!(status, 404, "{path}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"].is_string(), "{path}: {body}");
    }
    let long = "x".repeat(CALL_BODY_MAX + 1);
    let (status, _) = host.forward("POST", "/api/azure_monitor_alert", &[], long.clone()).await.unwrap();
    assert_eq!(status, 413);
    let enveloped =
        host.http("azure_monitor_alert", "POST", "/api/azure_monitor_alert", &[], &long).await.unwrap();
    assert_eq!(enveloped.http_status(), Some(413));
    let (status, _) = host.forward("POST", "/evaluate_timer", &[], "no envelope").await.unwrap();
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_forwarded_alert_is_the_same_as_an_enveloped_one() {
    let House { host, ledger, .. } = house().await;
    let (status, _) = host
        .forward("POST", "/api/azure_monitor_alert?code=k", POST_JSON, incident().to_string())
        .await
        .unwrap();
    assert_eq!((status, ledger.inbox().len()), (202, 1));
}

#[tokio::test]
async fn both_handshakes_are_answered() {
    let House { host, ledger, .. } = house().await;
    let origin = &[("WebHook-Request-Origin", "eventgrid.azure.net")];
    let options = host.http("cloud_event", "OPTIONS", "/api/cloud_event", origin, "").await.unwrap();
    assert_eq!(options.http_status(), Some(200));
    assert_eq!(options.outputs["res"]["headers"]["WebHook-Allowed-Origin"], "eventgrid.azure.net");
    let hello = fixtures::payload("event_grid", "sample-subscription-validation-eventgridschema");
    let hello = host.http("cloud_event", "POST", "/api/cloud_event", &[], &hello.to_string()).await.unwrap();
    assert_eq!(hello.http_status(), Some(200));
    assert_eq!(
        hello.http_body(),
        Some(&json!({"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}))
    );
    assert_eq!(ledger.inbox().len(), 0);
}

#[tokio::test]
async fn a_cloud_event_counts_in_structured_and_in_binary_mode() {
    let House { host, ledger, .. } = house().await;
    let event = fixtures::payload("event_grid", "publisher-allow-listed");
    host.http("cloud_event", "POST", "/api/cloud_event", &[], &event.to_string()).await.unwrap();
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "p-1"),
        ("ce-source", "/contoso/checkout-monitor"),
        ("ce-type", "com.contoso.checkout.errors"),
        ("ce-time", "2026-03-10T09:33:20Z"),
    ];
    let body = event["data"].to_string();
    host.http("cloud_event", "POST", "/api/cloud_event", &headers, &body).await.unwrap();
    assert_eq!((ledger.inbox().len(), codes(&ledger)), (1, vec![]), "one event, delivered in both modes");
}

#[tokio::test]
async fn the_invocation_sets_the_clock_of_a_drill() {
    let mut house = house().await;
    house.host.set_clock("2026-03-10T09:41:00Z");
    house.host.event_hub("azure_monitor_stream", &[incident().to_string()]).await.unwrap();
    let at = Timestamp::parse("2026-03-10T09:41:00Z").unwrap();
    assert_eq!((house.clock.now(), house.ledger.inbox()[0].received_at), (at, at));
}

fn record(seq: u64) -> AuditRecord {
    AuditRecord {
        id: String::new(),
        schema: 1,
        workload: WorkloadId::new("contoso-shoes"),
        seq,
        previous: String::new(),
        generation: Generation { epoch: 1, n: seq },
        at: Timestamp::from_secs(1_773_135_600),
        headline: "eastus2 is cordoned".into(),
        because: vec!["two classes agree".into()],
        decision: domain::canonical::JsonPart::of(&json!({"kind": "cordon"})),
        findings: json!([]),
        steps: json!([]),
        explanation: Value::Null,
        consumed: vec![],
        situation: domain::canonical::JsonText::of(&json!({"large": true})),
        policy_hash: String::new(),
        hash: String::new(),
    }
    .sealed()
}

/// A record as the change feed shows it: with the store's own fields beside it.
fn fed(record: &AuditRecord) -> Value {
    let mut document = json!(record);
    document["_ts"] = json!(1_773_135_600);
    document["_etag"] = json!("\"0100\"");
    document
}

#[tokio::test]
async fn audit_records_are_copied_and_other_documents_are_not() {
    let House { host, audit, .. } = house().await;
    let documents = [json!({"id": "state", "schema": 1}), fed(&record(1)), json!("noise"), fed(&record(2))];
    for _ in 0..2 {
        host.change_feed("publish_audit", &documents).await.unwrap();
    }
    assert_eq!(audit.records().iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2]);
    let mut forged = record(1);
    forged.headline = "nothing happened".into();
    let reply = host.change_feed("publish_audit", &[fed(&forged), fed(&record(3))]).await.unwrap();
    assert!(reply.logs.iter().any(|line| line.contains("was refused")), "{:?}", reply.logs);
    assert_eq!(audit.records()[0].headline, "eastus2 is cordoned");
    audit.set(Down::Unreachable);
    assert!(host.change_feed("publish_audit", &[fed(&record(4))]).await.unwrap_err().0.contains("503"));
}

#[tokio::test]
async fn a_record_that_does_not_follow_from_the_one_before_is_told_as_a_broken_chain() {
    let (sender, mut got) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let hook = axum::Router::new().route(
        "/hook",
        axum::routing::post(move |body: String| async move {
            sender.send(body).map_err(|_| axum::http::StatusCode::GONE)
        }),
    );
    tokio::spawn(async move { axum::serve(listener, hook).await });
    let House { host, .. } = house_with(|policy| {
        let format = Some(domain::policy::NotifyFormat::Slack);
        let page = Some("https://cordon.example/api/operator".into());
        policy.notify.push(domain::policy::NotifyTarget {
            name: "chat".into(),
            url,
            format,
            page,
            auth: None,
            key: None,
        });
    })
    .await;
    let first = record(1);
    let mut second = record(2);
    second.previous.clone_from(&first.hash);
    let second = second.sealed();
    let stranger = record(3);
    let mut altered = record(4);
    altered.previous.clone_from(&stranger.hash);
    let mut altered = altered.sealed();
    altered.headline = "nothing happened".into();
    let documents = [fed(&first), fed(&second), fed(&stranger), fed(&altered)];
    host.change_feed("publish_audit", &documents).await.unwrap();
    host.change_feed("notify", &documents).await.unwrap();
    // Records from before there were kinds are no news to a chat; a broken chain always is.
    for (seq, why) in [(3, "names another record than 2"), (4, "does not match its hash")] {
        let text = got.recv().await.unwrap();
        assert!(text.contains(&format!("the audit's chain is broken at record {seq}")), "{text}");
        assert!(text.contains(why) && text.contains(&format!("/audit/{seq}|")), "{text}");
    }
    assert!(got.try_recv().is_err(), "two posts and no more");
}

/// Not a test by itself: what the double starts in `the_double_starts_and_kills_a_process`.
#[tokio::test]
async fn handler_process() {
    let Ok(port) = std::env::var("FUNCTIONS_CUSTOMHANDLER_PORT") else { return };
    let (app, ..) = app(|_| {});
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    axum::serve(listener, cordon::edge::router(Arc::new(app))).await.unwrap();
}

#[tokio::test]
async fn the_double_starts_and_kills_a_process() {
    let own = std::env::current_exe().unwrap();
    let mut host = HostDouble::start(&own, &["--exact", "handler_process"], &[]).await.unwrap();
    host.timer("evaluate_timer").await.unwrap();
    host.kill().unwrap();
    assert!(host.timer("evaluate_timer").await.unwrap_err().0.contains("reach the handler"));
    let ended = HostDouble::start(&own, &["--list"], &[]).await.err().unwrap();
    assert!(ended.0.contains("ended before it answered"), "{ended:?}");
}

#[test]
fn the_double_is_stricter_than_the_host() {
    let good = r#"{"Outputs":{},"Logs":[],"ReturnValue":null}"#;
    assert!(check("f", 200, "application/json", good).is_ok());
    for (status, kind, body) in [
        (500, "application/json", good),
        (200, "text/plain", good),
        (200, "application/json", ""),
        (200, "application/json", "null"),
        (200, "application/json", "{}"),
        (200, "application/json", r#"{"Outputs":{"q":"test"},"Logs":[],"ReturnValue":null}"#),
        (200, "application/json", r#"{"Outputs":{},"Logs":[1],"ReturnValue":null}"#),
    ] {
        assert!(check("f", status, kind, body).is_err(), "{status} {kind} {body}");
    }
}

#[test]
fn the_captured_bodies_of_a_real_host_are_read() {
    use cordon::edge::Envelope;
    let text = |name: &str| fixtures::payload("host", name).to_string();
    let (timer, queue, cosmos, call) = (
        text("captured-timer"),
        text("captured-queue-string"),
        text("captured-trigger-cosmos-base"),
        text("captured-default"),
    );
    let read = |text| Envelope::parse(str::as_bytes(text)).unwrap();
    assert!(!read(&timer).timer("inMsg").unwrap().past_due);
    let queue = read(&queue);
    assert_eq!(queue.message("inMsg").unwrap().to_value(), json!("aaaaa"));
    assert_eq!(queue.metadata_text("Id").as_deref(), Some("a0004923-f050-417a-9742-6d7c7b984134"));
    assert_eq!(queue.metadata_text("DequeueCount").as_deref(), Some("1"));
    let documents = read(&cosmos).batch("inMsg").unwrap().array().to_value();
    assert_eq!(documents[0]["id"], "ehee");
    let call = read(&call).http("httpPayload").unwrap();
    assert_eq!((call.method.as_str(), call.path.as_str(), call.body.len()), ("POST", "/hello/all", 0));
    assert_eq!(call.header("x-forwarded-for"), Some("112.134.128.105:41856"));
}

#[test]
fn each_folder_has_a_function_json_whose_bindings_the_handler_reads() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let host: Value =
        serde_json::from_str(&std::fs::read_to_string(root.join("host.json")).unwrap()).unwrap();
    assert_eq!(host["customHandler"]["description"]["defaultExecutablePath"], "cordon");
    let mut triggers = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(root.join("functions")).unwrap() {
        let path = entry.unwrap().path().join("function.json");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let function: Value = serde_json::from_str(&text).unwrap();
        let trigger = function["bindings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|binding| binding["type"].as_str().unwrap().ends_with("rigger"))
            .unwrap();
        let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        triggers.insert(
            folder,
            format!("{}:{}", trigger["type"].as_str().unwrap(), trigger["name"].as_str().unwrap()),
        );
    }
    insta::assert_json_snapshot!(triggers);
}
