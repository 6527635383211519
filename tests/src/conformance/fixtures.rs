//! Small documents for the suite, and a directory that goes with its owner.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use domain::audit::AuditRecord;
use domain::canonical::{JsonPart, JsonText};
use domain::gate::GATE_SCHEMA;
use domain::state::WorkloadState;
use domain::{
    Command, Effect, Facts, GateDocument, GatePosition, Generation, InboxItem, ItemBody, ItemId, OperationId,
    Order, Purpose, Step, StepId, StepStatus, StepWrite, Timestamp, Transition, WorkloadId,
};

/// The workload of the suite.
pub fn workload() -> WorkloadId {
    WorkloadId::new("contoso-shoes")
}

/// An inbox item of an observer.
pub fn item(id: &str, event_secs: i64) -> InboxItem {
    InboxItem {
        id: ItemId::new(id),
        event_at: Timestamp::from_secs(event_secs),
        received_at: Timestamp::from_secs(event_secs + 1),
        body: ItemBody::Observed { signals: vec![], facts: Facts::default() },
    }
}

/// An inbox item of an operator.
pub fn urgent(id: &str, event_secs: i64) -> InboxItem {
    let command = Command { by: "ops".into(), reason: "drill".into(), order: Order::Resume };
    InboxItem { body: ItemBody::Command { command }, ..item(id, event_secs) }
}

/// A step that nobody has yet.
pub fn step(id: &str) -> Step {
    let at = Timestamp::from_secs(60);
    Step {
        id: StepId::new(id),
        generation: Generation { epoch: 1, n: 1 },
        effect: Effect::SetGate {
            stamp: "eastus2".into(),
            position: GatePosition::Closed,
            expires_at: Timestamp::from_secs(14_400),
            reason: "drill".into(),
        },
        purpose: Purpose::Removal,
        planned_at: at,
        affirmed_at: at,
        attempts: 0,
        status: StepStatus::Pending { not_before: at },
    }
}

/// A step that is to be created.
pub fn created(id: &str) -> StepWrite {
    StepWrite { expected: None, step: step(id) }
}

/// The commit after `current` that only folds evidence.
pub fn follow(current: Option<&WorkloadState>, operation: &str) -> Transition {
    let parent = current.map(|state| state.generation);
    let mut state =
        current.cloned().unwrap_or_else(|| WorkloadState::new(workload(), 1, Timestamp::from_secs(60)));
    state.generation = parent.map_or(state.generation, Generation::next);
    state.operation = OperationId::new(operation);
    Transition { parent, state, steps: vec![], forgotten: vec![], audit: None, consumed: vec![] }
}

/// The same commit with one audit record that chains.
pub fn audited(mut transition: Transition, headline: &str) -> Transition {
    let state = &mut transition.state;
    let record = record(state.audit_seq + 1, &state.audit_head, state.generation, headline);
    state.audit_seq = record.seq;
    state.audit_head.clone_from(&record.hash);
    transition.audit = Some(record);
    transition
}

/// A sealed record.
pub fn record(seq: u64, previous: &str, generation: Generation, headline: &str) -> AuditRecord {
    AuditRecord {
        id: String::new(),
        schema: 1,
        workload: workload(),
        seq,
        previous: previous.to_owned(),
        generation,
        at: Timestamp::from_secs(60),
        headline: headline.to_owned(),
        because: vec!["two classes say so".to_owned()],
        decision: JsonPart::of(&serde_json::json!({"decision": "cordon"})),
        findings: serde_json::json!([]),
        steps: serde_json::json!([]),
        explanation: serde_json::Value::Null,
        consumed: vec![],
        situation: JsonText::of(&serde_json::json!({"rps": 423.209_170_872_713_23, "a": 1})),
        policy_hash: "00".to_owned(),
        hash: String::new(),
    }
    .sealed()
}

/// A gate document of generation (1, n).
pub fn gate(stamp: &str, n: u64, position: GatePosition) -> GateDocument {
    GateDocument {
        schema: GATE_SCHEMA,
        stamp: stamp.into(),
        position,
        generation: Generation { epoch: 1, n },
        heartbeat_at: Timestamp::from_secs(60),
        expires_at: Timestamp::from_secs(14_400),
        reopen_percents: vec![5, 25, 50],
        reopen_step_s: 300,
        reason: "drill".to_owned(),
    }
}

/// A directory under the system's temporary one, unique by process and counter, removed when dropped.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    files: AtomicU32,
}

impl TempDir {
    /// Creates it.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cordon-tests-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the system's temporary directory can be written");
        Self { path, files: AtomicU32::new(0) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name in it that was not given out before.
    pub fn fresh(&self) -> PathBuf {
        self.path.join(format!("store-{}", self.files.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
