//! An embedded audit examined where it lies, damaged or not: the file is only read, nothing of it is believed, and what is
//! broken is named by the number of its record. A store that opens for work refuses a damaged file as a whole; the person
//! who asks what was altered needs the record.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;

use domain::WorkloadId;
use domain::state::{STATE_SCHEMA, WorkloadState};
use redb::{ReadOnlyDatabase, ReadableDatabase};

use super::chain::{BROKEN_MAX, ChainWalk, Link, join, stored_link, unread_link};
use super::file::{broken, open_as_it_is};
use super::ledger::{AUDIT, STATE};
use crate::StoreError;
use crate::memory::rules::{self, LEDGER};

/// What a damaged page of the store is called.
const DAMAGED: &str = "the page of the file that holds it is damaged";

/// What an examination of a file found.
#[derive(Debug)]
pub struct Examination {
    /// The chain of the records that are there.
    pub walk: ChainWalk,
    /// Number and hash of the last record by the state that was committed with it; none before the first.
    pub head: Result<Option<(u64, String)>, StoreError>,
}

/// Walks the chain of a workload in a ledger's file, on every processor, without writing to the file. Blocks.
///
/// # Errors
/// When a process has the file open, or when nothing of it can be read: neither its audit nor the state that says how long
/// that is.
pub fn examine(path: &Path, workload: &WorkloadId) -> Result<Examination, StoreError> {
    let workload = workload.as_str();
    let head = guarded(|| head(&open_as_it_is(path, LEDGER)?, workload));
    let stated = head.as_ref().ok().and_then(|head| head.as_ref().map(|(seq, _)| *seq));
    let (first, last) = match (guarded(|| bounds(&open_as_it_is(path, LEDGER)?, workload)), stated) {
        (Ok(found), _) => found,
        (Err(_), Some(stated)) => (1, stated),
        (Err(error), None) => return Err(error),
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let workers = u64::try_from(workers).unwrap_or(1);
    let share = (last - first + 1).div_ceil(workers).max(1);
    let parts: Vec<(u64, Vec<Link>)> = thread::scope(|scope| {
        let started: Vec<_> = (0..workers)
            .map(|worker| {
                let from = first + worker * share;
                let until = from.saturating_add(share).min(last.saturating_add(1));
                scope.spawn(move || part(path, workload, from, until))
            })
            .collect();
        let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(Result::unwrap_or_default).collect()
    });
    let mut walk = ChainWalk::default();
    let mut links = Vec::new();
    for (bytes, part) in parts {
        walk.bytes += bytes;
        links.extend(part);
    }
    join(&mut walk, links);
    Ok(Examination { walk, head })
}

/// The store trusts its pages and panics at some that were damaged after they were written.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(rules::unreadable(LEDGER, "file".to_owned(), DAMAGED)))
}

fn head(database: &ReadOnlyDatabase, workload: &str) -> Result<Option<(u64, String)>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(STATE).map_err(failed)?;
    let Some(document) = table.get(workload).map_err(failed)? else { return Ok(None) };
    let state: WorkloadState = rules::decode(LEDGER, "state", STATE_SCHEMA, document.value())?;
    Ok((state.audit_seq > 0).then_some((state.audit_seq, state.audit_head)))
}

fn bounds(database: &ReadOnlyDatabase, workload: &str) -> Result<(u64, u64), StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(AUDIT).map_err(failed)?;
    let mut range = table.range((workload, 0)..=(workload, u64::MAX)).map_err(failed)?;
    let first = range.next().transpose().map_err(failed)?.map(|(key, _)| key.value().1);
    let last = range.next_back().transpose().map_err(failed)?.map(|(key, _)| key.value().1);
    let first = first.unwrap_or(1);
    Ok((first, last.unwrap_or(first)))
}

/// One worker's records. It has the file for itself: a panic inside the store leaves its locks poisoned.
fn part(path: &Path, workload: &str, from: u64, until: u64) -> (u64, Vec<Link>) {
    let whole = guarded(|| in_order(&open_as_it_is(path, LEDGER)?, workload, from, until));
    whole.unwrap_or_else(|_| one_by_one(path, workload, from, until))
}

fn in_order(
    database: &ReadOnlyDatabase,
    workload: &str,
    from: u64,
    until: u64,
) -> Result<(u64, Vec<Link>), StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(AUDIT).map_err(failed)?;
    let mut links = Vec::new();
    let mut bytes = 0;
    for entry in table.range((workload, from)..(workload, until)).map_err(failed)? {
        let (key, document) = entry.map_err(failed)?;
        let document = document.value();
        bytes += u64::try_from(document.len()).unwrap_or(0);
        links.push(stored_link(key.value().1, document));
    }
    Ok((bytes, links))
}

/// Around what is damaged: each record is asked for by itself, and those that the store cannot hand out are named.
fn one_by_one(path: &Path, workload: &str, from: u64, until: u64) -> (u64, Vec<Link>) {
    let (mut bytes, mut links) = (0, Vec::new());
    let (mut next, mut unread) = (from, 0);
    while next < until && unread < BROKEN_MAX {
        // After a panic the file is opened again.
        let _ = guarded(|| {
            let database = open_as_it_is(path, LEDGER)?;
            let transaction = database.begin_read().map_err(failed)?;
            let table = transaction.open_table(AUDIT).map_err(failed)?;
            while next < until {
                if let Some(document) = table.get((workload, next)).map_err(failed)? {
                    let document = document.value();
                    bytes += u64::try_from(document.len()).unwrap_or(0);
                    links.push(stored_link(next, document));
                }
                next += 1;
            }
            Ok(())
        });
        if next < until {
            links.push(unread_link(next, DAMAGED));
            unread += 1;
            next += 1;
        }
    }
    (bytes, links)
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    broken(LEDGER, error)
}
