//! The safety rules, checked on the plan and independent of the code that made it. A fatal finding turns the plan of
//! that stamp into a hold; what cannot be judged refuses.

use serde::{Deserialize, Serialize};

use crate::assess::Assessment;
use crate::capacity;
use crate::decide::{Action, Decision, GateRead, Situation};
use crate::harm;
use crate::overriding::Overridable;
use crate::plan::Plan;
use crate::policy::{Mode, Policy};
use crate::state::{Cause, Stage, StampCase};
use crate::step::{Actuator, Effect, Purpose, Step, StepStatus};
use crate::stray::may_move_the_gate;
use crate::{EnabledState, GatePosition, StampId};

/// S2: capacity that must stay over the demand, as a factor.
pub const S2_MARGIN: f64 = 1.05;

/// The twelve safety rules of DESIGN.md section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SafetyRule {
    /// The floor holds in the effective world.
    S1,
    /// Never the last serving region; no removal below what is needed.
    S2,
    /// One region per span; a second needs approval.
    S3,
    /// No effect of an older generation after a newer one.
    S4,
    /// No step that was not affirmed in time.
    S5,
    /// Quiet after a gap in our own evidence.
    S6,
    /// No scale-in from suspicion to the last return.
    S7,
    /// No permission, no action.
    S8,
    /// The operator's hold and pause are obeyed.
    S9,
    /// Never `failoverPriorityChange`, never `offlineRegion`. No plan can break it: none of the six effects fails the
    /// database account over (`fails_the_database_over` is exhaustive, so a seventh must answer too). The rule has its name
    /// and its check all the same, as every other has.
    S10,
    /// Losing the store never turns all regions red.
    S11,
    /// A cause whose mode is not `act` never acts.
    S12,
}

/// One violation, always fatal: for the whole case when it concerns the gate or the origin, for the one step when it
/// concerns capacity or throughput, so that an unreadable lever never keeps a gate from moving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: SafetyRule,
    /// The stamp whose plan is refused.
    pub stamp: StampId,
    /// The actuator whose step is refused.
    pub actuator: Actuator,
    /// In words.
    pub text: String,
}

/// Checks a plan. Only what it would newly do is judged: maintenance of an effect already in force is never stopped.
pub fn lint(plan: &Plan, decision: &Decision, situation: &Situation, policy: &Policy) -> Vec<Finding> {
    let mut findings = spacing(decision, situation, policy);
    for step in &plan.created {
        let mut found = |rule, text: &str| {
            findings.push(Finding {
                rule,
                stamp: step.effect.stamp().clone(),
                actuator: step.effect.actuator(),
                text: text.to_owned(),
            });
        };
        ordering(step, decision, situation, &mut found);
        permission(step, situation, policy, &mut found);
        if step.purpose == Purpose::Removal {
            floor(step, decision, situation, policy, &mut found);
            pace(step, decision, situation, &mut found);
        } else if steps_back(step, decision) {
            // Labelled maintenance, since freeze and pause do not stop it; the floor counts all the same.
            floor(step, decision, situation, policy, &mut found);
        }
        if fails_the_database_over(&step.effect) {
            found(SafetyRule::S10, "the database account is never failed over by us");
        }
        if !cause_acts(step, decision, policy) {
            found(SafetyRule::S12, "the cause's mode does not allow acting");
        }
        if matches!(step.effect, Effect::RestoreFloor { .. } | Effect::RestoreThroughput { .. })
            && decision.cases.values().any(|case| case.stage != Stage::Serving)
        {
            found(SafetyRule::S7, "capacity is not taken away while any stamp is not serving");
        }
    }
    findings
}

type Found<'a> = dyn FnMut(SafetyRule, &str) + 'a;

