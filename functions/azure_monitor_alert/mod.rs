//! Azure Monitor action groups by webhook: the common alert schema and the older activity-log schema.
//!
//! The quick path; `azure_monitor_stream` is the durable one. An alert that comes over both is one inbox item.

use serde_json::json;

use crate::edge::entra::Caller;
use crate::edge::ingest::ingest;
use crate::edge::{ControllerApp, FunctionError, HttpCall, HttpOutcome, HttpReply, Json};
use crate::normalise;

/// Takes one alert in. A refusal is a 202 like any other: a 4xx or 500 would teach the action group nothing, and after
/// a few of them it stops calling for 15 minutes.
///
/// # Errors
/// When the ledger cannot be used: the caller gets a 503, which action groups do retry.
pub async fn respond(app: &ControllerApp, call: &HttpCall) -> Result<HttpOutcome, FunctionError> {
    if let Some(refused) = app.refused(Caller::ActionGroup, call).await {
        return Ok(refused.into());
    }
    if call.body.is_empty() {
        let why = "the request has no body; the host drops one that comes without Content-Length";
        return Ok(HttpReply::reason(400, why).into());
    }
    let body = Json::read_bytes(&call.body);
    let outputs = ingest(&app.controllers, "azure_monitor_alert", |ctx| match &body {
        Ok(body) => normalise::azure_monitor(body, ctx),
        Err(error) => vec![normalise::malformed(
            &call.body,
            "azure_monitor_alert",
            &format!("the body is no JSON: {error}"),
            ctx,
        )],
    })
    .await?;
    Ok(HttpOutcome { reply: HttpReply::json(202, json!({ "status": "recorded" })), outputs })
}
