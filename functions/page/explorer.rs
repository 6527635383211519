//! The audit explorer: lists by stamp, time, decision and rule, each with an address of its own, and exports.

use std::fmt::{self, Write};

use domain::audit_line::{AuditLine, AuditQuery};
use domain::{StampId, Timestamp};

use super::html::{document, esc};
use super::words::time;
use super::{Failure, View, number};
use crate::edge::{HttpBody, HttpCall, HttpReply};

/// Lines on one page of the list.
const LIST_MAX: usize = 50;

/// Lines of one CSV: a line is some hundred bytes.
const CSV_MAX: usize = 5_000;

/// Whole records of one answer as JSON Lines: each holds its situation, some tens of kilobytes.
const RECORDS_MAX: usize = 100;

/// The decisions that one can look for, with their words.
const DECISIONS: [(&str, &str); 27] = [
    ("suspect", "became suspect"),
    ("clear", "is no longer suspect"),
    ("cordon", "cordoned"),
    ("close_gate", "gate closed"),
    ("close_by_override", "gate closed by override"),
    ("evacuate_partly", "evacuated in part"),
    ("confirm_cordon", "gate read back"),
    ("latch", "latched"),
    ("hold", "held"),
    ("start_window", "healthy again"),
    ("restart_window", "window void"),
    ("enable_origin", "origin enabled"),
    ("return_early", "came back early"),
    ("open_slice", "slice opened"),
    ("step_back", "stepped back"),
    ("emergency_return", "emergency return"),
    ("serve", "serves again"),
    ("freeze", "frozen"),
    ("ordered", "order taken"),
    ("overridden", "safety rule overridden"),
    ("order_refused", "order refused"),
    ("step_ended", "step ended"),
    ("refused", "event refused"),
    ("topology_changed", "topology changed"),
    ("quota_short", "quota short"),
    ("quota_enough", "quota no longer short"),
    ("return_by_order", "came back by order"),
];

/// Rules that are offered; any other code can be written as well.
const RULES: [&str; 28] = [
    "two_classes",
    "one_class_alone",
    "full",
    "alerted",
    "cannot_grow",
    "discounted.masked",
    "discounted.shared_dependency",
    "discounted.vantages_disagree",
    "frozen.most_regions_at_once",
    "frozen.edge_red_direct_green",
    "held.frozen",
    "held.quiet",
    "held.velocity",
    "held.needs_approval",
    "held.needs_acknowledgement",
    "held.capacity_short",
    "held.last_serving",
    "held.operator",
    "held.paused",
    "stepped_back.bad_sample",
    "stepped_back.too_much_load",
    "S1",
    "S2",
    "S3",
    "S6",
    "S7",
    "S8",
    "S12",
];

/// The query of a request.
pub(super) fn query(call: &HttpCall) -> Result<AuditQuery, Failure> {
    let text = |name: &str| call.query.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let at = |name: &str| text(name).map(|text| moment(name, text)).transpose();
    Ok(AuditQuery {
        stamp: text("stamp").map(StampId::new),
        decision: text("decision").map(str::to_owned),
        rule: text("rule").map(str::to_owned),
        incident: number(call, "incident")?,
        beginnings: false,
        from: at("from")?,
        until: at("until")?,
        before: number(call, "before")?,
    })
}

/// A moment as RFC 3339, or as a browser's field writes one, without seconds or zone: then UTC.
fn moment(name: &str, text: &str) -> Result<Timestamp, Failure> {
    Timestamp::parse(text).or_else(|_| Timestamp::parse(&format!("{text}:00"))).map_err(|_| {
        Failure::BadParameter(format!("{name}={text:?} is no time in UTC, such as {name}=2026-11-22T19:00."))
    })
}

/// The same query as an address, without its place in the list.
fn address(query: &AuditQuery) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            pairs.append_pair(name, &value);
        }
    };
    add("stamp", query.stamp.as_ref().map(ToString::to_string));
    add("decision", query.decision.clone());
    add("rule", query.rule.clone());
    add("incident", query.incident.map(|first| first.to_string()));
    add("from", query.from.map(|at| at.to_string()));
    add("until", query.until.map(|at| at.to_string()));
    pairs.finish()
}

