//! `cordon audit`: read, verify and export what was decided.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Instant;

use adapters::embedded;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use domain::audit::{AuditRecord, verify_chain};
use domain::audit_line::AuditQuery;
use domain::fork::{Copied, Trunk};
use domain::judge::{ReplayError, policy_hash, replay};
use domain::{Policy, StampId, Timestamp};

use super::Exit;
use super::sources::{Source, SourceArgs, ledger_file};

/// Records that `list` shows unless told otherwise.
const LIST_DEFAULT: usize = 50;

/// Commands of `cordon audit`.
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// The latest records, one line each
    List(ListArgs),
    /// One record with all its reasons
    Show(ShowArgs),
    /// Check the chain, the append-only copy, and that each decision comes out the same again
    Verify(VerifyArgs),
    /// Every record as one line of JSON, the oldest first
    Export(ExportArgs),
}

/// Arguments of `list`.
#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Only records before this number
    #[arg(long)]
    before: Option<u64>,
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many
    #[arg(long, default_value_t = LIST_DEFAULT)]
    max: usize,
    /// Print each line as JSON
    #[arg(long)]
    json: bool,
}

/// What to look for.
#[derive(Args)]
struct FilterArgs {
    /// Only what was done or noted about this stamp
    #[arg(long)]
    stamp: Option<String>,
    /// Only this decision's code, such as cordon, hold or ordered
    #[arg(long)]
    decision: Option<String>,
    /// Only where this rule fired, such as two_classes, held.frozen or S2
    #[arg(long)]
    rule: Option<String>,
    /// Only this incident, by the number of its first record
    #[arg(long)]
    incident: Option<u64>,
    /// Not before this moment, such as 2026-11-22T19:00:00Z
    #[arg(long, value_parser = moment)]
    from: Option<Timestamp>,
    /// Not after this moment
    #[arg(long, value_parser = moment)]
    until: Option<Timestamp>,
}

impl FilterArgs {
    fn query(&self, before: Option<u64>) -> AuditQuery {
        AuditQuery {
            stamp: self.stamp.as_deref().map(StampId::new),
            decision: self.decision.clone(),
            rule: self.rule.clone(),
            incident: self.incident,
            beginnings: false,
            from: self.from,
            until: self.until,
            before,
        }
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|error| error.to_string())
}

/// Arguments of `show`.
#[derive(Args)]
pub(super) struct ShowArgs {
    /// The record's number
    seq: u64,
    #[command(flatten)]
    source: SourceArgs,
    /// Print the whole record as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `verify`.
#[derive(Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Only the chain: every byte of every record, without running decisions again
    #[arg(long)]
    chain: bool,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `export`.
#[derive(Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// As it always is: lines of JSON
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub(super) async fn run(command: &AuditCommand, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match command {
        AuditCommand::List(args) => list(args, out).await,
        AuditCommand::Show(args) => show(args, out).await,
        AuditCommand::Verify(args) => verify(args, out).await,
        AuditCommand::Export(args) => export(args, out).await,
    }
}

async fn list(args: &ListArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let source = args.source.open()?;
    let lines = source.lines(&args.filter.query(args.before), args.max).await?;
    // The newest stands last, where a terminal shows it.
    for line in lines.iter().rev() {
        if args.json {
            writeln!(out, "{}", serde_json::to_string(line)?)?;
        } else {
            writeln!(out, "{:>6}  {:<24}  {}", line.seq, line.at.to_string(), one_line(&line.headline))?;
        }
    }
    Ok(Exit::Done)
}

async fn show(args: &ShowArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let source = args.source.open()?;
    let page = source.page(args.seq.saturating_sub(1)).await?;
    let Some(record) = &page.into_iter().find(|record| record.seq == args.seq) else {
        bail!("there is no audit record {}; `cordon audit list` shows which there are", args.seq);
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(record)?)?;
        return Ok(Exit::Done);
    }
    writeln!(out, "record {} of {}, generation {}", record.seq, record.workload, record.generation)?;
    writeln!(out, "at {}\n{}", record.at, one_line(&record.headline))?;
    let steps = record.steps.as_array().map(Vec::as_slice).unwrap_or_default();
    let planned = steps.iter().filter_map(|step| {
        let words = step["in_words"].as_str()?;
        Some(format!("{words} (undone within {} s)", step["undo_s"]))
    });
    for (title, lines) in [
        ("because", record.because.clone()),
        ("planned", planned.collect()),
        ("rejected", in_words(record, "alternatives")),
        ("otherwise", in_words(record, "counterfactuals")),
        ("events", record.consumed.clone()),
    ] {
        if !lines.is_empty() {
            writeln!(out, "\n{title}")?;
        }
        for line in lines {
            writeln!(out, "  {}", one_line(&line))?;
        }
    }
    writeln!(out, "\nhash {}\nthe decision and its situation: add --json", record.hash)?;
    Ok(Exit::Done)
}

