//! What no honest caller sends, against the whole controller with a simulated Azure behind it: it is answered, recorded
//! and refused, and nobody is taken out.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::page::OperatorPage;
use domain::audit::{AuditRecord, verify_chain};
use domain::{StampId, Timestamp};
use serde_json::{Value, json};
use simulator::{HealthEndpoint, HealthReply, HealthRequest, Recorder, SimulatedAzure, World};
use tests::host_double::{Breach, HostDouble};
use tests::{drills, fakes, fixtures};

const START: Timestamp = Timestamp::from_secs(1_794_301_200);
const HOUR: Duration = Duration::from_secs(3600);
const MIB: usize = 1 << 20;
/// Deeper than any honest event, shallower than what a parser gives up on, and beyond it.
const DEPTHS: [usize; 2] = [100, 100_000];

/// Stamps that are always well.
struct AlwaysWell;

#[async_trait]
impl HealthEndpoint for AlwaysWell {
    async fn ask(&self, stamp: &StampId, _: HealthRequest) -> HealthReply {
        let view = fakes::healthy_view(stamp, START);
        HealthReply { status: 200, body: serde_json::to_string(&view).unwrap() }
    }
}

/// A controller that has watched two healthy stamps for a minute.
struct House {
    host: HostDouble,
    now: Timestamp,
}

impl House {
    async fn new() -> Self {
        let scenario = drills::scenario("hard-loss");
        let world = Arc::new(Mutex::new(World::new(&scenario, 1, START)));
        let azure = SimulatedAzure::new(Arc::clone(&world), Arc::new(AlwaysWell), Recorder::in_memory());
        let (address, _server) = assemble::serve_router(azure.router(), 0).await.unwrap();
        let url = format!("http://{address}");
        world.lock().unwrap().serve_at(&url);
        let ids = world.lock().unwrap().resource_ids().clone();
        let mut policy = drills::options(scenario).policy;
        policy.workload.origin_group.clone_from(&ids.origin_group);
        policy.workload.cosmos_account = Some(ids.cosmos_account);
        let settings = ControllerSettings {
            policies: vec![policy],
            store: StoreKind::Memory,
            clock: ClockKind::Invocation,
            arm_base: None,
            arm_loopback: Some(url),
            arm_token: Some("drill".into()),
            identity: Default::default(),
            stamp_key: "drill".into(),
            instance: "test".into(),
            ledger_faults: Default::default(),
            gate_faults: Default::default(),
        };
        let app = assemble::controller(&settings, Some(Arc::new(OperatorPage::reading_only()))).unwrap();
        let mut house = Self { host: HostDouble::in_process(app).await.unwrap(), now: START };
        house.watch(60).await;
        house
    }

    async fn observe(&mut self) {
        self.host.set_clock(&self.now.to_string());
        self.host.timer("observe_stamps").await.unwrap();
        self.host.timer("evaluate_timer").await.unwrap();
    }

    /// Observes and evaluates every ten seconds, for so long.
    async fn watch(&mut self, seconds: u64) {
        for _ in 0..seconds / 10 {
            self.now = self.now + Duration::from_secs(10);
            self.observe().await;
        }
    }

    /// The same while the clock is wrong: nothing is seen and nothing decided, and the host hears why.
    async fn watch_in_vain(&mut self, seconds: u64) {
        for _ in 0..seconds / 10 {
            self.now = self.now + Duration::from_secs(10);
            self.host.set_clock(&self.now.to_string());
            for timer in ["observe_stamps", "evaluate_timer"] {
                let Breach(said) = self.host.timer(timer).await.unwrap_err();
                assert!(said.contains("status 503") && said.contains("this machine's clock"), "{said}");
            }
        }
    }

    async fn alert(&self, body: &str) -> u64 {
        let (function, path) = ("azure_monitor_alert", "/api/azure_monitor_alert");
        let headers = [("Content-Type", "application/json")];
        self.host.http(function, "POST", path, &headers, body).await.unwrap().http_status().unwrap()
    }

