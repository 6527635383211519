//! The status page: what is happening now, in one sentence and in full.

use std::fmt::{self, Write};
use std::time::Duration;

use domain::audit_line::{AuditLine, AuditQuery};
use domain::decide::{Action, Situation};
use domain::explanation::Explanation;
use domain::judge::{Judgement, judge};
use domain::modes::in_force;
use domain::policy::Mode;
use domain::state::{Stage, StampCase};
use domain::{Policy, StampId, capacity, explain};

use super::alarms::alarms;
use super::html::{document, esc};
use super::words::{ago, clock_time, readable, short_time, span, step_status, until};
use super::{Failure, Forecast, View, card, explorer};
use crate::controller::{self, Controller};
use crate::edge::{HttpCall, HttpReply};

/// Audit lines at the foot of the page.
const LATEST_MAX: usize = 12;

/// Cards of one page; more stamps than this are rows, each with a page of its own. Bounds the page's size.
const CARDS_MAX: usize = 12;

/// Steps of the plan that are listed: live ones, then those that ended last.
const STEPS_MAX: usize = 30;

/// All that the page shows, judged now.
pub(super) struct Picture<'a> {
    /// The present, inbox folded in, nothing committed.
    pub(super) situation: &'a Situation,
    /// What the next evaluation would decide.
    pub(super) judgement: &'a Judgement,
    /// Why, and why not.
    pub(super) explanation: &'a Explanation,
    /// The policy in force.
    pub(super) policy: &'a Policy,
}

/// The present of a workload, judged, that a `Picture` borrows.
pub(super) struct Judged {
    pub(super) situation: Situation,
    pub(super) judgement: Judgement,
    pub(super) explanation: Explanation,
    /// The file's, with the modes that an operator changed.
    pub(super) policy: Policy,
}

impl Judged {
    pub(super) async fn now(controller: &Controller) -> Result<Self, Failure> {
        let situation = controller::situation(controller).await?;
        let policy = in_force(&controller.policy, &situation.state).into_owned();
        let judgement = judge(&situation, &controller.policy);
        let explanation = Explanation::of(&situation, &judgement, &policy);
        Ok(Self { situation, judgement, explanation, policy })
    }

    pub(super) fn picture(&self) -> Picture<'_> {
        let Self { situation, judgement, explanation, policy } = self;
        Picture { situation, judgement, explanation, policy }
    }
}

/// Judges the present and shows it.
pub(super) async fn page(view: &View<'_>, call: &HttpCall) -> Result<HttpReply, Failure> {
    let policy = &view.controller.policy;
    let judged = Judged::now(view.controller).await?;
    let workload = &policy.workload.name;
    let latest = view.controller.ledger.audit_lines(workload, &AuditQuery::default(), LATEST_MAX).await?;
    let running = running_incident(&latest);
    let picture = judged.picture();
    let title = format!("{workload} - status");
    Ok(document(200, view.frame, &title, |out| {
        if call.query.contains_key("ordered") {
            out.write_str(
                "<p class=\"told good-edge\" role=\"status\">The order was taken. It is obeyed at the next evaluation, within 10 s; the page shows it already.</p>\n",
            )?;
        }
        body(out, &picture, &latest, running, view)
    }))
}

/// One stamp, always as a card.
pub(super) async fn stamp(view: &View<'_>, name: &str) -> Result<HttpReply, Failure> {
    let judged = Judged::now(view.controller).await?;
    let picture = judged.picture();
    let stamp = StampId::new(name);
    let case = picture.situation.state.cases.get(&stamp).ok_or(Failure::NotFound)?;
    Ok(document(200, view.frame, name, |out| {
        write!(
            out,
            "<div data-live>\n{}<h1>{}</h1>\n<p class=\"soft\">{}</p>\n<h2 class=\"hidden\">Now</h2>\n<section data-part=\"stamp\">\n",
            super::html::LIVE,
            esc(&stamp),
            esc(&picture.situation.state.workload)
        )?;
        card::card(out, &picture, (&stamp, case), view.frame.base, view.frame.caller)?;
        out.write_str("</section>\n</div>\n")
    }))
}

