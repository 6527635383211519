//! Rulings about a stamp that is in rotation or on its way out.

use std::time::Duration;

use crate::assess::{Condition, Rule};
use crate::overriding::Overridable;
use crate::state::{Cause, Stage, StampCase};
use crate::{EvidenceClass, GatePosition, StampId, Timestamp, Verdict};

use super::world::{World, act, hold, wait};
use super::{Action, GateRead, HoldReason, Ruling, WaitReason};

/// A partial evacuation of less than this many percent is not worth its risk.
const PARTIAL_MIN_PERCENT: u8 = 5;

/// What a slice moved has arrived after this long: one probe detection, 90 s at the longest (as `ramp.watch`), of which a
/// survivor that is full already has waited 60 s.
const SLICE_ARRIVES: Duration = Duration::from_secs(90);
const SLICE_SINKS: Duration = Duration::from_secs(60);

/// In rotation: is there reason to take it out?
pub(super) fn serving(world: &World<'_>, stamp: &StampId, mut case: StampCase) -> (StampCase, Ruling) {
    let assessment = world.assessment(stamp);
    if let Some(order) = &case.by_hand {
        if world.as_of().since(order.at) <= world.policy.limits.plan_expiry.get() {
            return by_hand(world, stamp, case);
        }
        // As a plan that was not affirmed in time: what forbade it may end hours later, when nobody thinks of it any more.
        case.by_hand = None;
    }
    match &assessment.condition {
        Condition::Healthy | Condition::Unobserved if assessment.platform_active => {
            suspect(world, case, world.as_of())
        }
        // Silence clears nobody: absence is not evidence.
        Condition::Unobserved if case.stage == Stage::Suspect => (case, wait(WaitReason::Recovery, None)),
        Condition::Healthy | Condition::Unobserved => clear(world, case),
        Condition::Suspicious { since, confirmed_at, contradicted_by } => {
            let unhealthy = assessment.views.values().any(|view| view.verdict == Verdict::Unhealthy);
            let long = world.as_of().since(*since) >= world.policy.evidence.suspect_after.get();
            if case.stage == Stage::Serving && !(unhealthy || long) {
                return (
                    case,
                    wait(WaitReason::Confirmation, Some(*since + world.policy.evidence.suspect_after.get())),
                );
            }
            let on =
                if contradicted_by.is_some() { WaitReason::Contradiction } else { WaitReason::Confirmation };
            let (next, entered) = suspect(world, case, *since);
            (next, if entered.action == Action::Suspect { entered } else { wait(on, *confirmed_at) })
        }
        Condition::Overloaded { since } => {
            case.first_symptom_at.get_or_insert(*since);
            case.overloaded_until = Some(world.as_of());
            let (next, entered) = suspect(world, case, *since);
            (
                next,
                if entered.action == Action::Suspect {
                    entered
                } else {
                    wait(WaitReason::OverloadRelief, None)
                },
            )
        }
        Condition::Failing { cause, since, by } => {
            case.first_symptom_at.get_or_insert(*since);
            case.error_ratio = assessment.error_ratio();
            cordon(world, stamp, case, *cause, by)
        }
    }
}

fn suspect(world: &World<'_>, mut case: StampCase, since: Timestamp) -> (StampCase, Ruling) {
    case.first_symptom_at.get_or_insert(since);
    if case.stage == Stage::Suspect {
        return (case, act(Action::Stay));
    }
    case.stage = Stage::Suspect;
    case.since = world.as_of();
    (case, act(Action::Suspect))
}

fn clear(world: &World<'_>, mut case: StampCase) -> (StampCase, Ruling) {
    let quiet_for = world.as_of().since(case.since);
    if case.stage == Stage::Serving {
        case.first_symptom_at = None;
        return (case, act(Action::Stay));
    }
    let clear_after = world.policy.evidence.clear_after.get();
    if quiet_for < clear_after {
        let next_at = Some(case.since + clear_after);
        return (case, wait(WaitReason::Recovery, next_at));
    }
    case.stage = Stage::Serving;
    case.since = world.as_of();
    case.first_symptom_at = None;
    case.awaiting_approval = None;
    case.approval = None;
    (case, act(Action::Clear))
}

