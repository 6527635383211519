//! Rulings about a stamp that is out, or on its way back.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::assess::is_full;
use crate::harm::{self, Harm, Here};
use crate::policy::{Policy, RampKind};
use crate::state::{BusySlice, Cause, RampRun, Stage, StampCase, WindowRun};
use crate::{EnabledState, EvidenceClass, FailureKind, GatePosition, StampId, Timestamp, Verdict};

use super::leaving::removal_is_allowed;
use super::world::{World, act, hold, wait};
use super::{Action, HoldReason, Ruling, StepBackReason, WaitReason};

/// Share of failed requests from which a full survivor sinks: what is held out then costs a quarter of all requests.
const SINKING_RATIO: f64 = 0.25;

/// After the last slice the edge's own memory of the closed gate takes one probe detection to pass.
const EDGE_FORGETS_AFTER: Duration = Duration::from_secs(120);

/// Load below this share of what a slice should bring is "none".
const NO_LOAD_SHARE: f64 = 0.05;

/// Load allowed above any factor: this share of the whole demand, for slices too small to be counted on.
const LOAD_SLACK_SHARE: f64 = 0.05;

/// If what still serves fails while this one is healthy by `Direct`, it comes back at once: a doubtful region beats
/// none. Only an operator's hold ranks above. A row of good probes after the bad ones is enough: the ratio over a minute
/// still counts what failed before.
pub(super) fn emergency(world: &World<'_>, stamp: &StampId, case: &StampCase) -> Option<(StampCase, Ruling)> {
    let is_out = matches!(case.stage, Stage::Cordoned | Stage::Proving | Stage::Readmitting)
        && case.gate != GatePosition::Open;
    // Once per span: what comes and goes must prove itself between its moments, as without this.
    let out_for = world.as_of().since(case.since);
    let seems_back = || out_for >= world.policy.evidence.direct_span.get() && world.seems_back(stamp);
    let is_well = || world.assessment(stamp).direct_healthy() || seems_back();
    if !(is_out && is_well()) {
        return None;
    }
    // What is failing by any rule is down, not only what our own probes see down: they may not see it at all.
    if !world.others_serving(stamp).into_iter().all(|other| is_sinking(world, other)) {
        return None;
    }
    let mut next = case.clone();
    open(world, &mut next, last_slice(world), GatePosition::Open);
    next.ramp = next.ramp.map(|ramp| RampRun { emergency: true, ..ramp });
    // Front Door's own fail-open needs it too, as soon as no other healthy region serves.
    next.origin = EnabledState::Enabled;
    Some((next, act(Action::EmergencyReturn)))
}

/// So full, for so long, that a region held out for a doubt would serve its clients better.
fn is_sinking(world: &World<'_>, stamp: &StampId) -> bool {
    let assessment = world.assessment(stamp);
    // Its case says since when: the evidence itself starts anew with every moment of being full.
    let long = world.as_of().since(world.case(stamp).since) >= world.policy.confirm.after.get();
    long && assessment.is_drowning(SINKING_RATIO)
}

/// Out: latch when it lasts, start the window when it is healthy again.
pub(super) fn cordoned(world: &World<'_>, stamp: &StampId, mut case: StampCase) -> (StampCase, Ruling) {
    let assessment = world.assessment(stamp);
    let healthy_since = assessment.views[&EvidenceClass::Direct].since.unwrap_or(world.as_of());
    let settled_at = healthy_since.max(case.since) + world.policy.evidence.clear_after.get();
    if assessment.is_recovering() && world.as_of() < settled_at {
        // A gray failure has good minutes; the window counts from the first of them, but starts only when they last.
        return (case, wait(WaitReason::Recovery, Some(settled_at)));
    }
    if assessment.is_recovering() {
        let needs_s = window_seconds(world, stamp, &case);
        case.stage = Stage::Proving;
        case.window = Some(WindowRun { started_at: healthy_since.max(case.since), needs_s, paused_s: 0 });
        case.since = world.as_of();
        return (case, act(Action::StartWindow { needs_s }));
    }
    // A latch that somebody else undid and that yielded is not set again in the same cordon.
    if case.latched_at.is_some() || case.origin_yielded_at.is_some() || case.gate != GatePosition::Closed {
        return (case, wait(WaitReason::Recovery, None));
    }
    let Some(bad_since) = assessment.views[&EvidenceClass::Direct].bad_since else {
        return (case, wait(WaitReason::Recovery, None));
    };
    let due = bad_since + world.policy.latch.after.get();
    if world.as_of() < due {
        return (case, wait(WaitReason::Recovery, Some(due)));
    }
    if let Err(reason) = may_latch(world, stamp) {
        return (case, hold(reason));
    }
    case.origin = EnabledState::Disabled;
    case.latched_at = Some(world.as_of());
    case.origin_enabled_at = None;
    (case, act(Action::Latch))
}

