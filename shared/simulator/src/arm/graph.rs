//! Azure Resource Graph: the tagged resources of the workload, if the query's text names it. The query language itself
//! is not interpreted.

use serde_json::{Value, json};

use super::{ArmRequest, ArmResponse, app_service, last_segment, method_not_allowed};
use crate::scenario::ComputeKind;
use crate::world::World;

pub(super) fn answer(world: &World, request: &ArmRequest) -> ArmResponse {
    if request.method != "POST" {
        return method_not_allowed(request);
    }
    let Some(query) = request.body["query"].as_str() else {
        return ArmResponse::error(
            400,
            "BadRequest",
            "Please provide below info when asking for support: query is empty.",
        );
    };
    let named = query.to_lowercase().contains(&world.scenario.workload.to_lowercase());
    let rows: Vec<Value> =
        if named { (0..world.stamps.len()).flat_map(|s| rows(world, s)).collect() } else { Vec::new() };
    ArmResponse::ok(json!({
        "totalRecords": rows.len(),
        "count": rows.len(),
        "data": rows,
        "facets": [],
        "resultTruncated": "false"
    }))
}

fn rows(world: &World, s: usize) -> Vec<Value> {
    if world.edits.removed[s] {
        return Vec::new();
    }
    let ids = &world.ids.stamps[s];
    let mut tags = json!({ "cordon:workload": world.scenario.workload, "cordon:stamp": ids.stamp });
    if world.edits.draining[s] {
        tags["cordon:state"] = json!("draining");
    }
    if let Some(base) = &world.direct_base {
        tags["cordon:direct-url"] = json!(format!("{base}/stamps/{}", ids.stamp));
    }
    let row = |id: &str, kind: &str, properties: Value| {
        json!({
            "id": id,
            "name": last_segment(id),
            "type": kind,
            "location": ids.region,
            "resourceGroup": id.split('/').nth(4),
            "subscriptionId": world.ids.subscription,
            // The query projects it; the language itself is not interpreted.
            "stamp": ids.stamp,
            "tags": tags,
            "properties": properties
        })
    };
    let compute = world.scenario.stamps[s].compute;
    match compute {
        ComputeKind::AppService | ComputeKind::ScaleSet => {}
        // A pool is no row of its own: its cluster has the tags, and one of them names it.
        ComputeKind::AgentPool => {
            let (cluster, pool) = ids.plan.split_once("/agentPools/").unwrap_or((&ids.plan, ""));
            let mut row = row(cluster, "microsoft.containerservice/managedclusters", json!({}));
            row["tags"]["cordon:agent-pool"] = json!(pool);
            return vec![row];
        }
        ComputeKind::ContainerApp => return vec![row(&ids.plan, "microsoft.app/containerapps", json!({}))],
    }
    if compute == ComputeKind::ScaleSet {
        let set = row(&ids.plan, "microsoft.compute/virtualmachinescalesets", json!({}));
        let setting = world.arm.autoscale[s]["properties"].clone();
        return vec![set, row(&ids.autoscale, "microsoft.insights/autoscalesettings", setting)];
    }
    let plan = app_service::document(world, s);
    let mut plan_row = row(&ids.plan, "microsoft.web/serverfarms", plan["properties"].clone());
    plan_row["sku"] = plan["sku"].clone();
    let site =
        json!({ "defaultHostName": ids.host, "serverFarmId": ids.plan, "state": "Running", "enabled": true });
    vec![
        plan_row,
        row(&ids.app, "microsoft.web/sites", site),
        row(
            &ids.autoscale,
            "microsoft.insights/autoscalesettings",
            world.arm.autoscale[s]["properties"].clone(),
        ),
    ]
}
