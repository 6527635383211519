//! The documents themselves, field by field as in the published samples (contracts/AZURE.md 2, 3, 4.4).

use domain::Timestamp;
use serde_json::{Value, json};

use super::Moments;
use crate::draw::{Seed, entity};
use crate::health::{EdgeProbe, ProbeReply};
use crate::scenario::{AlertSpec, AlertStage, Synthetic};
use crate::world::StampResourceIds;

/// One firing of an alert rule.
pub(super) struct AlertInstance {
    pub(super) id: String,
    pub(super) stage: AlertStage,
    pub(super) fired_at: Timestamp,
    pub(super) now: Timestamp,
}

/// One Service Health communication.
pub(super) struct Incident<'a> {
    pub(super) id: String,
    pub(super) tracking_id: String,
    pub(super) region: &'a str,
    pub(super) alert: &'a AlertSpec,
    pub(super) at: Moments,
}

/// Display names of the regions a scenario may use; Azure names regions this way in Service Health and Cosmos DB.
const REGION_NAMES: [(&str, &str); 14] = [
    ("eastus", "East US"),
    ("eastus2", "East US 2"),
    ("centralus", "Central US"),
    ("northcentralus", "North Central US"),
    ("southcentralus", "South Central US"),
    ("westus", "West US"),
    ("westus2", "West US 2"),
    ("westus3", "West US 3"),
    ("northeurope", "North Europe"),
    ("westeurope", "West Europe"),
    ("uksouth", "UK South"),
    ("francecentral", "France Central"),
    ("swedencentral", "Sweden Central"),
    ("japaneast", "Japan East"),
];

/// A region's display name; the id itself where it is not known.
pub(crate) fn display_name(region: &str) -> &str {
    REGION_NAMES.iter().find(|(id, _)| *id == region).map_or(region, |(_, name)| name)
}

/// The id that all communications about one incident share: seven characters as Microsoft writes them.
pub(super) fn tracking_id(seed: Seed, region: &str, service: &str) -> String {
    let guid = seed.guid(entity(region), entity(service)).to_uppercase();
    format!("{}-{}", &guid[0..4], &guid[4..7])
}

pub(super) fn probe_record(
    seed: Seed,
    now: Timestamp,
    probe: &EdgeProbe,
    reply: ProbeReply,
    (profile, host): (&str, &str),
) -> Value {
    let (result, status, latency_ms) = match reply {
        ProbeReply::Status(status) => ("OriginError", status.to_string(), "31"),
        ProbeReply::Failed => ("OriginTimeout", "0".to_owned(), "5000"),
    };
    let id = seed.guid(entity(&probe.pop) ^ entity(host), now.as_millis().unsigned_abs());
    json!({
        "time": now,
        "resourceId": profile.to_uppercase(),
        "category": "FrontDoorHealthProbeLog",
        "operationName": "Microsoft.Cdn/Profiles/FrontDoorHealthProbeLog/Write",
        "properties": {
            "healthProbeId": id.replace('-', "").to_uppercase(),
            "POP": probe.pop,
            "httpVerb": "HEAD",
            "result": result,
            "httpStatusCode": status,
            "probeURL": format!("https://{host}:443/healthz"),
            "originName": host,
            "originIP": "20.42.0.10:443",
            "totalLatencyMilliseconds": latency_ms,
            "connectionLatencyMilliseconds": "12",
            "DNSLatencyMicroseconds": "1814"
        }
    })
}

pub(super) fn metric_alert(
    instance: &AlertInstance,
    stamp: &StampResourceIds,
    profile: &str,
    (below, value): (f64, Option<f64>),
) -> Value {
    let rule = format!("origin-health-{}", stamp.stamp);
    let resolved = instance.stage == AlertStage::Resolved;
    let group = profile.split("/providers/").next().unwrap_or_default();
    let name = profile.rsplit('/').next().unwrap_or_default();
    let mut essentials = json!({
        "alertId": alert_id(profile, &instance.id),
        "alertRule": rule,
        "alertRuleId": format!("{group}/providers/microsoft.insights/metricAlerts/{rule}"),
        "severity": "Sev1",
        "signalType": "Metric",
        "monitorCondition": if resolved { "Resolved" } else { "Fired" },
        "monitoringService": "Platform",
        "alertTargetIDs": [profile.to_lowercase()],
        "configurationItems": [name],
        "originAlertId": format!("{}_microsoft.insights_metricAlerts_{rule}", instance.id),
        "firedDateTime": instance.fired_at,
        "description": "Front Door sees the origin as unhealthy",
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0"
    });
    if resolved {
        essentials["resolvedDateTime"] = json!(instance.now);
    }
    let custom = json!({ "stamp": stamp.stamp, "region": stamp.region });
    common_schema(
        &essentials,
        &json!({
            "properties": custom,
            "conditionType": "SingleResourceMultipleMetricCriteria",
            "condition": {
                "windowSize": "PT1M",
                "allOf": [{
                    "metricName": "OriginHealthPercentage",
                    "metricNamespace": "Microsoft.Cdn/profiles",
                    "operator": "LessThan",
                    "threshold": below.to_string(),
                    "timeAggregation": "Average",
                    "dimensions": [{ "name": "Origin", "value": stamp.host }],
                    "metricValue": value.unwrap_or(if resolved { 100.0 } else { 0.0 }),
                    "webTestName": null
                }],
                "windowStartTime": instance.now.before(std::time::Duration::from_secs(60)),
                "windowEndTime": instance.now
            }
        }),
        &custom,
    )
}

