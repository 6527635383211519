//! What a policy is: it sees what a real one could see, and asks for what a real one could ask for.

use domain::gate::GATE_SCHEMA;
use domain::{EnabledState, GateDocument, GatePosition, Generation, StampId};

use super::cordon::Cordon;
use super::edge::OriginAnswer;
use super::now_at;
use super::plant::{Plant, RIVAL_GATE_LIFETIME};
use super::rivals::alert::AlertAndResolve;
use super::rivals::front_door::FrontDoorAlone;
use super::rivals::health_check::HealthCheck;
use super::rivals::orchestrator::Orchestrator;
use super::rivals::outlier::OutlierDetection;
use super::stream::Seen;
use super::truth::{Incident, Truth};

/// The policies of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
    /// Cordon's production core with the shipped policy.
    Cordon,
    /// Front Door's own probes and nobody else.
    FrontDoorAlone,
    /// Cordon on alert, re-admit on resolve.
    AlertAndResolve,
    /// orchestrator: holistic detection, and one hour of block after each recovery.
    Orchestrator,
    /// Envoy's outlier detection: timed ejection with a percentage cap.
    OutlierDetection,
    /// HAProxy's health checks: rise and fall counts.
    HealthCheck,
}

impl PolicyKind {
    /// All of them, Cordon first.
    pub const ALL: [Self; 6] = [
        Self::Cordon,
        Self::FrontDoorAlone,
        Self::AlertAndResolve,
        Self::Orchestrator,
        Self::OutlierDetection,
        Self::HealthCheck,
    ];

    /// As the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cordon => "Cordon",
            Self::FrontDoorAlone => "Front Door alone",
            Self::AlertAndResolve => "alert / resolve",
            Self::Orchestrator => "one-hour block",
            Self::OutlierDetection => "timed ejection",
            Self::HealthCheck => "rise / fall",
        }
    }

    /// What it does and whose defaults it has, in one sentence for the reader of the table.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Cordon => {
                "the production core (fold, judge, transition, due) with the shipped policy.toml, every 10 s"
            }
            Self::FrontDoorAlone => super::rivals::front_door::ABOUT,
            Self::AlertAndResolve => super::rivals::alert::ABOUT,
            Self::Orchestrator => super::rivals::orchestrator::ABOUT,
            Self::OutlierDetection => super::rivals::outlier::ABOUT,
            Self::HealthCheck => super::rivals::health_check::ABOUT,
        }
    }

    /// It keeps a region out beyond the moment at which its own evidence turns good. (Health checks do not: they follow
    /// it.)
    pub const fn latches(self) -> bool {
        matches!(self, Self::AlertAndResolve | Self::Orchestrator | Self::OutlierDetection)
    }

    pub(super) fn start(self, incident: &Incident) -> Box<dyn Steering> {
        let stamps = incident.stamps.len();
        match self {
            Self::Cordon => Box::new(Cordon::new(incident)),
            Self::FrontDoorAlone => Box::new(FrontDoorAlone),
            Self::AlertAndResolve => Box::new(AlertAndResolve::new(stamps)),
            Self::Orchestrator => Box::new(Orchestrator::new(stamps)),
            Self::OutlierDetection => Box::new(OutlierDetection::new(stamps)),
            Self::HealthCheck => Box::new(HealthCheck::new(stamps)),
        }
    }
}

/// One policy at work.
pub(crate) trait Steering {
    /// Looks, and acts.
    fn step(&mut self, seen: &Seen, hands: &mut Hands<'_>);

    /// It holds nothing out and wants nothing.
    fn is_idle(&self) -> bool;
}

/// What a policy can do.
pub(crate) struct Hands<'a> {
    pub(crate) t: u32,
    pub(crate) plant: &'a mut Plant,
    pub(crate) truth: &'a Truth,
    pub(crate) tell: &'a mut dyn FnMut(String),
}

impl Hands<'_> {
    /// A gate without Cordon's care: closed until opened.
    pub(crate) fn set_gate(&mut self, s: usize, position: GatePosition) {
        let now = now_at(self.t);
        let document = GateDocument {
            schema: GATE_SCHEMA,
            stamp: StampId::new(format!("stamp-{s}")),
            position,
            generation: Generation { epoch: 1, n: u64::from(self.t) },
            heartbeat_at: now,
            expires_at: now + RIVAL_GATE_LIFETIME,
            reopen_percents: Vec::new(),
            reopen_step_s: 1,
            reason: String::new(),
        };
        self.plant.write_gate(s, self.t, document);
    }

    /// Asks Front Door to change an origin.
    pub(crate) fn set_origin(&mut self, s: usize, enabled: EnabledState) -> OriginAnswer {
        self.plant.edge.set_origin(s, enabled, self.truth)
    }
}
