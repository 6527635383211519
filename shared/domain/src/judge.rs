//! One evaluation as a value: decide, plan, lint, until nothing fatal is left; then what to commit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::audit::{AuditRecord, hex};
use crate::canonical::{self, JsonPart, JsonText};
use crate::decide::{Action, Basis, Decision, Situation, decide};
use crate::explanation::Explanation;
use crate::fold::FoldNote;
use crate::lint::{Finding, lint};
use crate::modes::in_force;
use crate::plan::{Plan, plan};
use crate::policy::Policy;
use crate::shadow::{Shadow, shadow};
use crate::state::FreezeCause;
use crate::transition::{StepWrite, Transition};
use crate::{Actuator, Generation, ItemId, OperationId, StampId};

/// What an evaluation comes to.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The decision that stands.
    pub decision: Decision,
    /// Its plan.
    pub plan: Plan,
    /// What lint refused on the way.
    pub findings: Vec<Finding>,
    /// What would be done besides if every cause were allowed to act; none while every mode is `act`.
    pub shadow: Option<Shadow>,
}

/// Decides, plans and lints, and draws up beside it what the modes of the policy keep from being done.
pub fn judge(situation: &Situation, policy: &Policy) -> Judgement {
    let policy = &*in_force(policy, &situation.state);
    let mut judgement = settle(situation, policy);
    judgement.shadow = shadow(&judgement, situation, policy, settle);
    judgement
}

/// A fatal finding bars the stamp it names, and everything is decided again without it: at
/// most once per stamp.
fn settle(situation: &Situation, policy: &Policy) -> Judgement {
    let mut barred: BTreeSet<StampId> = BTreeSet::new();
    let mut findings = Vec::new();
    loop {
        let decision = decide(situation, policy, &barred);
        let plan = plan(&decision, situation, policy, situation.state.generation.next());
        let found = lint(&plan, &decision, situation, policy);
        let refused: BTreeSet<(StampId, Actuator)> =
            found.iter().map(|finding| (finding.stamp.clone(), finding.actuator)).collect();
        let fresh: Vec<StampId> = refused
            .iter()
            .filter(|(_, actuator)| matches!(actuator, Actuator::Gate | Actuator::Origin))
            .filter(|(stamp, _)| !barred.contains(stamp))
            .map(|(stamp, _)| stamp.clone())
            .collect();
        findings.extend(found);
        if fresh.is_empty() {
            let mut plan = plan;
            plan.created
                .retain(|step| !refused.contains(&(step.effect.stamp().clone(), step.effect.actuator())));
            return Judgement { decision, plan, findings, shadow: None };
        }
        barred.extend(fresh);
    }
}

/// The commit that follows from a judgement. An unchanged decision commits evidence only; a changed one, a changed plan
/// or something noticed while folding makes a transition with exactly one audit record.
pub fn transition(
    situation: &Situation,
    judgement: &Judgement,
    consumed: Vec<ItemId>,
    parent: Option<Generation>,
    operation: OperationId,
    policy: &Policy,
) -> Transition {
    let decision = &judgement.decision;
    let mut state = situation.state.clone();
    state.generation = situation.state.generation.next();
    state.operation = operation;
    state.cases.clone_from(&decision.cases);
    state.freeze = decision.freeze;
    state.freeze_ended_at = decision.freeze_ended_at;
    state.last_removal_at = decision.last_removal_at;
    if let Some(pause) = &mut state.pause {
        pause.told_at = decision.pause_told_at;
    }
    if state.pause.as_ref().is_some_and(|pause| pause.until <= state.as_of) {
        state.pause = None;
    }
    let digest = digest(judgement);
    let heartbeat = state.audited_at.is_none_or(|at| state.as_of.since(at) >= policy.limits.heartbeat.get());
    let changed = digest != state.decision_digest;
    state.decision_digest = digest;
    let is_news = changed || heartbeat || judgement.plan.is_news() || !situation.notes.is_empty();
    let steps = step_writes(situation, &judgement.plan);
    let audit = is_news.then(|| {
        let record = record(situation, judgement, &consumed, &state, policy);
        state.audit_seq = record.seq;
        state.audit_head.clone_from(&record.hash);
        state.audited_at = Some(state.as_of);
        record
    });
    Transition { parent, state, steps, forgotten: judgement.plan.forgotten.clone(), audit, consumed }
}

/// A commit that only folds evidence, because the inbox holds more than one batch.
pub fn fold_only(
    situation: &Situation,
    consumed: Vec<ItemId>,
    parent: Option<Generation>,
    operation: OperationId,
    policy: &Policy,
) -> Transition {
    let mut state = situation.state.clone();
    state.generation = state.generation.next();
    state.operation = operation;
    let steps = step_writes(situation, &Plan::default());
    let audit = (!situation.notes.is_empty()).then(|| {
        let record = record(situation, &unjudged(situation), &consumed, &state, policy);
        state.audit_seq = record.seq;
        state.audit_head.clone_from(&record.hash);
        record
    });
    Transition { parent, state, steps, forgotten: vec![], audit, consumed }
}

