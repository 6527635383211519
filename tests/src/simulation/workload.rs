//! What happens to the workload: incidents, many short ones and few long ones, each a list of moments at which a
//! condition of the world begins or ends, and the alerts that somebody sends about it, true or not.

use super::draw::{About, Seed};

/// Seconds of a minute and of an hour.
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

/// What a condition does to the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// Nobody reaches the stamp.
    Lost,
    /// This share of its requests fails.
    Errors(f64),
    /// Front Door does not reach it, everybody else does.
    EdgeCut,
    /// Its instances carry this part of what they should.
    Brownout(f64),
    /// The demand of its clients is this many times as high.
    Surge(f64),
    /// The witness does not reach it, the peers do.
    WitnessCut,
    /// The witness resolves no name.
    WitnessDns,
    /// Its database region fails its requests, by the account's metric only.
    Data,
    /// New instances take this many times as long.
    SlowStart(f64),
    /// It gets no more than this many instances.
    Quota(u32),
    /// Its replica of the gate store cannot be read.
    GateReplicaCut,
}

/// An alert that somebody sends: by whom, as an index into `ALERTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Which kind.
    pub kind: AlertKind,
    /// Seconds from the beginning of the incident until it fires.
    pub fires_s: u64,
    /// Seconds until it is resolved; none if nobody resolves it.
    pub resolves_s: Option<u64>,
}

/// Kinds of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertKind {
    /// Service Health.
    Platform,
    /// A metric alert on `OriginHealthPercentage`.
    Edge,
    /// A metric alert on the error ratio.
    Traffic,
    /// A metric alert on the database region.
    Data,
}

/// A condition with its place and time, in seconds from the beginning of the incident.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// What.
    pub condition: Condition,
    /// Which stamp; none for every one.
    pub stamp: Option<usize>,
    /// From.
    pub from_s: u64,
    /// Until.
    pub until_s: u64,
}

/// Kinds of incidents; the mix is `MIX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The witness misses a stamp for a moment.
    ProbeBlip,
    /// A stamp fails some requests for a moment.
    ErrorBlip,
    /// An alert about nothing.
    FalseAlert,
    /// Service Health names a region that is well.
    FalsePlatform,
    /// The stamp is gone for less than any confirmation takes.
    HardBlip,
    /// Front Door's probes fail at one stamp.
    EdgeCut,
    /// An error ratio over budget for minutes.
    GrayShort,
    /// Longer than every confirmation.
    GrayLong,
    /// A stamp is gone for minutes.
    Hard,
    /// A stamp is gone for hours.
    HardLong,
    /// A stamp comes and goes.
    Flapping,
    /// A stamp is gone, comes back for an hour, and is gone again, some times.
    Relapsing,
    /// Two stamps are gone, one after the other.
    TwoRegions,
    /// All stamps are gone.
    Global,
    /// A stamp's instances carry less.
    Brownout,
    /// More clients than usual.
    Surge,
    /// The witness itself is cut off.
    WitnessBlind,
    /// The database fails in one region.
    DataRegion,
    /// The database fails everywhere.
    DataEverywhere,
    /// Nothing happens to the workload; only something of ours breaks.
    OursOnly,
}

/// The mix, in parts of a thousand. Short blips and false alarms are most of what a prober sees in a year (a lost
/// packet, a restarted instance, an alert about a neighbour); a region's outage of minutes comes a few times a year,
/// one of hours less than once. The figures are assumed and make outages far more frequent than they are, so that a
/// run of few years holds many.
pub const MIX: [(Kind, u32); 20] = [
    (Kind::ProbeBlip, 295),
    (Kind::ErrorBlip, 170),
    (Kind::FalseAlert, 120),
    (Kind::FalsePlatform, 50),
    (Kind::HardBlip, 80),
    (Kind::EdgeCut, 20),
    (Kind::GrayShort, 50),
    (Kind::GrayLong, 15),
    (Kind::Hard, 40),
    (Kind::HardLong, 5),
    (Kind::Flapping, 8),
    (Kind::Relapsing, 5),
    (Kind::TwoRegions, 5),
    (Kind::Global, 5),
    (Kind::Brownout, 20),
    (Kind::Surge, 20),
    (Kind::WitnessBlind, 12),
    (Kind::DataRegion, 15),
    (Kind::DataEverywhere, 5),
    (Kind::OursOnly, 60),
];

