//! Many seeds: workers, progress with an estimate of the end, and a report that is honest about what was run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::hub::Counters;
use super::run::{Options, Outcome, run};
use super::workload::Kind;

/// Worst seeds and violations shown.
const SHOWN: usize = 5;

/// How many seeds, on how many threads, for how long.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// Worker threads.
    pub threads: usize,
    /// No seed begins after this many seconds.
    pub seconds: Option<u64>,
}

/// The sum of many seeds.
#[derive(Debug, Default)]
pub struct Sum {
    /// Seeds that ended.
    pub seeds: u64,
    /// Regions times years.
    pub region_years: f64,
    /// Incidents by kind.
    pub incidents: BTreeMap<Kind, u64>,
    /// Numbers.
    pub counters: Counters,
    /// The slowest to rest: seconds and seed.
    pub slowest: Vec<(u64, u64)>,
    /// Violations: seed, checker, seconds, text.
    pub violations: Vec<(u64, &'static str, u64, String)>,
    /// What all digests come to.
    pub digest: u64,
    /// Seconds it took.
    pub took_s: f64,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.region_years += outcome.region_years;
        for (kind, count) in &outcome.incidents {
            *self.incidents.entry(*kind).or_default() += count;
        }
        let (sum, one) = (&mut self.counters, &outcome.counters);
        sum.evaluations += one.evaluations;
        sum.commits += one.commits;
        sum.transitions += one.transitions;
        sum.effects += one.effects;
        sum.cordons += one.cordons;
        sum.crashes += one.crashes;
        sum.pauses += one.pauses;
        sum.failed_calls += one.failed_calls;
        sum.observations += one.observations;
        sum.failovers += one.failovers;
        sum.put_right += one.put_right;
        sum.skips += one.skips;
        self.digest ^= super::draw::mix(outcome.seed, outcome.digest);
        self.slowest.push((outcome.settling_max_s, outcome.seed));
        self.slowest.sort_by_key(|slowest| std::cmp::Reverse(*slowest));
        self.slowest.truncate(SHOWN);
        for violation in &outcome.violations {
            let text = violation.text.clone();
            self.violations.push((outcome.seed, violation.checker, violation.at_s, text));
        }
    }

    /// Incidents of all kinds.
    pub fn incidents_all(&self) -> u64 {
        self.incidents.values().sum()
    }

    /// The checkers that found something.
    pub fn checkers(&self) -> BTreeSet<&'static str> {
        self.violations.iter().map(|(_, checker, ..)| *checker).collect()
    }
}

/// Runs a batch. `stop` ends it with what it has; `tell` hears the progress, about once in two seconds.
pub fn batch(batch: Batch, options: &Options, stop: &AtomicBool, mut tell: impl FnMut(&str)) -> Sum {
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let sum = Mutex::new(Sum::default());
    let (done, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..batch.threads.max(1) {
            let (done, next, sum) = (done.clone(), &next, &sum);
            scope.spawn(move || {
                loop {
                    let late = batch.seconds.is_some_and(|most| started.elapsed().as_secs() >= most);
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= batch.seeds || late || stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let outcome = run(batch.first + number, options);
                    sum.lock().unwrap_or_else(PoisonError::into_inner).add(&outcome);
                    let _ = done.send(());
                }
            });
        }
        drop(done);
        let mut told = Instant::now();
        loop {
            match ended.recv_timeout(Duration::from_secs(2)) {
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Ok(()) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if told.elapsed() >= Duration::from_secs(2) {
                told = Instant::now();
                let sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                tell(&progress(&sum, batch, started.elapsed()));
            }
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.took_s = started.elapsed().as_secs_f64();
    sum
}

#[expect(clippy::cast_precision_loss, reason = "counts of seeds")]
fn progress(sum: &Sum, batch: Batch, elapsed: Duration) -> String {
    let took = elapsed.as_secs_f64();
    let rate = sum.region_years / took.max(0.001);
    let by_seeds = took / (sum.seeds.max(1) as f64) * (batch.seeds.saturating_sub(sum.seeds)) as f64;
    let left = batch.seconds.map_or(by_seeds, |most| by_seeds.min((most as f64 - took).max(0.0)));
    format!(
        "{} of {} seeds, {:.0} region-years, {} incidents, {} violations; {rate:.2} region-years/s; {left:.0} s to go",
        sum.seeds,
        batch.seeds,
        sum.region_years,
        sum.incidents_all(),
        sum.violations.len(),
    )
}

/// The report on a batch; `command` replays a seed when the seed's number follows it.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^52")]
pub fn report(sum: &Sum, batch: Batch, command: &str) -> String {
    let mut text = String::new();
    let counters = &sum.counters;
    let took = sum.took_s.max(0.001);
    let cores = batch.threads as f64;
    let _ = writeln!(
        text,
        "{} seeds from {}, {:.1} region-years in {took:.1} s on {} threads: {:.2} region-years/s, {:.2} per core",
        sum.seeds,
        batch.first,
        sum.region_years,
        batch.threads,
        sum.region_years / took,
        sum.region_years / took / cores
    );
    for (name, count) in [
        ("incidents", sum.incidents_all()),
        ("observer runs", counters.observations),
        ("evaluations", counters.evaluations),
        ("commits", counters.commits),
        ("transitions (audit records)", counters.transitions),
        ("effects", counters.effects),
        ("cordons", counters.cordons),
        ("crashes at a port", counters.crashes),
        ("pauses at a port", counters.pauses),
        ("failed or unanswered calls", counters.failed_calls),
        ("failovers that lost commits", counters.failovers),
        ("origins enabled by a person then", counters.put_right),
        ("quiet stretches skipped", counters.skips),
    ] {
        let rate = count as f64 / took;
        let _ = writeln!(text, "  {name:<28} {count:>12}  {rate:>10.1}/s  {:>10.1}/s per core", rate / cores);
    }
    let mix: Vec<String> = sum.incidents.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
    let _ = writeln!(text, "  mix: {}", mix.join(", "));
    let slowest: Vec<String> = sum.slowest.iter().map(|(took, seed)| format!("{seed} ({took} s)")).collect();
    let _ = writeln!(text, "  slowest to rest after the last disturbance: {}", slowest.join(", "));
    let _ = writeln!(text, "  digest {:016x}", sum.digest);
    if sum.violations.is_empty() {
        let _ = writeln!(text, "  no violation of any checker");
    } else {
        let by: BTreeMap<&str, usize> =
            sum.violations.iter().fold(BTreeMap::new(), |mut by, (_, checker, ..)| {
                *by.entry(*checker).or_default() += 1;
                by
            });
        let _ = writeln!(text, "  VIOLATIONS: {by:?}");
        for (seed, checker, at_s, words) in sum.violations.iter().take(4 * SHOWN) {
            let _ = writeln!(text, "  {checker} at {at_s} s: {words}\n    replay: {command} --seed {seed}");
        }
    }
    text
}
