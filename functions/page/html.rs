//! The frame of every page: one escape function, one style sheet, strict headers.

use std::fmt::{self, Display, Write};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::access::Caller;
use crate::edge::{HttpBody, HttpReply};

/// What most pages need.
const PAGE_BYTES: usize = 64 * 1024;

/// The whole style; inline, named to the browser by its hash, so nothing is fetched and nothing else applies.
const STYLE: &str = include_str!("style.css");

/// The one script, for what a page without it does by a click: reload what changed, local times, open a record in place.
const SCRIPT: &str = include_str!("live.js");

/// Nothing may load or run, whatever ended up in the page; only our own style and script apply, and forms and the script
/// speak to this origin alone.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| base64(&Sha256::digest(text.as_bytes()));
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
});

/// A small square that closes: drawn here, so that no browser asks elsewhere for it.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M2 3h3v10H2zm9 0h3v10h-3zM6 7h4v2H6z' fill='%230969da'/%3E%3C/svg%3E";

/// Says whether the page follows what happens; without the script it says how to.
pub(super) const LIVE: &str =
    "<p class=\"soft live\"><span id=\"live-state\">Reload to see changes</span></p>\n";

/// Where a page stands: what every link, and the head of the page, need.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    /// The path up to `operator`, or up to `w/WORKLOAD` below it.
    pub(super) base: &'a str,
    /// The page's place in the navigation.
    pub(super) here: Here,
    /// Who is asking.
    pub(super) caller: &'a Caller,
}

/// The places of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    /// What is happening now.
    Status,
    /// What happened.
    Incidents,
    /// Every decision.
    Audit,
    /// None of them.
    Elsewhere,
}

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

/// A whole document.
pub(super) fn document(
    status: u16,
    frame: Frame<'_>,
    title: &str,
    body: impl FnOnce(&mut String) -> fmt::Result,
) -> HttpReply {
    let mut out = String::with_capacity(PAGE_BYTES);
    match framed(&mut out, frame, title, body) {
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
    let cached = reply.headers.iter().any(|(name, _)| name == "Cache-Control");
    let reply = if cached { reply } else { reply.with_header("Cache-Control", "no-store") };
    reply
        .with_header("Content-Security-Policy", POLICY.as_str())
        .with_header("X-Content-Type-Options", "nosniff")
        // Not `no-referrer`: with that a browser calls the origin of our own forms "null", and no order would be taken.
        .with_header("Referrer-Policy", "same-origin")
}

/// A page that only says something.
pub(super) fn notice(out: &mut String, title: &str, text: &str, next: &str) -> fmt::Result {
    let (title, text, next) = (esc(title), esc(text), esc(next));
    write!(
        out,
        "<h1>{title}</h1>\n<p class=\"loud bad-edge\">{text}</p>\n<h2>What to do next</h2>\n<p>{next}</p>\n"
    )
}

fn framed(
    out: &mut String,
    frame: Frame<'_>,
    title: &str,
    body: impl FnOnce(&mut String) -> fmt::Result,
) -> fmt::Result {
    let (base, title) = (esc(frame.base), esc(title));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"{ICON}\">\n\
         <title>{title} - Cordon</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <header class=\"top\">\n<a class=\"brand\" href=\"{base}/status\">Cordon</a>\n\
         <nav aria-label=\"Pages\"><ul>\n"
    )?;
    for (here, path, name) in [
        (Here::Status, "status", "Status"),
        (Here::Incidents, "incidents", "Incidents"),
        (Here::Audit, "audit", "Audit"),
    ] {
        let current = if here == frame.here { " aria-current=\"page\"" } else { "" };
        writeln!(out, "<li><a href=\"{base}/{path}\"{current}>{name}</a></li>")?;
    }
    writeln!(out, "</ul></nav>\n<p class=\"who\">{}</p>\n</header>", esc(frame.caller.in_words()))?;
    out.write_str("<main id=\"content\" tabindex=\"-1\">\n")?;
    body(out)?;
    writeln!(
        out,
        "</main>\n<footer><p>Times are UTC; with the script, your own time stands beside. The same as JSON: \
         <a href=\"{base}/v1/openapi.json\">API description</a>.</p></footer>\n<script>{SCRIPT}</script>\n</body>\n</html>"
    )
}

pub(super) fn base64(bytes: &[u8]) -> String {
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
    fn style_and_script_cannot_end_their_elements() {
        assert!(!STYLE.contains('<'));
        assert!(!SCRIPT.contains("</"));
        for sink in ["innerHTML", "eval(", "document.write", "http:", "https:", "Function("] {
            assert!(!SCRIPT.contains(sink), "{sink}");
        }
        assert!(!STYLE.contains("url("), "nothing is fetched");
        assert!(!STYLE.contains("@import"), "nothing is fetched");
    }
}
