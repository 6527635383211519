//! Reading JSON whose types vary between schemas of the same thing.

use domain::Timestamp;
use serde_json::Value;

/// How deep arrays of arrays of records are followed.
const NESTING_MAX: u32 = 4;

/// A field as text, without regard to the case of its name; numbers and booleans become text, because the common schema
/// writes `3` and `false` where the older one writes `"Warning"` and `"false"`. Blank is absent.
pub(super) fn text(value: &Value, field: &str) -> Option<String> {
    let text = match get(value, field)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A field, without regard to the case of its name.
pub(super) fn get<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    fields
        .get(field)
        .or_else(|| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value))
}

/// A field by its path.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, field| get(value, field))
}

/// The first of these fields that is a point in time.
pub(super) fn time(value: &Value, fields: &[&str]) -> Option<Timestamp> {
    fields.iter().find_map(|field| Timestamp::parse(&text(value, field)?).ok())
}

/// A field that is JSON, or a string that contains JSON: `impactedServices` comes as either.
pub(super) fn opened(value: &Value, field: &str) -> Option<Value> {
    get(value, field).map(|value| crate::edge::unwrap(value.clone()))
}

/// Says yes in any of the spellings found: `true`, `"True"`, `"true"`.
pub(super) fn is_true(value: &Value, field: &str) -> bool {
    text(value, field).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The records of a diagnostic export: `{"records": [..]}`, an array of such, or one bare record.
pub(super) fn records(body: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    collect(body, 0, &mut found);
    found
}

fn collect<'a>(body: &'a Value, depth: u32, found: &mut Vec<&'a Value>) {
    match (body, get(body, "records")) {
        _ if depth > NESTING_MAX => {}
        (_, Some(Value::Array(records))) | (Value::Array(records), _) => {
            records.iter().for_each(|record| collect(record, depth + 1, found));
        }
        _ => found.push(body),
    }
}
