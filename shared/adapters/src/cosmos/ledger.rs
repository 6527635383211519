//! The ledger: a point read for the state, one query for steps and inbox, one batch for a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::http::Etag;
use azure_data_cosmos::models::TransactionalBatch;
use azure_data_cosmos::options::{BatchDeleteOptions, BatchReplaceOptions, Precondition};
use azure_data_cosmos::{CosmosError, Query};
use domain::audit::AuditRecord;
use domain::state::{STATE_SCHEMA, WorkloadState};
use domain::{
    CONSUMED_MAX, InboxItem, ItemId, RegionName, Step, StepId, StoredStep, Timestamp, Transition, WorkloadId,
};

use super::account::{BatchEnd, Container, CosmosAccount, Written};
use super::audit::{range, records};
use super::document::{Document, Kind, Place, STATE_ID, Stored, item_id, step_id};
use super::known::Known;
use crate::memory::rules::{
    self, COMMIT_BYTES_MAX, COMMIT_OPERATIONS_MAX, Head, ITEM_SCHEMA, InboxKey, Judgement, LEDGER, Prepared,
    STEP_SCHEMA, unreadable,
};
use crate::{ClaimOutcome, CommitOutcome, Ledger, LedgerView, StoreError};

/// Steps, then waiting items in their order: one range of the one index.
const STEPS_AND_ITEMS: &str = "SELECT c.id, c.kind, c.text, c._etag FROM c \
     WHERE c.place > @after AND c.place < @end ORDER BY c.place";

/// Consumed items of old events.
const FORGETTABLE: &str = "SELECT c.id, c.kind, c._etag FROM c \
     WHERE c.place > @after AND c.place < @end ORDER BY c.place";

const LEDGER_CONTAINER: Container = Container::Ledger;

/// State, steps, inbox and audit of each workload in a partition of its own. Clones share what they know.
#[derive(Clone)]
pub struct CosmosLedger {
    account: CosmosAccount,
    known: Arc<Mutex<BTreeMap<WorkloadId, Known>>>,
}

impl CosmosLedger {
    /// The ledger container of this account.
    pub fn new(account: CosmosAccount) -> Self {
        Self { account, known: Arc::default() }
    }