/// The list, newest first.
pub(super) async fn list(view: &View<'_>, call: &HttpCall) -> Result<HttpReply, Failure> {
    let query = query(call)?;
    let workload = &view.controller.policy.workload.name;
    let ledger = &view.controller.ledger;
    let mut lines = ledger.audit_lines(workload, &query, LIST_MAX + 1).await?;
    let more = lines.len() > LIST_MAX;
    lines.truncate(LIST_MAX);
    let stamps: Vec<StampId> = match ledger.load(workload, 0).await?.state {
        Some(state) => state.cases.into_keys().chain(state.departed.into_keys()).collect(),
        None => vec![],
    };
    Ok(document(200, view.frame, "Audit", |out| {
        out.write_str("<h1>Audit</h1>\n<p class=\"soft\">Every decision, also the one to do nothing, newest first.</p>\n")?;
        form(out, view.frame.base, &query, &stamps)?;
        table(out, &lines, view.frame.base)?;
        pager(out, view.frame.base, &query, lines.last().filter(|_| more))?;
        exports(out, view.frame.base, &query)
    }))
}

fn form(out: &mut String, base: &str, query: &AuditQuery, stamps: &[StampId]) -> fmt::Result {
    let base = esc(base);
    write!(
        out,
        "<form class=\"filter\" method=\"get\" action=\"{base}/audit\" role=\"search\" aria-label=\"Filter the audit\">\n\
         <label>Stamp <select name=\"stamp\"><option value=\"\">all</option>"
    )?;
    for stamp in stamps {
        let chosen = if query.stamp.as_ref() == Some(stamp) { " selected" } else { "" };
        write!(out, "<option{chosen}>{}</option>", esc(stamp))?;
    }
    out.write_str(
        "</select></label>\n<label>Decision <select name=\"decision\"><option value=\"\">all</option>",
    )?;
    for (code, words) in DECISIONS {
        let chosen = if query.decision.as_deref() == Some(code) { " selected" } else { "" };
        write!(out, "<option value=\"{code}\"{chosen}>{words}</option>")?;
    }
    let rule = esc(query.rule.as_deref().unwrap_or_default());
    write!(
        out,
        "</select></label>\n<label>Rule <input name=\"rule\" list=\"rules\" value=\"{rule}\" autocomplete=\"off\"></label>\n\
         <datalist id=\"rules\">"
    )?;
    for rule in RULES {
        write!(out, "<option value=\"{rule}\">")?;
    }
    out.write_str("</datalist>\n")?;
    for (name, label, at) in [("from", "From, UTC", query.from), ("until", "Until, UTC", query.until)] {
        let at = at.map(|at| at.to_string().chars().take(19).collect::<String>()).unwrap_or_default();
        writeln!(
            out,
            "<label>{label} <input type=\"datetime-local\" name=\"{name}\" step=\"1\" value=\"{}\"></label>",
            esc(at.trim_end_matches('Z'))
        )?;
    }
    if let Some(first) = query.incident {
        writeln!(out, "<input type=\"hidden\" name=\"incident\" value=\"{first}\">")?;
    }
    writeln!(
        out,
        "<button type=\"submit\">Filter</button> <a class=\"button\" href=\"{base}/audit\">Clear</a>\n</form>"
    )
}

/// A table of lines, in the order given.
pub(super) fn table(out: &mut String, lines: &[AuditLine], base: &str) -> fmt::Result {
    if lines.is_empty() {
        return out.write_str("<p>No record is here.</p>\n");
    }
    out.write_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Audit records\">\n<table class=\"lines\">\n\
         <thead><tr><th scope=\"col\">Record</th><th scope=\"col\">At</th>\
         <th scope=\"col\">What</th></tr></thead>\n<tbody>\n",
    )?;
    let base = esc(base);
    for line in lines {
        let (seq, at, headline) = (line.seq, time(line.at), esc(&line.headline));
        let look = kind(line);
        writeln!(
            out,
            "<tr class=\"{look}\"><th scope=\"row\"><a href=\"{base}/audit/{seq}\" aria-label=\"Audit record {seq}\">{seq}</a></th>\
             <td>{at}</td><td>{headline}</td></tr>"
        )?;
    }
    out.write_str("</tbody>\n</table>\n</div>\n")
}