    async fn operator(&self, path: &str) -> Value {
        let (status, body) =
            self.host.forward("GET", &format!("/api/operator/{path}"), &[], "").await.unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn audit(&self) -> Vec<AuditRecord> {
        serde_json::from_value(self.operator("audit.json?after=0").await).unwrap()
    }

    /// The audit's chain holds, every gate is open, nobody is out, and both stamps are known.
    async fn nothing_happened(&self) {
        verify_chain(&self.audit().await, None).unwrap();
        let state = self.operator("state.json").await;
        let cases = state["state"]["cases"].as_object().unwrap();
        assert_eq!(cases.len(), 2);
        assert!(
            cases.values().all(|case| case["gate"] == "open" && case["decided_at"].is_null()),
            "{cases:?}"
        );
    }

    /// The codes of the refusals that the audit tells of.
    async fn refusals(&self) -> Vec<String> {
        let notes = |record: AuditRecord| {
            record.situation.to_value()["notes"].as_array().cloned().unwrap_or_default()
        };
        let code = |note: Value| Some(note["refusal"]["code"].as_str()?.to_owned());
        self.audit().await.into_iter().flat_map(notes).filter_map(code).collect()
    }
}

#[tokio::test]
async fn a_clock_that_runs_a_day_ahead_leaves_no_trace() {
    let mut house = House::new().await;
    let before = house.operator("state.json").await;
    let right = house.now;
    house.now = right + 24 * HOUR;
    house.watch_in_vain(60).await;
    assert_eq!(house.operator("state.json").await["state"], before["state"]);
    house.now = right;
    house.watch(60).await;
    assert_ne!(house.operator("state.json").await["state"], before["state"], "it goes on at once");
    house.nothing_happened().await;
}

/// A Service Health alert of this moment, changed in one place.
fn alert_at(at: Timestamp, region: &str) -> String {
    let incident = fixtures::payload("action_group", "servicehealth-incident-informational-level");
    incident.to_string().replace("2026-03-10T09:34:00.000Z", &at.to_string()).replace("East US 2", region)
}

#[tokio::test]
async fn an_event_from_before_the_horizon_is_refused_and_the_audit_says_so() {
    let mut house = House::new().await;
    let day_before_yesterday = START.before(48 * HOUR);
    assert_eq!(house.alert(&alert_at(day_before_yesterday, "East US 2")).await, 202);
    house.watch(30).await;
    assert_eq!(house.refusals().await, ["too_old"]);
    house.nothing_happened().await;
}

#[tokio::test]
async fn an_alert_about_an_unknown_region_is_refused_and_the_audit_says_so() {
    let mut house = House::new().await;
    assert_eq!(house.alert(&alert_at(house.now, "Atlantis North")).await, 202);
    house.watch(30).await;
    assert_eq!(house.refusals().await, ["unknown_region"]);
    house.nothing_happened().await;
}

#[tokio::test]
async fn a_mebibyte_of_rubbish_is_one_refusal_and_leaves_no_megabyte_behind() {
    let mut house = House::new().await;
    assert_eq!(house.alert(&"\u{0}\"{[".repeat(MIB / 4)).await, 202);
    house.watch(30).await;
    assert_eq!(house.refusals().await, ["malformed"]);
    let audit = serde_json::to_string(&house.audit().await).unwrap();
    assert!(audit.len() < MIB, "{} bytes of audit", audit.len());
    house.nothing_happened().await;
}

#[tokio::test]
async fn json_of_any_depth_is_one_refusal() {
    for depth in DEPTHS {
        let mut house = House::new().await;
        let nested = "{\"data\":".repeat(depth) + "1" + &"}".repeat(depth);
        assert_eq!(house.alert(&nested).await, 202);
        house.watch(30).await;
        assert_eq!(house.refusals().await.len(), 1, "{depth} deep");
        house.nothing_happened().await;
    }
}

#[tokio::test]
async fn a_stranger_with_the_right_shape_has_no_vote() {
    let mut house = House::new().await;
    let stranger = json!({
        "specversion": "1.0", "id": "s-1", "source": "/mallory", "type": "com.contoso.checkout.errors",
        "time": house.now.to_string(), "data": { "stamp": "eastus2", "verdict": "unhealthy" },
    });
    let reply = house.host.http("cloud_event", "POST", "/api/cloud_event", &[], &stranger.to_string()).await;
    assert!(reply.unwrap().http_status().unwrap() < 300);
    house.watch(180).await;
    assert_eq!(house.refusals().await, ["unknown_speaker"]);
    house.nothing_happened().await;
}

#[tokio::test]
async fn a_clock_that_goes_back_an_hour_stalls_and_reverses_nothing() {
    let mut house = House::new().await;
    let as_of = |state: &Value| Timestamp::parse(state["state"]["as_of"].as_str().unwrap()).unwrap();
    let before = as_of(&house.operator("state.json").await);
    let ahead = house.now;
    house.now = ahead.before(HOUR);
    house.watch_in_vain(60).await;
    assert_eq!(as_of(&house.operator("state.json").await), before, "as_of never goes back");
    house.nothing_happened().await;
    house.now = ahead;
    house.watch(60).await;
    assert!(as_of(&house.operator("state.json").await) > before, "and goes on once the clock is right");
    house.nothing_happened().await;
}
