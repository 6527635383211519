//! The report of an incident, from the audit alone: what happened, how long it took, what was done and why, what was
//! refused and why, what a faster or slower policy would have done, and what nobody has answered yet.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use domain::audit::AuditRecord;
use domain::audit_line::AuditLine;
use domain::decide::{Action, Situation};
use domain::judge::judge;
use domain::policy::Span;
use domain::state::Stage;
use domain::{Policy, StampId, explain};

use super::html::esc;
use super::incident::rows;
use super::story::Story;
use super::words::{clock_time, plain_time, readable, span};

/// Records read in full: those that decided something. An incident of more is told by its lines.
pub const RECORDS_MAX: usize = 40;

/// Lines of one list.
const LIST_MAX: usize = 100;

/// Enough to be read and printed.
const HTML_STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse}th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid}";

/// A paragraph of a report. Rendered twice: as Markdown and as markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A heading.
    Heading(String),
    /// A sentence or two.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// A table with its head.
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

/// What decides: the records of these lines are read in full.
pub fn deciding(story: &Story) -> Vec<u64> {
    let decides =
        |line: &&AuditLine| line.acts.iter().any(|act| act.code != "clear") || line.frozen.is_some();
    story.lines.iter().filter(decides).map(|line| line.seq).take(RECORDS_MAX).collect()
}

/// Draws up the report. `records` are those of `deciding`, as far as they are there.
pub fn incident(story: &Story, records: &[AuditRecord], policy: &Policy) -> Vec<Part> {
    let summary = story.summary();
    let mut parts = vec![Part::Text(happened(story))];
    for stamp in &summary.cordoned {
        let times = story.times(stamp);
        parts.push(Part::Heading(format!("Times of {stamp}")));
        let rows = rows(story, stamp, &times, policy).into_iter().map(|(what, at)| {
            let after = at.zip(times.first_symptom).map(|(at, from)| span(at.since(from)));
            vec![
                what.to_owned(),
                at.map_or("did not happen".to_owned(), plain_time),
                after.unwrap_or_default(),
            ]
        });
        parts.push(Part::Table(vec!["what", "at", "after the first symptom"], rows.collect()));
    }
    parts.push(Part::Heading("What was done, and why".to_owned()));
    parts.push(Part::List(done(records)));
    parts.push(Part::Heading("What was refused, and why".to_owned()));
    parts.push(Part::List(refused(story, records)));
    parts.push(Part::Heading("What another policy would have done".to_owned()));
    parts.push(Part::List(otherwise(&summary.cordoned, records, policy)));
    parts.push(Part::Heading("Timeline".to_owned()));
    parts.push(Part::List(timeline(story)));
    parts.push(Part::Heading("Open questions".to_owned()));
    parts.push(Part::List(open_questions(story, policy)));
    parts
}

fn happened(story: &Story) -> String {
    let summary = story.summary();
    let lasted = match summary.ended {
        Some(ended) => {
            format!("It lasted {}, until {}.", span(ended.since(summary.began)), plain_time(ended))
        }
        None => "It goes on.".to_owned(),
    };
    let seconds = |s: Option<u64>| s.map(|s| span(std::time::Duration::from_secs(s)));
    let detected = seconds(summary.detection_s)
        .map(|s| format!(" The removal was decided {s} after the first symptom."));
    let out = seconds(summary.recovery_s).map(|s| format!(" The stamp was out, read back, after {s}."));
    let frozen = if summary.frozen { " Removals were frozen for a while." } else { "" };
    format!(
        "{}. It began at {}. {lasted}{}{}{frozen} Records {} to {} of the audit tell it.",
        summary.title,
        plain_time(summary.began),
        detected.unwrap_or_default(),
        out.unwrap_or_default(),
        summary.first,
        summary.last
    )
}

/// Each deciding record with its first reason.
fn done(records: &[AuditRecord]) -> Vec<String> {
    let acted = |record: &&AuditRecord| {
        let rulings = record.decision["rulings"].as_object().into_iter().flatten();
        rulings.into_iter().any(|(_, ruling)| {
            !matches!(ruling["action"]["action"].as_str(), None | Some("stay" | "wait" | "hold"))
        })
    };
    let told = records.iter().filter(acted).map(|record| {
        let because = record.because.first().map(String::as_str).unwrap_or_default();
        let because =
            readable(because.strip_prefix(&record.headline).unwrap_or(because).trim_start_matches("; "));
        format!("{} (record {}): {}. Because {because}", clock_time(record.at), record.seq, record.headline)
    });
    or_nothing(told.collect())
}

