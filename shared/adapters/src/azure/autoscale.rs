//! Autoscale settings: raising the floor for a while, and giving it back.
//!
//! A manual number of workers is undone by the next run of autoscale, so the floor itself is raised: by one profile
//! of ours with a fixed date, which outranks every other and ends by itself even if we are gone. The setting's JSON
//! is kept as it was read, unknown fields included; these functions change nothing but our profile.

use std::time::Duration;

use domain::Timestamp;
use serde_json::{Map, Value, json};

use super::arm::{Accepted, ArmClient, ArmError, ResourceId};
use super::is_one_of;

/// The API version of every request of this module.
pub const API_VERSION: &str = "2022-10-01";
/// The name of our profile, when the caller has no reason for another.
pub const FLOOR_PROFILE: &str = "cordon-floor";
/// Most profiles that Azure accepts in one setting.
pub const PROFILES_MAX: usize = 20;
/// Longest window of a fixed date that Azure accepts.
pub const WINDOW_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// A fixed date is written in a time zone given by name, and we have no table of those. Wide enough for every zone.
const ZONE_DOUBT: Duration = Duration::from_secs(14 * 3_600);

/// A floor to raise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloorRequest {
    /// Name of our profile; [`FLOOR_PROFILE`].
    pub profile_name: String,
    /// Instances to have at least.
    pub minimum: u32,
    /// Instances that may be had at most, by quota or plan. Neither the floor nor, for its sake, the maximum is
    /// raised above it. A maximum that is above it already stays: lowering one would scale in.
    pub maximum_cap: u32,
    /// From when, in whole seconds; may be a little in the past.
    pub start: Timestamp,
    /// Until when, in whole seconds; at most a year after `start`.
    pub end: Timestamp,
    /// What to do with a floor of ours that stands already.
    pub standing: StandingFloor,
}

/// What to do with a floor of ours that stands already, perhaps for another region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingFloor {
    /// Keep the higher minimum and the longer window.
    Merge,
    /// Replace it: the caller has accounted for it.
    Replace,
}

/// A setting with our floor in it.
#[derive(Clone, Debug, PartialEq)]
pub struct RaisedFloor {
    /// What to [`write()`].
    pub body: Value,
    /// The minimum that was put in, at least the requested one. Record it: [`release_floor`] asks for it.
    pub minimum: u32,
    /// The maximum that was put in.
    pub maximum: u32,
    /// Until when it stands.
    pub end: Timestamp,
}

/// A capacity as a profile states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Instances to have at least.
    pub minimum: u32,
    /// Instances to have at most.
    pub maximum: u32,
    /// Instances to have when metrics cannot be read.
    pub default: u32,
}

/// A setting cannot be read, or not be changed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AutoscaleError {
    /// The JSON is not that of an autoscale setting.
    #[error("read an autoscale setting: {what}")]
    Malformed {
        /// What is missing or wrong.
        what: &'static str,
    },
    /// Autoscale is switched off, so that a floor would have no effect. Set the capacity of the target instead.
    #[error("raise the floor of a setting that is switched off")]
    SwitchedOff,
    /// The floor, merged with what stands, is above the cap.
    #[error("raise the floor to {minimum}, above the cap of {cap}")]
    AboveCap {
        /// The floor as merged.
        minimum: u32,
        /// The cap.
        cap: u32,
    },
    /// The window is empty or longer than Azure accepts.
    #[error("raise the floor from {start} to {end}")]
    Window {
        /// Its begin.
        start: Timestamp,
        /// Its end.
        end: Timestamp,
    },
    /// There is no room for a profile of ours.
    #[error("add a profile to the {count} of the setting")]
    TooManyProfiles {
        /// How many there are.
        count: usize,
    },
    /// A profile has the name of ours, but not what we recorded. Somebody changed it, and it is theirs now.
    #[error("release the floor of {recorded}: the profile is not ours any more")]
    NotOurs {
        /// The minimum that we recorded.
        recorded: u32,
        /// The minimum that it has; none when it is not even a profile of that kind.
        found: Option<u32>,
    },
}

/// Reads a setting.
///
/// # Errors
/// See [`ArmError`].
pub async fn read(arm: &ArmClient, setting: &ResourceId) -> Result<Value, ArmError> {
    arm.get(setting, API_VERSION).await
}

