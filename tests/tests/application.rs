//! A stamp as it is deployed: the reference application and `cordon stamp-health` behind it, two real processes. What a prober
//! is answered with the gate open, closed and sliced, and with a health service that is dead or slow.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adapters::embedded::EmbeddedGates;
use adapters::{Clock, GateStore, GateWrite, SystemClock};
use domain::gate::{GATE_SCHEMA, slice_of};
use domain::{GateDocument, GatePosition, Generation};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tests::drills::{self, Directory};
use tests::host_double::built;

const FRONT_DOOR: &str = "our-front-door";
const KEY: &str = "secret";

/// Two processes and where they are.
struct Stamp {
    directory: Directory,
    application: Child,
    health: Option<Child>,
    health_port: u16,
    base: String,
    http: Client,
    generation: u64,
}

impl Drop for Stamp {
    fn drop(&mut self) {
        for child in std::iter::once(&mut self.application).chain(&mut self.health) {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn quiet(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Stamp {
    async fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let directory = Directory::new(name);
        std::fs::create_dir_all(directory.path().join("gates")).unwrap();
        let (port, health_port) = (free_port(), free_port());
        let application = quiet(built("application").unwrap())
            .env("PORT", port.to_string())
            .env("HEALTH_URL", format!("http://127.0.0.1:{health_port}/healthz"))
            .env("INSTANCES_DIR", directory.path().join("instances"))
            .envs(settings.iter().copied())
            .spawn()
            .unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let http = Client::builder().no_proxy().build().unwrap();
        let mut stamp = Self { directory, application, health: None, health_port, base, http, generation: 0 };
        stamp.answers(&format!("{}/internal/live", stamp.base)).await;
        stamp.start_health().await;
        stamp
    }

    async fn start_health(&mut self) {
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy.toml");
        let component = format!("app={}/internal/health/app", self.base);
        let health = quiet(built("cordon").unwrap())
            .args(["stamp-health", "--port", &self.health_port.to_string()])
            .env("CORDON_ROLE", "stamp")
            .env("CORDON_POLICY", policy)
            .env("CORDON_STAMP", "eastus2")
            .env("CORDON_STAMP_KEY", KEY)
            .env("CORDON_GATES_DIR", self.directory.path().join("gates"))
            .env("CORDON_COMPONENTS", component)
            .env("CORDON_LOAD_URL", format!("{}/internal/load", self.base))
            .env("CORDON_FRONT_DOOR_ID", FRONT_DOOR)
            .env("RUST_LOG", "error")
            .spawn()
            .unwrap();
        self.health = Some(health);
        self.answers(&format!("http://127.0.0.1:{}/", self.health_port)).await;
    }

    async fn answers(&self, url: &str) {
        let asking = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while self.http.get(url).send().await.is_err() {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asking).await.expect("it starts within 30 s");
    }

    /// Sets the gate as the controller does; the stamp looks at most every five seconds.
    async fn gate(&mut self, position: GatePosition) {
        self.generation += 1;
        let now = SystemClock.now();
        let document = GateDocument {
            schema: GATE_SCHEMA,
            stamp: "eastus2".into(),
            position,
            generation: Generation { epoch: 1, n: self.generation },
            heartbeat_at: now,
            expires_at: now + Duration::from_secs(14_400),
            reopen_percents: vec![5, 25, 50],
            reopen_step_s: 180,
            reason: "test".into(),
        };
        let gates = EmbeddedGates::open(self.directory.path().join("gates")).unwrap();
        assert!(matches!(gates.write(&document).await.unwrap(), GateWrite::Written(_)));
    }

    async fn probe_from(&self, address: &str) -> Response {
        let probe = self.http.request(Method::HEAD, format!("{}/healthz", self.base));
        probe.header("x-azure-fdid", FRONT_DOOR).header("x-azure-socketip", address).send().await.unwrap()
    }

    /// Probes until the answer is `wanted`: the gate is looked at every five seconds.
    async fn until(&self, address: &str, wanted: u16) {
        let probing = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(200));
            while self.probe_from(address).await.status().as_u16() != wanted {
                ticks.tick().await;
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(15), probing).await;
        assert!(heard.is_ok(), "{address} is not answered {wanted} within 15 s");
    }

    async fn ungated(&self, key: &str) -> Response {
        let request = self.http.get(format!("{}/healthz/ungated", self.base));
        request.header("x-cordon-key", key).send().await.unwrap()
    }
}

/// Addresses of two edge locations, the first inside a slice of half of them, the second outside.
fn in_and_out() -> (String, String) {
    let address = |n: u8| format!("147.243.{n}.10");
    let find = |inside: bool| {
        let is = |n: &u8| (slice_of(address(*n).parse::<IpAddr>().unwrap()) < 50) == inside;
        address((0..=255).find(is).unwrap())
    };
    (find(true), find(false))
}

#[tokio::test]
async fn the_gate_is_obeyed_open_closed_and_by_slices() {
    let mut stamp = Stamp::start("application-gate", &[]).await;
    let (inside, outside) = in_and_out();
    stamp.until(&inside, 200).await;
    stamp.gate(GatePosition::Closed).await;
    stamp.until(&inside, 503).await;
    assert_eq!(stamp.probe_from(&outside).await.status(), 503);
    stamp.gate(GatePosition::Slice(50)).await;
    stamp.until(&inside, 200).await;
    let answers =
        [stamp.probe_from(&outside).await, stamp.probe_from(&inside).await, stamp.probe_from(&outside).await];
    assert_eq!(
        answers.map(|answer| answer.status().as_u16()),
        [503, 200, 503],
        "each prober has its own answer"
    );
    let stranger = stamp.http.get(format!("{}/healthz", stamp.base)).header("x-azure-socketip", &inside);
    assert_eq!(
        stranger.send().await.unwrap().status(),
        503,
        "an address is believed only from our Front Door"
    );
    stamp.gate(GatePosition::Open).await;
    stamp.until(&outside, 200).await;
}

#[tokio::test]
async fn what_cordon_sees_needs_the_key_and_has_component_and_load() {
    let stamp = Stamp::start("application-view", &[]).await;
    assert_eq!(stamp.ungated("wrong").await.status(), 401);
    let view: Value = {
        let answer = stamp.ungated(KEY).await;
        assert_eq!(answer.status(), 200);
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    };
    assert_eq!(view["stamp"], "eastus2");
    assert_eq!(
        (&view["components"][0]["name"], &view["components"][0]["status"]),
        (&"app".into(), &"healthy".into())
    );
    assert_eq!(view["load"]["ready_instances"], 1, "one instance told its load");
    let other = stamp.http.get(format!("{}/healthz/secrets", stamp.base)).send().await.unwrap();
    assert_eq!(other.status(), 404);
}

#[tokio::test]
async fn a_dead_health_service_lets_everybody_in_and_is_seen() {
    let mut stamp = Stamp::start("application-dead", &[]).await;
    stamp.gate(GatePosition::Closed).await;
    stamp.until("147.243.3.10", 503).await;
    let mut health = stamp.health.take().unwrap();
    health.kill().unwrap();
    health.wait().unwrap();
    let answer = stamp.probe_from("147.243.3.10").await;
    assert_eq!(answer.status(), 200, "failing open");
    assert_eq!(answer.headers()["x-health"], "unknown");
    assert_eq!(stamp.ungated(KEY).await.status(), 502, "the witness must see that nobody answers");
    stamp.start_health().await;
    stamp.until("147.243.3.10", 503).await;
}

#[tokio::test]
async fn a_slow_health_service_costs_a_second_at_the_most() {
    let stamp = Stamp::start("application-slow", &[]).await;
    let health = stamp.health.as_ref().unwrap().id().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &health]).status().unwrap().success());
    };
    signal("-STOP");
    let asked = Instant::now();
    let answer = stamp.probe_from("147.243.3.10").await;
    let took = asked.elapsed();
    signal("-CONT");
    assert_eq!(answer.status(), 200, "failing open");
    assert!((Duration::from_millis(900)..Duration::from_millis(2_500)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once_and_the_admitted_are_served() {
    let settings = [("CONCURRENCY_MAX", "4"), ("APP_WORK_MS", "500")];
    let stamp = Stamp::start("application-full", &settings).await;
    let asked = Instant::now();
    let calls = (0..20).map(|_| {
        let call = stamp.http.get(format!("{}/app", stamp.base));
        async move {
            let answer = call.send().await.unwrap();
            (answer.status().as_u16(), answer.headers().contains_key("retry-after"), asked.elapsed())
        }
    });
    let mut running = tokio::task::JoinSet::new();
    calls.for_each(|call| {
        running.spawn(call);
    });
    let answers = running.join_all().await;
    let served: Vec<_> = answers.iter().filter(|(status, ..)| *status == 200).collect();
    let refused: Vec<_> = answers.iter().filter(|(status, ..)| *status == 503).collect();
    assert_eq!((served.len() + refused.len(), served.len() >= 4), (20, true), "{answers:?}");
    assert!(!refused.is_empty() && refused.iter().all(|(_, told, _)| *told), "{answers:?}");
    // Who asks for health hears of it, and is not refused himself.
    assert_eq!(stamp.probe_from("147.243.3.10").await.status(), 200);
}

#[tokio::test]
async fn what_is_for_the_sidecar_is_not_let_in_from_outside() {
    let stamp = Stamp::start("application-inside", &[]).await;
    for path in ["/internal/load", "/internal/health/app"] {
        let call = || stamp.http.get(format!("{}{path}", stamp.base));
        assert_eq!(call().send().await.unwrap().status().as_u16() / 100, 2, "{path} from loopback");
        let forwarded = call().header("x-forwarded-for", "147.243.3.10").send().await.unwrap();
        assert_eq!(forwarded.status(), 404, "{path} through the ingress");
    }
}

/// The same outage, once with the health services in the drill's own process and once with two processes a stamp: what happens
/// and when is the same.
#[tokio::test]
async fn a_drill_with_real_stamps_goes_as_one_without() {
    let mut scenario = drills::scenario("hard-loss");
    scenario.duration_s = 1_500;
    scenario.demand.pops = 16;
    scenario.faults[0].until_s = Some(1_200);
    let in_process = drills::run(&drills::options(scenario.clone())).await;
    let directory = Directory::new("application-drill");
    let mut options = drills::options(scenario);
    options.store = cordon::assemble::StoreKind::Embedded(directory.path().to_owned());
    options.stamp_programs = Some(cordon::drill::StampPrograms {
        cordon: built("cordon").unwrap(),
        application: built("application").unwrap(),
    });
    let real = drills::run(&options).await;
    assert!(real.report.times.gate_effective_s.is_some(), "the gate was obeyed");
    assert_eq!(real.golden(), in_process.golden());
}
