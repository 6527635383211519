//! From a path to a function: one dispatch for envelopes and forwarded requests, both roles.

use std::sync::Arc;
use std::time::Instant;

use adapters::meter::{self, METRICS};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::Timestamp;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tracing::Instrument;

use super::{App, Envelope, FunctionError, HttpCall, HttpOutcome, HttpReply, Reply, Role};
use crate::{
    azure_monitor_alert, azure_monitor_stream, cloud_event, cosmos_region_status, evaluate, evaluate_timer,
    event_grid_signal, front_door_probe, notify, observe_stamps, operator, publish_audit, stamp_health,
};

/// The longest HTTP body from outside. Azure Monitor sends at most 256 KB, Event Grid at most 1 MB.
pub const CALL_BODY_MAX: usize = 1024 * 1024;

/// The longest envelope. It comes from the host on loopback and holds a whole batch, JSON inside JSON: an Event Hub
/// batch of eight (host.json) or a page of change-feed documents.
pub const ENVELOPE_MAX: usize = 16 * 1024 * 1024;

/// What metrics call a function.
const FUNCTIONS: [&str; 14] = [
    "azure_monitor_alert",
    "azure_monitor_stream",
    "front_door_probe",
    "event_grid_signal",
    "cloud_event",
    "cosmos_region_status",
    "observe_stamps",
    "evaluate",
    "evaluate_timer",
    "publish_audit",
    "notify",
    "operator",
    "healthz",
    "stamp_health",
];

const _: () = assert!(ENVELOPE_MAX >= 8 * CALL_BODY_MAX, "a full Event Hub batch must fit into an envelope");

/// Everything this process answers. `GET /` answers at once: it is how the host finds out that we are there.
pub fn router(app: Arc<App>) -> Router {
    Router::new().fallback(dispatch).with_state(app)
}

/// Runs each request in a task of its own: a panic ends that task, not the process; and a host that hangs up does not
/// cancel work half done.
async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Some(answer) = probe_from_memory(&app, &request) {
        return answer;
    }
    let span = tracing::info_span!(
        "invocation",
        invocation.id = header_text(&request, "x-azure-functions-invocationid"),
        http.method = %request.method(),
        http.path = request.uri().path(),
    );
    let task = tokio::spawn(answer(app, request).instrument(span.clone()));
    match task.await {
        Ok(response) => response,
        Err(error) => {
            span.in_scope(
                || tracing::error!(error = %error, "a handler panicked; this is a bug, please report it"),
            );
            HttpReply::reason(500, "the handler panicked; its log has the details").into_response()
        }
    }
}

/// Front Door's probe, if what is known answers it: thousands of them a second need no task and no copy of the request each.
/// Everything else, and a probe for which something must be read, goes the common way.
fn probe_from_memory(app: &App, request: &Request) -> Option<Response> {
    let Role::Stamp(stamp) = &app.role else { return None };
    let is_probe = matches!(request.uri().path(), "/api/healthz" | "/healthz")
        && matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_probe || app.invocation_clock.is_some() || meter::is_on() {
        return None;
    }
    let (status, text) = if stamp.admits_by_memory(request.headers())? {
        (StatusCode::OK, r#"{"status":"serving"}"#)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"withdrawn"}"#)
    };
    let uncached = (header::CACHE_CONTROL, "no-store");
    Some(if *request.method() == Method::HEAD {
        (status, [uncached]).into_response()
    } else {
        (status, [(header::CONTENT_TYPE, "application/json"), uncached], text).into_response()
    })
}

async fn answer(app: Arc<App>, request: Request) -> Response {
    if !meter::is_on() {
        return answer_unmetered(app, request).await;
    }
    let function = function_name(request.uri().path());
    let begun = Instant::now();
    let response = answer_unmetered(app, request).await;
    let (seconds, status) = (begun.elapsed().as_secs_f64(), u64::from(response.status().as_u16()));
    tracing::event!(target: METRICS, tracing::Level::TRACE, histogram.cordon.invocation.duration = seconds, function, status);
    response
}

/// Of the path only what names a function: the rest is the caller's, and would make as many series as he likes.
fn function_name(path: &str) -> &'static str {
    let first = path.trim_start_matches('/');
    let first = first.strip_prefix("api/").unwrap_or(first);
    let first = first.split('/').next().unwrap_or_default();
    FUNCTIONS.into_iter().find(|name| *name == first).unwrap_or("other")
}

async fn answer_unmetered(app: Arc<App>, request: Request) -> Response {
    if let Some(clock) = &app.invocation_clock
        && let Ok(at) = Timestamp::parse(&header_text(&request, "x-cordon-clock"))
    {
        clock.set(at);
    }
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET | &Method::HEAD, "/") => HttpReply::json(200, json!({ "ready": true })).into_response(),
        _ if is_forwarded(&app.role, &path) => forwarded(&app, request).await,
        (&Method::POST, _) => enveloped(&app, request).await,
        _ => unknown(&path).into_response(),
    }
}

/// `/api/..` is the host's route prefix. Without a host, as a sidecar, the stamp also answers on `/healthz` itself.
fn is_forwarded(role: &Role, path: &str) -> bool {
    path.starts_with("/api/")
        || matches!(role, Role::Stamp(_)) && (path == "/healthz" || path.starts_with("/healthz/"))
}

