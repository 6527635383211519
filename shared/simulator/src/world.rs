//! The world: everything that is simulated, moved on one second at a time.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::time::Duration;

use domain::{RegionName, StampId, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::arm::ArmState;
use crate::autoscale::{ENGINE_INTERVAL_S, EngineMemory, wanted};
use crate::availability::Availability;
use crate::draw::{About, Seed, entity};
use crate::edge::Edge;
use crate::edits::Edits;
use crate::faults::{Conditions, conditions};
use crate::health::{EdgeProbe, ProbeReply};
use crate::measure::{ClassSample, FaultRecord, Measurements, StampSample, StampSecond};
use crate::metrics::Metrics;
use crate::scenario::{ComputeKind, Scenario};
use crate::stamp::{BASELINE_ERRORS, NEEDS_COSMOS, SPREAD, Service, Stamp};
use crate::telemetry::{Delivery, Telemetry};

/// Second-to-second noise of the demand, as a part of it. Assumed.
pub(crate) const DEMAND_NOISE: f64 = 0.02;
/// Cosmos DB requests per application request. Assumed: one read or one write.
const COSMOS_PER_REQUEST: f64 = 1.0;

/// A simulated Azure with its clients. Time moves only by [`World::step`]; the driver runs the probes of a second before
/// it ([`crate::run_probes`]) and takes what is to be delivered after it ([`World::take_deliveries`]).
#[derive(Debug)]
pub struct World {
    pub(crate) scenario: Scenario,
    pub(crate) seed: Seed,
    pub(crate) start: Timestamp,
    pub(crate) t: u32,
    pub(crate) conditions: Conditions,
    pub(crate) edge: Edge,
    pub(crate) stamps: Vec<Stamp>,
    pub(crate) metrics: Metrics,
    pub(crate) telemetry: Telemetry,
    pub(crate) availability: Availability,
    pub(crate) arm: ArmState,
    pub(crate) edits: Edits,
    pub(crate) ids: SimResourceIds,
    /// Where this simulated Azure is served: the tag `cordon:direct-url` of the stamps lies below it.
    pub(crate) direct_base: Option<String>,
    engines: Vec<EngineMemory>,
    marks: BTreeMap<String, u32>,
    measured: Measurements,
}

/// The ARM ids of everything in the world, as Azure would show them in a portal; ARM answers any casing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimResourceIds {
    /// The subscription's GUID.
    pub subscription: String,
    /// Front Door profile.
    pub profile: String,
    /// `frontDoorId` of the profile, sent as `X-Azure-FDID`.
    pub front_door_id: String,
    /// The workload's origin group.
    pub origin_group: String,
    /// The workload's Cosmos DB account.
    pub cosmos_account: String,
    /// What belongs to one stamp, in the scenario's order.
    pub stamps: Vec<StampResourceIds>,
}

/// The ARM ids of one stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StampResourceIds {
    /// The stamp.
    pub stamp: StampId,
    /// Its region.
    pub region: RegionName,
    /// Host name of its origin, which is its name in metrics and probe logs.
    pub host: String,
    /// Its origin in the origin group.
    pub origin: String,
    /// Its App Service plan.
    pub plan: String,
    /// Its web app.
    pub app: String,
    /// Autoscale setting of the plan.
    pub autoscale: String,
}

/// The world at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorldView {
    /// The moment.
    pub now: Timestamp,
    /// Seconds since the start.
    pub elapsed_s: u32,
    /// Requests per second of all clients.
    pub demand_rps: f64,
    /// Share of the demand whose location holds every enabled origin unhealthy and so uses them all.
    pub fail_open_share: f64,
    /// Front Door operations that ARM still shows as running.
    pub operations_running: usize,
    /// The stamps, in the scenario's order.
    pub stamps: Vec<StampView>,
}

/// One stamp at one moment. Shares are of all demand, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StampView {
    /// The stamp.
    pub id: StampId,
    /// Its region.
    pub region: RegionName,
    /// Somebody can reach it.
    pub up: bool,
    /// A fault of the scenario is on it.
    pub faulted: bool,
    /// Demand of the clients nearest to it, in requests per second.
    pub native_rps: f64,
    /// Requests per second that the edge sends to it.
    pub arriving_rps: f64,
    /// Requests per second that its ready instances serve.
    pub capacity_rps: f64,
    /// Instances that serve.
    pub ready: u32,
    /// Instances asked for.
    pub requested: u32,
    /// Its origin.
    pub origin: OriginView,
}

