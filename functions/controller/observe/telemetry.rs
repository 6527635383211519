//! Front Door's own metrics: the health of the origins as its edge sees it, and the requests that reach them.

use std::collections::BTreeMap;
use std::time::Duration;

use adapters::azure::arm::ResourceId;
use adapters::azure::metrics::{self, Aggregation, MetricSeries, MetricsQuery};
use domain::evidence::HALF_MINUTE;
use domain::facts::StampFacts;
use domain::state::{LoadSample, WorkloadState};
use domain::{EvidenceClass, Measure, Scope, Signal, StampId, Standing, Timestamp, Verdict};

use super::Run;
use crate::controller::Controller;

/// How far back is read: longer than the longest lag (3 min), so that no minute is missed.
const SPAN: Duration = Duration::from_secs(6 * 60);
/// A minute with fewer requests says nothing about a ratio.
const REQUESTS_MIN: u64 = 20;
/// Source of `OriginHealthPercentage` within the class.
const ORIGIN_HEALTH: &str = "origin-health";
/// Source of `OriginRequestCount` within the class.
const ORIGIN_REQUESTS: &str = "origin-requests";

pub(super) async fn read(
    controller: &Controller,
    stamps: &[StampFacts],
    state: Option<&WorkloadState>,
    now: Timestamp,
    run: &mut Run,
) {
    let Some(profile) =
        ResourceId::parse(&controller.policy.workload.origin_group).ok().and_then(|group| group.parent())
    else {
        return;
    };
    let query = |metrics, aggregation, split_by| MetricsQuery {
        metrics,
        aggregation,
        split_by,
        from: now.before(SPAN),
        to: now,
    };
    let health = query(&["OriginHealthPercentage"], Aggregation::Average, &["Origin"]);
    match metrics::read(&controller.azure.arm_observed, &profile, &health).await {
        Ok(series) => run.signals.extend(edge_signals(&series, stamps, state)),
        Err(error) => run.unreadable("origin health metric", &error),
    }
    let requests = query(&["OriginRequestCount"], Aggregation::Total, &["Origin", "HttpStatusGroup"]);
    match metrics::read(&controller.azure.arm_observed, &profile, &requests).await {
        Ok(series) => {
            let counts = by_minute(&series, stamps);
            run.facts.demand.extend(demand(&counts, state));
            run.signals.extend(traffic_signals(counts, state));
        }
        Err(error) => run.unreadable("origin request metric", &error),
    }
}

fn stamp_of<'a>(series: &MetricSeries, stamps: &'a [StampFacts]) -> Option<&'a StampId> {
    // Telemetry names an origin by its host, sometimes with scheme and port.
    let origin = series.dimensions.get("origin")?;
    let host = origin.split("://").last()?.split(':').next()?;
    stamps.iter().find(|stamp| stamp.origin_host.eq_ignore_ascii_case(host)).map(|stamp| &stamp.stamp)
}

/// Only minutes newer than the newest one folded: an older one would be told twice.
fn newest_folded(
    state: Option<&WorkloadState>,
    stamp: &StampId,
    class: EvidenceClass,
    source: &str,
) -> Timestamp {
    state
        .and_then(|state| state.evidence.get(stamp)?.get(&class)?.get(source))
        .map(|track| track.run.last_seen)
        .unwrap_or_default()
}

fn signal(
    stamp: &StampId,
    class: EvidenceClass,
    source: &str,
    observed_at: Timestamp,
    measure: Measure,
) -> Signal {
    Signal {
        scope: Scope::Stamp(stamp.clone()),
        class,
        source: source.to_owned(),
        // The ratio decides; a sample without failures is healthy.
        verdict: Verdict::Healthy,
        observed_at,
        standing: Standing::Sample,
        failure: None,
        measure: Some(measure),
        note: String::new(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=100 and to counts"
)]
fn edge_signals(
    series: &[MetricSeries],
    stamps: &[StampFacts],
    state: Option<&WorkloadState>,
) -> Vec<Signal> {
    let mut signals = Vec::new();
    for one in series {
        let Some(stamp) = stamp_of(one, stamps) else { continue };
        let newest = newest_folded(state, stamp, EvidenceClass::Edge, ORIGIN_HEALTH);
        for (minute, value) in &one.points {
            let observed_at = *minute + HALF_MINUTE;
            if let Some(percent) = value.filter(|_| observed_at > newest) {
                let failed = 100 - percent.clamp(0.0, 100.0).round() as u64;
                signals.push(signal(
                    stamp,
                    EvidenceClass::Edge,
                    ORIGIN_HEALTH,
                    observed_at,
                    Measure { failed, total: 100 },
                ));
            }
        }
    }
    signals
}

/// Requests of each stamp in each minute, and how many of them failed.
type Counts = BTreeMap<(StampId, Timestamp), Measure>;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "request counts of one minute")]
fn by_minute(series: &[MetricSeries], stamps: &[StampFacts]) -> Counts {
    let mut counts = Counts::new();
    for one in series {
        let Some(stamp) = stamp_of(one, stamps) else { continue };
        let group = one.dimensions.get("httpstatusgroup").map_or("", String::as_str);
        // Status 0 is a time-out; 4XX are the clients' own.
        let failed = group.starts_with('5') || group.starts_with('0');
        for (minute, value) in &one.points {
            let Some(count) = value else { continue };
            let sum = counts.entry((stamp.clone(), *minute)).or_insert(Measure { failed: 0, total: 0 });
            sum.total += count.max(0.0).round() as u64;
            sum.failed += if failed { count.max(0.0).round() as u64 } else { 0 };
        }
    }
    counts
}

/// The newest minute of each stamp that is known and does not tell its own load: an application may tell none, and the demand
/// that moves when its region is lost must be known all the same.
fn demand(counts: &Counts, state: Option<&WorkloadState>) -> BTreeMap<StampId, LoadSample> {
    let tells_none = |stamp: &StampId| {
        state.is_some_and(|state| state.cases.contains_key(stamp) && !state.load.contains_key(stamp))
    };
    counts
        .iter()
        .filter(|((stamp, _), _)| tells_none(stamp))
        .map(|((stamp, minute), measure)| {
            #[expect(clippy::cast_precision_loss, reason = "request counts of one minute")]
            let rps = measure.total as f64 / 60.0;
            (stamp.clone(), LoadSample { at: *minute + HALF_MINUTE, rps })
        })
        .collect()
}

fn traffic_signals(counts: Counts, state: Option<&WorkloadState>) -> Vec<Signal> {
    counts
        .into_iter()
        .filter(|(_, measure)| measure.total >= REQUESTS_MIN)
        .filter_map(|((stamp, minute), measure)| {
            let observed_at = minute + HALF_MINUTE;
            let newest = newest_folded(state, &stamp, EvidenceClass::Traffic, ORIGIN_REQUESTS);
            (observed_at > newest)
                .then(|| signal(&stamp, EvidenceClass::Traffic, ORIGIN_REQUESTS, observed_at, measure))
        })
        .collect()
}
