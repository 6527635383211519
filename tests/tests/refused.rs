//! What stays when a part of Azure refuses everything: the gate without ARM, and what is in force without the ledger.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use adapters::{Ledger, ManualClock};
use axum::Json;
use axum::routing::get;
use azure_core::time::{OffsetDateTime, to_rfc7231};
use cordon::controller::{Azure, Controller, ControllerError, evaluate, observe_cosmos, observe_stamps};
use domain::facts::{Facts, StampFacts};
use domain::state::Topology;
use domain::{EvidenceClass, InboxItem, ItemBody, Signal, StampId, Timestamp, Verdict, WorkloadId};
use simulator::{Scenario, builtin};
use tests::drills::{self, Run};
use tests::{fakes, fixtures};

/// A built-in scenario with some of its lines changed; each must be there.
async fn changed(name: &str, changes: &[(&str, &str)]) -> Run {
    let (_, text) = builtin().iter().find(|(known, _)| *known == name).unwrap();
    let mut text = (*text).to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "{name} has no {old:?}");
        text = text.replace(old, new);
    }
    let run = drills::run(&drills::options(Scenario::from_toml(&text).unwrap())).await;
    assert!(run.report.audit.chain_holds);
    run
}

fn most_routed(run: &Run, stamp: &str, seconds: std::ops::Range<u32>) -> f64 {
    let stamp = StampId::new(stamp);
    seconds.map(|t| run.played.measurements.share_routed_to(&stamp, t)).fold(0.0, f64::max)
}

#[tokio::test]
async fn with_arm_refusing_everything_the_gate_cordons_and_is_renewed() {
    // The control plane is down from the minute of the loss to the end, past half of the gate's life of 4 h. The region
    // heals after an hour, but the gate stays: nobody may grow, and so nothing comes of the return by ARM's doing.
    let changes = [
        ("duration_s = 9000", "duration_s = 9600"),
        ("until_s = 3600", "until_s = 9600"),
        ("until_s = 2400", "until_s = 9600"),
    ];
    let run = changed("arm-down-during-loss", &changes).await;
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1);
    let gates: Vec<u32> =
        run.effects("set_gate").into_iter().filter(|(_, stamp)| stamp == "eastus2").map(|(t, _)| t).collect();
    let [closed, renewed] = gates[..] else { panic!("closed once and renewed once: {gates:?}") };
    assert!(closed < 900, "{closed}");
    assert!((closed + 7_190..closed + 7_260).contains(&renewed), "at half of its life: {closed}, {renewed}");
    assert_eq!(run.effects("set_origin"), []);
}

#[tokio::test]
async fn with_the_ledger_refusing_everything_nothing_new_acts_and_what_is_in_force_stays() {
    // East US 2 is cordoned before the ledger goes, and heals while it is away.
    let changes = [
        ("from_s = 590", "from_s = 1200"),
        ("until_s = 1200", "until_s = 4200"),
        ("until_s = 3600", "until_s = 1500"),
    ];
    let run = changed("ledger-down-during-loss", &changes).await;
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1);
    let recorded: Vec<u32> = run.decided_cases().into_iter().map(|(t, _)| t).collect();
    assert!(recorded.iter().any(|t| *t < 1200) && recorded.iter().any(|t| *t > 4200), "{recorded:?}");
    assert!(!recorded.iter().any(|t| (1210..4200).contains(t)), "nothing is decided: {recorded:?}");
    let planned =
        ["set_gate", "set_origin", "raise_floor", "restore_floor"].map(|tag| run.effects(tag)).concat();
    assert!(!planned.iter().any(|(t, _)| (1210..4200).contains(t)), "nothing is planned: {planned:?}");
    let routed = most_routed(&run, "eastus2", 1210..4200);
    assert!(
        routed < 0.01,
        "the closed gate stays closed although the region is well: {routed} of the demand"
    );
    assert!(run.report.times.fully_serving_s.is_some(), "and it comes back when the ledger does");
}

const NOW: Timestamp = Timestamp::from_secs(1_794_301_200);

