//! Azure behind the ports: one client for Azure Resource Manager (ARM), and one small module per kind of resource.
//!
//! The modules below [`arm`] are functions over an [`arm::ArmClient`]; none of them decides anything. Writes that
//! Azure carries out in the background come back as data ([`arm::Accepted::Running`]), because an invocation may be
//! killed at any moment and must never sit on one.

pub mod app_service_plan;
pub mod arm;
pub mod autoscale;
pub mod cosmos_account;
pub mod credential;
mod enduring;
pub mod epoch;
pub mod floors;
pub mod front_door;
pub mod http;
pub mod metrics;
pub mod quota;
pub mod resource_graph;
pub mod resource_health;
pub mod scale_set;
pub mod throughput;

#[cfg(test)]
pub(crate) mod testing;

use arm::{Accepted, ArmError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What became of a wish to change a resource, after it was read first.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Change<T> {
    /// The resource was found as wished; nothing was sent. Carries what was read.
    AlreadySo(T),
    /// A write was sent and accepted.
    Sent(Accepted),
}

/// Whether Azure still works on a resource. The texts behind it are free-form and differ by provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProvisioningState {
    /// The last write is done: `Succeeded`, or Cosmos DB's `Online`.
    Succeeded,
    /// The last write failed or was cancelled; the resource stands as it was or half way.
    Failed,
    /// Anything else, such as `Updating` or `Offline`, as Azure wrote it.
    InTransition(String),
    /// The document does not say. Not the same as `Succeeded`.
    #[default]
    Unreported,
}

impl ProvisioningState {
    fn read(text: Option<&str>) -> Self {
        match text {
            None | Some("") => Self::Unreported,
            Some(text) if is_one_of(text, &["succeeded", "online"]) => Self::Succeeded,
            Some(text) if is_one_of(text, &["failed", "canceled", "cancelled"]) => Self::Failed,
            Some(text) => Self::InTransition(text.to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for ProvisioningState {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::read(Option::<String>::deserialize(deserializer)?.as_deref()))
    }
}

/// Reads the body of an answer as the document that we expect there.
fn typed<T: DeserializeOwned>(what: &'static str, body: Value) -> Result<T, ArmError> {
    serde_json::from_value(body).map_err(|source| ArmError::Malformed { what, source: source.into() })
}

fn typed_all<T: DeserializeOwned>(what: &'static str, bodies: Vec<Value>) -> Result<Vec<T>, ArmError> {
    bodies.into_iter().map(|body| typed(what, body)).collect()
}

fn is_one_of(text: &str, lower_case: &[&str]) -> bool {
    lower_case.iter().any(|candidate| text.eq_ignore_ascii_case(candidate))
}
