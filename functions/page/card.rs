//! One stamp as a card.

use std::fmt::{self, Display, Write};

use domain::state::{Stage, StampCase};
use domain::{EvidenceClass, StampId, capacity, explain};

use super::html::esc;
use super::status::Picture;
use super::words::{
    ago, discount, failure, gate, gate_read, origin, origin_read, span, time, until, verdict,
};

/// Writes the card of a stamp.
pub(super) fn card(
    out: &mut String,
    picture: &Picture<'_>,
    stamp: &StampId,
    case: &StampCase,
) -> fmt::Result {
    let stage = explain::stage(case.stage);
    let look = match case.stage {
        Stage::Serving => "good",
        Stage::Suspect | Stage::Proving | Stage::Readmitting => "warn",
        Stage::Evacuating | Stage::Cordoned | Stage::Held => "bad",
    };
    let name = esc(stamp);
    writeln!(
        out,
        "<article aria-labelledby=\"stamp-{name}\">\n<h3 id=\"stamp-{name}\">{name} \
         <span class=\"stage {look}\">{stage}</span></h3>\n<dl>"
    )?;
    place(out, picture, stamp, case)?;
    actuators(out, picture, stamp, case)?;
    load(out, picture, stamp, case)?;
    progress(out, picture, case)?;
    out.write_str("</dl>\n")?;
    evidence(out, picture, stamp)?;
    sources(out, picture, stamp)?;
    out.write_str("</article>\n")
}

fn row(out: &mut String, term: &str, value: impl Display) -> fmt::Result {
    writeln!(out, "<dt>{term}</dt><dd>{}</dd>", esc(value))
}

/// A row whose value is markup of ours, every part of it escaped already.
fn row_of_markup(out: &mut String, term: &str, markup: &str) -> fmt::Result {
    writeln!(out, "<dt>{term}</dt><dd>{markup}</dd>")
}

