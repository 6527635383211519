//! One snapshot per payload; what duplicates, forgeries and nonsense come to.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapters::Ledger;
use cordon::controller::{self, Controller};
use cordon::edge::Json;
use cordon::normalise::{Context, action_group, activity_log, azure_monitor, event_grid, probe_log};
use domain::state::Topology;
use domain::{EvidenceClass, InboxItem, ItemBody, RefusalCode, Scope, Signal, Standing, Timestamp, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};
use tests::fakes::InboxLedger;
use tests::{fakes, fixtures};

type Normaliser = fn(&Json<'_>, &Context<'_>) -> Vec<InboxItem>;

const FAMILIES: [(&str, Normaliser); 4] = [
    ("action_group", action_group::items),
    ("activity_log", activity_log::items),
    ("probe_log", probe_log::items),
    ("event_grid", event_grid::items),
];

/// Shortly after the variants happened; the documented samples are years older and set their own.
const NOW: &str = "2026-03-10T09:40:30Z";

fn received_at(name: &str) -> Timestamp {
    let text = match name {
        "sample-metric-common-schema-resolved" => "2019-03-22T14:05:00Z",
        "sample-resourcehealth-legacy-activitylog-schema" => "2018-09-04T23:12:00Z",
        "sample-servicehealth-legacy-activitylog-schema" => "2017-10-18T23:50:00Z",
        "sample-healthprobelog-eventhub-record" => "2021-02-02T07:17:00Z",
        "sample-healthresources-availabilitystatuschanged-cloudevents" => "2024-02-22T01:41:00Z",
        "sample-healthresources-availabilitystatuschanged-eventgridschema" => "2023-07-24T19:21:00Z",
        "servicehealth-incident-resolved-while-fired" => "2026-03-10T12:11:00Z",
        "servicehealth-incident-rca" => "2026-03-11T08:01:00Z",
        _ => NOW,
    };
    Timestamp::parse(text).unwrap()
}

fn run(normalise: Normaliser, body: &Value, received_at: Timestamp) -> Vec<InboxItem> {
    let (policy, topology) = (fixtures::policy(), fixtures::topology());
    normalise(&Json::from(body), &Context { policy: &policy, topology: &topology, received_at })
}

fn of(family: &str, name: &str) -> Vec<InboxItem> {
    let (_, normalise) = FAMILIES.into_iter().find(|(known, _)| *known == family).unwrap();
    run(normalise, &fixtures::payload(family, name), received_at(name))
}

fn signals(items: &[InboxItem]) -> Vec<&Signal> {
    items
        .iter()
        .flat_map(|item| match &item.body {
            ItemBody::Observed { signals, .. } => signals.iter().collect(),
            _ => vec![],
        })
        .collect()
}

fn refusals(items: &[InboxItem]) -> Vec<RefusalCode> {
    items
        .iter()
        .filter_map(|item| match &item.body {
            ItemBody::Refused { refusal } => Some(refusal.code),
            _ => None,
        })
        .collect()
}

