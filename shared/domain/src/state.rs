//! What a workload's ledger remembers between evaluations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::HoldReason;
use crate::facts::{CapacityFacts, EnabledState, GatedView, LoadFacts, OriginFacts, QuotaFacts, StampFacts};
use crate::gate::GatePosition;
use crate::modes::{ModeCause, OrderedMode};
use crate::overriding::{Overridable, Override};
use crate::policy::Policy;
use crate::quota::QuotaShort;
use crate::throughput::{HeldThroughput, ThroughputFacts};
use crate::{
    EvidenceClass, FailureKind, Generation, ItemId, Measure, OperationId, StampId, Timestamp, Verdict,
    WorkloadId,
};

/// The present schema of `WorkloadState`. A newer one is a hold (S8), an older one is read as it was written.
pub const STATE_SCHEMA: u32 = 1;

/// Where a stamp stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// In rotation, nothing against it.
    Serving,
    /// In rotation, something speaks against it.
    Suspect,
    /// Decided to be taken out: the survivors' capacity or the gate is under way.
    Evacuating,
    /// Out of rotation.
    Cordoned,
    /// Out of rotation, healthy, its window running.
    Proving,
    /// Coming back, slice by slice.
    Readmitting,
    /// Left as it is by an operator's order.
    Held,
}

impl Stage {
    /// Out of rotation by us, or on the way back in.
    pub const fn is_out(self) -> bool {
        matches!(self, Self::Cordoned | Self::Proving)
    }
}

/// Why a stamp was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It serves nothing any more.
    HardLoss,
    /// It fails more than its error budget.
    Gray,
    /// An operator ordered it.
    Order,
}

/// The case of one stamp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StampCase {
    /// Where it stands.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
    /// Why it is out, if it is.
    pub cause: Option<Cause>,
    /// Share of its requests that failed when it was decided to take it out, 0 to 1.
    pub error_ratio: f64,
    /// The gate position we want.
    pub gate: GatePosition,
    /// The origin state we want.
    pub origin: EnabledState,
    /// The capacity floor we want here: instances.
    pub floor: Option<u32>,
    /// The floor that we set and have not given back: instances.
    pub floor_recorded: Option<u32>,
    /// When that floor was set, or last given another chance to be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_set_at: Option<Timestamp>,
    /// When we gave our floor up because somebody else had changed it; until this cordon is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_yielded_at: Option<Timestamp>,
    /// How often our floor was put back in this cordon after somebody else had changed it.
    #[serde(default, skip_serializing_if = "never")]
    pub floor_reasserted: u32,
    /// It was seen not to grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cannot_grow: Option<CannotGrow>,
    /// Its quota would not let it carry the loss of another stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_short: Option<QuotaShort>,
    /// When the present case began to show.
    pub first_symptom_at: Option<Timestamp>,
    /// When the cordon was decided.
    pub decided_at: Option<Timestamp>,
    /// A gray cordon closes the gate at this moment even if the survivors are not ready.
    pub ready_deadline: Option<Timestamp>,
    /// When a partial evacuation last moved the gate: the next slice waits until what that one moved has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliced_at: Option<Timestamp>,
    /// The running window, once healthy.
    pub window: Option<WindowRun>,
    /// The running ramp.
    pub ramp: Option<RampRun>,
    /// Set from the latch until the origin is seen enabled again: only then is its state ours to change.
    pub latched_at: Option<Timestamp>,
    /// When we gave the latch up because somebody else had enabled the origin; until this cordon is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_yielded_at: Option<Timestamp>,
    /// How often the origin was disabled again in this cordon after somebody else had enabled it.
    #[serde(default, skip_serializing_if = "never")]
    pub origin_reasserted: u32,
    /// When the origin was first seen enabled again after a latch; its edge locations settle from there.
    pub origin_enabled_at: Option<Timestamp>,
    /// `Edge` samples before this are masked: our own gate or origin caused them.
    pub edge_from: Option<Timestamp>,
    /// `Traffic` samples before this are masked.
    pub traffic_from: Option<Timestamp>,
    /// It was full, not dead, until then: what its clients and probes felt before is explained.
    pub overloaded_until: Option<Timestamp>,
    /// The flap memory.
    pub penalty: Penalty,
    /// Automatic cordons, the oldest first; kept for the budget's span.
    pub auto_cordons: Vec<Timestamp>,
    /// An operator's order to leave it alone.
    pub hold: Option<OperatorHold>,
    /// The generation in which a cordon of this stamp was held for approval; an approval must name it.
    pub awaiting_approval: Option<Generation>,
    /// An operator's approval of a held cordon; dies with the hold.
    pub approval: Option<Approval>,
    /// An operator allowed the return although the budget was spent.
    pub acknowledged: bool,
    /// What forbids something about it now, since when, and when a person was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_for: Option<HeldFor>,
    /// Safety rules that an operator set aside for its removal, until they end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<Overridable, Override>,
    /// An operator's order to take it out; until its return begins by an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
    /// An operator's order to let it back before its window is over; until its return begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<ByHand>,
    /// Requests per second before the first symptom: what must be carried.
    pub demand_rps: f64,
    /// What a slice of its ramp brought when it was too much, until it serves again; none as long as none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_slice: Option<BusySlice>,
    /// When it last came back, for the stagger and the restore of the floors.
    pub returned_at: Option<Timestamp>,
}

