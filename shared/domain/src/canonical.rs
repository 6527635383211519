//! Canonical JSON: the keys of every object in the order of their bytes, nothing between the tokens. Hashes cover this
//! text. It is what a `serde_json::Value` prints, without a tree being built first: a test holds the two together.

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::{Deref, Range};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};
use serde_json::value::RawValue;

/// Room for a record's situation: three stamps come to some 20 KB.
const TEXT_BYTES: usize = 32 * 1024;

/// A JSON text as it was written. Equal texts are equal, others are not, whatever they mean. That it is JSON is made certain
/// where it goes into a document and where it comes out of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// The canonical text of a value; `null` for what JSON cannot hold, which none of our types is.
    pub fn of(value: &impl Serialize) -> Self {
        let text = String::from_utf8(bytes(value)).ok().filter(|text| !text.is_empty());
        Self(text.map_or_else(|| "null".into(), String::into_boxed_str))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value that it means.
    ///
    /// # Errors
    /// When it is not such a value.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }

    /// As a tree, for readers who look for one thing in it.
    pub fn to_value(&self) -> Value {
        self.read().unwrap_or(Value::Null)
    }
}

impl Serialize for JsonText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}

/// A part of a record that readers look into: kept as the text that the hash covers, and read as a tree when somebody asks
/// for one. Most records are written, hashed, copied and verified without anybody asking.
#[derive(Clone, Debug)]
pub struct JsonPart {
    text: JsonText,
    tree: OnceLock<Value>,
}

impl JsonPart {
    /// The canonical text of a value.
    pub fn of(value: &impl Serialize) -> Self {
        Self { text: JsonText::of(value), tree: OnceLock::new() }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The value that it means.
    ///
    /// # Errors
    /// When it is not such a value.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        self.text.read()
    }
}

impl Deref for JsonPart {
    type Target = Value;
    fn deref(&self) -> &Value {
        self.tree.get_or_init(|| self.text.to_value())
    }
}

impl PartialEq for JsonPart {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for JsonPart {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonPart {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { text: JsonText::deserialize(deserializer)?, tree: OnceLock::new() })
    }
}

/// The canonical text of a value in bytes; empty for what JSON cannot hold.
pub(crate) fn bytes(value: &impl Serialize) -> Vec<u8> {
    let text = RefCell::new(Vec::with_capacity(TEXT_BYTES));
    let sorting = Sorting { text: &text, objects: vec![], members: vec![], moved: vec![] };
    let written = value.serialize(&mut Serializer::with_formatter(Appending(&text), sorting));
    if written.is_err() {
        return vec![];
    }
    text.into_inner()
}

/// Where the text grows.
struct Appending<'a>(&'a RefCell<Vec<u8>>);

impl Write for Appending<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a member stands: its key with the quotes, and the end of its value.
struct Member {
    key: Range<usize>,
    end: usize,
}

impl Member {
    /// The key without its quotes: the closing one would sort a name behind its own extension by `!`.
    fn key_in<'a>(&self, text: &'a [u8], from: usize) -> &'a [u8] {
        let quoted = &text[self.key.start - from..self.key.end - from];
        quoted.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).unwrap_or(quoted)
    }
}

/// Whether the members stand as they should, which those of every map do. A key with an escape may not.
fn is_in_order(text: &[u8], members: &[Member]) -> bool {
    let key = |member: &Member| &text[member.key.start + 1..member.key.end - 1];
    members.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]))
        && members.iter().all(|member| !key(member).contains(&b'\\'))
}

/// Writes as the compact formatter does, and puts the members of an object in order when the object ends.
struct Sorting<'a> {
    text: &'a RefCell<Vec<u8>>,
    /// The objects under way: where each begins, and which of the members are its own.
    objects: Vec<(usize, usize)>,
    /// The members of all objects under way, the outer ones first.
    members: Vec<Member>,
    /// What is put in order, for a moment.
    moved: Vec<u8>,
}

