//! The ports: what the controller needs from the world, whoever provides it.

use std::collections::VecDeque;

use async_trait::async_trait;
use domain::audit::AuditRecord;
use domain::audit_line::{AuditLine, AuditQuery};
use domain::state::WorkloadState;
use domain::{
    GateDocument, InboxItem, ItemId, RegionName, StampId, StepId, StoredStep, Timestamp, Transition,
    WorkloadId,
};
use serde::{Deserialize, Serialize};

/// Records read at once where lines are made from records.
const LINES_PAGE: usize = 100;

/// What went wrong at a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, or not in time; a retry can help. For a write: it may have been stored.
    #[error("reach the {store}")]
    Unavailable {
        /// Which store.
        store: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored cannot be read: damaged, or written by a newer version. Never treated as empty.
    #[error("read {what} from the {store}")]
    Unreadable {
        /// Which store.
        store: &'static str,
        /// Which document.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A write that breaks the store's rules; a retry cannot help.
    #[error("write to the {store}: {reason}")]
    Refused {
        /// Which store.
        store: &'static str,
        /// What rule.
        reason: String,
    },
}

/// Everything that an evaluation starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerView {
    /// The current state; none before the first commit.
    pub state: Option<WorkloadState>,
    /// All steps not yet forgotten, by id.
    pub steps: Vec<StoredStep>,
    /// The next inbox items: urgent ones first, then by event time and id; at most what was asked for.
    pub inbox: Vec<InboxItem>,
    /// Whether the inbox holds more than these.
    pub more: bool,
}

/// What became of a commit.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Stored, by this call or an earlier one of the same operation id.
    Committed,
    /// The parent is no longer current, or a step was changed meanwhile: evaluate again.
    Conflict,
}

/// What became of a claim or of a step's update.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// Ours; the stored step with its new version.
    Claimed(StoredStep),
    /// Changed meanwhile, or gone.
    Lost,
}

/// State, plans, inbox and audit of the workloads; one partition each, so that one batch commits them together.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Reads state, steps and up to `items_max` inbox items in one go.
    async fn load(&self, workload: &WorkloadId, items_max: usize) -> Result<LedgerView, StoreError>;

    /// The state alone: what observers and event sources ask for.
    async fn state(&self, workload: &WorkloadId) -> Result<Option<WorkloadState>, StoreError> {
        Ok(self.load(workload, 0).await?.state)
    }

    /// The region that decides commits at this moment, asked for anew; none where the ledger is in one place, which loses
    /// no commit that it confirmed. An error while that is not certain: nobody guesses.
    async fn write_region(&self) -> Result<Option<RegionName>, StoreError> {
        Ok(None)
    }

    /// Appends inbox items. An item whose id is there already, consumed or not, is left alone: a second delivery
    /// changes nothing. Returns how many were new.
    async fn append(&self, workload: &WorkloadId, items: &[InboxItem]) -> Result<usize, StoreError>;

    /// Stores all of the transition or nothing, if its parent is current and every step is at its expected version.
    async fn commit(&self, transition: &Transition) -> Result<CommitOutcome, StoreError>;

    /// Replaces one step if it is still at `expected.version`: the claim, which is the fence.
    async fn replace_step(
        &self,
        workload: &WorkloadId,
        expected: &StoredStep,
        step: &domain::Step,
    ) -> Result<ClaimOutcome, StoreError>;

    /// One step as it is now.
    async fn step(&self, workload: &WorkloadId, id: &StepId) -> Result<Option<StoredStep>, StoreError>;

    /// Audit records with `seq > after`, the oldest first, at most `records_max`.
    async fn audit(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError>;

    /// Lines of the audit that a query finds, the newest first, at most `lines_max`. This reads every record; a store that
    /// has an index answers from it.
    async fn audit_lines(
        &self,
        workload: &WorkloadId,
        query: &AuditQuery,
        lines_max: usize,
    ) -> Result<Vec<AuditLine>, StoreError> {
        let mut found: VecDeque<AuditLine> = VecDeque::new();
        let mut before: Option<AuditLine> = None;
        loop {
            let after = before.as_ref().map_or(0, |line| line.seq);
            let records = self.audit(workload, after, LINES_PAGE).await?;
            if records.is_empty() {
                return Ok(found.into_iter().rev().collect());
            }
            for record in &records {
                let line = AuditLine::of(record, before.as_ref());
                if query.finds(&line) {
                    found.push_back(line.clone());
                }
                if found.len() > lines_max {
                    found.pop_front();
                }
                before = Some(line);
            }
        }
    }

    /// Forgets ids of consumed items whose event is older than `before`. Returns how many.
    async fn trim(&self, workload: &WorkloadId, before: Timestamp) -> Result<usize, StoreError>;

    /// Ids that were consumed and are still remembered; for tests and the page.
    async fn consumed(&self, workload: &WorkloadId, id: &ItemId) -> Result<bool, StoreError>;
}

/// What became of a gate write.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateWrite {
    /// In force: the document that was read back after the write.
    Written(GateDocument),
    /// A newer generation is in force; it was left alone.
    Newer(GateDocument),
}

/// The gates, written by the controller in the write region.
#[async_trait]
pub trait GateStore: GateReader {
    /// Writes the document unless one of a newer generation is there, and reads it back.
    async fn write(&self, document: &GateDocument) -> Result<GateWrite, StoreError>;
}

/// The gates, read by the stamps and by the controller.
#[async_trait]
pub trait GateReader: Send + Sync + 'static {
    /// The gate of a stamp; none if it never had one.
    async fn read(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError>;
}

/// What became of an append to the audit store.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAppend {
    /// Stored now.
    Stored,
    /// There already, with an equal body.
    AlreadyThere,
}

/// The append-only copy of the audit, where its writer can change nothing.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Stores a record. The same id with another body is an error, never an overwrite.
    async fn append(&self, record: &AuditRecord) -> Result<AuditAppend, StoreError>;

    /// Records with `seq > after`, the oldest first, at most `records_max`.
    async fn list(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError>;
}

/// How far a notification target has been told of a workload's audit, and who is telling it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPlace {
    /// The number of the last record that the target took, or that it is not told of.
    pub after: u64,
    /// Who tells it now: two at once would send everything twice.
    pub owner: String,
    /// Until when nobody else may; in the past once the owner is done.
    pub until: Timestamp,
}

/// The places of the notification targets. They outlive the process, so that nothing is left out.
#[async_trait]
pub trait PlaceStore: Send + Sync + 'static {
    /// A target's place; none if it was never told anything.
    async fn read(&self, workload: &WorkloadId, target: &str) -> Result<Option<TargetPlace>, StoreError>;

    /// Replaces the place if it still is `expected`; false if somebody else was faster.
    async fn replace(
        &self,
        workload: &WorkloadId,
        target: &str,
        expected: Option<&TargetPlace>,
        next: &TargetPlace,
    ) -> Result<bool, StoreError>;
}
