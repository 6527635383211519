//! Commits to a ledger file and writes a gate, over and over, until it is killed: the victim of the crash test. Prints
//! each generation once its commit has returned.

use std::io::Write;
use std::path::Path;

use adapters::embedded::{EmbeddedGates, EmbeddedLedger};
use adapters::{CommitOutcome, GateStore, Ledger};
use domain::{GatePosition, StepId};
use tests::conformance::fixtures::{audited, created, follow, gate, item, workload};

/// Items appended before, and consumed by, each commit; also the steps that are kept.
const PER_COMMIT: u64 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = std::env::args().nth(1).expect("the directory of the stores");
    let directory = Path::new(&directory);
    let ledger = EmbeddedLedger::open(&directory.join("ledger.redb")).expect("open the ledger");
    let gates = EmbeddedGates::open(directory.join("gates")).expect("open the gates");
    loop {
        let view = ledger.load(&workload(), domain::CONSUMED_MAX).await.expect("load");
        let n = view.state.as_ref().map_or(0, |state| state.generation.n + 1);
        let items: Vec<_> =
            (0..PER_COMMIT).map(|k| item(&format!("{n:06}-{k}"), i64::try_from(n).unwrap_or(0))).collect();
        ledger.append(&workload(), &items).await.expect("append");
        let operation = format!("{}/{n}", std::process::id());
        let mut transition = audited(follow(view.state.as_ref(), &operation), &format!("generation {n}"));
        transition.consumed = items.into_iter().map(|item| item.id).collect();
        transition.steps = vec![created(&format!("{n:06}"))];
        transition.forgotten =
            n.checked_sub(PER_COMMIT).map(|old| StepId::new(format!("{old:06}"))).into_iter().collect();
        let outcome = ledger.commit(&transition).await.expect("commit");
        assert_eq!(outcome, CommitOutcome::Committed, "nobody else writes here");
        println!("{n}");
        std::io::stdout().flush().expect("the parent reads");
        let written = gates.write(&gate("eastus2", n, GatePosition::Closed)).await.expect("write the gate");
        assert!(matches!(written, adapters::GateWrite::Written(_)), "{written:?}");
    }
}
