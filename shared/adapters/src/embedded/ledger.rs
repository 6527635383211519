//! The ledger in one redb file: one write transaction per call, durable when it returns.

use std::path::Path;

use async_trait::async_trait;
use domain::audit::AuditRecord;
use domain::audit_line::{AuditLine, AuditQuery};
use domain::state::{STATE_SCHEMA, WorkloadState};
use domain::{InboxItem, ItemId, Step, StepId, StoredStep, Timestamp, Transition, WorkloadId};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, Value,
    WriteTransaction,
};

use super::file::{File, broken};
use super::lines::{self, Index};
use crate::memory::rules::{
    self, AUDIT_SCHEMA, Head, ITEM_SCHEMA, InboxKey, Judgement, LEDGER, Prepared, Present, STEP_SCHEMA,
};
use crate::{ClaimOutcome, CommitOutcome, Ledger, LedgerView, StoreError};

// Every key begins with the workload. Documents are JSON in an envelope with their schema; the two index tables hold
// plain numbers, which the file's layout number covers.
pub(super) const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
const STEPS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("steps");
/// Workload, rank, event time, id: the inbox in the order in which it is drained.
const INBOX: TableDefinition<'_, (&str, u8, i64, &str), &[u8]> = TableDefinition::new("inbox");
/// Where in the inbox an id stands.
const WAITING: TableDefinition<'_, (&str, &str), (u8, i64)> = TableDefinition::new("waiting");
/// Consumed ids with their event time.
const CONSUMED: TableDefinition<'_, (&str, &str), i64> = TableDefinition::new("consumed");
pub(super) const AUDIT: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("audit");

/// A ledger in one file. Clones share it; another process that opens it is refused.
#[derive(Clone)]
pub struct EmbeddedLedger(File);

impl EmbeddedLedger {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// When another process has it open, or when it is damaged or of a newer layout.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        File::open(path, LEDGER, |transaction| {
            transaction.open_table(STATE)?;
            transaction.open_table(STEPS)?;
            transaction.open_table(INBOX)?;
            transaction.open_table(WAITING)?;
            transaction.open_table(CONSUMED)?;
            transaction.open_table(AUDIT)?;
            lines::catch_up(transaction)
        })
        .map(Self)
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn load(&self, workload: &WorkloadId, items_max: usize) -> Result<LedgerView, StoreError> {
        let workload = workload.clone();
        self.0.run(move |database| load(database, &workload, items_max)).await
    }

    async fn append(&self, workload: &WorkloadId, items: &[InboxItem]) -> Result<usize, StoreError> {
        let mut prepared = Vec::with_capacity(items.len());
        for item in items {
            prepared.push((InboxKey::of(item), rules::prepare_item(item)?));
        }
        let workload = workload.clone();
        self.0.run(move |database| append(database, &workload, &prepared)).await
    }

    async fn commit(&self, transition: &Transition) -> Result<CommitOutcome, StoreError> {
        let prepared = rules::prepare(transition)?;
        let transition = transition.clone();
        self.0.run(move |database| commit(database, &transition, &prepared)).await
    }

    async fn replace_step(
        &self,
        workload: &WorkloadId,
        expected: &StoredStep,
        step: &Step,
    ) -> Result<ClaimOutcome, StoreError> {
        let (next, document) = rules::prepare_claim(expected, step)?;
        let (workload, version) = (workload.clone(), expected.version);
        self.0.run(move |database| replace_step(database, &workload, version, next, &document)).await
    }

    async fn step(&self, workload: &WorkloadId, id: &StepId) -> Result<Option<StoredStep>, StoreError> {
        let (workload, id) = (workload.clone(), id.clone());
        self.0
            .run(move |database| {
                let transaction = read(database)?;
                let steps = transaction.open_table(STEPS).map_err(failed)?;
                stored_step(&steps, &workload, &id)
            })
            .await
    }

    async fn audit(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let workload = workload.clone();
        self.0.run(move |database| audit(database, &workload, after, records_max)).await
    }

    async fn audit_lines(
        &self,
        workload: &WorkloadId,
        query: &AuditQuery,
        lines_max: usize,
    ) -> Result<Vec<AuditLine>, StoreError> {
        let (workload, query) = (workload.clone(), query.clone());
        self.0.run(move |database| lines::find(&read(database)?, workload.as_str(), &query, lines_max)).await
    }

    async fn trim(&self, workload: &WorkloadId, before: Timestamp) -> Result<usize, StoreError> {
        let workload = workload.clone();
        self.0.run(move |database| trim(database, &workload, before)).await
    }

    async fn consumed(&self, workload: &WorkloadId, id: &ItemId) -> Result<bool, StoreError> {
        let (workload, id) = (workload.clone(), id.clone());
        self.0
            .run(move |database| {
                let transaction = read(database)?;
                let consumed = transaction.open_table(CONSUMED).map_err(failed)?;
                holds(&consumed, (workload.as_str(), id.as_str()))
            })
            .await
    }
}

