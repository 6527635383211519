//! What Azure tells: probe logs, metric alerts, Service Health, resource health. Each in the shape of its channel, and
//! each late in its own way.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Timestamp;
use serde_json::{Value, json};

use crate::draw::{About, Seed, entity};
use crate::health::{EdgeProbe, ProbeReply};
use crate::metrics::Metrics;
use crate::scenario::{AlertKind, AlertSpec, AlertStage, Scenario};
use crate::world::{SimResourceIds, StampResourceIds};

mod payload;

pub(crate) use payload::display_name;

use payload::AlertInstance;

/// Failed probes are exported in batches of this many seconds. Assumed.
pub(crate) const PROBE_LOG_BATCH_S: u32 = 30;
/// A batch arrives this long after it was closed, in seconds: "a few minutes" (contracts/AZURE.md 4.4), at the lower end.
pub(crate) const PROBE_LOG_LAG_S: (u32, u32) = (60, 180);
/// Records per Event Hub message, so that a message stays far below 1 MB.
const PROBE_LOG_RECORDS_MAX: usize = 200;
/// A metric alert is delivered this long after the evaluation that caused it, in seconds. Assumed.
pub(crate) const METRIC_ALERT_DELIVERY_S: u32 = 20;
/// Healthy evaluations that resolve a metric alert (contracts/AZURE.md 2.4, from memory).
pub(crate) const METRIC_ALERT_HEALTHY_EVALUATIONS: u32 = 3;
/// Quantiles of the minutes between a regional impact and the first Service Health communication: median 34 over ten
/// public cases, at most 98 (DESIGN.md, fact 5); the points between are interpolated by eye.
pub(crate) const SERVICE_HEALTH_LAG_MIN: [(f64, f64); 5] =
    [(0.0, 10.0), (0.25, 22.0), (0.5, 34.0), (0.9, 82.0), (1.0, 98.0)];
/// Resource health and Event Grid messages are this late when the scenario does not say, in seconds. Assumed.
pub(crate) const RESOURCE_HEALTH_LAG_S: u32 = 240;
/// Seconds between two copies of one message. Assumed.
const COPY_SPACING_S: u32 = 4;

/// One event, due now.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// A POST of an action group.
    ActionGroup {
        /// Common alert schema.
        body: Value,
    },
    /// Messages of an Event Hub, one batch.
    EventHub {
        /// `azure-monitor` or `front-door`.
        hub: &'static str,
        /// Each message's text.
        messages: Vec<String>,
    },
    /// A POST of Event Grid: an array (Event Grid schema) or an object (CloudEvents).
    EventGrid {
        /// The event or events.
        body: Value,
    },
}

/// What is on its way.
#[derive(Debug)]
pub(crate) struct Telemetry {
    seed: Seed,
    start: Timestamp,
    due: BTreeMap<(u32, u64), Delivery>,
    queued: u64,
    failed_probes: Vec<Value>,
    batches: u64,
    alert_below_pct: Option<f64>,
    rules: Vec<RuleState>,
}

/// The moments that a message names.
#[derive(Clone, Copy, Debug)]
struct Moments {
    /// The incident began.
    began: Timestamp,
    /// What this message tells of happened.
    happened: Timestamp,
    /// The message was written.
    sent: Timestamp,
}

/// The metric alert rule of one stamp.
#[derive(Clone, Debug, Default)]
struct RuleState {
    instance: u64,
    fired: Option<Timestamp>,
    healthy: u32,
    evaluated_minute: Option<u32>,
}

