//! Gather once, decide, commit, then execute what is due. The event path and the timer path are this one function.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adapters::epoch::Epoch;
use adapters::{CommitOutcome, LedgerView};
use domain::decide::{GateRead, Situation};
use domain::judge::{fold_only, judge, transition};
use domain::state::{STATE_SCHEMA, WorkloadState};
use domain::{CONSUMED_MAX, FIRST_EPOCH, ItemBody, OperationId, StampId, Timestamp, Transition};
use serde::Serialize;

use super::execute::execute_due;
use super::{Controller, ControllerError, epoch, own_clock};

/// Rounds of load, decide, commit and execute in one invocation: a full inbox of 24 h is 8640 / 80 commits, but an
/// invocation must end long before the host's time-out, and the next wake-up goes on.
const ROUNDS_MAX: u32 = 40;

/// Our own probes come every 10 s; evidence older than this, or as far ahead of the clock, means that nobody watches.
const WATCHED_WITHIN: Duration = Duration::from_secs(120);

/// What one evaluation did, for the reply and the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// Commits made.
    pub commits: u32,
    /// Inbox items folded.
    pub folded: usize,
    /// Effects started and operations looked at.
    pub executed: u32,
    /// The headline of each transition.
    pub transitions: Vec<String>,
    /// Our own observers have looked at the stamps lately. A controller that is blind is as good as dead.
    pub watches: bool,
}

/// Evaluates the workload until its inbox is empty and nothing is due.
///
/// # Errors
/// When a store cannot be used; nothing is lost, the next evaluation goes on.
pub async fn evaluate(controller: &Controller) -> Result<Evaluation, ControllerError> {
    let mut done = Evaluation::default();
    if let Some(spool) = &controller.spool
        && let Err(error) = spool.drain(controller).await
    {
        // What waits goes on waiting. A directory that cannot be used must not keep gates from being renewed; and a ledger
        // that is out of reach says so below.
        tracing::error!(error = &error as &dyn std::error::Error, "take in the events that wait");
    }
    for _ in 0..ROUNDS_MAX {
        let view = controller.ledger.load(&controller.policy.workload.name, CONSUMED_MAX).await?;
        let now = controller.clock.now();
        own_clock::check(controller, now, view.state.as_ref().map(|state| state.as_of)).await?;
        let more = view.more;
        let folded = view.inbox.len();
        let next = next_transition(controller, &view, now).await?;
        let state = next.as_ref().map(|next| &next.state).or(view.state.as_ref());
        let observed_at = state.and_then(|state| state.observed_at);
        done.watches = observed_at.is_some_and(|at| watched(at, now));
        let Some(next) = next else {
            // What was just read is what stands; a claim proves it for its step.
            let Some(state) = view.state else { return Ok(done) };
            if execute_due(controller, &state, &view.steps, &mut done).await? == 0 {
                return Ok(done);
            }
            continue;
        };
        match controller.ledger.commit(&next).await? {
            CommitOutcome::Conflict => continue,
            CommitOutcome::Committed => {
                done.commits += 1;
                done.folded += folded;
                if let Some(audit) = &next.audit {
                    // Ids are remembered for the horizon; what is older may be forgotten by the store as well.
                    let horizon = next.state.as_of.before(controller.policy.limits.horizon.get());
                    controller.ledger.trim(&next.state.workload, horizon).await?;
                    tracing::info!(audit.seq = audit.seq, generation = %audit.generation, "{}", audit.headline);
                    done.transitions.push(audit.headline.clone());
                }
            }
        }
        if !more {
            let steps = next.steps_after(view.steps);
            let outcomes = execute_due(controller, &next.state, &steps, &mut done).await?;
            if outcomes == 0 && is_evidence_only(&next) {
                // Nothing was decided and nothing was due: the same state would be judged the same again.
                return Ok(done);
            }
        }
    }
    Err(ControllerError::Contended { rounds: ROUNDS_MAX })
}

/// An observation from the future is none either: whatever set that time ran ahead, and what is seen now counts as older than
/// it. Nothing acts until this clock has caught up, and nobody would hear of that.
fn watched(observed_at: Timestamp, now: Timestamp) -> bool {
    let ahead = observed_at.since(now);
    if ahead > WATCHED_WITHIN {
        tracing::error!(
            "the last observation is {} s ahead of this clock: nothing that is seen now counts, and nothing acts, until the \
             clock has caught up; set the clock of this machine, or, if it was wrong before, act by hand meanwhile",
            ahead.as_secs()
        );
    }
    now.since(observed_at) <= WATCHED_WITHIN && ahead <= WATCHED_WITHIN
}

