//! Several workloads in one process: each has its own policy, inbox, gates, orders, audit and page.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails ends the test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use adapters::{CommitOutcome, GateWrite};
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::cli::{self, Environment};
use cordon::controller::Controllers;
use cordon::edge::{App, HttpBody, HttpCall, HttpReply, Page, Role};
use cordon::page::OperatorPage;
use domain::gate::GATE_SCHEMA;
use domain::state::{StampCase, WorkloadState};
use domain::{
    GateDocument, GatePosition, Generation, ItemBody, OperationId, Policy, Timestamp, Transition, WorkloadId,
};
use serde_json::Value;
use tests::fixtures;
use tests::host_double::HostDouble;

const SHOES: &str = "contoso-shoes";
const HATS: &str = "fabrikam-hats";

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("cordon-workloads-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The other workload: its own name and origin group, and nobody who may speak.
fn hats() -> Policy {
    let mut policy = fixtures::policy();
    policy.workload.name = WorkloadId::new(HATS);
    policy.workload.origin_group = policy.workload.origin_group.replace("contoso", "fabrikam");
    policy.speakers.clear();
    policy
}

fn now() -> Timestamp {
    Timestamp::parse("2026-03-10T09:40:30Z").unwrap()
}

fn settings(policies: Vec<Policy>, store: StoreKind) -> ControllerSettings {
    ControllerSettings {
        policies,
        store,
        clock: ClockKind::Invocation,
        arm_base: None,
        arm_loopback: Some("http://127.0.0.1:9".into()),
        arm_token: Some("t".into()),
        identity: Default::default(),
        stamp_key: "k".into(),
        instance: "test".into(),
        ledger_faults: Default::default(),
        gate_faults: Default::default(),
    }
}

/// Both workloads, each with a stamp `eastus2`.
async fn both(store: StoreKind) -> Arc<App> {
    let settings = settings(vec![fixtures::policy(), hats()], store);
    let app = assemble::controller(&settings, Some(Arc::new(OperatorPage::reading_only()))).unwrap();
    app.invocation_clock.as_ref().unwrap().set(now());
    for controller in controllers(&app).iter() {
        let mut state = WorkloadState::new(controller.policy.workload.name.clone(), 1, now());
        state.generation = Generation { epoch: 1, n: 1 };
        state.operation = OperationId::new("test");
        state.topology = fixtures::topology();
        state.cases.insert("eastus2".into(), StampCase::new(now()));
        let first = Transition {
            parent: None,
            state,
            steps: vec![],
            forgotten: vec![],
            audit: None,
            consumed: vec![],
        };
        assert_eq!(controller.ledger.commit(&first).await.unwrap(), CommitOutcome::Committed);
    }
    app
}

fn controllers(app: &App) -> &Controllers {
    let Role::Controller(app) = &app.role else { panic!("a controller was assembled") };
    &app.controllers
}

async fn inbox(app: &App, workload: &str) -> Vec<ItemBody> {
    let controller = controllers(app).of(&workload.into()).unwrap();
    let view = controller.ledger.load(&workload.into(), 80).await.unwrap();
    view.inbox.into_iter().map(|item| item.body).collect()
}

async fn alert(app: &Arc<App>, fixture: &str) {
    let body = fixtures::payload("action_group", fixture).to_string();
    let headers = [("Content-Type", "application/json")];
    let host = HostDouble::in_process(Arc::clone(app)).await.unwrap();
    host.http("azure_monitor_alert", "POST", "/api/azure_monitor_alert", &headers, &body).await.unwrap();
}

#[tokio::test]
async fn an_alert_goes_to_the_workload_that_believes_it_and_to_all_where_none_does() {
    let app = both(StoreKind::Memory).await;
    alert(&app, "metric-origin-health-origin-dimension").await;
    let shoes = inbox(&app, SHOES).await;
    assert!(matches!(shoes.as_slice(), [ItemBody::Observed { .. }]), "{shoes:?}");
    assert!(inbox(&app, HATS).await.is_empty(), "it is about shoes, and shoes believed it");

    alert(&app, "metric-rule-not-in-the-allow-list").await;
    for workload in [SHOES, HATS] {
        let inbox = inbox(&app, workload).await;
        let refused = inbox.iter().any(|body| matches!(body, ItemBody::Refused { .. }));
        assert!(refused, "{workload}: {inbox:?}");
    }
}

#[tokio::test]
async fn each_is_evaluated_and_has_its_own_chain() {
    let app = both(StoreKind::Memory).await;
    let host = HostDouble::in_process(Arc::clone(&app)).await.unwrap();
    alert(&app, "metric-rule-not-in-the-allow-list").await;
    host.timer("evaluate_timer").await.unwrap();
    for workload in [SHOES, HATS] {
        let controller = controllers(&app).of(&workload.into()).unwrap();
        let records = controller.ledger.audit(&workload.into(), 0, 10).await.unwrap();
        assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1], "{workload}");
        assert_eq!(records[0].workload.as_str(), workload);
    }
}

