//! From the situation to the decision: what each stamp's case becomes, and why, or why it stays.

mod leaving;
mod returning;
mod reminders;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::assess::{Assessment, Condition, Rule, assess, freeze_cause};
use crate::capacity;
use crate::fold::FoldNote;
use crate::policy::Policy;
use crate::state::{Cause, Freeze, Stage, StampCase, WorkloadState};
use crate::{FIRST_EPOCH, GateDocument, StampId, StoredStep, Timestamp};

pub(crate) use returning::load_allowed;
use world::World;
pub(crate) use world::takes_nothing;

/// What the gate store said of one gate in this evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "read", rename_all = "snake_case")]
pub enum GateRead {
    /// No document: nobody ever closed it.
    Absent,
    /// This document.
    Is {
        /// The document.
        document: GateDocument,
    },
    /// The store could not be read: permits nothing (S8).
    Unreadable,
}

/// Everything a decision reads, gathered once. `state.as_of` is the only "now".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Situation {
    /// The state with the inbox folded in.
    pub state: WorkloadState,
    /// The gates as read in this evaluation.
    pub gates: BTreeMap<StampId, GateRead>,
    /// The steps that the ledger holds, outcomes folded in.
    pub steps: Vec<StoredStep>,
    /// Steps whose status an outcome changed.
    pub concluded: BTreeSet<crate::StepId>,
    /// What folding noticed.
    pub notes: Vec<FoldNote>,
}

impl Situation {
    /// Whether folding changed this step.
    pub fn touched(&self, step: &crate::StepId) -> bool {
        self.concluded.contains(step)
    }

    /// The same in a later epoch: the commit that follows is the first of it, and its record says why.
    #[must_use]
    pub fn in_epoch(mut self, epoch: u32, text: &str) -> Self {
        let after = self.state.generation;
        self.state.generation.epoch = epoch;
        self.notes.insert(0, FoldNote::EpochBegan { after, text: crate::note(text) });
        self
    }

    /// Whether a stamp may obey a gate document that the ledger lost: until one of this epoch is in force, nobody knows.
    pub fn may_obey_a_lost_gate(&self, stamp: &StampId) -> bool {
        let epoch = self.state.generation.epoch;
        match self.gates.get(stamp) {
            Some(GateRead::Is { document }) => document.generation.epoch < epoch,
            Some(GateRead::Absent) => epoch > FIRST_EPOCH,
            Some(GateRead::Unreadable) | None => false,
        }
    }

    /// Whether the gate in force lets in anybody at all. One that cannot be read is not counted on (S8).
    pub fn lets_somebody_in(&self, stamp: &StampId) -> bool {
        if self.may_obey_a_lost_gate(stamp) {
            return false;
        }
        match self.gates.get(stamp) {
            Some(GateRead::Is { document }) => crate::gate::effective_percent(document, self.state.as_of) > 0,
            Some(GateRead::Absent) | None => true,
            Some(GateRead::Unreadable) => false,
        }
    }

    /// As the audit keeps it: without what folding alone asks for.
    #[must_use]
    pub(crate) fn to_record(&self) -> Self {
        Self {
            state: self.state.to_decide_on(),
            gates: self.gates.clone(),
            steps: self.steps.clone(),
            concluded: self.concluded.clone(),
            notes: self.notes.clone(),
        }
    }

    /// Folds inbox items into the state and the steps as loaded.
    pub fn gather(
        mut state: WorkloadState,
        mut steps: Vec<StoredStep>,
        items: &[crate::InboxItem],
        gates: BTreeMap<StampId, GateRead>,
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        let before = steps.clone();
        let notes = crate::fold::fold(&mut state, &mut steps, items, policy, now);
        let concluded = steps
            .iter()
            .zip(&before)
            .filter(|(after, before)| after != before)
            .map(|(after, _)| after.step.id.clone())
            .collect();
        let gates = gates
            .into_iter()
            .map(|(stamp, read)| {
                let stale = crate::stray::is_older_than_known(&stamp, &read, &steps);
                (stamp, if stale { GateRead::Unreadable } else { read })
            })
            .collect();
        Self { state, gates, steps, concluded, notes }
    }
}

