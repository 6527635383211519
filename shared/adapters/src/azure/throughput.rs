//! Autoscale throughput of a Cosmos DB database or container: how many request units a second it may have at most, in every region
//! of its account alike. This and nothing else of an account is ever written.
//!
//! Up to `instantMaximumThroughput` a new maximum is there at once; above it Azure splits partitions for hours, so nobody goes there
//! in an incident. There is no ETag: what was read is compared right before the write, and read again after it.

use serde_json::{Value, json};

use super::arm::{Accepted, ArmClient, ArmError, ResourceId};

/// The API version of every request of this module.
pub const API_VERSION: &str = "2025-10-15";

/// The step of an autoscale maximum, in request units a second; also the least that there is.
pub const STEP: u32 = 1_000;

/// A throughput setting as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Throughput {
    id: ResourceId,
    body: Value,
    /// The autoscale maximum, in request units a second.
    pub maximum: u32,
    /// The least maximum that Azure would take back now; none where it does not say.
    pub lowest: Option<u32>,
    /// The most that is there at once, without a split of partitions; none where Azure does not say.
    pub instant: Option<u32>,
}

/// Why a throughput could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ThroughputError {
    /// ARM.
    #[error("change the throughput of a database or container")]
    Arm(#[from] ArmError),
    /// It has a fixed number, or shares that of its database, and is no lever.
    #[error(
        "find an autoscale maximum: switch the database or container to autoscale, or take it out of the policy"
    )]
    NotAutoscale,
    /// Another change of it is not over yet.
    #[error("change a throughput whose last change is still under way")]
    Pending,
}

/// Reads a setting.
///
/// # Errors
/// When ARM does not answer, or there is no autoscale maximum.
pub async fn read(arm: &ArmClient, setting: &ResourceId) -> Result<Throughput, ThroughputError> {
    let body = arm.get(setting, API_VERSION).await?;
    let resource = body.pointer("/properties/resource").unwrap_or(&Value::Null);
    let maximum = resource.pointer("/autoscaleSettings/maxThroughput").and_then(number);
    Ok(Throughput {
        id: setting.clone(),
        maximum: maximum.ok_or(ThroughputError::NotAutoscale)?,
        lowest: resource.get("minimumThroughput").and_then(number),
        instant: resource.get("instantMaximumThroughput").and_then(number),
        body,
    })
}

impl Throughput {
    /// What a wish comes to: in whole steps, not above what is there at once, and never less than there is now.
    pub fn reachable(&self, wanted: u32) -> u32 {
        let most = self.instant.map_or(wanted, |instant| wanted.min(instant));
        (most / STEP * STEP).max(self.maximum)
    }

    /// Whether its last change is still under way.
    pub fn is_pending(&self) -> bool {
        let pending = self.body.pointer("/properties/resource/offerReplacePending");
        pending.and_then(Value::as_str).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Sets the maximum. All else goes back as it came, but for what the specification calls read-only.
    ///
    /// # Errors
    /// When a change is under way, or ARM refuses this one.
    pub async fn set(&self, arm: &ArmClient, maximum: u32) -> Result<Accepted, ThroughputError> {
        if self.is_pending() {
            return Err(ThroughputError::Pending);
        }
        let mut settings =
            self.body.pointer("/properties/resource/autoscaleSettings").cloned().unwrap_or_default();
        if let Value::Object(settings) = &mut settings {
            settings.remove("targetMaxThroughput");
        }
        settings["maxThroughput"] = json!(maximum);
        let mut body = json!({ "properties": { "resource": { "autoscaleSettings": settings } } });
        for kept in ["location", "tags"] {
            if let Some(value) = self.body.get(kept) {
                body[kept] = value.clone();
            }
        }
        Ok(arm.put(&self.id, API_VERSION, &body).await?)
    }
}

/// Azure writes some of these numbers as strings.
fn number(value: &Value) -> Option<u32> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value.as_u64().or(text).and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::testing::{Answer, Script, arm, id};

    const SETTING: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.DocumentDB/databaseAccounts/a/\
                           sqlDatabases/shop/containers/orders/throughputSettings/default";

    fn setting(resource: &Value) -> Value {
        json!({ "id": SETTING, "name": "default", "location": "West US", "tags": { "team": "shop" },
                "properties": { "resource": resource } })
    }

    fn autoscale(maximum: u32) -> Value {
        json!({
            "autoscaleSettings": { "maxThroughput": maximum, "targetMaxThroughput": 0,
                "autoUpgradePolicy": { "throughputPolicy": { "isEnabled": false, "incrementPercent": 0 } } },
            "minimumThroughput": "1000", "offerReplacePending": "false", "instantMaximumThroughput": "20500",
            "_rid": "x", "_ts": 1, "_etag": "y"
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_is_cut_to_what_is_there_at_once_and_to_whole_steps() {
        let script = Script::new([Answer::json(200, &setting(&autoscale(4_000)))]);
        let found = read(&arm(&script), &id(SETTING)).await.unwrap();
        assert_eq!((found.maximum, found.lowest, found.instant), (4_000, Some(1_000), Some(20_500)));
        for (wanted, expected) in [(12_000, 12_000), (12_900, 12_000), (90_000, 20_000), (2_000, 4_000)] {
            assert_eq!(found.reachable(wanted), expected, "{wanted}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_maximum_alone_is_changed_and_what_is_read_only_stays_behind() {
        let address = "https://management.azure.com/subscriptions/s/providers/Microsoft.DocumentDB/locations/westus/operationsStatus/1";
        let accepted =
            Answer::json(202, &json!({ "status": "Enqueued" })).header("azure-asyncoperation", address);
        let script = Script::new([Answer::json(200, &setting(&autoscale(4_000))), accepted]);
        let arm = arm(&script);
        let sent = read(&arm, &id(SETTING)).await.unwrap().set(&arm, 12_000).await.unwrap();
        assert!(matches!(sent, Accepted::Running { operation, .. } if operation.as_str() == address));
        assert!(script.requests()[1].starts_with("PUT "), "{:?}", script.requests());
        assert_eq!(
            script.sent()[1].body,
            json!({
                "location": "West US", "tags": { "team": "shop" },
                "properties": { "resource": { "autoscaleSettings": { "maxThroughput": 12_000,
                    "autoUpgradePolicy": { "throughputPolicy": { "isEnabled": false, "incrementPercent": 0 } } } } }
            })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_fixed_throughput_is_no_lever_and_a_pending_change_is_not_overtaken() {
        let mut pending = autoscale(4_000);
        pending["offerReplacePending"] = json!("true");
        let script = Script::new([
            Answer::json(200, &setting(&json!({ "throughput": 400, "minimumThroughput": "400" }))),
            Answer::json(200, &setting(&pending)),
        ]);
        let arm = arm(&script);
        assert!(matches!(read(&arm, &id(SETTING)).await, Err(ThroughputError::NotAutoscale)));
        let sent = read(&arm, &id(SETTING)).await.unwrap().set(&arm, 12_000).await;
        assert!(matches!(sent, Err(ThroughputError::Pending)));
        assert_eq!(script.requests().len(), 2, "nothing was written");
    }
}
