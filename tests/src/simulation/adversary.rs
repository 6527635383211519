//! An adversary: a search over sequences of signals and observations for one that makes the decision core take a region
//! out too often, sink the survivors, or go below the floor. Random beginnings, then hill climbing. It works on the pure
//! core, fold and judge, with an executor that does everything at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::decide::{Action, GateRead, Situation};
use domain::evidence::WITNESS;
use domain::facts::{CapacityFacts, Facts, GatedView, LoadFacts, OriginFacts, StampFacts};
use domain::gate::GATE_SCHEMA;
use domain::judge::judge;
use domain::state::{Stage, WorkloadState};
use domain::{
    Effect, EnabledState, EvidenceClass, FailureKind, GateDocument, GatePosition, InboxItem, ItemBody,
    ItemId, Measure, Policy, Scope, Signal, StampId, Standing, StepStatus, StoredStep, Timestamp, Verdict,
};

use super::draw::{About, Seed};
use super::hub::EPOCH;
use super::quiet::pass;

/// Moves of one attempt, at the most.
pub const MOVES_MAX: usize = 14;

/// A hill is left after so many attempts that climbed no higher.
const STALE_MAX: u32 = 400;

/// Names of the stamps.
const STAMPS: [&str; 3] = ["eastus2", "centralus", "westus"];

/// Requests per second of each stamp, and its instances: one can go and the others carry it, two cannot.
const DEMAND_RPS: f64 = 500.0;
const READY: u32 = 5;

/// When within a move the controller looks, in seconds from its beginning.
const LOOKS_S: [u64; 9] = [10, 40, 130, 310, 620, 930, 1_300, 2_100, 3_600];

/// What the observers see of a stamp, or somebody says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Our own probes see it well, from every vantage.
    DirectWell,
    /// Nobody reaches it: this is true.
    DirectGone,
    /// The witness does not reach it, the peers do.
    WitnessCut,
    /// This many of 20 of our requests fail: this is true.
    DirectErrors(u64),
    /// Front Door's health metric says so, in percent.
    Edge(u64),
    /// The metric of real requests says so, in percent.
    Traffic(u64),
    /// Nobody says anything of this class any more.
    Silent(EvidenceClass),
    /// The database metric of its region.
    Data(Verdict),
    /// A stateful alert of an allowed speaker.
    Alert(EvidenceClass, Standing),
    /// It says that it is full, or not.
    Full(u32),
}

/// One move: something is said, then time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// About which stamp.
    pub stamp: usize,
    /// What.
    pub lie: Lie,
    /// Seconds by which it is older than it arrives.
    pub late_s: u64,
    /// How often it is delivered.
    pub copies: u64,
    /// Seconds until the next move.
    pub lasts_s: u64,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// The most automatic cordons of one region within 24 h.
    pub cordons: usize,
    /// The fewest regions that were open.
    pub open_min: usize,
    /// The most of the demand that healthy regions could not carry because of a gate of ours, 0 to 1.
    pub sunk: f64,
    /// The gates closed over well stamps: what to climb towards.
    pub wrong: usize,
}

impl Score {
    /// By which the best is chosen, the worse for us the greater.
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    fn measures(self) -> [f64; 3] {
        [self.cordons as f64, -(self.open_min as f64), self.sunk]
    }

    fn height(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let parts = (self.cordons as f64, (STAMPS.len() - self.open_min) as f64, self.wrong as f64);
        parts.0 * 10.0 + parts.1 * 8.0 + self.sunk * 20.0 + parts.2
    }

    /// Whether it did what must not be possible. Sinking is judged apart: whoever forges every class can sink anybody.
    pub const fn is_broken(self) -> bool {
        self.cordons > 2 || self.open_min == 0
    }
}

/// The best of a search.
#[derive(Clone, Debug)]
pub struct Best {
    /// What it came to.
    pub score: Score,
    /// The moves.
    pub moves: Vec<Move>,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The most cordons, the fewest open regions, the most sunk.
    pub best: [Option<Best>; 3],
    /// Attempts made.
    pub attempts: u64,
    /// Seconds it took.
    pub took_s: f64,
}

