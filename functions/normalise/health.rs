//! Service Health and Resource Health: the same facts in three schemas and as read by ourselves, judged in one place.

use std::borrow::Cow;
use std::collections::BTreeSet;

use adapters::azure::resource_health::AvailabilityStatus;
use domain::{
    EvidenceClass, InboxItem, RefusalCode, RegionName, Scope, Signal, Standing, Timestamp, Verdict, note,
    regions,
};

use super::item::Event;
use super::{Context, Refused, json};
use crate::edge::Json;

/// An activity-log event, whatever envelope it came in.
pub(super) struct HealthEvent<'a> {
    /// `alertContext`, `activityLog`, or a record of a diagnostic export.
    pub(super) fields: &'a Json<'a>,
    /// Its `properties`.
    pub(super) properties: &'a Json<'a>,
    /// The resources it is about.
    pub(super) resources: Vec<String>,
    /// When it happened, if its envelope says so.
    pub(super) at: Option<Timestamp>,
}

/// Pairs of service and region kept from one event: an incident names dozens, a forgery could name millions.
const IMPACTS_MAX: usize = 2_000;

/// Service Health. It speaks as `Platform`, a second voice only, so it needs no line in the allow-list: the region and
/// service must be ours.
pub(super) fn service_health(health: &HealthEvent<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    let properties = health.properties;
    let tracking = json::text(properties, "trackingId").unwrap_or_default();
    let status = json::text(health.fields, "status").unwrap_or_default().to_ascii_lowercase();
    let stage = json::text(properties, "stage").unwrap_or(Cow::Borrowed(&status)).to_ascii_lowercase();
    let event_id = json::text(health.fields, "eventDataId");
    let communication = json::text(properties, "communicationId")
        .or(event_id)
        .unwrap_or_else(|| stamp_text(health.at).into());
    let source = format!("service-health:{}", if tracking.is_empty() { "unnamed" } else { &tracking });
    let event = Event::new("service-health", &[&tracking, &communication, &stage], &source, health.at, ctx);

    if json::is_true(properties, "IsSynthetic") || tracking.to_ascii_uppercase().starts_with("TEST-") {
        return event.refused(RefusalCode::SyntheticTest, "a test notification never acts", ctx);
    }
    if tracking.is_empty() {
        return event.refused(
            RefusalCode::Malformed,
            "names no trackingId, so it could never be resolved",
            ctx,
        );
    }
    // The level is not asked: the documented real incidents carry `Informational`, and the numbers of the common schema
    // are not documented. A type and a stage are; and believing too much costs a pre-scaling at most, because
    // `Platform` never cordons alone.
    if !is_incident(health) {
        return event.refused(
            RefusalCode::NotAHealthSignal,
            format!("{} is no incident", incident_type(health)),
            ctx,
        );
    }
    let standing = match (stage.as_str(), status.as_str()) {
        // `monitorCondition` stays "Fired" for the resolved update, too; only these two tell.
        ("resolved" | "rca", _) | (_, "resolved") => Standing::Resolved,
        ("active", _) => Standing::Fired,
        _ => {
            let why = format!("stage {stage:?} says nothing about health");
            return event.refused(RefusalCode::NotAHealthSignal, why, ctx);
        }
    };
    let (signals, refused) = impact_signals(properties, &event, standing, ctx);
    if signals.is_empty() && refused.is_empty() {
        return event.refused(RefusalCode::Malformed, "names no service and region", ctx);
    }
    event.items(signals, refused, ctx)
}

fn impact_signals(
    properties: &Json<'_>,
    event: &Event,
    standing: Standing,
    ctx: &Context<'_>,
) -> (Vec<Signal>, Vec<Refused>) {
    let title = json::text(properties, "title").unwrap_or_default();
    let (mut scopes, mut refused) = (BTreeSet::new(), Vec::new());
    for_each_impact(properties, |service, region| match stamps_of(service, region, ctx) {
        Ok(found) => scopes.extend(found),
        Err(refusal) => refused.push(refusal),
    });
    let signals = scopes
        .into_iter()
        .map(|scope| Signal {
            scope,
            class: EvidenceClass::Platform,
            source: event.source.clone(),
            verdict: verdict_of(standing),
            observed_at: event.at,
            standing,
            failure: None,
            measure: None,
            note: note(&title),
        })
        .collect();
    (signals, refused)
}

