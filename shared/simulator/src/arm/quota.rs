//! `Microsoft.Quota` usages and limits of a region: what the subscription may have there (contracts/AZURE.md 6). App Service counts
//! workers by their size, virtual machines count cores, by family and all together. Not every provider tells its quotas here.

use serde_json::{Value, json};

use super::app_service::PLAN_WORKERS_MAX;
use super::{ArmResponse, not_found};
use crate::scenario::ComputeKind;
use crate::world::World;

/// Cores of the size that scale sets and pools have.
const CORES: u32 = 4;
/// Instances of machines that a region allows where a scenario says nothing.
const MACHINES_MAX: u32 = 1_000;

/// One quota: its name, what it is called, how much of it is used, and how much there may be.
struct Quota(&'static str, &'static str, u32, u32);

pub(super) fn answer(world: &World, path: &str) -> ArmResponse {
    let location = path.split_once("/locations/").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    let Some(s) = world.ids.stamps.iter().position(|stamp| Some(stamp.region.as_str()) == location) else {
        return not_found(path);
    };
    let Some(quotas) = quotas(world, s, path) else {
        return ArmResponse::error(400, "BadRequest", "The resource provider does not support quotas.");
    };
    let scope = path.split("/providers/microsoft.quota").next().unwrap_or_default();
    let kind = path.rsplit_once("/microsoft.quota/").map(|(_, rest)| rest);
    let shape = match kind.and_then(|rest| rest.split('/').next()) {
        Some("usages") => usage,
        Some("quotas") => limit,
        _ => return not_found(path),
    };
    match kind.and_then(|rest| rest.split_once('/')) {
        None => {
            let all: Vec<Value> = quotas.iter().map(|quota| shape(scope, quota)).collect();
            ArmResponse::ok(json!({ "value": all, "nextLink": "" }))
        }
        Some((_, name)) => match quotas.iter().find(|quota| quota.0.eq_ignore_ascii_case(name)) {
            Some(quota) => ArmResponse::ok(shape(scope, quota)),
            None => not_found(path),
        },
    }
}

/// What a provider counts in the region of a stamp; none if it is no provider that does.
fn quotas(world: &World, s: usize, path: &str) -> Option<Vec<Quota>> {
    let (quota, requested) = (world.conditions.stamps[s].quota, world.stamps[s].requested);
    let compute = world.scenario.stamps[s].compute;
    if path.contains("/providers/microsoft.web/") {
        let used = if compute == ComputeKind::AppService { requested } else { 0 };
        let limit = quota.unwrap_or(PLAN_WORKERS_MAX);
        // The plans are zone redundant, which is another quota than that of the same size in one zone.
        return Some(vec![
            Quota("P1v3_AZ", "Premium v3 P1 instances, zone redundant", used, limit),
            Quota("P1v3", "Premium v3 P1 instances", 0, 0),
        ]);
    }
    if path.contains("/providers/microsoft.compute/") {
        let machines = matches!(compute, ComputeKind::ScaleSet | ComputeKind::AgentPool);
        let used = if machines { requested * CORES } else { 0 };
        let limit = quota.unwrap_or(MACHINES_MAX) * CORES;
        return Some(vec![
            Quota("standardDSv5Family", "Standard DSv5 Family vCPUs", used, limit),
            Quota("cores", "Total Regional vCPUs", used, limit),
        ]);
    }
    None
}

fn usage(scope: &str, Quota(name, called, used, _): &Quota) -> Value {
    json!({
        "id": format!("{scope}/providers/Microsoft.Quota/usages/{name}"),
        "type": "Microsoft.Quota/Usages",
        "name": name,
        "properties": {
            "usages": { "value": used },
            "unit": "Count",
            "isQuotaApplicable": true,
            "name": { "value": name, "localizedValue": called }
        }
    })
}

fn limit(scope: &str, Quota(name, called, _, most): &Quota) -> Value {
    json!({
        "id": format!("{scope}/providers/Microsoft.Quota/quotas/{name}"),
        "type": "Microsoft.Quota/Quotas",
        "name": name,
        "properties": {
            "limit": { "limitObjectType": "LimitValue", "limitType": "Independent", "value": most },
            "unit": "Count",
            "isQuotaApplicable": true,
            "name": { "value": name, "localizedValue": called }
        }
    })
}
