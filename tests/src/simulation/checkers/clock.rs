//! Time: the state's own never runs ahead of the true one by more than clocks differ, as long as ARM says what time it is.
//! Whatever is seen counts as old until the true time has caught up, so that the workload is blind meanwhile.

use std::time::Duration;

use domain::Timestamp;
use domain::state::WorkloadState;

use super::{Checker, Commit};

/// Two machines are off by less than the controller doubts (120 s), each in its own direction, and one sleeps in between.
pub(super) const AHEAD_MAX: Duration = Duration::from_secs(400);

/// An answer that was missed this long ago may be what a commit still rests on: a round of an evaluation that sleeps.
const SILENCE: Duration = Duration::from_secs(900);

#[derive(Default)]
pub(super) struct Clock {
    as_of: Option<Timestamp>,
}

impl Checker for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn failed_over(&mut self, state: Option<&WorkloadState>) {
        self.as_of = state.map(|state| state.as_of);
    }

    fn commit(&mut self, seen: &Commit<'_>, found: &mut Vec<String>) {
        let as_of = seen.transition.state.as_of;
        let ahead = as_of.since(seen.now);
        let moved = self.as_of.is_none_or(|before| as_of > before);
        let silent = seen.arm_silent_at.is_some_and(|at| seen.now.since(at) <= SILENCE);
        if moved && ahead > AHEAD_MAX && !silent {
            found.push(format!("instance {} moved the time {} s ahead", seen.instance, ahead.as_secs()));
        }
        self.as_of = Some(as_of);
    }
}
