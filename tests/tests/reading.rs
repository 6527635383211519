//! JSON borrowed from its text beside the library's own tree: both take the same texts for JSON, and what is written is read
//! again.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use cordon::edge::Json;
use serde_json::Value;
use tests::fixtures;

/// The same sequence in each run (xorshift).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Text with everything in it that a reader of strings can stumble over.
    fn text(&mut self) -> String {
        let pieces = [
            "a",
            "category",
            "\"",
            "\\",
            "\\\"",
            "/",
            "\n",
            "\r\t",
            "\u{8}\u{c}",
            "\u{0}",
            "\u{1f}",
            "\u{7f}",
            "é",
            "\u{2028}",
            "\u{ffff}",
            "😀",
            "{}",
            "[1,2]",
            "\\u0041",
            "0123456789abcdef",
            "{\"records\":[]}",
        ];
        (0..self.below(12)).map(|_| self.one_of(&pieces)).collect()
    }

    fn number(&mut self) -> Value {
        let numbers =
            ["0", "-0", "1", "-17", "18446744073709551615", "-9223372036854775808", "99999999999999999999"];
        let more = ["0.1", "1e5", "1.25E-3", "-2.5e+300", "123456789.123456789"];
        let text = if self.below(2) == 0 { self.one_of(&numbers) } else { self.one_of(&more) };
        serde_json::from_str(text).unwrap()
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 => self.number(),
            3 | 4 => Value::String(self.text()),
            5 => (0..self.below(6)).map(|_| self.value(depth - 1)).collect(),
            6 => {
                let fields = (0..self.below(6)).map(|_| (self.text(), self.value(depth - 1)));
                Value::Object(fields.collect())
            }
            // JSON in a string, as the host wraps it.
            _ => Value::String(self.value(depth - 1).to_string()),
        }
    }

    /// A value as it may be written: close together or spread out, its characters as they are or escaped.
    fn written(&mut self) -> String {
        let value = self.value(5);
        let text = if self.below(2) == 0 { value.to_string() } else { format!("{value:#}") };
        if self.below(2) == 0 {
            return text;
        }
        let escape = |unit: u16| format!("\\u{unit:04X}");
        let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().copied().map(escape).collect::<String>();
        text.chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect()
    }

    /// The same text with something taken out, put in or cut off.
    fn damaged(&mut self, text: &str) -> String {
        let pieces = [
            "", "\"", "\\", "\\u", "\\ud800", "\\x", "{", "}", "[", "]", ",", ":", "-", "0", "01", "1e999",
            ".", "e", "nul", " ", "\n", "\u{1}", "é", "//",
        ];
        let chars: Vec<char> = text.chars().collect();
        let (at, taken) = (self.below(chars.len() + 1), self.below(4));
        let behind = chars.iter().skip(at + taken);
        chars.iter().take(at).copied().chain(self.one_of(&pieces).chars()).chain(behind.copied()).collect()
    }
}

/// How many texts are made up.
const TEXTS: usize = 3_000;

/// Both refuse it, or both read it, and what is read is written so that it is read again.
fn agree(text: &str) -> bool {
    let (ours, library) = (Json::read(text), serde_json::from_str::<Value>(text));
    assert_eq!(ours.is_ok(), library.is_ok(), "{text}");
    let (Ok(ours), Ok(library)) = (ours, library) else { return false };
    assert_eq!(Json::from(&library), ours, "{text}");
    let again = ours.to_string();
    assert_eq!(Json::read(&again).unwrap(), ours, "{text} written as {again}");
    true
}

#[test]
fn what_is_json_is_read_as_the_library_reads_it() {
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    assert!((0..TEXTS).all(|_| agree(&draw.written())));
}

#[test]
fn what_is_damaged_is_refused_as_the_library_refuses_it() {
    let mut draw = Draw(0xd1b5_4a32_d192_ed03);
    let whole = (0..TEXTS).filter(|_| {
        let text = draw.written();
        agree(&draw.damaged(&text))
    });
    let whole = whole.count();
    assert!((TEXTS / 20..TEXTS * 19 / 20).contains(&whole), "{whole} of {TEXTS} are still JSON");
}

#[test]
fn every_payload_and_every_end_of_it_is_read_as_the_library_reads_it() {
    for family in ["action_group", "activity_log", "probe_log", "event_grid"] {
        for name in fixtures::names(family) {
            let payload = fixtures::payload(family, &name);
            for text in [payload.to_string(), Value::String(payload.to_string()).to_string()] {
                agree(&text);
                for end in (0..text.len()).step_by(7).filter(|end| text.is_char_boundary(*end)) {
                    agree(&text[..end]);
                }
            }
        }
    }
}

#[test]
fn what_is_deep_or_odd_is_read_or_refused_alike() {
    for depth in [10, 60, 70, 120, 127, 128, 129, 100_000] {
        agree(&("[".repeat(depth) + &"]".repeat(depth)));
        agree(&("{\"a\":".repeat(depth) + "1" + &"}".repeat(depth)));
    }
    for text in [
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\u00e9\u0000""#,
        r#""\u+123""#,
        "\u{feff}{}",
        "{\"a\":1,}",
        "[1,]",
    ] {
        agree(text);
    }
}
