//! The operator's page and JSON API.

use crate::edge::{ControllerApp, HttpCall, HttpOutcome, HttpReply};

/// Answers from the page, if this process has one.
pub async fn respond(app: &ControllerApp, call: &HttpCall) -> HttpOutcome {
    let reply = match &app.page {
        Some(page) => page.respond(&app.controllers, call).await,
        None => {
            let names: Vec<&str> =
                app.controllers.policies().map(|policy| policy.workload.name.as_str()).collect();
            let names = names.join(", ");
            HttpReply::text(200, format!("cordon watches {names}; this process serves no page\n"))
        }
    };
    reply.into()
}
