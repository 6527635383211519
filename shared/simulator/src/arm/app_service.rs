//! `Microsoft.Web/serverfarms` (contracts/AZURE.md 6). Its error bodies are in Pascal case and not wrapped in `error`.

use serde_json::{Value, json};

use super::{ArmRequest, ArmResponse, MANAGEMENT, last_segment, method_not_allowed, not_found, stamp_of};
use crate::draw::entity;
use crate::telemetry::display_name;
use crate::world::World;

/// Workers of a Premium v3 plan, at most (contracts/AZURE.md 6, from memory).
pub(super) const PLAN_WORKERS_MAX: u32 = 30;

pub(super) fn answer(world: &mut World, path: &str, request: &ArmRequest) -> ArmResponse {
    let plan = path.split_once("/operationresults/").map_or(path, |(plan, _)| plan);
    let Some(s) = stamp_of(world, plan, |stamp| &stamp.plan) else { return not_found(&request.path) };
    if world.conditions.stamps[s].lost {
        return super::region_unavailable(&world.ids.stamps[s]);
    }
    match request.method.as_str() {
        "GET" if plan != path => operation(world, s, path),
        "GET" => ArmResponse::ok(document(world, s)),
        "PATCH" | "PUT" => scale(world, s, &request.body["sku"]),
        _ => method_not_allowed(request),
    }
}

/// A scale operation is over once all instances asked for are ready.
fn operation(world: &World, s: usize, path: &str) -> ArmResponse {
    let stamp = &world.stamps[s];
    let done = stamp.ready >= stamp.requested;
    let status = if done { "Succeeded" } else { "InProgress" };
    let answer = ArmResponse::ok(json!({ "id": path, "name": last_segment(path), "status": status }));
    if done { answer } else { answer.with_header("retry-after", "15") }
}

fn scale(world: &mut World, s: usize, sku: &Value) -> ArmResponse {
    let capacity = sku["capacity"].as_u64();
    let (Some(capacity), Some(_), Some(_)) = (capacity, sku["name"].as_str(), sku["tier"].as_str()) else {
        return refused(
            400,
            "BadRequest",
            "The parameter SKU cannot be null.",
            &json!({
                "MessageTemplate": "The parameter {0} cannot be null.", "Parameters": ["SKU"]
            }),
        );
    };
    let quota = world.conditions.stamps[s].quota.unwrap_or(u32::MAX);
    if capacity > u64::from(PLAN_WORKERS_MAX.min(quota)) || capacity == 0 {
        let message = "Number of Web workers exceeds the maximum allowed for the hosting plan.";
        return refused(
            409,
            "Conflict",
            message,
            &json!({
                "ExtendedCode": "03002", "MessageTemplate": message, "Parameters": []
            }),
        );
    }
    let capacity = capacity as u32;
    if capacity == world.stamps[s].requested {
        return ArmResponse::ok(document(world, s));
    }
    world.stamps[s].requested = capacity;
    world.arm.plan_operations += 1;
    let id = world.seed.guid(entity("plan-operation"), world.arm.plan_operations).to_uppercase();
    let url =
        format!("{MANAGEMENT}{}/operationresults/{id}?api-version=2024-04-01", world.ids.stamps[s].plan);
    ArmResponse::accepted(document(world, s), &[("location", url.clone()), ("azure-asyncoperation", url)])
}

fn refused(status: u16, code: &str, message: &str, entity: &Value) -> ArmResponse {
    let mut entity = entity.clone();
    entity["Code"] = json!(code);
    entity["Message"] = json!(message);
    let body = json!({
        "Code": code,
        "Message": message,
        "Target": null,
        "Details": [{ "Message": message }, { "Code": code }, { "ErrorEntity": entity }],
        "Innererror": null
    });
    ArmResponse { status, headers: Vec::new(), body }
}

pub(super) fn document(world: &World, s: usize) -> Value {
    let (stamp, ids) = (&world.stamps[s], &world.ids.stamps[s]);
    let location = display_name(ids.region.as_str());
    json!({
        "id": ids.plan,
        "name": last_segment(&ids.plan),
        "type": "Microsoft.Web/serverfarms",
        "kind": "linux",
        "location": location,
        "tags": { "cordon:workload": world.scenario.workload, "cordon:stamp": ids.stamp },
        "properties": {
            "status": "Ready",
            "maximumNumberOfWorkers": PLAN_WORKERS_MAX,
            "numberOfWorkers": stamp.ready,
            "geoRegion": location,
            "numberOfSites": 1,
            "isSpot": false,
            "reserved": true,
            "zoneRedundant": true,
            "elasticScaleEnabled": false,
            "targetWorkerCount": 0,
            "targetWorkerSizeId": 0,
            "provisioningState": if stamp.ready < stamp.requested { "InProgress" } else { "Succeeded" }
        },
        "sku": { "name": "P1v3", "tier": "PremiumV3", "size": "P1v3", "family": "Pv3", "capacity": stamp.requested }
    })
}
