//! Fusion: from what the classes say to what is true of a stamp, by rules that can be named.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::evidence::{ClassView, Views, views};
use crate::policy::Policy;
use crate::state::{Cause, FreezeCause, WorkloadState};
use crate::{EvidenceClass, FailureKind, StampId, Timestamp, Verdict};

/// The classes that can speak against a region. `Platform` is only ever a second voice.
const VOICES: [EvidenceClass; 4] =
    [EvidenceClass::Edge, EvidenceClass::Data, EvidenceClass::Direct, EvidenceClass::Traffic];

/// A healthy sample contradicts a total loss only if it is newer than the loss by this much: telemetry of the last
/// good minute arrives after the first bad probe.
const CONTRADICTION_LAG: Duration = Duration::from_secs(15);

/// Load over the demand before the fault, as a factor, from which a stamp's inflow has risen.
const INFLOW_ROSE: f64 = 1.15;

/// Saturation from which a stamp is full.
const FULL: f64 = 0.98;

/// The rule by which a stamp was found failing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// Two independent classes agreed.
    TwoClasses {
        /// The classes.
        classes: Vec<EvidenceClass>,
    },
    /// One class alone, uncontradicted.
    OneClassAlone {
        /// The class.
        class: EvidenceClass,
    },
    /// None: an operator ordered it.
    Ordered,
}

/// What is true of a stamp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "condition", rename_all = "snake_case")]
pub enum Condition {
    /// Nothing speaks against it, and `Direct` speaks for it.
    Healthy,
    /// Nothing speaks against it, nothing fresh speaks for it.
    Unobserved,
    /// Something speaks against it, not enough.
    Suspicious {
        /// Since when.
        since: Timestamp,
        /// When the nearest rule would be satisfied if everything stays as it is.
        confirmed_at: Option<Timestamp>,
        /// A class that contradicts.
        contradicted_by: Option<EvidenceClass>,
    },
    /// It fails, by a rule.
    Failing {
        /// Why.
        cause: Cause,
        /// Since when.
        since: Timestamp,
        /// By which rule.
        by: Rule,
    },
    /// It is full, not dead: its inflow rose and its errors are saturation.
    Overloaded {
        /// Since when.
        since: Timestamp,
    },
}

/// What is true of one stamp, with what every class said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// The condition.
    pub condition: Condition,
    /// An active platform alert names its region and a service of ours.
    pub platform_active: bool,
    /// The classes.
    pub views: Views,
}

impl Assessment {
    fn view(&self, class: EvidenceClass) -> &ClassView {
        // `views` always holds every class: `evidence::views` builds them from `EvidenceClass::ALL`.
        &self.views[&class]
    }

    /// Seen by our own probes, and well.
    pub fn direct_healthy(&self) -> bool {
        self.view(EvidenceClass::Direct).verdict == Verdict::Healthy
    }

    /// Seen by our own probes, and not well.
    pub fn direct_bad(&self) -> bool {
        self.view(EvidenceClass::Direct).is_bad()
    }

    /// Fit to count as healthy time in a window: `Direct` healthy and no regional voice against it.
    pub fn is_recovering(&self) -> bool {
        self.direct_healthy() && !self.view(EvidenceClass::Data).is_bad()
    }

    /// A voice with a vote says it is bad right now.
    pub fn has_bad_voice(&self) -> bool {
        VOICES.iter().any(|class| self.view(*class).is_bad())
    }

    /// Whether Front Door has moved its load already: its own probes say so, or nobody answers them.
    pub fn is_dropped_by_front_door(&self) -> bool {
        let direct = self.view(EvidenceClass::Direct);
        let unreachable = direct.is_bad() && direct.failure == Some(FailureKind::Unreachable);
        unreachable || self.view(EvidenceClass::Edge).verdict == Verdict::Unhealthy
    }

    /// Full, and failing more than its error budget for it: it carries more than it can.
    pub fn is_drowning(&self, error_budget: f64) -> bool {
        let ratio = self.view(EvidenceClass::Direct).error_ratio.unwrap_or(0.0);
        matches!(self.condition, Condition::Overloaded { .. }) && ratio >= error_budget
    }