/// Nothing decided, nothing planned: every case stays exactly as folding left it.
fn unjudged(situation: &Situation) -> Judgement {
    let state = &situation.state;
    Judgement {
        decision: Decision {
            basis: Basis::FoldedOnly,
            cases: state.cases.clone(),
            rulings: BTreeMap::new(),
            assessments: BTreeMap::new(),
            freeze: state.freeze,
            freeze_ended_at: state.freeze_ended_at,
            last_removal_at: state.last_removal_at,
            pause_told_at: state.pause.as_ref().and_then(|pause| pause.told_at),
        },
        plan: Plan::default(),
        findings: vec![],
        shadow: None,
    }
}

/// Steps whose status was changed by folding outcomes, then those that the plan changed or created. `Situation::steps`
/// holds them as folded; the version is still the stored one, so a claim taken meanwhile makes the commit conflict.
fn step_writes(situation: &Situation, plan: &Plan) -> Vec<StepWrite> {
    let planned: BTreeSet<_> = plan.changed.iter().map(|write| write.step.id.clone()).collect();
    let forgotten: BTreeSet<_> = plan.forgotten.iter().cloned().collect();
    let mut writes: Vec<StepWrite> = situation
        .steps
        .iter()
        .filter(|stored| {
            situation.touched(&stored.step.id)
                && !planned.contains(&stored.step.id)
                && !forgotten.contains(&stored.step.id)
        })
        .map(|stored| StepWrite { expected: Some(stored.version), step: stored.step.clone() })
        .collect();
    writes.extend(plan.changed.iter().cloned());
    writes.extend(plan.created.iter().map(|step| StepWrite { expected: None, step: step.clone() }));
    writes
}

/// What makes two decisions the same in an operator's eyes: stages, what is wanted, and why; no ages, no counts.
fn digest(judgement: &Judgement) -> String {
    #[derive(Serialize)]
    struct Essence<'a, W> {
        stamps: BTreeMap<&'a StampId, (W, &'a Action)>,
        freeze: Option<FreezeCause>,
        findings: BTreeSet<(String, &'a StampId, Actuator)>,
        #[serde(skip_serializing_if = "Option::is_none")]
        shadow: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pause_told_at: Option<crate::Timestamp>,
    }
    let decision = &judgement.decision;
    let stamps = decision
        .cases
        .iter()
        .filter_map(|(stamp, case)| {
            let wanted = (
                case.stage,
                case.gate,
                case.origin,
                case.floor,
                case.cause,
                case.ramp.map(|ramp| ramp.slice),
                case.latched_at.is_some(),
                case.cannot_grow.is_some(),
                case.held_for.map(|held| held.told_at),
            );
            Some((stamp, (wanted, settled(&decision.rulings.get(stamp)?.action))))
        })
        .collect();
    let essence = Essence {
        stamps,
        freeze: decision.freeze.map(|freeze| freeze.cause),
        findings: judgement
            .findings
            .iter()
            .map(|finding| (format!("{:?}", finding.rule), &finding.stamp, finding.actuator))
            .collect(),
        shadow: judgement.shadow.as_ref().map(|shadow| json!(shadow.essence())),
        pause_told_at: decision.pause_told_at,
    };
    hex(&Sha256::digest(serde_json::to_vec(&essence).unwrap_or_default()))
}

/// An action lasts one evaluation and is followed by waiting for its effect: that alone is no new decision.
fn settled(action: &Action) -> &Action {
    match action {
        Action::Hold { .. } => action,
        _ => &Action::Stay,
    }
}

fn record(
    situation: &Situation,
    judgement: &Judgement,
    consumed: &[ItemId],
    next: &crate::state::WorkloadState,
    policy: &Policy,
) -> AuditRecord {
    let (mut headline, mut because) = crate::explain::decision(&judgement.decision);
    if let Some(pause) = state_pause(situation, judgement) {
        headline = crate::explain::still_paused(pause, &headline);
    }
    let noted: Vec<String> = situation.notes.iter().map(note_in_words).collect();
    if headline == "nothing to do"
        && let Some(first) = noted.first()
    {
        headline.clone_from(first);
    }
    because.extend(
        judgement
            .findings
            .iter()
            .map(|finding| format!("{}: {:?}: {}", finding.stamp, finding.rule, finding.text)),
    );
    because.extend(judgement.shadow.iter().flat_map(crate::explain::shadow));
    because.extend(noted);
    let steps: Vec<Value> = judgement
        .plan
        .created
        .iter()
        .map(|step| {
            json!({
                "step": step,
                "in_words": crate::explain::effect(&step.effect),
                "undo_s": step.effect.undo_time_max().as_secs(),
            })
        })
        .chain(judgement.plan.changed.iter().map(|write| json!({ "step": write.step })))
        .collect();
    AuditRecord {
        id: String::new(),
        schema: 1,
        workload: next.workload.clone(),
        seq: situation.state.audit_seq + 1,
        previous: situation.state.audit_head.clone(),
        generation: next.generation,
        at: next.as_of,
        headline,
        because,
        decision: JsonPart::of(&judgement.decision),
        findings: serde_json::to_value(&judgement.findings).unwrap_or(Value::Null),
        steps: Value::Array(steps),
        explanation: explanation(situation, judgement, policy),
        consumed: consumed.iter().map(ToString::to_string).collect(),
        situation: JsonText::of(&situation.to_record()),
        policy_hash: policy_hash(policy),
        hash: String::new(),
    }
    .sealed()
}

