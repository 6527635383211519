//! The operator's page and JSON API.

use crate::edge::{ControllerApp, HttpCall, HttpOutcome, HttpReply};

/// Answers from the page, if this process has one.
pub async fn respond(app: &ControllerApp, call: &HttpCall) -> HttpOutcome {
    let reply = match &app.page {
        Some(page) => page.respond(&app.controller, call).await,
        None => {
            let workload = &app.controller.policy.workload.name;
            HttpReply::text(200, format!("cordon watches {workload}; this process serves no page\n"))
        }
    };
    reply.into()
}
