//! What the model remembers: the ledger, the world and what each instance is in the middle of, as small as it can be.
//!
//! States that no rule can tell apart are one state: generations are numbered by their rank, regions and instances are
//! put in order, and what nobody can act on any more is forgotten.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Where a stamp stands. `Suspect`, `Proving` and `Held` change no effect and are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// In rotation.
    Serving,
    /// Decided to be taken out.
    Leaving,
    /// Out.
    Out,
    /// Coming back.
    Returning,
}

/// A stamp's case: what is wanted of its gate and its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Case {
    /// Where it stands.
    pub stage: Stage,
    /// The gate wanted.
    pub gate: Gate,
    /// The origin wanted.
    pub origin: Origin,
    /// Whether the origin is ours to change.
    pub latch: Latch,
}

/// A gate's position; slices are left out: a slice is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// Everybody.
    Open,
    /// Nobody.
    Closed,
}

/// An origin's `enabledState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Takes part in routing.
    Enabled,
    /// Out.
    Disabled,
}

/// Whether we latched an origin and have not seen it enabled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Latch {
    /// Not ours.
    Free,
    /// Ours.
    Latched,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Writes the gate document.
    Gate(Gate),
    /// Changes the origin.
    Origin(Origin),
}

/// Names a step: one commit makes at most one step per region and actuator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The commit that planned it.
    pub generation: u8,
    /// Where.
    pub region: u8,
    /// What.
    pub kind: Kind,
}

/// Why a step is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Takes capacity away.
    Removal,
    /// Lets a region back.
    Return,
    /// Keeps what is.
    Maintenance,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Nobody has it.
    Pending,
    /// Somebody has it.
    Claimed,
    /// Its claim is over its deadline.
    Expired,
    /// An operation is under way.
    Running,
    /// Done and read back.
    Done,
    /// Failed for good.
    Failed,
    /// Superseded.
    Void,
}

/// A step as the ledger holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Planned {
    /// Its name.
    pub key: Key,
    /// Why.
    pub purpose: Purpose,
    /// Where it stands.
    pub status: Status,
    /// How often it was claimed: 0, 1, or 2 for more. Rules ask for no more than that.
    pub attempts: u8,
}

/// The most that `Planned::attempts` counts.
pub const ATTEMPTS_MAX: u8 = 2;

/// What became of the newest attempt of a step; what becomes of an older one is ignored by the fold and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome {
    /// Which step.
    pub key: Key,
    /// What.
    pub result: Told,
}

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// Done and read back.
    Done,
    /// An operation was started.
    Accepted,
    /// Not now.
    Retry,
    /// Not at all.
    Failed,
}

/// A gate document in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Document {
    /// Its position.
    pub gate: Gate,
    /// Its generation.
    pub generation: u8,
}

/// One region's share of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    /// What the ledger wants.
    pub case: Case,
    /// The gate document in force.
    pub document: Option<Document>,
    /// The document before it, which a stale read may return.
    pub older: Option<Option<Document>>,
    /// The origin as it stands.
    pub origin: Origin,
}

/// The one operation that Front Door carries out at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// Where.
    pub region: u8,
    /// What it will have set.
    pub origin: Origin,
    /// The step whose newest attempt started it; none if that attempt was given up.
    pub step: Option<Key>,
}

/// What one evaluation is about to commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit {
    /// The generation it builds on.
    pub parent: u8,
    /// The cases that it changes.
    pub cases: Vec<(u8, Case)>,
    /// Steps created or changed.
    pub writes: Vec<Planned>,
    /// Steps forgotten.
    pub forgotten: Vec<Key>,
    /// Outcomes folded in.
    pub consumed: Vec<Outcome>,
}

/// What an instance is in the middle of. Between any two of these it may be paused for as long as one likes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Instance {
    /// Nothing.
    Idle,
    /// It has loaded and judged, and has not committed.
    Judged(Commit),
    /// It has claimed a step and not yet done it: between fence and effect.
    Holding {
        /// Which step.
        key: Key,
        /// Whether nobody has taken the claim over.
        claim: Claim,
    },
}

