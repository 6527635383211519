//! Compute other than App Service plans: VM scale sets, AKS agent pools, Container Apps (contracts/AZURE.md 6). The instances
//! behind them are the same, and so is the engine; only the place of the bounds differs.

use serde_json::{Value, json};

use super::{
    ArmRequest, ArmResponse, last_segment, method_not_allowed, not_found, region_unavailable, stamp_of,
};
use crate::scenario::ComputeKind;
use crate::telemetry::display_name;
use crate::world::World;

/// Nodes of an agent pool and replicas of an app, at most.
const INSTANCES_MAX: u64 = 1_000;

/// What ARM keeps of a pool besides its bounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolState {
    /// Rises with each write; the ETag.
    writes: u64,
    tags: Value,
}

pub(super) fn answer(world: &mut World, path: &str, request: &ArmRequest) -> ArmResponse {
    let (resource, revision) =
        path.split_once("/revisions/").map_or((path, None), |(r, name)| (r, Some(name)));
    let Some(s) = stamp_of(world, resource, |stamp| &stamp.plan) else { return not_found(&request.path) };
    if world.conditions.stamps[s].lost {
        return region_unavailable(&world.ids.stamps[s]);
    }
    let kind = world.scenario.stamps[s].compute;
    match (request.method.as_str(), kind, revision) {
        ("GET", ComputeKind::ContainerApp, Some(name)) => {
            ArmResponse::ok(json!({ "name": name, "properties": { "replicas": world.stamps[s].ready } }))
        }
        ("GET", _, None) => ArmResponse::ok(document(world, s)),
        ("PUT", ComputeKind::AgentPool, None) => put_agent_pool(world, s, request),
        ("PATCH", ComputeKind::ContainerApp, None) => patch_container_app(world, s, request),
        _ => method_not_allowed(request),
    }
}

fn put_agent_pool(world: &mut World, s: usize, request: &ArmRequest) -> ArmResponse {
    let etag = etag(world, s);
    if request.header("if-match").is_some_and(|wanted| wanted != "*" && wanted != etag) {
        return ArmResponse::error(412, "PreconditionFailed", "The agent pool was changed meanwhile.");
    }
    let properties = &request.body["properties"];
    let number = |name: &str| properties[name].as_u64();
    let (Some(minimum), Some(maximum), Some(count)) =
        (number("minCount"), number("maxCount"), number("count"))
    else {
        return ArmResponse::error(400, "InvalidParameter", "minCount, maxCount and count are required.");
    };
    if minimum == 0 || minimum > count || count > maximum || maximum > INSTANCES_MAX {
        let message = "The node count must be between minCount and maxCount.";
        return ArmResponse::error(400, "InvalidParameter", message);
    }
    world.arm.pools[s].tags = properties["tags"].clone();
    set_bounds(world, s, minimum, maximum);
    ArmResponse { status: 200, headers: Vec::new(), body: document(world, s) }
}

fn patch_container_app(world: &mut World, s: usize, request: &ArmRequest) -> ArmResponse {
    for (key, value) in request.body["tags"].as_object().into_iter().flatten() {
        let tags = &mut world.arm.pools[s].tags;
        match (value, tags.as_object_mut()) {
            (Value::Null, Some(tags)) => {
                tags.remove(key);
            }
            (_, Some(tags)) => {
                tags.insert(key.clone(), value.clone());
            }
            (_, None) => *tags = json!({ key.as_str(): value }),
        }
    }
    let scale = &request.body["properties"]["template"]["scale"];
    let (old_minimum, old_maximum) = bounds(world, s);
    let minimum = scale["minReplicas"].as_u64().unwrap_or(old_minimum);
    let maximum = scale["maxReplicas"].as_u64().unwrap_or(old_maximum);
    if minimum > maximum || maximum == 0 || maximum > INSTANCES_MAX {
        return ArmResponse::error(
            400,
            "ContainerAppInvalidScaleSpec",
            "minReplicas must not exceed maxReplicas.",
        );
    }
    set_bounds(world, s, minimum, maximum);
    ArmResponse::ok(document(world, s))
}

fn etag(world: &World, s: usize) -> String {
    format!("\"{}\"", world.arm.pools[s].writes)
}

/// The bounds that the engine keeps are those of the default profile of the stamp's setting.
fn bounds(world: &World, s: usize) -> (u64, u64) {
    let capacity = &world.arm.autoscale[s]["properties"]["profiles"][0]["capacity"];
    let number = |name: &str| capacity[name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    (number("minimum"), number("maximum"))
}

fn set_bounds(world: &mut World, s: usize, minimum: u64, maximum: u64) {
    let capacity = &mut world.arm.autoscale[s]["properties"]["profiles"][0]["capacity"];
    capacity["minimum"] = json!(minimum.to_string());
    capacity["maximum"] = json!(maximum.to_string());
    capacity["default"] = json!(minimum.to_string());
    world.arm.pools[s].writes += 1;
}

pub(super) fn document(world: &World, s: usize) -> Value {
    let (stamp, ids) = (&world.stamps[s], &world.ids.stamps[s]);
    let (minimum, maximum) = bounds(world, s);
    let location = display_name(ids.region.as_str());
    let state = if stamp.ready < stamp.requested { "Updating" } else { "Succeeded" };
    let tags = &world.arm.pools[s].tags;
    let (kind, specific) = match world.scenario.stamps[s].compute {
        ComputeKind::AppService | ComputeKind::ScaleSet => (
            "Microsoft.Compute/virtualMachineScaleSets",
            json!({ "location": location, "sku": { "name": "Standard_D4s_v5", "tier": "Standard", "capacity": stamp.requested } }),
        ),
        ComputeKind::AgentPool => (
            "Microsoft.ContainerService/managedClusters/agentPools",
            json!({ "properties": {
                "count": stamp.requested, "minCount": minimum, "maxCount": maximum, "enableAutoScaling": true,
                "vmSize": "Standard_D4s_v5", "mode": "User", "eTag": etag(world, s), "tags": tags
            }}),
        ),
        ComputeKind::ContainerApp => (
            "Microsoft.App/containerApps",
            json!({ "location": location, "tags": tags, "properties": {
                "latestRevisionName": format!("{}--{}", last_segment(&ids.plan), world.arm.pools[s].writes),
                "template": { "scale": { "minReplicas": minimum, "maxReplicas": maximum } }
            }}),
        ),
    };
    let mut document = json!({ "id": ids.plan, "name": last_segment(&ids.plan), "type": kind });
    if let (Value::Object(document), Value::Object(specific)) = (&mut document, specific) {
        document.extend(specific);
    }
    document["properties"]["provisioningState"] = json!(state);
    document
}
