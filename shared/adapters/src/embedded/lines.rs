//! The index of the audit: a line for each record, and by which terms it is found. Written in the record's own commit, and
//! caught up when a file was last written by a version that knew of no index.

use domain::Timestamp;
use domain::audit::AuditRecord;
use domain::audit_line::{AuditLine, AuditQuery};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::file::broken;
use super::ledger::AUDIT;
use crate::StoreError;
use crate::memory::rules::{self, AUDIT_SCHEMA, LEDGER};

/// The schema of a line. One of another is made anew.
const LINE_SCHEMA: u32 = 1;

/// Workload, number: the line.
const LINES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("audit_lines");

/// Workload, term, number: nothing but that it is so.
const TERMS: TableDefinition<'_, (&str, &str, u64), ()> = TableDefinition::new("audit_terms");

/// The index within a write transaction.
pub(super) struct Index<'txn> {
    lines: Table<'txn, (&'static str, u64), &'static [u8]>,
    terms: Table<'txn, (&'static str, &'static str, u64), ()>,
}

impl<'txn> Index<'txn> {
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self { lines: transaction.open_table(LINES)?, terms: transaction.open_table(TERMS)? })
    }

    /// Adds the line of a record.
    pub(super) fn add(&mut self, workload: &str, record: &AuditRecord) -> Result<(), redb::Error> {
        let before = match record.seq.checked_sub(1) {
            Some(seq) => self.lines.get((workload, seq))?.and_then(|line| decode(line.value()).ok()),
            None => None,
        };
        let line = AuditLine::of(record, before.as_ref());
        // What cannot be written as a line is not found by one; the record itself is there all the same.
        let Ok(document) = rules::encode(LEDGER, "audit line", LINE_SCHEMA, &line) else { return Ok(()) };
        for term in line.terms() {
            self.terms.insert((workload, term.as_str(), record.seq), ())?;
        }
        self.lines.insert((workload, record.seq), document.as_slice())?;
        Ok(())
    }
}

/// Adds the lines that are missing. A record that cannot be read gets none, and neither does any after it: `audit verify`
/// names it.
pub(super) fn catch_up(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let audit = transaction.open_table(AUDIT)?;
    let mut index = Index::open(transaction)?;
    let mut workload = String::new();
    loop {
        let Some(next) = audit.range((workload.as_str(), u64::MAX)..)?.next() else { return Ok(()) };
        next?.0.value().0.clone_into(&mut workload);
        let of_workload = (workload.as_str(), 0)..=(workload.as_str(), u64::MAX);
        let last = index.lines.range(of_workload)?.next_back().transpose()?;
        let after = last.map_or(0, |(key, _)| key.value().1);
        for entry in
            audit.range((workload.as_str(), after.saturating_add(1))..=(workload.as_str(), u64::MAX))?
        {
            let (_, document) = entry?;
            match rules::decode(LEDGER, "audit record", AUDIT_SCHEMA, document.value()) {
                Ok(record) => index.add(&workload, &record)?,
                Err(_) => break,
            }
        }
    }
}

/// The lines that a query finds, the newest first.
pub(super) fn find(
    transaction: &ReadTransaction,
    workload: &str,
    query: &AuditQuery,
    lines_max: usize,
) -> Result<Vec<AuditLine>, StoreError> {
    let lines = transaction.open_table(LINES).map_err(failed)?;
    let terms = transaction.open_table(TERMS).map_err(failed)?;
    let wanted = query.terms();
    let mut below = query.before.unwrap_or(u64::MAX);
    if let Some(until) = query.until {
        below = below.min(first_after(&lines, workload, until)?);
    }
    let mut found = Vec::new();
    while found.len() < lines_max {
        let Some(seq) = next_below(&lines, &terms, workload, &wanted, below)? else { break };
        let Some(document) = lines.get((workload, seq)).map_err(failed)? else { break };
        let line = decode(document.value())?;
        if query.from.is_some_and(|from| line.at < from) {
            break;
        }
        found.push(line);
        below = seq;
    }
    Ok(found)
}

/// The highest number below `below` that has every wanted term: each term in turn jumps to its next place at or below the
/// candidate, until all of them meet.
fn next_below(
    lines: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    terms: &impl ReadableTable<(&'static str, &'static str, u64), ()>,
    workload: &str,
    wanted: &[String],
    below: u64,
) -> Result<Option<u64>, StoreError> {
    let Some((first, others)) = wanted.split_first() else {
        let last = lines.range((workload, 0)..(workload, below)).map_err(failed)?.next_back();
        return Ok(last.transpose().map_err(failed)?.map(|(key, _)| key.value().1));
    };
    let jump = |term: &str, below: u64| -> Result<Option<u64>, StoreError> {
        let last = terms.range((workload, term, 0)..(workload, term, below)).map_err(failed)?.next_back();
        Ok(last.transpose().map_err(failed)?.map(|(key, _)| key.value().2))
    };
    let Some(mut candidate) = jump(first, below)? else { return Ok(None) };
    'all: loop {
        for term in others {
            match jump(term, candidate.saturating_add(1))? {
                None => return Ok(None),
                Some(seq) if seq == candidate => {}
                Some(seq) => {
                    let Some(next) = jump(first, seq.saturating_add(1))? else { return Ok(None) };
                    candidate = next;
                    continue 'all;
                }
            }
        }
        return Ok(Some(candidate));
    }
}

/// The first number whose record is later than `until`: `as_of` never goes back, so the middle says which half it is in.
fn first_after(
    lines: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    workload: &str,
    until: Timestamp,
) -> Result<u64, StoreError> {
    let of_workload = || lines.range((workload, 0)..=(workload, u64::MAX)).map_err(failed);
    let first = of_workload()?.next().transpose().map_err(failed)?.map(|(key, _)| key.value().1);
    let last = of_workload()?.next_back().transpose().map_err(failed)?.map(|(key, _)| key.value().1);
    let (Some(mut low), Some(last)) = (first, last) else { return Ok(0) };
    let mut high = last.saturating_add(1);
    while low < high {
        let middle = low + (high - low) / 2;
        let document = lines.get((workload, middle)).map_err(failed)?;
        let is_later = match &document {
            Some(document) => decode(document.value())?.at > until,
            None => true,
        };
        if is_later {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

fn decode(document: &[u8]) -> Result<AuditLine, StoreError> {
    rules::decode(LEDGER, "audit line", LINE_SCHEMA, document)
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    broken(LEDGER, error)
}
