//! From the model's small states to the production types and back: fold, plan, lint, transition, the ledger's rules and
//! the gates' are the production functions, called on the real types.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use adapters::StoreError;
use adapters::memory::rules::{self, Head, Judgement as Verdict, Present};
use domain::assess::{Assessment, Condition, Rule};
use domain::decide::{Action, Basis, Decision, GateRead, Ruling, Situation, StepBackReason};
use domain::evidence::ClassView;
use domain::facts::{OriginFacts, StampFacts};
use domain::gate::{GATE_SCHEMA, GateDocument};
use domain::judge::{Judgement, transition};
use domain::state::{Approval, Cause, Stage as RealStage, StampCase, WorkloadState};
use domain::{
    Effect, EnabledState, EvidenceClass, FailureCode, FailureKind, GatePosition, Generation, InboxItem,
    ItemBody, ItemId, OperationId, Policy, Purpose as RealPurpose, RegionName, StampId, Step, StepId,
    StepOutcome, StepResult, StepStatus, StepWrite, StoredStep, Timestamp, Transition,
};

use super::moves::Choice;
use super::world::{
    ATTEMPTS_MAX, Case, Commit, Document, Gate, Key, Kind, Latch, Origin, Outcome, Planned, Purpose, Stage,
    Status, Told, World,
};

/// The only "now" of every evaluation: that time passes is a choice of the model, not a number.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// How long ago what is over came to its end: a failed step may be planned again, and the ledger still remembers it. The
/// hour after which it forgets ends when the model drops a step, which it does only if no attempt of it is under way: no
/// instance sleeps for an hour between fence and effect.
const LONG_AGO_S: u64 = 700;

/// What one evaluation reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The ledger.
    pub head: u8,
    /// Its cases.
    pub cases: Vec<Case>,
    /// Its steps.
    pub steps: Vec<Planned>,
    /// Its inbox.
    pub inbox: Vec<Outcome>,
    /// The gates as read.
    pub documents: Vec<Option<Document>>,
    /// The origins as read.
    pub origins: Vec<Origin>,
    /// The one that was read before the last change of it.
    pub older_origin: Option<u8>,
    /// Where an operation is under way.
    pub updating: Option<u8>,
}

/// What never changes: the policy and the state's parts that the model leaves alone.
pub struct Bridge {
    policy: Policy,
    calm: WorkloadState,
    judged: Memo<(View, Choice), Option<Commit>>,
    due: Memo<Vec<Planned>, Vec<Key>>,
}

/// Pure functions are asked the same again and again; the answers are kept in parts, so that threads seldom meet.
struct Memo<K, V> {
    parts: Vec<Mutex<HashMap<K, V>>>,
    build: RandomState,
}

impl<K: Hash + Eq + Clone, V: Clone> Memo<K, V> {
    fn new() -> Self {
        Self { parts: (0..64).map(|_| Mutex::default()).collect(), build: RandomState::new() }
    }

    fn of(&self, key: K, answer: impl FnOnce(&K) -> V) -> V {
        let part = usize::try_from(self.build.hash_one(&key) % 64).unwrap_or(0);
        let lock = || self.parts[part].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return known.clone();
        }
        let found = answer(&key);
        lock().insert(key, found.clone());
        found
    }
}

impl Bridge {
    /// Under the shipped policy.
    ///
    /// # Panics
    /// When the shipped policy is not valid, which its own tests exclude.
    pub fn new(regions: u8) -> Self {
        let policy =
            domain::policy::parse(cordon::drill::SHIPPED_POLICY).expect("the shipped policy is valid");
        let mut calm = WorkloadState::new(policy.workload.name.clone(), 1, NOW);
        calm.topology.read_at = Some(NOW);
        for region in 0..regions {
            let stamp = stamp(region);
            let facts = StampFacts {
                region: RegionName::new(stamp.as_str()),
                stamp: stamp.clone(),
                origin_host: String::new(),
                origin_id: String::new(),
                autoscale_id: None,
                plan_id: None,
                direct_url: String::new(),
                state: None,
            };
            Arc::make_mut(&mut calm.topology.stamps).insert(stamp.clone(), facts);
            calm.cases.insert(stamp, StampCase::new(NOW));
        }
        Self { policy, calm, judged: Memo::new(), due: Memo::new() }
    }

