//! `Microsoft.Cdn/profiles` and below (contracts/AZURE.md 4.3).

use serde_json::{Value, json};

use super::{ArmRequest, ArmResponse, MANAGEMENT, last_segment, method_not_allowed, not_found, stamp_of};
use crate::edge::OriginSetting;
use crate::scenario::Freeze;
use crate::world::World;

/// What a caller is told to wait between two polls, in seconds. Assumed; Front Door names ten.
const POLL_S: &str = "10";
/// Origins per page of a list: small, so that paging is exercised by an ordinary workload of three stamps.
const PAGE: usize = 2;

pub(super) fn answer(world: &mut World, path: &str, request: &ArmRequest) -> ArmResponse {
    let (profile, group) = (world.ids.profile.to_lowercase(), world.ids.origin_group.to_lowercase());
    if let Some((_, id)) = path.split_once("/providers/microsoft.cdn/operationresults/") {
        return operation(world, id);
    }
    let Some(below) = path.strip_prefix(&profile) else { return not_found(&request.path) };
    if let Some(origin) = stamp_of(world, path, |stamp| &stamp.origin) {
        if world.edits.removed[origin] {
            return not_found(&request.path);
        }
        return match request.method.as_str() {
            "GET" => ArmResponse::ok(origin_document(world, origin)),
            "PATCH" => patch(world, origin, &request.body),
            _ => method_not_allowed(request),
        };
    }
    if request.method != "GET" {
        return method_not_allowed(request);
    }
    match below {
        "" => ArmResponse::ok(profile_document(world)),
        "/origingroups" => ArmResponse::ok(json!({ "value": [group_document(world)] })),
        _ if path == group => ArmResponse::ok(group_document(world)),
        _ if path == format!("{group}/origins") => list(world, request),
        _ => not_found(&request.path),
    }
}

fn operation(world: &World, id: &str) -> ArmResponse {
    let Some(operation) = world.edge.operations.iter().find(|op| op.id.eq_ignore_ascii_case(id)) else {
        return not_found(id);
    };
    let status = if operation.control_done() { "Succeeded" } else { "InProgress" };
    let body = json!({
        "id": operation_path(world, &operation.id), "name": operation.id, "status": status
    });
    let answer = ArmResponse::ok(body);
    if operation.control_done() { answer } else { answer.with_header("retry-after", POLL_S) }
}

fn patch(world: &mut World, origin: usize, body: &Value) -> ArmResponse {
    let current = world.edge.configured[origin];
    let setting = match wanted(current, &body["properties"]) {
        Ok(setting) => setting,
        Err(message) => return ArmResponse::error(400, "BadRequest", &message),
    };
    if world.conditions.freeze == Some(Freeze::Reject) {
        let message = "Configuration changes are temporarily blocked for this resource.";
        return ArmResponse::error(409, "Conflict", message);
    }
    if world.edge.running().is_some() {
        let message =
            "The requested operation cannot be executed on the entity as another operation is in progress.";
        return ArmResponse::error(409, "Conflict", message);
    }
    if setting == current {
        return ArmResponse::ok(origin_document(world, origin));
    }
    let others = world.edge.configured.iter().enumerate().any(|(s, other)| s != origin && other.enabled);
    if !setting.enabled && !others {
        let message = "Endpoint pools must contain at least one enabled endpoint";
        return ArmResponse::error(400, "BadRequest", message);
    }
    let id = world.edge.accept(world.seed, origin, setting).id.clone();
    let url = format!("{MANAGEMENT}{}?api-version=2025-06-01", operation_path(world, &id));
    let headers = [("azure-asyncoperation", url), ("retry-after", POLL_S.to_owned())];
    ArmResponse::accepted(origin_document(world, origin), &headers)
}

/// The setting after an update, or why it is refused. Properties that this world does not simulate are accepted.
fn wanted(current: OriginSetting, properties: &Value) -> Result<OriginSetting, String> {
    let number = |key: &str, range: std::ops::RangeInclusive<u64>, kept: u32| match &properties[key] {
        Value::Null => Ok(kept),
        value => match value.as_u64().filter(|n| range.contains(n)) {
            Some(n) => Ok(n as u32),
            None => {
                Err(format!("The property '{key}' must be between {} and {}.", range.start(), range.end()))
            }
        },
    };
    let enabled = match &properties["enabledState"] {
        Value::Null => current.enabled,
        state if state == "Enabled" => true,
        state if state == "Disabled" => false,
        state => return Err(format!("The property 'enabledState' cannot be {state}.")),
    };
    Ok(OriginSetting {
        enabled,
        priority: number("priority", 1..=5, current.priority)?,
        weight: number("weight", 1..=1_000, current.weight)?,
    })
}