    /// Share of failing requests as best known, 0 to 1.
    pub fn error_ratio(&self) -> f64 {
        let of = |class| self.view(class).error_ratio.filter(|_| self.view(class).is_bad());
        of(EvidenceClass::Traffic).or(of(EvidenceClass::Direct)).unwrap_or(1.0)
    }
}

/// Assesses every stamp at `state.as_of`.
pub fn assess(state: &WorkloadState, policy: &Policy) -> BTreeMap<StampId, Assessment> {
    views(state, policy)
        .into_iter()
        .map(|(stamp, views)| {
            let platform = match views[&EvidenceClass::Platform].verdict {
                Verdict::Unhealthy => PlatformVoice::Alert,
                _ => PlatformVoice::Silent,
            };
            let condition = condition(state, &stamp, &views, platform, policy);
            (stamp, Assessment { condition, platform_active: platform == PlatformVoice::Alert, views })
        })
        .collect()
}

/// Whether an active platform alert names the region and a service of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PlatformVoice {
    Silent,
    Alert,
}

fn condition(
    state: &WorkloadState,
    stamp: &StampId,
    views: &Views,
    platform: PlatformVoice,
    policy: &Policy,
) -> Condition {
    let bad: Vec<(EvidenceClass, &ClassView)> =
        VOICES.iter().map(|class| (*class, &views[class])).filter(|(_, view)| view.is_bad()).collect();
    let Some(since) = bad.iter().filter_map(|(_, view)| view.bad_since).min() else {
        let seen = views[&EvidenceClass::Direct].verdict == Verdict::Healthy;
        return if seen { Condition::Healthy } else { Condition::Unobserved };
    };
    if is_overloaded(state, stamp, &bad) {
        return Condition::Overloaded { since };
    }
    let timers = Timers::new(state, policy, platform);
    let candidates = candidates(views, &bad, &timers);
    let as_of = state.as_of;
    if let Some(sure) =
        candidates.iter().filter(|candidate| candidate.at <= as_of).min_by_key(|candidate| candidate.rank)
    {
        return Condition::Failing { cause: sure.cause, since, by: sure.by.clone() };
    }
    let contradicts = |other: &EvidenceClass| {
        let well = views[other].verdict == Verdict::Healthy;
        well && bad.iter().any(|(class, view)| would_see(*other, *class, view))
    };
    let contradicted_by = VOICES.iter().copied().find(contradicts);
    let confirmed_at = candidates.iter().map(|candidate| candidate.at).min();
    Condition::Suspicious { since, confirmed_at, contradicted_by }
}

/// The confirmation times in force: halved while a platform alert stands, restarted at the end of a freeze.
struct Timers {
    hard: Duration,
    hard_alone: Duration,
    gray: Duration,
    gray_alone: Duration,
    not_before: Timestamp,
}

impl Timers {
    fn new(state: &WorkloadState, policy: &Policy, platform: PlatformVoice) -> Self {
        let factor = match platform {
            PlatformVoice::Alert => policy.confirm.platform_factor,
            PlatformVoice::Silent => 1.0,
        };
        Self {
            hard: policy.confirm.after.get().mul_f64(factor),
            hard_alone: policy.confirm.alone_after.get().mul_f64(factor),
            gray: policy.gray.confirm_after.get().mul_f64(factor),
            gray_alone: policy.gray.confirm_alone_after.get().mul_f64(factor),
            not_before: state.freeze_ended_at.unwrap_or_default(),
        }
    }
}

/// A rule that is or will be satisfied at `at`. Lower ranks name the cause more exactly.
struct Candidate {
    at: Timestamp,
    cause: Cause,
    by: Rule,
    rank: u8,
}

