//! Incidents: the list, and one with its timeline, its figures and every record of it.

use std::fmt::{self, Write};

use domain::audit_line::{AuditLine, AuditQuery};
use domain::{Policy, StampId, Timestamp};

use super::explorer::kind;
use super::html::{document, esc};
use super::report::{self, Part};
use super::story::{LINES_MAX, StampTimes, Story, Summary};
use super::timeline;
use super::words::{short_time, span, time};
use super::{Failure, View, number};
use crate::controller::Controller;
use crate::edge::{HttpBody, HttpCall, HttpReply};

/// Incidents on one page.
pub(super) const LIST_MAX: usize = 20;

/// The story of an incident.
pub(super) async fn story(controller: &Controller, first: u64) -> Result<Story, Failure> {
    let query = AuditQuery { incident: Some(first), ..AuditQuery::default() };
    let lines = controller.ledger.audit_lines(&controller.policy.workload.name, &query, LINES_MAX).await?;
    Story::of(lines).ok_or(Failure::NotFound)
}

/// The latest incidents below a number, newest first, and whether there are more.
pub(super) async fn latest(
    controller: &Controller,
    before: Option<u64>,
) -> Result<(Vec<Summary>, bool), Failure> {
    let query = AuditQuery { beginnings: true, before, ..AuditQuery::default() };
    let begins =
        controller.ledger.audit_lines(&controller.policy.workload.name, &query, LIST_MAX + 1).await?;
    let mut summaries = Vec::new();
    for begin in begins.iter().take(LIST_MAX) {
        summaries.push(story(controller, begin.seq).await?.summary());
    }
    Ok((summaries, begins.len() > LIST_MAX))
}

/// The list.
pub(super) async fn list(view: &View<'_>, call: &HttpCall) -> Result<HttpReply, Failure> {
    let (summaries, more) = latest(view.controller, number(call, "before")?).await?;
    let base = esc(view.frame.base);
    Ok(document(200, view.frame, "Incidents", |out| {
        out.write_str("<h1>Incidents</h1>\n")?;
        if summaries.is_empty() {
            return out
                .write_str("<p>Nothing has happened yet: every record says that all stamps serve.</p>\n");
        }
        out.write_str(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Incidents\">\n<table>\n\
             <thead><tr><th scope=\"col\">Began</th><th scope=\"col\">What</th><th scope=\"col\">Lasted</th>\
             <th scope=\"col\">Detected after</th><th scope=\"col\">Out after</th><th scope=\"col\">Holds</th></tr></thead>\n<tbody>\n",
        )?;
        for one in &summaries {
            let lasted = one.ended.map_or("goes on".to_owned(), |ended| span(ended.since(one.began)));
            let seconds =
                |s: Option<u64>| s.map_or("-".to_owned(), |s| span(std::time::Duration::from_secs(s)));
            let look = if one.cordoned.is_empty() { "k-soft" } else { "k-bad" };
            writeln!(
                out,
                "<tr class=\"{look}\"><td>{}</td><th scope=\"row\"><a href=\"{base}/incident/{}\">{}</a></th><td>{lasted}</td>\
                 <td>{}</td><td>{}</td><td>{}</td></tr>",
                time(one.began),
                one.first,
                esc(&one.title),
                seconds(one.detection_s),
                seconds(one.recovery_s),
                one.holds
            )?;
        }
        out.write_str("</tbody>\n</table>\n</div>\n")?;
        if let Some(last) = summaries.last().filter(|_| more) {
            let before = last.first;
            writeln!(
                out,
                "<nav aria-label=\"Older incidents\"><a rel=\"next\" href=\"{base}/incidents?before={before}\">Older</a></nav>"
            )?;
        }
        Ok(())
    }))
}

/// One incident.
pub(super) async fn page(view: &View<'_>, first: u64) -> Result<HttpReply, Failure> {
    let story = story(view.controller, first).await?;
    let summary = story.summary();
    let base = esc(view.frame.base);
    Ok(document(200, view.frame, &format!("Incident {first}"), |out| {
        let look = if summary.ended.is_some() { "good" } else { "bad" };
        writeln!(out, "<div data-live>\n{}<section data-part=\"incident\">", super::html::LIVE)?;
        writeln!(out, "<h1 class=\"now {look}-edge\">{}</h1>", esc(&summary.title))?;
        let lasted = match summary.ended {
            Some(ended) => format!("until {}, {}", time(ended), span(ended.since(summary.began))),
            None => format!("and goes on, {} so far", span(story.end().at.since(summary.began))),
        };
        writeln!(
            out,
            "<p class=\"soft\">From {} {lasted}. <a href=\"{base}/incident/{first}/report\">Report</a> \
             (<a href=\"{base}/incident/{first}/report.md\">Markdown</a>). \
             <a href=\"{base}/audit?incident={first}\">Its records in the explorer</a>.</p>",
            time(summary.began)
        )?;
        timeline::draw(out, &story, &view.controller.policy)?;
        figures(out, &story, &summary, &view.controller.policy)?;
        records(out, &story, view.frame.base)?;
        out.write_str("</section>\n</div>\n")
    }))
}

