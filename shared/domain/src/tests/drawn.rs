//! A judgement drawn by hand: what is told of it is asked without a story that leads there.

use std::time::Duration;

use crate::alternatives::{Alternative, WhyNot};
use crate::assess::{Assessment, Condition};
use crate::counterfactual::{Change, Would};
use crate::decide::{Action, Ruling, Situation};
use crate::explanation::{Explanation, FiredRule, Survivors};
use crate::facts::LoadFacts;
use crate::judge::{Judgement, judge};
use crate::policy::Policy;
use crate::state::{Stage, StampCase};
use crate::testing::Story;
use crate::{EvidenceClass, StampId, Timestamp, Verdict};

pub(super) const LOST: &str = "eastus2";
pub(super) const OTHER: &str = "centralus";
pub(super) const THIRD: &str = "westus";

/// The smallest span that a timestamp tells apart.
pub(super) const MOMENT: Duration = Duration::from_millis(1);

pub(super) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A situation and what was made of it, both to be changed.
pub(super) struct Drawn {
    pub(super) situation: Situation,
    pub(super) judgement: Judgement,
    policy: Policy,
}

impl Drawn {
    /// `count` stamps that are well: 300 requests per second on four instances of 150 each.
    pub(super) fn calm(count: usize) -> Self {
        let story = Story::calm(count);
        let situation = story.situation(&[]);
        let judgement = judge(&situation, &story.policy);
        Self { situation, judgement, policy: story.policy }
    }

    /// The same with `stamp` in `stage`, and `action` ruled about it.
    pub(super) fn ruled(count: usize, stage: Stage, action: Action) -> Self {
        let mut drawn = Self::calm(count);
        drawn.after(LOST).stage = stage;
        drawn.rule(LOST, action, None);
        drawn
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.situation.state.as_of
    }

    /// The case before the decision.
    pub(super) fn before(&mut self, stamp: &str) -> &mut StampCase {
        self.situation.state.cases.get_mut(&StampId::from(stamp)).unwrap()
    }

    /// The case as decided.
    pub(super) fn after(&mut self, stamp: &str) -> &mut StampCase {
        self.judgement.decision.cases.get_mut(&StampId::from(stamp)).unwrap()
    }

    pub(super) fn rule(&mut self, stamp: &str, action: Action, next_at: Option<Timestamp>) {
        self.judgement.decision.rulings.insert(stamp.into(), Ruling { action, next_at });
    }

    pub(super) fn assessment(&mut self, stamp: &str) -> &mut Assessment {
        self.judgement.decision.assessments.get_mut(&StampId::from(stamp)).unwrap()
    }

    pub(super) fn load(&mut self, stamp: &str) -> &mut LoadFacts {
        self.situation.state.load.get_mut(&StampId::from(stamp)).unwrap()
    }

    /// A class says this of a stamp for so long.
    pub(super) fn says(&mut self, stamp: &str, class: EvidenceClass, verdict: Verdict, span: Duration) {
        let since = Some(self.now().before(span));
        let view = self.assessment(stamp).views.get_mut(&class).unwrap();
        view.verdict = verdict;
        view.since = since;
        view.bad_since = since.filter(|_| view.is_bad());
    }

    /// An alert stands.
    pub(super) fn alert(&mut self, stamp: &str) {
        self.says(stamp, EvidenceClass::Platform, Verdict::Unhealthy, s(100));
        self.assessment(stamp).platform_active = true;
    }

    /// Something speaks against it for so long.
    pub(super) fn suspicious(
        &mut self,
        span: Duration,
        confirmed_at: Option<Timestamp>,
        contradicted_by: Option<EvidenceClass>,
    ) {
        let since = self.now().before(span);
        self.assessment(LOST).condition = Condition::Suspicious { since, confirmed_at, contradicted_by };
    }

    pub(super) fn explanation(&self) -> Explanation {
        Explanation::of(&self.situation, &self.judgement, &self.policy)
    }

    /// What would have had to be otherwise for it.
    pub(super) fn would(&self) -> Option<(Would, Change)> {
        let found = self.explanation().counterfactuals.into_iter().find(|of| of.stamp.as_str() == LOST);
        found.map(|found| (found.would, found.change))
    }

    /// What was not done about it instead.
    pub(super) fn rejected(&self) -> Vec<(Alternative, WhyNot)> {
        let all = self.explanation().alternatives.into_iter();
        all.filter(|of| of.stamp.as_str() == LOST).map(|of| (of.alternative, of.why)).collect()
    }

    /// The rules that fired about it.
    pub(super) fn fired(&self) -> Vec<FiredRule> {
        let all = self.explanation().fired.into_iter();
        all.filter(|of| of.stamp == Some(LOST.into())).map(|of| of.rule).collect()
    }

    /// What the others would carry without it.
    pub(super) fn survivors(&self) -> Option<Survivors> {
        self.explanation().survivors.into_iter().find(|of| of.without.as_str() == LOST)
    }
}
