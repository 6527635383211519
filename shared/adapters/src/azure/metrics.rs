//! Azure Monitor metrics of one resource, minute by minute.

use std::collections::BTreeMap;

use domain::Timestamp;
use serde::Deserialize;

use super::arm::{ArmClient, ArmError, ResourceId};
use super::{is_one_of, typed};

/// The API version of every request of this module.
pub const API_VERSION: &str = "2024-02-01";
/// Most series that are asked for. The service's default of ten would silently leave origins out.
pub const SERIES_MAX: u32 = 500;

/// What to read. Names are those of Azure's metric tables, and part of our program.
#[derive(Clone, Debug)]
pub struct MetricsQuery {
    /// Such as `OriginHealthPercentage`.
    pub metrics: &'static [&'static str],
    /// How the values of a minute become one.
    pub aggregation: Aggregation,
    /// Dimensions to split by, such as `Origin`; with none, each metric is one series.
    pub split_by: &'static [&'static str],
    /// Begin, included; counted in whole seconds.
    pub from: Timestamp,
    /// End, excluded; counted in whole seconds.
    pub to: Timestamp,
}

/// How the values of a minute become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// Their mean.
    Average,
    /// Their sum.
    Total,
    /// How many there were.
    Count,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
}

/// One metric, for one combination of dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSeries {
    /// The metric's name.
    pub metric: String,
    /// Names (in lower case, as Azure is not consistent) and values of its dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Begin of each minute, and the value; none where nothing was measured, which is not zero.
    pub points: Vec<(Timestamp, Option<f64>)>,
}

/// Reads metrics of `resource`.
///
/// # Errors
/// See [`ArmError`]; [`ArmError::Rejected`] also when Azure reports that one of the metrics could not be read.
pub async fn read(
    arm: &ArmClient,
    resource: &ResourceId,
    query: &MetricsQuery,
) -> Result<Vec<MetricSeries>, ArmError> {
    let timespan = format!("{}/{}", whole_seconds(query.from), whole_seconds(query.to));
    let names = query.metrics.join(",");
    let filter = query.split_by.iter().map(|name| format!("{name} eq '*'")).collect::<Vec<_>>().join(" and ");
    let top = SERIES_MAX.to_string();
    let mut parameters = vec![
        ("metricnames", names.as_str()),
        ("timespan", timespan.as_str()),
        ("interval", "PT1M"),
        ("aggregation", query.aggregation.name()),
    ];
    if !filter.is_empty() {
        parameters.extend([("$filter", filter.as_str()), ("top", top.as_str())]);
    }
    let body =
        arm.get_below(resource, "providers/Microsoft.Insights/metrics", API_VERSION, &parameters).await?;
    let Metrics { value } = typed("metrics", body)?;
    let mut all = Vec::new();
    for metric in value {
        all.extend(metric.into_series(query.aggregation)?);
    }
    Ok(all)
}

impl Aggregation {
    const fn name(self) -> &'static str {
        match self {
            Self::Average => "Average",
            Self::Total => "Total",
            Self::Count => "Count",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
        }
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.as_millis().div_euclid(1_000))
}

#[derive(Deserialize)]
struct Metrics {
    value: Vec<Metric>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    name: Localized,
    error_code: Option<String>,
    error_message: Option<String>,
    #[serde(default)]
    timeseries: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metadatavalues: Vec<Metadata>,
    #[serde(default)]
    data: Vec<Point>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Localized,
    value: String,
}

#[derive(Deserialize)]
struct Localized {
    value: String,
}

#[derive(Deserialize)]
struct Point {
    #[serde(rename = "timeStamp")]
    at: Timestamp,
    average: Option<f64>,
    total: Option<f64>,
    count: Option<f64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
}