/// What is happening to a workload now, in one sentence.
pub(super) async fn now(controller: &Controller) -> Result<String, Failure> {
    let judged = Judged::now(controller).await?;
    Ok(sentence(&judged.picture()))
}

fn running_incident(latest: &[AuditLine]) -> Option<u64> {
    latest.first().filter(|line| line.goes_on).and_then(|line| line.incident)
}

fn body(
    out: &mut String,
    picture: &Picture<'_>,
    latest: &[AuditLine],
    running: Option<u64>,
    view: &View<'_>,
) -> fmt::Result {
    let state = &picture.situation.state;
    let base = esc(view.frame.base);
    writeln!(out, "<div data-live>\n<p id=\"said\" role=\"status\" class=\"hidden\"></p>")?;
    out.write_str(super::html::LIVE)?;
    writeln!(out, "<section data-part=\"now\">\n<p class=\"soft workload\">{}</p>", esc(&state.workload))?;
    writeln!(out, "<h1 class=\"now {}-edge\" id=\"now\">{}</h1>", weight(picture), esc(sentence(picture)))?;
    alarms(out, picture, view)?;
    figures(out, picture)?;
    write!(out, "<p class=\"soft\">As of {}, generation {}", short_time(state.as_of), state.generation)?;
    if let Some(first) = running {
        write!(out, ". <a href=\"{base}/incident/{first}\">Timeline of this incident</a>")?;
    }
    out.write_str(".</p>\n</section>\n")?;
    stamps(out, picture, view)?;
    writeln!(out, "<section data-part=\"plan\">")?;
    plan(out, picture)?;
    next_evaluation(out, picture)?;
    super::orders::workload_links(out, picture, view)?;
    writeln!(out, "</section>\n<section data-part=\"latest\">\n<h2>Latest decisions</h2>")?;
    explorer::table(out, latest, view.frame.base)?;
    writeln!(out, "<p><a href=\"{base}/audit\">The whole audit</a></p>\n</section>\n</div>")
}

