//! The audit record: one per transition, in the same commit, hash chained, enough to re-run the decision.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::canonical::{JsonPart, JsonText};
use crate::{Generation, Timestamp, WorkloadId};

/// One record. `hash` covers every other field in canonical JSON, `previous` included: that is the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// `seq-hash`: contains its own hash, so that "already there" is success only if the body is equal.
    pub id: String,
    /// Schema version of the record.
    pub schema: u32,
    /// Whose.
    pub workload: WorkloadId,
    /// 1 for the first.
    pub seq: u64,
    /// The hash of the record before; empty for the first.
    pub previous: String,
    /// The generation that the commit made.
    pub generation: Generation,
    /// The `as_of` of the decision.
    pub at: Timestamp,
    /// One sentence for the operator.
    pub headline: String,
    /// Sentences: why, and why not.
    pub because: Vec<String>,
    /// What was decided, typed: `Decision` as JSON.
    #[schemars(with = "Value")]
    pub decision: JsonPart,
    /// Safety findings: `Vec<Finding>` as JSON.
    pub findings: Value,
    /// The steps that the commit planned or changed, each with its undo time.
    pub steps: Value,
    /// What explains the decision: `Explanation` as JSON, each alternative and counterfactual with its words, and
    /// `unenforced`, what the modes kept from being done. Null in records from before there was any.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub explanation: Value,
    /// The inbox items that the commit consumed.
    pub consumed: Vec<String>,
    /// Everything that `decide` read: `Situation` as JSON, kept as the text that the hash covers.
    #[schemars(with = "Value")]
    pub situation: JsonText,
    /// SHA-256 of the policy's canonical JSON, so that a re-run knows which policy it needs.
    pub policy_hash: String,
    /// Hex SHA-256 of all of the above but `id`.
    pub hash: String,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A record's content does not match its hash.
    #[error("audit record {seq} was changed after it was written: its content does not match its hash")]
    Altered {
        /// Its number.
        seq: u64,
    },
    /// A record does not follow the one before it.
    #[error("audit record {seq} does not follow record {after}: a record is missing or was put in between")]
    Gap {
        /// Its number.
        seq: u64,
        /// The number of the record before it.
        after: u64,
    },
}

impl AuditRecord {
    /// Computes hash and id from the other fields.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.hash = self.content_hash();
        self.id = format!("{:010}-{}", self.seq, &self.hash[..16]);
        self
    }

    /// The last generation known to have stayed, if this is the first record of a new epoch: what was committed between
    /// the two may have been lost with the ledger's write region.
    pub fn begins_epoch_after(&self) -> Option<Generation> {
        /// The rest of a situation is passed over unread.
        #[derive(Deserialize)]
        struct Noted {
            notes: Vec<Value>,
        }
        // Asked of every record of a chain, and true of one in a year.
        if !self.situation.as_str().contains("\"epoch_began\"") {
            return None;
        }
        let noted: Noted = self.situation.read().ok()?;
        let note = noted.notes.iter().find(|note| note["note"] == "epoch_began")?;
        serde_json::from_value(note["after"].clone()).ok()
    }

    /// What the hash should be.
    pub fn content_hash(&self) -> String {
        hex(&Sha256::digest(self.hashed_text()))
    }

    /// What is hashed: every field by name, in the order of the names, id and hash empty. The parts that are kept as text
    /// are that text; a test holds all of it against the sorted tree.
    fn hashed_text(&self) -> Vec<u8> {
        let mut members =
            Members::with_capacity(self.decision.as_str().len() + self.situation.as_str().len());
        members.value("at", &self.at);
        members.value("because", &self.because);
        members.value("consumed", &self.consumed);
        members.text("decision", self.decision.as_str());
        if !self.explanation.is_null() {
            members.value("explanation", &self.explanation);
        }
        members.value("findings", &self.findings);
        members.value("generation", &self.generation);
        members.text("hash", "\"\"");
        members.value("headline", &self.headline);
        members.text("id", "\"\"");
        members.value("policy_hash", &self.policy_hash);
        members.value("previous", &self.previous);
        members.value("schema", &self.schema);
        members.value("seq", &self.seq);
        members.text("situation", self.situation.as_str());
        members.value("steps", &self.steps);
        members.value("workload", &self.workload);
        members.end()
    }
}

