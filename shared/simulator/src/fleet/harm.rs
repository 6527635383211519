//! What it cost: the figures of the table, from what was true and what the locations did about it.

use super::STEP_S;
use super::edge::Edge;
use super::plant::{INSTANCE_RPS, Plant, Served};
use super::truth::{ABLE_ERRORS_MAX, FAILING_ERRORS_MIN, Incident, Truth};

/// A wrong cordon lasts longer than this, in seconds.
pub(crate) const WRONG_AFTER_S: u32 = 60;
/// A fault that nobody cordoned counts as missed from this length on, in seconds. Ours: shorter ones are over before a
/// careful policy has confirmed them, moved the load and profited from it.
pub(crate) const MISSED_AFTER_S: u32 = 600;
/// Share of the traffic whose locations must have dropped a stamp, or taken it back.
const TRAFFIC: f64 = 0.99;
/// Share of a stamp's locations (by number) that make it "held out".
const HELD: f64 = 0.5;
/// Fewer served requests than this share is "zero-serving".
const ZERO_SERVING: f64 = 0.01;

/// The figures of one incident under one policy. Times are in seconds, requests are counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Requests of all clients in the whole run.
    pub requests: f64,
    /// Those that failed.
    pub failed: f64,
    /// Time in which the capacity that the locations would use was below the demand.
    pub below_floor_s: u32,
    /// The part of it in which a removal of a serving region by the policy was the reason.
    pub sunk_by_removal_s: u32,
    /// The part of it in which capacity that the policy held out would have helped, for whatever reason it was out.
    pub held_below_s: u32,
    /// Time in which less than 1 % of the requests were served.
    pub zero_serving_s: u32,
    /// Wrong cordons, whoever caused them.
    pub wrong: u32,
    /// Wrong cordons caused by an effect of the policy.
    pub wrong_caused: u32,
    /// Time in which a region that was able stood held out by the policy at more than half of the locations, the
    /// sustained-healthy window after a right cordon included.
    pub held_able_s: u32,
    /// Regional failures of at least ten minutes that were never cordoned while they lasted.
    pub missed: u32,
    /// Regional failures of at least ten minutes.
    pub to_cordon: u32,
    /// How often a region was dropped again after it had come back.
    pub flaps: u32,
    /// From the beginning of each regional failure until it was cordoned; a missed one counts with all of its length.
    pub cordoned_after_s: Vec<u32>,
    /// From the end of the last regional failure until every region was back for 99 % of the traffic; none if there was
    /// nothing to come back from.
    pub full_service_after_s: Option<u32>,
    /// Regions that an effect of the policy held out at more than half of the locations, as a set of bits.
    pub cordoned_by_policy: u32,
    /// How long the run was.
    pub seconds: u32,
}

/// A stretch of time in which a stamp is held out.
#[derive(Clone, Copy, Debug, Default)]
struct Spell {
    held: bool,
    spells: u32,
    /// The stamp was able when it began, and has been ever since, for so long.
    able_s: Option<u32>,
    /// Counted as wrong already.
    counted: bool,
    /// It served most of its requests when it began.
    was_serving: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failure {
    since: Option<u32>,
    cordoned: bool,
}

/// The accountant of one run.
#[derive(Debug)]
pub(crate) struct Harm {
    out: Outcome,
    total: Vec<Spell>,
    by_policy: Vec<Spell>,
    failures: Vec<Failure>,
    native_rps: Vec<f64>,
    failing_until: Option<u32>,
    whole_since: Option<u32>,
}

/// How far a stamp is out: by number of locations and by traffic.
#[derive(Clone, Copy, Debug, Default)]
struct Out {
    locations: f64,
    traffic: f64,
}

/// What a stamp could do at one moment.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Serve at least 99 % of its requests.
    able: bool,
    /// Serve at least half of them.
    serving: bool,
}

impl Harm {
    pub(crate) fn new(incident: &Incident) -> Self {
        let stamps = incident.stamps.len();
        Self {
            out: Outcome::default(),
            total: vec![Spell::default(); stamps],
            by_policy: vec![Spell::default(); stamps],
            failures: vec![Failure::default(); stamps],
            native_rps: incident.stamps.iter().map(|shape| shape.share * incident.demand_rps).collect(),
            failing_until: None,
            whole_since: None,
        }
    }

