//! What a record says beyond the decision: the rules that fired, what was rejected and why, what would have had to be
//! otherwise, and what the survivors would carry. All of it follows from the situation and the decision, and it is
//! worked out only when a record is written or somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::alternatives::{Rejected, WhyNot, rejected};
use crate::assess::{Condition, Rule};
use crate::capacity::{Share, ready_instances, shares_without};
use crate::counterfactual::{Change, Counterfactual, nearest};
use crate::decide::{Action, Decision, HoldReason, Situation, StepBackReason, WaitReason, takes_nothing};
use crate::evidence::Discount;
use crate::harm::{self, Harm};
use crate::judge::Judgement;
use crate::lint::SafetyRule;
use crate::notice::{Notice, notices};
use crate::overriding::Overridable;
use crate::policy::Policy;
use crate::state::{Cause, FreezeCause, RampRun, Stage, StampCase, WorkloadState};
use crate::{Actuator, EvidenceClass, StampId, Timestamp, Verdict};

/// The explanation of one judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What the record is to its reader.
    pub notices: BTreeSet<Notice>,
    /// The rules that fired.
    pub fired: Vec<Fired>,
    /// What was not done instead.
    pub alternatives: Vec<Rejected>,
    /// The nearest counterfactual of each stamp.
    pub counterfactuals: Vec<Counterfactual>,
    /// What the survivors would carry, for each stamp about whose removal something was ruled.
    pub survivors: Vec<Survivors>,
}

/// A rule that fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// About which stamp; none for the whole workload.
    pub stamp: Option<StampId>,
    /// Which.
    pub rule: FiredRule,
}

/// The rules by which something was ruled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum FiredRule {
    /// It fails.
    Fails {
        /// Why.
        cause: Cause,
        /// By which rule of fusion.
        by: Rule,
    },
    /// It is full, not dead.
    Full,
    /// An active alert names its region.
    Alerted,
    /// A class has no vote.
    Discounted {
        /// The class.
        class: EvidenceClass,
        /// Why.
        because: Discount,
    },
    /// Removals are frozen.
    Frozen {
        /// Why.
        cause: FreezeCause,
    },
    /// Something is forbidden.
    Held {
        /// Why.
        reason: HoldReason,
    },
    /// Something is awaited.
    Awaited {
        /// What.
        on: WaitReason,
    },
    /// It is out again.
    SteppedBack {
        /// Why.
        because: StepBackReason,
    },
    /// It does not grow.
    CannotGrow,
    /// An operator set a safety rule aside for this removal.
    Overridden {
        /// Which.
        safety: Overridable,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// A safety rule refused a step.
    Refused {
        /// Which.
        safety: SafetyRule,
        /// The actuator of the step.
        actuator: Actuator,
    },
}

/// What the others would carry without one stamp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survivors {
    /// Without which.
    pub without: StampId,
    /// What each of them must carry, and can.
    pub shares: BTreeMap<StampId, Share>,
    /// What would fail if all of it were taken out now, and if nothing were done.
    pub harm: Harm,
}

impl Explanation {
    /// Explains a judgement.
    pub fn of(situation: &Situation, judgement: &Judgement, policy: &Policy) -> Self {
        let after = After::new(situation, &judgement.decision, policy);
        Self {
            notices: notices(situation, judgement),
            fired: fired(&after, judgement),
            alternatives: rejected(&after),
            counterfactuals: nearest(&after),
            survivors: after.told().filter_map(|(stamp, case)| after.survivors(stamp, case)).collect(),
        }
    }

    /// As the audit holds it: each alternative and counterfactual with its words.
    pub(crate) fn in_record(&self, as_of: Timestamp) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or(Value::Null);
        for (at, rejected) in self.alternatives.iter().enumerate() {
            value["alternatives"][at]["in_words"] = json!(crate::explain::why::rejected(rejected));
        }
        for (at, counterfactual) in self.counterfactuals.iter().enumerate() {
            value["counterfactuals"][at]["in_words"] =
                json!(crate::explain::why::counterfactual(counterfactual, as_of));
        }
        value
    }
}