impl Sorting<'_> {
    /// Puts the members in order, with a comma between them. Of two with one key the later counts, as in a tree.
    fn close(&mut self) {
        let Some((from, first)) = self.objects.pop() else { return };
        let mut text = self.text.borrow_mut();
        if is_in_order(&text, &self.members[first..]) {
            self.members.truncate(first);
            return;
        }
        self.moved.clear();
        self.moved.extend_from_slice(&text[from..]);
        text.truncate(from);
        let (moved, members) = (&self.moved, &mut self.members[first..]);
        if members.iter().any(|member| member.key_in(moved, from).contains(&b'\\')) {
            // Rare: escapes sort by what they mean.
            members.sort_by_cached_key(|member| {
                let quoted = &moved[member.key.start - from..member.key.end - from];
                serde_json::from_slice::<String>(quoted).unwrap_or_default()
            });
        } else {
            members.sort_by(|a, b| a.key_in(moved, from).cmp(b.key_in(moved, from)));
        }
        for (at, member) in members.iter().enumerate() {
            let later = members.get(at + 1);
            if later.is_some_and(|later| later.key_in(moved, from) == member.key_in(moved, from)) {
                continue;
            }
            if text.len() > from {
                text.push(b',');
            }
            text.extend_from_slice(&moved[member.key.start - from..member.end - from]);
        }
        self.members.truncate(first);
    }
}

impl Formatter for Sorting<'_> {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"{")?;
        self.objects.push((self.text.borrow().len(), self.members.len()));
        Ok(())
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, _: &mut W, _: bool) -> io::Result<()> {
        let mut text = self.text.borrow_mut();
        if self.objects.last().is_some_and(|(from, _)| text.len() > *from) {
            text.push(b',');
        }
        let at = text.len();
        self.members.push(Member { key: at..at, end: at });
        Ok(())
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let at = self.text.borrow().len();
        if let Some(member) = self.members.last_mut() {
            member.key.end = at;
        }
        Ok(())
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        let at = self.text.borrow().len();
        if let Some(member) = self.members.last_mut() {
            member.end = at;
        }
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close();
        writer.write_all(b"}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn tree(value: &impl Serialize) -> String {
        serde_json::to_value(value).unwrap().to_string()
    }

    #[derive(Serialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Shape {
        Round { width: f64, area: Option<f64> },
        Bare,
    }

    #[derive(Serialize)]
    struct Mixed {
        zeta: Vec<Shape>,
        alpha: (u64, i64, bool, char),
        #[serde(skip_serializing_if = "Option::is_none")]
        missing: Option<String>,
        empty: BTreeMap<String, u8>,
        by_number: BTreeMap<u32, &'static str>,
        unit: (),
        whole: f64,
    }

    #[test]
    fn the_text_is_what_a_tree_prints() {
        let mixed = Mixed {
            zeta: vec![Shape::Round { width: 0.1, area: None }, Shape::Bare],
            alpha: (u64::MAX, i64::MIN, true, 'é'),
            missing: None,
            empty: BTreeMap::new(),
            by_number: BTreeMap::from([(10, "ten"), (9, "nine \"and\" a tab\t")]),
            unit: (),
            whole: 1e21,
        };
        assert_eq!(JsonText::of(&mixed).as_str(), tree(&mixed));
        assert_eq!(JsonText::of(&f64::NAN).as_str(), "null");
        assert_eq!(JsonText::of(&BTreeMap::from([("a!", 1), ("a", 2)])).as_str(), r#"{"a":2,"a!":1}"#);
    }

    #[test]
    fn a_text_stays_as_it_was_written() {
        let written = r#"{"b": 1, "a":[1.0]}"#;
        let text: JsonText = serde_json::from_str(written).unwrap();
        assert_eq!(text.as_str(), written);
        assert_eq!(serde_json::to_string(&text).unwrap(), written);
        assert_eq!(text.to_value(), serde_json::json!({"a": [1.0], "b": 1}));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((".{0,3}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Members in the order given, as a struct writes them.
    struct Unsorted(Vec<(String, Value)>);

    impl Serialize for Unsorted {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_out_as_its_tree(
            value in values(),
            members in prop::collection::vec((".{0,3}", values()), 0..6),
        ) {
            let unsorted = Unsorted(members);
            let (plain, sorted) = (JsonText::of(&value), JsonText::of(&unsorted));
            prop_assert_eq!(plain.as_str(), tree(&value));
            prop_assert_eq!(sorted.as_str(), tree(&unsorted));
        }
    }
}
