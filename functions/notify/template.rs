//! How a record is written to each kind of receiver. A chat gets news and a link; whoever takes CloudEvents gets all that is
//! told, and decides for himself.

use std::collections::BTreeSet;

use domain::Generation;
use domain::audit::AuditRecord;
use domain::notice::Notice;
use domain::policy::{NotifyFormat, NotifyTarget};
use serde_json::{Value, json};

use super::kinds;

/// The type of the events. Receivers filter on it; a change of the data's shape changes it.
const EVENT_TYPE: &str = "io.cordon.transition.v1";

/// Reasons of one message in a chat; the record has all of them.
const REASONS_MAX: usize = 6;

/// The content type of a target's messages.
pub(super) const fn content_type(target: &NotifyTarget) -> &'static str {
    match target.format {
        None | Some(NotifyFormat::CloudEvents) => "application/cloudevents+json; charset=utf-8",
        Some(NotifyFormat::Slack | NotifyFormat::Teams) => "application/json; charset=utf-8",
    }
}

/// The message of a record; none where this target is not told of it: a step's end is no news to a chat.
pub(super) fn body(target: &NotifyTarget, record: &AuditRecord, incident: Option<u64>) -> Option<Value> {
    let kinds = kinds(record).unwrap_or_default();
    let news = kinds.iter().any(|kind| *kind != Notice::Noted && *kind != Notice::Observed);
    match target.format {
        None | Some(NotifyFormat::CloudEvents) => Some(cloud_event(record, incident)),
        Some(NotifyFormat::Slack) => news.then(|| slack(target, record, &kinds, incident)),
        Some(NotifyFormat::Teams) => news.then(|| teams(target, record, &kinds, incident)),
    }
}

/// A record as a CloudEvent. Without the situation: that is for who re-runs the decision, not for a chat channel. The
/// extension attribute `incident` is the same for all records of one.
fn cloud_event(record: &AuditRecord, incident: Option<u64>) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "id": record.id,
        "source": format!("/cordon/{}", record.workload),
        "type": EVENT_TYPE,
        "subject": format!("{}/{}", record.workload, record.seq),
        "time": record.at,
        "datacontenttype": "application/json",
        "data": {
            "workload": record.workload,
            "seq": record.seq,
            "generation": record.generation,
            "headline": record.headline,
            "because": record.because,
            "decision": record.decision,
            "findings": record.findings,
            "steps": record.steps,
            "explanation": record.explanation,
        }
    });
    if let Some(first) = incident {
        event["incident"] = json!(format!("{}/{first}", record.workload));
    }
    event
}

/// The first line: what kind of news, of which workload and incident. The same incident begins the same way, so that a chat
/// can be searched and grouped by it.
fn title(record: &AuditRecord, kinds: &BTreeSet<Notice>, incident: Option<u64>) -> String {
    let incident = incident.map(|first| format!(" incident {first}")).unwrap_or_default();
    format!("[{}{incident}] {}: {}", record.workload, kind(kinds), record.headline)
}

/// What needs a person comes first.
fn kind(kinds: &BTreeSet<Notice>) -> &'static str {
    let of = |kind: &Notice| kinds.contains(kind);
    let all = [
        (Notice::ChainBroken, "the audit's chain is broken"),
        (Notice::NeedsApproval, "needs approval"),
        (Notice::NeedsAcknowledgement, "needs acknowledgement"),
        (Notice::Overridden, "safety rule overridden"),
        (Notice::Frozen, "frozen"),
        (Notice::Cordoned, "cordoned"),
        (Notice::CapacityShort, "capacity short"),
        (Notice::CannotGrow, "capacity short"),
        (Notice::QuotaShort, "quota short"),
        (Notice::ReturnStarted, "re-admission started"),
        (Notice::Returned, "re-admission done"),
        (Notice::StillPaused, "automation paused for long"),
        (Notice::Held, "held"),
        (Notice::Thawed, "no longer frozen"),
        (Notice::Advised, "advised, not done"),
    ];
    all.iter().find(|(kind, _)| of(kind)).map_or("noted", |(_, words)| words)
}

fn reasons(record: &AuditRecord) -> Vec<&str> {
    record.because.iter().map(String::as_str).take(REASONS_MAX).collect()
}

/// Where to look, and for what needs approval where to give it.
fn link(target: &NotifyTarget, record: &AuditRecord, kinds: &BTreeSet<Notice>) -> Option<String> {
    let page = target.page.as_deref()?.trim_end_matches('/');
    let asks = |kind: Notice| kinds.contains(&kind);
    let place = if asks(Notice::NeedsApproval) {
        approval(record).unwrap_or_else(|| "status".to_owned())
    } else if asks(Notice::NeedsAcknowledgement) || asks(Notice::StillPaused) {
        "status".to_owned()
    } else {
        format!("audit/{}", record.seq)
    };
    Some(format!("{page}/{place}"))
}

/// The page that says what the approval would do and asks for the reason: looking at it approves nothing.
fn approval(record: &AuditRecord) -> Option<String> {
    let (stamp, _) = record.decision["rulings"]
        .as_object()?
        .iter()
        .find(|(_, ruling)| ruling["action"]["reason"] == "needs_approval")?;
    let generation = &record.decision["cases"][stamp]["awaiting_approval"];
    let generation: Generation = serde_json::from_value(generation.clone()).ok()?;
    let stamp: String = url::form_urlencoded::byte_serialize(stamp.as_bytes()).collect();
    Some(format!("order/approve?stamp={stamp}&generation={generation}"))
}