impl Metric {
    fn into_series(self, aggregation: Aggregation) -> Result<Vec<MetricSeries>, ArmError> {
        let metric = self.name.value;
        match self.error_code {
            Some(code) if !is_one_of(&code, &["", "success"]) => {
                let message = format!("{metric}: {}", self.error_message.unwrap_or_default());
                return Err(ArmError::Rejected { status: 200, code, message });
            }
            _ => {}
        }
        let series = self.timeseries.into_iter().map(|series| MetricSeries {
            metric: metric.clone(),
            dimensions: series
                .metadatavalues
                .into_iter()
                .map(|dimension| (dimension.name.value.to_ascii_lowercase(), dimension.value))
                .collect(),
            points: series.data.iter().map(|point| (point.at, point.value(aggregation))).collect(),
        });
        Ok(series.collect())
    }
}

impl Point {
    const fn value(&self, aggregation: Aggregation) -> Option<f64> {
        match aggregation {
            Aggregation::Average => self.average,
            Aggregation::Total => self.total,
            Aggregation::Count => self.count,
            Aggregation::Minimum => self.minimum,
            Aggregation::Maximum => self.maximum,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{Answer, Script, arm, id};

    const PROFILE: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Cdn/profiles/p";

    fn query(split_by: &'static [&'static str]) -> MetricsQuery {
        MetricsQuery {
            metrics: &["OriginHealthPercentage"],
            aggregation: Aggregation::Average,
            split_by,
            from: Timestamp::from_millis(1_763_838_000_250),
            to: Timestamp::from_millis(1_763_838_300_250),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_without_a_value_is_not_a_zero() {
        let body = json!({
            "cost": 4, "timespan": "x", "interval": "PT1M", "namespace": "Microsoft.Cdn/profiles",
            "value": [{
                "id": "x", "type": "Microsoft.Insights/metrics", "unit": "Percent", "errorCode": "Success",
                "name": {"value": "OriginHealthPercentage", "localizedValue": "Origin Health Percentage"},
                "timeseries": [{
                    "metadatavalues": [{"name": {"value": "Origin", "localizedValue": "Origin"}, "value": "host1:443"}],
                    "data": [{"timeStamp": "2025-11-22T19:00:00Z", "average": 100.0}, {"timeStamp": "2025-11-22T19:01:00Z"}]
                }]
            }]
        });
        let script = Script::new([Answer::json(200, &body)]);
        let series = read(&arm(&script), &id(PROFILE), &query(&["Origin", "OriginGroup"])).await.unwrap();
        let at = |text| Timestamp::parse(text).unwrap();
        assert_eq!(
            series,
            [MetricSeries {
                metric: "OriginHealthPercentage".into(),
                dimensions: BTreeMap::from([("origin".into(), "host1:443".into())]),
                points: vec![(at("2025-11-22T19:00:00Z"), Some(100.0)), (at("2025-11-22T19:01:00Z"), None)],
            }]
        );
        assert_eq!(
            script.requests(),
            [format!(
                "GET https://management.azure.com{PROFILE}/providers/Microsoft.Insights/metrics\
                 ?api-version=2024-02-01&metricnames=OriginHealthPercentage\
                 &timespan=2025-11-22T19%3A00%3A00Z%2F2025-11-22T19%3A05%3A00Z&interval=PT1M&aggregation=Average\
                 &%24filter=Origin%20eq%20%27*%27%20and%20OriginGroup%20eq%20%27*%27&top=500"
            )]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_metric_that_could_not_be_read_is_an_error_and_not_silence() {
        let body = json!({"value": [{
            "name": {"value": "OriginHealthPercentage"}, "errorCode": "Throttled", "errorMessage": "later", "timeseries": []
        }]});
        let script = Script::new([Answer::json(200, &body)]);
        let outcome = read(&arm(&script), &id(PROFILE), &query(&[])).await;
        assert!(matches!(outcome, Err(ArmError::Rejected { code, .. }) if code == "Throttled"));
        assert!(!script.requests()[0].contains("filter"));
    }
}
