//! The reference workload as the tests of the edge know it, and the payloads under `tests/fixtures`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::facts::StampFacts;
use domain::state::Topology;
use domain::{Policy, RegionName, StampId, Timestamp};
use serde_json::Value;

/// The policy in `tests/fixtures/policy.toml`.
///
/// # Panics
/// When it is not valid; the message has the lines.
pub fn policy() -> Policy {
    domain::policy::parse(include_str!("../fixtures/policy.toml")).expect("the tests' policy is valid")
}

/// Contoso's two stamps.
pub fn topology() -> Topology {
    let stamps = ["eastus2", "centralus"].map(|region| (StampId::new(region), stamp(region)));
    Topology { read_at: Some(Timestamp::from_secs(0)), stamps: BTreeMap::from(stamps).into() }
}

fn stamp(region: &str) -> StampFacts {
    let group = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/contoso-shoes/providers";
    StampFacts {
        stamp: StampId::new(region),
        region: RegionName::new(region),
        origin_host: format!("{region}.contososhoes.com"),
        origin_id: format!(
            "{group}/Microsoft.Cdn/profiles/contoso/originGroups/contoso-origins/origins/{region}"
        ),
        autoscale_id: Some(format!("{group}/Microsoft.Insights/autoscaleSettings/plan-{region}")),
        plan_id: Some(format!("{group}/Microsoft.Web/serverfarms/plan-{region}")),
        direct_url: format!("https://stamp-{region}.contososhoes.com/api"),
        state: None,
    }
}

/// The names of a family's fixtures, sorted.
///
/// # Panics
/// When there is no such family.
pub fn names(family: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory().join(family))
        .expect("the family has a directory under tests/fixtures")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

/// One payload.
///
/// # Panics
/// When there is no such fixture, or it is no JSON.
pub fn payload(family: &str, name: &str) -> Value {
    let path = directory().join(family).join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).expect("the fixture exists");
    serde_json::from_str(&text).expect("the fixture is JSON")
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}