fn candidates(views: &Views, bad: &[(EvidenceClass, &ClassView)], timers: &Timers) -> Vec<Candidate> {
    let from = |since: Timestamp, wait: Duration| since.max(timers.not_before) + wait;
    let mut found = Vec::new();
    if let Some((at, classes)) =
        second_of(voters(views, bad).filter(|(_, view)| view.verdict == Verdict::Unhealthy), |view| {
            view.since
        })
    {
        found.push(Candidate {
            at: from(at, timers.hard),
            cause: Cause::HardLoss,
            by: Rule::TwoClasses { classes },
            rank: 0,
        });
    }
    for (class, view) in bad {
        if let Some(total_since) =
            view.total_since.filter(|since| contradicting(views, *class, *since).next().is_none())
        {
            let by = Rule::OneClassAlone { class: *class };
            found.push(Candidate {
                at: from(total_since, timers.hard_alone),
                cause: Cause::HardLoss,
                by,
                rank: 1,
            });
        }
    }
    if let Some((at, classes)) = second_of(voters(views, bad), |view| view.bad_since) {
        found.push(Candidate {
            at: from(at, timers.gray),
            cause: Cause::Gray,
            by: Rule::TwoClasses { classes },
            rank: 2,
        });
    }
    for (class, view) in bad {
        let seen_well = |since: &Timestamp| {
            contradicting(views, *class, *since).any(|other| would_see(other, *class, view))
        };
        if let Some(bad_since) = view.bad_since.filter(|since| !seen_well(since)) {
            let by = Rule::OneClassAlone { class: *class };
            found.push(Candidate { at: from(bad_since, timers.gray_alone), cause: Cause::Gray, by, rank: 3 });
        }
    }
    found
}

/// The classes that may be one of two. `Edge` looks through Front Door and arrives minutes late: where our own probes see
/// the stamp well from every vantage it makes no second voice, neither for `Traffic`, which looks the same way, nor for
/// `Data`, which sees no request. Locations that cannot reach the stamp drop it by themselves. (Beyond DESIGN.md section 4:
/// an edge-only failure must not become a cordon once its freeze ends; and simulation, seed 30000235.)
fn voters<'a>(
    views: &'a Views,
    bad: &'a [(EvidenceClass, &'a ClassView)],
) -> impl Iterator<Item = &'a (EvidenceClass, &'a ClassView)> {
    let well = views[&EvidenceClass::Direct].verdict == Verdict::Healthy;
    bad.iter().filter(move |(class, _)| !(well && *class == EvidenceClass::Edge))
}

/// When the second of two classes joined, and which two.
fn second_of<'a>(
    bad: impl Iterator<Item = &'a (EvidenceClass, &'a ClassView)>,
    since: impl Fn(&ClassView) -> Option<Timestamp>,
) -> Option<(Timestamp, Vec<EvidenceClass>)> {
    let mut by_start: Vec<(Timestamp, EvidenceClass)> =
        bad.filter_map(|(class, view)| Some((since(view)?, *class))).collect();
    by_start.sort();
    let (second_at, _) = *by_start.get(1)?;
    Some((second_at, by_start.into_iter().take(2).map(|(_, class)| class).collect()))
}

/// The other classes that saw the stamp healthy after `since`. `Data` cannot: it says only that the database is well.
fn contradicting(
    views: &Views,
    class: EvidenceClass,
    since: Timestamp,
) -> impl Iterator<Item = EvidenceClass> + '_ {
    VOICES.into_iter().filter(move |other| *other != class && *other != EvidenceClass::Data).filter(
        move |other| {
            let view = &views[other];
            view.verdict == Verdict::Healthy
                && view.last_seen.is_some_and(|seen| seen > since + CONTRADICTION_LAG)
        },
    )
}