/// One incident.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its number in the run.
    pub number: u64,
    /// What.
    pub kind: Kind,
    /// The stamp it is about.
    pub stamp: usize,
    /// Seconds since the beginning of the run.
    pub at_s: u64,
    /// What holds when.
    pub phases: Vec<Phase>,
    /// What is said about it.
    pub alerts: Vec<Alert>,
}

impl Incident {
    /// When the last condition ends, in seconds since the beginning of the run.
    pub fn ends_s(&self) -> u64 {
        self.at_s + self.phases.iter().map(|phase| phase.until_s).max().unwrap_or(0)
    }
}

/// The incident number `number` of a world of `stamps` stamps, beginning at `at_s`.
pub fn incident(seed: Seed, number: u64, at_s: u64, stamps: usize) -> Incident {
    let draw = Draw { seed, number };
    let kind = draw.kind();
    let stamp = usize::try_from(draw.whole((0, stamps as u64 - 1), 1)).unwrap_or(0);
    let mut incident = Incident { number, kind, stamp, at_s, phases: vec![], alerts: vec![] };
    shape(&mut incident, draw, stamps);
    alerts(&mut incident, draw);
    incident
}

#[derive(Clone, Copy)]
struct Draw {
    seed: Seed,
    number: u64,
}

impl Draw {
    fn whole(self, range: (u64, u64), what: u64) -> u64 {
        self.seed.whole(range, About::Incident, self.number, what)
    }

    fn between(self, range: (f64, f64), what: u64) -> f64 {
        self.seed.between(range, About::Incident, self.number, what)
    }

    fn chance(self, probability: f64, what: u64) -> bool {
        self.seed.chance(probability, About::Incident, self.number, what)
    }

    fn kind(self) -> Kind {
        let all: u32 = MIX.iter().map(|(_, parts)| parts).sum();
        let mut left = self.whole((0, u64::from(all) - 1), 0);
        for (kind, parts) in MIX {
            if left < u64::from(parts) {
                return kind;
            }
            left -= u64::from(parts);
        }
        Kind::ProbeBlip
    }
}

fn shape(incident: &mut Incident, draw: Draw, stamps: usize) {
    let one = Some(incident.stamp);
    let mut add = |condition, stamp, from_s, until_s| {
        incident.phases.push(Phase { condition, stamp, from_s, until_s });
    };
    let minutes = |range: (u64, u64), what| draw.whole((range.0 * MINUTE, range.1 * MINUTE), what);
    match incident.kind {
        Kind::ProbeBlip => add(Condition::WitnessCut, one, 0, draw.whole((8, 35), 2)),
        Kind::ErrorBlip => {
            add(Condition::Errors(draw.between((0.1, 0.8), 3)), one, 0, draw.whole((8, 45), 2));
        }
        Kind::FalseAlert | Kind::FalsePlatform | Kind::OursOnly => {}
        Kind::HardBlip => add(Condition::Lost, one, 0, draw.whole((10, 55), 2)),
        Kind::EdgeCut => add(Condition::EdgeCut, one, 0, minutes((2, 20), 2)),
        Kind::GrayShort => add(Condition::Errors(draw.between((0.06, 0.6), 3)), one, 0, minutes((1, 5), 2)),
        Kind::GrayLong => add(Condition::Errors(draw.between((0.1, 0.9), 3)), one, 0, minutes((6, 60), 2)),
        Kind::Hard => add(Condition::Lost, one, 0, minutes((2, 30), 2)),
        Kind::HardLong => add(Condition::Lost, one, 0, draw.whole((HOUR, 5 * HOUR), 2)),
        Kind::Flapping => {
            let mut at = 0;
            for turn in 0..draw.whole((3, 8), 2) {
                let down = minutes((2, 6), 10 + turn);
                add(Condition::Lost, one, at, at + down);
                at += down + minutes((2, 12), 30 + turn);
            }
        }
        Kind::Relapsing => {
            let mut at = 0;
            for turn in 0..draw.whole((3, 5), 2) {
                let down = minutes((3, 10), 10 + turn);
                add(Condition::Lost, one, at, at + down);
                at += down + minutes((45, 120), 30 + turn);
            }
        }
        Kind::TwoRegions => {
            let other = (incident.stamp + 1) % stamps;
            add(Condition::Lost, one, 0, minutes((5, 40), 2));
            let from = minutes((1, 25), 3);
            add(Condition::Lost, Some(other), from, from + minutes((3, 30), 4));
        }
        Kind::Global => add(Condition::Lost, None, 0, minutes((1, 15), 2)),
        Kind::Brownout => add(Condition::Brownout(draw.between((0.3, 0.7), 3)), one, 0, minutes((3, 40), 2)),
        Kind::Surge => add(Condition::Surge(draw.between((1.2, 2.2), 3)), one, 0, minutes((3, 30), 2)),
        Kind::WitnessBlind => {
            let condition = if draw.chance(0.5, 3) { Condition::WitnessCut } else { Condition::WitnessDns };
            add(condition, None, 0, minutes((1, 15), 2));
        }
        Kind::DataRegion => add(Condition::Data, one, 0, minutes((3, 30), 2)),
        Kind::DataEverywhere => add(Condition::Data, None, 0, minutes((3, 30), 2)),
    }
    complications(incident, draw);
}

