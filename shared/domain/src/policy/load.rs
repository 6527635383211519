//! Reading a policy: every error has its line and what to do about it.

use super::{Policy, validate};

/// Why a policy cannot be used. `line` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PolicyError {
    /// Where in the file.
    pub line: usize,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// Reads and validates a policy file's text.
///
/// # Errors
/// All that is wrong with it; a syntax error or an unknown key stops the reading at the first.
pub fn parse(text: &str) -> Result<Policy, Vec<PolicyError>> {
    let policy: Policy = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of_offset(text, span.start));
        vec![PolicyError { line, reason: error.message().to_owned() }]
    })?;
    let errors: Vec<PolicyError> = validate::findings(&policy)
        .into_iter()
        .map(|(key, reason)| PolicyError { line: line_of_key(text, key), reason: format!("{key}: {reason}") })
        .collect();
    if errors.is_empty() { Ok(policy) } else { Err(errors) }
}

/// The JSON Schema of the policy file, generated from the types that read it, so that the two cannot drift apart.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Policy).to_value()
}

fn line_of_offset(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The line on which `section.key` stands; the section's own line, or 1, where it does not.
pub(super) fn line_of_key(text: &str, dotted: &str) -> usize {
    let (section, key) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    let mut current = String::new();
    let mut section_line = 1;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            current = name.trim_start_matches('[').split(']').next().unwrap_or("").trim().to_owned();
            if current == section || current == dotted {
                section_line = number + 1;
            }
        } else if current == section && line.split('=').next().is_some_and(|left| left.trim() == key) {
            return number + 1;
        }
    }
    section_line
}