/// One origin at one moment, as ARM shows it and as the edge obeys it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OriginView {
    /// `enabledState` is `Enabled` in ARM.
    pub enabled: bool,
    /// Share of the demand whose location has it enabled.
    pub enabled_share: f64,
    /// Share of the demand whose location has it enabled and holds it healthy: what a closed gate brings to zero.
    pub healthy_share: f64,
    /// Share of the demand that goes there, fail-open included.
    pub routed_share: f64,
}

impl World {
    /// The world of a scenario at its beginning.
    pub fn new(scenario: &Scenario, seed: u64, start: Timestamp) -> Self {
        let seed = Seed(seed);
        let ids = resource_ids(scenario, seed);
        let spec = &scenario.stamps;
        let marks = BTreeMap::new();
        let mut world = Self {
            seed,
            start,
            t: 0,
            conditions: conditions(&[], spec, &marks, 0),
            edge: Edge::new(seed, spec, scenario.demand.pops, &scenario.front_door),
            stamps: spec.iter().cloned().map(Stamp::new).collect(),
            metrics: Metrics::new(seed, spec.len(), start),
            telemetry: Telemetry::new(scenario, seed, start, &ids),
            availability: Availability::new(scenario),
            arm: ArmState::new(scenario, &ids),
            edits: Edits::new(spec.len()),
            ids,
            direct_base: None,
            engines: vec![EngineMemory::default(); spec.len()],
            marks,
            measured: Measurements::new(
                spec.iter().map(|s| s.id.clone()).collect(),
                spec.iter().map(|s| s.native_share).collect(),
            ),
            scenario: scenario.clone(),
        };
        world.conditions.active = vec![false; scenario.faults.len()];
        world.begin_second();
        world
    }

    /// The present second.
    pub fn now(&self) -> Timestamp {
        self.start + Duration::from_secs(u64::from(self.t))
    }

    /// Tells where this simulated Azure is served, so that discovery finds the stamps' direct addresses.
    pub fn serve_at(&mut self, base: &str) {
        self.direct_base = Some(base.to_owned());
    }

    /// From now on Resource Health holds everything to be available, as if it noticed nothing: for ablations.
    pub fn hide_resource_health(&mut self) {
        self.availability.hear_nothing();
    }

    /// Seconds since the start.
    pub fn elapsed_s(&self) -> u32 {
        self.t
    }

    /// The scenario being played.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The ARM ids of everything in the world.
    pub fn resource_ids(&self) -> &SimResourceIds {
        &self.ids
    }

    /// The probes that are due in this second, in a fixed order.
    pub fn due_probes(&self) -> Vec<EdgeProbe> {
        let probe = |(p, s): (usize, usize)| EdgeProbe {
            pop: self.edge.pops[p].code.clone(),
            stamp: self.stamps[s].spec.id.clone(),
            prober_address: self.edge.pops[p].address,
            pop_index: p,
            stamp_index: s,
        };
        self.edge.due(self.t).map(probe).collect()
    }

    /// How a probe ends if it does not reach the stamp's health service; none if it does.
    pub fn probe_passage(&self, probe: &EdgeProbe) -> Option<ProbeReply> {
        let (pop, stamp) = (probe.pop_index, probe.stamp_index);
        let conditions = &self.conditions.stamps[stamp];
        let fate = |salt: u64| {
            let entity = (pop as u64) << 32 | (stamp as u64) << 8 | salt;
            self.seed.unit(About::ProbeFate, entity, u64::from(self.t))
        };
        if conditions.unreachable() || conditions.edge_failed || fate(0) < conditions.probe_failure {
            return Some(ProbeReply::Failed);
        }
        if self.stamps[stamp].ready == 0 {
            return Some(ProbeReply::Status(503));
        }
        (fate(1) < self.stamps[stamp].probe_starvation()).then_some(ProbeReply::Failed)
    }

