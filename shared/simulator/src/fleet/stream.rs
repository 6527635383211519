//! What each source says and when: the same stream for every policy, with the delays of [`crate::lags`] and each family's
//! lies. Nothing here knows which policy listens.

use std::collections::BTreeMap;

use super::STEP_S;
use super::edge::Reply;
use super::plant::Plant;
use super::truth::{Alert, AlertSource, Incident, StampTruth, Truth};
use crate::draw::{About, Seed};
use crate::metrics::METRIC_LAG_S;
use crate::stamp::{NEEDS_COSMOS, OVERLOAD_LOSS};
use crate::telemetry::{
    METRIC_ALERT_DELIVERY_S, METRIC_ALERT_HEALTHY_EVALUATIONS, PROBE_LOG_BATCH_S, PROBE_LOG_LAG_S,
};

/// Synthetic requests per stamp and run of the observer, one every two seconds.
pub(crate) const PINGS: usize = 5;
/// The metric alert fires below this `OriginHealthPercentage`: the built-in scenarios' rule.
const ALERT_BELOW_PCT: f64 = 80.0;

/// How one synthetic request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ping {
    Ok,
    Saturated,
    ServerError,
    Unreachable,
    Auth,
}

/// What a health view says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Healthy,
    Degraded,
    Unhealthy,
    /// Nobody answers.
    Unreachable,
    /// Our credentials are refused.
    Auth,
}

/// What the stamp says of its load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LoadSeen {
    pub(crate) ready: u32,
    pub(crate) rps: f64,
    pub(crate) saturation: f64,
}

/// What was seen of one stamp from the witness region.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StampSeen {
    pub(crate) pings: [Ping; PINGS],
    pub(crate) view: Word,
    /// Only where the view was read.
    pub(crate) load: Option<LoadSeen>,
    /// What the other stamps say of this one, by who says it; only those whose view was read.
    pub(crate) peers: Vec<(usize, Word)>,
    /// The gated view's status, if it answered us.
    pub(crate) gated_status: Option<u16>,
}

/// What a minute of a metric tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// `OriginHealthPercentage`.
    OriginHealth,
    /// `OriginRequestCount` by status.
    Requests,
    /// The Cosmos DB region's requests by status.
    Cosmos,
    /// Locations that reported failed probes, in the probe log.
    ProbeLog,
}

/// One minute of one metric, or one batch of the probe log, as it becomes readable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Count {
    pub(crate) stamp: usize,
    pub(crate) what: Counted,
    /// The moment it stands for.
    pub(crate) observed: u32,
    pub(crate) failed: u64,
    pub(crate) total: u64,
}

/// Everything new since the step before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) t: u32,
    pub(crate) stamps: Vec<StampSeen>,
    pub(crate) counts: Vec<Count>,
    pub(crate) alerts: Vec<Alert>,
    /// Azure Resource Manager answers reads.
    pub(crate) arm_reads: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    probes: u32,
    good_probes: u32,
    ok: f64,
    failed: f64,
    cosmos_ok: f64,
    cosmos_failed: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rule {
    instance: u64,
    fired: Option<u32>,
    healthy: u32,
    evaluated: u32,
}

/// All sources.
#[derive(Debug)]
pub(crate) struct Stream {
    seed: Seed,
    minutes: Vec<Minute>,
    /// A bit for each location that logged a failed probe in this batch.
    logged: Vec<u32>,
    due_counts: BTreeMap<(u32, u32), Count>,
    due_alerts: BTreeMap<(u32, u32), Alert>,
    queued: u32,
    rules: Vec<Rule>,
}

impl Stream {
    pub(crate) fn new(incident: &Incident) -> Self {
        let stamps = incident.stamps.len();
        let mut stream = Self {
            seed: incident.seed,
            minutes: vec![Minute::default(); stamps],
            logged: vec![0; stamps],
            due_counts: BTreeMap::new(),
            due_alerts: BTreeMap::new(),
            queued: 0,
            rules: vec![Rule::default(); stamps],
        };
        for alert in &incident.alerts {
            stream.queue_alert(alert);
        }
        stream
    }

    /// Nothing is on its way any more that could move a policy.
    pub(crate) fn is_quiet(&self) -> bool {
        self.due_alerts.is_empty() && self.rules.iter().all(|rule| rule.fired.is_none())
    }

