//! A workload in miniature: the world that the observers see, the ledger's rules, and an executor, all as values. Tests
//! change the world, let time pass, and look at what was decided.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audit::AuditRecord;
use crate::decide::{Action, Decision, GateRead, HoldReason, Situation, WaitReason};
use crate::evidence::WITNESS;
use crate::facts::{CapacityFacts, Facts, GatedView, LoadFacts, OriginFacts, StampFacts};
use crate::gate::{GATE_SCHEMA, GateDocument};
use crate::judge::{Judgement, judge, transition};
use crate::plan::due;
use crate::policy::{Policy, parse};
use crate::state::{Stage, StampCase, WorkloadState};
use crate::throughput::ThroughputFacts;
use crate::{
    CONSUMED_MAX, Command, Effect, EnabledState, EvidenceClass, FailureCode, FailureKind, GatePosition,
    Generation, InboxItem, ItemBody, ItemId, Measure, OperationId, Order, Purpose, RegionName, Scope, Signal,
    StampId, Standing, Step, StepId, StepOutcome, StepResult, StepStatus, StoredStep, Timestamp, Verdict,
};

/// The observers run every 10 s.
pub(crate) const TICK_S: u64 = 10;

/// Regions of the stamps, in order; a stamp is named like its region.
pub(crate) const STAMPS: [&str; 4] = ["eastus2", "centralus", "westus", "westeurope"];

/// Every stage, in the order of an incident.
pub(crate) const STAGES: [Stage; 7] = [
    Stage::Serving,
    Stage::Suspect,
    Stage::Evacuating,
    Stage::Cordoned,
    Stage::Proving,
    Stage::Readmitting,
    Stage::Held,
];

/// The policy that ships.
pub(crate) fn shipped() -> Policy {
    parse(include_str!("../../../policy.toml")).unwrap()
}

/// What our own probes see of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direct {
    /// Well, from every vantage.
    Healthy,
    /// Nothing answers, from every vantage.
    Down,
    /// Nothing answers the witness; no peer looked.
    DownForWitnessOnly,
    /// Nothing answers the witness; the peers see it well.
    VantagesDisagree,
    /// The witness sees it well; nothing answers the peers.
    WellForWitnessOnly,
    /// This many of 20 requests fail.
    Errors(u64),
    /// This many of 20 requests fail in every other run of the observer, none in between.
    ErrorsNowAndThen(u64),
    /// This many of 20 requests get no answer: the way is lossy.
    LossyWay(u64),
    /// It answers 503 "full" to most of what it gets.
    Full,
    /// Our own credentials are refused.
    AuthRefused,
    /// Nobody looked.
    Silent,
}

/// The world around one stamp.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) direct: Direct,
    /// Percent of failures that the edge's probes see, if they say anything.
    pub(crate) edge: Option<u64>,
    /// Percent of real requests that fail, if anybody counts.
    pub(crate) traffic: Option<u64>,
    pub(crate) data: Option<Verdict>,
    pub(crate) load_rps: f64,
    pub(crate) ready: u32,
    pub(crate) saturation: f64,
    pub(crate) origin: EnabledState,
    pub(crate) our_floor: Option<(u32, Timestamp)>,
    /// Its own tag says that it is on its way out.
    pub(crate) draining: bool,
    /// What the gated view answers, if not what the gate says.
    pub(crate) gated_status: Option<u16>,
    /// The control plane answers: topology, origins and capacity are read in every run.
    pub(crate) control_plane: Plane,
}

/// Whether something can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    Up,
    Down,
}

/// What the executor does with a step that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executor {
    /// Carries it out and says so.
    Works,
    /// Carries it out and dies before it says so.
    DiesAfterTheEffect,
    /// Is told to come back later.
    Busy,
    /// Is refused for good.
    Refused,
    /// Does not run at all.
    Stopped,
}

