//! The components that this stamp needs, one question each. This application keeps no orders, so it asks only whether the
//! dependency answers it: a database that refuses us for want of a token is there. One that keeps orders reads and writes
//! an item of its own instead.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Below the second that the sidecar waits, so that it hears of a time-out as one.
const ANSWER_WITHIN: Duration = Duration::from_millis(800);

/// What can be asked, by name.
pub(crate) struct Components {
    urls: Vec<(String, String)>,
    http: reqwest::Client,
}

impl Components {
    pub(crate) fn new(urls: Vec<(String, String)>, http: reqwest::Client) -> Self {
        Self { urls, http }
    }

    /// 200 when it answers with anything but a failure of its own, its status when it says 5xx, 504 when it is slow, 502 when
    /// nobody is there, 404 when no such component is configured.
    pub(crate) async fn check(&self, name: &str) -> Response {
        let Some((_, url)) = self.urls.iter().find(|(known, _)| known == name) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let asked = self.http.get(url).timeout(ANSWER_WITHIN).send().await;
        let status = match asked {
            Ok(response) if response.status().is_server_error() => response.status(),
            Ok(_) => StatusCode::OK,
            Err(error) if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            Err(_) => StatusCode::BAD_GATEWAY,
        };
        status.into_response()
    }
}
