//! The people: some press the wrong button, and somebody does what is due after a while.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::state::{Pause, Stage, StampCase};
use domain::{Command, Generation, InboxItem, ItemBody, ItemId, Order, Policy, StampId, Timestamp};

use super::draw::{About, Seed};

/// The longest pause that a wrong button brings, in seconds.
pub const PAUSE_MAX_S: u64 = 3_600;

/// How long what waits for a person waits, in seconds.
pub const PATIENCE_S: u64 = 1_800;

/// An order that fits nothing, or not now.
pub fn wrong_button(
    seed: Seed,
    number: u64,
    now: Timestamp,
    cases: &BTreeMap<StampId, StampCase>,
) -> InboxItem {
    let draw = |range, what: u64| seed.whole(range, About::Operator, number, 100 + what);
    let some = usize::try_from(draw((0, 3), 0)).unwrap_or(0) % cases.len().max(1);
    let stamp = cases.keys().nth(some).cloned().unwrap_or_else(|| StampId::new("nowhere"));
    let order = match draw((0, 7), 1) {
        0 => Order::Hold { stamp },
        1 => Order::Release { stamp },
        2 => Order::Approve { stamp, generation: Generation { epoch: 1, n: draw((0, 10_000), 2) } },
        3 => {
            let waiting = cases.get(&stamp).and_then(|case| case.awaiting_approval);
            Order::Approve { stamp, generation: waiting.unwrap_or_default() }
        }
        4 => Order::Acknowledge { stamp },
        5 => Order::Pause { until: now + Duration::from_secs(draw((60, PAUSE_MAX_S), 3)) },
        6 => Order::Resume,
        _ => Order::Hold { stamp: StampId::new("nowhere") },
    };
    item(&format!("wrong:{number}"), now, order)
}

/// What an operator who looks now does about what has waited long enough.
pub fn duty(
    now: Timestamp,
    cases: &BTreeMap<StampId, StampCase>,
    pause: Option<&Pause>,
    policy: &Policy,
) -> Vec<InboxItem> {
    let mut orders = Vec::new();
    let long = |since: Timestamp| now.since(since).as_secs() >= PATIENCE_S;
    if pause.is_some_and(|pause| pause.until.since(now).as_secs() > PAUSE_MAX_S) {
        orders.push(Order::Resume);
    }
    for (stamp, case) in cases {
        let stamp = stamp.clone();
        if case.hold.as_ref().is_some_and(|hold| long(hold.since)) {
            orders.push(Order::Release { stamp });
        } else if let Some(generation) = case.awaiting_approval.filter(|_| long(case.since)) {
            orders.push(Order::Approve { stamp, generation });
        } else if case.stage == Stage::Proving && needs_acknowledgement(case, policy, now) && long(case.since)
        {
            orders.push(Order::Acknowledge { stamp });
        }
    }
    orders.into_iter().enumerate().map(|(n, order)| item(&format!("duty:{now}:{n}"), now, order)).collect()
}

fn needs_acknowledgement(case: &StampCase, policy: &Policy, now: Timestamp) -> bool {
    !case.acknowledged && case.has_spent_budget(now, policy)
}

fn item(id: &str, now: Timestamp, order: Order) -> InboxItem {
    let command = Command { by: "operator".into(), reason: "simulated".into(), order };
    InboxItem { id: ItemId::new(id), event_at: now, received_at: now, body: ItemBody::Command { command } }
}