/// What sort of line it is, for the eye.
pub(super) fn kind(line: &AuditLine) -> &'static str {
    let has = |codes: &[&str]| line.acts.iter().any(|act| codes.contains(&act.code.as_str()));
    if has(&[
        "cordon",
        "close_gate",
        "close_by_override",
        "evacuate_partly",
        "latch",
        "step_back",
        "emergency_return",
    ]) {
        "k-bad"
    } else if has(&["hold", "suspect"]) || line.frozen.is_some() {
        "k-warn"
    } else if has(&["serve", "open_slice", "clear", "start_window"]) {
        "k-good"
    } else {
        "k-soft"
    }
}

fn pager(out: &mut String, base: &str, query: &AuditQuery, last: Option<&AuditLine>) -> fmt::Result {
    let (base, address) = (esc(base), esc(address(query)));
    out.write_str("<nav aria-label=\"Older and newer records\"><ul class=\"pager\">\n")?;
    if query.before.is_some() {
        writeln!(out, "<li><a href=\"{base}/audit?{address}\">Newest</a></li>")?;
    }
    if let Some(last) = last {
        let before = last.seq;
        writeln!(
            out,
            "<li><a rel=\"next\" href=\"{base}/audit?{address}&amp;before={before}\">Older</a></li>"
        )?;
    }
    out.write_str("</ul></nav>\n")
}

fn exports(out: &mut String, base: &str, query: &AuditQuery) -> fmt::Result {
    let (base, address) = (esc(base), esc(address(query)));
    writeln!(
        out,
        "<p class=\"soft\">Take these with you: <a href=\"{base}/audit.csv?{address}\">CSV</a> (at most {CSV_MAX} lines), \
         <a href=\"{base}/audit.jsonl?{address}\">JSON Lines</a> (at most {RECORDS_MAX} whole records). The address of this \
         page always shows the same filter; <code>cordon audit export</code> writes everything.</p>"
    )
}

/// Lines as CSV.
pub(super) async fn csv(view: &View<'_>, call: &HttpCall) -> Result<HttpReply, Failure> {
    let lines = view.controller.ledger.audit_lines(workload(view), &query(call)?, CSV_MAX).await?;
    let mut text = "seq,at,generation,incident,stamps,decisions,rules,headline,hash\r\n".to_owned();
    for line in &lines {
        let stamps: Vec<&str> = line.acts.iter().map(|act| act.stamp.as_str()).collect();
        let decisions: Vec<&str> = line.acts.iter().map(|act| act.code.as_str()).collect();
        let rules: Vec<&str> = line.rules.iter().map(String::as_str).collect();
        let cells = [
            line.seq.to_string(),
            line.at.to_string(),
            line.generation.to_string(),
            line.incident.map(|first| first.to_string()).unwrap_or_default(),
            stamps.join(" "),
            decisions.join(" "),
            rules.join(" "),
            line.headline.clone(),
            line.hash.clone(),
        ];
        text.push_str(&cells.map(|cell| csv_cell(&cell)).join(","));
        text.push_str("\r\n");
    }
    Ok(file("text/csv; charset=utf-8", "audit.csv", text))
}

/// A cell in quotes. A spreadsheet would calculate what begins like a formula, and headlines can hold what an alert said.
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

/// Whole records as JSON Lines, newest first.
pub(super) async fn json_lines(view: &View<'_>, call: &HttpCall) -> Result<HttpReply, Failure> {
    let ledger = &view.controller.ledger;
    let lines = ledger.audit_lines(workload(view), &query(call)?, RECORDS_MAX).await?;
    let mut text = String::new();
    for line in &lines {
        for record in ledger.audit(workload(view), line.seq.saturating_sub(1), 1).await? {
            text.push_str(&serde_json::to_string(&record).unwrap_or_default());
            text.push('\n');
        }
    }
    Ok(file("application/jsonl; charset=utf-8", "audit.jsonl", text))
}

fn workload<'a>(view: &View<'a>) -> &'a domain::WorkloadId {
    &view.controller.policy.workload.name
}

fn file(content_type: &'static str, name: &str, text: String) -> HttpReply {
    HttpReply { status: 200, headers: vec![], body: HttpBody::Text { content_type, text } }
        .with_header("Content-Disposition", format!("attachment; filename=\"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_ends_nowhere_else() {
        assert_eq!(csv_cell("=cmd|'/c calc'!A1"), "\"'=cmd|'/c calc'!A1\"");
        assert_eq!(csv_cell("say \"no\", he said\r\n"), "\"say \"\"no\"\", he said\r\n\"");
    }
}
