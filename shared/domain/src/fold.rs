//! Inbox items into the state: evidence, facts, outcomes, orders. Folding decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{Command, Order};
use crate::drift;
use crate::evidence::{WITNESS, fold_signal};
use crate::facts::Facts;
use crate::modes::OrderedMode;
use crate::overriding::{Overridable, Override};
use crate::policy::Policy;
use crate::signal::{InboxItem, ItemBody, Refusal, RefusalCode, Scope, Signal};
use crate::state::{
    Approval, ByHand, CannotGrow, Departed, LOAD_SAMPLES_MAX, LoadSample, OperatorHold, Pause, Stage,
    StampCase, Unreadable, WorkloadState,
};
use crate::step::{Effect, FailureCode, Step, StepOutcome, StepResult, StepStatus};
use crate::{EvidenceClass, Generation, StampId, StoredStep, Timestamp, quota, throughput};

/// Event ids remembered, at the most; beyond it the oldest are forgotten and the horizon is shorter than the policy's.
const SEEN_MAX: usize = 4_000;

/// How long the state remembers the id of a run of our own observers. Only the invocation that made it can append it
/// again, and the host ends that within ten minutes; the ledger refuses the id for the horizon. Twice that, because a run
/// every few seconds, remembered for a day, was nine tenths of the state, which every evaluation reads and writes.
const RUNS_SEEN_FOR: Duration = Duration::from_secs(20 * 60);

/// Most things that one run may call unreadable; a handful for each of 30 stamps.
const UNREADABLE_MAX: usize = 200;

/// What nobody has failed to read for this long is readable again: most is read every 30 or 60 s.
const UNREADABLE_FOR: Duration = Duration::from_secs(150);

/// Quotas are read every ten minutes.
const UNREADABLE_QUOTA_FOR: Duration = Duration::from_secs(25 * 60);

/// Two samples further apart than this have one missing between them (the observers run every 10 s).
const SAMPLE_GAP: Duration = Duration::from_secs(25);

/// Something that folding noticed and the audit must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum FoldNote {
    /// An event without a vote.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// An operator's order was taken.
    Ordered {
        /// In words.
        text: String,
    },
    /// An operator set a safety rule aside.
    Overridden {
        /// In words: who, which rule, for what, and why.
        text: String,
    },
    /// An operator's order was refused.
    OrderRefused {
        /// In words.
        text: String,
    },
    /// A step came to an end.
    StepEnded {
        /// In words.
        text: String,
    },
    /// Somebody else changed an origin, or a floor of ours.
    ChangedElsewhere {
        /// In words: what, and what is done about it.
        text: String,
    },
    /// A quota would not let a stamp carry the loss of another.
    QuotaShort {
        /// In words.
        text: String,
    },
    /// A quota that was short is so no longer, as far as is known.
    QuotaEnough {
        /// In words.
        text: String,
    },
    /// A stamp appeared or disappeared.
    TopologyChanged {
        /// In words.
        text: String,
    },
    /// The ledger's commits may have been lost with its write region: this is the first of a new epoch.
    EpochBegan {
        /// The last generation that is known to have stayed.
        after: Generation,
        /// In words.
        text: String,
    },
}

