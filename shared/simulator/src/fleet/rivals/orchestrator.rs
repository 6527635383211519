//! orchestrator's way: a region is dead when its own prober and every other region agree (holistic detection); it is then
//! failed over at once, and no further automatic recovery happens for an hour, nor does the failed one come back earlier.
//!
//! Sources: orchestrator's documentation, `failure-detection` (master unreachable and replicas agree),
//! `topology-recovery` and `configuration-recovery` (`RecoveryPeriodBlockSeconds`: 3600, `InstancePollSeconds`: 5). It
//! never brings a failed master back by itself; here it does so at the end of the block, if the region is seen well.

use domain::GatePosition;

use crate::fleet::steering::{Hands, Steering};
use crate::fleet::stream::{Seen, StampSeen, Word};

/// For the reader of the table.
pub(crate) const ABOUT: &str = "orchestrator's defaults: dead when witness and all peers agree, failed over at once by the gate, \
    RecoveryPeriodBlockSeconds 3600: no other failover and no return for an hour";

const RECOVERY_PERIOD_BLOCK_S: u32 = 3_600;

/// Whom it failed over, and until when it is blocked.
#[derive(Debug)]
pub(crate) struct Orchestrator {
    out: Vec<bool>,
    blocked_until: u32,
}

impl Orchestrator {
    pub(crate) fn new(stamps: usize) -> Self {
        Self { out: vec![false; stamps], blocked_until: 0 }
    }
}

impl Steering for Orchestrator {
    fn step(&mut self, seen: &Seen, hands: &mut Hands<'_>) {
        if seen.t < self.blocked_until {
            return;
        }
        for (s, stamp) in seen.stamps.iter().enumerate().filter(|(_, stamp)| stamp.view == Word::Healthy) {
            if self.out[s] && !is_dead(stamp) {
                self.out[s] = false;
                hands.set_gate(s, GatePosition::Open);
            }
        }
        // It promotes one of the rest: with nobody left there is nothing to fail over to.
        let alive = |s: usize| !self.out[s] && !is_dead(&seen.stamps[s]);
        let dead = (0..self.out.len()).find(|s| !self.out[*s] && is_dead(&seen.stamps[*s]));
        if let Some(s) = dead.filter(|_| (0..self.out.len()).any(alive)) {
            self.out[s] = true;
            self.blocked_until = seen.t + RECOVERY_PERIOD_BLOCK_S;
            hands.set_gate(s, GatePosition::Closed);
        }
    }

    fn is_idle(&self) -> bool {
        self.out.iter().all(|out| !out)
    }
}

fn is_dead(stamp: &StampSeen) -> bool {
    let bad = |word: Word| matches!(word, Word::Unreachable | Word::Unhealthy);
    bad(stamp.view) && !stamp.peers.is_empty() && stamp.peers.iter().all(|(_, word)| bad(*word))
}
