//! The rules that a store keeps, whatever it is made of: what is refused, what is a conflict, how a document is written
//! and read. Pure, so that a store adds only where the bytes lie.

use std::collections::BTreeSet;

use domain::audit::AuditRecord;
use domain::gate::GATE_SCHEMA;
use domain::state::{STATE_SCHEMA, WorkloadState};
use domain::{
    CONSUMED_MAX, GateDocument, Generation, InboxItem, ItemBody, ItemId, Measure, OperationId, Signal,
    StampId, Step, StepId, StoredStep, Timestamp, Transition,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Most bytes that one commit writes, each document as a JSON string: a Cosmos DB batch holds 2 MiB, a hundred envelopes
/// take up to 64 KiB of it, and no other store may accept what that refuses.
pub const COMMIT_BYTES_MAX: usize = 2 * 1024 * 1024 - 64 * 1024;

/// Most operations of one commit, for the same reason: state, record, each step and each consumed item are one each.
pub const COMMIT_OPERATIONS_MAX: usize = 100;

/// Most bytes of one document outside a commit (an inbox item, a claimed step), as a JSON string: the limit of a Cosmos
/// DB item, 2 MiB, without its envelope.
pub const DOCUMENT_BYTES_MAX: usize = 2 * 1024 * 1024 - 64 * 1024;

/// Most bytes of a gate document, which has a dozen short fields: a larger file is not one.
pub const GATE_BYTES_MAX: usize = 64 * 1024;

/// Longest stamp id that can name a gate, so that its file name fits on every file system with room for a suffix.
const STAMP_CHARS_MAX: usize = 63;

/// The year 10000, whose times have no text that can be read.
const PLAIN_UNTIL_MS: i64 = 253_402_300_800_000;

const _: () = assert!(CONSUMED_MAX + 2 < COMMIT_OPERATIONS_MAX, "a full drain leaves room for steps");
const _: () = assert!(DOCUMENT_BYTES_MAX <= COMMIT_BYTES_MAX, "one document fits into a commit");

/// Schema of stored steps, inbox items and audit records; the state and the gate document have their own.
pub(crate) const STEP_SCHEMA: u32 = 1;
/// See `STEP_SCHEMA`.
pub(crate) const ITEM_SCHEMA: u32 = 1;
/// See `STEP_SCHEMA`.
pub(crate) const AUDIT_SCHEMA: u32 = 1;

/// The stores' names, as errors show them.
pub(crate) const LEDGER: &str = "ledger";
/// See `LEDGER`.
pub(crate) const GATES: &str = "gate store";
/// See `LEDGER`.
pub(crate) const AUDIT: &str = "audit store";
/// See `LEDGER`.
pub(crate) const EPOCH: &str = "epoch store";

/// Where an item stands in the inbox: urgent ones first, then by event time and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InboxKey {
    /// 0 for commands and outcomes, 1 for everything else.
    pub(crate) rank: u8,
    /// When it happened.
    pub(crate) event_at: Timestamp,
    /// Breaks the tie.
    pub(crate) id: ItemId,
}

impl InboxKey {
    /// The place of an item.
    pub(crate) fn of(item: &InboxItem) -> Self {
        let rank = if item.is_urgent() { 0 } else { 1 };
        Self { rank, event_at: item.event_at, id: item.id.clone() }
    }
}

/// What a commit is judged against: the ledger as it is at that moment.
pub trait Present {
    /// The current state's identity; none before the first commit.
    ///
    /// # Errors
    /// When it cannot be read.
    fn head(&self) -> Result<Option<Head>, StoreError>;
    /// The version of a step; none if it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    fn step_version(&self, id: &StepId) -> Result<Option<u64>, StoreError>;
    /// Whether the item is in the inbox.
    ///
    /// # Errors
    /// When it cannot be read.
    fn waits(&self, id: &ItemId) -> Result<bool, StoreError>;
}

/// What of the current state a commit is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    generation: Generation,
    operation: OperationId,
    audit_seq: u64,
    audit_head: String,
}

impl Head {
    /// The identity of a state.
    pub fn of(state: &WorkloadState) -> Self {
        Self {
            generation: state.generation,
            operation: state.operation.clone(),
            audit_seq: state.audit_seq,
            audit_head: state.audit_head.clone(),
        }
    }
}

