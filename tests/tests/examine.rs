//! A ledger's file with one flipped byte: wherever it lies, the examination neither falls over nor writes, and a byte of a
//! record names its record.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::path::Path;

use adapters::embedded::{EmbeddedLedger, Examination, examine};
use adapters::{CommitOutcome, Ledger, StoreError};
use tests::conformance::fixtures::{TempDir, audited, follow, workload};

const RECORDS: u64 = 40;

/// Records from a few hundred bytes to several pages of the file.
async fn write(path: &Path) -> Vec<Vec<u8>> {
    let ledger = EmbeddedLedger::open(path).unwrap();
    let mut state = None;
    for n in 0..RECORDS {
        let mut transition =
            audited(follow(state.as_ref(), &format!("operation {n}")), &format!("generation {n}"));
        let record = transition.audit.as_mut().unwrap();
        record.because = vec!["a reason of many words ".repeat(usize::try_from(n * n % 701).unwrap())];
        *record = std::mem::replace(record, record.clone()).sealed();
        transition.state.audit_head.clone_from(&record.hash);
        assert_eq!(ledger.commit(&transition).await.unwrap(), CommitOutcome::Committed);
        state = Some(transition.state);
    }
    let records = ledger.audit(&workload(), 0, usize::MAX).await.unwrap();
    records.iter().map(|record| serde_json::to_vec(record).unwrap()).collect()
}

fn with_flipped(whole: &[u8], at: usize, copy: &Path) -> Result<Examination, StoreError> {
    let mut bytes = whole.to_vec();
    bytes[at] ^= 1 << (at % 7);
    std::fs::write(copy, &bytes).unwrap();
    let found = examine(copy, &workload());
    assert!(std::fs::read(copy).unwrap() == bytes, "byte {at}: the examination wrote to the file");
    found
}

fn named(found: &Examination) -> Vec<u64> {
    found.walk.broken.iter().map(|(seq, _)| *seq).collect()
}

#[tokio::test]
async fn a_flipped_byte_of_a_record_names_the_record() {
    let directory = TempDir::new();
    let (path, copy) = (directory.fresh(), directory.fresh());
    let records = write(&path).await;
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(named(&examine(&path, &workload()).unwrap()), [0; 0]);
    for (text, seq) in records.iter().zip(1u64..) {
        let places = whole.windows(text.len()).enumerate().filter(|(_, window)| window == text);
        let mut in_use = 0;
        for (start, _) in places {
            // Pages that are no longer used may hold a record too; those in use hold all of it.
            let step = (text.len() / 12).max(1);
            let found: Vec<_> = (start..start + text.len())
                .step_by(step)
                .map(|at| named(&with_flipped(&whole, at, &copy).unwrap()))
                .collect();
            in_use += usize::from(found.iter().all(|named| named == &[seq]));
            assert!(
                found.iter().all(|named| named == &[seq]) || found.iter().all(Vec::is_empty),
                "record {seq}: {found:?}"
            );
        }
        assert_eq!(in_use, 1, "record {seq}");
    }
}

/// The store finds a record by its key, workload and number: one that was changed must not hide the record, nor be believed.
#[tokio::test]
async fn a_flipped_bit_of_a_key_names_the_record_that_lies_there() {
    let directory = TempDir::new();
    let (path, copy) = (directory.fresh(), directory.fresh());
    write(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let workload_bytes = workload().as_str().as_bytes().to_vec();
    for seq in [1, 2, RECORDS / 2, RECORDS] {
        let key = [workload_bytes.as_slice(), &seq.to_le_bytes()].concat();
        let places = whole.windows(key.len()).enumerate().filter(|(_, window)| *window == key);
        let mut in_use = 0;
        for (start, _) in places {
            for at in [start, start + workload_bytes.len(), start + key.len() - 2, start + key.len() - 1] {
                for bit in [0, 3, 7] {
                    let mut bytes = whole.clone();
                    bytes[at] ^= 1 << bit;
                    std::fs::write(&copy, &bytes).unwrap();
                    let found = examine(&copy, &workload()).unwrap();
                    let named = named(&found);
                    in_use += usize::from(!named.is_empty());
                    assert!(
                        named.is_empty() || named == [seq],
                        "record {seq}, bit {bit}: {:?}",
                        found.walk.broken
                    );
                }
            }
        }
        assert!(in_use >= 12, "record {seq}: the key in use is among them ({in_use})");
    }
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_survived_and_never_hidden() {
    let directory = TempDir::new();
    let (path, copy) = (directory.fresh(), directory.fresh());
    write(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let (mut broken, mut unreadable) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 700) {
        match with_flipped(&whole, at, &copy) {
            Ok(found) if named(&found).is_empty() => {
                let whole_chain = found.walk.last.as_ref().map(|(seq, _)| *seq) == Some(RECORDS);
                let end_is_missed = found.head.as_ref().is_ok_and(|head| *head != found.walk.last);
                assert!(whole_chain || end_is_missed || found.head.is_err(), "byte {at}: {found:?}");
            }
            Ok(_) => broken += 1,
            Err(StoreError::Unreadable { .. } | StoreError::Unavailable { .. }) => unreadable += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(broken > 20, "{broken} broken, {unreadable} unreadable of {} bytes", whole.len());
}

#[tokio::test]
async fn a_file_that_a_process_writes_is_not_examined() {
    let directory = TempDir::new();
    let path = directory.fresh();
    let held = EmbeddedLedger::open(&path).unwrap();
    let refused = examine(&path, &workload());
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    drop(held);
}
