//! The status page: what is happening now, in one sentence and in full.

use std::fmt::{self, Write};
use std::time::Duration;

use domain::audit::AuditRecord;
use domain::decide::{Action, HoldReason, Situation};
use domain::judge::{Judgement, judge};
use domain::state::Stage;
use domain::{Policy, explain};

use super::html::{document, esc};
use super::words::{ago, plain_time, span, step_status, time};
use super::{Failure, Forecast, card, log};
use crate::controller::{self, Controller};
use crate::edge::{HttpCall, HttpReply};

/// Audit records at the foot of the page.
const LATEST_MAX: u64 = 20;

/// Our own evidence comes every 10 s; older than this, the observers do not run.
const EVIDENCE_AGE_MAX: Duration = Duration::from_secs(60);

/// The refresh that a reader may ask for: the evaluation's own interval.
const REFRESH_S: u32 = 10;

/// All that the page shows, judged now.
pub(super) struct Picture<'a> {
    /// The present, inbox folded in, nothing committed.
    pub(super) situation: &'a Situation,
    /// What the next evaluation would decide.
    pub(super) judgement: &'a Judgement,
    /// The policy in force.
    pub(super) policy: &'a Policy,
}

/// Judges the present and shows it.
pub(super) async fn page(controller: &Controller, call: &HttpCall, base: &str) -> Result<HttpReply, Failure> {
    let policy = &controller.policy;
    let situation = controller::situation(controller).await?;
    let newest = situation.state.audit_seq;
    let most = usize::try_from(LATEST_MAX).unwrap_or(usize::MAX);
    let mut latest =
        controller.ledger.audit(&policy.workload.name, newest.saturating_sub(LATEST_MAX), most).await?;
    latest.reverse();
    let judgement = judge(&situation, policy);
    let picture = Picture { situation: &situation, judgement: &judgement, policy };
    let title = format!("{} - status", policy.workload.name);
    let reply = document(200, base, &title, |out| body(out, &picture, &latest, base, Refresh::of(call)));
    // A header and not a script; only for who asked for it, so that no reader is interrupted.
    Ok(match Refresh::of(call) {
        Refresh::On => reply.with_header("Refresh", REFRESH_S.to_string()),
        Refresh::Off => reply,
    })
}