/// What a named service and region are to us: the stamps there, or why none.
fn stamps_of(service: &str, region: &str, ctx: &Context<'_>) -> Result<Vec<Scope>, Refused> {
    if !ctx.policy.uses_service(service) {
        return Err((RefusalCode::ServiceNotUsed, format!("{service} is not in workload.services")));
    }
    if region.eq_ignore_ascii_case("global") {
        return Err((RefusalCode::GlobalScope, format!("{service}: Global names no region")));
    }
    let id = RegionName::from_display(region);
    if !regions::is_known(&id) {
        return Err((RefusalCode::UnknownRegion, format!("{region} is no Azure region")));
    }
    // Before the first discovery nobody knows which stamp is where; the region itself is believed then, so that an
    // alert that arrives in the first minute is not lost.
    if ctx.topology.read_at.is_none() {
        return Ok(vec![Scope::Region(id)]);
    }
    let stamps: Vec<Scope> = ctx
        .topology
        .stamps
        .values()
        .filter(|facts| facts.region == id)
        .map(|facts| Scope::Stamp(facts.stamp.clone()))
        .collect();
    if stamps.is_empty() {
        return Err((RefusalCode::RegionWithoutStamp, format!("no stamp in {id}")));
    }
    Ok(stamps)
}

/// Each pair of service and region. `impactedServices` is a string that contains JSON, or an array; without it the plain
/// `service` and `region` are all there is, and `region` may be a list.
fn for_each_impact(properties: &Json<'_>, mut take: impl FnMut(&str, &str)) {
    let mut found = 0..IMPACTS_MAX;
    let services = json::opened_or_null(properties, "impactedServices");
    for service in services.elements().unwrap_or_default() {
        let name = json::text(service, "ServiceName").unwrap_or_default();
        let regions = json::opened_or_null(service, "ImpactedRegions");
        for region in regions.elements().unwrap_or_default() {
            let region = json::text(region, "RegionName").or_else(|| json::text(region, "RegionId"));
            if let Some(region) = region
                && found.next().is_some()
            {
                take(&name, &region);
            }
        }
    }
    if found.start == 0
        && let (Some(service), Some(regions)) =
            (json::text(properties, "service"), json::text(properties, "region"))
    {
        regions.split(',').zip(found).for_each(|(region, _)| take(&service, region.trim()));
    }
}

fn incident_type<'a>(health: &'a HealthEvent<'_>) -> Cow<'a, str> {
    json::text(health.properties, "incidentType")
        .or_else(|| {
            let operation = json::text(health.fields, "operationName")?.to_ascii_lowercase();
            operation.split('/').nth(1).map(|kind| kind.to_owned().into())
        })
        .unwrap_or("an event without a type".into())
}

fn is_incident(health: &HealthEvent<'_>) -> bool {
    incident_type(health).eq_ignore_ascii_case("incident")
}

/// Resource Health: about one resource, which must be a stamp's own or mapped to a stamp by the allow-list.
pub(super) fn resource_health(health: &HealthEvent<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    let properties = health.properties;
    let resource = health.resources.first().cloned().unwrap_or_default();
    let state = json::text(properties, "currentHealthStatus").unwrap_or_default();
    let id = json::text(health.fields, "eventDataId")
        .unwrap_or_else(|| format!("{resource}{}", stamp_text(health.at)).into());
    let event = Event::new("resource-health", &[&id, &state], &source_of(&resource), health.at, ctx);
    let cause = json::text(properties, "cause").unwrap_or_default();
    let title = json::text(properties, "title").unwrap_or_default();
    caused(&event, &health.resources, &state, (&[&*cause], &title), ctx)
}

