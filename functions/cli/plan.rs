//! `cordon plan`: what would be done now, and why not, without doing it.

use std::io::Write;
use std::sync::Arc;

use adapters::azure::credential::IdentityEnvironment;
use adapters::faulty::FaultSwitch;
use anyhow::{Context, bail};
use clap::Args;

use super::Exit;
use super::sources::{SourceArgs, open_ledger};
use crate::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use crate::controller::{self, Controller};
use crate::edge::{App, Role};
use crate::page::Forecast;

/// Nothing is asked of Azure: a plan is judged on what the ledger holds. A closed port makes sure of it.
const NO_AZURE: &str = "http://127.0.0.1:9";

/// Arguments of `cordon plan`.
#[derive(Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Judges and prints.
pub(super) async fn run(args: &PlanArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let forecast = match args.source.process()? {
        Some(process) => process.get("plan.json").await?,
        None => judged_here(args).await?,
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&forecast)?)?;
    } else {
        print(&forecast, out)?;
    }
    Ok(Exit::Done)
}

async fn judged_here(args: &PlanArgs) -> anyhow::Result<Forecast> {
    let app = assembled(&args.source)?;
    let controller = controller(&app)?;
    let situation = controller::situation(controller).await.context("read the ledger")?;
    Ok(Forecast::of(&situation, &controller.policy))
}

/// The controller of an assembled app.
pub(super) fn controller(app: &App) -> anyhow::Result<&Controller> {
    let Role::Controller(app) = &app.role else { bail!("assemble a controller: got another role") };
    Ok(app.controllers.only().context("assemble one controller: got several")?)
}

/// A controller over the embedded stores of a directory that asks nobody else.
pub(super) fn assembled(source: &SourceArgs) -> anyhow::Result<Arc<App>> {
    let data = source.data().context("give --data DIR")?;
    let policy = source.policy()?.context("read the policy: give --policy FILE")?;
    // Opened once to see that it is there and free, because assembling would create it.
    drop(open_ledger(data)?);
    let settings = ControllerSettings {
        policies: vec![policy],
        store: StoreKind::Embedded(data.to_owned()),
        clock: ClockKind::System,
        arm_base: None,
        arm_loopback: Some(NO_AZURE.to_owned()),
        arm_token: Some("none".to_owned()),
        identity: IdentityEnvironment::default(),
        stamp_key: String::new(),
        instance: "plan".to_owned(),
        ledger_faults: FaultSwitch::new(),
        gate_faults: FaultSwitch::new(),
    };
    assemble::controller(&settings, None)
}

fn print(forecast: &Forecast, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "as of {}: {}", forecast.as_of, forecast.headline)?;
    let steps = forecast.steps.iter().map(|step| format!("{} (undone within {} s)", step.text, step.undo_s));
    for (title, lines) in [
        ("would do", steps.collect::<Vec<_>>()),
        ("would do if every cause were allowed to act", forecast.unenforced.clone()),
        ("under way", forecast.under_way.clone()),
        ("refused by a safety rule", forecast.refused.clone()),
        ("because", forecast.because.clone()),
        ("rejected", forecast.alternatives.clone()),
        ("otherwise", forecast.counterfactuals.clone()),
    ] {
        if !lines.is_empty() {
            writeln!(out, "\n{title}")?;
        }
        for line in lines {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}