fn load(database: &Database, workload: &WorkloadId, items_max: usize) -> Result<LedgerView, StoreError> {
    // One read transaction: state, steps and inbox are of the same commit.
    let transaction = read(database)?;
    let name = workload.as_str();
    let states = transaction.open_table(STATE).map_err(failed)?;
    let mut steps = Vec::new();
    let table = transaction.open_table(STEPS).map_err(failed)?;
    for entry in table.range((name, "")..).map_err(failed)? {
        let (key, document) = entry.map_err(failed)?;
        if key.value().0 != name {
            break;
        }
        steps.push(rules::decode(LEDGER, "step", STEP_SCHEMA, document.value())?);
    }
    let (mut inbox, mut more) = (Vec::new(), false);
    let table = transaction.open_table(INBOX).map_err(failed)?;
    for entry in table.range((name, 0, i64::MIN, "")..).map_err(failed)? {
        let (key, document) = entry.map_err(failed)?;
        if key.value().0 != name {
            break;
        }
        if inbox.len() == items_max {
            more = true;
            break;
        }
        inbox.push(rules::decode(LEDGER, "inbox item", ITEM_SCHEMA, document.value())?);
    }
    Ok(LedgerView { state: stored_state(&states, workload)?, steps, inbox, more })
}

fn append(
    database: &Database,
    workload: &WorkloadId,
    items: &[(InboxKey, Vec<u8>)],
) -> Result<usize, StoreError> {
    let transaction = write(database)?;
    let mut new = 0;
    {
        let mut inbox = transaction.open_table(INBOX).map_err(failed)?;
        let mut waiting = transaction.open_table(WAITING).map_err(failed)?;
        let consumed = transaction.open_table(CONSUMED).map_err(failed)?;
        for (key, document) in items {
            let id = (workload.as_str(), key.id.as_str());
            if holds(&waiting, id)? || holds(&consumed, id)? {
                continue;
            }
            let event_at = key.event_at.as_millis();
            waiting.insert(id, (key.rank, event_at)).map_err(failed)?;
            inbox.insert((id.0, key.rank, event_at, id.1), document.as_slice()).map_err(failed)?;
            new += 1;
        }
    }
    if new > 0 {
        transaction.commit().map_err(failed)?;
    }
    Ok(new)
}

fn commit(
    database: &Database,
    transition: &Transition,
    prepared: &Prepared,
) -> Result<CommitOutcome, StoreError> {
    let transaction = write(database)?;
    let judgement = {
        let mut tables = Tables::open(&transaction, &transition.state.workload)?;
        let judgement = rules::judge(transition, &tables)?;
        if judgement == Judgement::Write {
            tables.write(transition, prepared)?;
        }
        judgement
    };
    match judgement {
        Judgement::Write => {
            transaction.commit().map_err(failed)?;
            Ok(CommitOutcome::Committed)
        }
        // Dropped without a commit, the transaction leaves no trace.
        Judgement::AlreadyStored => Ok(CommitOutcome::Committed),
        Judgement::Conflict => Ok(CommitOutcome::Conflict),
    }
}

