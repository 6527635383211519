//! The static program: built for a target whose C library is linked in, since the host's image decides which one there is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::repository::{cargo, root, run, shown, target};
use crate::{Failure, elf};

/// Where a program runs whatever libraries the machine has.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Where the C compiler of that target is looked for, as the build scripts look: a variable, then a program of this name.
/// The TLS library is C.
const COMPILER_VARIABLES: [&str; 3] =
    ["CC_x86_64_unknown_linux_musl", "CC_x86_64-unknown-linux-musl", "TARGET_CC"];
const COMPILERS: [&str; 2] = ["musl-gcc", "x86_64-linux-musl-gcc"];

/// What helps where something is missing and cannot be installed from here.
const OTHERWISE: &str = "otherwise --binary takes a program that was built elsewhere";

/// Builds the release program, static and stripped, and returns where it is.
///
/// # Errors
/// When the target or its C compiler cannot be had, with what to do about it; when the build fails; when what was built
/// needs a loader or has its symbols.
pub(crate) fn built(package: &str) -> Result<PathBuf, Failure> {
    is_to_be_had()?;
    run(&mut cargo(&["build", "-p", package, "--release", "--target", TARGET]))?;
    let program = target().join(TARGET).join("release").join(package);
    elf::must_be_static_and_stripped(elf::linkage_of(&program)?)?;
    Ok(program)
}

/// What the build needs besides cargo.
///
/// # Errors
/// When the target or its C compiler cannot be had, with what to do about it.
pub(crate) fn is_to_be_had() -> Result<(), Failure> {
    needs_compiler()?;
    needs_target()
}

/// Rust's own part. Added where it is missing: it is a download of the toolchain that is pinned here, and nothing else of
/// the machine changes.
fn needs_target() -> Result<(), Failure> {
    // In the repository, whose toolchain is asked for its targets.
    let rustup = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(arguments).current_dir(root());
        command
    };
    let installed = match rustup(&["target", "list", "--installed"]).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        // A toolchain without rustup may well have it: the build will tell.
        Err(_) => return Ok(()),
    };
    if installed.lines().any(|line| line.trim() == TARGET) {
        return Ok(());
    }
    println!("adding the target {TARGET} to this toolchain, once");
    let mut add = rustup(&["target", "add", TARGET]);
    run(&mut add).map_err(|failure| {
        format!("{failure}; run `{}` where rustup's server can be reached; {OTHERWISE}", shown(&add))
    })
}

fn needs_compiler() -> Result<(), Failure> {
    let named =
        COMPILER_VARIABLES.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    let path = env::var_os("PATH").unwrap_or_default();
    if named || has_compiler(env::split_paths(&path)) {
        return Ok(());
    }
    Err(format!(
        "no C compiler for {TARGET}: neither {} is on the PATH, nor is {} set; install it (Debian: apt install \
         musl-tools); {OTHERWISE}",
        COMPILERS.join(" nor "),
        COMPILER_VARIABLES[0]
    ))
}

fn has_compiler(folders: impl Iterator<Item = PathBuf>) -> bool {
    let is_there = |folder: &Path| COMPILERS.iter().any(|compiler| folder.join(compiler).is_file());
    folders.into_iter().any(|folder| is_there(&folder))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_compiler_is_found_where_programs_are_looked_for() {
        let folder = env::temp_dir().join(format!("cordon-musl-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let search = || [PathBuf::from("/nowhere"), folder.clone()].into_iter();
        assert!(!has_compiler(search()));
        std::fs::write(folder.join("musl-gcc"), "").unwrap();
        assert!(has_compiler(search()));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
