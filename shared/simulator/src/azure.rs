//! The world over HTTP: ARM, the identity endpoint and the stamps' own hosts, on one router.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;

use crate::health::HealthEndpoint;
use crate::recorder::Recorder;
use crate::world::World;

/// A simulated Azure, to be served on loopback.
#[derive(Clone)]
pub struct SimulatedAzure {
    world: Arc<Mutex<World>>,
    health: Arc<dyn HealthEndpoint>,
    recorder: Arc<Mutex<Recorder>>,
}

impl SimulatedAzure {
    /// Azure over this world; `health` is the health service of every stamp.
    pub fn new(world: Arc<Mutex<World>>, health: Arc<dyn HealthEndpoint>, recorder: Recorder) -> Self {
        Self { world, health, recorder: Arc::new(Mutex::new(recorder)) }
    }

    /// What was said to ARM so far.
    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The routes: ARM's paths as in Azure, `/msi/token`, and `/stamps/{id}/...`.
    pub fn router(&self) -> Router {
        let _ = (&self.world, &self.health);
        Router::new()
    }
}
