//! What may be done and when: one TOML file per deployment. No value has a default in code; the shipped `policy.toml`
//! states all of them, each with a comment.

mod load;
mod span;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use load::{PolicyError, json_schema, parse};
pub use span::Span;

use crate::{EvidenceClass, RegionName, StampId, WorkloadId};

/// The whole policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Version of this file's schema; this binary reads 1.
    pub schema: u32,
    /// The workload that this policy governs.
    pub workload: WorkloadPolicy,
    /// When evidence is enough.
    pub confirm: ConfirmPolicy,
    /// Gray failures: an error ratio over budget.
    pub gray: GrayPolicy,
    /// How old evidence may be before it is `Unobserved`, and how errors become verdicts.
    pub evidence: EvidencePolicy,
    /// When the observer, and not the regions, is what broke.
    pub freeze: FreezePolicy,
    /// How fast regions may be taken out.
    pub velocity: VelocityPolicy,
    /// How long a region must be healthy before it may return.
    pub window: WindowPolicy,
    /// How often a region may be cordoned without a person.
    pub budget: BudgetPolicy,
    /// When the slow plane follows the fast one.
    pub latch: LatchPolicy,
    /// How a region comes back.
    pub ramp: RampPolicy,
    /// What must stay, and how the survivors grow.
    pub capacity: CapacityPolicy,
    /// Databases and containers whose throughput is raised while a stamp is out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throughput: Vec<ThroughputLever>,
    /// The gate document's life.
    pub gate: GatePolicy,
    /// What becomes of what we hold when somebody else changes it.
    pub drift: DriftPolicy,
    /// Bounds of plans, claims and memory.
    pub limits: LimitsPolicy,
    /// When a person is told again of what still stands.
    pub reminders: RemindersPolicy,
    /// What each cause may do.
    pub modes: ModesPolicy,
    /// Who may speak, as what, about which stamp: the allow-list.
    pub speakers: Vec<Speaker>,
    /// Where notifications go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<NotifyTarget>,
}

/// The workload and where its parts are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadPolicy {
    /// Its name: the tag `cordon:workload`, `[a-z0-9-]`, at most 63 characters.
    pub name: WorkloadId,
    /// ARM id of the Front Door origin group.
    pub origin_group: String,
    /// ARM id of the workload's Cosmos DB account; none if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosmos_account: Option<String>,
    /// The region where Cordon runs and no stamp lives.
    pub witness_region: RegionName,
    /// Services whose Service Health alerts concern this workload, by display name.
    pub services: Vec<String>,
}

/// A database or container of the workload's Cosmos DB account whose autoscale maximum is a lever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThroughputLever {
    /// Which: below `workload.cosmos_account`, such as `sqlDatabases/shop/containers/orders`.
    pub resource: String,
    /// Its autoscale maximum while a stamp is out, in request units a second; it holds in every region alike. A multiple of
    /// 1000; what Azure would have to split partitions for is not asked for.
    pub maximum: u32,
}

impl ThroughputLever {
    /// The ARM id of its setting; none where the workload has no account.
    pub fn setting(resource: &str, policy: &Policy) -> Option<String> {
        let account = policy.workload.cosmos_account.as_deref()?;
        Some(format!("{}/{resource}/throughputSettings/default", account.trim_end_matches('/')))
    }
}

/// When evidence is enough for a hard failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmPolicy {
    /// Two independent classes must agree for this long.
    pub after: Span,
    /// One class alone must report total loss, uncontradicted, for this long.
    pub alone_after: Span,
    /// Both are multiplied by this while an active platform alert names the region and a service of ours; 0.5 halves.
    pub platform_factor: f64,
}

/// Gray failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrayPolicy {
    /// Share of requests that may fail before a stamp is `Degraded`, 0 to 1.
    pub error_budget: f64,
    /// Two classes must agree for this long.
    pub confirm_after: Span,
    /// One class alone, uncontradicted, for this long.
    pub confirm_alone_after: Span,
    /// How long the cordon of a gray region waits for the survivors' capacity to be ready.
    pub ready_deadline: Span,
}

/// How errors become verdicts, and verdicts age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidencePolicy {
    /// Share of failures at and above which counted samples are `Unhealthy`, 0 to 1.
    pub unhealthy_ratio: f64,
    /// Share of failures at and above which counted samples are a total loss, 0 to 1.
    pub total_ratio: f64,
    /// Direct probes are judged over this span.
    pub direct_span: Span,
    /// The oldest evidence that still counts, by class. Edge and traffic telemetry is 1 to 3 min late by itself.
    pub age_max: BTreeMap<EvidenceClass, Span>,
    /// A stateful alert that nobody resolves stops standing after this.
    pub standing_max: Span,
    /// A probe log speaks for the edge only when at least this many edge locations report failures; fewer are noise.
    pub edge_locations_min: u64,
    /// A stamp becomes `Suspect` when a class has been degraded for this long, at once when one is unhealthy.
    pub suspect_after: Span,
    /// Suspicion ends when nothing has spoken against the stamp for this long.
    pub clear_after: Span,
    /// `Direct` missing for this long restarts the window; a shorter gap pauses it.
    pub gap_max: Span,
}