    /// Folds, decides as chosen, plans, lints and makes the transition: what would be committed. None when lint bars the
    /// choice, or when there is nothing to commit.
    ///
    /// # Panics
    /// When the stores' rules refuse the form of what the production code made: that is a finding of its own.
    pub fn evaluate(&self, view: View, choice: Choice) -> Option<Commit> {
        self.judged.of((view, choice), |(view, choice)| self.judge_anew(view, *choice))
    }

    fn judge_anew(&self, view: &View, choice: Choice) -> Option<Commit> {
        let situation = self.situation(view, choice);
        let (cases, ruling) = decide(view, choice)?;
        let decision = decision(&situation, view, &cases, ruling);
        let next = situation.state.generation.next();
        let mut plan = domain::plan::plan(&decision, &situation, &self.policy, next);
        let findings = domain::lint::lint(&plan, &decision, &situation, &self.policy);
        if let Some(about) = choice.region()
            && findings.iter().any(|finding| finding.stamp == stamp(about))
        {
            return None;
        }
        plan.created.retain(|step| {
            !findings.iter().any(|finding| {
                finding.stamp == *step.effect.stamp() && finding.actuator == step.effect.actuator()
            })
        });
        let judgement = Judgement { decision, plan, findings, shadow: None };
        let consumed = view.inbox.iter().map(|outcome| item_id(*outcome)).collect();
        let parent = Some(situation.state.generation);
        let operation = OperationId::new("attempt");
        let next = transition(&situation, &judgement, consumed, parent, operation, &self.policy);
        let prepared = rules::prepare(&next);
        assert!(prepared.is_ok(), "the ledger refuses the form of what was planned: {prepared:?}");
        let changed = (0_u8..).zip(cases.iter().zip(&view.cases)).filter(|(_, (new, old))| new != old);
        let commit = Commit {
            parent: view.head,
            cases: changed.map(|(region, (new, _))| (region, *new)).collect(),
            writes: next.steps.iter().map(|write| planned(&write.step)).collect(),
            forgotten: next.forgotten.iter().map(|id| key_of(id, view)).collect(),
            consumed: view.inbox.clone(),
        };
        let idle = commit.cases.is_empty()
            && commit.writes.is_empty()
            && commit.forgotten.is_empty()
            && commit.consumed.is_empty();
        (!idle).then_some(commit)
    }

    /// Steps that an executor may take now.
    pub fn due(&self, world: &World) -> Vec<Key> {
        self.due.of(world.steps.clone(), |steps| {
            let steps: Vec<StoredStep> = steps.iter().map(|step| stored(*step, NOW)).collect();
            let due = domain::plan::due(&steps, &self.calm, &self.policy, NOW);
            due.iter().map(|stored| key_of_step(&stored.step)).collect()
        })
    }

    /// Whether a lost attempt of a step that is over may still move this gate.
    pub fn may_move_the_gate(&self, step: Planned, document: Option<Document>) -> bool {
        let read = document.map_or(GateRead::Absent, |found| GateRead::Is {
            document: self.document(step.key.region, found, Choice::Stay),
        });
        domain::stray::may_move_the_gate(&stored(step, NOW).step, Some(&read))
    }

    /// What the ledger's rules say of this commit, the steps in `bumped` having been written since it was judged.
    ///
    /// # Panics
    /// When the chain of the audit is broken, which a commit without a record cannot do.
    pub fn judge(&self, commit: &Commit, world: &World, bumped: &[Key], fence: Parent) -> Verdict {
        let present = Ledger {
            world,
            bumped,
            head: Head::of(&self.state_at(match fence {
                Parent::Compared => generation(world.head),
                Parent::Ignored => generation(commit.parent),
            })),
        };
        let mut state = self.state_at(generation(commit.parent).next());
        state.operation = OperationId::new("attempt");
        let expected = |key: Key| (key.generation != commit.parent + 1).then_some(1);
        let light = Transition {
            parent: Some(generation(commit.parent)),
            state,
            steps: commit
                .writes
                .iter()
                .map(|write| StepWrite { expected: expected(write.key), step: stored(*write, NOW).step })
                .collect(),
            forgotten: commit.forgotten.iter().map(|key| step_id(*key)).collect(),
            audit: None,
            consumed: commit.consumed.iter().map(|outcome| item_id(*outcome)).collect(),
        };
        rules::judge(&light, &present).expect("no record, no chain to break")
    }

