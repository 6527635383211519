//! What lies in the containers: ids, the one indexed property, and the envelope.
//!
//! The body is one string, not JSON in JSON. Cosmos DB stores numbers as doubles and the Functions host re-writes dates
//! on their way through the change feed; either would change the text that an audit hash covers.

use azure_core::http::Etag;
use domain::audit::AuditRecord;
use domain::{InboxItem, ItemId, StepId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::memory::rules::{self, AUDIT, AUDIT_SCHEMA, InboxKey};

/// The id of a workload's state in its partition.
pub(super) const STATE_ID: &str = "state";

/// How long evidence waits in the inbox, and how long the id of a consumed item is remembered by the store alone, s: a
/// week. Evidence is refused after `limits.horizon` (24 h), and by then the state remembers ids no more either.
/// Commands and outcomes wait without end.
const TTL_S: u32 = 7 * 24 * 60 * 60;

/// The longest part of a document's id that is written out. The service allows 1023 bytes.
const ID_PART_BYTES_MAX: usize = 200;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    State,
    Step,
    Item,
    /// What is left of an item that was folded: its id, so that a second delivery is known.
    Consumed,
    Audit,
    /// A record in short, for lists.
    Line,
    Gate,
    /// How far a notification target has been told.
    Place,
}

/// A document to be written.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Document {
    pub(super) id: String,
    workload: String,
    kind: Kind,
    /// Where it stands among its kind: the only property that the containers index besides id and time.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    /// For people and other programs that read the container; nothing here is read back.
    #[serde(flatten)]
    shown: Map<String, Value>,
}

/// A document as it was read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) text: String,
    #[serde(rename = "_etag")]
    pub(super) etag: Etag,
}

/// One end of a range of places; ends sort after everything that begins with the same kind.
pub(super) struct Place;

impl Place {
    pub(super) const STEPS: &str = "0|";
    /// After the last inbox item.
    pub(super) const ITEMS_END: &str = "1~";
    pub(super) const RECORDS_END: &str = "2~";
    pub(super) const CONSUMED: &str = "3|";
    pub(super) const LINES: &str = "4|";
    pub(super) const LINES_END: &str = "4~";

    /// After every record of this number; the ten digits are those of a record's id.
    pub(super) fn after_record(seq: u64) -> String {
        format!("2|{seq:010}~")
    }

    /// Of the line of this record.
    pub(super) fn line(seq: u64) -> String {
        format!("{}{seq:020}", Self::LINES)
    }

    /// Before every consumed item whose event is not older.
    pub(super) fn consumed_since(before: Timestamp) -> String {
        format!("3|{}|", sortable(before))
    }
}

impl Document {
    fn new(workload: &str, kind: Kind, id: String, text: Vec<u8>) -> Result<Self, StoreError> {
        let text = String::from_utf8(text)
            .map_err(|error| rules::unreadable(rules::LEDGER, id.clone(), error.utf8_error()))?;
        let workload = workload.to_owned();
        Ok(Self { id, workload, kind, place: None, ttl: None, text, shown: Map::new() })
    }

    pub(super) fn state(workload: &str, text: Vec<u8>) -> Result<Self, StoreError> {
        Self::new(workload, Kind::State, STATE_ID.to_owned(), text)
    }

    pub(super) fn step(workload: &str, id: &StepId, text: Vec<u8>) -> Result<Self, StoreError> {
        let place = Some(format!("{}{id}", Place::STEPS));
        Ok(Self { place, ..Self::new(workload, Kind::Step, step_id(id), text)? })
    }

    pub(super) fn item(workload: &str, item: &InboxItem, text: Vec<u8>) -> Result<Self, StoreError> {
        let key = InboxKey::of(item);
        let place = Some(format!("1|{}|{}|{}", key.rank, sortable(key.event_at), key.id));
        let ttl = (!item.is_urgent()).then_some(TTL_S);
        Ok(Self { place, ttl, ..Self::new(workload, Kind::Item, item_id(&item.id), text)? })
    }

    pub(super) fn consumed(workload: &str, id: &ItemId, event_at: Timestamp) -> Result<Self, StoreError> {
        let place = Some(format!("{}{id}", Place::consumed_since(event_at)));
        Ok(Self { place, ttl: Some(TTL_S), ..Self::new(workload, Kind::Consumed, item_id(id), Vec::new())? })
    }

