//! What would have had to be otherwise: for each stamp the nearest change of the situation that changes its ruling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assess::{Condition, Rule};
use crate::decide::{Action, HoldReason, StepBackReason, WaitReason};
use crate::explanation::After;
use crate::state::{Stage, StampCase};
use crate::{EvidenceClass, StampId, Timestamp, Verdict};

/// What would have been ruled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Would {
    /// It would have been cordoned.
    Cordon,
    /// It would not have been cordoned.
    NotCordon,
    /// All of its gate would have been closed.
    CloseGate,
    /// Its origin would have been disabled.
    Latch,
    /// It would have come back, or gone on coming back.
    Return,
    /// It would not have been taken out again.
    NotStepBack,
    /// It would have been taken out again.
    StepBack,
    /// Suspicion would have ended.
    Clear,
}

/// The change that would have brought it about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A second class had agreed since `since`: then at `at`.
    SecondClass {
        /// Since then at the latest.
        since: Timestamp,
        /// When it would have been enough; not later than the ruling, or a moment to come.
        at: Timestamp,
    },
    /// Two classes with a voice had agreed since that moment at the latest: an alert has none.
    TwoClasses {
        /// That moment.
        since: Timestamp,
    },
    /// Everything had stayed as it is until that moment.
    Lasts {
        /// That moment.
        until: Timestamp,
    },
    /// That moment had come; nothing else is missing.
    Passes {
        /// That moment, where it is known.
        at: Option<Timestamp>,
    },
    /// This class had not contradicted.
    NoContradiction {
        /// The class.
        class: EvidenceClass,
    },
    /// This class had not spoken against it.
    Without {
        /// The class.
        class: EvidenceClass,
    },
    /// Any other class had seen it healthy.
    Contradicted,
    /// These stamps had had so many more ready instances.
    MoreReady {
        /// Instances, by stamp.
        instances: BTreeMap<StampId, u32>,
    },
    /// It had been healthy.
    Healthy,
    /// Our own probes had seen it.
    Observed,
    /// So much less load had arrived, in requests per second.
    LessLoad {
        /// Requests per second, rounded up.
        rps: u64,
    },
    /// Another stamp had served.
    AnotherServes,
    /// Another origin had been enabled.
    AnotherOrigin,
    /// The freeze had ended.
    NoFreeze,
    /// An operator had approved.
    Approved,
    /// An operator had acknowledged.
    Acknowledged,
    /// An operator had released it.
    Released,
    /// The pause had ended.
    Resumed,
    /// What could not be read, or is too old, had been read.
    Readable,
    /// The mode of its cause had been `act`.
    Acts,
}

/// The nearest counterfactual of one stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// Of which stamp.
    pub stamp: StampId,
    /// What would have been ruled.
    pub would: Would,
    /// If this had been so.
    pub change: Change,
}

/// The nearest counterfactual of each stamp that has one. None where it only waits for its own gate, serves with nothing
/// against it, or is barred by lint, whose finding says why.
pub(crate) fn nearest(after: &After<'_>) -> Vec<Counterfactual> {
    after
        .told()
        .filter_map(|(stamp, case)| {
            let (would, change) = of_stamp(after, stamp, case)?;
            Some(Counterfactual { stamp: stamp.clone(), would, change })
        })
        .collect()
}

fn of_stamp(after: &After<'_>, stamp: &StampId, case: &StampCase) -> Option<(Would, Change)> {
    match after.action(stamp) {
        Action::Hold { reason } => Some((held_back(case, *reason), lifted(after, stamp, case, *reason)?)),
        Action::Wait { on } => awaited(after, stamp, case, *on),
        Action::Suspect | Action::Stay => unconfirmed(after, stamp),
        Action::Cordon { by, .. } => Some((Would::NotCordon, unmade(by)?)),
        Action::EvacuatePartly { .. } => Some((Would::CloseGate, missing(after, stamp)?)),
        Action::StepBack { why } => Some((Would::NotStepBack, not_stepped_back(after, stamp, *why)?)),
        Action::RestartWindow => Some((Would::Return, Change::Healthy)),
        _ => None,
    }
}

/// What a hold holds back.
const fn held_back(case: &StampCase, reason: HoldReason) -> Would {
    match case.stage {
        Stage::Serving | Stage::Suspect | Stage::Held => Would::Cordon,
        Stage::Evacuating => Would::CloseGate,
        Stage::Cordoned => Would::Latch,
        Stage::Proving => Would::Return,
        Stage::Readmitting if matches!(reason, HoldReason::MoreHarm) => Would::StepBack,
        Stage::Readmitting => Would::Return,
    }
}