/// What is to become of a commit.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Everything is as the transition expects: write all of it.
    Write,
    /// This very commit is stored already: it timed out after it was stored.
    AlreadyStored,
    /// Something it builds on has changed.
    Conflict,
}

/// A commit whose form is in order, with its documents as they will be stored.
#[derive(Debug)]
pub struct Prepared {
    /// The state's document.
    pub state: Vec<u8>,
    /// The steps at their new versions, each with its document.
    pub steps: Vec<(StoredStep, Vec<u8>)>,
    /// The record's document.
    pub audit: Option<Vec<u8>>,
}

/// Checks what can be said of a transition without looking at the store, and encodes it.
///
/// # Errors
/// When its form breaks a rule, or a document of it could not be read back.
pub fn prepare(transition: &Transition) -> Result<Prepared, StoreError> {
    check_form(transition)?;
    let state = encode(LEDGER, "state", STATE_SCHEMA, &transition.state)?;
    let mut steps = Vec::with_capacity(transition.steps.len());
    for stored in transition.steps_written() {
        let document = encode(LEDGER, "step", STEP_SCHEMA, &stored)?;
        steps.push((stored, document));
    }
    let audit = match &transition.audit {
        Some(record) => Some(encode(LEDGER, "audit record", AUDIT_SCHEMA, record)?),
        None => None,
    };
    let bytes = bytes_as_string(&state)
        + steps.iter().map(|(_, document)| bytes_as_string(document)).sum::<usize>()
        + audit.as_deref().map_or(0, bytes_as_string);
    if bytes > COMMIT_BYTES_MAX {
        return Err(refused(
            LEDGER,
            format!("a commit of {bytes} bytes is over the bound of {COMMIT_BYTES_MAX}"),
        ));
    }
    Ok(Prepared { state, steps, audit })
}

/// Judges a prepared transition against the ledger as it is.
///
/// # Errors
/// When the ledger cannot be read, or the audit record does not follow the chain.
pub fn judge(transition: &Transition, present: &impl Present) -> Result<Judgement, StoreError> {
    let head = present.head()?;
    if let Some(head) = &head
        && head.operation == transition.state.operation
        && head.generation == transition.state.generation
    {
        return Ok(Judgement::AlreadyStored);
    }
    if head.as_ref().map(|head| head.generation) != transition.parent {
        return Ok(Judgement::Conflict);
    }
    for write in &transition.steps {
        if present.step_version(&write.step.id)? != write.expected {
            return Ok(Judgement::Conflict);
        }
    }
    for id in &transition.forgotten {
        if present.step_version(id)?.is_none() {
            return Ok(Judgement::Conflict);
        }
    }
    for id in &transition.consumed {
        if !present.waits(id)? {
            return Ok(Judgement::Conflict);
        }
    }
    check_chain(transition, head.as_ref())?;
    Ok(Judgement::Write)
}

/// Whether a claim holds: the step is still at the version that the claimer read. This is the fence.
pub fn claim_holds(present: Option<u64>, expected: u64) -> bool {
    present == Some(expected)
}

/// Whether a gate document must leave the one in force alone, which is of a newer generation (S4, strict for gates).
pub fn gate_yields(in_force: Option<Generation>, document: Generation) -> bool {
    in_force.is_some_and(|in_force| in_force > document)
}

/// Checks a claim's form and encodes the step at its next version.
pub(crate) fn prepare_claim(expected: &StoredStep, step: &Step) -> Result<(StoredStep, Vec<u8>), StoreError> {
    if expected.step.id != step.id {
        return Err(refused(
            LEDGER,
            format!("step {} cannot be replaced by step {}", expected.step.id, step.id),
        ));
    }
    let stored = StoredStep { version: expected.version + 1, step: step.clone() };
    let document = encode(LEDGER, "step", STEP_SCHEMA, &stored)?;
    check_size(LEDGER, "step", bytes_as_string(&document), DOCUMENT_BYTES_MAX)?;
    Ok((stored, document))
}

