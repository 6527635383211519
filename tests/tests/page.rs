//! The operator's page: says what is so, executes nothing of what it was told, and fails with advice.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails ends the test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use adapters::faulty::{Fault, FaultSwitch};
use adapters::{CommitOutcome, GateStore};
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::controller;
use cordon::edge::{App, HttpBody, HttpCall, HttpReply, Page, Role};
use cordon::page::OperatorPage;
use domain::facts::{LoadFacts, OriginFacts, QuotaFacts, StampFacts};
use domain::gate::GATE_SCHEMA;
use domain::quota::QuotaShort;
use domain::state::{
    Cause, OperatorHold, Pause, RampRun, Stage, StampCase, Unreadable, WindowRun, WorkloadState,
};
use domain::throughput::HeldThroughput;
use domain::{
    Effect, EnabledState, EvidenceClass, GateDocument, GatePosition, Generation, InboxItem, ItemBody, ItemId,
    OperationId, Policy, Purpose, Scope, Signal, StampId, Standing, Step, StepId, StepStatus, StepWrite,
    Timestamp, Transition, Verdict,
};
use serde_json::Value;

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror='x'>&";

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T19:00:00Z").unwrap()
}

fn ago(seconds: u64) -> Timestamp {
    now().before(std::time::Duration::from_secs(seconds))
}

fn policy() -> Policy {
    domain::policy::parse(include_str!("../../policy.toml")).unwrap()
}

struct World {
    app: Arc<App>,
    gates: Arc<dyn GateStore>,
    faults: FaultSwitch,
}

fn world() -> World {
    let faults = FaultSwitch::new();
    let settings = ControllerSettings {
        policies: vec![policy()],
        store: StoreKind::Memory,
        clock: ClockKind::Invocation,
        arm_base: None,
        arm_loopback: Some("http://127.0.0.1:9".into()),
        arm_token: Some("t".into()),
        identity: Default::default(),
        stamp_key: "k".into(),
        instance: "test".into(),
        ledger_faults: faults.clone(),
        gate_faults: FaultSwitch::new(),
    };
    let app = assemble::controller(&settings, Some(Arc::new(OperatorPage::reading_only()))).unwrap();
    let Role::Controller(served) = &app.role else { panic!("a controller was assembled") };
    let gates = Arc::clone(&served.controllers.only().unwrap().gates);
    app.invocation_clock.as_ref().unwrap().set(now());
    World { app, gates, faults }
}

impl World {
    fn controllers(&self) -> &controller::Controllers {
        let Role::Controller(app) = &self.app.role else { panic!("a controller was assembled") };
        &app.controllers
    }

    fn controller(&self) -> &controller::Controller {
        self.controllers().only().unwrap()
    }

    async fn commit(&self, state: WorkloadState, steps: Vec<StepWrite>) {
        let transition =
            Transition { parent: None, state, steps, forgotten: vec![], audit: None, consumed: vec![] };
        assert_eq!(self.controller().ledger.commit(&transition).await.unwrap(), CommitOutcome::Committed);
    }

    async fn tell(&self, id: &str, class: EvidenceClass, source: &str, note: &str) {
        let signal = Signal {
            scope: Scope::Stamp("eastus2".into()),
            class,
            source: source.into(),
            verdict: Verdict::Unhealthy,
            observed_at: ago(12),
            standing: Standing::Fired,
            failure: None,
            measure: None,
            note: note.into(),
        };
        let body = ItemBody::Observed { signals: vec![signal], facts: Default::default() };
        let item = InboxItem { id: ItemId::new(id), event_at: ago(12), received_at: ago(10), body };
        self.controller().ledger.append(&"contoso-shoes".into(), &[item]).await.unwrap();
    }

    async fn get(&self, path: &str) -> HttpReply {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let call = HttpCall {
            method: "GET".into(),
            path: path.into(),
            query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..HttpCall::default()
        };
        OperatorPage::reading_only().respond(self.controllers(), &call).await
    }
}

fn text(reply: &HttpReply) -> &str {
    match &reply.body {
        HttpBody::Text { text, .. } => text,
        other => panic!("no text: {other:?}"),
    }
}

fn html(reply: &HttpReply) -> &str {
    match &reply.body {
        HttpBody::Text { content_type: "text/html; charset=utf-8", text } => text,
        other => panic!("not a page: {other:?}"),
    }
}

fn json(reply: &HttpReply) -> &Value {
    match &reply.body {
        HttpBody::Json(value) => value,
        other => panic!("not JSON: {other:?}"),
    }
}

fn stamp(name: &str, region: &str) -> StampFacts {
    StampFacts {
        stamp: name.into(),
        region: region.into(),
        origin_host: format!("{name}.example"),
        origin_id: format!("/origins/{name}"),
        autoscale_id: None,
        plan_id: None,
        direct_url: format!("https://{name}.example"),
        state: None,
    }
}

