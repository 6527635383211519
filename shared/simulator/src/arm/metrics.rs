//! The metrics API of Azure Monitor: one-minute data of Front Door's profile and of the Cosmos DB account, late as in
//! Azure. Nothing is interpolated: a minute without data has no point.

use std::collections::BTreeMap;

use domain::Timestamp;
use serde_json::{Value, json};

use super::{ArmRequest, ArmResponse, not_found};
use crate::metrics::{Metrics, Minute};
use crate::telemetry::display_name;
use crate::world::World;

/// Minutes answered at once, at most: a day.
const MINUTES_MAX: u32 = 1_440;
/// Span answered when none is asked for, in minutes: Azure's default is an hour.
const MINUTES_DEFAULT: u32 = 60;

/// One value of one minute with its dimensions, name in lower case.
type Sample = (Vec<(&'static str, String)>, f64);

/// The dimensions asked for, with the values of one series.
type SeriesKey = Vec<(String, String)>;

/// By minute: the sum, and how many values were summed.
type Points = BTreeMap<u32, (f64, u32)>;

/// How a metric is told to be summed up.
struct Metric {
    name: &'static str,
    unit: &'static str,
    namespace: &'static str,
    aggregation: &'static str,
    samples: fn(&World, usize, &Minute) -> Vec<Sample>,
}

const METRICS: [Metric; 3] = [
    Metric {
        name: "OriginRequestCount",
        unit: "Count",
        namespace: "Microsoft.Cdn/profiles",
        aggregation: "total",
        samples: origin_requests,
    },
    Metric {
        name: "OriginHealthPercentage",
        unit: "Percent",
        namespace: "Microsoft.Cdn/profiles",
        aggregation: "average",
        samples: origin_health,
    },
    Metric {
        name: "TotalRequests",
        unit: "Count",
        namespace: "Microsoft.DocumentDB/databaseAccounts",
        aggregation: "count",
        samples: cosmos_requests,
    },
];

pub(super) fn answer(world: &World, resource: &str, request: &ArmRequest) -> ArmResponse {
    let namespace = match resource {
        r if r.eq_ignore_ascii_case(&world.ids.profile) => "Microsoft.Cdn/profiles",
        r if r.eq_ignore_ascii_case(&world.ids.cosmos_account) => "Microsoft.DocumentDB/databaseAccounts",
        _ => return not_found(&request.path),
    };
    if world.conditions.metrics_down {
        return refused(503, "ServiceUnavailable", "The metrics service is not available.");
    }
    let names = request.parameter("metricnames").unwrap_or_default();
    let mut found = Vec::new();
    for name in names.split(',').map(str::trim) {
        let known = METRICS.iter().find(|m| m.name.eq_ignore_ascii_case(name) && m.namespace == namespace);
        let Some(metric) = known else {
            let message =
                format!("Failed to find metric configuration for provider: {namespace}, metric: {name}.");
            return refused(400, "BadRequest", &message);
        };
        found.push(metric);
    }
    let (from, until) = span(world, request);
    let filter = Filter::parse(&request.parameter("$filter").unwrap_or_default());
    let value: Vec<Value> =
        found.iter().map(|m| metric_document(world, resource, m, (from, until), &filter)).collect();
    ArmResponse::ok(json!({
        "cost": (until - from) * found.len() as u32,
        "timespan": format!("{}/{}", minute_at(world, from), minute_at(world, until)),
        "interval": "PT1M",
        "value": value,
        "namespace": namespace,
        "resourceregion": "global"
    }))
}

/// Azure Monitor's errors are not wrapped in `error`, as its specification says.
fn refused(status: u16, code: &str, message: &str) -> ArmResponse {
    ArmResponse { status, headers: Vec::new(), body: json!({ "code": code, "message": message }) }
}

/// When a minute began, by its number.
fn minute_at(world: &World, minute: u32) -> Timestamp {
    Timestamp::from_millis(Metrics::first_minute(world.start).as_millis() + i64::from(minute) * 60_000)
}

/// First minute, and first after the last one, counted from the minute in which the world began.
fn span(world: &World, request: &ArmRequest) -> (u32, u32) {
    let first = Metrics::first_minute(world.start).as_millis();
    let minute = |at: Timestamp| (at.as_millis() - first).div_euclid(60_000).max(0) as u32;
    let asked = request.parameter("timespan").and_then(|text| {
        let (from, until) = text.split_once('/')?;
        Some((minute(Timestamp::parse(from).ok()?), minute(Timestamp::parse(until).ok()?)))
    });
    let now = minute(world.now()) + 1;
    let (from, until) = asked.unwrap_or((now.saturating_sub(MINUTES_DEFAULT), now));
    let until = until.min(now);
    (from.min(until).max(until.saturating_sub(MINUTES_MAX)), until)
}

fn metric_document(
    world: &World,
    resource: &str,
    metric: &Metric,
    (from, until): (u32, u32),
    filter: &Filter,
) -> Value {
    let mut series: BTreeMap<SeriesKey, Points> = BTreeMap::new();
    for minute in from..until {
        for s in 0..world.stamps.len() {
            let Some(bucket) = world.metrics.visible(metric.name, s, minute, world.t) else { continue };
            for (dimensions, value) in (metric.samples)(world, s, bucket) {
                if let Some(key) = filter.key(&dimensions) {
                    let point = series.entry(key).or_default().entry(minute).or_default();
                    *point = (point.0 + value, point.1 + 1);
                }
            }
        }
    }
    let mean = metric.aggregation == "average";
    let data = |points: &Points| -> Vec<Value> {
        let point = |(minute, (sum, count)): (&u32, &(f64, u32))| {
            let at = minute_at(world, *minute);
            let value = if mean { sum / f64::from(*count) } else { sum.round() };
            json!({ "timeStamp": at, metric.aggregation: value })
        };
        points.iter().map(point).collect()
    };
    let named = |(name, value): &(String, String)| json!({ "name": { "value": name, "localizedValue": name }, "value": value });
    let timeseries: Vec<Value> = series
        .iter()
        .map(|(key, points)| json!({ "metadatavalues": key.iter().map(named).collect::<Vec<_>>(), "data": data(points) }))
        .collect();
    json!({
        "id": format!("{resource}/providers/Microsoft.Insights/metrics/{}", metric.name),
        "type": "Microsoft.Insights/metrics",
        "name": { "value": metric.name, "localizedValue": metric.name },
        "displayDescription": metric.name,
        "unit": metric.unit,
        "timeseries": timeseries,
        "errorCode": "Success"
    })
}

fn origin_requests(world: &World, s: usize, minute: &Minute) -> Vec<Sample> {
    // A request without an answer has status 0 and counts as a failure of the origin.
    let by_status = [
        ("200", "2XX", minute.ok),
        ("500", "5XX", minute.errors),
        ("503", "5XX", minute.refused),
        ("0", "5XX", minute.unanswered),
    ];
    let sample = |(status, group, count): (&str, &str, f64)| {
        let dimensions = vec![
            ("origin", world.ids.stamps[s].host.clone()),
            ("httpstatus", status.to_owned()),
            ("httpstatusgroup", group.to_owned()),
        ];
        (dimensions, count)
    };
    // A count below a half is noise of the fluid model, not a request.
    by_status.into_iter().filter(|(_, _, count)| *count >= 0.5).map(sample).collect()
}

fn origin_health(world: &World, s: usize, minute: &Minute) -> Vec<Sample> {
    let group = world.scenario.workload.clone();
    let dimensions = vec![("origin", world.ids.stamps[s].host.clone()), ("origingroup", group)];
    minute.health_pct().map(|pct| (dimensions, pct)).into_iter().collect()
}

fn cosmos_requests(world: &World, s: usize, minute: &Minute) -> Vec<Sample> {
    let by_status =
        [("200", "Success", minute.cosmos_ok), ("503", "ServiceUnavailable", minute.cosmos_unavailable)];
    let region = display_name(world.ids.stamps[s].region.as_str());
    let sample = |(code, status, count): (&str, &str, f64)| {
        let dimensions = vec![
            ("region", region.to_owned()),
            ("statuscode", code.to_owned()),
            ("status", status.to_owned()),
        ];
        (dimensions, count)
    };
    by_status.into_iter().filter(|(_, _, count)| *count >= 0.5).map(sample).collect()
}

/// A `$filter`, read tolerantly: the dimensions it names split the series, and values other than `*` select.
#[derive(Debug, Default, PartialEq)]
struct Filter {
    /// Dimension in lower case; the values it may have, empty for all.
    terms: Vec<(String, Vec<String>)>,
}

impl Filter {
    /// Reads `Origin eq '*' and (HttpStatusGroup eq '2XX' or HttpStatusGroup eq '5XX')`.
    fn parse(text: &str) -> Self {
        let mut terms: Vec<(String, Vec<String>)> = Vec::new();
        let words: Vec<&str> = text.split('\'').collect();
        for pair in words.chunks_exact(2) {
            let name = pair[0]
                .trim()
                .trim_end_matches(" eq")
                .rsplit([' ', '('])
                .next()
                .unwrap_or_default()
                .to_lowercase();
            let index = terms.iter().position(|(n, _)| *n == name).unwrap_or_else(|| {
                terms.push((name, Vec::new()));
                terms.len() - 1
            });
            if pair[1] != "*" {
                terms[index].1.push(pair[1].to_lowercase());
            }
        }
        Self { terms }
    }

    /// The series a sample belongs to, or none if it is filtered out.
    fn key(&self, dimensions: &[(&'static str, String)]) -> Option<SeriesKey> {
        let value_of =
            |name: &str| dimensions.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        self.terms
            .iter()
            .map(|(name, values)| {
                let value = value_of(name)?;
                (values.is_empty() || values.contains(&value.to_lowercase())).then(|| (name.clone(), value))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_in_the_forms_that_clients_write() {
        let all = Filter::parse("Origin eq '*' and HttpStatusGroup eq '*'");
        assert_eq!(all.terms, [("origin".to_owned(), vec![]), ("httpstatusgroup".to_owned(), vec![])]);
        let some = Filter::parse("Region eq 'East US 2' and (StatusCode eq '503' or StatusCode eq '408')");
        assert_eq!(some.terms[1], ("statuscode".to_owned(), vec!["503".to_owned(), "408".to_owned()]));
        assert_eq!(Filter::parse(""), Filter::default());
    }
}
