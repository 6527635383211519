//! An incident drawn: stages, load against ready capacity, decisions, effects and orders over one axis of time. Drawn on the
//! server from the audit's lines; the table below it says the same in words.

use std::fmt::{self, Write};

use domain::audit_line::AuditLine;
use domain::state::Stage;
use domain::{Policy, StampId, Timestamp, explain};

use super::html::esc;
use super::story::Story;
use super::words::clock_time;

const WIDTH: f64 = 1_000.0;
/// Where the axis of time begins, right of the names.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 990.0;
const STRIP: f64 = 16.0;
const CHART: f64 = 64.0;
const LANE: f64 = 22.0;
const GAP: f64 = 8.0;

/// Stamps that are drawn; the table has all.
const STAMPS_MAX: usize = 6;

/// Seconds before the first symptom that are drawn at the least: how it was when all was well.
const LEAD_S: f64 = 120.0;

/// Samples further apart than this are not joined: nobody knows what was between.
const JOIN_MAX_S: f64 = 900.0;

/// A scale from time to place.
struct Scale {
    from: Timestamp,
    span_s: f64,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        let s = seconds(at) - seconds(self.from);
        LEFT + (RIGHT - LEFT) * (s / self.span_s).clamp(0.0, 1.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1_000.0
}

/// Draws it.
pub(super) fn draw(out: &mut String, story: &Story, policy: &Policy) -> fmt::Result {
    let stamps: Vec<StampId> = story.stamps().into_iter().take(STAMPS_MAX).collect();
    let symptoms = stamps.iter().filter_map(|stamp| story.times(stamp).first_symptom);
    let from = symptoms.chain([story.begin().at]).min().unwrap_or(story.begin().at);
    let span_s = (seconds(story.end().at) - seconds(from)).max(60.0);
    // A little room at both ends, so that the first and the last mark are seen.
    let lead_s = (span_s * 0.03).max(LEAD_S);
    let from = from.before(std::time::Duration::from_secs_f64(lead_s));
    let scale = Scale { from, span_s: span_s * 1.02 + lead_s };
    #[expect(clippy::cast_precision_loss, reason = "a handful of stamps")]
    let height = 30.0 + stamps.len() as f64 * (STRIP + CHART + 2.0 * GAP) + 3.0 * LANE + 10.0;
    write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Timeline\">\n\
         <svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"timeline-title\">\n\
         <title id=\"timeline-title\">Stages, load against ready capacity, decisions, effects and orders over time; \
         the table of records says the same</title>\n"
    )?;
    axis(out, &scale, height)?;
    let top = most(story, &stamps, policy);
    let mut y = 30.0;
    for stamp in &stamps {
        strip(out, story, stamp, &scale, y)?;
        chart(out, story, stamp, &scale, (y + STRIP + 4.0, top), policy)?;
        y += STRIP + CHART + 2.0 * GAP;
    }
    for (name, look, marks) in [
        ("Decisions", "m-decision", decisions as fn(&AuditLine) -> Vec<String>),
        ("Effects", "m-effect", effects),
        ("Orders, events", "m-order", orders),
    ] {
        lane(out, story, &scale, (y, name, look), marks)?;
        y += LANE;
    }
    out.write_str("</svg>\n</div>\n")?;
    legend(out)
}

fn legend(out: &mut String) -> fmt::Result {
    out.write_str(
        "<ul class=\"legend\">\n<li><span class=\"key s-serving\"></span>serving</li>\n<li><span class=\"key s-suspect\"></span>suspect</li>\n\
         <li><span class=\"key s-evacuating\"></span>evacuating</li>\n<li><span class=\"key s-cordoned\"></span>cordoned</li>\n\
         <li><span class=\"key s-proving\"></span>proving, readmitting</li>\n<li><span class=\"key s-held\"></span>held</li>\n\
         <li><span class=\"key k-load\"></span>load</li>\n<li><span class=\"key k-ready\"></span>ready capacity</li>\n</ul>\n",
    )
}

/// Six to twelve ticks at round times.
fn axis(out: &mut String, scale: &Scale, height: f64) -> fmt::Result {
    let step = [60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0]
        .into_iter()
        .find(|step| scale.span_s / step <= 10.0)
        .unwrap_or(86_400.0);
    let mut at = (seconds(scale.from) / step).ceil() * step;
    while at < seconds(scale.from) + scale.span_s {
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds since 1970")]
        let moment = Timestamp::from_secs(at as i64);
        let x = scale.x(moment);
        let words = clock_time(moment);
        writeln!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"20\" y2=\"{height}\"/><text x=\"{x:.1}\" y=\"14\" \
             text-anchor=\"middle\">{}</text>",
            words.get(..5).unwrap_or(&words)
        )?;
        at += step;
    }
    Ok(())
}