    fn state_at(&self, generation: Generation) -> WorkloadState {
        WorkloadState { generation, ..WorkloadState::new(self.calm.workload.clone(), 1, NOW) }
    }

    fn situation(&self, view: &View, choice: Choice) -> Situation {
        let mut state = self.calm.clone();
        state.generation = generation(view.head);
        for (region, (case, origin)) in (0_u8..).zip(view.cases.iter().zip(&view.origins)) {
            state.cases.insert(stamp(region), real_case(*case));
            let older = view.older_origin == Some(region);
            let facts = OriginFacts {
                read_at: if older { NOW.before(std::time::Duration::from_secs(LONG_AGO_S)) } else { NOW },
                enabled: enabled(*origin),
                updating: view.updating == Some(region),
            };
            state.origins.insert(stamp(region), facts);
        }
        if let Some(region) = choice.region() {
            // An operator approves whatever needs it: more is allowed than any policy would.
            let approval = Approval { by: "operator".to_owned(), generation: state.generation };
            state.cases.entry(stamp(region)).and_modify(|case| case.approval = Some(approval));
        }
        let affirmed = match choice {
            Choice::Late => NOW.before(self.policy.limits.plan_expiry.get() * 2),
            _ => NOW,
        };
        let steps = view.steps.iter().map(|step| stored(*step, affirmed)).collect();
        let items: Vec<InboxItem> = view.inbox.iter().map(|outcome| item(*outcome, view)).collect();
        let mut gates = BTreeMap::new();
        for (region, document) in (0_u8..).zip(&view.documents) {
            let read = document.map_or(GateRead::Absent, |document| GateRead::Is {
                document: self.document(region, document, choice),
            });
            gates.insert(stamp(region), read);
        }
        Situation::gather(state, steps, &items, gates, &self.policy, NOW)
    }

    fn document(&self, region: u8, document: Document, choice: Choice) -> GateDocument {
        let lifetime = self.policy.gate.lifetime.get();
        let heartbeat_at = match choice {
            Choice::Renew => NOW.before(lifetime / 2),
            _ => NOW,
        };
        GateDocument {
            schema: GATE_SCHEMA,
            stamp: stamp(region),
            position: position(document.gate),
            generation: generation(document.generation),
            heartbeat_at,
            expires_at: NOW + lifetime,
            reopen_percents: vec![],
            reopen_step_s: 60,
            reason: String::new(),
        }
    }
}

/// Whether a commit is compared with the present generation; ignoring it is a sabotage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// As the rules say.
    Compared,
    /// Sabotage.
    Ignored,
}

struct Ledger<'a> {
    world: &'a World,
    bumped: &'a [Key],
    head: Head,
}

impl Present for Ledger<'_> {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(Some(self.head.clone()))
    }

    fn step_version(&self, id: &StepId) -> Result<Option<u64>, StoreError> {
        let step = self.world.steps.iter().find(|step| step_id(step.key) == *id);
        Ok(step.map(|step| if self.bumped.contains(&step.key) { 2 } else { 1 }))
    }

    fn waits(&self, id: &ItemId) -> Result<bool, StoreError> {
        Ok(self.world.inbox.iter().any(|outcome| item_id(*outcome) == *id))
    }
}

/// What the cases become, and the ruling about one region that says why, if there is one.
type Decided = (Vec<Case>, Option<(u8, Ruling)>);

