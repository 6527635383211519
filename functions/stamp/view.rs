//! The ungated view: what a stamp says of itself to Cordon and to its peers. The types that write it also read it.

use domain::facts::LoadFacts;
use domain::{GatePosition, Generation, StampId, Timestamp};
use serde::{Deserialize, Serialize};

use super::GateSource;

/// How a stamp, or one of its components, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Well.
    Healthy,
    /// Slow, full, or a shared dependency fails.
    Degraded,
    /// A component of its own fails hard.
    Unhealthy,
}

/// The whole view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UngatedView {
    /// Whose.
    pub stamp: StampId,
    /// The worst of the components, as far as it is the stamp's own.
    pub status: Status,
    /// When it was put together.
    pub observed_at: Timestamp,
    /// The components.
    pub components: Vec<Component>,
    /// The load, if the application tells it.
    pub load: Option<LoadView>,
    /// The gate as this process knows it.
    pub gate: GateView,
    /// The peers as seen from here; absent in the view for peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<PeerView>>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: ComponentStatus,
    /// Consecutive rounds in which it failed hard.
    pub hard_failures: u32,
    /// What the check saw, for the reader.
    pub detail: String,
}

/// How a component's check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentStatus {
    /// Answered well.
    Healthy,
    /// Too slow, or full.
    Degraded,
    /// Answered with failure, or nobody was there.
    Failed,
}

/// The load as the application tells it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadView {
    /// When it was read.
    pub observed_at: Timestamp,
    /// Instances that answer.
    pub ready_instances: u32,
    /// Share of the concurrency limit in use; 1 and above is full.
    pub saturation: f64,
    /// Requests arriving, per second.
    pub requests_per_second: f64,
}

impl From<LoadView> for LoadFacts {
    fn from(load: LoadView) -> Self {
        Self {
            observed_at: load.observed_at,
            ready_instances: load.ready_instances,
            requests_per_second: load.requests_per_second,
            saturation: load.saturation,
        }
    }
}

/// The gate as a stamp knows it. Without a position there is no gate document, or none was read yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateView {
    /// How far open, as written.
    pub position: Option<GatePosition>,
    /// How far open now, in percent: expiry and boot wait counted in.
    pub percent: u8,
    /// The generation that set it.
    pub generation: Option<Generation>,
    /// When it was last set or renewed.
    pub heartbeat_at: Option<Timestamp>,
    /// Where the last reading came from.
    pub source: GateSource,
}

/// A peer as seen from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// The peer.
    pub stamp: StampId,
    /// How it is.
    pub status: PeerStatus,
    /// When it was seen so.
    pub observed_at: Timestamp,
}

/// How a peer looks from here. A peer that answered but would not tell is left out of the list: that says something
/// about our key, nothing about its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerStatus {
    /// Says it is well.
    Healthy,
    /// Says it is degraded.
    Degraded,
    /// Says it is failing, or answers with failure.
    Unhealthy,
    /// Does not answer.
    Unreachable,
}
