//! A quiet stretch in closed form. Between incidents the same samples arrive every ten seconds and nothing follows from
//! them, so their sum is known: what is remembered of the latest of them is moved on, and nothing else changes. A test
//! holds this against the same stretch played sample by sample.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::state::WorkloadState;

/// The observers' period.
pub const TICK_S: u64 = 10;

/// Moves everything that a stretch of equal samples would have renewed on by `by`. A track that is older than its class
/// believes is not renewed: nobody speaks there any more.
pub fn pass(state: &mut WorkloadState, by: Duration, now: Timestamp) {
    let later = |at: &mut Timestamp| *at = *at + by;
    for evidence in Arc::make_mut(&mut state.evidence).values_mut() {
        for track in evidence.values_mut().flat_map(|tracks| tracks.values_mut()) {
            let live = now.since(track.run.last_seen) <= Duration::from_secs(300);
            if track.standing_since.is_some() || !live {
                continue;
            }
            later(&mut track.run.last_seen);
            track.run.count += by.as_secs() / TICK_S;
            track.measures.iter_mut().for_each(|measure| later(&mut measure.at));
        }
    }
    for samples in Arc::make_mut(&mut state.load_samples).values_mut() {
        samples.iter_mut().for_each(|sample| later(&mut sample.at));
    }
    // The ids of the observers' own runs: none of them is delivered again, and thousands would be copied for nothing.
    Arc::make_mut(&mut state.seen).retain(|id, _| !id.is_own_run());
    // It was looked at to the end of the stretch.
    state.as_of = state.as_of.max(now + by);
    state.observed_at.iter_mut().for_each(later);
    state.topology.read_at.iter_mut().for_each(later);
    state.origins.values_mut().for_each(|origin| later(&mut origin.read_at));
    state.capacity.values_mut().for_each(|capacity| later(&mut capacity.read_at));
    state.load.values_mut().for_each(|load| later(&mut load.observed_at));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::decide::{GateRead, Situation};
    use domain::judge::{Judgement, judge, transition};
    use domain::{EvidenceClass, InboxItem, OperationId, Policy, StampId};

    use super::*;
    use crate::simulation::arm::ArmWorld;
    use crate::simulation::draw::Seed;
    use crate::simulation::faults::InForce;
    use crate::simulation::hub::EPOCH;
    use crate::simulation::observers::Observers;
    use crate::simulation::shipped_policy;
    use crate::simulation::truth::Truth;

    struct Calm {
        truth: Truth,
        arm: ArmWorld,
        observers: Observers,
        policy: Policy,
        state: WorkloadState,
        now_s: u64,
    }

    impl Calm {
        fn new(seed: u64) -> Self {
            let (seed, policy) = (Seed(seed), shipped_policy());
            let truth = Truth::new(seed);
            let names = truth.stamps.iter().map(|stamp| stamp.id.clone()).collect();
            let observers = Observers::new(seed, &truth, &policy);
            let state = WorkloadState::new(policy.workload.name.clone(), 1, EPOCH);
            Self { arm: ArmWorld::new(seed, names), observers, state, truth, policy, now_s: 0 }
        }

        fn judged(&self, items: &[InboxItem]) -> (Situation, Judgement) {
            let gates: BTreeMap<StampId, GateRead> =
                self.truth.stamps.iter().map(|stamp| (stamp.id.clone(), GateRead::Absent)).collect();
            let now = EPOCH + Duration::from_secs(self.now_s);
            let situation = Situation::gather(self.state.clone(), vec![], items, gates, &self.policy, now);
            let judgement = judge(&situation, &self.policy);
            (situation, judgement)
        }

        fn play(&mut self, ticks: u64) {
            for _ in 0..ticks {
                self.now_s += TICK_S;
                let now = EPOCH + Duration::from_secs(self.now_s);
                self.truth.step(self.now_s, now, &BTreeMap::new());
                let (cases, calm) = (self.state.cases.clone(), InForce::default());
                let item = self.observers.run(self.now_s, now, &self.truth, &self.arm, &cases, &calm);
                let (situation, judgement) = self.judged(&[item]);
                let parent = Some(self.state.generation);
                let operation = OperationId::new("test");
                self.state =
                    transition(&situation, &judgement, vec![], parent, operation, &self.policy).state;
            }
        }

        fn skip(&mut self, seconds: u64) {
            let now = EPOCH + Duration::from_secs(self.now_s);
            pass(&mut self.state, Duration::from_secs(seconds), now);
            self.observers.shift(seconds);
            self.now_s += seconds;
        }
    }

    #[test]
    fn a_quiet_stretch_skipped_is_a_quiet_stretch_played() {
        for seed in 1..=4 {
            let (mut played, mut skipped) = (Calm::new(seed), Calm::new(seed));
            played.play(60);
            skipped.play(60);
            played.play(360);
            skipped.skip(3_600);
            let (left, right) = (&played.state, &skipped.state);
            assert_eq!(left.load, right.load);
            assert_eq!(left.origins, right.origins);
            assert_eq!(left.capacity, right.capacity);
            assert_eq!((left.observed_at, &left.topology), (right.observed_at, &right.topology));
            for (stamp, evidence) in left.evidence.iter() {
                for (class, tracks) in evidence {
                    for (source, track) in tracks {
                        let other = &right.evidence[stamp][class][source];
                        assert_eq!(
                            (track.run.verdict, track.run.since),
                            (other.run.verdict, other.run.since)
                        );
                        if *class == EvidenceClass::Direct {
                            assert_eq!(track, other, "{stamp} {source}");
                        }
                        // Minute metrics are late by chance, so the newest one is another, but never much older.
                        let apart = track
                            .run
                            .last_seen
                            .since(other.run.last_seen)
                            .max(other.run.last_seen.since(track.run.last_seen));
                        assert!(apart.as_secs() <= 180, "{stamp} {source}: {apart:?}");
                    }
                }
            }
            assert_eq!(played.judged(&[]).1.decision.rulings, skipped.judged(&[]).1.decision.rulings);
        }
    }
}