/// Checks and encodes an inbox item. An event from outside, of which a sender may send thousands a second, is not read back to
/// prove that it can be, where nothing is in it that could keep it from that.
pub(crate) fn prepare_item(item: &InboxItem) -> Result<Vec<u8>, StoreError> {
    let document = if is_plain(item) {
        write(LEDGER, "inbox item", ITEM_SCHEMA, item)?
    } else {
        encode(LEDGER, "inbox item", ITEM_SCHEMA, item)?
    };
    check_size(LEDGER, "inbox item", bytes_as_string(&document), DOCUMENT_BYTES_MAX)?;
    Ok(document)
}

/// Whether an item is made of texts, names, whole numbers and times of four-digit years alone, which JSON gives back as they
/// were. A command, an outcome and an observer's facts, where there are other numbers, are none.
fn is_plain(item: &InboxItem) -> bool {
    let usual = |at: Timestamp| (0..PLAIN_UNTIL_MS).contains(&at.as_millis());
    let signals = match &item.body {
        ItemBody::Observed { signals, facts } if facts.is_empty() => signals.as_slice(),
        ItemBody::Refused { .. } => &[],
        ItemBody::Observed { .. } | ItemBody::Command { .. } | ItemBody::Outcome { .. } => return false,
    };
    usual(item.event_at)
        && usual(item.received_at)
        && signals.iter().all(|signal| {
            // All of them by name, so that a new field is thought of here.
            let Signal {
                scope: _,
                class: _,
                source: _,
                verdict: _,
                observed_at,
                standing: _,
                failure: _,
                measure: None | Some(Measure { failed: _, total: _ }),
                note: _,
            } = signal;
            usual(*observed_at)
        })
}

/// Checks that a record is sealed, and encodes it for the append-only copy.
pub(crate) fn prepare_record(record: &AuditRecord) -> Result<Vec<u8>, StoreError> {
    check_sealed(AUDIT, record)?;
    let document = encode(AUDIT, "audit record", AUDIT_SCHEMA, record)?;
    check_size(AUDIT, "audit record", bytes_as_string(&document), DOCUMENT_BYTES_MAX)?;
    Ok(document)
}

/// Checks and encodes a gate document. It is its own envelope: it carries its schema.
pub(crate) fn prepare_gate(document: &GateDocument) -> Result<Vec<u8>, StoreError> {
    check_stamp(&document.stamp)?;
    if document.schema != GATE_SCHEMA {
        return Err(refused(
            GATES,
            format!("a gate document of schema {} is not one of ours ({GATE_SCHEMA})", document.schema),
        ));
    }
    let text = serde_json::to_vec(document).map_err(|_| unwritable(GATES, "gate document"))?;
    check_size(GATES, "gate document", text.len(), GATE_BYTES_MAX)?;
    let same = decode_gate(&document.stamp, &text).is_ok_and(|read| read == *document);
    if !same {
        return Err(refused(GATES, "a gate document that could not be read back".to_owned()));
    }
    Ok(text)
}

/// Reads a gate document, its schema first.
pub(crate) fn decode_gate(stamp: &StampId, text: &[u8]) -> Result<GateDocument, StoreError> {
    let what = || format!("gate document of {stamp}");
    check_version(GATES, what, GATE_SCHEMA, text)?;
    let document: GateDocument =
        serde_json::from_slice(text).map_err(|error| unreadable(GATES, what(), error))?;
    if document.stamp != *stamp {
        return Err(unreadable(GATES, what(), format!("it is the gate of {}", document.stamp)));
    }
    Ok(document)
}

/// A stamp id that can name a gate: `[a-z0-9-]`, so that it is the same file name on every file system and no path.
pub(crate) fn check_stamp(stamp: &StampId) -> Result<(), StoreError> {
    let text = stamp.as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = !text.is_empty() && text.len() <= STAMP_CHARS_MAX && text.chars().all(plain);
    if !good {
        return Err(refused(
            GATES,
            format!("{text:?} cannot name a gate: 1 to {STAMP_CHARS_MAX} characters of a-z, 0-9 and -"),
        ));
    }
    Ok(())
}

