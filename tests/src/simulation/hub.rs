//! What the ports of all instances share with the world: faults in force, what is true, what was written, and the
//! checkers that look on. One lock, never contended: a world lives on one thread.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::state::{Freeze, Pause, StampCase, WorkloadState};
use domain::{GateDocument, Policy, RegionName, StampId, StoredStep, Timestamp, Transition};

use super::arm::{ArmChange, ArmWorld};
use super::checkers::{Checker, Claim, Commit, Effected, Moment, StampTruth, Written, all};
use super::draw::{Seed, mix};
use super::faults::{Fate, InForce, Port};
use super::sabotage::Sabotage;
use super::truth::Truth;

/// Where every run begins.
pub const EPOCH: Timestamp = Timestamp::from_secs(1_800_000_000);

/// What the executor is to do with an instance that stands at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Drop it.
    Crash,
    /// Do not poll it for so many seconds.
    Pause(u64),
}

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which checker.
    pub checker: &'static str,
    /// Seconds since the beginning of the run.
    pub at_s: u64,
    /// In words.
    pub text: String,
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Invocations of the production `evaluate`.
    pub evaluations: u64,
    /// Commits stored.
    pub commits: u64,
    /// Commits with an audit record.
    pub transitions: u64,
    /// Effects that the gate store or ARM took.
    pub effects: u64,
    /// Cordons decided.
    pub cordons: u64,
    /// Instances that died at a port.
    pub crashes: u64,
    /// Instances that stood still at a port.
    pub pauses: u64,
    /// Calls to a port that failed or whose answer was lost.
    pub failed_calls: u64,
    /// Runs of the observers.
    pub observations: u64,
    /// Times that the account's write region was lost with its last commits.
    pub failovers: u64,
    /// Origins that a person had to enable after that.
    pub put_right: u64,
    /// Quiet stretches skipped.
    pub skips: u64,
}

/// The longest that an instance sleeps between two calls, twice, in seconds.
const SLEEPS_MAX_S: u64 = 900;

/// The regions between which our account fails over.
const WRITE_REGIONS: [&str; 2] = ["westus3", "northcentralus"];

/// The shared part of a world.
pub struct Hub(Mutex<Inner>);

/// What is behind the lock.
pub struct Inner {
    /// The seed.
    pub seed: Seed,
    /// The policy of all instances.
    pub policy: Policy,
    /// Seconds since the beginning of the run.
    pub now_s: u64,
    /// What is wrong with our own parts.
    pub in_force: InForce,
    /// Azure Resource Manager.
    pub arm: ArmWorld,
    /// The workload.
    pub truth: Truth,
    /// The gates as the stamps obey them: as stored, but for what a failover has lost.
    pub documents: BTreeMap<StampId, GateDocument>,
    /// When our account last failed over.
    pub failed_over_s: Option<u64>,
    /// Where the ledger and the gates are written.
    pub write_region: RegionName,
    /// The cases as committed.
    pub cases: BTreeMap<StampId, StampCase>,
    /// The freeze as committed.
    pub freeze: Option<Freeze>,
    /// The pause as committed.
    pub pause: Option<Pause>,
    /// The end of the audit chain as committed.
    pub chain: (u64, String),
    /// The last thing that a parked instance asked for.
    pub directive: Option<Directive>,
    /// When a record was last written.
    pub recorded_s: u64,
    /// Numbers.
    pub counters: Counters,
    /// A hash of everything that happened, for equality of runs.
    pub digest: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// The story in words, when wanted.
    pub story: Option<Vec<String>>,
    /// A gate write that is overtaken, under sabotage.
    pub overtaken: Option<GateDocument>,
    claims: Vec<Option<Claim>>,
    /// When a call to ARM last went without an answer, by instance.
    arm_silent: Vec<Option<Timestamp>>,
    calls: Vec<u64>,
    checkers: Vec<Box<dyn Checker>>,
}

