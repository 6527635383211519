//! A gate's life: what is closed is renewed at half its lifetime as long as anybody can, lives no longer than the policy
//! says, and only a newer generation opens it.

use std::time::Duration;

use domain::state::WorkloadState;
use domain::{GatePosition, Timestamp};

use super::clock::AHEAD_MAX;
use super::{Checker, Commit, Effected, Moment, Written};

/// Over half the lifetime: two evaluations, a claim taken over, and the longest wait for a store.
const RENEWAL_SLACK: Duration = Duration::from_secs(20 * 60);

/// Remembers how late it is by the state, which another checker judges: a gate lives by that.
#[derive(Default)]
pub(super) struct GateLife {
    as_of: Option<Timestamp>,
}

impl Checker for GateLife {
    fn name(&self) -> &'static str {
        "gate-life"
    }

    fn failed_over(&mut self, state: Option<&WorkloadState>) {
        self.as_of = state.map(|state| state.as_of);
    }

    fn commit(&mut self, seen: &Commit<'_>, _: &mut Vec<String>) {
        self.as_of = Some(seen.transition.state.as_of);
    }

    fn effect(&mut self, seen: &Effected<'_>, found: &mut Vec<String>) {
        let Written::Gate(document) = seen.written else { return };
        let ahead = self.as_of.map_or(Duration::ZERO, |as_of| as_of.since(seen.now));
        let lives = document.expires_at.since(seen.now);
        if lives > seen.policy.gate.lifetime.get() + ahead.max(AHEAD_MAX) {
            found.push(format!("the gate of {} would bind for {} s", document.stamp, lives.as_secs()));
        }
        if let Some(before) = seen.gate_before
            && document.position.percent() > before.position.percent()
            && document.generation <= before.generation
        {
            found.push(format!(
                "the gate of {} was opened by generation {}",
                document.stamp, document.generation
            ));
        }
    }

    fn moment(&mut self, seen: &Moment<'_>, found: &mut Vec<String>) {
        let allowed = seen.policy.gate.lifetime.get() / 2 + RENEWAL_SLACK;
        let Some(able_since) = seen.able_since.filter(|since| seen.now.since(*since) > RENEWAL_SLACK) else {
            return;
        };
        for (stamp, document) in seen.documents {
            let wanted = seen
                .cases
                .get(stamp)
                .is_some_and(|case| case.gate != GatePosition::Open && case.hold.is_none());
            let idle = seen.now.since(document.heartbeat_at);
            if wanted && document.position != GatePosition::Open && idle > allowed && able_since < seen.now {
                found.push(format!("the gate of {stamp} was not renewed for {} s", idle.as_secs()));
            }
        }
    }
}