fn lifted(after: &After<'_>, stamp: &StampId, case: &StampCase, reason: HoldReason) -> Option<Change> {
    let state = &after.state;
    let policy = after.policy;
    let passes = |at: Option<Timestamp>| Change::Passes { at };
    Some(match reason {
        HoldReason::Operator => Change::Released,
        HoldReason::Paused => Change::Resumed,
        HoldReason::Frozen => Change::NoFreeze,
        HoldReason::Quiet => passes(state.quiet_until),
        HoldReason::Velocity => {
            passes(state.last_removal_at.map(|last| last + policy.velocity.one_region_per.get()))
        }
        HoldReason::NeedsApproval => Change::Approved,
        HoldReason::BudgetSpent => {
            let span = policy.budget.span.get();
            let counted = case.auto_cordons.iter().find(|at| state.as_of.since(**at) < span);
            passes(counted.map(|first| *first + span))
        }
        HoldReason::NeedsAcknowledgement => Change::Acknowledged,
        HoldReason::LastServing => Change::AnotherServes,
        HoldReason::CapacityShort | HoldReason::MoreHarm => missing(after, stamp)?,
        HoldReason::TopologyStale | HoldReason::GateUnreadable | HoldReason::FactsStale => Change::Readable,
        HoldReason::ModeObserve | HoldReason::ModeAdvise => Change::Acts,
        HoldReason::OriginsRemaining => Change::AnotherOrigin,
        HoldReason::Draining | HoldReason::Safety => return None,
    })
}

fn awaited(after: &After<'_>, stamp: &StampId, case: &StampCase, on: WaitReason) -> Option<(Would, Change)> {
    let next_at = after.decision.rulings.get(stamp).and_then(|ruling| ruling.next_at);
    let passes = Change::Passes { at: next_at };
    Some(match on {
        WaitReason::Confirmation | WaitReason::Contradiction => return unconfirmed(after, stamp),
        WaitReason::SurvivorsReady => (Would::CloseGate, missing(after, stamp)?),
        WaitReason::Recovery if case.stage == Stage::Cordoned => (Would::Return, Change::Healthy),
        WaitReason::Recovery => (Would::Clear, passes),
        WaitReason::Window if next_at.is_some_and(|at| at <= after.state.as_of) => {
            (Would::Return, Change::Observed)
        }
        WaitReason::Window | WaitReason::OriginSettled | WaitReason::Stagger | WaitReason::SliceWatched => {
            (Would::Return, passes)
        }
        WaitReason::SliceLoad => (Would::Return, passes),
        WaitReason::ReturnCapacity => {
            let needed = case.demand_rps * after.policy.capacity.return_ready_share;
            (Would::Return, after.more_ready(&BTreeMap::from([(stamp.clone(), needed)]))?)
        }
        WaitReason::GatedView => (Would::Return, Change::Readable),
        WaitReason::OverloadRelief => {
            let arrives = after.state.load.get(stamp)?.requests_per_second;
            (Would::Clear, after.more_ready(&BTreeMap::from([(stamp.clone(), arrives)]))?)
        }
        WaitReason::GateEffective => return None,
    })
}

/// Something speaks against it, not enough.
fn unconfirmed(after: &After<'_>, stamp: &StampId) -> Option<(Would, Change)> {
    let assessment = &after.decision.assessments[stamp];
    let as_of = after.state.as_of;
    let needs = after.second_class_needs(stamp);
    let Condition::Suspicious { since, confirmed_at, contradicted_by } = &assessment.condition else {
        // An alert alone makes it suspect, and is no voice.
        let change = Change::TwoClasses { since: as_of.before(needs) };
        return assessment.platform_active.then_some((Would::Cordon, change));
    };
    let since = (*since).max(after.state.freeze_ended_at.unwrap_or_default());
    let at = since.max(as_of.before(needs)) + needs;
    let change = match (confirmed_at, contradicted_by) {
        (Some(until), _) if until.since(as_of) <= needs => Change::Lasts { until: *until },
        (None, Some(class)) if after.bad_classes(stamp) > 1 => Change::NoContradiction { class: *class },
        _ => Change::SecondClass { since: at.before(needs), at },
    };
    Some((Would::Cordon, change))
}

/// Without which its rule would not have been satisfied.
fn unmade(by: &Rule) -> Option<Change> {
    Some(match by {
        Rule::TwoClasses { classes } => match classes.last() {
            Some(class) => Change::Without { class: *class },
            None => Change::Contradicted,
        },
        Rule::OneClassAlone { .. } => Change::Contradicted,
        Rule::Ordered => return None,
    })
}

fn missing(after: &After<'_>, stamp: &StampId) -> Option<Change> {
    let shares = after.shares_without(stamp);
    let needed = shares
        .into_iter()
        .map(|(survivor, share)| (survivor, share.demand_rps * crate::lint::S2_MARGIN))
        .collect();
    after.more_ready(&needed)
}

fn not_stepped_back(after: &After<'_>, stamp: &StampId, why: StepBackReason) -> Option<Change> {
    let assessment = &after.decision.assessments[stamp];
    Some(match why {
        StepBackReason::BadSample => {
            let bad = |verdict| matches!(verdict, Verdict::Degraded | Verdict::Unhealthy);
            let platform = |class: &EvidenceClass| *class == EvidenceClass::Platform;
            let (class, _) = assessment.views.iter().find(|(class, v)| !platform(class) && bad(v.verdict))?;
            Change::Without { class: *class }
        }
        StepBackReason::Unobserved => Change::Observed,
        StepBackReason::TooMuchLoad => {
            let arrives = after.state.load.get(stamp)?.requests_per_second;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a load is not negative"
            )]
            let rps = (arrives - after.allowed_before(stamp)).max(0.0).ceil() as u64;
            Change::LessLoad { rps }
        }
    })
}
