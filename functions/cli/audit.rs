//! `cordon audit`: read, verify and export what was decided.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use domain::Policy;
use domain::audit::{AuditRecord, verify_chain};
use domain::judge::{ReplayError, policy_hash, replay};

use super::Exit;
use super::sources::{Source, SourceArgs};

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
    /// Only records after this one
    #[arg(long)]
    after: Option<u64>,
    /// At most so many
    #[arg(long, default_value_t = LIST_DEFAULT)]
    max: usize,
    /// Print whole records, one line of JSON each
    #[arg(long)]
    json: bool,
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
    let most = u64::try_from(args.max).unwrap_or(u64::MAX);
    let mut after = match args.after {
        Some(after) => after,
        None => source.head().await?.map_or(0, |head| head.seq.saturating_sub(most)),
    };
    let mut left = args.max;
    while left > 0 {
        let page = source.page(after).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for record in page.iter().take(left) {
            if args.json {
                writeln!(out, "{}", serde_json::to_string(record)?)?;
            } else {
                writeln!(
                    out,
                    "{:>6}  {:<24}  {}",
                    record.seq,
                    record.at.to_string(),
                    one_line(&record.headline)
                )?;
            }
        }
        left = left.saturating_sub(page.len());
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
    broken: Vec<String>,
}

async fn verify(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let policy = args.source.policy()?;
    let source = args.source.open()?;
    let mut verified = Verified::default();
    let hashes = chain(&source, policy.as_ref(), &mut verified).await?;
    compare_copy(&source, &hashes, &mut verified).await?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&verified)?)?;
    } else {
        print(&verified, policy.as_ref(), out)?;
    }
    Ok(if verified.broken.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Walks the ledger's own records; returns their hashes by number.
async fn chain(
    source: &Source,
    policy: Option<&Policy>,
    verified: &mut Verified,
) -> anyhow::Result<BTreeMap<u64, String>> {
    // Before the walk: a running process may well write more records meanwhile.
    let stated = source.head().await?;
    let mut hashes: BTreeMap<u64, String> = BTreeMap::new();
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
            hashes.insert(record.seq, record.hash.clone());
            rerun(record, policy, verified);
        }
    }
    if let Some(stated) = stated.filter(|stated| stated.seq > 0) {
        let found = match hashes.get(&stated.seq) {
            Some(hash) if *hash == stated.hash => None,
            Some(_) => Some("has another content than the state remembers"),
            None => Some("is gone: the end of the audit is missing"),
        };
        if let Some(found) = found {
            verified.broken.push(format!("record {}, the last when this began, {found}", stated.seq));
        }
    }
    Ok(hashes)
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

/// Holds the append-only copy against the ledger.
async fn compare_copy(
    source: &Source,
    hashes: &BTreeMap<u64, String>,
    verified: &mut Verified,
) -> anyhow::Result<()> {
    let mut after = 0;
    while let Some(page) = source.copy(after).await.context("verify the copy")? {
        let copied = verified.copied.get_or_insert(0);
        let Some(last) = page.last() else { break };
        after = last.seq;
        for record in &page {
            *copied += 1;
            let seq = record.seq;
            if record.content_hash() != record.hash {
                verified.broken.push(format!("the copy of record {seq} was altered"));
            }
            match hashes.get(&seq) {
                Some(hash) if *hash == record.hash => {}
                Some(_) => verified.broken.push(format!(
                    "record {seq} differs from its copy: altered, or a fork after a lost write region"
                )),
                None if hashes.keys().next().is_some_and(|first| seq < *first) => {}
                None => {
                    verified.broken.push(format!("record {seq} is in the copy and no longer in the ledger"))
                }
            }
        }
    }
    Ok(())
}

fn print(verified: &Verified, policy: Option<&Policy>, out: &mut dyn Write) -> anyhow::Result<()> {
    match (verified.first, verified.last) {
        (Some(first), Some(last)) => {
            writeln!(out, "{} records, from {first} to {last}", verified.records)?;
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
    for broken in &verified.broken {
        writeln!(out, "BROKEN: {}", one_line(broken))?;
    }
    writeln!(out, "{}", if verified.broken.is_empty() { "the audit holds" } else { "the audit is broken" })?;
    Ok(())
}