/// Folds items into the state and the steps. Returns what the audit must hold. `now` moves `as_of`, never backwards.
pub fn fold(
    state: &mut WorkloadState,
    steps: &mut [StoredStep],
    items: &[InboxItem],
    policy: &Policy,
    now: Timestamp,
) -> Vec<FoldNote> {
    state.as_of = state.as_of.max(now);
    let mut notes = Vec::new();
    for item in items {
        // Orders and outcomes are never too old; a second delivery of one is a second delivery all the same.
        if !item.is_urgent()
            && let Some(refusal) = too_old(state, item, policy)
        {
            // What was refused already keeps its own reason, which says more than its age.
            let own =
                if let ItemBody::Refused { refusal } = &item.body { Some(refusal.clone()) } else { None };
            notes.push(FoldNote::Refused { refusal: own.unwrap_or(refusal) });
            continue;
        }
        if Arc::make_mut(&mut state.seen).insert(item.id.clone(), item.event_at).is_some() {
            continue;
        }
        match &item.body {
            ItemBody::Command { command } => notes.push(obey(state, command, policy)),
            ItemBody::Outcome { outcome } => {
                if let Some(step) = conclude(steps, outcome, policy) {
                    notes.push(FoldNote::StepEnded { text: in_words(step) });
                    remember_floor(state, step, outcome, policy);
                    throughput::remember(state, step, outcome);
                }
            }
            ItemBody::Refused { refusal } => notes.push(FoldNote::Refused { refusal: refusal.clone() }),
            ItemBody::Observed { signals, facts } => {
                notes.extend(take_facts(state, steps, facts, item.event_at, policy));
                for signal in signals {
                    notes.extend(take_signal(state, signal, policy));
                }
            }
        }
    }
    forget_old_ids(state, policy);
    forget_old_evidence(state, policy);
    notes
}

fn too_old(state: &WorkloadState, item: &InboxItem, policy: &Policy) -> Option<Refusal> {
    (state.as_of.since(item.event_at) > policy.limits.horizon.get()).then(|| Refusal {
        code: RefusalCode::TooOld,
        source: item.id.to_string(),
        note: format!("happened at {}, before the horizon", item.event_at),
    })
}

fn forget_old_ids(state: &mut WorkloadState, policy: &Policy) {
    let horizon = state.as_of.before(policy.limits.horizon.get());
    let lately = horizon.max(state.as_of.before(RUNS_SEEN_FOR));
    let seen = Arc::make_mut(&mut state.seen);
    seen.retain(|id, at| *at >= if id.is_own_run() { lately } else { horizon });
    if seen.len() > SEEN_MAX {
        let mut times: Vec<Timestamp> = seen.values().copied().collect();
        times.sort();
        let keep_from = times[times.len() - SEEN_MAX];
        seen.retain(|_, at| *at >= keep_from);
    }
}

/// Each Service Health communication is a source of its own, so sources come without end. One that neither stands nor
/// spoke within the horizon says nothing any more, and a late word of it would be refused.
fn forget_old_evidence(state: &mut WorkloadState, policy: &Policy) {
    let horizon = state.as_of.before(policy.limits.horizon.get());
    for tracks in Arc::make_mut(&mut state.evidence).values_mut().flat_map(BTreeMap::values_mut) {
        tracks
            .retain(|_, track| track.run.last_seen.max(track.standing_since.unwrap_or_default()) >= horizon);
    }
}

fn take_signal(state: &mut WorkloadState, signal: &Signal, policy: &Policy) -> Option<FoldNote> {
    let about: Vec<StampId> = match &signal.scope {
        Scope::Stamp(stamp) if state.cases.contains_key(stamp) => vec![stamp.clone()],
        Scope::Stamp(_) => vec![],
        Scope::Region(region) => state
            .topology
            .stamps
            .values()
            .filter(|facts| facts.region == *region)
            .map(|facts| facts.stamp.clone())
            .collect(),
    };
    if about.is_empty() {
        let class = crate::explain::class(signal.class);
        let whom = match &signal.scope {
            Scope::Stamp(stamp) => stamp.as_str(),
            Scope::Region(region) => region.as_str(),
        };
        let note = format!("{class} speaks about {whom}, where no stamp of ours is");
        return Some(FoldNote::Refused {
            refusal: Refusal { code: RefusalCode::UnknownStamp, source: signal.source.clone(), note },
        });
    }
    for stamp in about {
        if signal.class == EvidenceClass::Direct && signal.source == WITNESS {
            note_own_observation(state, &stamp, signal.observed_at, policy);
        }
        fold_signal(Arc::make_mut(&mut state.evidence).entry(stamp).or_default(), signal, policy);
    }
    None
}

