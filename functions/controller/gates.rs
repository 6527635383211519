//! The gates as an evaluation reads them. One in which nothing happens need not ask again for what it read just before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::decide::GateRead;
use domain::{GatePosition, StampId, StoredStep, Timestamp};

use super::Controller;

/// How long a read of open gates is good for judging that nothing is to be done: three evaluations. Nothing is decided
/// on it: an evaluation that comes to anything else reads again first.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// What this process last read.
#[derive(Debug, Default)]
pub struct GatesRead(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    at: Timestamp,
    gates: BTreeMap<StampId, GateRead>,
}

impl GatesRead {
    /// The gates of these stamps as read a moment ago, if every one was open and no step is under way.
    pub(super) fn recent(
        &self,
        stamps: &BTreeSet<StampId>,
        steps: &[StoredStep],
        now: Timestamp,
    ) -> Option<BTreeMap<StampId, GateRead>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let young = last.at <= now && now.since(last.at) < GOOD_FOR;
        let same =
            last.gates.len() == stamps.len() && stamps.iter().all(|stamp| last.gates.contains_key(stamp));
        let idle = last.gates.values().all(is_open) && !steps.iter().any(|stored| stored.step.is_live());
        (young && same && idle).then(|| last.gates.clone())
    }

    /// Reads them. One that cannot be read says so in its place.
    pub(super) async fn read(
        &self,
        controller: &Controller,
        stamps: BTreeSet<StampId>,
        now: Timestamp,
    ) -> BTreeMap<StampId, GateRead> {
        let mut gates = BTreeMap::new();
        for stamp in stamps {
            let read = match controller.gates.read(&stamp).await {
                Ok(Some(document)) => GateRead::Is { document },
                Ok(None) => GateRead::Absent,
                Err(error) => {
                    tracing::warn!(stamp = %stamp, error = &error as &dyn std::error::Error, "the gate store cannot be read");
                    GateRead::Unreadable
                }
            };
            gates.insert(stamp, read);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Last { at: now, gates: gates.clone() };
        gates
    }
}

fn is_open(read: &GateRead) -> bool {
    match read {
        GateRead::Absent => true,
        GateRead::Is { document } => document.position == GatePosition::Open,
        GateRead::Unreadable => false,
    }
}