    /// Notes one probe of Front Door.
    pub(crate) fn probed(&mut self, pop: usize, stamp: usize, reply: Reply) {
        let good = reply == Reply::Good;
        let minute = &mut self.minutes[stamp];
        minute.probes += 1;
        minute.good_probes += u32::from(good);
        if !good {
            self.logged[stamp] |= 1 << pop;
        }
    }

    /// The step at `t` ends: what Azure counted in it, and what becomes a minute or a batch with it.
    pub(crate) fn counted(&mut self, t: u32, plant: &Plant, truth: &Truth) {
        for (s, minute) in self.minutes.iter_mut().enumerate() {
            let (count, truth) = (&plant.counted[s], &truth.stamps[s]);
            let lied = count.ok * truth.traffic_lies;
            minute.ok += count.ok - lied;
            minute.failed += count.failed + lied;
            let cosmos = count.ok + count.failed * f64::from(u8::from(!truth.lost));
            let failing = if truth.cosmos_lost || truth.data_lies { NEEDS_COSMOS } else { 0.0 };
            minute.cosmos_failed += cosmos * failing;
            minute.cosmos_ok += cosmos * (1.0 - failing);
        }
        let ends = t + STEP_S;
        if ends.is_multiple_of(PROBE_LOG_BATCH_S) {
            self.close_batches(ends);
        }
        if ends.is_multiple_of(60) {
            self.close_minutes(ends, truth);
        }
    }

    /// What is new for whoever looks at `t`.
    pub(crate) fn look(&mut self, t: u32, plant: &Plant, truth: &Truth) -> Seen {
        let counts = take(&mut self.due_counts, t);
        self.run_rules(t, &counts);
        Seen {
            t,
            stamps: (0..plant.stamps.len()).map(|s| self.stamp_seen(s, t, plant, truth)).collect(),
            counts,
            alerts: take(&mut self.due_alerts, t),
            arm_reads: !truth.arm_down,
        }
    }

    fn stamp_seen(&self, s: usize, t: u32, plant: &Plant, truth: &Truth) -> StampSeen {
        let stamp = &plant.stamps[s];
        let here = &truth.stamps[s];
        let view = if here.witness_blind { Word::Unreachable } else { word(here, stamp.ready) };
        let mut pings = [Ping::Ok; PINGS];
        for (n, ping) in pings.iter_mut().enumerate() {
            let draw = self.seed.unit(About::FleetPing, s as u64, u64::from(t) << 8 | n as u64);
            *ping = pinged(here, view, refused(stamp.utilisation), draw);
        }
        let is_read = matches!(view, Word::Healthy | Word::Degraded | Word::Unhealthy);
        let others = (0..plant.stamps.len()).filter(|p| *p != s);
        let peers = others.filter_map(|p| {
            let there = &truth.stamps[p];
            let p_is_read = !there.witness_blind
                && matches!(
                    word(there, plant.stamps[p].ready),
                    Word::Healthy | Word::Degraded | Word::Unhealthy
                );
            let says = if here.peers_blind { Word::Unreachable } else { word(here, stamp.ready) };
            // Peers have credentials of their own.
            let says = if says == Word::Auth { Word::Healthy } else { says };
            p_is_read.then_some((p, says))
        });
        let saturation = stamp.utilisation.min(99.0);
        let gated = if stamp.gate_percent < 100 || here.hard_errors { 503 } else { 200 };
        StampSeen {
            pings,
            view,
            load: is_read.then_some(LoadSeen { ready: stamp.ready, rps: stamp.arriving_rps, saturation }),
            peers: peers.collect(),
            gated_status: is_read.then_some(gated),
        }
    }

    fn close_batches(&mut self, ends: u32) {
        for s in 0..self.logged.len() {
            let locations = u64::from(std::mem::take(&mut self.logged[s]).count_ones());
            if locations > 0 {
                let entity = s as u64;
                let lag = self.seed.seconds(PROBE_LOG_LAG_S, About::ProbeLogLag, entity, u64::from(ends));
                let observed = ends - STEP_S;
                let count = Count {
                    stamp: s,
                    what: Counted::ProbeLog,
                    observed,
                    failed: locations,
                    total: locations,
                };
                self.queue_count(ends + lag, count);
            }
        }
    }