/// Pages as Azure does: `nextLink` is absolute and opaque.
fn list(world: &World, request: &ArmRequest) -> ArmResponse {
    let from = request.parameter("$skiptoken").and_then(|t| t.parse::<usize>().ok()).unwrap_or(0);
    let end = (from + PAGE).min(world.stamps.len());
    let there = (from..end).filter(|s| !world.edits.removed[*s]);
    let page: Vec<Value> = there.map(|s| origin_document(world, s)).collect();
    let mut body = json!({ "value": page });
    if end < world.stamps.len() {
        let version = request.parameter("api-version").unwrap_or_default();
        body["nextLink"] =
            json!(format!("{MANAGEMENT}{}?api-version={version}&%24skiptoken={end}", request.path));
    }
    ArmResponse::ok(body)
}

fn origin_document(world: &World, origin: usize) -> Value {
    let (stamp, setting) = (&world.ids.stamps[origin], world.edge.configured[origin]);
    let running = world.edge.operations.iter().any(|op| op.origin == origin && !op.control_done());
    json!({
        "id": typed(&stamp.origin),
        "type": "Microsoft.Cdn/profiles/origingroups/origins",
        "name": last_segment(&stamp.origin),
        "properties": {
            "originGroupName": last_segment(&world.ids.origin_group),
            "hostName": stamp.host,
            "httpPort": 80,
            "httpsPort": 443,
            "originHostHeader": stamp.host,
            "priority": setting.priority,
            "weight": setting.weight,
            "enabledState": if setting.enabled { "Enabled" } else { "Disabled" },
            "sharedPrivateLinkResource": null,
            "enforceCertificateNameCheck": true,
            "provisioningState": if running { "Updating" } else { "Succeeded" },
            "deploymentStatus": "NotStarted"
        }
    })
}

fn group_document(world: &World) -> Value {
    let spec = &world.scenario.front_door;
    json!({
        "id": typed(&world.ids.origin_group),
        "type": "Microsoft.Cdn/profiles/origingroups",
        "name": last_segment(&world.ids.origin_group),
        "properties": {
            "loadBalancingSettings": {
                "sampleSize": spec.sample_size,
                "successfulSamplesRequired": spec.samples_required,
                "additionalLatencyInMilliseconds": spec.additional_latency_ms as u64
            },
            "healthProbeSettings": {
                "probePath": "/healthz",
                "probeRequestType": "HEAD",
                "probeProtocol": "Https",
                "probeIntervalInSeconds": spec.probe_interval_s
            },
            "sessionAffinityState": "Disabled",
            "provisioningState": "Succeeded",
            "deploymentStatus": "NotStarted"
        }
    })
}

fn profile_document(world: &World) -> Value {
    json!({
        "id": typed(&world.ids.profile),
        "type": "Microsoft.Cdn/profiles",
        "name": last_segment(&world.ids.profile),
        "location": "Global",
        "kind": "frontdoor",
        "tags": { "cordon:workload": world.scenario.workload },
        "sku": { "name": "Premium_AzureFrontDoor" },
        "properties": {
            "originResponseTimeoutSeconds": 60,
            "frontDoorId": world.ids.front_door_id,
            "resourceState": "Active",
            "provisioningState": "Succeeded"
        }
    })
}

/// Front Door writes parts of its ids in lower case, unlike what one asked for.
fn typed(id: &str) -> String {
    id.replace("/resourceGroups/", "/resourcegroups/").replace("/originGroups/", "/origingroups/")
}

fn operation_path(world: &World, id: &str) -> String {
    let group = world.ids.profile.split("/providers/").next().unwrap_or_default();
    format!(
        "{}/providers/Microsoft.Cdn/operationresults/{id}",
        group.replace("/resourceGroups/", "/resourcegroups/")
    )
}
