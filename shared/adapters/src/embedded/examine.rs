//! An embedded audit examined where it lies, damaged or not: the file is only read, nothing of it is believed, and what is
//! broken is named by the number of its record. A store that opens for work refuses a damaged file as a whole; the person
//! who asks what was altered needs the record.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;

use domain::WorkloadId;
use domain::state::{STATE_SCHEMA, WorkloadState};
use redb::{ReadOnlyDatabase, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::chain::{BROKEN_MAX, ChainWalk, Link, join, placed_link, stored_link, strayed_link, unread_link};
use super::file::{broken, open_as_it_is};
use super::ledger::{AUDIT, STATE};
use crate::StoreError;
use crate::memory::rules::{self, LEDGER};

/// What a damaged page of the store is called.
const DAMAGED: &str = "the page of the file that holds it is damaged";

/// More records than any ledger has: a decision a second for three years. Keys that span more were damaged.
const SPAN_MAX: u64 = 100_000_000;

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
    let bounds = guarded(|| bounds(&open_as_it_is(path, LEDGER)?, workload));
    let by_key = match &bounds {
        Ok((first, last)) if first <= last && last - first < SPAN_MAX => {
            side_by_side(path, workload, *first, *last)
        }
        _ => Err(rules::unreadable(LEDGER, "audit".to_owned(), DAMAGED)),
    };
    // A key that was changed may hide its record, and others with it, from every search.
    let all = guarded(|| count(&open_as_it_is(path, LEDGER)?)).ok();
    let number = |of: &Option<(u64, String)>| of.as_ref().map(|(seq, _)| *seq);
    if let Ok((walk, keys)) = &by_key
        && *keys == Keys::InOrder
        && all == Some(walk.records)
        && head.as_ref().is_ok_and(|head| number(head) == number(&walk.last))
    {
        return Ok(Examination { walk: walk.clone(), head });
    }
    let by_key = by_key.map(|(walk, _)| walk);
    // Something is wrong, perhaps the very keys by which it was looked up: everything is looked at where it lies.
    let links = guarded(|| everywhere(&open_as_it_is(path, LEDGER)?, workload)).or_else(|error| {
        let stated = head.as_ref().ok().and_then(|head| head.as_ref().map(|(seq, _)| *seq));
        stated.map(|last| one_by_one(path, workload, last)).ok_or(error)
    });
    Ok(Examination { walk: links.map(joined).or(by_key).or_else(|error| bounds.and(Err(error)))?, head })
}

/// Whether the records between two keys bear every number between them once, in order: then no key was changed, and what
/// is broken is a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    InOrder,
    Doubtful,
}

fn joined((bytes, links): (u64, Vec<Link>)) -> ChainWalk {
    let mut walk = ChainWalk { bytes, ..ChainWalk::default() };
    join(&mut walk, links);
    walk
}

/// The records between two keys, a part of them on each processor.
fn side_by_side(path: &Path, workload: &str, first: u64, last: u64) -> Result<(ChainWalk, Keys), StoreError> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let workers = u64::try_from(workers).unwrap_or(1);
    let share = (last - first + 1).div_ceil(workers);
    let parts: Vec<Result<(u64, Vec<Link>), StoreError>> = thread::scope(|scope| {
        let started: Vec<_> = (0..workers)
            .map(|worker| {
                let from = first + worker * share;
                let until = (from + share).min(last + 1);
                // Each has the file for itself: a panic inside the store leaves its locks poisoned.
                scope.spawn(move || {
                    guarded(|| in_order(&open_as_it_is(path, LEDGER)?, workload, from.min(until), until))
                })
            })
            .collect();
        let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|part| part.unwrap_or_else(|_| Err(rules::unavailable(LEDGER, "a walker stopped"))))
            .collect()
    });
    let (mut bytes, mut links) = (0, Vec::new());
    for part in parts {
        let (more, part) = part?;
        bytes += more;
        links.extend(part);
    }
    let keys = if links.iter().map(Link::seq).eq(first..=last) { Keys::InOrder } else { Keys::Doubtful };
    Ok((joined((bytes, links)), keys))
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
        let ((of, seq), document) = (key.value(), document.value());
        if of != workload {
            return Err(rules::unreadable(
                LEDGER,
                "audit".to_owned(),
                "a key between its own is another workload's",
            ));
        }
        bytes += u64::try_from(document.len()).unwrap_or(0);
        links.push(stored_link(seq, document));
    }
    Ok((bytes, links))
}

/// Records in the file, as the store counts them; of other workloads too, if it holds several.
fn count(database: &ReadOnlyDatabase) -> Result<u64, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    transaction.open_table(AUDIT).map_err(failed)?.len().map_err(failed)
}

/// Every record of the file that says it is the workload's, or lies where one of its own would, by its own number.
fn everywhere(database: &ReadOnlyDatabase, workload: &str) -> Result<(u64, Vec<Link>), StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(AUDIT).map_err(failed)?;
    let mut links = Vec::new();
    let mut bytes = 0;
    for entry in table.iter().map_err(failed)? {
        let (key, document) = entry.map_err(failed)?;
        let document = document.value();
        // A key that is no text any more cannot even be read.
        let link = match catch_unwind(AssertUnwindSafe(|| key.value())) {
            Ok((of, seq)) if of == workload => Some(placed_link(seq, document)),
            _ => strayed_link(workload, document),
        };
        if let Some(link) = link {
            bytes += u64::try_from(document.len()).unwrap_or(0);
            links.push(link);
        }
    }
    links.sort_by_key(Link::seq);
    Ok((bytes, links))
}

/// Around what is damaged: each record is asked for by itself, and those that the store cannot hand out are named.
fn one_by_one(path: &Path, workload: &str, last: u64) -> (u64, Vec<Link>) {
    let (mut bytes, mut links) = (0, Vec::new());
    let (mut next, mut unread) = (1, 0);
    while next <= last && unread < BROKEN_MAX {
        // After a panic the file is opened again.
        let _ = guarded(|| {
            let database = open_as_it_is(path, LEDGER)?;
            let transaction = database.begin_read().map_err(failed)?;
            let table = transaction.open_table(AUDIT).map_err(failed)?;
            while next <= last {
                if let Some(document) = table.get((workload, next)).map_err(failed)? {
                    let document = document.value();
                    bytes += u64::try_from(document.len()).unwrap_or(0);
                    links.push(stored_link(next, document));
                }
                next += 1;
            }
            Ok(())
        });
        if next <= last {
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
