//! What a Linux program needs at its start, read from its own head: the host's image decides which libraries there are.

use std::path::Path;
use std::{fmt, fs};

use crate::Failure;

/// `\x7fELF`, 64 bit, little endian: what every Azure host of today runs.
const MAGIC: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];

/// Program header that names a loader.
const PT_INTERP: u64 = 3;

/// Section that holds symbols.
const SHT_SYMTAB: u64 = 2;

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linkage {
    /// It needs a loader, and so the C library of the machine that built it or a newer one.
    Dynamic,
    /// It brings everything along.
    Static(Symbols),
    /// No 64-bit ELF program.
    Other,
}

/// Whether it still has its symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbols {
    Stripped,
    Kept,
}

/// How a program that lies in a file is linked.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn linkage_of(program: &Path) -> Result<Linkage, Failure> {
    let bytes = fs::read(program).map_err(|error| format!("read {}: {error}", program.display()))?;
    Ok(linkage(&bytes))
}

/// Reads the head of a program.
fn linkage(bytes: &[u8]) -> Linkage {
    if !bytes.starts_with(&MAGIC) {
        return Linkage::Other;
    }
    let programs = table(bytes, 0x20, 0x36, 0x38);
    let sections = table(bytes, 0x28, 0x3a, 0x3c);
    if programs.iter().any(|at| number(bytes, *at, 4) == Some(PT_INTERP)) {
        return Linkage::Dynamic;
    }
    let symbols = sections.iter().any(|at| number(bytes, at + 4, 4) == Some(SHT_SYMTAB));
    Linkage::Static(if symbols { Symbols::Kept } else { Symbols::Stripped })
}

/// Where the entries of a table lie, given where the head says offset, size of an entry, and count.
fn table(bytes: &[u8], offset_at: usize, size_at: usize, count_at: usize) -> Vec<usize> {
    let to_usize = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok()).unwrap_or(0);
    let offset = to_usize(number(bytes, offset_at, 8));
    let size = to_usize(number(bytes, size_at, 2));
    let count = to_usize(number(bytes, count_at, 2));
    (0..count).map(|index| offset.saturating_add(index.saturating_mul(size))).collect()
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(length)?)?;
    Some(part.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Refuses what was asked to be static and is not.
pub(crate) fn must_be_static_and_stripped(linkage: Linkage) -> Result<(), Failure> {
    match linkage {
        Linkage::Static(Symbols::Stripped) => Ok(()),
        other => Err(format!("asked for a static, stripped program; this one {other}")),
    }
}

impl fmt::Display for Linkage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dynamic => "is dynamic: it needs a C library at least as new as the one here",
            Self::Static(Symbols::Stripped) => "is static and stripped",
            Self::Static(Symbols::Kept) => "is static and has its symbols",
            Self::Other => "is no 64-bit Linux program: for tests only",
        })
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// A head with one program header and one section header of these types.
    fn head(program: u8, section: u8) -> Vec<u8> {
        let mut bytes = vec![0; 0x40 + 0x38 + 0x40];
        bytes[..6].copy_from_slice(&MAGIC);
        bytes[0x20] = 0x40;
        bytes[0x28] = 0x78;
        (bytes[0x36], bytes[0x38], bytes[0x3a], bytes[0x3c]) = (0x38, 1, 0x40, 1);
        bytes[0x40] = program;
        bytes[0x78 + 4] = section;
        bytes
    }

    #[test]
    fn a_loader_or_symbols_are_seen() {
        assert_eq!(linkage(&head(3, 1)), Linkage::Dynamic);
        assert_eq!(linkage(&head(1, 1)), Linkage::Static(Symbols::Stripped));
        assert_eq!(linkage(&head(1, 2)), Linkage::Static(Symbols::Kept));
        assert_eq!(linkage(b"#!/bin/sh"), Linkage::Other);
        assert!(must_be_static_and_stripped(Linkage::Static(Symbols::Kept)).is_err());
    }

    #[test]
    fn a_head_that_lies_is_no_panic() {
        let mut bytes = head(3, 2);
        bytes.truncate(0x3d);
        bytes[0x27] = 0xff;
        assert_eq!(linkage(&bytes), Linkage::Static(Symbols::Stripped));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_test_is_dynamic() {
        let bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        let dynamic = cfg!(target_env = "gnu") && linkage(&bytes) == Linkage::Dynamic;
        assert!(dynamic || !cfg!(target_env = "gnu"));
    }
}
