//! The chain beside its append-only copy. A forced failover of the ledger's write region loses its last records, and the
//! copy may hold them: a fork. It is accepted where the record that goes on after it says so, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use crate::Generation;
use crate::audit::AuditRecord;

/// The ledger's own records, as far as a copy is compared with them.
#[derive(Clone, Debug, Default)]
pub struct Trunk {
    hashes: BTreeMap<u64, String>,
    forks: Vec<Fork>,
    last: Option<Generation>,
    /// Hashes of the copy's records that a fork explains, each of which the next may follow.
    lost: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Fork {
    seq: u64,
    generation: Generation,
    after: Generation,
}

/// What a record of the copy is to the ledger.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The same record.
    Same,
    /// Lost to the ledger in a change of write region that its chain records.
    Lost,
    /// Older than what the ledger still holds.
    Trimmed,
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The epoch rose, and nothing says so.
    #[error("audit record {seq} is of a new epoch, {generation}, and does not say that it began")]
    Unsaid {
        /// Its number.
        seq: u64,
        /// Its generation.
        generation: Generation,
    },
    /// The copy of a record was changed.
    #[error("the copy of audit record {seq} was altered: its content does not match its hash")]
    Altered {
        /// Its number.
        seq: u64,
    },
    /// A record of the copy that is not the ledger's, and no change of write region explains.
    #[error(
        "audit record {seq} of the copy is another than the ledger's: altered, or a fork that no record explains"
    )]
    Unexplained {
        /// Its number.
        seq: u64,
    },
    /// A record that the ledger should have.
    #[error("audit record {seq} is in the copy and no longer in the ledger")]
    Missing {
        /// Its number.
        seq: u64,
    },
}

impl Trunk {
    /// Takes the next record of the ledger, in the order of their numbers.
    ///
    /// # Errors
    /// When a new epoch begins without a word.
    pub fn take(&mut self, record: &AuditRecord) -> Result<(), ForkError> {
        let (seq, generation) = (record.seq, record.generation);
        self.hashes.insert(seq, record.hash.clone());
        let before = self.last.replace(generation);
        if let Some(after) = record.begins_epoch_after() {
            self.forks.push(Fork { seq, generation, after });
            return Ok(());
        }
        match before {
            Some(before) if before.epoch != generation.epoch => Err(ForkError::Unsaid { seq, generation }),
            _ => Ok(()),
        }
    }

    /// The hash of the ledger's record of this number.
    pub fn hash(&self, seq: u64) -> Option<&str> {
        self.hashes.get(&seq).map(String::as_str)
    }

    /// Holds the next record of the copy against the ledger, in the order of their numbers.
    ///
    /// # Errors
    /// When it was altered, or nothing explains it.
    pub fn compare(&mut self, copy: &AuditRecord) -> Result<Copied, ForkError> {
        let seq = copy.seq;
        if copy.content_hash() != copy.hash {
            return Err(ForkError::Altered { seq });
        }
        if self.hash(seq) == Some(copy.hash.as_str()) {
            return Ok(Copied::Same);
        }
        if self.is_lost(copy) {
            self.lost.insert(copy.hash.clone());
            return Ok(Copied::Lost);
        }
        match self.hashes.keys().next() {
            Some(first) if seq < *first => Ok(Copied::Trimmed),
            _ if self.hashes.contains_key(&seq) => Err(ForkError::Unexplained { seq }),
            _ => Err(ForkError::Missing { seq }),
        }
    }