fn cordon(
    world: &World<'_>,
    stamp: &StampId,
    mut case: StampCase,
    cause: Cause,
    by: &Rule,
) -> (StampCase, Ruling) {
    if case.stage == Stage::Serving {
        case.stage = Stage::Suspect;
        case.since = world.as_of();
    }
    if world.has_turned_well(stamp) {
        // A region that comes and goes is not taken out in a good moment; the next bad probe takes the case up again.
        return (case, wait(WaitReason::Recovery, None));
    }
    if let Err(reason) = may_cordon(world, stamp, &case, cause) {
        if reason == HoldReason::NeedsApproval {
            case.awaiting_approval.get_or_insert(world.state.generation.next());
        }
        return (case, hold(reason));
    }
    let as_of = world.as_of();
    case.stage = Stage::Evacuating;
    case.since = as_of;
    case.cause = Some(cause);
    case.decided_at = Some(as_of);
    case.auto_cordons.retain(|at| as_of.since(*at) < world.policy.budget.span.get());
    if case.approval.is_none() {
        case.auto_cordons.push(as_of);
    }
    case.awaiting_approval = None;
    case.approval = None;
    case.sliced_at = None;
    case.acknowledged = false;
    case.penalty = case.penalty.after_cordon(as_of, world.policy.window.half_life.get());
    // Where Front Door has already moved the load there is nothing to wait for. Anything else, also a stamp that fails
    // every request but still gets its share of them, is moved only as fast as the survivors can take it.
    if cause == Cause::HardLoss && leaves_at_once(world, stamp) {
        case.gate = GatePosition::Closed;
    } else {
        case.ready_deadline = Some(as_of + world.policy.gray.ready_deadline.get());
    }
    (case, act(Action::Cordon { cause, by: by.clone() }))
}

/// An operator ordered it out. Neither confirmation, budget nor mode is asked; every safety rule is, as for any other. It
/// leaves as a gray stamp does: the survivors grow first.
fn by_hand(world: &World<'_>, stamp: &StampId, mut case: StampCase) -> (StampCase, Ruling) {
    let allowed = may_be_removed_now(world, stamp).and_then(|()| world.gate_permission(stamp));
    if let Err(reason) = allowed {
        return (case, hold(reason));
    }
    if !enough_would_serve(world, stamp) {
        return (case, hold(HoldReason::LastServing));
    }
    if let Err(reason) = is_slow_enough(world, stamp, &case) {
        if reason == HoldReason::NeedsApproval {
            case.awaiting_approval.get_or_insert(world.state.generation.next());
        }
        return (case, hold(reason));
    }
    let as_of = world.as_of();
    case.stage = Stage::Evacuating;
    case.since = as_of;
    case.cause = Some(Cause::Order);
    case.decided_at = Some(as_of);
    case.awaiting_approval = None;
    case.approval = None;
    case.ready_deadline = Some(as_of + world.policy.gray.ready_deadline.get());
    (case, act(Action::Cordon { cause: Cause::Order, by: Rule::Ordered }))
}

/// Front Door has moved its load, and taking the rest does no more harm than leaving it.
fn leaves_at_once(world: &World<'_>, stamp: &StampId) -> bool {
    world.assessment(stamp).is_dropped_by_front_door() && !world.harm_of_removal(stamp, 0).exceeds()
}

/// Every permission that an automatic cordon needs, the strongest objection first.
fn may_cordon(world: &World<'_>, stamp: &StampId, case: &StampCase, cause: Cause) -> Result<(), HoldReason> {
    may_be_removed_now(world, stamp)?;
    world.gate_permission(stamp)?;
    if !enough_would_serve(world, stamp) {
        return Err(HoldReason::LastServing);
    }
    is_slow_enough(world, stamp, case)?;
    let as_of = world.as_of();
    let approved = case.approval.is_some();
    if case.has_spent_budget(as_of, world.policy) && !approved {
        return Err(HoldReason::BudgetSpent);
    }
    crate::shadow::hold_of(world.mode(cause)).map_or(Ok(()), Err)
}

/// The floor of regions, one at the least. No override asks for less.
fn enough_would_serve(world: &World<'_>, stamp: &StampId) -> bool {
    let regions_min = usize::try_from(world.policy.capacity.regions_min).unwrap_or(usize::MAX);
    world.others_serving_now(stamp).len() >= regions_min.max(1)
}

