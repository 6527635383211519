//! `cordon status`: what is happening now, once or redrawn.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use domain::explain;
use domain::state::Stage;

use super::sources::SourceArgs;
use super::{Environment, Exit, plan};
use crate::page::{StampStatus, Status};

/// Arguments of `cordon status`.
#[derive(Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Look again every so many seconds (5, half an evaluation's interval) until Ctrl-C; redraws on a terminal
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
}

/// Looks and prints.
pub(super) async fn run(
    args: &StatusArgs,
    environment: &Environment,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let terminal = std::io::stdout().is_terminal();
    let colours = terminal && environment.get("NO_COLOR").is_none();
    loop {
        let status = look(args).await?;
        if args.watch.is_some() && terminal && !args.json {
            write!(out, "\x1b[H\x1b[2J")?;
        }
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&status)?)?;
        } else {
            write!(out, "{}", text(&status, if colours { Paint::Colours } else { Paint::Plain }))?;
        }
        out.flush()?;
        let Some(seconds) = args.watch else { return Ok(Exit::Done) };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        }
    }
}

async fn look(args: &StatusArgs) -> anyhow::Result<Status> {
    match args.source.process()? {
        Some(process) => process.get("v1/status").await,
        None => {
            let app = plan::assembled(&args.source)?;
            Status::now(plan::controller(&app)?).await.map_err(|error| anyhow!(error))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Paint {
    Colours,
    Plain,
}

fn text(status: &Status, paint: Paint) -> String {
    let mut lines = vec![format!("{}: {}", status.workload, status.sentence)];
    let mut second = format!("as of {}, generation {}", status.as_of, status.generation);
    second.extend(status.next_change_at.map(|at| format!("; next possible change at {at}")));
    lines.push(second);
    lines.extend(status.frozen.map(|cause| format!("FROZEN: {}", explain::freeze(cause))));
    lines.extend(status.paused_until.map(|until| format!("PAUSED until {until}")));
    lines.push(String::new());
    lines.push(format!(
        "{:<16} {:<12} {:<22} {:>16}  {:<8} {:<9} what",
        "stamp", "stage", "since", "load/ready", "gate", "origin"
    ));
    lines.extend(status.stamps.iter().map(|stamp| row(stamp, paint)));
    if !status.under_way.is_empty() {
        lines.push(String::new());
        lines.extend(status.under_way.iter().map(|step| format!("under way: {step}")));
    }
    lines.join("\n") + "\n"
}

fn row(stamp: &StampStatus, paint: Paint) -> String {
    let load = match (stamp.load_rps, stamp.ready_rps) {
        (Some(load), Some(ready)) => format!("{load:.0}/{ready:.0}"),
        _ => "unknown".to_owned(),
    };
    let code = match stamp.stage {
        Stage::Serving => "32",
        Stage::Suspect | Stage::Proving | Stage::Readmitting => "33",
        Stage::Evacuating | Stage::Cordoned | Stage::Held => "31",
    };
    let stage = format!("{:<12}", explain::stage(stamp.stage));
    let stage = if paint == Paint::Colours { format!("\x1b[{code}m{stage}\x1b[0m") } else { stage };
    let approval = stamp.awaiting_approval.map(|generation| format!("; awaits approval of {generation}"));
    let overridable = stamp
        .overridable
        .map(|now| format!("; --rule {:?} --generation {} would override it", now.rule, now.generation));
    format!(
        "{:<16} {stage} {:<22} {load:>16}  {:<8} {:<9} {}{}{}",
        stamp.stamp.as_str(),
        stamp.since.to_string(),
        format!("{} %", stamp.gate.percent()),
        format!("{:?}", stamp.origin).to_lowercase(),
        stamp.action,
        approval.unwrap_or_default(),
        overridable.unwrap_or_default()
    )
}