fn may_latch(world: &World<'_>, stamp: &StampId) -> Result<(), HoldReason> {
    removal_is_allowed(world)?;
    if !world.origin_is_fresh(stamp) {
        return Err(HoldReason::FactsStale);
    }
    let enough = usize::try_from(world.policy.latch.origins_remaining_min).unwrap_or(usize::MAX);
    if world.origins_remaining(stamp) < enough {
        return Err(HoldReason::OriginsRemaining);
    }
    if world.others_serving_now(stamp).is_empty() {
        return Err(HoldReason::LastServing);
    }
    if !world.survivors_are_ready(stamp) {
        // They may need it back sooner than an origin change can be undone.
        return Err(HoldReason::CapacityShort);
    }
    Ok(())
}

/// Seconds of health needed: base x 2^(cordons in memory - 1), capped, plus a jitter so that returns do not align.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hours in seconds")]
fn window_seconds(world: &World<'_>, stamp: &StampId, case: &StampCase) -> u64 {
    let policy = &world.policy.window;
    let in_memory = case.penalty.points_at(world.as_of(), policy.half_life.get());
    let needed = policy.base.get().as_secs_f64() * 2.0_f64.powf((in_memory - 1.0).max(0.0));
    let capped = needed.min(policy.cap.get().as_secs_f64()).round() as u64;
    let digest = Sha256::digest(format!("{stamp}/{:?}", case.decided_at).as_bytes());
    let draw = u64::from(digest[0]) << 8 | u64::from(digest[1]);
    capped + policy.jitter.get().as_secs() * draw / 65_536
}

/// Healthy, still out: the window runs; the origin comes back behind the closed gate.
pub(super) fn proving(world: &World<'_>, stamp: &StampId, mut case: StampCase) -> (StampCase, Ruling) {
    let assessment = world.assessment(stamp);
    let observed = assessment.views[&EvidenceClass::Direct].verdict != Verdict::Unobserved;
    if observed && !assessment.is_recovering() {
        case.stage = Stage::Cordoned;
        case.since = world.as_of();
        case.window = None;
        return (case, act(Action::RestartWindow));
    }
    if case.latched_at.is_some() {
        return enable_origin(world, stamp, case);
    }
    let Some(window) = case.window else { return (case, wait(WaitReason::Window, None)) };
    let slice = first_slice(world, &case);
    let percent = percent_of(world, slice);
    if needed_early(world, stamp, window)
        && may_return_early(world, stamp, &case)
        && !harm_of_return(world, stamp, percent).exceeds()
    {
        open(world, &mut case, slice, GatePosition::from_percent(percent));
        return (case, act(Action::ReturnEarly { percent }));
    }
    let due = match &case.early {
        // Healthy it must be all the same, and each slice is watched.
        Some(_) => world.as_of(),
        None => window.started_at + Duration::from_secs(window.needs_s + window.paused_s),
    };
    if world.as_of() < due || !observed {
        return (case, wait(WaitReason::Window, Some(due)));
    }
    if let Err(ruling) = may_return(world, stamp, &case) {
        return (case, ruling);
    }
    let slice = match world.policy.ramp.kind {
        RampKind::Single => last_slice(world),
        RampKind::Slices => first_slice(world, &case),
    };
    let percent = percent_of(world, slice);
    open(world, &mut case, slice, GatePosition::from_percent(percent));
    (case, act(Action::OpenSlice { percent }))
}

/// What still serves is full and fails for it: waiting for the window then harms more than a doubtful return, which is
/// watched slice by slice all the same. (Between a return and the emergency return of DESIGN.md section 4.)
fn needed_early(world: &World<'_>, stamp: &StampId, window: WindowRun) -> bool {
    let budget = world.policy.gray.error_budget;
    let others = world.others_effective(stamp);
    let drowning =
        !others.is_empty() && others.iter().all(|other| world.assessment(other).is_drowning(budget));
    let healthy_for = world.as_of().since(window.started_at);
    drowning
        && world.assessment(stamp).direct_healthy()
        && healthy_for >= world.policy.confirm.alone_after.get()
}

