//! The health path: what the stamp's health service answers is handed on, within a second. Whoever cannot be asked lets
//! everybody in: a broken sidecar must not take a stamp out of rotation, let alone all of them.
//!
//! Nothing is cached. Each edge location may get an answer of its own, since a slice of a gate is a set of prober addresses,
//! and one answer for all of them would make every slice all or nothing; the sidecar on loopback has the caches already.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::settings::Settings;

/// How long a prober waits for the health service through us, at the most.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Questions under way at once. Of a service that hangs, a second's worth of 2000 probes a second: beyond that nobody
/// needs to be asked to know that it hangs.
const ASKED_MAX: usize = 2_000;

/// Longest answer handed on, in bytes: an ungated view with 30 peers has some 5 KB.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// What the health service must see of a prober: its address as the ingress wrote it, whether it came through our Front
/// Door, and what the witness and the peers show of themselves.
const HANDED_ON: [&str; 5] =
    ["x-azure-socketip", "x-azure-fdid", "x-forwarded-for", "x-cordon-key", "x-cordon-vantage"];

/// The way to the stamp's health service.
pub(crate) struct HealthService {
    url: String,
    handed_on: Vec<HeaderName>,
    http: reqwest::Client,
    asked: Semaphore,
    /// It did not answer last time; said once, not for each probe.
    silent: AtomicBool,
}

/// An answer of the health service.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl HealthService {
    pub(crate) fn new(settings: &Settings, http: reqwest::Client) -> Self {
        let names = HANDED_ON.iter().map(|name| (*name).to_owned()).chain(settings.health_headers.clone());
        Self {
            url: settings.health_url.clone(),
            handed_on: names.filter_map(|name| HeaderName::try_from(name).ok()).collect(),
            http,
            asked: Semaphore::new(ASKED_MAX),
            silent: AtomicBool::new(false),
        }
    }

    /// What Front Door's probe gets: the service's 200 or 503; 200 when it says anything else or nothing.
    pub(crate) async fn gated(&self, method: &Method, headers: &HeaderMap) -> Response {
        let answer = self.ask("", method, headers).await;
        match answer {
            Some(answer) if matches!(answer.status.as_u16(), 200 | 503) => {
                self.heard();
                reply(answer)
            }
            _ => {
                self.unheard();
                (StatusCode::OK, [("cache-control", "no-store"), ("x-health", "unknown")]).into_response()
            }
        }
    }

    /// What Cordon and the peers get. They must see that nobody answered, so nothing is made up here.
    pub(crate) async fn view(&self, view: &str, method: &Method, headers: &HeaderMap) -> Response {
        if !matches!(view, "ungated" | "peer") {
            return StatusCode::NOT_FOUND.into_response();
        }
        match self.ask(&format!("/{view}"), method, headers).await {
            Some(answer) => reply(answer),
            None => StatusCode::BAD_GATEWAY.into_response(),
        }
    }

    async fn ask(&self, below: &str, method: &Method, headers: &HeaderMap) -> Option<Answer> {
        let _asking = self.asked.try_acquire().ok()?;
        let mut request = self.http.request(method.clone(), format!("{}{below}", self.url));
        for name in &self.handed_on {
            for value in headers.get_all(name) {
                request = request.header(name, value);
            }
        }
        let asking = async {
            let mut response = request.send().await.ok()?;
            let status = response.status();
            let mut body = Vec::new();
            while let Some(part) = response.chunk().await.ok()? {
                body.extend_from_slice(&part);
                if body.len() > BODY_BYTES_MAX {
                    return None;
                }
            }
            Some(Answer { status, body })
        };
        tokio::time::timeout(ANSWER_WITHIN, asking).await.ok()?
    }

    fn heard(&self) {
        if self.silent.swap(false, Ordering::Relaxed) {
            eprintln!("application: the health service answers again");
        }
    }

    fn unheard(&self) {
        if !self.silent.swap(true, Ordering::Relaxed) {
            eprintln!(
                "application: the health service at {} does not answer; probes get 200 until it does. \
                 Look at the sidecar `cordon stamp-health`",
                self.url
            );
        }
    }
}

fn reply(answer: Answer) -> Response {
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    (answer.status, headers, answer.body).into_response()
}