    /// Takes the outcome of a probe into the location's judgement, the metric and the probe log.
    pub fn apply_probe(&mut self, probe: &EdgeProbe, reply: ProbeReply) {
        let good = reply.is_good();
        self.edge.judge(probe.pop_index, probe.stamp_index, reply);
        let minute = self.metrics.at(probe.stamp_index, self.t);
        minute.probes += 1;
        minute.good_probes += u32::from(good);
        if !good {
            let now = self.now();
            self.telemetry.probe_failed(now, probe, reply, &self.ids);
        }
    }

    /// Moves the world on by one second: the clients' requests of this second, then the beginning of the next.
    pub fn step(&mut self) {
        self.serve_second();
        self.t += 1;
        self.begin_second();
    }

    /// What is due for delivery by now and was not taken yet, in a fixed order.
    pub fn take_deliveries(&mut self) -> Vec<Delivery> {
        self.telemetry.take(self.t)
    }

    /// Everything measured so far.
    pub fn outcome(&self) -> &Measurements {
        &self.measured
    }

    /// Tells the world that something happened that a fault waits for. Only the first time counts.
    pub fn mark(&mut self, label: &str) {
        self.marks.entry(label.to_owned()).or_insert(self.t);
        self.measured.marked(label, self.t);
        self.refresh_conditions();
    }

    /// Cordon's ledger can be reached.
    pub fn ledger_available(&self) -> bool {
        !self.conditions.ledger_down
    }

    /// Cordon's gate store can be reached.
    pub fn gate_store_available(&self) -> bool {
        !self.conditions.gate_store_down
    }

    /// The controller runs.
    pub fn controller_available(&self) -> bool {
        !self.conditions.controller_down
    }

    /// The stamp is there to answer somebody: neither lost nor cut off, and with an instance.
    pub fn stamp_available(&self, stamp: &StampId) -> bool {
        self.index(stamp).is_some_and(|s| self.serves(s))
    }

    /// The world as it is now.
    pub fn snapshot(&self) -> WorldView {
        let demand = self.demand_rps();
        WorldView {
            now: self.now(),
            elapsed_s: self.t,
            demand_rps: demand,
            fail_open_share: self.edge.fail_open_share(),
            operations_running: self.edge.operations.iter().filter(|op| !op.control_done()).count(),
            stamps: (0..self.stamps.len()).map(|s| self.stamp_view(s, demand)).collect(),
        }
    }

    pub(crate) fn index(&self, stamp: &StampId) -> Option<usize> {
        self.stamps.iter().position(|s| s.spec.id == *stamp)
    }