/// Whether a claim is still the newest of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// It is.
    Newest,
    /// Taken over or void: what is done now is not heard of.
    Lost,
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// A gate document was replaced by one of an older generation.
    GateWentBack,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    /// The ledger's generation.
    pub head: u8,
    /// The regions.
    pub regions: Vec<Region>,
    /// The ledger's steps.
    pub steps: Vec<Planned>,
    /// The ledger's inbox.
    pub inbox: Vec<Outcome>,
    /// The operation under way.
    pub operation: Option<Operation>,
    /// Writes whose sender has given up waiting and that arrive at some time.
    pub net: Vec<Key>,
    /// The instances.
    pub instances: Vec<Instance>,
    /// Faults left.
    pub faults: u8,
    /// Decisions left.
    pub decisions: u8,
    /// What went wrong.
    pub broken: Option<Broken>,
}

impl World {
    /// All serve, nothing is planned.
    pub fn calm(regions: u8, instances: u8, faults: u8, decisions: u8) -> Self {
        let case =
            Case { stage: Stage::Serving, gate: Gate::Open, origin: Origin::Enabled, latch: Latch::Free };
        let region = Region { case, document: None, older: None, origin: Origin::Enabled };
        Self {
            head: 0,
            regions: vec![region; usize::from(regions)],
            steps: vec![],
            inbox: vec![],
            operation: None,
            net: vec![],
            instances: vec![Instance::Idle; usize::from(instances)],
            faults,
            decisions,
            broken: None,
        }
    }

    /// Whether the region takes traffic in the world as it is: gate open, origin enabled.
    pub fn is_effective(&self, region: usize) -> bool {
        let region = &self.regions[region];
        region.origin == Origin::Enabled && region.document.is_none_or(|document| document.gate == Gate::Open)
    }

    /// The step of that name, if the ledger has it.
    pub fn step(&self, key: Key) -> Option<&Planned> {
        self.steps.iter().find(|step| step.key == key)
    }

    /// A claim's deadline has passed.
    pub fn expire(&mut self, key: Key) {
        for step in self.steps.iter_mut().filter(|step| step.key == key && step.status == Status::Claimed) {
            step.status = Status::Expired;
        }
    }

    /// From now on whatever is said about attempts of this step so far is late, and the fold ignores it.
    pub fn make_late(&mut self, key: Key) {
        for instance in &mut self.instances {
            match instance {
                Instance::Holding { key: held, claim } if *held == key => *claim = Claim::Lost,
                _ => {}
            }
        }
        self.inbox.retain(|outcome| outcome.key != key);
        if let Some(operation) = &mut self.operation
            && operation.step == Some(key)
        {
            operation.step = None;
        }
    }

    /// The one state that stands for all that no rule can tell apart from this one.
    #[must_use]
    pub fn representative(mut self) -> Self {
        for region in &mut self.regions {
            if self.faults == 0 || region.older == Some(region.document) {
                region.older = None;
            }
        }
        self.rank_generations();
        self.order_regions();
        self.steps.sort_unstable();
        self.inbox.sort_unstable();
        self.inbox.dedup();
        self.net.sort_unstable();
        for instance in &mut self.instances {
            if let Instance::Judged(commit) = instance {
                commit.cases.sort_unstable();
                commit.writes.sort_unstable();
                commit.forgotten.sort_unstable();
                commit.consumed.sort_unstable();
            }
        }
        self.instances.sort_unstable();
        self
    }

    /// Rules only compare generations and take the one after the current; so only their order matters.
    fn rank_generations(&mut self) {
        let mut found = BTreeSet::new();
        self.each_generation(&mut |generation| {
            found.insert(*generation);
        });
        let mut ranks = [0_u8; 256];
        for (rank, generation) in (0_u8..).zip(&found) {
            ranks[usize::from(*generation)] = rank;
        }
        self.each_generation(&mut |generation| *generation = ranks[usize::from(*generation)]);
    }

    fn each_generation(&mut self, work: &mut dyn FnMut(&mut u8)) {
        work(&mut self.head);
        for region in &mut self.regions {
            for document in region.document.iter_mut().chain(region.older.iter_mut().flatten()) {
                work(&mut document.generation);
            }
        }
        for instance in &mut self.instances {
            if let Instance::Judged(commit) = instance {
                work(&mut commit.parent);
            }
        }
        self.each_key(&mut |key| work(&mut key.generation));
    }

