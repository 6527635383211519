//! One stamp: its instances, how they start and stop, and what load does to them.

use std::collections::VecDeque;

use crate::draw::{About, Seed, entity};
use crate::faults::StampConditions;
use crate::scenario::StampSpec;

/// An App Service instance serves this long after it was asked for, in seconds: "30 s - 5 min (+ warm-up)"
/// (contracts/AZURE.md 6), without the lucky first quarter.
pub(crate) const INSTANCE_START_S: (u32, u32) = (120, 300);
/// After a regional loss an instance serves again this long after the region is back, in seconds. Assumed.
pub(crate) const INSTANCE_RESTART_S: (u32, u32) = (60, 180);
/// Caches are cold for this long after the last instance restarted, in seconds. Assumed.
pub(crate) const COLD_S: u32 = 60;
/// Service time while caches are cold, as a multiple. Assumed.
pub(crate) const COLD_FACTOR: f64 = 3.0;
/// Median service time of an idle instance, in milliseconds. Assumed: a small API with one Cosmos DB read.
pub(crate) const SERVICE_MS: f64 = 25.0;
/// Service time grows as `1 + K rho^N / (1 - rho)`: +25 % at 0.8, x 5 at 0.95. The usual shape of a queue with many
/// servers; the figures are assumed.
pub(crate) const QUEUE_K: f64 = 0.3;
/// See [`QUEUE_K`].
pub(crate) const QUEUE_N: i32 = 8;
/// Median service time at and above saturation, in milliseconds: the length of the application's own queue. Assumed.
pub(crate) const SATURATED_MS: f64 = 2_000.0;
/// Part of the goodput that refusing and timing out costs when twice the capacity arrives. Assumed; measured systems
/// without admission control lose far more.
pub(crate) const OVERLOAD_LOSS: f64 = 0.3;
/// Processor time shown by Azure Monitor when the stamp is exactly full, in per cent. Assumed.
pub(crate) const CPU_AT_FULL_PCT: f64 = 85.0;
/// Above this utilisation the health endpoint itself starts to miss Front Door's probes. Assumed: thread starvation.
pub(crate) const PROBE_STARVATION_RHO: f64 = 1.5;
/// Part of the probes missed at twice [`PROBE_STARVATION_RHO`]; it grows linearly up to there and no further. Assumed.
pub(crate) const PROBE_STARVATION_SHARE: f64 = 0.2;
/// Requests that fail with nothing wrong, as a part. Assumed: no real service shows zero.
pub(crate) const BASELINE_ERRORS: f64 = 0.000_2;
/// Part of the application's requests that need Cosmos DB. Assumed: all but static answers.
pub(crate) const NEEDS_COSMOS: f64 = 0.98;
/// Share of requests and multiple of the median, from fast to slow: a long-tailed service time.
/// No step lies at a percentile that a report asks for. Assumed.
pub(crate) const SPREAD: [(f64, f64); 6] =
    [(0.5, 0.75), (0.25, 1.1), (0.15, 1.6), (0.06, 2.4), (0.025, 3.5), (0.015, 5.0)];
/// Seconds of utilisation kept for the autoscale engine.
const UTILISATION_KEPT: usize = 900;

/// The state of one stamp.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) spec: StampSpec,
    /// Instances asked for: `sku.capacity`.
    pub(crate) requested: u32,
    /// Instances that serve: `numberOfWorkers`.
    pub(crate) ready: u32,
    /// Requests per second that arrived in the last second.
    pub(crate) arriving_rps: f64,
    /// Arriving over capacity in the last second; infinite without an instance.
    pub(crate) utilisation: f64,
    starting: Vec<u32>,
    started: u64,
    lost: bool,
    cold_until: u32,
    processor_pct: VecDeque<f32>,
}

/// What becomes of the requests of one second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// Part that is served, before errors.
    pub(crate) admitted: f64,
    /// Median service time, in milliseconds.
    pub(crate) median_ms: f64,
}

impl Stamp {
    pub(crate) fn new(spec: StampSpec) -> Self {
        Self {
            requested: spec.instances_initial,
            ready: spec.instances_initial,
            spec,
            arriving_rps: 0.0,
            utilisation: 0.0,
            starting: Vec::new(),
            started: 0,
            lost: false,
            cold_until: 0,
            processor_pct: VecDeque::new(),
        }
    }

    /// Requests per second that the ready instances serve.
    pub(crate) fn capacity_rps(&self, conditions: &StampConditions) -> f64 {
        f64::from(self.ready) * self.spec.instance_rps * conditions.capacity_factor
    }

