//! Azure Resource Manager in miniature, behind the production client's own pipeline: origins with long operations, and
//! autoscale settings. A function of what was asked; no socket.

use adapters::azure::autoscale;
use domain::{StampId, Timestamp};
use serde_json::{Value, json};

use super::draw::{About, Seed};
use super::faults::{InForce, Trouble};

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers by name.
    pub headers: Vec<(&'static str, String)>,
    /// The document.
    pub body: Value,
    /// What was changed, if anything.
    pub change: Option<ArmChange>,
}

/// A change that ARM took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArmChange {
    /// An origin's wish.
    Origin(usize, bool),
    /// An autoscale setting was written; our floor in it.
    Floor(usize, Option<(u32, Timestamp)>),
}

#[derive(Clone, Debug)]
struct Operation {
    number: u64,
    origin: usize,
    enabled: bool,
    done_s: u64,
    is_done: bool,
    forgotten: bool,
}

/// Origins, operations and settings.
#[derive(Clone, Debug)]
pub struct ArmWorld {
    seed: Seed,
    names: Vec<StampId>,
    enabled: Vec<bool>,
    settings: Vec<Value>,
    operations: Vec<Operation>,
    count: u64,
}

const MANAGEMENT: &str = "https://management.azure.com";
const OPERATIONS: &str = "/subscriptions/s/providers/Microsoft.Cdn/operationresults/";

/// The ARM id of a stamp's autoscale setting.
pub fn autoscale_id(stamp: &StampId) -> String {
    format!(
        "/subscriptions/s/resourceGroups/rg-{stamp}/providers/Microsoft.Insights/autoscalesettings/{stamp}"
    )
}

impl ArmWorld {
    /// Every origin enabled, every setting with one plain profile.
    pub fn new(seed: Seed, names: Vec<StampId>) -> Self {
        let setting = |name: &StampId| {
            json!({
                "id": autoscale_id(name), "name": name, "location": "x",
                "properties": {
                    "enabled": true,
                    "profiles": [{
                        "name": "default",
                        "capacity": { "minimum": "2", "maximum": "30", "default": "2" },
                        "rules": [],
                    }],
                }
            })
        };
        let settings = names.iter().map(setting).collect();
        Self { seed, enabled: vec![true; names.len()], settings, names, operations: vec![], count: 0 }
    }

    /// As configured; the edge follows later.
    pub fn is_enabled(&self, stamp: usize) -> bool {
        self.enabled[stamp]
    }

    /// A person enables an origin in the portal.
    pub fn enable_by_hand(&mut self, stamp: usize) {
        self.enabled[stamp] = true;
    }

    /// Whether a change of this origin is under way.
    pub fn is_updating(&self, stamp: usize) -> bool {
        self.operations.iter().any(|operation| operation.origin == stamp && !operation.is_done)
    }

