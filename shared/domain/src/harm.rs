//! The zero-harm rule: what would fail per second at one gate position, to hold one against another. A plan that would
//! do more harm than doing nothing is not executed.
//!
//! It is an estimate on the demand before the first symptom: what fails at the stamp itself, and what the survivors
//! would get beyond what is ready there. A survivor that nobody saw lately has nothing to spare.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::assess::Assessment;
use crate::capacity::{ready_rps, spread, survivors};
use crate::policy::{Policy, Redistribution};
use crate::state::WorkloadState;
use crate::{EvidenceClass, FailureKind, StampId, Verdict};

/// Differences below this many requests per second are rounding.
const NEGLIGIBLE_RPS: f64 = 1e-6;

/// What fails per second if a gate moves, and if it does not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Harm {
    /// Requests that fail per second if nothing is done.
    pub doing_nothing_rps: f64,
    /// Requests that fail per second if it is done.
    pub acting_rps: f64,
}

impl Harm {
    /// Whether acting would do more harm than doing nothing.
    pub fn exceeds(&self) -> bool {
        self.acting_rps > self.doing_nothing_rps + NEGLIGIBLE_RPS
    }
}

/// How the stamp itself fails what it gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Here {
    /// This share of it, 0 to 1.
    Share(f64),
    /// What it gets beyond what is ready there: it is well.
    BeyondReady,
}

/// What moving the stamp's gate between two positions, in percent, does.
pub(crate) fn of_moving(
    state: &WorkloadState,
    stamp: &StampId,
    (from, to): (u8, u8),
    here: Here,
    already_moved: f64,
    policy: &Policy,
) -> Harm {
    let at = |percent: u8| {
        let open = f64::from(percent) / 100.0;
        failing_rps(state, stamp, open.min(1.0 - already_moved), here, policy)
    };
    Harm { doing_nothing_rps: at(from), acting_rps: at(to) }
}

/// Requests that fail per second while the stamp gets the share `gets` of its demand, 0 to 1.
fn failing_rps(state: &WorkloadState, stamp: &StampId, gets: f64, here: Here, policy: &Policy) -> f64 {
    let Some(case) = state.cases.get(stamp) else { return 0.0 };
    let own = case.demand_rps * gets;
    let here = match here {
        Here::Share(share) => own * share,
        Here::BeyondReady => (own - ready_rps(state, stamp, policy).unwrap_or(0.0)).max(0.0),
    };
    let others = || state.cases.iter().filter(|(other, case)| *other != stamp && case.decided_at.is_some());
    let out: BTreeSet<StampId> = others().map(|(other, _)| other.clone()).chain([stamp.clone()]).collect();
    let moved: BTreeMap<&StampId, f64> = others()
        .map(|(other, case)| (other, case.demand_rps * (1.0 - f64::from(case.gate.percent()) / 100.0)))
        .chain([(stamp, case.demand_rps - own)])
        .collect();
    let survivors = survivors(state, &out);
    let extra = spread(state, &moved, &survivors, policy);
    let beyond = survivors.iter().map(|survivor| {
        let own = state.cases[*survivor].demand_rps;
        let ready = ready_rps(state, survivor, policy).unwrap_or(own);
        (own + extra.get(survivor).copied().unwrap_or(0.0) - ready).max(0.0)
    });
    let beyond = match policy.capacity.redistribution {
        // All of it lands on one of them, whichever takes it worst.
        Redistribution::WorstCase => beyond.fold(0.0, f64::max),
        Redistribution::Proportional | Redistribution::Nearest => beyond.sum(),
    };
    // With nobody left to carry it, what moves fails where it lands.
    let nowhere = if survivors.is_empty() { moved.values().sum() } else { 0.0 };
    here + beyond + nowhere
}

/// Share of the stamp's requests that fail, as best known, 0 to 1: by real requests, else by our own probes. What nobody
/// saw is taken to fail.
pub(crate) fn failing_share(assessment: &Assessment) -> f64 {
    let view = |class| &assessment.views[&class];
    let direct = view(EvidenceClass::Direct);
    if direct.verdict == Verdict::Unhealthy
        && (direct.total_since.is_some() || direct.failure == Some(FailureKind::Unreachable))
    {
        return 1.0;
    }
    let of = |class| view(class).error_ratio.filter(|_| view(class).verdict != Verdict::Unobserved);
    of(EvidenceClass::Traffic).or(of(EvidenceClass::Direct)).unwrap_or(1.0)
}

/// Share of the stamp's demand that Front Door has moved away by itself, 0 to 1: all of it where nobody answers, else as
/// its own probes fail.
pub(crate) fn moved_by_front_door(assessment: &Assessment) -> f64 {
    let direct = &assessment.views[&EvidenceClass::Direct];
    if direct.is_bad() && direct.failure == Some(FailureKind::Unreachable) {
        return 1.0;
    }
    let edge = &assessment.views[&EvidenceClass::Edge];
    if edge.verdict == Verdict::Unhealthy { edge.error_ratio.unwrap_or(1.0) } else { 0.0 }
}

/// What a removal of the stamp, from one gate position to another in percent, does.
pub(crate) fn of_removal(
    state: &WorkloadState,
    stamp: &StampId,
    positions: (u8, u8),
    assessment: &Assessment,
    policy: &Policy,
) -> Harm {
    let here = Here::Share(failing_share(assessment));
    of_moving(state, stamp, positions, here, moved_by_front_door(assessment), policy)
}
