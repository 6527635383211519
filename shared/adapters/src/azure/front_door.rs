//! Front Door origins: which are enabled, and enabling or disabling one.
//!
//! Front Door has no ETags, and the last writer wins, so a write is preceded by a read, and the caller holds the lease.
//! What ARM calls done is the control plane only; the edges follow within minutes, and nothing says when.

use domain::EnabledState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arm::{ArmClient, ArmError, ResourceId};
use super::{Change, ProvisioningState, is_one_of, typed, typed_all};

/// The API version of every request of this module.
pub const API_VERSION: &str = "2025-06-01";

/// An origin as ARM reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginState {
    /// Its id.
    pub id: ResourceId,
    /// Its name in the group.
    pub name: String,
    /// The host that requests are sent to.
    pub host_name: String,
    /// Whether it may get traffic.
    pub enabled: EnabledState,
    /// 1 to 1000; none where ARM reports none.
    pub weight: Option<u32>,
    /// 1 (first) to 5; none where ARM reports none.
    pub priority: Option<u32>,
    /// Whether a change of it is under way.
    pub provisioning_state: ProvisioningState,
}

/// An origin group as ARM reports it. What ARM does not report is none, never a default of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginGroupState {
    /// Its id.
    pub id: ResourceId,
    /// Its name in the profile.
    pub name: String,
    /// How Front Door judges the origins; none where it does not probe.
    pub probe: Option<HealthProbe>,
    /// Samples that a judgement looks at.
    pub sample_size: Option<u32>,
    /// Samples of those that must be good.
    pub successful_samples_required: Option<u32>,
    /// How much slower than the fastest an origin may be and still share its traffic, in milliseconds.
    pub additional_latency_ms: Option<u32>,
    /// Whether a change of it is under way.
    pub provisioning_state: ProvisioningState,
}

/// How Front Door probes the origins of a group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HealthProbe {
    /// The path that is asked for.
    #[serde(rename = "probePath")]
    pub path: Option<String>,
    /// `HEAD` or `GET`.
    #[serde(rename = "probeRequestType")]
    pub method: Option<String>,
    /// Seconds between two probes from one edge.
    #[serde(rename = "probeIntervalInSeconds")]
    pub interval_secs: Option<u32>,
}

/// Lists the origins of a group.
///
/// # Errors
/// See [`ArmError`].
pub async fn list_origins(arm: &ArmClient, group: &ResourceId) -> Result<Vec<OriginState>, ArmError> {
    let bodies = arm.list(group, "origins", API_VERSION).await?;
    let origins: Vec<OriginBody> = typed_all("an origin", bodies)?;
    Ok(origins.into_iter().map(OriginBody::into_state).collect())
}

/// Reads an origin.
///
/// # Errors
/// See [`ArmError`].
pub async fn get_origin(arm: &ArmClient, origin: &ResourceId) -> Result<OriginState, ArmError> {
    let body: OriginBody = typed("an origin", arm.get(origin, API_VERSION).await?)?;
    Ok(body.into_state())
}

/// Reads an origin group.
///
/// # Errors
/// See [`ArmError`].
pub async fn get_origin_group(arm: &ArmClient, group: &ResourceId) -> Result<OriginGroupState, ArmError> {
    let body: GroupBody = typed("an origin group", arm.get(group, API_VERSION).await?)?;
    let GroupBody { id, name, properties } = body;
    let balancing = properties.load_balancing_settings.unwrap_or_default();
    Ok(OriginGroupState {
        id,
        name,
        probe: properties.health_probe_settings,
        sample_size: balancing.sample_size,
        successful_samples_required: balancing.successful_samples_required,
        additional_latency_ms: balancing.additional_latency_in_milliseconds,
        provisioning_state: properties.provisioning_state,
    })
}

/// Enables or disables an origin. Reads it first: each write is a global operation that queues behind the one before
/// it, so one that changes nothing would delay the next by up to twenty minutes.
///
/// An origin that is [`Change::AlreadySo`] may still be on its way there: see its `provisioning_state`.
///
/// # Errors
/// See [`ArmError`]; [`ArmError::LastEnabledOrigin`] and [`ArmError::Busy`] are part of normal life here.
pub async fn set_origin_enabled(
    arm: &ArmClient,
    origin: &ResourceId,
    wanted: EnabledState,
) -> Result<Change<OriginState>, ArmError> {
    let found = get_origin(arm, origin).await?;
    if found.enabled == wanted {
        return Ok(Change::AlreadySo(found));
    }
    // Only what we mean to change: whatever else we sent would overwrite an edit made since we read.
    let body: Value = json!({ "properties": { "enabledState": wanted } });
    Ok(Change::Sent(arm.patch(origin, API_VERSION, &body).await?))
}

#[derive(Deserialize)]
struct OriginBody {
    id: ResourceId,
    name: String,
    properties: OriginProperties,
}

/// ARM is not consistent about the case of its enums.
fn in_any_case<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<EnabledState, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        text if is_one_of(text, &["enabled"]) => Ok(EnabledState::Enabled),
        text if is_one_of(text, &["disabled"]) => Ok(EnabledState::Disabled),
        _ => Err(serde::de::Error::unknown_variant(&text, &["Enabled", "Disabled"])),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OriginProperties {
    host_name: String,
    #[serde(deserialize_with = "in_any_case")]
    enabled_state: EnabledState,
    weight: Option<u32>,
    priority: Option<u32>,
    #[serde(default)]
    provisioning_state: ProvisioningState,
}

