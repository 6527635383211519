//! The workload's `Microsoft.DocumentDB/databaseAccounts` document (contracts/AZURE.md 5.1): written to in every region.

use serde_json::{Value, json};

use super::{ArmRequest, ArmResponse, last_segment, method_not_allowed, not_found};
use crate::telemetry::display_name;
use crate::world::World;

pub(super) fn answer(world: &World, path: &str, request: &ArmRequest) -> ArmResponse {
    if !path.eq_ignore_ascii_case(&world.ids.cosmos_account) {
        return not_found(&request.path);
    }
    match request.method.as_str() {
        "GET" => ArmResponse::ok(document(world)),
        _ => method_not_allowed(request),
    }
}

fn document(world: &World) -> Value {
    let account = last_segment(&world.ids.cosmos_account);
    let location = |s: usize| {
        let region = world.ids.stamps[s].region.as_str();
        let conditions = &world.conditions.stamps[s];
        json!({
            "id": format!("{account}-{region}"),
            "locationName": display_name(region),
            "documentEndpoint": format!("https://{account}-{region}.documents.azure.com:443/"),
            "provisioningState": if conditions.cosmos_region_lost { "Offline" } else { "Succeeded" },
            "failoverPriority": s,
            "isZoneRedundant": true
        })
    };
    let all: Vec<Value> = (0..world.stamps.len()).map(location).collect();
    // A region taken offline disappears from the lists that clients use, and stays in `locations`.
    let online: Vec<Value> = all.iter().filter(|l| l["provisioningState"] == "Succeeded").cloned().collect();
    let policy = |l: &Value| json!({ "id": l["id"], "locationName": l["locationName"], "failoverPriority": l["failoverPriority"] });
    json!({
        "id": world.ids.cosmos_account,
        "name": account,
        "location": all[0]["locationName"],
        "type": "Microsoft.DocumentDB/databaseAccounts",
        "kind": "GlobalDocumentDB",
        "tags": { "cordon:workload": world.scenario.workload },
        "properties": {
            "provisioningState": "Succeeded",
            "documentEndpoint": format!("https://{account}.documents.azure.com:443/"),
            "databaseAccountOfferType": "Standard",
            "enableAutomaticFailover": true,
            "enableMultipleWriteLocations": true,
            "consistencyPolicy": {
                "defaultConsistencyLevel": "Session", "maxIntervalInSeconds": 5, "maxStalenessPrefix": 100
            },
            "writeLocations": online,
            "readLocations": online,
            "locations": all,
            "failoverPolicies": all.iter().map(policy).collect::<Vec<_>>(),
            "minimalTlsVersion": "Tls12"
        }
    })
}
