//! The stamp's health service: what a prober is answered, and what Cordon and the peers are told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: to panic is to fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use adapters::ManualClock;
use adapters::cosmos::CosmosCheck;
use adapters::cosmos::emulator::fault_injection::{
    CustomResponseBuilder, FaultInjectionConditionBuilder, FaultInjectionErrorType,
    FaultInjectionResultBuilder, FaultInjectionRule, FaultInjectionRuleBuilder, FaultOperationType,
};
use adapters::cosmos::emulator::{CosmosEmulator, EmulatorSettings, RequestObserver, WriteMode};
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
        Self::that_looks_at(None, change)
    }

    fn that_looks_at(cosmos: Option<CosmosCheck>, change: impl FnOnce(&mut StampConfig)) -> Self {
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
        let mut service =
            StampService::new(config, clock.clone(), replica.clone(), write_region.clone(), http);
        if let Some(check) = cosmos {
            service = service.with_cosmos(check);
        }
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

/// A workload's account with writes in two regions, and how many requests for documents it got.
struct Account {
    emulator: CosmosEmulator,
    requests: Arc<Requests>,
}

#[derive(Debug, Default)]
struct Requests(AtomicU32);

impl RequestObserver for Requests {
    fn on_request(&self, request: &azure_core::http::Request) {
        if request.url().path().contains("/docs") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Account {
    fn new() -> Self {
        let requests = Arc::new(Requests::default());
        let observer: Option<Arc<dyn RequestObserver>> = Some(requests.clone());
        let settings = EmulatorSettings {
            regions: vec!["East US 2", "Central US"],
            writes: WriteMode::Multi,
            observer,
            ..EmulatorSettings::default()
        };
        Self { emulator: CosmosEmulator::new(settings).unwrap(), requests }
    }

    fn stamp(&self, faults: &[&Arc<FaultInjectionRule>]) -> Stamp {
        let faults = faults.iter().map(|rule| Arc::clone(rule)).collect();
        let check = self.emulator.check("eastus2".into(), Some("eastus2".into()), faults);
        Stamp::that_looks_at(Some(check), |_| {})
    }
}

fn fault(kind: FaultInjectionErrorType, operation: FaultOperationType) -> Arc<FaultInjectionRule> {
    let condition = FaultInjectionConditionBuilder::new().with_operation_type(operation).build();
    let result = FaultInjectionResultBuilder::new().with_error(kind).build();
    Arc::new(FaultInjectionRuleBuilder::new("fault", result).with_condition(condition).build())
}

/// What the ungated view says of read and write, and what of all of the stamp.
async fn account_as_seen(stamp: &Stamp) -> (Vec<(String, ComponentStatus, String)>, Status) {
    let view = stamp.view("/api/healthz/ungated").await;
    assert!(view.components.iter().all(|component| component.hard_failures == 0), "{view:?}");
    let seen = view.components.into_iter().map(|one| (one.name, one.status, one.detail));
    (seen.collect(), view.status)
}

fn statuses(seen: &[(String, ComponentStatus, String)]) -> Vec<(&str, ComponentStatus)> {
    seen.iter().map(|(name, status, _)| (name.as_str(), *status)).collect()
}

const READ: &str = cordon::stamp::COSMOS_READ;
const WRITE: &str = cordon::stamp::COSMOS_WRITE;

#[tokio::test(flavor = "multi_thread")]
async fn the_workloads_account_is_read_and_written_whatever_the_probe_rate_and_does_not_grow() {
    let account = Account::new();
    let stamp = account.stamp(&[]);
    let rounds = 6;
    for round in 0..rounds {
        stamp.at(round * 10);
        for _ in 0..500 {
            assert_eq!(stamp.probe().await, 200);
        }
        let (seen, status) = account_as_seen(&stamp).await;
        assert_eq!(
            statuses(&seen),
            [(READ, ComponentStatus::Healthy), (WRITE, ComponentStatus::Healthy)],
            "{seen:?}"
        );
        assert!(seen.iter().all(|(.., detail)| detail == "answered by eastus2"), "{seen:?}");
        assert_eq!(status, Status::Healthy);
    }
    let requests = account.requests.0.load(Ordering::SeqCst);
    println!("{} probes and views in {} s: {requests} requests for documents", rounds * 501, rounds * 10);
    assert_eq!(requests, 2 * u32::try_from(rounds).unwrap(), "one read and one write each 10 s");
    // Another instance of the stamp writes the same document, another stamp its own.
    account.stamp(&[]).view("/api/healthz/ungated").await;
    let other = account.emulator.check("centralus".into(), Some("centralus".into()), vec![]);
    Stamp::that_looks_at(Some(other), |_| {}).view("/api/healthz/ungated").await;
    account.emulator.store().drain_pending_replications().await;
    let documents = account.emulator.health_documents().await.unwrap();
    let mut kept: Vec<_> =
        documents.iter().map(|one| (one["id"].as_str().unwrap(), one["ttl"].as_u64().unwrap())).collect();
    kept.sort_unstable();
    assert_eq!(kept, [("stamp-health.centralus", 600), ("stamp-health.eastus2", 600)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail_while_reads_work_show_apart_and_withdraw_nobody() {
    for kind in [FaultInjectionErrorType::ServiceUnavailable, FaultInjectionErrorType::WriteForbidden] {
        let account = Account::new();
        let writes = fault(kind, FaultOperationType::UpsertItem);
        let stamp = account.stamp(&[&writes]);
        for round in 0..5 {
            assert_eq!(
                stamp.at(round * 10).probe().await,
                200,
                "a shared account takes nobody out: {kind:?}"
            );
            let (seen, status) = account_as_seen(&stamp).await;
            assert_eq!(seen[0].1, ComponentStatus::Healthy, "{kind:?}: {seen:?}");
            assert_ne!(seen[1].1, ComponentStatus::Healthy, "{kind:?}: {seen:?}");
            assert_eq!(status, Status::Degraded);
        }
        let (seen, _) = account_as_seen(&stamp).await;
        println!("{kind:?}: {seen:?}");
        let forbids = kind == FaultInjectionErrorType::WriteForbidden;
        assert_eq!(seen[1].2.contains("writes are forbidden"), forbids, "it says what it met: {seen:?}");
        writes.disable();
        let healthy = [(READ, ComponentStatus::Healthy), (WRITE, ComponentStatus::Healthy)];
        assert_eq!(statuses(&account_as_seen(stamp.at(50)).await.0), healthy, "it passed: {kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_fail_while_writes_work_show_apart_too() {
    let account = Account::new();
    let reads = fault(FaultInjectionErrorType::ServiceUnavailable, FaultOperationType::ReadItem);
    let (seen, status) = account_as_seen(&account.stamp(&[&reads])).await;
    assert_eq!(seen[1].1, ComponentStatus::Healthy, "{seen:?}");
    assert_ne!(seen[0].1, ComponentStatus::Healthy, "{seen:?}");
    assert_eq!(status, Status::Degraded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_lacks_its_rights_says_nothing_of_the_stamp() {
    let account = Account::new();
    let forbidden = CustomResponseBuilder::new(azure_core::http::StatusCode::Forbidden).build();
    let result = FaultInjectionResultBuilder::new().with_custom_response(forbidden).build();
    let upsert = FaultOperationType::UpsertItem;
    let condition = FaultInjectionConditionBuilder::new().with_operation_type(upsert).build();
    let rule = FaultInjectionRuleBuilder::new("no role", result).with_condition(condition).build();
    let stamp = account.stamp(&[&Arc::new(rule)]);
    let (seen, status) = account_as_seen(&stamp).await;
    assert_eq!(
        statuses(&seen),
        [(READ, ComponentStatus::Healthy)],
        "our rights are not its health: {seen:?}"
    );
    assert_eq!((status, stamp.probe().await), (Status::Healthy, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_account_is_full_and_not_dead() {
    let account = Account::new();
    let [reads, writes] = [FaultOperationType::ReadItem, FaultOperationType::UpsertItem]
        .map(|operation| fault(FaultInjectionErrorType::TooManyRequests, operation));
    let stamp = account.stamp(&[&reads, &writes]);
    for round in 0..5 {
        assert_eq!(stamp.at(round * 10).probe().await, 200);
    }
    let (seen, status) = account_as_seen(&stamp).await;
    let degraded = [(READ, ComponentStatus::Degraded), (WRITE, ComponentStatus::Degraded)];
    assert_eq!(statuses(&seen), degraded, "{seen:?}");
    assert!(seen.iter().all(|(.., detail)| detail == "answered: too many requests"), "{seen:?}");
    assert_eq!(status, Status::Degraded);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_region_offline_the_account_answers_from_another_and_the_view_says_which() {
    let account = Account::new();
    let stamp = account.stamp(&[]);
    assert_eq!(stamp.at(0).probe().await, 200);
    account.emulator.store().drain_pending_replications().await;
    account.emulator.store().set_region_offline("East US 2").unwrap();
    let mut rounds = 0;
    loop {
        rounds += 1;
        stamp.at(rounds * 10);
        assert_eq!(stamp.probe().await, 200);
        let (seen, _) = account_as_seen(&stamp).await;
        println!("round {rounds}: {seen:?}");
        if seen.iter().all(|(.., detail)| detail == "answered by centralus") {
            break;
        }
        assert!(rounds < 6, "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_nobody_can_reach_ends_in_time_and_withdraws_nobody() {
    let account = Account::new();
    for kind in [FaultInjectionErrorType::ConnectionError, FaultInjectionErrorType::ResponseTimeout] {
        let [reads, writes] = [FaultOperationType::ReadItem, FaultOperationType::UpsertItem]
            .map(|operation| fault(kind, operation));
        let stamp = account.stamp(&[&reads, &writes]);
        let began = std::time::Instant::now();
        for round in 0..4 {
            assert_eq!(stamp.at(round * 10).probe().await, 200, "{kind:?}");
        }
        let (seen, status) = account_as_seen(&stamp).await;
        println!("{kind:?}: {seen:?} after {:?} for 4 rounds", began.elapsed());
        assert!(seen.iter().all(|(_, status, _)| *status != ComponentStatus::Healthy), "{seen:?}");
        assert_eq!((status, seen.len()), (Status::Degraded, 2));
        assert!(began.elapsed() < Duration::from_secs(8), "a round has 1 s: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_refuses_the_connection_says_why_and_one_that_is_slow_to_connect_says_nothing() {
    let account = Account::new();
    let refused =
        fault(FaultInjectionErrorType::ServiceUnavailable, FaultOperationType::MetadataReadContainer);
    let stamp = account.stamp(&[&refused]);
    let mut rounds = 0;
    let (seen, status) = loop {
        // The SDK tries for longer than a look; until it gives up nothing is known, and nothing is said.
        let found = account_as_seen(stamp.at(rounds * 10)).await;
        if !found.0.is_empty() {
            break found;
        }
        assert_eq!(found.1, Status::Healthy, "not to have looked yet is no finding");
        rounds += 1;
        assert!(rounds < 15, "it never said why");
    };
    assert_eq!((seen.len(), status), (2, Status::Degraded), "{seen:?}");
    refused.disable();
    let healthy = [(READ, ComponentStatus::Healthy), (WRITE, ComponentStatus::Healthy)];
    assert_eq!(statuses(&account_as_seen(stamp.at(200)).await.0), healthy);
}
