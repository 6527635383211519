//! Reading JSON whose types vary between schemas of the same thing.

use std::borrow::Cow;

use domain::Timestamp;

use crate::edge::Json;

/// How deep arrays of arrays of records are followed.
const NESTING_MAX: u32 = 4;

/// A field as text, without regard to the case of its name; numbers and booleans become text, because the common schema
/// writes `3` and `false` where the older one writes `"Warning"` and `"false"`. Blank is absent.
pub(super) fn text<'a>(value: &'a Json<'_>, field: &str) -> Option<Cow<'a, str>> {
    let text: Cow<'a, str> = match get(value, field)? {
        Json::Text(text) => text.trim().into(),
        Json::Number(number) => number.to_string().into(),
        Json::Bool(true) => "true".into(),
        Json::Bool(false) => "false".into(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A field, without regard to the case of its name.
pub(super) fn get<'a, 'j>(value: &'a Json<'j>, field: &str) -> Option<&'a Json<'j>> {
    let fields = value.fields()?;
    fields
        .get(field)
        .or_else(|| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value))
}

/// A field by its path.
pub(super) fn at<'a, 'j>(value: &'a Json<'j>, path: &[&str]) -> Option<&'a Json<'j>> {
    path.iter().try_fold(value, |value, field| get(value, field))
}

/// The first of these fields that is a point in time.
pub(super) fn time(value: &Json<'_>, fields: &[&str]) -> Option<Timestamp> {
    fields.iter().find_map(|field| Timestamp::parse(&text(value, field)?).ok())
}

/// A field that is JSON, or a string that contains JSON: `impactedServices` comes as either.
pub(super) fn opened<'a>(value: &'a Json<'_>, field: &str) -> Option<Cow<'a, Json<'a>>> {
    get(value, field).map(Json::opened)
}

/// The same; `null` where there is none.
pub(super) fn opened_or_null<'a>(value: &'a Json<'_>, field: &str) -> Cow<'a, Json<'a>> {
    opened(value, field).unwrap_or(Cow::Owned(Json::Null))
}

/// Says yes in any of the spellings found: `true`, `"True"`, `"true"`.
pub(super) fn is_true(value: &Json<'_>, field: &str) -> bool {
    text(value, field).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The records of a diagnostic export: `{"records": [..]}`, an array of such, or one bare record.
pub(super) fn records<'a, 'j>(body: &'a Json<'j>) -> Vec<&'a Json<'j>> {
    let mut found = Vec::new();
    collect(body, 0, &mut found);
    found
}

fn collect<'a, 'j>(body: &'a Json<'j>, depth: u32, found: &mut Vec<&'a Json<'j>>) {
    match (body, get(body, "records")) {
        _ if depth > NESTING_MAX => {}
        (_, Some(Json::Array(records))) | (Json::Array(records), _) => {
            records.iter().for_each(|record| collect(record, depth + 1, found));
        }
        _ => found.push(body),
    }
}
