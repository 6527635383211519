//! Resource Health, asked rather than awaited: the same signals as its alerts, as late as they are, and never a proof of health.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use adapters::azure::resource_health::AvailabilityStatus;
use cordon::edge::Json;
use cordon::normalise::{self, Context, action_group};
use domain::state::Topology;
use domain::{EvidenceClass, InboxItem, ItemBody, RefusalCode, Signal, Standing, Timestamp, Verdict};
use serde_json::Value;
use simulator::ComputeKind;
use tests::drills::{self, Run};
use tests::fixtures;

const NOW: &str = "2026-03-10T09:40:30Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn asked(status: &AvailabilityStatus) -> Vec<InboxItem> {
    let (policy, topology) = (fixtures::policy(), fixtures::topology());
    let ctx = Context { policy: &policy, topology: &topology, received_at: at(NOW) };
    let plan = topology.stamps[&"eastus2".into()].plan_id.clone().unwrap();
    normalise::health::status(&plan, status, &ctx)
}

fn only_signal(items: &[InboxItem]) -> &Signal {
    assert_eq!(items.len(), 1, "{items:?}");
    let signals = match &items[0].body {
        ItemBody::Observed { signals, .. } => signals.as_slice(),
        _ => &[],
    };
    assert_eq!(signals.len(), 1, "{items:?}");
    &signals[0]
}

fn only_refusal(items: &[InboxItem]) -> RefusalCode {
    assert_eq!(items.len(), 1, "{items:?}");
    let refusal = match &items[0].body {
        ItemBody::Refused { refusal } => Some(refusal.code),
        _ => None,
    };
    refusal.unwrap()
}

fn status(state: &str, context: &str, reason: &str) -> AvailabilityStatus {
    AvailabilityStatus {
        state: state.to_owned(),
        occurred: Some(at("2026-03-10T09:30:00Z")),
        reported: Some(at("2026-03-10T09:39:00Z")),
        title: state.to_owned(),
        reason: reason.to_owned(),
        context: context.to_owned(),
    }
}

#[test]
fn a_status_that_is_read_is_the_signal_that_an_alert_is() {
    for (state, context, reason, standing, verdict) in [
        ("Unavailable", "Platform Initiated", "Unplanned", Standing::Fired, Verdict::Unhealthy),
        ("Unavailable", "Platform Initiated", "Planned", Standing::Fired, Verdict::Unhealthy),
        ("Unavailable", "", "", Standing::Fired, Verdict::Unhealthy),
        ("unavailable", "VM Initiated", "", Standing::Fired, Verdict::Unhealthy),
        ("Degraded", "Platform Initiated", "Unplanned", Standing::Fired, Verdict::Degraded),
        ("Available", "Not Applicable", "", Standing::Resolved, Verdict::Unobserved),
        ("Available", "Customer Initiated", "UserInitiated", Standing::Resolved, Verdict::Unobserved),
    ] {
        let items = asked(&status(state, context, reason));
        let signal = only_signal(&items);
        assert_eq!((signal.standing, signal.verdict), (standing, verdict), "{state} {context} {reason}");
        assert_eq!(signal.class, EvidenceClass::Platform);
        assert_eq!(signal.observed_at, at("2026-03-10T09:30:00Z"), "when it happened, not when it was asked");
    }
    let alert = fixtures::payload("action_group", "resourcehealth-unavailable");
    let (policy, topology) = (fixtures::policy(), fixtures::topology());
    let ctx = Context { policy: &policy, topology: &topology, received_at: at(NOW) };
    let alert = action_group::items(&Json::from(&alert), &ctx);
    let read = asked(&status("Unavailable", "Platform Initiated", "Unplanned"));
    let (alert, read) = (only_signal(&alert), only_signal(&read));
    assert_eq!((&read.source, &read.scope), (&alert.source, &alert.scope), "each can take the other back");
}

#[test]
fn what_says_nothing_is_refused_and_is_the_same_item_each_time() {
    for (state, context, reason, code) in [
        ("Unknown", "", "", RefusalCode::NotAHealthSignal),
        ("Unavailable", "Customer Initiated", "", RefusalCode::NotAHealthSignal),
        ("Unavailable", "", "UserInitiated", RefusalCode::NotAHealthSignal),
        ("Unavailable", "", "User Initiated", RefusalCode::NotAHealthSignal),
        ("", "", "", RefusalCode::Malformed),
        ("On holiday", "", "", RefusalCode::Malformed),
    ] {
        let items = asked(&status(state, context, reason));
        assert_eq!(only_refusal(&items), code, "{state} {context} {reason}");
        let again = asked(&AvailabilityStatus {
            reported: Some(at("2026-03-10T09:40:00Z")),
            ..status(state, context, reason)
        });
        assert_eq!(items[0].id, again[0].id, "asked again, the same change");
    }
}

