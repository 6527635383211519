//! VM scale sets: how many instances there are. Their floor is raised through the autoscale setting, like a plan's.

use serde::Deserialize;

use super::arm::{ArmClient, ArmError, ResourceId};
use super::typed;

/// The API version of every request of this module.
pub const API_VERSION: &str = "2024-07-01";

/// Reads how many instances the set is to have. Those that are on their way are among them; whether they are ready, the
/// stamp's own health view says.
///
/// # Errors
/// See [`ArmError`].
pub async fn instances(arm: &ArmClient, set: &ResourceId) -> Result<Option<u32>, ArmError> {
    Ok(get(arm, set).await?.instances)
}

/// A set as ARM reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleSet {
    /// Instances that it is to have; none where ARM reports none.
    pub instances: Option<u32>,
    /// The size of each, such as `Standard_D4s_v5`; none for a set of several.
    pub size: Option<String>,
}

/// Reads a set.
///
/// # Errors
/// See [`ArmError`].
pub async fn get(arm: &ArmClient, set: &ResourceId) -> Result<ScaleSet, ArmError> {
    let found: Found = typed("a VM scale set", arm.get(set, API_VERSION).await?)?;
    Ok(ScaleSet { instances: found.sku.capacity, size: found.sku.name })
}

/// Whether an id names a scale set.
pub fn is_scale_set(id: &ResourceId) -> bool {
    id.as_str().to_ascii_lowercase().contains("/providers/microsoft.compute/virtualmachinescalesets/")
}

#[derive(Deserialize)]
struct Found {
    sku: Sku,
}

#[derive(Deserialize)]
struct Sku {
    name: Option<String>,
    capacity: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::testing::{Answer, Script, arm, id};

    const SET: &str =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachineScaleSets/web";

    #[tokio::test]
    async fn a_set_says_how_many_it_is_to_have() {
        let body = serde_json::json!({ "id": SET, "sku": { "name": "Standard_D4s_v5", "tier": "Standard", "capacity": 7 } });
        let script = Script::new([Answer::json(200, &body)]);
        assert_eq!(instances(&arm(&script), &id(SET)).await.unwrap(), Some(7));
        assert!(
            is_scale_set(&id(SET))
                && !is_scale_set(&id("/subscriptions/s/resourceGroups/rg/providers/x/y/z"))
        );
    }
}
