//! `Microsoft.Quota` usages and limits of a region: the instances that the subscription may have there
//! (contracts/AZURE.md 6).

use serde_json::{Value, json};

use super::app_service::PLAN_WORKERS_MAX;
use super::{ArmResponse, not_found};
use crate::world::World;

/// The family that a Premium v3 worker of our size counts against.
const FAMILY: &str = "P1v3";
/// What it is called.
const FAMILY_NAME: &str = "Premium v3 P1 instances";

pub(super) fn answer(world: &World, path: &str) -> ArmResponse {
    let location = path.split_once("/locations/").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    let Some(s) = world.ids.stamps.iter().position(|stamp| Some(stamp.region.as_str()) == location) else {
        return not_found(path);
    };
    let scope = path.split("/providers/microsoft.quota").next().unwrap_or_default();
    let kind = path.rsplit_once("/microsoft.quota/").map(|(_, rest)| rest);
    let item = match kind.and_then(|rest| rest.split('/').next()) {
        Some("usages") => usage(world, s, scope),
        Some("quotas") => limit(world, s, scope),
        _ => return not_found(path),
    };
    let one = kind.is_some_and(|rest| rest.contains('/'));
    ArmResponse::ok(if one { item } else { json!({ "value": [item], "nextLink": "" }) })
}

fn usage(world: &World, s: usize, scope: &str) -> Value {
    json!({
        "id": format!("{scope}/providers/Microsoft.Quota/usages/{FAMILY}"),
        "type": "Microsoft.Quota/Usages",
        "name": FAMILY,
        "properties": {
            "usages": { "value": world.stamps[s].requested },
            "unit": "Count",
            "isQuotaApplicable": true,
            "name": { "value": FAMILY, "localizedValue": FAMILY_NAME }
        }
    })
}

fn limit(world: &World, s: usize, scope: &str) -> Value {
    let limit = world.conditions.stamps[s].quota.unwrap_or(PLAN_WORKERS_MAX);
    json!({
        "id": format!("{scope}/providers/Microsoft.Quota/quotas/{FAMILY}"),
        "type": "Microsoft.Quota/Quotas",
        "name": FAMILY,
        "properties": {
            "limit": { "limitObjectType": "LimitValue", "limitType": "Independent", "value": limit },
            "unit": "Count",
            "isQuotaApplicable": true,
            "name": { "value": FAMILY, "localizedValue": FAMILY_NAME }
        }
    })
}
