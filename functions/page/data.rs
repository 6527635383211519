//! The page's JSON: the same facts for scripts and for `cordon plan --url`.

use serde_json::{Value, json};

use super::{Failure, Forecast, number};
use crate::controller::{self, Controller};
use crate::edge::{HttpCall, HttpReply};

/// Most records of one answer: a record holds its whole situation, some tens of kilobytes.
pub const AUDIT_PAGE_MAX: usize = 100;

/// The committed state and its steps; `state` is null before the first commit.
pub(super) async fn state(controller: &Controller) -> Result<HttpReply, Failure> {
    let view = controller.ledger.load(&controller.policy.workload.name, 0).await?;
    Ok(HttpReply::json(200, json!({ "state": view.state, "steps": view.steps })))
}

/// Audit records with `seq > after`, the oldest first, at most `max` and never more than a page.
pub(super) async fn audit(controller: &Controller, call: &HttpCall) -> Result<HttpReply, Failure> {
    let after = number(call, "after")?.unwrap_or(0);
    let max = number(call, "max")?.and_then(|max| usize::try_from(max).ok()).unwrap_or(AUDIT_PAGE_MAX);
    let max = max.min(AUDIT_PAGE_MAX);
    let records = controller.ledger.audit(&controller.policy.workload.name, after, max).await?;
    Ok(HttpReply::json(200, serde_json::to_value(records).unwrap_or(Value::Null)))
}

/// What would be done now.
pub(super) async fn plan(controller: &Controller) -> Result<HttpReply, Failure> {
    let forecast = forecast(controller).await?;
    Ok(HttpReply::json(200, serde_json::to_value(forecast).unwrap_or(Value::Null)))
}

/// The same as a value.
pub(super) async fn forecast(controller: &Controller) -> Result<Forecast, Failure> {
    let situation = controller::situation(controller).await?;
    Ok(Forecast::of(&situation, &controller.policy))
}
