//! One seed: a world, its instances, and what happens to both, in order of time. Only what is due is done: between
//! incidents nothing, within one a run of the observers every ten seconds, and an evaluation when something can change.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use adapters::Ledger;
use adapters::memory::{MemoryEpoch, MemoryGates, MemoryLedger};
use domain::state::{Stage, StampCase};
use domain::{EnabledState, InboxItem, OperationId, Policy, Timestamp, Transition, WorkloadId};

use super::draw::{About, Seed};
use super::faults::{Fate, Port, Trouble, TroubleSpan, troubles};
use super::hub::{Counters, EPOCH, Hub, Violation};
use super::instance::{Instance, Polled, skewed};
use super::observers::{Observers, alert};
use super::operators;
use super::quiet::{TICK_S, pass};
use super::sabotage::Sabotage;
use super::workload::{Condition, Incident, Kind, incident};

/// Seconds of a year.
pub const YEAR_S: f64 = 365.0 * 86_400.0;

/// After the last change the pipeline of late metrics shows nothing but what is, after this long.
const RUNS_DRY_S: u64 = 200;

/// The longest stretch that is skipped while not everything serves: whoever waits without a timer is asked that often.
const DOZE_MAX_S: u64 = 600;

/// Violations after which a run ends: what follows is mostly more of the same.
const VIOLATIONS_MAX: usize = 5;

/// How a seed is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The policy of all instances.
    pub policy: Policy,
    /// Simulated years.
    pub years: f64,
    /// Incidents per region and year.
    pub incidents: f64,
    /// Share of the incidents during which something of ours breaks.
    pub troubled: f64,
    /// The ledger behind the ports.
    pub store: Store,
    /// One record of so many is judged again.
    pub sample: u64,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// Whether the story is kept in words.
    pub story: Story,
}

/// The ledger behind the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The memory store without its documents' proof.
    Trusting,
    /// The memory store as everywhere else.
    Proving,
}

/// Whether the story is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// No.
    Untold,
    /// Yes.
    Told,
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Regions of its world.
    pub regions: usize,
    /// Regions times years.
    pub region_years: f64,
    /// Incidents by kind.
    pub incidents: BTreeMap<Kind, u64>,
    /// Numbers.
    pub counters: Counters,
    /// The longest time from the last disturbance to rest, in seconds.
    pub settling_max_s: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Equal for equal runs.
    pub digest: u64,
    /// The story, when it was wanted.
    pub story: Vec<String>,
}

enum Event {
    Tick,
    /// Nothing but the end of a doze.
    Stir,
    NextIncident,
    Begin(u64, Condition, Option<usize>),
    End(u64),
    Trouble(TroubleSpan),
    FailOver,
    Deliver(Box<InboxItem>),
    GoOn(usize),
    Restart(usize),
    Mischief(u64),
}

struct Due {
    at_s: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at_s, self.order) == (other.at_s, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_s, self.order).cmp(&(other.at_s, other.order))
    }
}

struct Run<'a> {
    options: &'a Options,
    seed: Seed,
    hub: Arc<Hub>,
    workload: WorkloadId,
    ledger: MemoryLedger,
    gates: MemoryGates,
    /// What a forced failover would leave, while the replicas lag.
    replica: Option<(MemoryLedger, MemoryGates)>,
    observers: Observers,
    instances: Vec<Instance>,
    queue: BinaryHeap<Reverse<Due>>,
    order: u64,
    turns: u64,
    incidents: BTreeMap<Kind, u64>,
    number: u64,
    awake: bool,
    tick_s: u64,
    evaluate_s: u64,
    unread: bool,
    disturbed_s: u64,
    troubled_s: u64,
    duty_s: u64,
    unsettled_s: u64,
    /// What was not at rest in the last tick.
    restless: Option<&'static str>,
    settling_max_s: u64,
}

/// Runs one seed to its end, or to its first violations.
///
/// # Panics
/// When the machine refuses a runtime.
pub fn run(seed: u64, options: &Options) -> Outcome {
    // The ARM client bounds each call with a timer; it is made and never comes due, because nobody turns this runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    let mut run = Run::new(Seed(seed), options);
    run.play();
    run.finish()
}

