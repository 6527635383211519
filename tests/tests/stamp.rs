//! The stamp's health service: what a prober is answered, and what Cordon and the peers are told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: to panic is to fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use adapters::ManualClock;
use axum::http::{HeaderMap, StatusCode};
use cordon::edge::{App, HttpBody, HttpCall, HttpReply, Role};
use cordon::stamp::{
    ComponentCheck, ComponentStatus, GateSource, Peer, PeerStatus, Reach, StampConfig, StampService, Status,
    UngatedView,
};
use domain::gate::{GATE_SCHEMA, slice_of};
use domain::{GateDocument, GatePosition, Generation, StampId, Timestamp};
use tests::fakes::{Down, Gates};
use tests::host_double::HostDouble;

const START: i64 = 1_000_000;

struct Stamp {
    service: Arc<StampService>,
    clock: Arc<ManualClock>,
    replica: Arc<Gates>,
    write_region: Arc<Gates>,
}

impl Stamp {
    fn new(change: impl FnOnce(&mut StampConfig)) -> Self {
        let mut config = StampConfig {
            stamp: "eastus2".into(),
            key: "secret".into(),
            front_door_id: Some("our-front-door".into()),
            prober_header: "X-Forwarded-For".into(),
            components: vec![],
            load_url: None,
            peers: vec![],
            gate_boot_wait: Duration::from_secs(20),
            gate_heartbeat_max: Duration::from_secs(150),
        };
        change(&mut config);
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(START)));
        let (replica, write_region) = (Arc::new(Gates::default()), Arc::new(Gates::default()));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let service = StampService::new(config, clock.clone(), replica.clone(), write_region.clone(), http);
        Self { service: Arc::new(service), clock, replica, write_region }
    }

    fn at(&self, secs: i64) -> &Self {
        self.clock.set(Timestamp::from_secs(START + secs));
        self
    }

    async fn probe(&self) -> u16 {
        self.probe_from("147.243.3.9").await
    }

    async fn probe_from(&self, address: &str) -> u16 {
        let headers = [("x-azure-fdid", "our-front-door"), ("x-forwarded-for", address)];
        self.get("/api/healthz", &headers).await.status
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> HttpReply {
        self.service.respond(&call("GET", path, headers)).await
    }

    async fn view(&self, path: &str) -> UngatedView {
        let HttpReply { body: HttpBody::Json(body), .. } =
            self.get(path, &[("x-cordon-key", "secret")]).await
        else {
            panic!("no JSON")
        };
        serde_json::from_value(body).unwrap()
    }
}

fn call(method: &str, path: &str, headers: &[(&str, &str)]) -> HttpCall {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HttpCall { method: method.into(), path: path.into(), headers, ..HttpCall::default() }
}

fn gate(position: GatePosition, n: u64, heartbeat: i64) -> GateDocument {
    GateDocument {
        schema: GATE_SCHEMA,
        stamp: "eastus2".into(),
        position,
        generation: Generation { epoch: 1, n },
        heartbeat_at: Timestamp::from_secs(START + heartbeat),
        expires_at: Timestamp::from_secs(START + 14_400),
        reopen_percents: vec![5, 25, 50],
        reopen_step_s: 60,
        reason: "test".into(),
    }
}

#[tokio::test]
async fn after_a_start_without_a_store_it_waits_then_fails_open() {
    let stamp = Stamp::new(|_| {});
    stamp.replica.set(Down::Unreachable);
    stamp.write_region.set(Down::Unreachable);
    assert_eq!(stamp.at(0).probe().await, 503);
    assert_eq!(stamp.at(19).probe().await, 503);
    assert_eq!(stamp.at(20).probe().await, 200);
}

#[tokio::test]
async fn a_stamp_that_never_had_a_gate_serves_at_once() {
    let stamp = Stamp::new(|_| {});
    assert_eq!(stamp.at(0).probe().await, 200);
}

#[tokio::test]
async fn a_gate_closes_within_its_cache_and_opens_again_by_a_newer_generation_only() {
    let stamp = Stamp::new(|_| {});
    assert_eq!(stamp.at(0).probe().await, 200);
    stamp.replica.put(gate(GatePosition::Closed, 7, 0));
    assert_eq!([stamp.at(4).probe().await, stamp.at(5).probe().await], [200, 503]);
    stamp.replica.put(gate(GatePosition::Open, 6, 10));
    assert_eq!(stamp.at(10).probe().await, 503, "an older generation opens nothing");
    stamp.replica.put(gate(GatePosition::Open, 8, 15));
    assert_eq!(stamp.at(15).probe().await, 200);
}

#[tokio::test]
async fn a_closed_gate_once_read_stays_closed_without_any_store_until_it_expires() {
    let stamp = Stamp::new(|_| {});
    stamp.replica.put(gate(GatePosition::Closed, 7, 0));
    assert_eq!(stamp.at(0).probe().await, 503);
    stamp.replica.set(Down::Unreachable);
    stamp.write_region.set(Down::Unreachable);
    assert_eq!(stamp.at(14_399).probe().await, 503);
    assert_eq!(stamp.at(14_400 + 180).probe().await, 200);
}