/// What `decide` might do, abstracted: the choice, and the steps that each stage takes by itself. It allows more than
/// `decide`: evidence, windows, budgets, velocity and approvals stand in the way of nothing.
fn decide(view: &View, choice: Choice) -> Option<Decided> {
    let mut cases = view.cases.clone();
    for (region, case) in (0_u8..).zip(cases.iter_mut()) {
        let place = usize::from(region);
        let in_force = view.documents[place].map_or(Gate::Open, |document| document.gate);
        // As `World::origin_enabled_for_good`: no change under way, none of ours to come, read after the last of ours.
        let disables = Kind::Origin(Origin::Disabled);
        let comes = view.steps.iter().any(|step| step.key.region == region && step.key.kind == disables);
        let settled = view.updating != Some(region) && view.older_origin != Some(region) && !comes;
        if case.latch == Latch::Latched
            && case.origin == Origin::Enabled
            && view.origins[place] == Origin::Enabled
            && settled
        {
            case.latch = Latch::Free;
        }
        case.stage = match case.stage {
            Stage::Leaving if in_force == Gate::Closed => Stage::Out,
            Stage::Returning if in_force == Gate::Open && case.latch == Latch::Free => Stage::Serving,
            stage => stage,
        };
    }
    let act = |action| Ruling { action, next_at: None };
    let Some(about) = choice.region() else { return Some((cases, None)) };
    let was = view.cases[usize::from(about)];
    let case = &mut cases[usize::from(about)];
    let in_force = view.documents[usize::from(about)].map_or(Gate::Open, |document| document.gate);
    let action = match choice {
        Choice::Cordon(_) if was.stage == Stage::Serving => {
            (case.stage, case.gate) = (Stage::Leaving, Gate::Closed);
            Action::Cordon { cause: Cause::HardLoss, by: rule() }
        }
        Choice::Withdraw(_) if was.stage == Stage::Leaving && in_force == Gate::Open => {
            (case.stage, case.gate) = (Stage::Serving, Gate::Open);
            Action::Stay
        }
        Choice::Latch(_) if was.stage == Stage::Out && was.latch == Latch::Free => {
            (case.origin, case.latch) = (Origin::Disabled, Latch::Latched);
            Action::Latch
        }
        Choice::Enable(_) if was.stage == Stage::Out && was.origin == Origin::Disabled => {
            case.origin = Origin::Enabled;
            Action::EnableOrigin
        }
        // With an origin still disabled this is the emergency return.
        Choice::Return(_) if was.stage == Stage::Out => {
            (case.stage, case.gate, case.origin) = (Stage::Returning, Gate::Open, Origin::Enabled);
            Action::EmergencyReturn
        }
        Choice::StepBack(_) if was.stage == Stage::Returning && others_serve(view, about) => {
            (case.stage, case.gate) = (Stage::Out, Gate::Closed);
            Action::StepBack { why: StepBackReason::BadSample }
        }
        _ => return None,
    };
    Some((cases, Some((about, act(action)))))
}

/// `decide::returning` steps back only while another stamp serves, in the ledger and in force.
fn others_serve(view: &View, region: u8) -> bool {
    (0_u8..).zip(view.cases.iter().zip(&view.origins)).any(|(other, (case, origin))| {
        other != region
            && case.gate == Gate::Open
            && case.latch == Latch::Free
            && *origin == Origin::Enabled
            && view.documents[usize::from(other)].is_none_or(|document| document.gate == Gate::Open)
    })
}

fn decision(situation: &Situation, view: &View, cases: &[Case], ruling: Option<(u8, Ruling)>) -> Decision {
    let mut real = situation.state.cases.clone();
    for (region, (new, old)) in (0_u8..).zip(cases.iter().zip(&view.cases)) {
        if new != old {
            real.insert(stamp(region), real_case(*new));
        }
    }
    let about = ruling.as_ref().map(|(region, _)| *region);
    // Whoever is taken out is called dead, everybody else well: the view that permits most.
    let condition = |region: u8| {
        if about == Some(region) {
            Condition::Failing { cause: Cause::HardLoss, since: NOW, by: rule() }
        } else {
            Condition::Healthy
        }
    };
    let assessments = (0..u8::try_from(cases.len()).unwrap_or(u8::MAX))
        .map(|region| {
            let condition = condition(region);
            let views = views(&condition);
            (stamp(region), Assessment { condition, platform_active: false, views })
        })
        .collect();
    Decision {
        basis: Basis::Judged,
        cases: real,
        rulings: ruling.into_iter().map(|(region, ruling)| (stamp(region), ruling)).collect(),
        assessments,
        freeze: None,
        freeze_ended_at: None,
        last_removal_at: None,
        pause_told_at: None,
    }
}