impl Found {
    /// Whether the budget or the floor was broken.
    pub fn is_broken(&self) -> bool {
        self.best.iter().flatten().any(|best| best.score.is_broken())
    }

    /// For a person; the moves as a test would have them.
    #[expect(clippy::cast_precision_loss, reason = "attempts below 2^52")]
    pub fn report(&self) -> String {
        let rate = self.attempts as f64 / self.took_s.max(0.001);
        let mut text = format!("{} attempts in {:.1} s: {rate:.0} per second\n", self.attempts, self.took_s);
        for (what, best) in
            ["most cordons of a region in 24 h", "fewest open regions", "most sunk"].iter().zip(&self.best)
        {
            let Some(best) = best else { continue };
            let _ = writeln!(text, "{what}: {:?}", best.score);
            for one in &best.moves {
                let _ = writeln!(text, "    {one:?},");
            }
        }
        text
    }

    fn take(&mut self, score: Score, moves: &[Move]) {
        for (index, slot) in self.best.iter_mut().enumerate() {
            let better =
                slot.as_ref().is_none_or(|old| old.score.measures()[index] < score.measures()[index]);
            if better {
                *slot = Some(Best { score, moves: moves.to_vec() });
            }
        }
    }
}

/// Searches on so many threads, each from a stream of its own, until the attempts are made or `stop` is set.
pub fn attack(
    seed: Seed,
    attempts: u64,
    threads: usize,
    policy: &Policy,
    stop: &AtomicBool,
    mut tell: impl FnMut(&str),
) -> Found {
    let started = Instant::now();
    let made = AtomicU64::new(0);
    let each = attempts.div_ceil(threads.max(1) as u64);
    let mut found = Found::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1) as u64)
            .map(|thread| {
                let made = &made;
                scope.spawn(move || search(Seed(seed.0 ^ thread << 32), each, policy, stop, made))
            })
            .collect();
        let mut told = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(200));
            if told.elapsed().as_secs() >= 5 {
                told = Instant::now();
                tell(&progress(made.load(Ordering::Relaxed), attempts, started.elapsed()));
            }
        }
        for part in workers.into_iter().filter_map(|worker| worker.join().ok()) {
            for best in part.best.into_iter().flatten() {
                found.take(best.score, &best.moves);
            }
        }
    });
    found.attempts = made.load(Ordering::Relaxed);
    found.took_s = started.elapsed().as_secs_f64();
    found
}

#[expect(clippy::cast_precision_loss, reason = "attempts below 2^52")]
fn progress(made: u64, attempts: u64, elapsed: Duration) -> String {
    let rate = made as f64 / elapsed.as_secs_f64().max(0.001);
    let left = attempts.saturating_sub(made) as f64 / rate.max(0.001);
    format!("{made} of {attempts} attempts, {rate:.0} per second, {left:.0} s to go")
}

fn search(seed: Seed, attempts: u64, policy: &Policy, stop: &AtomicBool, made: &AtomicU64) -> Found {
    let start = Miniature::new(policy);
    let mut found = Found::default();
    let mut current = Path::from(&start);
    let mut stale = 0;
    for attempt in 0..attempts {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let begins = current.moves.is_empty() || stale > STALE_MAX;
        let moves = if begins { random(seed, attempt) } else { mutated(seed, attempt, &current.moves) };
        let tried = current.then(moves, policy);
        let score = tried.score();
        found.take(score, &tried.moves);
        stale = if begins || score.height() > current.score().height() { 0 } else { stale + 1 };
        if stale == 0 || score.height() >= current.score().height() {
            current = tried;
        }
        made.fetch_add(1, Ordering::Relaxed);
    }
    found
}

/// Moves, and where each of them led: an attempt that begins like another is played from where they part.
struct Path {
    moves: Vec<Move>,
    /// The beginning, and what it was after each move.
    after: Vec<Miniature>,
}

impl Path {
    fn from(start: &Miniature) -> Self {
        Self { moves: vec![], after: vec![start.clone()] }
    }

