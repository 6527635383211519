//! Somebody else changed an origin or a floor: a deployment, or a person in the portal. Nothing in Azure fences either, so it
//! is seen by reading again. It is always said; what we hold is then put back or left, as the policy says.
//!
//! The gate is not here: only Cordon's identity may write it, and a plan made by levels puts it right.

use crate::facts::{CapacityFacts, OriginFacts};
use crate::fold::FoldNote;
use crate::policy::{OnDrift, Policy};
use crate::state::{EpochStart, Stage, StampCase, WorkloadState};
use crate::step::{Effect, Step, StepStatus};
use crate::stray::has_lost_attempt;
use crate::{EnabledState, StampId, StoredStep, Timestamp};

/// Looks at an origin that was read anew, before it replaces what was read before. What is read for the first time is no
/// change.
pub(crate) fn of_origin(
    state: &mut WorkloadState,
    steps: &[StoredStep],
    stamp: &StampId,
    new: &OriginFacts,
    policy: &Policy,
) -> Option<FoldNote> {
    if let Some(adopted) = adopt_latch(state, steps, stamp, new) {
        return Some(adopted);
    }
    let old = state.origins.get(stamp)?;
    let sets = |step: &Step| match &step.effect {
        Effect::SetOrigin { stamp: about, enabled } if about == stamp => Some(*enabled),
        _ => None,
    };
    // What the last of ours that was read back has left there, if that was after what was read before.
    let ours = done_since(steps, old.read_at, sets);
    let expected = ours.unwrap_or(old.enabled);
    if new.enabled == expected
        || is_older_than_ours(steps, new.read_at, sets)
        || steps
            .iter()
            .any(|stored| sets(&stored.step) == Some(new.enabled) && may_have_done(&stored.step, old.read_at))
    {
        return None;
    }
    let (as_of, what) = (state.as_of, in_words(new.enabled));
    let held = |case: &&mut StampCase| case.latched_at.is_some() && case.origin == EnabledState::Disabled;
    let Some(case) = state.cases.get_mut(stamp).filter(held) else {
        let lost = state.epoch_start.as_ref().is_some_and(|start| start.may_explain(new.read_at));
        let or = if lost { ", unless by a commit of ours that was lost" } else { "" };
        let text = format!("somebody else {what} the origin of {stamp}{or}; it was not held by us");
        return Some(told(text));
    };
    let then =
        if policy.drift.origin == OnDrift::ReAssert && case.origin_reasserted < policy.drift.reassert_max {
            case.origin_reasserted += 1;
            format!("it is disabled again, {} of {}", case.origin_reasserted, policy.drift.reassert_max)
        } else {
            case.latched_at = None;
            case.origin = EnabledState::Enabled;
            case.origin_enabled_at = Some(new.read_at);
            case.origin_yielded_at = Some(as_of);
            "the latch is given up for this cordon; the gate stays as it is".to_owned()
        };
    Some(told(format!("somebody else {what} the origin of {stamp}, which we had disabled; {then}")))
}

/// Looks at the capacity that was read anew, before it replaces what was read before.
pub(crate) fn of_floor(
    state: &mut WorkloadState,
    steps: &[StoredStep],
    stamp: &StampId,
    new: &CapacityFacts,
    policy: &Policy,
) -> Option<FoldNote> {
    let start = state.epoch_start.as_ref();
    let case = state.cases.get_mut(stamp)?;
    if case.floor_recorded.is_none_or(|recorded| new.our_floor.is_some_and(|stands| stands > recorded))
        && let Some(adopted) = adopt(case, steps, stamp, new, start)
    {
        return Some(adopted);
    }
    let recorded = case.floor_recorded?;
    let old = state.capacity.get(stamp)?;
    let raises = |step: &Step| match &step.effect {
        Effect::RaiseFloor { stamp: about, minimum, .. } if about == stamp => Some(*minimum),
        _ => None,
    };
    let confirmed = done_since(steps, old.read_at, raises).is_some();
    let stood = confirmed || old.our_floor.is_some_and(|floor| floor >= recorded);
    let stands = new.our_floor.is_some_and(|floor| floor >= recorded);
    let expired = !confirmed && old.our_floor_until.is_none_or(|until| until <= new.read_at);
    let ours = |step: &Step| {
        let gives_back = matches!(&step.effect, Effect::RestoreFloor { stamp: about, .. } if about == stamp);
        let sets_this = raises(step).is_some_and(|minimum| Some(minimum) == new.our_floor);
        (gives_back || sets_this) && may_have_done(step, old.read_at)
    };
    let too_old = is_older_than_ours(steps, new.read_at, raises);
    if !stood || stands || expired || too_old || steps.iter().any(|stored| ours(&stored.step)) {
        return None;
    }
    let is = new.our_floor.map_or("is gone".to_owned(), |floor| format!("is {floor} instances"));
    let what =
        format!("somebody else changed the capacity floor of {stamp}: it was {recorded} instances and {is}");
    let then = if policy.drift.floor == OnDrift::ReAssert && case.floor_reasserted < policy.drift.reassert_max
    {
        case.floor_reasserted += 1;
        format!("it is asked for again, {} of {}", case.floor_reasserted, policy.drift.reassert_max)
    } else {
        case.floor_recorded = None;
        case.floor_set_at = None;
        case.floor_yielded_at = Some(state.as_of);
        "it is given up until this cordon is over".to_owned()
    };
    Some(told(format!("{what}; {then}")))
}

