//! Event Grid: HealthResources events in both schemas, and events of publishers in the allow-list.

use std::borrow::Cow;

use domain::{
    FailureKind, InboxItem, RefusalCode, Scope, Signal, StampId, Standing, Timestamp, Verdict, note,
};

use super::health::{availability, source_of};
use super::item::{Event, malformed_json};
use super::{Context, json};
use crate::edge::Json;

const AVAILABILITY: &str = "microsoft.resourcenotifications.healthresources.availabilitystatuschanged";
const ANNOTATED: &str = "microsoft.resourcenotifications.healthresources.resourceannotated";

/// One event or an array of them, Event Grid schema or CloudEvents 1.0.
pub fn items(body: &Json<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    if let Json::Array(events) = body {
        return events.iter().flat_map(|event| items(event, ctx)).collect();
    }
    let Some(grid) = GridEvent::read(body) else {
        return malformed_json(body, "event-grid", "neither an Event Grid event nor a CloudEvent", ctx);
    };
    let event = Event::new(
        "event-grid",
        &[&grid.publisher, &grid.id],
        &format!("event-grid:{}", grid.publisher),
        grid.at,
        ctx,
    );
    let kind = grid.kind.to_ascii_lowercase();
    if json::get(body, "deadLetterReason").or_else(|| json::get(body, "deadletterreason")).is_some() {
        return event.refused(
            RefusalCode::NotAHealthSignal,
            "a dead letter: the event it holds is history",
            ctx,
        );
    }
    if kind.starts_with("microsoft.eventgrid.") {
        let why = format!("{} is between Event Grid and us", grid.kind);
        return event.refused(RefusalCode::NotAHealthSignal, why, ctx);
    }
    match kind.as_str() {
        AVAILABILITY => availability_changed(&grid, ctx),
        ANNOTATED => {
            let reason = json::at(grid.data, &["resourceInfo", "properties"])
                .and_then(|properties| json::text(properties, "annotationName"))
                .unwrap_or_default();
            let why = format!("an annotation ({reason}); the change of availability comes apart");
            event.refused(RefusalCode::NotAHealthSignal, why, ctx)
        }
        _ => by_allow_list(&grid, &event, ctx),
    }
}

/// The fields that both schemas have under different names.
struct GridEvent<'a> {
    id: Cow<'a, str>,
    kind: Cow<'a, str>,
    publisher: Cow<'a, str>,
    at: Option<Timestamp>,
    data: &'a Json<'a>,
}

impl<'a> GridEvent<'a> {
    fn read(body: &'a Json<'a>) -> Option<Self> {
        static NOTHING: Json<'static> = Json::Null;
        let (kind, publisher, at) = if json::get(body, "specversion").is_some() {
            (json::text(body, "type")?, json::text(body, "source"), json::time(body, &["time"]))
        } else {
            (json::text(body, "eventType")?, json::text(body, "topic"), json::time(body, &["eventTime"]))
        };
        let data = json::get(body, "data").unwrap_or(&NOTHING);
        Some(Self { id: json::text(body, "id")?, kind, publisher: publisher.unwrap_or_default(), at, data })
    }
}

/// A resource's availability changed. The source is the resource, so that `Available` takes back what `Unavailable`
/// said; `occurredTime` is when it happened, the event's own time only when it was told.
fn availability_changed(grid: &GridEvent<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    let null = Json::Null;
    let properties = json::at(grid.data, &["resourceInfo", "properties"]).unwrap_or(&null);
    let resource = json::text(properties, "targetResourceId").unwrap_or_default();
    let state = json::text(properties, "availabilityState").unwrap_or_default();
    let at = json::time(properties, &["occurredTime"]).or(grid.at);
    let event = Event::new("event-grid", &[&grid.publisher, &grid.id], &source_of(&resource), at, ctx);
    let before = json::text(properties, "previousAvailabilityState").unwrap_or_default();
    availability(&event, &[resource.into_owned()], &state, &format!("availability {before} to {state}"), ctx)
}

/// A custom publisher. What it must say: `data.verdict`; what it may say: `data.standing`, `data.stamp`,
/// `data.failure`, `data.note`. Class and stamp are for the allow-list to grant.
fn by_allow_list(grid: &GridEvent<'_>, event: &Event, ctx: &Context<'_>) -> Vec<InboxItem> {
    let Some(speaker) = ctx.policy.speaker(&grid.publisher).or_else(|| ctx.policy.speaker(&grid.kind)) else {
        let why = format!("{} ({}) is not in the policy's speakers", grid.publisher, grid.kind);
        return event.refused(RefusalCode::UnknownSpeaker, why, ctx);
    };
    let standing = match json::text(grid.data, "standing").map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("sample") => Standing::Sample,
        Some("fired") => Standing::Fired,
        Some("resolved") => Standing::Resolved,
        Some(other) => {
            return event.refused(RefusalCode::Malformed, format!("standing {other:?}"), ctx);
        }
    };
    let verdict =
        match (standing, json::text(grid.data, "verdict").map(|text| text.to_ascii_lowercase()).as_deref()) {
            (Standing::Resolved, _) => Verdict::Unobserved,
            // "Healthy until taken back" is no observation.
            (Standing::Sample, Some("healthy")) => Verdict::Healthy,
            (_, Some("degraded")) => Verdict::Degraded,
            (_, Some("unhealthy")) => Verdict::Unhealthy,
            _ => {
                let why = "data.verdict must be healthy, degraded or unhealthy";
                return event.refused(RefusalCode::NotAHealthSignal, why, ctx);
            }
        };
    let stamp = match &speaker.stamp {
        Some(stamp) => ctx.granted_stamp(stamp),
        None => json::text(grid.data, "stamp").and_then(|named| ctx.known_stamp(&StampId::new(named))),
    };
    let Some(stamp) = stamp else {
        return event.refused(RefusalCode::UnknownStamp, "data.stamp names no stamp that we know", ctx);
    };
    let failure = json::get(grid.data, "failure")
        .and_then(|kind| serde_json::from_value::<FailureKind>(kind.to_value()).ok());
    let signal = Signal {
        scope: Scope::Stamp(stamp),
        class: speaker.class,
        source: note(&format!("publisher:{}", grid.publisher)),
        verdict,
        observed_at: event.at,
        standing,
        failure,
        measure: None,
        note: note(&json::text(grid.data, "note").unwrap_or(Cow::Borrowed(&grid.kind))),
    };
    event.items(vec![signal], [], ctx)
}
