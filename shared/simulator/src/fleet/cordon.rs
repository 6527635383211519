//! Cordon in the light world: the production core (gather, judge, transition, due) with the shipped policy. What the
//! adapters do in production, this file does against the plant; it decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use domain::decide::{Action, GateRead, HoldReason, Situation};
use domain::evidence::{PROBE_LOG, WITNESS};
use domain::facts::{CapacityFacts, EnabledState, GatedView, LoadFacts, OriginFacts, StampFacts};
use domain::gate::GATE_SCHEMA;
use domain::judge::{judge, transition};
use domain::state::{Stage, WorkloadState};
use domain::{
    Command, Effect, EvidenceClass, Facts, FailureCode, FailureKind, GateDocument, InboxItem, ItemBody,
    ItemId, Measure, OperationId, Order, Policy, RegionName, Scope, Signal, StampId, Standing, Step,
    StepOutcome, StepResult, StepStatus, StoredStep, Timestamp, Transition, Verdict,
};

use super::edge::OriginAnswer;
use super::now_at;
use super::plant::INSTANCES_MAX;
use super::steering::{Hands, Steering};
use super::stream::{Counted, Ping, Seen, StampSeen, Word};
use super::truth::{Alert, AlertSource, Incident};

/// The policy as it is shipped: nothing is tuned for the comparison.
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    domain::policy::parse(include_str!("../../../../policy.toml")).expect("the shipped policy is valid")
});

/// Control plane and levers are read this often, in seconds, as by the production observer.
const LEVERS_EVERY_S: u32 = 30;
/// A person answers this long after Cordon asked for an acknowledgement, in seconds. Assumed: on call, awake, careful.
const OPERATOR_AFTER_S: u32 = 1_800;
/// Rounds of commit and execute in one look; the production loop stops by itself far below.
const ROUNDS_MAX: u32 = 8;
/// Observers' ids older than this are forgotten, in seconds: no observer of this world delivers one again, and the ledger
/// would only become slow to copy. Alerts' ids stay.
const OBSERVER_IDS_KEPT_S: u64 = 120;
/// Waits of the production executor after a 409, between two looks at an operation, and after silence.
const BUSY_WAIT: Duration = Duration::from_secs(20);
const POLL_WAIT: Duration = Duration::from_secs(10);
const UNREACHABLE_WAIT: Duration = Duration::from_secs(15);

/// One controller with its ledger.
#[derive(Debug)]
pub(crate) struct Cordon {
    stamps: Vec<StampId>,
    regions: Vec<RegionName>,
    state: Option<WorkloadState>,
    steps: Vec<StoredStep>,
    inbox: Vec<InboxItem>,
    asked_at: Option<u32>,
    settled: bool,
    looks: u64,
}

impl Cordon {
    pub(crate) fn new(incident: &Incident) -> Self {
        let regions: Vec<RegionName> =
            incident.stamps.iter().map(|shape| RegionName::new(shape.region)).collect();
        Self {
            stamps: regions.iter().map(|region| StampId::new(region.as_str())).collect(),
            regions,
            state: None,
            steps: Vec::new(),
            inbox: Vec::new(),
            asked_at: None,
            settled: false,
            looks: 0,
        }
    }

    fn push(&mut self, id: String, at: Timestamp, now: Timestamp, body: ItemBody) {
        self.inbox.push(InboxItem { id: ItemId::new(id), event_at: at, received_at: now, body });
    }

    /// One evaluation: gather, judge, commit. Whether a commit was made that plans or concludes something.
    fn evaluate(&mut self, hands: &mut Hands<'_>) {
        let now = now_at(hands.t);
        let policy = &*POLICY;
        let items = std::mem::take(&mut self.inbox);
        let state =
            self.state.take().unwrap_or_else(|| WorkloadState::new(policy.workload.name.clone(), 1, now));
        let parent = (state.generation.n > 0).then_some(state.generation);
        let gates = self.read_gates(hands);
        let situation = Situation::gather(state, std::mem::take(&mut self.steps), &items, gates, policy, now);
        let judgement = judge(&situation, policy);
        self.ask_the_operator(&judgement.decision.rulings, hands.t);
        let consumed = items.into_iter().map(|item| item.id).collect();
        let next = transition(&situation, &judgement, consumed, parent, OperationId::new("fleet"), policy);
        if let Some(audit) = &next.audit {
            (hands.tell)(format!("{:>6} cordon: {} ({})", hands.t, audit.headline, audit.because.join("; ")));
        }
        self.steps = situation.steps;
        self.commit(next, now);
    }