/// What the record's explanation says of one matter, in words; nothing in records from before there was any.
fn in_words(record: &AuditRecord, matter: &str) -> Vec<String> {
    let all = record.explanation[matter].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|one| Some(one["in_words"].as_str()?.to_owned())).collect()
}

async fn export(args: &ExportArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let source = args.source.open()?;
    let mut after = 0;
    loop {
        let page = source.page(after).await?;
        let Some(last) = page.last() else { return Ok(Exit::Done) };
        after = last.seq;
        for record in &page {
            writeln!(out, "{}", serde_json::to_string(record)?)?;
        }
    }
}

/// Alert texts reach headlines; a terminal must not obey them.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What verifying counted.
#[derive(Default, serde::Serialize)]
struct Verified {
    records: u64,
    first: Option<u64>,
    last: Option<u64>,
    same_decision: u64,
    /// Policies that are needed to re-run the rest, by hash.
    other_policies: BTreeMap<String, u64>,
    not_rerun: u64,
    copied: Option<u64>,
    /// Records of the copy that the ledger lost in a change of write region, which its chain records.
    lost: u64,
    records_per_second: f64,
    broken: Vec<String>,
}

/// The chain alone, where the records lie. The file is not opened as a ledger: one that is damaged could not be, and the
/// records that are would stay unnamed.
fn verify_chain_only(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let Some(data) = args.source.data() else {
        bail!("walk the chain: --chain reads the stores; give --data DIR, or leave --chain out");
    };
    let path = ledger_file(data)?;
    let started = Instant::now();
    let found = embedded::examine(&path, &args.source.workload()?).with_context(|| {
        format!("examine {}; stop the process that has it open, or leave --chain out", path.display())
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let (walk, mut broken) = (&found.walk, found.walk.broken.clone());
    match found.head {
        // A broken last record is named already, and what it says of itself is no evidence of an end.
        Ok(Some(head))
            if walk.last.as_ref() != Some(&head) && broken.last().map(|(seq, _)| *seq) != Some(head.0) =>
        {
            broken
                .push((head.0, "is not the last that is there: the end of the audit is missing".to_owned()));
        }
        Ok(_) => {}
        Err(error) => broken.push((
            walk.last.as_ref().map_or(0, |(seq, _)| *seq),
            format!("is perhaps not the last: the state that names the last cannot be read ({error})"),
        )),
    }
    if args.json {
        let broken: Vec<_> =
            broken.iter().map(|(seq, what)| serde_json::json!({ "seq": seq, "what": what })).collect();
        writeln!(
            out,
            "{}",
            serde_json::json!({ "records": walk.records, "bytes": walk.bytes, "seconds": seconds, "broken": broken })
        )?;
    } else {
        #[expect(clippy::cast_precision_loss, reason = "megabytes for the reader")]
        let megabytes = walk.bytes as f64 / 1e6;
        writeln!(out, "{} records, {megabytes:.1} MB, {seconds:.2} s", walk.records)?;
        for (seq, what) in &broken {
            writeln!(out, "BROKEN: audit record {seq} {}", one_line(what))?;
        }
        writeln!(out, "{}", if broken.is_empty() { "the chain holds" } else { "the chain is broken" })?;
    }
    Ok(if broken.is_empty() { Exit::Done } else { Exit::Failed })
}

async fn verify(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if args.chain {
        return verify_chain_only(args, out);
    }
    let started = Instant::now();
    let policy = args.source.policy()?;
    let source = args.source.open()?;
    let mut verified = Verified::default();
    let trunk = chain(&source, policy.as_ref(), &mut verified).await?;
    compare_copy(&source, trunk, &mut verified).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for the reader")]
    let rate = verified.records as f64 / started.elapsed().as_secs_f64().max(1e-9);
    verified.records_per_second = rate.round();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&verified)?)?;
    } else {
        print(&verified, policy.as_ref(), out)?;
    }
    Ok(if verified.broken.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Walks the ledger's own records; returns what their copy is compared with.
async fn chain(source: &Source, policy: Option<&Policy>, verified: &mut Verified) -> anyhow::Result<Trunk> {
    // Before the walk: a running process may well write more records meanwhile.
    let stated = source.head().await?;
    let mut trunk = Trunk::default();
    let mut before: Option<(u64, String)> = None;
    loop {
        let after = before.as_ref().map_or(0, |(seq, _)| *seq);
        let page = source.page(after).await?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else { break };
        // A trimmed ledger starts later; its first record names what it follows.
        let head = before.take().unwrap_or_else(|| (first.seq.saturating_sub(1), first.previous.clone()));
        if let Err(error) = verify_chain(&page, Some((head.0, &head.1))) {
            verified.broken.push(error.to_string());
        }
        verified.first.get_or_insert(first.seq);
        verified.last = Some(last.seq);
        before = Some((last.seq, last.hash.clone()));
        for record in &page {
            verified.records += 1;
            if let Err(error) = trunk.take(record) {
                verified.broken.push(error.to_string());
            }
            rerun(record, policy, verified);
        }
    }
    if let Some(stated) = stated.filter(|stated| stated.seq > 0) {
        let found = match trunk.hash(stated.seq) {
            Some(hash) if hash == stated.hash => None,
            Some(_) => Some("has another content than the state remembers"),
            None => Some("is gone: the end of the audit is missing"),
        };
        if let Some(found) = found {
            verified.broken.push(format!("record {}, the last when this began, {found}", stated.seq));
        }
    }
    Ok(trunk)
}

fn rerun(record: &AuditRecord, policy: Option<&Policy>, verified: &mut Verified) {
    let Some(policy) = policy else {
        verified.not_rerun += 1;
        return;
    };
    match replay(record, policy) {
        Ok(()) => verified.same_decision += 1,
        Err(ReplayError::OtherPolicy { policy_hash, .. }) => {
            *verified.other_policies.entry(policy_hash).or_default() += 1;
        }
        Err(error) => verified.broken.push(error.to_string()),
    }
}

/// Holds the append-only copy against the ledger. A page may end between two records of one number, which a fork leaves there;
/// so the next begins with that number once more, without those of it that were seen.
async fn compare_copy(source: &Source, mut trunk: Trunk, verified: &mut Verified) -> anyhow::Result<()> {
    let (mut after, mut seen) = (0, BTreeSet::new());
    while let Some(page) = source.copy(after).await.context("verify the copy")? {
        let copied = verified.copied.get_or_insert(0);
        let new: Vec<&AuditRecord> = page.iter().filter(|record| !seen.contains(&record.id)).collect();
        let Some(last) = new.last().map(|last| last.seq) else { break };
        after = last.saturating_sub(1);
        seen = page.iter().filter(|record| record.seq == last).map(|record| record.id.clone()).collect();
        for record in new {
            match trunk.compare(record) {
                Ok(Copied::Same | Copied::Trimmed) => *copied += 1,
                Ok(Copied::Lost) => verified.lost += 1,
                Err(error) => {
                    *copied += 1;
                    verified.broken.push(error.to_string());
                }
            }
        }
    }
    Ok(())
}

fn print(verified: &Verified, policy: Option<&Policy>, out: &mut dyn Write) -> anyhow::Result<()> {
    match (verified.first, verified.last) {
        (Some(first), Some(last)) => {
            writeln!(
                out,
                "{} records, from {first} to {last}, {:.0} records per second",
                verified.records, verified.records_per_second
            )?;
        }
        _ => writeln!(out, "no records")?,
    }
    match policy {
        None => writeln!(out, "{} not re-run: give --policy to re-run the decisions", verified.not_rerun)?,
        Some(policy) => {
            let hash = policy_hash(policy);
            writeln!(
                out,
                "{} give the same decision again (policy {})",
                verified.same_decision,
                &hash[..16]
            )?;
        }
    }
    for (hash, count) in &verified.other_policies {
        writeln!(out, "{count} were made under another policy; re-run them with the one of hash {hash}")?;
    }
    match verified.copied {
        Some(copied) => {
            let missing = verified.records.saturating_sub(copied);
            writeln!(out, "{copied} are in the append-only copy, {missing} not yet")?;
        }
        None => writeln!(out, "the append-only copy cannot be read from here")?,
    }
    if verified.lost > 0 {
        writeln!(
            out,
            "{} more are in the copy alone: the ledger lost them in a change of write region, which its chain records",
            verified.lost
        )?;
    }
    for broken in &verified.broken {
        writeln!(out, "BROKEN: {}", one_line(broken))?;
    }
    writeln!(out, "{}", if verified.broken.is_empty() { "the audit holds" } else { "the audit is broken" })?;
    Ok(())
}
