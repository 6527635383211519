//! Orders: `hold`, `release`, `cordon`, `readmit`, `approve`, `ack`, `override`, `pause`, `resume`, `mode`. Recorded first,
//! obeyed at the next evaluation.

use std::io::Write;

use adapters::{Clock, Ledger, StoreError, SystemClock};
use anyhow::Context;
use clap::Args;
use domain::overriding::Overridable;
use domain::policy::Span;
use domain::{Generation, InboxItem, ItemBody, Order, StampId, WorkloadId};
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::sources::{SourceArgs, open_ledger};
use super::{Exit, spool};
use crate::controller::order::{OrderRefused, command, item};
use crate::page::OrderRequest;

/// What every order needs.
#[derive(Args)]
pub(super) struct OrderArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Who gives the order; with --url the token says so
    #[arg(long, required_unless_present = "url")]
    by: Option<String>,
    /// Why; it is shown on the page and kept in the audit
    #[arg(long)]
    reason: String,
    /// Print the order's id as JSON
    #[arg(long)]
    json: bool,
}

/// An order about one stamp.
#[derive(Args)]
pub(super) struct StampOrderArgs {
    /// The stamp
    stamp: String,
    #[command(flatten)]
    order: OrderArgs,
}

/// Arguments of `approve`.
#[derive(Args)]
pub(super) struct ApproveArgs {
    /// The stamp
    stamp: String,
    /// The generation whose hold is approved, as the page shows it: E.N
    #[arg(long, value_name = "E.N", value_parser = generation)]
    generation: Generation,
    #[command(flatten)]
    order: OrderArgs,
}

/// Arguments of `override`.
#[derive(Args)]
pub(super) struct OverrideArgs {
    /// The stamp
    stamp: String,
    /// The safety rule: S2 (the survivors' capacity), S3 (one region per span) or S6 (quiet after a gap)
    #[arg(long, value_parser = rule)]
    rule: Overridable,
    /// The generation whose hold is overridden, as status and the page show it: E.N
    #[arg(long, value_name = "E.N", value_parser = generation)]
    generation: Generation,
    #[command(flatten)]
    order: OrderArgs,
}

/// Arguments of `mode`.
#[derive(Args)]
pub(super) struct ModeArgs {
    /// hard-loss, gray, platform-alert, overload or readmit
    cause: String,
    /// observe, advise, act, or policy to give it back to the policy's file
    mode: String,
    #[command(flatten)]
    order: OrderArgs,
}

/// Arguments of `pause`.
#[derive(Args)]
pub(super) struct PauseArgs {
    /// For how long, such as 90s, 30m or 2h; at most 24h
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    span: Span,
    #[command(flatten)]
    order: OrderArgs,
}

/// `cordon hold`.
pub(super) async fn hold(args: &StampOrderArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    give(&args.order, Order::Hold { stamp: StampId::new(&args.stamp) }, out).await
}

/// `cordon release`.
pub(super) async fn release(args: &StampOrderArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    give(&args.order, Order::Release { stamp: StampId::new(&args.stamp) }, out).await
}

/// `cordon approve`.
pub(super) async fn approve(args: &ApproveArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let order = Order::Approve { stamp: StampId::new(&args.stamp), generation: args.generation };
    give(&args.order, order, out).await
}

/// `cordon override`: sets a safety rule aside for one removal.
pub(super) async fn overriding(args: &OverrideArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let (stamp, rule, generation) = (StampId::new(&args.stamp), args.rule, args.generation);
    give(&args.order, Order::Override { stamp, rule, generation }, out).await
}

/// `cordon ack`.
pub(super) async fn acknowledge(args: &StampOrderArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    give(&args.order, Order::Acknowledge { stamp: StampId::new(&args.stamp) }, out).await
}

/// `cordon pause`.
pub(super) async fn pause(args: &PauseArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let until = SystemClock.now() + args.span.get();
    give(&args.order, Order::Pause { until }, out).await
}

/// `cordon resume`.
pub(super) async fn resume(args: &OrderArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    give(args, Order::Resume, out).await
}

/// `cordon cordon`: takes a stamp out by hand.
pub(super) async fn cordon(args: &StampOrderArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    give(&args.order, Order::Cordon { stamp: StampId::new(&args.stamp) }, out).await
}

/// `cordon readmit`: lets a stamp back early.
pub(super) async fn readmit(args: &StampOrderArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    give(&args.order, Order::Readmit { stamp: StampId::new(&args.stamp) }, out).await
}