/// The situation as it is now, without committing anything: what `cordon plan` judges.
///
/// # Errors
/// When a store cannot be used.
pub async fn situation(controller: &Controller) -> Result<Situation, ControllerError> {
    let view = controller.ledger.load(&controller.policy.workload.name, CONSUMED_MAX).await?;
    let now = controller.clock.now();
    let gates = controller.gates_read.read(controller, stamps_of(&view), now).await;
    gather(controller, &view, gates, None, now)
}

async fn next_transition(
    controller: &Controller,
    view: &LedgerView,
    now: Timestamp,
) -> Result<Option<Transition>, ControllerError> {
    let stamps = stamps_of(view);
    if let Some(gates) = controller.gates_read.recent(&stamps, &view.steps, now) {
        let next = next_by(controller, view, gates, None, now)?;
        if next.as_ref().is_none_or(is_evidence_only) {
            return in_its_epoch(controller, view, next, now).await;
        }
        // Whatever is recorded, planned or permitted rests on a gate store that was read for it (S8).
    }
    let gates = controller.gates_read.read(controller, stamps, now).await;
    let next = next_by(controller, view, gates, None, now)?;
    in_its_epoch(controller, view, next, now).await
}

/// The same commit if the epoch is still the state's, and the first of the new one otherwise.
async fn in_its_epoch(
    controller: &Controller,
    view: &LedgerView,
    next: Option<Transition>,
    now: Timestamp,
) -> Result<Option<Transition>, ControllerError> {
    let Some(next) = next else { return Ok(None) };
    match epoch::present(controller, view.state.as_ref()).await? {
        Some(epoch) if epoch.number != next.state.generation.epoch => {
            let gates = controller.gates_read.read(controller, stamps_of(view), now).await;
            next_by(controller, view, gates, Some(&epoch), now)
        }
        _ => Ok(Some(next)),
    }
}

/// What the ledger becomes if the gates are these; none if nothing is to be stored.
fn next_by(
    controller: &Controller,
    view: &LedgerView,
    gates: BTreeMap<StampId, GateRead>,
    epoch: Option<&Epoch>,
    now: Timestamp,
) -> Result<Option<Transition>, ControllerError> {
    let policy = &controller.policy;
    let parent = view.state.as_ref().map(|state| state.generation);
    let consumed: Vec<_> = view.inbox.iter().map(|item| item.id.clone()).collect();
    let situation = gather(controller, view, gates, epoch, now)?;
    let number = parent.map_or(0, |parent| parent.n);
    let operation = OperationId::new(format!("{}/{number}/{}", controller.instance, now.as_millis()));
    if view.more {
        return Ok(Some(fold_only(&situation, consumed, parent, operation, policy)));
    }
    let judgement = judge(&situation, policy);
    let next = transition(&situation, &judgement, consumed, parent, operation, policy);
    let idle = view.inbox.is_empty() && is_evidence_only(&next);
    Ok((!idle).then_some(next))
}

/// Whether nothing was decided: no record, no step.
fn is_evidence_only(next: &Transition) -> bool {
    next.audit.is_none() && next.steps.is_empty() && next.forgotten.is_empty()
}

fn gather(
    controller: &Controller,
    view: &LedgerView,
    gates: BTreeMap<StampId, GateRead>,
    epoch: Option<&Epoch>,
    now: Timestamp,
) -> Result<Situation, ControllerError> {
    let workload = &controller.policy.workload.name;
    let first = epoch.map_or(FIRST_EPOCH, |epoch| epoch.number);
    let mut state = view.state.clone().unwrap_or_else(|| WorkloadState::new(workload.clone(), first, now));
    if state.schema > STATE_SCHEMA {
        return Err(ControllerError::NewerState { found: state.schema, known: STATE_SCHEMA });
    }
    let after = state.generation;
    let begins = epoch.filter(|epoch| epoch.number != after.epoch);
    if begins.is_some() {
        // Before anything is folded: what is found changed now may be the work of a lost commit.
        state.begin_epoch(now);
    }
    let situation = Situation::gather(state, view.steps.clone(), &view.inbox, gates, &controller.policy, now);
    Ok(match begins {
        Some(epoch) => {
            let number = epoch.number;
            let text = format!("epoch {number} began: {}; commits after {after} may be lost", epoch.why);
            situation.in_epoch(number, &text)
        }
        None => situation,
    })
}

fn stamps_of(view: &LedgerView) -> BTreeSet<StampId> {
    let new = view.inbox.iter().filter_map(|item| match &item.body {
        ItemBody::Observed { facts, .. } => facts.topology.as_ref(),
        _ => None,
    });
    let known = view.state.iter().flat_map(|state| state.cases.keys().cloned());
    known.chain(new.flatten().map(|facts| facts.stamp.clone())).collect()
}