/// The times of every stamp that was taken out, each with how long after the first symptom.
fn figures(out: &mut String, story: &Story, summary: &Summary, policy: &Policy) -> fmt::Result {
    if summary.cordoned.is_empty() {
        return out.write_str("<p>No stamp was taken out.</p>\n");
    }
    for stamp in &summary.cordoned {
        let times = story.times(stamp);
        writeln!(
            out,
            "<h2>Times of {name}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Times of {name}\">\n<table>\n\
             <thead><tr><th scope=\"col\">What</th><th scope=\"col\">At</th><th scope=\"col\">After the first symptom</th></tr></thead>\n<tbody>",
            name = esc(stamp)
        )?;
        for (what, at) in rows(story, stamp, &times, policy) {
            let after =
                at.zip(times.first_symptom).map(|(at, from)| span(at.since(from))).unwrap_or_default();
            let at = at.map_or("did not happen".to_owned(), time);
            writeln!(out, "<tr><th scope=\"row\">{what}</th><td>{at}</td><td>{after}</td></tr>")?;
        }
        writeln!(
            out,
            "</tbody>\n</table>\n</div>\n<p class=\"soft\">{} step backs, {} holds.</p>",
            times.step_backs, times.holds
        )?;
    }
    Ok(())
}

/// The moments of a stamp's incident in their usual order.
pub(super) fn rows(
    story: &Story,
    stamp: &StampId,
    times: &StampTimes,
    policy: &Policy,
) -> [(&'static str, Option<Timestamp>); 9] {
    let ready = times.decided.and_then(|from| story.survivors_ready(stamp, from, policy));
    [
        ("First symptom", times.first_symptom),
        ("Suspected", times.suspected),
        ("Removal decided (detection)", times.decided),
        ("Out of rotation, read back (recovery)", times.out),
        ("The others ready for all of its load", ready),
        ("Latched: origin to be disabled", times.latched),
        ("Healthy again", times.healthy_again),
        ("Return began", times.return_began),
        ("Serving again", times.serving),
    ]
}

fn records(out: &mut String, story: &Story, base: &str) -> fmt::Result {
    out.write_str("<h2>Every record</h2>\n<ol class=\"records\">\n")?;
    for line in &story.lines {
        record(out, line, base)?;
    }
    out.write_str("</ol>\n")?;
    if story.lines.len() == LINES_MAX {
        writeln!(out, "<p>Only the latest {LINES_MAX} records are shown; the explorer has all.</p>")?;
    }
    Ok(())
}

/// One record: its line, and inside what it planned and noted, with the way to all of it.
fn record(out: &mut String, line: &AuditLine, base: &str) -> fmt::Result {
    let (seq, base) = (line.seq, esc(base));
    writeln!(
        out,
        "<li class=\"{}\"><details id=\"record-{seq}\" data-from=\"{base}/audit/{seq}\"><summary>{} {}</summary>\n<div data-place>",
        kind(line),
        short_time(line.at),
        esc(&line.headline)
    )?;
    let planned =
        line.planned.iter().map(|one| format!("planned: {} (undone within {} s)", one.text, one.undo_s));
    let acts = line.acts.iter().map(|act| format!("{}: {}", act.stamp, act.text));
    let lines: Vec<String> =
        acts.chain(planned).chain(line.notes.iter().map(|note| note.text.clone())).collect();
    super::reasons::list(out, 3, "What it says", &lines)?;
    writeln!(
        out,
        "<p><a href=\"{base}/audit/{seq}\">Record {seq} with its evidence and rule trace</a></p>\n</div></details></li>"
    )
}

/// The report's parts, and its title.
async fn drawn_up(view: &View<'_>, first: u64) -> Result<(String, Vec<Part>), Failure> {
    let story = story(view.controller, first).await?;
    let mut records = Vec::new();
    for seq in report::deciding(&story) {
        // A record that is gone leaves a gap in the report and no more.
        records.extend(super::record::find(view.controller, seq).await.into_iter().flatten().take(1));
    }
    let title = format!("Incident {first}: {}", story.summary().title);
    Ok((title, report::incident(&story, &records, &view.controller.policy)))
}

/// The report as a page.
pub(super) async fn report(view: &View<'_>, first: u64) -> Result<HttpReply, Failure> {
    let (title, parts) = drawn_up(view, first).await?;
    let base = esc(view.frame.base);
    Ok(document(200, view.frame, &title, |out| {
        writeln!(
            out,
            "<h1>{}</h1>\n<p class=\"soft\"><a href=\"{base}/incident/{first}\">Timeline</a>, \
             <a href=\"{base}/incident/{first}/report.md\">the same as Markdown</a>. Made from the audit alone.</p>",
            esc(&title)
        )?;
        parts.iter().try_for_each(|one| report::part(out, one))
    }))
}

/// The report as Markdown.
pub(super) async fn report_markdown(view: &View<'_>, first: u64) -> Result<HttpReply, Failure> {
    let (title, parts) = drawn_up(view, first).await?;
    let text = report::markdown(&title, &parts);
    let body = HttpBody::Text { content_type: "text/markdown; charset=utf-8", text };
    Ok(HttpReply { status: 200, headers: vec![], body }
        .with_header("Content-Disposition", format!("attachment; filename=\"incident-{first}.md\"")))
}
