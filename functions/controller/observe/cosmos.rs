//! The workload's Cosmos account: the state of its regions, and how requests to each of them fare.

use std::collections::BTreeMap;
use std::time::Duration;

use adapters::azure::arm::{ArmError, ResourceId};
use adapters::azure::cosmos_account::{Account, AccountLocation, LocationRole, WriteRegions};
use adapters::azure::metrics::{self, Aggregation, MetricSeries, MetricsQuery};
use adapters::azure::throughput::{self, ThroughputError};
use adapters::azure::{ProvisioningState, cosmos_account};
use domain::evidence::HALF_MINUTE;
use domain::state::WorkloadState;
use domain::throughput::ThroughputFacts;
use domain::{EvidenceClass, FailureKind, Measure, RegionName, Scope, Signal, Standing, Timestamp, Verdict};

use futures_util::future::join_all;

use super::Run;
use crate::controller::Controller;
use crate::controller::throughput::setting;

/// How far back request metrics are read: longer than their lag.
const SPAN: Duration = Duration::from_secs(6 * 60);
/// A minute with fewer requests says nothing about a ratio.
const REQUESTS_MIN: u64 = 20;
/// Source of the account document within the class.
const ACCOUNT: &str = "cosmos-account";
/// Source of `TotalRequests` within the class.
const REQUESTS: &str = "cosmos-requests";

pub(super) async fn read(controller: &Controller, state: &WorkloadState, now: Timestamp, run: &mut Run) {
    let Some(id) =
        controller.policy.workload.cosmos_account.as_deref().and_then(|id| ResourceId::parse(id).ok())
    else {
        return;
    };
    let query = MetricsQuery {
        metrics: &["TotalRequests"],
        aggregation: Aggregation::Count,
        split_by: &["Region", "StatusCode"],
        from: now.before(SPAN),
        to: now,
    };
    // Side by side: one that hangs takes nothing from the others.
    let (account, throughputs, series) = tokio::join!(
        account(controller, &id, state, now),
        throughputs(controller, now),
        metrics::read(&controller.azure.arm_observed, &id, &query),
    );
    match account {
        Ok(signals) => run.signals.extend(signals),
        Err(error) => run.unreadable("cosmos account", &error),
    }
    for (resource, found) in throughputs {
        match found {
            Ok(facts) => _ = run.facts.throughput.insert(resource, facts),
            Err(error) => run.unreadable(&format!("throughput of {resource}"), &error),
        }
    }
    match series {
        Ok(series) => run.signals.extend(requests(&series, state)),
        Err(error) => run.unreadable("cosmos request metric", &error),
    }
}

/// The settings that the policy lists, side by side.
async fn throughputs(
    controller: &Controller,
    now: Timestamp,
) -> Vec<(String, Result<ThroughputFacts, ThroughputError>)> {
    let levers = controller.policy.throughput.iter();
    let settings = levers.filter_map(|lever| Some((&lever.resource, setting(controller, &lever.resource)?)));
    let reading = settings.map(|(resource, id)| async move {
        let found = throughput::read(&controller.azure.arm_observed, &id).await;
        let facts = found.map(|found| ThroughputFacts {
            read_at: now,
            maximum: found.maximum,
            instant: found.instant,
        });
        (resource.clone(), facts)
    });
    join_all(reading).await
}

fn signal(region: &RegionName, source: &str, verdict: Verdict, observed_at: Timestamp) -> Signal {
    Signal {
        scope: Scope::Region(region.clone()),
        class: EvidenceClass::Data,
        source: source.to_owned(),
        verdict,
        observed_at,
        standing: Standing::Sample,
        failure: None,
        measure: None,
        note: String::new(),
    }
}