fn slack(
    target: &NotifyTarget,
    record: &AuditRecord,
    kinds: &BTreeSet<Notice>,
    incident: Option<u64>,
) -> Value {
    // Slack's own three characters; with them escaped nothing from outside becomes a link or a mention.
    let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut lines = vec![plain(&title(record, kinds, incident))];
    lines.extend(reasons(record).iter().map(|reason| format!("- {}", plain(reason))));
    lines.extend(link(target, record, kinds).map(|link| format!("<{link}|Open the page>")));
    json!({ "text": lines.join("\n") })
}

fn teams(
    target: &NotifyTarget,
    record: &AuditRecord,
    kinds: &BTreeSet<Notice>,
    incident: Option<u64>,
) -> Value {
    // A card's text is a subset of Markdown: brackets are what makes a link of it.
    let plain = |text: &str| text.replace(['[', ']', '<', '>', '`', '*', '_'], " ");
    let block = |text: String| json!({ "type": "TextBlock", "text": text, "wrap": true });
    let mut body = vec![json!({
        "type": "TextBlock", "size": "medium", "weight": "bolder", "wrap": true,
        "text": plain(&title(record, kinds, incident)),
    })];
    body.extend(reasons(record).iter().map(|reason| block(plain(reason))));
    let actions: Vec<Value> = link(target, record, kinds)
        .map(|url| json!({ "type": "Action.OpenUrl", "title": "Open the page", "url": url }))
        .into_iter()
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard", "version": "1.4", "body": body, "actions": actions,
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    fn record(notices: &Value) -> AuditRecord {
        AuditRecord {
            id: "1".into(),
            schema: 1,
            workload: "contoso-shoes".into(),
            seq: 7,
            previous: String::new(),
            generation: Generation { epoch: 1, n: 7 },
            at: Timestamp::from_secs(60),
            headline: "eastus2: held <!channel> [x](http://evil)".into(),
            because: vec!["because".into()],
            decision: domain::canonical::JsonPart::of(&json!({
                "rulings": { "eastus2": { "action": { "action": "hold", "reason": "needs_approval" } } },
                "cases": { "eastus2": { "awaiting_approval": { "epoch": 1, "n": 7 } } },
            })),
            findings: Value::Null,
            steps: Value::Null,
            explanation: json!({ "notices": notices }),
            consumed: vec![],
            situation: domain::canonical::JsonText::of(&Value::Null),
            policy_hash: String::new(),
            hash: String::new(),
        }
    }

    fn target(format: NotifyFormat) -> NotifyTarget {
        let page = Some("https://cordon.example/api/operator/".into());
        NotifyTarget {
            name: "x".into(),
            url: "https://x".into(),
            format: Some(format),
            page,
            auth: None,
            key: None,
        }
    }

    #[test]
    fn a_chat_gets_news_with_the_way_to_act_and_nothing_that_an_alert_made_up() {
        let record = record(&json!(["needs_approval", "noted"]));
        let slack = body(&target(NotifyFormat::Slack), &record, Some(2)).unwrap()["text"].to_string();
        assert!(
            slack.contains("[contoso-shoes incident 2] needs approval: eastus2: held &lt;!channel&gt;"),
            "{slack}"
        );
        let link =
            "<https://cordon.example/api/operator/order/approve?stamp=eastus2&generation=1.7|Open the page>";
        assert!(slack.contains(link), "{slack}");
        let teams = body(&target(NotifyFormat::Teams), &record, Some(2)).unwrap().to_string();
        assert!(!teams.contains("](http"), "{teams}");
        assert!(teams.contains("Action.OpenUrl"), "{teams}");
    }

    #[test]
    fn the_end_of_a_step_is_no_news_to_a_chat() {
        let record = record(&json!(["noted"]));
        assert!(body(&target(NotifyFormat::Slack), &record, None).is_none());
        assert!(body(&target(NotifyFormat::Teams), &record, None).is_none());
        assert!(body(&target(NotifyFormat::CloudEvents), &record, None).is_some());
    }

    #[test]
    fn every_kind_of_news_has_a_title_of_its_own_and_a_link() {
        for (kind, title, place) in [
            ("cordoned", "cordoned", "audit/7"),
            ("held", "held", "audit/7"),
            ("needs_approval", "needs approval", "order/approve?stamp=eastus2&generation=1.7"),
            ("needs_acknowledgement", "needs acknowledgement", "status"),
            ("capacity_short", "capacity short", "audit/7"),
            ("cannot_grow", "capacity short", "audit/7"),
            ("quota_short", "quota short", "audit/7"),
            ("return_started", "re-admission started", "audit/7"),
            ("returned", "re-admission done", "audit/7"),
            ("frozen", "frozen", "audit/7"),
            ("thawed", "no longer frozen", "audit/7"),
            ("still_paused", "automation paused for long", "status"),
            ("overridden", "safety rule overridden", "audit/7"),
            ("chain_broken", "the audit's chain is broken", "audit/7"),
        ] {
            let record = record(&json!([kind, "noted"]));
            for format in [NotifyFormat::Slack, NotifyFormat::Teams] {
                let text = body(&target(format), &record, Some(2)).unwrap().to_string();
                assert!(text.contains("incident 2") && text.contains(&format!("{title}: eastus2")), "{text}");
                assert!(text.contains(&format!("https://cordon.example/api/operator/{place}")), "{text}");
            }
        }
    }

    #[test]
    fn a_cloud_event_names_its_incident() {
        let event = body(&target(NotifyFormat::CloudEvents), &record(&json!(["cordoned"])), Some(2)).unwrap();
        assert_eq!(event["incident"], "contoso-shoes/2");
    }
}
