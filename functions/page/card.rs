//! One stamp as a card: where it stands, what it waits for, what is wanted and what is so, and what everybody says of it.

use std::fmt::{self, Display, Write};

use domain::assess::Assessment;
use domain::decide::Action;
use domain::state::{Stage, StampCase};
use domain::{EvidenceClass, StampId, Timestamp, capacity, explain};

use super::access::Caller;
use super::html::esc;
use super::reasons::{self, About};
use super::status::Picture;
use super::words::{
    ago, discount, failure, gate, gate_read, origin, origin_read, readable, short_time, span, time, until,
    verdict,
};

/// Sources listed on a card; the state as JSON has all of them.
const SOURCES_MAX: usize = 12;

/// The class of a stage's badge. The word itself carries the meaning.
pub(super) const fn look(stage: Stage) -> &'static str {
    match stage {
        Stage::Serving => "good",
        Stage::Suspect | Stage::Proving | Stage::Readmitting => "warn",
        Stage::Evacuating | Stage::Cordoned | Stage::Held => "bad",
    }
}

/// Writes the card of a stamp.
pub(super) fn card(
    out: &mut String,
    picture: &Picture<'_>,
    (stamp, case): (&StampId, &StampCase),
    base: &str,
    caller: &Caller,
) -> fmt::Result {
    let name = esc(stamp);
    let state = &picture.situation.state;
    let region = state.topology.stamps.get(stamp).map(|facts| &facts.region);
    writeln!(
        out,
        "<article class=\"stamp {look}-edge\" aria-labelledby=\"stamp-{name}\">\n<header><h3 id=\"stamp-{name}\">{name}</h3> \
         <span class=\"stage {look}\">{stage}</span>\n<p class=\"soft\">{region}since {since} ({ago})</p></header>",
        look = look(case.stage),
        stage = explain::stage(case.stage),
        region = region
            .filter(|region| region.as_str() != stamp.as_str())
            .map_or_else(String::new, |region| format!("{}, ", esc(region))),
        since = short_time(case.since),
        ago = ago(state.as_of, case.since),
    )?;
    waits(out, picture, stamp)?;
    load(out, picture, stamp, case)?;
    progress(out, picture, case)?;
    planes(out, picture, stamp, case)?;
    evidence(out, picture, stamp)?;
    footer(out, picture, stamp, case)?;
    why(out, picture, stamp, case)?;
    sources(out, picture, stamp)?;
    super::orders::links(out, picture, stamp, case, base, caller)?;
    out.write_str("</article>\n")
}

/// What is done, what it waits for, and when time alone may change it.
fn waits(out: &mut String, picture: &Picture<'_>, stamp: &StampId) -> fmt::Result {
    let now = picture.situation.state.as_of;
    let decision = &picture.judgement.decision;
    let Some(ruling) = decision.rulings.get(stamp) else { return Ok(()) };
    let condition = decision.assessments.get(stamp).map_or("not assessed".to_owned(), |found| {
        // Everything after the parenthesis is in the table of evidence.
        let text = explain::assessment(found);
        text.split(" (").next().unwrap_or(&text).to_owned()
    });
    let what = explain::action(&ruling.action);
    let what = what.replacen("waits: for", "waits for", 1);
    let what = if matches!(ruling.action, Action::Stay) { String::new() } else { format!("; {what}") };
    writeln!(
        out,
        "<p class=\"waits\"><strong>{}{}</strong><br>",
        esc(readable(&sentence_case(&condition))),
        esc(readable(&what))
    )?;
    match ruling.next_at {
        Some(at) => writeln!(out, "Next possible change {} ({}).</p>", short_time(at), until(now, at)),
        None => out.write_str("Next possible change: when something new is observed.</p>\n"),
    }
}

