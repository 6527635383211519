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
        if let Some(at) = usual(trimmed.as_bytes()) {
            return Ok(at);
        }
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
        if (0..USUAL_END).contains(&self.0) {
            return f.write_str(Usual::of(self.0).as_str());
        }
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
        if (0..USUAL_END).contains(&self.0) {
            return serializer.serialize_str(Usual::of(self.0).as_str());
        }
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimestampVisitor)
    }
}

struct TimestampVisitor;

impl de::Visitor<'_> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a point in time (RFC 3339)")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        Timestamp::parse(text).map_err(E::custom)
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

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// The end of the year 9999: what is written by hand below has four digits for the year.
const USUAL_END: i64 = 253_402_300_800_000;

/// Reads the form that nearly every time in Azure's telemetry has, `2026-03-10T09:33:01.1Z`, from 1970 on; none for any other
/// form, which the library reads. Times are most of what is read and written, and the library takes ten times as long.
fn usual(text: &[u8]) -> Option<Timestamp> {
    let (whole, rest) = text.split_at_checked(19)?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(place, mark)| whole[*place] != *mark) {
        return None;
    }
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(&whole[..4])?, number(&whole[5..7])?, number(&whole[8..10])?);
    let (hour, minute, second) = (number(&whole[11..13])?, number(&whole[14..16])?, number(&whole[17..])?);
    let fraction = match rest.strip_suffix(b"Z")? {
        [] => &[][..],
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => digits,
        _ => return None,
    };
    number(fraction)?;
    let millis = number(&fraction[..fraction.len().min(3)])? * [1_000, 100, 10, 1][fraction.len().min(3)];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let millis = if fraction.is_empty() { 0 } else { millis };
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(Timestamp(days_from_civil(year, month, day) * DAY + seconds * 1_000 + millis))
}

/// Days from 1970-01-01 to a date from 1970 on (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The text of a time, as the library writes it: no more digits of the fraction than there are.
struct Usual {
    text: [u8; 24],
    end: usize,
}

impl Usual {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.end]).unwrap_or_default()
    }

    /// The inverse of `days_from_civil`.
    fn of(millis: i64) -> Self {
        let days = millis / DAY + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let (month, day) = ((shifted + 2) % 12 + 1, day_of_year - (153 * shifted + 2) / 5 + 1);
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let (seconds, fraction) = (millis % DAY / 1_000, millis % 1_000);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let fields = [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, seconds / 3_600),
            (14..16, seconds / 60 % 60),
            (17..19, seconds % 60),
            (20..23, fraction),
        ];
        for (place, mut value) in fields {
            for digit in text[place].iter_mut().rev() {
                *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
                value /= 10;
            }
        }
        let end = match fraction {
            0 => 19,
            _ if fraction % 100 == 0 => 21,
            _ if fraction % 10 == 0 => 22,
            _ => 23,
        };
        text[end] = b'Z';
        Self { text, end: end + 1 }
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
    fn what_is_read_and_written_by_hand_is_what_the_library_reads_and_writes() {
        let library = |at: Timestamp| {
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
                .unwrap()
                .format(&Rfc3339)
                .unwrap()
        };
        let leap_days =
            [951_782_400_000, 951_868_799_999, 4_107_542_399_999, 4_107_542_400_000, USUAL_END - 1];
        // A step of 17 days and some, so that every day of the year, hour and length of fraction comes up.
        let all = (0..USUAL_END).step_by(1_500_000_017).chain(leap_days).chain((0..2_000).map(|n| n * 7_919));
        for at in all.map(Timestamp) {
            let text = library(at);
            assert_eq!(at.to_string(), text);
            assert_eq!(usual(text.as_bytes()), Some(at), "{text}");
        }
        for other in
            ["1969-12-31T23:59:59Z", "2023-02-29T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z"]
        {
            assert_eq!(usual(other.as_bytes()), None, "{other}");
        }
        assert_eq!(usual(b"2024-01-01T00:00:00.123456789Z"), Some(Timestamp(1_704_067_200_123)));
    }

    #[test]
    fn a_day_that_no_month_has_and_a_fraction_that_nobody_writes_are_left_to_the_library() {
        for other in [
            "2026-04-31T00:00:00Z",
            "2026-06-31T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00.1234567890123456789012345Z",
        ] {
            assert_eq!(usual(other.as_bytes()), None, "{other}");
        }
        let long = Timestamp::parse("2026-01-01T00:00:00.1234567890123456789012345Z");
        assert!(long.is_err() || long == Ok(Timestamp(1_767_225_600_123)), "{long:?}");
    }

    #[test]
    fn a_time_out_of_the_usual_is_written_too() {
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), format!("{} ms", i64::MAX));
        assert_eq!(format!("{:?}", Timestamp(0)), "1970-01-01T00:00:00Z");
        let refused = serde_json::from_str::<Timestamp>("7").unwrap_err().to_string();
        assert!(refused.contains("a point in time (RFC 3339)"), "{refused}");
        let schema = serde_json::to_value(schemars::schema_for!(Timestamp)).unwrap();
        assert_eq!((&schema["title"], &schema["format"]), (&"Timestamp".into(), &"date-time".into()));
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