/// S3: a second region needs approval, and one follows another only after a while.
fn is_slow_enough(world: &World<'_>, stamp: &StampId, case: &StampCase) -> Result<(), HoldReason> {
    if case.approval.is_some() {
        return Ok(());
    }
    if world.another_is_out(stamp) {
        return Err(HoldReason::NeedsApproval);
    }
    let too_soon = |last: Timestamp| world.as_of().since(last) < world.policy.velocity.one_region_per.get();
    if world.state.last_removal_at.is_some_and(too_soon) && !case.overrides(Overridable::S3, world.as_of()) {
        return Err(HoldReason::Velocity);
    }
    Ok(())
}

/// What forbids this removal now, whatever its cause; an operator may have set the quiet period aside.
fn may_be_removed_now(world: &World<'_>, stamp: &StampId) -> Result<(), HoldReason> {
    let aside = world.case(stamp).overrides(Overridable::S6, world.as_of());
    match removal_is_allowed(world) {
        Err(HoldReason::Quiet) if aside => Ok(()),
        allowed => allowed,
    }
}

/// What forbids every removal, whatever its cause.
pub(super) fn removal_is_allowed(world: &World<'_>) -> Result<(), HoldReason> {
    if world.is_paused() {
        return Err(HoldReason::Paused);
    }
    if world.freeze.is_some() {
        return Err(HoldReason::Frozen);
    }
    // In the gap itself as after it (S6): while we see nothing ourselves nothing can contradict what others say, and an
    // alert that stands would be the only voice. (Found by the simulation, seed 5000065.)
    let fresh = world.policy.age_max(EvidenceClass::Direct).min(world.policy.velocity.gap_max.get());
    let blind = world.state.observed_at.is_some_and(|at| world.as_of().since(at) > fresh);
    if blind || world.state.quiet_until.is_some_and(|until| until > world.as_of()) {
        return Err(HoldReason::Quiet);
    }
    Ok(())
}

/// Decided, not yet out. A closed gate waits to be read back; an open one for the survivors, and closes by slices as
/// fast as they can take the load where the stamp fails most of what it gets.
pub(super) fn evacuating(world: &World<'_>, stamp: &StampId, mut case: StampCase) -> (StampCase, Ruling) {
    let in_force = match world.situation.gates.get(stamp) {
        Some(GateRead::Is { document }) => Some(document.position),
        _ => None,
    };
    if world.freeze.is_some() && world.is_open_in_force(stamp) {
        return (withdraw(world, case), hold(HoldReason::Frozen));
    }
    if case.gate == GatePosition::Closed {
        if in_force != Some(case.gate) {
            return (case, wait(WaitReason::GateEffective, None));
        }
        case.stage = Stage::Cordoned;
        case.since = world.as_of();
        return (case, act(Action::ConfirmCordon));
    }
    if let Err(reason) = may_be_removed_now(world, stamp).and_then(|()| world.gate_permission(stamp)) {
        return (case, hold(reason));
    }
    let ordered = case.by_hand.is_some();
    if !ordered && recovered_before_the_gate(world, stamp) {
        return abandon(world, case);
    }
    let aside = case.overrides(Overridable::S2, world.as_of());
    if let Some(back) = give_back(world, stamp, &case).filter(|_| !aside) {
        return back;
    }
    let contradicted =
        matches!(world.assessment(stamp).condition, Condition::Suspicious { contradicted_by: Some(_), .. });
    if !ordered && (contradicted || world.has_turned_well(stamp)) {
        // In a good moment nothing more is taken away; it goes on if the bad ones come back.
        return (case, wait(WaitReason::Recovery, None));
    }
    if leaves_at_once(world, stamp) || world.survivors_are_ready(stamp) {
        case.gate = GatePosition::Closed;
        return (case, act(Action::CloseGate));
    }
    if aside {
        // What is too much for the survivors an operator has taken upon himself; that something serves, nobody can.
        if !enough_would_serve(world, stamp) {
            return (case, hold(HoldReason::LastServing));
        }
        case.gate = GatePosition::Closed;
        return (case, act(Action::CloseByOverride));
    }
    let open_percent = 100 - movable_percent(world, stamp);
    let fails_most = case.error_ratio >= world.policy.evidence.unhealthy_ratio;
    if fails_most
        && open_percent + PARTIAL_MIN_PERCENT <= case.gate.percent()
        && next_slice_fits(world, stamp, &case, open_percent)
    {
        return slice(world, case, open_percent);
    }
    match case.ready_deadline.filter(|deadline| *deadline > world.as_of()) {
        // Where a survivor cannot grow there is nothing to wait for.
        Some(_) if !world.survivors_can_become_ready(stamp) => at_the_deadline(world, stamp, case),
        Some(deadline) => (case, wait(WaitReason::SurvivorsReady, Some(deadline))),
        None => at_the_deadline(world, stamp, case),
    }
}