    /// What a ledger does with a transition.
    fn commit(&mut self, next: Transition, now: Timestamp) {
        for write in next.steps {
            match self.steps.iter_mut().find(|stored| stored.step.id == write.step.id) {
                Some(stored) => *stored = StoredStep { version: stored.version + 1, step: write.step },
                None => self.steps.push(StoredStep { version: 1, step: write.step }),
            }
        }
        self.steps.retain(|stored| !next.forgotten.contains(&stored.step.id));
        let mut state = next.state;
        let keep_from = now.before(Duration::from_secs(OBSERVER_IDS_KEPT_S));
        Arc::make_mut(&mut state.seen).retain(|id, at| *at >= keep_from || id.as_str().starts_with("alert"));
        self.settled = state.cases.values().all(|case| case.stage == Stage::Serving && case.floor.is_none())
            && self.steps.iter().all(|stored| !stored.step.is_live());
        self.state = Some(state);
    }

    fn read_gates(&self, hands: &Hands<'_>) -> BTreeMap<StampId, GateRead> {
        let read = |s: usize| match &hands.plant.stamps[s].gate {
            Some(document) => GateRead::Is { document: document.clone() },
            None => GateRead::Absent,
        };
        self.stamps.iter().enumerate().map(|(s, stamp)| (stamp.clone(), read(s))).collect()
    }

    /// A return that waits for an acknowledgement gets it from a person, later.
    fn ask_the_operator(&mut self, rulings: &BTreeMap<StampId, domain::decide::Ruling>, t: u32) {
        let asks =
            |action: &Action| matches!(action, Action::Hold { reason: HoldReason::NeedsAcknowledgement });
        let Some(stamp) =
            rulings.iter().find(|(_, ruling)| asks(&ruling.action)).map(|(stamp, _)| stamp.clone())
        else {
            self.asked_at = None;
            return;
        };
        if t - *self.asked_at.get_or_insert(t) < OPERATOR_AFTER_S {
            return;
        }
        self.asked_at = None;
        let command = Command {
            order: Order::Acknowledge { stamp },
            by: "on-call".to_owned(),
            reason: "seen, it may return".to_owned(),
        };
        let now = now_at(t);
        self.push(format!("ack:{t}"), now, now, ItemBody::Command { command });
    }

    /// Executes what is due; how many outcomes it wrote.
    fn execute(&mut self, hands: &mut Hands<'_>) -> usize {
        let now = now_at(hands.t);
        let Some(state) = &self.state else { return 0 };
        let due: Vec<Step> = domain::plan::due(&self.steps, state, &POLICY, now)
            .iter()
            .map(|stored| stored.step.clone())
            .collect();
        let count = due.len();
        for step in due {
            let attempt = match step.status {
                StepStatus::Running { .. } => step.attempts,
                _ => step.attempts + 1,
            };
            let result = self.perform(&step, hands, now);
            let stored = self.steps.iter_mut().find(|stored| stored.step.id == step.id);
            if let Some(stored) = stored.filter(|_| attempt != step.attempts) {
                stored.version += 1;
                stored.step.attempts = attempt;
                let deadline = now + POLICY.limits.claim.get();
                stored.step.status = StepStatus::Claimed { owner: "fleet".to_owned(), deadline };
            }
            let id = format!("outcome:{}:{attempt}:{}", step.id, now.as_millis());
            let outcome = StepOutcome { step: step.id, attempt, at: now, result };
            self.push(id, now, now, ItemBody::Outcome { outcome });
        }
        count
    }