impl<'a> Run<'a> {
    fn new(seed: Seed, options: &'a Options) -> Self {
        let count = usize::try_from(seed.whole((2, 3), About::World, 0, 9)).unwrap_or(2);
        let hub = Arc::new(Hub::new(seed, options.policy.clone(), count, options.sample, options.sabotage));
        let ledger = match options.store {
            Store::Trusting => MemoryLedger::trusting(),
            Store::Proving => MemoryLedger::new(),
        };
        let (gates, epoch) = (MemoryGates::new(), MemoryEpoch::new());
        let instances =
            (0..count).map(|n| Instance::new(n, &hub, &options.policy, &ledger, &gates, &epoch)).collect();
        let observers = Observers::new(seed, &hub.lock().truth, &options.policy);
        if options.story == Story::Told {
            hub.lock().story = Some(vec![]);
        }
        Self {
            options,
            seed,
            workload: options.policy.workload.name.clone(),
            hub,
            ledger,
            gates,
            replica: None,
            observers,
            instances,
            queue: BinaryHeap::new(),
            order: 0,
            turns: 0,
            incidents: BTreeMap::new(),
            number: 0,
            awake: true,
            tick_s: 0,
            evaluate_s: 0,
            unread: true,
            disturbed_s: 0,
            troubled_s: 0,
            duty_s: 0,
            unsettled_s: 0,
            restless: None,
            settling_max_s: 0,
        }
    }

