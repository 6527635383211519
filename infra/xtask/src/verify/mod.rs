//! `cargo xtask verify`: what is checked with tools and components that this project did not write. What cannot be had makes
//! its stage "not run", never "passed".

mod card_crates;
mod infrastructure;
mod node;
mod packaged;
mod peers;

use crate::Failure;
use crate::stages::{Stage, run_every_stage};

/// What builds longest comes last.
const STAGES: [Stage; 11] = [
    ("infrastructure", infrastructure::infrastructure),
    ("policy", infrastructure::policy),
    ("seeded faults", infrastructure::seeded_faults),
    ("ARM client", peers::arm_client),
    ("ARM exchanges", peers::arm_exchanges),
    ("audit reader", peers::audit_reader),
    ("event publishers", peers::event_publishers),
    ("known tokens", peers::known_tokens),
    ("second Cosmos", peers::second_cosmos),
    ("card crates", card_crates::card_crates),
    ("static package", packaged::static_package),
];

/// The task: every stage, whatever becomes of the others. With names, these stages alone.
///
/// # Errors
/// When stages fail, or a name is none of a stage's.
pub(crate) fn run_task(only: &[String]) -> Result<(), Failure> {
    let known = |name: &String| STAGES.iter().any(|(stage, _)| stage == name);
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
        return Err(format!("{unknown}: no such stage; there are {}", names.join(", ")));
    }
    let chosen: Vec<Stage> = STAGES
        .into_iter()
        .filter(|(stage, _)| only.is_empty() || only.iter().any(|name| name == stage))
        .collect();
    run_every_stage(&chosen)
}