/// Writes a setting as [`raise_floor`] or [`release_floor`] returned it.
///
/// A PUT, not a PATCH: the documentation of PATCH leaves open whether lists are merged and what `null` means, whereas
/// a PUT of the whole leaves exactly what we computed. The price, that an edit made since the read is lost, is the
/// same for both, because the profiles are one list; so read, change and write within one invocation.
///
/// # Errors
/// See [`ArmError`].
pub async fn write(arm: &ArmClient, setting: &ResourceId, body: &Value) -> Result<Accepted, ArmError> {
    arm.put(setting, API_VERSION, body).await
}

/// `setting` with exactly one profile of ours, in place of any that is there.
///
/// Neither bound is below that of a profile that could otherwise be in force: a fixed date of ours with lower ones
/// would take capacity away. The rules are those of the default profile without the ones that scale in; while
/// a region is out, the fleet only grows (S7).
///
/// # Errors
/// When the setting cannot be read or is switched off, when the window is empty or too long, when the floor is above
/// the cap, or when there are too many profiles.
pub fn raise_floor(setting: &Value, request: &FloorRequest) -> Result<RaisedFloor, AutoscaleError> {
    if setting.pointer("/properties/enabled") == Some(&Value::Bool(false)) {
        return Err(AutoscaleError::SwitchedOff);
    }
    let (ours, others): (Vec<&Value>, Vec<&Value>) =
        profiles(setting)?.iter().partition(|profile| is_named(profile, &request.profile_name));
    if others.len() >= PROFILES_MAX {
        return Err(AutoscaleError::TooManyProfiles { count: others.len() });
    }
    let base = base_profile(&others)?;
    let (mut minimum, mut window) = (request.minimum, (request.start, request.end));
    if request.standing == StandingFloor::Merge {
        (minimum, window) = merged(minimum, window, &ours)?;
    }
    let mut maximum = capacity(base)?.maximum;
    for other in others.iter().filter(|other| may_apply(other, window)) {
        let other = capacity(other)?;
        (minimum, maximum) = (minimum.max(other.minimum), maximum.max(other.maximum));
    }
    let window = checked(window)?;
    if minimum > request.maximum_cap {
        return Err(AutoscaleError::AboveCap { minimum, cap: request.maximum_cap });
    }
    maximum = maximum.max(minimum);
    let ours = json!({
        "name": request.profile_name,
        // Numbers as texts: that is how this API has them.
        "capacity": {
            "minimum": minimum.to_string(),
            "maximum": maximum.to_string(),
            "default": capacity(base)?.default.clamp(minimum, maximum).to_string(),
        },
        "rules": scale_out_rules(base),
        "fixedDate": { "timeZone": "UTC", "start": window.0, "end": window.1 },
    });
    // First, because of two fixed dates in force Azure takes "the first suitable one".
    let all = std::iter::once(ours).chain(others.into_iter().cloned()).collect();
    Ok(RaisedFloor { body: with_profiles(setting, all), minimum, maximum, end: window.1 })
}

/// `setting` without our profile; none when it has none (it is released already, or was never raised). A profile that
/// does not have the `recorded` minimum is somebody's decision, and stays.
///
/// # Errors
/// When the setting cannot be read, and [`AutoscaleError::NotOurs`].
pub fn release_floor(
    setting: &Value,
    profile_name: &str,
    recorded: u32,
) -> Result<Option<Value>, AutoscaleError> {
    let (ours, others): (Vec<&Value>, Vec<&Value>) =
        profiles(setting)?.iter().partition(|profile| is_named(profile, profile_name));
    if ours.is_empty() {
        return Ok(None);
    }
    for profile in ours {
        let found = capacity(profile).ok().map(|capacity| capacity.minimum);
        if fixed_date(profile).is_none() || found != Some(recorded) {
            return Err(AutoscaleError::NotOurs { recorded, found });
        }
    }
    if others.is_empty() {
        // Azure wants at least one profile, so ours cannot have been the only one when it was raised.
        return Err(AutoscaleError::Malformed { what: "it has no profile but ours" });
    }
    Ok(Some(with_profiles(setting, others.into_iter().cloned().collect())))
}