impl Telemetry {
    pub(crate) fn new(scenario: &Scenario, seed: Seed, start: Timestamp, ids: &SimResourceIds) -> Self {
        let mut telemetry = Self {
            seed,
            start,
            due: BTreeMap::new(),
            queued: 0,
            failed_probes: Vec::new(),
            batches: 0,
            alert_below_pct: scenario.front_door.origin_health_alert_below_pct,
            rules: vec![RuleState::default(); scenario.stamps.len()],
        };
        for (n, alert) in scenario.alerts.iter().enumerate() {
            // All communications of one incident name the same beginning: that of the first one.
            let same = |a: &&AlertSpec| {
                a.kind == alert.kind && a.region == alert.region && a.service == alert.service
            };
            let began_s = scenario.alerts.iter().filter(same).map(|a| a.at_s).min().unwrap_or(alert.at_s);
            telemetry.schedule((n as u64, began_s), alert, ids);
        }
        telemetry
    }

    /// Notes a failed probe for the next batch of the log, which holds nothing but failures.
    pub(crate) fn probe_failed(
        &mut self,
        now: Timestamp,
        probe: &EdgeProbe,
        reply: ProbeReply,
        ids: &SimResourceIds,
    ) {
        let stamp = &ids.stamps[probe.stamp_index];
        self.failed_probes.push(payload::probe_record(
            self.seed,
            now,
            probe,
            reply,
            (&ids.profile, &stamp.host),
        ));
    }

    /// Second `t` begins: closes the batch of probe records, evaluates the alert rules.
    pub(crate) fn begin_second(&mut self, t: u32, metrics: &Metrics, ids: &SimResourceIds) {
        if t.is_multiple_of(PROBE_LOG_BATCH_S) && !self.failed_probes.is_empty() {
            self.batches += 1;
            let lag = self.seed.seconds(PROBE_LOG_LAG_S, About::ProbeLogLag, 0, self.batches);
            let records = std::mem::take(&mut self.failed_probes);
            let message = |records: &[Value]| json!({ "records": records }).to_string();
            let messages = records.chunks(PROBE_LOG_RECORDS_MAX).map(message).collect();
            self.queue(t + lag, Delivery::EventHub { hub: "front-door", messages });
        }
        if t.is_multiple_of(60) {
            for (s, stamp) in ids.stamps.iter().enumerate() {
                self.evaluate_rule(s, t, metrics, (stamp, &ids.profile));
            }
        }
    }

    /// What is due by second `t`.
    pub(crate) fn take(&mut self, t: u32) -> Vec<Delivery> {
        let later = self.due.split_off(&(t + 1, 0));
        std::mem::replace(&mut self.due, later).into_values().collect()
    }

    fn queue(&mut self, at: u32, delivery: Delivery) {
        self.due.insert((at, self.queued), delivery);
        self.queued += 1;
    }

    fn evaluate_rule(
        &mut self,
        s: usize,
        t: u32,
        metrics: &Metrics,
        (stamp, profile): (&StampResourceIds, &str),
    ) {
        let Some(below) = self.alert_below_pct else { return };
        let Some((minute, value)) = metrics.newest("OriginHealthPercentage", s, t) else { return };
        // Without a data point the rule keeps its state: a disabled origin neither fires nor resolves.
        let Some(pct) = value.health_pct().filter(|_| self.rules[s].evaluated_minute < Some(minute)) else {
            return;
        };
        let now = self.start + Duration::from_secs(u64::from(t));
        let rule = &mut self.rules[s];
        rule.evaluated_minute = Some(minute);
        rule.healthy = if pct < below { 0 } else { rule.healthy + 1 };
        let stage = match rule.fired {
            None if pct < below => {
                rule.instance += 1;
                rule.fired = Some(now);
                AlertStage::Active
            }
            Some(_) if rule.healthy >= METRIC_ALERT_HEALTHY_EVALUATIONS => AlertStage::Resolved,
            _ => return,
        };
        let instance = AlertInstance {
            id: self.seed.guid(entity(stamp.stamp.as_str()), rule.instance),
            stage,
            fired_at: rule.fired.unwrap_or(now),
            now,
        };
        if stage == AlertStage::Resolved {
            rule.fired = None;
        }
        let body = payload::metric_alert(&instance, stamp, profile, (below, Some(pct)));
        self.queue(t + METRIC_ALERT_DELIVERY_S, Delivery::ActionGroup { body });
    }

