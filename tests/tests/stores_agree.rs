//! Any sequence of calls gives the same answers on the ledger in memory and on the ledger in a file.

use adapters::embedded::EmbeddedLedger;
use adapters::memory::MemoryLedger;
use adapters::{Ledger, LedgerView};
use domain::{InboxItem, ItemId, StepId, StepWrite, StoredStep, Timestamp, Transition};
use proptest::collection::vec;
use proptest::prelude::*;
use tests::conformance::fixtures::{TempDir, audited, follow, item, step, urgent, workload};

/// Few ids and few times, so that calls meet each other.
const IDS: u8 = 5;

#[derive(Clone, Debug)]
enum Call {
    Append(Vec<(u8, i64, Kind)>),
    Commit(Box<Commit>),
    Replace { id: u8, version: u64 },
    Trim(i64),
    Load(usize),
    Audit { after: u64, max: usize },
    Step(u8),
    Consumed(u8),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Urgent,
    Observed,
}

#[derive(Clone, Debug)]
struct Commit {
    parent: Parent,
    record: Record,
    steps: Vec<(u8, Option<u64>)>,
    forgotten: Vec<u8>,
    consumed: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Parent {
    Current,
    None,
    Older,
    Repeat,
}

#[derive(Clone, Copy, Debug)]
enum Record {
    None,
    Chains,
    Gap,
    NotSealed,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_file_give_the_same_answers(calls in vec(call(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = TempDir::new();
        let memory = MemoryLedger::new();
        let path = directory.fresh();
        let mut file = EmbeddedLedger::open(&path).unwrap();
        let mut last = follow(None, "never sent");
        for (n, call) in calls.iter().enumerate() {
            if let Call::Commit(commit) = call {
                let view = runtime.block_on(memory.load(&workload(), 100)).unwrap();
                last = transition(commit, &view, &last, n);
            }
            let expected = runtime.block_on(answer(&memory, call, &last));
            prop_assert_eq!(runtime.block_on(answer(&file, call, &last)), expected, "call {} {:?}", n, call);
        }
        // What the file answers does not depend on what it still holds in memory.
        drop(file);
        file = EmbeddedLedger::open(&path).unwrap();
        for call in [Call::Load(100), Call::Audit { after: 0, max: 100 }] {
            let expected = runtime.block_on(answer(&memory, &call, &last));
            prop_assert_eq!(runtime.block_on(answer(&file, &call, &last)), expected, "opened again: {:?}", call);
        }
    }
}

/// The whole answer as text, errors included.
async fn answer(ledger: &impl Ledger, call: &Call, last: &Transition) -> String {
    let workload = workload();
    match call {
        Call::Append(items) => {
            let items: Vec<_> = items.iter().map(inbox_item).collect();
            format!("{:?}", ledger.append(&workload, &items).await)
        }
        Call::Commit(_) => format!("{:?}", ledger.commit(last).await),
        Call::Replace { id, version } => {
            let expected = StoredStep { version: *version, step: step(&id.to_string()) };
            format!("{:?}", ledger.replace_step(&workload, &expected, &expected.step).await)
        }
        Call::Trim(before) => format!("{:?}", ledger.trim(&workload, Timestamp::from_secs(*before)).await),
        Call::Load(max) => format!("{:?}", ledger.load(&workload, *max).await),
        Call::Audit { after, max } => format!("{:?}", ledger.audit(&workload, *after, *max).await),
        Call::Step(id) => format!("{:?}", ledger.step(&workload, &step_id(*id)).await),
        Call::Consumed(id) => format!("{:?}", ledger.consumed(&workload, &ItemId::new(id.to_string())).await),
    }
}

fn transition(commit: &Commit, view: &LedgerView, last: &Transition, n: usize) -> Transition {
    let operation = format!("operation {n}");
    let current = view.state.as_ref();
    let mut transition = match commit.parent {
        Parent::Current => follow(current, &operation),
        Parent::None => follow(None, &operation),
        Parent::Older => follow(Some(&last.state), &operation),
        Parent::Repeat => return last.clone(),
    };
    match commit.record {
        Record::None => {}
        Record::Chains => transition = audited(transition, "cordon"),
        Record::Gap => {
            transition.state.audit_seq += 1;
            transition = audited(transition, "cordon");
        }
        Record::NotSealed => {
            transition = audited(transition, "cordon");
            if let Some(record) = &mut transition.audit {
                record.headline.push('!');
            }
        }
    }
    for (id, expected) in &commit.steps {
        let write = match (expected, known(&view.steps, *id)) {
            (Some(_), Some(stored)) => {
                StepWrite { expected: Some(stored.version), step: stored.step.clone() }
            }
            _ => StepWrite { expected: *expected, step: step(&id.to_string()) },
        };
        transition.steps.push(write);
    }
    let forgotten = commit.forgotten.iter();
    transition.forgotten = forgotten
        .map(|id| known(&view.steps, *id).map_or_else(|| step_id(*id), |stored| stored.step.id.clone()))
        .collect();
    let consumed = commit.consumed.iter();
    transition.consumed = consumed
        .map(|id| known(&view.inbox, *id).map_or_else(|| ItemId::new(id.to_string()), |item| item.id.clone()))
        .collect();
    transition
}

/// One that is there, for most numbers: else hardly any commit would go through.
fn known<T>(present: &[T], id: u8) -> Option<&T> {
    (id > 0 && !present.is_empty()).then(|| &present[usize::from(id) % present.len()])
}

fn inbox_item((id, event_at, kind): &(u8, i64, Kind)) -> InboxItem {
    match kind {
        Kind::Urgent => urgent(&id.to_string(), *event_at),
        Kind::Observed => item(&id.to_string(), *event_at),
    }
}

fn step_id(id: u8) -> StepId {
    StepId::new(id.to_string())
}

fn call() -> impl Strategy<Value = Call> {
    let kind = prop_oneof![Just(Kind::Urgent), Just(Kind::Observed)];
    prop_oneof![
        4 => vec((0..IDS, -3..6_i64, kind), 0..4).prop_map(Call::Append),
        6 => commit().prop_map(|commit| Call::Commit(Box::new(commit))),
        2 => (0..IDS, 0..4_u64).prop_map(|(id, version)| Call::Replace { id, version }),
        1 => (-3..6_i64).prop_map(Call::Trim),
        2 => (0..6_usize).prop_map(Call::Load),
        1 => (0..5_u64, 0..4_usize).prop_map(|(after, max)| Call::Audit { after, max }),
        1 => (0..IDS).prop_map(Call::Step),
        1 => (0..IDS).prop_map(Call::Consumed),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    let parent = prop_oneof![
        8 => Just(Parent::Current),
        1 => Just(Parent::None),
        1 => Just(Parent::Older),
        2 => Just(Parent::Repeat),
    ];
    let record = prop_oneof![
        6 => Just(Record::None),
        6 => Just(Record::Chains),
        1 => Just(Record::Gap),
        1 => Just(Record::NotSealed),
    ];
    let steps = vec((0..IDS, proptest::option::of(1..3_u64)), 0..2);
    let forgotten = prop_oneof![3 => Just(vec![]), 2 => vec(0..IDS, 0..2)];
    let consumed = prop_oneof![1 => Just(vec![]), 1 => vec(0..IDS, 0..2)];
    (parent, record, steps, forgotten, consumed).prop_map(|(parent, record, steps, forgotten, consumed)| {
        Commit { parent, record, steps, forgotten, consumed }
    })
}