/// A workload, its world, its ledger and its executor.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
    pub(crate) scenes: BTreeMap<StampId, Scene>,
    pub(crate) gate_store: Plane,
    pub(crate) executor: Executor,
    /// The maximum of the one throughput setting that the policy may list, if anybody can read it.
    pub(crate) throughput: Option<u32>,
    pub(crate) state: WorkloadState,
    pub(crate) steps: Vec<StoredStep>,
    pub(crate) documents: BTreeMap<StampId, GateDocument>,
    pub(crate) records: Vec<AuditRecord>,
    pub(crate) inbox: Vec<InboxItem>,
    pub(crate) items_made: u64,
    /// The last judgement, and the gates that it read.
    pub(crate) last: Option<Judgement>,
    pub(crate) gates: BTreeMap<StampId, GateRead>,
}

impl Story {
    /// `count` stamps of 300 requests per second on four ready instances each, all well for the last three minutes.
    pub(crate) fn calm(count: usize) -> Self {
        Self::calm_under(shipped(), count)
    }

    pub(crate) fn calm_under(policy: Policy, count: usize) -> Self {
        let now = Timestamp::from_secs(1_800_000_000);
        let scene = Scene {
            direct: Direct::Healthy,
            edge: None,
            traffic: None,
            data: None,
            load_rps: 300.0,
            ready: 4,
            saturation: 0.5,
            origin: EnabledState::Enabled,
            our_floor: None,
            draining: false,
            gated_status: None,
            control_plane: Plane::Up,
        };
        let mut story = Self {
            state: WorkloadState::new(policy.workload.name.clone(), 1, now),
            policy,
            now,
            scenes: STAMPS.iter().take(count).map(|name| (StampId::from(*name), scene.clone())).collect(),
            gate_store: Plane::Up,
            executor: Executor::Works,
            throughput: None,
            steps: vec![],
            documents: BTreeMap::new(),
            records: vec![],
            inbox: vec![],
            items_made: 0,
            last: None,
            gates: BTreeMap::new(),
        };
        story.run(180);
        story
    }

    /// The first of three stamps is lost, and the next run of the observers is the one that cordons it.
    pub(crate) fn about_to_cordon() -> Self {
        let lost = |seconds| {
            let mut story = Self::calm(3);
            story.scene(STAMPS[0]).direct = Direct::Down;
            story.scene(STAMPS[0]).edge = Some(100);
            story.run(seconds);
            story
        };
        let takes = lost(0).run_until(300, |story| matches!(story.action(STAMPS[0]), Action::Cordon { .. }));
        lost(takes - TICK_S)
    }

    /// What is known at the next run of the observers, whose time comes; nothing of it is stored.
    pub(crate) fn look_again(&mut self) -> Situation {
        self.now = self.now + Duration::from_secs(TICK_S);
        let items = [self.observe()];
        self.situation(&items)
    }

    /// The world around a stamp, to be changed.
    pub(crate) fn scene(&mut self, stamp: &str) -> &mut Scene {
        self.scenes.get_mut(&StampId::from(stamp)).unwrap()
    }

    pub(crate) fn case(&self, stamp: &str) -> &StampCase {
        &self.state.cases[&StampId::from(stamp)]
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.last.as_ref().unwrap().decision
    }

    pub(crate) fn action(&self, stamp: &str) -> &Action {
        &self.decision().rulings[&StampId::from(stamp)].action
    }

    /// The steps that the last evaluation created.
    pub(crate) fn created(&self) -> &[Step] {
        &self.last.as_ref().unwrap().plan.created
    }

    /// The position of the gate as it binds now.
    pub(crate) fn in_force(&self, stamp: &StampId) -> GatePosition {
        self.documents
            .get(stamp)
            .filter(|document| self.now < document.expires_at)
            .map_or(GatePosition::Open, |document| document.position)
    }

    /// Lets `seconds` pass in runs of the observers; the last one ends exactly then.
    pub(crate) fn run(&mut self, seconds: u64) {
        for _ in 0..seconds / TICK_S {
            self.tick();
        }
    }