/// The capacity in force at `now`: a fixed date, else a recurrence, else the default. Which of several recurrences is
/// in force depends on schedules in named time zones; of those, the lowest numbers, which hold whatever the schedule
/// says.
///
/// # Errors
/// When the setting cannot be read.
pub fn active_capacity(setting: &Value, now: Timestamp) -> Result<Capacity, AutoscaleError> {
    let all = profiles(setting)?;
    let in_force =
        |profile: &&Value| fixed_date(profile).is_some_and(|(start, end)| start <= now && now < end);
    if let Some(profile) = all.iter().find(in_force) {
        return capacity(profile);
    }
    let recurring: Vec<&Value> = all.iter().filter(|profile| has(profile, "recurrence")).collect();
    let candidates = if recurring.is_empty() {
        all.iter().filter(|profile| is_default(profile)).collect()
    } else {
        recurring
    };
    let mut lowest: Option<Capacity> = None;
    for candidate in candidates {
        let next = capacity(candidate)?;
        lowest = Some(lowest.map_or(next, |lowest| lowest.lower(next)));
    }
    lowest.ok_or(AutoscaleError::Malformed { what: "no profile is in force" })
}

/// The minimum in force at `now`; see [`active_capacity`].
///
/// # Errors
/// When the setting cannot be read.
pub fn active_minimum(setting: &Value, now: Timestamp) -> Result<u32, AutoscaleError> {
    Ok(active_capacity(setting, now)?.minimum)
}

/// The maximum in force at `now`; see [`active_capacity`].
///
/// # Errors
/// When the setting cannot be read.
pub fn maximum(setting: &Value, now: Timestamp) -> Result<u32, AutoscaleError> {
    Ok(active_capacity(setting, now)?.maximum)
}

/// Our floor as it stands in the setting: its minimum and its end, unless it has ended by `now`.
///
/// # Errors
/// When the setting cannot be read.
pub fn standing_floor(
    setting: &Value,
    profile_name: &str,
    now: Timestamp,
) -> Result<Option<(u32, Timestamp)>, AutoscaleError> {
    let mut ours = profiles(setting)?.iter().filter(|profile| is_named(profile, profile_name));
    let Some(profile) = ours.next() else { return Ok(None) };
    let Some((_, end)) = fixed_date(profile).filter(|(_, end)| *end > now) else { return Ok(None) };
    Ok(Some((capacity(profile)?.minimum, end)))
}

impl Capacity {
    fn lower(self, other: Self) -> Self {
        Self {
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.min(other.maximum),
            default: self.default.min(other.default),
        }
    }
}

type Window = (Timestamp, Timestamp);

/// The request merged with what stands of ours. One that has ended is no floor any more and is not merged.
fn merged(minimum: u32, window: Window, ours: &[&Value]) -> Result<(u32, Window), AutoscaleError> {
    let (mut minimum, mut window) = (minimum, window);
    for profile in ours {
        let Some((start, end)) = fixed_date(profile).filter(|(_, end)| *end > window.0) else { continue };
        minimum = minimum.max(capacity(profile)?.minimum);
        window = (window.0.min(start), window.1.max(end));
    }
    Ok((minimum, window))
}

/// The window in whole seconds, outwards.
fn checked((start, end): Window) -> Result<Window, AutoscaleError> {
    let start = Timestamp::from_secs(start.as_millis().div_euclid(1_000));
    let end = Timestamp::from_secs(end.as_millis().saturating_add(999).div_euclid(1_000));
    if end <= start || end.since(start) > WINDOW_MAX {
        return Err(AutoscaleError::Window { start, end });
    }
    Ok((start, end))
}

/// The profile whose rules and bounds we take over.
fn base_profile<'a>(others: &[&'a Value]) -> Result<&'a Value, AutoscaleError> {
    let default = others.iter().find(|profile| is_default(profile));
    let any = default.or_else(|| others.iter().find(|profile| has(profile, "recurrence"))).or(others.first());
    any.copied().ok_or(AutoscaleError::Malformed { what: "it has no profile but ours" })
}

/// Whether a profile of somebody else could be in force within the window if ours were not there.
fn may_apply(profile: &Value, (start, end): Window) -> bool {
    if !has(profile, "fixedDate") {
        return true;
    }
    fixed_date(profile).is_none_or(|(theirs_start, theirs_end)| {
        theirs_start.before(ZONE_DOUBT) < end && theirs_end + ZONE_DOUBT > start
    })
}

fn scale_out_rules(profile: &Value) -> Vec<Value> {
    let rules = profile.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let scales_out = |rule: &&Value| {
        let direction = rule.pointer("/scaleAction/direction").and_then(Value::as_str);
        direction.is_some_and(|direction| is_one_of(direction, &["increase"]))
    };
    rules.iter().filter(scales_out).cloned().collect()
}

