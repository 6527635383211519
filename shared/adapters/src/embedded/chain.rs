//! The chain of an embedded audit, checked where it lies: each record's text is hashed as it is stored, so that a hundred
//! thousand records are a matter of a second or two. What does not match is read in full before it is called broken.

use domain::audit::AuditRecord;
use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::memory::rules::{self, AUDIT_SCHEMA, LEDGER};

/// Broken places that are named; a file that is wholly something else has as many as records.
pub(super) const BROKEN_MAX: usize = 100;

/// What a walk along the chain found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainWalk {
    /// Records walked.
    pub records: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// Number and hash of the first.
    pub first: Option<(u64, String)>,
    /// Number and hash of the last.
    pub last: Option<(u64, String)>,
    /// What is broken, with the number of the record.
    pub broken: Vec<(u64, String)>,
}

/// What one record contributes to the chain.
pub(super) struct Link {
    seq: u64,
    previous: String,
    hash: String,
    wrong: Option<String>,
}

/// Checks records that are not in a file of ours, such as the lines of an export, the oldest first. Blank lines count for
/// nothing.
pub fn walk_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> ChainWalk {
    let mut walk = ChainWalk::default();
    let mut links = Vec::new();
    let mut first = None;
    for (number, line) in (0u64..).zip(lines.filter(|line| !line.trim_ascii().is_empty())) {
        walk.bytes += u64::try_from(line.len()).unwrap_or(0);
        // An export may start anywhere; from there on each line has its place.
        let start = *first.get_or_insert_with(|| {
            serde_json::from_slice::<AuditRecord>(line).map_or(1, |record| record.seq)
        });
        links.push(link(start + number, line.trim_ascii()));
    }
    join(&mut walk, links);
    walk
}

impl Link {
    /// The number of its record.
    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }
}

/// The link of a stored document by the number of the record itself, if that is whole and only its key is another one.
pub(super) fn placed_link(seq: u64, document: &[u8]) -> Link {
    let link = stored_link(seq, document);
    if link.wrong.is_none() {
        return link;
    }
    match own_number(document) {
        Some((_, own)) if own != seq => misplaced(own, document).unwrap_or(link),
        _ => link,
    }
}

/// The link of a whole record of this workload that lies under the key of another one.
pub(super) fn strayed_link(workload: &str, document: &[u8]) -> Option<Link> {
    let (of, own) = own_number(document)?;
    if of == workload { misplaced(own, document) } else { None }
}

fn misplaced(own: u64, document: &[u8]) -> Option<Link> {
    let whole = stored_link(own, document);
    let wrong = Some("is whole and lies in another place: its key in the file was changed".to_owned());
    whole.wrong.is_none().then_some(Link { wrong, ..whole })
}

/// Whose record a document says it is, and its number.
fn own_number(document: &[u8]) -> Option<(String, u64)> {
    let record = rules::decode::<AuditRecord>(LEDGER, "audit record", AUDIT_SCHEMA, document).ok()?;
    Some((record.workload.to_string(), record.seq))
}

/// The link of a record that the store could not even hand out.
pub(super) fn unread_link(seq: u64, why: &str) -> Link {
    let wrong = Some(format!("cannot be read: {why}"));
    Link { seq, previous: String::new(), hash: String::new(), wrong }
}

/// The link of a stored document: the record in its envelope.
pub(super) fn stored_link(seq: u64, document: &[u8]) -> Link {
    let fast = || {
        let parts = members(document)?;
        let [(b"schema", schema), (b"body", body)] = parts.as_slice() else { return None };
        if *schema == AUDIT_SCHEMA.to_string().as_bytes() { as_written(seq, body) } else { None }
    };
    fast().unwrap_or_else(|| {
        let read = rules::decode::<AuditRecord>(LEDGER, "audit record", AUDIT_SCHEMA, document);
        let written = |record: &AuditRecord| rules::encode(LEDGER, "audit record", AUDIT_SCHEMA, record).ok();
        in_full(seq, document, read.map_err(|error| chain_of(&error)), written)
    })
}

fn link(seq: u64, text: &[u8]) -> Link {
    as_written(seq, text).unwrap_or_else(|| {
        let read = serde_json::from_slice::<AuditRecord>(text).map_err(|error| error.to_string());
        in_full(seq, text, read, |record| serde_json::to_vec(record).ok())
    })
}

/// The slow way, which knows what is wrong.
fn in_full(
    seq: u64,
    text: &[u8],
    read: Result<AuditRecord, String>,
    written: impl Fn(&AuditRecord) -> Option<Vec<u8>>,
) -> Link {
    match read {
        Ok(record) => {
            let altered = record.content_hash() != record.hash;
            let misnamed =
                record.id != format!("{:010}-{}", record.seq, record.hash.get(..16).unwrap_or_default());
            let rewritten = written(&record).is_none_or(|again| again != text);
            let wrong = match (altered, misnamed) {
                _ if record.seq != seq => Some("is not the record of its place"),
                (true, _) => Some("was changed after it was written: its content does not match its hash"),
                (_, true) => {
                    Some("was changed after it was written: its id is not made of its number and hash")
                }
                _ if rewritten => {
                    Some("was changed after it was written: it reads the same, and is not as we write it")
                }
                _ => None,
            };
            Link { seq, previous: record.previous, hash: record.hash, wrong: wrong.map(str::to_owned) }
        }
        Err(why) => unread_link(seq, &why),
    }
}

fn chain_of(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}

