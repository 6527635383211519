//! What a ledger stores, in which order, and when it says no to a commit.

use adapters::{ClaimOutcome, CommitOutcome, Ledger, LedgerView};
use domain::audit::verify_chain;
use domain::state::WorkloadState;
use domain::{ItemId, StepId, StepStatus, StepWrite, StoredStep, Timestamp, Transition, WorkloadId};

use super::fixtures::{audited, created, follow, item, step, urgent, workload};

const MANY: usize = 1_000;

pub(super) async fn view(ledger: &impl Ledger) -> LedgerView {
    ledger.load(&workload(), MANY).await.expect("load")
}

pub(super) async fn committed(ledger: &impl Ledger, transition: &Transition) -> WorkloadState {
    let outcome = ledger.commit(transition).await.expect("commit");
    assert_eq!(outcome, CommitOutcome::Committed, "{}", transition.state.operation);
    transition.state.clone()
}

pub(super) async fn conflicts(ledger: &impl Ledger, transition: &Transition) {
    let before = view(ledger).await;
    let outcome = ledger.commit(transition).await.expect("commit");
    assert_eq!(outcome, CommitOutcome::Conflict, "{}", transition.state.operation);
    assert_eq!(view(ledger).await, before, "a conflict left something behind");
}

fn ids(view: &LedgerView) -> Vec<&str> {
    view.inbox.iter().map(|item| item.id.as_str()).collect()
}

fn items(names: &[&str]) -> Vec<ItemId> {
    names.iter().map(|name| ItemId::new(*name)).collect()
}

pub(super) async fn is_empty_at_first(ledger: &impl Ledger) {
    let empty = LedgerView { state: None, steps: vec![], inbox: vec![], more: false };
    assert_eq!(view(ledger).await, empty);
    assert_eq!(ledger.step(&workload(), &StepId::new("1-0")).await.expect("step"), None);
    assert!(ledger.audit(&workload(), 0, MANY).await.expect("audit").is_empty());
    assert!(!ledger.consumed(&workload(), &ItemId::new("a")).await.expect("consumed"));
    assert_eq!(ledger.trim(&workload(), Timestamp::from_secs(9)).await.expect("trim"), 0);
}

pub(super) async fn takes_an_item_in_once(ledger: &impl Ledger) {
    let batch = [item("a", 1), item("b", 2), item("a", 3)];
    assert_eq!(ledger.append(&workload(), &batch).await.expect("append"), 2);
    assert_eq!(ledger.append(&workload(), &batch).await.expect("append"), 0);
    let view = view(ledger).await;
    assert_eq!(ids(&view), ["a", "b"]);
    assert_eq!(view.inbox[0], item("a", 1), "the first delivery is the one that counts");
}

pub(super) async fn drains_urgent_items_first_then_by_time_and_id(ledger: &impl Ledger) {
    let batch =
        [item("d", 5), item("c", 5), item("old", -5), urgent("late-order", 9), urgent("early-order", 8)];
    assert_eq!(ledger.append(&workload(), &batch).await.expect("append"), 5);
    assert_eq!(ids(&view(ledger).await), ["early-order", "late-order", "old", "c", "d"]);
    for (max, more) in [(0, true), (4, true), (5, false), (6, false)] {
        let view = ledger.load(&workload(), max).await.expect("load");
        assert_eq!((view.inbox.len(), view.more), (max.min(5), more), "at most {max}");
    }
}

pub(super) async fn remembers_consumed_items_until_they_are_trimmed(ledger: &impl Ledger) {
    ledger.append(&workload(), &[item("a", 10), item("b", 20)]).await.expect("append");
    let mut first = follow(None, "first");
    first.consumed = items(&["a", "b"]);
    committed(ledger, &first).await;
    assert_eq!(ledger.append(&workload(), &[item("a", 10)]).await.expect("append"), 0);
    assert!(view(ledger).await.inbox.is_empty(), "a second delivery brought it back");
    assert_eq!(ledger.trim(&workload(), Timestamp::from_secs(10)).await.expect("trim"), 0);
    assert_eq!(ledger.trim(&workload(), Timestamp::from_secs(20)).await.expect("trim"), 1);
    for (id, remembered) in [("a", false), ("b", true)] {
        assert_eq!(ledger.consumed(&workload(), &ItemId::new(id)).await.expect("consumed"), remembered);
    }
    assert_eq!(ledger.append(&workload(), &[item("a", 10), item("b", 20)]).await.expect("append"), 1);
}

