//! What the rulings ask of the situation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::assess::{Assessment, Condition};
use crate::capacity::{self, Share};
use crate::evidence::WITNESS;
use crate::facts::OriginFacts;
use crate::harm::{self, Harm};
use crate::policy::{Mode, Policy};
use crate::state::{Cause, Freeze, StampCase, Track, WorkloadState};
use crate::step::Effect;
use crate::{EnabledState, EvidenceClass, GatePosition, Measure, StampId, Timestamp, Verdict};

use super::{Action, GateRead, HoldReason, Ruling, Situation, WaitReason};

/// An effective stamp counts as down for an emergency return when our own probes have failed for this long: two runs
/// of the observer.
const DOWN_AFTER: Duration = Duration::from_secs(10);

/// Share of the edge locations' probes from which a stamp takes over nothing: most of its clients are elsewhere.
const DROPPED_SHARE: f64 = 0.5;

/// Share of its demand from which a stamp still has all of its load: what nobody moved swings a little.
const ALL_HERE: f64 = 0.9;

/// Chance below which a row of good probes is no luck.
const LUCK: f64 = 0.05;

/// A ruling that something or somebody forbids acting.
pub(super) const fn hold(reason: HoldReason) -> Ruling {
    Ruling { action: Action::Hold { reason }, next_at: None }
}

/// A ruling that something is awaited.
pub(super) const fn wait(on: WaitReason, next_at: Option<Timestamp>) -> Ruling {
    Ruling { action: Action::Wait { on }, next_at }
}

/// A ruling that acts.
pub(super) const fn act(action: Action) -> Ruling {
    Ruling { action, next_at: None }
}

/// Failing by a rule, or dead by our own probes right now and not merely full: it carries nothing.
pub(super) fn is_lost(assessment: &Assessment, as_of: Timestamp) -> bool {
    if matches!(assessment.condition, Condition::Failing { cause: Cause::HardLoss, .. }) {
        return true;
    }
    let direct = &assessment.views[&EvidenceClass::Direct];
    let long_enough = direct.bad_since.is_some_and(|since| as_of.since(since) >= DOWN_AFTER);
    direct.verdict == Verdict::Unhealthy
        && long_enough
        && !matches!(assessment.condition, Condition::Overloaded { .. })
}

/// Lost, or dropped by most edge locations, whatever our own probes say: no load that moves arrives there, and its own has
/// moved already. (Simulation, seed 7000019.)
pub(crate) fn takes_nothing(assessment: &Assessment, as_of: Timestamp) -> bool {
    is_lost(assessment, as_of) || harm::moved_by_front_door(assessment) >= DROPPED_SHARE
}

/// One view of everything a ruling needs.
pub(super) struct World<'a> {
    pub(super) situation: &'a Situation,
    pub(super) policy: &'a Policy,
    /// The state with the cases decided so far.
    pub(super) state: &'a WorkloadState,
    pub(super) assessments: &'a BTreeMap<StampId, Assessment>,
    pub(super) freeze: Option<Freeze>,
}