    /// Second `t` begins: the region is lost or back, instances become ready, missing ones are started.
    pub(crate) fn begin_second(&mut self, t: u32, conditions: &StampConditions, seed: Seed) {
        match (self.lost, conditions.lost) {
            (false, true) => {
                self.lost = true;
                self.ready = 0;
                self.starting.clear();
            }
            (true, false) => {
                self.lost = false;
                self.start_missing(t, conditions, (seed, About::InstanceRestart));
                self.cold_until = self.starting.iter().copied().max().unwrap_or(t) + COLD_S;
            }
            _ => {}
        }
        if self.lost {
            return;
        }
        let before = self.starting.len();
        self.starting.retain(|due| *due > t);
        self.ready += (before - self.starting.len()) as u32;
        self.stop_surplus();
        self.start_missing(t, conditions, (seed, About::InstanceStart));
    }

    /// What becomes of `arriving` requests in this second; remembered for the engine and the stamp's own view.
    pub(crate) fn serve(&mut self, t: u32, arriving: f64, conditions: &StampConditions) -> Service {
        let capacity = self.capacity_rps(conditions);
        let rho = if capacity > 0.0 { arriving / capacity } else { f64::INFINITY };
        self.arriving_rps = arriving;
        self.utilisation = rho;
        if self.processor_pct.len() == UTILISATION_KEPT {
            self.processor_pct.pop_front();
        }
        self.processor_pct.push_back((rho * CPU_AT_FULL_PCT).min(100.0) as f32);
        let cold = if t < self.cold_until { COLD_FACTOR } else { 1.0 };
        let queue = if rho < 1.0 { 1.0 + QUEUE_K * rho.powi(QUEUE_N) / (1.0 - rho) } else { f64::INFINITY };
        let median_ms = (SERVICE_MS * cold * queue).min(SATURATED_MS);
        if rho <= 1.0 {
            return Service { admitted: 1.0, median_ms };
        }
        let goodput = capacity * (1.0 - OVERLOAD_LOSS * (rho - 1.0).min(1.0));
        Service { admitted: if arriving > 0.0 { goodput / arriving } else { 0.0 }, median_ms }
    }

    /// Mean processor time of the last `window_s` seconds, as Azure Monitor would show it; none without an instance.
    pub(crate) fn processor_pct(&self, window_s: u32) -> Option<f64> {
        let seconds = (window_s.max(1) as usize).min(self.processor_pct.len());
        let sum: f64 = self.processor_pct.iter().rev().take(seconds).map(|x| f64::from(*x)).sum();
        (self.ready > 0 && seconds > 0).then(|| sum / seconds as f64)
    }

    /// Part of Front Door's probes that the health endpoint misses because the instances are starved.
    pub(crate) fn probe_starvation(&self) -> f64 {
        let over = (self.utilisation - PROBE_STARVATION_RHO) / PROBE_STARVATION_RHO;
        PROBE_STARVATION_SHARE * over.clamp(0.0, 1.0)
    }

    /// How full the stamp is as it sees itself: 0 idle, 1 full, more when requests are turned away; at most 99.
    pub(crate) fn saturation(&self) -> f64 {
        self.utilisation.min(99.0)
    }

    /// Part of the requests that were refused in the last second.
    pub(crate) fn refused_share(&self) -> f64 {
        let rho = self.utilisation;
        if rho <= 1.0 { 0.0 } else { 1.0 - (1.0 - OVERLOAD_LOSS * (rho - 1.0).min(1.0)) / rho }
    }

    fn start_missing(&mut self, t: u32, conditions: &StampConditions, (seed, about): (Seed, About)) {
        let allowed =
            self.requested.min(conditions.quota.unwrap_or(u32::MAX)).min(conditions.room.unwrap_or(u32::MAX));
        let range = match about {
            About::InstanceRestart => INSTANCE_RESTART_S,
            _ => INSTANCE_START_S,
        };
        while self.ready + (self.starting.len() as u32) < allowed {
            let draw = seed.seconds(range, about, entity(self.spec.id.as_str()), self.started);
            self.starting.push(t + (f64::from(draw) * conditions.start_factor) as u32);
            self.started += 1;
        }
    }

    fn stop_surplus(&mut self) {
        let surplus = (self.ready + self.starting.len() as u32).saturating_sub(self.requested);
        let unborn = (surplus as usize).min(self.starting.len());
        self.starting.truncate(self.starting.len() - unborn);
        self.ready -= surplus - unborn as u32;
    }
}
