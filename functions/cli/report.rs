//! `cordon report`: one incident, or a span of time, from the audit alone.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use domain::audit::AuditRecord;
use domain::audit_line::AuditQuery;
use domain::decide::Action;
use domain::{Policy, Timestamp};

use super::Exit;
use super::sources::{Source, SourceArgs};
use crate::page::Story;
use crate::page::report::{self, Part};
use crate::page::span_report::{self, Months};

/// Lines of a story, as the page takes them.
const LINES_MAX: usize = 500;

/// Incidents and lines of one span.
const INCIDENTS_MAX: usize = 1_000;

/// Arguments of `cordon report`.
#[derive(Args)]
pub(super) struct ReportArgs {
    /// The incident, by the number of its first record; the latest without it
    incident: Option<u64>,
    /// The last so many days instead, such as 30d
    #[arg(long, value_name = "DAYS", value_parser = days, conflicts_with = "incident")]
    since: Option<Duration>,
    #[command(flatten)]
    source: SourceArgs,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Print a document of HTML instead of Markdown
    #[arg(long, conflicts_with = "json")]
    html: bool,
}

fn days(text: &str) -> Result<Duration, String> {
    let days: u64 =
        text.strip_suffix('d').unwrap_or(text).parse().map_err(|_| "write it as 30d".to_owned())?;
    if (1..=3_660).contains(&days) {
        Ok(Duration::from_secs(days * 86_400))
    } else {
        Err("1d to 3660d".to_owned())
    }
}

/// Draws one up and prints it.
pub(super) async fn run(args: &ReportArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let policy = args.source.policy()?.context("read the policy: give --policy FILE")?;
    let source = args.source.open()?;
    match args.since {
        Some(since) => span(args, &source, &policy, since, out).await,
        None => incident(args, &source, &policy, out).await,
    }
}

async fn incident(
    args: &ReportArgs,
    source: &Source,
    policy: &Policy,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let first = match args.incident {
        Some(first) => first,
        None => {
            let latest = source.beginnings(None, 1).await?;
            match latest.first() {
                Some(first) => *first,
                None => bail!("no incident is in this audit; `cordon audit list` shows what is"),
            }
        }
    };
    let story = story(source, first).await?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&story.summary())?)?;
        return Ok(Exit::Done);
    }
    let mut records = Vec::new();
    for seq in report::deciding(&story) {
        records.extend(
            source.page(seq.saturating_sub(1)).await?.into_iter().take(1).filter(|record| record.seq == seq),
        );
    }
    let title = format!("Incident {first}: {}", story.summary().title);
    write!(out, "{}", written(args, &title, &report::incident(&story, &records, policy)))?;
    Ok(Exit::Done)
}

/// The removals and returns that a mode kept from being done in this record.
fn would_have_been_done(record: &AuditRecord) -> Vec<String> {
    let rulings = record.explanation["unenforced"]["rulings"].as_object().into_iter().flatten();
    rulings
        .filter_map(|(stamp, ruling)| {
            let action: Action = serde_json::from_value(ruling["action"].clone()).ok()?;
            let idle = matches!(action, Action::Stay | Action::Wait { .. } | Action::Hold { .. });
            let words = domain::explain::action(&action);
            (!idle).then(|| format!("{stamp}: {words} (at {}, record {})", record.at, record.seq))
        })
        .collect()
}

fn written(args: &ReportArgs, title: &str, parts: &[Part]) -> String {
    if args.html { report::html(title, parts) } else { report::markdown(title, parts) }
}

async fn story(source: &Source, first: u64) -> anyhow::Result<Story> {
    let query = AuditQuery { incident: Some(first), ..AuditQuery::default() };
    let lines = source.lines(&query, LINES_MAX).await?;
    Story::of(lines)
        .with_context(|| format!("find incident {first}; `cordon report` without a number takes the latest"))
}

async fn span(
    args: &ReportArgs,
    source: &Source,
    policy: &Policy,
    since: Duration,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let newest = source.lines(&AuditQuery::default(), 1).await?;
    let until: Timestamp = newest.first().map(|line| line.at).context("read the audit: it is empty")?;
    let from = until.before(since);
    let mut months = Months { from, until, stories: Vec::new(), wrong: Vec::new(), watched: Vec::new() };
    for first in source.beginnings(Some(from), INCIDENTS_MAX).await? {
        months.stories.push(story(source, first).await?);
    }
    ensure!(months.stories.len() < INCIDENTS_MAX, "more than {INCIDENTS_MAX} incidents: take a shorter span");
    for decision in ["cordon", "hold"] {
        let query = AuditQuery { decision: Some(decision.into()), from: Some(from), ..AuditQuery::default() };
        for line in source.lines(&query, INCIDENTS_MAX).await? {
            if decision == "hold" && !line.rules.iter().any(|rule| rule.starts_with("held.mode_")) {
                continue;
            }
            let record = source.page(line.seq.saturating_sub(1)).await?.into_iter().next();
            let Some(record) = record else { continue };
            if decision == "hold" {
                months.watched.extend(would_have_been_done(&record));
                continue;
            }
            for act in line.acts.iter().filter(|act| act.code == "cordon") {
                let stamp = act.stamp.as_str();
                let healthy =
                    record.decision["assessments"][stamp]["views"]["direct"]["verdict"] == "healthy";
                let ordered = record.decision["cases"][stamp]["cause"] == "order";
                if healthy && !ordered {
                    months.wrong.push(format!("{stamp} at {} (record {})", line.at, line.seq));
                }
            }
        }
    }
    if args.json {
        let summaries: Vec<_> = months.stories.iter().map(Story::summary).collect();
        let value = serde_json::json!({ "from": from, "until": until, "incidents": summaries,
            "wrong": months.wrong, "watched": months.watched });
        writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
    } else {
        let title = format!("{}: the last {} days", policy.workload.name, since.as_secs() / 86_400);
        write!(out, "{}", written(args, &title, &span_report::parts(&months, policy)))?;
    }
    Ok(Exit::Done)
}