/// Writes a document in its envelope, and makes sure that it can be read back as it was: a state that holds a number
/// JSON cannot carry would otherwise be found unreadable by every evaluation from then on.
pub(crate) fn encode<T>(
    store: &'static str,
    what: &'static str,
    schema: u32,
    body: &T,
) -> Result<Vec<u8>, StoreError>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    let text = write(store, what, schema, body)?;
    let same = serde_json::from_slice::<Read<T>>(&text).is_ok_and(|read| read.body == *body);
    if same { Ok(text) } else { Err(unwritable(store, what)) }
}

/// Writes a document in its envelope.
fn write<T: Serialize>(
    store: &'static str,
    what: &'static str,
    schema: u32,
    body: &T,
) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&Written { schema, body }).map_err(|_| unwritable(store, what))
}

/// Reads a document from its envelope, its schema first: a newer one is never guessed at.
pub(crate) fn decode<T: DeserializeOwned>(
    store: &'static str,
    what: &'static str,
    schema: u32,
    text: &[u8],
) -> Result<T, StoreError> {
    check_version(store, || what.to_owned(), schema, text)?;
    serde_json::from_slice::<Read<T>>(text)
        .map(|read| read.body)
        .map_err(|error| unreadable(store, what.to_owned(), error))
}

/// An error that names the document which cannot be read.
pub(crate) fn unreadable(
    store: &'static str,
    what: String,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Unreadable { store, what, source: cause.into() }
}

/// An error that says the store cannot be reached.
pub(crate) fn unavailable(
    store: &'static str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Unavailable { store, source: cause.into() }
}

/// An error that says a stored record was to be overwritten.
pub(crate) fn other_body(record: &AuditRecord) -> StoreError {
    refused(AUDIT, format!("record {} is there with another body", record.id))
}

#[derive(Serialize)]
struct Written<'a, T> {
    schema: u32,
    body: &'a T,
}

#[derive(Deserialize)]
struct Read<T> {
    body: T,
}

#[derive(Deserialize)]
struct Version {
    schema: u32,
}

fn check_version(
    store: &'static str,
    what: impl Fn() -> String,
    known: u32,
    text: &[u8],
) -> Result<(), StoreError> {
    let version: Version = serde_json::from_slice(text).map_err(|error| unreadable(store, what(), error))?;
    if version.schema > known {
        let cause = format!("its schema is {}, the newest known here is {known}", version.schema);
        return Err(unreadable(store, what(), cause));
    }
    Ok(())
}

fn check_form(transition: &Transition) -> Result<(), StoreError> {
    let state = &transition.state;
    if state.schema != STATE_SCHEMA {
        return Err(refused(
            LEDGER,
            format!("a state of schema {} is not one of ours ({STATE_SCHEMA})", state.schema),
        ));
    }
    if transition.parent.is_some_and(|parent| state.generation <= parent) {
        return Err(refused(LEDGER, format!("generation {} does not follow its parent", state.generation)));
    }
    if transition.consumed.len() > CONSUMED_MAX {
        return Err(refused(
            LEDGER,
            format!("{} items consumed, at most {CONSUMED_MAX} in one commit", transition.consumed.len()),
        ));
    }
    let record = usize::from(transition.audit.is_some());
    let operations =
        1 + record + transition.steps.len() + transition.forgotten.len() + transition.consumed.len();
    if operations > COMMIT_OPERATIONS_MAX {
        return Err(refused(
            LEDGER,
            format!("{operations} operations, at most {COMMIT_OPERATIONS_MAX} in one commit"),
        ));
    }
    let step_ids = transition.steps.iter().map(|write| &write.step.id).chain(&transition.forgotten);
    if has_duplicates(step_ids) {
        return Err(refused(LEDGER, "a step is named twice in one commit".to_owned()));
    }
    if has_duplicates(&transition.consumed) {
        return Err(refused(LEDGER, "an item is consumed twice".to_owned()));
    }
    let Some(record) = &transition.audit else {
        return Ok(());
    };
    check_sealed(LEDGER, record)?;
    let theirs = record.workload != state.workload || record.generation != state.generation;
    if theirs {
        return Err(refused(LEDGER, "the audit record is of another workload or generation".to_owned()));
    }
    Ok(())
}