    fn perform(&self, step: &Step, hands: &mut Hands<'_>, now: Timestamp) -> StepResult {
        let Some(s) = self.stamps.iter().position(|stamp| stamp == step.effect.stamp()) else {
            return failed(FailureCode::NotFound);
        };
        if let StepStatus::Running { operation, .. } = &step.status {
            if hands.plant.edge.is_running() || hands.truth.arm_down {
                return StepResult::Accepted { operation: operation.clone(), poll_at: now + POLL_WAIT };
            }
            return StepResult::Done { recorded: None };
        }
        match &step.effect {
            Effect::SetGate { position, reason, .. } => {
                let policy = &*POLICY;
                let document = GateDocument {
                    schema: GATE_SCHEMA,
                    stamp: self.stamps[s].clone(),
                    position: *position,
                    generation: step.generation,
                    heartbeat_at: now,
                    expires_at: now + policy.gate.lifetime.get(),
                    reopen_percents: policy.ramp.percents.iter().copied().filter(|p| *p < 100).collect(),
                    reopen_step_s: u32::try_from(policy.gate.reopen_step.get().as_secs()).unwrap_or(u32::MAX),
                    reason: reason.clone(),
                };
                if hands.plant.write_gate(s, hands.t, document) {
                    StepResult::Done { recorded: None }
                } else {
                    failed(FailureCode::Superseded)
                }
            }
            Effect::SetOrigin { enabled, .. } => {
                let wait =
                    |after, code| StepResult::Retry { not_before: now + after, code, detail: String::new() };
                match hands.set_origin(s, *enabled) {
                    OriginAnswer::AlreadySo => StepResult::Done { recorded: None },
                    OriginAnswer::Accepted => {
                        StepResult::Accepted { operation: "fleet".to_owned(), poll_at: now + POLL_WAIT }
                    }
                    OriginAnswer::Busy => wait(BUSY_WAIT, FailureCode::Rejected),
                    OriginAnswer::Down => wait(UNREACHABLE_WAIT, FailureCode::Unreachable),
                    OriginAnswer::LastEnabled => failed(FailureCode::LastEnabledOrigin),
                }
            }
            Effect::RaiseFloor { .. } | Effect::RestoreFloor { .. } if hands.truth.arm_down => {
                StepResult::Retry {
                    not_before: now + UNREACHABLE_WAIT,
                    code: FailureCode::Unreachable,
                    detail: String::new(),
                }
            }
            Effect::RaiseFloor { minimum, until, .. } => {
                let minimum = (*minimum).min(INSTANCES_MAX);
                hands.plant.stamps[s].floor = Some((minimum, *until));
                StepResult::Done { recorded: Some(minimum) }
            }
            Effect::RestoreFloor { .. } => {
                hands.plant.stamps[s].floor = None;
                StepResult::Done { recorded: None }
            }
            // The shipped policy lists no throughput: nobody asks for it in this world.
            Effect::RaiseThroughput { .. } | Effect::RestoreThroughput { .. } => {
                failed(FailureCode::NotFound)
            }
        }
    }

    fn observe(&mut self, seen: &Seen, hands: &Hands<'_>) {
        let now = now_at(seen.t);
        self.looks += 1;
        let mut facts = self.facts(seen, hands, now);
        let mut signals = Vec::new();
        for (s, stamp) in seen.stamps.iter().enumerate() {
            signals.push(self.of_witness(s, stamp, now));
            for (peer, word) in &stamp.peers {
                signals.push(self.of_peer(s, *peer, *word, now));
            }
            if let Some(load) = stamp.load {
                let load = LoadFacts {
                    observed_at: now,
                    ready_instances: load.ready,
                    requests_per_second: load.rps,
                    saturation: load.saturation,
                };
                facts.load.insert(self.stamps[s].clone(), load);
            }
            if let Some(status) = stamp.gated_status {
                facts.gated_view.insert(self.stamps[s].clone(), GatedView { observed_at: now, status });
            }
        }
        for count in &seen.counts {
            let at = now_at(count.observed);
            let measure = Some(Measure { failed: count.failed, total: count.total });
            let (class, source, verdict) = match count.what {
                Counted::OriginHealth => (EvidenceClass::Edge, "origin-health", Verdict::Healthy),
                Counted::Requests if count.total < 20 => continue,
                Counted::Requests => (EvidenceClass::Traffic, "origin-requests", Verdict::Healthy),
                Counted::Cosmos => (EvidenceClass::Data, "cosmos-requests", Verdict::Healthy),
                Counted::ProbeLog => (EvidenceClass::Edge, PROBE_LOG, Verdict::Unhealthy),
            };
            signals.push(Signal { measure, ..self.signal(count.stamp, class, source, verdict, at) });
        }
        self.push(format!("observe:{}", self.looks), now, now, ItemBody::Observed { signals, facts });
        for alert in &seen.alerts {
            self.hear(alert, now);
        }
    }

    /// An alert in its normalised form; its id derives from the source event, so a copy is the same item.
    fn hear(&mut self, alert: &Alert, now: Timestamp) {
        let at = now_at(alert.happened);
        let (standing, verdict) = match alert.resolved {
            true => (Standing::Resolved, Verdict::Unobserved),
            false => (Standing::Fired, Verdict::Unhealthy),
        };
        let (class, scope, source) = match alert.source {
            AlertSource::Service => (
                EvidenceClass::Platform,
                Scope::Region(self.regions[alert.stamp].clone()),
                format!("service-health:{}", alert.instance),
            ),
            AlertSource::Resource => (
                EvidenceClass::Platform,
                Scope::Stamp(self.stamps[alert.stamp].clone()),
                format!("resource-health:{}", alert.stamp),
            ),
            AlertSource::OriginMetric => (
                EvidenceClass::Edge,
                Scope::Stamp(self.stamps[alert.stamp].clone()),
                format!("origin-health-{}", alert.stamp),
            ),
        };
        let signal = Signal { scope, standing, source, ..self.signal(alert.stamp, class, "", verdict, at) };
        let id = format!("alert:{:?}:{}:{}:{standing:?}", alert.source, alert.stamp, alert.instance);
        self.push(id, at, now, ItemBody::Observed { signals: vec![signal], facts: Facts::default() });
    }

