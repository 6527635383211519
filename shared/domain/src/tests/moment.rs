//! One moment of an incident, of which one thing is changed: what a ruling makes of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::{Action, Decision, GateRead, Ruling, Situation, decide};
use crate::evidence::WITNESS;
use crate::facts::LoadFacts;
use crate::gate::{GATE_SCHEMA, GateDocument};
use crate::overriding::{Overridable, Override};
use crate::state::{Approval, ByHand, Freeze, FreezeCause, Pause, Stage, StampCase, Track};
use crate::testing::{Direct, NO_GENERATION, Story};
use crate::{EvidenceClass, GatePosition, StampId, Timestamp};

pub(crate) const LOST: &str = "eastus2";
pub(crate) const OTHER: &str = "centralus";
pub(crate) const THIRD: &str = "westus";

pub(crate) const MOMENT: Duration = Duration::from_millis(1);

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An evaluation that is about to be made.
#[derive(Clone)]
pub(crate) struct Moment {
    pub(crate) story: Story,
    pub(crate) situation: Situation,
}

pub(crate) type Change = fn(&mut Moment);

impl Moment {
    /// The next one of a story.
    pub(crate) fn next(mut story: Story) -> Self {
        let situation = story.look_again();
        Self { story, situation }
    }

    /// The one that cordons `LOST` of three.
    pub(crate) fn of_a_cordon() -> Self {
        Self::next(Story::about_to_cordon())
    }

    /// One in which a gray `LOST` of so many waits for survivors.
    pub(crate) fn of_a_wait(count: usize) -> Self {
        Self::next(waiting(count))
    }

    /// One in which `LOST` of two is well again, and its window runs.
    pub(crate) fn of_a_window() -> Self {
        Self::next(proving())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.situation.state.as_of
    }

    pub(crate) fn ago(&self, span: Duration) -> Timestamp {
        self.now().before(span)
    }

    pub(crate) fn case(&mut self, stamp: &str) -> &mut StampCase {
        self.situation.state.cases.get_mut(&StampId::from(stamp)).unwrap()
    }

    pub(crate) fn load(&mut self, stamp: &str) -> &mut LoadFacts {
        self.situation.state.load.get_mut(&StampId::from(stamp)).unwrap()
    }

    /// What our own probes of `LOST` saw.
    pub(crate) fn probes(&mut self) -> &mut Track {
        let evidence = Arc::make_mut(&mut self.situation.state.evidence);
        let of_stamp = evidence.get_mut(&StampId::from(LOST)).unwrap();
        of_stamp.get_mut(&EvidenceClass::Direct).unwrap().get_mut(WITNESS).unwrap()
    }

    pub(crate) fn sets_aside(&mut self, rule: Overridable) {
        let now = self.now();
        let (by, reason) = ("ada".to_owned(), "drill".to_owned());
        let given = Override { by, reason, at: now, until: now + s(60), generation: NO_GENERATION };
        self.case(LOST).overrides.insert(rule, given);
    }

    pub(crate) fn approves(&mut self) {
        self.case(LOST).approval = Some(Approval { by: "ada".into(), generation: NO_GENERATION });
    }

    pub(crate) fn orders_out(&mut self) {
        let at = self.now();
        self.case(LOST).by_hand = Some(ByHand { by: "ada".into(), reason: "drill".into(), at });
    }

    pub(crate) fn freezes(&mut self) {
        let now = self.now();
        let cause = FreezeCause::EdgeRedDirectGreen;
        self.situation.state.freeze = Some(Freeze { cause, since: now, last_seen: now });
    }

    /// A pause since half an hour that lasts so long from now.
    pub(crate) fn pauses(&mut self, left: Duration) {
        let (since, until) = (self.ago(s(1_800)), self.now() + left);
        let pause = Pause { by: "ada".into(), reason: "drill".into(), until, since, told_at: None };
        self.situation.state.pause = Some(pause);
    }

    pub(crate) fn decision(&self, change: impl Fn(&mut Self)) -> Decision {
        let mut changed = self.clone();
        change(&mut changed);
        decide(&changed.situation, &changed.story.policy, &BTreeSet::new())
    }

    /// What becomes of `LOST`, and why.
    pub(crate) fn ruled(&self, change: impl Fn(&mut Self)) -> (StampCase, Ruling) {
        let mut decision = self.decision(change);
        let stamp = StampId::from(LOST);
        (decision.cases.remove(&stamp).unwrap(), decision.rulings.remove(&stamp).unwrap())
    }

    pub(crate) fn action(&self, change: impl Fn(&mut Self)) -> Action {
        self.ruled(change).1.action
    }
}

/// A gray `LOST` of so many waits for survivors that have two instances each.
pub(crate) fn waiting(count: usize) -> Story {
    let mut story = Story::calm(count);
    for (stamp, scene) in &mut story.scenes {
        scene.ready = if stamp.as_str() == LOST { 4 } else { 2 };
    }
    story.scene(LOST).direct = Direct::Errors(4);
    story.scene(LOST).traffic = Some(20);
    story.until(LOST, Stage::Evacuating, 400);
    story
}

/// `LOST` of two was out, is well again, and its window runs.
pub(crate) fn proving() -> Story {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Proving, 300);
    story
}

/// The gate of `LOST` as it may be read.
pub(crate) fn document(position: GatePosition, expires_at: Timestamp) -> GateRead {
    let document = GateDocument {
        schema: GATE_SCHEMA,
        stamp: LOST.into(),
        position,
        generation: NO_GENERATION,
        heartbeat_at: expires_at.before(s(14_400)),
        expires_at,
        reopen_percents: vec![5, 25, 50],
        reopen_step_s: 180,
        reason: String::new(),
    };
    GateRead::Is { document }
}