    fn close_minutes(&mut self, ends: u32, truth: &Truth) {
        for s in 0..self.minutes.len() {
            let minute = std::mem::take(&mut self.minutes[s]);
            if truth.metrics_down {
                continue;
            }
            let kinds = [
                (
                    Counted::OriginHealth,
                    f64::from(minute.good_probes),
                    f64::from(minute.probes - minute.good_probes),
                ),
                (Counted::Requests, minute.ok, minute.failed),
                (Counted::Cosmos, minute.cosmos_ok, minute.cosmos_failed),
            ];
            for (k, (what, ok, failed)) in kinds.into_iter().enumerate() {
                let entity = (s as u64) << 4 | k as u64;
                let lag = self.seed.seconds(METRIC_LAG_S, About::MetricLag, entity, u64::from(ends));
                let count = Count {
                    stamp: s,
                    what,
                    observed: ends - 30,
                    failed: failed.round() as u64,
                    total: (ok + failed).round() as u64,
                };
                if count.total > 0 {
                    self.queue_count(ends + lag, count);
                }
            }
        }
    }

    /// The alert rule on `OriginHealthPercentage`. Without a data point it keeps its state.
    fn run_rules(&mut self, t: u32, counts: &[Count]) {
        for count in counts.iter().filter(|count| count.what == Counted::OriginHealth) {
            let rule = &mut self.rules[count.stamp];
            if count.observed <= rule.evaluated {
                continue;
            }
            rule.evaluated = count.observed;
            let pct = 100.0 * (count.total - count.failed) as f64 / count.total as f64;
            rule.healthy = if pct < ALERT_BELOW_PCT { 0 } else { rule.healthy + 1 };
            let resolved = match rule.fired {
                None if pct < ALERT_BELOW_PCT => {
                    rule.instance += 1;
                    rule.fired = Some(t);
                    false
                }
                Some(_) if rule.healthy >= METRIC_ALERT_HEALTHY_EVALUATIONS => {
                    rule.fired = None;
                    true
                }
                _ => continue,
            };
            let alert = Alert {
                source: AlertSource::OriginMetric,
                instance: rule.instance,
                stamp: count.stamp,
                resolved,
                happened: t,
                delivered: t + METRIC_ALERT_DELIVERY_S,
                copies: 1,
            };
            self.queue_alert(&alert);
        }
    }

    fn queue_alert(&mut self, alert: &Alert) {
        for copy in 0..alert.copies {
            self.queued += 1;
            // Copies come within minutes of each other, and the older may come last.
            self.due_alerts.insert((alert.delivered + copy * 40, self.queued), alert.clone());
        }
    }

    fn queue_count(&mut self, at: u32, count: Count) {
        self.queued += 1;
        self.due_counts.insert((at, self.queued), count);
    }
}

fn take<T>(due: &mut BTreeMap<(u32, u32), T>, t: u32) -> Vec<T> {
    if due.first_key_value().is_none_or(|((at, _), _)| *at > t) {
        return Vec::new();
    }
    let later = due.split_off(&(t + 1, 0));
    std::mem::replace(due, later).into_values().collect()
}

fn word(truth: &StampTruth, ready: u32) -> Word {
    if truth.lost || ready == 0 {
        Word::Unreachable
    } else if truth.auth_fails {
        Word::Auth
    } else if truth.hard_errors {
        Word::Unhealthy
    } else if truth.cosmos_lost {
        Word::Degraded
    } else {
        Word::Healthy
    }
}

/// Part of the requests refused at this utilisation.
fn refused(utilisation: f64) -> f64 {
    if utilisation <= 1.0 {
        return 0.0;
    }
    1.0 - (1.0 - OVERLOAD_LOSS * (utilisation - 1.0).min(1.0)) / utilisation
}

fn pinged(truth: &StampTruth, view: Word, refused: f64, draw: f64) -> Ping {
    match view {
        Word::Unreachable => return Ping::Unreachable,
        Word::Auth => return Ping::Auth,
        Word::Healthy | Word::Degraded | Word::Unhealthy => {}
    }
    let errors = 1.0 - (1.0 - truth.errors()) * (1.0 - truth.pings_fail);
    // One draw for both fates: first those that are refused at the door, then those that fail inside.
    if draw < refused {
        Ping::Saturated
    } else if draw < refused + (1.0 - refused) * errors {
        Ping::ServerError
    } else {
        Ping::Ok
    }
}