/// What opening the first slice does: the stamp is well, and may be too small for what it gets.
fn harm_of_return(world: &World<'_>, stamp: &StampId, percent: u8) -> Harm {
    harm::of_moving(world.state, stamp, (0, percent), Here::BeyondReady, 0.0, world.policy)
}

/// What closing the slice again does. What nobody sees is taken to fail; what is merely too much may well be carried.
fn harm_of_step_back(world: &World<'_>, stamp: &StampId, case: &StampCase, why: StepBackReason) -> Harm {
    let here = match why {
        StepBackReason::BadSample => Here::Share(harm::failing_share(world.assessment(stamp))),
        StepBackReason::Unobserved => Here::Share(1.0),
        StepBackReason::TooMuchLoad => {
            let arrives = world.state.load.get(stamp).map_or(0.0, |load| load.requests_per_second);
            let ready = crate::capacity::ready_rps(world.state, stamp, world.policy).unwrap_or(0.0);
            Here::Share(if arrives > 0.0 { (1.0 - ready / arrives).max(0.0) } else { 0.0 })
        }
    };
    harm::of_moving(world.state, stamp, (case.gate.percent(), 0), here, 0.0, world.policy)
}

fn may_return_early(world: &World<'_>, stamp: &StampId, case: &StampCase) -> bool {
    let budget_spent = case.has_spent_budget(world.as_of(), world.policy) && !case.acknowledged;
    !world.is_paused()
        && case.by_hand.is_none()
        && !crate::capacity::is_draining(world.state, stamp)
        && world.gate_permission(stamp).is_ok()
        && !budget_spent
        && may_readmit(world).is_ok()
}

fn enable_origin(world: &World<'_>, stamp: &StampId, mut case: StampCase) -> (StampCase, Ruling) {
    if let Some(origin) =
        world.origin_enabled_for_good(stamp).filter(|_| case.origin == EnabledState::Enabled)
    {
        case.latched_at = None;
        case.origin_enabled_at = Some(origin.read_at);
        return (
            case,
            wait(WaitReason::OriginSettled, Some(origin.read_at + world.policy.latch.settle.get())),
        );
    }
    if case.origin == EnabledState::Enabled {
        return (case, wait(WaitReason::OriginSettled, None));
    }
    // The gate is what keeps it out from here on: it must be seen to work.
    let seen = world.state.gated_view.get(stamp).filter(|view| view.observed_at >= case.since);
    if seen.is_none_or(|view| view.status != 503) {
        return (case, wait(WaitReason::GatedView, None));
    }
    if !world.origin_is_fresh(stamp) {
        return (case, hold(HoldReason::FactsStale));
    }
    if let Err(reason) = may_readmit(world) {
        return (case, hold(reason));
    }
    case.origin = EnabledState::Enabled;
    (case, act(Action::EnableOrigin))
}

/// A cause that does not act does none of the steps of a return; the emergency return is none of them.
fn may_readmit(world: &World<'_>) -> Result<(), HoldReason> {
    crate::shadow::hold_of(world.policy.modes.readmit).map_or(Ok(()), Err)
}

fn may_return(world: &World<'_>, stamp: &StampId, case: &StampCase) -> Result<(), Ruling> {
    let as_of = world.as_of();
    if world.is_paused() {
        return Err(hold(HoldReason::Paused));
    }
    if crate::capacity::is_draining(world.state, stamp) {
        return Err(hold(HoldReason::Draining));
    }
    world.gate_permission(stamp).map_err(hold)?;
    if case.by_hand.is_some() && case.early.is_none() {
        return Err(hold(HoldReason::Operator));
    }
    if case.has_spent_budget(world.as_of(), world.policy) && !case.acknowledged {
        return Err(hold(HoldReason::NeedsAcknowledgement));
    }
    may_readmit(world).map_err(hold)?;
    let settled_at = case.origin_enabled_at.map(|at| at + world.policy.latch.settle.get());
    if let Some(settled_at) = settled_at.filter(|at| *at > as_of) {
        return Err(wait(WaitReason::OriginSettled, Some(settled_at)));
    }
    let others = || world.state.cases.iter().filter(|(other, _)| *other != stamp).map(|(_, case)| case);
    let stagger = world.policy.window.stagger.get();
    let last_return = others().filter_map(|other| other.returned_at).max().map(|at| at + stagger);
    if others().any(|other| other.stage == Stage::Readmitting) || last_return.is_some_and(|at| at > as_of) {
        return Err(wait(WaitReason::Stagger, last_return));
    }
    let needed = case.demand_rps * world.policy.capacity.return_ready_share;
    if crate::capacity::ready_rps(world.state, stamp, world.policy).unwrap_or(0.0) < needed {
        return Err(wait(WaitReason::ReturnCapacity, None));
    }
    Ok(())
}

