//! What is true of the workload, whoever knows it: stamps with their instances, edge locations that each judge for
//! themselves, the load that follows from both. Moves on in steps of any length.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use domain::{EnabledState, GateDocument, RegionName, StampId, Timestamp, gate};

use super::draw::{About, Seed};
use super::workload::Condition;

/// Requests per second that one instance carries: the policy's figure is the truth here.
pub const INSTANCE_RPS: f64 = 150.0;
/// Edge locations of a world: Front Door has about so many metros. With a dozen, one location would carry a quarter of
/// a stamp's load, and a first slice that lets it in brings more than the ramp allows, every time.
const POPS: usize = 120;
/// What was true this long ago may still be what the controller acts on: age of load facts, probes, one evaluation.
const MEMORY_S: u64 = 240;
/// Most instances of a stamp.
const INSTANCES_MAX: u32 = 30;
/// Autoscale scales in after this long, in seconds.
const SCALE_IN_AFTER_S: u64 = 600;

/// Names of the regions, in the order in which worlds use them.
const REGIONS: [&str; 4] = ["eastus2", "centralus", "westeurope", "southeastasia"];

/// What holds for a stamp now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holds {
    /// Nobody reaches it.
    pub lost: bool,
    /// Share of requests that fail at it for another reason than load.
    pub errors: f64,
    /// Front Door does not reach it.
    pub edge_cut: bool,
    /// Part of its capacity that is left.
    pub capacity: f64,
    /// Its clients' demand, as a factor.
    pub surge: f64,
    /// The witness does not reach it.
    pub witness_cut: bool,
    /// The witness cannot resolve its name.
    pub witness_dns: bool,
    /// Its database region fails.
    pub data: bool,
    /// Factor on the start time of its instances.
    pub slow: f64,
    /// Most instances it gets.
    pub quota: u32,
    /// Its gate replica cannot be read.
    pub gate_cut: bool,
}

const CALM: Holds = Holds {
    lost: false,
    errors: 0.0,
    edge_cut: false,
    capacity: 1.0,
    surge: 1.0,
    witness_cut: false,
    witness_dns: false,
    data: false,
    slow: 1.0,
    quota: INSTANCES_MAX,
    gate_cut: false,
};

/// One stamp.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Its name.
    pub id: StampId,
    /// Its region.
    pub region: RegionName,
    /// Requests per second of the clients nearest to it.
    pub demand_rps: f64,
    /// What holds for it.
    pub holds: Holds,
    /// Instances that answer.
    pub ready: u32,
    /// Requests per second that arrive.
    pub arriving_rps: f64,
    /// What its health service last learnt of its gate.
    pub gate: Option<GateDocument>,
    /// Our capacity floor in force at it.
    pub floor: Option<(u32, Timestamp)>,
    base_min: u32,
    starting: Vec<(u64, u32)>,
    idle_since_s: Option<u64>,
    served: VecDeque<(u64, f64, f64)>,
}

/// One edge location.
#[derive(Clone, Debug)]
struct Pop {
    slice: u8,
    home: usize,
    share: f64,
    detects_s: u64,
    obeys_s: u64,
    healthy: Vec<bool>,
    differs_since: Vec<Option<u64>>,
    enabled: Vec<bool>,
}

/// Whether every edge location has noticed what the stamps answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noticed {
    Everywhere,
    NotYet,
}

/// Everything that is true.
#[derive(Clone, Debug)]
pub struct Truth {
    seed: Seed,
    /// The stamps.
    pub stamps: Vec<Stamp>,
    pops: Vec<Pop>,
    orders: Vec<(u64, usize, usize, bool)>,
    active: Vec<(u64, Condition, Option<usize>)>,
    /// What the stamps answered at the last step, and whether an edge location has yet to notice.
    answered: (Vec<u8>, Noticed),
    /// The edge learns of everything this many times as late.
    pub edge_delay: u64,
    /// When anything that an observer could see last changed, in seconds.
    pub changed_s: u64,
}