fn ids(items: &[InboxItem]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

#[test]
fn every_payload_comes_to_what_its_snapshot_says() {
    for (family, _) in FAMILIES {
        for name in fixtures::names(family) {
            insta::assert_json_snapshot!(format!("{family}__{name}"), of(family, &name));
        }
    }
}

#[test]
fn an_incident_names_the_stamps_of_its_regions_and_nothing_else() {
    let items = of("action_group", "servicehealth-incident-several-regions");
    let scopes: BTreeSet<_> = signals(&items).iter().map(|signal| signal.scope.clone()).collect();
    assert_eq!(scopes, ["centralus", "eastus2"].map(|stamp| Scope::Stamp(stamp.into())).into());
    assert_eq!(refusals(&items), [RefusalCode::RegionWithoutStamp]);
}

#[test]
fn each_kind_of_refusal_has_its_code() {
    for (family, name, code) in [
        ("action_group", "servicehealth-incident-global", RefusalCode::GlobalScope),
        ("action_group", "servicehealth-incident-unknown-region", RefusalCode::UnknownRegion),
        ("action_group", "servicehealth-incident-region-without-stamp", RefusalCode::RegionWithoutStamp),
        ("action_group", "servicehealth-incident-service-not-used", RefusalCode::ServiceNotUsed),
        ("action_group", "servicehealth-incident-older-than-the-horizon", RefusalCode::TooOld),
        ("action_group", "servicehealth-maintenance", RefusalCode::NotAHealthSignal),
        (
            "action_group",
            "sample-servicehealth-common-schema-incident-test-action",
            RefusalCode::SyntheticTest,
        ),
        ("action_group", "sample-metric-common-schema-test-action", RefusalCode::SyntheticTest),
        ("action_group", "metric-rule-not-in-the-allow-list", RefusalCode::UnknownSpeaker),
        ("action_group", "metric-origin-health-unknown-origin", RefusalCode::UnknownStamp),
        ("action_group", "resourcehealth-user-initiated", RefusalCode::NotAHealthSignal),
        ("action_group", "resourcehealth-shared-profile", RefusalCode::UnknownStamp),
        ("action_group", "unknown-schema", RefusalCode::Malformed),
        ("event_grid", "resource-annotated", RefusalCode::NotAHealthSignal),
        ("event_grid", "publisher-unknown", RefusalCode::UnknownSpeaker),
        ("event_grid", "publisher-unknown-stamp", RefusalCode::UnknownStamp),
        ("event_grid", "sample-deadletter-eventgridschema", RefusalCode::NotAHealthSignal),
    ] {
        let items = of(family, name);
        assert_eq!((refusals(&items), signals(&items).len()), (vec![code], 0), "{family}/{name}");
    }
}

#[test]
fn one_incident_is_one_item_over_webhook_and_event_hub() {
    let webhook = of("action_group", "servicehealth-incident-escaped-string");
    let export = of("activity_log", "servicehealth-incident-export");
    let with_array = of("action_group", "servicehealth-incident-text-enums-array");
    assert_eq!(ids(&webhook), ids(&export));
    assert_eq!(ids(&webhook), ids(&with_array));
    assert_eq!(signals(&webhook), signals(&with_array));
}

#[test]
fn one_resource_health_event_is_one_item_over_webhook_and_event_hub() {
    let webhook = of("action_group", "resourcehealth-unavailable");
    let export = of("activity_log", "resourcehealth-export-nested-properties");
    assert_eq!(ids(&webhook), ids(&export));
    assert_eq!(signals(&webhook), signals(&export));
}

#[test]
fn fired_and_resolved_are_two_events_of_one_source() {
    for (fired, resolved) in [
        ("servicehealth-incident-escaped-string", "servicehealth-incident-resolved-while-fired"),
        ("metric-origin-health-origin-dimension", "metric-origin-health-resolved-missing-data"),
        ("resourcehealth-unavailable", "resourcehealth-available"),
    ] {
        let (fired, resolved) = (of("action_group", fired), of("action_group", resolved));
        let (before, after) = (signals(&fired)[0], signals(&resolved)[0]);
        assert_ne!(fired[0].id, resolved[0].id);
        assert_eq!((&before.source, &before.scope), (&after.source, &after.scope));
        assert_eq!((before.standing, after.standing), (Standing::Fired, Standing::Resolved));
        assert_eq!(after.verdict, Verdict::Unobserved, "resolved is no proof of health");
    }
}

#[test]
fn the_stream_tells_alerts_exports_and_probe_logs_apart() {
    let body = json!([
        fixtures::payload("action_group", "metric-origin-health-origin-dimension"),
        {"records": [
            fixtures::payload("activity_log", "servicehealth-incident-export")["records"][0],
            fixtures::payload("probe_log", "more-locations-than-a-note-holds")["records"][0],
        ]},
    ]);
    let items = run(azure_monitor, &body, received_at(""));
    let classes: BTreeSet<EvidenceClass> = signals(&items).iter().map(|signal| signal.class).collect();
    assert_eq!(classes, BTreeSet::from([EvidenceClass::Edge, EvidenceClass::Platform]));
    assert_eq!(refusals(&items), [RefusalCode::ServiceNotUsed]);
}

#[test]
fn a_probe_log_batch_is_the_same_item_in_any_order() {
    let mut body = fixtures::payload("probe_log", "more-locations-than-a-note-holds");
    let before = run(probe_log::items, &body, received_at(""));
    body["records"].as_array_mut().unwrap().reverse();
    assert_eq!(before, run(probe_log::items, &body, received_at("")));
}

#[test]
fn before_the_first_discovery_a_region_is_believed_and_a_stamp_from_outside_is_not() {
    let (policy, topology) = (fixtures::policy(), Topology::default());
    let ctx = Context { policy: &policy, topology: &topology, received_at: received_at("") };
    let incident = fixtures::payload("action_group", "servicehealth-incident-escaped-string");
    let items = action_group::items(&Json::from(&incident), &ctx);
    assert_eq!(signals(&items)[0].scope, Scope::Region("eastus2".into()));
    let metric = fixtures::payload("action_group", "metric-origin-health-custom-property-stamp");
    assert_eq!(refusals(&action_group::items(&Json::from(&metric), &ctx)), [RefusalCode::UnknownStamp]);
}

#[test]
fn an_event_from_the_future_happened_now() {
    let mut body = fixtures::payload("action_group", "metric-origin-health-origin-dimension");
    body["data"]["essentials"]["firedDateTime"] = json!("2031-01-01T00:00:00Z");
    let items = run(action_group::items, &body, received_at(""));
    assert_eq!((items[0].event_at, signals(&items)[0].observed_at), (received_at(""), received_at("")));
}

/// Field names and values that the normalisers look for, so that random documents get past the first look.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "schemaId",
        "azureMonitorCommonAlertSchema",
        "Microsoft.Insights/activityLogs",
        "data",
        "essentials",
        "alertContext",
        "customProperties",
        "alertId",
        "alertRule",
        "origin-health",
        "monitorCondition",
        "Fired",
        "monitoringService",
        "ServiceHealth",
        "Resource Health",
        "Platform",
        "properties",
        "trackingId",
        "stage",
        "Active",
        "status",
        "impactedServices",
        "ServiceName",
        "App Service",
        "ImpactedRegions",
        "RegionName",
        "East US 2",
        "records",
        "category",
        "FrontDoorHealthProbeLog",
        "originName",
        "eastus2.contososhoes.com",
        "time",
        "2026-03-10T09:33:01Z",
        "specversion",
        "1.0",
        "id",
        "type",
        "source",
        "/contoso/checkout-monitor",
        "verdict",
        "unhealthy",
        "healthy",
        "stamp",
        "eastus2",
        "class",
        "direct",
        "eventType",
        "resourceInfo",
        "readLocations",
        "locationName",
        "context",
        "activityLog",
        "condition",
        "allOf",
        "dimensions",
        "name",
        "value",
        "Origin",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,12}"]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 96, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word(), inner.clone()), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            inner.prop_map(|value| Value::String(value.to_string())),
        ]
    })
}

