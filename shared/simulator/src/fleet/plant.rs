//! What a policy acts on: gates, origins and capacity floors, with the delays of each; and what becomes of the clients'
//! requests. Normal autoscaling and Front Door's own probe drops act under every policy alike.

use std::collections::VecDeque;
use std::time::Duration;

use domain::gate::effective_percent;
use domain::{GateDocument, Timestamp};

use super::edge::{Edge, Reply};
use super::truth::{Incident, StampTruth, Truth};
use super::{STEP_S, now_at};
use crate::autoscale::ENGINE_INTERVAL_S;
use crate::draw::{About, Seed};
use crate::stamp::{
    CPU_AT_FULL_PCT, INSTANCE_RESTART_S, INSTANCE_START_S, OVERLOAD_LOSS, PROBE_STARVATION_RHO,
    PROBE_STARVATION_SHARE,
};

/// Requests per second that one instance serves: the reference workload's load test, as in the policy.
pub(crate) const INSTANCE_RPS: f64 = 150.0;
/// The autoscale maximum of every stamp.
pub(crate) const INSTANCES_MAX: u32 = 30;
/// The autoscale rules of the built-in scenarios: out by two above 70 %, in by one below 30 %, each over five minutes and
/// with a cool-down of five.
const SCALE_OUT_PCT: f64 = 70.0;
const SCALE_IN_PCT: f64 = 30.0;
const SCALE_OUT_BY: u32 = 2;
const SCALE_SPAN_S: u32 = 300;
/// A stamp obeys a new gate document this long after it was written, in seconds: replication to the region's replica and
/// the health service's read every 5 s. Assumed: 1 s to replicate.
const GATE_READ_S: (u32, u32) = (1, 6);

/// One stamp as it runs.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    base: u32,
    /// Instances asked for.
    pub(crate) requested: u32,
    /// Instances that serve.
    pub(crate) ready: u32,
    /// A floor that a policy set: instances, and when it expires by itself.
    pub(crate) floor: Option<(u32, Timestamp)>,
    /// The gate document in the store.
    pub(crate) gate: Option<GateDocument>,
    /// The gate document that the stamp obeys.
    obeyed: Option<GateDocument>,
    gate_writes: u64,
    read_at: Option<u32>,
    /// Percent of the locations that the gate lets in now.
    pub(crate) gate_percent: u8,
    starting: Vec<u32>,
    started: u64,
    lost: bool,
    processor_pct: VecDeque<f64>,
    scaled_at: Option<u32>,
    /// Requests per second that arrived in the last step.
    pub(crate) arriving_rps: f64,
    /// Arriving over capacity in the last step; infinite without an instance.
    pub(crate) utilisation: f64,
    /// Part of the arriving requests that was admitted.
    pub(crate) admitted: f64,
}

/// Requests of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Served {
    /// Made by all clients.
    pub(crate) total: f64,
    /// Failed.
    pub(crate) failed: f64,
}

/// Requests of one step at one stamp, as Front Door counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct OriginCount {
    pub(crate) ok: f64,
    pub(crate) failed: f64,
}

/// The whole plant.
#[derive(Clone, Debug)]
pub(crate) struct Plant {
    seed: Seed,
    pub(crate) demand_rps: f64,
    pub(crate) stamps: Vec<Stamp>,
    pub(crate) edge: Edge,
    /// What Front Door counted at each origin in the last step.
    pub(crate) counted: Vec<OriginCount>,
}

impl Plant {
    pub(crate) fn new(incident: &Incident) -> Self {
        let stamps: Vec<Stamp> = incident.stamps.iter().map(|shape| Stamp::new(shape.instances)).collect();
        Self {
            seed: incident.seed,
            demand_rps: incident.demand_rps,
            counted: vec![OriginCount::default(); stamps.len()],
            stamps,
            edge: Edge::new(incident),
        }
    }

    /// The step at `t` begins: instances, gates, changes of configuration, autoscaling.
    pub(crate) fn begin(&mut self, t: u32, truth: &Truth) {
        for (s, stamp) in self.stamps.iter_mut().enumerate() {
            stamp.begin(t, &truth.stamps[s], (self.seed, s as u64));
            let phase = self.seed.seconds((0, ENGINE_INTERVAL_S - 1), About::EnginePhase, s as u64, 0);
            // The engine is a regional service: it is lost with its region.
            if (t + phase) % ENGINE_INTERVAL_S < STEP_S && !truth.stamps[s].lost {
                stamp.autoscale(t, truth);
            }
        }
        self.edge.advance(truth);
    }