/// How much the sentence weighs.
fn weight(picture: &Picture<'_>) -> &'static str {
    let cases = || picture.situation.state.cases.values();
    if cases().any(|case| matches!(case.stage, Stage::Evacuating | Stage::Cordoned))
        || picture.judgement.decision.freeze.is_some()
    {
        "bad"
    } else if cases().any(|case| case.stage != Stage::Serving) {
        "warn"
    } else {
        "good"
    }
}

fn calm(picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> bool {
    let ruling = picture.judgement.decision.rulings.get(stamp);
    case.stage == Stage::Serving && ruling.is_none_or(|ruling| ruling.action == Action::Stay)
}

/// What is worse comes first; what is calm last.
fn rank(picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> u8 {
    match case.stage {
        Stage::Evacuating | Stage::Cordoned => 0,
        Stage::Held => 1,
        Stage::Proving | Stage::Readmitting => 2,
        Stage::Suspect => 3,
        Stage::Serving if calm(picture, stamp, case) => 5,
        Stage::Serving => 4,
    }
}

/// Those about which there is something to say first; of a few stamps all as cards, of many the rest as rows.
fn stamps(out: &mut String, picture: &Picture<'_>, view: &View<'_>) -> fmt::Result {
    let cases = &picture.situation.state.cases;
    out.write_str(
        "<section data-part=\"stamps\" aria-labelledby=\"stamps\">\n<h2 id=\"stamps\">Stamps</h2>\n",
    )?;
    if cases.is_empty() {
        out.write_str("<p>No stamp was discovered yet.</p>\n")?;
    }
    let few = cases.len() <= CARDS_MAX / 2;
    let mut all: Vec<_> = cases.iter().collect();
    // Stable: within a group the order of the names, so that no card moves without a reason.
    all.sort_by_key(|(stamp, case)| rank(picture, stamp, case));
    let (cards, rows): (Vec<_>, Vec<_>) = all
        .into_iter()
        .enumerate()
        .partition(|(index, (stamp, case))| few || (*index < CARDS_MAX && !calm(picture, stamp, case)));
    out.write_str("<div class=\"stamps\">\n")?;
    for (_, one) in cards {
        card::card(out, picture, one, view.frame.base, view.frame.caller)?;
    }
    out.write_str("</div>\n")?;
    if !rows.is_empty() {
        out.write_str(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"The other stamps\">\n<table>\n\
             <thead><tr><th scope=\"col\">Stamp</th><th scope=\"col\">Stage</th><th scope=\"col\">Since</th>\
             <th scope=\"col\">Condition</th><th scope=\"col\">Load, requests/s</th><th scope=\"col\">Gate</th></tr></thead>\n<tbody>\n",
        )?;
        for (_, one) in rows {
            card::row(out, picture, one, view.frame.base)?;
        }
        out.write_str("</tbody>\n</table>\n</div>\n")?;
    }
    out.write_str("</section>\n")
}

/// The four figures that one looks for first.
fn figures(out: &mut String, picture: &Picture<'_>) -> fmt::Result {
    let state = &picture.situation.state;
    if state.cases.is_empty() {
        return Ok(());
    }
    let all = state.cases.len();
    let serving = state.cases.keys().filter(|stamp| capacity::is_effective(state, stamp)).count();
    // What a dead stamp said of itself last is no load any more.
    let fresh = state.load.iter().filter(|(stamp, _)| capacity::ready_instances(state, stamp).is_some());
    let arriving: f64 = fresh.map(|(_, load)| load.requests_per_second).sum();
    let effective = state.cases.keys().filter(|stamp| capacity::is_effective(state, stamp));
    let ready: f64 = effective.filter_map(|stamp| capacity::ready_rps(state, stamp, picture.policy)).sum();
    let live = picture.situation.steps.iter().filter(|stored| stored.step.is_live()).count();
    let (automation, look) = automation(picture);
    out.write_str("<dl class=\"figures\">\n")?;
    for (name, figure, look) in [
        ("In rotation", format!("{serving} of {all}"), if serving == all { "good" } else { "bad" }),
        (
            "Load of ready capacity",
            format!("{arriving:.0} of {ready:.0}/s"),
            if arriving > ready { "bad" } else { "" },
        ),
        ("Steps under way", live.to_string(), ""),
        ("Automation", automation.to_owned(), look),
    ] {
        writeln!(out, "<div><dt>{name}</dt><dd class=\"{look}\">{}</dd></div>", esc(figure))?;
    }
    out.write_str("</dl>\n")
}

fn automation(picture: &Picture<'_>) -> (&'static str, &'static str) {
    let state = &picture.situation.state;
    let modes = &picture.policy.modes;
    let acts = [modes.hard_loss, modes.gray, modes.platform_alert, modes.overload, modes.readmit];
    if state.pause.as_ref().is_some_and(|pause| pause.until > state.as_of) {
        ("paused", "bad")
    } else if picture.judgement.decision.freeze.is_some() {
        ("frozen", "bad")
    } else if acts.iter().all(|mode| *mode == Mode::Act) {
        ("acts", "good")
    } else if acts.contains(&Mode::Act) {
        ("acts in part", "warn")
    } else {
        ("only watches", "warn")
    }
}

/// What is happening now.
pub(super) fn sentence(picture: &Picture<'_>) -> String {
    let state = &picture.situation.state;
    let all = state.cases.len();
    if all == 0 {
        return "Cordon has not discovered a stamp of this workload yet.".to_owned();
    }
    let mut busy: Vec<_> = state.cases.iter().filter(|(stamp, case)| !calm(picture, stamp, case)).collect();
    busy.sort_by_key(|(stamp, case)| rank(picture, stamp, case));
    let busy: Vec<String> = busy
        .into_iter()
        .map(|(stamp, case)| {
            let ruling = picture.judgement.decision.rulings.get(stamp).map(|ruling| &ruling.action);
            let action = match ruling {
                None | Some(Action::Stay) => String::new(),
                Some(action) => {
                    format!(", {}", explain::action(action).replacen("waits: for", "waits for", 1))
                }
            };
            format!("{stamp} is {} since {}{action}", explain::stage(case.stage), clock_time(case.since))
        })
        .collect();
    let serving = all - busy.len();
    match (busy.is_empty(), serving) {
        (true, 1) => "The one stamp serves; nothing is under way.".to_owned(),
        (true, _) => format!("All {all} stamps serve; nothing is under way."),
        (false, 0) => format!("{}.", busy.join("; ")),
        (false, 1) => format!("{}; the other stamp serves.", busy.join("; ")),
        (false, _) => format!("{}; the other {serving} stamps serve.", busy.join("; ")),
    }
}

/// Every step that is live, and those that ended last.
fn plan(out: &mut String, picture: &Picture<'_>) -> fmt::Result {
    let now = picture.situation.state.as_of;
    out.write_str("<h2>The plan</h2>\n")?;
    let mut steps: Vec<_> = picture.situation.steps.iter().map(|stored| &stored.step).collect();
    steps.sort_by_key(|step| (std::cmp::Reverse(step.is_live()), std::cmp::Reverse(step.planned_at)));
    if steps.is_empty() {
        return out.write_str("<p>No step is planned, and none was done in the last hour.</p>\n");
    }
    out.write_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Steps of the plan\">\n<table>\n\
         <thead><tr><th scope=\"col\">Step</th><th scope=\"col\">What</th><th scope=\"col\">Where it stands</th>\
         <th scope=\"col\">Undone within</th></tr></thead>\n<tbody>\n",
    )?;
    for step in steps.into_iter().take(STEPS_MAX) {
        let look = if step.is_live() { "under-way" } else { "over" };
        writeln!(
            out,
            "<tr class=\"{look}\"><th scope=\"row\">{}</th><td>{}</td><td>{}; attempt {}, planned {}</td><td>{}</td></tr>",
            esc(&step.id),
            esc(explain::effect(&step.effect)),
            esc(step_status(&step.status, now)),
            step.attempts,
            ago(now, step.planned_at),
            span(step.effect.undo_time_max())
        )?;
    }
    out.write_str("</tbody>\n</table>\n</div>\n")
}

fn next_evaluation(out: &mut String, picture: &Picture<'_>) -> fmt::Result {
    let forecast = Forecast::from_judgement(picture.situation, picture.judgement, picture.policy);
    let next = picture.judgement.decision.rulings.values().filter_map(|ruling| ruling.next_at).min();
    out.write_str("<h2>What the next evaluation would do</h2>\n")?;
    write!(out, "<p>{}.", esc(card::sentence_case(&forecast.headline)))?;
    if let Some(at) = next {
        let now = picture.situation.state.as_of;
        write!(out, " Time alone may change something at {} ({}).", short_time(at), until(now, at))?;
    }
    out.write_str("</p>\n<ul>\n")?;
    for step in &forecast.steps {
        let undo = span(Duration::from_secs(step.undo_s));
        writeln!(out, "<li>It would {} (undone within {undo}).</li>", esc(&step.text))?;
    }
    for refused in &forecast.refused {
        writeln!(out, "<li class=\"warn\">A safety rule refuses: {}</li>", esc(refused))?;
    }
    for line in forecast.because.iter().chain(&forecast.unenforced).take(STEPS_MAX) {
        writeln!(out, "<li>{}</li>", esc(readable(line)))?;
    }
    out.write_str("</ul>\n")
}
