//! What the observers saw of the world that is not a health verdict: topology, actuators, load and capacity.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::LoadSample;
use crate::throughput::ThroughputFacts;
use crate::{RegionName, StampId, Timestamp};

/// One run's worth of facts. A missing map entry means "not read in this run", never "gone".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The whole topology, when it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Vec<StampFacts>>,
    /// Origins, by stamp.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<StampId, OriginFacts>,
    /// Capacity as the control plane shows it, by stamp.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity: BTreeMap<StampId, CapacityFacts>,
    /// What the quotas allow, by stamp.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quota: BTreeMap<StampId, QuotaFacts>,
    /// The throughput settings that the policy lists, by their names there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub throughput: BTreeMap<String, ThroughputFacts>,
    /// What the stamp says of its own load, by stamp.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub load: BTreeMap<StampId, LoadFacts>,
    /// What the edge counted for a stamp that does not tell its own load, by stamp: its newest minute.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub demand: BTreeMap<StampId, LoadSample>,
    /// What the gated view answered to our own request, by stamp.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gated_view: BTreeMap<StampId, GatedView>,
    /// Reads that failed in this run, by actuator: the last good value keeps ageing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

impl Facts {
    /// Nothing was read.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One stamp as discovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StampFacts {
    /// Its name, from the tag `cordon:stamp`.
    pub stamp: StampId,
    /// Its region.
    pub region: RegionName,
    /// The origin's host name, as Front Door's telemetry names it.
    pub origin_host: String,
    /// The origin's ARM id.
    pub origin_id: String,
    /// The capacity lever: an autoscale setting's ARM id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale_id: Option<String>,
    /// The App Service plan's ARM id, whose ready workers are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<String>,
    /// Where Cordon and the peers reach the stamp directly.
    pub direct_url: String,
    /// `draining` stamps are on their way out: not counted as capacity, never re-admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// Front Door's `enabledState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum EnabledState {
    /// Takes part in routing.
    Enabled,
    /// Out, before Front Door's own fail-open.
    Disabled,
}

/// An origin as ARM shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OriginFacts {
    /// When it was read.
    pub read_at: Timestamp,
    /// Configured, not necessarily effective at the edge.
    pub enabled: EnabledState,
    /// A change is still under way.
    pub updating: bool,
}

/// Capacity as the control plane shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityFacts {
    /// When it was read.
    pub read_at: Timestamp,
    /// Instances that the plan reports as running.
    pub instances: u32,
    /// The minimum in force now (fixedDate before recurrence before default).
    pub minimum: u32,
    /// The highest number the lever allows.
    pub maximum: u32,
    /// The minimum of our own profile, if it is there and unexpired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub our_floor: Option<u32>,
    /// When our own profile expires by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub our_floor_until: Option<Timestamp>,
}

/// What the quotas of a stamp's region and compute allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaFacts {
    /// When it was read.
    pub read_at: Timestamp,
    /// Instances of its size that the stamp may have in all, those that it has among them.
    pub instances_max: u32,
}

/// What the stamp's ungated view says of its load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadFacts {
    /// When the stamp said so.
    pub observed_at: Timestamp,
    /// Instances that answer: probed, not requested.
    pub ready_instances: u32,
    /// Requests arriving, per second.
    pub requests_per_second: f64,
    /// Share of the concurrency limit in use; 1 and above is full.
    pub saturation: f64,
}

/// What the gated view answered to our own request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatedView {
    /// When.
    pub observed_at: Timestamp,
    /// The status: 200 or 503 by contract.
    pub status: u16,
}