    /// Headers of every probe, names in lower case.
    pub(crate) fn probe_headers(&self) -> Vec<(String, String)> {
        let pairs = [
            ("x-azure-fdid", self.ids.front_door_id.as_str()),
            ("user-agent", "Edge Health Probe"),
            ("x-fd-healthprobe", "1"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    pub(crate) fn serves(&self, stamp: usize) -> bool {
        !self.conditions.stamps[stamp].unreachable() && self.stamps[stamp].ready > 0
    }

    /// Part of the application's requests that fail at the stamp for another reason than load.
    pub(crate) fn error_share(&self, stamp: usize) -> f64 {
        let conditions = &self.conditions.stamps[stamp];
        let cosmos = if conditions.cosmos_failing { NEEDS_COSMOS } else { 0.0 };
        1.0 - (1.0 - BASELINE_ERRORS) * (1.0 - conditions.gray) * (1.0 - cosmos)
    }

    fn begin_second(&mut self) {
        self.refresh_conditions();
        for (stamp, conditions) in self.stamps.iter_mut().zip(&self.conditions.stamps) {
            stamp.begin_second(self.t, conditions, self.seed);
        }
        self.make_edits();
        if self.conditions.freeze.is_none() {
            self.edge.advance();
        }
        self.run_engines();
        self.telemetry.begin_second(self.t, &self.metrics, &self.ids);
        self.availability.begin_second(self.t, &self.conditions.stamps);
    }

    fn refresh_conditions(&mut self) {
        let now = conditions(&self.scenario.faults, &self.scenario.stamps, &self.marks, self.t);
        for (i, fault) in self.scenario.faults.iter().enumerate() {
            match (self.conditions.active[i], now.active[i]) {
                (false, true) => self.measured.fault_began(FaultRecord {
                    kind: fault.kind,
                    stamp: fault.stamp.clone(),
                    from_s: self.t,
                    until_s: None,
                }),
                (true, false) => self.measured.fault_ended(fault.kind, fault.stamp.as_ref(), self.t),
                _ => {}
            }
        }
        self.conditions = now;
    }

    fn run_engines(&mut self) {
        let now = self.now();
        for (s, stamp) in self.stamps.iter_mut().enumerate() {
            let entity = entity(stamp.spec.id.as_str());
            let phase = self.seed.seconds((0, ENGINE_INTERVAL_S - 1), About::EnginePhase, entity, 0);
            // The engine is a regional service: it is lost with its region.
            let due = (self.t + phase).is_multiple_of(ENGINE_INTERVAL_S) && !self.conditions.stamps[s].lost;
            if !due || self.t == 0 {
                continue;
            }
            let readable = !self.conditions.metrics_down;
            let setting: &Value = &self.arm.autoscale[s];
            stamp.requested = wanted(setting, now, stamp.requested, &mut self.engines[s], |window_s| {
                stamp.processor_pct(window_s).filter(|_| readable)
            });
        }
    }

    fn demand_rps(&self) -> f64 {
        let spec = &self.scenario.demand;
        let hour = (self.now().as_millis().rem_euclid(86_400_000)) as f64 / 3_600_000.0;
        let daily = 1.0 + spec.daily_swing * ((hour - spec.peak_hour_utc) / 24.0 * TAU).cos();
        let noise =
            self.seed.between((-DEMAND_NOISE, DEMAND_NOISE), About::DemandNoise, 0, u64::from(self.t));
        spec.total_rps * daily * (1.0 + noise) * self.conditions.demand_factor
    }

    fn serve_second(&mut self) {
        let demand = self.demand_rps();
        let mut routed = vec![0.0; self.stamps.len()];
        for pop in &self.edge.pops {
            for (s, part) in pop.routes() {
                routed[*s] += demand * pop.share * part;
            }
        }
        let service: Vec<Option<Service>> = (0..self.stamps.len())
            .map(|s| {
                let conditions = &self.conditions.stamps[s];
                // Requests that never reach the stamp are no load on it.
                let passes = !conditions.unreachable() && !conditions.edge_failed;
                let arriving = if passes { routed[s] } else { 0.0 };
                let service = self.stamps[s].serve(self.t, arriving, conditions);
                (passes && self.stamps[s].ready > 0).then_some(service)
            })
            .collect();
        let classes = self.serve_classes(demand, &service);
        self.count_minutes(&routed, &service);
        let samples: Vec<StampSample> =
            (0..self.stamps.len()).map(|s| self.sample(s, routed[s], demand)).collect();
        self.measured.record(&classes, &samples);
    }

    fn serve_classes(&self, demand: f64, service: &[Option<Service>]) -> Vec<ClassSample> {
        let errors: Vec<f64> = (0..self.stamps.len()).map(|s| self.error_share(s)).collect();
        let mut classes = vec![ClassSample::EMPTY; self.stamps.len()];
        for pop in &self.edge.pops {
            let class = &mut classes[pop.home];
            for (s, part) in pop.routes() {
                let requests = demand * pop.share * part;
                class.total += requests;
                let Some(service) = service[*s] else {
                    class.failed += requests;
                    continue;
                };
                let served = requests * service.admitted * (1.0 - errors[*s]);
                class.failed += requests - served;
                for (share, multiple) in SPREAD {
                    class.served(served * share, pop.latency_ms[*s] + service.median_ms * multiple);
                }
            }
        }
        classes
    }

    fn count_minutes(&mut self, routed: &[f64], service: &[Option<Service>]) {
        for (s, requests) in routed.iter().copied().enumerate() {
            let errors = self.error_share(s);
            let cosmos_fails = self.conditions.stamps[s].cosmos_failing;
            let minute = self.metrics.at(s, self.t);
            let Some(service) = service[s] else {
                minute.unanswered += requests;
                continue;
            };
            let admitted = requests * service.admitted;
            minute.refused += requests - admitted;
            minute.errors += admitted * errors;
            minute.ok += admitted * (1.0 - errors);
            let cosmos = admitted * COSMOS_PER_REQUEST;
            *(if cosmos_fails { &mut minute.cosmos_unavailable } else { &mut minute.cosmos_ok }) += cosmos;
        }
    }

    fn sample(&self, s: usize, routed: f64, demand: f64) -> StampSample {
        let stamp = &self.stamps[s];
        let capacity = stamp.capacity_rps(&self.conditions.stamps[s]);
        let second = StampSecond {
            arriving_rps: routed,
            capacity_rps: capacity,
            routed_share: if demand > 0.0 { routed / demand } else { 0.0 },
            ready: stamp.ready,
            requested: stamp.requested,
        };
        let open = if self.serves(s) && !self.conditions.stamps[s].edge_failed {
            self.edge.healthy_share(s)
        } else {
            0.0
        };
        // Only what is answered well is capacity: an instance that fails every request adds nothing.
        let good = 1.0 - self.error_share(s);
        StampSample { second, reachable_capacity_rps: capacity * open * good }
    }

    fn stamp_view(&self, s: usize, demand: f64) -> StampView {
        let (stamp, conditions) = (&self.stamps[s], &self.conditions.stamps[s]);
        let routed_share = self.edge.routed_share(s);
        StampView {
            id: stamp.spec.id.clone(),
            region: stamp.spec.region.clone(),
            up: self.serves(s),
            faulted: conditions.faulted(),
            native_rps: demand * stamp.spec.native_share,
            arriving_rps: demand * routed_share,
            capacity_rps: stamp.capacity_rps(conditions),
            ready: stamp.ready,
            requested: stamp.requested,
            origin: OriginView {
                enabled: self.edge.configured[s].enabled,
                enabled_share: self.edge.enabled_share(s),
                healthy_share: self.edge.healthy_share(s),
                routed_share,
            },
        }
    }
}

fn resource_ids(scenario: &Scenario, seed: Seed) -> SimResourceIds {
    let workload = &scenario.workload;
    let subscription = "5e9a1f70-3c1d-4c52-9d0e-c07d05e0a2e1".to_owned();
    let group =
        |name: &str| format!("/subscriptions/{subscription}/resourceGroups/rg-{workload}-{name}/providers");
    let profile = format!("{}/Microsoft.Cdn/profiles/afd-{workload}", group("global"));
    let origin_group = format!("{profile}/originGroups/{workload}");
    let stamp = |id: &StampId, region: &RegionName, compute: ComputeKind| {
        let here = group(id.as_str());
        let plan = match compute {
            ComputeKind::AppService => format!("{here}/Microsoft.Web/serverfarms/plan-{id}"),
            ComputeKind::ScaleSet => format!("{here}/Microsoft.Compute/virtualMachineScaleSets/set-{id}"),
            ComputeKind::AgentPool => {
                format!("{here}/Microsoft.ContainerService/managedClusters/aks-{id}/agentPools/web")
            }
            ComputeKind::ContainerApp => format!("{here}/Microsoft.App/containerApps/app-{id}"),
        };
        StampResourceIds {
            stamp: id.clone(),
            region: region.clone(),
            host: format!("app-{workload}-{id}.azurewebsites.net"),
            origin: format!("{origin_group}/origins/{id}"),
            plan,
            app: format!("{here}/Microsoft.Web/sites/app-{workload}-{id}"),
            autoscale: format!("{here}/Microsoft.Insights/autoscalesettings/autoscale-{id}"),
        }
    };
    SimResourceIds {
        front_door_id: seed.guid(entity("frontDoorId"), 0),
        cosmos_account: format!(
            "{}/Microsoft.DocumentDB/databaseAccounts/cosmos-{workload}",
            group("global")
        ),
        stamps: scenario.stamps.iter().map(|s| stamp(&s.id, &s.region, s.compute)).collect(),
        profile,
        origin_group,
        subscription,
    }
}

#[cfg(test)]
mod tests;
