//! Cordon on alert, re-admit on resolve: an action group starts a runbook that disables the origin, and enables it again
//! when every alert about the region is resolved. The usual first automation on Azure.

use std::collections::BTreeSet;

use domain::EnabledState;

use crate::fleet::edge::OriginAnswer;
use crate::fleet::steering::{Hands, Steering};
use crate::fleet::stream::Seen;
use crate::fleet::truth::AlertSource;

/// For the reader of the table.
pub(crate) const ABOUT: &str = "a runbook on Service Health, Resource Health and the OriginHealthPercentage alert: any one fired \
    disables the origin, all resolved enable it (Azure Monitor action groups; no thresholds of its own)";

/// Which alerts stand, and what is wanted of the origins.
#[derive(Debug)]
pub(crate) struct AlertAndResolve {
    standing: Vec<BTreeSet<(u8, u64)>>,
}

impl AlertAndResolve {
    pub(crate) fn new(stamps: usize) -> Self {
        Self { standing: vec![BTreeSet::new(); stamps] }
    }
}

impl Steering for AlertAndResolve {
    fn step(&mut self, seen: &Seen, hands: &mut Hands<'_>) {
        for alert in &seen.alerts {
            let source = match alert.source {
                AlertSource::Service => 0,
                AlertSource::Resource => 1,
                AlertSource::OriginMetric => 2,
            };
            let standing = &mut self.standing[alert.stamp];
            if alert.resolved {
                standing.remove(&(source, alert.instance));
            } else {
                standing.insert((source, alert.instance));
            }
        }
        // One change at a time: the next run of the runbook does what this one was refused. A region is let back before
        // another is taken out.
        for (wanted, state) in [(true, EnabledState::Enabled), (false, EnabledState::Disabled)] {
            for s in 0..self.standing.len() {
                if self.standing[s].is_empty() == wanted
                    && hands.plant.edge.configured[s] != wanted
                    && hands.set_origin(s, state) == OriginAnswer::Accepted
                {
                    return;
                }
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.standing.iter().all(BTreeSet::is_empty)
    }
}