impl World<'_> {
    pub(super) const fn as_of(&self) -> Timestamp {
        self.state.as_of
    }

    pub(super) fn case(&self, stamp: &StampId) -> &StampCase {
        &self.state.cases[stamp]
    }

    pub(super) fn assessment(&self, stamp: &StampId) -> &Assessment {
        &self.assessments[stamp]
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state.pause.as_ref().is_some_and(|pause| pause.until > self.as_of())
    }

    pub(super) fn mode(&self, cause: Cause) -> Mode {
        match cause {
            Cause::HardLoss => self.policy.modes.hard_loss,
            Cause::Gray => self.policy.modes.gray,
            // Who orders it has decided already.
            Cause::Order => Mode::Act,
        }
    }

    /// What the gates need (S8): a topology that is young enough and a gate store that answers.
    pub(super) fn gate_permission(&self, stamp: &StampId) -> Result<(), HoldReason> {
        let topology_age = self.state.topology.read_at.map(|read| self.as_of().since(read));
        if topology_age.is_none_or(|age| age > self.policy.limits.topology_age_max.get()) {
            return Err(HoldReason::TopologyStale);
        }
        match self.situation.gates.get(stamp) {
            Some(GateRead::Absent | GateRead::Is { .. }) => Ok(()),
            Some(GateRead::Unreadable) | None => Err(HoldReason::GateUnreadable),
        }
    }

    /// Whether the gate was read and keeps nobody out.
    pub(super) fn is_open_in_force(&self, stamp: &StampId) -> bool {
        match self.situation.gates.get(stamp) {
            Some(GateRead::Absent) => true,
            Some(GateRead::Is { document }) => {
                document.position == GatePosition::Open || self.as_of() >= document.expires_at
            }
            Some(GateRead::Unreadable) | None => false,
        }
    }

    /// What the origins need (S8): a fresh read of this one.
    pub(super) fn origin_is_fresh(&self, stamp: &StampId) -> bool {
        let read_at = self.state.origins.get(stamp).map(|origin| origin.read_at);
        read_at.is_some_and(|read| self.as_of().since(read) <= self.policy.limits.fact_age_max.get())
    }

    /// Every other stamp that takes traffic.
    pub(super) fn others_effective(&self, stamp: &StampId) -> Vec<&StampId> {
        self.state
            .cases
            .keys()
            .filter(|other| *other != stamp && capacity::is_effective(self.state, other))
            .collect()
    }

    /// Every other stamp that takes traffic and is not failing. Absence of evidence does not make it fail.
    pub(super) fn others_serving(&self, stamp: &StampId) -> Vec<&StampId> {
        self.others_effective(stamp)
            .into_iter()
            .filter(|other| !is_lost(self.assessment(other), self.as_of()))
            .collect()
    }

    /// Those of them whose gate lets somebody in as it binds now: a return that is only wanted serves nobody.
    pub(super) fn others_serving_now(&self, stamp: &StampId) -> Vec<&StampId> {
        let mut others = self.others_serving(stamp);
        others.retain(|other| self.situation.lets_somebody_in(other));
        others
    }

    /// Its latest direct probes succeeded so often in a row that what failed before is over for now: at the ratio before,
    /// such luck has less than one chance in twenty. The other classes are minutes late and cannot know yet.
    pub(super) fn has_turned_well(&self, stamp: &StampId) -> bool {
        let evidence =
            self.state.evidence.get(stamp).and_then(|evidence| evidence.get(&EvidenceClass::Direct));
        let Some(track) = evidence.and_then(|direct| direct.get(WITNESS)) else { return false };
        let measures = || track.measures.iter().rev().map(|timed| timed.measure);
        let clean: u64 =
            measures().take_while(|measure| measure.failed == 0).map(|measure| measure.total).sum();
        let before = measures().skip_while(|measure| measure.failed == 0);
        let sum = before.fold(Measure { failed: 0, total: 0 }, |sum, measure| Measure {
            failed: sum.failed + measure.failed,
            total: sum.total + measure.total,
        });
        let chance = |ratio: f64| (1.0 - ratio).powi(i32::try_from(clean).unwrap_or(i32::MAX));
        clean > 0 && sum.ratio().is_some_and(|ratio| chance(ratio) < LUCK)
    }

    /// It has turned well a moment ago, and no vantage says otherwise: enough where nothing else serves, and nowhere else.
    /// (The peers, who do not count, say so a minute before the witness's ratio does: the view calls that a disagreement.)
    pub(super) fn seems_back(&self, stamp: &StampId) -> bool {
        let age_max = self.policy.age_max(EvidenceClass::Direct);
        let direct = self.state.evidence.get(stamp).and_then(|evidence| evidence.get(&EvidenceClass::Direct));
        let fresh = |track: &&Track| self.as_of().since(track.run.last_seen) <= age_max;
        let witness = direct.and_then(|direct| direct.get(WITNESS)).filter(fresh);
        let others = || direct.into_iter().flatten().filter(|(source, _)| source.as_str() != WITNESS);
        let nobody_objects =
            others().map(|(_, track)| track).filter(fresh).all(|track| track.run.verdict == Verdict::Healthy);
        witness.is_some() && nobody_objects && self.has_turned_well(stamp)
    }

    /// The origin as read, if it is enabled for good: no change under way, none of ours still to come, and read after
    /// the last of ours had ended. Before that it only shows what was.
    pub(super) fn origin_enabled_for_good(&self, stamp: &StampId) -> Option<&OriginFacts> {
        let origin = self.state.origins.get(stamp)?;
        let enabled = origin.enabled == EnabledState::Enabled && !origin.updating;
        let disables = Effect::SetOrigin { stamp: stamp.clone(), enabled: EnabledState::Disabled };
        let steps = self.situation.steps.iter().map(|stored| &stored.step);
        let comes = steps
            .filter(|step| step.effect.same_target(&disables))
            .any(|step| step.is_live() || step.ended_at().is_some_and(|ended| ended >= origin.read_at));
        Some(origin).filter(|_| enabled && !comes)
    }

    /// Another stamp that is out, leaving or not fully back.
    pub(super) fn another_is_out(&self, stamp: &StampId) -> bool {
        self.state.cases.iter().any(|(other, case)| other != stamp && case.decided_at.is_some())
    }

    /// Enabled origins that would remain without this one, changes in flight taken pessimistically.
    pub(super) fn origins_remaining(&self, stamp: &StampId) -> usize {
        self.state
            .cases
            .iter()
            .filter(|(other, case)| *other != stamp && case.latched_at.is_none())
            .filter(|(other, _)| {
                self.state.origins.get(*other).is_some_and(|origin| origin.enabled == EnabledState::Enabled)
            })
            .count()
    }

    /// What each survivor would carry without `stamp`. What takes nothing is none, whether it was taken out or not.
    pub(super) fn shares_without(&self, stamp: &StampId) -> BTreeMap<StampId, Share> {
        let out: BTreeSet<StampId> = self
            .state
            .cases
            .iter()
            .filter(|(other, case)| {
                *other == stamp
                    || case.decided_at.is_some()
                    || takes_nothing(self.assessment(other), self.as_of())
            })
            .map(|(other, _)| other.clone())
            .collect();
        capacity::shares_without(self.state, &out, self.policy)
    }

    /// Whether every survivor can carry its share now, by its demand and beside what arrives there now, with the 5 % of S2 on
    /// top. Where there is none, nothing is ready.
    pub(super) fn survivors_are_ready(&self, stamp: &StampId) -> bool {
        let shares = self.shares_without(stamp);
        !shares.is_empty() && shares.values().all(Share::is_ready) && self.survivors_have_room(stamp, 0)
    }

    /// Whether waiting can make them ready, as far as is known.
    pub(super) fn survivors_can_become_ready(&self, stamp: &StampId) -> bool {
        let shares = self.shares_without(stamp);
        let can = |share: &Share| share.is_ready() || share.can_become_ready(self.policy);
        !shares.is_empty() && shares.values().all(can)
    }

    /// Share of the stamp's load that the survivors can take now, beyond what they carry without it, with the 5 % of S2
    /// on top: 0 to 1. None of them takes more than it can. Until something was moved, what arrives there counts if it is more.
    pub(super) fn movable_share(&self, stamp: &StampId) -> f64 {
        let own = self.case(stamp).demand_rps;
        let shares = self.shares_without(stamp);
        let survivors: Vec<&StampId> = shares.keys().collect();
        let moved = BTreeMap::from([(stamp, own)]);
        let parts = capacity::spread(self.state, &moved, &survivors, self.policy);
        // What has moved already, by Front Door or by a slice of ours, would be counted twice.
        let is_all_here =
            self.case(stamp).gate == GatePosition::Open && self.load_left(stamp) >= own * ALL_HERE;
        let arrives = |survivor: &StampId| {
            capacity::arriving_rps(self.state, survivor).filter(|_| is_all_here).unwrap_or(0.0)
        };
        let rooms = shares.iter().filter_map(|(survivor, share)| {
            let part = parts.get(survivor).copied().filter(|part| *part > 0.0)?;
            let carries = (share.demand_rps - part).max(arrives(survivor));
            Some((share.ready_rps / crate::lint::S2_MARGIN - carries) / part)
        });
        if own > 0.0 && !survivors.is_empty() { rooms.fold(1.0, f64::min).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Requests per second of the stamp's load that have not moved yet: what arrives there, or, where nobody sees that, its
    /// demand less what Front Door and the gate have taken away.
    fn load_left(&self, stamp: &StampId) -> f64 {
        let case = self.case(stamp);
        let stays = 1.0 - harm::moved_by_front_door(self.assessment(stamp));
        let by_demand = case.demand_rps * stays * f64::from(case.gate.percent()) / 100.0;
        capacity::arriving_rps(self.state, stamp).unwrap_or(by_demand)
    }

    /// Whether the survivors have room for what moves when the gate closes from where it is wanted now to `to_percent`, beside
    /// what arrives there now, with the 5 % of S2 on top. What nobody sees has no room.
    pub(super) fn survivors_have_room(&self, stamp: &StampId, to_percent: u8) -> bool {
        let from_percent = self.case(stamp).gate.percent();
        let moves = f64::from(from_percent.saturating_sub(to_percent)) / f64::from(from_percent.max(1));
        let moved = BTreeMap::from([(stamp, self.load_left(stamp) * moves)]);
        let mut survivors = self.others_serving(stamp);
        survivors.retain(|survivor| !takes_nothing(self.assessment(survivor), self.as_of()));
        let parts = capacity::spread(self.state, &moved, &survivors, self.policy);
        !survivors.is_empty()
            && survivors.iter().all(|survivor| {
                let ready = capacity::ready_rps(self.state, survivor, self.policy).unwrap_or(0.0);
                let arrives = capacity::arriving_rps(self.state, survivor).unwrap_or(0.0);
                arrives + parts.get(survivor).copied().unwrap_or(0.0) <= ready / crate::lint::S2_MARGIN
            })
    }

    /// What arrives at survivors that are full beyond what is ready there, as a share of the stamp's load, 0 to 1; none
    /// where no survivor is full.
    pub(super) fn excess_share(&self, stamp: &StampId) -> Option<f64> {
        let own = self.case(stamp).demand_rps;
        let full =
            |other: &&StampId| matches!(self.assessment(other).condition, Condition::Overloaded { .. });
        let beyond = |other: &StampId| {
            let ready = capacity::ready_rps(self.state, other, self.policy).unwrap_or(0.0);
            let load = self.state.load.get(other).map_or(0.0, |load| load.requests_per_second);
            (load - ready / crate::lint::S2_MARGIN).max(0.0)
        };
        let mut full = self.others_effective(stamp).into_iter().filter(full).peekable();
        full.peek()?;
        let excess: f64 = full.map(beyond).sum();
        Some(if own > 0.0 { (excess / own).min(1.0) } else { 0.0 })
    }

    /// What moving the stamp's gate from where it is wanted now to `percent` does.
    pub(super) fn harm_of_removal(&self, stamp: &StampId, percent: u8) -> Harm {
        let from = self.case(stamp).gate.percent();
        harm::of_removal(self.state, stamp, (from, percent), self.assessment(stamp), self.policy)
    }
}
