//! JSON as it came in, borrowed from its text: what the host wraps twice is read once, and no string is copied that has no
//! escape in it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Number, Value};

/// How often a string that contains JSON is opened. The host wraps at most twice; a third time is for extensions that
/// wrap once more. A bound, so that a hostile payload cannot make us dig for ever.
const UNWRAPS_MAX: usize = 3;

/// One JSON value. Unlike `serde_json::Value` it borrows its text; its own text, too, has the names of each object sorted,
/// so that the same content gives the same hash.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, borrowed where it has no escape.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Fields<'a>),
}

/// The fields of an object by name; of a name that came twice the last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Json<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// When they are no JSON, which is UTF-8.
    pub fn read_bytes(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        Self::read(std::str::from_utf8(bytes).map_err(de::Error::custom)?)
    }

    /// Opens a string that contains JSON, a bounded number of times. Only what opens to an object, an array or a string: the
    /// text payload `123` stays a text.
    pub fn opened(&self) -> Cow<'_, Json<'_>> {
        let mut opened: Option<Json<'_>> = None;
        for _ in 0..UNWRAPS_MAX {
            let inner = match &opened {
                None => self.text().and_then(inside),
                // What was wrapped twice lives in a string of our own, so it is copied; it is rare.
                Some(json) => json.text().and_then(inside).map(Json::into_owned),
            };
            match inner {
                Some(inner) => opened = Some(inner),
                None => break,
            }
        }
        opened.map_or(Cow::Borrowed(self), Cow::Owned)
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn elements(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The fields, if it is an object.
    pub const fn fields(&self) -> Option<&Fields<'a>> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// A field by its exact name, if it is an object that has one.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.fields()?.get(name)
    }

    /// As `serde_json` holds it.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.to_string()),
            Self::Array(elements) => elements.iter().map(Json::to_value).collect(),
            Self::Object(fields) => Value::Object(
                fields.iter().map(|(name, value)| (name.to_owned(), value.to_value())).collect(),
            ),
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(flag),
            Self::Number(number) => Json::Number(number),
            Self::Text(text) => Json::Text(text.into_owned().into()),
            Self::Array(elements) => Json::Array(elements.into_iter().map(Json::into_owned).collect()),
            Self::Object(Fields(fields)) => Json::Object(Fields(
                fields
                    .into_iter()
                    .map(|(name, value)| (name.into_owned().into(), value.into_owned()))
                    .collect(),
            )),
        }
    }

    /// Appends its text, the names of each object sorted.
    pub fn write_to(&self, text: &mut Vec<u8>) {
        // Writing to memory fails for a map with keys that are no strings, which this cannot have.
        let _ = serde_json::to_writer(text, self);
    }
}

/// What a string contains, if that is an object, an array or a string again.
fn inside(text: &str) -> Option<Json<'_>> {
    let opens = text.trim_start().as_bytes().first().is_some_and(|byte| b"{[\"".contains(byte));
    if opens { Json::read(text).ok() } else { None }
}

impl<'a> Fields<'a> {
    /// A field by its exact name.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let place = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        Some(&self.0[place].1)
    }

    /// Takes a field out; the order of the others stays.
    pub(super) fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let place = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        Some(self.0.remove(place).1)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    fn new(mut fields: Vec<(Cow<'a, str>, Json<'a>)>) -> Self {
        if !fields.is_sorted_by(|(one, _), (next, _)| one < next) {
            // The sort is stable, so that of equal names the last stays the last.
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            fields.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
        Self(fields)
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Fields<'a> {
    fn from_iter<T: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(fields: T) -> Self {
        Self::new(fields.into_iter().collect())
    }
}

impl<'a> From<&'a Value> for Json<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.as_str().into()),
            Value::Array(elements) => Self::Array(elements.iter().map(Self::from).collect()),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (Cow::from(name.as_str()), Self::from(value)));
                Self::Object(fields.collect())
            }
        }
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write_to(&mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(elements) => serializer.collect_seq(elements),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.0.len()))?;
                for (name, value) in fields.iter() {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json<'de>, A::Error> {
        let mut read = Vec::new();
        while let Some(element) = elements.next_element()? {
            read.push(element);
        }
        Ok(Json::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json<'de>, A::Error> {
        let mut read = Vec::with_capacity(FIELDS_USUAL);
        while let Some(Name(name)) = fields.next_key()? {
            read.push((name, fields.next_value()?));
        }
        Ok(Json::Object(Fields::new(read)))
    }
}

/// Room for as many fields as most objects of Azure's telemetry have.
const FIELDS_USUAL: usize = 12;

/// A name of a field, borrowed where it has no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_writes_and_finds_as_serde_json_does() {
        for text in [
            r#"{"b":1,"a":{"z":null,"y":[true,-2,1.5e300,"\u00e9\n\"x"]},"b":2}"#,
            r#"[[],{},"",0,18446744073709551615,-9223372036854775808,0.1]"#,
            r#""just \\ text""#,
            r#"{"\u0000":"\u001f\u007f\u2028/","a\"b":"é","\ud83d\ude00":1E2,"a\\":-0}"#,
        ] {
            let (ours, theirs) = (Json::read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
            assert_eq!(ours.to_string(), theirs.to_string(), "{text}");
            assert_eq!(ours.to_value(), theirs, "{text}");
            assert_eq!(Json::from(&theirs), ours, "{text}");
            assert_eq!(ours.clone().into_owned(), ours, "{text}");
        }
        assert!(Json::read_bytes(b"\"\xff\"").is_err());
        assert!(Json::read("{} {}").is_err());
        assert!(Json::read(&"[".repeat(10_000)).is_err());
    }

    #[test]
    fn opens_json_in_strings_and_leaves_text_alone() {
        for (wrapped, expected) in [
            (json!("\"aaaaa\""), json!("aaaaa")),
            (json!("\"{\\\"a\\\":1}\""), json!({"a": 1})),
            (json!("[{\"id\":\"x\"}]"), json!([{"id": "x"}])),
            (json!("123"), json!("123")),
            (json!("true"), json!("true")),
            (json!("{not json"), json!("{not json")),
            (json!({"a": "1"}), json!({"a": "1"})),
        ] {
            assert_eq!(Json::from(&wrapped).opened().to_value(), expected, "{wrapped}");
        }
    }

    #[test]
    fn stops_to_open_after_the_bound() {
        let mut text = json!({"deep": true}).to_string();
        for _ in 0..5 {
            text = Value::String(text).to_string();
        }
        assert!(Json::Text(text.into()).opened().text().is_some());
    }
}