/// S1 and S2 in the effective world, changes in flight taken pessimistically.
fn floor(step: &Step, decision: &Decision, situation: &Situation, policy: &Policy, found: &mut Found<'_>) {
    let stamp = step.effect.stamp();
    let mut after = situation.state.to_decide_on();
    after.cases.clone_from(&decision.cases);
    for step in situation.steps.iter().map(|stored| &stored.step) {
        match &step.effect {
            Effect::SetOrigin { stamp, enabled: EnabledState::Disabled } if step.is_live() => {
                after
                    .origins
                    .entry(stamp.clone())
                    .and_modify(|origin| origin.enabled = EnabledState::Disabled);
            }
            Effect::SetGate { stamp, position, .. }
                if step.is_live() || may_move_the_gate(step, situation.gates.get(stamp)) =>
            {
                after.cases.entry(stamp.clone()).and_modify(|case| case.gate = case.gate.min(*position));
            }
            _ => {}
        }
    }
    let dead = |other: &StampId| decision.assessments.get(other).is_none_or(is_dead);
    let remaining =
        after.cases.keys().filter(|other| capacity::is_effective(&after, other) && !dead(other)).count();
    // A return that is only wanted serves nobody: what is in force counts as well.
    let others = after
        .cases
        .keys()
        .filter(|other| *other != stamp && capacity::is_effective(&after, other) && !dead(other))
        .filter(|other| situation.lets_somebody_in(other))
        .count();
    if others == 0 {
        found(SafetyRule::S2, "nothing else would serve");
    }
    if remaining < usize::try_from(policy.capacity.regions_min).unwrap_or(usize::MAX) {
        found(SafetyRule::S1, "fewer regions than the floor would stay effective");
    }
    // An operator may take the capacity part of S2 upon himself, and nothing above.
    let aside = |case: &StampCase| case.overrides(Overridable::S2, situation.state.as_of);
    let aside = situation.state.cases.get(stamp).is_some_and(aside);
    if let Effect::SetGate { position, .. } = &step.effect
        && !aside
    {
        if step.purpose == Purpose::Removal
            && does_more_harm(stamp, *position, &after, decision, situation, policy)
        {
            found(SafetyRule::S2, "more requests would fail than if nothing is done");
        }
        // What a step back closes has failed its test; what it costs the ruling has weighed.
        if step.purpose == Purpose::Removal && sinks_the_survivors(stamp, &after, decision, situation, policy)
        {
            found(SafetyRule::S2, "effective ready capacity would fall below what is needed");
        }
    }
}

fn steps_back(step: &Step, decision: &Decision) -> bool {
    let ruling = decision.rulings.get(step.effect.stamp()).map(|ruling| &ruling.action);
    matches!(step.effect, Effect::SetGate { .. }) && matches!(ruling, Some(Action::StepBack { .. }))
}

/// The zero-harm rule, from the gate as it binds now to the gate as it would.
fn does_more_harm(
    stamp: &StampId,
    to: GatePosition,
    after: &crate::state::WorkloadState,
    decision: &Decision,
    situation: &Situation,
    policy: &Policy,
) -> bool {
    let from = match situation.gates.get(stamp) {
        Some(GateRead::Is { document }) if after.as_of < document.expires_at => document.position,
        _ => GatePosition::Open,
    };
    decision.assessments.get(stamp).is_some_and(|assessment| {
        harm::of_removal(after, stamp, (from.percent(), to.percent()), assessment, policy).exceeds()
    })
}

fn is_dead(assessment: &Assessment) -> bool {
    matches!(assessment.condition, crate::assess::Condition::Failing { cause: Cause::HardLoss, .. })
}

/// No removal reduces effective ready capacity below the lesser of demand x 1.05 and what is effective now. A stamp that
/// serves nothing contributes nothing.
fn sinks_the_survivors(
    stamp: &StampId,
    after: &crate::state::WorkloadState,
    decision: &Decision,
    situation: &Situation,
    policy: &Policy,
) -> bool {
    let ready = |state: &crate::state::WorkloadState| -> f64 {
        state
            .cases
            .iter()
            .filter(|(other, _)| capacity::is_effective(state, other))
            .filter(|(other, _)| !decision.assessments.get(*other).is_some_and(is_dead))
            .map(|(other, case)| {
                capacity::ready_rps(state, other, policy).unwrap_or(0.0) * f64::from(case.gate.percent())
                    / 100.0
            })
            .sum()
    };
    let demand: f64 = capacity::demand(&situation.state)
        .values()
        .sum::<f64>()
        .max(decision.cases.values().map(|case| case.demand_rps).sum());
    let (now, then) = (ready(&situation.state), ready(after));
    // A gray stamp whose survivors cannot be made ready in time may still be taken out if that harms less than leaving
    // it: the ruling has weighed the two, and what it moves fits the survivors.
    let gray = decision.cases.get(stamp).is_some_and(|case| case.cause == Some(Cause::Gray));
    let fits = {
        let (carried, can) = survivors(stamp, after, policy);
        carried <= can
    };
    then + f64::EPSILON < now.min(demand * S2_MARGIN) && !(gray && fits)
}