fn replace_step(
    database: &Database,
    workload: &WorkloadId,
    expected_version: u64,
    next: StoredStep,
    document: &[u8],
) -> Result<ClaimOutcome, StoreError> {
    let transaction = write(database)?;
    {
        let mut steps = transaction.open_table(STEPS).map_err(failed)?;
        let present = stored_step(&steps, workload, &next.step.id)?;
        if !rules::claim_holds(present.map(|present| present.version), expected_version) {
            return Ok(ClaimOutcome::Lost);
        }
        steps.insert((workload.as_str(), next.step.id.as_str()), document).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(ClaimOutcome::Claimed(next))
}

fn audit(
    database: &Database,
    workload: &WorkloadId,
    after: u64,
    records_max: usize,
) -> Result<Vec<AuditRecord>, StoreError> {
    let transaction = read(database)?;
    let table = transaction.open_table(AUDIT).map_err(failed)?;
    let mut records = Vec::new();
    for entry in table.range((workload.as_str(), after)..).map_err(failed)? {
        let (key, document) = entry.map_err(failed)?;
        let (whose, seq) = key.value();
        if whose != workload.as_str() || records.len() == records_max {
            break;
        }
        if seq > after {
            records.push(rules::decode(LEDGER, "audit record", AUDIT_SCHEMA, document.value())?);
        }
    }
    Ok(records)
}

fn trim(database: &Database, workload: &WorkloadId, before: Timestamp) -> Result<usize, StoreError> {
    let transaction = write(database)?;
    let mut forgotten = 0;
    {
        let mut consumed = transaction.open_table(CONSUMED).map_err(failed)?;
        let mut old = Vec::new();
        for entry in consumed.range((workload.as_str(), "")..).map_err(failed)? {
            let (key, event_at) = entry.map_err(failed)?;
            let (whose, id) = key.value();
            if whose != workload.as_str() {
                break;
            }
            if event_at.value() < before.as_millis() {
                old.push(id.to_owned());
            }
        }
        for id in old {
            consumed.remove((workload.as_str(), id.as_str())).map_err(failed)?;
            forgotten += 1;
        }
    }
    if forgotten > 0 {
        transaction.commit().map_err(failed)?;
    }
    Ok(forgotten)
}

/// The tables of one workload within a write transaction.
struct Tables<'txn> {
    workload: WorkloadId,
    state: Table<'txn, &'static str, &'static [u8]>,
    steps: Table<'txn, (&'static str, &'static str), &'static [u8]>,
    inbox: Table<'txn, (&'static str, u8, i64, &'static str), &'static [u8]>,
    waiting: Table<'txn, (&'static str, &'static str), (u8, i64)>,
    consumed: Table<'txn, (&'static str, &'static str), i64>,
    audit: Table<'txn, (&'static str, u64), &'static [u8]>,
    index: Index<'txn>,
}

impl<'txn> Tables<'txn> {
    fn open(transaction: &'txn WriteTransaction, workload: &WorkloadId) -> Result<Self, StoreError> {
        Ok(Self {
            workload: workload.clone(),
            state: transaction.open_table(STATE).map_err(failed)?,
            steps: transaction.open_table(STEPS).map_err(failed)?,
            inbox: transaction.open_table(INBOX).map_err(failed)?,
            waiting: transaction.open_table(WAITING).map_err(failed)?,
            consumed: transaction.open_table(CONSUMED).map_err(failed)?,
            audit: transaction.open_table(AUDIT).map_err(failed)?,
            index: Index::open(transaction).map_err(failed)?,
        })
    }

    fn write(&mut self, transition: &Transition, prepared: &Prepared) -> Result<(), StoreError> {
        let name = self.workload.as_str();
        self.state.insert(name, prepared.state.as_slice()).map_err(failed)?;
        for (stored, document) in &prepared.steps {
            self.steps.insert((name, stored.step.id.as_str()), document.as_slice()).map_err(failed)?;
        }
        for id in &transition.forgotten {
            self.steps.remove((name, id.as_str())).map_err(failed)?;
        }
        for id in &transition.consumed {
            let place = self.waiting.remove((name, id.as_str())).map_err(failed)?;
            if let Some((rank, event_at)) = place.map(|place| place.value()) {
                self.consumed.insert((name, id.as_str()), event_at).map_err(failed)?;
                self.inbox.remove((name, rank, event_at, id.as_str())).map_err(failed)?;
            }
        }
        if let (Some(record), Some(document)) = (&transition.audit, &prepared.audit) {
            self.audit.insert((name, record.seq), document.as_slice()).map_err(failed)?;
            self.index.add(name, record).map_err(failed)?;
        }
        Ok(())
    }
}

impl Present for Tables<'_> {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(stored_state(&self.state, &self.workload)?.as_ref().map(Head::of))
    }

    fn step_version(&self, id: &StepId) -> Result<Option<u64>, StoreError> {
        Ok(stored_step(&self.steps, &self.workload, id)?.map(|stored| stored.version))
    }

    fn waits(&self, id: &ItemId) -> Result<bool, StoreError> {
        holds(&self.waiting, (self.workload.as_str(), id.as_str()))
    }
}

fn stored_state(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    workload: &WorkloadId,
) -> Result<Option<WorkloadState>, StoreError> {
    let document = table.get(workload.as_str()).map_err(failed)?;
    document.map(|document| rules::decode(LEDGER, "state", STATE_SCHEMA, document.value())).transpose()
}

