//! Convergence: when nothing disturbs any more and the operators do their part, everything serves within a stated time.

use std::time::Duration;

use super::{Checker, Moment};

/// The longest window (4 h), an origin change each way with its settling (two times 40 min), the operators' patience (30
/// min each for a hold, an approval and an acknowledgement), the ramp and the restore of the floors.
pub(crate) const SETTLES_WITHIN: Duration = Duration::from_secs(8 * 3_600);

#[derive(Default)]
pub(super) struct Convergence {
    /// One complaint for each disturbance.
    complained: Option<domain::Timestamp>,
}

impl Checker for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn moment(&mut self, seen: &Moment<'_>, found: &mut Vec<String>) {
        let (Some(calm_since), Some(restless)) = (seen.calm_since, seen.restless) else { return };
        let calm = seen.now.since(calm_since);
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