/// The stages of a stamp, one after the other.
fn strip(out: &mut String, story: &Story, stamp: &StampId, scale: &Scale, y: f64) -> fmt::Result {
    writeln!(out, "<text class=\"name\" x=\"4\" y=\"{:.1}\">{}</text>", y + 12.0, esc(stamp))?;
    let mut runs: Vec<(Timestamp, Stage)> = Vec::new();
    for line in &story.lines {
        let Some(glance) = line.stamps.get(stamp) else { continue };
        if runs.last().is_none_or(|(_, stage)| *stage != glance.stage) {
            runs.push((line.at, glance.stage));
        }
    }
    for (index, (at, stage)) in runs.iter().enumerate() {
        let until = runs.get(index + 1).map_or(story.end().at, |(next, _)| *next);
        let (x, end) = (scale.x(*at), scale.x(until));
        let width = (end - x).max(1.5);
        let word = explain::stage(*stage);
        write!(
            out,
            "<rect class=\"s-{word}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{STRIP}\"><title>{} {word} since {}</title></rect>",
            esc(stamp),
            clock_time(*at)
        )?;
        if width > 64.0 {
            write!(out, "<text class=\"on\" x=\"{:.1}\" y=\"{:.1}\">{word}</text>", x + 5.0, y + 12.0)?;
        }
        out.write_str("\n")?;
    }
    Ok(())
}

type Curve = Vec<(Timestamp, f64)>;

fn load(story: &Story, stamp: &StampId) -> Curve {
    let glances = story.lines.iter().filter_map(|line| line.stamps.get(stamp));
    let mut curve: Curve =
        glances.flat_map(|glance| glance.load.iter().map(|sample| (sample.at, sample.rps))).collect();
    curve.sort_by_key(|(at, _)| *at);
    curve.dedup_by_key(|(at, _)| *at);
    curve
}

fn ready(story: &Story, stamp: &StampId, policy: &Policy) -> Curve {
    // Not a number where nobody knew: the curve breaks there.
    let of = |line: &AuditLine| {
        let instances = line.stamps.get(stamp)?.ready_instances.map_or(f64::NAN, f64::from);
        Some((line.at, instances * policy.capacity.instance_rps))
    };
    story.lines.iter().filter_map(of).collect()
}

fn most(story: &Story, stamps: &[StampId], policy: &Policy) -> f64 {
    let all =
        stamps.iter().flat_map(|stamp| load(story, stamp).into_iter().chain(ready(story, stamp, policy)));
    all.map(|(_, rps)| rps).fold(1.0, f64::max) * 1.05
}

fn chart(
    out: &mut String,
    story: &Story,
    stamp: &StampId,
    scale: &Scale,
    (y, top): (f64, f64),
    policy: &Policy,
) -> fmt::Result {
    let bottom = y + CHART;
    let place = |rps: f64| bottom - (rps / top * CHART).clamp(0.0, CHART);
    writeln!(
        out,
        "<line class=\"base\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\"/>\
         <text class=\"unit\" x=\"4\" y=\"{:.1}\">{top:.0}/s</text><text class=\"unit\" x=\"4\" y=\"{bottom:.1}\">0</text>",
        y + 10.0
    )?;
    let mut path = String::new();
    let mut last: Option<f64> = None;
    for (at, rps) in ready(story, stamp, policy) {
        if rps.is_nan() {
            last = None;
            continue;
        }
        let (x, to) = (scale.x(at), place(rps));
        match last {
            // Capacity is known at each record and stays until the next says otherwise.
            Some(_) => write!(path, "H{x:.1}V{to:.1}")?,
            None => write!(path, "M{x:.1} {to:.1}")?,
        }
        last = Some(x);
    }
    writeln!(out, "<path class=\"c-ready\" d=\"{path}\"/>")?;
    path.clear();
    let mut before: Option<Timestamp> = None;
    for (at, rps) in load(story, stamp).into_iter().filter(|(at, _)| *at >= scale.from) {
        let joined = before.is_some_and(|before| seconds(at) - seconds(before) <= JOIN_MAX_S);
        write!(path, "{}{:.1} {:.1}", if joined { 'L' } else { 'M' }, scale.x(at), place(rps))?;
        before = Some(at);
    }
    writeln!(out, "<path class=\"c-load\" d=\"{path}\"/>")
}

fn decisions(line: &AuditLine) -> Vec<String> {
    line.acts.iter().map(|act| format!("{}: {}", act.stamp, act.text)).collect()
}

fn noted(line: &AuditLine, codes: &[&str]) -> Vec<String> {
    let notes = line.notes.iter().filter(|note| codes.contains(&note.code.as_str()));
    notes.map(|note| note.text.clone()).collect()
}

fn effects(line: &AuditLine) -> Vec<String> {
    noted(line, &["step_ended"])
}

fn orders(line: &AuditLine) -> Vec<String> {
    noted(line, &["ordered", "order_refused", "refused", "topology_changed", "quota_short", "quota_enough"])
}

fn lane(
    out: &mut String,
    story: &Story,
    scale: &Scale,
    (y, name, look): (f64, &str, &str),
    marks: fn(&AuditLine) -> Vec<String>,
) -> fmt::Result {
    let middle = y + LANE / 2.0;
    writeln!(
        out,
        "<text class=\"name\" x=\"4\" y=\"{:.1}\">{name}</text><line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>",
        middle + 4.0
    )?;
    for line in &story.lines {
        let texts = marks(line);
        if texts.is_empty() {
            continue;
        }
        writeln!(
            out,
            "<circle class=\"{look}\" cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"5\"><title>{} record {}: {}</title></circle>",
            scale.x(line.at),
            clock_time(line.at),
            line.seq,
            esc(texts.join("; "))
        )?;
    }
    Ok(())
}
