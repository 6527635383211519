//! One checker per property. They see commits, effects and moments, never the controller's code, and say what is wrong.

mod audit;
mod chain;
mod clock;
mod convergence;
mod effects;
mod flaps;
mod floor;
mod gate_life;
mod generations;
mod masked;
mod overload;

use std::collections::BTreeMap;

use domain::state::{Freeze, StampCase, WorkloadState};
use domain::{Effect, GateDocument, Policy, StampId, Step, Timestamp, Transition};

/// A commit that the ledger has stored.
pub struct Commit<'a> {
    /// Who committed.
    pub instance: usize,
    /// The true time.
    pub now: Timestamp,
    /// The cases before.
    pub before: &'a BTreeMap<StampId, StampCase>,
    /// The freeze before.
    pub freeze_before: Option<Freeze>,
    /// What was written.
    pub transition: &'a Transition,
    /// The gates in force.
    pub documents: &'a BTreeMap<StampId, GateDocument>,
    /// When a call of this instance to ARM last went without an answer.
    pub arm_silent_at: Option<Timestamp>,
    /// The policy.
    pub policy: &'a Policy,
}

/// An instance's latest claim.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The step as claimed.
    pub step: Step,
    /// Effects since.
    pub effects: u32,
}

/// What is true of one stamp, with the memory that whoever acts now may rest on.
#[derive(Clone, Debug)]
pub struct StampTruth {
    /// Its name.
    pub id: StampId,
    /// Requests per second that it served well at most, lately.
    pub served_most_rps: f64,
    /// At least.
    pub served_least_rps: f64,
    /// The largest share of its requests that failed, lately.
    pub errors_most: f64,
    /// Its clients' demand.
    pub demand_rps: f64,
    /// Its origin, as configured.
    pub enabled: bool,
}

/// A write that the gate store or ARM has taken.
pub struct Effected<'a> {
    /// Who wrote.
    pub instance: usize,
    /// The true time.
    pub now: Timestamp,
    /// What was written.
    pub written: &'a Written,
    /// The gate before, if it is a gate.
    pub gate_before: Option<&'a GateDocument>,
    /// The writer's latest claim.
    pub claim: Option<&'a Claim>,
    /// The cases as committed.
    pub cases: &'a BTreeMap<StampId, StampCase>,
    /// The gates in force before.
    pub documents: &'a BTreeMap<StampId, GateDocument>,
    /// What is true.
    pub truth: &'a [StampTruth],
    /// The policy.
    pub policy: &'a Policy,
}

/// What was written.
#[derive(Clone, Debug)]
pub enum Written {
    /// A gate document.
    Gate(GateDocument),
    /// An origin's wish.
    Origin(StampId, bool),
    /// An autoscale setting.
    Floor(StampId),
}

impl Written {
    /// Whose.
    pub fn stamp(&self) -> &StampId {
        match self {
            Self::Gate(document) => &document.stamp,
            Self::Origin(stamp, _) | Self::Floor(stamp) => stamp,
        }
    }

    /// Whether a claimed step says so.
    pub fn is_of(&self, step: &Step) -> bool {
        match (self, &step.effect) {
            (Self::Gate(document), Effect::SetGate { stamp, position, .. }) => {
                document.stamp == *stamp
                    && document.position == *position
                    && document.generation == step.generation
            }
            (Self::Origin(stamp, on), Effect::SetOrigin { stamp: of, enabled }) => {
                stamp == of && *on == (*enabled == domain::EnabledState::Enabled)
            }
            (
                Self::Floor(stamp),
                Effect::RaiseFloor { stamp: of, .. } | Effect::RestoreFloor { stamp: of, .. },
            ) => stamp == of,
            _ => false,
        }
    }
}

/// One moment.
pub struct Moment<'a> {
    /// The true time.
    pub now: Timestamp,
    /// The cases as committed.
    pub cases: &'a BTreeMap<StampId, StampCase>,
    /// The gates in force.
    pub documents: &'a BTreeMap<StampId, GateDocument>,
    /// What is true.
    pub truth: &'a [StampTruth],
    /// Since when nothing disturbs: no condition, no trouble, no late delivery.
    pub calm_since: Option<Timestamp>,
    /// Since when every instance could have worked.
    pub able_since: Option<Timestamp>,
    /// What is not at rest yet; none when everything serves and nothing of ours is under way.
    pub restless: Option<&'static str>,
    /// The policy.
    pub policy: &'a Policy,
}

/// Says what is wrong. Every method has the empty answer as its default.
pub trait Checker: Send {
    /// The property's name, as `--sabotage` and reports have it.
    fn name(&self) -> &'static str;
    /// After a commit.
    fn commit(&mut self, _: &Commit<'_>, _: &mut Vec<String>) {}
    /// After an effect.
    fn effect(&mut self, _: &Effected<'_>, _: &mut Vec<String>) {}
    /// The ledger was replaced by an older replica, which holds this.
    fn failed_over(&mut self, _: Option<&WorkloadState>) {}
    /// Now and then.
    fn moment(&mut self, _: &Moment<'_>, _: &mut Vec<String>) {}
}

/// One of each. `sample` draws which records are judged again: one of so many.
pub fn all(sample: u64) -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(floor::Floor),
        Box::new(generations::Generations::default()),
        Box::new(effects::Effects),
        Box::new(audit::Completeness::new(sample)),
        Box::new(masked::Masked),
        Box::new(gate_life::GateLife::default()),
        Box::new(chain::Chain::new(sample)),
        Box::new(convergence::Convergence::default()),
        Box::new(flaps::Flaps::default()),
        Box::new(overload::Overload),
        Box::new(clock::Clock::default()),
    ]
}

/// Percent of the edge locations that a gate lets in now.
pub fn percent(documents: &BTreeMap<StampId, GateDocument>, stamp: &StampId, now: Timestamp) -> u8 {
    documents.get(stamp).map_or(100, |document| domain::gate::effective_percent(document, now))
}
