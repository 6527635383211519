//! A light world for many incidents: the same physics as [`crate::World`], in steps of five seconds and nothing outside
//! the incident, so that thousands of incidents under several policies take a minute or two. Cordon plays in it with its
//! production core beside the policies that others use.
//!
//! Invariants: every draw is a hash of the seed, the entity and the matter; no policy changes what another would have
//! seen of the same incident, except by what it does to the plant.

mod truth;
mod family;
mod recorded;
mod edge;
mod plant;
mod stream;
mod harm;
mod steering;
mod cordon;
mod rivals;
#[cfg(test)]
mod tests;

use std::time::Duration;

use domain::Timestamp;

pub use family::{Family, Rate};
pub use harm::Outcome;
pub use recorded::recorded_names;
pub use steering::PolicyKind;
pub use truth::Expected;

use harm::Harm;
use plant::Plant;
use steering::{Hands, Steering};
use stream::Stream;
use truth::{Incident, truth_at};

/// Seconds of one step of the world. Divides the probe interval, the probe log's batch and the minute.
const STEP_S: u32 = 5;
/// Policies look and act this often, in seconds: the interval of Cordon's timers.
const LOOK_S: u32 = 10;
/// Calm before the incident, in seconds: everybody knows the demand, and every quiet period is over.
const CALM_S: u32 = 600;
/// The run goes on for at least this long after the last fault, in seconds: metrics and alerts are late by minutes.
const TAIL_MIN_S: u32 = 900;
/// The run ends this long after the last fault at the latest, in seconds: the longest window of the policy and its ramp.
const TAIL_MAX_S: u32 = 5 * 3_600;
/// 2026-03-03T12:00:00Z, any moment: nothing depends on the hour.
const START: Timestamp = Timestamp::from_secs(1_772_539_200);

fn now_at(t: u32) -> Timestamp {
    START + Duration::from_secs(u64::from(t))
}

/// One incident under one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// What it cost.
    pub outcome: Outcome,
    /// What kind of case it was, within its family.
    pub variant: &'static str,
    /// How many stamps the workload had: the incident stands for `stamps / rate` region-years.
    pub stamps: usize,
    /// What a reviewer expects.
    pub expected: Expected,
}

/// Plays incident number `seed` of a family under one policy. The same arguments give the same result.
pub fn play(family: Family, seed: u64, policy: PolicyKind) -> Played {
    told(family, seed, policy, |_| {})
}

/// Like [`play`], and tells what changes, one line each, with its second.
pub fn told(family: Family, seed: u64, policy: PolicyKind, mut tell: impl FnMut(String)) -> Played {
    let incident = family.incident(seed);
    let outcome = run(&incident, &mut *policy.start(&incident), &mut tell);
    Played { outcome, variant: incident.variant, stamps: incident.stamps.len(), expected: incident.expected }
}

fn run(incident: &Incident, steering: &mut dyn Steering, tell: &mut dyn FnMut(String)) -> Outcome {
    let mut plant = Plant::new(incident);
    let mut stream = Stream::new(incident);
    let mut harm = Harm::new(incident);
    let mut truth = truth_at(&incident.faults, incident.stamps.len(), 0);
    let (over, mut t) = (incident.ends(), 0);
    let mut line = String::new();
    loop {
        if t >= truth.until {
            truth = truth_at(&incident.faults, incident.stamps.len(), t);
            tell(format!("{t:>6} truth {:?}", truth.stamps));
        }
        plant.begin(t, &truth);
        plant.probe(t, &truth, |p, s, reply| stream.probed(p, s, reply));
        let served = plant.serve(&truth);
        harm.take(t, &plant, &truth, served);
        stream.counted(t, &plant, &truth);
        t += STEP_S;
        if t.is_multiple_of(LOOK_S) {
            let seen = stream.look(t, &plant, &truth);
            steering.step(&seen, &mut Hands { t, plant: &mut plant, truth: &truth, tell });
            let next = told_of(&plant);
            if next != line {
                tell(format!("{t:>6} {next}"));
                line = next;
            }
        }
        let whole = || plant.is_whole() && stream.is_quiet() && steering.is_idle();
        if t >= over + TAIL_MAX_S || (t >= over + TAIL_MIN_S && t.is_multiple_of(60) && whole()) {
            return harm.close(t);
        }
    }
}

/// Gates, origins, locations that hold in, instances: what a reader of a run wants to see change.
fn told_of(plant: &Plant) -> String {
    let of = |s: usize| {
        let stamp = &plant.stamps[s];
        let held_in = plant.edge.pops.iter().filter(|pop| pop.holds_in(s)).count();
        format!(
            "[gate {:>3} origin {} in {held_in:>2} ready {:>2}/{:>2} load {:.1}]",
            stamp.gate_percent,
            if plant.edge.configured[s] { "on " } else { "off" },
            stamp.ready,
            stamp.requested,
            stamp.utilisation.min(9.9)
        )
    };
    (0..plant.stamps.len()).map(of).collect::<Vec<_>>().join(" ")
}
