//! The workload's Cosmos DB account: which regions its document no longer serves from.
//!
//! A listing is configuration, not an observation: in an outage a dead region stays listed for as long as nobody takes
//! it offline. So a listed region is `Unobserved` here, never `Healthy`, and contradicts nobody; per-region request
//! metrics may say more.

use std::collections::BTreeSet;

use domain::{EvidenceClass, FailureKind, InboxItem, RegionName, Scope, Signal, Standing, Verdict, note};

use super::item::{Event, malformed_json};
use super::{Context, json};
use crate::edge::Json;

/// The source of these signals.
pub const SOURCE: &str = "cosmos-account";

/// One reading of the account, as ARM or the gateway shows it. It is no event: its id is the time of the reading.
pub fn items(body: &Json<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    match signals(body, ctx) {
        Some(signals) => {
            let account = json::text(body, "id").unwrap_or_default();
            let at = ctx.received_at.to_string();
            Event::new("cosmos-account", &[&account, &at], SOURCE, None, ctx).items(signals, [], ctx)
        }
        None => malformed_json(body, SOURCE, "neither an ARM nor a gateway account document", ctx),
    }
}

/// One signal per stamp; none if this is no account document.
pub fn signals(body: &Json<'_>, ctx: &Context<'_>) -> Option<Vec<Signal>> {
    let account = Account::read(body)?;
    let stamps = ctx.topology.stamps.values();
    Some(
        stamps
            .map(|facts| {
                let (verdict, line) = account.judge(&facts.region);
                Signal {
                    scope: Scope::Stamp(facts.stamp.clone()),
                    class: EvidenceClass::Data,
                    source: SOURCE.to_owned(),
                    verdict,
                    observed_at: ctx.received_at,
                    standing: Standing::Sample,
                    failure: matches!(verdict, Verdict::Unhealthy | Verdict::Degraded)
                        .then_some(FailureKind::Dependency),
                    measure: None,
                    note: note(&line),
                }
            })
            .collect(),
    )
}

/// Where the account says it serves from.
struct Account {
    readable: BTreeSet<RegionName>,
    writable: BTreeSet<RegionName>,
    offline: BTreeSet<RegionName>,
    multi_write: bool,
}

impl Account {
    /// Reads both shapes: ARM has `properties.readLocations[].locationName`, the gateway `readableLocations[].name`.
    fn read(body: &Json<'_>) -> Option<Self> {
        let arm = json::get(body, "properties")
            .filter(|properties| json::get(properties, "readLocations").is_some());
        let (fields, readable, writable, name) = match arm {
            Some(properties) => (properties, "readLocations", "writeLocations", "locationName"),
            None => (body, "readableLocations", "writableLocations", "name"),
        };
        let readable = json::get(fields, readable)?.elements()?;
        let writable = json::get(fields, writable).and_then(Json::elements);
        let offline = readable.iter().filter(|location| {
            json::text(location, "provisioningState")
                .is_some_and(|state| state.eq_ignore_ascii_case("Offline"))
        });
        Some(Self {
            offline: names(offline, name),
            readable: names(readable, name),
            writable: names(writable.into_iter().flatten(), name),
            multi_write: json::is_true(fields, "enableMultipleWriteLocations"),
        })
    }

    fn judge(&self, region: &RegionName) -> (Verdict, String) {
        if self.offline.contains(region) {
            (Verdict::Unhealthy, format!("Cosmos DB says {region} is offline"))
        } else if !self.readable.contains(region) {
            // A stamp has a Cosmos region by definition, so one that is not listed was taken away.
            (Verdict::Unhealthy, format!("Cosmos DB no longer serves from {region}"))
        } else if self.multi_write && !self.writable.contains(region) {
            (Verdict::Degraded, format!("Cosmos DB takes no writes in {region}"))
        } else {
            (Verdict::Unobserved, format!("Cosmos DB lists {region}, which is no proof of health"))
        }
    }
}

fn names<'a>(locations: impl IntoIterator<Item = &'a Json<'a>>, name: &str) -> BTreeSet<RegionName> {
    locations
        .into_iter()
        .filter_map(|location| json::text(location, name))
        .map(|display| RegionName::from_display(&display))
        .collect()
}