/// That a region does not grow: learnt from a scale-out that failed or was not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CannotGrow {
    /// When it was learnt.
    pub since: Timestamp,
    /// Believed until then.
    pub until: Timestamp,
    /// Instances that were ready.
    pub ready: u32,
    /// Instances that were asked for.
    pub asked: u32,
}

/// Something that an observer of ours could not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unreadable {
    /// Since when.
    pub since: Timestamp,
    /// When it was last tried in vain.
    pub tried_at: Timestamp,
}

/// What the edge locations of a slice carry, learnt from a slice that brought more than expected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BusySlice {
    /// The slice, in percent of the edge locations.
    pub percent: u8,
    /// Requests per second that arrived.
    pub rps: f64,
    /// When it was seen.
    pub at: Timestamp,
}

/// Load samples kept per stamp: at one per 10 s, five minutes.
pub const LOAD_SAMPLES_MAX: usize = 30;

/// One sample of a stamp's load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadSample {
    /// When.
    pub at: Timestamp,
    /// Requests per second.
    pub rps: f64,
}

/// A sustained-healthy window in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowRun {
    /// When it (re)started.
    pub started_at: Timestamp,
    /// How much healthy time it needs, in seconds.
    pub needs_s: u64,
    /// Seconds in which it stood still for missing samples.
    pub paused_s: u64,
}

/// A ramp in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RampRun {
    /// Which slice of the policy's list is open.
    pub slice: u32,
    /// Since when.
    pub since: Timestamp,
    /// Opened at once because what still served was failing.
    pub emergency: bool,
}

/// The flap memory: grows by one with each cordon, halves with time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Penalty {
    /// Points at `at`.
    pub points: f64,
    /// When they were counted.
    pub at: Timestamp,
}

impl Penalty {
    /// Points left at `now`.
    pub fn points_at(self, now: Timestamp, half_life: Duration) -> f64 {
        self.points * 0.5_f64.powf(now.since(self.at).as_secs_f64() / half_life.as_secs_f64().max(1.0))
    }

    /// One more cordon at `now`.
    #[must_use]
    pub fn after_cordon(self, now: Timestamp, half_life: Duration) -> Self {
        Self { points: self.points_at(now, half_life) + 1.0, at: now }
    }
}

/// An operator's hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperatorHold {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// The stage it interrupts.
    pub resume: Stage,
}

/// An operator's order about one stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ByHand {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A hold that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldFor {
    /// Why.
    pub reason: HoldReason,
    /// The generation that first held it for that reason: what an override names.
    pub generation: Generation,
    /// Since when.
    pub since: Timestamp,
    /// When a person was last told of it.
    pub told_at: Timestamp,
    /// How often.
    pub told: u32,
}

/// An operator's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// The generation whose hold it approves.
    pub generation: Generation,
}

/// A pause of all automatic removals and returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Since when.
    #[serde(default)]
    pub since: Timestamp,
    /// When somebody was last told that it still stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
}

