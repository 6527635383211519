//! Which faults hold in a given second, as the conditions that the rest of the world reads.

use std::collections::BTreeMap;

use crate::scenario::{FaultKind, FaultSpec, Freeze, StampSpec};

/// Share of the application's requests that fail under gray errors when the scenario names none.
const GRAY_RATIO: f64 = 0.2;
/// Factor of a demand surge when the scenario names none.
const SURGE_FACTOR: f64 = 2.0;
/// Factor on instance start times when the scenario names none.
const SLOW_START_FACTOR: f64 = 4.0;
/// Part of an instance's capacity that a brownout leaves when the scenario names none.
const BROWNOUT_RATIO: f64 = 0.5;

/// What holds in one second.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conditions {
    pub(crate) stamps: Vec<StampConditions>,
    pub(crate) demand_factor: f64,
    pub(crate) arm: ArmCondition,
    pub(crate) freeze: Option<Freeze>,
    pub(crate) metrics_down: bool,
    pub(crate) ledger_down: bool,
    pub(crate) gate_store_down: bool,
    pub(crate) controller_down: bool,
    /// One flag per fault of the scenario.
    pub(crate) active: Vec<bool>,
}

/// How Azure Resource Manager answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArmCondition {
    Up,
    Throttled,
    Down,
}

/// What holds for one stamp in one second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StampConditions {
    pub(crate) lost: bool,
    pub(crate) partitioned: bool,
    pub(crate) edge_failed: bool,
    pub(crate) witness_blind: bool,
    pub(crate) cosmos_failing: bool,
    /// The account document shows the region as gone.
    pub(crate) cosmos_region_lost: bool,
    /// Part of Front Door's probes that fails.
    pub(crate) probe_failure: f64,
    /// Part of the application's requests that fails.
    pub(crate) gray: f64,
    pub(crate) quota: Option<u32>,
    /// Instances that the region has for us, whatever the quota says.
    pub(crate) room: Option<u32>,
    pub(crate) start_factor: f64,
    pub(crate) capacity_factor: f64,
}

impl StampConditions {
    const CALM: Self = Self {
        lost: false,
        partitioned: false,
        edge_failed: false,
        witness_blind: false,
        cosmos_failing: false,
        cosmos_region_lost: false,
        probe_failure: 0.0,
        gray: 0.0,
        quota: None,
        room: None,
        start_factor: 1.0,
        capacity_factor: 1.0,
    };

    /// Nobody reaches it at all.
    pub(crate) fn unreachable(&self) -> bool {
        self.lost || self.partitioned
    }

    /// Something is wrong with it or with the way to it.
    pub(crate) fn faulted(&self) -> bool {
        let calm = Self { quota: self.quota, room: self.room, ..Self::CALM };
        *self != calm
    }
}

/// The conditions of second `t`, given when each mark was set.
pub(crate) fn conditions(
    faults: &[FaultSpec],
    stamps: &[StampSpec],
    marks: &BTreeMap<String, u32>,
    t: u32,
) -> Conditions {
    let calm = |s: &StampSpec| StampConditions { quota: s.quota, ..StampConditions::CALM };
    let mut now = Conditions {
        stamps: stamps.iter().map(calm).collect(),
        demand_factor: 1.0,
        arm: ArmCondition::Up,
        freeze: None,
        metrics_down: false,
        ledger_down: false,
        gate_store_down: false,
        controller_down: false,
        active: faults.iter().map(|f| holds(f, marks, t)).collect(),
    };
    for (i, fault) in faults.iter().enumerate() {
        if now.active[i] {
            apply(fault, stamps, &mut now);
        }
    }
    now
}

fn holds(fault: &FaultSpec, marks: &BTreeMap<String, u32>, t: u32) -> bool {
    let (from, until) = match (&fault.when, fault.from_s) {
        (None, from) => (from, fault.until_s),
        (Some(label), _) => {
            let from = marks.get(label).map(|at| at.saturating_add(fault.after_s));
            (from, from.zip(fault.for_s).map(|(from, span)| from.saturating_add(span)))
        }
    };
    from.is_some_and(|from| from <= t) && until.is_none_or(|until| t < until)
}

fn apply(fault: &FaultSpec, stamps: &[StampSpec], now: &mut Conditions) {
    match fault.kind {
        FaultKind::DemandSurge => now.demand_factor *= fault.ratio.unwrap_or(SURGE_FACTOR),
        FaultKind::ArmDown => now.arm = ArmCondition::Down,
        FaultKind::ArmThrottled if now.arm == ArmCondition::Up => now.arm = ArmCondition::Throttled,
        FaultKind::FrontDoorFrozen => now.freeze = Some(fault.freeze),
        FaultKind::MetricsDown => now.metrics_down = true,
        FaultKind::LedgerDown => now.ledger_down = true,
        FaultKind::GateStoreDown => now.gate_store_down = true,
        FaultKind::ControllerDown => now.controller_down = true,
        _ => {
            for (spec, stamp) in stamps.iter().zip(&mut now.stamps) {
                if fault.stamp.as_ref().is_none_or(|id| *id == spec.id) {
                    apply_to_stamp(fault, stamp);
                }
            }
        }
    }
}

fn apply_to_stamp(fault: &FaultSpec, stamp: &mut StampConditions) {
    match fault.kind {
        FaultKind::HardLoss => stamp.lost = true,
        FaultKind::Partition => stamp.partitioned = true,
        FaultKind::EdgeFailure => stamp.edge_failed = true,
        FaultKind::ProbeFailure => stamp.probe_failure = stamp.probe_failure.max(fault.ratio.unwrap_or(1.0)),
        FaultKind::GrayErrors => stamp.gray = stamp.gray.max(fault.ratio.unwrap_or(GRAY_RATIO)),
        FaultKind::WitnessBlind => stamp.witness_blind = true,
        FaultKind::CosmosRegionLost => (stamp.cosmos_failing, stamp.cosmos_region_lost) = (true, true),
        FaultKind::CosmosEverywhere => stamp.cosmos_failing = true,
        FaultKind::QuotaShort => stamp.quota = fault.limit.map(|l| stamp.quota.map_or(l, |q| q.min(l))),
        FaultKind::RegionFull => stamp.room = fault.limit.map(|l| stamp.room.map_or(l, |r| r.min(l))),
        FaultKind::SlowCapacity => stamp.start_factor *= fault.ratio.unwrap_or(SLOW_START_FACTOR),
        FaultKind::Brownout => stamp.capacity_factor *= fault.ratio.unwrap_or(BROWNOUT_RATIO),
        FaultKind::DemandSurge
        | FaultKind::ArmDown
        | FaultKind::ArmThrottled
        | FaultKind::FrontDoorFrozen
        | FaultKind::MetricsDown
        | FaultKind::LedgerDown
        | FaultKind::GateStoreDown
        | FaultKind::ControllerDown => {}
    }
}
