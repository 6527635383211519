//! ARM as it answers: shapes, refusals, operations under way.

use serde_json::{Value, json};

use super::{ArmRequest, ArmResponse, answer};
use crate::scenario::{Scenario, builtin};
use crate::world::World;
use domain::Timestamp;

fn world() -> World {
    world_of("hard-loss")
}

fn world_of(scenario: &str) -> World {
    let text = builtin().iter().find(|(name, _)| *name == scenario).unwrap().1;
    World::new(&Scenario::from_toml(text).unwrap(), 7, Timestamp::from_secs(1_763_838_000))
}

fn request(method: &str, path: &str, body: Value) -> ArmRequest {
    let (path, query) = path.split_once('?').unwrap_or((path, "api-version=2025-06-01"));
    ArmRequest {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: vec![("authorization".into(), "Bearer sim".into())],
        body,
    }
}

fn get(world: &mut World, path: &str) -> ArmResponse {
    answer(world, &request("GET", path, Value::Null))
}

fn send(world: &mut World, method: &str, path: &str, body: Value) -> ArmResponse {
    answer(world, &request(method, path, body))
}

fn enabled(state: &str) -> Value {
    json!({ "properties": { "enabledState": state } })
}

#[test]
fn a_caller_without_token_or_version_is_refused() {
    let mut world = world();
    let path = world.ids.profile.clone();
    let mut bare = request("GET", &path, Value::Null);
    bare.headers.clear();
    assert_eq!(answer(&mut world, &bare).status, 401);
    let unversioned = get(&mut world, &format!("{path}?x=1"));
    assert_eq!(unversioned.body["error"]["code"], "MissingApiVersionParameter");
    assert_eq!(get(&mut world, &path.to_uppercase()).status, 200, "ids have no case");
}

#[test]
fn a_second_change_is_refused_while_the_first_is_running() {
    let mut world = world();
    let (east, central) = (world.ids.stamps[0].origin.clone(), world.ids.stamps[1].origin.clone());
    let first = send(&mut world, "PATCH", &east, enabled("Disabled"));
    assert_eq!(first.status, 202);
    assert_eq!(first.body["properties"]["provisioningState"], "Updating");
    let url = first.headers.iter().find(|(name, _)| name == "azure-asyncoperation").unwrap().1.clone();
    let poll = url.strip_prefix("https://management.azure.com").unwrap().to_owned();
    assert_eq!(get(&mut world, &poll).body["status"], "InProgress");
    let second = send(&mut world, "PATCH", &central, json!({ "properties": { "weight": 100 } }));
    assert_eq!((second.status, &second.body["error"]["code"]), (409, &json!("Conflict")));
    (0..180).for_each(|_| world.step());
    assert_eq!(get(&mut world, &poll).body["status"], "Succeeded");
    assert_eq!(get(&mut world, &east).body["properties"]["enabledState"], "Disabled");
    let share = world.snapshot().stamps[0].origin.enabled_share;
    assert!((share - 1.0).abs() < 1e-9, "no location has heard of it after three minutes: {share}");
    (0..1_020).for_each(|_| world.step());
    assert!(world.snapshot().stamps[0].origin.enabled_share < 1e-9);
}

#[test]
fn the_last_enabled_origin_cannot_be_disabled() {
    let mut world = world();
    let (east, central) = (world.ids.stamps[0].origin.clone(), world.ids.stamps[1].origin.clone());
    assert_eq!(send(&mut world, "PATCH", &east, enabled("Disabled")).status, 202);
    (0..200).for_each(|_| world.step());
    let last = send(&mut world, "PATCH", &central, enabled("Disabled"));
    assert_eq!(last.status, 400);
    assert_eq!(last.body["error"]["message"], "Endpoint pools must contain at least one enabled endpoint");
    assert_eq!(send(&mut world, "PATCH", &east, enabled("Disabled")).status, 200, "nothing to change");
}