impl Hub {
    /// A world at its beginning.
    pub fn new(
        seed: Seed,
        policy: Policy,
        instances: usize,
        sample: u64,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let truth = Truth::new(seed);
        let names = truth.stamps.iter().map(|stamp| stamp.id.clone()).collect();
        Self(Mutex::new(Inner {
            seed,
            policy,
            now_s: 0,
            in_force: InForce::default(),
            arm: ArmWorld::new(seed, names),
            truth,
            documents: BTreeMap::new(),
            failed_over_s: None,
            write_region: WRITE_REGIONS[0].into(),
            cases: BTreeMap::new(),
            freeze: None,
            pause: None,
            chain: (0, String::new()),
            directive: None,
            recorded_s: 0,
            counters: Counters::default(),
            digest: seed.0,
            violations: vec![],
            sabotage,
            story: None,
            overtaken: None,
            claims: vec![None; instances],
            arm_silent: vec![None; instances],
            // One more than there are instances: the observers' own way to the ledger.
            calls: vec![0; instances + 1],
            checkers: all(sample),
        }))
    }

    /// The shared part, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The true time.
    pub fn now(&self) -> Timestamp {
        EPOCH + Duration::from_secs(self.now_s)
    }

    /// What becomes of the next call of an instance.
    pub fn fate(&mut self, instance: usize, port: Port) -> Fate {
        if self.in_force.is_calm() {
            return Fate::Go;
        }
        self.calls[instance] += 1;
        let fate = self.in_force.fate(self.seed, instance, self.calls[instance], port);
        if matches!(fate, Fate::Fails | Fate::AnswerLost) {
            self.counters.failed_calls += 1;
            let now = self.now();
            if port == Port::Arm
                && let Some(silent_at) = self.arm_silent.get_mut(instance)
            {
                *silent_at = Some(now);
            }
        }
        fate
    }

    /// An instance has claimed a step.
    pub fn claimed(&mut self, instance: usize, stored: &StoredStep) {
        self.claims[instance] = Some(Claim { step: stored.step.clone(), effects: 0 });
        self.hash(stored.version ^ u64::from(stored.step.attempts));
    }