/// The pause of which this record tells again.
fn state_pause<'a>(situation: &'a Situation, judgement: &Judgement) -> Option<&'a crate::state::Pause> {
    let told_now = judgement.decision.pause_told_at == Some(situation.state.as_of);
    situation.state.pause.as_ref().filter(|_| told_now)
}

/// What else the record says, all of it computed from the situation and the judgement.
fn explanation(situation: &Situation, judgement: &Judgement, policy: &Policy) -> Value {
    let policy = &*in_force(policy, &situation.state);
    let mut explanation = Explanation::of(situation, judgement, policy).in_record(situation.state.as_of);
    if let Some(shadow) = &judgement.shadow {
        explanation["unenforced"] = shadow.in_record();
    }
    explanation
}

fn note_in_words(note: &FoldNote) -> String {
    match note {
        FoldNote::Refused { refusal } => {
            format!(
                "refused an event of {}: {}: {}",
                refusal.source,
                crate::explain::refusal(refusal.code),
                refusal.note
            )
        }
        FoldNote::Ordered { text }
        | FoldNote::Overridden { text }
        | FoldNote::StepEnded { text }
        | FoldNote::ChangedElsewhere { text }
        | FoldNote::QuotaShort { text }
        | FoldNote::QuotaEnough { text }
        | FoldNote::TopologyChanged { text }
        | FoldNote::EpochBegan { text, .. } => text.clone(),
        FoldNote::OrderRefused { text } => format!("refused an order: {text}"),
    }
}

/// SHA-256 of the policy's canonical JSON.
pub fn policy_hash(policy: &Policy) -> String {
    hex(&Sha256::digest(canonical::bytes(policy)))
}

/// Why a record cannot be reproduced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ReplayError {
    /// The record was made under another policy.
    #[error(
        "re-run audit record {seq}: it was made under another policy; give the one with hash {policy_hash}"
    )]
    OtherPolicy {
        /// Its number.
        seq: u64,
        /// The hash of the policy it needs.
        policy_hash: String,
    },
    /// It was changed after it was written.
    #[error("re-run audit record {seq}: its content does not match its hash")]
    Altered {
        /// Its number.
        seq: u64,
    },
    /// Its situation cannot be read.
    #[error("re-run audit record {seq}: its situation cannot be read: {reason}")]
    Unreadable {
        /// Its number.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// The same situation gives another decision now.
    #[error("re-run audit record {seq}: the same situation now gives another decision")]
    Different {
        /// Its number.
        seq: u64,
    },
}

/// Re-runs the decision of a record and compares.
///
/// # Errors
/// When it was altered, was made under another policy, cannot be read, or comes out differently.
pub fn replay(record: &AuditRecord, policy: &Policy) -> Result<(), ReplayError> {
    let seq = record.seq;
    if record.content_hash() != record.hash {
        return Err(ReplayError::Altered { seq });
    }
    if record.policy_hash != policy_hash(policy) {
        return Err(ReplayError::OtherPolicy { seq, policy_hash: record.policy_hash.clone() });
    }
    let situation: Situation = record
        .situation
        .read()
        .map_err(|error| ReplayError::Unreadable { seq, reason: error.to_string() })?;
    // A record that says it decided nothing must have decided nothing: neither a case nor a step may differ from what
    // was folded. Whether it was right to stop there only the chain can tell.
    let marked = record.decision.get("basis").is_some_and(|basis| *basis == json!(Basis::FoldedOnly));
    if marked && record.steps.as_array().is_none_or(|steps| !steps.is_empty()) {
        return Err(ReplayError::Different { seq });
    }
    let judgement = if marked { unjudged(&situation) } else { judge(&situation, policy) };
    // Records from before explanations have none.
    let explained =
        record.explanation.is_null() || explanation(&situation, &judgement, policy) == record.explanation;
    if JsonPart::of(&judgement.decision) == record.decision && explained {
        Ok(())
    } else {
        Err(ReplayError::Different { seq })
    }
}
