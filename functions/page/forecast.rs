//! What the next evaluation would do, and why not: judged now, nothing committed.

use domain::decide::Situation;
use domain::explanation::Explanation;
use domain::judge::{Judgement, judge};
use domain::modes::in_force;
use domain::{Policy, Timestamp, explain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A judgement that nobody commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Judged at.
    pub as_of: Timestamp,
    /// One sentence.
    pub headline: String,
    /// Why, and why not.
    pub because: Vec<String>,
    /// Steps that would be planned.
    pub steps: Vec<PlannedStep>,
    /// Steps already under way, in words.
    pub under_way: Vec<String>,
    /// What the safety rules would refuse.
    pub refused: Vec<String>,
    /// What was not done instead, and why not.
    #[serde(default)]
    pub alternatives: Vec<String>,
    /// What would have had to be otherwise.
    #[serde(default)]
    pub counterfactuals: Vec<String>,
    /// What would be done besides if every cause were allowed to act.
    #[serde(default)]
    pub unenforced: Vec<String>,
}

/// A step that would be planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// In words.
    pub text: String,
    /// Seconds to undo it, at the longest.
    pub undo_s: u64,
}

impl Forecast {
    /// Judges a situation.
    pub fn of(situation: &Situation, policy: &Policy) -> Self {
        Self::from_judgement(situation, &judge(situation, policy), &in_force(policy, &situation.state))
    }

    /// A judgement in words.
    pub(super) fn from_judgement(situation: &Situation, judgement: &Judgement, policy: &Policy) -> Self {
        let explanation = Explanation::of(situation, judgement, policy);
        let as_of = situation.state.as_of;
        let (headline, because) = explain::decision(&judgement.decision);
        let steps = judgement.plan.created.iter().map(|step| PlannedStep {
            text: explain::effect(&step.effect),
            undo_s: step.effect.undo_time_max().as_secs(),
        });
        let live = situation.steps.iter().filter(|stored| stored.step.is_live());
        let refused = judgement.findings.iter();
        Self {
            as_of: situation.state.as_of,
            headline,
            because,
            steps: steps.collect(),
            under_way: live.map(|stored| explain::effect(&stored.step.effect)).collect(),
            refused: refused
                .map(|finding| format!("{}: {:?}: {}", finding.stamp, finding.rule, finding.text))
                .collect(),
            alternatives: explanation.alternatives.iter().map(explain::why::rejected).collect(),
            counterfactuals: explanation
                .counterfactuals
                .iter()
                .map(|found| explain::why::counterfactual(found, as_of))
                .collect(),
            unenforced: judgement.shadow.as_ref().map(explain::shadow).unwrap_or_default(),
        }
    }
}