    /// Whether it hangs on the chain where a new epoch went on, and was committed after what that one knew of.
    fn is_lost(&self, copy: &AuditRecord) -> bool {
        self.forks.iter().any(|fork| {
            let in_between = copy.generation > fork.after && copy.generation.epoch < fork.generation.epoch;
            let at_the_fork = copy.seq == fork.seq
                && (fork.seq == 1 || self.hash(fork.seq - 1) == Some(copy.previous.as_str()));
            in_between && (at_the_fork || (copy.seq > fork.seq && self.lost.contains(&copy.previous)))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Timestamp, WorkloadId};

    fn record(seq: u64, previous: &str, epoch: u32, n: u64, note: &Value) -> AuditRecord {
        AuditRecord {
            id: String::new(),
            schema: 1,
            workload: WorkloadId::new("contoso-shoes"),
            seq,
            previous: previous.to_owned(),
            generation: Generation { epoch, n },
            at: Timestamp::from_secs(60),
            headline: format!("{seq} in {epoch}"),
            because: vec![],
            decision: crate::canonical::JsonPart::of(&Value::Null),
            findings: Value::Null,
            steps: Value::Null,
            explanation: Value::Null,
            consumed: vec![],
            situation: crate::canonical::JsonText::of(&json!({ "notes": [note] })),
            policy_hash: String::new(),
            hash: String::new(),
        }
        .sealed()
    }

    fn began(after: Generation) -> Value {
        json!({ "note": "epoch_began", "after": after, "text": "moved" })
    }

    /// Two records that stayed, two that were lost, and two of the new epoch.
    fn forked(note: &Value) -> (Vec<AuditRecord>, Vec<AuditRecord>) {
        let first = record(1, "", 1, 1, &Value::Null);
        let second = record(2, &first.hash, 1, 4, &Value::Null);
        let lost = record(3, &second.hash, 1, 6, &Value::Null);
        let lost_too = record(4, &lost.hash, 1, 7, &Value::Null);
        let third = record(3, &second.hash, 2, 6, note);
        let fourth = record(4, &third.hash, 2, 7, &Value::Null);
        let copy = vec![first.clone(), second.clone(), lost, third.clone(), lost_too, fourth.clone()];
        (vec![first, second, third, fourth], copy)
    }

    fn compared(ledger: &[AuditRecord], copy: &[AuditRecord]) -> Vec<Result<Copied, ForkError>> {
        let mut trunk = Trunk::default();
        for record in ledger {
            let _ = trunk.take(record);
        }
        copy.iter().map(|copy| trunk.compare(copy)).collect()
    }

    #[test]
    fn a_fork_that_the_chain_records_is_accepted() {
        let (ledger, copy) = forked(&began(Generation { epoch: 1, n: 5 }));
        let (same, lost) = (Ok(Copied::Same), Ok(Copied::Lost));
        assert_eq!(
            compared(&ledger, &copy),
            [same.clone(), same.clone(), lost.clone(), same.clone(), lost, same]
        );
    }

    #[test]
    fn a_fork_that_no_record_explains_is_not() {
        let (ledger, copy) = forked(&Value::Null);
        let mut trunk = Trunk::default();
        let taken: Vec<_> = ledger.iter().map(|record| trunk.take(record)).collect();
        let unsaid = ForkError::Unsaid { seq: 3, generation: Generation { epoch: 2, n: 6 } };
        assert_eq!(taken, [Ok(()), Ok(()), Err(unsaid), Ok(())]);
        assert_eq!(trunk.compare(&copy[2]), Err(ForkError::Unexplained { seq: 3 }));
        assert_eq!(trunk.compare(&copy[4]), Err(ForkError::Unexplained { seq: 4 }));
    }

    #[test]
    fn a_recorded_fork_explains_only_what_hangs_on_it_and_came_between() {
        let (ledger, copy) = forked(&began(Generation { epoch: 1, n: 5 }));
        let stranger = record(3, "elsewhere", 1, 6, &Value::Null);
        let known = record(3, &ledger[1].hash, 1, 5, &Value::Null);
        let later = record(3, &ledger[1].hash, 2, 6, &json!("another"));
        let mut altered = copy[2].clone();
        altered.headline = "all quiet".into();
        let unexplained = Err(ForkError::Unexplained { seq: 3 });
        assert_eq!(
            compared(&ledger, &[stranger, known, later, altered]),
            [unexplained.clone(), unexplained.clone(), unexplained, Err(ForkError::Altered { seq: 3 })]
        );
        // Without the record it hangs on, the next of the lost is a stranger as well.
        assert_eq!(compared(&ledger, &copy[4..5]), [Err(ForkError::Unexplained { seq: 4 })]);
        let end = record(5, &ledger[3].hash, 2, 9, &Value::Null);
        assert_eq!(compared(&ledger, &[end]), [Err(ForkError::Missing { seq: 5 })]);
        assert_eq!(compared(&ledger[2..], &copy[..1]), [Ok(Copied::Trimmed)]);
        let first_kept = record(3, "elsewhere", 1, 6, &Value::Null);
        assert_eq!(compared(&ledger[2..], &[first_kept]), [Err(ForkError::Unexplained { seq: 3 })]);
    }
}