    /// Front Door's probes of this step: location, stamp and answer.
    pub(crate) fn probe(&mut self, t: u32, truth: &Truth, mut seen: impl FnMut(usize, usize, Reply)) {
        let due: Vec<(usize, usize)> = self.edge.due(t).collect();
        for (p, s) in due {
            let good = self.probe_is_good((p, s), t, &truth.stamps[s]);
            let reply = if good { Reply::Good } else { Reply::Bad };
            self.edge.judge(p, s, reply);
            seen(p, s, reply);
        }
    }

    fn probe_is_good(&self, (p, s): (usize, usize), t: u32, truth: &StampTruth) -> bool {
        let stamp = &self.stamps[s];
        if truth.lost || truth.hard_errors || stamp.ready == 0 {
            return false;
        }
        if self.edge.pops[p].slice >= stamp.gate_percent && stamp.gate_percent < 100 {
            return false;
        }
        let fate = |salt: u64, share: f64| {
            let entity = (p as u64) << 32 | (s as u64) << 8 | salt;
            share > 0.0 && self.seed.unit(About::ProbeFate, entity, u64::from(t)) < share
        };
        !(fate(0, truth.probes_fail) || fate(1, truth.edge_fails) || fate(2, stamp.probe_starvation()))
    }

    /// The clients' requests of this step, in requests.
    pub(crate) fn serve(&mut self, truth: &Truth) -> Served {
        let mut routed = vec![0.0; self.stamps.len()];
        let mut served = Served::default();
        for pop in &self.edge.pops {
            let rps = self.demand_rps * pop.share;
            served.total += rps;
            let lost = rps * truth.stamps[pop.home].clients_fail;
            served.failed += lost;
            pop.routes(|s, part| routed[s] += (rps - lost) * part);
        }
        for (s, rps) in routed.into_iter().enumerate() {
            let (truth, stamp) = (&truth.stamps[s], &mut self.stamps[s]);
            let arriving = if truth.lost { 0.0 } else { rps * (1.0 - truth.edge_fails) };
            stamp.take(arriving);
            let ok = arriving * stamp.admitted * (1.0 - truth.errors());
            served.failed += rps - ok;
            self.counted[s] =
                OriginCount { ok: ok * f64::from(STEP_S), failed: (rps - ok) * f64::from(STEP_S) };
        }
        Served { total: served.total * f64::from(STEP_S), failed: served.failed * f64::from(STEP_S) }
    }

    /// Writes a gate document; an older generation never replaces a newer one.
    pub(crate) fn write_gate(&mut self, s: usize, t: u32, document: GateDocument) -> bool {
        let stamp = &mut self.stamps[s];
        if stamp.gate.as_ref().is_some_and(|old| old.generation > document.generation) {
            return false;
        }
        stamp.gate_writes += 1;
        stamp.read_at =
            Some(t + self.seed.seconds(GATE_READ_S, About::FleetGateRead, s as u64, stamp.gate_writes));
        stamp.gate = Some(document);
        true
    }

    /// Capacity that serves well, in requests per second: instances times the share that is answered well.
    pub(crate) fn good_rps(&self, s: usize, truth: &Truth) -> f64 {
        f64::from(self.stamps[s].ready) * INSTANCE_RPS * (1.0 - truth.stamps[s].errors())
    }

    /// Every location holds every stamp in, and nothing is under way.
    pub(crate) fn is_whole(&self) -> bool {
        let stamps = 0..self.stamps.len();
        let edge = &self.edge;
        edge.is_settled()
            && edge.configured.iter().all(|on| *on)
            && self.stamps.iter().all(|stamp| stamp.gate_percent == 100)
            && edge.pops.iter().all(|pop| stamps.clone().all(|s| pop.holds_in(s)))
    }
}

impl Stamp {
    fn new(instances: u32) -> Self {
        Self {
            base: instances,
            requested: instances,
            ready: instances,
            floor: None,
            gate: None,
            obeyed: None,
            gate_writes: 0,
            read_at: None,
            gate_percent: 100,
            starting: Vec::new(),
            started: 0,
            lost: false,
            processor_pct: VecDeque::new(),
            scaled_at: None,
            arriving_rps: 0.0,
            utilisation: 0.0,
            admitted: 1.0,
        }
    }