#[test]
fn an_autoscale_setting_takes_strings_only_and_the_engine_obeys_it() {
    let mut world = world();
    let path = world.ids.stamps[1].autoscale.clone();
    let mut profiles = get(&mut world, &path).body["properties"]["profiles"].clone();
    profiles.as_array_mut().unwrap().push(json!({
        "name": "cordon", "rules": [],
        "capacity": { "minimum": "21", "maximum": "30", "default": "21" },
        "fixedDate": { "timeZone": "UTC", "start": world.now(), "end": "2025-12-01T00:00:00Z" }
    }));
    let mut numeric = profiles.clone();
    numeric[1]["capacity"]["minimum"] = json!(21);
    let body = |profiles: &Value| json!({ "properties": { "profiles": profiles } });
    assert_eq!(send(&mut world, "PATCH", &path, body(&numeric)).status, 400);
    assert_eq!(send(&mut world, "PATCH", &path, body(&profiles)).status, 200);
    (0..60).for_each(|_| world.step());
    assert_eq!(
        (world.stamps[1].requested, world.stamps[1].ready),
        (21, 7),
        "asked for within one run of the engine"
    );
    (0..300).for_each(|_| world.step());
    assert_eq!(world.stamps[1].ready, 21);
}

#[test]
fn a_plan_wants_its_whole_sku_and_has_a_cap() {
    let mut world = world();
    let path = world.ids.stamps[1].plan.clone();
    let sku = |n: u32| json!({ "sku": { "name": "P1v3", "tier": "PremiumV3", "capacity": n } });
    let bare = send(&mut world, "PATCH", &path, json!({ "sku": { "capacity": 9 } }));
    assert_eq!((bare.status, &bare.body["Message"]), (400, &json!("The parameter SKU cannot be null.")));
    let many = send(&mut world, "PATCH", &path, sku(31));
    assert_eq!(many.body["Details"][2]["ErrorEntity"]["ExtendedCode"], "03002");
    assert_eq!(send(&mut world, "PATCH", &path, sku(9)).status, 202);
    assert_eq!(get(&mut world, &path).body["sku"]["capacity"], 9);
}

#[test]
fn lists_are_paged_and_graph_knows_the_tags() {
    let mut world = world();
    let list = format!("{}/origins", world.ids.origin_group);
    let page = get(&mut world, &list);
    assert_eq!(page.body["value"].as_array().unwrap().len(), 2);
    assert!(page.body["nextLink"].is_null());
    let query = json!({ "query": "resources | where tags['cordon:workload'] == 'contoso-shoes'" });
    let rows = send(&mut world, "POST", "/providers/Microsoft.ResourceGraph/resources", query);
    assert_eq!(rows.body["count"], 6);
    assert_eq!(rows.body["data"][0]["tags"]["cordon:stamp"], "eastus2");
}

#[test]
fn metrics_come_late_and_by_dimension() {
    let mut world = world();
    let path = format!(
        "{}/providers/Microsoft.Insights/metrics?api-version=2024-02-01&metricnames=OriginRequestCount\
         &interval=PT1M&aggregation=Total&%24filter=Origin%20eq%20'*'%20and%20HttpStatusGroup%20eq%20'*'",
        world.ids.profile
    );
    (0..90).for_each(|_| world.step());
    assert_eq!(get(&mut world, &path).body["value"][0]["timeseries"], json!([]));
    (0..600).for_each(|_| world.step());
    let body = get(&mut world, &path).body;
    let series = body["value"][0]["timeseries"].as_array().unwrap();
    assert_eq!(series.len(), 4, "two origins, good and bad: {body}");
    let central = &series[0];
    assert_eq!(central["metadatavalues"][0]["value"], "app-contoso-shoes-centralus.azurewebsites.net");
    let points = central["data"].as_array().unwrap();
    let total = points[0]["total"].as_f64().unwrap();
    assert!((40_000.0..52_000.0).contains(&total), "a quarter of 3000/s for a minute: {total}");
    assert!((8..=10).contains(&points.len()), "{}", points.len());
}

#[test]
fn quota_and_cosmos_answer_in_their_shapes() {
    let mut world = world();
    let scope = format!(
        "/subscriptions/{}/providers/Microsoft.Web/locations/centralus/providers/Microsoft.Quota",
        world.ids.subscription
    );
    assert_eq!(
        get(&mut world, &format!("{scope}/usages")).body["value"][0]["properties"]["usages"]["value"],
        7
    );
    assert_eq!(
        get(&mut world, &format!("{scope}/quotas")).body["value"][0]["properties"]["limit"]["value"],
        30
    );
    let other = |provider: &str| scope.replace("Microsoft.Web", provider);
    let cores = get(&mut world, &format!("{}/quotas/cores", other("Microsoft.Compute"))).body;
    assert_eq!(cores["properties"]["limit"]["value"], 4_000);
    assert_eq!(get(&mut world, &format!("{}/usages", other("Microsoft.DocumentDB"))).status, 400);
    let mut short = world_of("survivors-short-of-quota");
    let limits = get(&mut short, &format!("{scope}/quotas")).body;
    assert_eq!(limits["value"][0]["properties"]["limit"]["value"], 10);
    let account = world.ids.cosmos_account.clone();
    let body = get(&mut world, &account).body;
    assert_eq!(body["properties"]["locations"][0]["locationName"], "East US 2");
}