/// A removal that was decided before a freeze is void as long as nothing of it is in force: the timers restart at the
/// end of the freeze, and it must be confirmed by them. It counts for nothing. (Before, a queued gate step went on to
/// close the gate during the freeze.)
fn withdraw(world: &World<'_>, mut case: StampCase) -> StampCase {
    if let Some(at) = case.decided_at.take() {
        case.auto_cordons.retain(|cordon| *cordon != at);
        if case.penalty.at == at {
            case.penalty.points = (case.penalty.points - 1.0).max(0.0);
        }
    }
    case.stage = Stage::Suspect;
    case.since = world.as_of();
    case.cause = None;
    case.gate = GatePosition::Open;
    case.ready_deadline = None;
    case.sliced_at = None;
    case
}

/// Percent of the stamp's load that the survivors can take now, beyond their own demand, with the 5 % of S2 on top.
fn movable_percent(world: &World<'_>, stamp: &StampId) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=100")]
    let percent = (world.movable_share(stamp) * 100.0).floor() as u8;
    percent
}

/// A gray region that turned healthy while its cordon waited is not taken out any more.
fn recovered_before_the_gate(world: &World<'_>, stamp: &StampId) -> bool {
    let assessment = world.assessment(stamp);
    let healthy_since = assessment.views[&EvidenceClass::Direct].since;
    let long = healthy_since
        .is_some_and(|since| world.as_of().since(since) >= world.policy.evidence.clear_after.get());
    assessment.is_recovering() && long
}

/// It stays in rotation; a gate that was closed in part reopens by the usual ramp.
fn abandon(world: &World<'_>, mut case: StampCase) -> (StampCase, Ruling) {
    if case.gate == GatePosition::Open {
        // Nothing was taken out: it spends no budget and no memory.
        return (withdraw(world, case), act(Action::Clear));
    }
    case.since = world.as_of();
    case.ready_deadline = None;
    case.sliced_at = None;
    case.stage = Stage::Cordoned;
    (case, act(Action::ConfirmCordon))
}

/// The survivors are not ready in time: take as much as they can carry, if that harms less than doing nothing.
fn at_the_deadline(world: &World<'_>, stamp: &StampId, case: StampCase) -> (StampCase, Ruling) {
    let closed_percent = movable_percent(world, stamp);
    if closed_percent < PARTIAL_MIN_PERCENT && case.gate == GatePosition::Open {
        return (case, hold(HoldReason::CapacityShort));
    }
    let open_percent = (100 - closed_percent).min(case.gate.percent());
    if case.gate.percent() != open_percent && next_slice_fits(world, stamp, &case, open_percent) {
        return slice(world, case, open_percent);
    }
    (case, hold(HoldReason::CapacityShort))
}

fn slice(world: &World<'_>, mut case: StampCase, open_percent: u8) -> (StampCase, Ruling) {
    case.gate = GatePosition::from_percent(open_percent);
    case.sliced_at = Some(world.as_of());
    (case, act(Action::EvacuatePartly { open_percent }))
}

/// Whether the slice between the gate and `open_percent` may move too. How much load a location carries is known to
/// nobody, so the first slice goes by the demand, and every other by what arrived at the survivors with the last one.
fn next_slice_fits(world: &World<'_>, stamp: &StampId, case: &StampCase, open_percent: u8) -> bool {
    let Some(sliced_at) = case.sliced_at else { return true };
    world.as_of().since(sliced_at) >= SLICE_ARRIVES && world.survivors_have_room(stamp, open_percent)
}

/// A slice that brought more than the survivors can take is taken back as far as it fills them: there every request too
/// many fails, here only the share that fails anyway.
fn give_back(world: &World<'_>, stamp: &StampId, case: &StampCase) -> Option<(StampCase, Ruling)> {
    let sliced_at = case.sliced_at.filter(|_| case.gate != GatePosition::Open)?;
    let excess = world.excess_share(stamp)?;
    let arrived = world.as_of().since(sliced_at) >= SLICE_SINKS;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=100")]
    let percent = (excess * 100.0).ceil().clamp(f64::from(PARTIAL_MIN_PERCENT), 100.0) as u8;
    arrived.then(|| slice(world, case.clone(), case.gate.percent().saturating_add(percent).min(100)))
}