fn profiles(setting: &Value) -> Result<&Vec<Value>, AutoscaleError> {
    setting
        .pointer("/properties/profiles")
        .and_then(Value::as_array)
        .ok_or(AutoscaleError::Malformed { what: "it has no profiles" })
}

/// The setting with other profiles, and without what belongs to the address rather than to the document.
fn with_profiles(setting: &Value, profiles: Vec<Value>) -> Value {
    let mut body: Map<String, Value> = setting.as_object().cloned().unwrap_or_default();
    for read_only in ["id", "name", "type", "systemData", "etag"] {
        body.remove(read_only);
    }
    if let Some(Value::Object(tags)) = body.get_mut("tags") {
        // The service shows a name of one of its own classes among the tags; written back, it would become a tag.
        tags.retain(|name, _| !name.starts_with('$'));
    }
    if let Some(Value::Object(properties)) = body.get_mut("properties") {
        properties.insert("profiles".into(), Value::Array(profiles));
    }
    Value::Object(body)
}

fn is_named(profile: &Value, name: &str) -> bool {
    profile.get("name").and_then(Value::as_str).is_some_and(|found| found.eq_ignore_ascii_case(name))
}

fn has(profile: &Value, field: &str) -> bool {
    profile.get(field).is_some_and(|value| !value.is_null())
}

fn is_default(profile: &Value) -> bool {
    !has(profile, "fixedDate") && !has(profile, "recurrence")
}

fn fixed_date(profile: &Value) -> Option<Window> {
    let at = |name| Timestamp::parse(profile.get("fixedDate")?.get(name)?.as_str()?).ok();
    Some((at("start")?, at("end")?))
}

