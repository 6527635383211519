//! What the observers write: inbox items made from what is true, as late and as incomplete as in reality.

use std::collections::{BTreeMap, VecDeque};

use domain::evidence::WITNESS;
use domain::facts::{CapacityFacts, Facts, GatedView, LoadFacts, OriginFacts, StampFacts};
use domain::state::StampCase;
use domain::{
    EnabledState, EvidenceClass, FailureKind, GatePosition, InboxItem, ItemBody, ItemId, Measure, Policy,
    Scope, Signal, StampId, Standing, Timestamp, Verdict,
};

use super::arm::ArmWorld;
use super::draw::{About, Seed};
use super::faults::{InForce, Port, Trouble};
use super::truth::{Stamp, Truth};
use super::workload::AlertKind;

/// Synthetic requests per stamp and run.
const PINGS: u64 = 5;
/// The observer that reads the control plane runs at every third tick.
const LEVER_TICKS: u64 = 3;

/// What the observers carry from run to run.
#[derive(Clone, Debug)]
pub struct Observers {
    seed: Seed,
    facts: Vec<StampFacts>,
    /// Minute metrics that are not readable yet.
    late: VecDeque<(u64, Signal)>,
    runs: u64,
}

impl Observers {
    /// The observers of a world.
    pub fn new(seed: Seed, truth: &Truth, policy: &Policy) -> Self {
        let facts = truth.stamps.iter().map(|stamp| stamp_facts(stamp, policy)).collect();
        Self { seed, facts, late: VecDeque::new(), runs: 0 }
    }

    /// What discovery finds.
    pub fn topology(&self) -> &[StampFacts] {
        &self.facts
    }

    /// Metrics on their way, moved on by a quiet stretch.
    pub fn shift(&mut self, by_s: u64) {
        for (due, signal) in &mut self.late {
            *due += by_s;
            signal.observed_at = signal.observed_at + std::time::Duration::from_secs(by_s);
        }
    }

    /// One run of all observers.
    pub fn run(
        &mut self,
        now_s: u64,
        now: Timestamp,
        truth: &Truth,
        arm: &ArmWorld,
        cases: &BTreeMap<StampId, StampCase>,
        in_force: &InForce,
    ) -> InboxItem {
        self.runs += 1;
        let mut signals = Vec::new();
        let mut facts = Facts::default();
        for (s, stamp) in truth.stamps.iter().enumerate() {
            signals.push(self.witness(s, stamp, now_s, now));
            let reached = !(stamp.holds.lost || stamp.holds.witness_cut || stamp.holds.witness_dns);
            if !reached {
                continue;
            }
            signals.extend(
                truth.stamps.iter().filter(|other| other.id != stamp.id).map(|other| peer(stamp, other, now)),
            );
            facts.load.insert(stamp.id.clone(), load(stamp, now));
            let matters = cases
                .get(&stamp.id)
                .is_some_and(|case| case.gate != GatePosition::Open || case.latched_at.is_some());
            if matters {
                let view = GatedView { observed_at: now, status: stamp.gated_status(now) };
                facts.gated_view.insert(stamp.id.clone(), view);
            }
        }
        if now_s.is_multiple_of(60) {
            self.count_minute(now_s, now, truth);
        }
        let arm_answers = !in_force.is_down_for_all(Port::Arm) && !in_force.holds(Trouble::ArmThrottled);
        if self.runs % LEVER_TICKS == 1 {
            if arm_answers {
                self.levers(now, truth, arm, &mut facts);
            } else {
                facts.unreadable.push("origins".to_owned());
            }
        }
        while self.late.front().is_some_and(|(due, _)| *due <= now_s) {
            signals.extend(self.late.pop_front().map(|(_, signal)| signal));
        }
        let id = ItemId::of_own_run("all", now);
        InboxItem { id, event_at: now, received_at: now, body: ItemBody::Observed { signals, facts } }
    }

    fn levers(&self, now: Timestamp, truth: &Truth, arm: &ArmWorld, facts: &mut Facts) {
        facts.topology = Some(self.facts.clone());
        for (s, stamp) in truth.stamps.iter().enumerate() {
            let enabled = if arm.is_enabled(s) { EnabledState::Enabled } else { EnabledState::Disabled };
            let updating = arm.is_updating(s);
            facts.origins.insert(stamp.id.clone(), OriginFacts { read_at: now, enabled, updating });
            facts.capacity.insert(stamp.id.clone(), capacity(stamp, now));
        }
    }

    fn witness(&self, s: usize, stamp: &Stamp, now_s: u64, now: Timestamp) -> Signal {
        let holds = &stamp.holds;
        let failure = if holds.witness_dns {
            Some(FailureKind::Dns)
        } else if holds.lost || holds.witness_cut {
            Some(FailureKind::Unreachable)
        } else {
            None
        };
        let overload = stamp.overload();
        let share = 1.0 - (1.0 - holds.errors) * (1.0 - overload);
        let fails = |n: u64| self.seed.chance(share, About::Ping, s as u64, now_s * PINGS + n);
        let failed = if failure.is_some() { PINGS } else { (0..PINGS).filter(|n| fails(*n)).count() as u64 };
        let kind = if overload > holds.errors { FailureKind::Saturated } else { FailureKind::ServerError };
        let failure = failure.or((failed > 0).then_some(kind));
        let verdict = match failure {
            Some(FailureKind::Unreachable | FailureKind::Dns) => Verdict::Unhealthy,
            _ => Verdict::Healthy,
        };
        let measure = Some(Measure { failed, total: PINGS });
        Signal { failure, measure, ..sample(stamp, EvidenceClass::Direct, WITNESS, verdict, now) }
    }