    fn then(&self, moves: Vec<Move>, policy: &Policy) -> Self {
        let common = self.moves.iter().zip(&moves).take_while(|(left, right)| left == right).count();
        let mut after = self.after[..=common].to_vec();
        for one in &moves[common..] {
            let mut next = after[after.len() - 1].clone();
            next.make(one, policy);
            after.push(next);
        }
        Self { moves, after }
    }

    fn score(&self) -> Score {
        self.after[self.after.len() - 1].score
    }
}

/// Plays one attempt.
pub fn attempt(moves: &[Move], policy: &Policy) -> Score {
    Path::from(&Miniature::new(policy)).then(moves.to_vec(), policy).score()
}

fn random(seed: Seed, attempt: u64) -> Vec<Move> {
    let count = seed.whole((3, MOVES_MAX as u64), About::Search, attempt, 0);
    (0..count).map(|n| one(seed, attempt, 100 * (n + 1))).collect()
}

fn mutated(seed: Seed, attempt: u64, from: &[Move]) -> Vec<Move> {
    let whole = |range, what| seed.whole(range, About::Search, attempt, what);
    let mut moves = from.to_vec();
    for n in 0..whole((1, 3), 1) {
        let at = usize::try_from(whole((0, moves.len() as u64 - 1), 10 + n)).unwrap_or(0);
        let new = one(seed, attempt, 1_000 * (n + 1));
        match whole((0, 4), 20 + n) {
            0 if moves.len() < MOVES_MAX => moves.insert(at, new),
            1 if moves.len() > 2 => drop(moves.remove(at)),
            2 => moves[at].lasts_s = new.lasts_s,
            3 => moves[at].lie = new.lie,
            _ => moves[at] = new,
        }
    }
    moves
}

fn one(seed: Seed, attempt: u64, key: u64) -> Move {
    let whole = |range, what| seed.whole(range, About::Search, attempt, key + what);
    let classes = [EvidenceClass::Edge, EvidenceClass::Traffic, EvidenceClass::Data, EvidenceClass::Platform];
    let class = classes[usize::try_from(whole((0, 3), 1)).unwrap_or(0)];
    let lie = match whole((0, 15), 2) {
        0..=2 => Lie::DirectWell,
        3..=5 => Lie::DirectGone,
        6 => Lie::WitnessCut,
        7 => Lie::DirectErrors(whole((1, 20), 3)),
        8..=9 => Lie::Edge([0, 60, 100][usize::try_from(whole((0, 2), 3)).unwrap_or(0)]),
        10..=11 => Lie::Traffic([0, 10, 60, 100][usize::try_from(whole((0, 3), 3)).unwrap_or(0)]),
        12 => Lie::Silent(class),
        13 => {
            Lie::Data([Verdict::Healthy, Verdict::Unhealthy][usize::try_from(whole((0, 1), 3)).unwrap_or(0)])
        }
        14 => Lie::Alert(
            class,
            [Standing::Fired, Standing::Resolved][usize::try_from(whole((0, 1), 3)).unwrap_or(0)],
        ),
        _ => Lie::Full(u32::try_from(whole((1, 8), 3)).unwrap_or(1)),
    };
    let spans = [20, 60, 130, 320, 700, 1_500, 3_600];
    Move {
        stamp: usize::try_from(whole((0, 2), 4)).unwrap_or(0),
        lie,
        late_s: [0, 0, 0, 60, 600, 1_800][usize::try_from(whole((0, 5), 5)).unwrap_or(0)],
        copies: whole((1, 2), 6),
        lasts_s: spans[usize::try_from(whole((0, 6), 7)).unwrap_or(0)],
    }
}

/// What is seen and said of one stamp, in every run.
#[derive(Clone, Copy, Debug)]
struct Seen {
    direct: Lie,
    edge: Option<u64>,
    traffic: Option<u64>,
    data: Option<Verdict>,
    load: u32,
}

/// A workload in miniature.
#[derive(Clone)]
struct Miniature {
    state: WorkloadState,
    steps: Vec<StoredStep>,
    documents: BTreeMap<StampId, GateDocument>,
    disabled: BTreeSet<StampId>,
    floors: BTreeMap<StampId, (u32, Timestamp)>,
    seen: [Seen; 3],
    now: Timestamp,
    items: u64,
    cordons: BTreeMap<StampId, Vec<Timestamp>>,
    score: Score,
}

