//! Azure Resource Manager over the world: one function from a request to a response, without HTTP, so that it can be
//! tested on its own. Ids are matched without regard to case, and answers show them as Azure does.

mod app_service;
mod autoscale;
mod cosmos;
mod frontdoor;
mod graph;
mod metrics;
mod pools;
mod quota;
mod resource_health;
pub(crate) mod throughput;

use serde_json::{Value, json};

use crate::autoscale::default_profiles;
use crate::faults::ArmCondition;
use crate::scenario::{Scenario, StampSpec};
use crate::world::{SimResourceIds, StampResourceIds, World};

/// Where ARM lives; the URLs in its answers are absolute.
pub(crate) const MANAGEMENT: &str = "https://management.azure.com";
/// What every answer of ARM is.
pub(crate) const CONTENT_TYPE: &str = "application/json; charset=utf-8";
/// What a throttled caller is told to wait, in seconds. Assumed; ARM's buckets refill within seconds.
const THROTTLE_RETRY_S: u32 = 17;

/// A request to ARM.
#[derive(Clone, Debug)]
pub(crate) struct ArmRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Without the question mark, still encoded.
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// `Null` when there was none or it was no JSON.
    pub(crate) body: Value,
}

impl ArmRequest {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter, decoded; names are matched without regard to case.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            decode(key).eq_ignore_ascii_case(name).then(|| decode(value))
        })
    }
}

/// ARM's answer.
#[derive(Clone, Debug)]
pub(crate) struct ArmResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl ArmResponse {
    fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }

    fn accepted(body: Value, headers: &[(&str, String)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { status: 202, headers, body }
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        Self { status, headers: Vec::new(), body: json!({ "error": { "code": code, "message": message } }) }
    }

    fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What ARM stores that is not part of the physics.
#[derive(Clone, Debug)]
pub(crate) struct ArmState {
    /// The autoscale setting of each stamp, as stored.
    pub(crate) autoscale: Vec<Value>,
    /// What ARM keeps of each stamp's pool, if it is one.
    pub(crate) pools: Vec<pools::PoolState>,
    /// The throughput of the workload's container.
    pub(crate) throughput: throughput::ThroughputState,
    /// Scale operations of App Service plans so far; numbers their ids.
    plan_operations: u64,
}

impl ArmState {
    pub(crate) fn new(scenario: &Scenario, ids: &SimResourceIds) -> Self {
        let setting = |(spec, ids): (&StampSpec, &StampResourceIds)| {
            json!({
                "id": ids.autoscale,
                "name": last_segment(&ids.autoscale),
                "type": "Microsoft.Insights/autoscaleSettings",
                "location": crate::telemetry::display_name(spec.region.as_str()),
                "tags": { "cordon:workload": scenario.workload, "cordon:stamp": spec.id },
                "properties": {
                    "profiles": default_profiles(&ids.plan, (spec.instances_min, spec.instances_max)),
                    "enabled": true,
                    "name": last_segment(&ids.autoscale),
                    "targetResourceUri": ids.plan,
                    "notifications": []
                }
            })
        };
        Self {
            autoscale: scenario.stamps.iter().zip(&ids.stamps).map(setting).collect(),
            pools: vec![pools::PoolState::default(); scenario.stamps.len()],
            throughput: throughput::ThroughputState::default(),
            plan_operations: 0,
        }
    }
}

/// Answers one request.
pub(crate) fn answer(world: &mut World, request: &ArmRequest) -> ArmResponse {
    if let Some(refusal) = refusal(world, request) {
        return refusal;
    }
    let path = request.path.trim_end_matches('/').to_lowercase();
    if let Some(resource) = path.strip_suffix("/providers/microsoft.insights/metrics") {
        return metrics::answer(world, resource, request);
    }
    if path == "/providers/microsoft.resourcegraph/resources" {
        return graph::answer(world, request);
    }
    let provider =
        path.rsplit_once("/providers/").map(|(_, provider)| provider.split('/').next().unwrap_or_default());
    match provider {
        Some("microsoft.cdn") => frontdoor::answer(world, &path, request),
        Some("microsoft.insights") => autoscale::answer(world, &path, request),
        Some("microsoft.web") => app_service::answer(world, &path, request),
        Some("microsoft.documentdb")
            if path.contains("/throughputsettings/") || path.contains("/operationsstatus/") =>
        {
            throughput::answer(world, &path, request)
        }
        Some("microsoft.documentdb") => cosmos::answer(world, &path, request),
        Some("microsoft.compute" | "microsoft.containerservice" | "microsoft.app") => {
            pools::answer(world, &path, request)
        }
        Some("microsoft.quota") => quota::answer(world, &path),
        Some("microsoft.resourcehealth") => resource_health::answer(world, &path, request),
        _ => not_found(&request.path),
    }
}

/// What ARM checks before it looks at the resource.
fn refusal(world: &World, request: &ArmRequest) -> Option<ArmResponse> {
    match world.conditions.arm {
        ArmCondition::Down => {
            return Some(ArmResponse::error(
                503,
                "ServerTimeout",
                "The request timed out. Please try again.",
            ));
        }
        ArmCondition::Throttled => {
            let refused = ArmResponse::error(429, "TooManyRequests", "The request is being throttled.");
            return Some(refused.with_header("retry-after", &THROTTLE_RETRY_S.to_string()));
        }
        ArmCondition::Up => {}
    }
    if !request.header("authorization").is_some_and(|value| value.len() > 7 && value.starts_with("Bearer ")) {
        let message = "Authentication failed. The 'Authorization' header is missing.";
        return Some(ArmResponse::error(401, "AuthenticationFailed", message));
    }
    if request.parameter("api-version").is_none_or(|version| version.is_empty()) {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Some(ArmResponse::error(400, "MissingApiVersionParameter", message));
    }
    None
}

fn not_found(path: &str) -> ArmResponse {
    ArmResponse::error(404, "ResourceNotFound", &format!("The resource '{path}' was not found."))
}

fn method_not_allowed(request: &ArmRequest) -> ArmResponse {
    let message = format!("The method {} is not supported by this resource.", request.method);
    ArmResponse::error(405, "MethodNotAllowed", &message)
}

/// What a regional resource provider answers while its region is lost.
fn region_unavailable(stamp: &StampResourceIds) -> ArmResponse {
    let message = format!("The service in region '{}' is not available.", stamp.region);
    ArmResponse::error(503, "ServiceUnavailable", &message)
}

/// Which stamp a path belongs to, given which of its ids to compare.
fn stamp_of(world: &World, path: &str, id: impl Fn(&StampResourceIds) -> &str) -> Option<usize> {
    world.ids.stamps.iter().position(|stamp| id(stamp).eq_ignore_ascii_case(path))
}

fn last_segment(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

/// Decodes `%XX` and `+` of a query.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        match (first, tail.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
pub(crate) mod tests;