impl Truth {
    /// The world of a seed: 2 to 4 stamps.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few dozen instances")]
    pub fn new(seed: Seed) -> Self {
        let count = [2, 3, 3, 4][usize::try_from(seed.whole((0, 3), About::World, 0, 0)).unwrap_or(1)];
        let stamps = (0..count).map(|i| {
            let entity = i as u64;
            let demand_rps = seed.between((150.0, 900.0), About::World, entity, 1).round();
            let use_of = seed.between((0.4, 0.85), About::World, entity, 2);
            let ready = (demand_rps / INSTANCE_RPS / use_of).ceil().max(2.0) as u32;
            Stamp {
                id: REGIONS[i].into(),
                region: REGIONS[i].into(),
                demand_rps,
                holds: CALM,
                ready,
                arriving_rps: demand_rps,
                gate: None,
                floor: None,
                base_min: ready,
                starting: vec![],
                idle_since_s: None,
                served: VecDeque::new(),
            }
        });
        let pops = (0..POPS).map(|p| {
            let entity = 100 + p as u64;
            let octet = |what| u8::try_from(seed.whole((0, 255), About::World, entity, what)).unwrap_or(0);
            let slow = seed.chance(0.1, About::World, entity, 4);
            let weight = |p: usize| seed.between((0.3, 1.7), About::World, 100 + p as u64, 8);
            let all: f64 = (0..POPS).filter(|other| other % count == p % count).map(weight).sum();
            Pop {
                slice: gate::slice_of(IpAddr::from([147, octet(3), octet(7), 7])),
                home: p % count,
                share: weight(p) / all,
                detects_s: seed.whole(if slow { (120, 300) } else { (15, 90) }, About::World, entity, 5),
                obeys_s: seed.whole((10, 900), About::World, entity, 6),
                healthy: vec![true; count],
                differs_since: vec![None; count],
                enabled: vec![true; count],
            }
        });
        let (stamps, pops) = (stamps.collect(), pops.collect());
        Self {
            seed,
            stamps,
            pops,
            orders: vec![],
            active: vec![],
            answered: (vec![], Noticed::NotYet),
            edge_delay: 1,
            changed_s: 0,
        }
    }

    /// A condition begins; `key` names it for its end.
    pub fn begin(&mut self, key: u64, condition: Condition, stamp: Option<usize>, now_s: u64) {
        self.active.push((key, condition, stamp));
        self.refresh(now_s);
    }

    /// A condition ends.
    pub fn end(&mut self, key: u64, now_s: u64) {
        self.active.retain(|(other, ..)| *other != key);
        self.refresh(now_s);
    }

    /// Whether no condition holds.
    pub fn is_calm(&self) -> bool {
        self.active.is_empty()
    }

    /// Whether every edge location sees what is and every stamp has its usual instances.
    pub fn is_settled(&self) -> bool {
        self.is_calm()
            && self.orders.is_empty()
            && self.pops.iter().all(|pop| pop.healthy.iter().chain(&pop.enabled).all(|good| *good))
            && self.stamps.iter().all(|stamp| stamp.starting.is_empty() && stamp.ready == stamp.base_min)
    }

    /// Whether nothing moves by itself and no observer draws by chance: the next sample is like the last.
    pub fn is_steady(&self) -> bool {
        let still = |stamp: &Stamp| {
            stamp.starting.is_empty()
                && stamp.idle_since_s.is_none()
                && stamp.holds.errors == 0.0
                && stamp.overload() == 0.0
        };
        self.orders.is_empty() && self.answered.1 == Noticed::Everywhere && self.stamps.iter().all(still)
    }

    /// Front Door finished an operation: each location obeys it in its own time, and none goes back to an older
    /// configuration: one that is slower than a newer one never arrives.
    pub fn origin_changed(&mut self, stamp: usize, enabled: EnabledState, now_s: u64) {
        let on = enabled == EnabledState::Enabled;
        for (p, pop) in self.pops.iter().enumerate() {
            let due = now_s + pop.obeys_s * self.edge_delay;
            self.orders.retain(|(older, at, of, _)| (*at, *of) != (p, stamp) || *older < due);
            self.orders.push((due, p, stamp, on));
        }
    }

    /// Moves on to `now_s`.
    pub fn step(&mut self, now_s: u64, now: Timestamp, documents: &BTreeMap<StampId, GateDocument>) {
        for stamp in &mut self.stamps {
            if !stamp.holds.gate_cut && !stamp.holds.lost {
                stamp.gate = documents.get(&stamp.id).cloned().or(stamp.gate.take());
            }
        }
        self.judge(now_s, now);
        self.route();
        self.scale(now_s, now);
        for stamp in &mut self.stamps {
            stamp.served.push_back((now_s, stamp.capacity_rps(), stamp.holds.errors));
            while stamp.served.front().is_some_and(|(at, ..)| at + MEMORY_S < now_s) {
                stamp.served.pop_front();
            }
        }
    }

