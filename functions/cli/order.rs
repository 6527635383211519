//! Orders: `hold`, `release`, `approve`, `ack`, `pause`, `resume`. Recorded first, obeyed at the next evaluation.

use std::io::Write;
use std::path::PathBuf;

use adapters::{Clock, Ledger, StoreError, SystemClock};
use clap::Args;
use domain::policy::Span;
use domain::{Generation, InboxItem, ItemBody, Order, StampId, WorkloadId};
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::sources::{open_ledger, workload};
use super::{Exit, spool};
use crate::controller::order::{OrderRefused, command, item};

/// What every order needs.
#[derive(Args)]
pub(super) struct OrderArgs {
    /// The directory of the stores
    #[arg(long)]
    data: PathBuf,
    /// Who gives the order
    #[arg(long)]
    by: String,
    /// Why; it is shown on the page and kept in the audit
    #[arg(long)]
    reason: String,
    /// The policy file, for the workload's name; `policy.toml` here by default
    #[arg(long)]
    policy: Option<PathBuf>,
    /// The workload, where no policy is at hand
    #[arg(long)]
    workload: Option<String>,
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

async fn give(args: &OrderArgs, order: Order, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let workload = workload(args.workload.as_deref(), args.policy.as_deref())?;
    let now = SystemClock.now();
    let item = item(command(&args.by, &args.reason, order, now)?, now);
    let ledger = match open_ledger(&args.data) {
        Ok(ledger) => ledger,
        // A process holds the file: it takes orders from the directory beside it.
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::Unavailable { .. })) => {
            spool::give(&args.data, &workload, &item).await?;
            writeln!(out, "given to the running process as {}: obeyed at its next evaluation", item.id)?;
            return Ok(Exit::Done);
        }
        Err(error) => return Err(error),
    };
    check_stamp(&ledger, &workload, &item).await?;
    ledger.append(&workload, std::slice::from_ref(&item)).await?;
    writeln!(
        out,
        "recorded as {}: obeyed at the next evaluation, when a process runs on this ledger",
        item.id
    )?;
    Ok(Exit::Done)
}

/// A misspelt stamp is better refused here than in the audit.
async fn check_stamp(ledger: &impl Ledger, workload: &WorkloadId, item: &InboxItem) -> anyhow::Result<()> {
    let ItemBody::Command { command } = &item.body else { return Ok(()) };
    let (Order::Hold { stamp }
    | Order::Release { stamp }
    | Order::Approve { stamp, .. }
    | Order::Acknowledge { stamp }
    | Order::Cordon { stamp }
    | Order::Readmit { stamp }) = &command.order
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
