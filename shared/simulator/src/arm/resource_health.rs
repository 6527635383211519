//! Resource Health: the availability status of a stamp's compute.

use std::time::Duration;

use serde_json::json;

use super::{ArmRequest, ArmResponse, method_not_allowed, not_found};
use crate::scenario::AlertStage;
use crate::world::World;

const CURRENT: &str = "/providers/microsoft.resourcehealth/availabilitystatuses/current";

pub(super) fn answer(world: &World, path: &str, request: &ArmRequest) -> ArmResponse {
    if request.method != "GET" {
        return method_not_allowed(request);
    }
    let Some(resource) = path.strip_suffix(CURRENT) else { return not_found(&request.path) };
    let known = |id: &str| id.eq_ignore_ascii_case(resource);
    let found = world.ids.stamps.iter().position(|stamp| {
        // A pool has no status of its own; its cluster has.
        known(stamp.plan.split("/agentPools/").next().unwrap_or_default())
    });
    let Some(s) = found.filter(|s| !world.edits.removed[*s] && !is_unknown_kind(resource)) else {
        return not_found(&request.path);
    };
    let belief = world.availability.of(s);
    let out = belief.stage == AlertStage::Active;
    let (state, reason) = if out { ("Unavailable", "Unplanned") } else { ("Available", "") };
    let summary = if out {
        "We're sorry, your resource isn't available."
    } else {
        "There aren't any known Azure platform problems affecting this resource."
    };
    ArmResponse::ok(json!({
        "id": format!("{}/providers/Microsoft.ResourceHealth/availabilityStatuses/current", resource_as_asked(request)),
        "name": "current",
        "type": "Microsoft.ResourceHealth/AvailabilityStatuses",
        "location": world.ids.stamps[s].region,
        "properties": {
            "availabilityState": state,
            "title": state,
            "summary": summary,
            "reasonType": reason,
            "context": if out { "Platform Initiated" } else { "Not Applicable" },
            "category": if out { "Unplanned" } else { "Not Applicable" },
            "occuredTime": world.start + Duration::from_secs(u64::from(belief.since_s)),
            "reasonChronicity": "Persistent",
            "reportedTime": world.now()
        }
    }))
}

/// Azure's list of what Resource Health knows has no Container Apps.
fn is_unknown_kind(resource: &str) -> bool {
    resource.contains("/microsoft.app/")
}

fn resource_as_asked(request: &ArmRequest) -> &str {
    let path = request.path.trim_end_matches('/');
    path.get(..path.len().saturating_sub(CURRENT.len())).unwrap_or_default()
}
