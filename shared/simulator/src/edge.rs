//! Front Door's edge: locations that each probe for themselves, judge for themselves, route for themselves, and learn of
//! a change of configuration in their own time.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use crate::draw::{About, Seed, entity};
use crate::health::ProbeReply;
use crate::scenario::{FrontDoorSpec, StampSpec};

/// A location's own stamp is this far, in milliseconds. Assumed: a round trip within a continent's half.
pub(crate) const NEAR_MS: (f64, f64) = (20.0, 30.0);
/// Any other stamp is this much farther. Assumed: eastus2 to centralus takes about 30 ms.
pub(crate) const FARTHER_MS: (f64, f64) = (25.0, 40.0);
/// A location with less than this part of all traffic is quiet. Assumed; Microsoft says only that probes are "sent less"
/// from locations without traffic (contracts/AZURE.md 4.2).
pub(crate) const QUIET_SHARE: f64 = 0.006;
/// A quiet location's interval is this many times the configured one. Assumed.
pub(crate) const QUIET_INTERVAL_FACTOR: u32 = 4;
/// ARM says `Succeeded` after this long, in seconds. From memory: minutes.
pub(crate) const CONTROL_PLANE_S: (u32, u32) = (60, 180);
/// A location obeys a change this long after the change began to propagate, in seconds: "up to 20 min"
/// (contracts/AZURE.md 4.1), and a later operation begins only after the one before has completed.
pub(crate) const PROPAGATION_S: (u32, u32) = (240, 1_200);
/// Operations that Front Door keeps for one profile. More than a day of back-to-back changes.
const OPERATIONS_MAX: usize = 256;

/// What Front Door knows of one origin's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OriginSetting {
    pub(crate) enabled: bool,
    /// 1 (first) to 5.
    pub(crate) priority: u32,
    /// 1 to 1000.
    pub(crate) weight: u32,
}

/// One edge location.
#[derive(Clone, Debug)]
pub(crate) struct Pop {
    pub(crate) code: String,
    pub(crate) address: IpAddr,
    /// Index of the nearest stamp.
    pub(crate) home: usize,
    /// Part of all demand that comes in here.
    pub(crate) share: f64,
    pub(crate) latency_ms: Vec<f64>,
    interval_s: u32,
    phase_s: Vec<u32>,
    /// Last probes of each stamp, newest in the lowest bit, 1 is good.
    samples: Vec<u8>,
    /// The settings this location obeys.
    settings: Vec<OriginSetting>,
    healthy: Vec<bool>,
    /// Where its requests go: stamp and part. Kept, and worked out anew when an input changes.
    routes: Vec<(usize, f64)>,
}

/// One change of one origin, on its way.
#[derive(Clone, Debug)]
pub(crate) struct ConfigOperation {
    pub(crate) id: String,
    pub(crate) origin: usize,
    setting: OriginSetting,
    control_s: u32,
    control_elapsed_s: u32,
    propagation_elapsed_s: u32,
    /// Seconds until each location obeys, from the beginning of the propagation.
    pop_delay_s: Vec<u32>,
    propagation_s: u32,
}

impl ConfigOperation {
    /// ARM has reported `Succeeded`.
    pub(crate) fn control_done(&self) -> bool {
        self.control_elapsed_s >= self.control_s
    }

    fn propagated(&self) -> bool {
        self.propagation_elapsed_s >= self.propagation_s
    }
}

/// All locations, and the configuration of the profile.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) pops: Vec<Pop>,
    /// What ARM shows.
    pub(crate) configured: Vec<OriginSetting>,
    pub(crate) operations: VecDeque<ConfigOperation>,
    accepted: u64,
    spec: FrontDoorSpec,
}

impl Edge {
    pub(crate) fn new(seed: Seed, stamps: &[StampSpec], pops: u32, spec: &FrontDoorSpec) -> Self {
        let setting = OriginSetting { enabled: true, priority: 1, weight: 50 };
        let configured = vec![setting; stamps.len()];
        let mut edge = Self {
            pops: place_pops(seed, stamps, pops),
            configured,
            operations: VecDeque::new(),
            accepted: 0,
            spec: spec.clone(),
        };
        for (i, pop) in edge.pops.iter_mut().enumerate() {
            let quiet = pop.share < QUIET_SHARE;
            pop.interval_s = spec.probe_interval_s * if quiet { QUIET_INTERVAL_FACTOR } else { 1 };
            pop.phase_s = (0..stamps.len())
                .map(|s| seed.seconds((0, pop.interval_s - 1), About::ProbePhase, i as u64, s as u64))
                .collect();
            pop.samples = vec![u8::MAX; stamps.len()];
            pop.settings = vec![setting; stamps.len()];
            pop.healthy = vec![true; stamps.len()];
            pop.reroute(spec);
        }
        edge
    }