    /// Takes the step that began at `t`.
    pub(crate) fn take(&mut self, t: u32, plant: &Plant, truth: &Truth, served: Served) {
        self.out.seconds += STEP_S;
        self.out.requests += served.total;
        self.out.failed += served.failed;
        if served.total - served.failed < ZERO_SERVING * served.total {
            self.out.zero_serving_s += STEP_S;
        }
        let stamps = plant.stamps.len();
        let mut all_back = true;
        let (mut effective, mut sunk, mut held) = (0.0, 0.0, 0.0);
        for s in 0..stamps {
            let good = plant.good_rps(s, truth);
            let (out, policy) = (out_of(&plant.edge, s), out_by_policy(plant, s));
            let able = self.is_able(s, plant, truth);
            all_back &= 1.0 - out.traffic >= TRAFFIC;
            let serving = good >= HELD * self.native_rps[s];
            let dropped_by_others = self.total[s].held && !self.by_policy[s].held;
            self.out.flaps += u32::from(
                advance(&mut self.total[s], out, State { able, serving }) && self.total[s].spells > 1,
            );
            // What takes over a region that was dropped for a reason is the same cordon going on.
            let for_a_reason = self.total[s].held && self.total[s].able_s.is_none();
            let now = State { able: able && !for_a_reason, serving: serving && !dropped_by_others };
            advance(&mut self.by_policy[s], policy, now);
            let caused = became_wrong(&mut self.by_policy[s]);
            self.out.wrong_caused += u32::from(caused);
            // One that a policy takes out just as Front Door lets it in again is one spell of the locations.
            let wrong = became_wrong(&mut self.total[s]) || (caused && !self.total[s].counted);
            self.total[s].counted |= wrong;
            self.out.wrong += u32::from(wrong);
            if self.by_policy[s].held {
                self.out.cordoned_by_policy |= 1 << s;
                self.out.held_able_s += if able { STEP_S } else { 0 };
            }
            let passes = 1.0 - truth.stamps[s].edge_fails;
            effective += good * passes * (1.0 - out.traffic);
            held += good * policy.traffic;
            sunk += if self.by_policy[s].was_serving { good * policy.traffic } else { 0.0 };
            self.follow_failure((s, t), plant, truth, out);
        }
        if effective < plant.demand_rps {
            self.out.below_floor_s += STEP_S;
            // A part of one location's traffic is not a reason.
            let helps = |rps: f64| rps > 0.01 * plant.demand_rps;
            self.out.held_below_s += if helps(held) { STEP_S } else { 0 };
            self.out.sunk_by_removal_s += if effective + sunk >= plant.demand_rps { STEP_S } else { 0 };
        }
        match (all_back, self.whole_since) {
            (true, None) => self.whole_since = Some(t),
            (false, _) => self.whole_since = None,
            _ => {}
        }
    }

    /// The run is over after `t` seconds.
    pub(crate) fn close(mut self, t: u32) -> Outcome {
        self.out.full_service_after_s =
            self.failing_until.map(|ended| self.whole_since.unwrap_or(t).saturating_sub(ended));
        self.out
    }

    fn is_able(&self, s: usize, plant: &Plant, truth: &Truth) -> bool {
        let ready = f64::from(plant.stamps[s].ready) * INSTANCE_RPS;
        truth.stamps[s].errors() <= ABLE_ERRORS_MAX && ready >= (1.0 - ABLE_ERRORS_MAX) * self.native_rps[s]
    }

    fn follow_failure(&mut self, (s, t): (usize, u32), plant: &Plant, truth: &Truth, out: Out) {
        let fails = |s: usize| truth.stamps[s].errors() >= FAILING_ERRORS_MIN;
        // What fails everywhere is nobody's to cordon.
        let regional =
            fails(s) && (0..plant.stamps.len()).any(|other| other != s && self.is_able(other, plant, truth));
        let failure = &mut self.failures[s];
        if regional {
            let since = *failure.since.get_or_insert(t);
            self.failing_until = Some(t + STEP_S);
            if out.traffic >= TRAFFIC && !failure.cordoned {
                failure.cordoned = true;
                self.out.cordoned_after_s.push(t - since);
            }
            return;
        }
        if let Some(since) = failure.since.take() {
            let long = t - since >= MISSED_AFTER_S;
            self.out.to_cordon += u32::from(long);
            if long && !failure.cordoned {
                self.out.missed += 1;
                self.out.cordoned_after_s.push(t - since);
            }
        }
        failure.cordoned = false;
    }
}

/// Follows one stamp's spells; whether a new one began.
fn advance(spell: &mut Spell, out: Out, State { able, serving }: State) -> bool {
    let held = out.locations > HELD;
    let began = held && !spell.held;
    if began {
        *spell = Spell {
            held,
            spells: spell.spells + 1,
            able_s: able.then_some(0),
            counted: false,
            was_serving: serving,
        };
    } else if held {
        spell.able_s = spell.able_s.filter(|_| able).map(|able_s| able_s + STEP_S);
    } else {
        *spell = Spell { spells: spell.spells, ..Spell::default() };
    }
    began
}

fn became_wrong(spell: &mut Spell) -> bool {
    let wrong = !spell.counted && spell.able_s.is_some_and(|able_s| able_s > WRONG_AFTER_S);
    spell.counted |= wrong;
    wrong
}

fn out_of(edge: &Edge, s: usize) -> Out {
    share_of(edge, |p| !edge.pops[p].holds_in(s))
}

fn out_by_policy(plant: &Plant, s: usize) -> Out {
    let percent = plant.stamps[s].gate_percent;
    if percent >= 100 && plant.edge.is_settled() && plant.edge.configured[s] {
        return Out::default();
    }
    let pops = &plant.edge.pops;
    // Only what the locations have noticed: a gate that opens again before they have is no cordon.
    share_of(&plant.edge, |p| !pops[p].holds_in(s) && (!pops[p].enabled[s] || pops[p].slice >= percent))
}

fn share_of(edge: &Edge, is: impl Fn(usize) -> bool) -> Out {
    let mut out = Out::default();
    for p in (0..edge.pops.len()).filter(|p| is(*p)) {
        out.locations += 1.0 / edge.pops.len() as f64;
        out.traffic += edge.pops[p].share;
    }
    out
}