#[tokio::test]
async fn stamps_of_one_name_have_gates_of_their_own() {
    let directory = Directory::new();
    let app = both(StoreKind::Embedded(directory.0.clone())).await;
    let document = GateDocument {
        schema: GATE_SCHEMA,
        stamp: "eastus2".into(),
        position: GatePosition::Closed,
        generation: Generation { epoch: 1, n: 2 },
        heartbeat_at: now(),
        expires_at: now() + std::time::Duration::from_secs(14_400),
        reopen_percents: vec![5],
        reopen_step_s: 180,
        reason: "a test".into(),
    };
    let [shoes, hats] = [SHOES, HATS].map(|name| controllers(&app).of(&name.into()).unwrap());
    assert!(matches!(shoes.gates.write(&document).await.unwrap(), GateWrite::Written(_)));
    assert_eq!(hats.gates.read(&"eastus2".into()).await.unwrap(), None);
    assert_eq!(shoes.gates.read(&"eastus2".into()).await.unwrap(), Some(document));
}

async fn page(app: &App, path: &str) -> HttpReply {
    let call = HttpCall {
        method: "GET".into(),
        path: format!("/api/operator/{path}"),
        query: Default::default(),
        headers: Default::default(),
        body: Default::default(),
    };
    OperatorPage::reading_only().respond(controllers(app), &call).await
}

fn text(reply: &HttpReply) -> String {
    match &reply.body {
        HttpBody::Text { text, .. } => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

#[tokio::test]
async fn the_page_lists_them_and_each_has_its_own() {
    let app = both(StoreKind::Memory).await;
    let list = text(&page(&app, "status").await);
    for workload in [SHOES, HATS] {
        assert!(list.contains(&format!("/api/operator/w/{workload}/status")), "{list}");
        let own = page(&app, &format!("w/{workload}/status")).await;
        assert_eq!(own.status, 200);
        assert!(text(&own).contains(&format!("/api/operator/w/{workload}/audit")));
    }
    assert_eq!(page(&app, "state.json").await.status, 400, "whose?");
    assert_eq!(page(&app, "w/nobody/status").await.status, 404);
    let state = page(&app, "w/fabrikam-hats/state.json").await;
    let HttpBody::Json(state) = state.body else { panic!("no JSON") };
    assert_eq!(state["state"]["workload"], Value::from(HATS));
}

#[test]
fn a_directory_holds_one_policy_for_each_workload() {
    let directory = Directory::new();
    let environment = |policies: &str| {
        let pairs = [("CORDON_POLICY", policies), ("CORDON_DATA", "/data"), ("CORDON_STAMP_KEY", "k")];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect::<Environment>()
    };
    let policies = directory.0.to_str().unwrap();
    let refused = |environment: &Environment| {
        format!("{:#}", cli::controller_settings(environment).map(|_| ()).unwrap_err())
    };
    assert!(refused(&environment(policies)).contains("put one policy there"));

    let write = |name: &str, policy: &Policy| {
        std::fs::write(directory.0.join(name), toml::to_string(policy).unwrap()).unwrap();
    };
    write("shoes.toml", &fixtures::policy());
    write("hats.toml", &hats());
    let settings = cli::controller_settings(&environment(policies)).unwrap();
    let names: Vec<&str> = settings.policies.iter().map(|policy| policy.workload.name.as_str()).collect();
    assert_eq!(names, [HATS, SHOES]);

    write("zz-hats-again.toml", &hats());
    assert!(refused(&environment(policies)).contains("two policies must not govern the same stamps"));
}
