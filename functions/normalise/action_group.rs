//! What action groups send: the common alert schema, and the older activity-log schema.

use std::borrow::Cow;
use std::collections::BTreeSet;

use domain::{InboxItem, RefusalCode, Scope, Signal, StampId, Standing, Verdict, note};

use super::activity_log::{TIMES, legacy, normal};
use super::health::{HealthEvent, resource_health, service_health, verdict_of};
use super::item::{Event, digest, malformed_json};
use super::{Context, json};
use crate::edge::Json;

/// One alert payload, or an array of them.
pub fn items(body: &Json<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    if let Json::Array(bodies) = body {
        return bodies.iter().flat_map(|body| items(body, ctx)).collect();
    }
    match json::text(body, "schemaId").map(|schema| normal(&schema)).as_deref() {
        Some("azuremonitorcommonalertschema") => common(body, ctx),
        Some("microsoftinsightsactivitylogs") => legacy(body, ctx),
        Some(other) => {
            let why =
                format!("schema {other} is not read: switch on the common alert schema at the action group");
            malformed_json(body, "action-group", &why, ctx)
        }
        None => malformed_json(body, "action-group", "no schemaId: not an Azure Monitor alert", ctx),
    }
}

fn common(body: &Json<'_>, ctx: &Context<'_>) -> Vec<InboxItem> {
    let (Some(essentials), Some(data)) = (json::at(body, &["data", "essentials"]), json::get(body, "data"))
    else {
        return malformed_json(body, "action-group", "an alert without data.essentials", ctx);
    };
    let null = Json::Null;
    let alert = Alert {
        essentials,
        context: json::get(data, "alertContext").unwrap_or(&null),
        custom: json::get(data, "customProperties").unwrap_or(&null),
    };
    if alert.is_test_action() {
        let event = alert.event(ctx);
        return event.refused(RefusalCode::SyntheticTest, "the action group's Test button never acts", ctx);
    }
    match normal(&json::text(essentials, "monitoringService").unwrap_or_default()).as_str() {
        "servicehealth" => alert.health(service_health, ctx),
        "resourcehealth" => alert.health(resource_health, ctx),
        _ => alert.by_allow_list(ctx),
    }
}

/// An alert in the common schema.
struct Alert<'a> {
    essentials: &'a Json<'a>,
    context: &'a Json<'a>,
    custom: &'a Json<'a>,
}