pub(super) fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn load(out: &mut String, picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> fmt::Result {
    let state = &picture.situation.state;
    let Some(facts) = state.load.get(stamp) else {
        return out.write_str("<p class=\"load\">Load: never told by the stamp</p>\n");
    };
    let arriving = facts.requests_per_second;
    let ready = capacity::ready_rps(state, stamp, picture.policy);
    if ready.is_none() {
        return writeln!(
            out,
            "<p class=\"load\">Load: not told any more; last {arriving:.0} requests/s, {}\n<span class=\"soft\">must carry \
             {:.0} requests/s</span></p>",
            ago(state.as_of, facts.observed_at),
            case.demand_rps
        );
    }
    let words = match ready {
        Some(rps) => format!("of {rps:.0} requests/s ready, {} instances", facts.ready_instances),
        None => "requests/s; ready capacity unknown".to_owned(),
    };
    let share = ready.filter(|rps| *rps > 0.0).map_or(0.0, |rps| (arriving / rps * 100.0).clamp(0.0, 100.0));
    let fill = if share >= 95.0 { "fill full" } else { "fill" };
    writeln!(
        out,
        "<p class=\"load\"><strong>{arriving:.0}</strong> {words}\n<svg class=\"bar\" viewBox=\"0 0 100 6\" \
         preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" width=\"100\" height=\"6\"/>\
         <rect class=\"{fill}\" width=\"{share:.1}\" height=\"6\"/></svg>\n<span class=\"soft\">{:.0} % of the concurrency \
         limit; must carry {:.0} requests/s; told {}</span></p>",
        facts.saturation * 100.0,
        case.demand_rps,
        ago(state.as_of, facts.observed_at)
    )
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
        writeln!(
            out,
            "<p class=\"load\">Healthy window: <strong>{text}</strong>\n<progress max=\"{needs}\" value=\"{healthy}\" \
             aria-label=\"Healthy window\">{text}</progress></p>"
        )?;
    }
    let Some(ramp) = case.ramp else { return Ok(()) };
    let slices = &picture.policy.ramp.percents;
    let percent = usize::try_from(ramp.slice).ok().and_then(|slice| slices.get(slice)).unwrap_or(&100);
    let how = if ramp.emergency { "; emergency return, opened at once" } else { "" };
    let text = format!(
        "{percent} % of the edge locations, slice {} of {}, {}{how}",
        ramp.slice.saturating_add(1).min(u32::try_from(slices.len()).unwrap_or(u32::MAX)),
        slices.len(),
        ago(now, ramp.since)
    );
    writeln!(
        out,
        "<p class=\"load\">Ramp: <strong>{text}</strong>\n<progress max=\"100\" value=\"{percent}\" \
         aria-label=\"Ramp\">{text}</progress></p>"
    )
}