/// Holds with how long they stood, safety rules, events and orders without effect.
fn refused(story: &Story, records: &[AuditRecord]) -> Vec<String> {
    let mut told: BTreeMap<(String, String), (String, String, usize)> = BTreeMap::new();
    for line in &story.lines {
        for act in line.acts.iter().filter(|act| act.code == "hold") {
            let at = clock_time(line.at);
            told.entry((act.stamp.to_string(), act.text.clone()))
                .and_modify(|(_, last, count)| {
                    last.clone_from(&at);
                    *count += 1;
                })
                .or_insert((at.clone(), at, 1));
        }
    }
    let mut lines: Vec<String> = told
        .into_iter()
        .map(|((stamp, text), (first, last, count))| match count {
            1 => format!("{stamp}: {text} (at {first})"),
            _ => format!("{stamp}: {text} (from {first} to {last})"),
        })
        .collect();
    for record in records {
        let findings = record.findings.as_array().into_iter().flatten();
        lines.extend(findings.map(|found| {
            let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
            format!(
                "{}: safety rule {}: {} (record {})",
                text("stamp"),
                text("rule"),
                text("text"),
                record.seq
            )
        }));
    }
    let notes = story.lines.iter().flat_map(|line| &line.notes);
    let mut refusals: BTreeMap<&str, usize> = BTreeMap::new();
    for note in notes.filter(|note| matches!(note.code.as_str(), "refused" | "order_refused")) {
        *refusals.entry(&note.text).or_default() += 1;
    }
    lines.extend(refusals.into_iter().map(|(text, count)| match count {
        1 => text.to_owned(),
        _ => format!("{text} ({count} times)"),
    }));
    lines.truncate(LIST_MAX);
    or_nothing(lines)
}

/// The recorded situations judged again under half and twice the confirmation times. Only moments with a record are
/// judged, so "not before" is exact and "already" may have been earlier still.
fn otherwise(cordoned: &[StampId], records: &[AuditRecord], policy: &Policy) -> Vec<String> {
    let mut lines = Vec::new();
    for stamp in cordoned {
        let decides = |record: &&AuditRecord| {
            record.decision["rulings"][stamp.as_str()]["action"]["action"] == "cordon"
        };
        let Some(decided) = records.iter().find(decides) else { continue };
        let (faster, slower) = (scaled(policy, 0.5), scaled(policy, 2.0));
        let earlier = records.iter().take_while(|record| record.seq < decided.seq);
        let earlier = earlier.filter_map(|record| Some((record, ruled(record, stamp, &faster)?)));
        let sooner = { earlier }.find(|(_, action)| matches!(action, Action::Cordon { .. }));
        lines.push(match sooner {
            Some((record, _)) => format!(
                "{stamp}: with half the confirmation times it would have been taken out already at {}, {} sooner",
                clock_time(record.at),
                span(decided.at.since(record.at))
            ),
            None => format!(
                "{stamp}: with half the confirmation times no recorded situation before {} would have taken it out",
                clock_time(decided.at)
            ),
        });
        lines.push(match ruled(decided, stamp, &slower) {
            Some(Action::Cordon { .. }) => format!(
                "{stamp}: with twice the confirmation times it would have been taken out at the same moment"
            ),
            Some(action) => format!(
                "{stamp}: with twice the confirmation times, at that moment: {}",
                explain::action(&action)
            ),
            None => format!("{stamp}: its situation cannot be judged again"),
        });
        let told = decided.explanation["counterfactuals"].as_array().into_iter().flatten();
        let told = told.filter(|one| one["stamp"].as_str() == Some(stamp.as_str()));
        lines.extend(told.filter_map(|one| one["in_words"].as_str()).map(readable));
    }
    or_nothing(lines)
}

fn scaled(policy: &Policy, factor: f64) -> Policy {
    let mut policy = policy.clone();
    let by = |value: &mut Span| *value = Span::from_secs(value.get().mul_f64(factor).as_secs());
    by(&mut policy.confirm.after);
    by(&mut policy.confirm.alone_after);
    by(&mut policy.gray.confirm_after);
    by(&mut policy.gray.confirm_alone_after);
    policy
}

fn ruled(record: &AuditRecord, stamp: &StampId, policy: &Policy) -> Option<Action> {
    let situation: Situation = record.situation.read().ok()?;
    judge(&situation, policy).decision.rulings.get(stamp).map(|ruling| ruling.action.clone())
}

fn timeline(story: &Story) -> Vec<String> {
    let mut lines: Vec<String> = story
        .lines
        .iter()
        .map(|line| {
            let planned: Vec<&str> = line.planned.iter().map(|step| step.text.as_str()).collect();
            let planned =
                if planned.is_empty() { String::new() } else { format!("; planned: {}", planned.join(", ")) };
            format!("{} {}{planned} (record {})", clock_time(line.at), line.headline, line.seq)
        })
        .collect();
    if lines.len() > LIST_MAX {
        let left = lines.len() - LIST_MAX;
        lines.truncate(LIST_MAX);
        lines.push(format!("and {left} more, in the audit"));
    }
    lines
}

