//! Azure as the controller reaches it: ARM, and the stamps' direct address.

use std::time::Duration;

use adapters::azure::arm::ArmClient;
use domain::FailureKind;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;

/// A direct probe's time limit: longer than any healthy answer, short enough for three in a run.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The most that a stamp's view may weigh, in bytes.
const VIEW_BYTES_MAX: usize = 64 * 1_024;

/// ARM and the way to the stamps.
pub struct Azure {
    /// The control plane, for effects.
    pub arm: ArmClient,
    /// The control plane, for observers: they come back by themselves.
    pub arm_observed: ArmClient,
    /// The stamps, directly.
    pub direct: DirectClient,
}

/// Asks the stamps directly, from the witness region. Follows no redirects.
pub struct DirectClient {
    http: reqwest::Client,
    key: String,
}

/// How one direct request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectFailure(pub FailureKind);

impl DirectClient {
    /// A client that shows `key` to the ungated views.
    pub fn new(http: reqwest::Client, key: impl Into<String>) -> Self {
        Self { http, key: key.into() }
    }

    /// GETs the ungated view.
    ///
    /// # Errors
    /// By kind: what it says about the stamp, or about us.
    pub async fn view<T: DeserializeOwned>(&self, direct_url: &str) -> Result<T, DirectFailure> {
        let request = self.request(direct_url, "healthz/ungated").header("x-cordon-key", &self.key);
        let mut response = request.send().await.map_err(|error| DirectFailure(kind_of(&error)))?;
        if let Some(kind) = kind_of_status(response.status(), response.headers()) {
            return Err(DirectFailure(kind));
        }
        // A body that does not say how long it is may have no end.
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| DirectFailure(kind_of(&error)))? {
            if body.len() + chunk.len() > VIEW_BYTES_MAX {
                return Err(DirectFailure(FailureKind::ServerError));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| DirectFailure(FailureKind::ServerError))
    }

    /// One synthetic request to the application, the `number`th of its run.
    ///
    /// # Errors
    /// By kind.
    pub async fn ping(&self, direct_url: &str, number: usize) -> Result<(), DirectFailure> {
        let request = self.request(direct_url, "app").header("x-cordon-probe", number.to_string());
        let response = request.send().await.map_err(|error| DirectFailure(kind_of(&error)))?;
        kind_of_status(response.status(), response.headers()).map_or(Ok(()), |kind| Err(DirectFailure(kind)))
    }

    /// The status of the gated view, as Front Door's probe would see it without an address.
    ///
    /// # Errors
    /// When there was no answer.
    pub async fn gated_status(&self, direct_url: &str) -> Result<u16, DirectFailure> {
        let response = self
            .request(direct_url, "healthz")
            .send()
            .await
            .map_err(|error| DirectFailure(kind_of(&error)))?;
        Ok(response.status().as_u16())
    }

    fn request(&self, direct_url: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/{path}", direct_url.trim_end_matches('/'));
        self.http.get(url).timeout(DIRECT_TIMEOUT).header("x-cordon-vantage", domain::evidence::WITNESS)
    }
}

fn kind_of(error: &reqwest::Error) -> FailureKind {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if text.contains("dns error") || text.contains("failed to lookup") {
            return FailureKind::Dns;
        }
        if text.contains("certificate") {
            return FailureKind::Auth;
        }
        cause = inner.source();
    }
    FailureKind::Unreachable
}

/// What a status says; none for success.
fn kind_of_status(status: StatusCode, headers: &reqwest::header::HeaderMap) -> Option<FailureKind> {
    match status {
        status if status.is_success() => None,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(FailureKind::Auth),
        // The regional ingress answers for a stamp that is not there.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Some(FailureKind::Unreachable),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
            if headers.contains_key("retry-after") =>
        {
            Some(FailureKind::Saturated)
        }
        _ => Some(FailureKind::ServerError),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::body::Body;
    use axum::http::{StatusCode, header};
    use axum::routing::get;
    use futures_util::stream;
    use serde_json::Value;

    use super::*;

    /// A stamp that redirects at `/moved`, never ends at `/endless`, and lies at `/lies`; and how often its target was asked.
    async fn stamp() -> (String, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let target = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { r#"{"status":"Healthy"}"# }
        };
        let moved = || async { (StatusCode::FOUND, [(header::LOCATION, "/target")]) };
        let endless = || async {
            Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>("[".repeat(4_096))))
        };
        let router = Router::new()
            .route("/target", get(target))
            .route("/moved/{*path}", get(moved))
            .route("/endless/{*path}", get(endless))
            .route("/lies/{*path}", get(|| async { "<html>all is well</html>" }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (base, asked)
    }

    #[tokio::test]
    async fn a_stamp_is_asked_where_it_is_and_read_to_a_bound() {
        let (base, asked) = stamp().await;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let direct = DirectClient::new(http, "key");
        for place in ["moved", "endless", "lies"] {
            let view = direct.view::<Value>(&format!("{base}/{place}")).await;
            assert_eq!(view.unwrap_err(), DirectFailure(FailureKind::ServerError), "{place}");
        }
        assert!(direct.ping(&format!("{base}/moved"), 0).await.is_err(), "elsewhere is not the stamp");
        assert_eq!(direct.gated_status(&format!("{base}/moved")).await, Ok(302));
        assert_eq!(asked.load(Ordering::SeqCst), 0, "no redirect was followed");
        let nobody = direct.view::<Value>("http://127.0.0.1:9").await;
        assert_eq!(nobody.unwrap_err(), DirectFailure(FailureKind::Unreachable));
    }
}