/// Two stamps: eastus2 out and proving, centralus serving.
fn outage() -> WorkloadState {
    let mut state = WorkloadState::new("contoso-shoes".into(), 1, now());
    state.generation = Generation { epoch: 1, n: 1 };
    state.operation = OperationId::new("test");
    state.observed_at = Some(ago(8));
    state.topology.read_at = Some(ago(30));
    for (name, region) in [("eastus2", "eastus2"), ("centralus", "centralus")] {
        Arc::make_mut(&mut state.topology.stamps).insert(name.into(), stamp(name, region));
        let mut case = StampCase::new(ago(86_400));
        case.demand_rps = 600.0;
        state.cases.insert(name.into(), case);
        let load = LoadFacts {
            observed_at: ago(8),
            ready_instances: 8,
            requests_per_second: 640.0,
            saturation: 0.5,
        };
        state.load.insert(name.into(), load);
        let origin = OriginFacts { read_at: ago(20), enabled: EnabledState::Enabled, updating: false };
        state.origins.insert(name.into(), origin);
    }
    let case = state.cases.get_mut(&StampId::from("eastus2")).unwrap();
    case.stage = Stage::Proving;
    case.since = ago(300);
    case.cause = Some(Cause::HardLoss);
    case.gate = GatePosition::Closed;
    case.decided_at = Some(ago(1_200));
    case.first_symptom_at = Some(ago(1_300));
    case.auto_cordons = vec![ago(1_200)];
    case.window = Some(WindowRun { started_at: ago(300), needs_s: 900, paused_s: 0 });
    case.floor = Some(6);
    state
}

fn closed_gate() -> GateDocument {
    GateDocument {
        schema: GATE_SCHEMA,
        stamp: "eastus2".into(),
        position: GatePosition::Closed,
        generation: Generation { epoch: 1, n: 1 },
        heartbeat_at: ago(600),
        expires_at: now() + std::time::Duration::from_secs(14_400),
        reopen_percents: vec![5, 100],
        reopen_step_s: 180,
        reason: "drill".into(),
    }
}

fn origin_step() -> StepWrite {
    let step = Step {
        id: StepId::new("1.1-1"),
        generation: Generation { epoch: 1, n: 1 },
        effect: Effect::SetOrigin { stamp: "eastus2".into(), enabled: EnabledState::Disabled },
        purpose: Purpose::Removal,
        planned_at: ago(30),
        affirmed_at: ago(30),
        attempts: 1,
        status: StepStatus::Running { operation: "op".into(), poll_at: now(), accepted_at: ago(20) },
    };
    StepWrite { expected: None, step }
}

#[tokio::test]
async fn an_empty_ledger_is_a_page_that_says_so() {
    let reply = world().get("/api/operator").await;
    assert_eq!(reply.status, 200);
    assert!(html(&reply).contains("has not discovered a stamp"));
}

#[tokio::test]
async fn an_outage_is_told_in_one_sentence_and_in_full() {
    let world = world();
    let _ = world.gates.write(&closed_gate()).await.unwrap();
    world.commit(outage(), vec![origin_step()]).await;
    for path in ["/api/operator/", "/api/operator/status"] {
        let reply = world.get(path).await;
        let page = html(&reply);
        for expected in [
            "<html lang=\"en\">",
            "eastus2 is proving since 18:55:00 UTC",
            "Gate</th><td>closed</td><td>closed; generation 1.1, renewed 10 min ago, expires in 4 h",
            "Origin</th><td>enabled</td><td>enabled; read 20 s ago",
            "<strong>640</strong> of 1200 requests/s ready, 8 instances",
            "50 % of the concurrency",
            "Floor</th><td>6 instances</td>",
            "In rotation</dt>",
            "Next possible change",
            "Why, and why not</summary>",
            "Not done, and why not",
            "5 min of 15 min",
            "1 of 2 automatic cordons in 24h",
            "disable the origin of eastus2",
            "20 min",
            "<th scope=\"row\">direct</th>",
            "href=\"#content\"",
        ] {
            assert!(page.contains(expected), "{path} lacks {expected:?}:\n{page}");
        }
    }
}