    fn each_key(&mut self, work: &mut dyn FnMut(&mut Key)) {
        for step in &mut self.steps {
            work(&mut step.key);
        }
        for outcome in &mut self.inbox {
            work(&mut outcome.key);
        }
        for key in &mut self.net {
            work(key);
        }
        if let Some(Operation { step: Some(key), .. }) = &mut self.operation {
            work(key);
        }
        for instance in &mut self.instances {
            match instance {
                Instance::Idle => {}
                Instance::Judged(commit) => {
                    commit.writes.iter_mut().for_each(|step| work(&mut step.key));
                    commit.forgotten.iter_mut().for_each(&mut *work);
                    commit.consumed.iter_mut().for_each(|outcome| work(&mut outcome.key));
                }
                Instance::Holding { key, .. } => work(key),
            }
        }
    }

    /// No rule prefers a region. Regions that look alike by themselves stay as they are: that costs states, never truth.
    fn order_regions(&mut self) {
        let mut looks: Vec<(u64, u8)> =
            (0_u8..).zip(&self.regions).map(|(index, region)| (look(region), index)).collect();
        let mut mix = |index: u8, what: u64| {
            let look = &mut looks[usize::from(index)].0;
            *look = look.wrapping_add(what);
        };
        for step in &self.steps {
            mix(step.key.region, look(&(1, unplaced(step.key), step.purpose, step.status, step.attempts)));
        }
        for outcome in &self.inbox {
            mix(outcome.key.region, look(&(2, unplaced(outcome.key), outcome.result)));
        }
        for key in &self.net {
            mix(key.region, look(&(3, unplaced(*key))));
        }
        if let Some(operation) = &self.operation {
            mix(operation.region, look(&(4, operation.origin, operation.step.map(unplaced))));
        }
        for instance in &self.instances {
            match instance {
                Instance::Idle => {}
                Instance::Judged(commit) => {
                    for (region, case) in &commit.cases {
                        mix(*region, look(&(5, commit.parent, case)));
                    }
                    for step in &commit.writes {
                        mix(step.key.region, look(&(6, commit.parent, unplaced(step.key), step.status)));
                    }
                }
                Instance::Holding { key, claim } => mix(key.region, look(&(7, unplaced(*key), claim))),
            }
        }
        if looks.is_sorted() {
            return;
        }
        looks.sort_unstable();
        let mut place = [0_u8; 8];
        for (new, (_, old)) in (0_u8..).zip(&looks) {
            place[usize::from(*old)] = new;
        }
        self.regions = looks.iter().map(|(_, old)| self.regions[usize::from(*old)]).collect();
        self.each_key(&mut |key| key.region = place[usize::from(key.region)]);
        if let Some(operation) = &mut self.operation {
            operation.region = place[usize::from(operation.region)];
        }
        for instance in &mut self.instances {
            if let Instance::Judged(commit) = instance {
                commit.cases.iter_mut().for_each(|(region, _)| *region = place[usize::from(*region)]);
            }
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger {}", self.head)?;
        for (index, region) in self.regions.iter().enumerate() {
            let case = region.case;
            write!(f, "; {index}: {:?} wants {:?} {:?}", case.stage, case.gate, case.origin)?;
            match region.document {
                Some(document) => write!(f, ", gate {:?}@{}", document.gate, document.generation)?,
                None => write!(f, ", no gate")?,
            }
            write!(f, ", origin {:?} {:?}", region.origin, case.latch)?;
        }
        for step in &self.steps {
            let Key { generation, region, kind } = step.key;
            write!(f, "\n    step {generation}: {region} {kind:?} {:?} x{}", step.status, step.attempts)?;
        }
        for instance in &self.instances {
            match instance {
                Instance::Judged(commit) => {
                    write!(f, "\n    about to commit {:?} {:?}", commit.cases, commit.writes)?
                }
                other => write!(f, "\n    {other:?}")?,
            }
        }
        if !(self.net.is_empty() && self.inbox.is_empty() && self.operation.is_none()) {
            write!(f, "\n    inbox {:?}, net {:?}, {:?}", self.inbox, self.net, self.operation)?;
        }
        Ok(())
    }
}

const fn unplaced(key: Key) -> (u8, Kind) {
    (key.generation, key.kind)
}

/// A quick hash, the same in every run.
fn look(what: &impl Hash) -> u64 {
    struct Mixer(u64);
    impl Hasher for Mixer {
        fn finish(&self) -> u64 {
            self.0 ^ (self.0 >> 29)
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
            }
        }
    }
    let mut mixer = Mixer(0xcbf2_9ce4_8422_2325);
    what.hash(&mut mixer);
    mixer.finish()
}
