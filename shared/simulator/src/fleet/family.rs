//! Families of faults: what happens in each, how often, and where the figure comes from. Incidents are drawn; nothing in
//! here knows of any policy.

use super::CALM_S;
use super::recorded::recorded;
use super::truth::{Alert, AlertSource, Expected, Fault, FaultKind, Incident, StampShape};
use crate::draw::{About, Seed};
use crate::telemetry::{RESOURCE_HEALTH_LAG_S, SERVICE_HEALTH_LAG_MIN};

/// Requests per second of all clients: the reference workload.
const DEMAND_RPS: f64 = 3_000.0;
/// Minutes from the end of an incident to its last message: median 55, nine in ten within 159 (56 incidents of a minute's
/// precision in m365_lag_distribution.json); the points between are interpolated by eye.
const RESOLVED_LAG_MIN: [(f64, f64); 4] = [(0.0, 5.0), (0.5, 55.0), (0.9, 159.0), (1.0, 220.0)];
/// Shorter incidents get no Service Health message, in seconds. Assumed; none shorter is among the public ones.
const ALERTED_FROM_S: u32 = 1_200;

/// How often incidents of a family happen to one workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Incidents in a year of one workload, whatever number of stamps it has.
    pub per_workload_year: f64,
    /// Where the figure is from.
    pub source: &'static str,
}

/// A family of faults, reported apart from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// A region serves nothing.
    Hard,
    /// A region fails part of its requests, and its health endpoint says 200.
    Gray,
    /// A region comes and goes.
    Flapping,
    /// One observer is wrong, and nothing else.
    MonitorLies,
    /// Every region, or the edge itself, at once.
    Global,
    /// Service Health or Resource Health say what is not so.
    AlertLies,
    /// A region is lost, and the survivors get no instances, or get them late.
    CapacityShort,
    /// A region is lost while the control plane is slow, frozen or gone.
    SlowActuator,
    /// Public outages, as they were.
    Recorded,
}

impl Family {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Hard,
        Self::Gray,
        Self::Flapping,
        Self::MonitorLies,
        Self::Global,
        Self::AlertLies,
        Self::CapacityShort,
        Self::SlowActuator,
        Self::Recorded,
    ];

    /// As the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Gray => "gray",
            Self::Flapping => "flapping",
            Self::MonitorLies => "monitor lies",
            Self::Global => "global",
            Self::AlertLies => "alert lies",
            Self::CapacityShort => "capacity short",
            Self::SlowActuator => "slow actuator",
            Self::Recorded => "recorded",
        }
    }

    /// How often it happens.
    pub const fn rate(self) -> Rate {
        let (per_workload_year, source) = match self {
            Self::Hard => (
                0.5,
                "assumed: a bad deployment or a lost region every other year; public regional outages alone are far rarer (10 in 8 years, all of Azure)",
            ),
            Self::Gray => {
                (1.0, "assumed: partial failures are the larger part of the public cases (incidents.json)")
            }
            Self::Flapping => (0.25, "assumed"),
            Self::MonitorLies => (4.0, "assumed: monitors fail more often than what they watch"),
            Self::Global => (
                1.0,
                "six in five years: identity and DNS 2021, Front Door July 2024 and twice in October 2025, another edge in November 2025 (incidents.json)",
            ),
            Self::AlertLies => (
                2.0,
                "assumed, after the public cases: first message after 34 min in the median, some after the end, some about the wrong set",
            ),
            Self::CapacityShort => (
                0.25,
                "assumed: half as often as a hard loss; allocation failures are in 5 of 19 recorded cases",
            ),
            Self::SlowActuator => (
                0.25,
                "assumed: half as often as a hard loss; the control plane was hit in 12 of 19 recorded cases",
            ),
            Self::Recorded => (2.4, "19 public outages between 2018 and 2026 (incidents.json)"),
        };
        Rate { per_workload_year, source }
    }

    /// Incident number `seed` of this family.
    pub(super) fn incident(self, seed: u64) -> Incident {
        let draw = Draw { seed: Seed(seed), family: self as u64 };
        match self {
            Self::Hard => hard(&draw),
            Self::Gray => gray(&draw),
            Self::Flapping => flapping(&draw),
            Self::MonitorLies => monitor_lies(&draw),
            Self::Global => global(&draw),
            Self::AlertLies => alert_lies(&draw),
            Self::CapacityShort => capacity_short(&draw),
            Self::SlowActuator => slow_actuator(&draw),
            Self::Recorded => recorded(&draw),
        }
    }
}

