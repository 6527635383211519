//! A scenario played on the stamps of a parameter file: what is deployed is what is drilled.

use anyhow::{bail, ensure};
use simulator::{EditKind, EditSpec, Scenario, StampSpec};

use crate::cli::parameters::{Parameters, StampEntry};

/// Requests per second that one instance serves, as the shipped policy and every scenario have it.
const INSTANCE_RPS: f64 = 150.0;

/// Instances that stand over those that the load needs: `instancesMin` is sized for a stamp's own load plus a third. With the
/// production file this gives the 3000 requests per second of `contoso-shoes`.
const SIZED_FOR: f64 = 1.35;

/// The scenario with these stamps. The file says nothing of clients, so each stamp has the part of them that its
/// `instancesMin` is sized for.
///
/// # Errors
/// When a fault, an alert or an edit of the scenario is about a stamp that the file does not have, or the result contradicts
/// itself.
pub fn with_stamps_of(scenario: Scenario, parameters: &Parameters) -> anyhow::Result<Scenario> {
    let sized: f64 = parameters.stamps.iter().map(|stamp| f64::from(stamp.instances_min)).sum();
    ensure!(sized > 0.0, "the file has no instances");
    let spec = |entry: &StampEntry| StampSpec {
        id: entry.name.clone(),
        region: entry.region.clone(),
        native_share: f64::from(entry.instances_min) / sized,
        instance_rps: INSTANCE_RPS,
        instances_min: entry.instances_min,
        instances_max: entry.instances_max,
        instances_initial: entry.instances_min,
        compute: simulator::ComputeKind::AppService,
        quota: None,
    };
    let known = |stamp: &domain::StampId| parameters.stamps.iter().any(|entry| entry.name == *stamp);
    let named = scenario.faults.iter().filter_map(|fault| fault.stamp.as_ref());
    let named = named.chain(scenario.alerts.iter().filter_map(|alert| alert.stamp.as_ref()));
    let mut named = named.chain(scenario.edits.iter().filter_map(|edit| edit.stamp.as_ref()));
    if let Some(stranger) = named.find(|stamp| !known(stamp)) {
        bail!("the scenario is about {stranger}, which the file does not have");
    }
    let mut edits = scenario.edits.clone();
    let edit = |kind, entry: &StampEntry| EditSpec { kind, stamp: Some(entry.name.clone()), at_s: 0 };
    for entry in &parameters.stamps {
        if entry.draining {
            edits.push(edit(EditKind::Drain, entry));
        }
        if parameters.held_out.contains(&entry.name) {
            edits.push(edit(EditKind::DisableOrigin, entry));
        }
    }
    let mut demand = scenario.demand.clone();
    demand.total_rps = (sized * INSTANCE_RPS / SIZED_FOR).round();
    Ok(Scenario {
        workload: parameters.workload.clone(),
        stamps: parameters.stamps.iter().map(spec).collect(),
        demand,
        edits,
        ..scenario
    }
    .checked()?)
}
