//! A scenario: the stamps, the demand, what goes wrong and when, and what Azure says about it. Read from TOML.

use domain::{RegionName, StampId};
use serde::{Deserialize, Serialize};

use crate::edits::{self, EditSpec};

/// One story to play. Times are whole seconds since its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, as given on the command line.
    pub name: String,
    /// One line for lists.
    pub title: String,
    /// What happens and what it is meant to show.
    pub description: String,
    /// How long it plays, in seconds, at most [`Scenario::DURATION_S_MAX`].
    pub duration_s: u32,
    /// The seed when none is given.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Name of the workload: the value of the tag `cordon:workload` and of the origin group.
    #[serde(default = "default_workload")]
    pub workload: String,
    /// The stamps, in the order of the report. One to eight.
    pub stamps: Vec<StampSpec>,
    /// The clients.
    #[serde(default)]
    pub demand: DemandSpec,
    /// How Front Door is set up.
    #[serde(default)]
    pub front_door: FrontDoorSpec,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<FaultSpec>,
    /// What others do to the resources meanwhile.
    #[serde(default)]
    pub edits: Vec<EditSpec>,
    /// What Azure says, beside what follows from the faults.
    #[serde(default)]
    pub alerts: Vec<AlertSpec>,
    /// Policy values that this scenario plays under instead of the shipped ones; not read here.
    #[serde(default)]
    pub policy: Option<toml::Table>,
    /// What the scenario's owner expects; not read here.
    #[serde(default)]
    pub expect: Option<toml::Value>,
}

/// One regional deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StampSpec {
    /// Its id: the tag `cordon:stamp`, and the name of its origin.
    pub id: StampId,
    /// The Azure region it is in.
    pub region: RegionName,
    /// Part of all demand that comes from clients nearest to it; all stamps together give 1.
    pub native_share: f64,
    /// Requests per second that one instance serves before it saturates.
    #[serde(default = "default_instance_rps")]
    pub instance_rps: f64,
    /// Lowest instance count of the default autoscale profile.
    pub instances_min: u32,
    /// Highest instance count of the default autoscale profile.
    pub instances_max: u32,
    /// Instances at the start, all ready.
    pub instances_initial: u32,
    /// What carries the instances.
    #[serde(default)]
    pub compute: ComputeKind,
    /// Instances the subscription may have in this region; none means the plan's own maximum.
    #[serde(default)]
    pub quota: Option<u32>,
}

/// What carries a stamp's instances, and so which lever raises its floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComputeKind {
    /// An App Service plan with an autoscale setting.
    #[default]
    AppService,
    /// A VM scale set with an autoscale setting.
    ScaleSet,
    /// An AKS agent pool with the cluster autoscaler.
    AgentPool,
    /// A Container App.
    ContainerApp,
}

/// The clients of all stamps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DemandSpec {
    /// Requests per second over the day's mean.
    pub total_rps: f64,
    /// Half the height of the daily curve, as a part of the mean. 0 to 1.
    pub daily_swing: f64,
    /// The hour of the day, UTC, at which the demand is highest. 0 to 24.
    pub peak_hour_utc: f64,
    /// Edge locations. At least four per stamp, at most 200.
    pub pops: u32,
}

/// How the Front Door profile and its origin group are set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrontDoorSpec {
    /// Seconds between two probes of one origin from one busy location.
    pub probe_interval_s: u32,
    /// Probes that count. At most 8.
    pub sample_size: u32,
    /// Good ones among them that make an origin healthy.
    pub samples_required: u32,
    /// Origins this much slower than the fastest are still used, in milliseconds; 0 means the fastest only.
    pub additional_latency_ms: f64,
    /// Metric alert on `OriginHealthPercentage`: fires below this percentage; none means no such rule.
    pub origin_health_alert_below_pct: Option<f64>,
}