/// Our own probes are the heartbeat of the evidence: a gap in them starts a quiet period (S6), pauses or restarts a
/// running window.
fn note_own_observation(state: &mut WorkloadState, stamp: &StampId, at: Timestamp, policy: &Policy) {
    let last_of_all = state.observed_at;
    if last_of_all.is_none_or(|last| at.since(last) > policy.velocity.gap_max.get()) {
        state.quiet_until = Some(at + policy.velocity.quiet_after_gap.get());
    }
    state.observed_at = last_of_all.max(Some(at));
    let last = state
        .evidence
        .get(stamp)
        .and_then(|evidence| evidence.get(&EvidenceClass::Direct)?.get(WITNESS))
        .map(|track| track.run.last_seen);
    let Some(window) = state.cases.get_mut(stamp).and_then(|case| case.window.as_mut()) else { return };
    let gap = last.map_or(Duration::ZERO, |last| at.since(last));
    if gap > policy.evidence.gap_max.get() {
        window.started_at = at;
        window.paused_s = 0;
    } else if gap > SAMPLE_GAP {
        window.paused_s += gap.as_secs();
    }
}

fn take_facts(
    state: &mut WorkloadState,
    steps: &[StoredStep],
    facts: &Facts,
    at: Timestamp,
    policy: &Policy,
) -> Vec<FoldNote> {
    let mut notes =
        facts.topology.as_ref().map(|stamps| take_topology(state, stamps, at, policy)).unwrap_or_default();
    let newer = |old: Option<Timestamp>, new: Timestamp| old.is_none_or(|old| new >= old);
    for (stamp, origin) in &facts.origins {
        if newer(state.origins.get(stamp).map(|old| old.read_at), origin.read_at) {
            notes.extend(drift::of_origin(state, steps, stamp, origin, policy));
            state.origins.insert(stamp.clone(), origin.clone());
        }
    }
    for (stamp, capacity) in &facts.capacity {
        if newer(state.capacity.get(stamp).map(|old| old.read_at), capacity.read_at) {
            notes.extend(drift::of_floor(state, steps, stamp, capacity, policy));
            state.capacity.insert(stamp.clone(), capacity.clone());
        }
    }
    for (stamp, quota) in &facts.quota {
        if newer(state.quota.get(stamp).map(|old| old.read_at), quota.read_at) {
            state.quota.insert(stamp.clone(), *quota);
        }
    }
    notes.extend(throughput::take_facts(state, steps, &facts.throughput));
    for (stamp, view) in &facts.gated_view {
        if newer(state.gated_view.get(stamp).map(|old| old.observed_at), view.observed_at) {
            state.gated_view.insert(stamp.clone(), *view);
        }
    }
    for (stamp, load) in &facts.load {
        if newer(state.load.get(stamp).map(|old| old.observed_at), load.observed_at) {
            state.load.insert(stamp.clone(), load.clone());
            let sample = LoadSample { at: load.observed_at, rps: load.requests_per_second };
            take_load(state, stamp, sample);
        }
    }
    for (stamp, sample) in &facts.demand {
        let latest = state.load_samples.get(stamp).and_then(VecDeque::back);
        // A stamp that ever told its own load is believed alone: the edge's count is minutes older.
        if !state.load.contains_key(stamp) && latest.is_none_or(|latest| sample.at > latest.at) {
            take_load(state, stamp, *sample);
        }
    }
    take_unreadable(state, &facts.unreadable, at);
    // Capacity is read more often than quotas, and says as well that it is time to hold one against the other.
    if !facts.quota.is_empty() || !facts.capacity.is_empty() {
        notes.extend(quota::learn(state, policy));
    }
    notes
}