impl Miniature {
    fn new(policy: &Policy) -> Self {
        let well = Seen { direct: Lie::DirectWell, edge: Some(0), traffic: Some(0), data: None, load: 3 };
        let mut miniature = Self {
            state: WorkloadState::new(policy.workload.name.clone(), 1, EPOCH),
            steps: vec![],
            documents: BTreeMap::new(),
            disabled: BTreeSet::new(),
            floors: BTreeMap::new(),
            seen: [well; 3],
            now: EPOCH,
            items: 0,
            cordons: BTreeMap::new(),
            score: Score { open_min: STAMPS.len(), ..Score::default() },
        };
        for _ in 0..24 {
            miniature.tick(&[], policy);
        }
        miniature
    }

    fn make(&mut self, one: &Move, policy: &Policy) {
        let seen = &mut self.seen[one.stamp];
        let mut said = Vec::new();
        match one.lie {
            Lie::DirectWell | Lie::DirectGone | Lie::WitnessCut | Lie::DirectErrors(_) => {
                seen.direct = one.lie
            }
            Lie::Edge(percent) => seen.edge = Some(percent),
            Lie::Traffic(percent) => seen.traffic = Some(percent),
            Lie::Silent(EvidenceClass::Edge) => seen.edge = None,
            Lie::Silent(_) => seen.traffic = None,
            Lie::Data(verdict) => seen.data = Some(verdict),
            Lie::Full(load) => seen.load = load,
            Lie::Alert(class, standing) => said.push((class, standing)),
        }
        let at = self.now.before(Duration::from_secs(one.late_s));
        let mut items = Vec::new();
        for (class, standing) in said {
            self.items += 1;
            let source = format!("alert-{}", one.stamp);
            let signal = Signal { standing, ..sample(one.stamp, class, &source, Verdict::Unhealthy, at) };
            let item = self.item(vec![signal], Facts::default(), at);
            items.extend((0..one.copies).map(|_| item.clone()));
        }
        let begins = self.now;
        for look in LOOKS_S.into_iter().filter(|look| *look < one.lasts_s).chain([one.lasts_s]) {
            let target = begins + Duration::from_secs(look);
            // Two ticks at each look, the stretch between in closed form.
            let gap = target.since(self.now).as_secs();
            if gap > 20 {
                pass(&mut self.state, Duration::from_secs(gap - 20), self.now);
                self.now = self.now + Duration::from_secs(gap - 20);
            }
            self.tick(&std::mem::take(&mut items), policy);
            if target > self.now {
                self.tick(&[], policy);
            }
        }
    }

    fn item(&self, signals: Vec<Signal>, facts: Facts, at: Timestamp) -> InboxItem {
        let id = ItemId::new(format!("lie:{}", self.items));
        InboxItem { id, event_at: at, received_at: self.now, body: ItemBody::Observed { signals, facts } }
    }