/// Resource Health as it was asked about a resource, rather than as it told of it. It is the same fact: the same source, so
/// that alert and status take each other back, and the time of the change and not of the question, so that a status that
/// lags never outweighs a newer alert.
pub fn status(resource: &str, status: &AvailabilityStatus, ctx: &Context<'_>) -> Vec<InboxItem> {
    let at = status.occurred.or(status.reported);
    let id = [resource, &status.state, &stamp_text(at)];
    let event = Event::new("resource-health-status", &id, &source_of(resource), at, ctx);
    let causes = [status.context.as_str(), status.reason.as_str()];
    let said = causes.iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join(", ");
    let title = if said.is_empty() { status.title.clone() } else { format!("{} ({said})", status.title) };
    caused(&event, &[resource.to_owned()], &status.state, (&causes, &title), ctx)
}

/// The source of everything that Resource Health says of a resource, whichever way it comes.
pub(super) fn source_of(resource: &str) -> String {
    format!("resource-health:{}", resource.to_ascii_lowercase())
}

/// What the platform causes counts, planned or not: the resource is out either way. What the customer did on purpose does not;
/// but that it is `Available` again is believed whoever caused it, since that only takes back what was said before.
fn caused(
    event: &Event,
    resources: &[String],
    state: &str,
    (causes, title): (&[&str], &str),
    ctx: &Context<'_>,
) -> Vec<InboxItem> {
    let by = causes.iter().find(|cause| is_on_purpose(cause));
    if let Some(by) = by.filter(|_| !state.eq_ignore_ascii_case("available")) {
        let why = format!("somebody did this on purpose ({by})");
        return event.refused(RefusalCode::NotAHealthSignal, why, ctx);
    }
    availability(event, resources, state, title, ctx)
}

/// `UserInitiated` in alerts, `Customer Initiated` in the context of a status, with or without the blank.
fn is_on_purpose(cause: &str) -> bool {
    let bare: String = cause.chars().filter(|c| !c.is_whitespace()).collect();
    ["userinitiated", "customerinitiated"].iter().any(|known| bare.eq_ignore_ascii_case(known))
}

/// One availability state of one resource, from Resource Health or from Event Grid.
pub(super) fn availability(
    event: &Event,
    resources: &[String],
    state: &str,
    title: &str,
    ctx: &Context<'_>,
) -> Vec<InboxItem> {
    let standing = match state.to_ascii_lowercase().as_str() {
        "unavailable" | "degraded" => Standing::Fired,
        "available" => Standing::Resolved,
        // Resource Health flaps between Available and Unknown on healthy resources.
        "unknown" => {
            return event.refused(RefusalCode::NotAHealthSignal, "availability Unknown says nothing", ctx);
        }
        _ => {
            let why = format!("{state:?} is no availability state that we know");
            return event.refused(RefusalCode::Malformed, why, ctx);
        }
    };
    let stamps: BTreeSet<_> =
        resources.iter().filter_map(|resource| ctx.stamp_of_resource(resource)).collect();
    if stamps.is_empty() {
        let why = format!("{} belongs to no stamp", resources.join(", "));
        return event.refused(RefusalCode::UnknownStamp, why, ctx);
    }
    let signals = stamps.into_iter().map(|stamp| Signal {
        scope: Scope::Stamp(stamp),
        class: EvidenceClass::Platform,
        source: event.source.clone(),
        verdict: match (standing, state.eq_ignore_ascii_case("degraded")) {
            (Standing::Fired, true) => Verdict::Degraded,
            _ => verdict_of(standing),
        },
        observed_at: event.at,
        standing,
        failure: None,
        measure: None,
        note: note(title),
    });
    event.items(signals.collect(), [], ctx)
}

/// What a stateful alert says: it fired, or what it said is taken back, which is no proof of health.
pub(super) const fn verdict_of(standing: Standing) -> Verdict {
    match standing {
        Standing::Fired | Standing::Sample => Verdict::Unhealthy,
        Standing::Resolved => Verdict::Unobserved,
    }
}

fn stamp_text(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}
