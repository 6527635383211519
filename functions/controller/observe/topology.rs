//! Topology is discovered, not listed: the origins of the group, and the resources tagged with their stamp.

use std::collections::BTreeMap;

use adapters::azure::arm::{ArmError, ResourceId, ResourceIdError};
use adapters::azure::front_door;
use adapters::azure::resource_graph::{self, InventoryError, TaggedResource};
use domain::StampId;
use domain::facts::StampFacts;

use crate::controller::Controller;

/// The tag with the address at which Cordon and the peers reach a stamp directly.
const DIRECT_URL: &str = "cordon:direct-url";
/// The tag with which a stamp says that it is on its way out.
const STATE: &str = "cordon:state";

/// The tag with which an AKS cluster names the agent pool of its stamp.
const AGENT_POOL: &str = "cordon:agent-pool";

/// Why the topology could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiscoveryError {
    #[error("list the origins of the group")]
    Origins(#[from] ArmError),
    #[error("find the tagged resources")]
    Inventory(#[from] InventoryError),
    #[error("use the policy's origin group")]
    Group(#[from] ResourceIdError),
    /// The read worked and found nothing: an empty world is not believed.
    #[error(
        "find any stamp: no origin of the group has tagged resources (tags cordon:workload and cordon:stamp)"
    )]
    Nothing,
}

/// Every origin that has tagged resources is a stamp. An origin is its stamp's by name.
pub(super) async fn discover(controller: &Controller) -> Result<Vec<StampFacts>, DiscoveryError> {
    let group = ResourceId::parse(&controller.policy.workload.origin_group)?;
    let subscription = group.as_str().split('/').nth(2).unwrap_or_default().to_owned();
    let arm = &controller.azure.arm_observed;
    let origins = front_door::list_origins(arm, &group).await?;
    let tagged =
        resource_graph::tagged_resources(arm, &controller.policy.workload.name, &[&subscription]).await?;
    let mut by_stamp: BTreeMap<StampId, Vec<TaggedResource>> = BTreeMap::new();
    for resource in tagged {
        if let Some(stamp) = resource.stamp.clone() {
            by_stamp.entry(stamp).or_default().push(resource);
        }
    }
    let stamps: Vec<StampFacts> = by_stamp
        .iter()
        .filter_map(|(stamp, resources)| {
            let origin = origins.iter().find(|origin| origin.name.eq_ignore_ascii_case(stamp.as_str()))?;
            stamp_facts(stamp, resources, origin)
        })
        .collect();
    if stamps.is_empty() { Err(DiscoveryError::Nothing) } else { Ok(stamps) }
}

fn stamp_facts(
    stamp: &StampId,
    resources: &[TaggedResource],
    origin: &front_door::OriginState,
) -> Option<StampFacts> {
    let of_kind = |kind: &str| resources.iter().find(|resource| resource.kind == kind);
    let id_of = |kind: &str| of_kind(kind).map(|resource| resource.id.as_str().to_owned());
    // Compute that scales by itself is its own lever.
    let scaled = agent_pool(of_kind("microsoft.containerservice/managedclusters"))
        .or_else(|| id_of("microsoft.app/containerapps"));
    let tag = |name: &str| resources.iter().find_map(|resource| resource.tags.get(name).cloned());
    let region = resources.first().map(|resource| resource.location.clone())?;
    let direct_url = tag(DIRECT_URL)
        .filter(|url| may_be_asked(url))
        .unwrap_or_else(|| format!("https://{}", origin.host_name));
    Some(StampFacts {
        stamp: stamp.clone(),
        region,
        origin_host: origin.host_name.clone(),
        origin_id: origin.id.as_str().to_owned(),
        autoscale_id: id_of("microsoft.insights/autoscalesettings").or_else(|| scaled.clone()),
        plan_id: id_of("microsoft.web/serverfarms")
            .or_else(|| id_of("microsoft.compute/virtualmachinescalesets"))
            .or(scaled),
        direct_url,
        state: tag(STATE),
    })
}

/// A cluster's pool is no resource of its own to Resource Graph: the cluster has the tags, and one names the pool.
fn agent_pool(cluster: Option<&TaggedResource>) -> Option<String> {
    let cluster = cluster?;
    let pool = cluster.id.child("agentPools", cluster.tags.get(AGENT_POOL)?).ok()?;
    Some(pool.as_str().to_owned())
}

/// The key is shown only over TLS, or on this machine.
fn may_be_asked(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://127.0.0.1:")
}