/// What the classes say of a region that is called dead, or well: our own probes only, the rest silent.
fn views(condition: &Condition) -> BTreeMap<EvidenceClass, ClassView> {
    let silent = ClassView {
        verdict: domain::Verdict::Unobserved,
        since: None,
        bad_since: None,
        total_since: None,
        last_seen: None,
        failure: None,
        error_ratio: None,
        discounted: None,
    };
    let direct = if matches!(condition, Condition::Failing { .. }) {
        ClassView {
            verdict: domain::Verdict::Unhealthy,
            since: Some(NOW),
            bad_since: Some(NOW),
            total_since: Some(NOW),
            last_seen: Some(NOW),
            failure: Some(FailureKind::Unreachable),
            error_ratio: Some(1.0),
            ..silent.clone()
        }
    } else {
        ClassView {
            verdict: domain::Verdict::Healthy,
            since: Some(NOW),
            last_seen: Some(NOW),
            error_ratio: Some(0.0),
            ..silent.clone()
        }
    };
    let silent = [EvidenceClass::Platform, EvidenceClass::Edge, EvidenceClass::Data, EvidenceClass::Traffic]
        .map(|class| (class, silent.clone()));
    silent.into_iter().chain([(EvidenceClass::Direct, direct)]).collect()
}

fn rule() -> Rule {
    Rule::OneClassAlone { class: EvidenceClass::Direct }
}

/// Whether some attempt of a step that is over was never heard of.
pub fn has_lost_attempt(step: Planned) -> bool {
    domain::stray::has_lost_attempt(&stored(step, NOW).step)
}

fn stamp(region: u8) -> StampId {
    StampId::new(format!("region{region}"))
}

/// The number that a generation has in the production types; 0 is for a ledger without a commit.
fn generation(rank: u8) -> Generation {
    Generation { epoch: 1, n: u64::from(rank) + 1 }
}

const fn position(gate: Gate) -> GatePosition {
    match gate {
        Gate::Open => GatePosition::Open,
        Gate::Closed => GatePosition::Closed,
    }
}

const fn enabled(origin: Origin) -> EnabledState {
    match origin {
        Origin::Enabled => EnabledState::Enabled,
        Origin::Disabled => EnabledState::Disabled,
    }
}

fn real_case(case: Case) -> StampCase {
    StampCase {
        stage: match case.stage {
            Stage::Serving => RealStage::Serving,
            Stage::Leaving => RealStage::Evacuating,
            Stage::Out => RealStage::Cordoned,
            Stage::Returning => RealStage::Readmitting,
        },
        cause: (case.stage != Stage::Serving).then_some(Cause::HardLoss),
        decided_at: (case.stage != Stage::Serving).then_some(NOW),
        gate: position(case.gate),
        origin: enabled(case.origin),
        latched_at: (case.latch == Latch::Latched).then_some(NOW),
        ..StampCase::new(NOW)
    }
}

fn effect(key: Key) -> Effect {
    let stamp = stamp(key.region);
    match key.kind {
        Kind::Gate(gate) => {
            Effect::SetGate { stamp, position: position(gate), expires_at: NOW, reason: String::new() }
        }
        Kind::Origin(origin) => Effect::SetOrigin { stamp, enabled: enabled(origin) },
    }
}

fn kind(effect: &Effect) -> Kind {
    match effect {
        Effect::SetGate { position: GatePosition::Closed, .. } => Kind::Gate(Gate::Closed),
        Effect::SetOrigin { enabled: EnabledState::Enabled, .. } => Kind::Origin(Origin::Enabled),
        Effect::SetOrigin { .. } => Kind::Origin(Origin::Disabled),
        // No region has a capacity lever here, so a floor is never planned.
        _ => Kind::Gate(Gate::Open),
    }
}