    /// After a quiet stretch: what is remembered was so all the time.
    pub fn skip_to(&mut self, now_s: u64) {
        for stamp in &mut self.stamps {
            stamp.served.clear();
            stamp.served.push_back((now_s, stamp.capacity_rps(), stamp.holds.errors));
            stamp.idle_since_s = None;
        }
    }

    /// Requests per second of all clients.
    pub fn demand_rps(&self) -> f64 {
        self.stamps.iter().map(|stamp| stamp.demand_rps * stamp.holds.surge).sum()
    }

    fn refresh(&mut self, now_s: u64) {
        self.changed_s = now_s;
        for (s, stamp) in self.stamps.iter_mut().enumerate() {
            let mut holds = CALM;
            for (_, condition, _) in self.active.iter().filter(|(_, _, on)| on.is_none_or(|on| on == s)) {
                match *condition {
                    Condition::Lost => holds.lost = true,
                    Condition::Errors(share) => holds.errors = holds.errors.max(share),
                    Condition::EdgeCut => holds.edge_cut = true,
                    Condition::Brownout(part) => holds.capacity = holds.capacity.min(part),
                    Condition::Surge(factor) => holds.surge = holds.surge.max(factor),
                    Condition::WitnessCut => holds.witness_cut = true,
                    Condition::WitnessDns => holds.witness_dns = true,
                    Condition::Data => holds.data = true,
                    Condition::SlowStart(factor) => holds.slow = holds.slow.max(factor),
                    Condition::Quota(most) => holds.quota = holds.quota.min(most),
                    Condition::GateReplicaCut => holds.gate_cut = true,
                }
            }
            stamp.holds = holds;
        }
    }

    fn judge(&mut self, now_s: u64, now: Timestamp) {
        let answers: Vec<u8> = self.stamps.iter().map(|stamp| stamp.answers_percent(now)).collect();
        let (orders, pops) = (&mut self.orders, &mut self.pops);
        if orders.is_empty() && self.answered.1 == Noticed::Everywhere && self.answered.0 == answers {
            return;
        }
        orders.retain(|(due, pop, stamp, enabled)| {
            let waits = *due > now_s;
            if !waits {
                pops[*pop].enabled[*stamp] = *enabled;
            }
            waits
        });
        let mut noticed = Noticed::Everywhere;
        for pop in pops {
            for (s, percent) in answers.iter().enumerate() {
                let good = pop.slice < *percent;
                if good == pop.healthy[s] {
                    pop.differs_since[s] = None;
                    continue;
                }
                let since = *pop.differs_since[s].get_or_insert(now_s);
                if now_s >= since + pop.detects_s * self.edge_delay {
                    pop.healthy[s] = good;
                    pop.differs_since[s] = None;
                    self.changed_s = now_s;
                } else {
                    noticed = Noticed::NotYet;
                }
            }
        }
        self.answered = (answers, noticed);
    }