    /// Location and stamp of each probe due in second `t`.
    pub(crate) fn due(&self, t: u32) -> impl Iterator<Item = (usize, usize)> {
        self.pops.iter().enumerate().flat_map(move |(p, pop)| {
            let due = move |s: &usize| {
                pop.settings[*s].enabled && (t + pop.phase_s[*s]).is_multiple_of(pop.interval_s)
            };
            (0..pop.settings.len()).filter(due).map(move |s| (p, s))
        })
    }

    /// Takes the outcome of one probe into the location's judgement.
    pub(crate) fn judge(&mut self, pop: usize, stamp: usize, reply: ProbeReply) {
        let pop = &mut self.pops[pop];
        let kept = (1_u16 << self.spec.sample_size) - 1;
        let samples = (u16::from(pop.samples[stamp]) << 1 | u16::from(reply.is_good())) & kept;
        pop.samples[stamp] = samples as u8;
        let healthy = samples.count_ones() >= self.spec.samples_required;
        if healthy != pop.healthy[stamp] {
            pop.healthy[stamp] = healthy;
            pop.reroute(&self.spec);
        }
    }

    /// Accepts a change. The caller has checked that none is running.
    pub(crate) fn accept(&mut self, seed: Seed, origin: usize, setting: OriginSetting) -> &ConfigOperation {
        self.accepted += 1;
        let n = self.accepted;
        let delay = |p: usize| seed.seconds(PROPAGATION_S, About::Propagation, n, p as u64);
        let pop_delay_s: Vec<u32> = (0..self.pops.len()).map(delay).collect();
        self.configured[origin] = setting;
        if self.operations.len() == OPERATIONS_MAX {
            self.operations.pop_front();
        }
        self.operations.push_back(ConfigOperation {
            id: seed.guid(entity("frontdoor-operation"), n),
            origin,
            setting,
            control_s: seed.seconds(CONTROL_PLANE_S, About::ControlPlane, n, 0),
            control_elapsed_s: 0,
            propagation_elapsed_s: 0,
            propagation_s: pop_delay_s.iter().copied().max().unwrap_or(0),
            pop_delay_s,
        });
        &self.operations[self.operations.len() - 1]
    }

    /// The operation that keeps others out, if one is running in the control plane.
    pub(crate) fn running(&self) -> Option<&ConfigOperation> {
        self.operations.iter().find(|op| !op.control_done())
    }

    /// One second of all operations under way.
    pub(crate) fn advance(&mut self) {
        for op in self.operations.iter_mut().filter(|op| !op.control_done()) {
            op.control_elapsed_s += 1;
        }
        let Some(op) = self.operations.iter_mut().find(|op| !op.propagated()) else { return };
        op.propagation_elapsed_s += 1;
        let (origin, setting) = (op.origin, op.setting);
        let delays = op.pop_delay_s.iter().zip(&mut self.pops);
        for (_, pop) in delays.filter(|(delay, _)| **delay == op.propagation_elapsed_s) {
            pop.settings[origin] = setting;
            pop.reroute(&self.spec);
        }
    }

    /// Part of all demand whose location has the stamp's origin enabled.
    pub(crate) fn enabled_share(&self, stamp: usize) -> f64 {
        self.pops.iter().filter(|p| p.settings[stamp].enabled).map(|p| p.share).sum()
    }

    /// Part of all demand whose location holds the stamp enabled and healthy.
    pub(crate) fn healthy_share(&self, stamp: usize) -> f64 {
        self.pops.iter().filter(|p| p.settings[stamp].enabled && p.healthy[stamp]).map(|p| p.share).sum()
    }

    /// Part of all demand whose location would send requests there, fail-open included.
    pub(crate) fn routed_share(&self, stamp: usize) -> f64 {
        let part = |p: &Pop| {
            p.share * p.routes.iter().filter(|(s, _)| *s == stamp).map(|(_, part)| part).sum::<f64>()
        };
        self.pops.iter().map(part).sum()
    }

