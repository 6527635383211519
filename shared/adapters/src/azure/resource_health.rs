//! Resource Health: how available Azure itself holds one resource to be.
//!
//! Resource Graph has the same in its table `HealthResources`, but of virtual machines only (Azure Resource Graph tables
//! overview, April 2026); this is the API that knows App Service plans, scale sets and clusters as well.

use domain::Timestamp;
use serde::Deserialize;

use super::arm::{ArmClient, ArmError, ResourceId};
use super::typed;

/// The API version of every request of this module.
pub const API_VERSION: &str = "2025-05-01";

/// What Resource Health says of one resource. The texts are Azure's own: its specification gives examples, no list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AvailabilityStatus {
    /// `Available`, `Unavailable`, `Degraded` or `Unknown`; empty where the document does not say.
    pub state: String,
    /// When the state last changed.
    pub occurred: Option<Timestamp>,
    /// When the resource was last looked at.
    pub reported: Option<Timestamp>,
    /// One line about it.
    pub title: String,
    /// Where it began, such as `Planned`, `Unplanned`, `UserInitiated`.
    pub reason: String,
    /// Who began it, such as `Platform Initiated`, `Customer Initiated`.
    pub context: String,
}

/// Reads what Resource Health says of a resource now. It is minutes behind the resource itself.
///
/// # Errors
/// See [`ArmError`]; a resource of a kind that Resource Health does not know is one as well.
pub async fn current(arm: &ArmClient, resource: &ResourceId) -> Result<AvailabilityStatus, ArmError> {
    let below = "providers/Microsoft.ResourceHealth/availabilityStatuses/current";
    let body = arm.get_below(resource, below, API_VERSION, &[]).await?;
    let Body { properties: said } = typed("an availability status", body)?;
    // A time that cannot be read is one that was not told; the state counts all the same.
    let time = |text: Option<String>| Timestamp::parse(&text?).ok();
    Ok(AvailabilityStatus {
        state: said.availability_state.unwrap_or_default(),
        occurred: time(said.occured_time),
        reported: time(said.reported_time),
        title: said.title.unwrap_or_default(),
        reason: said.reason_type.unwrap_or_default(),
        context: said.context.unwrap_or_default(),
    })
}

#[derive(Deserialize)]
struct Body {
    properties: Properties,
}

/// Every field may be missing, says the specification. `occuredTime` is its own spelling.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    availability_state: Option<String>,
    occured_time: Option<String>,
    reported_time: Option<String>,
    title: Option<String>,
    reason_type: Option<String>,
    context: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{Answer, Script, arm, id};

    const PLAN: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/serverfarms/plan";

    #[tokio::test(start_paused = true)]
    async fn a_status_is_read_with_its_cause_and_its_times() {
        let script = Script::new([
            Answer::json(
                200,
                &json!({"id": "x", "name": "current", "location": "eastus", "properties": {
                    "availabilityState": "Unavailable", "title": "Unavailable", "reasonType": "Unplanned",
                    "context": "Platform Initiated", "category": "Unplanned", "reasonChronicity": "Persistent",
                    "occuredTime": "2026-03-10T09:12:00Z", "reportedTime": "2026-03-10T09:14:11.7598931Z"
                }}),
            ),
            Answer::json(200, &json!({"properties": {"availabilityState": null, "occuredTime": "soon"}})),
        ]);
        let arm = arm(&script);
        let found = current(&arm, &id(PLAN)).await.unwrap();
        assert_eq!((found.state.as_str(), found.reason.as_str()), ("Unavailable", "Unplanned"));
        assert_eq!(found.context, "Platform Initiated");
        assert_eq!(found.occurred, Some(Timestamp::parse("2026-03-10T09:12:00Z").unwrap()));
        assert_eq!(found.reported.unwrap().to_string(), "2026-03-10T09:14:11.759Z");
        assert_eq!(current(&arm, &id(PLAN)).await.unwrap(), AvailabilityStatus::default());
        assert!(script.requests()[0].ends_with(
            "/plan/providers/Microsoft.ResourceHealth/availabilityStatuses/current?api-version=2025-05-01"
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_another_shape_is_no_status() {
        let script = Script::new([Answer::json(200, &json!({"value": []}))]);
        let found = current(&arm(&script), &id(PLAN)).await;
        assert!(matches!(found, Err(ArmError::Malformed { .. })), "{found:?}");
    }
}