/// A region that is out says so; one that is in says only that nobody took it out, which is no proof of health.
async fn account(
    controller: &Controller,
    id: &ResourceId,
    state: &WorkloadState,
    now: Timestamp,
) -> Result<Vec<Signal>, ArmError> {
    let account = cosmos_account::get(&controller.azure.arm_observed, id).await?;
    let mut signals = Vec::new();
    for region in regions(state) {
        let location = account.locations.iter().find(|location| location.region == region);
        let was_there = state.topology.stamps.values().filter(|stamp| stamp.region == region).any(|stamp| {
            let track = state
                .evidence
                .get(&stamp.stamp)
                .and_then(|evidence| evidence.get(&EvidenceClass::Data)?.get(ACCOUNT));
            track.is_some()
        });
        let verdict = match location.map(|location| &location.provisioning_state) {
            Some(ProvisioningState::Failed) => Verdict::Unhealthy,
            Some(ProvisioningState::InTransition(text)) if text.eq_ignore_ascii_case("offline") => {
                Verdict::Unhealthy
            }
            // Taken out of both lists that clients go by, and not for being made just now.
            Some(ProvisioningState::Succeeded)
                if location.is_some_and(|location| location.role == LocationRole::Neither) =>
            {
                Verdict::Unhealthy
            }
            Some(_) if location.is_some_and(|location| takes_no_writes(&account, location)) => {
                Verdict::Degraded
            }
            Some(_) => Verdict::Unobserved,
            // A region taken offline disappears from the account; one that never had a replica is not a fault.
            None if was_there => Verdict::Unhealthy,
            None => continue,
        };
        let failure = match verdict {
            Verdict::Unhealthy => Some(FailureKind::Unreachable),
            Verdict::Degraded => Some(FailureKind::Dependency),
            _ => None,
        };
        signals.push(Signal { failure, ..signal(&region, ACCOUNT, verdict, now) });
    }
    Ok(signals)
}

/// Where every region takes writes, one that does not is failing; where one does, the others are as they should be.
fn takes_no_writes(account: &Account, location: &AccountLocation) -> bool {
    account.writes == WriteRegions::Multiple && location.role == LocationRole::Read
}

fn regions(state: &WorkloadState) -> std::collections::BTreeSet<RegionName> {
    state.topology.stamps.values().map(|stamp| stamp.region.clone()).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "request counts of one minute")]
fn requests(series: &[MetricSeries], state: &WorkloadState) -> Vec<Signal> {
    let known = regions(state);
    let mut counts: BTreeMap<(RegionName, Timestamp), Measure> = BTreeMap::new();
    for one in series {
        let region = one.dimensions.get("region").map(|name| RegionName::from_display(name));
        let Some(region) = region.filter(|region| known.contains(region)) else { continue };
        let status: u16 = one.dimensions.get("statuscode").and_then(|code| code.parse().ok()).unwrap_or(0);
        // 429 is a matter of throughput, not of the region; 408, 410 and 5xx are the region's.
        let failed = matches!(status, 408 | 410 | 500..);
        for (minute, value) in &one.points {
            let Some(count) = value else { continue };
            let sum = counts.entry((region.clone(), *minute)).or_insert(Measure { failed: 0, total: 0 });
            sum.total += count.max(0.0).round() as u64;
            sum.failed += if failed { count.max(0.0).round() as u64 } else { 0 };
        }
    }
    let newest = |region: &RegionName| {
        let stamps = state.topology.stamps.values().filter(|stamp| stamp.region == *region);
        stamps
            .filter_map(|stamp| state.evidence.get(&stamp.stamp)?.get(&EvidenceClass::Data)?.get(REQUESTS))
            .map(|track| track.run.last_seen)
            .max()
            .unwrap_or_default()
    };
    counts
        .into_iter()
        .filter(|(_, measure)| measure.total >= REQUESTS_MIN)
        .map(|((region, minute), measure)| (minute + HALF_MINUTE, region, measure))
        .filter(|(observed_at, region, _)| *observed_at > newest(region))
        .map(|(observed_at, region, measure)| Signal {
            measure: Some(measure),
            ..signal(&region, REQUESTS, Verdict::Healthy, observed_at)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_without_writes_fails_only_where_all_take_them() {
        for (writes, role, fails) in [
            (WriteRegions::Multiple, LocationRole::Read, true),
            (WriteRegions::Multiple, LocationRole::Write, false),
            (WriteRegions::Single, LocationRole::Read, false),
            (WriteRegions::Single, LocationRole::Write, false),
        ] {
            let location = AccountLocation {
                region: "eastus2".into(),
                provisioning_state: ProvisioningState::Succeeded,
                failover_priority: None,
                role,
            };
            let id = ResourceId::parse(
                "/subscriptions/s/resourceGroups/g/providers/Microsoft.DocumentDB/databaseAccounts/a",
            )
            .unwrap();
            let provisioning_state = ProvisioningState::Succeeded;
            let account = Account { id, locations: vec![location.clone()], writes, provisioning_state };
            assert_eq!(takes_no_writes(&account, &location), fails, "{writes:?} {role:?}");
        }
    }
}