/// What is done about a stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Nothing, because nothing speaks for doing anything.
    Stay,
    /// Nothing yet, because something is awaited.
    Wait {
        /// What.
        on: WaitReason,
    },
    /// Nothing, because a rule or a person forbids it.
    Hold {
        /// Which.
        reason: HoldReason,
    },
    /// It became suspect.
    Suspect,
    /// Suspicion ended.
    Clear,
    /// It is taken out.
    Cordon {
        /// Why.
        cause: Cause,
        /// By which rule.
        by: Rule,
    },
    /// Its gate closes now, the survivors' capacity having been waited for.
    CloseGate,
    /// Its gate closes although the survivors cannot carry its load: an operator overrode that.
    CloseByOverride,
    /// Its gate closes for part of the edge locations: the survivors cannot carry all of it.
    EvacuatePartly {
        /// Percent that stays open.
        open_percent: u8,
    },
    /// The gate was read back closed.
    ConfirmCordon,
    /// The origin is disabled as well.
    Latch,
    /// Healthy again: the window starts.
    StartWindow {
        /// Seconds of health it must show.
        needs_s: u64,
    },
    /// The window is void.
    RestartWindow,
    /// The origin is enabled again behind the closed gate.
    EnableOrigin,
    /// The first slice opens before its window is over: the survivors fail for want of capacity.
    ReturnEarly {
        /// Percent of the edge locations.
        percent: u8,
    },
    /// A slice opens.
    OpenSlice {
        /// Percent of the edge locations.
        percent: u8,
    },
    /// Out again.
    StepBack {
        /// Why.
        why: StepBackReason,
    },
    /// Opened at once: what still served was failing.
    EmergencyReturn,
    /// Fully back.
    Serve,
}

/// What is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// A rule to be satisfied.
    Confirmation,
    /// A class that contradicts to change its mind.
    Contradiction,
    /// The survivors' capacity to be ready.
    SurvivorsReady,
    /// The gate to be read back.
    GateEffective,
    /// The stamp to be healthy.
    Recovery,
    /// The window to pass.
    Window,
    /// The returning stamp's own capacity.
    ReturnCapacity,
    /// The gated view to be seen answering 503.
    GatedView,
    /// The origin change to reach every edge location.
    OriginSettled,
    /// Another stamp's return to end.
    Stagger,
    /// The open slice to be watched long enough.
    SliceWatched,
    /// A load that is not there yet.
    SliceLoad,
    /// Capacity for a stamp that is full.
    OverloadRelief,
}

/// What forbids it. Codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// An operator's hold.
    Operator,
    /// An operator paused the automation.
    Paused,
    /// The observer may be broken.
    Frozen,
    /// After a gap in our own evidence.
    Quiet,
    /// One region per span.
    Velocity,
    /// A second region needs approval.
    NeedsApproval,
    /// The automatic cordons of the span are used up.
    BudgetSpent,
    /// The return needs an operator's acknowledgement.
    NeedsAcknowledgement,
    /// Nothing else would serve.
    LastServing,
    /// The survivors cannot carry it, and doing nothing harms less.
    CapacityShort,
    /// More requests would fail than if nothing is done.
    MoreHarm,
    /// Its own tag says that it is on its way out: it does not come back.
    Draining,
    /// The topology is too old.
    TopologyStale,
    /// The gate store cannot be read.
    GateUnreadable,
    /// What the control plane shows is too old.
    FactsStale,
    /// The cause's mode is `observe`: what it would do is recorded, not done.
    ModeObserve,
    /// The cause's mode is `advise`: as `ModeObserve`, and an operator is told.
    ModeAdvise,
    /// Too few enabled origins would remain.
    OriginsRemaining,
    /// Lint forbade the plan.
    Safety,
}

/// Why a ramp stepped back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepBackReason {
    /// A voice says it is bad.
    BadSample,
    /// Nobody saw it.
    Unobserved,
    /// Far more load arrived than the slice carried before.
    TooMuchLoad,
}

/// What is done about one stamp, and when it may change next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// What.
    pub action: Action,
    /// The next moment at which time alone may change it.
    pub next_at: Option<Timestamp>,
}

/// What a decision rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The situation was judged.
    #[default]
    Judged,
    /// Nothing was judged: the commit only folded evidence, because the inbox held more.
    FoldedOnly,
}

impl Basis {
    /// Nearly every record; not written out, so that records from before the marker read as they were written.
    pub fn is_judged(&self) -> bool {
        *self == Self::Judged
    }
}

