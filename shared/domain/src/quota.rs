//! Quotas, ahead of time: what they allow a stamp, and which loss they would not let the survivors carry. During an incident
//! nobody raises one, so it is said while nothing is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capacity::shares_without;
use crate::fold::FoldNote;
use crate::policy::Policy;
use crate::state::{Stage, WorkloadState};
use crate::{StampId, Timestamp};

/// A quota is read every ten minutes; one that was read longer ago than this is not known any more.
const AGE_MAX: Duration = Duration::from_secs(3_600);

/// What a quota was short of within this time it is still short of: demand swings, and nobody wants to be told twice a day.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

/// A loss that a stamp's quota would not let it carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaShort {
    /// Since when it is known.
    pub since: Timestamp,
    /// When it was last found to be so.
    pub seen_at: Timestamp,
    /// The stamp whose loss it would be.
    pub without: StampId,
    /// Instances that it would need then, head-room included.
    pub needed: u32,
    /// Instances that its quota allows it.
    pub most: u32,
}

/// Instances that a stamp's quotas allow it in all; none while that is not known, which is neither none nor plenty.
pub fn instances_max(state: &WorkloadState, stamp: &StampId) -> Option<u32> {
    let quota = state.quota.get(stamp)?;
    (state.as_of.since(quota.read_at) <= AGE_MAX).then_some(quota.instances_max)
}

/// Holds the quotas against the loss of each stamp. Says which stamp is newly short, and which no longer is. Nothing is learnt
/// while a stamp is out or suspect: then the rulings say what is missing.
pub(crate) fn learn(state: &mut WorkloadState, policy: &Policy) -> Vec<FoldNote> {
    let calm = |stage: Stage| matches!(stage, Stage::Serving | Stage::Held);
    if !state.cases.values().all(|case| calm(case.stage)) {
        return vec![];
    }
    let as_of = state.as_of;
    let mut short = shortfalls(state, policy);
    let known: BTreeMap<StampId, u32> =
        state.cases.keys().filter_map(|stamp| Some((stamp.clone(), instances_max(state, stamp)?))).collect();
    let mut notes = Vec::new();
    for (stamp, case) in &mut state.cases {
        let before = case.quota_short.take();
        case.quota_short = match (before, short.remove(stamp)) {
            (None, Some(found)) => {
                notes.push(FoldNote::QuotaShort { text: in_words(stamp, &found) });
                Some(found)
            }
            (Some(before), Some(found)) => Some(QuotaShort { since: before.since, ..found }),
            (Some(before), None) => {
                let raised = known.get(stamp).is_some_and(|most| *most >= before.needed);
                let over = raised || as_of.since(before.seen_at) > REMEMBERED;
                notes.extend(over.then(|| FoldNote::QuotaEnough {
                    text: format!("{stamp} is no longer known to be short of quota"),
                }));
                (!over).then_some(before)
            }
            (None, None) => None,
        };
    }
    notes
}

/// That a quota is short, in words.
pub fn in_words(stamp: &StampId, short: &QuotaShort) -> String {
    format!(
        "{stamp} would need {} instances if {} were lost, and its quota allows {}: ask Azure for more before it is needed",
        short.needed, short.without, short.most
    )
}

/// For each stamp whose quota would not let it carry some loss, the worst of them. What the policy itself would not ask for is
/// no matter of the quota.
fn shortfalls(state: &WorkloadState, policy: &Policy) -> BTreeMap<StampId, QuotaShort> {
    let mut worst: BTreeMap<StampId, QuotaShort> = BTreeMap::new();
    if state.quota.is_empty() {
        return worst;
    }
    for lost in state.cases.keys() {
        for (stamp, share) in shares_without(state, &BTreeSet::from([lost.clone()]), policy) {
            let Some(most) = instances_max(state, &stamp) else { continue };
            let needed = share.instances_needed.min(policy.capacity.instances_max);
            if needed > most && worst.get(&stamp).is_none_or(|known| known.needed < needed) {
                let at = state.as_of;
                let found = QuotaShort { since: at, seen_at: at, without: lost.clone(), needed, most };
                worst.insert(stamp, found);
            }
        }
    }
    worst
}
