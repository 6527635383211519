//! The activity log, as action groups send it in the older schema and as diagnostic settings export it to Event Hubs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::{InboxItem, RefusalCode};

use super::health::{HealthEvent, resource_health, service_health};
use super::item::{Event, digest, digest_of_set, malformed_json};
use super::{Context, json};
use crate::edge::Json;

/// Fields in which an activity-log event says when it happened, the best first.
pub(super) const TIMES: [&str; 4] = ["eventTimestamp", "time", "submissionTimestamp", "firedDateTime"];

/// Everything in a diagnostic export: `{"records": [..]}`, an array of such, or one record.
pub fn items(body: &Json<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    from_records(&json::records(body), ctx)
}

/// Records of a diagnostic export. Those of other categories become one refusal together: a subscription writes
/// thousands of them, and one line says all there is to say.
pub(super) fn from_records(records: &[&Json<'_>], ctx: &Context<'_>) -> Vec<InboxItem> {
    let (mut items, mut others, mut categories) = (Vec::new(), Vec::new(), BTreeMap::<_, u32>::new());
    for record in records {
        let properties = json::opened_or_null(record, "properties");
        // Some exports put the event's own properties one level further down.
        let inner = json::opened(&properties, "eventProperties");
        let properties = inner.as_deref().unwrap_or(&properties);
        let category = json::text(record, "category");
        match category.as_deref().map(normal).as_deref() {
            Some("servicehealth") => items.extend(event(record, properties, service_health, ctx)),
            Some("resourcehealth") => items.extend(event(record, properties, resource_health, ctx)),
            _ => {
                others.push(*record);
                *categories.entry(category).or_default() += 1;
            }
        }
    }
    if !others.is_empty() {
        let event = Event::new("activity-log", &[&digest_of_set(others)], "activity-log", None, ctx);
        let refused = categories.into_iter().map(|(category, count)| match category {
            Some(category) => (
                RefusalCode::NotAHealthSignal,
                format!("{count} of category {category}: nothing about health"),
            ),
            None => (RefusalCode::Malformed, format!("{count} without a category")),
        });
        items.extend(event.items(Vec::new(), refused, ctx));
    }
    items
}

/// The older action-group schema: `data.context.activityLog`.
pub fn legacy(body: &Json<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    let Some(log) = json::at(body, &["data", "context", "activityLog"]) else {
        return malformed_json(
            body,
            "action-group",
            "an activity-log alert without data.context.activityLog",
            ctx,
        );
    };
    let properties = json::opened_or_null(log, "properties");
    match normal(&json::text(log, "eventSource").unwrap_or_default()).as_str() {
        "servicehealth" => event(log, &properties, service_health, ctx),
        "resourcehealth" => event(log, &properties, resource_health, ctx),
        other => {
            let id =
                json::text(log, "eventDataId").unwrap_or_else(|| digest(log.to_string().as_bytes()).into());
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
    fields: &Json<'_>,
    properties: &Json<'_>,
    judge: fn(&HealthEvent<'_>, &Context<'_>) -> Vec<InboxItem>,
    ctx: &Context<'_>,
) -> Vec<InboxItem> {
    let resources = json::text(fields, "resourceId").map(Cow::into_owned).into_iter().collect();
    judge(&HealthEvent { fields, properties, resources, at: json::time(fields, &TIMES) }, ctx)
}