    /// Locations in which every enabled origin is unhealthy, as a part of all demand.
    pub(crate) fn fail_open_share(&self) -> f64 {
        let open = |p: &&Pop| !(0..p.settings.len()).any(|s| p.settings[s].enabled && p.healthy[s]);
        self.pops.iter().filter(open).map(|p| p.share).sum()
    }
}

impl Pop {
    /// Stamps and the part of this location's requests that goes to each.
    pub(crate) fn routes(&self) -> &[(usize, f64)] {
        &self.routes
    }

    /// Front Door's selection: enabled, healthy (or all of them if none is), lowest priority, latency class, weight.
    fn reroute(&mut self, spec: &FrontDoorSpec) {
        let enabled: Vec<usize> = (0..self.settings.len()).filter(|s| self.settings[*s].enabled).collect();
        let healthy: Vec<usize> = enabled.iter().copied().filter(|s| self.healthy[*s]).collect();
        let fail_open = healthy.is_empty();
        let open = if fail_open { enabled } else { healthy };
        let first = open.iter().map(|s| self.settings[*s].priority).min();
        let open: Vec<usize> =
            open.into_iter().filter(|s| Some(self.settings[*s].priority) == first).collect();
        let fastest = open.iter().map(|s| self.latency_ms[*s]).fold(f64::INFINITY, f64::min);
        // When all are unhealthy Front Door goes round robin over all of them (contracts/AZURE.md 4.2).
        let class = |s: &usize| fail_open || self.latency_ms[*s] <= fastest + spec.additional_latency_ms;
        let chosen: Vec<usize> = open.into_iter().filter(class).collect();
        let weights: f64 = chosen.iter().map(|s| f64::from(self.settings[*s].weight)).sum();
        self.routes = chosen.into_iter().map(|s| (s, f64::from(self.settings[s].weight) / weights)).collect();
    }
}

/// Codes of real edge locations, most of them American; further ones are numbered.
const CODES: [&str; 48] = [
    "IAD", "ATL", "MIA", "EWR", "BOS", "CLT", "PHL", "JAX", "RIC", "TPA", "YTO", "YMQ", "BNA", "CHI", "DFW",
    "HOU", "MSP", "STL", "MCI", "DSM", "DEN", "SLA", "PHX", "LAX", "SJC", "SEA", "PDX", "LAS", "SAN", "HNL",
    "YVR", "MEX", "GRU", "BOG", "SCL", "LON", "AMS", "PAR", "FRA", "DUB", "MAD", "STO", "SIN", "HKG", "TYO",
    "SYD", "BOM", "JNB",
];

fn place_pops(seed: Seed, stamps: &[StampSpec], pops: u32) -> Vec<Pop> {
    let mut placed = Vec::new();
    let mut left = pops;
    for (home, spec) in stamps.iter().enumerate() {
        let later = (stamps.len() - home - 1) as u32;
        let fair = (f64::from(pops) * spec.native_share).round() as u32;
        let count = if later == 0 { left } else { fair.clamp(4, left - later * 4) };
        left -= count;
        // Real edges are uneven: the weight falls with the rank, and the quiet ones are there.
        let raw: Vec<f64> = (0..count)
            .map(|rank| {
                let noise =
                    seed.between((0.6, 1.4), About::PopWeight, entity(spec.id.as_str()), u64::from(rank));
                noise / (f64::from(rank) + 2.0)
            })
            .collect();
        let sum: f64 = raw.iter().sum();
        for weight in raw {
            placed.push(new_pop(seed, placed.len(), home, stamps.len(), spec.native_share * weight / sum));
        }
    }
    placed
}

fn new_pop(seed: Seed, index: usize, home: usize, stamps: usize, share: f64) -> Pop {
    let near = seed.between(NEAR_MS, About::PopLatency, index as u64, home as u64);
    let latency = |s: usize| match s == home {
        true => near,
        false => near + seed.between(FARTHER_MS, About::PopLatency, index as u64, s as u64),
    };
    Pop {
        code: CODES.get(index).map_or_else(|| format!("P{index:02}"), |code| (*code).to_owned()),
        // One /24 each in a range of the service tag AzureFrontDoor.Backend.
        address: IpAddr::V4(Ipv4Addr::new(147, 243, index as u8, 10)),
        home,
        share,
        latency_ms: (0..stamps).map(latency).collect(),
        interval_s: 1,
        phase_s: Vec::new(),
        samples: Vec::new(),
        settings: Vec::new(),
        healthy: Vec::new(),
        routes: Vec::new(),
    }
}
