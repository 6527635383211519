//! Placeholder until the status page lands.
use crate::controller::Controller;
use crate::edge::{HttpCall, HttpReply, Page};
use async_trait::async_trait;
use serde_json::json;
/// JSON only.
pub struct StatusPage;
#[async_trait]
impl Page for StatusPage {
    async fn respond(&self, controller: &Controller, call: &HttpCall) -> HttpReply {
        let workload = &controller.policy.workload.name;
        if call.route().ends_with("state.json") {
            let view = controller.ledger.load(workload, 0).await.unwrap();
            return HttpReply::json(200, json!({"state": view.state, "steps": view.steps}));
        }
        let after = call.query.get("after").and_then(|a| a.parse().ok()).unwrap_or(0);
        HttpReply::json(200, json!(controller.ledger.audit(workload, after, 100).await.unwrap()))
    }
}