    fn schedule(&mut self, (n, began_s): (u64, u32), alert: &AlertSpec, ids: &SimResourceIds) {
        let delay_s = alert.delay_s.unwrap_or_else(|| self.usual_delay_s(n, alert.kind));
        let began = self.start + Duration::from_secs(u64::from(began_s));
        let happened = self.start + Duration::from_secs(u64::from(alert.at_s));
        let sent = happened + Duration::from_secs(u64::from(delay_s));
        let first_at = alert.at_s.saturating_add(delay_s);
        for delivery in self.messages(n, alert, Moments { began, happened, sent }, ids) {
            for copy in 0..alert.copies {
                self.queue(first_at.saturating_add(copy * COPY_SPACING_S), delivery.clone());
            }
        }
    }

    fn usual_delay_s(&self, n: u64, kind: AlertKind) -> u32 {
        match kind {
            AlertKind::ServiceHealth => {
                let rank = self.seed.unit(About::ServiceHealthLag, 0, n);
                let (low, high) = SERVICE_HEALTH_LAG_MIN
                    .windows(2)
                    .find_map(|w| (rank < w[1].0).then_some((w[0], w[1])))
                    .unwrap_or((SERVICE_HEALTH_LAG_MIN[3], SERVICE_HEALTH_LAG_MIN[4]));
                let part = (rank - low.0) / (high.0 - low.0);
                ((low.1 + part * (high.1 - low.1)) * 60.0) as u32
            }
            AlertKind::Metric => METRIC_ALERT_DELIVERY_S + 120,
            AlertKind::ResourceHealth | AlertKind::EventGrid | AlertKind::CloudEvent => RESOURCE_HEALTH_LAG_S,
        }
    }

    fn messages(&self, n: u64, alert: &AlertSpec, at: Moments, ids: &SimResourceIds) -> Vec<Delivery> {
        let Moments { happened, sent, .. } = at;
        let stamp = alert.stamp.as_ref().and_then(|id| ids.stamps.iter().find(|s| s.stamp == *id));
        let id = self.seed.guid(entity("alert"), n);
        let body = match (alert.kind, stamp) {
            (AlertKind::ServiceHealth, _) => {
                let region = alert.region.as_ref().map_or("Global", |r| r.as_str());
                let incident = payload::Incident {
                    id,
                    tracking_id: payload::tracking_id(self.seed, region, &alert.service),
                    region,
                    alert,
                    at,
                };
                let body = payload::service_health(&incident, &ids.subscription);
                let messages = vec![payload::service_health_export(&incident, &ids.subscription).to_string()];
                return vec![
                    Delivery::ActionGroup { body },
                    Delivery::EventHub { hub: "azure-monitor", messages },
                ];
            }
            (AlertKind::Metric, Some(stamp)) => {
                // Fired and Resolved of one stamp are one instance.
                let id = self.seed.guid(entity("metric-alert"), entity(stamp.stamp.as_str()));
                let instance = AlertInstance { id, stage: alert.stage, fired_at: happened, now: sent };
                payload::metric_alert(&instance, stamp, &ids.profile, (80.0, None))
            }
            (AlertKind::ResourceHealth, Some(stamp)) => {
                let instance = AlertInstance { id, stage: alert.stage, fired_at: happened, now: sent };
                payload::resource_health(&instance, stamp, &ids.subscription)
            }
            (AlertKind::EventGrid, Some(stamp)) => {
                let body = payload::event_grid(&id, alert.stage, (happened, sent), stamp, &ids.subscription);
                return vec![Delivery::EventGrid { body }];
            }
            (AlertKind::CloudEvent, Some(stamp)) => {
                let body = payload::cloud_event(&id, alert.stage, (happened, sent), stamp, &ids.subscription);
                return vec![Delivery::EventGrid { body }];
            }
            // The scenario's check has refused these.
            (_, None) => return Vec::new(),
        };
        vec![Delivery::ActionGroup { body }]
    }
}
