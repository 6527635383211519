//! `cordon may-deploy`: whether a deployment may run now. `cargo xtask deploy` asks this before it starts, and a pipeline can.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use domain::deployment::objections;
use domain::state::WorkloadState;
use domain::{StampId, StoredStep};
use serde::Deserialize;

use super::sources::SourceArgs;
use super::{Exit, parameters};
use crate::page::Status;

/// Arguments of `cordon may-deploy`.
#[derive(Args)]
pub(super) struct MayDeployArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// What is to be deployed: a Bicep parameter file, to see which stamps leave and which origins are held out
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Committed {
    state: Option<WorkloadState>,
    steps: Vec<StoredStep>,
}

/// Asks and prints; refused if anything speaks against it. What cannot be read speaks against it too.
pub(super) async fn run(args: &MayDeployArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let policy = args.source.policy()?.context("read the policy: give --policy FILE")?;
    let process = args.source.process()?.context("give --url: a deployment asks the process that watches")?;
    let status: Status = process.get("v1/status").await?;
    let Committed { state, steps } = process.get("state.json").await?;
    let state = state.context("read the state: nothing was ever committed; does Cordon see its stamps?")?;
    let (leaving, held_out) = match &args.parameters {
        Some(file) => who_leaves(&parameters::read(file)?, &state),
        None => (BTreeSet::new(), BTreeSet::new()),
    };
    let found = objections(&state, &steps, status.as_of, (&leaving, &held_out), &policy);
    for stamp in &leaving {
        writeln!(out, "{stamp} leaves by this deployment")?;
    }
    if found.is_empty() {
        let count = state.cases.len();
        writeln!(
            out,
            "a deployment may run: {count} stamps serve, and nothing of ours stands, as of {}",
            status.as_of
        )?;
        return Ok(Exit::Done);
    }
    writeln!(out, "a deployment must not run now:")?;
    for objection in found {
        writeln!(out, "  {objection}")?;
    }
    Ok(Exit::Refused)
}

/// Stamps that are there and that the file lets go, by `draining` or by leaving them out; and those whose origins it disables.
fn who_leaves(
    parameters: &parameters::Parameters,
    state: &WorkloadState,
) -> (BTreeSet<StampId>, BTreeSet<StampId>) {
    let stays =
        |stamp: &StampId| parameters.stamps.iter().any(|entry| entry.name == *stamp && !entry.draining);
    let leaving = state.cases.keys().filter(|stamp| !stays(stamp)).cloned().collect();
    (leaving, parameters.held_out.iter().cloned().collect())
}
