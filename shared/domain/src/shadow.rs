//! Shadow mode: what would be done if every cause were allowed to act. The same judgement under a policy whose modes are
//! lifted, never a second code path; what comes out is recorded as not enforced and enters neither state nor ledger.
//!
//! It is judged afresh from the real world each time and has no memory: a removal that was only recorded took nothing
//! out, so it spends no budget, starts no velocity span, and what would follow on it (latch, window, return) is not
//! played.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decide::{HoldReason, Ruling, Situation};
use crate::judge::Judgement;
use crate::lint::Finding;
use crate::policy::{Mode, ModesPolicy, Policy};
use crate::state::StampCase;
use crate::{Actuator, StampId, Step};

/// What would have been done beyond what is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// The rulings that would be others.
    pub rulings: BTreeMap<StampId, Ruling>,
    /// The cases that would become others.
    pub cases: BTreeMap<StampId, StampCase>,
    /// The steps that would be planned besides. None of them is ever stored as a step.
    pub steps: Vec<Step>,
    /// What lint would refuse.
    pub findings: Vec<Finding>,
    /// How it is to be told.
    pub told: Told,
}

/// Whether an operator is told of what was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Some of it is in mode `advise`.
    Advice,
    /// All of it is in mode `observe`: the record has it, nobody is called.
    RecordOnly,
}

impl Shadow {
    /// What makes two of them the same in an operator's eyes: no numbers that move with the load.
    pub(crate) fn essence(&self) -> (BTreeMap<&StampId, String>, BTreeSet<(&StampId, Actuator)>) {
        let rulings =
            self.rulings.iter().map(|(stamp, ruling)| (stamp, crate::explain::action(&ruling.action)));
        let steps = self.steps.iter().map(|step| (step.effect.stamp(), step.effect.actuator()));
        (rulings.collect(), steps.collect())
    }

    /// As the audit holds it: marked as not enforced, each step with its undo time.
    pub(crate) fn in_record(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                json!({
                    "enforced": false,
                    "step": step,
                    "in_words": crate::explain::effect(&step.effect),
                    "undo_s": step.effect.undo_time_max().as_secs(),
                })
            })
            .collect();
        json!({
            "enforced": false,
            "told": self.told,
            "rulings": self.rulings,
            "cases": self.cases,
            "steps": steps,
            "findings": self.findings,
        })
    }
}

/// The shadow of a judgement; none where nothing more would be done. Costs nothing while every mode is `act`.
pub(crate) fn shadow(
    enforced: &Judgement,
    situation: &Situation,
    policy: &Policy,
    judge: impl Fn(&Situation, &Policy) -> Judgement,
) -> Option<Shadow> {
    let lifted = |from: &[Mode]| {
        let mut policy = policy.clone();
        policy.modes = lift(&policy.modes, from);
        difference(enforced, judge(situation, &policy))
    };
    if lift(&policy.modes, &[Mode::Observe, Mode::Advise]) == policy.modes {
        return None;
    }
    let mut shadow = lifted(&[Mode::Observe, Mode::Advise])?;
    if lifted(&[Mode::Advise]).is_some() {
        shadow.told = Told::Advice;
    }
    Some(shadow)
}

fn lift(modes: &ModesPolicy, from: &[Mode]) -> ModesPolicy {
    let lifted = |mode: Mode| if from.contains(&mode) { Mode::Act } else { mode };
    ModesPolicy {
        hard_loss: lifted(modes.hard_loss),
        gray: lifted(modes.gray),
        platform_alert: lifted(modes.platform_alert),
        overload: lifted(modes.overload),
        readmit: lifted(modes.readmit),
    }
}

fn difference(enforced: &Judgement, lifted: Judgement) -> Option<Shadow> {
    let (real, would) = (&enforced.decision, lifted.decision);
    let mut rulings = would.rulings;
    rulings.retain(|stamp, ruling| real.rulings.get(stamp) != Some(ruling));
    let mut cases = would.cases;
    cases.retain(|stamp, case| real.cases.get(stamp) != Some(case));
    let mut steps = lifted.plan.created;
    steps.retain(|step| !enforced.plan.created.iter().any(|real| real.effect.same_target(&step.effect)));
    let findings = lifted.findings.into_iter().filter(|found| !enforced.findings.contains(found)).collect();
    let nothing = rulings.is_empty() && cases.is_empty() && steps.is_empty();
    (!nothing).then_some(Shadow { rulings, cases, steps, findings, told: Told::RecordOnly })
}

/// The hold of a cause whose mode does not let it act; none when it may.
pub(crate) const fn hold_of(mode: Mode) -> Option<HoldReason> {
    match mode {
        Mode::Observe => Some(HoldReason::ModeObserve),
        Mode::Advise => Some(HoldReason::ModeAdvise),
        Mode::Act => None,
    }
}