#[test]
fn a_throughput_changes_in_steps_by_an_operation_and_goes_back_to_a_tenth_of_its_highest() {
    let mut world = world();
    let path =
        format!("{}/{}/throughputSettings/default", world.ids.cosmos_account, super::throughput::CONTAINER);
    let wish = |maximum: u32| json!({ "properties": { "resource": { "autoscaleSettings": { "maxThroughput": maximum } } } });
    let maximum = |world: &mut World| {
        get(world, &path).body["properties"]["resource"]["autoscaleSettings"]["maxThroughput"].clone()
    };
    assert_eq!(maximum(&mut world), 4_000);
    assert_eq!(send(&mut world, "PUT", &path, wish(12_500)).status, 400);
    let sent = send(&mut world, "PUT", &path, wish(20_000));
    assert_eq!(sent.status, 202);
    let operation = sent.headers.iter().find(|(name, _)| name == "azure-asyncoperation").unwrap().1.clone();
    let operation = operation.strip_prefix("https://management.azure.com").unwrap().to_owned();
    assert_eq!(get(&mut world, &operation).body["status"], "Dequeued");
    assert_eq!(send(&mut world, "PUT", &path, wish(5_000)).status, 409, "one at a time");
    assert_eq!(maximum(&mut world), 4_000);
    (0..10).for_each(|_| world.step());
    assert_eq!(get(&mut world, &operation).body["status"], "Succeeded");
    assert_eq!(maximum(&mut world), 20_000);
    assert_eq!(send(&mut world, "PUT", &path, wish(1_000)).status, 400, "a tenth of 20 000 is the least");
}

#[test]
fn a_frozen_front_door_accepts_a_change_and_makes_it_after_the_thaw() {
    let mut world = world_of("three-stamps-latch-frozen-and-thawed");
    (0..1_000).for_each(|_| world.step());
    let east = world.ids.stamps[0].origin.clone();
    assert_eq!(send(&mut world, "PATCH", &east, enabled("Disabled")).status, 202);
    (0..2_599).for_each(|_| world.step());
    assert_eq!(get(&mut world, &east).body["properties"]["provisioningState"], "Updating");
    assert!(world.snapshot().stamps[0].origin.enabled_share > 0.99);
    (0..200).for_each(|_| world.step());
    assert_eq!(get(&mut world, &east).body["properties"]["provisioningState"], "Succeeded");
    (0..1_010).for_each(|_| world.step());
    assert!(world.snapshot().stamps[0].origin.enabled_share < 1e-9);
}

#[test]
fn the_next_page_of_three_origins_is_behind_an_absolute_link() {
    let mut world = world_of("three-stamps-latch-frozen-and-thawed");
    let list = format!("{}/origins?api-version=2025-06-01", world.ids.origin_group);
    let link = get(&mut world, &list).body["nextLink"].as_str().unwrap().to_owned();
    let next = get(&mut world, link.strip_prefix("https://management.azure.com").unwrap());
    assert_eq!(next.body["value"].as_array().unwrap().len(), 1);
    assert_eq!(next.body["value"][0]["name"], "westus2");
    assert!(next.body["nextLink"].is_null());
}

#[test]
fn a_second_change_propagates_only_after_the_first() {
    let mut world = world_of("three-stamps-latch-frozen-and-thawed");
    let origins: Vec<String> = world.ids.stamps.iter().map(|s| s.origin.clone()).collect();
    assert_eq!(send(&mut world, "PATCH", &origins[1], enabled("Disabled")).status, 202);
    (0..200).for_each(|_| world.step());
    assert_eq!(send(&mut world, "PATCH", &origins[2], enabled("Disabled")).status, 202);
    let share = |world: &World, s: usize| world.snapshot().stamps[s].origin.enabled_share;
    while share(&world, 1) > 1e-9 && world.elapsed_s() < 880 {
        assert!(share(&world, 2) > 0.999, "queued behind the first at {}", world.elapsed_s());
        world.step();
    }
}