/// Why removals are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FreezeCause {
    /// More than half of the regions turned bad within one detection window.
    MostRegionsAtOnce,
    /// The stamps are red through the edge while they are green directly.
    EdgeRedDirectGreen,
    /// Failures of the auth or DNS class at every stamp: our own doing, or a global fault.
    AuthOrDnsEverywhere,
}

/// A freeze in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Freeze {
    /// Why.
    pub cause: FreezeCause,
    /// Since when.
    pub since: Timestamp,
    /// When the cause was last seen.
    pub last_seen: Timestamp,
}

/// A run of equal verdicts from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// What it says.
    pub verdict: Verdict,
    /// By the source's own clock: the first of the run.
    pub since: Timestamp,
    /// The latest of the run.
    pub last_seen: Timestamp,
    /// How many samples.
    pub count: u64,
    /// Not healthy since: survives a change between `Degraded` and `Unhealthy`.
    pub bad_since: Option<Timestamp>,
    /// A total loss since, if every sample of the run said so from then on.
    pub total_since: Option<Timestamp>,
}

/// What one source says about one stamp in one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Track {
    /// The run of its latest verdict.
    pub run: Run,
    /// Stands until resolved, if set: a stateful alert fired at that moment.
    pub standing_since: Option<Timestamp>,
    /// How it fails.
    pub failure: Option<FailureKind>,
    /// Counted samples, the oldest first, over the class's span; at most `MEASURES_MAX`.
    pub measures: VecDeque<TimedMeasure>,
    /// For the reader.
    pub note: String,
}

/// Counted samples kept per track.
pub const MEASURES_MAX: usize = 12;

/// Counted samples with their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimedMeasure {
    /// When.
    pub at: Timestamp,
    /// How many, and how many failed.
    pub measure: Measure,
}

/// Evidence about one stamp: by class, by source.
pub type Evidence = BTreeMap<EvidenceClass, BTreeMap<String, Track>>;

/// The case of a stamp that is gone from the topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Departed {
    /// When it was found gone.
    pub at: Timestamp,
    /// Its case as it was.
    pub case: StampCase,
}

/// The topology as last discovered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// When it was read; none before the first time.
    pub read_at: Option<Timestamp>,
    /// The stamps. Shared between copies of a state, like the other two large maps of it.
    pub stamps: Arc<BTreeMap<StampId, StampFacts>>,
}

/// The beginning of an epoch: what was committed shortly before may be lost, and what it has done in Azure is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EpochStart {
    /// When it began.
    pub at: Timestamp,
    /// Stamps whose origin was enabled when it was last read before.
    pub enabled: BTreeSet<StampId>,
    /// Our floors as they were last read before.
    pub floors: BTreeMap<StampId, u32>,
}

/// An origin change of a lost commit may take effect this long after the epoch began: Front Door takes up to 40 min each way.
const LOST_EFFECT_MAX: Duration = Duration::from_secs(3_600);

impl EpochStart {
    /// Whether what is read at this moment may be the effect of a lost commit.
    pub fn may_explain(&self, read_at: Timestamp) -> bool {
        read_at.since(self.at) <= LOST_EFFECT_MAX
    }
}

