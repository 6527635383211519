//! One type per kind of identifier, so that a stamp is never mistaken for a region. Their text is shared: an evaluation
//! copies its state several times over, and every map in it is keyed by one of these.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How the ids of our own observers' runs begin.
const OWN_RUN: &str = "run:";

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a text that is known to name one.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into().into())
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

text_id!(
    /// One Front Door origin group and its stamps; also the partition key of its ledger.
    WorkloadId
);
text_id!(
    /// One regional deployment, named by its tag `cordon:stamp`.
    StampId
);
text_id!(
    /// An Azure region id such as `eastus2`; never a display name.
    RegionName
);
text_id!(
    /// The id of an inbox item, derived from the source event, so that a second delivery is the same item.
    ItemId
);
text_id!(
    /// The id of one step of a plan: generation and position.
    StepId
);
text_id!(
    /// Identifies one attempt to commit, to tell our own stored commit from somebody else's after a time-out.
    OperationId
);

impl ItemId {
    /// One run of one of our own observers. Nobody outside gives such an id: what comes in from outside is named by its kind.
    pub fn of_own_run(observer: &str, at: Timestamp) -> Self {
        Self::new(format!("{OWN_RUN}{observer}:{}", at.as_millis()))
    }

    /// Whether it is a run of our own observers.
    pub fn is_own_run(&self) -> bool {
        self.as_str().starts_with(OWN_RUN)
    }
}

impl RegionName {
    /// Region id of a display name or an id: `East US 2` and `eastus2` both give `eastus2`. Whether such a region
    /// exists is for the policy's table to say.
    pub fn from_display(text: &str) -> Self {
        Self(
            text.chars()
                .filter(|c| !c.is_whitespace())
                .flat_map(char::to_lowercase)
                .collect::<String>()
                .into(),
        )
    }
}

/// The first epoch of every ledger.
pub const FIRST_EPOCH: u32 = 1;

/// The number of a committed state. The epoch rises at each observed change of the ledger's write region, so that a
/// generation lost in a forced failover is never reused (DESIGN.md, fact 8).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
pub struct Generation {
    /// Rises when the write region of the ledger changes.
    pub epoch: u32,
    /// Rises by one with each commit.
    pub n: u64,
}

impl Generation {
    /// The generation after this one, in the same epoch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { epoch: self.epoch, n: self.n + 1 }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_becomes_a_region_id() {
        for (display, id) in
            [("East US 2", "eastus2"), ("eastus2", "eastus2"), (" West Europe ", "westeurope")]
        {
            assert_eq!(RegionName::from_display(display).as_str(), id);
        }
    }

    #[test]
    fn a_later_epoch_outranks_any_number_of_commits() {
        assert!(Generation { epoch: 2, n: 1 } > Generation { epoch: 1, n: 9_999 });
    }
}