#[test]
fn a_lost_region_takes_its_regional_providers_along_and_an_outage_takes_all() {
    let mut world = world_of("arm-down-during-loss");
    let (lost, alive) = (world.ids.stamps[0].plan.clone(), world.ids.stamps[1].plan.clone());
    (0..600).for_each(|_| world.step());
    assert_eq!(get(&mut world, &alive).status, 503);
    (0..1_800).for_each(|_| world.step());
    assert_eq!((get(&mut world, &lost).status, get(&mut world, &alive).status), (503, 200));
}

#[test]
fn an_exchange_is_written_without_its_token() {
    let directory = std::env::temp_dir().join(format!("cordon-recorder-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut world = world();
    let request = request("PATCH", &world.ids.stamps[0].origin.clone(), enabled("Disabled"));
    let response = answer(&mut world, &request);
    let mut recorder = crate::Recorder::into_directory(directory.clone());
    recorder.record(world.now(), &request, &response);
    let written: Value =
        serde_json::from_str(&std::fs::read_to_string(directory.join("000001.json")).unwrap()).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(recorder.failure().is_none());
    assert_eq!(written["liveResponse"]["statusCode"], "202");
    assert_eq!(written["liveRequest"]["headers"]["authorization"], "Bearer REDACTED");
    assert!(
        written["liveRequest"]["url"]
            .as_str()
            .unwrap()
            .starts_with("https://management.azure.com/subscriptions/")
    );
}

#[test]
fn resource_health_learns_of_a_loss_late_and_of_nothing_else() {
    let status = |world: &mut World, resource: &str| {
        get(world, &format!("{resource}/providers/Microsoft.ResourceHealth/availabilityStatuses/current"))
    };
    let mut world = world();
    let (east, central) = (world.ids.stamps[0].plan.clone(), world.ids.stamps[1].plan.clone());
    let first = status(&mut world, &east);
    assert_eq!((first.status, &first.body["properties"]["availabilityState"]), (200, &json!("Available")));
    let fault = world.scenario.faults[0].clone();
    let (from, until) = (fault.from_s.unwrap(), fault.until_s.unwrap());
    let lag = crate::telemetry::RESOURCE_HEALTH_LAG_S;
    let mut told = Vec::new();
    while world.elapsed_s() < until + 2 * lag {
        world.step();
        let body = status(&mut world, &east.to_uppercase()).body;
        let state = body["properties"]["availabilityState"].as_str().unwrap().to_owned();
        if told.last().is_none_or(|(_, last, _)| *last != state) {
            told.push((world.elapsed_s(), state, body["properties"]["occuredTime"].clone()));
        }
        assert_eq!(status(&mut world, &central).body["properties"]["availabilityState"], "Available");
    }
    let when = |t: u32| json!(world.start + std::time::Duration::from_secs(u64::from(t)));
    let expected = [
        (1, "Available".to_owned(), when(0)),
        (from + lag, "Unavailable".to_owned(), when(from)),
        (until + lag, "Available".to_owned(), when(until)),
    ];
    assert_eq!(told, expected);
    let account = world.ids.cosmos_account.clone();
    assert_eq!(status(&mut world, &account).status, 404);
}

#[test]
fn a_claim_of_resource_health_is_the_same_by_alert_and_when_asked() {
    let text = builtin().iter().find(|(name, _)| *name == "demand-surge").unwrap().1;
    let alert = "[[alerts]]\nkind = \"resource-health\"\nstamp = \"eastus2\"\nat_s = 60\ndelay_s = 30\n";
    let scenario = Scenario::from_toml(&format!("{text}\n{alert}")).unwrap();
    let mut world = World::new(&scenario, 7, Timestamp::from_secs(1_763_838_000));
    let plan = world.ids.stamps[0].plan.clone();
    let path = format!("{plan}/providers/Microsoft.ResourceHealth/availabilityStatuses/current");
    let mut state = |t: u32| {
        while world.elapsed_s() < t {
            world.step();
        }
        let alerted = !world.take_deliveries().is_empty();
        (alerted, get(&mut world, &path).body["properties"]["availabilityState"].clone())
    };
    assert_eq!(state(89), (false, json!("Available")));
    assert_eq!(state(90), (true, json!("Unavailable")));
}
