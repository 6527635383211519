//! CloudEvents 1.0 by webhook, for publishers in the allow-list, with both handshakes (contracts/AZURE.md 3.3). The host asks
//! for nothing here: a key or an Entra token lets a caller in, and both are checked by `edge::entra`.

use std::borrow::Cow;

use serde_json::json;

use crate::edge::entra::Caller;
use crate::edge::ingest::ingest;
use crate::edge::{ControllerApp, FunctionError, HttpCall, HttpOutcome, HttpReply, Json};
use crate::normalise::{self, event_grid};

/// Events a minute that a publisher may send us.
const RATE_PER_MINUTE: &str = "120";

/// Takes events in, or answers a handshake.
///
/// # Errors
/// When the ledger cannot be used: the caller gets a 503 and sends again.
pub async fn respond(app: &ControllerApp, call: &HttpCall) -> Result<HttpOutcome, FunctionError> {
    if call.method == "OPTIONS" {
        return Ok(allow(call).into());
    }
    if let Some(refused) = app.refused(Caller::EventGrid, call).await {
        return Ok(refused.into());
    }
    if call.body.is_empty() {
        let why = "the request has no body; the host drops one that comes without Content-Length";
        return Ok(HttpReply::reason(400, why).into());
    }
    let body = Json::read_bytes(&call.body).map(|body| structured(call, body));
    if let Some(code) = body.as_ref().ok().and_then(validation_code) {
        // 200 and nothing else: Event Grid does not take a 202 for this one.
        return Ok(HttpReply::json(200, json!({ "validationResponse": code })).into());
    }
    let outputs = ingest(&app.controllers, "cloud_event", |ctx| match &body {
        Ok(body) => event_grid::items(body, ctx),
        Err(error) => {
            let why = format!("the body is no JSON: {error}");
            vec![normalise::malformed(&call.body, "cloud_event", &why, ctx)]
        }
    })
    .await?;
    Ok(HttpOutcome { reply: HttpReply::json(202, json!({ "status": "recorded" })), outputs })
}

/// The CloudEvents handshake: who asks may send. Who may speak is the allow-list's to say.
fn allow(call: &HttpCall) -> HttpReply {
    match call.header("webhook-request-origin") {
        Some(origin) => HttpReply::empty(200)
            .with_header("Allow", "POST")
            .with_header("WebHook-Allowed-Origin", origin)
            .with_header("WebHook-Allowed-Rate", RATE_PER_MINUTE),
        None => {
            HttpReply::reason(400, "ask with the header WebHook-Request-Origin").with_header("Allow", "POST")
        }
    }
}

/// Event Grid's own handshake: one event in an array.
fn validation_code(body: &Json<'_>) -> Option<String> {
    let event = body.elements().map_or(Some(body), |events| events.first())?;
    let kind = event.field("eventType")?.text()?;
    if !kind.eq_ignore_ascii_case("Microsoft.EventGrid.SubscriptionValidationEvent") {
        return None;
    }
    Some(event.field("data")?.field("validationCode")?.text()?.to_owned())
}

/// A CloudEvent in binary mode has its attributes in `ce-` headers and its data as the body.
fn structured<'a>(call: &'a HttpCall, body: Json<'a>) -> Json<'a> {
    if call.header("ce-specversion").is_none() {
        return body;
    }
    let attribute = |(name, value): (&'a String, &'a String)| {
        Some((Cow::from(name.strip_prefix("ce-")?), Json::Text(value.as_str().into())))
    };
    let attributes = call.headers.iter().filter_map(attribute);
    Json::Object(attributes.chain([("data".into(), body)]).collect())
}