/// The whole memory of one workload. Every map is ordered, so that equal states are equal bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadState {
    /// Schema version.
    pub schema: u32,
    /// Whose.
    pub workload: WorkloadId,
    /// The number of this state.
    pub generation: Generation,
    /// The attempt that committed it, to recognise our own commit after a time-out.
    pub operation: OperationId,
    /// The latest "now" that was decided at; never goes back.
    pub as_of: Timestamp,
    /// The cases.
    pub cases: BTreeMap<StampId, StampCase>,
    /// Cases of stamps that are gone, for the horizon: one that comes back goes on where it was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub departed: BTreeMap<StampId, Departed>,
    /// The evidence.
    pub evidence: Arc<BTreeMap<StampId, Evidence>>,
    /// The topology.
    pub topology: Topology,
    /// Origins as last read.
    pub origins: BTreeMap<StampId, OriginFacts>,
    /// When the present epoch began, if it is not the first. Folding alone asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_start: Option<EpochStart>,
    /// Capacity as last read.
    pub capacity: BTreeMap<StampId, CapacityFacts>,
    /// Quotas as last read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quota: BTreeMap<StampId, QuotaFacts>,
    /// Throughput settings as last read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub throughput: BTreeMap<String, ThroughputFacts>,
    /// Throughput settings that we raised.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub throughput_held: BTreeMap<String, HeldThroughput>,
    /// What our observers could not read lately, by what they call it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<String, Unreadable>,
    /// Load as the stamps last said.
    pub load: BTreeMap<StampId, LoadFacts>,
    /// The latest load samples of each stamp, the oldest first, at most `LOAD_SAMPLES_MAX`. They are evidence and no part
    /// of a case, or every record would hold them twice: as what was read and as what was decided.
    #[serde(default)]
    pub load_samples: Arc<BTreeMap<StampId, VecDeque<LoadSample>>>,
    /// The gated views as last seen.
    pub gated_view: BTreeMap<StampId, GatedView>,
    /// A freeze in force.
    pub freeze: Option<Freeze>,
    /// When the last freeze ended: timers restart there.
    pub freeze_ended_at: Option<Timestamp>,
    /// A pause in force.
    pub pause: Option<Pause>,
    /// Modes that an operator changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modes: BTreeMap<ModeCause, OrderedMode>,
    /// No removals before this, after a gap in our own evidence.
    pub quiet_until: Option<Timestamp>,
    /// When an observer of ours last wrote.
    pub observed_at: Option<Timestamp>,
    /// When a region was last taken out automatically.
    pub last_removal_at: Option<Timestamp>,
    /// Event ids seen within the horizon, with their event times. Folding alone asks for them: what is only decided on,
    /// and so what the audit keeps, has none.
    #[serde(default, skip_serializing_if = "nobody_seen")]
    pub seen: Arc<BTreeMap<ItemId, Timestamp>>,
    /// Seq of the last audit record; 0 before the first.
    pub audit_seq: u64,
    /// Hash of the last audit record; empty before the first.
    pub audit_head: String,
    /// When the last audit record was written.
    pub audited_at: Option<Timestamp>,
    /// The essence of the last decision: a change of it is a transition.
    pub decision_digest: String,
}

/// For a count that most cases never begin.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn never(count: &u32) -> bool {
    *count == 0
}

fn nobody_seen(seen: &Arc<BTreeMap<ItemId, Timestamp>>) -> bool {
    seen.is_empty()
}

impl WorkloadState {
    /// Commits on this may be lost: before anything is folded into it.
    pub fn begin_epoch(&mut self, at: Timestamp) {
        let enabled = self.origins.iter().filter(|(_, origin)| origin.enabled == EnabledState::Enabled);
        let floors = self.capacity.iter();
        self.epoch_start = Some(EpochStart {
            at,
            enabled: enabled.map(|(stamp, _)| stamp.clone()).collect(),
            floors: floors.filter_map(|(stamp, read)| Some((stamp.clone(), read.our_floor?))).collect(),
        });
    }

    /// The state before anything happened.
    pub fn new(workload: WorkloadId, epoch: u32, now: Timestamp) -> Self {
        Self {
            schema: STATE_SCHEMA,
            workload,
            generation: Generation { epoch, n: 0 },
            operation: OperationId::new("genesis"),
            as_of: now,
            cases: BTreeMap::new(),
            departed: BTreeMap::new(),
            evidence: Arc::default(),
            topology: Topology::default(),
            origins: BTreeMap::new(),
            epoch_start: None,
            capacity: BTreeMap::new(),
            quota: BTreeMap::new(),
            throughput: BTreeMap::new(),
            throughput_held: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            load: BTreeMap::new(),
            load_samples: Arc::default(),
            gated_view: BTreeMap::new(),
            freeze: None,
            freeze_ended_at: None,
            pause: None,
            modes: BTreeMap::new(),
            quiet_until: None,
            observed_at: None,
            last_removal_at: None,
            seen: Arc::default(),
            audit_seq: 0,
            audit_head: String::new(),
            audited_at: None,
            decision_digest: String::new(),
        }
    }