#[tokio::test]
async fn orders_freezes_and_ramps_are_loud() {
    let world = world();
    let mut state = outage();
    state.pause = Some(Pause {
        by: "sam".into(),
        reason: "planned work".into(),
        until: now() + minute(),
        since: now(),
        told_at: None,
    });
    let east = state.cases.get_mut(&StampId::from("eastus2")).unwrap();
    east.window = None;
    east.ramp = Some(RampRun { slice: 1, since: ago(60), emergency: false });
    let west = state.cases.get_mut(&StampId::from("centralus")).unwrap();
    west.stage = Stage::Held;
    west.hold = Some(OperatorHold {
        by: "kim".into(),
        reason: "looking at it".into(),
        since: ago(60),
        resume: Stage::Serving,
    });
    west.awaiting_approval = Some(Generation { epoch: 1, n: 7 });
    world.commit(state, vec![]).await;
    let reply = world.get("/api/operator/status").await;
    let page = html(&reply);
    for expected in [
        "<p class=\"loud bad-edge\">The automation is paused by sam until 2026-11-22 19:01:00 UTC: planned work",
        "<p class=\"loud bad-edge\">centralus is held by kim since 2026-11-22 18:59:00 UTC: looking at it",
        "cordon approve centralus --generation 1.7",
        "25 % of the edge locations, slice 2 of 4",
    ] {
        assert!(page.contains(expected), "lacks {expected:?}:\n{page}");
    }
}

#[tokio::test]
async fn what_is_short_what_is_enlarged_and_what_cannot_be_read_is_loud() {
    let world = world();
    let mut state = outage();
    let calm = world.get("/api/operator/status").await;
    assert!(!html(&calm).contains("Cannot be read"));
    state.quota.insert("centralus".into(), QuotaFacts { read_at: ago(120), instances_max: 10 });
    state.cases.get_mut(&StampId::from("centralus")).unwrap().quota_short = Some(QuotaShort {
        since: ago(86_400),
        seen_at: ago(120),
        without: "eastus2".into(),
        needed: 22,
        most: 10,
    });
    let held = HeldThroughput { since: ago(60), before: 4_000, set: 12_000, yielded_at: None };
    state.throughput_held.insert("sqlDatabases/shop/containers/orders".into(), held);
    let failing = Unreadable { since: ago(300), tried_at: ago(10) };
    state.unreadable.insert("origins".into(), failing);
    state.unreadable.insert("quota of <centralus>".into(), failing);
    world.commit(state, vec![]).await;
    let reply = world.get("/api/operator/status").await;
    let page = html(&reply);
    for expected in [
        "centralus would need 22 instances if eastus2 were lost, and its quota allows 10: ask Azure for more before it is \
         needed. Known since 2026-11-21 19:00:00 UTC.",
        "The throughput of sqlDatabases/shop/containers/orders is raised from 4000 to 12000 RU/s since",
        "Cannot be read, since 2026-11-22 18:55:00 UTC at the longest: origins, quota of &lt;centralus&gt;.",
        "at most 10 instances; read 2 min ago",
        "<th scope=\"row\">Quota</th><td></td><td>unknown</td>",
    ] {
        assert!(page.contains(expected), "lacks {expected:?}:\n{page}");
    }
}

fn minute() -> std::time::Duration {
    std::time::Duration::from_secs(60)
}

#[tokio::test]
async fn hostile_text_is_text() {
    let world = world();
    let mut state = outage();
    Arc::make_mut(&mut state.topology.stamps).get_mut(&StampId::from("eastus2")).unwrap().region =
        HOSTILE.into();
    state.pause = Some(Pause {
        by: HOSTILE.into(),
        reason: HOSTILE.into(),
        until: now() + minute(),
        since: now(),
        told_at: None,
    });
    world.commit(state, vec![]).await;
    world.tell("alert-1", EvidenceClass::Edge, HOSTILE, HOSTILE).await;
    let refusal = domain::Refusal {
        code: domain::RefusalCode::UnknownSpeaker,
        source: HOSTILE.into(),
        note: domain::note(HOSTILE),
    };
    let body = ItemBody::Refused { refusal };
    let item = InboxItem { id: ItemId::new(HOSTILE), event_at: ago(5), received_at: ago(5), body };
    world.controller().ledger.append(&"contoso-shoes".into(), &[item]).await.unwrap();

    let before = world.get("/api/operator/status").await;
    assert!(html(&before).contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "the note is shown");
    controller::evaluate(world.controller()).await.unwrap();
    for path in [
        "/api/operator/status",
        "/api/operator/audit",
        "/api/operator/audit/1",
        "/api/operator/audit?decision=refused",
        "/api/operator/audit?rule=<script>alert(1)</script>&stamp='><img",
        "/api/operator/incidents",
        "/api/operator/incident/1",
        "/api/operator/stamp/eastus2",
        "/api/operator/<script>alert(1)</script>",
    ] {
        let reply = world.get(path).await;
        let page = html(&reply).to_ascii_lowercase();
        assert_eq!(page.matches("<script").count(), 1, "{path}: our own, and no other:\n{page}");
        for forbidden in ["<img", " onerror='", "<iframe", "javascript:", "alert(1)</script"] {
            assert!(!page.contains(forbidden), "{path} has {forbidden}:\n{page}");
        }
    }
}