    /// Nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.operations.iter().all(|operation| operation.is_done)
    }

    /// Finishes what is due; what the edge is to obey from now on.
    pub fn advance(&mut self, now_s: u64, in_force: &InForce) -> Vec<(usize, bool)> {
        if in_force.holds(Trouble::ArmFrozen) {
            return vec![];
        }
        let mut obeyed = Vec::new();
        for operation in self.operations.iter_mut().filter(|op| !op.is_done && op.done_s <= now_s) {
            operation.is_done = true;
            if operation.forgotten {
                // Accepted and forgotten: it stands as it was.
                self.enabled[operation.origin] = !operation.enabled;
            } else {
                self.enabled[operation.origin] = operation.enabled;
                obeyed.push((operation.origin, operation.enabled));
            }
        }
        let keep_from = now_s.saturating_sub(7_200);
        self.operations.retain(|operation| !operation.is_done || operation.done_s >= keep_from);
        obeyed
    }

    /// Answers a request.
    pub fn answer(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        now_s: u64,
        in_force: &InForce,
    ) -> Answer {
        if in_force.holds(Trouble::ArmThrottled) {
            let mut refused = error(429, "TooManyRequests", "throttled");
            refused.headers.push(("retry-after", "17".to_owned()));
            return refused;
        }
        if let Some(number) = path.strip_prefix(OPERATIONS) {
            return self.operation(number);
        }
        let last = path.rsplit('/').next().unwrap_or_default();
        let Some(stamp) = self.names.iter().position(|name| name.as_str() == last) else {
            return error(404, "ResourceNotFound", "not here");
        };
        let is_origin = path.contains("/origins/");
        match (method, is_origin) {
            ("GET", true) => ok(self.origin(stamp)),
            ("PATCH", true) => self.patch(stamp, body, now_s, in_force),
            ("GET", false) => ok(self.settings[stamp].clone()),
            ("PUT", false) => self.put(stamp, body, in_force),
            _ => error(405, "MethodNotAllowed", "no"),
        }
    }

    fn origin(&self, stamp: usize) -> Value {
        let name = &self.names[stamp];
        let state = if self.is_updating(stamp) { "Updating" } else { "Succeeded" };
        json!({
            "id": format!("/subscriptions/s/resourcegroups/g/providers/Microsoft.Cdn/profiles/p/origingroups/g/origins/{name}"),
            "name": name,
            "properties": {
                "hostName": format!("{name}.contososhoes.com"), "priority": 1, "weight": 1_000,
                "enabledState": if self.enabled[stamp] { "Enabled" } else { "Disabled" },
                "provisioningState": state,
            }
        })
    }

    fn patch(&mut self, stamp: usize, body: &[u8], now_s: u64, in_force: &InForce) -> Answer {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let enabled = body["properties"]["enabledState"] == "Enabled";
        let reorders = in_force.holds(Trouble::ArmReorders);
        if in_force.holds(Trouble::ArmFrozen) || (!self.is_idle() && !reorders) {
            return error(409, "Conflict", "another operation is in progress");
        }
        let others = self.enabled.iter().enumerate().any(|(s, on)| s != stamp && *on);
        if !enabled && !others {
            return error(400, "BadRequest", "Endpoint pools must contain at least one enabled endpoint");
        }
        self.count += 1;
        let takes = self.seed.whole((60, 1_200), About::Azure, 900, self.count);
        let forgotten = in_force.holds(Trouble::ArmForgets) && self.enabled[stamp] != enabled;
        self.operations.push(Operation {
            number: self.count,
            origin: stamp,
            enabled,
            done_s: now_s + takes,
            is_done: false,
            forgotten,
        });
        self.enabled[stamp] = enabled;
        let address = format!("{MANAGEMENT}{OPERATIONS}{}?api-version=2025-06-01", self.count);
        Answer {
            status: 202,
            headers: vec![("azure-asyncoperation", address), ("retry-after", "10".to_owned())],
            body: self.origin(stamp),
            change: Some(ArmChange::Origin(stamp, enabled)),
        }
    }

    fn operation(&self, number: &str) -> Answer {
        let number: Option<u64> = number.parse().ok();
        match self.operations.iter().find(|operation| Some(operation.number) == number) {
            Some(operation) if operation.is_done && operation.forgotten => {
                error(404, "ResourceNotFound", "no such operation")
            }
            Some(operation) if operation.is_done => ok(json!({ "status": "Succeeded" })),
            Some(_) => {
                let mut running = ok(json!({ "status": "InProgress" }));
                running.headers.push(("retry-after", "10".to_owned()));
                running
            }
            None => error(404, "ResourceNotFound", "no such operation"),
        }
    }

    fn put(&mut self, stamp: usize, body: &[u8], in_force: &InForce) -> Answer {
        let Ok(setting) = serde_json::from_slice::<Value>(body) else {
            return error(400, "BadRequest", "no JSON");
        };
        if in_force.holds(Trouble::ArmForgets) {
            // Answered, and not kept.
            return ok(setting);
        }
        let epoch = Timestamp::from_secs(0);
        let floor = autoscale::standing_floor(&setting, autoscale::FLOOR_PROFILE, epoch).ok().flatten();
        self.settings[stamp] = setting.clone();
        Answer { change: Some(ArmChange::Floor(stamp, floor)), ..ok(setting) }
    }
}

fn ok(body: Value) -> Answer {
    Answer { status: 200, headers: vec![], body, change: None }
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "error": { "code": code, "message": message } });
    Answer { status, headers: vec![], body, change: None }
}