    /// Whether our own evidence had a gap a moment ago, and no operator set that aside for the removal of this stamp (S6).
    pub fn is_quiet_about(&self, stamp: &StampId) -> bool {
        let aside = self.cases.get(stamp).is_some_and(|case| case.overrides(Overridable::S6, self.as_of));
        self.quiet_until.is_some_and(|until| until > self.as_of) && !aside
    }

    /// A copy to decide on. The ids of past events, thousands of them, are asked for by folding alone and stay behind.
    pub(crate) fn to_decide_on(&self) -> Self {
        Self {
            epoch_start: None,
            schema: self.schema,
            workload: self.workload.clone(),
            generation: self.generation,
            operation: self.operation.clone(),
            as_of: self.as_of,
            cases: self.cases.clone(),
            departed: BTreeMap::new(),
            evidence: self.evidence.clone(),
            topology: self.topology.clone(),
            origins: self.origins.clone(),
            capacity: self.capacity.clone(),
            quota: self.quota.clone(),
            throughput: self.throughput.clone(),
            throughput_held: self.throughput_held.clone(),
            unreadable: self.unreadable.clone(),
            load: self.load.clone(),
            load_samples: self.load_samples.clone(),
            gated_view: self.gated_view.clone(),
            freeze: self.freeze,
            freeze_ended_at: self.freeze_ended_at,
            pause: self.pause.clone(),
            modes: self.modes.clone(),
            quiet_until: self.quiet_until,
            observed_at: self.observed_at,
            last_removal_at: self.last_removal_at,
            seen: Arc::default(),
            audit_seq: self.audit_seq,
            audit_head: self.audit_head.clone(),
            audited_at: self.audited_at,
            decision_digest: self.decision_digest.clone(),
        }
    }
}

impl StampCase {
    /// Whether as many automatic cordons as the policy allows fall into its span: only a person ends that.
    pub fn has_spent_budget(&self, as_of: Timestamp, policy: &Policy) -> bool {
        let span = policy.budget.span.get();
        let used = self.auto_cordons.iter().filter(|at| as_of.since(**at) < span).count();
        used >= usize::try_from(policy.budget.cordons_max).unwrap_or(usize::MAX)
    }

    /// A stamp that was gone and is back: what it was out for holds, its memory too. What was only decided is not done any
    /// more, and a window starts anew.
    #[must_use]
    pub(crate) fn resumed(mut self, now: Timestamp) -> Self {
        self.since = now;
        self.window = None;
        self.overloaded_until = None;
        self.overrides.clear();
        match self.stage {
            Stage::Proving => self.stage = Stage::Cordoned,
            Stage::Evacuating if self.gate == GatePosition::Open => {
                self.stage = Stage::Suspect;
                self.cause = None;
                self.decided_at = None;
                self.ready_deadline = None;
                self.sliced_at = None;
            }
            _ => {}
        }
        self
    }

    /// A stamp that has just been seen for the first time: in rotation, as the world has it.
    pub fn new(now: Timestamp) -> Self {
        Self {
            stage: Stage::Serving,
            since: now,
            cause: None,
            error_ratio: 0.0,
            gate: GatePosition::Open,
            origin: EnabledState::Enabled,
            floor: None,
            floor_recorded: None,
            floor_set_at: None,
            floor_yielded_at: None,
            floor_reasserted: 0,
            cannot_grow: None,
            quota_short: None,
            first_symptom_at: None,
            decided_at: None,
            ready_deadline: None,
            sliced_at: None,
            window: None,
            ramp: None,
            latched_at: None,
            origin_yielded_at: None,
            origin_reasserted: 0,
            origin_enabled_at: None,
            edge_from: None,
            traffic_from: None,
            overloaded_until: None,
            penalty: Penalty::default(),
            auto_cordons: Vec::new(),
            hold: None,
            awaiting_approval: None,
            approval: None,
            acknowledged: false,
            held_for: None,
            overrides: BTreeMap::new(),
            by_hand: None,
            early: None,
            demand_rps: 0.0,
            busy_slice: None,
            returned_at: None,
        }
    }
}
