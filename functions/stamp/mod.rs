//! The stamp's side: what Front Door's probes are answered, and what Cordon and the peers are told.
//!
//! The gated view answers 200 or 503 and nothing else, and 503 only for a closed gate or a local, hard failure over
//! several rounds: the health endpoint must not become a second, ungoverned controller (DESIGN.md, "What the gated view
//! may answer"). Thousands of probes a second touch caches only.

mod bounded;
mod cached;
mod components;
mod gate_reading;
mod peers;
mod service;
mod view;

use std::time::Duration;

use domain::StampId;

pub use components::{COSMOS_READ, COSMOS_WRITE, Reach};
pub use gate_reading::{GateReading, GateSource};
pub use service::StampService;
pub use view::{Component, ComponentStatus, GateView, LoadView, PeerStatus, PeerView, Status, UngatedView};

/// Where a stamp is, what it checks and whom it believes. One per process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampConfig {
    /// This stamp.
    pub stamp: StampId,
    /// The shared key of the ungated views; empty lets nobody in.
    pub key: String,
    /// Our Front Door's id: only requests that carry it in `X-Azure-FDID` have a believable prober's address.
    pub front_door_id: Option<String>,
    /// The header with the prober's address, as the ingress writes it: `X-Forwarded-For` or `X-Azure-SocketIP`.
    pub prober_header: String,
    /// What is checked.
    pub components: Vec<ComponentCheck>,
    /// Where the application tells its load; none if it does not.
    pub load_url: Option<String>,
    /// The other stamps.
    pub peers: Vec<Peer>,
    /// After a start the gated view answers 503 until the gate was read, for at most this long (policy: gate.boot_wait).
    pub gate_boot_wait: Duration,
    /// A replica's gate whose heartbeat is older counts as unreadable (policy: gate.heartbeat_max).
    pub gate_heartbeat_max: Duration,
}

/// One thing to check, by GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentCheck {
    /// Such as `app`, `vault`.
    pub name: String,
    /// What to GET.
    pub url: String,
    /// Whether its failure is this stamp's own.
    pub reach: Reach,
}

/// Another stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub stamp: StampId,
    /// Its direct URL, as in the topology: `healthz/..` is below it.
    pub direct_url: String,
}
