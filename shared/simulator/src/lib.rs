//! A simulated Azure: a seeded world of Front Door locations, stamps, Cosmos DB regions and faults, and the APIs of Azure
//! over real HTTP, so that the production adapters run against it unchanged.
//!
//! Invariants: nothing here reads a clock or a generator; every draw is a hash of the seed, the entity and the matter;
//! the same seed and the same calls give the same world, byte for byte. Simulated time moves only by [`World::step`].

mod arm;
mod autoscale;
mod availability;
mod azure;
mod draw;
mod edge;
mod edits;
mod faults;
pub mod fleet;
mod health;
mod lags;
mod measure;
mod metrics;
mod recorder;
mod scenario;
mod stamp;
mod telemetry;
mod world;

pub use azure::SimulatedAzure;
pub use edits::{EditKind, EditSpec};
pub use health::{EdgeProbe, HealthEndpoint, HealthReply, HealthRequest, ProbeReply, run_probes};
pub use lags::{StatedLag, stated_lags};
pub use measure::{BUCKET_FIRST_MS, BUCKET_RATIO, BUCKETS, FaultRecord, Measurements, StampSecond};
pub use measure::{DROPPED_SHARE, SYMPTOM_RATIO};
pub use recorder::{ArmExchange, Recorder};
pub use scenario::{
    AlertKind, AlertSpec, AlertStage, ComputeKind, DemandSpec, FaultKind, FaultSpec, Freeze, FrontDoorSpec,
    Scenario, ScenarioError, StampSpec, Synthetic, builtin,
};
pub use telemetry::Delivery;
pub use world::{OriginView, SimResourceIds, StampResourceIds, StampView, World, WorldView};
