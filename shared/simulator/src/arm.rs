//! Azure Resource Manager over the world: one function from a request to a response, without HTTP, so that it can be
//! tested on its own. Ids are matched without regard to case.

use serde_json::{Value, json};

use crate::autoscale::default_profiles;
use crate::scenario::Scenario;
use crate::world::{SimResourceIds, World};

/// Where ARM lives; the URLs in its answers are absolute.
pub(crate) const MANAGEMENT: &str = "https://management.azure.com";

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

/// ARM's answer.
#[derive(Clone, Debug)]
pub(crate) struct ArmResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

/// What ARM stores that is not part of the physics.
#[derive(Clone, Debug)]
pub(crate) struct ArmState {
    /// The autoscale setting of each stamp, as stored.
    pub(crate) autoscale: Vec<Value>,
}

impl ArmState {
    pub(crate) fn new(scenario: &Scenario, ids: &SimResourceIds) -> Self {
        let setting = |(spec, ids): (&crate::scenario::StampSpec, &crate::world::StampResourceIds)| {
            json!({
                "id": ids.autoscale,
                "name": ids.autoscale.rsplit('/').next(),
                "type": "Microsoft.Insights/autoscaleSettings",
                "location": spec.region,
                "tags": {},
                "properties": {
                    "profiles": default_profiles(&ids.plan, (spec.instances_min, spec.instances_max)),
                    "enabled": true,
                    "name": ids.autoscale.rsplit('/').next(),
                    "targetResourceUri": ids.plan,
                    "notifications": []
                }
            })
        };
        Self { autoscale: scenario.stamps.iter().zip(&ids.stamps).map(setting).collect() }
    }
}

/// Answers one request.
pub(crate) fn answer(_world: &mut World, _request: &ArmRequest) -> ArmResponse {
    ArmResponse { status: 404, headers: Vec::new(), body: Value::Null }
}