/// A real payload with one value, somewhere, replaced by nonsense: gets much deeper than a random document.
fn damaged() -> impl Strategy<Value = Value> {
    let all: Vec<Value> = FAMILIES
        .iter()
        .flat_map(|(family, _)| {
            fixtures::names(family).into_iter().map(|name| fixtures::payload(family, &name))
        })
        .collect();
    (prop::sample::select(all), any::<prop::sample::Index>(), document()).prop_map(
        |(mut body, index, nonsense)| {
            let mut pointers = Vec::new();
            walk(&body, String::new(), &mut pointers);
            if let Some(place) = body.pointer_mut(index.get::<String>(&pointers)) {
                *place = nonsense;
            }
            body
        },
    )
}

fn walk(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            walk(value, format!("{pointer}/{name}"), found);
        }),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| walk(value, format!("{pointer}/{index}"), found));
        }
        _ => {}
    }
    found.push(pointer);
}

fn speaks_only_as_granted(body: &Value) -> Result<(), TestCaseError> {
    let policy = fixtures::policy();
    let granted: BTreeSet<EvidenceClass> = policy.speakers.iter().map(|speaker| speaker.class).collect();
    for (family, normalise) in FAMILIES.into_iter().chain([("azure_monitor", azure_monitor as Normaliser)]) {
        let items = run(normalise, body, received_at(""));
        for signal in signals(&items) {
            let own = match family {
                "probe_log" => signal.class == EvidenceClass::Edge,
                // The stream carries the probe log, too; everybody else needs a line in the allow-list, but for
                // Platform, which never cordons alone.
                "azure_monitor" if signal.source == "probe-log" => signal.class == EvidenceClass::Edge,
                _ => signal.class == EvidenceClass::Platform || granted.contains(&signal.class),
            };
            prop_assert!(own, "{family} yields {signal:?}");
            prop_assert!(signal.observed_at <= received_at(""));
        }
        for item in &items {
            let id = item.id.as_str();
            prop_assert!(id.len() <= 255 && !id.contains(['/', '\\', '?', '#']), "{id:?} is no Cosmos DB id");
        }
        let again = run(normalise, body, received_at(""));
        prop_assert_eq!(ids(&items), ids(&again), "the same event must have the same ids");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_document_panics_or_speaks_without_leave(body in document()) {
        speaks_only_as_granted(&body)?;
    }

    #[test]
    fn no_damaged_payload_panics_or_speaks_without_leave(body in damaged()) {
        speaks_only_as_granted(&body)?;
    }
}

/// What the observer makes of an account's document: the production one, with ARM answering what it is told to.
struct Observed {
    answer: Arc<Mutex<Value>>,
    arm: String,
    ledger: Arc<InboxLedger>,
}

impl Observed {
    async fn new() -> Self {
        let answer = Arc::new(Mutex::new(Value::Null));
        let told = answer.clone();
        let router = axum::Router::new().fallback(move |uri: axum::http::Uri| async move {
            let metrics = uri.path().to_lowercase().contains("microsoft.insights/metrics");
            axum::Json(if metrics { json!({ "value": [] }) } else { told.lock().unwrap().clone() })
        });
        let arm = fakes::serve_undated(router).await;
        Self { answer, arm, ledger: Arc::new(InboxLedger::new(fixtures::topology())) }
    }

    fn controller(&self, after: Duration) -> Controller {
        let mut policy = fixtures::policy();
        let account =
            "/subscriptions/subid/resourceGroups/rg1/providers/Microsoft.DocumentDB/databaseAccounts/ddb1";
        policy.workload.cosmos_account = Some(account.into());
        let now = Timestamp::parse(NOW).unwrap() + after;
        fakes::observer(policy, fakes::azure_at(&self.arm), self.ledger.clone(), now)
    }

    /// What is said of each region, and what could not be read.
    async fn of(&self, document: Value, after: Duration) -> (Vec<(Scope, Verdict)>, Vec<String>) {
        *self.answer.lock().unwrap() = document;
        controller::observe_cosmos(&self.controller(after)).await.unwrap();
        let waiting = self.ledger.load(&fixtures::policy().workload.name, 9).await.unwrap().inbox;
        let (mut said, mut unreadable) = (vec![], vec![]);
        for item in waiting {
            let ItemBody::Observed { signals, facts } = item.body else { continue };
            assert!(signals.iter().all(|signal| signal.class == EvidenceClass::Data));
            said.extend(signals.into_iter().map(|signal| (signal.scope, signal.verdict)));
            unreadable.extend(facts.unreadable);
        }
        (said, unreadable)
    }
}

#[tokio::test]
async fn a_listed_cosmos_region_contradicts_nobody_and_every_account_document_is_read() {
    let (east, central) = (Scope::Region("eastus2".into()), Scope::Region("centralus".into()));
    let listed = |east_is| vec![(central.clone(), Verdict::Unobserved), (east.clone(), east_is)];
    // Read by the stores: adapters::cosmos.
    let mut read = vec!["sample-gateway-account-document".to_owned()];
    for (fixture, said, unreadable) in [
        ("arm-both-regions", listed(Verdict::Unobserved), vec![]),
        ("arm-offline-region", listed(Verdict::Unhealthy), vec![]),
        ("arm-no-writes-in-a-region", listed(Verdict::Degraded), vec![]),
        ("arm-lost-region", listed(Verdict::Unhealthy), vec![]),
        ("sample-arm-databaseaccount-get", vec![], vec![]),
        ("not-an-account", vec![], vec!["cosmos account".to_owned()]),
    ] {
        let document = fixtures::payload("cosmos_account", fixture);
        let found = Observed::new().await.of(document, Duration::ZERO).await;
        assert_eq!(found, (said, unreadable), "{fixture}");
        read.push(fixture.to_owned());
    }
    read.sort();
    assert_eq!(read, fixtures::names("cosmos_account"));
}

#[tokio::test]
async fn a_cosmos_region_that_was_there_and_is_gone_is_missed_and_one_that_comes_is_not() {
    let both = fixtures::payload("cosmos_account", "arm-both-regions");
    let change = |lists: &[&str], change: fn(&mut Vec<Value>)| {
        let mut document = both.clone();
        for list in lists {
            change(document["properties"][list].as_array_mut().unwrap());
        }
        document
    };
    let all = ["locations", "readLocations", "writeLocations"];
    let without = |locations: &mut Vec<Value>| locations.retain(|one| one["locationName"] != "East US 2");
    let east = |found: &[(Scope, Verdict)]| {
        found.iter().find(|(scope, _)| *scope == Scope::Region("eastus2".into())).map(|(_, verdict)| *verdict)
    };
    let gone = change(&all, without);
    let (before, _) = Observed::new().await.of(gone.clone(), Duration::ZERO).await;
    assert_eq!(east(&before), None, "one that was never there is not missed: {before:?}");
    let observed = Observed::new().await;
    observed.of(both.clone(), Duration::ZERO).await;
    controller::evaluate(&observed.controller(Duration::ZERO)).await.unwrap();
    let (after, _) = observed.of(gone, Duration::from_secs(30)).await;
    assert_eq!(east(&after), Some(Verdict::Unhealthy), "{after:?}");
    let mut coming = change(&all[1..], without);
    for one in coming["properties"]["locations"].as_array_mut().unwrap() {
        if one["locationName"] == "East US 2" {
            one["provisioningState"] = "Creating".into();
        }
    }
    let (coming, _) = Observed::new().await.of(coming, Duration::ZERO).await;
    assert_eq!(east(&coming), Some(Verdict::Unobserved), "{coming:?}");
}
