//! From the decision to the steps: the difference between what is wanted and what is, level by level, so that a crash
//! between any two of them is repaired by the next evaluation.

use std::time::Duration;

use crate::decide::{Action, Decision, GateRead, Situation};
use crate::policy::Policy;
use crate::state::{StampCase, WorkloadState};
use crate::step::{Effect, FailureCode, Purpose, Step, StepStatus};
use crate::stray::{has_lost_attempt, is_read_back, may_move_the_gate};
use crate::transition::{StepWrite, StoredStep};
use crate::{EnabledState, GatePosition, Generation, StampId, StepId, Timestamp, throughput};

/// After a failed step the same target is not planned again for this long.
const REPLAN_AFTER: Duration = Duration::from_secs(60);

/// After Front Door's refusal to disable its last enabled origin, longer: nothing of ours changes that soon.
const REPLAN_AFTER_REFUSAL: Duration = Duration::from_secs(600);

/// Most live steps of one plan: three actuators for each of 30 stamps. The throughput of databases comes after them.
pub const STEPS_MAX: usize = 90;

/// What a commit does to the steps.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Steps created.
    pub created: Vec<Step>,
    /// Steps that exist and change: voided or re-affirmed.
    pub changed: Vec<StepWrite>,
    /// Steps that are over and old enough to be forgotten. Only ended steps: `due` offers none of them to a claimer, so
    /// no claim can be lost with one.
    pub forgotten: Vec<StepId>,
}

impl Plan {
    /// Whether the operator's picture of the plan changes: an affirmation alone does not.
    pub fn is_news(&self) -> bool {
        !self.created.is_empty() || self.changed.iter().any(|write| !write.step.is_live())
    }
}

/// A wanted effect with its purpose.
struct Wanted {
    effect: Effect,
    purpose: Purpose,
}

/// Plans. Every step carries `generation`, the number of the commit that will store it.
pub fn plan(decision: &Decision, situation: &Situation, policy: &Policy, generation: Generation) -> Plan {
    let mut plan = Plan::default();
    let mut wanted: Vec<Wanted> = Vec::new();
    for (stamp, case) in &decision.cases {
        wanted.extend(gate_wanted(stamp, case, decision, situation, policy));
        wanted.extend(origin_wanted(stamp, case, situation));
        wanted.extend(floor_wanted(stamp, case, decision, situation, policy));
    }
    one_origin_at_a_time(&mut wanted, situation);
    let of_databases = throughput::wanted(decision, situation, policy);
    wanted.extend(of_databases.into_iter().map(|(effect, purpose)| Wanted { effect, purpose }));
    let as_of = situation.state.as_of;
    let mut satisfied = vec![false; wanted.len()];
    for stored in &situation.steps {
        let matching = wanted.iter().position(|wanted| wanted.effect.same_target(&stored.step.effect));
        let gate = situation.gates.get(stored.step.effect.stamp());
        let is_unsaid = !matches!(stored.step.status, StepStatus::Done { .. });
        let ended = if is_unsaid && is_read_back(&stored.step, gate) {
            Ended::ReadBack
        } else if situation.touched(&stored.step.id) {
            Ended::InThisFold
        } else if may_move_the_gate(&stored.step, gate) {
            Ended::Unheard
        } else {
            Ended::InTheLedger
        };
        let forbidden = forbidden(&stored.step, decision, situation);
        let matching = matching.map(|index| &mut satisfied[index]);
        review(&mut plan, stored, matching, forbidden, ended, policy, as_of);
    }
    for (wanted, satisfied) in wanted.into_iter().zip(satisfied) {
        if satisfied
            || plan.created.len() >= STEPS_MAX
            || failed_lately(&situation.steps, &wanted.effect, as_of)
        {
            continue;
        }
        let id = StepId::new(format!("{}-{}", generation, plan.created.len() + 1));
        plan.created.push(Step {
            id,
            generation,
            effect: wanted.effect,
            purpose: wanted.purpose,
            planned_at: as_of,
            affirmed_at: as_of,
            attempts: 0,
            status: StepStatus::Pending { not_before: as_of },
        });
    }
    plan
}

/// Where a step's end is known, if it has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    InTheLedger,
    InThisFold,
    /// Nobody said so, but the document that it writes was read.
    ReadBack,
    /// With an attempt that may still move the gate: remembered until a newer document is in force.
    Unheard,
}

