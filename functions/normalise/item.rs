//! Building inbox items: ids that a second delivery repeats, times that cannot run ahead, refusals that are kept.

use std::collections::{BTreeMap, BTreeSet};

use domain::facts::Facts;
use domain::{InboxItem, ItemBody, ItemId, Refusal, RefusalCode, Scope, Signal, Timestamp, note};
use sha2::{Digest, Sha256};

use super::{Context, Refused};
use crate::edge::Json;

/// The longest part of an id that is written out; a longer one, or one with characters that a Cosmos DB id cannot hold,
/// is replaced by its hash.
const ID_PART_CHARS_MAX: usize = 64;

/// Room for the text of as many records as one message of Azure's has: less than 1 KB each.
const SET_BYTES: usize = 8 * 1024;

/// Hex digits of a hash that go into an id: 128 bits.
const ID_HASH_CHARS: usize = 32;

/// One source event on its way into the inbox.
pub(super) struct Event {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) at: Timestamp,
}

impl Event {
    /// `family` and the parts that identify the event at its source. Compared without case: the two paths of one alert
    /// differ in it.
    pub(super) fn new(
        family: &str,
        parts: &[&str],
        source: &str,
        at: Option<Timestamp>,
        ctx: &Context<'_>,
    ) -> Self {
        let mut id = family.to_owned();
        for part in parts {
            id.push(':');
            id.push_str(&plain(part));
        }
        // A source whose clock runs ahead would otherwise never grow old.
        let at = at.map_or(ctx.received_at, |at| at.min(ctx.received_at));
        Self { id, source: note(source), at }
    }

    /// The items of this event: the signals as one item, and one refusal for each reason there was.
    pub(super) fn items(
        &self,
        signals: Vec<Signal>,
        refused: impl IntoIterator<Item = Refused>,
        ctx: &Context<'_>,
    ) -> Vec<InboxItem> {
        let mut items = Vec::new();
        let mut grouped: BTreeMap<RefusalCode, BTreeSet<String>> = BTreeMap::new();
        for (code, why) in refused {
            grouped.entry(code).or_default().insert(why);
        }
        if !signals.is_empty() {
            if self.is_too_old(ctx) {
                let whom: Vec<String> = signals.iter().map(|signal| scope_text(&signal.scope)).collect();
                grouped.entry(RefusalCode::TooOld).or_default().insert(format!(
                    "happened at {}: {}",
                    self.at,
                    whom.join(", ")
                ));
            } else {
                items.push(self.item(&self.id, ItemBody::Observed { signals, facts: Facts::default() }, ctx));
            }
        }
        for (code, whys) in grouped {
            let whys: Vec<String> = whys.into_iter().collect();
            let refusal = Refusal { code, source: self.source.clone(), note: note(&whys.join("; ")) };
            let id = format!("{}:{}", self.id, code_text(code));
            items.push(self.item(&id, ItemBody::Refused { refusal }, ctx));
        }
        items
    }

    /// An event without a vote.
    pub(super) fn refused(
        &self,
        code: RefusalCode,
        why: impl Into<String>,
        ctx: &Context<'_>,
    ) -> Vec<InboxItem> {
        self.items(Vec::new(), [(code, why.into())], ctx)
    }

    fn is_too_old(&self, ctx: &Context<'_>) -> bool {
        ctx.received_at.since(self.at) > ctx.policy.limits.horizon.get()
    }

    fn item(&self, id: &str, body: ItemBody, ctx: &Context<'_>) -> InboxItem {
        InboxItem { id: ItemId::new(id), event_at: self.at, received_at: ctx.received_at, body }
    }
}

/// What is no event that we know, recorded by a hash of its content.
pub fn malformed(content: &[u8], source: &str, why: &str, ctx: &Context<'_>) -> InboxItem {
    let event = Event::new("malformed", &[&digest(content)], source, None, ctx);
    let refusal = Refusal { code: RefusalCode::Malformed, source: event.source.clone(), note: note(why) };
    event.item(&event.id, ItemBody::Refused { refusal }, ctx)
}

/// As `malformed`, for a body that is JSON.
pub(super) fn malformed_json(body: &Json<'_>, source: &str, why: &str, ctx: &Context<'_>) -> Vec<InboxItem> {
    vec![malformed(body.to_string().as_bytes(), source, why, ctx)]
}

/// Hex SHA-256, cut to `ID_HASH_CHARS`. Our JSON's text has its names sorted, so it is the same for the same content.
pub(super) fn digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// As `digest`, of a set of records, whatever their order and however often each comes.
pub(super) fn digest_of_set<'a, 'j: 'a>(records: impl IntoIterator<Item = &'a Json<'j>>) -> String {
    let (mut text, mut ends) = (Vec::with_capacity(SET_BYTES), Vec::new());
    for record in records {
        let start = text.len();
        record.write_to(&mut text);
        ends.push(start..text.len());
    }
    let mut set: Vec<&[u8]> = ends.into_iter().map(|range| &text[range]).collect();
    set.sort_unstable();
    set.dedup();
    let mut hash = Sha256::new();
    for (place, record) in set.into_iter().enumerate() {
        if place > 0 {
            hash.update(b"\n");
        }
        hash.update(record);
    }
    hex(&hash.finalize())
}

fn hex(hash: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = hash.iter().take(ID_HASH_CHARS / 2).flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The code as it is written in the audit.
fn code_text(code: RefusalCode) -> String {
    serde_json::to_value(code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}

fn plain(part: &str) -> String {
    let part = part.trim().to_ascii_lowercase();
    let writable = part.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    if writable && !part.is_empty() && part.len() <= ID_PART_CHARS_MAX {
        part
    } else {
        digest(part.as_bytes())
    }
}

fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::Stamp(stamp) => stamp.to_string(),
        Scope::Region(region) => region.to_string(),
    }
}