/// A stamp that is well.
async fn well(stamp: &str) -> StampFacts {
    let view = fakes::healthy_view(&stamp.into(), NOW);
    let respond = move || async move { Json(view) };
    let direct_url = fakes::serve_undated(
        axum::Router::new().route("/app", get(|| async {})).route("/healthz/ungated", get(respond)),
    )
    .await;
    let below = "/subscriptions/s/resourceGroups/g/providers";
    StampFacts {
        stamp: stamp.into(),
        region: stamp.into(),
        origin_host: format!("{stamp}.contoso"),
        origin_id: format!("{below}/Microsoft.Cdn/profiles/p/originGroups/o/origins/{stamp}"),
        autoscale_id: Some(format!("{below}/Microsoft.Insights/autoscaleSettings/{stamp}")),
        plan_id: Some(format!("{below}/Microsoft.Web/serverfarms/{stamp}")),
        direct_url,
        state: None,
    }
}

async fn controller(azure: Azure) -> (Arc<Controller>, Arc<fakes::InboxLedger>) {
    let stamps = [well("eastus2").await, well("centralus").await];
    let stamps = stamps.into_iter().map(|facts| (facts.stamp.clone(), facts)).collect::<BTreeMap<_, _>>();
    let ledger = Arc::new(fakes::InboxLedger::new(Topology { stamps: Arc::new(stamps), read_at: Some(NOW) }));
    let controller = fakes::observer(fixtures::policy(), azure, ledger.clone(), NOW);
    (Arc::new(controller), ledger)
}

/// What waits in the inbox, by item.
async fn observed(ledger: &fakes::InboxLedger) -> Vec<(String, Vec<Signal>, Facts)> {
    let view = ledger.load(&fixtures::policy().workload.name, 99).await.unwrap();
    let of = |item: InboxItem| match item.body {
        ItemBody::Observed { signals, facts } => Some((item.id.to_string(), signals, facts)),
        _ => None,
    };
    view.inbox.into_iter().filter_map(of).collect()
}

fn seen_well(signals: &[Signal]) -> usize {
    let direct = signals.iter().filter(|signal| signal.class == EvidenceClass::Direct);
    direct.filter(|signal| signal.verdict == Verdict::Healthy).count()
}