fn place(out: &mut String, picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> fmt::Result {
    let state = &picture.situation.state;
    if let Some(facts) = state.topology.stamps.get(stamp) {
        row(out, "Region", &facts.region)?;
        if let Some(state) = &facts.state {
            row(out, "Marked", state)?;
        }
    }
    row_of_markup(out, "Since", &format!("{} ({})", time(case.since), ago(state.as_of, case.since)))?;
    let decision = &picture.judgement.decision;
    if let Some(ruling) = decision.rulings.get(stamp) {
        row(out, "Now", explain::action(&ruling.action))?;
        let next = match ruling.next_at {
            Some(at) => format!("{} ({})", time(at), until(state.as_of, at)),
            None => "not before something new is observed".to_owned(),
        };
        row_of_markup(out, "Next possible change", &next)?;
    }
    match decision.assessments.get(stamp) {
        Some(assessment) => row(out, "Condition", explain::assessment(assessment)),
        None => row(out, "Condition", "not assessed"),
    }
}

fn actuators(out: &mut String, picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> fmt::Result {
    let state = &picture.situation.state;
    let now = state.as_of;
    row(out, "Gate wanted", gate(case.gate))?;
    row(out, "Gate as read", gate_read(picture.situation.gates.get(stamp), now))?;
    if let Some(view) = state.gated_view.get(stamp) {
        row(out, "Gated view", format!("answered {} {}", view.status, ago(now, view.observed_at)))?;
    }
    let latched = case.latched_at.map(|at| format!(", latched {}", ago(now, at))).unwrap_or_default();
    row(out, "Origin wanted", format!("{}{latched}", origin(case.origin)))?;
    row(out, "Origin as read", origin_read(state.origins.get(stamp), now))
}

fn load(out: &mut String, picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> fmt::Result {
    let state = &picture.situation.state;
    let now = state.as_of;
    match state.load.get(stamp) {
        None => row(out, "Load", "never told by the stamp")?,
        Some(facts) => {
            let ready = match capacity::ready_rps(state, stamp, picture.policy) {
                Some(rps) => format!("{rps:.0} ready ({} instances)", facts.ready_instances),
                None => "ready capacity unknown".to_owned(),
            };
            let full = facts.saturation * 100.0;
            let arriving = facts.requests_per_second;
            let text = format!(
                "{arriving:.0} requests/s of {ready}; {full:.0} % of the concurrency limit; {}",
                ago(now, facts.observed_at)
            );
            row(out, "Load", text)?;
        }
    }
    row(out, "Demand to carry", format!("{:.0} requests/s before the first symptom", case.demand_rps))?;
    let wanted = case.floor.map_or("none wanted".to_owned(), |floor| format!("{floor} instances wanted"));
    let read = match state.capacity.get(stamp) {
        None => "never read".to_owned(),
        Some(facts) => {
            let ours = match (facts.our_floor, facts.our_floor_until) {
                (Some(floor), Some(at)) => format!(", ours is {floor} and expires {}", until(now, at)),
                (Some(floor), None) => format!(", ours is {floor}"),
                _ => String::new(),
            };
            format!(
                "{} running, minimum {}, maximum {}{ours}; read {}",
                facts.instances,
                facts.minimum,
                facts.maximum,
                ago(now, facts.read_at)
            )
        }
    };
    row(out, "Floor", format!("{wanted}; {read}"))
}

fn progress(out: &mut String, picture: &Picture<'_>, case: &StampCase) -> fmt::Result {
    let now = picture.situation.state.as_of;
    if let Some(window) = case.window {
        let healthy = now.since(window.started_at).as_secs().saturating_sub(window.paused_s);
        let (healthy, needs) = (healthy.min(window.needs_s), window.needs_s.max(1));
        let paused = match window.paused_s {
            0 => String::new(),
            seconds => format!(", paused for {}", words_of(seconds)),
        };
        let text = format!("{} of {}{paused}", words_of(healthy), words_of(window.needs_s));
        row_of_markup(
            out,
            "Healthy window",
            &format!(
                "{text}<br><progress max=\"{needs}\" value=\"{healthy}\" aria-label=\"Healthy window\">{text}</progress>"
            ),
        )?;
    }
    if let Some(ramp) = case.ramp {
        let slices = &picture.policy.ramp.percents;
        let percent = usize::try_from(ramp.slice).ok().and_then(|slice| slices.get(slice)).unwrap_or(&100);
        let how = if ramp.emergency { "; emergency return, opened at once" } else { "" };
        let text = format!(
            "{percent} % of the edge locations, slice {} of {}, {}{how}",
            ramp.slice.saturating_add(1).min(u32::try_from(slices.len()).unwrap_or(u32::MAX)),
            slices.len(),
            ago(now, ramp.since)
        );
        row_of_markup(
            out,
            "Ramp",
            &format!(
                "{text}<br><progress max=\"100\" value=\"{percent}\" aria-label=\"Ramp\">{text}</progress>"
            ),
        )?;
    }
    let policy = picture.policy;
    let points = case.penalty.points_at(now, policy.window.half_life.get());
    let counted = case.auto_cordons.iter().filter(|at| now.since(**at) <= policy.budget.span.get()).count();
    row(
        out,
        "Penalty",
        format!(
            "{points:.2} points; {counted} of {} automatic cordons in {}",
            policy.budget.cordons_max, policy.budget.span
        ),
    )
}

fn words_of(seconds: u64) -> String {
    span(std::time::Duration::from_secs(seconds))
}

fn evidence(out: &mut String, picture: &Picture<'_>, stamp: &StampId) -> fmt::Result {
    let Some(assessment) = picture.judgement.decision.assessments.get(stamp) else { return Ok(()) };
    let now = picture.situation.state.as_of;
    write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Evidence about {name}\">\n<table>\n\
         <caption>Evidence by class</caption>\n<thead><tr><th scope=\"col\">Class</th><th scope=\"col\">Verdict</th>\
         <th scope=\"col\">Age</th><th scope=\"col\">More</th></tr></thead>\n<tbody>\n",
        name = esc(stamp)
    )?;
    for class in EvidenceClass::ALL {
        let Some(view) = assessment.views.get(&class) else { continue };
        let (word, look) = verdict(view.verdict);
        let age = view.last_seen.map_or("never seen".to_owned(), |at| span(now.since(at)));
        let mut more = Vec::new();
        more.extend(view.since.map(|at| format!("for {}", span(now.since(at)))));
        more.extend(view.error_ratio.map(|ratio| format!("{:.1} % fail", ratio * 100.0)));
        more.extend(view.failure.map(|kind| failure(kind).to_owned()));
        more.extend(view.discounted.map(|why| discount(why).to_owned()));
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"{look}\">{word}</td><td>{age}</td><td>{}</td></tr>",
            explain::class(class),
            esc(more.join("; "))
        )?;
    }
    out.write_str("</tbody>\n</table>\n</div>\n")
}

/// Each source's own word. Notes come from outside.
fn sources(out: &mut String, picture: &Picture<'_>, stamp: &StampId) -> fmt::Result {
    let state = &picture.situation.state;
    let Some(evidence) = state.evidence.get(stamp).filter(|evidence| !evidence.is_empty()) else {
        return Ok(());
    };
    out.write_str("<details>\n<summary>What each source says</summary>\n<ul>\n")?;
    for (class, tracks) in evidence {
        for (source, track) in tracks {
            let stands = if track.standing_since.is_some() { ", stands until resolved" } else { "" };
            let note = if track.note.is_empty() { String::new() } else { format!(": {}", track.note) };
            writeln!(
                out,
                "<li>{} by {}: {}, seen {}{stands}{}</li>",
                explain::class(*class),
                esc(source),
                verdict(track.run.verdict).0,
                ago(state.as_of, track.run.last_seen),
                esc(note)
            )?;
        }
    }
    out.write_str("</ul>\n</details>\n")
}
