//! The one HTTP client, with time limits that suit an invocation, and its detour to a simulated Azure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use azure_core::error::ErrorKind;
pub use azure_core::http::HttpClient;
use azure_core::http::{AsyncRawResponse, Request};
use tracing::Instrument;
use url::Url;

use super::arm::ArmEndpoint;
use crate::meter::{self, METRICS};

/// Longest wait for a connection. The defaults of the SDK (20 s, and 60 s to read) would outlive an invocation.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest silence while an answer is awaited or read.
pub const READ_TIMEOUT: Duration = Duration::from_secs(8);

const _: () = assert!(READ_TIMEOUT.as_millis() < super::arm::CALL_BUDGET.as_millis());

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("build the HTTP client")]
pub struct HttpClientError(#[source] reqwest::Error);

/// Builds the client that everything in the process shares; each further one costs milliseconds and connections.
/// It follows no redirects. Plain `http` is not ruled out, because the identity endpoint of App Service is that; the
/// ARM pipeline itself refuses to send a token over it.
///
/// # Errors
/// When the platform's certificates cannot be loaded.
pub fn http_client(endpoint: &ArmEndpoint) -> Result<Arc<dyn HttpClient>, HttpClientError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if endpoint.loopback().is_some() {
        // A proxy of the environment would carry the simulated traffic off this machine.
        builder = builder.no_proxy();
    }
    Ok(Arc::new(Metered(builder.build().map_err(HttpClientError)?)))
}

/// Each attempt with its span and metrics: those of ARM, of the identity endpoint, of retries.
#[derive(Debug)]
struct Metered(reqwest::Client);

#[async_trait]
impl HttpClient for Metered {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        // Without path and query: one holds the names of resources, which are too many for a metric, the other signatures.
        let (method, server) =
            (request.method().to_string(), request.url().host_str().unwrap_or_default().to_owned());
        let span = tracing::debug_span!("http", http.method = method, server.address = server);
        let begun = Instant::now();
        let answer = self.0.execute_request(request).instrument(span).await;
        if meter::is_on() {
            let (seconds, status) = (
                begun.elapsed().as_secs_f64(),
                answer.as_ref().map_or(0, |answer| u64::from(u16::from(answer.status()))),
            );
            // Status 0: no answer.
            tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.http.calls = 1_u64, method, server, status);
            tracing::event!(target: METRICS, tracing::Level::TRACE, histogram.cordon.http.duration = seconds, method, server);
        }
        answer
    }
}

/// Sends what is meant for ARM to a simulated Azure on this machine, and refuses everything else. The rewriting is
/// the last step before the wire, so policies, retries and address checks are those of production.
#[derive(Debug)]
pub(crate) struct LoopbackHttpClient {
    arm: Url,
    base: Url,
    inner: Arc<dyn HttpClient>,
}

impl LoopbackHttpClient {
    pub(crate) fn new(endpoint: &ArmEndpoint, base: Url, inner: Arc<dyn HttpClient>) -> Self {
        Self { arm: endpoint.origin().clone(), base, inner }
    }

    fn rewritten(&self, url: &Url) -> Option<Url> {
        if url.origin() != self.arm.origin() {
            return None;
        }
        let mut rewritten = self.base.clone();
        rewritten.set_path(url.path());
        rewritten.set_query(url.query());
        Some(rewritten)
    }
}

#[async_trait]
impl HttpClient for LoopbackHttpClient {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let Some(url) = self.rewritten(request.url()) else {
            let message = "only the ARM origin exists in a simulated Azure";
            return Err(azure_core::Error::with_message(ErrorKind::Other, message));
        };
        let mut rewritten = request.clone();
        *rewritten.url_mut() = url;
        self.inner.execute_request(&rewritten).await
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use azure_core::http::Method;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::azure::arm::{ArmClient, ArmError, OperationUrl};
    use crate::azure::credential::StaticCredential;
    use crate::azure::testing::{Script, id};

    #[tokio::test]
    async fn a_request_to_anywhere_else_does_not_leave() {
        let endpoint = ArmEndpoint::public_cloud().unwrap();
        let script = Script::new([]);
        let base = "http://127.0.0.1:1".parse().unwrap();
        let client = LoopbackHttpClient::new(&endpoint, base, script.clone());
        let elsewhere = Request::new("https://login.microsoftonline.com/".parse().unwrap(), Method::Get);
        assert!(client.execute_request(&elsewhere).await.is_err());
        assert_eq!(script.requests(), [] as [String; 0]);
    }

    #[test]
    fn the_shared_client_can_be_built() {
        let endpoint = ArmEndpoint::public_cloud().unwrap();
        assert!(http_client(&endpoint).is_ok());
        assert!(http_client(&endpoint.with_loopback("http://127.0.0.1:1").unwrap()).is_ok());
    }

    /// The real transport, pointed at `port` of this machine.
    fn client(port: u16) -> ArmClient {
        let endpoint = ArmEndpoint::public_cloud().unwrap();
        let endpoint = endpoint.with_loopback(&format!("http://127.0.0.1:{port}")).unwrap();
        let http = http_client(&endpoint).unwrap();
        ArmClient::new(endpoint, Arc::new(StaticCredential::new("t")), http)
    }

    #[tokio::test]
    async fn the_real_transport_reaches_a_simulated_azure_and_follows_no_redirect() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4_096];
            let length = stream.read(&mut request).await.unwrap();
            let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let outcome = client(port).get(&id("/subscriptions/s"), "2025-06-01").await;
        assert!(matches!(outcome, Err(ArmError::Rejected { status: 302, .. })), "{:?}", outcome.err());
        let request = server.await.unwrap();
        assert!(request.starts_with("GET /subscriptions/s?api-version=2025-06-01 HTTP/1.1"), "{request}");
        assert!(request.contains("authorization: Bearer t"), "{request}");
    }

    #[tokio::test]
    async fn a_failed_poll_does_not_show_the_signature_of_its_address() {
        // Bound and let go at once, so that nothing listens there.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let operation = OperationUrl::new("https://management.azure.com/operations/1?sig=secret");
        let error = client(port).poll(&operation).await.unwrap_err();
        let mut chain = format!("{error} {error:?}");
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            chain.push_str(&error.to_string());
            cause = error.source();
        }
        assert!(matches!(error, ArmError::Unreachable { .. }), "{chain}");
        assert!(chain.contains("operations/1") && !chain.contains("secret"), "{chain}");
    }
}