/// What the other stamps would carry after the removal, and what they can, in requests per second.
fn survivors(stamp: &StampId, after: &crate::state::WorkloadState, policy: &Policy) -> (f64, f64) {
    let moved = after
        .cases
        .get(stamp)
        .map_or(0.0, |case| case.demand_rps * (1.0 - f64::from(case.gate.percent()) / 100.0));
    let others =
        || after.cases.iter().filter(|(other, _)| *other != stamp && capacity::is_effective(after, other));
    let own: f64 = others().map(|(_, case)| case.demand_rps).sum();
    let can: f64 = others().filter_map(|(other, _)| capacity::ready_rps(after, other, policy)).sum();
    (own + moved, can)
}

/// S3: what is newly decided, whether the plan of this moment holds a step of it or not: a gray stamp's gate moves minutes
/// later. Of two regions at once one must be approved.
fn spacing(decision: &Decision, situation: &Situation, policy: &Policy) -> Vec<Finding> {
    let state = &situation.state;
    let before = |stamp: &StampId| state.cases.get(stamp);
    let was_decided = |stamp: &StampId| before(stamp).is_some_and(|case| case.decided_at.is_some());
    let unapproved = |stamp: &StampId| before(stamp).is_none_or(|case| case.approval.is_none());
    let new = || {
        let decided = decision.cases.iter().filter(|(_, case)| case.decided_at.is_some());
        decided.map(|(stamp, _)| stamp).filter(|stamp| !was_decided(stamp) && unapproved(stamp))
    };
    let too_soon = state
        .last_removal_at
        .is_some_and(|last| state.as_of.since(last) < policy.velocity.one_region_per.get());
    let objection = |stamp: &StampId| {
        let aside = before(stamp).is_some_and(|case| case.overrides(Overridable::S3, state.as_of));
        if state.cases.keys().any(|other| other != stamp && was_decided(other)) {
            Some("another region is out already and nobody approved a second")
        } else if new().any(|other| other != stamp) {
            Some("two regions are to be taken out at once and nobody approved one of them")
        } else {
            (too_soon && !aside).then_some("the last region was taken out a moment ago")
        }
    };
    let finding = |stamp: &StampId| {
        Some(Finding {
            rule: SafetyRule::S3,
            stamp: stamp.clone(),
            actuator: Actuator::Gate,
            text: objection(stamp)?.to_owned(),
        })
    };
    new().filter_map(finding).collect()
}

/// S6, S9 and the freeze: what forbids a removal now.
fn pace(step: &Step, decision: &Decision, situation: &Situation, found: &mut Found<'_>) {
    let state = &situation.state;
    let stamp = step.effect.stamp();
    let Some(case) = decision.cases.get(stamp) else {
        found(SafetyRule::S8, "the stamp has no case");
        return;
    };
    if state.is_quiet_about(stamp) {
        found(SafetyRule::S6, "our own evidence had a gap a moment ago");
    }
    if decision.freeze.is_some() {
        found(SafetyRule::S6, "removals are frozen: the observer may be broken");
    }
    if case.hold.is_some() || state.pause.as_ref().is_some_and(|pause| pause.until > state.as_of) {
        found(SafetyRule::S9, "an operator holds this stamp or paused the automation");
    }
}

/// S10: whether an effect moves the database account's regions. A new effect does not compile before it has answered. How much
/// throughput a container may have moves none.
const fn fails_the_database_over(effect: &Effect) -> bool {
    match effect {
        Effect::SetGate { .. }
        | Effect::SetOrigin { .. }
        | Effect::RaiseFloor { .. }
        | Effect::RestoreFloor { .. }
        | Effect::RaiseThroughput { .. }
        | Effect::RestoreThroughput { .. } => false,
    }
}

