//! The timeline: what the audit records say happened, as moments.

use std::collections::BTreeMap;

use domain::audit::AuditRecord;
use domain::decide::{Action, Ruling};
use domain::fold::FoldNote;
use domain::{StampId, Timestamp};
use serde::Serialize;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Seconds since the drill began.
    pub t: u32,
    /// The audit record that says so.
    pub seq: u64,
    /// Whom it concerns, if one stamp.
    pub stamp: Option<StampId>,
    /// A stable word: the action's tag, or `step`, `note`, `freeze`.
    pub kind: String,
    /// In words.
    pub text: String,
}

/// The moments of a run of audit records, the oldest first. Holds are told when they begin.
pub fn moments(records: &[AuditRecord], start: Timestamp) -> Vec<Moment> {
    let mut told = Vec::new();
    let mut held: BTreeMap<StampId, Action> = BTreeMap::new();
    let mut frozen = false;
    for record in records {
        let t = u32::try_from(record.at.since(start).as_secs()).unwrap_or(u32::MAX);
        let mut tell = |stamp: Option<&StampId>, kind: &str, text: String| {
            told.push(Moment { t, seq: record.seq, stamp: stamp.cloned(), kind: kind.to_owned(), text });
        };
        for note in notes(record) {
            let (kind, text) = note_in_words(&note);
            tell(None, kind, text);
        }
        let freezes = !record.decision["freeze"].is_null();
        if freezes != frozen {
            frozen = freezes;
            let cause = record.decision["freeze"]["cause"].as_str().unwrap_or_default().replace('_', " ");
            tell(
                None,
                "freeze",
                if freezes { format!("removals are frozen: {cause}") } else { "the freeze ends".into() },
            );
        }
        for (stamp, ruling) in rulings(record) {
            let text = domain::explain::action(&ruling.action);
            match &ruling.action {
                Action::Stay | Action::Wait { .. } => {
                    held.remove(&stamp);
                }
                Action::Hold { .. } => {
                    if held.insert(stamp.clone(), ruling.action.clone()).as_ref() != Some(&ruling.action) {
                        tell(Some(&stamp), "hold", text);
                    }
                }
                action => {
                    held.remove(&stamp);
                    tell(Some(&stamp), &tag(action), text);
                }
            }
        }
    }
    told
}

fn rulings(record: &AuditRecord) -> BTreeMap<StampId, Ruling> {
    serde_json::from_value(record.decision["rulings"].clone()).unwrap_or_default()
}

fn notes(record: &AuditRecord) -> Vec<FoldNote> {
    serde_json::from_value(record.situation.to_value()["notes"].clone()).unwrap_or_default()
}

fn tag(action: &Action) -> String {
    let value = serde_json::to_value(action).unwrap_or_default();
    value["action"].as_str().unwrap_or_default().to_owned()
}

fn note_in_words(note: &FoldNote) -> (&'static str, String) {
    match note {
        FoldNote::Refused { refusal } => (
            "refused",
            format!("refused an event: {}: {}", domain::explain::refusal(refusal.code), refusal.note),
        ),
        FoldNote::StepEnded { text } => ("step", text.clone()),
        FoldNote::ChangedElsewhere { text } => ("drift", text.clone()),
        FoldNote::Ordered { text }
        | FoldNote::Overridden { text }
        | FoldNote::OrderRefused { text }
        | FoldNote::QuotaShort { text }
        | FoldNote::QuotaEnough { text }
        | FoldNote::TopologyChanged { text }
        | FoldNote::EpochBegan { text, .. } => ("note", text.clone()),
    }
}
