//! What the append-only audit does: everything once, nothing over.

use adapters::{AuditAppend, AuditStore, StoreError};
use domain::Generation;
use domain::audit::{AuditRecord, verify_chain};

use super::fixtures::{record, workload};

fn chain(length: u64) -> Vec<AuditRecord> {
    let mut records: Vec<AuditRecord> = Vec::new();
    for seq in 1..=length {
        let previous = records.last().map_or("", |record| record.hash.as_str());
        records.push(record(seq, previous, Generation { epoch: 1, n: seq }, &format!("record {seq}")));
    }
    records
}

async fn append(audit: &impl AuditStore, record: &AuditRecord) -> AuditAppend {
    audit.append(record).await.expect("append")
}

pub(super) async fn stores_a_record_once(audit: &impl AuditStore) {
    let records = chain(2);
    // In the order in which the change feed may deliver them.
    for (index, expected) in
        [(1, AuditAppend::Stored), (0, AuditAppend::Stored), (1, AuditAppend::AlreadyThere)]
    {
        assert_eq!(append(audit, &records[index]).await, expected, "record {index}");
    }
    let listed = audit.list(&workload(), 0, 10).await.expect("list");
    assert_eq!(listed, records);
    assert_eq!(verify_chain(&listed, None), Ok(2));
}

pub(super) async fn never_overwrites(audit: &impl AuditStore) {
    let records = chain(1);
    assert_eq!(append(audit, &records[0]).await, AuditAppend::Stored);
    let mut forged = records[0].clone();
    forged.headline = "all quiet".to_owned();
    let written = audit.append(&forged).await;
    assert!(matches!(written, Err(StoreError::Refused { .. })), "{written:?}");
    assert_eq!(audit.list(&workload(), 0, 10).await.expect("list"), records);
}

pub(super) async fn keeps_both_sides_of_a_fork(audit: &impl AuditStore) {
    let ours = chain(2);
    let theirs = record(2, &ours[0].hash, Generation { epoch: 2, n: 1 }, "after the failover");
    for record in [&ours[0], &ours[1], &theirs] {
        assert_eq!(append(audit, record).await, AuditAppend::Stored);
    }
    let seqs: Vec<_> =
        audit.list(&workload(), 0, 10).await.expect("list").iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [1, 2, 2]);
}

pub(super) async fn lists_in_pages_and_by_workload(audit: &impl AuditStore) {
    for record in &chain(5) {
        assert_eq!(append(audit, record).await, AuditAppend::Stored);
    }
    for (after, max, expected) in
        [(0, 2, vec![1, 2]), (2, 9, vec![3, 4, 5]), (5, 9, vec![]), (0, 0, vec![]), (u64::MAX, 9, vec![])]
    {
        let page = audit.list(&workload(), after, max).await.expect("list");
        let seqs: Vec<_> = page.iter().map(|record| record.seq).collect();
        assert_eq!(seqs, expected, "after {after}, at most {max}");
    }
    for neighbour in ["contoso-shoe", "contoso-shoes-b"] {
        assert!(audit.list(&neighbour.into(), 0, 10).await.expect("list").is_empty());
    }
}