/// The world as it was decided, to ask what the rulings asked.
pub(crate) struct After<'a> {
    pub(crate) decision: &'a Decision,
    pub(crate) policy: &'a Policy,
    /// The state with the cases as decided.
    pub(crate) state: WorkloadState,
    before: &'a WorkloadState,
}

impl<'a> After<'a> {
    fn new(situation: &'a Situation, decision: &'a Decision, policy: &'a Policy) -> Self {
        let mut state = situation.state.to_decide_on();
        state.cases.clone_from(&decision.cases);
        state.freeze_ended_at = decision.freeze_ended_at;
        Self { decision, policy, state, before: &situation.state }
    }

    /// The stamps about which there is something to say: not those that serve with nothing against them.
    pub(crate) fn told(&self) -> impl Iterator<Item = (&'a StampId, &'a StampCase)> {
        let decision = self.decision;
        decision.cases.iter().filter(move |(stamp, case)| {
            let calm = decision.rulings.get(*stamp).is_none_or(|ruling| ruling.action == Action::Stay);
            decision.assessments.contains_key(*stamp) && !(case.stage == Stage::Serving && calm)
        })
    }

    pub(crate) fn action(&self, stamp: &StampId) -> &'a Action {
        self.decision.rulings.get(stamp).map_or(&Action::Stay, |ruling| &ruling.action)
    }

    pub(crate) fn shares_without(&self, stamp: &StampId) -> BTreeMap<StampId, Share> {
        let lost = |other: &StampId| {
            self.decision.assessments.get(other).is_some_and(|found| takes_nothing(found, self.state.as_of))
        };
        let out = self
            .state
            .cases
            .iter()
            .filter(|(other, case)| *other == stamp || case.decided_at.is_some() || lost(other));
        shares_without(&self.state, &out.map(|(other, _)| other.clone()).collect(), self.policy)
    }

    /// Requests per second by which the survivors miss what they would have to carry.
    pub(crate) fn shortfall_rps(&self, stamp: &StampId) -> f64 {
        let shares = self.shares_without(stamp);
        shares
            .values()
            .map(|share| (share.demand_rps * crate::lint::S2_MARGIN - share.ready_rps).max(0.0))
            .sum()
    }

    /// Why doing nothing was rejected.
    pub(crate) fn if_left(&self, stamp: &StampId) -> WhyNot {
        let assessment = &self.decision.assessments[stamp];
        if assessment.is_dropped_by_front_door() {
            return WhyNot::ComesBackHalfAlive;
        }
        let gets = self.before.cases.get(stamp).map_or(100, |case| case.gate.percent());
        let demand = self.state.cases[stamp].demand_rps * f64::from(gets) / 100.0;
        WhyNot::GoesOnFailing { rps: demand * harm::failing_share(assessment) }
    }

    pub(crate) fn latch_due(&self, stamp: &StampId) -> Option<Timestamp> {
        let direct = &self.decision.assessments[stamp].views[&EvidenceClass::Direct];
        Some(direct.bad_since? + self.policy.latch.after.get())
    }

    /// For how long a second class must agree with what speaks against the stamp now.
    pub(crate) fn second_class_needs(&self, stamp: &StampId) -> Duration {
        let assessment = &self.decision.assessments[stamp];
        let mut bad = assessment
            .views
            .iter()
            .filter(|(class, view)| **class != EvidenceClass::Platform && view.is_bad())
            .map(|(_, view)| view.verdict)
            .peekable();
        // With nothing against it yet, total loss is what two classes would have to say.
        let hard = bad.peek().is_none() || bad.any(|verdict| verdict == Verdict::Unhealthy);
        let wait = if hard { self.policy.confirm.after.get() } else { self.policy.gray.confirm_after.get() };
        if assessment.platform_active { wait.mul_f64(self.policy.confirm.platform_factor) } else { wait }
    }

    /// Classes with a voice that speak against the stamp.
    pub(crate) fn bad_classes(&self, stamp: &StampId) -> usize {
        let views = &self.decision.assessments[stamp].views;
        views.iter().filter(|(class, view)| **class != EvidenceClass::Platform && view.is_bad()).count()
    }

    /// The instances by which each stamp misses the requests per second it would have to carry; none where none does.
    pub(crate) fn more_ready(&self, needed: &BTreeMap<StampId, f64>) -> Option<Change> {
        let instances: BTreeMap<StampId, u32> = needed
            .iter()
            .filter_map(|(stamp, rps)| {
                let ready = ready_instances(&self.state, stamp).unwrap_or(0);
                let enough = f64::from(ready) * self.policy.capacity.instance_rps >= *rps;
                let more = crate::capacity::instances_for(*rps, self.policy).saturating_sub(ready);
                (!enough).then(|| (stamp.clone(), more.max(1)))
            })
            .collect();
        (!instances.is_empty()).then_some(Change::MoreReady { instances })
    }

    /// Requests per second that the slice just closed was allowed to bring.
    pub(crate) fn allowed_before(&self, stamp: &StampId) -> f64 {
        let Some(before) = self.before.cases.get(stamp) else { return 0.0 };
        let demand = self.state.cases[stamp].demand_rps;
        let allowed =
            |ramp: RampRun| crate::decide::load_allowed(demand, before.busy_slice, ramp.slice, self.policy);
        before.ramp.map_or(0.0, allowed)
    }

    fn survivors(&self, stamp: &StampId, case: &StampCase) -> Option<Survivors> {
        let of_removal = match self.action(stamp) {
            Action::Cordon { .. }
            | Action::CloseGate
            | Action::CloseByOverride
            | Action::EvacuatePartly { .. }
            | Action::Latch
            | Action::StepBack { .. }
            | Action::Wait { on: WaitReason::SurvivorsReady } => true,
            Action::Hold { .. } => case.stage != Stage::Proving,
            _ => false,
        };
        let from = self.before.cases.get(stamp).map_or(100, |case| case.gate.percent());
        of_removal.then(|| Survivors {
            without: stamp.clone(),
            shares: self.shares_without(stamp),
            harm: harm::of_removal(
                &self.state,
                stamp,
                (from, 0),
                &self.decision.assessments[stamp],
                self.policy,
            ),
        })
    }
}