/// An object that grows member by member.
struct Members(Vec<u8>);

impl Members {
    /// With room for so many bytes beside the short members.
    fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes + 8 * 1024))
    }

    fn text(&mut self, name: &str, text: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.extend_from_slice(b"\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A `Value` keeps its keys sorted, and the rest are numbers, texts and lists of texts.
    fn value(&mut self, name: &str, value: &impl Serialize) {
        self.text(name, "");
        if serde_json::to_writer(&mut self.0, value).is_err() {
            self.0.extend_from_slice(b"null");
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

/// Checks a chain, the oldest record first. `head` is what came before the first of them, if anything did.
///
/// # Errors
/// At the first record that was altered, is missing or was put in between.
pub fn verify_chain<'a>(
    records: impl IntoIterator<Item = &'a AuditRecord>,
    head: Option<(u64, &str)>,
) -> Result<u64, ChainError> {
    let (mut after, mut previous) = head.map_or((0, String::new()), |(seq, hash)| (seq, hash.to_owned()));
    for record in records {
        if record.content_hash() != record.hash {
            return Err(ChainError::Altered { seq: record.seq });
        }
        if record.seq != after + 1 || record.previous != previous {
            return Err(ChainError::Gap { seq: record.seq, after });
        }
        (after, previous) = (record.seq, record.hash.clone());
    }
    Ok(after)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, previous: &str) -> AuditRecord {
        AuditRecord {
            id: String::new(),
            schema: 1,
            workload: WorkloadId::new("contoso-shoes"),
            seq,
            previous: previous.to_owned(),
            generation: Generation { epoch: 1, n: seq },
            at: Timestamp::from_secs(60),
            headline: format!("record {seq}"),
            because: vec![],
            decision: JsonPart::of(&Value::Null),
            findings: Value::Null,
            steps: Value::Null,
            explanation: Value::Null,
            consumed: vec![],
            situation: JsonText::of(&serde_json::json!({"b": 1, "a": 2})),
            policy_hash: String::new(),
            hash: String::new(),
        }
        .sealed()
    }

    #[test]
    fn the_hash_covers_every_field_in_the_order_of_their_names() {
        let mut explained = record(7, "aa");
        explained.explanation = serde_json::json!({"z": [1.5, null], "a": "\u{1}é"});
        for record in [record(3, ""), explained] {
            let bare = AuditRecord { id: String::new(), hash: String::new(), ..record.clone() };
            let text = serde_json::to_value(&bare).map(|value| value.to_string()).unwrap();
            assert_eq!(record.content_hash(), hex(&Sha256::digest(text.as_bytes())));
        }
    }

    #[test]
    fn bytes_are_written_in_small_hexadecimal_digits() {
        assert_eq!(hex(&[0x00, 0x0f, 0x5a, 0xff]), "000f5aff");
    }

    #[test]
    fn a_chain_holds_until_one_record_is_altered_or_missing() {
        let first = record(1, "");
        let second = record(2, &first.hash);
        let third = record(3, &second.hash);
        assert_eq!(verify_chain([&first, &second, &third], None), Ok(3));
        assert_eq!(verify_chain([&third], Some((2, &second.hash))), Ok(3));
        assert_eq!(verify_chain([&first, &third], None), Err(ChainError::Gap { seq: 3, after: 1 }));
        // The right number on another record, and the right record under another number.
        let stranger = record(2, &third.hash);
        assert_eq!(verify_chain([&first, &stranger], None), Err(ChainError::Gap { seq: 2, after: 1 }));
        let misnumbered = record(3, &first.hash);
        assert_eq!(verify_chain([&first, &misnumbered], None), Err(ChainError::Gap { seq: 3, after: 1 }));
        let mut altered = second.clone();
        altered.headline = "all quiet".into();
        assert_eq!(verify_chain([&first, &altered, &third], None), Err(ChainError::Altered { seq: 2 }));
    }
}