/// The latch of a stamp that is out, by a commit that was lost with the ledger's write region: the origin was enabled when the
/// epoch began. Left alone, it would stay disabled behind an open gate. One that somebody disabled in the same hour is taken
/// for ours too, and enabled on the stamp's return: who wants it otherwise holds the stamp. (Simulation, seed 71000003.)
fn adopt_latch(
    state: &mut WorkloadState,
    steps: &[StoredStep],
    stamp: &StampId,
    new: &OriginFacts,
) -> Option<FoldNote> {
    let start = state.epoch_start.as_ref()?;
    let began = start.at;
    let lost = new.enabled == EnabledState::Disabled
        && start.enabled.contains(stamp)
        && start.may_explain(new.read_at);
    let ours = |step: &Step| {
        let about = matches!(&step.effect, Effect::SetOrigin { stamp: about, .. } if about == stamp);
        about && (step.is_live() || step.ended_at().is_some_and(|ended| ended >= began))
    };
    if !lost || steps.iter().any(|stored| ours(&stored.step)) {
        return None;
    }
    let is_out = |case: &&mut StampCase| {
        case.decided_at.is_some()
            && matches!(case.stage, Stage::Cordoned | Stage::Proving)
            && case.latched_at.is_none()
            && case.origin_enabled_at.is_none_or(|at| at < began)
    };
    let case = state.cases.get_mut(stamp).filter(is_out)?;
    case.latched_at = Some(new.read_at);
    case.origin = EnabledState::Disabled;
    Some(FoldNote::StepEnded {
        text: format!(
            "the origin of {stamp} is disabled by a commit of ours that was lost, as far as anybody can tell: it is taken for our \
             latch, and enabled again on the return"
        ),
    })
}

/// A floor that nobody recorded, or recorded as lower, and that an attempt of ours wanted exactly so and ended unheard of, is
/// ours to give back; nobody would until it expires. Known for as long as the step is remembered. (Simulation, seeds 8000187,
/// 8000289 and 71000257.)
fn adopt(
    case: &mut StampCase,
    steps: &[StoredStep],
    stamp: &StampId,
    new: &CapacityFacts,
    start: Option<&EpochStart>,
) -> Option<FoldNote> {
    let stands = new.our_floor.filter(|_| case.floor_yielded_at.is_none())?;
    let lost =
        start.is_some_and(|start| start.may_explain(new.read_at) && start.floors.get(stamp) != Some(&stands));
    let unheard = |step: &Step| {
        let wanted = matches!(&step.effect, Effect::RaiseFloor { stamp: about, minimum, .. }
            if about == stamp && *minimum == stands);
        let ended = matches!(step.status, StepStatus::Failed { .. } | StepStatus::Void { .. });
        wanted && ended && step.attempts > 0
    };
    // One that was given back since this was read still stands in what was read.
    let given_back = |step: &Step| {
        matches!(&step.effect, Effect::RestoreFloor { stamp: about, .. } if about == stamp)
            && step.ended_at().is_none_or(|ended| ended >= new.read_at)
    };
    let ours = (lost || steps.iter().any(|stored| unheard(&stored.step)))
        && !steps.iter().any(|stored| given_back(&stored.step));
    ours.then(|| {
        case.floor_recorded = Some(stands);
        case.floor_set_at = Some(new.read_at);
        FoldNote::StepEnded {
            text: format!(
                "keep at least {stands} instances in {stamp}: done by an attempt of ours that nobody heard of; it is ours \
                 to give back"
            ),
        }
    })
}

/// What was given up, and how often something was put back, is remembered for one cordon only.
pub(crate) fn settle(case: &mut StampCase) {
    if case.decided_at.is_none() {
        case.origin_yielded_at = None;
        case.origin_reasserted = 0;
    }
    if case.floor.is_none() {
        case.floor_yielded_at = None;
        case.floor_reasserted = 0;
    }
}

/// What the last step that was done and read back after `since` has set.
fn done_since<T>(steps: &[StoredStep], since: Timestamp, sets: impl Fn(&Step) -> Option<T>) -> Option<T> {
    let done = steps.iter().filter_map(|stored| match stored.step.status {
        StepStatus::Done { verified_at } if verified_at >= since => Some((verified_at, sets(&stored.step)?)),
        _ => None,
    });
    done.max_by_key(|(verified_at, _)| *verified_at).map(|(_, set)| set)
}

/// Whether a write of ours was over only after something was read: the reading cannot show it. Whoever slept folds such
/// readings after the end of its own writes. (Simulation, seed 40000682.)
fn is_older_than_ours<T>(
    steps: &[StoredStep],
    read_at: Timestamp,
    sets: impl Fn(&Step) -> Option<T>,
) -> bool {
    let over = |step: &Step| step.ended_at().is_some_and(|ended| ended > read_at);
    steps.iter().any(|stored| over(&stored.step) && sets(&stored.step).is_some())
}

/// Whether a step may have changed something after `since`: it is being carried out, has ended since, or one of its attempts
/// was never heard of again.
fn may_have_done(step: &Step, since: Timestamp) -> bool {
    let under_way = step.is_live() && step.attempts > 0;
    under_way || step.ended_at().is_some_and(|ended| ended >= since) || has_lost_attempt(step)
}

const fn in_words(enabled: EnabledState) -> &'static str {
    match enabled {
        EnabledState::Enabled => "enabled",
        EnabledState::Disabled => "disabled",
    }
}

fn told(text: String) -> FoldNote {
    FoldNote::ChangedElsewhere { text }
}