fn capacity(profile: &Value) -> Result<Capacity, AutoscaleError> {
    let number = |name: &str| -> Option<u32> {
        match profile.get("capacity")?.get(name)? {
            Value::String(text) => text.trim().parse().ok(),
            number => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        }
    };
    let read = || {
        let minimum = number("minimum")?;
        Some(Capacity { minimum, maximum: number("maximum")?, default: number("default").unwrap_or(minimum) })
    };
    read().ok_or(AutoscaleError::Malformed { what: "a profile has no capacity" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::testing::{Answer, Script, arm, id};

    const PUBLISHED: &str = include_str!("../../tests/fixtures/autoscale-setting.json");

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn request(minimum: u32) -> FloorRequest {
        FloorRequest {
            profile_name: FLOOR_PROFILE.into(),
            minimum,
            maximum_cap: 30,
            start: at("2026-11-22T19:00:00.250Z"),
            end: at("2026-11-22T23:00:00.250Z"),
            standing: StandingFloor::Merge,
        }
    }

    fn profile(name: &str, minimum: &str, maximum: &str) -> Value {
        let rule = |direction: &str| json!({"metricTrigger": {"metricName": "Percentage CPU"}, "scaleAction": {"direction": direction, "value": "1"}});
        json!({
            "name": name, "capacity": {"minimum": minimum, "maximum": maximum, "default": minimum},
            "rules": [rule("Increase"), rule("Decrease")]
        })
    }

    fn fixed(mut profile: Value, start: &str, end: &str) -> Value {
        profile["fixedDate"] = json!({"timeZone": "UTC", "start": start, "end": end});
        profile
    }

    fn recurring(mut profile: Value) -> Value {
        profile["recurrence"] = json!({"frequency": "Week", "schedule": {"timeZone": "UTC"}});
        profile
    }

    fn setting(profiles: impl Into<Value>) -> Value {
        let profiles: Value = profiles.into();
        json!({
            "id": "/subscriptions/s/x", "name": "n", "type": "t", "location": "West US", "tags": {"$type": "x", "a": "b"},
            "properties": {"enabled": true, "targetResourceUri": "/subscriptions/s/y", "later": 1, "profiles": profiles}
        })
    }

    fn all(body: &Value) -> &Vec<Value> {
        body["properties"]["profiles"].as_array().unwrap()
    }

    #[test]
    fn the_published_setting_survives_raising_and_releasing() {
        let published: Value = serde_json::from_str(PUBLISHED).unwrap();
        let raised = raise_floor(&published, &request(4)).unwrap();
        assert_eq!((raised.minimum, raised.maximum, all(&raised.body).len()), (4, 10, 3));
        assert_eq!(active_minimum(&raised.body, at("2026-11-22T20:00:00Z")), Ok(4));
        assert_eq!(active_minimum(&raised.body, raised.end), Ok(1));

        let released = release_floor(&raised.body, FLOOR_PROFILE, 4).unwrap().unwrap();
        assert_eq!(released["properties"], published["properties"]);
        assert_eq!((&released["location"], &released["tags"]), (&published["location"], &json!({})));
        assert_eq!(release_floor(&released, FLOOR_PROFILE, 4), Ok(None));
    }

    #[test]
    fn our_profile_is_one_with_texts_for_numbers_and_without_scale_in() {
        let raised = raise_floor(&setting(vec![profile("auto", "2", "6")]), &request(8)).unwrap();
        let increase = profile("auto", "2", "6")["rules"][0].clone();
        assert_eq!(
            all(&raised.body)[0],
            json!({
                "name": "cordon-floor",
                "capacity": {"minimum": "8", "maximum": "8", "default": "8"},
                "rules": [increase],
                "fixedDate": {"timeZone": "UTC", "start": "2026-11-22T19:00:00Z", "end": "2026-11-22T23:00:01Z"}
            })
        );
        assert_eq!(all(&raised.body)[1], profile("auto", "2", "6"));
        let body = raised.body.as_object().unwrap();
        assert_eq!(body.keys().collect::<Vec<_>>(), ["location", "properties", "tags"]);
        assert_eq!((&body["tags"], &body["properties"]["later"]), (&json!({"a": "b"}), &json!(1)));
    }

    #[test]
    fn the_floor_never_takes_capacity_away() {
        let ours = |minimum: &str, end: &str| {
            fixed(profile("Cordon-Floor", minimum, "9"), "2026-11-22T18:00:00Z", end)
        };
        let theirs = |end: &str| fixed(profile("sale", "7", "20"), "2026-11-20T00:00:00Z", end);
        let auto = || profile("auto", "2", "10");
        let later = "2026-11-23T06:00:00Z";
        let cases = [
            ("nothing stands", vec![auto()], 5, (5, "2026-11-22T23:00:01Z")),
            ("the default is higher", vec![profile("auto", "6", "10")], 5, (6, "2026-11-22T23:00:01Z")),
            (
                "a recurrence is higher",
                vec![auto(), recurring(profile("day", "6", "10"))],
                5,
                (6, "2026-11-22T23:00:01Z"),
            ),
            ("a sale is on", vec![auto(), theirs("2026-11-25T00:00:00Z")], 5, (7, "2026-11-22T23:00:01Z")),
            (
                "the sale is over",
                vec![auto(), theirs("2026-11-21T00:00:00Z")],
                5,
                (5, "2026-11-22T23:00:01Z"),
            ),
            ("ours is higher and longer", vec![ours("6", later), auto()], 5, (6, later)),
            ("ours is lower and longer", vec![ours("3", later), auto()], 5, (5, later)),
            (
                "ours has ended",
                vec![ours("9", "2026-11-22T18:30:00Z"), auto()],
                5,
                (5, "2026-11-22T23:00:01Z"),
            ),
            ("ours is there twice", vec![ours("6", later), auto(), ours("8", later)], 5, (8, later)),
        ];
        for (name, profiles, minimum, (expected, end)) in cases {
            let others = profiles.iter().filter(|profile| !is_named(profile, FLOOR_PROFILE)).count();
            let raised = raise_floor(&setting(profiles), &request(minimum)).unwrap();
            assert_eq!((raised.minimum, raised.end), (expected, at(end)), "{name}");
            assert_eq!(all(&raised.body).len(), others + 1, "{name}");
            let again = raise_floor(&raised.body, &request(minimum)).unwrap();
            assert_eq!(again.body, raised.body, "{name}, a second time");
        }
    }

    #[test]
    fn a_standing_floor_is_lowered_only_when_told_to() {
        let standing =
            fixed(profile(FLOOR_PROFILE, "9", "9"), "2026-11-22T18:00:00Z", "2026-11-23T06:00:00Z");
        let setting = setting(vec![standing, profile("auto", "2", "10")]);
        let replace = FloorRequest { standing: StandingFloor::Replace, ..request(4) };
        assert_eq!(raise_floor(&setting, &request(4)).unwrap().minimum, 9);
        assert_eq!(raise_floor(&setting, &replace).unwrap().minimum, 4);
    }

    #[test]
    fn the_maximum_follows_the_floor_up_to_the_cap_and_is_never_lowered() {
        for (minimum, cap, expected) in
            [(4, 30, Some(10)), (12, 30, Some(12)), (4, 8, Some(10)), (12, 11, None)]
        {
            let request = FloorRequest { maximum_cap: cap, ..request(minimum) };
            let raised = raise_floor(&setting(vec![profile("auto", "2", "10")]), &request);
            assert_eq!(raised.ok().map(|raised| raised.maximum), expected, "{minimum} up to {cap}");
        }
    }

    #[test]
    fn what_cannot_be_raised_is_said_and_not_done() {
        let good = || setting(vec![profile("auto", "2", "10")]);
        let mut off = good();
        off["properties"]["enabled"] = json!(false);
        let mut odd = good();
        odd["properties"]["profiles"][0]["capacity"] = json!({"minimum": "many"});
        let full = setting(vec![profile("auto", "2", "10"); PROFILES_MAX]);
        let backwards = FloorRequest { end: at("2026-11-22T18:00:00Z"), ..request(4) };
        let endless = FloorRequest { end: at("2028-11-22T18:00:00Z"), ..request(4) };
        let malformed = |what| AutoscaleError::Malformed { what };
        let cases = [
            (off, request(4), AutoscaleError::SwitchedOff),
            (good(), request(31), AutoscaleError::AboveCap { minimum: 31, cap: 30 }),
            (json!({}), request(4), malformed("it has no profiles")),
            (setting(json!([])), request(4), malformed("it has no profile but ours")),
            (odd, request(4), malformed("a profile has no capacity")),
            (full, request(4), AutoscaleError::TooManyProfiles { count: PROFILES_MAX }),
        ];
        for (setting, request, expected) in cases {
            assert_eq!(raise_floor(&setting, &request), Err(expected));
        }
        for request in [backwards, endless] {
            assert!(matches!(raise_floor(&good(), &request), Err(AutoscaleError::Window { .. })));
        }
    }

    #[test]
    fn a_floor_that_somebody_changed_is_theirs() {
        let with = |ours: Value| setting(vec![ours, profile("auto", "2", "10")]);
        let window = ("2026-11-22T18:00:00Z", "2026-11-23T06:00:00Z");
        let changed = with(fixed(profile(FLOOR_PROFILE, "7", "9"), window.0, window.1));
        let undated = with(profile(FLOOR_PROFILE, "5", "9"));
        let renamed = with(fixed(profile("floor", "5", "9"), window.0, window.1));
        let not_ours = |found| Err(AutoscaleError::NotOurs { recorded: 5, found: Some(found) });
        assert_eq!(release_floor(&changed, FLOOR_PROFILE, 5), not_ours(7));
        assert_eq!(release_floor(&undated, FLOOR_PROFILE, 5), not_ours(5));
        assert_eq!(release_floor(&renamed, FLOOR_PROFILE, 5), Ok(None));
    }

    #[test]
    fn a_fixed_date_outranks_a_recurrence_and_that_the_default() {
        let auto = || profile("auto", "1", "10");
        let sale = || fixed(profile("sale", "7", "20"), "2026-11-22T19:00:00Z", "2026-11-22T23:00:00Z");
        let (day, night) = (recurring(profile("day", "4", "8")), recurring(profile("night", "2", "9")));
        let cases = [
            (vec![auto()], "2026-11-22T20:00:00Z", (1, 10)),
            (vec![auto(), day.clone()], "2026-11-22T20:00:00Z", (4, 8)),
            (vec![auto(), day.clone(), night], "2026-11-22T20:00:00Z", (2, 8)),
            (vec![auto(), day.clone(), sale()], "2026-11-22T19:00:00Z", (7, 20)),
            (vec![auto(), day, sale()], "2026-11-22T23:00:00Z", (4, 8)),
        ];
        for (profiles, now, expected) in cases {
            let setting = setting(profiles);
            let found = (active_minimum(&setting, at(now)).unwrap(), maximum(&setting, at(now)).unwrap());
            assert_eq!(found, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_setting_is_put() {
        let path = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Insights/autoscalesettings/n";
        let before = setting(vec![profile("auto", "2", "10")]);
        let script = Script::new([Answer::json(200, &before), Answer::json(200, &before)]);
        let arm = arm(&script);
        let raised = raise_floor(&read(&arm, &id(path)).await.unwrap(), &request(4)).unwrap();
        assert!(matches!(write(&arm, &id(path), &raised.body).await, Ok(Accepted::Done(_))));
        assert_eq!(
            script.requests()[1],
            format!("PUT https://management.azure.com{path}?api-version=2022-10-01")
        );
        assert_eq!(script.sent()[1].body, raised.body);
    }
}
