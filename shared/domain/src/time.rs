//! Points in time as values. The core never asks what time it is; it is told.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time, in whole milliseconds since the Unix epoch, UTC. Written as RFC 3339 in every document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text was not a point in time in any form that Azure writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {text:?} as a point in time (RFC 3339, for example 2026-11-22T19:00:00Z)")]
pub struct NotATimestamp {
    /// What was read.
    pub text: String,
}

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it is not in the past, so a skewed source never makes an age negative.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This point less `span`, saturating.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// Reads RFC 3339 with 0 to 9 fraction digits, `Z`, a numeric offset, or none at all (then UTC): the forms found
    /// in Azure payloads, where the host re-serialises dates (contracts/AZURE.md 1.4).
    ///
    /// # Errors
    /// When the text has none of these forms.
    pub fn parse(text: &str) -> Result<Self, NotATimestamp> {
        let trimmed = text.trim();
        OffsetDateTime::parse(trimmed, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&format!("{}Z", trimmed.replacen(' ', "T", 1)), &Rfc3339))
            .map(|at| Self(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)))
            .map_err(|_| NotATimestamp { text: text.to_owned() })
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        match at.ok().and_then(|at| at.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_that_azure_writes() {
        let expected = Timestamp::from_millis(1_536_102_543_343);
        for text in [
            "2018-09-04T23:09:03.343+00:00",
            "2018-09-04T23:09:03.3430000Z",
            "2018-09-04T23:09:03.343",
            "2018-09-04 23:09:03.343",
            "2018-09-05T01:09:03.343+02:00",
        ] {
            assert_eq!(Timestamp::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "yesterday", "2018-13-04T00:00:00Z", "1536102543"] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_age_is_never_negative() {
        let (early, late) = (Timestamp::from_secs(10), Timestamp::from_secs(20));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(late - early, Duration::from_secs(10));
    }

    #[test]
    fn survives_a_round_trip_through_json() {
        let at = Timestamp::from_millis(1_763_838_000_250);
        let text = serde_json::to_string(&at).unwrap();
        assert_eq!(text, "\"2025-11-22T19:00:00.25Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), at);
    }
}
