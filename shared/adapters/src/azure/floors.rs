//! Floors of compute that scales by itself and has no profile with an end of its own: AKS agent pools and Container Apps.
//!
//! The minimum is raised in place. What it was before, what we set and until when stand in a tag of the resource: whoever
//! comes next can give it back, a person too, and only while it is still ours. It does not expire by itself.

use std::fmt;

use domain::Timestamp;
use serde_json::{Map, Value, json};

use super::arm::{Accepted, ArmClient, ArmError, ResourceId};

/// The tag with what is needed to give the floor back.
pub const TAG: &str = "cordon:floor";

/// What an agent pool says about itself and the specification forbids to send back (`readOnly`).
const POOL_READ_ONLY: [&str; 5] =
    ["currentOrchestratorVersion", "eTag", "nodeImageVersion", "provisioningState", "status"];

/// What carries a stamp's instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute {
    /// `Microsoft.ContainerService/managedClusters/agentPools`, with the cluster autoscaler on.
    AgentPool,
    /// `Microsoft.App/containerApps`.
    ContainerApp,
}

/// Our floor as the tag tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OurFloor {
    /// The minimum and maximum before it.
    pub before: (u32, u32),
    /// The minimum that we set.
    pub minimum: u32,
    /// Until when it is wanted. Nothing ends by itself then.
    pub until: Timestamp,
}

/// The resource as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled {
    compute: Compute,
    id: ResourceId,
    body: Value,
    /// Instances now; none where the resource does not say.
    pub instances: Option<u32>,
    /// The least that the scaler keeps.
    pub minimum: u32,
    /// The most that it makes.
    pub maximum: u32,
    /// Our floor, if the tag is there and readable.
    pub ours: Option<OurFloor>,
}

/// Why a floor could not be raised or given back.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// ARM.
    #[error("change the floor of a pool")]
    Arm(#[from] ArmError),
    /// Nobody scales it but people.
    #[error("raise a floor where no scaler is on: switch on autoscaling, or scale it by hand")]
    NotScaling,
    /// The answer is not what the API promises.
    #[error("read the scale of a pool: {what}")]
    Malformed {
        /// What is missing.
        what: &'static str,
    },
    /// The policy's cap.
    #[error("raise the floor to {minimum}: the policy allows {cap}")]
    AboveCap {
        /// What was wanted.
        minimum: u32,
        /// What may be.
        cap: u32,
    },
    /// Somebody changed it, and it is theirs now.
    #[error("give back the floor of {recorded}: the minimum is {found} now, and not ours any more")]
    NotOurs {
        /// What we recorded.
        recorded: u32,
        /// What it is.
        found: u32,
    },
}

impl Compute {
    /// What an id names, if it is one of these.
    pub fn of(id: &ResourceId) -> Option<Self> {
        let id = id.as_str().to_ascii_lowercase();
        if id.contains("/providers/microsoft.containerservice/managedclusters/")
            && id.contains("/agentpools/")
        {
            Some(Self::AgentPool)
        } else if id.contains("/providers/microsoft.app/containerapps/") {
            Some(Self::ContainerApp)
        } else {
            None
        }
    }

    const fn api_version(self) -> &'static str {
        match self {
            Self::AgentPool => "2025-05-01",
            Self::ContainerApp => "2025-01-01",
        }
    }

    const fn tags(self) -> &'static str {
        match self {
            Self::AgentPool => "/properties/tags",
            Self::ContainerApp => "/tags",
        }
    }

    /// Where minimum and maximum stand.
    const fn bounds(self) -> (&'static str, &'static str) {
        match self {
            Self::AgentPool => ("/properties/minCount", "/properties/maxCount"),
            Self::ContainerApp => {
                ("/properties/template/scale/minReplicas", "/properties/template/scale/maxReplicas")
            }
        }
    }
}

impl OurFloor {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| field(name)?.parse().ok();
        Some(Self {
            before: (number("before")?, number("max")?),
            minimum: number("ours")?,
            until: Timestamp::parse(field("until")?).ok()?,
        })
    }
}

