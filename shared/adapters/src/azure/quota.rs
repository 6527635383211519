//! Quotas: how much of each a scope uses, and how much it may use. To be looked at ahead of time; during an incident
//! nobody raises one.

use std::collections::HashMap;

use serde::Deserialize;

use super::arm::{ArmClient, ArmError, ResourceId};
use super::typed_all;

/// The API version of every request of this module.
pub const API_VERSION: &str = "2025-03-01";

/// All cores of a region together, of whatever family: `Microsoft.Compute` bounds them as well.
pub const ALL_CORES: &str = "cores";

/// One quota of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Azure's name of it, such as `standardFSv2Family`.
    pub name: String,
    /// How much is in use, in the quota's own unit.
    pub used: u64,
    /// How much there may be; none where Azure reports no limit, which does not mean that there is none.
    pub limit: Option<u64>,
}

impl Quota {
    /// How much more there may be; none when the limit is not known.
    pub fn headroom(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }
}

/// Reads the quotas of `scope`, such as `/subscriptions/…/providers/Microsoft.Compute/locations/eastus`: two lists.
///
/// # Errors
/// See [`ArmError`].
pub async fn read(arm: &ArmClient, scope: &ResourceId) -> Result<Vec<Quota>, ArmError> {
    let usages = arm.list(scope, "providers/Microsoft.Quota/usages", API_VERSION).await?;
    let limits = arm.list(scope, "providers/Microsoft.Quota/quotas", API_VERSION).await?;
    let limits: HashMap<String, u64> = typed_all::<LimitBody>("a quota limit", limits)?
        .into_iter()
        // Azure writes -1 for "no limit of its own"; that is no number to plan with.
        .filter_map(|body| {
            Some((body.name.to_ascii_lowercase(), u64::try_from(body.properties.limit?.value?).ok()?))
        })
        .collect();
    let usages: Vec<UsageBody> = typed_all("a quota usage", usages)?;
    let quotas = usages.into_iter().map(|body| Quota {
        limit: limits.get(&body.name.to_ascii_lowercase()).copied(),
        used: body.properties.usages.value,
        name: body.name,
    });
    Ok(quotas.collect())
}

/// The quota that a virtual machine of a size counts against, and with how many cores, by Azure's rule for names: the
/// `Standard_D4s_v5` is of the `standardDSv5Family` with 4 cores. None for a size whose name follows another rule.
pub fn family_of(size: &str) -> Option<(String, u32)> {
    let (head, version) = size.strip_prefix("Standard_")?.split_once("_v")?;
    let letters = head.find(|c: char| c.is_ascii_digit())?;
    let (series, rest) = head.split_at(letters);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (cores, features) = rest.split_at(digits);
    let plain = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric());
    let cores = cores.parse().ok().filter(|cores| *cores > 0)?;
    (!series.is_empty() && plain(features) && !version.is_empty() && plain(version))
        .then(|| (format!("standard{series}{}v{version}Family", features.to_ascii_uppercase()), cores))
}

#[derive(Deserialize)]
struct UsageBody {
    name: String,
    properties: UsageProperties,
}

#[derive(Deserialize)]
struct UsageProperties {
    usages: Usage,
}

#[derive(Deserialize)]
struct Usage {
    value: u64,
}

#[derive(Deserialize)]
struct LimitBody {
    name: String,
    properties: LimitProperties,
}

#[derive(Deserialize)]
struct LimitProperties {
    limit: Option<Limit>,
}

#[derive(Deserialize)]
struct Limit {
    value: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::azure::testing::{Answer, Script, arm, id};

    #[test]
    fn a_size_names_its_family_and_its_cores() {
        for (size, expected) in [
            ("Standard_D4s_v5", Some(("standardDSv5Family", 4))),
            ("Standard_F16s_v2", Some(("standardFSv2Family", 16))),
            ("Standard_E8ads_v5", Some(("standardEADSv5Family", 8))),
            // A constrained size has other cores than it is counted with.
            ("Standard_E16-4s_v5", None),
            ("Basic_A1", None),
            ("Standard_D0s_v5", None),
        ] {
            let expected = expected.map(|(family, cores)| (family.to_owned(), cores));
            assert_eq!(family_of(size), expected, "{size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn usages_and_limits_are_joined_by_name() {
        let usage = |name: &str| {
            json!({"id": "x", "type": "Microsoft.Quota/Usages", "name": name, "properties": {
                "usages": {"value": 10}, "unit": "Count", "isQuotaApplicable": true,
                "name": {"value": name, "localizedValue": "x"}
            }})
        };
        let limit = |name: &str, value: Value| json!({"name": name, "properties": {"limit": {"limitObjectType": "LimitValue", "value": value}}});
        let usages = json!({"value": [usage("standardFSv2Family"), usage("a"), usage("b")], "nextLink": ""});
        let limits = json!({"value": [limit("StandardFSv2Family", json!(100)), limit("a", json!(-1))]});
        let script = Script::new([Answer::json(200, &usages), Answer::json(200, &limits)]);
        let scope = id("/subscriptions/s/providers/Microsoft.Compute/locations/eastus");
        let quotas = read(&arm(&script), &scope).await.unwrap();
        let summary: Vec<_> =
            quotas.iter().map(|quota| (quota.name.as_str(), quota.used, quota.headroom())).collect();
        assert_eq!(summary, [("standardFSv2Family", 10, Some(90)), ("a", 10, None), ("b", 10, None)]);
    }
}