#[tokio::test]
async fn an_old_replica_is_asked_past_and_an_older_truth_never_replaces_a_newer_one() {
    let stamp = Stamp::new(|_| {});
    stamp.replica.put(gate(GatePosition::Open, 6, 0));
    stamp.write_region.put(gate(GatePosition::Closed, 7, 190));
    assert_eq!(stamp.at(100).probe().await, 200, "a fresh replica is believed");
    assert_eq!(stamp.at(200).probe().await, 503, "an old one is not");
    assert_eq!(stamp.view("/api/healthz/ungated").await.gate.source, GateSource::WriteRegion);
    stamp.write_region.set(Down::Unreachable);
    assert_eq!(stamp.at(300).probe().await, 503);
}

#[tokio::test]
async fn a_process_that_starts_while_the_write_region_is_lost_does_not_reopen_a_closed_gate() {
    let stamp = Stamp::new(|_| {});
    stamp.replica.put(gate(GatePosition::Closed, 7, -7_200));
    stamp.write_region.set(Down::Unreachable);
    assert_eq!([stamp.at(0).probe().await, stamp.at(60).probe().await], [503, 503]);
    assert_eq!(stamp.view("/api/healthz/ungated").await.gate.source, GateSource::StaleReplica);
}

#[tokio::test]
async fn a_slice_lets_in_the_prefixes_inside_it_and_only_from_our_front_door() {
    let stamp = Stamp::new(|_| {});
    stamp.replica.put(gate(GatePosition::Slice(25), 7, 0));
    stamp.at(0);
    for third in 0..=255u8 {
        let address = format!("147.243.{third}.9");
        let expected = if slice_of(address.parse().unwrap()) < 25 { 200 } else { 503 };
        assert_eq!(stamp.probe_from(&address).await, expected, "{address}");
        let forged = [("x-azure-fdid", "another"), ("x-forwarded-for", address.as_str())];
        assert_eq!(stamp.get("/api/healthz", &forged).await.status, 503);
    }
}

#[tokio::test]
async fn thousands_of_probes_read_the_store_once() {
    let stamp = Stamp::new(|_| {});
    stamp.replica.put(gate(GatePosition::Open, 7, 0));
    stamp.at(0).probe().await;
    let probes: Vec<_> = (0..2_000)
        .map(|_| {
            let service = stamp.service.clone();
            tokio::spawn(async move { service.respond(&call("HEAD", "/api/healthz", &[])).await })
        })
        .collect();
    for probe in probes {
        let reply = probe.await.unwrap();
        assert_eq!((reply.status, reply.body), (200, HttpBody::Empty));
    }
    assert_eq!((stamp.replica.reads(), stamp.write_region.reads()), (1, 0));
}

#[tokio::test]
async fn the_ungated_view_needs_the_key_and_an_empty_key_lets_nobody_in() {
    let stamp = Stamp::new(|_| {});
    for headers in [vec![], vec![("x-cordon-key", "wrong")]] {
        assert_eq!(stamp.get("/api/healthz/ungated", &headers).await.status, 401);
        assert_eq!(stamp.get("/api/healthz/peer", &headers).await.status, 401);
    }
    let open = Stamp::new(|config| config.key.clear());
    assert_eq!(open.get("/api/healthz/ungated", &[("x-cordon-key", "")]).await.status, 401);
    assert_eq!(stamp.service.respond(&call("POST", "/api/healthz", &[])).await.status, 405);
    assert_eq!(stamp.get("/api/healthz/other", &[]).await.status, 404);
}

