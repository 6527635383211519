//! One audit record with everything that decided it.

use std::fmt::{self, Write};

use domain::audit::AuditRecord;
use domain::decide::Decision;
use domain::explanation::Explanation;
use serde_json::Value;

use super::card;
use super::html::{document, esc};
use super::reasons::{self, About, list};
use super::words::time;
use super::{Failure, View};
use crate::controller::Controller;
use crate::edge::HttpReply;

/// Copies of one number that are looked at: a fork after a lost write region leaves two.
const COPIES_MAX: usize = 4;

/// Stamps whose evidence a record shows; its JSON has all.
const STAMPS_MAX: usize = 12;

/// The records of a number, from the ledger or, once that is trimmed, from the append-only copy.
pub(super) async fn find(controller: &Controller, seq: u64) -> Result<Vec<AuditRecord>, Failure> {
    let workload = &controller.policy.workload.name;
    let before = seq.checked_sub(1).ok_or(Failure::NotFound)?;
    let mut found = controller.ledger.audit(workload, before, 1).await?;
    found.retain(|record| record.seq == seq);
    if found.is_empty() {
        found = controller.audit.list(workload, before, COPIES_MAX).await?;
        found.retain(|record| record.seq == seq);
    }
    if found.is_empty() { Err(Failure::NotFound) } else { Ok(found) }
}

/// One record as a page.
pub(super) async fn page(view: &View<'_>, seq: u64) -> Result<HttpReply, Failure> {
    let found = find(view.controller, seq).await?;
    Ok(document(200, view.frame, &format!("Audit record {seq}"), |out| {
        for record in &found {
            one(out, record, view.frame.base)?;
        }
        Ok(())
    }))
}

fn one(out: &mut String, record: &AuditRecord, base: &str) -> fmt::Result {
    let (base, seq) = (esc(base), record.seq);
    writeln!(
        out,
        "<h1>Audit record {seq}</h1>\n<p class=\"lead\">{}</p>\n<div data-record>",
        esc(&record.headline)
    )?;
    writeln!(out, "<p class=\"soft\">{}, generation {}</p>", time(record.at), record.generation)?;
    list(out, 2, "Because", &record.because)?;
    let explanation: Option<Explanation> = serde_json::from_value(record.explanation.clone()).ok();
    if let Some(explanation) = &explanation {
        reasons::write(out, explanation, About::All, record.at, 2)?;
    }
    list(out, 2, "Refused by a safety rule", &findings(&record.findings))?;
    list(out, 2, "What was planned or changed", &steps(&record.steps))?;
    evidence(out, record)?;
    list(out, 2, "Events that went in", &record.consumed)?;
    let intact = if record.content_hash() == record.hash {
        "<span class=\"good\">matches the content</span>"
    } else {
        "<span class=\"bad\">does not match the content: the record was altered</span>"
    };
    let previous = if record.previous.is_empty() { "none, this is the first" } else { &record.previous };
    write!(
        out,
        "<h2>Its place in the chain</h2>\n<dl>\n<dt>Hash</dt><dd><code>{}</code> {intact}</dd>\n\
         <dt>Hash before</dt><dd><code>{}</code></dd>\n<dt>Policy</dt><dd><code>{}</code></dd>\n</dl>\n\
         <p><a href=\"{base}/v1/audit/{seq}\">The whole record as JSON</a>, with the situation that was judged.</p>\n</div>\n",
        esc(&record.hash),
        esc(previous),
        esc(&record.policy_hash)
    )?;
    out.write_str("<nav aria-label=\"Record before and after\"><ul class=\"pager\">\n")?;
    if seq > 1 {
        writeln!(out, "<li><a rel=\"prev\" href=\"{base}/audit/{}\">Record before</a></li>", seq - 1)?;
    }
    writeln!(out, "<li><a rel=\"next\" href=\"{base}/audit/{}\">Record after</a></li>", seq + 1)?;
    out.write_str("</ul></nav>\n")
}

/// What every class said of each stamp at that moment.
fn evidence(out: &mut String, record: &AuditRecord) -> fmt::Result {
    let decision: Option<Decision> = record.decision.read().ok();
    let Some(decision) = decision.filter(|decision| !decision.assessments.is_empty()) else { return Ok(()) };
    out.write_str("<h2>Evidence</h2>\n")?;
    for (stamp, assessment) in decision.assessments.iter().take(STAMPS_MAX) {
        writeln!(out, "<h3>{}</h3>", esc(stamp))?;
        card::evidence_table(out, assessment, record.at)?;
    }
    Ok(())
}

fn findings(findings: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = findings.as_array().into_iter().flatten();
    all.map(|one| format!("{}: {}: {}", text(&one["stamp"]), text(&one["rule"]), text(&one["text"])))
        .collect()
}

/// The record's steps in words: what `domain::judge` wrote for the reader, or the step's id and status.
pub(super) fn steps(steps: &Value) -> Vec<String> {
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
