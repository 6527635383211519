//! Envoy's outlier detection on a slow actuator: so many failures in a row eject a host for a time that grows with each
//! ejection, never more than a percentage of the hosts.
//!
//! Source: Envoy's documentation, `config.cluster.v3.OutlierDetection`: `consecutive_5xx` 5, `interval` 10 s,
//! `base_ejection_time` 30 s, `max_ejection_time` 300 s, `max_ejection_percent` 10 %, with
//! `always_eject_one_host` (once the only behaviour, now a choice; without it nothing of two or three is ever ejected). Success-rate ejection needs five hosts, failure-percentage ejection is not enforced by
//! default: neither applies. Envoy sees every request; here it has the synthetic ones and each minute's counts: a minute
//! of N requests of which a share p failed holds five in a row once N p^5 is at least 1.

use domain::EnabledState;

use crate::fleet::edge::OriginAnswer;
use crate::fleet::steering::{Hands, Steering};
use crate::fleet::stream::{Counted, Ping, Seen};

/// For the reader of the table.
pub(crate) const ABOUT: &str = "Envoy's defaults: consecutive_5xx 5, base_ejection_time 30 s growing to 300 s, \
    max_ejection_percent 10 % (at least one host); ejection is Front Door's enabledState";

const CONSECUTIVE_5XX: u32 = 5;
const BASE_EJECTION_S: u32 = 30;
const MAX_EJECTION_S: u32 = 300;
const MAX_EJECTION_PERCENT: usize = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Host {
    in_a_row: u32,
    ejected_at: Option<u32>,
    /// The multiplier of the ejection time; falls by one with each good interval.
    ejections: u32,
    detected: bool,
}

/// One state per stamp.
#[derive(Debug)]
pub(crate) struct OutlierDetection {
    hosts: Vec<Host>,
}

impl OutlierDetection {
    pub(crate) fn new(stamps: usize) -> Self {
        Self { hosts: vec![Host::default(); stamps] }
    }

    fn detect(&mut self, seen: &Seen) {
        for (host, stamp) in self.hosts.iter_mut().zip(&seen.stamps) {
            host.detected = false;
            for ping in stamp.pings {
                host.in_a_row = if ping == Ping::Ok { 0 } else { host.in_a_row + 1 };
                host.detected |= host.in_a_row >= CONSECUTIVE_5XX;
            }
        }
        for count in seen.counts.iter().filter(|count| count.what == Counted::Requests && count.failed > 0) {
            let share = count.failed as f64 / count.total as f64;
            let runs = count.total as f64 * share.powi(CONSECUTIVE_5XX as i32);
            // What was counted before the ejection began says nothing new.
            let host = &mut self.hosts[count.stamp];
            host.detected |= runs >= 1.0 && host.ejected_at.is_none_or(|at| count.observed > at);
        }
    }
}

impl Steering for OutlierDetection {
    fn step(&mut self, seen: &Seen, hands: &mut Hands<'_>) {
        self.detect(seen);
        let most = (self.hosts.len() * MAX_EJECTION_PERCENT / 100).max(1);
        for s in 0..self.hosts.len() {
            let ejected = self.hosts.iter().filter(|host| host.ejected_at.is_some()).count();
            let host = &mut self.hosts[s];
            match host.ejected_at {
                None if host.detected
                    && ejected < most
                    && hands.set_origin(s, EnabledState::Disabled) == OriginAnswer::Accepted =>
                {
                    host.ejected_at = Some(seen.t);
                    host.ejections += 1;
                    host.in_a_row = 0;
                }
                None if !host.detected => host.ejections = host.ejections.saturating_sub(1),
                Some(at) if seen.t - at >= (BASE_EJECTION_S * host.ejections).min(MAX_EJECTION_S) => {
                    let answer = hands.set_origin(s, EnabledState::Enabled);
                    if matches!(answer, OriginAnswer::Accepted | OriginAnswer::AlreadySo) {
                        host.ejected_at = None;
                        host.in_a_row = 0;
                    }
                }
                _ => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.hosts.iter().all(|host| host.ejected_at.is_none())
    }
}