    fn tick(&mut self, items: &[InboxItem], policy: &Policy) {
        self.now = self.now + Duration::from_secs(10);
        self.items += 1;
        let (signals, facts) = self.observe();
        let mut all = items.to_vec();
        all.push(self.item(signals, facts, self.now));
        let gates =
            STAMPS.iter().map(|name| (StampId::from(*name), self.gate(&StampId::from(*name)))).collect();
        let state = self.state.clone();
        let situation =
            Situation::gather(state, std::mem::take(&mut self.steps), &all, gates, policy, self.now);
        let judgement = judge(&situation, policy);
        for (stamp, ruling) in &judgement.decision.rulings {
            let before = &situation.state.cases[stamp];
            if matches!(ruling.action, Action::Cordon { .. }) && before.approval.is_none() {
                self.cordons.entry(stamp.clone()).or_default().push(self.now);
            }
            let case = &judgement.decision.cases[stamp];
            if before.stage == Stage::Evacuating
                && case.decided_at.is_none()
                && before.gate == GatePosition::Open
            {
                self.cordons.entry(stamp.clone()).or_default().pop();
            }
        }
        let decision = judgement.decision;
        let mut state = situation.state;
        state.generation = state.generation.next();
        state.cases = decision.cases;
        state.freeze = decision.freeze;
        state.freeze_ended_at = decision.freeze_ended_at;
        state.last_removal_at = decision.last_removal_at;
        self.state = state;
        for step in judgement.plan.created {
            self.perform(&step.effect, step.generation, policy);
            if let Effect::RaiseFloor { stamp, minimum, .. } = &step.effect
                && let Some(case) = self.state.cases.get_mut(stamp)
            {
                case.floor_recorded = Some(*minimum);
            }
            let done = StepStatus::Done { verified_at: self.now };
            let step = domain::Step { status: done, ..step };
            self.steps.push(StoredStep { version: 1, step });
        }
        let keep_from = self.now.before(Duration::from_secs(120));
        self.steps.retain(|stored| stored.step.planned_at >= keep_from);
        self.count(policy);
    }

    fn perform(&mut self, effect: &Effect, generation: domain::Generation, policy: &Policy) {
        match effect {
            Effect::SetGate { stamp, position, .. } => {
                let document = GateDocument {
                    schema: GATE_SCHEMA,
                    stamp: stamp.clone(),
                    position: *position,
                    generation,
                    heartbeat_at: self.now,
                    expires_at: self.now + policy.gate.lifetime.get(),
                    reopen_percents: vec![],
                    reopen_step_s: 180,
                    reason: String::new(),
                };
                self.documents.insert(stamp.clone(), document);
            }
            Effect::SetOrigin { stamp, enabled: EnabledState::Disabled } => {
                self.disabled.insert(stamp.clone());
            }
            Effect::SetOrigin { stamp, .. } => {
                self.disabled.remove(stamp);
            }
            Effect::RaiseFloor { stamp, minimum, until } => {
                self.floors.insert(stamp.clone(), (*minimum, *until));
            }
            Effect::RestoreFloor { stamp, .. } => {
                self.floors.remove(stamp);
            }
            // The shipped policy lists no throughput.
            Effect::RaiseThroughput { .. } | Effect::RestoreThroughput { .. } => {}
        }
    }

    fn open_percent(&self, stamp: &StampId) -> u8 {
        if self.disabled.contains(stamp) {
            return 0;
        }
        self.documents.get(stamp).map_or(100, |document| domain::gate::effective_percent(document, self.now))
    }

    fn gate(&self, stamp: &StampId) -> GateRead {
        self.documents
            .get(stamp)
            .map_or(GateRead::Absent, |document| GateRead::Is { document: document.clone() })
    }

    /// What became of the floor, the survivors and the budget.
    fn count(&mut self, policy: &Policy) {
        let span = policy.budget.span.get();
        for times in self.cordons.values_mut() {
            times.retain(|at| self.now.since(*at) < span);
            self.score.cordons = self.score.cordons.max(times.len());
        }
        let ids = STAMPS.map(StampId::from);
        let open = ids.iter().filter(|stamp| self.open_percent(stamp) > 0).count();
        self.score.open_min = self.score.open_min.min(open);
        let well = |s: usize| !matches!(self.seen[s].direct, Lie::DirectGone);
        let instances = |s: usize| {
            let floor = self.floors.get(&ids[s]).map_or(0, |(minimum, _)| *minimum);
            f64::from(READY.max(floor)) * policy.capacity.instance_rps
        };
        let healthy: f64 = (0..STAMPS.len()).filter(|s| well(*s)).map(instances).sum();
        let left: f64 = (0..STAMPS.len())
            .filter(|s| well(*s))
            .map(|s| instances(s) * f64::from(self.open_percent(&ids[s])) / 100.0)
            .sum();
        let demand = DEMAND_RPS * STAMPS.len() as f64;
        let sunk = (healthy.min(demand) - left.min(demand)) / demand;
        self.score.sunk = self.score.sunk.max(sunk);
        let wrong = (0..STAMPS.len()).filter(|s| well(*s) && self.open_percent(&ids[*s]) == 0).count();
        self.score.wrong = self.score.wrong.max(wrong);
    }