/// `cordon mode`.
pub(super) async fn mode(args: &ModeArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let quoted = |text: &str| serde_json::Value::String(text.replace('-', "_"));
    let refused = |text: &str| OrderRefused(format!("{text:?} is none; --help lists them"));
    let cause = serde_json::from_value(quoted(&args.cause)).map_err(|_| refused(&args.cause))?;
    let mode = match args.mode.as_str() {
        "policy" => None,
        mode => Some(serde_json::from_value(quoted(mode)).map_err(|_| refused(mode))?),
    };
    give(&args.order, Order::Mode { cause, mode }, out).await
}

async fn give(args: &OrderArgs, order: Order, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let now = SystemClock.now();
    let by = args.by.as_deref().unwrap_or("by token");
    let command = command(by, &args.reason, order, now)?;
    if let Some(process) = args.source.process()? {
        let request = OrderRequest { order: command.order, reason: command.reason };
        let taken = process.order(&request).await?;
        told(args, &taken.id, "taken by the process: obeyed at its next evaluation", out)?;
        return Ok(Exit::Done);
    }
    let data = args.source.data().context("give an order: give --data DIR or --url http://..")?;
    let workload = args.source.workload()?;
    let item = item(command, now);
    let ledger = match open_ledger(data) {
        Ok(ledger) => ledger,
        // A process holds the file: it takes orders from the directory beside it.
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::Unavailable { .. })) => {
            spool::give(data, &workload, &item).await?;
            told(args, item.id.as_str(), "given to the running process: obeyed at its next evaluation", out)?;
            return Ok(Exit::Done);
        }
        Err(error) => return Err(error),
    };
    check_stamp(&ledger, &workload, &item).await?;
    ledger.append(&workload, std::slice::from_ref(&item)).await?;
    let obeyed = "recorded: obeyed at the next evaluation, when a process runs on this ledger";
    told(args, item.id.as_str(), obeyed, out)?;
    Ok(Exit::Done)
}

fn told(args: &OrderArgs, id: &str, what: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "id": id }))?;
    } else {
        writeln!(out, "{id} {what}")?;
    }
    Ok(())
}

/// A misspelt stamp is better refused here than in the audit.
async fn check_stamp(ledger: &impl Ledger, workload: &WorkloadId, item: &InboxItem) -> anyhow::Result<()> {
    let ItemBody::Command { command } = &item.body else { return Ok(()) };
    let (Order::Hold { stamp }
    | Order::Release { stamp }
    | Order::Approve { stamp, .. }
    | Order::Acknowledge { stamp }
    | Order::Cordon { stamp }
    | Order::Readmit { stamp }
    | Order::Override { stamp, .. }) = &command.order
    else {
        return Ok(());
    };
    let state = ledger.load(workload, 0).await?.state;
    let known: Vec<String> =
        state.iter().flat_map(|state| state.cases.keys()).map(ToString::to_string).collect();
    if known.iter().any(|known| known == stamp.as_str()) {
        return Ok(());
    }
    let text = match known.as_slice() {
        [] => format!("the ledger knows no stamp of {workload} yet"),
        known => format!("there is no stamp {stamp} in {workload}; there are {}", known.join(", ")),
    };
    Err(OrderRefused(text).into())
}

fn generation(text: &str) -> Result<Generation, String> {
    let parsed = text
        .split_once('.')
        .and_then(|(epoch, n)| Some(Generation { epoch: epoch.parse().ok()?, n: n.parse().ok()? }));
    parsed.ok_or_else(|| "write it as the page shows it, such as 1.42".to_owned())
}

fn rule(text: &str) -> Result<Overridable, String> {
    let named = serde_json::from_value(serde_json::Value::String(text.to_ascii_uppercase()));
    named.map_err(|_| "S2, S3 and S6 may be overridden, and no other rule".to_owned())
}

fn span(text: &str) -> Result<Span, String> {
    let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        text.into_deserializer();
    Span::deserialize(deserializer).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_and_spans_are_read_as_they_are_shown() {
        assert_eq!(generation("2.42"), Ok(Generation { epoch: 2, n: 42 }));
        assert!(generation("42").is_err());
        assert_eq!(span("2h"), Ok(Span::from_secs(7_200)));
        assert!(span("2 days").unwrap_err().contains("s, m or h"));
    }
}