/// What becomes of an existing step, given whether its target is still wanted.
fn review(
    plan: &mut Plan,
    stored: &StoredStep,
    wanted: Option<&mut bool>,
    forbidden: Option<&'static str>,
    ended: Ended,
    policy: &Policy,
    as_of: Timestamp,
) {
    let step = &stored.step;
    let change = |status: StepStatus, affirmed_at: Timestamp| StepWrite {
        expected: Some(stored.version),
        step: Step { status, affirmed_at, ..step.clone() },
    };
    let void = |why: &str| change(StepStatus::Void { at: as_of, why: why.to_owned() }, step.affirmed_at);
    let done = || change(StepStatus::Done { verified_at: as_of }, step.affirmed_at);
    let idle = as_of.since(step.affirmed_at);
    match (&step.status, wanted) {
        (StepStatus::Pending { .. }, wanted)
            if ended == Ended::ReadBack && (wanted.is_none() || forbidden.is_some()) =>
        {
            plan.changed.push(done());
        }
        (StepStatus::Pending { .. }, _) if forbidden.is_some() => {
            plan.changed.push(void(forbidden.unwrap_or_default()));
        }
        (StepStatus::Pending { .. }, None) => plan.changed.push(void("no longer wanted")),
        (StepStatus::Pending { .. }, Some(_)) if idle > policy.limits.plan_expiry.get() => {
            // Re-planned under a new generation, never executed (S5).
            plan.changed.push(void("not affirmed in time; planned anew"));
        }
        (StepStatus::Pending { .. }, Some(satisfied)) => {
            *satisfied = true;
            if idle > policy.limits.plan_expiry.get() / 2 {
                plan.changed.push(change(step.status.clone(), as_of));
            }
        }
        // A claim or an operation under way is not called back: its effect is idempotent, and what it leaves is read.
        (StepStatus::Claimed { .. } | StepStatus::Running { .. }, Some(satisfied)) => *satisfied = true,
        (StepStatus::Claimed { deadline, .. }, None) if *deadline < as_of => {
            plan.changed.push(if ended == Ended::ReadBack { done() } else { void("no longer wanted") });
        }
        (StepStatus::Claimed { .. } | StepStatus::Running { .. }, None) => {}
        // An attempt that was given up has arrived after all.
        (StepStatus::Failed { .. } | StepStatus::Void { .. }, _) if ended == Ended::ReadBack => {
            plan.changed.push(done());
        }
        (
            StepStatus::Done { verified_at: at }
            | StepStatus::Failed { at, .. }
            | StepStatus::Void { at, .. },
            _,
        ) => {
            // One that came to an end only in this fold is still live in the ledger, where somebody may take its claim over
            // right now: it is written first, which compares its version, and forgotten by a later evaluation.
            if as_of.since(*at) > Duration::from_secs(3_600) && ended == Ended::InTheLedger {
                plan.forgotten.push(step.id.clone());
            }
        }
    }
}

/// What was queued before a freeze, a pause, a quiet period or a hold is obeyed no more once they stand: a removal queued
/// before is void (DESIGN.md section 4), and a held stamp is left as it is. Renewals go on.
fn forbidden(step: &Step, decision: &Decision, situation: &Situation) -> Option<&'static str> {
    let state = &situation.state;
    let is_held = decision.cases.get(step.effect.stamp()).is_some_and(|case| case.hold.is_some());
    match step.purpose {
        Purpose::Removal | Purpose::Return if is_held => Some("an operator holds the stamp"),
        Purpose::Removal if decision.freeze.is_some() => Some("removals are frozen"),
        Purpose::Removal if state.pause.as_ref().is_some_and(|pause| pause.until > state.as_of) => {
            Some("the automation is paused")
        }
        Purpose::Removal if state.is_quiet_about(step.effect.stamp()) => Some("our own evidence had a gap"),
        _ => None,
    }
}

fn failed_lately(steps: &[StoredStep], effect: &Effect, as_of: Timestamp) -> bool {
    steps.iter().filter(|stored| stored.step.effect.same_target(effect)).any(|stored| {
        match &stored.step.status {
            StepStatus::Failed { at, code: FailureCode::LastEnabledOrigin, .. } => {
                as_of.since(*at) < REPLAN_AFTER_REFUSAL
            }
            StepStatus::Failed { at, .. } => as_of.since(*at) < REPLAN_AFTER,
            _ => false,
        }
    })
}