    /// As it is born in the ledger and as it is copied: the same document in both containers.
    pub(super) fn record(record: &AuditRecord, text: Vec<u8>) -> Result<Self, StoreError> {
        let mut shown = Map::new();
        shown.insert("seq".to_owned(), record.seq.into());
        shown.insert("at".to_owned(), record.at.to_string().into());
        shown.insert("headline".to_owned(), record.headline.clone().into());
        shown.insert("hash".to_owned(), record.hash.clone().into());
        let place = Some(format!("2|{}", record.id));
        let document = Self::new(record.workload.as_str(), Kind::Audit, record.id.clone(), text)?;
        Ok(Self { place, shown, ..document })
    }

    /// Targets are named by people, in any characters.
    pub(super) fn place_id(target: &str) -> String {
        document_id("place", target)
    }

    pub(super) fn place(workload: &str, target: &str, text: Vec<u8>) -> Result<Self, StoreError> {
        Self::new(workload, Kind::Place, Self::place_id(target), text)
    }

    pub(super) fn line(workload: &str, seq: u64, text: Vec<u8>) -> Result<Self, StoreError> {
        let line = Self::new(workload, Kind::Line, format!("line.{seq}"), text)?;
        Ok(Self { place: Some(Place::line(seq)), ..line })
    }

    pub(super) fn gate(
        workload: &str,
        gate: &domain::GateDocument,
        text: Vec<u8>,
    ) -> Result<Self, StoreError> {
        let mut shown = Map::new();
        shown.insert("position".to_owned(), format!("{:?}", gate.position).into());
        shown.insert("generation".to_owned(), gate.generation.to_string().into());
        Ok(Self { shown, ..Self::new(workload, Kind::Gate, gate.stamp.to_string(), text)? })
    }
}

/// The audit record in a document of the ledger's or the audit's container, as the change feed brings it; none if it is
/// another kind of document. A record that cannot be read is an error.
///
/// # Errors
/// When it is damaged, or of a newer schema.
pub fn record_in(document: &Value) -> Option<Result<AuditRecord, StoreError>> {
    let is_record = document.get("kind").and_then(Value::as_str) == Some("audit");
    let text = document.get("text").and_then(Value::as_str).filter(|_| is_record)?;
    Some(rules::decode(AUDIT, "audit record", AUDIT_SCHEMA, text.as_bytes()))
}

pub(super) fn step_id(id: &StepId) -> String {
    document_id("step", id.as_str())
}

pub(super) fn item_id(id: &ItemId) -> String {
    document_id("item", id.as_str())
}

/// A text as part of an id. What the service does not take as one (`/`, `\`, `?`, `#`, too long) is replaced by its hash,
/// behind another prefix, so that nobody can name an item that hides another.
pub(super) fn document_id(kind: &str, id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:,~@+".contains(&byte);
    if id.len() <= ID_PART_BYTES_MAX && id.bytes().all(plain) {
        return format!("{kind}.{id}");
    }
    let hash: String = Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}-hashed.{hash}")
}

/// A time as text that sorts as the time does, also before 1970.
fn sortable(at: Timestamp) -> String {
    format!("{:020}", i128::from(at.as_millis()) - i128::from(i64::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_text_as_they_sort_as_times() {
        let times = [i64::MIN, -5_000, -1, 0, 1, 999, 1_000, i64::MAX].map(Timestamp::from_millis);
        let texts: Vec<_> = times.iter().map(|at| sortable(*at)).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == 20));
    }

    #[test]
    fn an_id_that_the_service_would_refuse_is_hashed_where_no_plain_id_can_stand() {
        assert_eq!(document_id("item", "alert:eastus2:1"), "item.alert:eastus2:1");
        for id in ["a/b", "a\\b", "a?b", "a#b", "a b", "\u{e9}", &"x".repeat(201)] {
            assert!(document_id("item", id).starts_with("item-hashed."), "{id}");
        }
        assert_ne!(document_id("item", "a/b"), document_id("item", "a?b"));
    }

    #[test]
    fn a_document_of_another_kind_holds_no_record_and_a_damaged_record_is_an_error() {
        for other in [serde_json::json!({}), serde_json::json!({"kind": "state", "text": "{}"})] {
            assert!(record_in(&other).is_none());
        }
        let damaged = serde_json::json!({"kind": "audit", "text": "{\"schema\":1}"});
        assert!(matches!(record_in(&damaged), Some(Err(StoreError::Unreadable { .. }))));
    }
}