/// The decision: the cases as they shall be, and a ruling for each.
#[must_use]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Basis::is_judged")]
    pub basis: Basis,
    /// The next cases.
    pub cases: BTreeMap<StampId, StampCase>,
    /// Why.
    pub rulings: BTreeMap<StampId, Ruling>,
    /// What is true of each stamp.
    pub assessments: BTreeMap<StampId, Assessment>,
    /// A freeze in force.
    pub freeze: Option<Freeze>,
    /// When the last freeze ended.
    pub freeze_ended_at: Option<Timestamp>,
    /// When a region was last taken out automatically.
    pub last_removal_at: Option<Timestamp>,
    /// When somebody was last told that a pause still stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_told_at: Option<Timestamp>,
}

/// Decides. `barred` are stamps whose plan lint refused: they stay as they are, as a hold.
pub fn decide(situation: &Situation, policy: &Policy, barred: &BTreeSet<StampId>) -> Decision {
    let mut state = situation.state.to_decide_on();
    let mut assessments = assess(&state, policy);
    let (freeze, freeze_ended_at) = next_freeze(&state, &assessments, policy);
    if freeze_ended_at != state.freeze_ended_at {
        // Timers restart at the end of a freeze, in this very evaluation.
        state.freeze_ended_at = freeze_ended_at;
        assessments = assess(&state, policy);
    }
    settle_demand(&mut state, &assessments);
    capacity::learn_growth(&mut state, policy);
    let mut decision = Decision {
        basis: Basis::Judged,
        cases: BTreeMap::new(),
        rulings: BTreeMap::new(),
        assessments,
        freeze,
        freeze_ended_at,
        last_removal_at: state.last_removal_at,
        pause_told_at: reminders::pause_told_at(&state, policy),
    };
    for stamp in situation.state.cases.keys() {
        let world = World { situation, policy, state: &state, assessments: &decision.assessments, freeze };
        let (mut case, ruling) = if barred.contains(stamp) {
            (state.cases[stamp].clone(), world::hold(HoldReason::Safety))
        } else {
            rule(&world, stamp)
        };
        case.overrides.retain(|_, given| state.as_of < given.until);
        case.held_for = reminders::held_for(case.held_for, &ruling.action, &state, policy);
        if matches!(ruling.action, Action::Cordon { .. }) {
            decision.last_removal_at = Some(state.as_of);
        }
        if case.decided_at.is_none() && state.cases[stamp].decided_at == decision.last_removal_at {
            // It was withdrawn or given up before anything was taken out: the one before it counts again.
            let cordons = state.cases.iter().filter(|(other, _)| *other != stamp);
            let earlier =
                cordons.flat_map(|(_, case)| case.auto_cordons.iter().chain(&case.decided_at)).max();
            if case.stage == Stage::Suspect && decision.last_removal_at.is_some() {
                decision.last_removal_at = earlier.copied();
            }
        }
        // Later stamps see what was decided about earlier ones, so two are never taken out in one evaluation.
        state.cases.insert(stamp.clone(), case);
        decision.rulings.insert(stamp.clone(), ruling);
    }
    set_floors(&mut state, &decision.assessments, policy);
    decision.cases = state.cases;
    decision
}

fn rule(world: &World<'_>, stamp: &StampId) -> (StampCase, Ruling) {
    let case = world.case(stamp).clone();
    if case.stage == Stage::Held {
        return (case, world::hold(HoldReason::Operator));
    }
    if let Some(back) = returning::emergency(world, stamp, &case) {
        return back;
    }
    match case.stage {
        Stage::Serving | Stage::Suspect => leaving::serving(world, stamp, case),
        Stage::Evacuating => leaving::evacuating(world, stamp, case),
        Stage::Cordoned => returning::cordoned(world, stamp, case),
        Stage::Proving => returning::proving(world, stamp, case),
        Stage::Readmitting => returning::readmitting(world, stamp, case),
        Stage::Held => (case, world::hold(HoldReason::Operator)),
    }
}