fn take_load(state: &mut WorkloadState, stamp: &StampId, sample: LoadSample) {
    if !state.cases.contains_key(stamp) {
        return;
    }
    let samples = Arc::make_mut(&mut state.load_samples).entry(stamp.clone()).or_default();
    if samples.len() == LOAD_SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// What could not be read is a finding of its own. It is over when nobody has failed to read it for some runs: no run says of
/// everything that it was read.
fn take_unreadable(state: &mut WorkloadState, now: &[String], at: Timestamp) {
    for what in now.iter().take(UNREADABLE_MAX) {
        let found = state.unreadable.entry(what.clone()).or_insert(Unreadable { since: at, tried_at: at });
        found.tried_at = found.tried_at.max(at);
    }
    let as_of = state.as_of;
    state.unreadable.retain(|what, found| {
        let every = if what.starts_with("quota") { UNREADABLE_QUOTA_FOR } else { UNREADABLE_FOR };
        as_of.since(found.tried_at) <= every
    });
}

/// A stamp that appears gets a case; one that disappears is not a failure: its case closes. A list that misses one for a
/// moment must not let it back in, nor forget how often it was out: one that comes back within the horizon goes on
/// with its case.
fn take_topology(
    state: &mut WorkloadState,
    stamps: &[crate::facts::StampFacts],
    at: Timestamp,
    policy: &Policy,
) -> Vec<FoldNote> {
    if state.topology.read_at.is_some_and(|read| at < read) {
        return vec![];
    }
    let now: BTreeMap<StampId, _> = stamps.iter().map(|facts| (facts.stamp.clone(), facts.clone())).collect();
    let before: BTreeSet<StampId> = state.cases.keys().cloned().collect();
    let mut notes = Vec::new();
    for stamp in now.keys().filter(|stamp| !before.contains(*stamp)) {
        let (case, text) = match state.departed.remove(stamp) {
            Some(known) => (known.case.resumed(state.as_of), format!("{stamp} is back; its case goes on")),
            None => (StampCase::new(state.as_of), format!("{stamp} appeared")),
        };
        state.cases.insert(stamp.clone(), case);
        notes.push(FoldNote::TopologyChanged { text });
    }
    for stamp in before.iter().filter(|stamp| !now.contains_key(*stamp)) {
        if let Some(case) = state.cases.remove(stamp) {
            state.departed.insert(stamp.clone(), Departed { at: state.as_of, case });
        }
        Arc::make_mut(&mut state.evidence).remove(stamp);
        state.origins.remove(stamp);
        state.capacity.remove(stamp);
        state.quota.remove(stamp);
        state.load.remove(stamp);
        Arc::make_mut(&mut state.load_samples).remove(stamp);
        state.gated_view.remove(stamp);
        notes.push(FoldNote::TopologyChanged { text: format!("{stamp} is gone; its case is closed") });
    }
    let horizon = state.as_of.before(policy.limits.horizon.get());
    state.departed.retain(|_, gone| gone.at >= horizon);
    state.topology.stamps = Arc::new(now);
    state.topology.read_at = Some(at);
    notes
}

/// Takes an outcome into its step; the step, if it came to an end by it.
fn conclude<'a>(steps: &'a mut [StoredStep], outcome: &StepOutcome, policy: &Policy) -> Option<&'a Step> {
    let step = &mut steps.iter_mut().find(|stored| stored.step.id == outcome.step)?.step;
    if !step.is_live() || outcome.attempt < step.attempts {
        return None; // A late outcome of an attempt that was taken over: the newer attempt's word counts.
    }
    match &outcome.result {
        StepResult::Accepted { operation, poll_at } => {
            let accepted_at = if let StepStatus::Running { accepted_at, .. } = step.status {
                accepted_at
            } else {
                outcome.at
            };
            step.status =
                StepStatus::Running { operation: operation.clone(), poll_at: *poll_at, accepted_at };
            return None;
        }
        StepResult::Retry { not_before, code, detail } => {
            step.affirmed_at = step.affirmed_at.max(outcome.at);
            if step.attempts < policy.limits.attempts_max {
                step.status = StepStatus::Pending { not_before: *not_before };
                return None;
            }
            let detail =
                format!("{} after {} attempts: {detail}", crate::explain::failure(*code), step.attempts);
            step.status = StepStatus::Failed { at: outcome.at, code: FailureCode::AttemptsSpent, detail };
        }
        StepResult::Done { .. } => step.status = StepStatus::Done { verified_at: outcome.at },
        StepResult::Failed { code, detail } => {
            step.status = StepStatus::Failed { at: outcome.at, code: *code, detail: detail.clone() };
        }
    }
    Some(step)
}

