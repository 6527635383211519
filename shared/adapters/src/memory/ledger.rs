//! The ledger in memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::audit::AuditRecord;
use domain::state::WorkloadState;
use domain::{InboxItem, ItemId, Step, StepId, StoredStep, Timestamp, Transition, WorkloadId};

use super::rules::{self, Head, InboxKey, Judgement, Present};
use crate::{ClaimOutcome, CommitOutcome, Ledger, LedgerView, StoreError};

/// A ledger that lives as long as the process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger {
    partitions: Arc<Mutex<BTreeMap<WorkloadId, Partition>>>,
    documents: Documents,
}

/// Whether every document is written and read back before it is taken, as a store that keeps bytes must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Documents {
    #[default]
    Proven,
    Trusted,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    state: Option<WorkloadState>,
    steps: BTreeMap<StepId, StoredStep>,
    inbox: BTreeMap<InboxKey, InboxItem>,
    // Asked for by name alone, for every event that comes in.
    waiting: HashMap<ItemId, InboxKey>,
    consumed: HashMap<ItemId, Timestamp>,
    audit: BTreeMap<u64, AuditRecord>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty ledger that keeps every rule about what a commit builds on, but takes documents as they are and keeps
    /// no audit records: for simulations that commit millions of times, and check hash and chain of each record as it is
    /// made.
    pub fn trusting() -> Self {
        Self { documents: Documents::Trusted, ..Self::default() }
    }

    /// A replica as it is now: what a forced failover leaves of this one if it happens later.
    #[must_use]
    pub fn replica(&self) -> Self {
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { partitions: Arc::new(Mutex::new(partitions)), documents: self.documents }
    }

    /// A forced failover to a replica: whatever was stored since it was taken is lost, for all clones.
    pub fn fail_over_to(&self, replica: &Self) {
        let kept = replica.partitions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *self.partitions.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    fn with<T>(&self, workload: &WorkloadId, work: impl FnOnce(&mut Partition) -> T) -> T {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        work(partitions.entry(workload.clone()).or_default())
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn load(&self, workload: &WorkloadId, items_max: usize) -> Result<LedgerView, StoreError> {
        Ok(self.with(workload, |partition| LedgerView {
            state: partition.state.clone(),
            steps: partition.steps.values().cloned().collect(),
            inbox: partition.inbox.values().take(items_max).cloned().collect(),
            more: partition.inbox.len() > items_max,
        }))
    }

    async fn append(&self, workload: &WorkloadId, items: &[InboxItem]) -> Result<usize, StoreError> {
        if self.documents == Documents::Proven {
            for item in items {
                rules::prepare_item(item)?;
            }
        }
        Ok(self.with(workload, |partition| items.iter().filter(|item| partition.take_in(item)).count()))
    }

    async fn commit(&self, transition: &Transition) -> Result<CommitOutcome, StoreError> {
        let steps = match self.documents {
            Documents::Proven => {
                rules::prepare(transition)?.steps.into_iter().map(|(step, _)| step).collect()
            }
            Documents::Trusted => transition.steps_written().collect(),
        };
        self.with(&transition.state.workload, |partition| {
            Ok(match rules::judge(transition, partition)? {
                Judgement::Write => {
                    partition.write(transition, steps);
                    if self.documents == Documents::Proven
                        && let Some(record) = &transition.audit
                    {
                        partition.audit.insert(record.seq, record.clone());
                    }
                    CommitOutcome::Committed
                }
                Judgement::AlreadyStored => CommitOutcome::Committed,
                Judgement::Conflict => CommitOutcome::Conflict,
            })
        })
    }

    async fn replace_step(
        &self,
        workload: &WorkloadId,
        expected: &StoredStep,
        step: &Step,
    ) -> Result<ClaimOutcome, StoreError> {
        let next = match self.documents {
            Documents::Proven => rules::prepare_claim(expected, step)?.0,
            Documents::Trusted => StoredStep { version: expected.version + 1, step: step.clone() },
        };
        Ok(self.with(workload, |partition| match partition.steps.get_mut(&step.id) {
            Some(stored) if rules::claim_holds(Some(stored.version), expected.version) => {
                *stored = next.clone();
                ClaimOutcome::Claimed(next)
            }
            _ => ClaimOutcome::Lost,
        }))
    }

    async fn step(&self, workload: &WorkloadId, id: &StepId) -> Result<Option<StoredStep>, StoreError> {
        Ok(self.with(workload, |partition| partition.steps.get(id).cloned()))
    }

    async fn audit(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        Ok(self.with(workload, |partition| {
            let later = partition.audit.range(after.saturating_add(1)..);
            later.map(|(_, record)| record).filter(|r| r.seq > after).take(records_max).cloned().collect()
        }))
    }

    async fn trim(&self, workload: &WorkloadId, before: Timestamp) -> Result<usize, StoreError> {
        Ok(self.with(workload, |partition| {
            let remembered = partition.consumed.len();
            partition.consumed.retain(|_, event_at| *event_at >= before);
            remembered - partition.consumed.len()
        }))
    }

    async fn consumed(&self, workload: &WorkloadId, id: &ItemId) -> Result<bool, StoreError> {
        Ok(self.with(workload, |partition| partition.consumed.contains_key(id)))
    }
}

impl Partition {
    /// Whether the item was new.
    fn take_in(&mut self, item: &InboxItem) -> bool {
        if self.consumed.contains_key(&item.id) {
            return false;
        }
        let Entry::Vacant(place) = self.waiting.entry(item.id.clone()) else { return false };
        let key = place.insert(InboxKey::of(item)).clone();
        self.inbox.insert(key, item.clone());
        true
    }

    fn write(&mut self, transition: &Transition, steps: Vec<StoredStep>) {
        self.state = Some(transition.state.clone());
        self.steps.extend(steps.into_iter().map(|stored| (stored.step.id.clone(), stored)));
        for id in &transition.forgotten {
            self.steps.remove(id);
        }
        for id in &transition.consumed {
            if let Some(key) = self.waiting.remove(id) {
                self.consumed.insert(id.clone(), key.event_at);
                self.inbox.remove(&key);
            }
        }
    }
}

impl Present for Partition {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.state.as_ref().map(Head::of))
    }

    fn step_version(&self, id: &StepId) -> Result<Option<u64>, StoreError> {
        Ok(self.steps.get(id).map(|stored| stored.version))
    }

    fn waits(&self, id: &ItemId) -> Result<bool, StoreError> {
        Ok(self.waiting.contains_key(id))
    }
}