/// What is happening to a workload now, in one sentence.
pub(super) async fn now(controller: &Controller) -> Result<String, Failure> {
    let policy = &controller.policy;
    let situation = controller::situation(controller).await?;
    let judgement = judge(&situation, policy);
    Ok(sentence(&Picture { situation: &situation, judgement: &judgement, policy }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    On,
    Off,
}

impl Refresh {
    fn of(call: &HttpCall) -> Self {
        if call.query.contains_key("refresh") { Self::On } else { Self::Off }
    }
}

fn body(
    out: &mut String,
    picture: &Picture<'_>,
    latest: &[AuditRecord],
    base: &str,
    refresh: Refresh,
) -> fmt::Result {
    let state = &picture.situation.state;
    let as_of = time(state.as_of);
    writeln!(out, "<h1>{}</h1>", esc(&state.workload))?;
    writeln!(out, "<p class=\"now\" id=\"now\">{}</p>", esc(sentence(picture)))?;
    for alarm in alarms(picture) {
        writeln!(out, "<p class=\"loud\">{}</p>", esc(alarm))?;
    }
    let link = match refresh {
        Refresh::Off => format!("<a href=\"?refresh\">Refresh every {REFRESH_S} s</a>"),
        Refresh::On => format!("<a href=\"{}/status\">Stop refreshing</a>", esc(base)),
    };
    writeln!(out, "<p class=\"soft\">As of {as_of}, generation {}. {link}.</p>", state.generation)?;
    out.write_str("<h2>Stamps</h2>\n")?;
    if state.cases.is_empty() {
        out.write_str("<p>No stamp was discovered yet.</p>\n")?;
    }
    out.write_str("<div class=\"stamps\">\n")?;
    for (stamp, case) in &state.cases {
        card::card(out, picture, stamp, case)?;
    }
    out.write_str("</div>\n<h2>Steps under way</h2>\n")?;
    live_steps(out, picture)?;
    next_evaluation(out, picture)?;
    writeln!(out, "<h2>Latest audit records</h2>")?;
    log::table(out, latest, base)?;
    writeln!(out, "<p><a href=\"{}/audit\">The whole audit</a></p>", esc(base))
}

/// What is happening now.
fn sentence(picture: &Picture<'_>) -> String {
    let state = &picture.situation.state;
    let all = state.cases.len();
    if all == 0 {
        return "Cordon has not discovered a stamp of this workload yet.".to_owned();
    }
    let busy: Vec<String> = state
        .cases
        .iter()
        .filter_map(|(stamp, case)| {
            let ruling = picture.judgement.decision.rulings.get(stamp)?;
            let idle = matches!(ruling.action, Action::Stay);
            if case.stage == Stage::Serving && idle {
                return None;
            }
            let action = if idle { String::new() } else { format!(", {}", explain::action(&ruling.action)) };
            Some(format!(
                "{stamp} is {} since {}{action}",
                explain::stage(case.stage),
                plain_time(case.since)
            ))
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

/// What must not be overlooked.
fn alarms(picture: &Picture<'_>) -> Vec<String> {
    let state = &picture.situation.state;
    let now = state.as_of;
    let mut alarms = Vec::new();
    if let Some(freeze) = picture.judgement.decision.freeze {
        alarms.push(format!(
            "Removals are frozen since {}: {}. Pre-scaling and the emergency return go on.",
            plain_time(freeze.since),
            explain::freeze(freeze.cause)
        ));
    }
    if let Some(pause) = state.pause.as_ref().filter(|pause| pause.until > now) {
        alarms.push(format!(
            "The automation is paused by {} until {}: {}\nEnd it with: cordon resume",
            pause.by,
            plain_time(pause.until),
            pause.reason
        ));
    }
    for (stamp, case) in &state.cases {
        if let Some(hold) = &case.hold {
            alarms.push(format!(
                "{stamp} is held by {} since {}: {}\nEnd it with: cordon release {stamp}",
                hold.by,
                plain_time(hold.since),
                hold.reason
            ));
        }
        if let Some(generation) = case.awaiting_approval.filter(|_| case.approval.is_none()) {
            alarms.push(format!(
                "The cordon of {stamp} awaits approval.\nGive it with: cordon approve {stamp} --generation {generation}"
            ));
        }
    }
    for (stamp, ruling) in &picture.judgement.decision.rulings {
        if matches!(ruling.action, Action::Hold { reason: HoldReason::NeedsAcknowledgement }) {
            alarms.push(format!(
                "The return of {stamp} needs an acknowledgement: its automatic cordons are used up.\n\
                 Give it with: cordon ack {stamp}"
            ));
        }
    }
    if let Some(quiet_until) = state.quiet_until.filter(|until| *until > now) {
        alarms.push(format!(
            "Our own evidence had a gap: nothing is removed before {}.",
            plain_time(quiet_until)
        ));
    }
    let evidence_age = state.observed_at.map(|at| now.since(at));
    match evidence_age {
        None if !state.cases.is_empty() => {
            alarms.push("Our own probes have seen no stamp yet. Does observe_stamps run?".to_owned());
        }
        Some(age) if age > EVIDENCE_AGE_MAX => alarms.push(format!(
            "Our own evidence is {} old. Does observe_stamps run, and can it reach the ledger?",
            span(age)
        )),
        _ => {}
    }
    alarms
}

fn live_steps(out: &mut String, picture: &Picture<'_>) -> fmt::Result {
    let now = picture.situation.state.as_of;
    let live: Vec<_> = picture.situation.steps.iter().filter(|stored| stored.step.is_live()).collect();
    if live.is_empty() {
        return out.write_str("<p>None.</p>\n");
    }
    out.write_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Steps under way\">\n<table>\n\
         <thead><tr><th scope=\"col\">Step</th><th scope=\"col\">What</th><th scope=\"col\">Where it stands</th>\
         <th scope=\"col\">Undone within</th></tr></thead>\n<tbody>\n",
    )?;
    for stored in live {
        let step = &stored.step;
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}; attempt {}, planned {}</td><td>{}</td></tr>",
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
    let forecast = Forecast::from_judgement(picture.situation, picture.judgement);
    out.write_str("<h2>What the next evaluation would do</h2>\n")?;
    writeln!(out, "<p>{}.</p>\n<ul>", esc(&forecast.headline))?;
    for step in &forecast.steps {
        let undo = span(Duration::from_secs(step.undo_s));
        writeln!(out, "<li>It would {} (undone within {undo}).</li>", esc(&step.text))?;
    }
    for refused in &forecast.refused {
        writeln!(out, "<li class=\"warn\">A safety rule refuses: {}</li>", esc(refused))?;
    }
    for because in &forecast.because {
        writeln!(out, "<li>{}</li>", esc(because))?;
    }
    out.write_str("</ul>\n")
}