/// Whether `other` would see what `class` saw. The edge's probes ask the health endpoint: they tell a lossy way from a
/// broken stamp, but of failures that the stamp itself answers its requests with they see nothing, as long as it holds
/// itself for healthy. (Found by ablation: with either of the two voices that hear them gone, the edge's "well"
/// outweighed the other for as long as the gray failure lasted.)
fn would_see(other: EvidenceClass, class: EvidenceClass, view: &ClassView) -> bool {
    let answered = class == EvidenceClass::Traffic
        || matches!(view.failure, Some(FailureKind::ServerError | FailureKind::Dependency));
    match other {
        EvidenceClass::Edge => !answered,
        EvidenceClass::Data | EvidenceClass::Platform => false,
        EvidenceClass::Direct | EvidenceClass::Traffic => other != class,
    }
}

/// Full, not dead: it answers, its inflow rose over what it carried before, and it is saturated.
fn is_overloaded(state: &WorkloadState, stamp: &StampId, bad: &[(EvidenceClass, &ClassView)]) -> bool {
    let Some((load, case)) = state.load.get(stamp).zip(state.cases.get(stamp)) else { return false };
    let rose = case.demand_rps > 0.0 && load.requests_per_second >= case.demand_rps * INFLOW_ROSE;
    let unreachable = bad.iter().any(|(class, view)| {
        *class == EvidenceClass::Direct && view.failure == Some(FailureKind::Unreachable)
    });
    rose && is_full(state, stamp) && !unreachable
}

/// Whether a stamp says that it is saturated.
pub(crate) fn is_full(state: &WorkloadState, stamp: &StampId) -> bool {
    crate::capacity::fresh_load(state, stamp).is_some_and(|load| load.saturation >= FULL)
}

/// Whether the observer, and not the regions, is what broke.
pub fn freeze_cause(
    state: &WorkloadState,
    assessments: &BTreeMap<StampId, Assessment>,
    policy: &Policy,
) -> Option<FreezeCause> {
    if assessments.len() < 2 {
        return None;
    }
    let direct_failure = |assessment: &Assessment| {
        assessment.view(EvidenceClass::Direct).failure.filter(|_| assessment.direct_bad())
    };
    let ours = |failure| matches!(failure, Some(FailureKind::Auth | FailureKind::Dns));
    if assessments.values().all(|assessment| ours(direct_failure(assessment))) {
        return Some(FreezeCause::AuthOrDnsEverywhere);
    }
    let open: Vec<&Assessment> = assessments
        .iter()
        .filter(|(stamp, _)| {
            state.cases.get(*stamp).is_some_and(|case| case.gate == crate::GatePosition::Open)
        })
        .map(|(_, assessment)| assessment)
        .collect();
    let edge_red =
        |assessment: &&Assessment| assessment.view(EvidenceClass::Edge).verdict == Verdict::Unhealthy;
    if !open.is_empty() && open.iter().all(|assessment| edge_red(assessment) && assessment.direct_healthy()) {
        return Some(FreezeCause::EdgeRedDirectGreen);
    }
    (most_turned_bad_at_once(state, assessments, policy)).then_some(FreezeCause::MostRegionsAtOnce)
}

/// Regions already out by us, and regions merely full, are not counted as turning bad. A gray failure counts: a partial
/// fault of what all regions share took one of them out, since its ratio was over budget everywhere and total nowhere.
fn most_turned_bad_at_once(
    state: &WorkloadState,
    assessments: &BTreeMap<StampId, Assessment>,
    policy: &Policy,
) -> bool {
    let mut turned: Vec<Timestamp> = assessments
        .iter()
        .filter(|(stamp, _)| state.cases.get(*stamp).is_some_and(|case| case.decided_at.is_none()))
        .filter(|(_, assessment)| !matches!(assessment.condition, Condition::Overloaded { .. }))
        .filter_map(|(_, assessment)| {
            VOICES
                .iter()
                .map(|class| assessment.view(*class))
                .filter(|view| view.is_bad())
                .filter_map(|view| view.bad_since)
                .min()
        })
        .collect();
    turned.sort();
    let window = policy.freeze.detection_window.get();
    let most_at_once = turned
        .iter()
        .map(|start| turned.iter().filter(|at| **at >= *start && at.since(*start) <= window).count())
        .max();
    most_at_once.unwrap_or(0) * 2 > assessments.len()
}