/// Whether more of a stamp is taken out by it: what an override is for.
pub(crate) const fn takes_more_out(action: &Action) -> bool {
    matches!(
        action,
        Action::Cordon { .. } | Action::CloseGate | Action::CloseByOverride | Action::EvacuatePartly { .. }
    )
}

fn fired(after: &After<'_>, judgement: &Judgement) -> Vec<Fired> {
    let decision = after.decision;
    let mut fired: Vec<Fired> = Vec::new();
    fired.extend(
        decision.freeze.map(|freeze| Fired { stamp: None, rule: FiredRule::Frozen { cause: freeze.cause } }),
    );
    for (stamp, case) in after.told() {
        let mut add = |rule| fired.push(Fired { stamp: Some(stamp.clone()), rule });
        let assessment = &decision.assessments[stamp];
        match &assessment.condition {
            Condition::Failing { cause, by, .. } => add(FiredRule::Fails { cause: *cause, by: by.clone() }),
            Condition::Overloaded { .. } => add(FiredRule::Full),
            _ => {}
        }
        if assessment.platform_active {
            add(FiredRule::Alerted);
        }
        for (class, view) in &assessment.views {
            if let Some(because) = view.discounted {
                add(FiredRule::Discounted { class: *class, because });
            }
        }
        match after.action(stamp) {
            Action::Hold { reason } => add(FiredRule::Held { reason: *reason }),
            Action::Wait { on } => add(FiredRule::Awaited { on: *on }),
            Action::StepBack { why } => add(FiredRule::SteppedBack { because: *why }),
            _ => {}
        }
        if case.cannot_grow.is_some() {
            add(FiredRule::CannotGrow);
        }
        if takes_more_out(after.action(stamp)) {
            for (safety, given) in &case.overrides {
                let (by, why) = (given.by.clone(), given.reason.clone());
                add(FiredRule::Overridden { safety: *safety, by, why });
            }
        }
    }
    fired.extend(judgement.findings.iter().map(|finding| Fired {
        stamp: Some(finding.stamp.clone()),
        rule: FiredRule::Refused { safety: finding.rule, actuator: finding.actuator },
    }));
    fired
}