/// What we set is ours to give back; what somebody else changed meanwhile is not.
fn remember_floor(state: &mut WorkloadState, step: &Step, outcome: &StepOutcome, policy: &Policy) {
    let as_of = state.as_of;
    let ready = crate::capacity::ready_instances(state, step.effect.stamp()).unwrap_or(0);
    let Some(case) = state.cases.get_mut(step.effect.stamp()) else { return };
    match (&step.effect, &outcome.result) {
        (Effect::RaiseFloor { minimum, .. }, StepResult::Done { recorded }) => {
            let set = recorded.unwrap_or(*minimum);
            case.floor_yielded_at = None;
            if case.floor_recorded.is_none_or(|before| before < set) {
                case.floor_set_at = Some(outcome.at);
            }
            case.floor_recorded = Some(set);
        }
        (Effect::RaiseFloor { minimum, .. }, StepResult::Failed { code: FailureCode::CapacityShort, .. }) => {
            let until = as_of + policy.capacity.grow_retry.get();
            case.cannot_grow = Some(CannotGrow { since: as_of, until, ready, asked: *minimum });
        }
        (
            Effect::RestoreFloor { .. },
            StepResult::Done { .. } | StepResult::Failed { code: FailureCode::NotOurs, .. },
        ) => {
            case.floor_recorded = None;
            case.floor_set_at = None;
        }
        _ => {}
    }
}

fn in_words(step: &Step) -> String {
    let what = crate::explain::effect(&step.effect);
    match &step.status {
        StepStatus::Done { .. } => format!("{what}: done and read back"),
        StepStatus::Failed { code, detail, .. } => {
            format!("{what}: failed ({}): {detail}", crate::explain::failure(*code))
        }
        _ => what,
    }
}

fn obey(state: &mut WorkloadState, command: &Command, policy: &Policy) -> FoldNote {
    let as_of = state.as_of;
    let by = &command.by;
    let what = crate::explain::order(&command.order);
    match &command.order {
        Order::Pause { until } => {
            let since =
                state.pause.as_ref().filter(|pause| pause.until > as_of).map_or(as_of, |pause| pause.since);
            let (by, reason) = (by.clone(), command.reason.clone());
            state.pause = Some(Pause { by, reason, until: *until, since, told_at: None });
        }
        Order::Resume => {
            state.pause = None;
        }
        Order::Mode { cause, mode: Some(mode) } => {
            let ordered =
                OrderedMode { mode: *mode, by: by.clone(), reason: command.reason.clone(), at: as_of };
            state.modes.insert(*cause, ordered);
        }
        Order::Mode { cause, mode: None } => {
            state.modes.remove(cause);
        }
        Order::Hold { stamp }
        | Order::Release { stamp }
        | Order::Approve { stamp, .. }
        | Order::Acknowledge { stamp }
        | Order::Cordon { stamp }
        | Order::Readmit { stamp }
        | Order::Override { stamp, .. } => {
            return match state.cases.get_mut(stamp) {
                Some(case) => obey_about(case, command, as_of, policy),
                None => FoldNote::OrderRefused { text: format!("{by} ordered {what}: no such stamp") },
            };
        }
    }
    FoldNote::Ordered { text: format!("{by} ordered {what}: {}", command.reason) }
}

