//! Gather once, decide, commit, then execute what is due. The event path and the timer path are this one function.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adapters::{CommitOutcome, LedgerView};
use domain::decide::{GateRead, Situation};
use domain::judge::{fold_only, judge, transition};
use domain::state::{STATE_SCHEMA, WorkloadState};
use domain::{CONSUMED_MAX, InboxItem, ItemBody, OperationId, StampId, Timestamp, Transition};
use serde::Serialize;

use super::execute::execute_due;
use super::{Controller, ControllerError};

/// Rounds of load, decide, commit and execute in one invocation: a full inbox of 24 h is 8640 / 80 commits, but an
/// invocation must end long before the host's time-out, and the next wake-up goes on.
const ROUNDS_MAX: u32 = 40;

/// The epoch of a ledger whose write region was never seen to change.
const FIRST_EPOCH: u32 = 1;

/// Our own probes come every 10 s; evidence older than this means that nobody watches.
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
    for _ in 0..ROUNDS_MAX {
        let view = controller.ledger.load(&controller.policy.workload.name, CONSUMED_MAX).await?;
        let more = view.more;
        let folded = view.inbox.len();
        let Some(next) = next_transition(controller, view, &mut done).await? else {
            if execute_due(controller, &mut done).await? == 0 {
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
            let outcomes = execute_due(controller, &mut done).await?;
            let evidence_only = next.audit.is_none() && next.steps.is_empty() && next.forgotten.is_empty();
            if outcomes == 0 && evidence_only {
                // Nothing was decided and nothing was due: the same state would be judged the same again.
                return Ok(done);
            }
        }
    }
    Err(ControllerError::Contended { rounds: ROUNDS_MAX })
}

/// The situation as it is now, without committing anything: what `cordon plan` judges.
///
/// # Errors
/// When a store cannot be used.
pub async fn situation(controller: &Controller) -> Result<Situation, ControllerError> {
    let view = controller.ledger.load(&controller.policy.workload.name, CONSUMED_MAX).await?;
    gather(controller, view, controller.clock.now()).await
}

async fn next_transition(
    controller: &Controller,
    view: LedgerView,
    done: &mut Evaluation,
) -> Result<Option<Transition>, ControllerError> {
    let policy = &controller.policy;
    let parent = view.state.as_ref().map(|state| state.generation);
    let nothing_new = view.inbox.is_empty();
    let more = view.more;
    let consumed: Vec<_> = view.inbox.iter().map(|item| item.id.clone()).collect();
    let now = controller.clock.now();
    let situation = gather(controller, view, now).await?;
    done.watches = situation.state.observed_at.is_some_and(|at| now.since(at) <= WATCHED_WITHIN);
    let number = parent.map_or(0, |parent| parent.n);
    let operation = OperationId::new(format!("{}/{number}/{}", controller.instance, now.as_millis()));
    if more {
        return Ok(Some(fold_only(&situation, consumed, parent, operation, policy)));
    }
    let judgement = judge(&situation, policy);
    let next = transition(&situation, &judgement, consumed, parent, operation, policy);
    let idle = nothing_new && next.audit.is_none() && next.steps.is_empty() && next.forgotten.is_empty();
    Ok((!idle).then_some(next))
}

async fn gather(
    controller: &Controller,
    view: LedgerView,
    now: Timestamp,
) -> Result<Situation, ControllerError> {
    let workload = controller.policy.workload.name.clone();
    let state = view.state.unwrap_or_else(|| WorkloadState::new(workload, FIRST_EPOCH, now));
    if state.schema > STATE_SCHEMA {
        return Err(ControllerError::NewerState { found: state.schema, known: STATE_SCHEMA });
    }
    let gates = read_gates(controller, stamps_of(&state, &view.inbox)).await;
    Ok(Situation::gather(state, view.steps, &view.inbox, gates, &controller.policy, now))
}

fn stamps_of(state: &WorkloadState, inbox: &[InboxItem]) -> BTreeSet<StampId> {
    let new = inbox.iter().filter_map(|item| match &item.body {
        ItemBody::Observed { facts, .. } => facts.topology.as_ref(),
        _ => None,
    });
    state.cases.keys().cloned().chain(new.flatten().map(|facts| facts.stamp.clone())).collect()
}

async fn read_gates(controller: &Controller, stamps: BTreeSet<StampId>) -> BTreeMap<StampId, GateRead> {
    let mut gates = BTreeMap::new();
    for stamp in stamps {
        let read = match controller.gates.read(&stamp).await {
            Ok(Some(document)) => GateRead::Is { document },
            Ok(None) => GateRead::Absent,
            Err(error) => {
                tracing::warn!(stamp = %stamp, error = &error as &dyn std::error::Error, "the gate store cannot be read");
                GateRead::Unreadable
            }
        };
        gates.insert(stamp, read);
    }
    gates
}