/// The draws of one incident; each figure has a number of its own.
pub(super) struct Draw {
    pub(super) seed: Seed,
    pub(super) family: u64,
}

impl Draw {
    fn unit(&self, what: u64) -> f64 {
        self.seed.unit(About::FleetIncident, self.family, what)
    }

    fn one_of(&self, what: u64, many: usize) -> usize {
        (self.unit(what) * many as f64) as usize
    }

    fn between(&self, what: u64, range: (f64, f64)) -> f64 {
        self.seed.between(range, About::FleetIncident, self.family, what)
    }

    /// Seconds, spread evenly over the orders of magnitude between so many minutes.
    fn span_s(&self, what: u64, (low, high): (f64, f64)) -> u32 {
        (low * (high / low).powf(self.unit(what)) * 60.0) as u32
    }

    fn quantile_s(&self, what: u64, quantiles: &[(f64, f64)]) -> u32 {
        let rank = self.unit(what);
        let at =
            quantiles.windows(2).find(|pair| rank < pair[1].0).unwrap_or(&quantiles[quantiles.len() - 2..]);
        let part = (rank - at[0].0) / (at[1].0 - at[0].0);
        ((at[0].1 + part * (at[1].1 - at[0].1)) * 60.0) as u32
    }

    /// Two or three stamps, with head-room of a quarter to a half, or, in a third of the cases, enough to lose the largest.
    pub(super) fn calm(&self, variant: &'static str) -> Incident {
        let three = self.unit(1) < 0.5;
        let shares: &[(&'static str, f64)] = if three {
            &[("eastus2", 0.5), ("centralus", 0.3), ("westus2", 0.2)]
        } else {
            &[("eastus2", 0.75), ("centralus", 0.25)]
        };
        let survives = self.unit(2) < 1.0 / 3.0;
        let room = self.between(3, (1.25, 1.5));
        let shape = |(region, share): &(&'static str, f64)| {
            let others: f64 = 1.0 - if *share > 0.49 { shares[1].1 } else { shares[0].1 };
            let factor = if survives { (room * 0.85).max(1.1) / others } else { room };
            let instances = (share * factor * DEMAND_RPS / super::plant::INSTANCE_RPS).ceil() as u32;
            StampShape { region, share: *share, instances: instances.min(super::plant::INSTANCES_MAX) }
        };
        Incident {
            seed: self.seed,
            variant,
            stamps: shares.iter().map(shape).collect(),
            demand_rps: DEMAND_RPS,
            faults: Vec::new(),
            alerts: Vec::new(),
            expected: Expected::Either,
        }
    }

    /// The region it happens to: mostly the largest, where most of the clients are.
    fn region(&self, incident: &Incident) -> usize {
        if self.unit(4) < 0.6 { 0 } else { 1 + self.one_of(5, incident.stamps.len() - 1) }
    }

    /// What Azure says of a true regional fault: Service Health late, Resource Health soon, both not always.
    fn announce(&self, incident: &mut Incident, stamp: usize, (from, until): (u32, u32)) {
        let copies = 1 + self.one_of(6, 3) as u32;
        if until - from >= ALERTED_FROM_S && self.unit(7) < 0.8 {
            let fired = from + self.quantile_s(8, &SERVICE_HEALTH_LAG_MIN);
            let resolved = fired.max(until) + self.quantile_s(9, &RESOLVED_LAG_MIN);
            say(incident, AlertSource::Service, (stamp, 1), (fired, Some(resolved)), copies);
        }
        if self.unit(10) < 0.5 {
            let span = (from + RESOURCE_HEALTH_LAG_S, Some(until + RESOURCE_HEALTH_LAG_S));
            say(incident, AlertSource::Resource, (stamp, 1), span, copies);
        }
    }
}

/// An alert that fires and, perhaps, is taken back.
pub(super) fn say(
    incident: &mut Incident,
    source: AlertSource,
    (stamp, instance): (usize, u64),
    (fired, resolved): (u32, Option<u32>),
    copies: u32,
) {
    let message =
        |resolved, at| Alert { source, instance, stamp, resolved, happened: at, delivered: at, copies };
    incident.alerts.push(message(false, fired));
    incident.alerts.extend(resolved.map(|at| message(true, at)));
}

pub(super) fn put(incident: &mut Incident, kind: FaultKind, stamp: Option<usize>, (from, until): (u32, u32)) {
    incident.faults.push(Fault { kind, stamp, from, until });
}

fn hard(draw: &Draw) -> Incident {
    let (variant, kind) = match draw.one_of(20, 4) {
        0 | 1 => ("the region is gone", FaultKind::Lost),
        2 => ("every request fails, health checks say so", FaultKind::HardErrors),
        _ => ("its database region is gone", FaultKind::CosmosLost),
    };
    let mut incident = draw.calm(variant);
    let stamp = draw.region(&incident);
    let until = CALM_S + draw.span_s(21, (5.0, 180.0));
    put(&mut incident, kind, Some(stamp), (CALM_S, until));
    draw.announce(&mut incident, stamp, (CALM_S, until));
    if draw.unit(22) < 0.25 {
        let again = until + draw.span_s(23, (2.0, 10.0));
        put(&mut incident, kind, Some(stamp), (again, again + draw.span_s(24, (5.0, 20.0))));
    }
    incident.expected = Expected::Cordon;
    incident
}

fn gray(draw: &Draw) -> Incident {
    let mut incident = draw.calm("part of the requests fail, health checks say 200");
    let stamp = draw.region(&incident);
    let until = CALM_S + draw.span_s(21, (15.0, 150.0));
    let share = draw.between(22, (0.08, 0.6));
    put(&mut incident, FaultKind::AppErrors(share), Some(stamp), (CALM_S, until));
    draw.announce(&mut incident, stamp, (CALM_S, until));
    incident.expected = Expected::Cordon;
    incident
}

fn flapping(draw: &Draw) -> Incident {
    let (variant, kind) = match draw.one_of(20, 3) {
        0 => ("gone and back", FaultKind::Lost),
        1 => ("failing and back, health checks say so", FaultKind::HardErrors),
        _ => ("failing half and back", FaultKind::AppErrors(0.5)),
    };
    let mut incident = draw.calm(variant);
    let stamp = draw.region(&incident);
    let until = CALM_S + draw.span_s(21, (30.0, 90.0));
    let (mut t, mut n) = (CALM_S, 0);
    while t < until {
        let down = draw.span_s(40 + 2 * n, (1.0, 6.0));
        put(&mut incident, kind, Some(stamp), (t, t + down));
        t += down + draw.span_s(41 + 2 * n, (1.0, 8.0));
        n += 1;
    }
    draw.announce(&mut incident, stamp, (CALM_S, until));
    incident
}

fn monitor_lies(draw: &Draw) -> Incident {
    let share = draw.between(22, (0.3, 1.0));
    let cases: [(&'static str, &[FaultKind], bool); 11] = [
        ("probes of one stamp fail", &[FaultKind::ProbesFail(share)], true),
        ("probes of every stamp fail", &[FaultKind::ProbesFail(1.0)], false),
        ("the witness does not see one stamp", &[FaultKind::WitnessBlind], true),
        ("the witness sees nothing", &[FaultKind::WitnessBlind], false),
        ("synthetic requests to one stamp fail", &[FaultKind::PingsFail(share)], true),
        ("every synthetic request fails", &[FaultKind::PingsFail(1.0)], false),
        ("credentials are refused everywhere", &[FaultKind::AuthFails], false),
        ("the peers do not see one stamp", &[FaultKind::PeersBlind], true),
        ("a metric shows errors", &[FaultKind::TrafficLies(share)], true),
        ("a database metric shows errors", &[FaultKind::DataLies], true),
        (
            "all that Front Door tells of one stamp is wrong",
            &[FaultKind::ProbesFail(0.4), FaultKind::TrafficLies(share)],
            true,
        ),
    ];
    let (variant, kinds, one) = cases[draw.one_of(20, cases.len())];
    let mut incident = draw.calm(variant);
    let stamp = draw.region(&incident);
    let until = CALM_S + draw.span_s(21, (10.0, 60.0));
    for kind in kinds {
        put(&mut incident, *kind, one.then_some(stamp), (CALM_S, until));
    }
    incident.expected = Expected::NoCordon;
    incident
}

fn global(draw: &Draw) -> Incident {
    let share = draw.between(22, (0.1, 0.9));
    let (variant, kind) = match draw.one_of(20, 6) {
        0 => ("Front Door fails for everyone", FaultKind::EdgeFails(share)),
        1 => ("Front Door comes and goes", FaultKind::EdgeFails(share)),
        2 => ("a shared dependency fails", FaultKind::AppErrors(share)),
        3 => ("Cosmos DB fails everywhere", FaultKind::CosmosLost),
        4 => ("every region fails, health checks say so", FaultKind::HardErrors),
        _ => ("clients of one geography fail", FaultKind::ClientsFail(share * 0.3)),
    };
    let mut incident = draw.calm(variant);
    let until = CALM_S + draw.span_s(21, (10.0, 120.0));
    match (draw.one_of(20, 6), kind) {
        (1, _) => {
            // A configuration that is rebuilt every five minutes, good or bad by chance (incidents.json, November 2025).
            for (n, from) in (CALM_S..until).step_by(300).enumerate() {
                if n == 0 || draw.unit(40 + n as u64) < 0.5 {
                    put(&mut incident, kind, None, (from, from + 300));
                }
            }
        }
        (_, FaultKind::ClientsFail(_)) => {
            let home = draw.region(&incident);
            put(&mut incident, kind, Some(home), (CALM_S, until));
        }
        _ => {
            // The same moment for nobody: it spreads within a minute.
            for s in 0..incident.stamps.len() {
                let from = CALM_S + draw.between(60 + s as u64, (0.0, 60.0)) as u32;
                put(&mut incident, kind, Some(s), (from, until));
            }
        }
    }
    incident.expected = Expected::NoCordon;
    incident
}

fn alert_lies(draw: &Draw) -> Incident {
    let variants = [
        "an alert about a healthy region",
        "an alert about another region than the failing one",
        "an alert about what is over",
        "resolved while it still fails",
        "Resource Health flaps on a healthy stamp",
        "an alert about every region",
    ];
    let case = draw.one_of(20, variants.len());
    let mut incident = draw.calm(variants[case]);
    let (stamp, stamps) = (draw.region(&incident), incident.stamps.len());
    let copies = 1 + draw.one_of(23, 5) as u32;
    let stands = draw.span_s(21, (60.0, 240.0));
    let (sh, rh) = (AlertSource::Service, AlertSource::Resource);
    let lag = draw.quantile_s(24, &SERVICE_HEALTH_LAG_MIN);
    match case {
        0 => say(&mut incident, sh, (stamp, 1), (CALM_S, Some(CALM_S + stands)), copies),
        1 => {
            let until = CALM_S + draw.span_s(25, (30.0, 90.0));
            put(&mut incident, FaultKind::Lost, Some(stamp), (CALM_S, until));
            let other = (stamp + 1) % stamps;
            say(&mut incident, sh, (other, 1), (CALM_S + lag.min(600), Some(until + stands)), copies);
        }
        2 => {
            let until = CALM_S + draw.span_s(25, (5.0, 9.0));
            put(&mut incident, FaultKind::Lost, Some(stamp), (CALM_S, until));
            say(&mut incident, sh, (stamp, 1), (CALM_S + lag, Some(CALM_S + lag + stands)), copies);
        }
        3 => {
            let until = CALM_S + draw.span_s(25, (60.0, 120.0));
            put(&mut incident, FaultKind::Lost, Some(stamp), (CALM_S, until));
            say(&mut incident, sh, (stamp, 1), (CALM_S + 600, Some(CALM_S + 1_800)), copies);
        }
        4 => {
            for n in 0..6 {
                let from = CALM_S + n * 900;
                let until = from + draw.span_s(40 + u64::from(n), (2.0, 10.0));
                say(&mut incident, rh, (stamp, u64::from(n)), (from, Some(until)), 1);
            }
        }
        _ => {
            for s in 0..stamps {
                say(&mut incident, sh, (s, 1), (CALM_S + 20 * s as u32, Some(CALM_S + stands)), copies);
            }
        }
    }
    incident.expected = if matches!(case, 1 | 3) { Expected::Cordon } else { Expected::NoCordon };
    if case == 2 {
        incident.expected = Expected::Either;
    }
    incident
}

fn capacity_short(draw: &Draw) -> Incident {
    let gray = draw.unit(20) < 0.4;
    let variant = match (gray, draw.unit(22) < 0.6) {
        (false, true) => "lost, and the survivors get no instances",
        (false, false) => "lost, and instances start four times as slowly",
        (true, true) => "failing in part, and the survivors get no instances",
        (true, false) => "failing in part, and instances start four times as slowly",
    };
    let mut incident = draw.calm(variant);
    let room = draw.between(3, (1.1, 1.25));
    for stamp in &mut incident.stamps {
        stamp.instances = (stamp.share * room * DEMAND_RPS / super::plant::INSTANCE_RPS).ceil() as u32;
    }
    let stamp = draw.region(&incident);
    let until = CALM_S + draw.span_s(21, (20.0, 90.0));
    let kind = if gray { FaultKind::AppErrors(draw.between(23, (0.1, 0.5))) } else { FaultKind::Lost };
    put(&mut incident, kind, Some(stamp), (CALM_S, until));
    if variant.ends_with("slowly") {
        put(&mut incident, FaultKind::SlowStart(4.0), None, (0, until));
    } else {
        for other in (0..incident.stamps.len()).filter(|other| *other != stamp) {
            let most = incident.stamps[other].instances + draw.one_of(30 + other as u64, 4) as u32;
            put(&mut incident, FaultKind::Quota(most), Some(other), (0, until));
        }
    }
    draw.announce(&mut incident, stamp, (CALM_S, until));
    incident
}

fn slow_actuator(draw: &Draw) -> Incident {
    let (gray, case) = (draw.unit(20) < 0.4, draw.one_of(22, 3));
    let variant = match (gray, case) {
        (false, 0) => "lost, and Front Door takes no changes",
        (false, 1) => "lost, and Front Door takes 45 min for a change",
        (false, _) => "lost, and Azure Resource Manager is down",
        (true, 0) => "failing in part, and Front Door takes no changes",
        (true, 1) => "failing in part, and Front Door takes 45 min for a change",
        (true, _) => "failing in part, and Azure Resource Manager is down",
    };
    let mut incident = draw.calm(variant);
    let stamp = draw.region(&incident);
    let until = CALM_S + draw.span_s(21, (15.0, 120.0));
    let kind = if gray { FaultKind::AppErrors(draw.between(23, (0.1, 0.6))) } else { FaultKind::Lost };
    put(&mut incident, kind, Some(stamp), (CALM_S, until));
    // The control plane is hit with the region and recovers after it, or stays slow.
    match case {
        0 => put(&mut incident, FaultKind::FrontDoorFrozen, None, (CALM_S + 300, until + 1_800)),
        1 => put(&mut incident, FaultKind::SlowFrontDoor(2.25), None, (0, until + 7_200)),
        _ => put(&mut incident, FaultKind::ArmDown, None, (CALM_S, until + 600)),
    }
    draw.announce(&mut incident, stamp, (CALM_S, until));
    incident.expected = Expected::Cordon;
    incident
}