/// Coming back: watch the slice, go on, or step back. No ARM operation lies between a relapse and out again.
pub(super) fn readmitting(world: &World<'_>, stamp: &StampId, mut case: StampCase) -> (StampCase, Ruling) {
    let Some(ramp) = case.ramp else {
        open(world, &mut case, 0, GatePosition::from_percent(percent_of(world, 0)));
        return (case, wait(WaitReason::SliceWatched, None));
    };
    if ramp.emergency && is_full(world.state, stamp) {
        case.overloaded_until = Some(world.as_of());
    }
    if let Some(why) = step_back_reason(world, stamp, &case, ramp) {
        if !world.others_serving_now(stamp).is_empty() {
            if harm_of_step_back(world, stamp, &case, why).exceeds() {
                return (case, hold(HoldReason::MoreHarm));
            }
            if why == StepBackReason::TooMuchLoad {
                let (percent, rps) = (percent_of(world, ramp.slice), arriving(world, stamp, ramp.since));
                case.busy_slice = Some(BusySlice { percent, rps, at: world.as_of() });
            }
            return step_back(world, case, why);
        }
        // A doubtful region beats none: with nothing else serving a slice stays as it is, neither closed nor widened.
        if case.gate != GatePosition::Open {
            return (case, wait(WaitReason::SliceWatched, None));
        }
    }
    if ramp.emergency && case.latched_at.is_some() {
        if world.origin_enabled_for_good(stamp).is_none() {
            return (case, wait(WaitReason::OriginSettled, None));
        }
        case.latched_at = None;
    }
    let watched_until = ramp.since + world.policy.ramp.watch.get();
    if world.as_of() < watched_until {
        return (case, wait(WaitReason::SliceWatched, Some(watched_until)));
    }
    if ramp.slice < last_slice(world) {
        let patient_until = watched_until + world.policy.ramp.quiet_wait.get();
        if world.as_of() < patient_until && !load_arrived(world, stamp, &case, ramp) {
            return (case, wait(WaitReason::SliceLoad, Some(patient_until)));
        }
        if let Err(reason) = may_readmit(world) {
            return (case, hold(reason));
        }
        let percent = percent_of(world, ramp.slice + 1);
        open(world, &mut case, ramp.slice + 1, GatePosition::from_percent(percent));
        return (case, act(Action::OpenSlice { percent }));
    }
    serve(world, &mut case);
    (case, act(Action::Serve))
}

fn serve(world: &World<'_>, case: &mut StampCase) {
    let as_of = world.as_of();
    case.stage = Stage::Serving;
    case.since = as_of;
    case.cause = None;
    case.ramp = None;
    case.window = None;
    case.first_symptom_at = None;
    case.decided_at = None;
    case.ready_deadline = None;
    case.sliced_at = None;
    case.origin_enabled_at = None;
    // What its slices brought is learnt anew: a gate that once let all in must not silence the check for good.
    case.busy_slice = None;
    case.returned_at = Some(as_of);
    case.edge_from = Some(as_of);
    if case.acknowledged {
        case.auto_cordons.clear();
        case.acknowledged = false;
    }
}

fn step_back_reason(
    world: &World<'_>,
    stamp: &StampId,
    case: &StampCase,
    ramp: RampRun,
) -> Option<StepBackReason> {
    let assessment = world.assessment(stamp);
    // What an emergency let in on a row of good probes is not put out again for the bad ones before that row, nor, with what
    // few instances it has, for being full: that is what the others could not carry. The samples stay for a span.
    let was_full = || {
        case.overloaded_until
            .is_some_and(|at| world.as_of().since(at) <= world.policy.evidence.direct_span.get())
    };
    let dead = assessment.views[&EvidenceClass::Direct].failure == Some(FailureKind::Unreachable);
    let excused = ramp.emergency && (world.seems_back(stamp) || (!dead && was_full()));
    if assessment.has_bad_voice() && !excused {
        return Some(StepBackReason::BadSample);
    }
    let last_seen = world
        .state
        .evidence
        .get(stamp)
        .and_then(|evidence| evidence.get(&EvidenceClass::Direct)?.get(crate::evidence::WITNESS));
    if last_seen
        .is_none_or(|track| world.as_of().since(track.run.last_seen) > world.policy.evidence.gap_max.get())
    {
        return Some(StepBackReason::Unobserved);
    }
    let allowed = load_allowed(case.demand_rps, case.busy_slice, ramp.slice, world.policy);
    let partial = case.gate != GatePosition::Open;
    (partial && arriving(world, stamp, ramp.since) > allowed).then_some(StepBackReason::TooMuchLoad)
}

