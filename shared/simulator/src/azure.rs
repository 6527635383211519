//! The world over HTTP: ARM, the identity endpoint and the stamps' own hosts, on one router.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::{StampId, Timestamp};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::arm::{self, ArmRequest, ArmResponse, CONTENT_TYPE};
use crate::draw::{About, entity};
use crate::health::{HealthEndpoint, HealthRequest};
use crate::recorder::Recorder;
use crate::world::World;

/// Largest body read, in bytes: ARM's own limit is 4 MB.
const BODY_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// How long a token is said to last, in seconds, as managed identities have it.
const TOKEN_LIFETIME_S: i64 = 86_400;
/// Says from where a request comes: `witness`, or the id of a stamp. Without it the caller is inside the stamp.
const VANTAGE: &str = "x-cordon-vantage";
/// Number of a synthetic request; selects the draw of its fate.
const PROBE_NUMBER: &str = "x-cordon-probe";
/// What a refused client is told to wait, in seconds. Assumed.
const SATURATED_RETRY_S: &str = "5";

/// A simulated Azure, to be served on loopback. Cheap to clone: all clones are the same Azure.
#[derive(Clone)]
pub struct SimulatedAzure {
    world: Arc<Mutex<World>>,
    health: Arc<dyn HealthEndpoint>,
    recorder: Arc<Mutex<Recorder>>,
}

impl SimulatedAzure {
    /// Azure over this world; `health` is the health service of every stamp.
    pub fn new(world: Arc<Mutex<World>>, health: Arc<dyn HealthEndpoint>, recorder: Recorder) -> Self {
        Self { world, health, recorder: Arc::new(Mutex::new(recorder)) }
    }

    /// What was said to ARM so far. Hold it briefly: ARM waits meanwhile.
    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The routes: `/msi/token`, `/stamps/{id}/{healthz, healthz/{view}, components/{name}, app, load}`, and ARM's own
    /// paths for all the rest.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/msi/token", get(token))
            .route("/stamps/{id}/healthz", get(health))
            .route("/stamps/{id}/healthz/{view}", get(health_view))
            .route("/stamps/{id}/components/{name}", get(component))
            .route("/stamps/{id}/app", get(app).post(app))
            .route("/stamps/{id}/load", get(load))
            .fallback(resource_manager)
            .with_state(self.clone())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a direct request to a stamp gets.
enum Passage {
    /// To the stamp, by its index.
    Through(usize),
    /// To the ingress, which finds no instance.
    NoInstance,
    /// Nowhere.
    Unreachable,
    /// There is no such host.
    NoSuchStamp,
}

impl World {
    fn direct_passage(&self, stamp: &str, vantage: Option<&str>) -> Passage {
        let Some(s) = self.index(&StampId::new(stamp)) else { return Passage::NoSuchStamp };
        let caller_gone = match vantage {
            None => false,
            Some("witness") => self.conditions.stamps[s].witness_blind,
            // Who is lost asks nobody.
            Some(caller) => self.index(&StampId::new(caller)).is_some_and(|c| !self.serves(c)),
        };
        match (self.conditions.stamps[s].unreachable() || caller_gone, self.stamps[s].ready) {
            (true, _) => Passage::Unreachable,
            (false, 0) => Passage::NoInstance,
            (false, _) => Passage::Through(s),
        }
    }
}

async fn resource_manager(State(azure): State<SimulatedAzure>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let request = ArmRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: header_pairs(&parts.headers),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let (now, response) = {
        let mut world = azure.world();
        let response = arm::answer(&mut world, &request);
        (world.now(), response)
    };
    azure.recorder().record(now, &request, &response);
    arm_response(&response, now)
}

#[derive(serde::Deserialize)]
struct TokenQuery {
    resource: Option<String>,
}

async fn token(State(azure): State<SimulatedAzure>, Query(query): Query<TokenQuery>) -> Response {
    let expires_on = azure.world().now().as_millis().div_euclid(1_000) + TOKEN_LIFETIME_S;
    match query.resource {
        None => (
            StatusCode::BAD_REQUEST,
            axum::Json(json!({ "statusCode": 400, "message": "resource is missing" })),
        )
            .into_response(),
        Some(resource) => axum::Json(json!({
            "access_token": "sim",
            "client_id": "0d7b1c5e-6a55-4d7a-9d3b-1c0d0a5e5171",
            "expires_on": expires_on.to_string(),
            "resource": resource,
            "token_type": "Bearer"
        }))
        .into_response(),
    }
}

async fn health(
    State(azure): State<SimulatedAzure>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    ask_health(&azure, &id, None, (&method, &headers)).await
}

async fn health_view(
    State(azure): State<SimulatedAzure>,
    Path((id, view)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    ask_health(&azure, &id, Some(view), (&method, &headers)).await
}

async fn ask_health(
    azure: &SimulatedAzure,
    id: &str,
    view: Option<String>,
    (method, headers): (&Method, &HeaderMap),
) -> Response {
    let passed = pass(&azure.world(), id, headers);
    if let Err(refusal) = passed {
        return *refusal;
    }
    let question = HealthRequest {
        view,
        method: method.to_string(),
        prober: prober(headers),
        headers: header_pairs(headers),
    };
    let reply = azure.health.ask(&StampId::new(id), question).await;
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("content-type", "application/json"), ("cache-control", "no-store")], reply.body)
        .into_response()
}

