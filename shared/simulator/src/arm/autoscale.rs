//! `Microsoft.Insights/autoscalesettings` (contracts/AZURE.md 6).

use serde_json::{Value, json};

use super::{ArmRequest, ArmResponse, method_not_allowed, not_found, region_unavailable, stamp_of};
use crate::autoscale::objection;
use crate::world::World;

pub(super) fn answer(world: &mut World, path: &str, request: &ArmRequest) -> ArmResponse {
    let Some(s) = stamp_of(world, path, |stamp| &stamp.autoscale) else { return not_found(&request.path) };
    if world.conditions.stamps[s].lost {
        return region_unavailable(&world.ids.stamps[s]);
    }
    let stored = &world.arm.autoscale[s];
    let next = match request.method.as_str() {
        "GET" => return ArmResponse::ok(stored.clone()),
        "PUT" => put(stored, &request.body),
        "PATCH" => patch(stored, &request.body),
        _ => return method_not_allowed(request),
    };
    if let Some(message) = objection(&next["properties"]["profiles"]) {
        return ArmResponse::error(400, "BadRequest", &message);
    }
    world.arm.autoscale[s] = next.clone();
    ArmResponse::ok(next)
}

/// Replaces everything but what identifies the setting.
fn put(stored: &Value, body: &Value) -> Value {
    let mut next = stored.clone();
    next["properties"] = body["properties"].clone();
    next["properties"]["name"] = stored["name"].clone();
    next["tags"] = if body["tags"].is_object() { body["tags"].clone() } else { json!({}) };
    next
}

/// Replaces the properties that are given; `profiles` as a whole, not one by one.
fn patch(stored: &Value, body: &Value) -> Value {
    let mut next = stored.clone();
    if body["tags"].is_object() {
        next["tags"] = body["tags"].clone();
    }
    for (key, value) in body["properties"].as_object().into_iter().flatten() {
        next["properties"][key] = value.clone();
    }
    next
}