    /// The ledger has stored a commit.
    pub fn committed(&mut self, instance: usize, transition: &Transition) {
        let state = &transition.state;
        self.counters.commits += 1;
        self.hash(state.generation.n);
        let seen = Commit {
            instance,
            now: EPOCH + Duration::from_secs(self.now_s),
            before: &self.cases,
            freeze_before: self.freeze,
            transition,
            documents: &self.documents,
            arm_silent_at: self.arm_silent[instance],
            policy: &self.policy,
        };
        let mut found = Found::default();
        found.ask(&mut self.checkers, |checker, texts| checker.commit(&seen, texts));
        for (stamp, case) in &state.cases {
            let before = self.cases.get(stamp);
            if case.decided_at.is_some() && before.is_some_and(|before| before.decided_at != case.decided_at)
            {
                self.counters.cordons += 1;
            }
        }
        if let Some(record) = &transition.audit {
            self.counters.transitions += 1;
            self.recorded_s = self.now_s;
            let head = record.hash.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) ^ u64::from(byte));
            self.hash(head);
            if self.story.is_some() {
                self.tell(&format!("#{instance} {}: {}", state.generation, record.headline));
                for why in &record.because {
                    self.tell(&format!("    {why}"));
                }
            }
        }
        self.cases.clone_from(&state.cases);
        self.freeze = state.freeze;
        self.pause.clone_from(&state.pause);
        self.chain = (state.audit_seq, state.audit_head.clone());
        self.note(found);
    }

    /// The gate store has taken a document.
    pub fn gate_written(&mut self, instance: usize, document: &GateDocument) {
        let newest = self.documents.get(&document.stamp).map(|known| (known.generation, known.heartbeat_at));
        let lately = self.failed_over_s.is_some_and(|at_s| self.now_s <= at_s + SLEEPS_MAX_S);
        if lately && newest.is_some_and(|newest| (document.generation, document.heartbeat_at) < newest) {
            // A store that lost its last writes takes this from a sleeper, and no stamp that has read them obeys it.
            return;
        }
        self.effected(instance, &Written::Gate(document.clone()));
        self.documents.insert(document.stamp.clone(), document.clone());
    }

    /// ARM has taken a change.
    pub fn arm_changed(&mut self, instance: usize, change: &ArmChange) {
        match change {
            ArmChange::Origin(stamp, enabled) => {
                let id = self.truth.stamps[*stamp].id.clone();
                self.effected(instance, &Written::Origin(id, *enabled));
            }
            ArmChange::Floor(stamp, floor) => {
                let id = self.truth.stamps[*stamp].id.clone();
                self.effected(instance, &Written::Floor(id));
                self.truth.stamps[*stamp].floor = *floor;
            }
        }
    }

    /// The write region was lost, and this is what its successor has. The stamps go on obeying what they have read.
    pub fn failed_over(&mut self, state: Option<&WorkloadState>) {
        self.tell("the write region of our account is lost, and what its successor has not");
        let next = WRITE_REGIONS.iter().find(|region| **region != self.write_region.as_str());
        self.write_region = next.copied().unwrap_or(WRITE_REGIONS[0]).into();
        self.counters.failovers += 1;
        self.failed_over_s = Some(self.now_s);
        self.cases = state.map(|state| state.cases.clone()).unwrap_or_default();
        self.freeze = state.and_then(|state| state.freeze);
        self.pause = state.and_then(|state| state.pause.clone());
        self.chain = state.map(|state| (state.audit_seq, state.audit_head.clone())).unwrap_or_default();
        self.checkers.iter_mut().for_each(|checker| checker.failed_over(state));
    }

    /// Looks at the whole, now.
    pub fn look(
        &mut self,
        calm_since: Option<Timestamp>,
        able_since: Option<Timestamp>,
        restless: Option<&'static str>,
    ) {
        let truth = self.stamp_truths();
        let seen = Moment {
            now: self.now(),
            cases: &self.cases,
            documents: &self.documents,
            truth: &truth,
            calm_since,
            able_since,
            restless,
            policy: &self.policy,
        };
        let mut found = Found::default();
        found.ask(&mut self.checkers, |checker, texts| checker.moment(&seen, texts));
        self.note(found);
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, line: &str) {
        let at = self.now();
        if let Some(story) = &mut self.story {
            story.push(format!("{at} {line}"));
        }
    }

    /// Takes something into the digest of the run.
    pub fn hash(&mut self, word: u64) {
        self.digest = mix(self.digest, word ^ self.now_s << 20);
    }

    /// Something that no checker sees, and that must not be.
    pub fn complain(&mut self, checker: &'static str, text: String) {
        self.violations.push(Violation { checker, at_s: self.now_s, text });
    }

    fn effected(&mut self, instance: usize, written: &Written) {
        self.counters.effects += 1;
        self.hash(self.counters.effects);
        if let Some(claim) = &mut self.claims[instance] {
            claim.effects += 1;
        }
        let truth = self.stamp_truths();
        let seen = Effected {
            instance,
            now: self.now(),
            written,
            gate_before: self.documents.get(written.stamp()),
            claim: self.claims[instance].as_ref(),
            cases: &self.cases,
            documents: &self.documents,
            truth: &truth,
            policy: &self.policy,
        };
        let mut found = Found::default();
        found.ask(&mut self.checkers, |checker, texts| checker.effect(&seen, texts));
        if self.story.is_some() {
            self.tell(&format!("#{instance} wrote {}", in_words(written)));
        }
        self.note(found);
    }

    fn stamp_truths(&self) -> Vec<StampTruth> {
        let of = |(s, stamp): (usize, &super::truth::Stamp)| StampTruth {
            id: stamp.id.clone(),
            served_most_rps: stamp.served_most_rps(),
            served_least_rps: stamp.served_least_rps(),
            errors_most: stamp.errors_most(),
            demand_rps: stamp.demand_rps,
            enabled: self.arm.is_enabled(s),
        };
        self.truth.stamps.iter().enumerate().map(of).collect()
    }

    fn note(&mut self, found: Found) {
        for (checker, text) in found.0 {
            if self.story.is_some() {
                self.tell(&format!("VIOLATION {checker}: {text}"));
            }
            self.complain(checker, text);
        }
    }
}

fn in_words(written: &Written) -> String {
    match written {
        Written::Gate(document) => {
            format!("the gate of {}: {:?} by {}", document.stamp, document.position, document.generation)
        }
        Written::Origin(stamp, true) => format!("the origin of {stamp}: enabled"),
        Written::Origin(stamp, false) => format!("the origin of {stamp}: disabled"),
        Written::Floor(stamp) => format!("the autoscale setting of {stamp}"),
    }
}

#[derive(Default)]
struct Found(Vec<(&'static str, String)>);

impl Found {
    fn ask(
        &mut self,
        checkers: &mut [Box<dyn Checker>],
        mut ask: impl FnMut(&mut dyn Checker, &mut Vec<String>),
    ) {
        let mut texts = Vec::new();
        for checker in checkers {
            ask(checker.as_mut(), &mut texts);
            let name = checker.name();
            self.0.extend(texts.drain(..).map(|text| (name, text)));
        }
    }
}
