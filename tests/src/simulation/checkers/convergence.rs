//! Convergence: when nothing disturbs any more and the operators do their part, everything serves within a stated time.

use std::time::Duration;

use domain::Timestamp;
use domain::state::{Stage, StampCase};

use super::{Checker, Moment};

/// The longest window (4 h), an origin change each way with its settling (two times 40 min), the operators' patience (30
/// min each for a hold, an approval and an acknowledgement), the ramp and the restore of the floors.
pub(crate) const SETTLES_WITHIN: Duration = Duration::from_secs(8 * 3_600);

/// What was asked for is gone this long after the last stage and the last recorded floor: the slowest edge location (15 min, five
/// times as long while the edge is slow), an autoscale engine that scales in (10 min), and as much again. A floor that nobody
/// knows of any more stands for eight hours.
const LEFT_BEHIND: Duration = Duration::from_secs(3 * 3_600);

#[derive(Default)]
pub(super) struct Convergence {
    /// One complaint for each disturbance.
    complained: Option<Timestamp>,
    /// Since when every stamp serves and nothing is recorded to be given back.
    done_since: Option<Timestamp>,
}

impl Checker for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn moment(&mut self, seen: &Moment<'_>, found: &mut Vec<String>) {
        let is_done = |case: &StampCase| case.stage == Stage::Serving && case.floor_recorded.is_none();
        self.done_since = self.done_since.filter(|_| seen.cases.values().all(is_done));
        if seen.cases.values().all(is_done) {
            self.done_since.get_or_insert(seen.now);
        }
        let (Some(calm_since), Some(restless)) = (seen.calm_since, seen.restless) else { return };
        let calm = seen.now.since(calm_since);
        let left_behind =
            self.done_since.is_some_and(|done| seen.now.since(done.max(calm_since)) > LEFT_BEHIND);
        if left_behind && self.complained != Some(calm_since) {
            self.complained = Some(calm_since);
            found.push(format!("{restless} not at rest, although nothing is recorded to be given back"));
        }
        if calm > SETTLES_WITHIN && self.complained != Some(calm_since) {
            self.complained = Some(calm_since);
            let stages: Vec<String> = seen
                .cases
                .iter()
                .map(|(stamp, case)| format!("{stamp} {:?}, gate {:?}", case.stage, case.gate))
                .collect();
            found.push(format!(
                "{restless} not at rest {} s after the last disturbance: {}",
                calm.as_secs(),
                stages.join("; ")
            ));
        }
    }
}
