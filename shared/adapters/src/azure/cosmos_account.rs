//! Cosmos DB accounts: which regions they have, and which of them take writes. Read only: during an outage nothing
//! here may be changed from outside (a region taken offline comes back by Microsoft's hand, days later).

use domain::RegionName;
use serde::Deserialize;

use super::arm::{ArmClient, ArmError, ResourceId};
use super::{ProvisioningState, typed};

/// The API version of every request of this module.
pub const API_VERSION: &str = "2025-10-15";

/// An account as ARM reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: ResourceId,
    /// Its regions, by failover priority.
    pub locations: Vec<AccountLocation>,
    /// How writes are spread.
    pub writes: WriteRegions,
    /// Whether a change of it is under way.
    pub provisioning_state: ProvisioningState,
}

/// One region of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLocation {
    /// The region.
    pub region: RegionName,
    /// Whether the region is in service; anything but `Succeeded` is not known to be.
    pub provisioning_state: ProvisioningState,
    /// 0 is the write region of a single-write account; none where ARM reports none.
    pub failover_priority: Option<u32>,
    /// Whether it takes writes.
    pub role: LocationRole,
}

/// What a region of an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationRole {
    /// It takes writes, and serves reads.
    Write,
    /// It serves reads.
    Read,
    /// It is in none of the lists that clients go by, while the account still has it: taken out of service, or not in it yet.
    Neither,
}

/// How many regions of an account take writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteRegions {
    /// One; it moves by failover.
    Single,
    /// All; nothing has to be moved, and an ETag is no lock.
    Multiple,
}

/// Reads an account.
///
/// # Errors
/// See [`ArmError`].
pub async fn get(arm: &ArmClient, account: &ResourceId) -> Result<Account, ArmError> {
    let AccountBody { id, properties } = typed("a Cosmos DB account", arm.get(account, API_VERSION).await?)?;
    let writable: Vec<RegionName> = properties.write_locations.iter().map(LocationBody::region).collect();
    let readable: Option<Vec<RegionName>> =
        properties.read_locations.map(|listed| listed.iter().map(LocationBody::region).collect());
    let mut locations: Vec<AccountLocation> = properties
        .locations
        .into_iter()
        .map(|location| {
            let region = location.region();
            // Without that list nobody can be missing from it.
            let is_read = readable.as_ref().is_none_or(|readable| readable.contains(&region));
            let role = match (writable.contains(&region), is_read) {
                (true, _) => LocationRole::Write,
                (false, true) => LocationRole::Read,
                (false, false) => LocationRole::Neither,
            };
            AccountLocation {
                region,
                provisioning_state: location.provisioning_state,
                failover_priority: location.failover_priority,
                role,
            }
        })
        .collect();
    locations.sort_by_key(|location| location.failover_priority.unwrap_or(u32::MAX));
    let writes = match properties.enable_multiple_write_locations {
        Some(true) => WriteRegions::Multiple,
        Some(false) | None => WriteRegions::Single,
    };
    Ok(Account { id, locations, writes, provisioning_state: properties.provisioning_state })
}

#[derive(Deserialize)]
struct AccountBody {
    id: ResourceId,
    properties: AccountProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountProperties {
    // Both are required: an account without regions is an answer that we cannot read, not an account without regions.
    locations: Vec<LocationBody>,
    write_locations: Vec<LocationBody>,
    read_locations: Option<Vec<LocationBody>>,
    enable_multiple_write_locations: Option<bool>,
    #[serde(default)]
    provisioning_state: ProvisioningState,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LocationBody {
    location_name: String,
    #[serde(default)]
    provisioning_state: ProvisioningState,
    failover_priority: Option<u32>,
}

impl LocationBody {
    fn region(&self) -> RegionName {
        RegionName::from_display(&self.location_name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{Answer, Script, arm, id};

    const ACCOUNT: &str =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.DocumentDB/databaseAccounts/a";

    #[tokio::test(start_paused = true)]
    async fn an_account_is_read_by_region_id_and_priority() {
        let location = |name: &str, priority: u32, state: &str| json!({"id": "a-x", "locationName": name, "provisioningState": state, "failoverPriority": priority});
        let west = location("West US 2", 1, "Offline");
        let east = location("East US", 0, "Succeeded");
        let body = json!({
            "id": ACCOUNT, "name": "a", "location": "West US", "kind": "GlobalDocumentDB",
            "properties": {
                "provisioningState": "Succeeded", "writeLocations": [east], "readLocations": [west, east],
                "locations": [west, east], "instanceId": "later", "enableMultipleWriteLocations": null
            }
        });
        let account = get(&arm(&Script::new([Answer::json(200, &body)])), &id(ACCOUNT)).await.unwrap();
        assert_eq!(account.writes, WriteRegions::Single);
        assert_eq!(
            account.locations,
            [
                AccountLocation {
                    region: "eastus".into(),
                    provisioning_state: ProvisioningState::Succeeded,
                    failover_priority: Some(0),
                    role: LocationRole::Write,
                },
                AccountLocation {
                    region: "westus2".into(),
                    provisioning_state: ProvisioningState::InTransition("Offline".into()),
                    failover_priority: Some(1),
                    role: LocationRole::Read,
                },
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_without_regions_is_an_answer_that_we_cannot_read() {
        let body = json!({"id": ACCOUNT, "properties": {"provisioningState": "Succeeded"}});
        let account = get(&arm(&Script::new([Answer::json(200, &body)])), &id(ACCOUNT)).await;
        assert!(matches!(account, Err(ArmError::Malformed { .. })));
    }
}
