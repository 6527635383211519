//! The audit for people: the list, and one record with everything that decided it.

use std::fmt::{self, Write};

use domain::audit::AuditRecord;
use serde_json::Value;

use super::html::{document, esc};
use super::words::time;
use super::{Failure, number};
use crate::controller::Controller;
use crate::edge::{HttpCall, HttpReply};

/// Records on one page of the list.
const LIST_MAX: u64 = 50;

/// Copies of one number that are looked at: a fork after a lost write region leaves two.
const COPIES_MAX: usize = 4;

/// The list, newest first; without `after` its newest page.
pub(super) async fn list(controller: &Controller, call: &HttpCall, base: &str) -> Result<HttpReply, Failure> {
    let workload = &controller.policy.workload.name;
    let after = number(call, "after")?;
    let view = controller.ledger.load(workload, 0).await?;
    let newest = view.state.map_or(0, |state| state.audit_seq);
    let after = after.unwrap_or(newest.saturating_sub(LIST_MAX));
    let page = usize::try_from(LIST_MAX).unwrap_or(usize::MAX);
    let mut records = controller.ledger.audit(workload, after, page).await?;
    records.reverse();
    Ok(document(200, base, "Audit", |out| {
        out.write_str("<h1>Audit</h1>\n<p>Every decision, also the one to do nothing.</p>\n")?;
        table(out, &records, base)?;
        pager(out, base, after, newest)
    }))
}

/// A table of records, in the order given.
pub(super) fn table(out: &mut String, records: &[AuditRecord], base: &str) -> fmt::Result {
    if records.is_empty() {
        return out.write_str("<p>No record is here.</p>\n");
    }
    out.write_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Audit records\">\n<table>\n\
         <caption>Newest first</caption>\n<thead><tr><th scope=\"col\">Record</th><th scope=\"col\">At</th>\
         <th scope=\"col\">What</th></tr></thead>\n<tbody>\n",
    )?;
    let base = esc(base);
    for record in records {
        let (seq, at, headline) = (record.seq, time(record.at), esc(&record.headline));
        writeln!(
            out,
            "<tr><th scope=\"row\"><a href=\"{base}/audit/{seq}\" aria-label=\"Audit record {seq}\">{seq}</a></th>\
             <td>{at}</td><td>{headline}</td></tr>"
        )?;
    }
    out.write_str("</tbody>\n</table>\n</div>\n")
}

fn pager(out: &mut String, base: &str, after: u64, newest: u64) -> fmt::Result {
    let base = esc(base);
    out.write_str("<nav aria-label=\"Older and newer records\"><ul>\n")?;
    if after > 0 {
        let older = after.saturating_sub(LIST_MAX);
        writeln!(out, "<li><a rel=\"prev\" href=\"{base}/audit?after={older}\">Older</a></li>")?;
    }
    if after.saturating_add(LIST_MAX) < newest {
        let newer = after + LIST_MAX;
        writeln!(out, "<li><a rel=\"next\" href=\"{base}/audit?after={newer}\">Newer</a></li>")?;
    }
    out.write_str("</ul></nav>\n")
}

/// One record, from the ledger or, once that is trimmed, from the append-only copy.
pub(super) async fn record(controller: &Controller, seq: u64, base: &str) -> Result<HttpReply, Failure> {
    let workload = &controller.policy.workload.name;
    let before = seq.checked_sub(1).ok_or(Failure::NotFound)?;
    let mut found = controller.ledger.audit(workload, before, 1).await?;
    found.retain(|record| record.seq == seq);
    if found.is_empty() {
        found = controller.audit.list(workload, before, COPIES_MAX).await?;
        found.retain(|record| record.seq == seq);
    }
    if found.is_empty() {
        return Err(Failure::NotFound);
    }
    Ok(document(200, base, &format!("Audit record {seq}"), |out| {
        found.iter().try_for_each(|record| one(out, record, base))
    }))
}

fn one(out: &mut String, record: &AuditRecord, base: &str) -> fmt::Result {
    let (base, seq) = (esc(base), record.seq);
    writeln!(out, "<h1>Audit record {seq}</h1>\n<p class=\"now\">{}</p>", esc(&record.headline))?;
    let intact = if record.content_hash() == record.hash {
        "<span class=\"good\">matches the content</span>"
    } else {
        "<span class=\"bad\">does not match the content: the record was altered</span>"
    };
    let previous = if record.previous.is_empty() { "none, this is the first" } else { &record.previous };
    write!(
        out,
        "<dl>\n<dt>At</dt><dd>{}</dd>\n<dt>Generation</dt><dd>{}</dd>\n<dt>Hash</dt><dd><code>{}</code> {intact}</dd>\n\
         <dt>Hash before</dt><dd><code>{}</code></dd>\n<dt>Policy</dt><dd><code>{}</code></dd>\n</dl>\n",
        time(record.at),
        record.generation,
        esc(&record.hash),
        esc(previous),
        esc(&record.policy_hash)
    )?;
    texts(out, "Why, and why not", &record.because)?;
    texts(out, "What was planned or changed", &steps(&record.steps))?;
    texts(out, "Events that went in", &record.consumed)?;
    for (title, value) in
        [("Findings", &record.findings), ("Decision", &record.decision), ("Situation", &record.situation)]
    {
        json(out, title, value)?;
    }
    out.write_str("<nav aria-label=\"Record before and after\"><ul>\n")?;
    if seq > 1 {
        writeln!(out, "<li><a rel=\"prev\" href=\"{base}/audit/{}\">Record before</a></li>", seq - 1)?;
    }
    writeln!(out, "<li><a rel=\"next\" href=\"{base}/audit/{}\">Record after</a></li>", seq + 1)?;
    out.write_str("</ul></nav>\n")
}

fn texts(out: &mut String, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>{}</h2>\n<ul>", esc(title))?;
    for line in lines {
        writeln!(out, "<li>{}</li>", esc(line))?;
    }
    out.write_str("</ul>\n")
}

fn json(out: &mut String, title: &str, value: &Value) -> fmt::Result {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let (title, text) = (esc(title), esc(text));
    writeln!(
        out,
        "<details>\n<summary>{title} as JSON</summary>\n<pre tabindex=\"0\">{text}</pre>\n</details>"
    )
}

/// The record's steps in words: what `domain::judge` wrote for the reader, or the step's id and status.
fn steps(steps: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let Some(steps) = steps.as_array() else { return vec![] };
    steps
        .iter()
        .map(|entry| {
            let step = &entry["step"];
            match (entry["in_words"].as_str(), entry["undo_s"].as_u64()) {
                (Some(words), Some(undo_s)) => format!("planned: {words} (undone within {undo_s} s)"),
                _ => {
                    let words = serde_json::from_value(step["effect"].clone())
                        .map_or_else(|_| text(&step["id"]), |effect| domain::explain::effect(&effect));
                    format!("{}: {words}", text(&step["status"]["status"]))
                }
            }
        })
        .collect()
}