    /// The minute that just ended, as Front Door's and the account's metrics will show it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of one minute")]
    fn count_minute(&mut self, now_s: u64, now: Timestamp, truth: &Truth) {
        let middle = now.before(std::time::Duration::from_secs(30));
        for (s, stamp) in truth.stamps.iter().enumerate() {
            let due = |what| now_s + self.seed.whole((60, 180), About::Lag, s as u64, now_s * 4 + what);
            let closed = 100 - u64::from(stamp.open_percent(now));
            let failed = if stamp.holds.lost || stamp.holds.edge_cut { 100 } else { closed };
            let edge = Signal {
                measure: Some(Measure { failed, total: 100 }),
                ..sample(stamp, EvidenceClass::Edge, "origin-health", Verdict::Healthy, middle)
            };
            self.late.push_back((due(0), edge));
            let total = (stamp.arriving_rps * 60.0).round() as u64;
            let share = 1.0 - (1.0 - stamp.holds.errors) * (1.0 - stamp.overload());
            if total >= 20 {
                let failed = (total as f64 * share).round() as u64;
                let traffic = Signal {
                    measure: Some(Measure { failed, total }),
                    ..sample(stamp, EvidenceClass::Traffic, "origin-requests", Verdict::Healthy, middle)
                };
                self.late.push_back((due(1), traffic));
            }
            let data = if stamp.holds.data { Verdict::Unhealthy } else { Verdict::Healthy };
            let data = sample(stamp, EvidenceClass::Data, "cosmos-requests", data, middle);
            self.late.push_back((due(2), data));
        }
        self.late.make_contiguous().sort_by_key(|(due, _)| *due);
    }
}

/// An alert, as the function that takes it in normalises it.
pub fn alert(stamp: &Stamp, kind: AlertKind, standing: Standing, key: u64, at: Timestamp) -> InboxItem {
    let (class, source) = match kind {
        AlertKind::Platform => (EvidenceClass::Platform, format!("tracking-{key}")),
        AlertKind::Edge => (EvidenceClass::Edge, format!("origin-health-{}", stamp.id)),
        AlertKind::Traffic => (EvidenceClass::Traffic, format!("api-5xx-ratio-{}", stamp.id)),
        AlertKind::Data => (EvidenceClass::Data, format!("cosmos-region-failures-{}", stamp.id)),
    };
    let scope = match kind {
        AlertKind::Platform => Scope::Region(stamp.region.clone()),
        _ => Scope::Stamp(stamp.id.clone()),
    };
    let signal = Signal { scope, standing, ..sample(stamp, class, &source, Verdict::Unhealthy, at) };
    let phase = if standing == Standing::Fired { "fired" } else { "resolved" };
    InboxItem {
        id: ItemId::new(format!("alert:{key}:{phase}")),
        event_at: at,
        received_at: at,
        body: ItemBody::Observed { signals: vec![signal], facts: Facts::default() },
    }
}

fn sample(
    stamp: &Stamp,
    class: EvidenceClass,
    source: &str,
    verdict: Verdict,
    observed_at: Timestamp,
) -> Signal {
    Signal {
        scope: Scope::Stamp(stamp.id.clone()),
        class,
        source: source.to_owned(),
        verdict,
        observed_at,
        standing: Standing::Sample,
        failure: None,
        measure: None,
        note: String::new(),
    }
}

/// What `by` says of `other`: peers ask its health view, not its application.
fn peer(by: &Stamp, other: &Stamp, now: Timestamp) -> Signal {
    let (verdict, failure) = if other.holds.lost {
        (Verdict::Unhealthy, Some(FailureKind::Unreachable))
    } else {
        (Verdict::Healthy, None)
    };
    Signal { failure, ..sample(other, EvidenceClass::Direct, &format!("peer:{}", by.id), verdict, now) }
}

fn load(stamp: &Stamp, now: Timestamp) -> LoadFacts {
    LoadFacts {
        observed_at: now,
        ready_instances: stamp.ready,
        requests_per_second: stamp.arriving_rps,
        saturation: stamp.saturation(),
    }
}

fn capacity(stamp: &Stamp, now: Timestamp) -> CapacityFacts {
    let ours = stamp.floor.filter(|(_, until)| *until > now);
    CapacityFacts {
        read_at: now,
        instances: stamp.ready,
        minimum: ours.map_or(2, |(minimum, _)| minimum.max(2)),
        maximum: 30,
        our_floor: ours.map(|(minimum, _)| minimum),
        our_floor_until: ours.map(|(_, until)| until),
    }
}

fn stamp_facts(stamp: &Stamp, policy: &Policy) -> StampFacts {
    let group = &policy.workload.origin_group;
    let name = &stamp.id;
    StampFacts {
        stamp: name.clone(),
        region: stamp.region.clone(),
        origin_host: format!("{name}.contososhoes.com"),
        origin_id: format!("{group}/origins/{name}"),
        autoscale_id: Some(super::arm::autoscale_id(name)),
        plan_id: None,
        direct_url: format!("https://{name}.direct"),
        state: None,
    }
}
