//! From what Azure sends to `Signal`s, once, at the edge: no raw JSON past this module.
//!
//! Pure functions, one module per source family. Liberal in what they ignore, strict in what they believe: whatever is
//! not understood or not allowed to speak becomes a `Refusal`, so that nothing is lost without a trace. The text of an
//! alert is attacker-influenceable and is never interpreted beyond the fields named here.

pub mod action_group;
pub mod activity_log;
pub mod event_grid;
pub mod health;
mod item;
mod json;
pub mod probe_log;

use domain::facts::StampFacts;
use domain::state::Topology;
use domain::{InboxItem, Policy, RefusalCode, StampId, Timestamp};

pub use item::malformed;

use crate::edge::Json;

/// What a normaliser may know besides the payload.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who may speak, and what the workload uses.
    pub policy: &'a Policy,
    /// The stamps as last discovered.
    pub topology: &'a Topology,
    /// When we took the event in: the time of events that carry none, and the bound of those that claim the future.
    pub received_at: Timestamp,
}

impl Context<'_> {
    /// The stamp behind an origin's host name, as Front Door's telemetry writes it: with or without scheme and port.
    fn stamp_of_host(&self, host: &str) -> Option<StampId> {
        let bare = bare_host(host);
        let mut known = self.topology.stamps.values();
        known
            .find(|stamp| bare_host(&stamp.origin_host).eq_ignore_ascii_case(bare))
            .map(|facts| facts.stamp.clone())
    }

    /// The stamp that owns a resource: the resource is one of the stamp's own or below it. Never the other way round:
    /// the Front Door profile is above every origin, and its ill health names no stamp.
    fn stamp_of_resource(&self, resource_id: &str) -> Option<StampId> {
        let wanted = resource_id.trim().trim_end_matches('/').to_ascii_lowercase();
        let owns = |own: &str| {
            let own = own.trim_end_matches('/').to_ascii_lowercase();
            !own.is_empty() && (wanted == own || wanted.starts_with(&format!("{own}/")))
        };
        let found = self.topology.stamps.values().find(|stamp| {
            owns(&stamp.origin_id)
                || stamp.autoscale_id.as_deref().is_some_and(owns)
                || stamp.plan_id.as_deref().is_some_and(owns)
                || compute_of(stamp).is_some_and(|compute| compute.eq_ignore_ascii_case(&wanted))
        });
        found
            .map(|facts| facts.stamp.clone())
            .or_else(|| self.granted_stamp(self.policy.speaker(resource_id)?.stamp.as_ref()?))
    }

    /// A stamp that an event names, if there is such a stamp.
    fn known_stamp(&self, stamp: &StampId) -> Option<StampId> {
        self.topology.stamps.contains_key(stamp).then(|| stamp.clone())
    }

    /// A stamp that the allow-list names. Before the first discovery it is believed, because the list is ours.
    fn granted_stamp(&self, stamp: &StampId) -> Option<StampId> {
        if self.topology.read_at.is_none() { Some(stamp.clone()) } else { self.known_stamp(stamp) }
    }
}

/// Anything that arrives on the Azure Monitor stream: alert payloads and diagnostic exports share one Event Hub.
pub fn azure_monitor(body: &Json<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    match body {
        Json::Array(bodies) => bodies.iter().flat_map(|body| azure_monitor(body, ctx)).collect(),
        Json::Object(fields) if fields.get("records").is_some() => {
            let (probes, others): (Vec<_>, Vec<_>) =
                json::records(body).into_iter().partition(|record| probe_log::is_record(record));
            let mut items = probe_log::from_records(&probes, ctx);
            items.extend(activity_log::from_records(&others, ctx));
            items
        }
        Json::Object(fields) if fields.get("category").is_some() => activity_log::items(body, ctx),
        _ => action_group::items(body, ctx),
    }
}

/// The resource whose availability Resource Health tells for a stamp: its plan or scale set, or the cluster of its pool, which
/// carries the stamp's tags. None for compute that Resource Health does not know, as Container Apps (its list of resource
/// types, May 2025).
pub fn compute_of(stamp: &StampFacts) -> Option<&str> {
    let plan = stamp.plan_id.as_deref()?;
    let lower = plan.to_ascii_lowercase();
    let is_of = |kind: &str| lower.contains(&format!("/providers/microsoft.{kind}/"));
    if is_of("containerservice/managedclusters") {
        return plan.get(..lower.find("/agentpools/")?);
    }
    (is_of("web/serverfarms") || is_of("compute/virtualmachinescalesets")).then_some(plan)
}

/// Without scheme, port and path; its case does not matter.
fn bare_host(text: &str) -> &str {
    let text = text.trim();
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split('/').next().unwrap_or_default();
    bare.split(':').next().unwrap_or_default().trim_end_matches('.')
}

/// A refusal's code and the line for its reader.
type Refused = (RefusalCode, String);
