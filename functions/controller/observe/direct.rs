//! Direct probes: each stamp's ungated view and a few synthetic requests from the witness region, and what the other
//! stamps' views say of it.

use domain::evidence::WITNESS;
use domain::facts::{GatedView, LoadFacts, StampFacts};
use domain::state::WorkloadState;
use domain::{
    EvidenceClass, FailureKind, GatePosition, Measure, Scope, Signal, StampId, Standing, Timestamp, Verdict,
};
use futures_util::future::join_all;

use super::Run;
use crate::controller::Controller;
use crate::controller::azure::DirectFailure;
use crate::stamp::{PeerStatus, Status, UngatedView};

/// Synthetic requests per stamp and run: with six runs in an opinion, 30 samples see a gray failure of 20 % in all but
/// one of 800 minutes (binomial: 0 or 1 failure of 30 at 0.2).
const PINGS: usize = 5;

/// What one stamp answered.
struct Answer {
    view: Result<UngatedView, DirectFailure>,
    pings: Vec<Result<(), DirectFailure>>,
    gated: Option<u16>,
}

pub(super) async fn probe(
    controller: &Controller,
    stamps: &[StampFacts],
    state: Option<&WorkloadState>,
    now: Timestamp,
) -> Run {
    let mut run = Run::default();
    let gate_matters = |stamp: &StampId| {
        state
            .and_then(|state| state.cases.get(stamp))
            .is_some_and(|case| case.gate != GatePosition::Open || case.latched_at.is_some())
    };
    let answers =
        join_all(stamps.iter().map(|stamp| ask(controller, stamp, gate_matters(&stamp.stamp)))).await;
    for (stamp, answer) in stamps.iter().zip(answers) {
        run.signals.push(from_witness(&stamp.stamp, &answer, now));
        if let Ok(view) = &answer.view {
            // Its list of peers is older than ours for a while after a stamp has gone.
            let known =
                |signal: &Signal| stamps.iter().any(|one| signal.scope == Scope::Stamp(one.stamp.clone()));
            run.signals.extend(from_peer(view).into_iter().filter(known));
            if let Some(load) = view.load {
                run.facts.load.insert(stamp.stamp.clone(), LoadFacts::from(load));
            }
        }
        if let Some(status) = answer.gated {
            run.facts.gated_view.insert(stamp.stamp.clone(), GatedView { observed_at: now, status });
        }
    }
    run
}

#[expect(
    clippy::fn_params_excessive_bools,
    reason = "whether the gated view is asked as well, named at its call site"
)]
async fn ask(controller: &Controller, stamp: &StampFacts, gate_matters: bool) -> Answer {
    let direct = &controller.azure.direct;
    let url = &stamp.direct_url;
    let view = direct.view::<UngatedView>(url).await;
    let pings = join_all((0..PINGS).map(|number| direct.ping(url, number))).await;
    let gated = if gate_matters { direct.gated_status(url).await.ok() } else { None };
    Answer { view, pings, gated }
}

/// Saturation outranks the rest: a stamp that says "full" is full. Reachability comes last, for a single lost packet is
/// not a lost stamp.
fn worst(failures: &[FailureKind]) -> Option<FailureKind> {
    let count = |kind| failures.iter().filter(|failure| **failure == kind).count();
    let kinds = [
        FailureKind::Saturated,
        FailureKind::Dns,
        FailureKind::Auth,
        FailureKind::Unreachable,
        FailureKind::ServerError,
    ];
    kinds.into_iter().filter(|kind| count(*kind) > 0).max_by_key(|kind| count(*kind))
}

fn from_witness(stamp: &StampId, answer: &Answer, now: Timestamp) -> Signal {
    let mut failures: Vec<FailureKind> =
        answer.pings.iter().filter_map(|ping| ping.as_ref().err()).map(|failure| failure.0).collect();
    let measure = Measure { failed: failures.len() as u64, total: answer.pings.len() as u64 };
    let (verdict, note) = match &answer.view {
        Ok(view) => {
            let bad: Vec<String> = view
                .components
                .iter()
                .filter(|component| component.status != crate::stamp::ComponentStatus::Healthy)
                .map(|component| format!("{} {:?}", component.name, component.status))
                .collect();
            if view.status != Status::Healthy && failures.is_empty() {
                failures.push(FailureKind::Dependency);
            }
            (of_status(view.status), bad.join(", "))
        }
        Err(failure) => {
            failures.push(failure.0);
            (Verdict::Unhealthy, format!("its ungated view: {:?}", failure.0))
        }
    };
    Signal {
        scope: Scope::Stamp(stamp.clone()),
        class: EvidenceClass::Direct,
        source: WITNESS.to_owned(),
        verdict,
        observed_at: now,
        standing: Standing::Sample,
        failure: worst(&failures).or(failures.first().copied()),
        measure: Some(measure),
        note: domain::note(&note),
    }
}

const fn of_status(status: Status) -> Verdict {
    match status {
        Status::Healthy => Verdict::Healthy,
        Status::Degraded => Verdict::Degraded,
        Status::Unhealthy => Verdict::Unhealthy,
    }
}

fn from_peer(view: &UngatedView) -> Vec<Signal> {
    let peers = view.peers.as_deref().unwrap_or_default();
    peers
        .iter()
        .map(|peer| {
            let (verdict, failure) = match peer.status {
                PeerStatus::Healthy => (Verdict::Healthy, None),
                PeerStatus::Degraded => (Verdict::Degraded, None),
                PeerStatus::Unhealthy => (Verdict::Unhealthy, Some(FailureKind::ServerError)),
                PeerStatus::Unreachable => (Verdict::Unhealthy, Some(FailureKind::Unreachable)),
            };
            Signal {
                scope: Scope::Stamp(peer.stamp.clone()),
                class: EvidenceClass::Direct,
                source: format!("peer:{}", view.stamp),
                verdict,
                observed_at: peer.observed_at,
                standing: Standing::Sample,
                failure,
                measure: None,
                note: String::new(),
            }
        })
        .collect()
}
