//! JSON in the forms that Azure sends it, read in one pass: half of what the library takes for it, above all where strings
//! contain JSON again, in which every quote is escaped. Whatever is unusual is left to the library, which has the last word
//! about what is JSON and what is wrong with it.

use std::borrow::Cow;

use serde_json::Number;

use super::json::{FIELDS_USUAL, Fields, Json};

/// Arrays and objects within each other that are read here; the library reads a few more.
const DEPTH_MAX: u32 = 64;

/// Bytes that are looked at together.
const STRIDE: usize = 16;

/// The lowest bit of each byte.
const ONES: u128 = u128::from_le_bytes([1; STRIDE]);

/// Room that a string with escapes begins with: that of a message of Azure's.
const UNESCAPED_USUAL: usize = 4 * 1024;

/// The value that a text is; none where it has to be read by the library, which may find that it is none at all.
pub(super) fn read(text: &str) -> Option<Json<'_>> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(DEPTH_MAX)?;
    reader.skip_blanks();
    (reader.at == text.len()).then_some(value)
}

/// How far a text has been read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is no blank, taken if it is this one.
    fn takes(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: u32) -> Option<Json<'a>> {
        self.skip_blanks();
        match self.peek()? {
            b'"' => self.string().map(Json::Text),
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Option<Json<'a>> {
        let is_it = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is_it.then_some(value)
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.at += length;
        serde_json::from_str::<Number>(&rest[..length]).ok().map(Json::Number)
    }

    fn array(&mut self, depth: u32) -> Option<Json<'a>> {
        self.at += 1;
        let mut elements = Vec::new();
        if self.takes(b']') {
            return Some(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            if self.takes(b']') {
                return Some(Json::Array(elements));
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn object(&mut self, depth: u32) -> Option<Json<'a>> {
        self.at += 1;
        if self.takes(b'}') {
            return Some(Json::Object(Fields::default()));
        }
        let mut fields = Vec::with_capacity(FIELDS_USUAL);
        loop {
            self.skip_blanks();
            if self.peek()? != b'"' {
                return None;
            }
            let name = self.string()?;
            if !self.takes(b':') {
                return None;
            }
            self.skip_blanks();
            // Most are of this kind, and what is handed on in fewer steps is copied less often.
            match self.plain() {
                Some(text) => fields.push((name, Json::Text(Cow::Borrowed(text)))),
                None => fields.push((name, self.value(depth)?)),
            }
            if self.takes(b'}') {
                return Some(Json::Object(Fields::new(fields)));
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    /// A string, from its opening quote on; borrowed if it has no escape.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        match self.plain() {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self.unescaped().map(Cow::Owned),
        }
    }

    /// A string without an escape, if one begins here; otherwise nothing is taken.
    fn plain(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        if *bytes.get(self.at)? != b'"' {
            return None;
        }
        let from = self.at + 1;
        let mut at = from;
        while let Some(stride) = bytes.get(at..).and_then(<[u8]>::first_chunk::<STRIDE>) {
            let plain = plain_before(*stride);
            at += plain;
            if plain < STRIDE {
                break;
            }
        }
        while !matches!(bytes.get(at)?, b'"' | b'\\' | 0..0x20) {
            at += 1;
        }
        if bytes[at] != b'"' {
            return None;
        }
        self.at = at + 1;
        self.text.get(from..at)
    }

    /// A string with escapes, from its opening quote on.
    fn unescaped(&mut self) -> Option<String> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        let mut found = Vec::with_capacity((bytes.len() - self.at).min(UNESCAPED_USUAL));
        loop {
            let byte = *bytes.get(self.at)?;
            if byte == b'\\' {
                match *bytes.get(self.at + 1)? {
                    same @ (b'"' | b'\\') => {
                        found.push(same);
                        self.at += 2;
                    }
                    _ => self.escape(&mut found)?,
                }
            } else if byte == b'"' {
                self.at += 1;
                break;
            } else if let Some(stride) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<STRIDE>) {
                // All of it, and back to what is plain: that is cheaper than to copy a number of bytes that varies.
                let plain = plain_before(*stride);
                if plain == 0 {
                    return None;
                }
                found.extend_from_slice(stride);
                found.truncate(found.len() - STRIDE + plain);
                self.at += plain;
            } else if byte < 0x20 {
                return None;
            } else {
                found.push(byte);
                self.at += 1;
            }
        }
        if found.capacity() > 2 * found.len() {
            // Many short ones must not take the room of as many long ones.
            found.shrink_to_fit();
        }
        String::from_utf8(found).ok()
    }

    /// What stands behind a backslash. Halves of a pair of UTF-16 are the library's.
    fn escape(&mut self, found: &mut Vec<u8>) -> Option<()> {
        let byte = *self.text.as_bytes().get(self.at + 1)?;
        self.at += 2;
        found.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x8,
            b'f' => 0xc,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                let only_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let unit = u32::from_str_radix(digits, 16).ok().filter(|_| only_digits)?;
                let found_char = char::from_u32(unit)?;
                found.extend_from_slice(found_char.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }
}

/// How many of the bytes stand before the first quote, backslash or control character.
const fn plain_before(stride: [u8; STRIDE]) -> usize {
    let bytes = u128::from_le_bytes(stride);
    let (quotes, slashes) = (bytes ^ (ONES * b'"' as u128), bytes ^ (ONES * b'\\' as u128));
    let found = below(bytes, 0x20) | below(quotes, 1) | below(slashes, 1);
    found.trailing_zeros() as usize / 8
}

/// The highest bit of each byte that is below a bound of at most 128. Behind the first such byte there may be others that are
/// not: it borrows from them.
const fn below(bytes: u128, bound: u128) -> u128 {
    bytes.wrapping_sub(ONES * bound) & !bytes & (ONES * 0x80)
}
