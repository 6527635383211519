//! The stamps' health service is production code, plugged in here. The world only decides whether a question reaches it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::StampId;

use crate::world::World;

/// The health service of every stamp.
#[async_trait]
pub trait HealthEndpoint: Send + Sync {
    /// Answers one request that reached the stamp.
    async fn ask(&self, stamp: &StampId, request: HealthRequest) -> HealthReply;
}

/// A request for a stamp's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthRequest {
    /// `None` for the path that Front Door probes, else the view asked for.
    pub view: Option<String>,
    /// `GET` or `HEAD`.
    pub method: String,
    /// The client's address as the ingress reports it.
    pub prober: Option<IpAddr>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// What the health service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReply {
    /// HTTP status.
    pub status: u16,
    /// Body; dropped for `HEAD`.
    pub body: String,
}

/// One probe of one stamp from one edge location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeProbe {
    /// Code of the location, for example `IAD`.
    pub pop: String,
    /// The stamp it probes.
    pub stamp: StampId,
    /// The address it probes from; each location has a /24 of its own.
    pub prober_address: IpAddr,
    pub(crate) pop_index: usize,
    pub(crate) stamp_index: usize,
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeReply {
    /// Answered with this status; only 200 is good.
    Status(u16),
    /// No answer: connection refused or timed out.
    Failed,
}

impl ProbeReply {
    /// Front Door takes 200 for good, and nothing else.
    pub fn is_good(self) -> bool {
        self == Self::Status(200)
    }
}

/// Runs the probes of this second: asks the health service where the world lets the probe through, and hands each reply
/// to the world. The lock is never held while the service is asked.
pub async fn run_probes(world: &Arc<Mutex<World>>, hook: &dyn HealthEndpoint) {
    let (probes, headers) = {
        let world = world.lock().unwrap_or_else(PoisonError::into_inner);
        (world.due_probes(), world.probe_headers())
    };
    for probe in probes {
        let passage = world.lock().unwrap_or_else(PoisonError::into_inner).probe_passage(&probe);
        let reply = match passage {
            Some(reply) => reply,
            None => {
                let request = HealthRequest {
                    view: None,
                    method: "HEAD".into(),
                    prober: Some(probe.prober_address),
                    headers: headers.clone(),
                };
                ProbeReply::Status(hook.ask(&probe.stamp, request).await.status)
            }
        };
        world.lock().unwrap_or_else(PoisonError::into_inner).apply_probe(&probe, reply);
    }
}
