//! What a query over the audit finds, however the store answers it: the same lines as reading every record would.

use adapters::Ledger;
use domain::audit_line::{AuditLine, AuditQuery};
use domain::canonical::JsonPart;
use domain::state::WorkloadState;
use domain::{Timestamp, WorkloadId};
use serde_json::json;

use super::fixtures::{audited, follow, workload};
use super::ledger::committed;

const RECORDS: u64 = 40;

/// Commits a story: stamps come and go, rules fire, time passes. Returns its lines, the oldest first.
async fn story(ledger: &impl Ledger) -> Vec<AuditLine> {
    let mut state: Option<WorkloadState> = None;
    let mut lines: Vec<AuditLine> = Vec::new();
    for seq in 1..=RECORDS {
        let mut next = audited(follow(state.as_ref(), &format!("story {seq}")), &format!("record {seq}"));
        next.state.as_of = Timestamp::from_secs(60 * i64::try_from(seq).expect("small"));
        let stage = if seq % 10 < 4 { "serving" } else { "cordoned" };
        let action = if seq.is_multiple_of(3) {
            json!({"action": "hold", "reason": "frozen"})
        } else {
            json!({"action": "stay"})
        };
        let stamp = if seq.is_multiple_of(2) { "eastus2" } else { "centralus" };
        let record = next.audit.as_mut().expect("audited");
        record.at = next.state.as_of;
        record.decision = JsonPart::of(&json!({
            "cases": {"eastus2": {"stage": stage, "gate": "open", "demand_rps": 1.5}},
            "rulings": {stamp: {"action": action, "next_at": null}},
            "freeze": null,
        }));
        record.explanation =
            json!({"fired": [{"stamp": null, "rule": {"rule": "held", "reason": "frozen"}}]});
        *record = record.clone().sealed();
        next.state.audit_head.clone_from(&record.hash);
        lines.push(AuditLine::of(record, lines.last()));
        state = Some(committed(ledger, &next).await);
    }
    lines
}

fn queries() -> Vec<AuditQuery> {
    let at = |minutes: i64| Some(Timestamp::from_secs(60 * minutes));
    let all = AuditQuery::default;
    vec![
        all(),
        AuditQuery { stamp: Some("eastus2".into()), ..all() },
        AuditQuery { decision: Some("hold".into()), ..all() },
        AuditQuery { rule: Some("held.frozen".into()), ..all() },
        AuditQuery {
            stamp: Some("eastus2".into()),
            decision: Some("hold".into()),
            before: Some(31),
            ..all()
        },
        AuditQuery { stamp: Some("nobody".into()), rule: Some("held.frozen".into()), ..all() },
        AuditQuery { beginnings: true, ..all() },
        AuditQuery { incident: Some(14), ..all() },
        AuditQuery { incident: Some(14), decision: Some("hold".into()), ..all() },
        AuditQuery { from: at(10), until: at(20), ..all() },
        AuditQuery { from: at(10), until: at(20), stamp: Some("centralus".into()), ..all() },
        AuditQuery { from: at(99), ..all() },
        AuditQuery { until: at(0), ..all() },
        AuditQuery { before: Some(1), ..all() },
    ]
}

pub(super) async fn finds_what_reading_everything_would(ledger: &impl Ledger) {
    let lines = story(ledger).await;
    for query in queries() {
        for lines_max in [0, 1, 7, 100] {
            let found = ledger.audit_lines(&workload(), &query, lines_max).await.expect("lines");
            let wanted: Vec<&AuditLine> =
                lines.iter().rev().filter(|line| query.finds(line)).take(lines_max).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{query:?}, at most {lines_max}");
        }
        let neighbour = WorkloadId::new("contoso-shoes-2");
        assert!(ledger.audit_lines(&neighbour, &query, 9).await.expect("lines").is_empty());
    }
}
