//! An operator's order on its way into the inbox: checked, named, recorded. What it means is the core's to say.

use std::time::Duration;

use domain::decide::Situation;
use domain::fold::FoldNote;
use domain::{Command, InboxItem, ItemBody, ItemId, NOTE_CHARS_MAX, Order, Timestamp};
use sha2::{Digest, Sha256};

use super::Controller;

/// The longest pause. Who wants the automation away for longer changes its modes, where it stays loud.
pub const PAUSE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// An order that cannot be given as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the order was not given: {0}")]
pub struct OrderRefused(pub String);

/// Checks who and why, and how long a pause is to be.
///
/// # Errors
/// When one is empty or too long for the audit, or a pause is not between a second and `PAUSE_MAX`.
pub fn command(by: &str, reason: &str, order: Order, now: Timestamp) -> Result<Command, OrderRefused> {
    let (by, reason) = (words("the name", by)?, words("the reason", reason)?);
    if let Order::Pause { until } = &order {
        let span = until.since(now);
        if span.is_zero() || span > PAUSE_MAX {
            let text = "a pause lasts between 1s and 24h; for longer, change the modes".to_owned();
            return Err(OrderRefused(text));
        }
    }
    Ok(Command { by, reason, order })
}

/// The item of an order. Its id is a nonce of content and moment: the same order given again later is another order, one
/// delivered twice is the same.
pub fn item(command: Command, now: Timestamp) -> InboxItem {
    let content = serde_json::to_string(&command).unwrap_or_default();
    let digest = Sha256::digest(format!("{}\n{content}", now.as_millis()));
    let nonce: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    InboxItem {
        id: ItemId::new(format!("order-{nonce}")),
        event_at: now,
        received_at: now,
        body: ItemBody::Command { command },
    }
}

/// The situation as it would be with the order taken; nothing is committed.
///
/// # Errors
/// When the order would be refused, with the core's reason.
pub fn with_order(
    controller: &Controller,
    situation: &Situation,
    item: &InboxItem,
) -> Result<Situation, OrderRefused> {
    let next = Situation::gather(
        situation.state.clone(),
        situation.steps.clone(),
        std::slice::from_ref(item),
        situation.gates.clone(),
        &controller.policy,
        situation.state.as_of,
    );
    match next.notes.iter().find(|note| matches!(note, FoldNote::OrderRefused { .. })) {
        Some(FoldNote::OrderRefused { text }) => Err(OrderRefused(text.clone())),
        _ => Ok(next),
    }
}

fn words(what: &str, text: &str) -> Result<String, OrderRefused> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(OrderRefused(format!("{what} is empty; the audit needs it"))),
        count if count > NOTE_CHARS_MAX => Err(OrderRefused(format!(
            "{what} has {count} characters, the audit keeps {NOTE_CHARS_MAX}; shorten it"
        ))),
        _ => Ok(domain::note(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume(reason: &str) -> Command {
        Command { by: "sam".into(), reason: reason.into(), order: Order::Resume }
    }

    #[test]
    fn an_order_given_again_later_is_another_order() {
        let (now, later) = (Timestamp::from_secs(60), Timestamp::from_secs(61));
        assert_eq!(item(resume("a"), now).id, item(resume("a"), now).id);
        assert_ne!(item(resume("a"), now).id, item(resume("a"), later).id);
        assert_ne!(item(resume("a"), now).id, item(resume("b"), now).id);
    }

    #[test]
    fn an_order_without_a_reason_or_with_too_long_a_pause_is_none() {
        let now = Timestamp::from_secs(60);
        let of = |reason: &str, order| command("sam", reason, order, now);
        assert!(of("because", Order::Resume).is_ok());
        assert!(of(" ", Order::Resume).is_err());
        assert!(of(&"x".repeat(NOTE_CHARS_MAX + 1), Order::Resume).is_err());
        for (until, good) in [(now, false), (now + PAUSE_MAX, true), (now + PAUSE_MAX * 2, false)] {
            assert_eq!(of("because", Order::Pause { until }).is_ok(), good, "{until}");
        }
    }
}
