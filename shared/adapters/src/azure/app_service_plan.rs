//! App Service plans: how many workers there are, can be, and shall be.

use domain::RegionName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arm::{ArmClient, ArmError, ResourceId};
use super::{Change, ProvisioningState, typed};

/// The API version of every request of this module.
pub const API_VERSION: &str = "2024-04-01";

/// A plan as ARM reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its id.
    pub id: ResourceId,
    /// Where it runs.
    pub location: RegionName,
    /// What it is billed as.
    pub sku: Sku,
    /// Workers that are there now; none where ARM reports none.
    pub number_of_workers: Option<u32>,
    /// Workers that it can have at most; none where ARM reports none.
    pub maximum_number_of_workers: Option<u32>,
    /// Whether its workers are spread over the region's zones: they count against a quota of their own then.
    pub zone_redundant: bool,
    /// Whether a change of it is under way.
    pub provisioning_state: ProvisioningState,
}

impl Plan {
    /// The name under which `Microsoft.Quota` tells what the plan's workers count against: its size, and for a zone redundant
    /// plan the size with `_AZ`. Documented nowhere; so programs that read live quotas name them (`quotas/Y1`, `P1v3_AZ`).
    pub fn quota_name(&self) -> String {
        let size = self.sku.size.as_ref().unwrap_or(&self.sku.name);
        if self.zone_redundant { format!("{size}_AZ") } else { size.clone() }
    }
}

/// The size and the wished number of workers of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sku {
    /// Such as `P1v3`.
    pub name: String,
    /// Such as `PremiumV3`.
    pub tier: Option<String>,
    /// Such as `P1v3`.
    pub size: Option<String>,
    /// Such as `Pv3`.
    pub family: Option<String>,
    /// Workers that the plan is set to have; none on plans that scale by themselves.
    pub capacity: Option<u32>,
}

/// Reads a plan.
///
/// # Errors
/// See [`ArmError`].
pub async fn get(arm: &ArmClient, plan: &ResourceId) -> Result<Plan, ArmError> {
    read(arm.get(plan, API_VERSION).await?)
}

/// Sets the number of workers. Reads the plan first; when an autoscale setting governs it, raise that one's floor
/// instead, or the next run of autoscale undoes this.
///
/// # Errors
/// See [`ArmError`]; [`ArmError::Rejected`] also when the plan can never have so many.
pub async fn set_capacity(
    arm: &ArmClient,
    plan: &ResourceId,
    workers: u32,
) -> Result<Change<Plan>, ArmError> {
    let body = arm.get(plan, API_VERSION).await?;
    // The service answers 400 "The parameter SKU cannot be null." to a PATCH without one, although the published
    // model has none; and it takes the object as a whole. So it goes back as it came, unknown fields included.
    let mut sku = body.get("sku").cloned().unwrap_or_default();
    let found = read(body)?;
    if found.sku.capacity == Some(workers) {
        return Ok(Change::AlreadySo(found));
    }
    sku["capacity"] = json!(workers);
    Ok(Change::Sent(arm.patch(plan, API_VERSION, &json!({ "sku": sku })).await?))
}

fn read(body: Value) -> Result<Plan, ArmError> {
    let PlanBody { id, location, sku, properties } = typed("an App Service plan", body)?;
    Ok(Plan {
        id,
        location: RegionName::from_display(&location),
        sku,
        number_of_workers: properties.number_of_workers,
        maximum_number_of_workers: properties.maximum_number_of_workers,
        zone_redundant: properties.zone_redundant.unwrap_or(false),
        provisioning_state: properties.provisioning_state,
    })
}

#[derive(Deserialize)]
struct PlanBody {
    id: ResourceId,
    location: String,
    sku: Sku,
    properties: PlanProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlanProperties {
    number_of_workers: Option<u32>,
    maximum_number_of_workers: Option<u32>,
    zone_redundant: Option<bool>,
    #[serde(default)]
    provisioning_state: ProvisioningState,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::arm::Accepted;
    use crate::azure::testing::{Answer, Script, arm, id};

    const PLAN: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/serverfarms/plan";

    fn plan(capacity: u32) -> Value {
        json!({
            "id": PLAN, "name": "plan", "type": "Microsoft.Web/serverfarms", "kind": "app", "location": "East US",
            "properties": {
                "status": "Ready", "maximumNumberOfWorkers": 20, "numberOfWorkers": 1, "geoRegion": "East US",
                "reserved": false, "provisioningState": "Succeeded"
            },
            "sku": {"name": "P1", "tier": "Premium", "size": "P1", "family": "P", "capacity": capacity, "later": [1]}
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_is_read_with_its_region_as_an_id() {
        let found = get(&arm(&Script::new([Answer::json(200, &plan(1))])), &id(PLAN)).await.unwrap();
        assert_eq!(found.location.as_str(), "eastus");
        assert_eq!((found.sku.capacity, found.number_of_workers), (Some(1), Some(1)));
        assert_eq!(found.maximum_number_of_workers, Some(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_zone_redundant_plan_counts_against_a_quota_of_its_own() {
        for (zone_redundant, name) in [(json!(true), "P1_AZ"), (json!(false), "P1"), (Value::Null, "P1")] {
            let mut body = plan(1);
            body["properties"]["zoneRedundant"] = zone_redundant;
            let found = get(&arm(&Script::new([Answer::json(200, &body)])), &id(PLAN)).await.unwrap();
            assert_eq!(found.quota_name(), name);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_sku_goes_back_with_the_new_capacity() {
        let address = format!("https://management.azure.com{PLAN}/operationresults/1");
        let accepted = Answer::json(202, &plan(1)).header("location", address.as_str());
        let script = Script::new([Answer::json(200, &plan(1)), accepted]);
        let change = set_capacity(&arm(&script), &id(PLAN), 3).await.unwrap();
        assert!(
            matches!(change, Change::Sent(Accepted::Running { operation, .. }) if operation.as_str() == address)
        );
        assert_eq!(
            script.sent()[1].body,
            json!({"sku": {"name": "P1", "tier": "Premium", "size": "P1", "family": "P", "capacity": 3, "later": [1]}})
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_capacity_that_is_already_so_is_not_written() {
        let script = Script::new([Answer::json(200, &plan(3))]);
        assert!(matches!(set_capacity(&arm(&script), &id(PLAN), 3).await, Ok(Change::AlreadySo(_))));
        assert_eq!(script.requests().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_workers_is_a_refusal_and_not_a_reason_to_wait() {
        let body = json!({"Code": "Conflict", "Message": "Number of Web workers exceeds the maximum allowed for the hosting plan.", "Details": []});
        let script = Script::new([Answer::json(200, &plan(3)), Answer::json(409, &body)]);
        let change = set_capacity(&arm(&script), &id(PLAN), 300).await;
        assert!(matches!(change, Err(ArmError::Rejected { status: 409, .. })));
    }
}