pub(super) async fn commits_all_parts_together(ledger: &impl Ledger) {
    ledger.append(&workload(), &[item("a", 1), item("b", 2)]).await.expect("append");
    let mut first = audited(follow(None, "first"), "cordon");
    first.steps = vec![created("1-1"), created("1-0")];
    first.consumed = items(&["a"]);
    let state = committed(ledger, &first).await;
    let after = view(ledger).await;
    assert_eq!(after.state.as_ref(), Some(&state));
    let stored = |id| StoredStep { version: 1, step: step(id) };
    assert_eq!(after.steps, [stored("1-0"), stored("1-1")], "by id");
    assert_eq!(ids(&after), ["b"]);
    assert!(ledger.consumed(&workload(), &ItemId::new("a")).await.expect("consumed"));
    let records = ledger.audit(&workload(), 0, MANY).await.expect("audit");
    assert_eq!(records, first.audit.into_iter().collect::<Vec<_>>());
    assert_eq!(verify_chain(&records, None), Ok(1), "the record came back with another hash");
}

pub(super) async fn commits_only_on_the_current_parent(ledger: &impl Ledger) {
    let mut early = follow(None, "early");
    early.parent = Some(early.state.generation);
    early.state.generation = early.state.generation.next();
    conflicts(ledger, &early).await;
    let first = committed(ledger, &follow(None, "first")).await;
    conflicts(ledger, &follow(None, "another first")).await;
    let second = committed(ledger, &follow(Some(&first), "second")).await;
    conflicts(ledger, &follow(Some(&first), "another second")).await;
    let mut jump = follow(Some(&second), "after a failover");
    jump.state.generation.epoch += 1;
    jump.state.generation.n = 0;
    committed(ledger, &jump).await;
}

pub(super) async fn writes_a_step_only_at_its_expected_version(ledger: &impl Ledger) {
    let mut first = follow(None, "first");
    first.steps = vec![created("1-0")];
    let first = committed(ledger, &first).await;
    let mut next = follow(Some(&first), "next");
    for expected in [None, Some(0), Some(2)] {
        next.steps = vec![StepWrite { expected, step: step("1-0") }];
        conflicts(ledger, &next).await;
    }
    next.steps = vec![StepWrite { expected: Some(1), step: step("9-9") }];
    conflicts(ledger, &next).await;
    next.steps = vec![StepWrite { expected: Some(1), step: step("1-0") }];
    committed(ledger, &next).await;
    let stored = ledger.step(&workload(), &StepId::new("1-0")).await.expect("step");
    assert_eq!(stored.map(|stored| stored.version), Some(2));
}

pub(super) async fn consumes_only_what_waits(ledger: &impl Ledger) {
    ledger.append(&workload(), &[item("a", 1)]).await.expect("append");
    let mut first = follow(None, "first");
    first.consumed = items(&["a", "unheard-of"]);
    conflicts(ledger, &first).await;
    first.consumed = items(&["a"]);
    let first = committed(ledger, &first).await;
    let mut again = follow(Some(&first), "again");
    again.consumed = items(&["a"]);
    conflicts(ledger, &again).await;
}

pub(super) async fn forgets_only_steps_that_are_there(ledger: &impl Ledger) {
    let mut first = follow(None, "first");
    first.steps = vec![created("1-0"), created("1-1")];
    let first = committed(ledger, &first).await;
    let mut next = follow(Some(&first), "next");
    next.forgotten = vec![StepId::new("1-0"), StepId::new("9-9")];
    conflicts(ledger, &next).await;
    next.forgotten = vec![StepId::new("1-0")];
    committed(ledger, &next).await;
    let left: Vec<_> = view(ledger).await.steps.into_iter().map(|stored| stored.step.id).collect();
    assert_eq!(left, [StepId::new("1-1")]);
}

pub(super) async fn leaves_nothing_of_a_conflict(ledger: &impl Ledger) {
    ledger.append(&workload(), &[item("a", 1)]).await.expect("append");
    let first = committed(ledger, &audited(follow(None, "first"), "watch")).await;
    // All is in order but the last thing that is looked at.
    let mut spoilt = audited(follow(Some(&first), "spoilt"), "cordon");
    spoilt.steps = vec![created("2-0")];
    spoilt.consumed = items(&["a", "unheard-of"]);
    conflicts(ledger, &spoilt).await;
    assert_eq!(ledger.audit(&workload(), 0, MANY).await.expect("audit").len(), 1);
    assert!(!ledger.consumed(&workload(), &ItemId::new("a")).await.expect("consumed"));
}

