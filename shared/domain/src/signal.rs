//! What was observed, by whom, about what: the only way in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::facts::Facts;
use crate::step::StepOutcome;
use crate::{ItemId, RegionName, StampId, Timestamp};

/// An independent failure domain of observation. Two alerts derived from one source are one class, so nobody can pose
/// as a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceClass {
    /// Service Health and Resource Health: a second voice only.
    Platform,
    /// Front Door's probes of the origins: probe log, `OriginHealthPercentage`.
    Edge,
    /// Cosmos DB regional status.
    Data,
    /// Cordon's own probes of the stamp, each with its vantage.
    Direct,
    /// The error ratio of real requests.
    Traffic,
}

impl EvidenceClass {
    /// Every class, in the order in which the page and the audit list them.
    pub const ALL: [Self; 5] = [Self::Platform, Self::Edge, Self::Data, Self::Direct, Self::Traffic];
}

/// What an observation says. Absence is not evidence: `Unobserved` is a verdict of its own and never a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Seen, and well.
    Healthy,
    /// Seen, with errors over budget or slow: a gray failure.
    Degraded,
    /// Seen, and failing.
    Unhealthy,
    /// Not seen, or too long ago.
    Unobserved,
}

/// How a failed observation failed; overload is told from death by it, and a broken observer from a broken region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No answer at all: refused, timed out, the ingress says nobody is there.
    Unreachable,
    /// An answer that says failure.
    ServerError,
    /// An answer that says "full": 503 with `Retry-After` from the concurrency limit.
    Saturated,
    /// The name did not resolve.
    Dns,
    /// Our own credentials or certificates were refused: says more about us than about the stamp.
    Auth,
    /// A dependency of the stamp failed, the stamp itself answered.
    Dependency,
}

/// What a signal is about. Who may speak about what is the policy's to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One stamp.
    Stamp(StampId),
    /// Every stamp in a region.
    Region(RegionName),
}

/// Counted samples behind a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// Samples that failed.
    pub failed: u64,
    /// All samples.
    pub total: u64,
}

impl Measure {
    /// Failed over total; none without a sample.
    #[expect(clippy::cast_precision_loss, reason = "sample counts are far below 2^52")]
    pub fn ratio(self) -> Option<f64> {
        (self.total > 0).then(|| self.failed as f64 / self.total as f64)
    }
}

/// Whether a signal speaks of one moment or stands until it is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// One sample; ages like any other.
    Sample,
    /// A stateful alert fired: stands until `Resolved` or its class's maximum age.
    Fired,
    /// The alert was resolved: what it said becomes `Unobserved`, never `Healthy`.
    Resolved,
}

/// One normalised observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// What it is about.
    pub scope: Scope,
    /// Its failure domain of observation.
    pub class: EvidenceClass,
    /// Who says so within the class: a vantage (`witness`, `peer:centralus`), an alert rule, a tracking id. Two
    /// sources of one class are still one vote.
    pub source: String,
    /// What it says.
    pub verdict: Verdict,
    /// When it was true, by the source's own clock.
    pub observed_at: Timestamp,
    /// One moment, or until taken back.
    pub standing: Standing,
    /// How it failed, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
    /// The samples behind it, where counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// One line for the reader of the audit. Never interpreted; at most `NOTE_CHARS_MAX` characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Longest note, in characters: alert texts come from outside and are kept short.
pub const NOTE_CHARS_MAX: usize = 200;

/// Cuts text from outside to `NOTE_CHARS_MAX` characters and takes control characters out.
pub fn note(text: &str) -> String {
    if text.len() <= NOTE_CHARS_MAX && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(NOTE_CHARS_MAX).collect()
}

/// Why an event has no vote. Codes are stable: they are in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No allow-list entry maps this rule, publisher or topic.
    UnknownSpeaker,
    /// The region is in no table.
    UnknownRegion,
    /// The region is real, but no stamp of ours is there.
    RegionWithoutStamp,
    /// The service is not one that the workload depends on.
    ServiceNotUsed,
    /// `Global`: names no region, so it cannot say which one failed.
    GlobalScope,
    /// A test notification (`IsSynthetic`, the action group's Test button).
    SyntheticTest,
    /// Older than the horizon by its own time.
    TooOld,
    /// Not the shape of any event we know.
    Malformed,
    /// Known, and says nothing about health (planned maintenance, an annotation, an RCA).
    NotAHealthSignal,
    /// The stamp it names is not in the topology.
    UnknownStamp,
}

/// An event that was understood well enough to be refused. Kept, so that nothing is lost without a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// Which source sent it.
    pub source: String,
    /// One line for the reader.
    pub note: String,
}

/// What an inbox item carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ItemBody {
    /// An operator's order; no TTL.
    Command {
        /// The order.
        command: Command,
    },
    /// What became of a step; no TTL.
    Outcome {
        /// The outcome.
        outcome: StepOutcome,
    },
    /// One event, or one run of an observer.
    Observed {
        /// What it says about health.
        signals: Vec<Signal>,
        /// What it saw of the actuators, the topology and the load.
        #[serde(default, skip_serializing_if = "Facts::is_empty")]
        facts: Facts,
    },
    /// An event without a vote.
    Refused {
        /// Why not.
        refusal: Refusal,
    },
}

/// One item of the inbox. Its id derives from the source event, so that a second delivery is the same item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InboxItem {
    /// Derived from the source event.
    pub id: ItemId,
    /// When it happened, by its source; events older than the horizon are refused.
    pub event_at: Timestamp,
    /// When we took it in.
    pub received_at: Timestamp,
    /// What it carries.
    pub body: ItemBody,
}

impl InboxItem {
    /// Commands and outcomes are folded before everything else, and have no TTL.
    pub fn is_urgent(&self) -> bool {
        matches!(self.body, ItemBody::Command { .. } | ItemBody::Outcome { .. })
    }
}
