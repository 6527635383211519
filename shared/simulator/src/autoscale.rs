//! The autoscale engine, reading its setting exactly as it is stored: numbers as strings, one profile at a time, limits
//! before rules (contracts/AZURE.md 6).

use domain::Timestamp;
use serde_json::{Value, json};

/// The engine looks at a setting this often, in seconds: "every 30-60 s" (contracts/AZURE.md 6).
pub(crate) const ENGINE_INTERVAL_S: u32 = 45;
/// Profiles per setting, rules per profile, and days of a fixed date, at most (contracts/AZURE.md 6).
const PROFILES_MAX: usize = 20;
const RULES_MAX: usize = 10;
const FIXED_DATE_DAYS_MAX: u64 = 365;
const DAY_S: i64 = 86_400;

/// What the engine remembers of one setting.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EngineMemory {
    last_change: Option<Timestamp>,
}

/// The setting of a new stamp: one profile, out by two above 70 %, in by one below 30 %.
pub(crate) fn default_profiles(plan_id: &str, (min, max): (u32, u32)) -> Value {
    let rule = |operator: &str, threshold: u32, direction: &str, value: &str| {
        json!({
            "metricTrigger": {
                "metricName": "CpuPercentage", "metricNamespace": "microsoft.web/serverfarms",
                "metricResourceUri": plan_id, "timeGrain": "PT1M", "statistic": "Average", "timeWindow": "PT5M",
                "timeAggregation": "Average", "operator": operator, "threshold": threshold,
                "dividePerInstance": false
            },
            "scaleAction": { "direction": direction, "type": "ChangeCount", "value": value, "cooldown": "PT5M" }
        })
    };
    json!([{
        "name": "default",
        "capacity": { "minimum": min.to_string(), "maximum": max.to_string(), "default": min.to_string() },
        "rules": [rule("GreaterThan", 70, "Increase", "2"), rule("LessThan", 30, "Decrease", "1")]
    }])
}

/// Why Azure would refuse these profiles, if it would.
pub(crate) fn objection(profiles: &Value) -> Option<String> {
    let Some(profiles) = profiles.as_array().filter(|p| (1..=PROFILES_MAX).contains(&p.len())) else {
        return Some(format!("The autoscale setting must have 1 to {PROFILES_MAX} profiles."));
    };
    profiles.iter().find_map(profile_objection)
}

/// The instance count the engine wants now. `processor_pct` gives the mean of the last so many seconds, or none when
/// the metrics cannot be read.
pub(crate) fn wanted(
    setting: &Value,
    now: Timestamp,
    current: u32,
    memory: &mut EngineMemory,
    processor_pct: impl Fn(u32) -> Option<f64>,
) -> u32 {
    let properties = &setting["properties"];
    if properties["enabled"] == json!(false) {
        return current;
    }
    let Some(profile) = active_profile(&properties["profiles"], now) else { return current };
    let (Some(min), Some(max)) =
        (count(&profile["capacity"]["minimum"]), count(&profile["capacity"]["maximum"]))
    else {
        return current;
    };
    let limited = current.clamp(min, max.max(min));
    if limited != current {
        memory.last_change = Some(now);
        return limited;
    }
    let wanted = by_rules(profile, now, current, memory, processor_pct).clamp(min, max.max(min));
    if wanted != current {
        memory.last_change = Some(now);
    }
    wanted
}

/// The one profile in force: fixed date before recurrence before default; the first of two alike.
pub(crate) fn active_profile(profiles: &Value, now: Timestamp) -> Option<&Value> {
    let profiles = profiles.as_array()?;
    let fixed = profiles.iter().find(|p| fixed_date(p).is_some_and(|(start, end)| start <= now && now < end));
    let recurring = || {
        let started = |p: &&Value| recurrence_start(&p["recurrence"], now);
        profiles.iter().filter(|p| started(p).is_some()).max_by_key(started)
    };
    let plain = || profiles.iter().find(|p| p["fixedDate"].is_null() && p["recurrence"].is_null());
    fixed.or_else(recurring).or_else(plain)
}