    fn route(&mut self) {
        let mut arriving = vec![0.0; self.stamps.len()];
        for pop in &self.pops {
            let home = &self.stamps[pop.home];
            let demand = home.demand_rps * home.holds.surge * pop.share;
            if pop.enabled[pop.home] && pop.healthy[pop.home] {
                arriving[pop.home] += demand;
                continue;
            }
            let usable = |s: &usize| pop.enabled[*s] && pop.healthy[*s];
            let mut to: Vec<usize> = (0..self.stamps.len()).filter(usable).collect();
            if to.is_empty() {
                // Front Door fails open to every enabled origin.
                to = (0..self.stamps.len()).filter(|s| pop.enabled[*s]).collect();
            }
            if to.contains(&pop.home) {
                arriving[pop.home] += demand;
                continue;
            }
            let all: f64 = to.iter().map(|s| self.stamps[*s].demand_rps).sum();
            for s in to {
                arriving[s] += demand * self.stamps[s].demand_rps / all.max(1.0);
            }
        }
        for (stamp, rps) in self.stamps.iter_mut().zip(arriving) {
            stamp.arriving_rps = if stamp.holds.lost || stamp.holds.edge_cut { 0.0 } else { rps };
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few dozen instances")]
    fn scale(&mut self, now_s: u64, now: Timestamp) {
        for (s, stamp) in self.stamps.iter_mut().enumerate() {
            let before = stamp.ready;
            let (due, waiting): (Vec<_>, Vec<_>) = stamp.starting.iter().partition(|(at, _)| *at <= now_s);
            stamp.starting = waiting;
            stamp.ready += due.iter().map(|(_, count)| count).sum::<u32>();
            let floor = stamp.floor.filter(|(_, until)| *until > now).map_or(0, |(minimum, _)| minimum);
            let by_load = (stamp.arriving_rps / INSTANCE_RPS / 0.9).ceil() as u32;
            let most = stamp.holds.quota.max(stamp.base_min);
            let wanted = stamp.base_min.max(floor).max(by_load).min(most);
            let coming = stamp.ready + stamp.starting.iter().map(|(_, count)| count).sum::<u32>();
            if wanted > coming && !stamp.holds.lost {
                let takes =
                    self.seed.between((100.0, 300.0), About::Azure, s as u64, now_s) * stamp.holds.slow;
                stamp.starting.push((now_s + takes as u64, wanted - coming));
            }
            if wanted < stamp.ready {
                let since = *stamp.idle_since_s.get_or_insert(now_s);
                if now_s >= since + SCALE_IN_AFTER_S {
                    stamp.ready = wanted;
                    stamp.idle_since_s = None;
                }
            } else {
                stamp.idle_since_s = None;
            }
            if stamp.ready != before {
                self.changed_s = now_s;
            }
        }
    }
}

impl Stamp {
    /// Requests per second that it would answer well.
    pub fn capacity_rps(&self) -> f64 {
        if self.holds.lost || self.holds.edge_cut {
            return 0.0;
        }
        f64::from(self.ready) * INSTANCE_RPS * self.holds.capacity * (1.0 - self.holds.errors)
    }

    /// The most that it served well within the memory of whoever acts now.
    pub fn served_most_rps(&self) -> f64 {
        self.served.iter().map(|(_, rps, _)| *rps).fold(self.capacity_rps(), f64::max)
    }

    /// The least.
    pub fn served_least_rps(&self) -> f64 {
        self.served.iter().map(|(_, rps, _)| *rps).fold(self.capacity_rps(), f64::min)
    }

    /// The largest share of its requests that failed within that memory.
    pub fn errors_most(&self) -> f64 {
        self.served.iter().map(|(_, _, errors)| *errors).fold(self.holds.errors, f64::max)
    }

    /// Share of what arrives that fails for want of capacity.
    pub fn overload(&self) -> f64 {
        let can = f64::from(self.ready) * INSTANCE_RPS * self.holds.capacity;
        if self.arriving_rps > can { 1.0 - can / self.arriving_rps } else { 0.0 }
    }

    /// Share of its concurrency in use.
    pub fn saturation(&self) -> f64 {
        let can = f64::from(self.ready) * INSTANCE_RPS * self.holds.capacity;
        if can > 0.0 { self.arriving_rps / can } else { 1.0 }
    }

    /// Percent of the edge locations that its gate lets in, as its health service knows it.
    pub fn open_percent(&self, now: Timestamp) -> u8 {
        self.gate.as_ref().map_or(100, |document| gate::effective_percent(document, now))
    }

    /// Percent of the edge locations whose probes it answers with 200.
    fn answers_percent(&self, now: Timestamp) -> u8 {
        if self.holds.lost || self.holds.edge_cut { 0 } else { self.open_percent(now) }
    }

    /// What its gated view answers to a request without an address.
    pub fn gated_status(&self, now: Timestamp) -> u16 {
        if gate::lets_in(self.open_percent(now), None) { 200 } else { 503 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds 5000084 and 5000095: while the edge was slow an origin was disabled, and enabled again when it was quick.
    #[test]
    fn a_location_never_goes_back_to_an_older_configuration() {
        let mut truth = Truth::new(Seed(1));
        truth.edge_delay = 5;
        truth.origin_changed(0, EnabledState::Disabled, 0);
        truth.edge_delay = 1;
        truth.origin_changed(0, EnabledState::Enabled, 10);
        let last_s = truth.orders.iter().map(|(due, ..)| *due).max().unwrap();
        for now_s in 0..=last_s.max(10_000) {
            truth.judge(now_s, Timestamp::from_secs(0));
        }
        assert!(truth.orders.is_empty());
        assert!(truth.pops.iter().all(|pop| pop.enabled[0]), "the last order is to enable it");
    }
}
