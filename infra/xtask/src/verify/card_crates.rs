//! The crates of an older generation that the product does without: `tests/card-crates` is a workspace of its own, with its own
//! lock file.

use crate::Failure;
use crate::repository::{cargo, root, run, target};
use crate::test::Outcome;

/// Microsoft's typed models read what we send and what our simulated Azure answers.
pub(super) fn card_crates() -> Result<Outcome, Failure> {
    let mut test = cargo(&["test", "--locked", "--quiet", "--", "--nocapture"]);
    test.current_dir(root().join("tests/card-crates"));
    test.env("CARGO_TARGET_DIR", target().join("verify/card-crates"));
    run(&mut test).map(|()| Outcome::Passed)
}