/// Common schema of a Service Health alert, with the numeric enums and the escaped `impactedServices` of the real thing.
pub(super) fn service_health(incident: &Incident<'_>, subscription: &str) -> Value {
    let essentials = json!({
        "alertId": format!("/subscriptions/{subscription}/providers/Microsoft.AlertsManagement/alerts/{}", incident.id),
        "alertRule": "service-health",
        "severity": "Sev4",
        "signalType": "Activity Log",
        // Also for the Resolved update: activity-log alerts keep no state.
        "monitorCondition": "Fired",
        "monitoringService": "ServiceHealth",
        "alertTargetIDs": [format!("/subscriptions/{subscription}")],
        "originAlertId": incident.id,
        "firedDateTime": incident.at.sent,
        "description": "Service Health incidents of the workload's regions",
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0"
    });
    let context = json!({
        "authorization": null,
        "channels": 1,
        "claims": null,
        "caller": null,
        "correlationId": incident.id,
        "eventSource": 2,
        "eventTimestamp": incident.at.sent,
        "httpRequest": null,
        "eventDataId": incident.id,
        "level": 3,
        "operationName": "Microsoft.ServiceHealth/incident/action",
        "operationId": incident.id,
        "properties": incident_properties(incident),
        "status": stage(incident.alert.stage),
        "subStatus": null,
        "submissionTimestamp": incident.at.sent,
        "ResourceType": null
    });
    common_schema(&essentials, &context, &Value::Null)
}

/// The same record as a diagnostic setting of the activity log exports it to an Event Hub.
pub(super) fn service_health_export(incident: &Incident<'_>, subscription: &str) -> Value {
    json!({ "records": [{
        "time": incident.at.sent,
        "resourceId": format!("/SUBSCRIPTIONS/{}", subscription.to_uppercase()),
        "correlationId": incident.id,
        "operationName": "Microsoft.ServiceHealth/incident/action",
        "category": "ServiceHealth",
        "resultType": stage(incident.alert.stage),
        "level": "Warning",
        "properties": incident_properties(incident)
    }]})
}

pub(super) fn resource_health(
    instance: &AlertInstance,
    stamp: &StampResourceIds,
    subscription: &str,
) -> Value {
    let resolved = instance.stage == AlertStage::Resolved;
    let states = if resolved { ("Available", "Unavailable") } else { ("Unavailable", "Available") };
    let verb = if resolved { "Resolved" } else { "Activated" };
    let essentials = json!({
        "alertId": format!("/subscriptions/{subscription}/providers/Microsoft.AlertsManagement/alerts/{}", instance.id),
        "alertRule": "resource-health",
        "severity": "Sev4",
        "signalType": "Activity Log",
        "monitorCondition": "Fired",
        "monitoringService": "Resource Health",
        "alertTargetIDs": [stamp.plan.to_lowercase()],
        "configurationItems": [stamp.plan.rsplit('/').next()],
        "originAlertId": instance.id,
        "firedDateTime": instance.now,
        "description": "Resource health of the stamps",
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0"
    });
    common_schema(
        &essentials,
        &json!({
            "channels": "Admin, Operation",
            "correlationId": instance.id,
            "eventSource": "ResourceHealth",
            "eventTimestamp": instance.fired_at,
            "eventDataId": instance.id,
            "level": "Critical",
            "operationName": format!("Microsoft.Resourcehealth/healthevent/{verb}/action"),
            "operationId": instance.id,
            "properties": {
                "title": "App Service plan health changed",
                "details": null,
                "currentHealthStatus": states.0,
                "previousHealthStatus": states.1,
                "type": "Downtime",
                "cause": "PlatformInitiated"
            },
            "status": stage(instance.stage),
            "submissionTimestamp": instance.now,
            "Activity Log Event Description": null
        }),
        &Value::Null,
    )
}