pub(super) async fn knows_its_own_commit_again(ledger: &impl Ledger) {
    ledger.append(&workload(), &[item("a", 1)]).await.expect("append");
    let mut first = audited(follow(None, "first"), "cordon");
    first.steps = vec![created("1-0")];
    first.consumed = items(&["a"]);
    let state = committed(ledger, &first).await;
    let before = view(ledger).await;
    committed(ledger, &first).await;
    assert_eq!(view(ledger).await, before, "a repeated commit wrote again");
    assert_eq!(ledger.audit(&workload(), 0, MANY).await.expect("audit").len(), 1);
    committed(ledger, &follow(Some(&state), "second")).await;
    conflicts(ledger, &first).await;
}

pub(super) async fn lets_one_claim_win(ledger: &impl Ledger) {
    let mut first = follow(None, "first");
    first.steps = vec![created("1-0")];
    committed(ledger, &first).await;
    let free = StoredStep { version: 1, step: step("1-0") };
    let claim = |owner: &str| {
        let mut claimed = step("1-0");
        claimed.attempts = 1;
        claimed.status = StepStatus::Claimed { owner: owner.to_owned(), deadline: Timestamp::from_secs(90) };
        claimed
    };
    let ours = ledger.replace_step(&workload(), &free, &claim("one")).await.expect("claim");
    assert_eq!(ours, ClaimOutcome::Claimed(StoredStep { version: 2, step: claim("one") }));
    let theirs = ledger.replace_step(&workload(), &free, &claim("two")).await.expect("claim");
    assert_eq!(theirs, ClaimOutcome::Lost);
    let stored = ledger.step(&workload(), &free.step.id).await.expect("step");
    assert_eq!(stored, Some(StoredStep { version: 2, step: claim("one") }));
    let absent = StoredStep { version: 1, step: step("9-9") };
    let gone = ledger.replace_step(&workload(), &absent, &step("9-9")).await.expect("claim");
    assert_eq!(gone, ClaimOutcome::Lost);
    // A plan that was made before the claim does not overwrite it.
    let mut next = follow(Some(&first.state), "next");
    next.steps = vec![StepWrite { expected: Some(1), step: step("1-0") }];
    conflicts(ledger, &next).await;
}

pub(super) async fn keeps_the_audit_in_pages(ledger: &impl Ledger) {
    let mut state = None;
    for n in 1..=5 {
        let next = audited(follow(state.as_ref(), &format!("op-{n}")), &format!("record {n}"));
        state = Some(committed(ledger, &next).await);
    }
    let all = ledger.audit(&workload(), 0, MANY).await.expect("audit");
    assert_eq!(verify_chain(&all, None), Ok(5));
    for (after, max, seqs) in
        [(0, 2, vec![1, 2]), (2, 2, vec![3, 4]), (4, 2, vec![5]), (5, 2, vec![]), (u64::MAX, 2, vec![])]
    {
        let page = ledger.audit(&workload(), after, max).await.expect("audit");
        assert_eq!(page.iter().map(|record| record.seq).collect::<Vec<_>>(), seqs, "after {after}");
    }
}

pub(super) async fn keeps_workloads_apart(ledger: &impl Ledger) {
    // Neighbours in any order of keys: one is a prefix of the other.
    let neighbours = ["contoso-shoe", "contoso-shoes-b", "contoso-shoes\0"].map(WorkloadId::new);
    ledger.append(&workload(), &[item("a", 1)]).await.expect("append");
    let mut first = audited(follow(None, "first"), "cordon");
    first.steps = vec![created("1-0")];
    committed(ledger, &first).await;
    for neighbour in neighbours {
        let view = ledger.load(&neighbour, MANY).await.expect("load");
        assert_eq!(view, LedgerView { state: None, steps: vec![], inbox: vec![], more: false });
        assert!(ledger.audit(&neighbour, 0, MANY).await.expect("audit").is_empty());
        assert_eq!(ledger.append(&neighbour, &[item("a", 1)]).await.expect("append"), 1);
        assert_eq!(ledger.trim(&neighbour, Timestamp::from_secs(99)).await.expect("trim"), 0);
    }
    assert_eq!(ids(&view(ledger).await), ["a"]);
}

pub(super) async fn gives_numbers_back_to_the_last_bit(ledger: &impl Ledger) {
    let mut first = follow(None, "first");
    let mut case = domain::state::StampCase::new(Timestamp::from_millis(1_763_838_000_123));
    // A parser that takes the fast way reads the first four one bit off.
    let numbers =
        [423.209_170_872_713_23, 500.511_282_795_004_43, 198.440_042_788_562_86, 979.621_595_650_685_9];
    for (n, rps) in numbers.into_iter().chain([5e-324, f64::MAX]).enumerate() {
        case.demand_rps = rps;
        first.state.cases.insert(format!("stamp-{n}").as_str().into(), case.clone());
    }
    let state = committed(ledger, &first).await;
    assert_eq!(view(ledger).await.state, Some(state));
}