/// One thing that goes wrong, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Whom it hits; none means every stamp, where the kind allows that.
    #[serde(default)]
    pub stamp: Option<StampId>,
    /// First second of the fault. Either this or `when`.
    #[serde(default)]
    pub from_s: Option<u32>,
    /// First second after the fault; none means it lasts to the end.
    #[serde(default)]
    pub until_s: Option<u32>,
    /// The fault waits for [`crate::World::mark`] with this label.
    #[serde(default)]
    pub when: Option<String>,
    /// Seconds between the mark and the fault.
    #[serde(default)]
    pub after_s: u32,
    /// How long a fault with `when` lasts, in seconds; none means to the end.
    #[serde(default)]
    pub for_s: Option<u32>,
    /// How bad; the meaning is the kind's.
    #[serde(default)]
    pub ratio: Option<f64>,
    /// A count; the meaning is the kind's.
    #[serde(default)]
    pub limit: Option<u32>,
    /// How a frozen Front Door treats a change.
    #[serde(default)]
    pub freeze: Freeze,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The region is gone: it answers nobody, and its instances are lost.
    HardLoss,
    /// Nobody reaches the stamp, but its instances live on.
    Partition,
    /// What comes through Front Door fails, probes and requests; direct requests succeed. All stamps if none is named.
    EdgeFailure,
    /// A part `ratio` (default 1) of Front Door's probes fails, requests succeed.
    ProbeFailure,
    /// A part `ratio` (default 0.2) of the application's requests fails; the health endpoint answers 200.
    GrayErrors,
    /// The controller's own requests to the stamps fail; all others succeed. All stamps if none is named.
    WitnessBlind,
    /// The stamp's Cosmos DB region is lost.
    CosmosRegionLost,
    /// Cosmos DB fails in every region at once, while the account document still says that all is well.
    CosmosEverywhere,
    /// The demand is multiplied by `ratio` (default 2).
    DemandSurge,
    /// Azure Resource Manager answers 503.
    ArmDown,
    /// Azure Resource Manager answers 429.
    ArmThrottled,
    /// Front Door takes no configuration change; see [`Freeze`].
    FrontDoorFrozen,
    /// Azure Monitor metrics are unreadable, for us and for the autoscale engine.
    MetricsDown,
    /// Cordon's own ledger is unreachable ([`crate::World::ledger_available`]).
    LedgerDown,
    /// Cordon's own gate store is unreachable ([`crate::World::gate_store_available`]).
    GateStoreDown,
    /// The controller does not run ([`crate::World::controller_available`]).
    ControllerDown,
    /// The subscription may have no more than `limit` instances there, and its quota says so.
    QuotaShort,
    /// The region itself has no more than `limit` for us: the quota does not say so, and instances beyond it never start.
    RegionFull,
    /// Instances take `ratio` (default 4) times as long to start.
    SlowCapacity,
    /// Each instance serves only `ratio` (default 0.5) of what it should.
    Brownout,
}

/// How a frozen Front Door treats a change of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freeze {
    /// ARM accepts it (202) and it stays `Updating` until the thaw.
    #[default]
    Stall,
    /// ARM refuses it (409).
    Reject,
}

/// Something that Azure says, or claims.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertSpec {
    /// Which kind of message.
    pub kind: AlertKind,
    /// Region it names. Service Health needs one.
    #[serde(default)]
    pub region: Option<RegionName>,
    /// Stamp it is about. Metric and resource health messages need one.
    #[serde(default)]
    pub stamp: Option<StampId>,
    /// Service it names.
    #[serde(default = "default_service")]
    pub service: String,
    /// When what it tells of happened.
    pub at_s: u32,
    /// How much later it is delivered; none means drawn from the known distribution of its kind.
    #[serde(default)]
    pub delay_s: Option<u32>,
    /// Begin or end.
    #[serde(default)]
    pub stage: AlertStage,
    /// How often it is delivered, 1 to 10; the copies come seconds apart.
    #[serde(default = "one")]
    pub copies: u32,
    /// Marked as a test by Azure, which must never cause an action.
    #[serde(default)]
    pub synthetic: Synthetic,
}

/// Kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// Service Health, by action group and by activity-log export.
    ServiceHealth,
    /// Metric alert on `OriginHealthPercentage`, by action group.
    Metric,
    /// Resource Health of the stamp's App Service plan, by action group.
    ResourceHealth,
    /// `HealthResources` by Event Grid, Event Grid schema.
    EventGrid,
    /// `HealthResources` by Event Grid, CloudEvents schema.
    CloudEvent,
}

/// Begin or end of what an alert tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum AlertStage {
    /// It began; `Fired` for a metric alert.
    #[default]
    Active,
    /// It is over, says the alert.
    Resolved,
}

/// Whether an alert is a test message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Synthetic {
    /// A real one.
    #[default]
    No,
    /// A test: `IsSynthetic` is `True`.
    Yes,
}

/// A scenario could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The text is no scenario.
    #[error("read the scenario")]
    Read(#[source] toml::de::Error),
    /// The scenario contradicts itself or exceeds a bound.
    #[error("accept scenario {name}: {reason}")]
    Refused {
        /// The scenario's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Scenario {
    /// Longest play, in seconds: a day. Measurements are kept per second.
    pub const DURATION_S_MAX: u32 = 86_400;

    /// Reads and checks a scenario.
    ///
    /// # Errors
    /// When the text is no scenario, or it contradicts itself.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(ScenarioError::Read)?;
        scenario.checked()
    }

    /// The scenario, if it can be played.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub fn checked(self) -> Result<Self, ScenarioError> {
        match self.objection() {
            Some(reason) => Err(ScenarioError::Refused { name: self.name, reason }),
            None => Ok(self),
        }
    }

    fn objection(&self) -> Option<String> {
        if !(1..=8).contains(&self.stamps.len()) {
            return Some("it needs one to eight stamps".into());
        }
        if self.duration_s == 0 || self.duration_s > Self::DURATION_S_MAX {
            return Some(format!("duration_s is not in 1..={}", Self::DURATION_S_MAX));
        }
        let shares: f64 = self.stamps.iter().map(|s| s.native_share).sum();
        if (shares - 1.0).abs() > 0.001 || self.stamps.iter().any(|s| s.native_share <= 0.0) {
            return Some(format!("the native shares are {shares} together, not 1, or one is not positive"));
        }
        if let Some(s) = self.stamps.iter().find(|s| {
            s.instances_min > s.instances_initial
                || s.instances_initial > s.instances_max
                || s.instance_rps <= 0.0
        }) {
            return Some(format!(
                "stamp {}: min <= initial <= max and a positive instance_rps are needed",
                s.id
            ));
        }
        if !(self.stamps.len() as u32 * 4..=200).contains(&self.demand.pops) {
            return Some("pops is not in 4 per stamp ..= 200".into());
        }
        let door = &self.front_door;
        if door.probe_interval_s == 0
            || !(1..=8).contains(&door.sample_size)
            || !(1..=door.sample_size).contains(&door.samples_required)
        {
            return Some(
                "front_door: probe_interval_s >= 1 and 1 <= samples_required <= sample_size <= 8".into(),
            );
        }
        self.faults
            .iter()
            .find_map(|f| self.fault_objection(f))
            .or_else(|| self.alerts.iter().find_map(|a| self.alert_objection(a)))
            .or_else(|| {
                let stamps: Vec<StampId> = self.stamps.iter().map(|stamp| stamp.id.clone()).collect();
                self.edits.iter().find_map(|edit| edits::objection(edit, &stamps))
            })
    }

    fn fault_objection(&self, fault: &FaultSpec) -> Option<String> {
        let kind = fault.kind;
        if fault.from_s.is_some() == fault.when.is_some() {
            return Some(format!("fault {kind:?} needs either from_s or when"));
        }
        if fault.when.is_some() && fault.until_s.is_some() {
            return Some(format!("fault {kind:?} with when ends by for_s, not until_s"));
        }
        if fault.from_s.zip(fault.until_s).is_some_and(|(from, until)| from >= until) {
            return Some(format!("fault {kind:?} ends before it starts"));
        }
        if fault.stamp.as_ref().is_some_and(|id| !self.stamps.iter().any(|s| s.id == *id)) {
            return Some(format!("fault {kind:?} names a stamp that is not in the scenario"));
        }
        if matches!(kind, FaultKind::QuotaShort | FaultKind::RegionFull) && fault.limit.is_none() {
            return Some(format!("fault {kind:?} needs limit"));
        }
        None
    }

    fn alert_objection(&self, alert: &AlertSpec) -> Option<String> {
        if !(1..=10).contains(&alert.copies) {
            return Some("an alert's copies are not in 1..=10".into());
        }
        let named = alert.stamp.as_ref().is_some_and(|id| self.stamps.iter().any(|s| s.id == *id));
        match alert.kind {
            AlertKind::ServiceHealth if alert.region.is_none() => {
                Some("a service-health alert needs region".into())
            }
            AlertKind::ServiceHealth => None,
            kind if !named => Some(format!("a {kind:?} alert needs the stamp it is about")),
            _ => None,
        }
    }
}