/// S12: what a step is for, and whether that may act. What is never asked: a step back, maintenance, the emergency
/// return, and giving back what we took.
fn cause_acts(step: &Step, decision: &Decision, policy: &Policy) -> bool {
    let modes = &policy.modes;
    let acts = |mode: Mode| mode == Mode::Act;
    let Some(case) = decision.cases.get(step.effect.stamp()) else { return true };
    match (&step.effect, step.purpose) {
        (_, Purpose::Removal) => match case.cause {
            Some(Cause::Gray) => acts(modes.gray),
            Some(Cause::HardLoss) => acts(modes.hard_loss),
            Some(Cause::Order) => true,
            None => false,
        },
        (Effect::SetGate { .. } | Effect::SetOrigin { .. }, Purpose::Return) => {
            let emergency = case.ramp.is_some_and(|ramp| ramp.emergency);
            !matches!(case.stage, Stage::Proving | Stage::Readmitting) || emergency || acts(modes.readmit)
        }
        (Effect::RaiseFloor { .. }, Purpose::Reinforcement)
            if !(acts(modes.platform_alert) && acts(modes.overload)) =>
        {
            let full =
                |found: &Assessment| matches!(found.condition, crate::assess::Condition::Overloaded { .. });
            decision.cases.values().any(|case| case.decided_at.is_some())
                || decision.assessments.values().any(|found| {
                    (acts(modes.platform_alert) && found.platform_active)
                        || (acts(modes.overload) && full(found))
                })
        }
        _ => true,
    }
}

/// S4 and S5: generations only rise, and nothing stale is carried along.
fn ordering(step: &Step, decision: &Decision, situation: &Situation, found: &mut Found<'_>) {
    let stamp = step.effect.stamp();
    if step.generation <= situation.state.generation && situation.state.generation.n > 0 {
        found(SafetyRule::S4, "the step's generation is not newer than the state's");
    }
    if let (Effect::SetGate { .. }, Some(GateRead::Is { document })) =
        (&step.effect, situation.gates.get(stamp))
        && document.generation > step.generation
    {
        found(SafetyRule::S4, "the gate in force is of a newer generation than ours");
    }
    if step.affirmed_at != situation.state.as_of || !matches!(step.status, StepStatus::Pending { .. }) {
        found(SafetyRule::S5, "a new step must be affirmed by the evaluation that makes it");
    }
    if !decision.cases.contains_key(stamp) {
        found(SafetyRule::S8, "the stamp is not in the topology");
    }
}

/// S8 and S11: permission is judged per actuator, and an unreadable switch means none.
fn permission(step: &Step, situation: &Situation, policy: &Policy, found: &mut Found<'_>) {
    let state = &situation.state;
    let stamp = step.effect.stamp();
    let fresh = |read_at: Option<crate::Timestamp>| {
        read_at.is_some_and(|read| state.as_of.since(read) <= policy.limits.fact_age_max.get())
    };
    match &step.effect {
        Effect::SetGate { position, .. } => {
            let readable = |stamp: &StampId| {
                matches!(situation.gates.get(stamp), Some(GateRead::Absent | GateRead::Is { .. }))
            };
            if !readable(stamp) {
                found(SafetyRule::S8, "the gate store cannot be read");
            }
            let age = state.topology.read_at.map(|read| state.as_of.since(read));
            let removal = step.purpose == Purpose::Removal;
            if removal && age.is_none_or(|age| age > policy.limits.topology_age_max.get()) {
                found(SafetyRule::S8, "the topology is too old");
            }
            let all_closed = state.cases.iter().all(|(other, case)| {
                other == stamp || case.gate == GatePosition::Closed || case.latched_at.is_some()
            });
            if *position == GatePosition::Closed && removal && all_closed {
                found(SafetyRule::S11, "every gate would be closed");
            }
        }
        Effect::SetOrigin { .. } => {
            if !fresh(state.origins.get(stamp).map(|origin| origin.read_at)) {
                found(SafetyRule::S8, "the origin was not read lately");
            }
        }
        Effect::RaiseThroughput { resource, .. } | Effect::RestoreThroughput { resource, .. } => {
            if !fresh(state.throughput.get(resource).map(|facts| facts.read_at)) {
                found(SafetyRule::S8, "the throughput was not read lately");
            }
        }
        Effect::RaiseFloor { .. } | Effect::RestoreFloor { .. } => {
            if !fresh(state.capacity.get(stamp).map(|capacity| capacity.read_at)) {
                found(SafetyRule::S8, "the capacity lever was not read lately");
            }
        }
    }
}
