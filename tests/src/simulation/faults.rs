//! What breaks of ours while something happens: instances that crash and pause, stores and ARM that fail, clocks that
//! go wrong, operators who press the wrong button.

use super::draw::{About, Seed};

/// What one call of an instance to a port comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Go,
    /// Not reached; nothing is stored.
    Fails,
    /// Stored, and the answer is lost.
    AnswerLost,
    /// The instance dies before the call.
    CrashBefore,
    /// The instance dies after the call took effect.
    CrashAfter,
    /// The instance stands still before the call, for so many seconds.
    PauseBefore(u64),
    /// The instance stands still after the call took effect.
    PauseAfter(u64),
}

/// The ports, as faults tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The ledger.
    Ledger,
    /// The gate store.
    Gates,
    /// Azure Resource Manager.
    Arm,
}

/// What is wrong with our own parts for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Each call of one instance may be its last.
    Crashes(f64),
    /// Each call of one instance may take minutes.
    Pauses(f64),
    /// Calls take seconds, so that instances overtake each other.
    Slow(f64),
    /// One instance, or all, cannot reach a port.
    Partition(Port),
    /// This share of the calls fails.
    Flaky(Port, f64),
    /// This share of the writes is stored and not answered.
    LosesAnswers(Port, f64),
    /// ARM answers 429.
    ArmThrottled,
    /// Front Door refuses changes with 409.
    ArmFrozen,
    /// Front Door accepts changes and forgets them.
    ArmForgets,
    /// Front Door finishes operations in another order.
    ArmReorders,
    /// The clock of one instance is off by so many seconds.
    Skew(i64),
    /// No observer runs.
    ObserversDown,
    /// The edge locations learn of everything minutes late.
    StaleEdge,
    /// The replicas of our account lag; at the end its write region is lost, and with it what they do not have.
    LagsAndFailsOver,
}

/// One trouble with its place and time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TroubleSpan {
    /// What.
    pub trouble: Trouble,
    /// Which instance; none for all of them.
    pub instance: Option<usize>,
    /// Seconds since the beginning of the run.
    pub from_s: u64,
    /// Seconds since the beginning of the run.
    pub until_s: u64,
}

/// Share of the incidents during which something of ours breaks.
pub const TROUBLED_SHARE: f64 = 0.3;

/// The most that a replica lags, in seconds: Microsoft names 15 min as the bound of what a forced failover may lose.
const LAG_MAX_S: u64 = 900;

/// The troubles around an incident that lasts from `at_s` to `ends_s`.
pub fn troubles(
    seed: Seed,
    incident: u64,
    (at_s, ends_s): (u64, u64),
    share: f64,
    instances: usize,
) -> Vec<TroubleSpan> {
    let whole = |range, what| seed.whole(range, About::Trouble, incident, what);
    let unit = |what| seed.unit(About::Trouble, incident, what);
    if unit(0) >= share {
        return vec![];
    }
    let count = whole((1, 3), 1);
    (0..count)
        .map(|n| {
            let key = 10 * (n + 1);
            // Troubles begin with the symptoms, during the outage, or while the stamp comes back.
            let late = if whole((0, 2), key) == 0 { 0 } else { whole((0, ends_s - at_s + 1_200), key + 1) };
            let from_s = at_s + late;
            let short = whole((0, 3), key + 2) != 0;
            let lasts = if short { whole((20, 240), key + 3) } else { whole((240, 2_400), key + 3) };
            let one = Some(usize::try_from(whole((0, instances as u64 - 1), key + 4)).unwrap_or(0));
            let some = if unit(key + 5) < 0.5 { one } else { None };
            let port =
                [Port::Ledger, Port::Gates, Port::Arm][usize::try_from(whole((0, 2), key + 6)).unwrap_or(0)];
            let much = 0.05 + 0.4 * unit(key + 7);
            let (trouble, instance) = match whole((0, 17), key + 8) {
                0 if unit(key + 9) < 0.5 => (Trouble::LagsAndFailsOver, None),
                0..=3 => (Trouble::Crashes(0.01 + 0.1 * unit(key + 7)), some),
                4..=6 => (Trouble::Pauses(0.01 + 0.08 * unit(key + 7)), some),
                7 => (Trouble::Slow(much), None),
                8 => (Trouble::Partition(port), some),
                9 => (Trouble::Flaky(port, much), some),
                10 => (Trouble::LosesAnswers(port, much), some),
                11 => (Trouble::ArmThrottled, None),
                12 => (Trouble::ArmFrozen, None),
                13 => (Trouble::ArmForgets, None),
                14 => (Trouble::ArmReorders, None),
                15 => (Trouble::Skew(skew(seed, incident, key)), one),
                16 => (Trouble::ObserversDown, None),
                _ => (Trouble::StaleEdge, None),
            };
            let lasts = if trouble == Trouble::LagsAndFailsOver { lasts.min(LAG_MAX_S) } else { lasts };
            TroubleSpan { trouble, instance, from_s, until_s: from_s + lasts }
        })
        .collect()
}

