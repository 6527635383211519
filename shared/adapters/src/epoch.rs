//! The epoch: which reign of the ledger's write region a commit belongs to. It is kept outside the ledger's own account,
//! because a forced failover of that account loses its last commits, and with them what they counted.

use async_trait::async_trait;
use domain::{RegionName, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::StoreError;

/// The present schema of `Epoch`.
pub const EPOCH_SCHEMA: u32 = 1;

/// A watch that stood still for longer may have missed a failover and its way back, each of which takes minutes at the
/// least: the epoch rises although the write region is the one it was.
pub const UNWATCHED_MAX: Duration = Duration::from_secs(5 * 60);

/// Which epoch it is, and in which region commits are decided in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// Schema version of this document.
    pub schema: u32,
    /// Its number; rises, and is never given twice.
    pub number: u32,
    /// The region that decides commits.
    pub write_region: RegionName,
    /// When it began.
    pub since: Timestamp,
    /// Why, in words: the audit repeats it.
    pub why: String,
}

/// An epoch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEpoch {
    /// What is stored.
    pub epoch: Epoch,
    /// What a replacement must name.
    pub tag: String,
}

/// What became of a write.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochWrite {
    /// Stored.
    Written,
    /// Somebody else wrote meanwhile: read again.
    Changed,
}

/// Where one workload's epoch is kept: in the witness region, outside the account that it counts for.
#[async_trait]
pub trait EpochStore: Send + Sync + 'static {
    /// The present epoch; none before the first.
    async fn read(&self) -> Result<Option<StoredEpoch>, StoreError>;

    /// Replaces the epoch with this tag, or creates the first. An answer that is lost may have been stored: the next read
    /// tells.
    async fn write(&self, replaces: Option<&str>, epoch: &Epoch) -> Result<EpochWrite, StoreError>;
}

/// What a ledger shows of its past: the epoch of its state, and when that was last committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The epoch of the state's generation.
    pub epoch: u32,
    /// The state's `as_of`.
    pub as_of: Timestamp,
}

/// The epoch that must be stored before the ledger may be committed to; none if the stored one stands.
pub fn due(
    stored: Option<&Epoch>,
    write_region: &RegionName,
    shown: Option<Shown>,
    now: Timestamp,
) -> Option<Epoch> {
    let known = stored.map_or(0, |epoch| epoch.number);
    let why = match (stored, shown) {
        (None, None) => format!("the first, with commits decided in {write_region}"),
        (None, Some(_)) => "its store holds none, but the ledger was committed to before".to_owned(),
        (Some(_), Some(shown)) if shown.epoch > known => {
            format!("its store holds epoch {known} and the ledger {}: an older copy came back", shown.epoch)
        }
        (Some(epoch), _) if epoch.write_region != *write_region => {
            format!("commits were decided in {} and now are in {write_region}", epoch.write_region)
        }
        (Some(epoch), Some(shown)) if now.since(shown.as_of.max(epoch.since)) > UNWATCHED_MAX => {
            let minutes = now.since(shown.as_of).as_secs() / 60;
            format!(
                "nobody watched for {minutes} min, in which the write region may have changed and come back"
            )
        }
        (Some(_), _) => return None,
    };
    let number = known.max(shown.map_or(0, |shown| shown.epoch)) + 1;
    Some(Epoch { schema: EPOCH_SCHEMA, number, write_region: write_region.clone(), since: now, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(number: u32, region: &str, since: u64) -> Epoch {
        let since = Timestamp::from_secs(i64::try_from(since).unwrap_or(0));
        Epoch { schema: EPOCH_SCHEMA, number, write_region: region.into(), since, why: String::new() }
    }

    #[test]
    fn the_epoch_rises_when_commits_may_have_been_lost_and_only_then() {
        let (here, now) = (RegionName::from("westus3"), Timestamp::from_secs(10_000));
        let shown = |epoch, age: u64| Some(Shown { epoch, as_of: now.before(Duration::from_secs(age)) });
        for (what, stored, shown, expected) in [
            ("nothing yet", None, None, Some((1, "first"))),
            ("as ever", Some(stored(3, "westus3", 50)), shown(3, 10), None),
            ("an older commit survived", Some(stored(3, "westus3", 50)), shown(2, 10), None),
            ("a new ledger", Some(stored(3, "westus3", 50)), None, None),
            ("moved", Some(stored(3, "eastus2", 50)), shown(3, 10), Some((4, "decided in eastus2"))),
            ("moved, empty", Some(stored(3, "eastus2", 50)), None, Some((4, "decided in eastus2"))),
            (
                "a long gap",
                Some(stored(3, "westus3", 50)),
                shown(3, 301),
                Some((4, "nobody watched for 5 min")),
            ),
            ("a gap that was counted", Some(stored(4, "westus3", 9_990)), shown(3, 301), None),
            ("the store is lost", None, shown(7, 10), Some((8, "holds none"))),
            ("the store is old", Some(stored(3, "westus3", 50)), shown(7, 10), Some((8, "older copy"))),
        ] {
            let due = due(stored.as_ref(), &here, shown, now);
            assert_eq!(due.as_ref().map(|epoch| epoch.number), expected.map(|(number, _)| number), "{what}");
            let why = due.map(|epoch| epoch.why).unwrap_or_default();
            assert!(why.contains(expected.map_or("", |(_, why)| why)), "{what}: {why}");
        }
    }
}
