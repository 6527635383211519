//! The activity log, as action groups send it in the older schema and as diagnostic settings export it to Event Hubs.

use domain::{InboxItem, RefusalCode};
use serde_json::Value;

use super::health::{HealthEvent, resource_health, service_health};
use super::item::{Event, digest, malformed_json};
use super::{Context, json};

/// Fields in which an activity-log event says when it happened, the best first.
pub(super) const TIMES: [&str; 4] = ["eventTimestamp", "time", "submissionTimestamp", "firedDateTime"];

/// Everything in a diagnostic export: `{"records": [..]}`, an array of such, or one record.
pub fn items(body: &Value, ctx: &Context<'_>) -> Vec<InboxItem> {
    json::records(body).into_iter().flat_map(|record| self::record(record, ctx)).collect()
}

/// One record of a diagnostic export.
pub fn record(record: &Value, ctx: &Context<'_>) -> Vec<InboxItem> {
    let Some(category) = json::text(record, "category") else {
        return malformed_json(record, "activity-log", "a record without a category", ctx);
    };
    let properties = json::opened(record, "properties").unwrap_or(Value::Null);
    // Some exports put the event's own properties one level further down.
    let properties = json::opened(&properties, "eventProperties").unwrap_or(properties);
    match normal(&category).as_str() {
        "servicehealth" => event(record, &properties, service_health, ctx),
        "resourcehealth" => event(record, &properties, resource_health, ctx),
        _ => {
            let id = digest(record.to_string().as_bytes());
            let at = json::time(record, &TIMES);
            let event = Event::new("activity-log", &[&id], "activity-log", at, ctx);
            event.refused(
                RefusalCode::NotAHealthSignal,
                format!("category {category} says nothing about health"),
                ctx,
            )
        }
    }
}

/// The older action-group schema: `data.context.activityLog`.
pub fn legacy(body: &Value, ctx: &Context<'_>) -> Vec<InboxItem> {
    let Some(log) = json::at(body, &["data", "context", "activityLog"]) else {
        return malformed_json(
            body,
            "action-group",
            "an activity-log alert without data.context.activityLog",
            ctx,
        );
    };
    let properties = json::opened(log, "properties").unwrap_or(Value::Null);
    match normal(&json::text(log, "eventSource").unwrap_or_default()).as_str() {
        "servicehealth" => event(log, &properties, service_health, ctx),
        "resourcehealth" => event(log, &properties, resource_health, ctx),
        other => {
            let id = json::text(log, "eventDataId").unwrap_or_else(|| digest(log.to_string().as_bytes()));
            let event = Event::new("activity-log", &[&id], "activity-log", json::time(log, &TIMES), ctx);
            let why = format!("event source {other:?}: send other alerts in the common alert schema");
            event.refused(RefusalCode::NotAHealthSignal, why, ctx)
        }
    }
}

/// `Service Health`, `ServiceHealth` and `service_health` are one name.
pub(super) fn normal(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn event(
    fields: &Value,
    properties: &Value,
    judge: fn(&HealthEvent<'_>, &Context<'_>) -> Vec<InboxItem>,
    ctx: &Context<'_>,
) -> Vec<InboxItem> {
    let resources = json::text(fields, "resourceId").into_iter().collect();
    judge(&HealthEvent { fields, properties, resources, at: json::time(fields, &TIMES) }, ctx)
}