    /// Ticks until `done`, `seconds_max` at the longest; the seconds it took.
    pub(crate) fn run_until(&mut self, seconds_max: u64, done: impl Fn(&Self) -> bool) -> u64 {
        let mut passed = 0;
        while !done(self) {
            assert!(passed < seconds_max, "not within {seconds_max} s; {:?}", self.decision().rulings);
            self.tick();
            passed += TICK_S;
        }
        passed
    }

    /// Ticks until the stamp's stage is `stage`; the seconds it took.
    pub(crate) fn until(&mut self, stamp: &str, stage: Stage, seconds_max: u64) -> u64 {
        self.run_until(seconds_max, |story| story.case(stamp).stage == stage)
    }

    /// One run of the observers, one evaluation, one round of the executor.
    pub(crate) fn tick(&mut self) {
        self.now = self.now + Duration::from_secs(TICK_S);
        let item = self.observe();
        self.inbox.push(item);
        self.evaluate();
    }

    /// Time passes without an observation: we were gone.
    pub(crate) fn gap(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// An operator orders something; it is obeyed at the next evaluation.
    pub(crate) fn order(&mut self, order: Order) {
        let command = Command { by: "ada".into(), reason: "drill".into(), order };
        self.put(ItemBody::Command { command });
    }

    /// Somebody speaks.
    pub(crate) fn say(&mut self, signal: Signal) {
        self.put(ItemBody::Observed { signals: vec![signal], facts: Facts::default() });
    }

    /// Service Health about the region of `stamp`.
    pub(crate) fn platform(&mut self, stamp: &str, standing: Standing) {
        let verdict = Verdict::Unhealthy;
        let now = self.now;
        let scope = Scope::Region(RegionName::from(stamp));
        self.say(Signal {
            scope,
            standing,
            ..signal(stamp, EvidenceClass::Platform, "HT1X-9DG", verdict, now)
        });
    }

    pub(crate) fn put(&mut self, body: ItemBody) {
        self.items_made += 1;
        let id = ItemId::new(format!("item-{}", self.items_made));
        self.inbox.push(InboxItem { id, event_at: self.now, received_at: self.now, body });
    }

    /// What is known now.
    pub(crate) fn situation(&self, items: &[InboxItem]) -> Situation {
        let gates = self.scenes.keys().map(|stamp| (stamp.clone(), self.read_gate(stamp))).collect();
        Situation::gather(self.state.clone(), self.steps.clone(), items, gates, &self.policy, self.now)
    }

    fn read_gate(&self, stamp: &StampId) -> GateRead {
        match (self.gate_store, self.documents.get(stamp)) {
            (Plane::Down, _) => GateRead::Unreadable,
            (Plane::Up, None) => GateRead::Absent,
            (Plane::Up, Some(document)) => GateRead::Is { document: document.clone() },
        }
    }

    /// Folds the inbox, judges, commits as the ledger would, and executes what is due.
    pub(crate) fn evaluate(&mut self) {
        let mut items = std::mem::take(&mut self.inbox);
        items.sort_by_key(|item| !item.is_urgent());
        assert!(items.len() <= CONSUMED_MAX);
        let situation = self.situation(&items);
        let judgement = judge(&situation, &self.policy);
        let consumed = items.iter().map(|item| item.id.clone()).collect();
        let parent = Some(self.state.generation);
        let operation = OperationId::new(format!("op-{}", self.state.generation));
        let next = transition(&situation, &judgement, consumed, parent, operation, &self.policy);
        assert!(next.state.generation > self.state.generation, "a generation strictly rises");
        assert!(next.state.as_of >= self.state.as_of, "as_of never goes back");
        for write in &next.steps {
            let stored = self.steps.iter().position(|stored| stored.step.id == write.step.id);
            assert_eq!(write.expected, stored.map(|at| self.steps[at].version), "{:?}", write.step);
            let version = write.expected.unwrap_or(0) + 1;
            let written = StoredStep { version, step: write.step.clone() };
            match stored {
                Some(at) => self.steps[at] = written,
                None => self.steps.push(written),
            }
        }
        for id in &next.forgotten {
            let at = self.steps.iter().position(|stored| stored.step.id == *id).unwrap();
            assert!(!self.steps.remove(at).step.is_live(), "only what has ended is forgotten");
        }
        self.state = next.state;
        self.records.extend(next.audit);
        self.gates = situation.gates;
        self.last = Some(judgement);
        self.execute();
    }

    fn execute(&mut self) {
        if self.executor == Executor::Stopped {
            return;
        }
        let ids: Vec<_> = due(&self.steps, &self.state, &self.policy, self.now)
            .into_iter()
            .map(|stored| stored.step.id.clone())
            .collect();
        for id in ids {
            let at = self.steps.iter().position(|stored| stored.step.id == id).unwrap();
            let deadline = self.now + self.policy.limits.claim.get();
            let stored = &mut self.steps[at];
            stored.version += 1;
            stored.step.attempts += 1;
            stored.step.status = StepStatus::Claimed { owner: "one".into(), deadline };
            let step = stored.step.clone();
            let result = match self.executor {
                Executor::Works => self.perform(&step),
                Executor::DiesAfterTheEffect => {
                    let _ = self.perform(&step);
                    continue;
                }
                Executor::Busy => self.later(FailureCode::Rejected),
                Executor::Refused => {
                    StepResult::Failed { code: FailureCode::Rejected, detail: "refused".into() }
                }
                Executor::Stopped => continue,
            };
            let outcome = StepOutcome { step: step.id, attempt: step.attempts, at: self.now, result };
            self.put(ItemBody::Outcome { outcome });
        }
    }

    fn later(&self, code: FailureCode) -> StepResult {
        StepResult::Retry { not_before: self.now + Duration::from_secs(15), code, detail: "later".into() }
    }

    pub(crate) fn perform(&mut self, step: &Step) -> StepResult {
        let now = self.now;
        match &step.effect {
            Effect::SetGate { stamp, position, reason, .. } => {
                if self.gate_store == Plane::Down {
                    return self.later(FailureCode::Unreachable);
                }
                if self.documents.get(stamp).is_some_and(|document| document.generation > step.generation) {
                    return StepResult::Failed { code: FailureCode::Superseded, detail: "newer".into() };
                }
                let document = GateDocument {
                    schema: GATE_SCHEMA,
                    stamp: stamp.clone(),
                    position: *position,
                    generation: step.generation,
                    heartbeat_at: now,
                    expires_at: now + self.policy.gate.lifetime.get(),
                    reopen_percents: vec![5, 25, 50],
                    reopen_step_s: 180,
                    reason: reason.clone(),
                };
                self.documents.insert(stamp.clone(), document);
                StepResult::Done { recorded: None }
            }
            Effect::SetOrigin { stamp, enabled } => {
                self.scenes.get_mut(stamp).unwrap().origin = *enabled;
                StepResult::Done { recorded: None }
            }
            Effect::RaiseFloor { stamp, minimum, until } => {
                self.scenes.get_mut(stamp).unwrap().our_floor = Some((*minimum, *until));
                StepResult::Done { recorded: Some(*minimum) }
            }
            Effect::RestoreFloor { stamp, recorded } => {
                let scene = self.scenes.get_mut(stamp).unwrap();
                if scene.our_floor.is_some_and(|(minimum, _)| minimum != *recorded) {
                    return StepResult::Failed { code: FailureCode::NotOurs, detail: "theirs".into() };
                }
                scene.our_floor = None;
                StepResult::Done { recorded: None }
            }
            Effect::RaiseThroughput { maximum, .. } => {
                self.throughput = Some(*maximum);
                StepResult::Done { recorded: Some(*maximum) }
            }
            Effect::RestoreThroughput { before, recorded, .. } => {
                if self.throughput != Some(*recorded) {
                    return StepResult::Failed { code: FailureCode::NotOurs, detail: "theirs".into() };
                }
                self.throughput = Some(*before);
                StepResult::Done { recorded: None }
            }
        }
    }

    /// One run of the observers: one item.
    pub(crate) fn observe(&mut self) -> InboxItem {
        let now = self.now;
        let mut facts = Facts::default();
        let mut signals = Vec::new();
        let up: Vec<StampId> = self
            .scenes
            .iter()
            .filter(|(_, scene)| scene.control_plane == Plane::Up)
            .map(|(stamp, _)| stamp.clone())
            .collect();
        if up.len() == self.scenes.len() {
            facts.topology =
                Some(self.scenes.iter().map(|(stamp, scene)| stamp_facts(stamp, scene)).collect());
        }
        for (stamp, scene) in &self.scenes {
            signals.extend(scene.signals(stamp, now));
            if up.contains(stamp) {
                let origin = OriginFacts { read_at: now, enabled: scene.origin, updating: false };
                facts.origins.insert(stamp.clone(), origin);
                facts.capacity.insert(stamp.clone(), scene.capacity(now));
            }
            if scene.answers() {
                let load = LoadFacts {
                    observed_at: now,
                    ready_instances: scene.ready,
                    requests_per_second: scene.load_rps,
                    saturation: scene.saturation,
                };
                facts.load.insert(stamp.clone(), load);
                let by_gate = if self.in_force(stamp) == GatePosition::Closed { 503 } else { 200 };
                let status = scene.gated_status.unwrap_or(by_gate);
                facts.gated_view.insert(stamp.clone(), GatedView { observed_at: now, status });
            }
        }
        let read = |maximum| ThroughputFacts { read_at: now, maximum, instant: Some(20_000) };
        let levers = self.policy.throughput.iter().map(|lever| lever.resource.clone());
        facts.throughput = levers.filter_map(|lever| Some((lever, read(self.throughput?)))).collect();
        self.items_made += 1;
        let id = ItemId::new(format!("item-{}", self.items_made));
        InboxItem { id, event_at: now, received_at: now, body: ItemBody::Observed { signals, facts } }
    }
}

impl Scene {
    const fn answers(&self) -> bool {
        !matches!(
            self.direct,
            Direct::Down | Direct::DownForWitnessOnly | Direct::AuthRefused | Direct::Silent
        )
    }