/// An application whose health answers what it is told to.
async fn application(status: Arc<AtomicU16>, retry_after: Option<&'static str>) -> String {
    let respond = move || async move {
        let mut headers = HeaderMap::new();
        if let Some(after) = retry_after {
            headers.insert("retry-after", after.parse().unwrap());
        }
        (StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap(), headers)
    };
    serve(axum::Router::new().route("/health", axum::routing::get(respond))).await
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

fn component(name: &str, base: &str, reach: Reach) -> ComponentCheck {
    ComponentCheck { name: name.into(), url: format!("{base}/health"), reach }
}

#[tokio::test]
async fn only_a_local_hard_failure_over_three_rounds_takes_the_stamp_out() {
    let status = Arc::new(AtomicU16::new(500));
    let app = application(status.clone(), None).await;
    let stamp = Stamp::new(|config| config.components = vec![component("app", &app, Reach::Local)]);
    let mut seen = vec![];
    for round in 0..4 {
        seen.push(stamp.at(round * 10).probe().await);
    }
    assert_eq!(seen, [200, 200, 503, 503]);
    assert_eq!(stamp.view("/api/healthz/ungated").await.status, Status::Unhealthy);
    status.store(200, Ordering::SeqCst);
    assert_eq!(stamp.at(40).probe().await, 200);
}

#[tokio::test]
async fn saturation_and_shared_dependencies_degrade_and_never_withdraw() {
    let full = application(Arc::new(AtomicU16::new(503)), Some("1")).await;
    let broken = application(Arc::new(AtomicU16::new(500)), None).await;
    let stamp = Stamp::new(|config| {
        config.components =
            vec![component("app", &full, Reach::Local), component("cosmos-write", &broken, Reach::Shared)];
    });
    for round in 0..6 {
        assert_eq!(stamp.at(round * 10).probe().await, 200);
    }
    let view = stamp.view("/api/healthz/ungated").await;
    assert_eq!(view.status, Status::Degraded);
    let statuses: Vec<_> = view.components.iter().map(|component| component.status).collect();
    assert_eq!(statuses, [ComponentStatus::Degraded, ComponentStatus::Failed]);
}

#[tokio::test]
async fn the_load_is_what_the_application_says_and_absent_when_it_says_nothing() {
    let load = || async { r#"{"ready_instances":4,"saturation":0.7,"requests_per_second":310.5}"# };
    let base = serve(axum::Router::new().route("/load", axum::routing::get(load))).await;
    let stamp = Stamp::new(|config| config.load_url = Some(format!("{base}/load")));
    let seen = stamp.view("/api/healthz/ungated").await.load.unwrap();
    assert_eq!((seen.ready_instances, seen.saturation, seen.requests_per_second), (4, 0.7, 310.5));
    let silent = Stamp::new(|config| config.load_url = Some(format!("{base}/nothing")));
    assert_eq!(silent.view("/api/healthz/ungated").await.load, None);
}

#[tokio::test]
async fn peers_are_seen_through_the_host_and_do_not_look_back() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let trap = serve(axum::Router::new().fallback(move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
        StatusCode::INTERNAL_SERVER_ERROR
    }))
    .await;
    // The peer has a peer of its own, which must not be asked when we ask the peer.
    let peer = Stamp::new(|config| {
        config.stamp = "centralus".into();
        config.peers = vec![Peer { stamp: "westeurope".into(), direct_url: trap.clone() }];
    });
    let app = App { role: Role::Stamp(peer.service.clone()), invocation_clock: None };
    let host = HostDouble::in_process(Arc::new(app)).await.unwrap();
    let stamp = Stamp::new(|config| {
        config.peers = vec![
            Peer { stamp: "centralus".into(), direct_url: format!("{}/api", host.base()) },
            Peer { stamp: "gone".into(), direct_url: "http://127.0.0.1:9".into() },
        ];
    });
    let view = stamp.view("/api/healthz/ungated").await;
    let seen: Vec<(StampId, PeerStatus)> =
        view.peers.unwrap().into_iter().map(|peer| (peer.stamp, peer.status)).collect();
    assert_eq!(seen, [("centralus".into(), PeerStatus::Healthy), ("gone".into(), PeerStatus::Unreachable)]);
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the peer asked its own peer");
    let headers = [("x-cordon-key", "secret"), ("x-cordon-vantage", "eastus2")];
    let (status, body) = host.forward("GET", "/healthz/ungated", &headers, "").await.unwrap();
    assert_eq!(status, 200);
    assert!(!body.contains("\"peers\""), "asked for the wrong view, it still does not look: {body}");
}

/// What is longer than any true answer says nothing, however well it begins.
#[tokio::test]
async fn what_a_peer_or_the_application_says_is_read_to_a_bound() {
    let peer = Stamp::new(|config| config.stamp = "centralus".into());
    let peer = serde_json::to_string(&peer.view("/api/healthz/peer").await).unwrap();
    let load = r#"{"ready_instances":4,"saturation":0.7,"requests_per_second":310.5}"#;
    let seen = async |padding: usize| {
        let long = |text: &str| {
            let text = format!("{text}{}", " ".repeat(padding));
            axum::routing::get(move || async move { text.clone() })
        };
        let router = axum::Router::new().route("/load", long(load)).route("/healthz/peer", long(&peer));
        let base = serve(router).await;
        let stamp = Stamp::new(|config| {
            config.load_url = Some(format!("{base}/load"));
            config.peers = vec![Peer { stamp: "centralus".into(), direct_url: base.clone() }];
        });
        let view = stamp.view("/api/healthz/ungated").await;
        (view.load.is_some(), view.peers.unwrap().len())
    };
    assert_eq!(seen(1_024).await, (true, 1));
    assert_eq!(seen(1_024 * 1_024).await, (false, 0), "neither a load nor a word about the peer");
}

#[tokio::test]
async fn the_host_reaches_the_probe_path_in_both_modes() {
    let stamp = Stamp::new(|_| {});
    stamp.replica.put(gate(GatePosition::Closed, 7, 0));
    let app = App { role: Role::Stamp(stamp.service.clone()), invocation_clock: None };
    let host = HostDouble::in_process(Arc::new(app)).await.unwrap();
    let enveloped = host.http("stamp_health", "HEAD", "/api/healthz", &[], "").await.unwrap();
    assert_eq!(enveloped.http_status(), Some(503));
    assert_eq!(host.forward("HEAD", "/api/healthz", &[], "").await.unwrap(), (503, String::new()));
    assert_eq!(host.forward("GET", "/healthz", &[], "").await.unwrap().0, 503);
    assert_eq!(host.forward("POST", "/evaluate", &[], "{\"Data\":{}}").await.unwrap().0, 404);
}
