//! Resource ids as a type: the only texts that become the path of a request.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// Longest id that is accepted, in bytes. Azure's own limit on names keeps real ids below a third of it.
pub const RESOURCE_ID_BYTES_MAX: usize = 2_048;

/// The id of an Azure resource or of a scope, such as `/subscriptions/…/resourceGroups/…/providers/…`.
///
/// Compares without regard to case, because providers answer with ids in another case than they were asked with.
/// A value of this type has no segment that would lead a request somewhere else (`..`, an empty one, a query).
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId(String);

/// A text was not the id of a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceIdError {
    /// It does not begin with `/subscriptions/`.
    #[error("read {text:?} as a resource id: it does not begin with /subscriptions/")]
    NotUnderASubscription {
        /// The beginning of what was read.
        text: String,
    },
    /// A segment is empty, leads upwards, or has a character that would change the address.
    #[error("read a resource id: the segment {segment:?} is not allowed in one")]
    Segment {
        /// The segment.
        segment: String,
    },
    /// It is longer than [`RESOURCE_ID_BYTES_MAX`].
    #[error("read a resource id: {bytes} bytes are too many")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

const ROOT: &str = "/subscriptions/";

impl ResourceId {
    /// Reads an id.
    ///
    /// # Errors
    /// When the text does not begin with `/subscriptions/` (in any case), has an empty segment, a segment with `..`,
    /// or a character that would change the address (`?`, `#`, `%`, `\`, white space, controls); or is too long.
    pub fn parse(text: &str) -> Result<Self, ResourceIdError> {
        if text.len() > RESOURCE_ID_BYTES_MAX {
            return Err(ResourceIdError::TooLong { bytes: text.len() });
        }
        if !text.get(..ROOT.len()).is_some_and(|head| head.eq_ignore_ascii_case(ROOT)) {
            let text = text.chars().take(40).collect();
            return Err(ResourceIdError::NotUnderASubscription { text });
        }
        text.split('/').skip(1).try_for_each(check_segment)?;
        Ok(Self(text.to_owned()))
    }

    /// The id of a child: `group.child("origins", "origin1")`.
    ///
    /// # Errors
    /// When `kind` or `name` is not a single allowed segment, or the result is too long.
    pub fn child(&self, kind: &str, name: &str) -> Result<Self, ResourceIdError> {
        for segment in [kind, name] {
            if segment.contains('/') {
                return Err(ResourceIdError::Segment { segment: segment.to_owned() });
            }
        }
        Self::parse(&format!("{}/{kind}/{name}", self.0))
    }

    /// The id that this one is a child of, if it has one: an origin's group, a group's profile.
    pub fn parent(&self) -> Option<Self> {
        let (rest, _name) = self.0.rsplit_once('/')?;
        let (parent, _kind) = rest.rsplit_once('/')?;
        Self::parse(parent).ok()
    }

    /// The last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The text, in the case in which it was read.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

fn check_segment(segment: &str) -> Result<(), ResourceIdError> {
    let changes_the_address =
        |c: char| matches!(c, '?' | '#' | '%' | '\\') || c.is_whitespace() || c.is_control();
    if segment.is_empty() || segment == "." || segment.contains("..") || segment.contains(changes_the_address)
    {
        return Err(ResourceIdError::Segment { segment: segment.chars().take(90).collect() });
    }
    Ok(())
}

impl TryFrom<String> for ResourceId {
    type Error = ResourceIdError;
    fn try_from(text: String) -> Result<Self, ResourceIdError> {
        Self::parse(&text)
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        id.0
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ResourceId {}

impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| state.write_u8(byte));
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn refuses_what_would_lead_a_request_elsewhere() {
        for text in [
            "",
            "/",
            "subscriptions/s",
            "/providers/Microsoft.Cdn",
            "https://evil.example/subscriptions/s",
            "/subscriptions/",
            "/subscriptions//resourceGroups/rg",
            "/subscriptions/s/",
            "/subscriptions/s/resourceGroups/../../x",
            "/subscriptions/s/resourceGroups/a..b",
            "/subscriptions/s/resourceGroups/.",
            "/subscriptions/s/resourceGroups/rg?api-version=1",
            "/subscriptions/s/resourceGroups/rg#x",
            "/subscriptions/s/resourceGroups/%2e%2e",
            "/subscriptions/s/resourceGroups/a\\b",
            "/subscriptions/s/resourceGroups/a\tb",
            "/subscriptions/s/resourceGroups/a b",
        ] {
            assert!(ResourceId::parse(text).is_err(), "{text}");
        }
        let long = format!("/subscriptions/{}", "s".repeat(RESOURCE_ID_BYTES_MAX));
        assert!(matches!(ResourceId::parse(&long), Err(ResourceIdError::TooLong { .. })));
    }

    #[test]
    fn a_child_is_one_segment_and_nothing_else() {
        let group = ResourceId::parse("/subscriptions/s/resourceGroups/rg").unwrap();
        let child = group.child("origins", "origin-1").unwrap();
        assert_eq!(child.as_str(), "/subscriptions/s/resourceGroups/rg/origins/origin-1");
        assert_eq!((child.name(), child.parent()), ("origin-1", Some(group.clone())));
        for name in ["", "..", "a/b", "../../x", "a?b", "a%2fb"] {
            assert!(group.child("origins", name).is_err(), "{name}");
            assert!(group.child(name, "origin").is_err(), "{name}");
        }
    }

    #[test]
    fn compares_without_regard_to_case() {
        let ours = ResourceId::parse("/subscriptions/s/resourceGroups/RG").unwrap();
        let theirs = ResourceId::parse("/SUBSCRIPTIONS/S/resourcegroups/rg").unwrap();
        assert_eq!(ours, theirs);
        assert_eq!(ours.cmp(&theirs), Ordering::Equal);
        assert_eq!(HashSet::from([ours, theirs]).len(), 1);
    }

    #[test]
    fn is_checked_again_when_it_is_read_from_a_document() {
        assert!(serde_json::from_str::<ResourceId>("\"/subscriptions/s/../x\"").is_err());
        let id: ResourceId = serde_json::from_str("\"/subscriptions/s\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"/subscriptions/s\"");
    }
}
