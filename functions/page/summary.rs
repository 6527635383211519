//! The present as data: what the status page shows, for scripts and for the command line.

use std::collections::BTreeMap;

use domain::modes::ModeCause;
use domain::overriding::Overridable;
use domain::policy::Mode;
use domain::state::{FreezeCause, HeldFor, Stage};
use domain::{
    EnabledState, EvidenceClass, GatePosition, Generation, Policy, StampId, Timestamp, Verdict, WorkloadId,
    capacity, explain,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::status::{Judged, Picture, sentence};
use crate::controller::Controller;

/// What is happening to a workload now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The workload.
    pub workload: WorkloadId,
    /// Judged at.
    pub as_of: Timestamp,
    /// The generation of the committed state.
    pub generation: Generation,
    /// One sentence.
    pub sentence: String,
    /// The next moment at which time alone may change something.
    pub next_change_at: Option<Timestamp>,
    /// Why removals are frozen, if they are.
    pub frozen: Option<FreezeCause>,
    /// When a pause ends, if there is one.
    pub paused_until: Option<Timestamp>,
    /// The modes in force.
    pub modes: BTreeMap<ModeCause, Mode>,
    /// The stamps, by name.
    pub stamps: Vec<StampStatus>,
    /// Steps under way, in words.
    pub under_way: Vec<String>,
    /// The number of the last audit record.
    pub audit_seq: u64,
}

/// One stamp now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StampStatus {
    /// The stamp.
    pub stamp: StampId,
    /// Its stage.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
    /// What is true of it, in words.
    pub condition: String,
    /// What is done about it, in words.
    pub action: String,
    /// The next moment at which time alone may change it.
    pub next_change_at: Option<Timestamp>,
    /// The gate wanted.
    pub gate: GatePosition,
    /// The origin wanted.
    pub origin: EnabledState,
    /// The origin as last read.
    pub origin_read: Option<EnabledState>,
    /// The capacity floor wanted, in instances.
    pub floor: Option<u32>,
    /// Requests arriving per second, where the stamp told lately.
    pub load_rps: Option<f64>,
    /// Requests per second that its ready instances carry, where the stamp told lately.
    pub ready_rps: Option<f64>,
    /// What each class says.
    pub evidence: BTreeMap<EvidenceClass, Says>,
    /// The generation whose cordon awaits approval.
    pub awaiting_approval: Option<Generation>,
    /// Why something about it is held, since when, and when a person was last told.
    pub held_for: Option<HeldFor>,
    /// What an override of a safety rule would have to name.
    pub overridable: Option<OverridableNow>,
    /// Who holds it.
    pub held_by: Option<String>,
}

/// A safety rule that holds the removal of a stamp now, and that an operator may override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OverridableNow {
    /// The rule.
    pub rule: Overridable,
    /// The generation whose hold an override names.
    pub generation: Generation,
}

/// What one class says of a stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Says {
    /// Its verdict.
    pub verdict: Verdict,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The newest sample behind it.
    pub last_seen: Option<Timestamp>,
}

impl Status {
    /// Judges the present of a workload.
    ///
    /// # Errors
    /// When a store cannot be used, in one line.
    pub async fn now(controller: &Controller) -> Result<Self, String> {
        Self::judged(controller).await.map_err(|failure| failure.text())
    }

    pub(super) async fn judged(controller: &Controller) -> Result<Self, Failure> {
        Ok(Self::of(&Judged::now(controller).await?.picture()))
    }

    fn of(picture: &Picture<'_>) -> Self {
        let state = &picture.situation.state;
        let decision = &picture.judgement.decision;
        let live = picture.situation.steps.iter().filter(|stored| stored.step.is_live());
        Self {
            workload: state.workload.clone(),
            as_of: state.as_of,
            generation: state.generation,
            sentence: sentence(picture),
            next_change_at: decision.rulings.values().filter_map(|ruling| ruling.next_at).min(),
            frozen: decision.freeze.map(|freeze| freeze.cause),
            paused_until: state.pause.as_ref().map(|pause| pause.until).filter(|until| *until > state.as_of),
            modes: ModeCause::ALL.into_iter().map(|cause| (cause, cause.mode(picture.policy))).collect(),
            stamps: state.cases.keys().map(|stamp| StampStatus::of(picture, stamp, picture.policy)).collect(),
            under_way: live.map(|stored| explain::effect(&stored.step.effect)).collect(),
            audit_seq: state.audit_seq,
        }
    }
}

impl StampStatus {
    fn of(picture: &Picture<'_>, stamp: &StampId, policy: &Policy) -> Self {
        let state = &picture.situation.state;
        let case = &state.cases[stamp];
        let decision = &picture.judgement.decision;
        let ruling = decision.rulings.get(stamp);
        let assessment = decision.assessments.get(stamp);
        let ready_rps = capacity::ready_rps(state, stamp, policy);
        let views = assessment.into_iter().flat_map(|found| &found.views);
        Self {
            stamp: stamp.clone(),
            stage: case.stage,
            since: case.since,
            condition: assessment.map(explain::assessment).unwrap_or_default(),
            action: ruling.map(|ruling| explain::action(&ruling.action)).unwrap_or_default(),
            next_change_at: ruling.and_then(|ruling| ruling.next_at),
            gate: case.gate,
            origin: case.origin,
            origin_read: state.origins.get(stamp).map(|origin| origin.enabled),
            floor: case.floor,
            load_rps: state
                .load
                .get(stamp)
                .filter(|_| ready_rps.is_some())
                .map(|load| load.requests_per_second),
            ready_rps,
            evidence: views
                .map(|(class, view)| {
                    (*class, Says { verdict: view.verdict, since: view.since, last_seen: view.last_seen })
                })
                .collect(),
            awaiting_approval: case.awaiting_approval.filter(|_| case.approval.is_none()),
            held_for: case.held_for,
            overridable: case.overridable().map(|(rule, generation)| OverridableNow { rule, generation }),
            held_by: case.hold.as_ref().map(|hold| hold.by.clone()),
        }
    }
}