/// `HealthResources` in the Event Grid schema: an array of one.
pub(super) fn event_grid(
    id: &str,
    stage: AlertStage,
    (happened, sent): (Timestamp, Timestamp),
    stamp: &StampResourceIds,
    subscription: &str,
) -> Value {
    json!([{
        "id": id,
        "topic": format!("/subscriptions/{subscription}"),
        "subject": scale_set(stamp),
        "data": availability(id, stage, happened, stamp),
        "eventType": "Microsoft.ResourceNotifications.HealthResources.AvailabilityStatusChanged",
        "dataVersion": "1",
        "metadataVersion": "1",
        "eventTime": sent
    }])
}

/// `HealthResources` as a CloudEvent: one object.
pub(super) fn cloud_event(
    id: &str,
    stage: AlertStage,
    (happened, sent): (Timestamp, Timestamp),
    stamp: &StampResourceIds,
    subscription: &str,
) -> Value {
    json!({
        "id": id,
        "source": format!("/subscriptions/{subscription}"),
        "specversion": "1.0",
        "type": "Microsoft.ResourceNotifications.HealthResources.AvailabilityStatusChanged",
        "subject": scale_set(stamp),
        "time": sent,
        "data": availability(id, stage, happened, stamp)
    })
}

/// These events exist for virtual machines and scale sets only; the stamp's stands beside its plan.
fn scale_set(stamp: &StampResourceIds) -> String {
    let group = stamp.plan.split("/providers/").next().unwrap_or_default();
    format!("{group}/providers/Microsoft.Compute/virtualMachineScaleSets/vmss-{}", stamp.stamp)
}

fn availability(id: &str, stage: AlertStage, happened: Timestamp, stamp: &StampResourceIds) -> Value {
    let target = scale_set(stamp);
    let states = match stage {
        AlertStage::Active => ("Available", "Unavailable"),
        AlertStage::Resolved => ("Unavailable", "Available"),
    };
    json!({
        "resourceInfo": {
            "id": format!("{target}/providers/Microsoft.ResourceHealth/availabilityStatuses/{id}"),
            "name": id,
            "type": "Microsoft.ResourceHealth/availabilityStatuses",
            "properties": {
                "targetResourceId": target,
                "targetResourceType": "Microsoft.Compute/virtualMachineScaleSets",
                "occurredTime": happened,
                "previousAvailabilityState": states.0,
                "availabilityState": states.1
            }
        },
        "operationalInfo": { "resourceEventTime": happened.to_string().replace('Z', "+00:00") },
        "apiVersion": "2023-12-01"
    })
}

fn incident_properties(incident: &Incident<'_>) -> Value {
    let name = display_name(incident.region);
    let service = &incident.alert.service;
    let title = format!("{service} - {name}");
    let text = "<p>You have been identified as a customer who may experience failures in this region.</p>";
    let impacted = json!([{
        "ImpactedRegions": [{ "RegionName": name, "RegionId": incident.region }],
        "ServiceName": service,
        "ServiceId": service.replace(' ', "").to_lowercase()
    }]);
    let mut properties = json!({
        "title": title,
        "service": service,
        "region": name,
        "communication": text,
        "incidentType": "Incident",
        "trackingId": incident.tracking_id,
        "impactStartTime": incident.at.began,
        "impactedServices": impacted.to_string(),
        "defaultLanguageTitle": title,
        "defaultLanguageContent": text,
        "stage": stage(incident.alert.stage),
        "communicationId": incident.id.replace('-', ""),
        "isHIR": "false",
        "IsSynthetic": if incident.alert.synthetic == Synthetic::Yes { "True" } else { "False" },
        "impactType": "SubscriptionList",
        "version": "0.1.1"
    });
    if incident.alert.stage == AlertStage::Resolved {
        properties["impactMitigationTime"] = json!(incident.at.happened);
    }
    properties
}

fn common_schema(essentials: &Value, context: &Value, custom: &Value) -> Value {
    json!({
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": { "essentials": essentials, "alertContext": context, "customProperties": custom }
    })
}

fn alert_id(resource: &str, instance: &str) -> String {
    let subscription = resource.split('/').nth(2).unwrap_or_default();
    format!("/subscriptions/{subscription}/providers/Microsoft.AlertsManagement/alerts/{instance}")
}

fn stage(stage: AlertStage) -> &'static str {
    match stage {
        AlertStage::Active => "Active",
        AlertStage::Resolved => "Resolved",
    }
}
