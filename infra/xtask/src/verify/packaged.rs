//! The package as it is deployed: the static program, against the C library of another project, started by the host double.

use crate::Failure;
use crate::repository::{cargo, run};
use crate::stages::Outcome;
use crate::{elf, musl};

/// Both roles run from a package with the static program. Where it cannot be built here, that is said, with what is missing.
pub(super) fn static_package() -> Result<Outcome, Failure> {
    if let Err(missing) = musl::is_to_be_had() {
        println!("{missing}");
        return Ok(Outcome::NotRun);
    }
    let program = musl::built("cordon")?;
    println!("{} {}", program.display(), elf::linkage_of(&program)?);
    let mut test = cargo(&["test", "--quiet", "-p", "tests", "--test", "package"]);
    run(test.env("CORDON_PACKAGED", program)).map(|()| Outcome::Passed)
}