fn gate_wanted(
    stamp: &StampId,
    case: &StampCase,
    decision: &Decision,
    situation: &Situation,
    policy: &Policy,
) -> Option<Wanted> {
    let as_of = situation.state.as_of;
    let lifetime = policy.gate.lifetime.get();
    let (in_force, renewed_at) = match situation.gates.get(stamp)? {
        GateRead::Unreadable => return None,
        GateRead::Absent => (GatePosition::Open, None),
        GateRead::Is { document } if as_of >= document.expires_at => (GatePosition::Open, None),
        GateRead::Is { document } => (document.position, Some(document.heartbeat_at)),
    };
    // A held stamp is left as it is, and what is in force there is renewed.
    let position = if case.hold.is_some() { in_force } else { case.gate };
    let purpose = match position.percent().cmp(&in_force.percent()) {
        std::cmp::Ordering::Less => Purpose::Removal,
        std::cmp::Ordering::Greater => Purpose::Return,
        std::cmp::Ordering::Equal => {
            let half_over = renewed_at.is_some_and(|at| as_of.since(at) >= lifetime / 2);
            // A document of our generation is what the gate store needs to refuse an attempt that was never heard of.
            let unfenced = situation.may_obey_a_lost_gate(stamp)
                || situation.steps.iter().map(|stored| &stored.step).any(|step| {
                    step.effect.stamp() == stamp && may_move_the_gate(step, situation.gates.get(stamp))
                });
            if !unfenced && (position == GatePosition::Open || !half_over) {
                return None;
            }
            Purpose::Maintenance
        }
    };
    // A step back of a region that is on its way in restores what was: it removes nothing that the floor counts on.
    let steps_back =
        matches!(decision.rulings.get(stamp).map(|ruling| &ruling.action), Some(Action::StepBack { .. }));
    let purpose = if steps_back || (purpose == Purpose::Removal && case.stage.is_out()) {
        Purpose::Maintenance
    } else {
        purpose
    };
    let reason = crate::explain::stage_reason(case);
    Some(Wanted {
        effect: Effect::SetGate { stamp: stamp.clone(), position, expires_at: as_of + lifetime, reason },
        purpose,
    })
}

/// Only an origin that we latched is ours to change; what a person set in the portal stays.
fn origin_wanted(stamp: &StampId, case: &StampCase, situation: &Situation) -> Option<Wanted> {
    let origin = situation.state.origins.get(stamp)?;
    let ours = case.latched_at.is_some() || strayed(stamp, origin, situation);
    if !ours || case.hold.is_some() {
        return None;
    }
    if origin.enabled == case.origin {
        return None;
    }
    let effect = Effect::SetOrigin { stamp: stamp.clone(), enabled: case.origin };
    let waits = origin_turn(&situation.steps).is_some_and(|turn| turn != stamp);
    if waits || done_since(&situation.steps, &effect, origin.read_at) {
        return None;
    }
    let purpose = if case.origin == EnabledState::Disabled { Purpose::Removal } else { Purpose::Return };
    Some(Wanted { effect, purpose })
}

/// Whether an origin is disabled as a lost attempt of ours would have done it: nothing fences an origin, so it is seen
/// by reading it again, and put right (S4). Known for as long as the step is remembered.
fn strayed(stamp: &StampId, origin: &crate::facts::OriginFacts, situation: &Situation) -> bool {
    let disables = Effect::SetOrigin { stamp: stamp.clone(), enabled: EnabledState::Disabled };
    let lost = |step: &Step| has_lost_attempt(step) && step.effect.same_target(&disables);
    origin.enabled == EnabledState::Disabled && situation.steps.iter().any(|stored| lost(&stored.step))
}

/// Origin changes are global operations that queue: one at a time. Whose step lives has the turn until it is over: one that
/// was sent before one that waits, and the oldest of these. Without an order among them each would make the other void.
fn origin_turn(steps: &[StoredStep]) -> Option<&StampId> {
    let waits = |step: &Step| matches!(step.status, StepStatus::Pending { .. });
    let live = steps.iter().map(|stored| &stored.step).filter(|step| step.is_live());
    live.filter(|step| matches!(step.effect, Effect::SetOrigin { .. }))
        .min_by(|a, b| (waits(a), a.generation, &a.id).cmp(&(waits(b), b.generation, &b.id)))
        .map(|step| step.effect.stamp())
}