#[tokio::test]
async fn an_arm_that_hangs_keeps_no_probe_from_the_inbox_and_no_run_from_its_turn() {
    let arm = fakes::serve_undated(axum::Router::new().fallback(std::future::pending::<()>)).await;
    let (controller, ledger) = controller(fakes::azure_at(&arm)).await;
    let began = Instant::now();
    let running = tokio::spawn(async move { observe_stamps(&controller).await });
    let first = tokio::time::timeout(Duration::from_secs(5), ledger.appended()).await;
    assert!(first.is_ok(), "the probes' evidence waits for ARM");
    let at = began.elapsed();
    let items = observed(&ledger).await;
    assert_eq!((items.len(), seen_well(&items[0].1)), (1, 2), "{items:?}");
    let written = running.await.unwrap().unwrap();
    println!("evidence after {at:?}, the whole run {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(10), "the next run was due: {:?}", began.elapsed());
    let items = observed(&ledger).await;
    assert_eq!((written, items.len()), (3, 3));
    let unreadable: Vec<&String> = items.iter().flat_map(|(.., facts)| &facts.unreadable).collect();
    for what in ["topology", "origins and capacity", "edge metrics", "resource health", "quotas"] {
        assert!(unreadable.contains(&&what.to_owned()), "{unreadable:?}");
    }
}

#[tokio::test]
async fn a_stamp_and_a_provider_of_quotas_that_hang_are_waited_for_at_the_same_time() {
    let stamp = well("eastus2").await;
    let plan = serde_json::json!({
        "id": stamp.plan_id, "location": "East US 2", "properties": {},
        "sku": { "name": "P1v3", "size": "P1v3", "capacity": 3 },
    });
    let arm = axum::Router::new().fallback(async move |request: axum::extract::Request| {
        match request.uri().path() {
            path if path.contains("Microsoft.Quota") => std::future::pending().await,
            path if path.contains("serverfarms") => (axum::http::StatusCode::OK, Json(plan)),
            _ => (axum::http::StatusCode::NOT_FOUND, Json(serde_json::Value::Null)),
        }
    });
    let hanging = fakes::serve_undated(axum::Router::new().fallback(std::future::pending::<()>)).await;
    let stamp = StampFacts { direct_url: hanging, ..stamp };
    let stamps = Arc::new(BTreeMap::from([(stamp.stamp.clone(), stamp)]));
    let ledger = Arc::new(fakes::InboxLedger::new(Topology { stamps, read_at: Some(NOW) }));
    let azure = fakes::azure_at(&fakes::serve_undated(arm).await);
    let controller = fakes::observer(fixtures::policy(), azure, ledger.clone(), NOW);
    let began = Instant::now();
    observe_stamps(&controller).await.unwrap();
    // Two requests of the stamp, 2 s each, and 5 s of the quotas.
    assert!(began.elapsed() < Duration::from_secs(7), "one after the other: {:?}", began.elapsed());
    let items = observed(&ledger).await;
    let quotas: Vec<_> = items.iter().filter(|(id, ..)| id.contains("quotas")).collect();
    let [(.., facts)] = quotas[..] else { panic!("the quotas are an item of their own: {items:?}") };
    assert_eq!(facts.unreadable, ["quotas"]);
}

#[tokio::test]
async fn an_arm_that_answers_costs_no_second_item() {
    let (controller, ledger) = controller(fakes::azure_out_of_reach()).await;
    let began = Instant::now();
    observe_stamps(&controller).await.unwrap();
    let items = observed(&ledger).await;
    let stamps: Vec<_> = items.iter().filter(|(id, ..)| id.contains("stamps")).collect();
    let [(_, signals, facts)] = stamps[..] else { panic!("one item of the run: {items:?}") };
    assert_eq!(seen_well(signals), 2, "after {:?}", began.elapsed());
    assert!(facts.unreadable.contains(&"origins".to_owned()), "{facts:?}");
}

/// A run of discovery that finds the stamps that are known, so that the next evaluation has their cases. The workload.
async fn rediscovered(controller: &Controller, ledger: &fakes::InboxLedger) -> WorkloadId {
    let workload = controller.policy.workload.name.clone();
    let stamps = ledger.load(&workload, 1).await.unwrap().state.unwrap().topology.stamps;
    let facts = Facts { topology: Some(stamps.values().cloned().collect()), ..Facts::default() };
    let body = ItemBody::Observed { signals: vec![], facts };
    let found = InboxItem { id: "run:stamps:0".into(), event_at: NOW, received_at: NOW, body };
    ledger.append(&workload, &[found]).await.unwrap();
    workload
}

/// Minute metrics of Azure Monitor: two minutes of East US 2, one in four requests the clients' own mistake; nothing of
/// anybody else.
fn origin_requests(query: &str) -> serde_json::Value {
    if !query.contains("OriginRequestCount") {
        return serde_json::json!({ "value": [] });
    }
    let minute = |at: u64, total: f64| {
        let at = NOW + Duration::from_secs(at);
        serde_json::json!({ "timeStamp": at.to_string(), "total": total })
    };
    let series = |group: &str, total: f64| {
        let dimension =
            |name: &str, value: &str| serde_json::json!({ "name": { "value": name }, "value": value });
        serde_json::json!({
            "metadatavalues": [dimension("Origin", "eastus2.contoso"), dimension("HttpStatusGroup", group)],
            "data": [minute(0, 0.0), minute(60, total), minute(120, 2.0 * total)],
        })
    };
    let timeseries = [series("2XX", 9_000.0), series("4XX", 3_000.0)];
    serde_json::json!({ "value": [{ "name": { "value": "OriginRequestCount" }, "timeseries": timeseries }] })
}

#[tokio::test]
async fn the_edge_counts_the_demand_of_a_stamp_that_refuses_to_tell_its_load() {
    let arm = axum::Router::new().fallback(async |uri: axum::http::Uri| {
        let query = uri.query().unwrap_or_default().to_owned();
        if uri.path().contains("Microsoft.Insights/metrics") {
            (axum::http::StatusCode::OK, Json(origin_requests(&query)))
        } else {
            (axum::http::StatusCode::NOT_FOUND, Json(serde_json::Value::Null))
        }
    });
    let (controller, ledger) = controller(fakes::azure_at(&fakes::serve_undated(arm).await)).await;
    let workload = rediscovered(&controller, &ledger).await;
    let clock = Arc::new(ManualClock::new(NOW));
    let controller = Controller { clock: clock.clone(), ..Arc::into_inner(controller).unwrap() };
    evaluate(&controller).await.unwrap();
    for at in [300, 330] {
        clock.set(NOW + Duration::from_secs(at));
        observe_stamps(&controller).await.unwrap();
        evaluate(&controller).await.unwrap();
    }
    let state = ledger.load(&workload, 1).await.unwrap().state.unwrap();
    let demand = |stamp: &str| state.cases[&StampId::new(stamp)].demand_rps;
    assert_eq!(
        (demand("eastus2"), demand("centralus")),
        (400.0, 0.0),
        "24 000 requests in its newest minute"
    );
    let traffic = &state.evidence[&StampId::new("eastus2")][&EvidenceClass::Traffic];
    assert!(traffic.contains_key("origin-requests"), "and how they fared: {traffic:?}");
}

/// A clock that ran ahead by hours and is set right again: what is observed from then on is older than the state, so nothing
/// counts as evidence until it has caught up. Nothing acts, rightly; but somebody must hear of it.
#[tokio::test]
async fn a_clock_that_is_set_back_ends_the_heartbeat() {
    let (controller, ledger) = controller(fakes::azure_out_of_reach()).await;
    rediscovered(&controller, &ledger).await;
    let clock = Arc::new(ManualClock::new(NOW + Duration::from_secs(7_200)));
    let controller = Controller { clock: clock.clone(), ..Arc::into_inner(controller).unwrap() };
    observe_stamps(&controller).await.unwrap();
    assert!(evaluate(&controller).await.unwrap().watches);
    clock.set(NOW);
    observe_stamps(&controller).await.unwrap();
    assert!(!evaluate(&controller).await.unwrap().watches, "blind, and its heartbeat says that it watches");
    // The seconds by which two machines differ are none of that.
    clock.set(NOW + Duration::from_secs(7_190));
    assert!(evaluate(&controller).await.unwrap().watches);
}

/// ARM, at this time.
async fn arm_at(now: Timestamp) -> Azure {
    let date = to_rfc7231(&OffsetDateTime::from_unix_timestamp(now.as_millis() / 1_000).unwrap());
    let answer = async move || (axum::http::StatusCode::NOT_FOUND, [("date", date)]);
    fakes::azure_at(&fakes::serve_undated(axum::Router::new().fallback(answer)).await)
}

/// One machine that is hours ahead would leave all the others blind: time never goes back for the state that they share.
#[tokio::test]
async fn a_machine_whose_clock_is_hours_off_neither_observes_nor_evaluates() {
    let (controller, ledger) = controller(arm_at(NOW).await).await;
    rediscovered(&controller, &ledger).await;
    let clock = Arc::new(ManualClock::new(NOW));
    let controller = Controller { clock: clock.clone(), ..Arc::into_inner(controller).unwrap() };
    observe_stamps(&controller).await.unwrap();
    assert!(evaluate(&controller).await.unwrap().watches);
    let workload = fixtures::policy().workload.name;
    let before = ledger.load(&workload, 99).await.unwrap();
    for shows in [NOW + Duration::from_secs(7_200), NOW.before(Duration::from_secs(7_200))] {
        clock.set(shows);
        for refused in [
            observe_stamps(&controller).await.err(),
            observe_cosmos(&controller).await.err(),
            evaluate(&controller).await.err(),
        ] {
            assert!(matches!(refused, Some(ControllerError::WrongClock { .. })), "{refused:?}");
        }
    }
    let after = ledger.load(&workload, 99).await.unwrap();
    assert_eq!((before.state, before.inbox), (after.state, after.inbox));
    // The seconds by which two machines differ are none of that.
    clock.set(NOW + Duration::from_secs(110));
    observe_stamps(&controller).await.unwrap();
    assert!(evaluate(&controller).await.unwrap().watches);
}

/// Nobody evaluated for three hours: the last commit is old, and the clock is right all the same.
#[tokio::test]
async fn a_clock_that_arm_confirms_is_believed_however_long_nobody_committed() {
    let (controller, ledger) = controller(arm_at(NOW).await).await;
    rediscovered(&controller, &ledger).await;
    let clock = Arc::new(ManualClock::new(NOW));
    let controller = Controller { clock: clock.clone(), ..Arc::into_inner(controller).unwrap() };
    let workload = fixtures::policy().workload.name;
    let old = ledger.load(&workload, 0).await.unwrap().state.unwrap().as_of;
    assert!(NOW.since(old) > Duration::from_secs(10_800), "{old}");
    observe_stamps(&controller).await.unwrap();
    assert!(evaluate(&controller).await.unwrap().watches);
    assert_eq!(ledger.load(&workload, 0).await.unwrap().state.unwrap().as_of, NOW);
}

/// What Resource Health does not say is unreadable, by stamp, and the rest of the run goes in; what it says becomes evidence
/// once, however often it is asked, and what it says and has no vote is recorded once.
#[tokio::test]
async fn resource_health_is_read_beside_the_rest_and_told_once() {
    let asked = Arc::new(AtomicU32::new(0));
    let arm = axum::Router::new().fallback(async move |uri: axum::http::Uri| {
        let status = |state: &str, context: &str| {
            let said = serde_json::json!({
                "availabilityState": state, "title": state, "occuredTime": NOW.to_string(),
                "context": context, "reportedTime": "not a time",
            });
            (axum::http::StatusCode::OK, Json(serde_json::json!({ "properties": said })))
        };
        match uri.path() {
            path if !path.contains("Microsoft.ResourceHealth") => {
                (axum::http::StatusCode::NOT_FOUND, Json(serde_json::Value::Null))
            }
            path if path.contains("eastus2") => status("Unavailable", "Platform Initiated"),
            // It flaps to Unknown on healthy resources: that is nothing seen, and nothing to record.
            _ if asked.fetch_add(1, Ordering::SeqCst) == 0 => status("Unknown", ""),
            _ => status("Unavailable", "Customer Initiated"),
        }
    });
    let (controller, ledger) = controller(fakes::azure_at(&fakes::serve_undated(arm).await)).await;
    let workload = rediscovered(&controller, &ledger).await;
    let clock = Arc::new(ManualClock::new(NOW));
    let controller = Controller { clock: clock.clone(), ..Arc::into_inner(controller).unwrap() };
    evaluate(&controller).await.unwrap();
    for minute in 0..3 {
        clock.set(NOW + Duration::from_secs(1 + 60 * minute));
        observe_stamps(&controller).await.unwrap();
        evaluate(&controller).await.unwrap();
    }
    let state = ledger.load(&workload, 1).await.unwrap().state.unwrap();
    let platform = &state.evidence[&StampId::new("eastus2")][&EvidenceClass::Platform];
    let tracks: Vec<_> = platform.values().map(|track| (track.run.verdict, track.run.count)).collect();
    assert_eq!(tracks, [(Verdict::Unhealthy, 1)], "told once");
    assert_eq!(
        state.evidence.get(&StampId::new("centralus")).and_then(|of| of.get(&EvidenceClass::Platform)),
        None
    );
    let refused = ledger.inbox();
    let [only] = &refused[..] else { panic!("one refusal, once: {refused:?}") };
    assert!(
        matches!(&only.body, ItemBody::Refused { refusal } if refusal.note.contains("on purpose")),
        "{only:?}"
    );
}

/// Most of what is well has been well for weeks: a change older than an event may be is neither told nor refused.
#[tokio::test]
async fn a_resource_that_has_been_available_for_weeks_is_no_event() {
    let arm = axum::Router::new().fallback(async move |uri: axum::http::Uri| {
        if !uri.path().contains("Microsoft.ResourceHealth") {
            return (axum::http::StatusCode::NOT_FOUND, Json(serde_json::Value::Null));
        }
        let weeks_ago = NOW.before(Duration::from_secs(30 * 86_400)).to_string();
        let said = serde_json::json!({ "availabilityState": "Available", "occuredTime": weeks_ago });
        (axum::http::StatusCode::OK, Json(serde_json::json!({ "properties": said })))
    });
    let (controller, ledger) = controller(fakes::azure_at(&fakes::serve_undated(arm).await)).await;
    rediscovered(&controller, &ledger).await;
    observe_stamps(&controller).await.unwrap();
    let refused: Vec<_> =
        ledger.inbox().into_iter().filter(|item| matches!(item.body, ItemBody::Refused { .. })).collect();
    assert_eq!(refused, []);
    assert!(
        observed(&ledger)
            .await
            .iter()
            .all(|(_, signals, _)| signals.iter().all(|one| one.class != EvidenceClass::Platform))
    );
}

#[tokio::test]
async fn a_resource_health_that_cannot_be_read_says_so_by_stamp() {
    let (controller, ledger) = controller(fakes::azure_out_of_reach()).await;
    observe_stamps(&controller).await.unwrap();
    let items = observed(&ledger).await;
    let unreadable: Vec<&String> = items.iter().flat_map(|(.., facts)| &facts.unreadable).collect();
    for stamp in ["eastus2", "centralus"] {
        assert!(unreadable.contains(&&format!("resource health of {stamp}")), "{unreadable:?}");
    }
    assert!(
        items.iter().all(|(_, signals, _)| signals.iter().all(|one| one.class != EvidenceClass::Platform))
    );
}
