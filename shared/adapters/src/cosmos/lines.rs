//! The lines of the audit, a small document each beside the records in the ledger's partition. No commit writes them: who
//! asks for lines first adds those of the records that have none yet, which a reader who comes often finds few of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::WorkloadId;
use domain::audit_line::{AuditLine, AuditQuery};

use super::account::{Container, CosmosAccount};
use super::audit::{range, records};
use super::document::{Document, Kind, Place, Stored};
use crate::StoreError;
use crate::memory::rules::{self, LEDGER};

/// The schema of a line.
const LINE_SCHEMA: u32 = 1;

/// Records read at once to make lines of: each holds its whole situation.
const RECORDS_PAGE: usize = 20;

/// Lines by place, which is their number, the newest first.
const LINES: &str = "SELECT c.id, c.kind, c.text, c._etag FROM c \
     WHERE c.place > @after AND c.place < @end ORDER BY c.place DESC";

/// What this process knows of the newest line of each workload. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<BTreeMap<WorkloadId, AuditLine>>>);

impl Lines {
    /// The lines that a query finds, the newest first.
    pub(super) async fn find(
        &self,
        account: &CosmosAccount,
        workload: &WorkloadId,
        query: &AuditQuery,
        lines_max: usize,
    ) -> Result<Vec<AuditLine>, StoreError> {
        self.catch_up(account, workload).await?;
        let mut found = Vec::new();
        let mut end = query.before.map_or_else(|| Place::LINES_END.to_owned(), Place::line);
        while found.len() < lines_max {
            let page = page(account, workload, &end).await?;
            let Some(last) = page.last() else { break };
            end = Place::line(last.seq);
            // `as_of` never goes back, so what comes later here is older.
            let is_over = query.from.is_some_and(|from| last.at < from);
            found.extend(page.into_iter().filter(|line| query.finds(line)));
            if is_over {
                break;
            }
        }
        found.truncate(lines_max);
        Ok(found)
    }

    /// Adds the lines of records that have none.
    async fn catch_up(&self, account: &CosmosAccount, workload: &WorkloadId) -> Result<(), StoreError> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(workload).cloned();
        let is_remembered = remembered.is_some();
        let mut newest = match remembered {
            Some(line) => Some(line),
            None => page(account, workload, Place::LINES_END).await?.into_iter().next(),
        };
        loop {
            let after = newest.as_ref().map_or(0, |line| line.seq);
            let records = records(account, Container::Ledger, workload, after, RECORDS_PAGE).await?;
            for record in &records {
                let follows = newest.as_ref().is_none_or(|line| line.hash == record.previous);
                if !follows && is_remembered {
                    // What was remembered was lost with a write region: the next question begins from what is stored.
                    self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(workload);
                    return Ok(());
                }
                let line = AuditLine::of(record, newest.as_ref());
                let text = rules::encode(LEDGER, "audit line", LINE_SCHEMA, &line)?;
                let document = Document::line(workload.as_str(), line.seq, text)?;
                // There already is success: another reader was at it.
                let _ = account.write(Container::Ledger, workload.as_str(), &document, None).await?;
                newest = Some(line);
            }
            if let Some(newest) = &newest {
                let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(workload.clone(), newest.clone());
            }
            if records.len() < RECORDS_PAGE {
                return Ok(());
            }
        }
    }
}

/// One page of lines with places before `end`, the newest first.
async fn page(
    account: &CosmosAccount,
    workload: &WorkloadId,
    end: &str,
) -> Result<Vec<AuditLine>, StoreError> {
    let query = range(LINES, Place::LINES, end)?;
    let found = account.query(Container::Ledger, workload.as_str(), query, |found| !found.is_empty()).await?;
    found.iter().filter(|stored| stored.kind == Kind::Line).map(decode).collect()
}

fn decode(stored: &Stored) -> Result<AuditLine, StoreError> {
    rules::decode(LEDGER, "audit line", LINE_SCHEMA, stored.text.as_bytes())
}
