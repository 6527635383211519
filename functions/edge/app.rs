//! What one process serves: which role, with which ports.

use std::sync::Arc;

use adapters::ManualClock;
use async_trait::async_trait;

use super::entra::Callers;
use super::{HttpCall, HttpReply};
use crate::controller::Controllers;
use crate::notify::Notifier;
use crate::stamp::StampService;

/// One process. Built once by `main`, shared by every invocation.
pub struct App {
    /// What this process is.
    pub role: Role,
    /// Set when the process was started with `clock = invocation`: then each invocation carries its own time in the
    /// header `x-cordon-clock`, which is how a drill drives a child process. Without it the header means nothing.
    pub invocation_clock: Option<Arc<ManualClock>>,
}

/// The same binary serves both roles; packaging picks the folders.
pub enum Role {
    /// Ingests, decides, acts; runs in the witness region.
    Controller(ControllerApp),
    /// Answers Front Door's probes; runs in a stamp.
    Stamp(Arc<StampService>),
}

/// What the controller's functions share.
pub struct ControllerApp {
    /// One controller for each workload.
    pub controllers: Controllers,
    /// For what leaves the house besides notifications: the keys that tokens are checked with.
    pub outbound: reqwest::Client,
    /// Tells the notification targets.
    pub notifier: Notifier,
    /// Who may call the webhooks beyond those who hold a function key, which the host checks.
    pub callers: Callers,
    /// The operator's page and JSON API; without it `operator` answers one line of plain text.
    pub page: Option<Arc<dyn Page>>,
}

/// The operator's page and JSON API.
#[async_trait]
pub trait Page: Send + Sync + 'static {
    /// Answers one request below `operator/`.
    async fn respond(&self, controllers: &Controllers, call: &HttpCall) -> HttpReply;
}
