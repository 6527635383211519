//! Orders: `hold`, `release`, `approve`, `ack`, `pause`, `resume`. Recorded first, obeyed at the next evaluation.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use adapters::{Clock, Ledger, StoreError, SystemClock};
use clap::Args;
use domain::policy::Span;
use domain::{
    Command, Generation, InboxItem, ItemBody, ItemId, NOTE_CHARS_MAX, Order, StampId, Timestamp, WorkloadId,
};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use sha2::{Digest, Sha256};

use super::sources::{open_ledger, workload};
use super::{Exit, spool};

/// The longest pause. Who wants the automation away for longer changes the policy's modes, where it is reviewed.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// An order that cannot be given as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the order was not given: {0}")]
pub(super) struct OrderRefused(String);

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
    if args.span.get().is_zero() || args.span.get() > PAUSE_MAX {
        let text = format!(
            "a pause of {} is not between 1s and 24h; for longer, change the policy's modes",
            args.span
        );
        return Err(OrderRefused(text).into());
    }
    let until = SystemClock.now() + args.span.get();
    give(&args.order, Order::Pause { until }, out).await
}

/// `cordon resume`.
pub(super) async fn resume(args: &OrderArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    give(args, Order::Resume, out).await
}

async fn give(args: &OrderArgs, order: Order, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let workload = workload(args.workload.as_deref(), args.policy.as_deref())?;
    let by = words("--by", &args.by)?;
    let reason = words("--reason", &args.reason)?;
    let item = item(Command { by, reason, order }, SystemClock.now());
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
    | Order::Acknowledge { stamp }) = &command.order
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

/// The id is a nonce of content and moment: the same order given again later is another order, one delivered twice is
/// the same.
fn item(command: Command, now: Timestamp) -> InboxItem {
    let content = serde_json::to_string(&command).unwrap_or_default();
    let digest = Sha256::digest(format!("{}\n{content}", now.as_millis()));
    let nonce: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    InboxItem {
        id: ItemId::new(format!("order-{nonce}")),
        event_at: now,
        received_at: now,
        body: ItemBody::Command { command },
    }
}

fn words(argument: &str, text: &str) -> Result<String, OrderRefused> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(OrderRefused(format!("{argument} is empty; the audit needs it"))),
        count if count > NOTE_CHARS_MAX => Err(OrderRefused(format!(
            "{argument} has {count} characters, the audit keeps {NOTE_CHARS_MAX}; shorten it"
        ))),
        _ => Ok(domain::note(text)),
    }
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

    fn command(reason: &str) -> Command {
        Command { by: "sam".into(), reason: reason.into(), order: Order::Resume }
    }

    #[test]
    fn an_order_given_again_later_is_another_order() {
        let (now, later) = (Timestamp::from_secs(60), Timestamp::from_secs(61));
        assert_eq!(item(command("a"), now).id, item(command("a"), now).id);
        assert_ne!(item(command("a"), now).id, item(command("a"), later).id);
        assert_ne!(item(command("a"), now).id, item(command("b"), now).id);
    }

    #[test]
    fn generations_and_spans_are_read_as_they_are_shown() {
        assert_eq!(generation("2.42"), Ok(Generation { epoch: 2, n: 42 }));
        assert!(generation("42").is_err());
        assert_eq!(span("2h"), Ok(Span::from_secs(7_200)));
        assert!(span("2 days").unwrap_err().contains("s, m or h"));
    }
}