    fn facts(&self, seen: &Seen, hands: &Hands<'_>, now: Timestamp) -> Facts {
        let mut facts = Facts::default();
        if !(seen.t.is_multiple_of(LEVERS_EVERY_S) && seen.arm_reads) {
            return facts;
        }
        let plant = &*hands.plant;
        let discovered = self.stamps.iter().zip(&self.regions).map(|(stamp, region)| StampFacts {
            stamp: stamp.clone(),
            region: region.clone(),
            origin_host: format!("{stamp}.example"),
            origin_id: format!("/origins/{stamp}"),
            autoscale_id: Some(format!("/autoscale/{stamp}")),
            plan_id: Some(format!("/plan/{stamp}")),
            direct_url: format!("https://{stamp}.example"),
            state: None,
        });
        facts.topology = Some(discovered.collect());
        for (s, stamp) in self.stamps.iter().enumerate() {
            let enabled =
                if plant.edge.configured[s] { EnabledState::Enabled } else { EnabledState::Disabled };
            let origin = OriginFacts { read_at: now, enabled, updating: plant.edge.is_running() };
            facts.origins.insert(stamp.clone(), origin);
            let floor = plant.stamps[s].floor.filter(|(_, until)| *until > now);
            let capacity = CapacityFacts {
                read_at: now,
                instances: plant.stamps[s].ready,
                minimum: floor.map_or(1, |(minimum, _)| minimum),
                maximum: INSTANCES_MAX,
                our_floor: floor.map(|(minimum, _)| minimum),
                our_floor_until: floor.map(|(_, until)| until),
            };
            facts.capacity.insert(stamp.clone(), capacity);
        }
        facts
    }

    fn signal(
        &self,
        s: usize,
        class: EvidenceClass,
        source: &str,
        verdict: Verdict,
        at: Timestamp,
    ) -> Signal {
        Signal {
            scope: Scope::Stamp(self.stamps[s].clone()),
            class,
            source: source.to_owned(),
            verdict,
            observed_at: at,
            standing: Standing::Sample,
            failure: None,
            measure: None,
            note: String::new(),
        }
    }

    /// As the production observer reads its answers: five requests and the view.
    fn of_witness(&self, s: usize, seen: &StampSeen, now: Timestamp) -> Signal {
        let kinds = [
            (Ping::Saturated, FailureKind::Saturated),
            (Ping::Auth, FailureKind::Auth),
            (Ping::Unreachable, FailureKind::Unreachable),
            (Ping::ServerError, FailureKind::ServerError),
        ];
        let count = |ping: Ping| seen.pings.iter().filter(|one| **one == ping).count();
        let worst =
            kinds.into_iter().filter(|(ping, _)| count(*ping) > 0).max_by_key(|(ping, _)| count(*ping));
        let (verdict, said) = match seen.view {
            Word::Healthy => (Verdict::Healthy, None),
            Word::Degraded => (Verdict::Degraded, Some(FailureKind::Dependency)),
            Word::Unhealthy => (Verdict::Unhealthy, Some(FailureKind::Dependency)),
            Word::Unreachable => (Verdict::Unhealthy, Some(FailureKind::Unreachable)),
            Word::Auth => (Verdict::Unhealthy, Some(FailureKind::Auth)),
        };
        let failed = seen.pings.iter().filter(|ping| **ping != Ping::Ok).count() as u64;
        Signal {
            failure: worst.map(|(_, kind)| kind).or(said),
            measure: Some(Measure { failed, total: seen.pings.len() as u64 }),
            ..self.signal(s, EvidenceClass::Direct, WITNESS, verdict, now)
        }
    }

    fn of_peer(&self, s: usize, peer: usize, word: Word, now: Timestamp) -> Signal {
        let (verdict, failure) = match word {
            Word::Healthy | Word::Auth => (Verdict::Healthy, None),
            Word::Degraded => (Verdict::Degraded, None),
            Word::Unhealthy => (Verdict::Unhealthy, Some(FailureKind::ServerError)),
            Word::Unreachable => (Verdict::Unhealthy, Some(FailureKind::Unreachable)),
        };
        let source = format!("peer:{}", self.stamps[peer]);
        Signal { failure, ..self.signal(s, EvidenceClass::Direct, &source, verdict, now) }
    }
}

impl Steering for Cordon {
    fn step(&mut self, seen: &Seen, hands: &mut Hands<'_>) {
        self.observe(seen, hands);
        for _ in 0..ROUNDS_MAX {
            self.evaluate(hands);
            if self.execute(hands) == 0 {
                return;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.settled
    }
}

fn failed(code: FailureCode) -> StepResult {
    StepResult::Failed { code, detail: String::new() }
}
