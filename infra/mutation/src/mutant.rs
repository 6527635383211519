//! A mutant, as `cargo mutants --list --json` tells it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a mutant does to the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Genre {
    /// A function returns a value at once.
    FnValue,
    /// `a && b` becomes `a || b`, and so on.
    BinaryOperator,
    /// `!a` becomes `a`, `-a` becomes `a`.
    UnaryOperator,
    /// An arm of a `match` is taken away; there is a wildcard arm.
    MatchArm,
    /// A guard is `true`, or `false`.
    MatchArmGuard,
    /// A field of a struct expression comes from its base instead.
    StructField,
}

/// A place in a source file; both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Place {
    /// Line.
    pub(crate) line: usize,
    /// Column, in characters.
    pub(crate) column: usize,
}

/// From a place to the place after the last character.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Span {
    /// The first character.
    pub(crate) start: Place,
}

/// One mutant.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Mutant {
    /// The source file, from the repository's root.
    pub(crate) file: String,
    /// Unique and readable: file, place, what it does, where.
    pub(crate) name: String,
    /// What it does.
    pub(crate) genre: Genre,
    /// What it takes the place of.
    pub(crate) span: Span,
    /// What is put there; empty where something is taken away.
    pub(crate) replacement: String,
}

/// The mutants of one source file with their numbers, from 1 through the whole list.
pub(crate) type OfFile = BTreeMap<u32, Mutant>;

/// The list by source file.
///
/// # Errors
/// When the text is not such a list.
pub(crate) fn by_file(list: &str) -> Result<BTreeMap<String, OfFile>, serde_json::Error> {
    let mutants: Vec<Mutant> = serde_json::from_str(list)?;
    let mut files: BTreeMap<String, OfFile> = BTreeMap::new();
    for (number, mutant) in (1..).zip(mutants) {
        files.entry(mutant.file.clone()).or_default().insert(number, mutant);
    }
    Ok(files)
}
