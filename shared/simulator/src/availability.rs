//! What Azure's Resource Health holds of each stamp's compute: what was true of it a while ago, or what a scenario's alert
//! claims. Its alerts and its answers come from here, so that they agree.

use std::collections::BTreeMap;

use crate::faults::StampConditions;
use crate::scenario::{AlertKind, AlertStage, Scenario};
use crate::telemetry::RESOURCE_HEALTH_LAG_S;

/// What it holds of one stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Belief {
    /// `Active`: unavailable.
    pub(crate) stage: AlertStage,
    /// Since when, in seconds of the world; what came before the world is its beginning.
    pub(crate) since_s: u32,
}

/// What it holds of all stamps, and what it has yet to learn.
#[derive(Debug)]
pub(crate) struct Availability {
    beliefs: Vec<Belief>,
    lost: Vec<bool>,
    /// By the second in which it learns of it.
    learns: BTreeMap<u32, Vec<(usize, Belief)>>,
    hears_nothing: bool,
}

impl Availability {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let stamps = scenario.stamps.len();
        let mut availability = Self {
            beliefs: vec![Belief { stage: AlertStage::Resolved, since_s: 0 }; stamps],
            lost: vec![false; stamps],
            learns: BTreeMap::new(),
            hears_nothing: false,
        };
        for alert in scenario.alerts.iter().filter(|alert| alert.kind == AlertKind::ResourceHealth) {
            let named = |stamp: &domain::StampId| scenario.stamps.iter().position(|spec| spec.id == *stamp);
            if let Some(stamp) = alert.stamp.as_ref().and_then(named) {
                let at_s = alert.at_s.saturating_add(alert.delay_s.unwrap_or(RESOURCE_HEALTH_LAG_S));
                availability.learn(at_s, stamp, Belief { stage: alert.stage, since_s: alert.at_s });
            }
        }
        availability
    }

    /// From now on every resource is available: for an ablation.
    pub(crate) fn hear_nothing(&mut self) {
        self.hears_nothing = true;
    }

    pub(crate) fn of(&self, stamp: usize) -> Belief {
        self.beliefs[stamp]
    }

    /// Second `t` begins. It looks from inside the datacenter (Azure's list of the checks that are made), so of what can be wrong
    /// it sees only that the compute is gone: neither a broken way to it, nor errors of the application, nor its database.
    pub(crate) fn begin_second(&mut self, t: u32, conditions: &[StampConditions]) {
        if self.hears_nothing {
            return;
        }
        for (stamp, conditions) in conditions.iter().enumerate() {
            if conditions.lost != self.lost[stamp] {
                self.lost[stamp] = conditions.lost;
                let stage = if conditions.lost { AlertStage::Active } else { AlertStage::Resolved };
                self.learn(t + RESOURCE_HEALTH_LAG_S, stamp, Belief { stage, since_s: t });
            }
        }
        while let Some(due) = self.learns.first_entry().filter(|due| *due.key() <= t) {
            for (stamp, belief) in due.remove() {
                // The same again changes nothing, and it is still so since when it was.
                if self.beliefs[stamp].stage != belief.stage {
                    self.beliefs[stamp] = belief;
                }
            }
        }
    }

    fn learn(&mut self, at_s: u32, stamp: usize, belief: Belief) {
        self.learns.entry(at_s).or_default().push((stamp, belief));
    }
}
