//! The stores' suite over memory and files, the files under SIGKILL, and the two against each other.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use adapters::embedded::{EmbeddedAudit, EmbeddedGateReader, EmbeddedGates, EmbeddedLedger};
use adapters::memory::{MemoryAudit, MemoryGates, MemoryLedger};
use adapters::{GateReader, GateStore, Ledger, StoreError};
use domain::{GatePosition, Generation};
use tests::conformance::fixtures::{TempDir, gate, workload};
use tests::conformance::{audit_conformance, gate_conformance, ledger_conformance};

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_in_memory_conforms() {
    ledger_conformance(MemoryLedger::new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_in_a_file_conforms() {
    let directory = TempDir::new();
    ledger_conformance(|| EmbeddedLedger::open(&directory.fresh()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gates_in_memory_conform() {
    gate_conformance(MemoryGates::new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gates_in_a_directory_conform() {
    let directory = TempDir::new();
    gate_conformance(|| EmbeddedGates::open(directory.fresh()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_in_memory_conforms() {
    audit_conformance(MemoryAudit::new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_in_a_file_conforms() {
    let directory = TempDir::new();
    audit_conformance(|| EmbeddedAudit::open(&directory.fresh()).unwrap()).await;
}

#[tokio::test]
async fn a_gate_that_cannot_be_understood_is_unreadable_and_never_overwritten() {
    let directory = TempDir::new();
    let gates = EmbeddedGates::open(directory.path()).unwrap();
    let path = directory.path().join("eastus2.json");
    let other = serde_json::to_string(&gate("centralus", 1, GatePosition::Open)).unwrap();
    let newer = r#"{"schema":2,"whatever":"a newer controller writes"}"#;
    let huge = " ".repeat(adapters::memory::GATE_BYTES_MAX + 1);
    for text in ["", "{", "null", r#"{"schema":1}"#, newer, &other, &huge] {
        std::fs::write(&path, text).unwrap();
        let read = gates.read(&"eastus2".into()).await;
        assert!(matches!(read, Err(StoreError::Unreadable { .. })), "{text:.40}: {read:?}");
        let written = gates.write(&gate("eastus2", 9, GatePosition::Open)).await;
        assert!(matches!(written, Err(StoreError::Unreadable { .. })), "{text:.40}: {written:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn a_stamp_pointed_at_a_directory_that_is_not_there_has_a_store_out_of_reach() {
    let directory = TempDir::new();
    let reader = EmbeddedGateReader::new(directory.fresh());
    let read = reader.read(&"eastus2".into()).await;
    assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
}

#[tokio::test]
async fn a_ledger_opened_again_is_the_same_ledger() {
    let directory = TempDir::new();
    let path = directory.fresh();
    let first = tests::conformance::fixtures::follow(None, "first");
    let ledger = EmbeddedLedger::open(&path).unwrap();
    assert_eq!(ledger.commit(&first).await.unwrap(), adapters::CommitOutcome::Committed);
    drop(ledger);
    let view = EmbeddedLedger::open(&path).unwrap().load(&workload(), 1).await.unwrap();
    assert_eq!(view.state, Some(first.state));
}

/// How often the writer is killed. Each time after a few commits and a number of microseconds that differs, so that the
/// kill falls into every part of a commit.
const KILLS: u32 = 24;

/// Longest wait for a report: generous, a loaded machine is no failure.
const START_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_killed_writer_leaves_whole_commits_and_loses_none_that_it_reported() {
    let directory = TempDir::new();
    let mut least = None;
    for kill in 0..KILLS {
        let lines = 1 + kill % 4;
        let (first, last) =
            write_until_killed(directory.path(), lines, Duration::from_micros(u64::from(kill) * 137));
        assert!(least < Some(first), "a run goes on where the one before it ended");
        check_after_crash(directory.path(), last).await;
        check_gate_after_crash(directory.path(), first, last).await;
        least = Some(last);
    }
}

/// Runs the writer until it has reported `lines` commits and `extra` has passed, kills it, and returns the first
/// and the last generation that it had reported.
fn write_until_killed(directory: &Path, lines: u32, extra: Duration) -> (u64, u64) {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_ledger_writer"))
        .arg(directory)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(writer.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in output.lines() {
            let Ok(line) = line else { return };
            if let Ok(generation) = line.parse::<u64>() {
                let _ = sender.send(generation);
            }
        }
    });
    let mut reported: Vec<u64> = Vec::new();
    for _ in 0..lines {
        reported.push(receiver.recv_timeout(START_MAX).expect("the writer goes on"));
    }
    let kill_at = Instant::now() + extra;
    while let Ok(generation) = receiver.recv_timeout(kill_at.saturating_duration_since(Instant::now())) {
        reported.push(generation);
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    reader.join().unwrap();
    reported.extend(receiver.try_iter());
    (reported[0], reported[reported.len() - 1])
}

async fn check_after_crash(directory: &Path, least: u64) {
    let ledger = EmbeddedLedger::open(&directory.join("ledger.redb")).unwrap();
    let view = ledger.load(&workload(), domain::CONSUMED_MAX).await.unwrap();
    let state = view.state.expect("at least one commit was reported");
    let n = state.generation.n;
    assert!(n >= least, "generation {n} after {least} was reported");
    let records = ledger.audit(&workload(), 0, usize::MAX).await.unwrap();
    assert_eq!(domain::audit::verify_chain(&records, None), Ok(state.audit_seq));
    let end = records.last().unwrap();
    assert_eq!((end.generation, &end.hash), (state.generation, &state.audit_head));
    let steps: Vec<_> = view.steps.iter().map(|stored| stored.step.id.to_string()).collect();
    let expected: Vec<_> = (n.saturating_sub(2)..=n).map(|n| format!("{n:06}")).collect();
    assert_eq!(steps, expected, "the steps are those of generation {n}");
    let next: Vec<_> = (0..3).map(|k| format!("{:06}-{k}", n + 1)).collect();
    let waiting: Vec<_> = view.inbox.iter().map(|item| item.id.to_string()).collect();
    assert!(waiting.is_empty() || waiting == next, "half a delivery or an unconsumed item: {waiting:?}");
    for k in 0..3 {
        let id = domain::ItemId::new(format!("{n:06}-{k}"));
        assert!(ledger.consumed(&workload(), &id).await.unwrap(), "{id} was not remembered");
    }
}

/// The writer sets the gate of a generation after it has reported the commit, so the one before the last reported in
/// the same run is there, and the file is whole.
async fn check_gate_after_crash(directory: &Path, first: u64, last: u64) {
    let gate = EmbeddedGateReader::new(directory.join("gates")).read(&"eastus2".into()).await.unwrap();
    if first < last {
        assert!(gate.map(|gate| gate.generation) >= Some(Generation { epoch: 1, n: last - 1 }));
    }
}