    fn begin(&mut self, t: u32, truth: &StampTruth, (seed, entity): (Seed, u64)) {
        match (self.lost, truth.lost) {
            (false, true) => {
                self.lost = true;
                self.ready = 0;
                self.starting.clear();
            }
            (true, false) => {
                self.lost = false;
                self.start_missing(t, truth, (seed, entity), (About::InstanceRestart, INSTANCE_RESTART_S));
            }
            _ => {}
        }
        if !self.lost {
            let waiting = self.starting.len();
            self.starting.retain(|ready_at| *ready_at > t);
            self.ready += (waiting - self.starting.len()) as u32;
            self.stop_surplus();
            self.start_missing(t, truth, (seed, entity), (About::InstanceStart, INSTANCE_START_S));
        }
        if self.read_at.is_some_and(|at| at <= t) {
            self.read_at = None;
            self.obeyed.clone_from(&self.gate);
        }
        let now = now_at(t);
        self.gate_percent = self.obeyed.as_ref().map_or(100, |document| effective_percent(document, now));
    }

    fn start_missing(
        &mut self,
        t: u32,
        truth: &StampTruth,
        (seed, entity): (Seed, u64),
        (about, range): (About, (u32, u32)),
    ) {
        let allowed = self.requested.min(truth.quota.unwrap_or(u32::MAX));
        while self.ready + (self.starting.len() as u32) < allowed {
            let draw = seed.seconds(range, about, entity, self.started);
            self.starting.push(t + (f64::from(draw) * truth.start_factor) as u32);
            self.started += 1;
        }
    }

    fn stop_surplus(&mut self) {
        let surplus = (self.ready + self.starting.len() as u32).saturating_sub(self.requested);
        let unborn = (surplus as usize).min(self.starting.len());
        self.starting.truncate(self.starting.len() - unborn);
        self.ready -= surplus - unborn as u32;
    }

    /// The autoscale engine: limits before rules; unreadable metrics never scale in; our floor's profile has no rule in.
    fn autoscale(&mut self, t: u32, truth: &Truth) {
        let floor = self.floor.filter(|(_, until)| *until > now_at(t)).map(|(minimum, _)| minimum);
        let least = self.base.max(floor.unwrap_or(0)).min(INSTANCES_MAX);
        if self.requested < least {
            self.requested = least;
            self.scaled_at = Some(t);
            return;
        }
        let cooled = self.scaled_at.is_none_or(|at| t - at >= SCALE_SPAN_S);
        if truth.metrics_down || !cooled || self.ready == 0 || self.processor_pct.is_empty() {
            return;
        }
        let mean = self.processor_pct.iter().sum::<f64>() / self.processor_pct.len() as f64;
        let fewer = self.requested.saturating_sub(1).max(least);
        let wanted = if mean > SCALE_OUT_PCT {
            (self.requested + SCALE_OUT_BY).min(INSTANCES_MAX)
        } else if mean < SCALE_IN_PCT && floor.is_none() {
            fewer
        } else {
            self.requested
        };
        if wanted != self.requested {
            self.requested = wanted;
            self.scaled_at = Some(t);
        }
    }

    /// What load does to it: the same curve as in the detailed world.
    fn take(&mut self, arriving: f64) {
        let capacity = f64::from(self.ready) * INSTANCE_RPS;
        let rho = if capacity > 0.0 { arriving / capacity } else { f64::INFINITY };
        self.arriving_rps = arriving;
        self.utilisation = rho;
        if self.processor_pct.len() == (SCALE_SPAN_S / STEP_S) as usize {
            self.processor_pct.pop_front();
        }
        self.processor_pct.push_back((rho * CPU_AT_FULL_PCT).min(100.0));
        self.admitted = if rho <= 1.0 {
            1.0
        } else if arriving > 0.0 {
            capacity * (1.0 - OVERLOAD_LOSS * (rho - 1.0).min(1.0)) / arriving
        } else {
            0.0
        };
    }

    fn probe_starvation(&self) -> f64 {
        let over = (self.utilisation - PROBE_STARVATION_RHO) / PROBE_STARVATION_RHO;
        PROBE_STARVATION_SHARE * over.clamp(0.0, 1.0)
    }
}

/// How long a gate document of a rival binds: as long as anything here lasts.
pub(crate) const RIVAL_GATE_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