    fn known(&self, workload: &WorkloadId) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(workload).cloned()
    }

    fn remember(&self, workload: &WorkloadId, known: Option<Known>) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(known) => all.insert(workload.clone(), known),
            None => all.remove(workload),
        };
    }

    async fn stored_state(&self, workload: &WorkloadId) -> Result<Option<(WorkloadState, Etag)>, StoreError> {
        let stored = self.account.read(LEDGER_CONTAINER, workload.as_str(), STATE_ID).await?;
        let Some(stored) = stored else { return Ok(None) };
        let state = rules::decode(LEDGER, "state", STATE_SCHEMA, stored.text.as_bytes())?;
        Ok(Some((state, stored.etag)))
    }

    /// The view, and what it says of ETags.
    async fn look(&self, workload: &WorkloadId, items_max: usize) -> Result<(LedgerView, Known), StoreError> {
        // The state first: if somebody commits in between, the steps are newer than it, and the next commit conflicts.
        let state = self.stored_state(workload).await?;
        let query = range(STEPS_AND_ITEMS, Place::STEPS, Place::ITEMS_END)?;
        let enough = |found: &[Stored]| found.iter().filter(|d| d.kind == Kind::Item).count() > items_max;
        let found = self.account.query(LEDGER_CONTAINER, workload.as_str(), query, enough).await?;
        let mut known = Known::default();
        let (mut steps, mut inbox) = (Vec::new(), BTreeMap::new());
        for stored in found {
            match stored.kind {
                Kind::Step => {
                    let step = decode_step(&stored)?;
                    known.steps.insert(step.step.id.clone(), (step.version, stored.etag));
                    steps.push(step);
                }
                Kind::Item => {
                    let item = decode_item(&stored)?;
                    known.items.insert(item.id.clone(), (item.event_at, stored.etag));
                    inbox.insert(InboxKey::of(&item), item);
                }
                Kind::State | Kind::Consumed | Kind::Audit | Kind::Gate | Kind::Place => {}
            }
        }
        steps.sort_by(|a, b| a.step.id.cmp(&b.step.id));
        known.head = state.as_ref().map(|(state, etag)| (Head::of(state), etag.clone()));
        let more = inbox.len() > items_max;
        let inbox = inbox.into_values().take(items_max).collect();
        Ok((LedgerView { state: state.map(|(state, _)| state), steps, inbox, more }, known))
    }

    /// A fresh look for a commit: also at items that it consumes and that stand further back in the inbox.
    async fn look_for(&self, transition: &Transition) -> Result<Known, StoreError> {
        let workload = &transition.state.workload;
        let (_, mut known) = self.look(workload, CONSUMED_MAX).await?;
        for id in &transition.consumed {
            if known.items.contains_key(id) {
                continue;
            }
            let stored = self.account.read(LEDGER_CONTAINER, workload.as_str(), &item_id(id)).await?;
            if let Some(stored) = stored.filter(|stored| stored.kind == Kind::Item) {
                known.items.insert(id.clone(), (decode_item(&stored)?.event_at, stored.etag));
            }
        }
        Ok(known)
    }

    /// Judges by what is known, and again by a fresh look unless that was good.
    async fn judged(&self, transition: &Transition) -> Result<(Judgement, Known), StoreError> {
        if let Some(known) = self.known(&transition.state.workload)
            && matches!(rules::judge(transition, &known), Ok(Judgement::Write))
        {
            return Ok((Judgement::Write, known));
        }
        let known = self.look_for(transition).await?;
        Ok((rules::judge(transition, &known)?, known))
    }

    async fn write(
        &self,
        transition: &Transition,
        prepared: Prepared,
        mut known: Known,
    ) -> Result<CommitOutcome, StoreError> {
        let workload = &transition.state.workload;
        let versions: Vec<_> =
            prepared.steps.iter().map(|(stored, _)| (stored.step.id.clone(), stored.version)).collect();
        let batch = batch(transition, prepared, &known)?;
        self.remember(workload, None);
        let ended = self.account.batch(LEDGER_CONTAINER, batch).await;
        match ended {
            Ok(BatchEnd::Stored(etags)) => {
                let etags: Option<Vec<_>> = etags.into_iter().collect();
                if let Some(etags) = etags {
                    known.has_become(transition, versions, etags);
                    self.remember(workload, Some(known));
                }
                Ok(CommitOutcome::Committed)
            }
            // Also our own commit, stored by a try whose answer was lost, comes back as this.
            Ok(BatchEnd::Changed) if self.is_stored(transition).await? => Ok(CommitOutcome::Committed),
            Ok(BatchEnd::Changed) => Ok(CommitOutcome::Conflict),
            Err(error @ StoreError::Unavailable { .. }) => match self.is_stored(transition).await {
                Ok(true) => Ok(CommitOutcome::Committed),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether the current state is this very commit.
    async fn is_stored(&self, transition: &Transition) -> Result<bool, StoreError> {
        let state = self.stored_state(&transition.state.workload).await?;
        Ok(state.is_some_and(|(state, _)| {
            state.operation == transition.state.operation && state.generation == transition.state.generation
        }))
    }

    async fn stored_step(
        &self,
        workload: &WorkloadId,
        id: &StepId,
    ) -> Result<Option<(StoredStep, Etag)>, StoreError> {
        let stored = self.account.read(LEDGER_CONTAINER, workload.as_str(), &step_id(id)).await?;
        let Some(stored) = stored else { return Ok(None) };
        Ok(Some((decode_step(&stored)?, stored.etag)))
    }

    /// The ETag of a step at a version, from memory or by a look; none if it is at another version or gone.
    async fn etag_of(
        &self,
        workload: &WorkloadId,
        expected: &StoredStep,
    ) -> Result<Option<Etag>, StoreError> {
        let id = &expected.step.id;
        let known = self.known(workload).and_then(|known| known.steps.get(id).cloned());
        if let Some((version, etag)) = known
            && rules::claim_holds(Some(version), expected.version)
        {
            return Ok(Some(etag));
        }
        let stored = self.stored_step(workload, id).await?;
        let held = stored.filter(|(step, _)| rules::claim_holds(Some(step.version), expected.version));
        Ok(held.map(|(_, etag)| etag))
    }

    /// Creates the items in one batch. None if one of them is there already: then each must be tried for itself.
    async fn append_together(
        &self,
        workload: &WorkloadId,
        documents: &[Document],
    ) -> Result<Option<usize>, StoreError> {
        let mut batch = TransactionalBatch::new(workload.to_string());
        for document in documents {
            batch = batch.create_item(document).map_err(unwritable)?;
        }
        match self.account.batch(LEDGER_CONTAINER, batch).await? {
            BatchEnd::Stored(_) => Ok(Some(documents.len())),
            BatchEnd::Changed => Ok(None),
        }
    }
}

#[async_trait]
impl Ledger for CosmosLedger {
    async fn load(&self, workload: &WorkloadId, items_max: usize) -> Result<LedgerView, StoreError> {
        let (view, known) = self.look(workload, items_max).await?;
        self.remember(workload, Some(known));
        Ok(view)
    }

    async fn state(&self, workload: &WorkloadId) -> Result<Option<WorkloadState>, StoreError> {
        Ok(self.stored_state(workload).await?.map(|(state, _)| state))
    }

    async fn write_region(&self) -> Result<Option<RegionName>, StoreError> {
        self.account.write_region().await.map(Some)
    }

    async fn append(&self, workload: &WorkloadId, items: &[InboxItem]) -> Result<usize, StoreError> {
        let mut seen = BTreeSet::new();
        let mut documents = Vec::new();
        let mut bytes = 0;
        for item in items {
            let text = rules::prepare_item(item)?;
            bytes += rules::bytes_as_string(&text);
            let document = Document::item(workload.as_str(), item, text)?;
            if seen.insert(&item.id) {
                documents.push(document);
            }
        }
        let together = (2..=COMMIT_OPERATIONS_MAX).contains(&documents.len()) && bytes <= COMMIT_BYTES_MAX;
        if together && let Some(new) = self.append_together(workload, &documents).await? {
            return Ok(new);
        }
        let mut new = 0;
        for document in &documents {
            // There already is success: the same event, delivered again, waiting or consumed.
            match self.account.write(LEDGER_CONTAINER, workload.as_str(), document, None).await? {
                Written::Stored(_) => new += 1,
                Written::Changed => {}
            }
        }
        Ok(new)
    }

    async fn commit(&self, transition: &Transition) -> Result<CommitOutcome, StoreError> {
        let prepared = rules::prepare(transition)?;
        let (judgement, known) = self.judged(transition).await?;
        match judgement {
            Judgement::Write => self.write(transition, prepared, known).await,
            Judgement::AlreadyStored => Ok(CommitOutcome::Committed),
            Judgement::Conflict => Ok(CommitOutcome::Conflict),
        }
    }

    async fn replace_step(
        &self,
        workload: &WorkloadId,
        expected: &StoredStep,
        step: &Step,
    ) -> Result<ClaimOutcome, StoreError> {
        let (next, text) = rules::prepare_claim(expected, step)?;
        let Some(etag) = self.etag_of(workload, expected).await? else { return Ok(ClaimOutcome::Lost) };
        let document = Document::step(workload.as_str(), &step.id, text)?;
        let written = self.account.write(LEDGER_CONTAINER, workload.as_str(), &document, Some(&etag)).await;
        let refused = match written {
            Ok(Written::Stored(etag)) => {
                self.step_has_become(workload, &next, etag);
                return Ok(ClaimOutcome::Claimed(next));
            }
            Ok(Written::Changed) => None,
            Err(error @ StoreError::Unavailable { .. }) => Some(error),
            Err(error) => return Err(error),
        };
        self.step_has_become(workload, &next, None);
        // A claim names its owner and its deadline: what reads as ours is ours, stored by a try whose answer was lost.
        let ours =
            self.stored_step(workload, &step.id).await.map(|now| now.is_some_and(|(now, _)| now == next));
        match (ours, refused) {
            (Ok(true), _) => Ok(ClaimOutcome::Claimed(next)),
            (Ok(false), None) => Ok(ClaimOutcome::Lost),
            (Err(error), None) | (_, Some(error)) => Err(error),
        }
    }

    async fn step(&self, workload: &WorkloadId, id: &StepId) -> Result<Option<StoredStep>, StoreError> {
        Ok(self.stored_step(workload, id).await?.map(|(step, _)| step))
    }

    async fn audit(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        records(&self.account, LEDGER_CONTAINER, workload, after, records_max).await
    }

    async fn trim(&self, workload: &WorkloadId, before: Timestamp) -> Result<usize, StoreError> {
        let query: Query = range(FORGETTABLE, Place::CONSUMED, &Place::consumed_since(before))?;
        let found = self.account.query(LEDGER_CONTAINER, workload.as_str(), query, |_| false).await?;
        let mut forgotten = 0;
        for chunk in found.chunks(COMMIT_OPERATIONS_MAX) {
            let mut batch = TransactionalBatch::new(workload.to_string());
            for stored in chunk {
                let if_match = Precondition::IfMatch(stored.etag.clone());
                let options = BatchDeleteOptions::default().with_precondition(if_match);
                batch = batch.delete_item(stored.id.clone(), Some(options));
            }
            match self.account.batch(LEDGER_CONTAINER, batch).await? {
                BatchEnd::Stored(_) => forgotten += chunk.len(),
                // Another instance is at it; what it leaves, the next trim or the store's own expiry takes.
                BatchEnd::Changed => break,
            }
        }
        Ok(forgotten)
    }

    async fn consumed(&self, workload: &WorkloadId, id: &ItemId) -> Result<bool, StoreError> {
        let stored = self.account.read(LEDGER_CONTAINER, workload.as_str(), &item_id(id)).await?;
        Ok(stored.is_some_and(|stored| stored.kind == Kind::Consumed))
    }
}

impl CosmosLedger {
    /// Keeps the memory true after a claim, or drops what is no longer known.
    fn step_has_become(&self, workload: &WorkloadId, next: &StoredStep, etag: Option<Etag>) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = all.get_mut(workload) else { return };
        match etag {
            Some(etag) => known.steps.insert(next.step.id.clone(), (next.version, etag)),
            None => known.steps.remove(&next.step.id),
        };
    }
}

impl Known {
    /// After a commit: `etags` are those of the batch's operations, in the order of `batch`.
    fn has_become(&mut self, transition: &Transition, versions: Vec<(StepId, u64)>, etags: Vec<Etag>) {
        let mut etags = etags.into_iter();
        self.head = etags.next().map(|etag| (Head::of(&transition.state), etag));
        self.steps.extend(versions.into_iter().zip(etags).map(|((id, version), etag)| (id, (version, etag))));
        for id in &transition.forgotten {
            self.steps.remove(id);
        }
        for id in &transition.consumed {
            self.items.remove(id);
        }
    }
}

/// State, steps, record, forgotten, consumed: in this order, which `Known::has_become` relies on.
fn batch(
    transition: &Transition,
    prepared: Prepared,
    known: &Known,
) -> Result<TransactionalBatch, StoreError> {
    let workload = transition.state.workload.as_str();
    let mut batch = TransactionalBatch::new(workload.to_owned());
    let state = Document::state(workload, prepared.state)?;
    batch = put(batch, &state, known.head.as_ref().map(|(_, etag)| etag))?;
    for (stored, text) in prepared.steps {
        let etag = known.steps.get(&stored.step.id).map(|(_, etag)| etag);
        batch = put(batch, &Document::step(workload, &stored.step.id, text)?, etag)?;
    }
    if let (Some(record), Some(text)) = (&transition.audit, prepared.audit) {
        batch = put(batch, &Document::record(record, text)?, None)?;
    }
    for id in &transition.forgotten {
        batch = batch.delete_item(step_id(id), None);
    }
    for id in &transition.consumed {
        let Some((event_at, etag)) = known.items.get(id) else { continue };
        batch = put(batch, &Document::consumed(workload, id, *event_at)?, Some(etag))?;
    }
    Ok(batch)
}

fn put(
    batch: TransactionalBatch,
    document: &Document,
    replaces: Option<&Etag>,
) -> Result<TransactionalBatch, StoreError> {
    let batch = match replaces {
        None => batch.create_item(document),
        Some(etag) => {
            let options =
                BatchReplaceOptions::default().with_precondition(Precondition::IfMatch(etag.clone()));
            batch.replace_item(document.id.clone(), document, Some(options))
        }
    };
    batch.map_err(unwritable)
}

fn decode_step(stored: &Stored) -> Result<StoredStep, StoreError> {
    rules::decode(LEDGER, "step", STEP_SCHEMA, stored.text.as_bytes())
}

fn decode_item(stored: &Stored) -> Result<InboxItem, StoreError> {
    rules::decode(LEDGER, "inbox item", ITEM_SCHEMA, stored.text.as_bytes())
}

fn unwritable(error: CosmosError) -> StoreError {
    unreadable(LEDGER, "document to be written".to_owned(), error)
}
