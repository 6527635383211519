//! OpenTelemetry: spans and metrics by OTLP (HTTP, JSON) to a collector, where one is named; without one nothing of it runs.
//!
//! Code says what it does with `tracing` alone. A span of ours becomes a span there; an event of the target
//! `adapters::meter::METRICS` becomes a metric. They go over the HTTP client that the rest of the process uses.

use adapters::meter::METRICS;
use anyhow::Context;
use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::{Level, Metadata, Subscriber};
use tracing_opentelemetry::{MetricsLayer, OpenTelemetryLayer};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// What a collector is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// The collector's address, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it: `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// The name of this service.
    pub service: String,
    /// This process.
    pub instance: String,
}

/// What exports until the process ends.
pub struct Telemetry {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl Telemetry {
    /// Starts to export. Nothing is sent yet; a collector that is not there costs nothing but what it would have been told.
    ///
    /// # Errors
    /// When the address is none.
    pub fn start(settings: &TelemetrySettings, http: reqwest::Client) -> anyhow::Result<Self> {
        let what = "use OTEL_EXPORTER_OTLP_ENDPOINT: set it to a collector's address, http://HOST:4318";
        let client = Exporting { http, runtime: Handle::current() };
        let address = |signal| format!("{}/v1/{signal}", settings.endpoint.trim_end_matches('/'));
        let spans = SpanExporter::builder()
            .with_http()
            .with_http_client(client.clone())
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(address("traces"))
            .build()
            .context(what)?;
        let metrics = MetricExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(address("metrics"))
            .build()
            .context(what)?;
        let resource = Resource::builder()
            .with_service_name(settings.service.clone())
            .with_attribute(opentelemetry::KeyValue::new("service.instance.id", settings.instance.clone()))
            .build();
        Ok(Self {
            traces: SdkTracerProvider::builder()
                .with_batch_exporter(spans)
                .with_resource(resource.clone())
                .build(),
            metrics: SdkMeterProvider::builder()
                .with_periodic_exporter(metrics)
                .with_resource(resource)
                .build(),
        })
    }

    /// What listens to `tracing` for it.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let spans = OpenTelemetryLayer::new(self.traces.tracer("cordon")).with_filter(filter_fn(is_ours));
        let metrics = MetricsLayer::new(self.metrics.clone())
            .with_filter(filter_fn(|metadata: &Metadata<'_>| metadata.target() == METRICS));
        spans.and_then(metrics)
    }

    /// Sends what is left and ends. The exporters wait on threads of their own, so this may not be called by a thread that
    /// they need.
    pub async fn end(self) {
        let ended =
            tokio::task::spawn_blocking(move || (self.traces.shutdown(), self.metrics.shutdown())).await;
        if let Ok((Err(error), _) | (_, Err(error))) = ended {
            tracing::warn!(error = %error, "the collector did not take the last of the telemetry");
        }
    }
}

/// Spans and events of this program, and no library's. What is a metric is no event of a span.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().starts_with("cordon") || metadata.target().starts_with("adapters");
    ours && *metadata.level() <= Level::DEBUG && metadata.target() != METRICS
}

/// The process's HTTP client as the exporters want it. They wait on threads without a runtime; requests run on ours.
#[derive(Clone, Debug)]
struct Exporting {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Exporting {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let http = self.http.clone();
        let answered = self.runtime.spawn(async move {
            let answer = http.execute(request).await?.error_for_status()?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let (status, body) = answered.await??;
        Ok(Response::builder().status(status).body(body)?)
    }
}