/// Wanted beside what is so.
fn planes(out: &mut String, picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> fmt::Result {
    let state = &picture.situation.state;
    let now = state.as_of;
    out.write_str(
        "<table class=\"pairs\">\n<thead><tr><th scope=\"col\">Plane</th><th scope=\"col\">Wanted</th>\
         <th scope=\"col\">In force</th></tr></thead>\n<tbody>\n",
    )?;
    let mut row = |plane: &str, wanted: &dyn Display, read: &dyn Display| {
        writeln!(out, "<tr><th scope=\"row\">{plane}</th><td>{}</td><td>{}</td></tr>", esc(wanted), esc(read))
    };
    row("Gate", &gate(case.gate), &gate_read(picture.situation.gates.get(stamp), now))?;
    if let Some(view) = state.gated_view.get(stamp) {
        row("Gated view", &"", &format!("answered {} {}", view.status, ago(now, view.observed_at)))?;
    }
    let latched = case.latched_at.map(|at| format!(", latched {}", ago(now, at))).unwrap_or_default();
    row("Origin", &format!("{}{latched}", origin(case.origin)), &origin_read(state.origins.get(stamp), now))?;
    let wanted = case.floor.map_or("no floor".to_owned(), |floor| format!("{floor} instances"));
    let read = match state.capacity.get(stamp) {
        None => "never read".to_owned(),
        Some(facts) => {
            let ours = match (facts.our_floor, facts.our_floor_until) {
                (Some(floor), Some(at)) => format!("; ours is {floor} and expires {}", until(now, at)),
                (Some(floor), None) => format!("; ours is {floor}"),
                _ => String::new(),
            };
            format!(
                "{} running, {} to {}{ours}; read {}",
                facts.instances,
                facts.minimum,
                facts.maximum,
                ago(now, facts.read_at)
            )
        }
    };
    row("Floor", &wanted, &read)?;
    let read = match (state.quota.get(stamp), domain::quota::instances_max(state, stamp)) {
        (Some(facts), Some(most)) => format!("at most {most} instances; read {}", ago(now, facts.read_at)),
        (Some(facts), None) => format!("unknown; last read {}", ago(now, facts.read_at)),
        (None, _) => "unknown".to_owned(),
    };
    row("Quota", &"", &read)?;
    out.write_str("</tbody>\n</table>\n")
}

fn words_of(seconds: u64) -> String {
    span(std::time::Duration::from_secs(seconds))
}

fn evidence(out: &mut String, picture: &Picture<'_>, stamp: &StampId) -> fmt::Result {
    let Some(assessment) = picture.judgement.decision.assessments.get(stamp) else { return Ok(()) };
    evidence_table(out, assessment, picture.situation.state.as_of)
}

/// What each class says, with its age at `now`.
pub(super) fn evidence_table(out: &mut String, assessment: &Assessment, now: Timestamp) -> fmt::Result {
    out.write_str(
        "<table class=\"pairs said\">\n<thead><tr><th scope=\"col\">Evidence</th><th scope=\"col\">Says</th>\
         <th scope=\"col\">Age</th><th scope=\"col\">More</th></tr></thead>\n<tbody>\n",
    )?;
    for class in EvidenceClass::ALL {
        let Some(view) = assessment.views.get(&class) else { continue };
        let (word, look) = verdict(view.verdict);
        let age = view.last_seen.map_or("never".to_owned(), |at| span(now.since(at)));
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
    out.write_str("</tbody>\n</table>\n")
}

fn footer(out: &mut String, picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> fmt::Result {
    let state = &picture.situation.state;
    let (now, policy) = (state.as_of, picture.policy);
    let points = case.penalty.points_at(now, policy.window.half_life.get());
    let counted = case.auto_cordons.iter().filter(|at| now.since(**at) <= policy.budget.span.get()).count();
    let marked = state.topology.stamps.get(stamp).and_then(|facts| facts.state.as_ref());
    let marked = marked.map(|tag| format!(" Marked {} by its own tag.", esc(tag))).unwrap_or_default();
    writeln!(
        out,
        "<p class=\"soft\">Penalty {points:.2} points; {counted} of {} automatic cordons in {}.{marked}</p>",
        policy.budget.cordons_max, policy.budget.span
    )
}

/// Open where something is going on.
fn why(out: &mut String, picture: &Picture<'_>, stamp: &StampId, case: &StampCase) -> fmt::Result {
    let mut text = String::new();
    let now = picture.situation.state.as_of;
    reasons::write(&mut text, picture.explanation, About::Stamp(stamp), now, 4)?;
    if text.is_empty() {
        return Ok(());
    }
    let open = if case.stage == Stage::Serving { "" } else { " open" };
    writeln!(
        out,
        "<details id=\"why-{}\"{open}>\n<summary>Why, and why not</summary>\n{text}</details>",
        esc(stamp)
    )
}

/// Each source's own word. Notes come from outside.
fn sources(out: &mut String, picture: &Picture<'_>, stamp: &StampId) -> fmt::Result {
    let state = &picture.situation.state;
    let Some(evidence) = state.evidence.get(stamp).filter(|evidence| !evidence.is_empty()) else {
        return Ok(());
    };
    let name = esc(stamp);
    writeln!(out, "<details id=\"sources-{name}\">\n<summary>What each source says</summary>\n<ul>")?;
    let all = || {
        evidence
            .iter()
            .flat_map(|(class, tracks)| tracks.iter().map(move |(source, track)| (class, source, track)))
    };
    for (class, source, track) in all().take(SOURCES_MAX) {
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
    let left = all().count().saturating_sub(SOURCES_MAX);
    if left > 0 {
        writeln!(out, "<li>and {left} more, in the state as JSON</li>")?;
    }
    out.write_str("</ul>\n</details>\n")
}

/// A stamp as one row, where there are too many for cards or nothing is to be said.
pub(super) fn row(
    out: &mut String,
    picture: &Picture<'_>,
    (stamp, case): (&StampId, &StampCase),
    base: &str,
) -> fmt::Result {
    let state = &picture.situation.state;
    let load = state.load.get(stamp).map_or("unknown".to_owned(), |facts| {
        let ready = capacity::ready_rps(state, stamp, picture.policy);
        let ready = ready.map_or("unknown".to_owned(), |rps| format!("{rps:.0}"));
        format!("{:.0} of {ready}", facts.requests_per_second)
    });
    let condition =
        picture.judgement.decision.assessments.get(stamp).map_or(String::new(), explain::assessment);
    let condition = condition.split(" (").next().unwrap_or_default().to_owned();
    writeln!(
        out,
        "<tr><th scope=\"row\"><a href=\"{base}/stamp/{name}\">{name}</a></th><td><span class=\"stage {look}\">{stage}</span></td>\
         <td>{since}</td><td>{}</td><td>{load}</td><td>{gate}</td></tr>",
        esc(readable(&condition)),
        base = esc(base),
        name = esc(stamp),
        look = look(case.stage),
        stage = explain::stage(case.stage),
        since = time(case.since),
        gate = gate(case.gate),
    )
}