/// When the observer is what broke.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezePolicy {
    /// Regions that turn bad within this span of each other turned bad "at once".
    pub detection_window: Span,
    /// A freeze ends when its cause has been gone for this long.
    pub clear_after: Span,
}

/// How fast regions may be taken out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VelocityPolicy {
    /// At most one region per this span and workload.
    pub one_region_per: Span,
    /// After a gap in our own evidence nothing is removed for this long.
    pub quiet_after_gap: Span,
    /// A gap in our own evidence longer than this starts the quiet period.
    pub gap_max: Span,
}

/// The sustained-healthy window and the flap memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowPolicy {
    /// The first window.
    pub base: Span,
    /// The longest window.
    pub cap: Span,
    /// The flap memory halves in this time.
    pub half_life: Span,
    /// Time between the ends of two regions' returns, at the least.
    pub stagger: Span,
    /// Up to this much is added to a window, by a hash of the stamp and the case, so that returns do not align.
    pub jitter: Span,
}

/// How often a region may be cordoned without a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetPolicy {
    /// Automatic cordons per region in `span`; after the last the region returns only by acknowledgement.
    pub cordons_max: u32,
    /// The span they are counted in.
    pub span: Span,
}

/// When the slow plane follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatchPolicy {
    /// The outage must have lasted this long.
    pub after: Span,
    /// How many enabled origins must remain: 2, or 1 where the operator accepts that Front Door then has nothing to
    /// fail over to.
    pub origins_remaining_min: u32,
    /// How long an accepted origin change may take to reach every edge location.
    pub settle: Span,
}

/// How a region comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RampPolicy {
    /// `slices` or `single`.
    pub kind: RampKind,
    /// Percent of the edge locations, rising, ending in 100.
    pub percents: Vec<u8>,
    /// How long each slice is watched. Longer than one probe detection plus the telemetry's lag.
    pub watch: Span,
    /// Load that arrives over the load expected of a slice, as a factor: more steps back.
    pub load_factor_max: f64,
    /// A slice without any load is waited for this long beyond `watch` before the ramp goes on.
    pub quiet_wait: Span,
}

/// How a ramp is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RampKind {
    /// By slices of the edge locations.
    Slices,
    /// All at once.
    Single,
}

/// What must stay, and how the survivors grow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapacityPolicy {
    /// Regions that must stay effective, at the least.
    pub regions_min: u32,
    /// Requests per second that one instance carries at its sized utilisation: measured by the owner's load test.
    pub instance_rps: f64,
    /// Head-room over the demand to carry, as a factor: 1.3 sizes for 30 % more.
    pub headroom: f64,
    /// Instances per stamp that we may ask for, whatever the lever allows.
    pub instances_max: u32,
    /// How the failed region's demand spreads over the survivors.
    pub redistribution: Redistribution,
    /// How long a raised floor stands before it must be renewed; it expires by itself.
    pub floor_lifetime: Span,
    /// Floors are taken away this long after the last return.
    pub restore_after: Span,
    /// A floor that was set and not reached for this long: the region cannot grow.
    pub grow_within: Span,
    /// A region that cannot grow is believed not to for this long, then given another chance.
    pub grow_retry: Span,
    /// Share of the returning region's demand its capacity must cover before the ramp starts, 0 to 1.
    pub return_ready_share: f64,
}

/// How demand spreads over the survivors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redistribution {
    /// In proportion to what each carries now.
    Proportional,
    /// To the survivor whose region is nearest, by the table in `regions`.
    Nearest,
    /// All of it may land on any one of them.
    WorstCase,
}

/// The gate document's life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatePolicy {
    /// Lifetime of a document, 4 h at the least; renewed at half.
    pub lifetime: Span,
    /// A replica whose heartbeat is older counts as unreadable.
    pub heartbeat_max: Span,
    /// After a start the stamp answers 503 until its first read of the gate, for at most this long.
    pub boot_wait: Span,
    /// A gate that reopens by expiry spends this long on each slice.
    pub reopen_step: Span,
}

/// Somebody else, a deployment or a person in the portal, changes what we hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftPolicy {
    /// An origin that we had disabled is enabled.
    pub origin: OnDrift,
    /// A capacity floor of ours is lowered or taken away.
    pub floor: OnDrift,
    /// Put back at most so often in one cordon, then left all the same: nobody fights a deployment for ever. At most 10.
    pub reassert_max: u32,
}