/// Of several origins to change the first has its turn; what returns goes before what leaves. Nobody waits for one that failed
/// lately, of which no step is made for a while.
fn one_origin_at_a_time(wanted: &mut Vec<Wanted>, situation: &Situation) {
    let is_origin = |wanted: &Wanted| {
        matches!(wanted.effect, Effect::SetOrigin { .. })
            && !failed_lately(&situation.steps, &wanted.effect, situation.state.as_of)
    };
    let first = |purpose: Purpose| wanted.iter().position(|one| is_origin(one) && one.purpose == purpose);
    let turn = first(Purpose::Return).or_else(|| first(Purpose::Removal));
    let mut place = 0..;
    wanted.retain(|one| place.next() == turn || !is_origin(one));
}

fn floor_wanted(
    stamp: &StampId,
    case: &StampCase,
    decision: &Decision,
    situation: &Situation,
    policy: &Policy,
) -> Option<Wanted> {
    let as_of = situation.state.as_of;
    let lever = situation.state.topology.stamps.get(stamp).and_then(|facts| facts.autoscale_id.as_ref());
    lever?;
    let capacity = situation.state.capacity.get(stamp);
    let ours = capacity.and_then(|capacity| capacity.our_floor);
    let Some(minimum) = case.floor else {
        let effect = Effect::RestoreFloor { stamp: stamp.clone(), recorded: case.floor_recorded? };
        return Some(Wanted { effect, purpose: Purpose::Restore });
    };
    let lifetime = policy.capacity.floor_lifetime.get();
    let until = capacity.and_then(|capacity| capacity.our_floor_until);
    let ages = until.is_some_and(|until| until.since(as_of) < lifetime / 2);
    // A cordon asks anew in its own commit, whatever was asked for before: floors must outlive the gate it closes.
    let cordons = decision.rulings.values().any(|ruling| matches!(ruling.action, Action::Cordon { .. }));
    let effect = Effect::RaiseFloor { stamp: stamp.clone(), minimum, until: as_of + lifetime };
    if cordons {
        return Some(Wanted { effect, purpose: Purpose::Reinforcement });
    }
    if ours.is_some_and(|ours| ours >= minimum) && !ages || case.floor_yielded_at.is_some() {
        return None;
    }
    if done_since(&situation.steps, &effect, capacity.map(|capacity| capacity.read_at).unwrap_or_default()) {
        return None;
    }
    let purpose =
        if ours.is_some_and(|ours| ours >= minimum) { Purpose::Maintenance } else { Purpose::Reinforcement };
    Some(Wanted { effect, purpose })
}

/// Whether a step of this target was done after what we last read: the world is ahead of our picture of it.
fn done_since(steps: &[StoredStep], effect: &Effect, read_at: Timestamp) -> bool {
    steps.iter().filter(|stored| stored.step.effect.same_target(effect)).any(
        |stored| matches!(stored.step.status, StepStatus::Done { verified_at } if verified_at >= read_at),
    )
}

/// Steps that an executor may take now, in their order: gates first, since they are fast and need nothing else.
pub fn due<'a>(
    steps: &'a [StoredStep],
    state: &WorkloadState,
    policy: &Policy,
    now: Timestamp,
) -> Vec<&'a StoredStep> {
    let mut due: Vec<&StoredStep> = steps
        .iter()
        .filter(|stored| match &stored.step.status {
            StepStatus::Pending { not_before } => {
                *not_before <= now && now.since(stored.step.affirmed_at) <= policy.limits.plan_expiry.get()
            }
            StepStatus::Claimed { deadline, .. } => *deadline < now,
            StepStatus::Running { poll_at, .. } => *poll_at <= now,
            StepStatus::Done { .. } | StepStatus::Failed { .. } | StepStatus::Void { .. } => false,
        })
        .filter(|stored| state.cases.contains_key(stored.step.effect.stamp()))
        .collect();
    due.sort_by_key(|stored| (stored.step.effect.actuator(), stored.step.generation, stored.step.id.clone()));
    due
}