    fn capacity(&self, now: Timestamp) -> CapacityFacts {
        let ours = self.our_floor.filter(|(_, until)| *until > now);
        CapacityFacts {
            read_at: now,
            instances: self.ready,
            minimum: ours.map_or(2, |(minimum, _)| minimum.max(2)),
            maximum: 30,
            our_floor: ours.map(|(minimum, _)| minimum),
            our_floor_until: ours.map(|(_, until)| until),
        }
    }

    fn signals(&self, stamp: &StampId, now: Timestamp) -> Vec<Signal> {
        let stamp = stamp.as_str();
        let mut signals = Vec::new();
        let witness = |failed, verdict, failure| Signal {
            measure: Some(Measure { failed, total: 20 }),
            failure,
            ..signal(stamp, EvidenceClass::Direct, WITNESS, verdict, now)
        };
        let peer = |verdict, failure| Signal {
            failure,
            ..signal(stamp, EvidenceClass::Direct, "peer:other", verdict, now)
        };
        let gone = Some(FailureKind::Unreachable);
        match self.direct {
            Direct::Healthy => {
                signals.extend([witness(0, Verdict::Healthy, None), peer(Verdict::Healthy, None)]);
            }
            Direct::Down => {
                signals.extend([witness(20, Verdict::Unhealthy, gone), peer(Verdict::Unhealthy, gone)]);
            }
            Direct::DownForWitnessOnly => signals.push(witness(20, Verdict::Unhealthy, gone)),
            Direct::VantagesDisagree => {
                signals.extend([witness(20, Verdict::Unhealthy, gone), peer(Verdict::Healthy, None)]);
            }
            Direct::WellForWitnessOnly => {
                signals.extend([witness(0, Verdict::Healthy, None), peer(Verdict::Unhealthy, gone)]);
            }
            Direct::Errors(failed) => {
                signals.push(witness(failed, Verdict::Healthy, Some(FailureKind::ServerError)));
            }
            Direct::ErrorsNowAndThen(failed) => {
                let odd = now.as_millis() / 10_000 % 2 == 1;
                let failure = odd.then_some(FailureKind::ServerError);
                signals.push(witness(if odd { failed } else { 0 }, Verdict::Healthy, failure));
            }
            Direct::LossyWay(failed) => signals.push(witness(failed, Verdict::Healthy, gone)),
            Direct::Full => signals.push(witness(14, Verdict::Healthy, Some(FailureKind::Saturated))),
            Direct::AuthRefused => signals.push(witness(20, Verdict::Unhealthy, Some(FailureKind::Auth))),
            Direct::Silent => {}
        }
        for (class, percent) in [(EvidenceClass::Edge, self.edge), (EvidenceClass::Traffic, self.traffic)] {
            signals.extend(percent.map(|failed| Signal {
                measure: Some(Measure { failed, total: 100 }),
                ..signal(stamp, class, "metrics", Verdict::Healthy, now)
            }));
        }
        signals.extend(
            self.data.map(|verdict| signal(stamp, EvidenceClass::Data, "cosmos-account", verdict, now)),
        );
        signals
    }
}

/// A step of the first generation as the ledger holds it, planned and affirmed at `at`.
pub(crate) fn stored_step(effect: Effect, status: StepStatus, attempts: u32, at: Timestamp) -> StoredStep {
    let step = Step {
        id: StepId::new("1-1"),
        generation: Generation { epoch: 1, n: 1 },
        effect,
        purpose: Purpose::Removal,
        planned_at: at,
        affirmed_at: at,
        attempts,
        status,
    };
    StoredStep { version: 1, step }
}

/// A sample about one stamp.
pub(crate) fn signal(
    stamp: &str,
    class: EvidenceClass,
    source: &str,
    verdict: Verdict,
    observed_at: Timestamp,
) -> Signal {
    Signal {
        scope: Scope::Stamp(stamp.into()),
        class,
        source: source.into(),
        verdict,
        observed_at,
        standing: Standing::Sample,
        failure: None,
        measure: None,
        note: String::new(),
    }
}

fn stamp_facts(stamp: &StampId, scene: &Scene) -> StampFacts {
    StampFacts {
        stamp: stamp.clone(),
        region: RegionName::new(stamp.as_str()),
        origin_host: format!("{stamp}.contososhoes.com"),
        origin_id: format!("/origins/{stamp}"),
        autoscale_id: Some(format!("/autoscale/{stamp}")),
        plan_id: None,
        direct_url: format!("https://{stamp}.direct"),
        state: scene.draining.then(|| "draining".to_owned()),
    }
}

/// Says of one stamp where it stands, how far its gate shall be open, and what was ruled.
#[track_caller]
pub(crate) fn check(story: &Story, stamp: &str, stage: Stage, gate: GatePosition, action: &Action) {
    let case = story.case(stamp);
    assert_eq!((case.stage, case.gate, story.action(stamp)), (stage, gate, action), "{stamp}");
}

pub(crate) const fn held(reason: HoldReason) -> Action {
    Action::Hold { reason }
}

pub(crate) const fn waits(on: WaitReason) -> Action {
    Action::Wait { on }
}

/// No commit has this generation.
pub(crate) const NO_GENERATION: Generation = Generation { epoch: 9, n: 9 };