#[tokio::test]
async fn the_audit_is_paged_and_each_record_is_whole() {
    let world = world();
    for n in 1..=3u32 {
        world.app.invocation_clock.as_ref().unwrap().set(now() + minute() * 61 * n);
        controller::evaluate(world.controller()).await.unwrap();
    }
    let list = world.get("/api/operator/audit").await;
    let (third, first) = (html(&list).find(">3</a>").unwrap(), html(&list).find(">1</a>").unwrap());
    assert!(third < first, "newest first");
    let older = world.get("/api/operator/audit?before=3").await;
    assert!(html(&older).contains(">2</a>") && !html(&older).contains(">3</a>"));
    let none = world.get("/api/operator/audit?from=2031-01-01T00:00&stamp=eastus2&rule=S2").await;
    assert!(html(&none).contains("No record is here"));
    assert_eq!(world.get("/api/operator/audit?from=yesterday").await.status, 400);
    assert_eq!(text(&world.get("/api/operator/audit.csv").await).lines().count(), 4);
    assert_eq!(text(&world.get("/api/operator/audit.jsonl?before=3").await).lines().count(), 2);

    let record = world.get("/api/operator/audit/2").await;
    for expected in
        ["matches the content", "The whole record as JSON", "data-record", "Its place in the chain"]
    {
        assert!(html(&record).contains(expected), "lacks {expected:?}");
    }
    assert_eq!(world.get("/api/operator/audit/99").await.status, 404);
    assert_eq!(world.get("/api/operator/audit/0").await.status, 404);

    let records = world.get("/api/operator/audit.json?after=1&max=1").await;
    assert_eq!(json(&records).as_array().unwrap().len(), 1);
    assert_eq!(json(&records)[0]["seq"], 2);
    let most = world.get("/api/operator/audit.json?max=1000000").await;
    assert_eq!(
        json(&most).as_array().unwrap().len(),
        3,
        "a larger number than the bound is cut, not refused"
    );
    assert_eq!(world.get("/api/operator/audit.json?after=x").await.status, 400);
}

#[tokio::test]
async fn the_state_and_the_plan_are_there_as_json() {
    let world = world();
    assert_eq!(json(&world.get("/api/operator/state.json").await)["state"], Value::Null);
    world.commit(outage(), vec![origin_step()]).await;
    let state = world.get("/api/operator/state.json").await;
    assert_eq!(serde_json::from_value::<WorkloadState>(json(&state)["state"].clone()).unwrap(), outage());
    assert_eq!(json(&state)["steps"][0]["step"]["id"], "1.1-1");
    let plan = world.get("/api/operator/plan.json").await;
    assert_eq!(json(&plan)["under_way"][0], "disable the origin of eastus2");
}

#[tokio::test]
async fn a_ledger_out_of_reach_is_a_503_that_says_what_to_do() {
    let world = world();
    world.faults.set(Fault::Unavailable);
    for path in ["/api/operator", "/api/operator/audit", "/api/operator/audit/1"] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 503, "{path}");
        assert!(html(&reply).contains("What to do next"), "{path}");
        assert!(reply.headers.contains(&("Retry-After".into(), "5".into())), "{path}");
    }
    let reply = world.get("/api/operator/state.json").await;
    assert_eq!(reply.status, 503);
    assert!(json(&reply)["error"].as_str().unwrap().contains("the ledger"));
}

#[tokio::test]
async fn every_answer_is_guarded_and_only_reading_is_allowed() {
    let world = world();
    for path in ["/api/operator", "/api/operator/state.json", "/api/operator/nothing"] {
        let headers: BTreeMap<String, String> = world.get(path).await.headers.into_iter().collect();
        let policy = &headers["Content-Security-Policy"];
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["Cache-Control"], "no-store");
        assert_eq!(headers["X-Content-Type-Options"], "nosniff");
    }
    assert_eq!(world.get("/api/operator/nothing").await.status, 404);
    let mut call = HttpCall { method: "POST".into(), path: "/api/operator".into(), ..HttpCall::default() };
    assert_eq!(OperatorPage::reading_only().respond(world.controllers(), &call).await.status, 405);
    call.method = "HEAD".into();
    let reply = OperatorPage::reading_only().respond(world.controllers(), &call).await;
    assert_eq!((reply.status, reply.body), (200, HttpBody::Empty));
}

#[tokio::test]
async fn links_lead_below_the_path_that_was_asked() {
    let world = world();
    for path in ["/api/operator", "/api/operator/", "/api/operator/status", "/api/operator/audit"] {
        assert!(html(&world.get(path).await).contains("href=\"/api/operator/audit\""), "{path}");
    }
}
