//! Whether a deployment may run now. It writes every origin's `enabledState` and every autoscale setting whole, whatever
//! stands there; so it may run only while nothing of ours does, and may not take away a stamp that the others cannot do
//! without.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::capacity::{self, Share};
use crate::policy::Policy;
use crate::state::{Stage, WorkloadState};
use crate::{EnabledState, GatePosition, StampId, StoredStep, Timestamp};

/// Our own probes come every 10 s; older than this, nobody watches, and what is known says nothing of now.
const EVIDENCE_AGE_MAX: Duration = Duration::from_secs(120);

/// Why a deployment must not run now.
#[derive(Clone, Debug, PartialEq)]
pub enum Objection {
    /// Nobody has looked at the stamps lately.
    Blind {
        /// When somebody last did.
        observed_at: Option<Timestamp>,
    },
    /// A stamp is not serving.
    NotServing {
        /// The stamp.
        stamp: StampId,
        /// Where it stands.
        stage: Stage,
    },
    /// A gate is not open.
    GateNotOpen {
        /// The stamp.
        stamp: StampId,
    },
    /// An origin is disabled, and the deployment would enable it.
    OriginDisabled {
        /// The stamp.
        stamp: StampId,
    },
    /// A floor of ours stands, and the deployment would take it away.
    FloorStands {
        /// The stamp.
        stamp: StampId,
        /// Instances.
        minimum: u32,
    },
    /// A throughput of ours stands, and the deployment would take it away.
    ThroughputStands {
        /// The database or container.
        resource: String,
        /// Request units a second.
        maximum: u32,
    },
    /// Removals are frozen: the observer may be what broke.
    Frozen,
    /// A step of ours is under way.
    StepUnderWay {
        /// In words.
        what: String,
    },
    /// Too few regions would stay.
    TooFewRegions {
        /// How many would.
        left: usize,
        /// How many the policy asks for.
        regions_min: u32,
    },
    /// A stamp that stays cannot carry what the leaving ones have.
    CapacityShort {
        /// The stamp that stays.
        stamp: StampId,
        /// What it would carry, and can.
        share: Share,
    },
}

/// What speaks against a deployment that lets the stamps in `leaving` go and disables the origins of those in `held_out`. An
/// empty answer is the only permission.
pub fn objections(
    state: &WorkloadState,
    steps: &[StoredStep],
    now: Timestamp,
    (leaving, held_out): (&BTreeSet<StampId>, &BTreeSet<StampId>),
    policy: &Policy,
) -> Vec<Objection> {
    let mut found = Vec::new();
    if state.observed_at.is_none_or(|at| now.since(at) > EVIDENCE_AGE_MAX) {
        found.push(Objection::Blind { observed_at: state.observed_at });
    }
    if state.freeze.is_some() {
        found.push(Objection::Frozen);
    }
    for (stamp, case) in &state.cases {
        if case.stage != Stage::Serving {
            found.push(Objection::NotServing { stamp: stamp.clone(), stage: case.stage });
        }
        if case.gate != GatePosition::Open {
            found.push(Objection::GateNotOpen { stamp: stamp.clone() });
        }
        let disabled =
            state.origins.get(stamp).is_some_and(|origin| origin.enabled == EnabledState::Disabled);
        if (disabled || case.latched_at.is_some()) && !held_out.contains(stamp) {
            found.push(Objection::OriginDisabled { stamp: stamp.clone() });
        }
        let stands = state.capacity.get(stamp).and_then(|capacity| capacity.our_floor);
        if let Some(minimum) = case.floor_recorded.or(stands) {
            found.push(Objection::FloorStands { stamp: stamp.clone(), minimum });
        }
    }
    found.extend(state.throughput_held.iter().map(|(resource, held)| Objection::ThroughputStands {
        resource: resource.clone(),
        maximum: held.set,
    }));
    let live = steps.iter().filter(|stored| stored.step.is_live());
    found.extend(
        live.map(|stored| Objection::StepUnderWay { what: crate::explain::effect(&stored.step.effect) }),
    );
    found.extend(of_leaving(state, leaving, held_out, policy));
    found
}

/// The floor, without those that leave: enough regions, and each that stays can carry its part now.
fn of_leaving(
    state: &WorkloadState,
    leaving: &BTreeSet<StampId>,
    held_out: &BTreeSet<StampId>,
    policy: &Policy,
) -> Vec<Objection> {
    let out: BTreeSet<StampId> =
        leaving.union(held_out).filter(|stamp| state.cases.contains_key(*stamp)).cloned().collect();
    if out.is_empty() {
        return vec![];
    }
    let shares = capacity::shares_without(state, &out, policy);
    let mut found = Vec::new();
    if shares.len() < usize::try_from(policy.capacity.regions_min).unwrap_or(usize::MAX).max(1) {
        found.push(Objection::TooFewRegions {
            left: shares.len(),
            regions_min: policy.capacity.regions_min.max(1),
        });
    }
    let short = shares.into_iter().filter(|(_, share)| !share.is_ready());
    found.extend(short.map(|(stamp, share)| Objection::CapacityShort { stamp, share }));
    found
}

impl std::fmt::Display for Objection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blind { observed_at: None } => write!(f, "nobody has seen a stamp yet; does Cordon run?"),
            Self::Blind { observed_at: Some(at) } => {
                write!(f, "nobody has looked at the stamps since {at}; does Cordon run?")
            }
            Self::NotServing { stamp, stage } => {
                write!(f, "{stamp} is not serving: {}", crate::explain::stage(*stage))
            }
            Self::GateNotOpen { stamp } => write!(f, "the gate of {stamp} is not open"),
            Self::OriginDisabled { stamp } => write!(
                f,
                "the origin of {stamp} is disabled, and the deployment would enable it; \
                 originsHeldOut = ['{stamp}'] keeps it out"
            ),
            Self::FloorStands { stamp, minimum } => write!(
                f,
                "a floor of {minimum} instances stands at {stamp}, and the deployment would take it away"
            ),
            Self::ThroughputStands { resource, maximum } => write!(
                f,
                "a throughput of {maximum} RU/s stands at {resource}, and the deployment would take it away"
            ),
            Self::Frozen => write!(f, "removals are frozen: the observer may be what broke"),
            Self::StepUnderWay { what } => write!(f, "under way: {what}"),
            Self::TooFewRegions { left, regions_min } => {
                write!(f, "{left} regions would be left to serve, and the floor is {regions_min}")
            }
            Self::CapacityShort { stamp, share } => write!(
                f,
                "{stamp} would have to carry {:.0} requests per second and can carry {:.0}; raise its \
                 instancesMin to {} first",
                share.demand_rps, share.ready_rps, share.instances_needed
            ),
        }
    }
}