    fn at(&mut self, at_s: u64, event: Event) {
        self.order += 1;
        self.queue.push(Reverse(Due { at_s, order: self.order, event }));
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few years in seconds")]
    fn play(&mut self) {
        let end_s = (self.options.years * YEAR_S) as u64;
        self.at(TICK_S, Event::Tick);
        self.at(1_200, Event::NextIncident);
        while let Some(Reverse(due)) = self.queue.pop() {
            let over = due.at_s >= end_s || self.is_told_enough();
            if over {
                break;
            }
            if !self.awake {
                self.wake(due.at_s);
            }
            self.hub.lock().now_s = due.at_s;
            self.happen(due.event, due.at_s);
        }
    }

    /// A broken controller runs until its own checker has caught it.
    fn is_told_enough(&self) -> bool {
        let hub = self.hub.lock();
        match self.options.sabotage {
            None => hub.violations.len() >= VIOLATIONS_MAX,
            Some(sabotage) => hub.violations.iter().any(|violation| violation.checker == sabotage.checker()),
        }
    }

    fn finish(self) -> Outcome {
        let mut hub = self.hub.lock();
        let regions = hub.truth.stamps.len();
        #[expect(clippy::cast_precision_loss, reason = "a few years in seconds")]
        let years = hub.now_s as f64 / YEAR_S;
        Outcome {
            seed: self.seed.0,
            regions,
            region_years: regions as f64 * years,
            incidents: self.incidents.clone(),
            counters: hub.counters,
            settling_max_s: self.settling_max_s,
            violations: std::mem::take(&mut hub.violations),
            digest: hub.digest,
            story: hub.story.take().unwrap_or_default(),
        }
    }

    fn happen(&mut self, event: Event, now_s: u64) {
        match event {
            Event::Tick => self.tick(now_s),
            Event::Stir => {}
            Event::NextIncident => self.next_incident(now_s),
            Event::Begin(key, condition, stamp) => {
                let mut hub = self.hub.lock();
                hub.tell(&format!("{condition:?} begins at stamp {stamp:?}"));
                hub.truth.begin(key, condition, stamp, now_s);
            }
            Event::End(key) => {
                let mut hub = self.hub.lock();
                hub.tell(&format!("condition {key} ends"));
                hub.truth.end(key, now_s);
            }
            Event::Trouble(span) => {
                let mut hub = self.hub.lock();
                hub.tell(&format!("{:?} of {:?} until {} s", span.trouble, span.instance, span.until_s));
                hub.in_force.begin(span);
                drop(hub);
                if span.trouble == Trouble::LagsAndFailsOver && self.replica.is_none() {
                    self.replica = Some((self.ledger.replica(), self.gates.replica()));
                    self.at(span.until_s, Event::FailOver);
                }
            }
            Event::FailOver => self.fail_over(now_s),
            Event::Deliver(item) => {
                self.unread = true;
                self.append(&item);
            }
            Event::GoOn(instance) => {
                self.set_clocks(now_s);
                let polled = self.instances[instance].go_on(&self.hub);
                self.came_of(instance, polled, now_s);
            }
            Event::Restart(instance) => self.instances[instance].restart(),
            Event::Mischief(number) => self.mischief(number),
        }
    }

    /// A quiet stretch passes in one step; then the observers run again.
    fn wake(&mut self, at_s: u64) {
        let by_s = at_s.saturating_sub(self.tick_s) / TICK_S * TICK_S;
        let by = Duration::from_secs(by_s);
        let before = now(self.tick_s);
        if by_s > 0
            && let Ok(view) = ready(self.ledger.load(&self.workload, 0))
            && let Some(mut state) = view.state
        {
            let parent = state.generation;
            pass(&mut state, by, before);
            state.generation = parent.next();
            state.operation = OperationId::new(format!("quiet/{parent}"));
            let transition = Transition {
                parent: Some(parent),
                state,
                steps: vec![],
                forgotten: vec![],
                audit: None,
                consumed: vec![],
            };
            let stored = ready(self.ledger.commit(&transition));
            let mut hub = self.hub.lock();
            if stored.is_err() {
                hub.complain("simulation", "a quiet stretch could not be stored".to_owned());
            }
            hub.now_s = self.tick_s + by_s;
            hub.committed(0, &transition);
            hub.counters.skips += 1;
            let now_s = hub.now_s;
            hub.truth.skip_to(now_s);
            self.observers.shift(by_s);
        }
        self.tick_s += by_s;
        self.evaluate_s = 0;
        self.awake = true;
        self.at(self.tick_s + TICK_S, Event::Tick);
    }

    fn next_incident(&mut self, now_s: u64) {
        self.number += 1;
        let number = self.number;
        let stamps = self.hub.lock().truth.stamps.len();
        let made = incident(self.seed, number, now_s, stamps);
        *self.incidents.entry(made.kind).or_default() += 1;
        self.hub.lock().tell(&format!("incident {number}: {:?} at stamp {}", made.kind, made.stamp));
        for (n, phase) in made.phases.iter().enumerate() {
            let key = number * 100 + n as u64;
            self.at(now_s + phase.from_s, Event::Begin(key, phase.condition, phase.stamp));
            self.at(now_s + phase.until_s, Event::End(key));
        }
        self.disturb_until(made.ends_s());
        self.say(&made);
        let spans =
            troubles(self.seed, number, (now_s, made.ends_s()), self.options.troubled, self.instances.len());
        for span in &spans {
            self.at(span.from_s, Event::Trouble(*span));
            self.disturb_until(span.until_s + 400);
            self.troubled_s = self.troubled_s.max(span.until_s + 400);
        }
        if !spans.is_empty() && self.seed.chance(0.3, About::Operator, number, 0) {
            for n in 0..self.seed.whole((1, 3), About::Operator, number, 1) {
                let at = now_s + self.seed.whole((0, 2_400), About::Operator, number, 10 + n);
                self.at(at, Event::Mischief(number * 8 + n));
                self.disturb_until(at + operators::PAUSE_MAX_S);
            }
        }
        let mean_s = YEAR_S / (self.options.incidents * stamps as f64);
        let gap = -mean_s * (1.0 - self.seed.unit(About::Gap, number, 0)).ln();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a few years")]
        self.at(now_s + (gap as u64).max(30), Event::NextIncident);
    }

    /// Alerts, each up to five times, each delivery up to half an hour late, in any order.
    fn say(&mut self, made: &Incident) {
        for (n, one) in made.alerts.iter().enumerate() {
            let key = made.number * 10 + n as u64;
            let fired = (domain::Standing::Fired, one.fires_s);
            let resolved = one.resolves_s.map(|at| (domain::Standing::Resolved, at));
            for (m, (standing, at_s)) in std::iter::once(fired).chain(resolved).enumerate() {
                let event_s = made.at_s + at_s;
                let item =
                    alert(&self.hub.lock().truth.stamps[made.stamp], one.kind, standing, key, now(event_s));
                let entity = key * 2 + m as u64;
                let copies = if self.seed.chance(0.3, About::Lag, entity, 7_000) {
                    self.seed.whole((2, 5), About::Lag, entity, 7_001)
                } else {
                    1
                };
                for copy in 0..copies {
                    let late = self.seed.chance(0.15, About::Lag, entity, 7_100 + copy);
                    let most = if late { 1_800 } else { 60 };
                    let late_s = self.seed.whole((1, most), About::Lag, entity, 7_200 + copy);
                    self.at(event_s + late_s, Event::Deliver(Box::new(item.clone())));
                    self.disturb_until(event_s + late_s);
                }
            }
            if one.resolves_s.is_none() {
                let stands = self.options.policy.evidence.standing_max.get().as_secs();
                self.disturb_until(made.at_s + one.fires_s + stands + 1_800);
            }
        }
    }

    fn disturb_until(&mut self, at_s: u64) {
        self.disturbed_s = self.disturbed_s.max(at_s);
    }

    /// One run of the observers, an evaluation if it is time, a look at the whole.
    fn tick(&mut self, now_s: u64) {
        self.tick_s = now_s;
        self.set_clocks(now_s);
        self.move_world(now_s);
        self.observe(now_s);
        if self.is_time(now_s) {
            self.evaluate(now_s);
        }
        if now_s >= self.duty_s + operators::PATIENCE_S / 2 {
            self.duty_s = now_s;
            self.duty(now_s);
        }
        let restless = self.restless();
        let calm = (now_s > self.disturbed_s).then(|| now(self.disturbed_s));
        let able = (now_s > self.troubled_s).then(|| now(self.troubled_s));
        self.hub.lock().look(calm, able, restless);
        if let (None, Some(last)) = (restless, self.restless) {
            let took_s = self.unsettled_s.saturating_sub(self.disturbed_s);
            self.hub
                .lock()
                .tell(&format!("at rest, {took_s} s after the last disturbance; until then {last} not"));
        }
        self.restless = restless;
        if restless.is_none() && calm.is_some() {
            self.settling_max_s = self.settling_max_s.max(self.unsettled_s.saturating_sub(self.disturbed_s));
        } else if restless.is_some() {
            self.unsettled_s = now_s;
        }
        if !self.is_steady(now_s) {
            self.at(now_s + TICK_S, Event::Tick);
            return;
        }
        self.awake = false;
        if restless.is_some() {
            let doze_s = self.next_timer(now_s).min(now_s + DOZE_MAX_S).max(now_s + TICK_S);
            self.at(doze_s, Event::Stir);
        }
    }

    /// When time alone may change something, in seconds; far away when nothing says so.
    fn next_timer(&self, now_s: u64) -> u64 {
        let hub = self.hub.lock();
        let policy = &self.options.policy;
        let timers = hub.cases.values().flat_map(|case| {
            let latch = (case.stage == Stage::Cordoned && case.latched_at.is_none())
                .then(|| case.since + policy.latch.after.get());
            [
                case.window.map(|run| run.started_at + Duration::from_secs(run.needs_s + run.paused_s)),
                case.ramp.map(|run| run.since + policy.ramp.watch.get()),
                case.ramp.map(|run| run.since + policy.ramp.watch.get() + policy.ramp.quiet_wait.get()),
                case.ready_deadline,
                case.origin_enabled_at.map(|at| at + policy.latch.settle.get()),
                case.floor.map(|_| case.since + policy.capacity.restore_after.get()),
                latch,
            ]
        });
        let ahead = timers.flatten().map(|at| at.since(EPOCH).as_secs()).filter(|at_s| *at_s > now_s);
        ahead.min().map_or(u64::MAX, |at_s| at_s.div_ceil(TICK_S) * TICK_S)
    }

    fn move_world(&mut self, now_s: u64) {
        let mut hub = self.hub.lock();
        let hub = &mut *hub;
        hub.in_force.expire(now_s);
        let obeyed = hub.arm.advance(now_s, &hub.in_force);
        hub.truth.edge_delay = if hub.in_force.holds(Trouble::StaleEdge) { 5 } else { 1 };
        for (stamp, enabled) in obeyed {
            let state = if enabled { EnabledState::Enabled } else { EnabledState::Disabled };
            hub.truth.origin_changed(stamp, state, now_s);
        }
        hub.truth.step(now_s, now(now_s), &hub.documents);
    }

    fn observe(&mut self, now_s: u64) {
        let alive = self.instances.iter().any(Instance::is_alive);
        let (item, fate) = {
            let mut hub = self.hub.lock();
            let hub = &mut *hub;
            if hub.in_force.holds(Trouble::ObserversDown) || !alive {
                return;
            }
            hub.counters.observations += 1;
            let item = self.observers.run(now_s, now(now_s), &hub.truth, &hub.arm, &hub.cases, &hub.in_force);
            // The observers have a way of their own to the ledger, which only what concerns all of them cuts.
            (item, hub.fate(self.instances.len(), Port::Ledger))
        };
        match fate {
            Fate::Fails | Fate::CrashBefore => {}
            Fate::AnswerLost => {
                self.append(&item);
                self.append(&item);
            }
            _ => self.append(&item),
        }
    }

    fn append(&self, item: &InboxItem) {
        if ready(self.ledger.append(&self.workload, std::slice::from_ref(item))).is_err() {
            self.hub.lock().complain("simulation", format!("item {} could not be stored", item.id));
        }
    }

    /// Whether an evaluation could see anything new: often after a change, once a minute in a steady outage.
    fn is_time(&self, now_s: u64) -> bool {
        if self.unread {
            return true;
        }
        let hub = self.hub.lock();
        let since = now_s - hub.truth.changed_s.max(hub.recorded_s).min(now_s);
        let evacuating = hub.cases.values().any(|case| case.stage == Stage::Evacuating);
        let period = match since {
            _ if evacuating => TICK_S,
            0..=30 => TICK_S,
            31..=150 => 2 * TICK_S,
            _ => 60,
        };
        let policy = &self.options.policy;
        let timer = hub.cases.values().any(|case| {
            let window =
                case.window.map(|run| run.started_at + Duration::from_secs(run.needs_s + run.paused_s));
            let ramp = case.ramp.map(|run| run.since + policy.ramp.watch.get());
            [window, ramp]
                .into_iter()
                .flatten()
                .any(|due| due <= now(now_s) && now(now_s).since(due).as_secs() < 30)
        });
        timer || now_s >= self.evaluate_s + period
    }

    fn evaluate(&mut self, now_s: u64) {
        self.evaluate_s = now_s;
        self.unread = false;
        self.turns += 1;
        let count = self.instances.len();
        let first = usize::try_from(self.seed.bits(About::Turn, 0, self.turns)).unwrap_or(0) % count;
        let wanted = if self.seed.chance(0.1, About::Turn, 1, self.turns) { 2 } else { 1 };
        let mut called = 0;
        for n in (0..count).map(|n| (first + n) % count) {
            if called < wanted && self.instances[n].is_idle() {
                called += 1;
                self.hub.lock().counters.evaluations += 1;
                let polled = self.instances[n].invoke(&self.hub);
                self.came_of(n, polled, now_s);
            }
        }
    }

    fn came_of(&mut self, instance: usize, polled: Polled, now_s: u64) {
        match polled {
            Polled::Finished => {}
            Polled::Died => {
                self.turns += 1;
                let gone = self.seed.whole((5, 180), About::Turn, 2, self.turns);
                self.hub.lock().counters.crashes += 1;
                self.at(now_s + gone, Event::Restart(instance));
                self.troubled_s = self.troubled_s.max(now_s + gone);
            }
            Polled::Stands(lasts) => {
                self.hub.lock().counters.pauses += 1;
                self.at(now_s + lasts, Event::GoOn(instance));
                self.troubled_s = self.troubled_s.max(now_s + lasts);
            }
            Polled::Stuck => {
                self.hub.lock().complain("simulation", format!("instance {instance} waits for nothing"));
            }
        }
    }

    fn fail_over(&mut self, now_s: u64) {
        let Some((ledger, gates)) = self.replica.take() else { return };
        self.ledger.fail_over_to(&ledger);
        self.gates.fail_over_to(&gates);
        let state = ready(self.ledger.load(&self.workload, 0)).ok().and_then(|view| view.state);
        self.hub.lock().failed_over(state.as_ref());
        self.unread = true;
        // What took an alert back may be lost with the rest; it stands until it is too old.
        self.disturb_until(now_s + self.options.policy.evidence.standing_max.get().as_secs() + 1_800);
    }

    fn set_clocks(&self, now_s: u64) {
        let hub = self.hub.lock();
        for (n, instance) in self.instances.iter().enumerate() {
            instance.set_clock(skewed(now(now_s), hub.in_force.skew_s(n)));
        }
    }

    fn mischief(&mut self, number: u64) {
        let item = {
            let hub = self.hub.lock();
            operators::wrong_button(self.seed, number, hub.now(), &hub.cases)
        };
        self.unread = true;
        self.append(&item);
    }

    /// The audit says that an origin may have been disabled by a commit that was lost. Nobody but a person knows what for.
    fn put_right(&mut self, now_s: u64) {
        let mut hub = self.hub.lock();
        let hub = &mut *hub;
        if hub.failed_over_s.is_none_or(|at_s| now_s > at_s + 86_400) || !hub.arm.is_idle() {
            return;
        }
        for s in 0..hub.truth.stamps.len() {
            let serves =
                hub.cases.get(&hub.truth.stamps[s].id).is_some_and(|case| case.stage == Stage::Serving);
            if serves && !hub.arm.is_enabled(s) {
                hub.arm.enable_by_hand(s);
                hub.truth.origin_changed(s, EnabledState::Enabled, now_s);
                hub.counters.put_right += 1;
            }
        }
    }

    fn duty(&mut self, now_s: u64) {
        self.put_right(now_s);
        let items = {
            let hub = self.hub.lock();
            operators::duty(now(now_s), &hub.cases, hub.pause.as_ref(), &hub.policy)
        };
        for item in items {
            self.unread = true;
            self.append(&item);
        }
    }

    /// What is not at rest yet.
    fn restless(&self) -> Option<&'static str> {
        let hub = self.hub.lock();
        let all = |good: fn(&StampCase) -> bool| hub.cases.values().all(good);
        let rest = [
            ("no stamp is known:", !hub.cases.is_empty()),
            ("a stage is", all(|case| case.stage == Stage::Serving)),
            ("a floor is", all(|case| case.floor.is_none())),
            ("a floor's record is", all(|case| case.floor_recorded.is_none())),
            ("a symptom is", all(|case| case.first_symptom_at.is_none())),
            ("a freeze is", hub.freeze.is_none()),
            ("a pause is", hub.pause.is_none()),
            ("an edge or an instance count is", hub.truth.is_settled()),
            ("ARM is", hub.arm.is_idle()),
            ("a trouble is", hub.in_force.is_calm()),
            ("a controller is", self.instances.iter().all(Instance::is_idle)),
        ];
        rest.into_iter().find_map(|(what, rests)| (!rests).then_some(what))
    }

