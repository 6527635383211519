//! `Microsoft.DocumentDB/.../throughputSettings` of the one container that the workload's account has here (contracts/AZURE.md 6): an
//! autoscale maximum, changed by an operation of a few seconds. Its load is not simulated.

use serde_json::{Value, json};

use super::{ArmRequest, ArmResponse, MANAGEMENT, last_segment, method_not_allowed, not_found};
use crate::world::World;

/// The container, below the account.
pub(crate) const CONTAINER: &str = "sqlDatabases/shop/containers/orders";
/// Seconds that a change takes without a split of partitions. Assumed.
const CHANGE_S: u32 = 8;
/// What a caller is told to wait between two polls, in seconds. Assumed.
const POLL_S: &str = "5";
/// Autoscale maxima come in steps of this.
const STEP: u64 = 1_000;

/// The container's throughput as ARM keeps it.
#[derive(Clone, Debug)]
pub(crate) struct ThroughputState {
    pub(crate) maximum: u64,
    /// The highest that there ever was: a tenth of it is the least that it may go back to.
    highest: u64,
    /// The change under way: its target, and when it is over.
    change: Option<(u64, u32)>,
    changes: u64,
}

impl Default for ThroughputState {
    fn default() -> Self {
        Self { maximum: 4_000, highest: 4_000, change: None, changes: 0 }
    }
}

/// The most that two physical partitions have at once.
const INSTANT: u64 = 20_000;

pub(super) fn answer(world: &mut World, path: &str, request: &ArmRequest) -> ArmResponse {
    settle(world);
    if path.contains("/operationsstatus/") {
        let running = world.arm.throughput.change.is_some();
        let status = if running { "Dequeued" } else { "Succeeded" };
        let answer = ArmResponse::ok(json!({ "status": status }));
        return if running { answer.with_header("retry-after", POLL_S) } else { answer };
    }
    let id = format!("{}/{CONTAINER}/throughputSettings/default", world.ids.cosmos_account);
    if !path.eq_ignore_ascii_case(&id) {
        return not_found(&request.path);
    }
    match request.method.as_str() {
        "GET" => ArmResponse::ok(document(world, &id)),
        "PUT" => put(world, &request.body),
        _ => method_not_allowed(request),
    }
}

fn settle(world: &mut World) {
    let now = world.elapsed_s();
    let throughput = &mut world.arm.throughput;
    if let Some((target, _)) = throughput.change.filter(|(_, done_at)| *done_at <= now) {
        throughput.maximum = target;
        throughput.highest = throughput.highest.max(target);
        throughput.change = None;
    }
}

fn put(world: &mut World, body: &Value) -> ArmResponse {
    let wanted = body.pointer("/properties/resource/autoscaleSettings/maxThroughput").and_then(Value::as_u64);
    let Some(wanted) = wanted.filter(|wanted| *wanted >= lowest(world) && wanted.is_multiple_of(STEP)) else {
        let message = "The offer should have valid throughput values between the minimum and the maximum, in steps of 1000.";
        return ArmResponse::error(400, "BadRequest", message);
    };
    let now = world.elapsed_s();
    let throughput = &mut world.arm.throughput;
    if throughput.change.is_some() {
        let message =
            "There is already an operation in progress which requires exclusive lock on this service.";
        return ArmResponse::error(409, "Conflict", message);
    }
    throughput.change = Some((wanted, now + CHANGE_S));
    throughput.changes += 1;
    let id = world.seed.guid(crate::draw::entity("throughput-operation"), world.arm.throughput.changes);
    let region = world.ids.stamps.first().map_or("westus", |stamp| stamp.region.as_str());
    let subscription = &world.ids.subscription;
    let below = format!("/subscriptions/{subscription}/providers/Microsoft.DocumentDB/locations/{region}");
    let url = format!("{MANAGEMENT}{below}/operationsStatus/{id}?api-version=2025-10-15");
    ArmResponse::accepted(
        json!({ "status": "Enqueued" }),
        &[("azure-asyncoperation", url), ("retry-after", POLL_S.to_owned())],
    )
}

fn lowest(world: &World) -> u64 {
    (world.arm.throughput.highest / 10).max(STEP)
}

fn document(world: &World, id: &str) -> Value {
    let throughput = &world.arm.throughput;
    json!({
        "id": id,
        "name": last_segment(id),
        "type": "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/throughputSettings",
        "properties": { "resource": {
            "_rid": "PD5DALigDgw=", "_ts": 1_459_200_611, "_etag": "00005900-0000-0000-0000-56f9a2630000",
            "autoscaleSettings": {
                "maxThroughput": throughput.maximum,
                "targetMaxThroughput": throughput.change.map_or(0, |(target, _)| target)
            },
            "minimumThroughput": lowest(world).to_string(),
            "offerReplacePending": if throughput.change.is_some() { "true" } else { "false" },
            "instantMaximumThroughput": INSTANT.to_string(),
            "softAllowedMaximumThroughput": "1000000"
        }}
    })
}