/// An order about one stamp.
fn obey_about(case: &mut StampCase, command: &Command, as_of: Timestamp, policy: &Policy) -> FoldNote {
    let (by, reason) = (&command.by, &command.reason);
    let what = crate::explain::order(&command.order);
    let refused = |why: &str| FoldNote::OrderRefused { text: format!("{by} ordered {what}: {why}") };
    match &command.order {
        Order::Hold { .. } if case.hold.is_none() => {
            let (by, reason) = (by.clone(), reason.clone());
            case.hold = Some(OperatorHold { by, reason, since: as_of, resume: case.stage });
            case.stage = Stage::Held;
            case.since = as_of;
        }
        Order::Hold { .. } => return refused("it is held already"),
        Order::Release { .. } => {
            let Some(hold) = case.hold.take() else { return refused("it is not held") };
            case.stage = hold.resume;
            case.since = as_of;
        }
        Order::Approve { generation, .. } if case.awaiting_approval == Some(*generation) => {
            case.approval = Some(Approval { by: by.clone(), generation: *generation });
        }
        Order::Approve { .. } => {
            return refused("no cordon of that generation awaits approval; it may have passed");
        }
        Order::Cordon { .. } | Order::Readmit { .. } => return by_hand(case, command, as_of, policy),
        Order::Override { rule, generation, .. } => {
            return set_aside(case, command, (*rule, *generation), as_of, policy);
        }
        // What was not used up cannot be reset: a wrong button would allow a third cordon in a day.
        Order::Acknowledge { .. } if !case.has_spent_budget(as_of, policy) => {
            return refused("its budget of automatic cordons is not spent; nothing waits for this");
        }
        _ => case.acknowledged = true,
    }
    FoldNote::Ordered { text: format!("{by} ordered {what}: {reason}") }
}

/// A safety rule set aside for the removal that it holds; refused for any other, and void after a while.
fn set_aside(
    case: &mut StampCase,
    command: &Command,
    (rule, generation): (Overridable, Generation),
    as_of: Timestamp,
    policy: &Policy,
) -> FoldNote {
    let (by, reason) = (command.by.clone(), command.reason.clone());
    let what = crate::explain::order(&command.order);
    if case.overridable() != Some((rule, generation)) {
        let why = "that generation does not hold its removal by that rule; it may have passed";
        return FoldNote::OrderRefused { text: format!("{by} ordered {what}: {why}") };
    }
    let text = format!("{by} ordered {what}: {reason}");
    let until = as_of + policy.limits.plan_expiry.get();
    case.overrides.insert(rule, Override { by, reason, at: as_of, until, generation });
    FoldNote::Overridden { text }
}

/// Out or in by hand: noted in the case; the ruling asks what speaks against it.
fn by_hand(case: &mut StampCase, command: &Command, as_of: Timestamp, policy: &Policy) -> FoldNote {
    let (by, reason) = (&command.by, &command.reason);
    let what = crate::explain::order(&command.order);
    let refused = |why: &str| FoldNote::OrderRefused { text: format!("{by} ordered {what}: {why}") };
    let order = ByHand { by: by.clone(), reason: reason.clone(), at: as_of };
    match (&command.order, case.stage) {
        (Order::Cordon { .. }, Stage::Serving | Stage::Suspect) => case.by_hand = Some(order),
        (Order::Cordon { .. }, Stage::Held) => return refused("it is held; release it first"),
        (Order::Cordon { .. }, _) => return refused("it is not in rotation"),
        // Not taken out yet: the order to take it out is taken back.
        (_, Stage::Serving | Stage::Suspect) if case.by_hand.is_some() => case.by_hand = None,
        (_, Stage::Cordoned | Stage::Proving) => {
            case.early = Some(order);
            case.acknowledged |= case.has_spent_budget(as_of, policy);
        }
        _ => return refused("it is not out of rotation"),
    }
    FoldNote::Ordered { text: format!("{by} ordered {what}: {reason}") }
}