fn by_rules(
    profile: &Value,
    now: Timestamp,
    current: u32,
    memory: &EngineMemory,
    processor_pct: impl Fn(u32) -> Option<f64>,
) -> u32 {
    let rules = profile["rules"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out: Option<u32> = None;
    let (mut inward, mut all_inward) = (None, true);
    for rule in rules {
        let Some(processor) = processor_pct(minutes(&rule["metricTrigger"]["timeWindow"]) * 60) else {
            // Unreadable metrics: the default capacity, but only upwards.
            return current.max(count(&profile["capacity"]["default"]).unwrap_or(current));
        };
        let met = holds(&rule["metricTrigger"], processor) && cooled(rule, now, memory);
        let step = count(&rule["scaleAction"]["value"]).unwrap_or(0);
        if rule["scaleAction"]["direction"] == json!("Increase") {
            out = out.max(met.then(|| current + step));
        } else {
            all_inward &= met;
            let after = current.saturating_sub(step).max(1);
            let flaps =
                out_threshold(rules).is_some_and(|t| processor * f64::from(current) / f64::from(after) >= t);
            inward = if flaps { inward } else { Some(after) };
        }
    }
    out.or(inward.filter(|_| all_inward)).unwrap_or(current)
}

fn out_threshold(rules: &[Value]) -> Option<f64> {
    let outward = rules.iter().filter(|r| r["scaleAction"]["direction"] == json!("Increase"));
    outward.filter_map(|r| r["metricTrigger"]["threshold"].as_f64()).reduce(f64::min)
}

fn holds(trigger: &Value, value: f64) -> bool {
    let threshold = trigger["threshold"].as_f64().unwrap_or(f64::NAN);
    match trigger["operator"].as_str() {
        Some("GreaterThan") => value > threshold,
        Some("GreaterThanOrEqual") => value >= threshold,
        Some("LessThan") => value < threshold,
        Some("LessThanOrEqual") => value <= threshold,
        _ => false,
    }
}

fn cooled(rule: &Value, now: Timestamp, memory: &EngineMemory) -> bool {
    let cooldown_s = u64::from(minutes(&rule["scaleAction"]["cooldown"])) * 60;
    memory.last_change.is_none_or(|at| (now - at).as_secs() >= cooldown_s)
}

fn fixed_date(profile: &Value) -> Option<(Timestamp, Timestamp)> {
    let at = |key: &str| Timestamp::parse(profile["fixedDate"][key].as_str()?).ok();
    Some((at("start")?, at("end")?))
}

/// The last time this weekly recurrence began, within the week before `now`. UTC only, which is all we write.
fn recurrence_start(recurrence: &Value, now: Timestamp) -> Option<Timestamp> {
    let schedule = recurrence.get("schedule")?;
    let now_s = now.as_millis().div_euclid(1_000);
    let midnight = now_s - now_s.rem_euclid(DAY_S);
    let texts = |key: &str| schedule[key].as_array().map_or(&[][..], Vec::as_slice);
    let hour = texts("hours").first().and_then(Value::as_i64)?;
    let minute = texts("minutes").first().and_then(Value::as_i64).unwrap_or(0);
    (0..8).map(|days| midnight - days * DAY_S).find_map(|day| {
        let name = WEEKDAYS[(day / DAY_S).rem_euclid(7) as usize];
        let start = day + hour * 3_600 + minute * 60;
        let named = texts("days").iter().any(|d| d.as_str().is_some_and(|d| d.eq_ignore_ascii_case(name)));
        (named && start <= now_s).then(|| Timestamp::from_secs(start))
    })
}

/// The epoch began on a Thursday.
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

fn profile_objection(profile: &Value) -> Option<String> {
    let name = profile["name"].as_str().filter(|n| !n.is_empty());
    let Some(name) = name else { return Some("Each autoscale profile must have a name.".into()) };
    let capacity = |key: &str| count(&profile["capacity"][key]);
    let (Some(min), Some(max), Some(default)) =
        (capacity("minimum"), capacity("maximum"), capacity("default"))
    else {
        return Some(format!(
            "Profile '{name}': capacity minimum, maximum and default must be strings that hold a whole number."
        ));
    };
    if min > default || default > max {
        return Some(format!("Profile '{name}': minimum <= default <= maximum does not hold."));
    }
    if !profile["fixedDate"].is_null() {
        let span = fixed_date(profile).filter(|(start, end)| start < end).map(|(start, end)| end - start);
        if span.is_none_or(|span| span.as_secs() > FIXED_DATE_DAYS_MAX * DAY_S.unsigned_abs()) {
            return Some(format!(
                "Profile '{name}': fixedDate needs start before end, at most 365 days apart."
            ));
        }
    }
    let rules = profile["rules"].as_array().map_or(&[][..], Vec::as_slice);
    if !profile["rules"].is_array() || rules.len() > RULES_MAX {
        return Some(format!("Profile '{name}' must have 0 to {RULES_MAX} rules."));
    }
    rules
        .iter()
        .any(|rule| {
            count(&rule["scaleAction"]["value"]).is_none() || !rule["metricTrigger"]["threshold"].is_number()
        })
        .then(|| {
            format!("Profile '{name}': a rule needs a numeric threshold and scaleAction.value as a string.")
        })
}

/// Only strings count: the API refuses numbers.
fn count(text: &Value) -> Option<u32> {
    text.as_str()?.parse().ok()
}

/// Minutes of `PT5M` or `PT1H`; five when unreadable.
fn minutes(duration: &Value) -> u32 {
    let text = duration.as_str().unwrap_or_default();
    let body = text.strip_prefix("PT").unwrap_or_default();
    let minutes = body.strip_suffix('M').and_then(|m| m.parse().ok());
    minutes
        .or_else(|| body.strip_suffix('H').and_then(|h| h.parse::<u32>().ok()).map(|h| h * 60))
        .unwrap_or(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(profiles: &Value) -> Value {
        json!({ "properties": { "enabled": true, "profiles": profiles } })
    }

    fn fixed(name: &str, start: &str, end: &str, min: &str) -> Value {
        json!({
            "name": name, "rules": [],
            "capacity": { "minimum": min, "maximum": "30", "default": min },
            "fixedDate": { "timeZone": "UTC", "start": start, "end": end }
        })
    }

    const NOON: &str = "2026-11-22T12:00:00Z";

    #[test]
    fn capacities_must_be_strings_in_order() {
        let good = default_profiles("/plan", (2, 9));
        assert_eq!(objection(&good), None);
        for (key, value) in [
            ("minimum", json!(2)),
            ("minimum", json!("10")),
            ("default", json!("x")),
            ("maximum", json!(null)),
        ] {
            let mut bad = good.clone();
            bad[0]["capacity"][key] = value;
            assert!(objection(&bad).is_some(), "{bad}");
        }
        let mut bad = good.clone();
        bad[0]["rules"][0]["scaleAction"]["value"] = json!(2);
        assert!(objection(&bad).is_some());
        assert!(objection(&json!([])).is_some());
        assert!(objection(&json!([fixed("f", NOON, "2026-11-22T11:00:00Z", "3")])).is_some());
    }

    #[test]
    fn a_fixed_date_outranks_recurrence_and_default_until_it_expires() {
        let weekly = json!({
            "name": "weekly", "rules": [], "capacity": { "minimum": "5", "maximum": "30", "default": "5" },
            "recurrence": { "frequency": "Week", "schedule": { "timeZone": "UTC", "days": ["Sunday"], "hours": [6], "minutes": [0] } }
        });
        let mut profiles = default_profiles("/plan", (2, 9));
        let list = profiles.as_array_mut().unwrap();
        list.push(weekly);
        list.push(fixed("failover", "2026-11-22T11:00:00", "2026-11-22T13:00:00Z", "21"));
        let at =
            |text: &str| active_profile(&profiles, Timestamp::parse(text).unwrap()).unwrap()["name"].clone();
        assert_eq!(at(NOON), "failover");
        assert_eq!(at("2026-11-22T13:00:00Z"), "weekly");
        assert_eq!(at("2026-11-22T05:00:00Z"), "weekly", "the week before began it");
        let plain = default_profiles("/plan", (2, 9));
        assert_eq!(active_profile(&plain, Timestamp::from_secs(0)).unwrap()["name"], "default");
    }

    #[test]
    fn limits_come_before_rules() {
        let now = Timestamp::parse(NOON).unwrap();
        let raised =
            setting(&json!([fixed("failover", "2026-11-22T11:00:00Z", "2026-11-22T13:00:00Z", "21")]));
        assert_eq!(wanted(&raised, now, 7, &mut EngineMemory::default(), |_| Some(10.0)), 21);
        // A manual capacity outside the limits is put back.
        let plain = setting(&default_profiles("/plan", (2, 9)));
        assert_eq!(wanted(&plain, now, 20, &mut EngineMemory::default(), |_| Some(50.0)), 9);
    }

    #[test]
    fn rules_scale_out_by_two_and_in_by_one_with_a_cool_down() {
        let plain = setting(&default_profiles("/plan", (2, 30)));
        let mut memory = EngineMemory::default();
        let now = Timestamp::parse(NOON).unwrap();
        assert_eq!(wanted(&plain, now, 7, &mut memory, |_| Some(90.0)), 9);
        assert_eq!(wanted(&plain, now, 9, &mut memory, |_| Some(90.0)), 9, "cooling down");
        let later = now + std::time::Duration::from_secs(300);
        assert_eq!(wanted(&plain, later, 9, &mut memory, |_| Some(20.0)), 8);
        assert_eq!(wanted(&plain, later, 3, &mut EngineMemory::default(), |_| Some(29.9)), 2);
        assert_eq!(
            wanted(&plain, later, 1, &mut EngineMemory::default(), |_| None),
            2,
            "limits need no metrics"
        );
    }

    #[test]
    fn unreadable_metrics_only_scale_out_to_the_default() {
        let mut profiles = default_profiles("/plan", (2, 30));
        profiles[0]["capacity"]["default"] = json!("6");
        let now = Timestamp::parse(NOON).unwrap();
        assert_eq!(wanted(&setting(&profiles), now, 4, &mut EngineMemory::default(), |_| None), 6);
        assert_eq!(wanted(&setting(&profiles), now, 9, &mut EngineMemory::default(), |_| None), 9);
    }
}