#[derive(Deserialize)]
struct GroupBody {
    id: ResourceId,
    name: String,
    properties: GroupProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupProperties {
    load_balancing_settings: Option<LoadBalancing>,
    health_probe_settings: Option<HealthProbe>,
    #[serde(default)]
    provisioning_state: ProvisioningState,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoadBalancing {
    sample_size: Option<u32>,
    successful_samples_required: Option<u32>,
    additional_latency_in_milliseconds: Option<u32>,
}

impl OriginBody {
    fn into_state(self) -> OriginState {
        let Self { id, name, properties } = self;
        OriginState {
            id,
            name,
            host_name: properties.host_name,
            enabled: properties.enabled_state,
            weight: properties.weight,
            priority: properties.priority,
            provisioning_state: properties.provisioning_state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::arm::Accepted;
    use crate::azure::testing::{Answer, Script, arm, id};

    const GROUP: &str =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Cdn/profiles/p/originGroups/g";
    const OPERATION: &str =
        "https://management.azure.com/subscriptions/s/providers/Microsoft.Cdn/operationresults/1";

    /// As published by Azure: ids in another case, `null` where nothing is set.
    fn origin(enabled: &str) -> Value {
        json!({
            "id": format!("{}/origins/o1", GROUP.replace("originGroups", "origingroups")),
            "type": "Microsoft.Cdn/profiles/origingroups/origins",
            "name": "o1",
            "properties": {
                "hostName": "host1.example", "httpPort": 80, "httpsPort": 443, "priority": null, "weight": null,
                "enabledState": enabled, "provisioningState": "Succeeded", "deploymentStatus": "NotStarted",
                "originGroupName": "g", "sharedPrivateLinkResource": null, "enforceCertificateNameCheck": true
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn origins_are_read_with_their_nulls() {
        let script =
            Script::new([Answer::json(200, &json!({ "value": [origin("Enabled"), origin("disabled")] }))]);
        let origins = list_origins(&arm(&script), &id(GROUP)).await.unwrap();
        assert_eq!(
            origins[0],
            OriginState {
                id: id(GROUP).child("originS", "O1").unwrap(),
                name: "o1".into(),
                host_name: "host1.example".into(),
                enabled: EnabledState::Enabled,
                weight: None,
                priority: None,
                provisioning_state: ProvisioningState::Succeeded,
            }
        );
        assert_eq!(origins[1].enabled, EnabledState::Disabled);
        assert_eq!(
            script.requests(),
            [format!("GET https://management.azure.com{GROUP}/origins?api-version=2025-06-01")]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_without_a_known_state_is_malformed_and_not_guessed() {
        for state in [json!(null), json!("Maybe")] {
            let mut body = origin("Enabled");
            body["properties"]["enabledState"] = state;
            let script = Script::new([Answer::json(200, &json!({ "value": [body] }))]);
            assert!(matches!(list_origins(&arm(&script), &id(GROUP)).await, Err(ArmError::Malformed { .. })));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_that_is_already_so_is_not_written() {
        let script = Script::new([Answer::json(200, &origin("Disabled"))]);
        let target = id(GROUP).child("origins", "o1").unwrap();
        let change = set_origin_enabled(&arm(&script), &target, EnabledState::Disabled).await.unwrap();
        assert!(matches!(change, Change::AlreadySo(found) if found.enabled == EnabledState::Disabled));
        assert_eq!(script.requests().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_one_small_patch_that_is_followed() {
        let accepted = Answer::json(202, &origin("Disabled")).header("azure-asyncoperation", OPERATION);
        let script = Script::new([Answer::json(200, &origin("Enabled")), accepted]);
        let target = id(GROUP).child("origins", "o1").unwrap();
        let change = set_origin_enabled(&arm(&script), &target, EnabledState::Disabled).await.unwrap();
        let Change::Sent(Accepted::Running { operation, .. }) = change else { panic!("{change:?}") };
        assert_eq!(operation.as_str(), OPERATION);
        assert_eq!(script.sent()[1].body, json!({"properties": {"enabledState": "Disabled"}}));
        assert!(script.requests()[1].starts_with("PATCH "));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_enabled_origin_is_a_refusal_of_its_own() {
        let body = json!({"error": {"code": "BadRequest", "message": "Endpoint pools must contain at least one enabled endpoint"}});
        let script = Script::new([Answer::json(200, &origin("Enabled")), Answer::json(400, &body)]);
        let target = id(GROUP).child("origins", "o1").unwrap();
        let change = set_origin_enabled(&arm(&script), &target, EnabledState::Disabled).await;
        assert!(matches!(change, Err(ArmError::LastEnabledOrigin)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_is_read_with_its_probe() {
        let body = json!({
            "id": GROUP, "name": "g", "type": "Microsoft.Cdn/profiles/origingroups",
            "properties": {
                "loadBalancingSettings": {"sampleSize": 4, "successfulSamplesRequired": 2, "additionalLatencyInMilliseconds": 1000},
                "healthProbeSettings": {"probePath": "/health", "probeRequestType": "HEAD", "probeProtocol": "Https", "probeIntervalInSeconds": 30},
                "provisioningState": "Updating"
            }
        });
        let group =
            get_origin_group(&arm(&Script::new([Answer::json(200, &body)])), &id(GROUP)).await.unwrap();
        assert_eq!((group.sample_size, group.successful_samples_required), (Some(4), Some(2)));
        assert_eq!(group.probe.unwrap().interval_secs, Some(30));
        assert_eq!(group.provisioning_state, ProvisioningState::InTransition("Updating".into()));
    }
}