async fn forwarded(app: &App, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, CALL_BODY_MAX).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let mut call = HttpCall {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: HttpCall::parse_query(parts.uri.query().unwrap_or_default()),
        body: body.into(),
        ..HttpCall::default()
    };
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        call.headers
            .entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    match HttpFunction::of_route(&app.role, call.route()) {
        Some(function) => call_http(app, function, &call).await.reply.into_response(),
        None => unknown(&call.path).into_response(),
    }
}

async fn enveloped(app: &App, request: Request) -> Response {
    let name = request.uri().path().trim_matches('/').to_owned();
    let body = match read(request.into_body(), ENVELOPE_MAX).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let outcome = match Envelope::parse(&body) {
        Ok(envelope) => invoke(app, &name, &envelope).await,
        Err(error) => Some(Err(error.into())),
    };
    match outcome {
        Some(Ok(reply)) => reply.into_response(),
        Some(Err(error)) => failed(&name, &error).into_response(),
        None => unknown(&name).into_response(),
    }
}

/// The functions of a role, by folder name; none if there is no such function here.
async fn invoke(app: &App, name: &str, envelope: &Envelope<'_>) -> Option<Result<Reply, FunctionError>> {
    if let Some(function) = HttpFunction::of_folder(&app.role, name) {
        let outcome = match envelope.http("req") {
            Ok(call) if call.body.len() > CALL_BODY_MAX => too_large(CALL_BODY_MAX).into(),
            Ok(call) => call_http(app, function, &call).await,
            Err(error) => return Some(Err(error.into())),
        };
        return Some(Ok(outcome.into()));
    }
    let Role::Controller(app) = &app.role else { return None };
    Some(match name {
        "azure_monitor_stream" => azure_monitor_stream::run(app, envelope).await,
        "front_door_probe" => front_door_probe::run(app, envelope).await,
        "event_grid_signal" => event_grid_signal::run(app, envelope).await,
        "cosmos_region_status" => cosmos_region_status::run(app, envelope).await,
        "observe_stamps" => observe_stamps::run(app, envelope).await,
        "evaluate" => evaluate::run(app, envelope).await,
        "evaluate_timer" => evaluate_timer::run(app, envelope).await,
        "publish_audit" => publish_audit::run(app, envelope).await,
        "notify" => notify::run(app, envelope).await,
        _ => return None,
    })
}

/// The functions with an HTTP trigger.
#[derive(Clone, Copy)]
enum HttpFunction {
    AzureMonitorAlert,
    CloudEvent,
    Operator,
    StampHealth,
}

impl HttpFunction {
    fn of_folder(role: &Role, name: &str) -> Option<Self> {
        match (role, name) {
            (Role::Controller(_), "azure_monitor_alert") => Some(Self::AzureMonitorAlert),
            (Role::Controller(_), "cloud_event") => Some(Self::CloudEvent),
            (Role::Controller(_), "operator") => Some(Self::Operator),
            (Role::Stamp(_), "stamp_health") => Some(Self::StampHealth),
            _ => None,
        }
    }

    /// By the first segment of the route in function.json, which is the folder's name but for the probe path.
    fn of_route(role: &Role, route: &str) -> Option<Self> {
        match route.split('/').next() {
            Some("healthz") => Self::of_folder(role, "stamp_health"),
            Some("stamp_health") | None => None,
            Some(folder) => Self::of_folder(role, folder),
        }
    }
}

/// Calls an HTTP function. Its failures become its own answer: in envelope mode a failed invocation would reach the
/// caller as a 500, which action groups do not retry.
async fn call_http(app: &App, function: HttpFunction, call: &HttpCall) -> HttpOutcome {
    let outcome = match (function, &app.role) {
        (HttpFunction::AzureMonitorAlert, Role::Controller(app)) => {
            azure_monitor_alert::respond(app, call).await
        }
        (HttpFunction::CloudEvent, Role::Controller(app)) => cloud_event::respond(app, call).await,
        (HttpFunction::Operator, Role::Controller(app)) => Ok(operator::respond(app, call).await),
        (HttpFunction::StampHealth, Role::Stamp(stamp)) => Ok(stamp_health::respond(stamp, call).await),
        _ => Ok(unknown(&call.path).into()),
    };
    outcome.unwrap_or_else(|error| failed(&call.path, &error).into())
}

fn failed(what: &str, error: &FunctionError) -> HttpReply {
    let chain = error.chain();
    tracing::error!(function.name = what, error = %chain, "an invocation failed; the host or the caller tries again");
    let reply = HttpReply::reason(error.status(), chain);
    if error.status() == 503 { reply.with_header("Retry-After", "5") } else { reply }
}

fn unknown(what: &str) -> HttpReply {
    HttpReply::reason(
        404,
        format!(
            "there is no function {what:?} in this role; look at the folders that `cargo xtask package` staged"
        ),
    )
}

fn too_large(bytes_max: usize) -> HttpReply {
    HttpReply::reason(413, format!("the body is longer than {bytes_max} bytes; send fewer events at once"))
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, HttpReply> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Err(error) => Err(HttpReply::reason(400, format!("the body broke off: {error}"))),
    }
}

fn header_text(request: &Request, name: &str) -> String {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