/// What is done about it. It is recorded in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDrift {
    /// Put back.
    ReAssert,
    /// Left as it is until the cordon is over.
    Yield,
}

/// Bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsPolicy {
    /// An unclaimed step not re-affirmed for this long is re-planned, never executed.
    pub plan_expiry: Span,
    /// A claim's length.
    pub claim: Span,
    /// Attempts per step.
    pub attempts_max: u32,
    /// A topology older than this permits nothing.
    pub topology_age_max: Span,
    /// A control-plane read older than this permits no change of what it read.
    pub fact_age_max: Span,
    /// Events older than this are refused, and ids are remembered for as long.
    pub horizon: Span,
    /// An unchanged decision is recorded again after this: the watch went on.
    pub heartbeat: Span,
}

/// When a person is told again of what still stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemindersPolicy {
    /// An approval or acknowledgement that nobody gave is asked for again after this, and after each further one. The hold
    /// stands meanwhile.
    pub unanswered_every: Span,
    /// A pause is told of after this, and after each further one, until it ends.
    pub paused_every: Span,
}

/// What a cause may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decide and record, do nothing.
    Observe,
    /// As `observe`, and tell the operator.
    Advise,
    /// Do it.
    Act,
}

/// The mode of each cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModesPolicy {
    /// Cordon of a region that serves nothing any more.
    pub hard_loss: Mode,
    /// Cordon of a gray region.
    pub gray: Mode,
    /// Pre-scaling on a platform alert alone.
    pub platform_alert: Mode,
    /// Capacity for a region that is merely full.
    pub overload: Mode,
    /// Letting a region back.
    pub readmit: Mode,
}

/// One line of the allow-list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Speaker {
    /// Alert rule name or id, publisher or topic, compared without case; a trailing `*` matches any rest.
    pub source: String,
    /// The class it speaks for.
    pub class: EvidenceClass,
    /// The stamp it speaks about; none where the payload names the region or origin itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampId>,
}

/// A webhook that gets notifications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyTarget {
    /// For the reader.
    pub name: String,
    /// Where they are posted; or `env:NAME`, the setting that holds the address, for one that is itself a secret.
    pub url: String,
    /// How they are written: CloudEvents where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<NotifyFormat>,
    /// The address of the operator's page, up to `operator`, for links in a chat's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// How we show who we are; not at all where nothing is said, as for a webhook whose address is the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<NotifyAuth>,
    /// For `event-grid-key`: `env:NAME`, the setting that holds the topic's access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// How a notification target knows us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyAuth {
    /// An Event Grid topic's access key, in the header `aeg-sas-key`.
    EventGridKey,
    /// Our own identity: a Microsoft Entra token for Event Grid. It needs the role "EventGrid Data Sender" on the topic.
    Entra,
}

impl NotifyTarget {
    /// Settings of the environment that this target names: its address, its key.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        [Some(self.url.as_str()), self.key.as_deref()].into_iter().flatten().filter_map(Self::setting)
    }

    /// The setting that a value names, if it is no value itself.
    pub fn setting(value: &str) -> Option<&str> {
        value.strip_prefix("env:")
    }
}

/// How a notification is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyFormat {
    /// CloudEvents 1.0, structured: every told record.
    CloudEvents,
    /// A chat's incoming webhook that takes `text`, as Slack and others do: news only.
    Slack,
    /// An Adaptive Card, as a Teams workflow takes it: news only.
    Teams,
}

impl Policy {
    /// The allow-list entry for a source, if any; the first match wins.
    pub fn speaker(&self, source: &str) -> Option<&Speaker> {
        self.speakers.iter().find(|speaker| speaker.matches(source))
    }

    /// Whether Service Health's `service` is one that the workload uses.
    pub fn uses_service(&self, service: &str) -> bool {
        self.workload.services.iter().any(|ours| ours.eq_ignore_ascii_case(service.trim()))
    }

    /// The oldest evidence of a class that still counts.
    pub fn age_max(&self, class: EvidenceClass) -> std::time::Duration {
        self.evidence.age_max.get(&class).map_or(std::time::Duration::ZERO, |span| span.get())
    }
}

impl Speaker {
    pub(crate) fn matches(&self, source: &str) -> bool {
        let (ours, theirs) = (self.source.as_str(), source.trim());
        match ours.strip_suffix('*') {
            Some(start) => theirs.get(..start.len()).is_some_and(|theirs| theirs.eq_ignore_ascii_case(start)),
            None => ours.eq_ignore_ascii_case(theirs),
        }
    }
}