/// What makes an outage worse: survivors that cannot grow, a replica that cannot be read.
fn complications(incident: &mut Incident, draw: Draw) {
    let long = incident.phases.iter().map(|phase| phase.until_s).max().unwrap_or(0);
    if long < 2 * MINUTE {
        return;
    }
    let mut add = |condition, stamp, until_s| {
        incident.phases.push(Phase { condition, stamp, from_s: 0, until_s });
    };
    if draw.chance(0.15, 50) {
        add(Condition::SlowStart(draw.between((2.0, 6.0), 51)), None, long + 10 * MINUTE);
    }
    if draw.chance(0.10, 52) {
        let limit = u32::try_from(draw.whole((3, 8), 53)).unwrap_or(3);
        add(Condition::Quota(limit), None, long + 10 * MINUTE);
    }
    if draw.chance(0.05, 54) {
        add(Condition::GateReplicaCut, Some(incident.stamp), long + 5 * MINUTE);
    }
}

fn alerts(incident: &mut Incident, draw: Draw) {
    let ends = incident.phases.iter().map(|phase| phase.until_s).max().unwrap_or(0);
    let mut add = |kind, fires_s, resolves_s| incident.alerts.push(Alert { kind, fires_s, resolves_s });
    match incident.kind {
        Kind::FalseAlert => {
            let kinds = [AlertKind::Edge, AlertKind::Traffic, AlertKind::Data];
            let kind = kinds[usize::try_from(draw.whole((0, 2), 60)).unwrap_or(0)];
            let resolved = draw.chance(0.9, 61).then(|| draw.whole((MINUTE, 20 * MINUTE), 62));
            add(kind, 0, resolved);
        }
        Kind::FalsePlatform => {
            add(AlertKind::Platform, 0, draw.chance(0.8, 61).then(|| draw.whole((300, HOUR), 62)));
        }
        Kind::Hard | Kind::HardLong | Kind::TwoRegions | Kind::Global | Kind::GrayLong | Kind::Flapping => {
            if draw.chance(0.5, 63) {
                // Service Health is late: median 34 min (DESIGN.md, fact 5).
                let fires = draw.whole((5 * MINUTE, 90 * MINUTE), 64);
                let lasts = ends.saturating_sub(fires) + draw.whole((0, HOUR), 65);
                add(AlertKind::Platform, fires, draw.chance(0.9, 66).then_some(fires + lasts));
            }
            if draw.chance(0.5, 67) {
                let fires = draw.whole((60, 300), 68);
                add(AlertKind::Traffic, fires, Some(fires.max(ends) + draw.whole((60, 400), 69)));
            }
        }
        Kind::EdgeCut if draw.chance(0.5, 63) => {
            add(AlertKind::Edge, 120, Some(ends + draw.whole((60, 300), 64)));
        }
        _ => {}
    }
}