impl fmt::Display for OurFloor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before: (before, max), minimum, until } = self;
        write!(f, "before={before} max={max} ours={minimum} until={until}")
    }
}

/// Reads the resource.
///
/// # Errors
/// When ARM does not answer, nothing scales it, or the answer lacks the scale.
pub async fn read(arm: &ArmClient, compute: Compute, id: &ResourceId) -> Result<Scaled, FloorError> {
    let body = arm.get(id, compute.api_version()).await?;
    let number = |at: &str| body.pointer(at).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let (minimum, maximum) = compute.bounds();
    let instances = match compute {
        Compute::AgentPool => {
            if body.pointer("/properties/enableAutoScaling") != Some(&Value::Bool(true)) {
                return Err(FloorError::NotScaling);
            }
            number("/properties/count")
        }
        Compute::ContainerApp => replicas(arm, id, &body).await?,
    };
    let tag = body.pointer(compute.tags()).and_then(|tags| tags.get(TAG)).and_then(Value::as_str);
    Ok(Scaled {
        compute,
        id: id.clone(),
        instances,
        // A Container App without a minimum may go down to none.
        minimum: match (number(minimum), compute) {
            (Some(minimum), _) => minimum,
            (None, Compute::ContainerApp) => 0,
            (None, Compute::AgentPool) => return Err(FloorError::Malformed { what: "no minimum" }),
        },
        maximum: number(maximum).ok_or(FloorError::Malformed { what: "no maximum" })?,
        ours: tag.and_then(OurFloor::parse),
        body,
    })
}

/// The app itself does not say how many there are; its latest revision does.
async fn replicas(arm: &ArmClient, id: &ResourceId, body: &Value) -> Result<Option<u32>, FloorError> {
    let Some(name) = body.pointer("/properties/latestRevisionName").and_then(Value::as_str) else {
        return Ok(None);
    };
    let Ok(revision) = id.child("revisions", name) else { return Ok(None) };
    let revision = arm.get(&revision, Compute::ContainerApp.api_version()).await?;
    let replicas = revision.pointer("/properties/replicas").and_then(Value::as_u64);
    Ok(replicas.and_then(|n| u32::try_from(n).ok()))
}

impl Scaled {
    /// The size of a pool's machines, such as `Standard_D4s_v5`.
    pub fn size(&self) -> Option<&str> {
        self.body.pointer("/properties/vmSize").and_then(Value::as_str)
    }

    /// Our floor while it stands: the tag says so, the minimum agrees, and it is still wanted.
    pub fn standing(&self, now: Timestamp) -> Option<OurFloor> {
        self.ours.filter(|ours| ours.minimum == self.minimum && ours.until > now)
    }

    /// What a floor would be: merged with one of ours that stands, and never below what people set.
    ///
    /// # Errors
    /// When that is above `cap`.
    pub fn raised(
        &self,
        minimum: u32,
        until: Timestamp,
        cap: u32,
        now: Timestamp,
    ) -> Result<OurFloor, FloorError> {
        let standing = self.standing(now);
        let before = standing.map_or((self.minimum, self.maximum), |ours| ours.before);
        let minimum = minimum.max(self.minimum);
        if minimum > cap {
            return Err(FloorError::AboveCap { minimum, cap });
        }
        Ok(OurFloor { before, minimum, until: standing.map_or(until, |ours| ours.until.max(until)) })
    }

    /// Sets a floor. Of an agent pool only if nobody changed it since it was read.
    ///
    /// # Errors
    /// See [`ArmError`].
    pub async fn set(&self, arm: &ArmClient, floor: &OurFloor) -> Result<Accepted, FloorError> {
        let maximum = floor.before.1.max(floor.minimum);
        self.write(arm, (floor.minimum, maximum), Some(floor.to_string())).await
    }