/// The state points at the end of the chain, and the record, if there is one, is that end.
fn check_chain(transition: &Transition, head: Option<&Head>) -> Result<(), StoreError> {
    let (seq, hash) = head.map_or((0, ""), |head| (head.audit_seq, head.audit_head.as_str()));
    let (end_seq, end_hash) = match &transition.audit {
        Some(record) => {
            if record.seq != seq + 1 || record.previous != hash {
                return Err(refused(
                    LEDGER,
                    format!("audit record {} does not follow record {seq}", record.seq),
                ));
            }
            (record.seq, record.hash.as_str())
        }
        None => (seq, hash),
    };
    let state = &transition.state;
    if state.audit_seq != end_seq || state.audit_head != end_hash {
        return Err(refused(
            LEDGER,
            format!("the state names record {} as the last, which is record {end_seq}", state.audit_seq),
        ));
    }
    Ok(())
}

fn check_sealed(store: &'static str, record: &AuditRecord) -> Result<(), StoreError> {
    let sealed = record.clone().sealed();
    if sealed.hash != record.hash || sealed.id != record.id {
        return Err(refused(
            store,
            format!("audit record {} is not sealed: hash or id do not match its content", record.seq),
        ));
    }
    Ok(())
}

fn check_size(store: &'static str, what: &str, bytes: usize, max: usize) -> Result<(), StoreError> {
    if bytes > max {
        return Err(refused(store, format!("{what} of {bytes} bytes is over the bound of {max}")));
    }
    Ok(())
}

/// What a JSON document takes as a string within another: its quotes and backslashes count twice. Control characters
/// are escaped in it already.
pub(crate) fn bytes_as_string(document: &[u8]) -> usize {
    document.len() + document.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

fn has_duplicates<'a, T: Ord + 'a>(items: impl IntoIterator<Item = &'a T>) -> bool {
    let mut seen = BTreeSet::new();
    !items.into_iter().all(|item| seen.insert(item))
}

fn refused(store: &'static str, reason: String) -> StoreError {
    StoreError::Refused { store, reason }
}

fn unwritable(store: &'static str, what: &str) -> StoreError {
    let why = "could not be read back: a number that is not finite, or a time out of range";
    refused(store, format!("{what} that {why}"))
}

#[cfg(test)]
mod tests {
    use domain::{EvidenceClass, FailureKind, Refusal, RefusalCode, Scope, Standing, Verdict};

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn event(event_at: Timestamp, body: ItemBody) -> InboxItem {
        InboxItem { id: ItemId::new("probe-log:\"\\\u{0}\u{2028}é"), event_at, received_at: at(0), body }
    }

    fn observed(observed_at: Timestamp) -> ItemBody {
        let signal = Signal {
            scope: Scope::Stamp(StampId::new("\n\u{1f}\u{7f}")),
            class: EvidenceClass::Edge,
            source: String::new(),
            verdict: Verdict::Unhealthy,
            observed_at,
            standing: Standing::Sample,
            failure: Some(FailureKind::Dns),
            measure: Some(Measure { failed: u64::MAX, total: 0 }),
            note: "\"\\/\u{fffd}\u{10ffff}".to_owned(),
        };
        ItemBody::Observed { signals: vec![signal], facts: Default::default() }
    }

    #[test]
    fn what_is_not_read_back_could_have_been() {
        let refusal =
            Refusal { code: RefusalCode::Malformed, source: "\u{8}".to_owned(), note: "\u{e000}".to_owned() };
        for item in [
            event(at(PLAIN_UNTIL_MS - 1), observed(at(0))),
            event(at(1), observed(at(PLAIN_UNTIL_MS - 1))),
            event(at(0), ItemBody::Refused { refusal }),
        ] {
            assert!(is_plain(&item));
            let written = prepare_item(&item).unwrap();
            let proven = encode(LEDGER, "inbox item", ITEM_SCHEMA, &item);
            assert_eq!(written, proven.unwrap());
        }
    }

    #[test]
    fn a_time_that_nobody_could_read_again_is_refused_wherever_it_stands() {
        for beyond in [at(i64::MAX), at(i64::MIN)] {
            for item in [event(beyond, observed(at(0))), event(at(0), observed(beyond))] {
                assert!(matches!(prepare_item(&item), Err(StoreError::Refused { .. })), "{item:?}");
            }
        }
    }
}