fn stored(step: Planned, affirmed_at: Timestamp) -> StoredStep {
    let ended = NOW.before(std::time::Duration::from_secs(LONG_AGO_S));
    let status = match step.status {
        Status::Pending => StepStatus::Pending { not_before: NOW },
        Status::Claimed => StepStatus::Claimed { owner: String::new(), deadline: NOW },
        Status::Expired => StepStatus::Claimed {
            owner: String::new(),
            deadline: NOW.before(std::time::Duration::from_secs(1)),
        },
        Status::Running => StepStatus::Running { operation: String::new(), poll_at: NOW, accepted_at: ended },
        Status::Done => StepStatus::Done { verified_at: ended },
        Status::Failed => {
            StepStatus::Failed { at: ended, code: FailureCode::Rejected, detail: String::new() }
        }
        Status::Void => StepStatus::Void { at: ended, why: String::new() },
    };
    let purpose = match step.purpose {
        Purpose::Removal => RealPurpose::Removal,
        Purpose::Return => RealPurpose::Return,
        Purpose::Maintenance => RealPurpose::Maintenance,
    };
    let step = Step {
        id: step_id(step.key),
        generation: generation(step.key.generation),
        effect: effect(step.key),
        purpose,
        planned_at: affirmed_at,
        affirmed_at,
        attempts: u32::from(step.attempts),
        status,
    };
    StoredStep { version: 1, step }
}

fn planned(step: &Step) -> Planned {
    Planned {
        key: key_of_step(step),
        purpose: match step.purpose {
            RealPurpose::Removal => Purpose::Removal,
            RealPurpose::Return => Purpose::Return,
            _ => Purpose::Maintenance,
        },
        status: match &step.status {
            StepStatus::Pending { .. } => Status::Pending,
            StepStatus::Claimed { deadline, .. } if *deadline < NOW => Status::Expired,
            StepStatus::Claimed { .. } => Status::Claimed,
            StepStatus::Running { .. } => Status::Running,
            StepStatus::Done { .. } => Status::Done,
            StepStatus::Failed { .. } => Status::Failed,
            StepStatus::Void { .. } => Status::Void,
        },
        attempts: u8::try_from(step.attempts).unwrap_or(ATTEMPTS_MAX).min(ATTEMPTS_MAX),
    }
}

fn key_of_step(step: &Step) -> Key {
    let stamp = step.effect.stamp().as_str();
    Key {
        generation: u8::try_from(step.generation.n - 1).unwrap_or(u8::MAX),
        region: stamp.bytes().last().map_or(0, |digit| digit - b'0'),
        kind: kind(&step.effect),
    }
}

fn step_id(key: Key) -> StepId {
    StepId::new(format!("{}-{}-{:?}", key.generation, key.region, key.kind))
}

fn key_of(id: &StepId, view: &View) -> Key {
    let found = view.steps.iter().map(|step| step.key).find(|key| step_id(*key) == *id);
    found.expect("only what was loaded is forgotten")
}

fn item_id(outcome: Outcome) -> ItemId {
    ItemId::new(format!("outcome:{}:{:?}", step_id(outcome.key), outcome.result))
}

fn item(outcome: Outcome, view: &View) -> InboxItem {
    let attempts = view.steps.iter().find(|step| step.key == outcome.key).map_or(0, |step| step.attempts);
    let result = match outcome.result {
        Told::Done => StepResult::Done { recorded: None },
        Told::Accepted => StepResult::Accepted { operation: String::new(), poll_at: NOW },
        Told::Retry => {
            StepResult::Retry { not_before: NOW, code: FailureCode::Unreachable, detail: String::new() }
        }
        Told::Failed => StepResult::Failed { code: FailureCode::Superseded, detail: String::new() },
    };
    let outcome_of =
        StepOutcome { step: step_id(outcome.key), attempt: u32::from(attempts), at: NOW, result };
    let body = ItemBody::Outcome { outcome: outcome_of };
    InboxItem { id: item_id(outcome), event_at: NOW, received_at: NOW, body }
}