    /// Gives back what was before; none if there is nothing of ours.
    ///
    /// # Errors
    /// See [`ArmError`], and [`FloorError::NotOurs`].
    pub async fn give_back(&self, arm: &ArmClient, recorded: u32) -> Result<Option<Accepted>, FloorError> {
        let Some(ours) = self.ours else { return Ok(None) };
        if ours.minimum != recorded || self.minimum != recorded {
            return Err(FloorError::NotOurs { recorded, found: self.minimum });
        }
        self.write(arm, ours.before, None).await.map(Some)
    }

    async fn write(
        &self,
        arm: &ArmClient,
        (minimum, maximum): (u32, u32),
        tag: Option<String>,
    ) -> Result<Accepted, FloorError> {
        let version = self.compute.api_version();
        match self.compute {
            Compute::AgentPool => {
                let mut properties = self.body["properties"].clone();
                let etag = properties["eTag"].as_str().unwrap_or("*").to_owned();
                if let Some(properties) = properties.as_object_mut() {
                    properties.retain(|name, _| !POOL_READ_ONLY.contains(&name.as_str()));
                }
                properties["minCount"] = json!(minimum);
                properties["maxCount"] = json!(maximum);
                // A count outside of the bounds is refused; and a floor is to be there at once.
                let count =
                    properties["count"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(minimum);
                properties["count"] = json!(count.clamp(minimum, maximum));
                let mut tags = properties["tags"].as_object().cloned().unwrap_or_default();
                match tag {
                    Some(text) => tags.insert(TAG.to_owned(), json!(text)),
                    None => tags.remove(TAG),
                };
                properties["tags"] = Value::Object(tags);
                let body = json!({ "properties": properties });
                Ok(arm.put_if_match(&self.id, version, &body, &etag).await?)
            }
            Compute::ContainerApp => {
                // A merge: what is not named stays, and null takes the tag away.
                let mut tags = Map::new();
                tags.insert(TAG.to_owned(), tag.map_or(Value::Null, Value::String));
                let scale = json!({ "minReplicas": minimum, "maxReplicas": maximum });
                let mut body = json!({ "tags": tags, "properties": { "template": { "scale": scale } } });
                // The specification wants it in a PATCH too; it is the same and changes nothing.
                if let Some(location) = self.body.get("location") {
                    body["location"] = location.clone();
                }
                Ok(arm.patch(&self.id, version, &body).await?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::testing::{Answer, Script, arm, id};

    const POOL: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/k/agentPools/web";
    const APP: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.App/containerApps/api";

    fn pool(minimum: u32, tag: Option<&str>) -> Value {
        let tags = tag.map_or(json!({ "owner": "web" }), |tag| json!({ "owner": "web", TAG: tag }));
        json!({ "id": POOL, "name": "web", "type": "Microsoft.ContainerService/managedClusters/agentPools", "properties": {
            "provisioningState": "Succeeded", "nodeImageVersion": "x", "count": 4, "minCount": minimum, "maxCount": 10, "enableAutoScaling": true, "vmSize": "Standard_D4s_v5",
            "eTag": "\"7\"", "tags": tags
        }})
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn an_id_says_what_it_is() {
        assert_eq!(Compute::of(&id(POOL)), Some(Compute::AgentPool));
        assert_eq!(Compute::of(&id(APP)), Some(Compute::ContainerApp));
        assert_eq!(
            Compute::of(&id("/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/x")),
            None
        );
    }

    #[tokio::test]
    async fn an_agent_pool_is_raised_by_its_etag_and_given_back() {
        let script = Script::new([Answer::json(200, &pool(3, None)), Answer::json(200, &json!({}))]);
        let arm = arm(&script);
        let scaled = read(&arm, Compute::AgentPool, &id(POOL)).await.unwrap();
        let floor = scaled.raised(8, at(900), 30, at(0)).unwrap();
        assert_eq!(floor, OurFloor { before: (3, 10), minimum: 8, until: at(900) });
        let _accepted = scaled.set(&arm, &floor).await.unwrap();
        let sent = script.sent().pop().unwrap();
        assert!(sent.line.starts_with("PUT "), "{}", sent.line);
        assert_eq!(sent.headers.get_optional_str(&"if-match".into()), Some("\"7\""));
        assert_eq!(sent.body.as_object().map(Map::len), Some(1), "{}", sent.body);
        let properties = &sent.body["properties"];
        for name in POOL_READ_ONLY {
            assert!(properties.get(name).is_none(), "{name} is read-only");
        }
        assert_eq!((&properties["minCount"], &properties["maxCount"]), (&json!(8), &json!(10)));
        assert_eq!((&properties["count"], &properties["vmSize"]), (&json!(8), &json!("Standard_D4s_v5")));
        let tag = properties["tags"][TAG].as_str().unwrap();
        assert_eq!((OurFloor::parse(tag), &properties["tags"]["owner"]), (Some(floor), &json!("web")));

        let script = Script::new([Answer::json(200, &pool(8, Some(tag))), Answer::json(200, &json!({}))]);
        let arm = super::super::testing::arm(&script);
        let scaled = read(&arm, Compute::AgentPool, &id(POOL)).await.unwrap();
        assert_eq!((scaled.standing(at(899)), scaled.standing(at(900))), (Some(floor), None));
        assert!(scaled.give_back(&arm, 8).await.unwrap().is_some());
        let properties = script.sent().pop().unwrap().body["properties"].clone();
        assert_eq!((&properties["minCount"], properties["tags"].get(TAG)), (&json!(3), None));
    }

    #[tokio::test]
    async fn what_somebody_changed_is_theirs() {
        let tag = OurFloor { before: (3, 10), minimum: 8, until: at(900) }.to_string();
        for (minimum, tag, recorded) in [(5, tag.as_str(), 8), (8, tag.as_str(), 7)] {
            let script = Script::new([Answer::json(200, &pool(minimum, Some(tag)))]);
            let arm = arm(&script);
            let scaled = read(&arm, Compute::AgentPool, &id(POOL)).await.unwrap();
            let given = scaled.give_back(&arm, recorded).await;
            assert!(matches!(given, Err(FloorError::NotOurs { .. })), "{given:?}");
        }
        let script = Script::new([Answer::json(200, &pool(3, None))]);
        let scaled = read(&arm(&script), Compute::AgentPool, &id(POOL)).await.unwrap();
        assert!(matches!(scaled.raised(31, at(900), 30, at(0)), Err(FloorError::AboveCap { .. })));
        assert_eq!(scaled.give_back(&arm(&script), 8).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_container_app_is_merged_and_its_revision_counted() {
        let app = json!({ "id": APP, "location": "East US 2", "properties": {
            "latestRevisionName": "api--7", "template": { "scale": { "maxReplicas": 20 } }
        }});
        let revision = json!({ "properties": { "replicas": 5 } });
        let script =
            Script::new([Answer::json(200, &app), Answer::json(200, &revision), Answer::json(200, &app)]);
        let arm = arm(&script);
        let scaled = read(&arm, Compute::ContainerApp, &id(APP)).await.unwrap();
        assert_eq!((scaled.instances, scaled.minimum, scaled.maximum), (Some(5), 0, 20));
        let floor = scaled.raised(25, at(900), 30, at(0)).unwrap();
        let _accepted = scaled.set(&arm, &floor).await.unwrap();
        let sent = script.sent().pop().unwrap();
        assert!(sent.line.starts_with("PATCH "), "{}", sent.line);
        assert_eq!(sent.body["location"], "East US 2");
        let scale = &sent.body["properties"]["template"]["scale"];
        assert_eq!(scale, &json!({ "minReplicas": 25, "maxReplicas": 25 }));
        assert_eq!(OurFloor::parse(sent.body["tags"][TAG].as_str().unwrap()), Some(floor));
    }

    #[tokio::test]
    async fn a_pool_that_nobody_scales_is_refused() {
        let mut still = pool(3, None);
        still["properties"]["enableAutoScaling"] = json!(false);
        let script = Script::new([Answer::json(200, &still)]);
        let refused = read(&arm(&script), Compute::AgentPool, &id(POOL)).await;
        assert!(matches!(refused, Err(FloorError::NotScaling)), "{refused:?}");
    }
}