/// Seconds: mostly small, one in eight minutes, one in eight hours.
fn skew(seed: Seed, incident: u64, key: u64) -> i64 {
    let size = match seed.unit(About::Trouble, incident, key + 900) {
        ..0.125 => 180,
        0.125..0.25 => 14_400,
        _ => 20,
    };
    let draw = seed.whole((0, 2 * size), About::Trouble, incident, key + 901);
    i64::try_from(draw).unwrap_or(0) - i64::try_from(size).unwrap_or(0)
}

/// The troubles in force, as the ports ask for them.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    spans: Vec<TroubleSpan>,
}

impl InForce {
    /// Takes a trouble in.
    pub fn begin(&mut self, span: TroubleSpan) {
        self.spans.push(span);
    }

    /// Forgets what is over at `now_s`.
    pub fn expire(&mut self, now_s: u64) {
        self.spans.retain(|span| span.until_s > now_s);
    }

    /// Nothing is wrong.
    pub fn is_calm(&self) -> bool {
        self.spans.is_empty()
    }

    fn of(&self, instance: usize) -> impl Iterator<Item = Trouble> + '_ {
        self.spans
            .iter()
            .filter(move |span| span.instance.is_none_or(|i| i == instance))
            .map(|span| span.trouble)
    }

    /// Whether this holds for anybody.
    pub fn holds(&self, trouble: Trouble) -> bool {
        self.spans.iter().any(|span| span.trouble == trouble)
    }

    /// Whether every instance is cut off from the port.
    pub fn is_down_for_all(&self, port: Port) -> bool {
        self.spans.iter().any(|span| span.instance.is_none() && span.trouble == Trouble::Partition(port))
    }

    /// Seconds by which the clock of an instance is off.
    pub fn skew_s(&self, instance: usize) -> i64 {
        self.of(instance).map(|trouble| if let Trouble::Skew(by) = trouble { by } else { 0 }).sum()
    }

    /// What becomes of call number `call` of an instance to a port.
    pub fn fate(&self, seed: Seed, instance: usize, call: u64, port: Port) -> Fate {
        if self.spans.is_empty() {
            return Fate::Go;
        }
        let draw = |what: u64| seed.unit(About::Fate, instance as u64, call << 4 | what);
        for trouble in self.of(instance) {
            match trouble {
                Trouble::Crashes(p) if draw(0) < p => {
                    return if draw(1) < 0.5 { Fate::CrashBefore } else { Fate::CrashAfter };
                }
                Trouble::Pauses(p) if draw(2) < p => {
                    let lasts = seed.whole((5, 400), About::Fate, instance as u64, call << 4 | 3);
                    return if draw(4) < 0.5 { Fate::PauseBefore(lasts) } else { Fate::PauseAfter(lasts) };
                }
                Trouble::Slow(p) if draw(5) < p => {
                    let lasts = seed.whole((1, 9), About::Fate, instance as u64, call << 4 | 6);
                    return if draw(7) < 0.5 { Fate::PauseBefore(lasts) } else { Fate::PauseAfter(lasts) };
                }
                Trouble::Partition(at) if at == port => return Fate::Fails,
                Trouble::Flaky(at, p) if at == port && draw(8) < p => return Fate::Fails,
                Trouble::LosesAnswers(at, p) if at == port && draw(9) < p => return Fate::AnswerLost,
                _ => {}
            }
        }
        Fate::Go
    }
}