    /// Every observer will say the same again and nothing is under way, so that the next stretch is known.
    fn is_steady(&mut self, now_s: u64) -> bool {
        {
            let hub = self.hub.lock();
            let fresh = now_s < hub.truth.changed_s + RUNS_DRY_S || now_s < hub.recorded_s + 60;
            let moving = !hub.truth.is_steady() || !hub.arm.is_idle() || !hub.in_force.is_calm();
            let leaving =
                hub.cases.is_empty() || hub.cases.values().any(|case| case.stage == Stage::Evacuating);
            if fresh || moving || leaving || !self.instances.iter().all(Instance::is_idle) {
                return false;
            }
        }
        let Ok(view) = ready(self.ledger.load(&self.workload, 1)) else { return false };
        if !view.inbox.is_empty() {
            self.unread = true;
            return false;
        }
        view.steps.iter().all(|stored| !stored.step.is_live())
    }
}

/// The true time.
fn now(now_s: u64) -> Timestamp {
    EPOCH + Duration::from_secs(now_s)
}

/// The memory stores answer at once.
fn ready<T>(work: impl Future<Output = Result<T, adapters::StoreError>>) -> Result<T, adapters::StoreError> {
    let mut work = std::pin::pin!(work);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match work.as_mut().poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => Err(adapters::StoreError::Refused {
            store: "ledger",
            reason: "it does not answer at once".to_owned(),
        }),
    }
}
