//! Resource Graph: which resources belong to a workload, by their tags.

use std::collections::BTreeMap;

use domain::{RegionName, StampId, WorkloadId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::arm::{ArmClient, ArmError, PAGES_MAX, ResourceId};
use super::typed;

/// The API version of every request of this module.
pub const API_VERSION: &str = "2022-10-01";
/// Tag that names the workload of a resource.
pub const WORKLOAD_TAG: &str = "cordon:workload";
/// Tag that names the stamp of a resource.
pub const STAMP_TAG: &str = "cordon:stamp";
/// Longest workload name, in characters.
pub const WORKLOAD_CHARS_MAX: usize = 63;

const PATH: &str = "/providers/Microsoft.ResourceGraph/resources";
/// Rows of one page: the most that the service gives.
const PAGE_ROWS: u32 = 1_000;

/// A resource that carries the workload's tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedResource {
    /// Its id.
    pub id: ResourceId,
    /// Its type, in lower case, such as `microsoft.web/serverfarms`.
    pub kind: String,
    /// Where it is; `global` for some.
    pub location: RegionName,
    /// All its tags, as they are written.
    pub tags: BTreeMap<String, String>,
    /// Its stamp; none when it belongs to the workload as a whole.
    pub stamp: Option<StampId>,
}

/// The resources of a workload could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The name cannot be a workload's, so it is not put into a query.
    #[error("query the workload {name:?}: a name has 1 to 63 of a-z, 0-9 and -")]
    NotAWorkloadName {
        /// The beginning of the name.
        name: String,
    },
    /// The query failed.
    #[error("query the resources of a workload")]
    Arm(#[from] ArmError),
}

/// Lists the resources tagged with `workload`, within `subscriptions` (ids), or wherever our identity may read when
/// that is empty. The list is whole or an error. It lags behind ARM by up to minutes.
///
/// # Errors
/// See [`InventoryError`].
pub async fn tagged_resources(
    arm: &ArmClient,
    workload: &WorkloadId,
    subscriptions: &[&str],
) -> Result<Vec<TaggedResource>, InventoryError> {
    let query = query_text(workload)?;
    let mut rows = Vec::new();
    let mut skip_token: Option<String> = None;
    for _page in 0..PAGES_MAX {
        let body = request(&query, subscriptions, skip_token.as_deref());
        let page: Page = typed("a page of Resource Graph", arm.query(PATH, API_VERSION, &body).await?)?;
        rows.extend(page.data.into_iter().map(Row::into_resource));
        skip_token = page.skip_token.filter(|token| !token.is_empty());
        if skip_token.is_some() {
            continue;
        }
        if page.result_truncated.as_deref() == Some("true") {
            let source = "it is cut off and cannot be continued".into();
            return Err(ArmError::Malformed { what: "a page of Resource Graph", source }.into());
        }
        return Ok(rows);
    }
    Err(ArmError::TooManyPages { path: PATH.into(), pages: PAGES_MAX }.into())
}

fn query_text(workload: &WorkloadId) -> Result<String, InventoryError> {
    let name = workload.as_str();
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > WORKLOAD_CHARS_MAX || !name.chars().all(is_allowed) {
        return Err(InventoryError::NotAWorkloadName {
            name: name.chars().take(WORKLOAD_CHARS_MAX).collect(),
        });
    }
    // Paging needs a total order, and the token needs the column `id`.
    Ok(format!(
        "resources | where tags['{WORKLOAD_TAG}'] =~ '{name}' \
         | project id, type, location, tags, stamp = tostring(tags['{STAMP_TAG}']) | order by id asc"
    ))
}

fn request(query: &str, subscriptions: &[&str], skip_token: Option<&str>) -> Value {
    let mut body = json!({ "query": query, "options": { "resultFormat": "objectArray", "$top": PAGE_ROWS } });
    if !subscriptions.is_empty() {
        body["subscriptions"] = json!(subscriptions);
    }
    if let Some(token) = skip_token {
        body["options"]["$skipToken"] = json!(token);
    }
    body
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<Row>,
    #[serde(rename = "$skipToken")]
    skip_token: Option<String>,
    result_truncated: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    id: ResourceId,
    #[serde(rename = "type")]
    kind: String,
    location: Option<String>,
    tags: Option<BTreeMap<String, Option<String>>>,
    stamp: Option<String>,
}

impl Row {
    fn into_resource(self) -> TaggedResource {
        let tags = self.tags.unwrap_or_default();
        TaggedResource {
            id: self.id,
            kind: self.kind.to_ascii_lowercase(),
            location: RegionName::from_display(self.location.as_deref().unwrap_or("global")),
            tags: tags.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect(),
            stamp: self.stamp.filter(|stamp| !stamp.is_empty()).map(StampId::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::testing::{Answer, Script, arm};

    #[tokio::test(start_paused = true)]
    async fn pages_are_followed_with_their_token() {
        let row = |name: &str, stamp: &str| {
            json!({
                "id": format!("/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/serverfarms/{name}"),
                "type": "Microsoft.Web/serverFarms", "location": "eastus", "stamp": stamp,
                "tags": {"cordon:workload": "shop", "cordon:stamp": stamp, "empty": null}
            })
        };
        let script = Script::new([
            Answer::json(
                200,
                &json!({"data": [row("a", "s1")], "count": 1, "resultTruncated": "true", "$skipToken": "t1"}),
            ),
            Answer::json(200, &json!({"data": [row("b", "")], "count": 1, "resultTruncated": "false"})),
        ]);
        let found = tagged_resources(&arm(&script), &"shop".into(), &["sub"]).await.unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].stamp, Some("s1".into()));
        assert_eq!(
            (found[0].kind.as_str(), found[0].tags["empty"].as_str()),
            ("microsoft.web/serverfarms", "")
        );
        assert_eq!(found[1].stamp, None);
        let sent = script.sent();
        assert!(
            sent[0].line.ends_with("/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01")
        );
        assert_eq!(sent[0].body["subscriptions"], json!(["sub"]));
        assert!(sent[0].body["query"].as_str().unwrap().contains("tags['cordon:workload'] =~ 'shop'"));
        assert_eq!(sent[0].body["options"].get("$skipToken"), None);
        assert_eq!(sent[1].body["options"]["$skipToken"], "t1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_off_answer_is_not_taken_for_a_whole_one() {
        let script = Script::new([Answer::json(200, &json!({"data": [], "resultTruncated": "true"}))]);
        let found = tagged_resources(&arm(&script), &"shop".into(), &[]).await;
        assert!(matches!(found, Err(InventoryError::Arm(ArmError::Malformed { .. }))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_could_change_the_query_is_not_sent() {
        let long = "a".repeat(WORKLOAD_CHARS_MAX + 1);
        for name in ["", "a' or '1'=='1", "Shop", "a b", "a\\", "ä", long.as_str()] {
            let script = Script::new([]);
            let found = tagged_resources(&arm(&script), &name.into(), &[]).await;
            assert!(matches!(found, Err(InventoryError::NotAWorkloadName { .. })), "{name}");
            assert_eq!(script.requests(), [] as [String; 0]);
        }
    }
}