fn stored_step(
    table: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    workload: &WorkloadId,
    id: &StepId,
) -> Result<Option<StoredStep>, StoreError> {
    let document = table.get((workload.as_str(), id.as_str())).map_err(failed)?;
    document.map(|document| rules::decode(LEDGER, "step", STEP_SCHEMA, document.value())).transpose()
}

fn holds<V: Value + 'static>(
    table: &impl ReadableTable<(&'static str, &'static str), V>,
    key: (&str, &str),
) -> Result<bool, StoreError> {
    Ok(table.get(key).map_err(failed)?.is_some())
}

fn read(database: &Database) -> Result<ReadTransaction, StoreError> {
    database.begin_read().map_err(failed)
}

fn write(database: &Database) -> Result<WriteTransaction, StoreError> {
    database.begin_write().map_err(failed)
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    broken(LEDGER, error)
}

#[cfg(test)]
mod tests {
    use super::super::temporary::TempDir;
    use super::*;

    fn transition(operation: &str) -> Transition {
        let mut state = WorkloadState::new("contoso-shoes".into(), 1, Timestamp::from_secs(0));
        state.operation = domain::OperationId::new(operation);
        Transition { parent: None, state, steps: vec![], forgotten: vec![], audit: None, consumed: vec![] }
    }

    /// A ledger in a fresh file, which goes with the returned directory.
    fn ledger() -> (EmbeddedLedger, TempDir) {
        let directory = TempDir::new();
        (EmbeddedLedger::open(&directory.path().join("ledger.redb")).unwrap(), directory)
    }

    async fn overwrite_state(ledger: &EmbeddedLedger, document: &'static str) {
        let written = ledger.0.run(move |database| {
            let transaction = write(database)?;
            transaction
                .open_table(STATE)
                .map_err(failed)?
                .insert("contoso-shoes", document.as_bytes())
                .map_err(failed)?;
            transaction.commit().map_err(failed)
        });
        written.await.unwrap();
    }

    #[tokio::test]
    async fn a_state_of_a_newer_schema_is_unreadable_and_never_overwritten() {
        let (ledger, _directory) = ledger();
        let newer = r#"{"schema":2,"body":{"whatever":"a newer binary writes"}}"#;
        overwrite_state(&ledger, newer).await;
        for attempt in ["first", "second"] {
            let read = ledger.load(&"contoso-shoes".into(), 1).await;
            assert!(matches!(read, Err(StoreError::Unreadable { .. })), "{attempt}: {read:?}");
            let committed = ledger.commit(&transition(attempt)).await;
            assert!(matches!(committed, Err(StoreError::Unreadable { .. })), "{attempt}: {committed:?}");
        }
    }

    #[tokio::test]
    async fn a_damaged_state_is_unreadable() {
        let (ledger, _directory) = ledger();
        for damaged in ["", "{", "null", r#"{"schema":1}"#, r#"{"schema":1,"body":{}}"#] {
            overwrite_state(&ledger, damaged).await;
            let read = ledger.load(&"contoso-shoes".into(), 1).await;
            assert!(matches!(read, Err(StoreError::Unreadable { .. })), "{damaged}: {read:?}");
        }
    }

    #[tokio::test]
    async fn a_file_of_a_newer_layout_is_not_opened() {
        let directory = TempDir::new();
        let path = directory.path().join("ledger.redb");
        let ledger = EmbeddedLedger::open(&path).unwrap();
        ledger.0.run(|database| super::super::file::set_layout(database, 2)).await.unwrap();
        drop(ledger);
        let opened = EmbeddedLedger::open(&path);
        assert!(matches!(opened, Err(StoreError::Unreadable { .. })), "{:?}", opened.err());
    }

    #[tokio::test]
    async fn a_second_opener_is_told_that_the_file_is_taken() {
        let (_ledger, directory) = ledger();
        let opened = EmbeddedLedger::open(&directory.path().join("ledger.redb"));
        assert!(matches!(opened, Err(StoreError::Unavailable { .. })), "{:?}", opened.err());
    }

    #[test]
    fn what_is_no_database_is_unreadable() {
        let directory = TempDir::new();
        let path = directory.path().join("ledger.redb");
        std::fs::write(&path, [b'x'; 8_192]).unwrap();
        let opened = EmbeddedLedger::open(&path);
        assert!(matches!(opened, Err(StoreError::Unreadable { .. })), "{:?}", opened.err());
    }
}