async fn component(
    State(azure): State<SimulatedAzure>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let world = azure.world();
    let s = match pass(&world, &id, &headers) {
        Ok(s) => s,
        Err(refusal) => return *refusal,
    };
    let good = match name.as_str() {
        "app" => true,
        "cosmos-read" | "cosmos-write" => !world.conditions.stamps[s].cosmos_failing,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(json!({ "component": name, "healthy": good }))).into_response()
}

/// One synthetic request to the application; its number decides its fate, within the odds of the moment.
async fn app(State(azure): State<SimulatedAzure>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let world = azure.world();
    let s = match pass(&world, &id, &headers) {
        Ok(s) => s,
        Err(refusal) => return *refusal,
    };
    let number = headers.get(PROBE_NUMBER).and_then(|n| n.to_str().ok()).map_or(0, entity);
    let stamp = entity(&id);
    let draw =
        |salt: u64| world.seed.unit(About::SyntheticRequest, stamp ^ salt, number ^ u64::from(world.t) << 32);
    if draw(1) < world.stamps[s].refused_share() {
        let headers = [("retry-after", SATURATED_RETRY_S), ("x-app-saturated", "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, headers).into_response();
    }
    if draw(2) < world.error_share(s) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    StatusCode::OK.into_response()
}

async fn load(State(azure): State<SimulatedAzure>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let world = azure.world();
    match pass(&world, &id, &headers) {
        Err(refusal) => *refusal,
        Ok(s) => axum::Json(json!({
            "ready_instances": world.stamps[s].ready,
            "saturation": world.stamps[s].saturation(),
            "requests_per_second": world.stamps[s].arriving_rps
        }))
        .into_response(),
    }
}

/// The stamp, or what a caller gets who does not reach it. Nothing here can refuse a connection, so the regional ingress
/// answers in its place, marked by a header.
fn pass(world: &World, id: &str, headers: &HeaderMap) -> Result<usize, Box<Response>> {
    let vantage = headers.get(VANTAGE).and_then(|v| v.to_str().ok());
    let refusal = match world.direct_passage(id, vantage) {
        Passage::Through(s) => return Ok(s),
        Passage::NoInstance => {
            (StatusCode::SERVICE_UNAVAILABLE, [("x-ms-ingress", "no-instance")]).into_response()
        }
        Passage::Unreachable => (StatusCode::BAD_GATEWAY, [("x-ms-ingress", "unreachable")]).into_response(),
        Passage::NoSuchStamp => StatusCode::NOT_FOUND.into_response(),
    };
    Err(Box::new(refusal))
}

/// The client's address as the ingress appends it.
fn prober(headers: &HeaderMap) -> Option<IpAddr> {
    let forwarded = headers.get("x-forwarded-for")?.to_str().ok()?;
    forwarded.split(',').next_back()?.trim().parse().ok()
}

fn header_pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(pair).collect()
}

fn arm_response(response: &ArmResponse, now: Timestamp) -> Response {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut http =
        (status, [("content-type", CONTENT_TYPE)], Body::from(response.body.to_string())).into_response();
    for (name, value) in &response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            http.headers_mut().insert(name, value);
        }
    }
    // Without it the server would put the machine's own time there.
    if let Some(date) = date(now) {
        http.headers_mut().insert("date", date);
    }
    http
}

/// As a header says it: RFC 2822 but for the zone.
fn date(at: Timestamp) -> Option<HeaderValue> {
    let at = OffsetDateTime::from_unix_timestamp(at.as_millis().div_euclid(1_000)).ok()?;
    HeaderValue::try_from(at.format(&Rfc2822).ok()?.replace("+0000", "GMT")).ok()
}

#[cfg(test)]
mod tests;