#[test]
fn the_cluster_of_a_pool_is_its_stamp_s_and_a_container_app_has_no_status() {
    let group = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers";
    let cluster = format!("{group}/Microsoft.ContainerService/managedClusters/aks");
    let with = |plan: String| {
        let mut stamps = (*fixtures::topology().stamps).clone();
        stamps.get_mut(&"eastus2".into()).unwrap().plan_id = Some(plan);
        Topology { stamps: stamps.into(), ..fixtures::topology() }
    };
    let topology = with(format!("{cluster}/agentPools/web"));
    let compute =
        |topology: &Topology| normalise::compute_of(&topology.stamps[&"eastus2".into()]).map(str::to_owned);
    assert_eq!(compute(&topology), Some(cluster.clone()));
    let policy = fixtures::policy();
    let ctx = Context { policy: &policy, topology: &topology, received_at: at(NOW) };
    let gone = status("Unavailable", "Platform Initiated", "Unplanned");
    let items = normalise::health::status(&cluster.to_uppercase(), &gone, &ctx);
    assert_eq!(only_signal(&items).scope, domain::Scope::Stamp("eastus2".into()));
    let another = normalise::health::status(&format!("{cluster}2"), &gone, &ctx);
    assert_eq!(only_refusal(&another), RefusalCode::UnknownStamp);
    assert_eq!(compute(&with(format!("{group}/Microsoft.App/containerApps/api"))), None);
}

/// What Resource Health says of a stamp in each record: when, and whether it stands.
fn told(run: &Run, stamp: &str) -> Vec<(Timestamp, String, bool, Timestamp)> {
    let mut told = Vec::new();
    for record in &run.played.audit {
        let situation = record.situation.to_value();
        let sources =
            situation["state"]["evidence"][stamp]["platform"].as_object().cloned().unwrap_or_default();
        for (source, track) in
            sources.into_iter().filter(|(source, _)| source.starts_with("resource-health:"))
        {
            let stands = !matches!(track["standing_since"], Value::Null);
            let of = at(track["run"]["last_seen"].as_str().unwrap());
            told.push((record.at, source, stands, of));
        }
    }
    told
}

/// Nobody sends an alert in these drills: what is known of the platform was asked for. East US 2 is lost from minute 10 to 20.
#[tokio::test]
async fn a_lost_region_is_told_minutes_late_and_taken_back_by_itself() {
    for (compute, resource) in [
        (ComputeKind::AppService, "/microsoft.web/serverfarms/"),
        (ComputeKind::AgentPool, "/microsoft.containerservice/managedclusters/aks-eastus2"),
    ] {
        let mut scenario = drills::lever(compute);
        scenario.alerts.clear();
        // Until the region's return makes a record: what takes the status back, four minutes late, makes none by itself.
        scenario.duration_s = 3_000;
        let run = drills::run(&drills::options(scenario)).await;
        let start = run.played.audit[0].at;
        let told = told(&run, "eastus2");
        let (first, source, stands, lost_at) =
            told.first().unwrap_or_else(|| panic!("{compute:?}: nothing told"));
        assert!(source.contains(resource) && !source.contains("agentpools"), "{source}");
        assert!(stands, "what is told first is that it is gone");
        let late = first.since(*lost_at).as_secs();
        assert!(late >= 240, "{compute:?}: told {late} s after the loss, before Resource Health knew");
        let decided = run.times_of("cordon", "eastus2")[0];
        assert!(
            first.since(start).as_secs() > u64::from(decided),
            "it waits for nobody: decided at {decided} s"
        );
        let (_, _, stands, back_at) = told.last().unwrap();
        assert!(!stands, "{compute:?}: nobody took it back");
        assert_eq!(back_at.since(*lost_at).as_secs(), 600, "{compute:?}: as long as the region was gone");
        assert!(self::told(&run, "centralus").is_empty(), "of what is available nothing is told");
        let unreadable = run.played.audit.iter().any(|record| {
            let state = &record.situation.to_value()["state"]["unreadable"];
            state.as_object().is_some_and(|all| all.keys().any(|what| what.contains("resource health")))
        });
        assert!(!unreadable, "{compute:?}");
    }
}

/// A Container App has no status: none is asked for, and none is missed.
#[tokio::test]
async fn compute_without_a_status_is_not_asked_about() {
    let mut scenario = drills::lever(ComputeKind::ContainerApp);
    scenario.duration_s = 900;
    let run = drills::run(&drills::options(scenario)).await;
    let asked = run.played.exchanges.iter().filter(|said| said.path.contains("Microsoft.ResourceHealth"));
    assert_eq!(asked.count(), 0);
    assert!(told(&run, "eastus2").is_empty());
}

/// Once a minute for each stamp, not with every run of the observers.
#[tokio::test]
async fn it_is_asked_once_a_minute() {
    let mut scenario = drills::lever(ComputeKind::AppService);
    scenario.duration_s = 900;
    let run = drills::run(&drills::options(scenario)).await;
    let asked = run.played.exchanges.iter().filter(|said| said.path.contains("Microsoft.ResourceHealth"));
    assert_eq!(asked.count(), 2 * 15, "two stamps, fifteen minutes");
}