impl Alert<'_> {
    fn rule(&self) -> Cow<'_, str> {
        json::text(self.essentials, "alertRule").unwrap_or_default()
    }

    /// The portal's Test button sends fixed rule names: `test-metricAlertRule` and its like.
    fn is_test_action(&self) -> bool {
        let rule = self.rule().to_ascii_lowercase();
        rule.starts_with("test-") && rule.ends_with("alertrule")
            || json::get(self.context, "properties").is_some_and(|bag| json::is_true(bag, "IsSynthetic"))
    }

    /// The alert instance is the same for Fired and Resolved, so the condition is part of the id.
    fn event(&self, ctx: &Context<'_>) -> Event {
        let instance = json::text(self.essentials, "alertId")
            .unwrap_or_else(|| digest(self.essentials.to_string().as_bytes()).into());
        let condition = self.condition();
        let times: &[&str] =
            if condition == "resolved" { &["resolvedDateTime", "firedDateTime"] } else { &["firedDateTime"] };
        let at = json::time(self.essentials, times);
        Event::new("alert", &[&instance, &condition], &format!("alert-rule:{}", self.rule()), at, ctx)
    }

    fn condition(&self) -> String {
        json::text(self.essentials, "monitorCondition").unwrap_or_default().to_ascii_lowercase()
    }

    fn health(
        &self,
        judge: fn(&HealthEvent<'_>, &Context<'_>) -> Vec<InboxItem>,
        ctx: &Context<'_>,
    ) -> Vec<InboxItem> {
        let properties = json::opened_or_null(self.context, "properties");
        let resources = json::get(self.essentials, "alertTargetIDs").and_then(Json::elements);
        let resources = resources.into_iter().flatten().filter_map(Json::text).map(str::to_owned).collect();
        let at = json::time(self.context, &TIMES).or_else(|| json::time(self.essentials, &TIMES));
        judge(&HealthEvent { fields: self.context, properties: &properties, resources, at }, ctx)
    }

    /// Metric, log and Prometheus alerts and everything else: only who is in the allow-list has a vote, and only as
    /// the class that the allow-list grants.
    fn by_allow_list(&self, ctx: &Context<'_>) -> Vec<InboxItem> {
        let event = self.event(ctx);
        let rule_id = json::text(self.essentials, "alertRuleId").unwrap_or_default();
        if json::text(self.essentials, "alertId").is_none() {
            return event.refused(
                RefusalCode::Malformed,
                "names no alertId, so it could never be resolved",
                ctx,
            );
        }
        let Some(speaker) = ctx.policy.speaker(&self.rule()).or_else(|| ctx.policy.speaker(&rule_id)) else {
            let why = format!("rule {:?} is not in the policy's speakers", self.rule());
            return event.refused(RefusalCode::UnknownSpeaker, why, ctx);
        };
        let standing = match self.condition().as_str() {
            "fired" => Standing::Fired,
            "resolved" => Standing::Resolved,
            other => {
                return event.refused(RefusalCode::Malformed, format!("monitorCondition {other:?}"), ctx);
            }
        };
        let stamps = match &speaker.stamp {
            Some(stamp) => ctx.granted_stamp(stamp).into_iter().collect(),
            None => self.named_stamps(ctx),
        };
        if stamps.is_empty() {
            let why = "names no stamp that we know: set the custom property \"stamp\" or split by Origin";
            return event.refused(RefusalCode::UnknownStamp, why, ctx);
        }
        let verdict = self.verdict(standing);
        let line = format!("{} {}", self.rule(), self.condition());
        let signals = stamps.into_iter().map(|stamp| Signal {
            scope: Scope::Stamp(stamp),
            class: speaker.class,
            source: event.source.clone(),
            verdict,
            observed_at: event.at,
            standing,
            failure: None,
            measure: None,
            note: note(&line),
        });
        event.items(signals.collect(), [], ctx)
    }

    /// A rule about a gray failure says so with the custom property `verdict: degraded`.
    fn verdict(&self, standing: Standing) -> Verdict {
        let gray = self.property("verdict").is_some_and(|verdict| verdict.eq_ignore_ascii_case("degraded"));
        match (standing, gray) {
            (Standing::Fired, true) => Verdict::Degraded,
            _ => verdict_of(standing),
        }
    }

    /// The stamps that the payload names: a custom property or label `stamp`, else the dimension `Origin`.
    fn named_stamps(&self, ctx: &Context<'_>) -> BTreeSet<StampId> {
        if let Some(named) = self.property("stamp") {
            return ctx.known_stamp(&StampId::new(named)).into_iter().collect();
        }
        let criteria = json::at(self.context, &["condition", "allOf"]).and_then(Json::elements);
        let dimensions = criteria
            .into_iter()
            .flatten()
            .filter_map(|criterion| json::get(criterion, "dimensions")?.elements())
            .flatten();
        dimensions
            .filter_map(|dimension| {
                let (name, value) = (json::text(dimension, "name")?, json::text(dimension, "value")?);
                match name.to_ascii_lowercase().as_str() {
                    "origin" => ctx.stamp_of_host(&value),
                    "stamp" => ctx.known_stamp(&StampId::new(value)),
                    _ => None,
                }
            })
            .collect()
    }

    /// What the rule's owner attached: in `customProperties`, in `alertContext.properties`, or as a Prometheus label.
    fn property(&self, name: &str) -> Option<Cow<'_, str>> {
        let bags = [
            Some(self.custom),
            json::get(self.context, "properties"),
            json::get(self.context, "labels"),
            json::get(self.context, "annotations"),
        ];
        bags.into_iter().flatten().find_map(|bag| json::text(bag, name))
    }
}
