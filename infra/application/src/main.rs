//! The reference application: the smallest program that offers what a stamp's application must offer to Cordon. It sells no
//! shoes. What it answers, and to whom, is in infra/README.md, "What the application must offer".
//!
//! It lies below `infra/` because it is part of the deployment, as the templates are, and not of Cordon: nothing of ours is
//! in its dependencies, so that it can be read as an example for an application in any language.

mod settings;
mod health;
mod limit;
mod components;
mod instances;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use components::Components;
use health::HealthService;
use instances::Instances;
use limit::Limit;
use settings::Settings;

/// What a refused client is told to wait, in seconds: about what new instances need is minutes, what a burst needs is this.
const RETRY_AFTER_S: &str = "5";

/// Headers that an ingress adds to everything that it lets through. A request with one of them comes from outside.
const INGRESS: [&str; 3] = ["x-forwarded-for", "x-azure-fdid", "x-arr-log-id"];

/// What the handlers share.
struct Application {
    limit: Limit,
    health: HealthService,
    components: Components,
    instances: Instances,
    work: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("application: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let settings = Settings::from_environment(|name| std::env::var(name).ok())?;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| format!("build the HTTP client: {error}"))?;
    let application = Arc::new(Application {
        limit: Limit::new(settings.concurrency_max),
        health: HealthService::new(&settings, http.clone()),
        components: Components::new(settings.components, http),
        instances: Instances::new(settings.instances_dir, settings.instance),
        work: settings.work,
    });
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.port))
        .await
        .map_err(|error| format!("listen on port {}: {error}; set PORT to another one", settings.port))?;
    let address = listener.local_addr().map_err(|error| format!("read the bound address: {error}"))?;
    eprintln!("application: listening on port {}", address.port());
    tokio::spawn(tell_load(Arc::clone(&application)));
    let service = router(application).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(asked_to_stop())
        .await
        .map_err(|error| format!("serve: {error}"))
}

fn router(application: Arc<Application>) -> Router {
    Router::new()
        .route("/app", get(app).post(app))
        .route("/healthz", get(gated))
        .route("/healthz/{view}", get(view))
        .route("/internal/health/{component}", get(component))
        .route("/internal/load", get(load))
        .route("/internal/live", get(|| async { StatusCode::OK }))
        .with_state(application)
}

/// A cheap real request, and the only kind that is limited: whoever asks for health must hear of an overload.
async fn app(State(application): State<Arc<Application>>) -> Response {
    let Some(_permit) = application.limit.enter() else {
        let headers = [("retry-after", RETRY_AFTER_S), ("x-app-saturated", "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, headers).into_response();
    };
    if !application.work.is_zero() {
        tokio::time::sleep(application.work).await;
    }
    axum::Json(json!({ "served": true })).into_response()
}

async fn gated(State(application): State<Arc<Application>>, request: Request) -> Response {
    application.health.gated(request.method(), request.headers()).await
}

async fn view(
    State(application): State<Arc<Application>>,
    Path(view): Path<String>,
    request: Request,
) -> Response {
    application.health.view(&view, request.method(), request.headers()).await
}

/// One component. A full application is degraded, not dead, and says so as it does to a client.
async fn component(
    State(application): State<Arc<Application>>,
    Path(name): Path<String>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !is_inside(from, &headers) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if name != "app" {
        return application.components.check(&name).await;
    }
    if application.limit.is_full() {
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", RETRY_AFTER_S)]).into_response();
    }
    StatusCode::OK.into_response()
}

/// The load of all instances of this stamp, as `stamp_health` reads it; 503 when it is not known.
async fn load(
    State(application): State<Arc<Application>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !is_inside(from, &headers) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match application.instances.sum().await {
        Some(load) => axum::Json(json!({
            "ready_instances": load.ready_instances,
            "saturation": load.saturation,
            "requests_per_second": load.requests_per_second,
        }))
        .into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The sidecar shares our loopback; everybody else comes through the ingress, from another address and with its headers.
fn is_inside(from: SocketAddr, headers: &HeaderMap) -> bool {
    from.ip().is_loopback() && !INGRESS.iter().any(|name| headers.contains_key(*name))
}

/// Tells the other instances what arrives here, for as long as the process lives.
async fn tell_load(application: Arc<Application>) {
    let mut ticks = tokio::time::interval(instances::TELL_EVERY);
    loop {
        ticks.tick().await;
        let tally = application.limit.tally(instances::TELL_EVERY);
        application.instances.tell(tally).await;
    }
}

/// Ctrl-C, or SIGTERM, which a container's first process ignores unless it listens.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sidecar_sees_the_inside() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let ingress = SocketAddr::from(([169, 254, 130, 1], 40_000));
        let mut forwarded = HeaderMap::new();
        forwarded.insert("x-forwarded-for", "147.243.3.9".parse().unwrap());
        assert!(is_inside(loopback, &HeaderMap::new()));
        assert!(!is_inside(ingress, &HeaderMap::new()));
        assert!(!is_inside(loopback, &forwarded), "an ingress that calls on loopback");
    }
}