fn next_freeze(
    state: &WorkloadState,
    assessments: &BTreeMap<StampId, Assessment>,
    policy: &Policy,
) -> (Option<Freeze>, Option<Timestamp>) {
    let as_of = state.as_of;
    match (freeze_cause(state, assessments, policy), state.freeze) {
        (Some(cause), Some(old)) => {
            (Some(Freeze { cause, since: old.since, last_seen: as_of }), state.freeze_ended_at)
        }
        (Some(cause), None) => {
            (Some(Freeze { cause, since: as_of, last_seen: as_of }), state.freeze_ended_at)
        }
        (None, Some(old)) if as_of.since(old.last_seen) < policy.freeze.clear_after.get() => {
            (Some(old), state.freeze_ended_at)
        }
        (None, Some(_)) => (None, Some(as_of)),
        (None, None) => (None, state.freeze_ended_at),
    }
}

/// Keeps the demand current while all is well, and fixes it at the last value before the first symptom of anything:
/// failed requests hide during a fault.
fn settle_demand(state: &mut WorkloadState, assessments: &BTreeMap<StampId, Assessment>) {
    if state.cases.values().any(|case| case.first_symptom_at.is_some()) {
        return;
    }
    let symptom = assessments.values().filter_map(|assessment| bad_since(&assessment.condition)).min();
    let samples = state.load_samples.clone();
    let Some(symptom) = symptom else {
        for (stamp, rps) in capacity::demand_in_calm(&samples, state.as_of) {
            state.cases.entry(stamp.clone()).and_modify(|case| case.demand_rps = rps);
        }
        return;
    };
    for (stamp, case) in &mut state.cases {
        let known = samples.get(stamp).and_then(|all| capacity::demand_before(all.iter().copied(), symptom));
        case.demand_rps = known.unwrap_or(case.demand_rps);
    }
}

fn bad_since(condition: &Condition) -> Option<Timestamp> {
    match condition {
        Condition::Suspicious { since, .. }
        | Condition::Failing { since, .. }
        | Condition::Overloaded { since } => Some(*since),
        Condition::Healthy | Condition::Unobserved => None,
    }
}

/// The capacity floors that follow from the cases: the survivors carry what is out or about to be, a returning stamp
/// its own share; nothing shrinks before the last return is done (S7).
fn set_floors(state: &mut WorkloadState, assessments: &BTreeMap<StampId, Assessment>, policy: &Policy) {
    let armed = |stamp: &StampId, case: &StampCase| {
        let alert = policy.modes.platform_alert == crate::policy::Mode::Act
            && case.stage == Stage::Suspect
            && assessments.get(stamp).is_some_and(|assessment| assessment.platform_active);
        alert || (case.decided_at.is_some() && case.stage != Stage::Serving)
    };
    let out: BTreeSet<StampId> = state
        .cases
        .iter()
        .filter(|(stamp, case)| armed(stamp, case))
        .map(|(stamp, _)| stamp.clone())
        .collect();
    let mut wanted: BTreeMap<StampId, u32> = BTreeMap::new();
    if !out.is_empty() {
        for (stamp, share) in capacity::shares_without(state, &out, policy) {
            let carried_now = state.load.get(&stamp).map_or(0.0, |load| load.requests_per_second);
            let for_now = capacity::instances_for(carried_now * policy.capacity.headroom, policy);
            let may = capacity::may_ask(state, &stamp, policy);
            wanted.insert(stamp, share.instances_asked.max(for_now).min(may));
        }
    }
    for (stamp, case) in &state.cases {
        let may = capacity::may_ask(state, stamp, policy);
        let own = capacity::instances_for(case.demand_rps * policy.capacity.headroom, policy).min(may);
        let overloaded =
            matches!(assessments.get(stamp).map(|a| &a.condition), Some(Condition::Overloaded { .. }));
        if matches!(case.stage, Stage::Proving | Stage::Readmitting) {
            wanted.insert(stamp.clone(), own);
        } else if overloaded && policy.modes.overload == crate::policy::Mode::Act {
            let arriving = state.load.get(stamp).map_or(0.0, |load| load.requests_per_second);
            let relief = capacity::instances_for(arriving * policy.capacity.headroom, policy).min(may);
            wanted
                .entry(stamp.clone())
                .and_modify(|minimum| *minimum = (*minimum).max(relief))
                .or_insert(relief);
        }
    }
    let as_of = state.as_of;
    let settled = state.cases.values().all(|case| {
        matches!(case.stage, Stage::Serving) && as_of.since(case.since) >= policy.capacity.restore_after.get()
    });
    for (stamp, case) in &mut state.cases {
        let wanted = wanted.get(stamp).copied();
        case.floor = if settled { wanted } else { case.floor.max(wanted) };
        crate::drift::settle(case);
    }
}