    fn observe(&self) -> (Vec<Signal>, Facts) {
        let now = self.now;
        let mut signals = Vec::new();
        let mut facts =
            Facts { topology: Some((0..STAMPS.len()).map(stamp_facts).collect()), ..Facts::default() };
        for (s, seen) in self.seen.iter().enumerate() {
            let id = StampId::from(STAMPS[s]);
            signals.extend(direct(s, seen.direct, now));
            for (class, source, percent) in [
                (EvidenceClass::Edge, "origin-health", seen.edge),
                (EvidenceClass::Traffic, "origin-requests", seen.traffic),
            ] {
                signals.extend(percent.map(|failed| Signal {
                    measure: Some(Measure { failed, total: 100 }),
                    ..sample(s, class, source, Verdict::Healthy, now)
                }));
            }
            signals.extend(
                seen.data.map(|verdict| sample(s, EvidenceClass::Data, "cosmos-requests", verdict, now)),
            );
            let enabled =
                if self.disabled.contains(&id) { EnabledState::Disabled } else { EnabledState::Enabled };
            facts.origins.insert(id.clone(), OriginFacts { read_at: now, enabled, updating: false });
            let floor = self.floors.get(&id).filter(|(_, until)| *until > now);
            let ready = READY.max(floor.map_or(0, |(minimum, _)| *minimum));
            facts.capacity.insert(
                id.clone(),
                CapacityFacts {
                    read_at: now,
                    instances: ready,
                    minimum: ready,
                    maximum: 30,
                    our_floor: floor.map(|(minimum, _)| *minimum),
                    our_floor_until: floor.map(|(_, until)| *until),
                },
            );
            if seen.direct != Lie::DirectGone && seen.direct != Lie::WitnessCut {
                let load = LoadFacts {
                    observed_at: now,
                    ready_instances: ready,
                    requests_per_second: DEMAND_RPS * f64::from(self.open_percent(&id)) / 100.0,
                    saturation: f64::from(seen.load) / 4.0,
                };
                facts.load.insert(id.clone(), load);
                let status = if self.open_percent(&id) < 100 { 503 } else { 200 };
                facts.gated_view.insert(id, GatedView { observed_at: now, status });
            }
        }
        (signals, facts)
    }
}

fn direct(s: usize, lie: Lie, now: Timestamp) -> Vec<Signal> {
    let witness = |failed, verdict, failure| Signal {
        measure: Some(Measure { failed, total: 20 }),
        failure,
        ..sample(s, EvidenceClass::Direct, WITNESS, verdict, now)
    };
    let peer =
        |verdict, failure| Signal { failure, ..sample(s, EvidenceClass::Direct, "peer:other", verdict, now) };
    let gone = Some(FailureKind::Unreachable);
    match lie {
        Lie::DirectGone => vec![witness(20, Verdict::Unhealthy, gone), peer(Verdict::Unhealthy, gone)],
        Lie::WitnessCut => vec![witness(20, Verdict::Unhealthy, gone), peer(Verdict::Healthy, None)],
        Lie::DirectErrors(failed) => {
            let kind = Some(FailureKind::ServerError);
            vec![witness(failed, Verdict::Healthy, kind), peer(Verdict::Healthy, None)]
        }
        _ => vec![witness(0, Verdict::Healthy, None), peer(Verdict::Healthy, None)],
    }
}

fn sample(s: usize, class: EvidenceClass, source: &str, verdict: Verdict, observed_at: Timestamp) -> Signal {
    Signal {
        scope: Scope::Stamp(STAMPS[s].into()),
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

fn stamp_facts(s: usize) -> StampFacts {
    let name = STAMPS[s];
    StampFacts {
        stamp: name.into(),
        region: name.into(),
        origin_host: format!("{name}.contososhoes.com"),
        origin_id: format!("/origins/{name}"),
        autoscale_id: Some(format!("/autoscale/{name}")),
        plan_id: None,
        direct_url: format!("https://{name}.direct"),
        state: None,
    }
}