/// Requests per second that a slice may bring before it steps back: far more than its locations are known to carry. Of
/// locations that nobody has seen that is their share in number; a slice that brought more before is a surprise only once.
/// (Healthy, a stamp whose few busy locations lie in its first slice would never come back: simulation, seed 6000094.)
pub(crate) fn load_allowed(demand_rps: f64, busy: Option<BusySlice>, slice: u32, policy: &Policy) -> f64 {
    let percent = percent_in(policy, slice);
    let even = demand_rps * f64::from(percent) / 100.0;
    let slack = demand_rps * LOAD_SLACK_SHARE;
    // The slices lie one inside the other: a wider one brings what the busy one does, and its own.
    let expected = match busy {
        Some(busy) if busy.percent <= percent => {
            even.max(busy.rps + demand_rps * f64::from(percent - busy.percent) / 100.0)
        }
        _ => even,
    };
    // A narrower one brings no more than the busy one did.
    let seen = busy.map_or(0.0, |busy| busy.rps);
    (expected * policy.ramp.load_factor_max).max(seen) + slack
}

fn arriving(world: &World<'_>, stamp: &StampId, since: Timestamp) -> f64 {
    world
        .state
        .load
        .get(stamp)
        .filter(|load| load.observed_at > since)
        .map_or(0.0, |load| load.requests_per_second)
}

fn load_arrived(world: &World<'_>, stamp: &StampId, case: &StampCase, ramp: RampRun) -> bool {
    let expected = case.demand_rps * f64::from(percent_of(world, ramp.slice)) / 100.0;
    arriving(world, stamp, ramp.since) >= expected * NO_LOAD_SHARE
}

/// Out again. It extends the same cordon: it counts for the penalty, not for the budget.
fn step_back(world: &World<'_>, mut case: StampCase, why: StepBackReason) -> (StampCase, Ruling) {
    let as_of = world.as_of();
    case.stage = Stage::Cordoned;
    case.since = as_of;
    case.gate = GatePosition::Closed;
    case.ramp = None;
    case.window = None;
    case.cause = case.cause.or(Some(Cause::HardLoss));
    case.penalty = case.penalty.after_cordon(as_of, world.policy.window.half_life.get());
    (case, act(Action::StepBack { why }))
}

fn open(world: &World<'_>, case: &mut StampCase, slice: u32, position: GatePosition) {
    let as_of = world.as_of();
    if case.stage != Stage::Readmitting {
        case.traffic_from = Some(as_of);
    }
    case.stage = Stage::Readmitting;
    case.since = as_of;
    case.gate = position;
    case.ramp = Some(RampRun { slice, since: as_of, emergency: false });
    case.edge_from = Some(as_of + EDGE_FORGETS_AFTER);
    // Its return has begun: whoever took it out, or let it back early, has been obeyed.
    case.by_hand = None;
    case.early = None;
}

/// The first slice that lets more in than the gate does now. A stamp that was evacuated only in part carries a share of
/// its clients already: a ramp from the smallest slice would take it away from most of them, and step back for the load
/// that it had all along.
fn first_slice(world: &World<'_>, case: &StampCase) -> u32 {
    let wider = |slice: &u32| percent_of(world, *slice) > case.gate.percent();
    (0..=last_slice(world)).find(wider).unwrap_or(last_slice(world))
}

fn last_slice(world: &World<'_>) -> u32 {
    u32::try_from(world.policy.ramp.percents.len().saturating_sub(1)).unwrap_or(0)
}

fn percent_of(world: &World<'_>, slice: u32) -> u8 {
    percent_in(world.policy, slice)
}

fn percent_in(policy: &Policy, slice: u32) -> u8 {
    usize::try_from(slice).ok().and_then(|index| policy.ramp.percents.get(index).copied()).unwrap_or(100)
}
