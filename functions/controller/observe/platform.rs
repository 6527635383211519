//! What Azure's Resource Health says of each stamp's compute: the same `Platform` signals as its alerts, and also where no alert
//! is set up or one was lost.
//!
//! The workload's Cosmos DB account is not asked about: its status is of the whole account and names no region.

use adapters::azure::arm::{ArmError, ResourceId, ResourceIdError};
use adapters::azure::resource_health::{self, AvailabilityStatus};
use domain::facts::StampFacts;
use domain::state::{Topology, WorkloadState};
use domain::{EvidenceClass, ItemBody, RefusalCode, Scope, Signal, Standing, Timestamp};
use futures_util::future::join_all;

use super::Run;
use crate::controller::Controller;
use crate::normalise::{self, Context};

/// Why an availability status could not be read.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    #[error("read an availability status")]
    Arm(#[from] ArmError),
    #[error("use a resource id of the topology")]
    Id(#[from] ResourceIdError),
}

/// One request for each stamp, side by side; nothing else is asked for, so nothing else can answer.
pub(super) async fn read(
    controller: &Controller,
    stamps: &[StampFacts],
    state: Option<&WorkloadState>,
    now: Timestamp,
    run: &mut Run,
) {
    let known = stamps.iter().map(|stamp| (stamp.stamp.clone(), stamp.clone())).collect();
    let topology = Topology { read_at: Some(now), stamps: std::sync::Arc::new(known) };
    let ctx = Context { policy: &controller.policy, topology: &topology, received_at: now };
    let asked = stamps.iter().filter_map(|stamp| Some((stamp, normalise::compute_of(stamp)?)));
    let answers = join_all(
        asked.map(|(stamp, resource)| async move { (stamp, resource, ask(controller, resource).await) }),
    );
    for (stamp, resource, answer) in answers.await {
        match answer {
            // Nothing was seen for minutes, says Azure, and says so now and then of what is well: it neither tells nor takes back.
            Ok(status) if status.state.eq_ignore_ascii_case("unknown") => {}
            Ok(status) => take(normalise::health::status(resource, &status, &ctx), state, run),
            Err(error) => run.unreadable(&format!("resource health of {}", stamp.stamp), &error),
        }
    }
}

async fn ask(controller: &Controller, resource: &str) -> Result<AvailabilityStatus, StatusError> {
    let resource = ResourceId::parse(resource)?;
    Ok(resource_health::current(&controller.azure.arm_observed, &resource).await?)
}

/// Signals become part of the run. A refusal is an item of its own: its id is that of the change, so it is recorded once,
/// however often it is read.
fn take(items: Vec<domain::InboxItem>, state: Option<&WorkloadState>, run: &mut Run) {
    for item in items {
        match item.body {
            ItemBody::Observed { signals, .. } => {
                run.signals.extend(signals.into_iter().filter(|signal| is_news(signal, state)));
            }
            // What has been so for longer than an event may be old is no event: most of what is well has been well for weeks.
            ItemBody::Refused { refusal } if refusal.code == RefusalCode::TooOld => {}
            _ => run.refused.push(item),
        }
    }
}

/// A status is the same minute after minute. Only what the fold does not know yet is told; and `Available` only where it takes
/// something back, for it proves nothing.
fn is_news(signal: &Signal, state: Option<&WorkloadState>) -> bool {
    let Scope::Stamp(stamp) = &signal.scope else { return true };
    let track =
        state.and_then(|state| state.evidence.get(stamp)?.get(&EvidenceClass::Platform)?.get(&signal.source));
    let Some(track) = track else { return signal.standing != Standing::Resolved };
    let newer = signal.observed_at > track.run.last_seen;
    match signal.standing {
        Standing::Resolved => {
            track.standing_since.is_some() && (newer || signal.observed_at == track.run.last_seen)
        }
        Standing::Fired | Standing::Sample => {
            newer || (signal.observed_at == track.run.last_seen && signal.verdict != track.run.verdict)
        }
    }
}