/// What the audit shows and does not explain.
fn open_questions(story: &Story, policy: &Policy) -> Vec<String> {
    let mut lines = Vec::new();
    for stamp in story.stamps() {
        let times = story.times(&stamp);
        if times.step_backs > 0 {
            lines.push(format!(
                "{stamp} failed again when clients came back, {} times: was the cause gone?",
                times.step_backs
            ));
        }
        let ready = times.decided.and_then(|from| story.survivors_ready(&stamp, from, policy));
        if let (Some(decided), Some(ready)) = (times.decided, ready)
            && ready > decided
        {
            lines.push(format!(
                "For {} after the decision the others could not carry all of {stamp}'s load: is the head-room enough?",
                span(ready.since(decided))
            ));
        } else if times.decided.is_some() && ready.is_none() {
            lines.push(format!(
                "The others were never seen ready for all of {stamp}'s load: what kept them from growing?"
            ));
        }
        let last = story.lines.iter().rev().find_map(|line| line.stamps.get(&stamp));
        if last.is_some_and(|glance| glance.stage != Stage::Serving) {
            lines.push(format!("{stamp} does not serve at the end of this report: who looks after it?"));
        }
    }
    let failed = story.lines.iter().flat_map(|line| &line.notes);
    let failed = failed.filter(|note| note.code == "step_ended" && note.text.contains(": failed"));
    lines.extend(failed.map(|note| format!("A step failed: {}: why?", note.text)).take(LIST_MAX));
    if story.lines.iter().any(|line| line.frozen.is_some()) {
        lines.push(
            "Removals were frozen: which observer, or which shared dependency, was at fault?".to_owned(),
        );
    }
    or_nothing(lines)
}

fn or_nothing(lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { vec!["Nothing.".to_owned()] } else { lines }
}

/// As Markdown. What came from outside is text: what Markdown or a browser would read as markup is escaped.
pub fn markdown(title: &str, parts: &[Part]) -> String {
    let mut out = format!("# {}\n", plain(title));
    for part in parts {
        let _ = match part {
            Part::Heading(text) => write!(out, "\n## {}\n", plain(text)),
            Part::Text(text) => write!(out, "\n{}\n", plain(text)),
            Part::List(lines) => {
                out.push('\n');
                lines.iter().try_for_each(|line| writeln!(out, "- {}", plain(line)))
            }
            Part::Table(head, rows) => {
                let _ = writeln!(out, "\n| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()));
                rows.iter().try_for_each(|row| {
                    let cells: Vec<String> = row.iter().map(|cell| plain(cell)).collect();
                    writeln!(out, "| {} |", cells.join(" | "))
                })
            }
        };
    }
    out
}

/// As a document of its own: no script, nothing from elsewhere, everything escaped.
pub fn html(title: &str, parts: &[Part]) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{0}</title>\n<style>{HTML_STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{0}</h1>\n",
        esc(title)
    );
    let _ = parts.iter().try_for_each(|one| part(&mut out, one));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// One paragraph as markup.
pub(super) fn part(out: &mut String, part: &Part) -> fmt::Result {
    match part {
        Part::Heading(text) => writeln!(out, "<h2>{}</h2>", esc(text)),
        Part::Text(text) => writeln!(out, "<p>{}</p>", esc(text)),
        Part::List(lines) => {
            out.write_str("<ul>\n")?;
            lines.iter().try_for_each(|line| writeln!(out, "<li>{}</li>", esc(line)))?;
            out.write_str("</ul>\n")
        }
        Part::Table(head, rows) => {
            out.write_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Figures\">\n<table>\n<thead><tr>")?;
            head.iter().try_for_each(|cell| write!(out, "<th scope=\"col\">{}</th>", esc(cell)))?;
            out.write_str("</tr></thead>\n<tbody>\n")?;
            for row in rows {
                out.write_str("<tr>")?;
                row.iter().try_for_each(|cell| write!(out, "<td>{}</td>", esc(cell)))?;
                out.write_str("</tr>\n")?;
            }
            out.write_str("</tbody>\n</table>\n</div>\n")
        }
    }
}

fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' => plain.extend(['\\', c]),
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_is_text_in_markdown_too() {
        let hostile = "<script>alert(1)</script> [x](javascript:1) | `a` **b**\n# c";
        let text = markdown("x", &[Part::List(vec![hostile.to_owned()])]);
        for markup in ["<script", "[x](", "| `", " **b", "\n# c"] {
            assert!(!text.contains(markup), "{markup}: {text}");
        }
        let text = html(hostile, &[Part::List(vec![hostile.to_owned()]), Part::Text(hostile.to_owned())]);
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("<li>&lt;script&gt;"), "{text}");
    }
}