/// The link of a record whose text, put in the order of its keys with empty id and hash, has the hash that it names; none
/// if it is not so, or not in the form in which we write.
fn as_written(seq: u64, body: &[u8]) -> Option<Link> {
    let mut fields = members(body)?;
    fields.sort_by_key(|(name, _)| *name);
    let of = |wanted: &[u8]| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let text = |value: &[u8]| {
        Some(std::str::from_utf8(value).ok()?.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    };
    let (hash, previous) = (text(of(b"hash")?)?, text(of(b"previous")?)?);
    let named: u64 = std::str::from_utf8(of(b"seq")?).ok()?.parse().ok()?;
    let mut digest = Sha256::new();
    digest.update(b"{");
    for (index, (name, value)) in fields.iter().enumerate() {
        digest.update(if index == 0 { "\"" } else { ",\"" });
        digest.update(name);
        digest.update(b"\":");
        digest.update(if matches!(*name, b"hash" | b"id") { b"\"\"" } else { *value });
    }
    digest.update(b"}");
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("{named:010}-{}", hash.get(..16)?);
    let good = found == hash && text(of(b"id")?)? == id && named == seq;
    good.then_some(Link { seq: named, previous, hash, wrong: None })
}

/// The members of a compact JSON object, names without their quotes; none if it is not one, or a name is escaped.
fn members(object: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let inner = object.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let mut members = Vec::with_capacity(18);
    let mut rest = inner;
    while !rest.is_empty() {
        let named = rest.strip_prefix(b"\"")?;
        let end = named.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let name = &named[..end];
        let value = named[end..].strip_prefix(b"\":")?;
        let length = value_length(value)?;
        members.push((name, &value[..length]));
        rest = match value[length..].split_first() {
            None => b"",
            Some((b',', [])) => return None,
            Some((b',', more)) => more,
            Some(_) => return None,
        };
    }
    Some(members)
}

/// Where a value ends: at the first comma outside of its own brackets and strings.
fn value_length(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0usize);
    while at < text.len() {
        match text[at] {
            b'"' => {
                at += 1;
                while *text.get(at)? != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
    (depth == 0).then_some(at)
}

/// Holds each link against the one before it. What a broken record names as its hash is not held against the next one.
pub(super) fn join(walk: &mut ChainWalk, links: Vec<Link>) {
    let mut before: Option<(u64, Option<String>)> = None;
    for link in links {
        walk.records += 1;
        let follows = match &before {
            // A trimmed ledger starts later; its first record names what it follows.
            None => link.seq != 1 || link.previous.is_empty(),
            Some((seq, hash)) => {
                link.seq == seq + 1 && hash.as_ref().is_none_or(|hash| link.previous == *hash)
            }
        };
        let is_good = link.wrong.is_none();
        let wrong = match link.wrong {
            Some(wrong) => Some(wrong),
            None if !follows => Some(
                "does not follow the one before it: a record is missing or was put in between".to_owned(),
            ),
            None => None,
        };
        if let Some(wrong) = wrong.filter(|_| walk.broken.len() < BROKEN_MAX) {
            walk.broken.push((link.seq, wrong));
        }
        if walk.first.is_none() {
            walk.first = Some((link.seq, link.hash.clone()));
        }
        walk.last = Some((link.seq, link.hash.clone()));
        before = Some((link.seq, is_good.then_some(link.hash)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Generation, Timestamp, WorkloadId};

    fn record(seq: u64, previous: &str) -> AuditRecord {
        AuditRecord {
            id: String::new(),
            schema: 1,
            workload: WorkloadId::new("contoso-shoes"),
            seq,
            previous: previous.to_owned(),
            generation: Generation { epoch: 1, n: seq },
            at: Timestamp::from_secs(60),
            headline: "say \"no\" \\ {[,]} \u{e9}".to_owned(),
            because: vec!["a, b".to_owned()],
            decision: domain::canonical::JsonPart::of(
                &serde_json::json!({"b": [1, {"c": "}"}], "a": 423.209_170_872_713_23}),
            ),
            findings: serde_json::json!([]),
            steps: serde_json::Value::Null,
            explanation: serde_json::Value::Null,
            consumed: vec![],
            situation: domain::canonical::JsonText::of(&serde_json::json!({"rps": 1.5, "a": null})),
            policy_hash: "00".to_owned(),
            hash: String::new(),
        }
        .sealed()
    }

    fn export() -> Vec<u8> {
        let first = record(1, "");
        let second = record(2, &first.hash);
        let third = record(3, &second.hash);
        let lines = [first, second, third].map(|record| serde_json::to_string(&record).unwrap());
        lines.join("\n").into_bytes()
    }

    fn walked(text: &[u8]) -> ChainWalk {
        walk_lines(text.split(|byte| *byte == b'\n'))
    }

    #[test]
    fn what_is_whole_is_taken_as_it_is_written() {
        let text = export();
        let walk = walked(&text);
        assert_eq!((walk.records, walk.broken.clone()), (3, vec![]));
        for line in text.split(|byte| *byte == b'\n') {
            assert!(
                as_written(walk.records, line).is_some()
                    || as_written(1, line).is_some()
                    || as_written(2, line).is_some()
            );
        }
    }

    #[test]
    fn every_flipped_bit_of_every_byte_is_found_and_its_record_named() {
        let text = export();
        let line_of = |at: usize| text[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        for at in (0..text.len()).filter(|at| text[*at] != b'\n') {
            for bit in [0, 3, 6] {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                if flipped[at] == b'\n' {
                    continue;
                }
                let walk = walked(&flipped);
                let named: Vec<u64> = walk.broken.iter().map(|(seq, _)| *seq).collect();
                let line = line_of(at);
                // The first line says where the export starts.
                let renumbered = line == 1 && named.len() > 1;
                assert!(
                    named == [line] || renumbered,
                    "byte {at} bit {bit} of line {line}: {:?}",
                    walk.broken
                );
            }
        }
    }
}