impl Default for DemandSpec {
    fn default() -> Self {
        Self { total_rps: 3_000.0, daily_swing: 0.08, peak_hour_utc: 19.0, pops: 40 }
    }
}

impl Default for FrontDoorSpec {
    fn default() -> Self {
        Self {
            probe_interval_s: 15,
            sample_size: 4,
            samples_required: 2,
            additional_latency_ms: 0.0,
            origin_health_alert_below_pct: Some(80.0),
        }
    }
}

/// The scenarios that come with the simulator: name and TOML text, in the order of the book.
pub fn builtin() -> &'static [(&'static str, &'static str)] {
    BUILTIN
}

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*]
    };
}

const BUILTIN: &[(&str, &str)] = builtin![
    "contoso-shoes",
    "hard-loss",
    "hard-loss-alerted-early",
    "hard-loss-n1",
    "gray-failure",
    "gray-failure-n1",
    "relapse",
    "false-alarm-one-class",
    "alert-without-evidence",
    "resolved-while-bad",
    "cosmos-region-lost",
    "cosmos-bad-in-two-regions",
    "both-regions-at-once",
    "edge-only-failure",
    "survivors-cannot-grow",
    "survivors-short-of-quota",
    "survivor-overloaded-by-loss",
    "survivor-failing-while-first-out",
    "controller-lost-while-gate-closed",
    "three-stamps-latch-frozen-and-thawed",
    "second-region-within-velocity-limit",
    "witness-blind",
    "arm-down-during-loss",
    "ledger-down-during-loss",
    "demand-surge",
    "redeployment-during-cordon",
    "portal-edit-during-cordon",
    "stamp-removed",
];

fn default_seed() -> u64 {
    7
}

fn default_workload() -> String {
    "contoso-shoes".into()
}

fn default_instance_rps() -> f64 {
    150.0
}

fn default_service() -> String {
    "App Service".into()
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_scenario_is_accepted_under_its_own_name() {
        for (name, text) in builtin() {
            let scenario = Scenario::from_toml(text).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!(scenario.name, *name);
        }
    }

    #[test]
    fn refuses_what_contradicts_itself() {
        let text = builtin()[1].1;
        for (find, replace) in [
            ("native_share = 0.75", "native_share = 0.85"),
            ("from_s = 600", "from_s = 9600"),
            ("stamp = \"eastus2\"", "stamp = \"nowhere\""),
            ("kind = \"hard-loss\"", "kind = \"bad-luck\""),
        ] {
            assert!(text.contains(find), "{find}");
            assert!(Scenario::from_toml(&text.replace(find, replace)).is_err(), "{replace}");
        }
    }
}
