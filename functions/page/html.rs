//! The frame of every page: one escape function, one style sheet, strict headers.

use std::fmt::{self, Display, Write};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::edge::{HttpBody, HttpReply};

/// The whole style; inline, named to the browser by its hash, so nothing is fetched and nothing else applies.
const STYLE: &str = include_str!("style.css");

/// Nothing may load or run, whatever ended up in the page; only our own style applies.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = base64(&Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// A value as text in markup: the one way in for everything that is not a literal of ours.
pub(super) struct Escaped<T>(T);

/// Escapes for element content and for quoted attributes.
pub(super) const fn esc<T: Display>(value: T) -> Escaped<T> {
    Escaped(value)
}

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                // No text of ours has these; from outside they can reorder what is read, or break the markup.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.0.write_char('\u{fffd}')?,
                c if c.is_control() && c != '\n' => self.0.write_char('\u{fffd}')?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A whole document. `base` is the path of `operator`, for links.
pub(super) fn document(
    status: u16,
    base: &str,
    title: &str,
    body: impl FnOnce(&mut String) -> fmt::Result,
) -> HttpReply {
    let mut out = String::new();
    match frame(&mut out, base, title, body) {
        Ok(()) => HttpReply {
            status,
            headers: vec![],
            body: HttpBody::Text { content_type: "text/html; charset=utf-8", text: out },
        },
        // Writing to a string does not fail; if a `Display` of ours did, say so instead of showing half a page.
        Err(error) => HttpReply::reason(500, format!("the page could not be written: {error}")),
    }
}

/// Adds what every answer of the page carries.
pub(super) fn guarded(reply: HttpReply) -> HttpReply {
    reply
        .with_header("Content-Security-Policy", POLICY.as_str())
        .with_header("Cache-Control", "no-store")
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
}

/// A page that only says something.
pub(super) fn notice(out: &mut String, title: &str, text: &str, next: &str) -> fmt::Result {
    let (title, text, next) = (esc(title), esc(text), esc(next));
    write!(out, "<h1>{title}</h1>\n<p class=\"loud\">{text}</p>\n<h2>What to do next</h2>\n<p>{next}</p>\n")
}

fn frame(
    out: &mut String,
    base: &str,
    title: &str,
    body: impl FnOnce(&mut String) -> fmt::Result,
) -> fmt::Result {
    let (base, title) = (esc(base), esc(title));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} - Cordon</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <header>\n<nav aria-label=\"Pages\"><ul>\n<li><a href=\"{base}/status\">Status</a></li>\n\
         <li><a href=\"{base}/audit\">Audit</a></li>\n<li><a href=\"{base}/state.json\">State as JSON</a></li>\n\
         </ul></nav>\n</header>\n<main id=\"content\" tabindex=\"-1\">\n"
    )?;
    body(out)?;
    out.write_str(
        "</main>\n<footer><p>All times are UTC. This page only reads; orders are given with the \
         <code>cordon</code> command.</p></footer>\n</body>\n</html>\n",
    )
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let digit = (bits >> (18 - 6 * position)) & 63;
            text.push(if position <= group.len() { char::from(DIGITS[digit as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        let hostile = "<script>alert(\"1\")</script> & 'x' \u{202e}gnp\u{0}";
        assert_eq!(
            esc(hostile).to_string(),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; \u{fffd}gnp\u{fffd}"
        );
    }

    #[test]
    fn base64_is_padded_as_a_browser_expects() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_style_cannot_end_its_element() {
        assert!(!STYLE.contains('<'));
        assert!(!STYLE.contains("url("), "nothing is fetched");
        assert!(!STYLE.contains("@import"), "nothing is fetched");
    }
}
