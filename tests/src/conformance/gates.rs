//! What a gate store does: newest generation wins, and what was written is read back.

use std::sync::Arc;

use adapters::faulty::{Fault, FaultSwitch, FaultyGates};
use adapters::{GateReader, GateStore, GateWrite, StoreError};
use domain::{GatePosition, StampId, Timestamp};

use super::fixtures::gate;

const WRITERS: u64 = 8;
const REWRITES: u64 = 200;
const REASON_CHARS: usize = 60_000;

async fn write(gates: &impl GateStore, document: &domain::GateDocument) -> GateWrite {
    gates.write(document).await.expect("write")
}

async fn read(gates: &impl GateReader, stamp: &str) -> Option<domain::GateDocument> {
    gates.read(&stamp.into()).await.expect("read")
}

pub(super) async fn has_none_at_first(gates: &impl GateStore) {
    assert_eq!(read(gates, "eastus2").await, None);
}

pub(super) async fn reads_back_what_it_wrote(gates: &impl GateStore) {
    let closed = gate("eastus2", 1, GatePosition::Closed);
    assert_eq!(write(gates, &closed).await, GateWrite::Written(closed.clone()));
    assert_eq!(read(gates, "eastus2").await, Some(closed));
    assert_eq!(read(gates, "eastus").await, None, "one stamp's gate is not another's");
}

pub(super) async fn lets_a_newer_generation_stand(gates: &impl GateStore) {
    let newer = gate("eastus2", 7, GatePosition::Closed);
    assert_eq!(write(gates, &newer).await, GateWrite::Written(newer.clone()));
    let older = gate("eastus2", 6, GatePosition::Open);
    assert_eq!(write(gates, &older).await, GateWrite::Newer(newer.clone()));
    assert_eq!(read(gates, "eastus2").await, Some(newer));
}

pub(super) async fn renews_within_a_generation(gates: &impl GateStore) {
    let mut document = gate("eastus2", 7, GatePosition::Slice(25));
    assert_eq!(write(gates, &document).await, GateWrite::Written(document.clone()));
    document.heartbeat_at = Timestamp::from_secs(7_200);
    document.expires_at = Timestamp::from_secs(21_600);
    assert_eq!(write(gates, &document).await, GateWrite::Written(document.clone()));
    assert_eq!(read(gates, "eastus2").await, Some(document));
}

pub(super) async fn ranks_epochs_over_numbers(gates: &impl GateStore) {
    let many = gate("eastus2", 9_999, GatePosition::Closed);
    assert_eq!(write(gates, &many).await, GateWrite::Written(many));
    let mut later = gate("eastus2", 1, GatePosition::Open);
    later.generation.epoch = 2;
    assert_eq!(write(gates, &later).await, GateWrite::Written(later.clone()));
}

pub(super) async fn refuses_names_that_are_no_stamp(gates: &impl GateStore) {
    let long = "x".repeat(64);
    for name in ["", "../eastus2", "East", "east us", ".", "a/b", "a.json", long.as_str()] {
        let written = gates.write(&gate(name, 1, GatePosition::Open)).await;
        assert!(matches!(written, Err(StoreError::Refused { .. })), "{name:?}: {written:?}");
        let read = gates.read(&StampId::new(name)).await;
        assert!(matches!(read, Err(StoreError::Refused { .. })), "{name:?}: {read:?}");
    }
}

pub(super) async fn refuses_another_schema(gates: &impl GateStore) {
    let mut document = gate("eastus2", 1, GatePosition::Closed);
    document.schema += 1;
    let written = gates.write(&document).await;
    assert!(matches!(written, Err(StoreError::Refused { .. })), "{written:?}");
    assert_eq!(read(gates, "eastus2").await, None);
}

pub(super) async fn the_newest_of_eight_writers_stays(gates: impl GateStore) {
    let gates = Arc::new(gates);
    let mut writers = Vec::new();
    for n in 1..=WRITERS {
        let gates = Arc::clone(&gates);
        writers.push(tokio::spawn(async move {
            let written = gates.write(&gate("eastus2", n, GatePosition::Slice(50))).await;
            // Each reads while the others write: a document, whole, and never older than one's own.
            let seen = gates.read(&"eastus2".into()).await.expect("read").expect("it was written");
            assert!(seen.generation.n >= n, "{} after {n}", seen.generation);
            written.expect("write")
        }));
    }
    for writer in writers {
        let (GateWrite::Written(document) | GateWrite::Newer(document)) =
            writer.await.expect("no writer panics");
        assert!(document.generation.n <= WRITERS);
    }
    assert_eq!(read(&*gates, "eastus2").await.map(|document| document.generation.n), Some(WRITERS));
}

pub(super) async fn a_reader_never_sees_half_a_document(gates: impl GateStore) {
    let gates = Arc::new(gates);
    let document = |n| {
        let mut document = gate("eastus2", n, GatePosition::Slice(50));
        // Long, so that there is time to look into the middle of a write.
        document.reason = "x".repeat(REASON_CHARS);
        document
    };
    assert_eq!(write(&*gates, &document(1)).await, GateWrite::Written(document(1)));
    let writer = tokio::spawn({
        let gates = Arc::clone(&gates);
        async move {
            for n in 2..=REWRITES {
                assert_eq!(write(&*gates, &document(n)).await, GateWrite::Written(document(n)));
            }
        }
    });
    let mut newest = 1;
    while newest < REWRITES && !writer.is_finished() {
        let seen = read(&*gates, "eastus2").await.expect("it was written");
        assert!(seen.generation.n >= newest, "went back from {newest} to {}", seen.generation);
        newest = seen.generation.n;
        assert_eq!(seen, document(newest));
    }
    writer.await.expect("the writer goes on to its end");
}

pub(super) async fn survives_a_lost_answer(gates: impl GateStore) {
    let switch = FaultSwitch::new();
    let gates = FaultyGates::new(gates, switch.clone());
    let closed = gate("eastus2", 1, GatePosition::Closed);
    switch.set(Fault::TimesOutAfterStore);
    let lost = gates.write(&closed).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
    assert_eq!(read(&gates, "eastus2").await, Some(closed.clone()));
    assert_eq!(write(&gates, &closed).await, GateWrite::Written(closed));
    switch.set(Fault::Unavailable);
    let unreachable = gates.read(&"eastus2".into()).await;
    assert!(matches!(unreachable, Err(StoreError::Unavailable { .. })), "{unreachable:?}");
}
