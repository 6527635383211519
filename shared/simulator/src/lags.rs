//! Every constant of the physics with where it comes from, for the report.

use crate::edge::{CONTROL_PLANE_S, FARTHER_MS, NEAR_MS, PROPAGATION_S, QUIET_INTERVAL_FACTOR, QUIET_SHARE};
use crate::metrics::METRIC_LAG_S;
use crate::stamp::{
    BASELINE_ERRORS, COLD_FACTOR, COLD_S, CPU_AT_FULL_PCT, INSTANCE_RESTART_S, INSTANCE_START_S,
    NEEDS_COSMOS, OVERLOAD_LOSS, PROBE_STARVATION_RHO, PROBE_STARVATION_SHARE, SATURATED_MS, SERVICE_MS,
};
use crate::telemetry::{
    METRIC_ALERT_DELIVERY_S, METRIC_ALERT_HEALTHY_EVALUATIONS, PROBE_LOG_BATCH_S, PROBE_LOG_LAG_S,
    RESOURCE_HEALTH_LAG_S,
};
use crate::world::DEMAND_NOISE;

/// One figure that the simulation rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedLag {
    /// What it is the figure of.
    pub name: &'static str,
    /// The figure with its unit.
    pub value: String,
    /// Where it comes from; `assumed` where it is ours.
    pub source: &'static str,
}

/// The figures that the simulation rests on, in the order of the story: edge, configuration, capacity, telemetry.
pub fn stated_lags() -> Vec<StatedLag> {
    let stated = |(name, value, source)| StatedLag { name, value, source };
    edge().into_iter().chain(capacity()).chain(telemetry()).map(stated).collect()
}

type Line = (&'static str, String, &'static str);

fn edge() -> Vec<Line> {
    vec![
        ("probe interval, sample window", "15 s, 2 of 4 (scenario)".into(), "the workload's own setting"),
        (
            "quiet location",
            format!(
                "below {:.1} % of traffic probes every {} x interval",
                QUIET_SHARE * 100.0,
                QUIET_INTERVAL_FACTOR
            ),
            "assumed; Microsoft says 'less often'",
        ),
        ("latency to the nearest stamp", range(NEAR_MS, "ms"), "assumed"),
        (
            "latency to another stamp",
            format!("{} more", range(FARTHER_MS, "ms")),
            "assumed: eastus2 to centralus",
        ),
        ("Front Door operation in ARM", span(CONTROL_PLANE_S), "from memory"),
        (
            "Front Door operation at one location",
            span(PROPAGATION_S),
            "Front Door FAQ 2025: up to 20 min, queued",
        ),
    ]
}

fn capacity() -> Vec<Line> {
    vec![
        ("App Service instance start", span(INSTANCE_START_S), "from memory: 30 s to 5 min and warm-up"),
        ("instance restart after a regional loss", span(INSTANCE_RESTART_S), "assumed"),
        (
            "cold caches after a regional loss",
            format!("{COLD_S} s at {COLD_FACTOR} x service time"),
            "assumed",
        ),
        (
            "autoscale engine",
            format!("every {} s", crate::autoscale::ENGINE_INTERVAL_S),
            "documented: 30 to 60 s",
        ),
        ("service time", format!("{SERVICE_MS} ms idle, {SATURATED_MS} ms saturated (medians)"), "assumed"),
        ("goodput lost at twice the capacity", format!("{:.0} %", OVERLOAD_LOSS * 100.0), "assumed"),
        (
            "probes missed by a starved stamp",
            format!("from {PROBE_STARVATION_RHO} x capacity, up to {:.0} %", PROBE_STARVATION_SHARE * 100.0),
            "assumed",
        ),
        (
            "processor time when exactly full",
            format!("{CPU_AT_FULL_PCT} %"),
            "assumed; the autoscale rules see it",
        ),
        ("requests that need Cosmos DB", format!("{:.0} %", NEEDS_COSMOS * 100.0), "assumed"),
        ("noise of the demand", format!("{:.0} % each second", DEMAND_NOISE * 100.0), "assumed"),
        ("errors with nothing wrong", format!("{:.2} %", BASELINE_ERRORS * 100.0), "assumed"),
    ]
}

fn telemetry() -> Vec<Line> {
    vec![
        (
            "Azure Monitor metric",
            format!("{} after the minute", span(METRIC_LAG_S)),
            "documented: 1 to 3 min",
        ),
        (
            "probe log by Event Hub",
            format!("batches of {PROBE_LOG_BATCH_S} s, {} late", span(PROBE_LOG_LAG_S)),
            "documented: a few minutes",
        ),
        (
            "metric alert",
            format!(
                "each minute on what is readable, {METRIC_ALERT_DELIVERY_S} s to deliver, resolved after \
                 {METRIC_ALERT_HEALTHY_EVALUATIONS} healthy minutes"
            ),
            "from memory",
        ),
        ("Service Health", "10 to 98 min, median 34 min".into(), "ten public incidents (DESIGN.md, fact 5)"),
        (
            "resource health",
            format!(
                "{RESOURCE_HEALTH_LAG_S} s, by alert and when asked; of faults it sees a lost region only"
            ),
            "assumed; documented are the checks, from inside the datacenter, and no time",
        ),
    ]
}

fn span((low, high): (u32, u32)) -> String {
    format!("{low} to {high} s")
}

fn range((low, high): (f64, f64), unit: &str) -> String {
    format!("{low} to {high} {unit}")
}
