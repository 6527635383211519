//! What must not be overlooked: freezes, pauses, holds, what waits for a person, modes that do not act, blind observers.

use std::fmt::{self, Write};
use std::time::Duration;

use domain::decide::{Action, HoldReason};
use domain::explain;
use domain::modes::ModeCause;
use domain::policy::Mode;
use domain::state::StampCase;

use super::View;
use super::html::esc;
use super::status::Picture;
use super::words::{plain_time, span};

/// Our own evidence comes every 10 s; older than this, the observers do not run.
const EVIDENCE_AGE_MAX: Duration = Duration::from_secs(60);

/// Things that cannot be read, named on the page at most; the state as JSON has all of them.
const UNREADABLE_SHOWN: usize = 8;

/// One thing that must not be overlooked, and what ends it.
struct Alarm {
    text: String,
    /// On the command line.
    command: Option<String>,
    /// On the page: the order's path, and what the link says.
    order: Option<(String, &'static str)>,
}

/// Writes them, the most urgent first.
pub(super) fn alarms(out: &mut String, picture: &Picture<'_>, view: &View<'_>) -> fmt::Result {
    let mut all = waiting(picture);
    all.extend(stopped(picture));
    all.extend(capacity(picture));
    all.extend(blind(picture));
    all.extend(modes(picture));
    for alarm in all {
        write!(out, "<p class=\"loud bad-edge\">{}", esc(&alarm.text))?;
        match (alarm.order, alarm.command) {
            (Some((path, name)), _) if view.frame.caller.may_order() => {
                let base = esc(view.frame.base);
                write!(out, "\n<a class=\"button\" href=\"{base}/order/{}\">{name}</a>", esc(path))?;
            }
            (_, Some(command)) => write!(out, "\n<code>{}</code>", esc(command))?,
            _ => {}
        }
        out.write_str("</p>\n")?;
    }
    Ok(())
}

/// How often a person was asked, where once was not enough.
fn asked(case: &StampCase) -> String {
    match case.held_for {
        Some(held) if held.told > 1 => {
            format!(" Asked {} times since {}.", held.told, plain_time(held.since))
        }
        _ => String::new(),
    }
}

/// What waits for a person.
fn waiting(picture: &Picture<'_>) -> Vec<Alarm> {
    let state = &picture.situation.state;
    let mut alarms = Vec::new();
    for (stamp, case) in &state.cases {
        if let Some(generation) = case.awaiting_approval.filter(|_| case.approval.is_none()) {
            alarms.push(Alarm {
                text: format!(
                    "The cordon of {stamp} awaits approval: another region is out already.{}",
                    asked(case)
                ),
                command: Some(format!("cordon approve {stamp} --generation {generation}")),
                order: Some((format!("approve?stamp={stamp}&generation={generation}"), "Approve or not ...")),
            });
        }
    }
    for (stamp, ruling) in &picture.judgement.decision.rulings {
        if matches!(ruling.action, Action::Hold { reason: HoldReason::NeedsAcknowledgement }) {
            alarms.push(Alarm {
                text: format!(
                    "The return of {stamp} needs an acknowledgement: its automatic cordons are used up."
                ),
                command: Some(format!("cordon ack {stamp}")),
                order: Some((format!("acknowledge?stamp={stamp}"), "Acknowledge ...")),
            });
        }
    }
    alarms
}

/// What a person or a rule has stopped.
fn stopped(picture: &Picture<'_>) -> Vec<Alarm> {
    let state = &picture.situation.state;
    let now = state.as_of;
    let mut alarms = Vec::new();
    if let Some(freeze) = picture.judgement.decision.freeze {
        alarms.push(Alarm {
            text: format!(
                "Removals are frozen since {}: {}. Pre-scaling and the emergency return go on.",
                plain_time(freeze.since),
                explain::freeze(freeze.cause)
            ),
            command: None,
            order: None,
        });
    }
    if let Some(pause) = state.pause.as_ref().filter(|pause| pause.until > now) {
        alarms.push(Alarm {
            text: format!(
                "The automation is paused by {} until {}: {}",
                pause.by,
                plain_time(pause.until),
                pause.reason
            ),
            command: Some("cordon resume".to_owned()),
            order: Some(("resume".to_owned(), "Resume ...")),
        });
    }
    for (stamp, case) in &state.cases {
        alarms.extend(case.overrides.iter().filter(|(_, given)| given.until > now).map(|(rule, given)| {
            Alarm {
                text: format!(
                    "Safety rule {rule:?} is overridden for {stamp} by {} until {} ({}): {}",
                    given.by,
                    plain_time(given.until),
                    rule.in_words(),
                    given.reason
                ),
                command: Some(format!("cordon hold {stamp}")),
                order: Some((format!("hold?stamp={stamp}"), "Hold ...")),
            }
        }));
        let Some(hold) = &case.hold else { continue };
        alarms.push(Alarm {
            text: format!("{stamp} is held by {} since {}: {}", hold.by, plain_time(hold.since), hold.reason),
            command: Some(format!("cordon release {stamp}")),
            order: Some((format!("release?stamp={stamp}"), "Release ...")),
        });
    }
    for (stamp, case) in &state.cases {
        let given_up = [
            (
                case.origin_yielded_at,
                "its origin was enabled by somebody else; the latch is given up, the gate is not",
            ),
            (case.floor_yielded_at, "our capacity floor was changed by somebody else and is given up"),
        ];
        for (at, what) in given_up {
            let Some(at) = at else { continue };
            let text = format!("{stamp}: {what}, since {}, until this cordon is over.", plain_time(at));
            alarms.push(Alarm { text, command: None, order: None });
        }
    }
    if let Some(quiet_until) = state.quiet_until.filter(|until| *until > now) {
        let text =
            format!("Our own evidence had a gap: nothing is removed before {}.", plain_time(quiet_until));
        alarms.push(Alarm { text, command: None, order: None });
    }
    alarms
}

/// What the quotas would not carry, and what is enlarged for the time being.
fn capacity(picture: &Picture<'_>) -> Vec<Alarm> {
    let state = &picture.situation.state;
    let mut alarms = Vec::new();
    for (stamp, case) in &state.cases {
        let Some(short) = &case.quota_short else { continue };
        let since = plain_time(short.since);
        let text = format!("{}. Known since {since}.", domain::quota::in_words(stamp, short));
        alarms.push(Alarm { text, command: None, order: None });
    }
    for (resource, held) in state.throughput_held.iter().filter(|(_, held)| held.yielded_at.is_none()) {
        let text = format!(
            "The throughput of {resource} is raised from {} to {} RU/s since {}, until every stamp serves.",
            held.before,
            held.set,
            plain_time(held.since)
        );
        alarms.push(Alarm { text, command: None, order: None });
    }
    alarms
}

fn blind(picture: &Picture<'_>) -> Vec<Alarm> {
    let mut alarms = unwatched(picture);
    alarms.extend(unreadable(picture));
    alarms
}

/// What is asked and does not answer.
fn unreadable(picture: &Picture<'_>) -> Option<Alarm> {
    let what = &picture.situation.state.unreadable;
    let since = what.values().map(|found| found.since).min()?;
    let names: Vec<&str> = what.keys().map(String::as_str).take(UNREADABLE_SHOWN).collect();
    let more = what.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!(
        "Cannot be read, since {} at the longest: {}{more}. What was read before keeps ageing; this process's log says why.",
        plain_time(since),
        names.join(", ")
    );
    Some(Alarm { text, command: None, order: None })
}

fn unwatched(picture: &Picture<'_>) -> Vec<Alarm> {
    let state = &picture.situation.state;
    let text = match state.observed_at.map(|at| state.as_of.since(at)) {
        None if !state.cases.is_empty() => {
            "Our own probes have seen no stamp yet. Does observe_stamps run?".to_owned()
        }
        Some(age) if age > EVIDENCE_AGE_MAX => format!(
            "Our own evidence is {} old. Does observe_stamps run, and can it reach the ledger?",
            span(age)
        ),
        _ => return vec![],
    };
    vec![Alarm { text, command: None, order: None }]
}

/// Modes that keep something from being done, or that an operator changed.
fn modes(picture: &Picture<'_>) -> Vec<Alarm> {
    let ordered = &picture.situation.state.modes;
    let told = ModeCause::ALL.into_iter().filter_map(|cause| {
        let (name, mode) = (explain::cause_in_words(cause), cause.mode(picture.policy));
        let word = explain::mode_in_words(mode);
        match ordered.get(&cause) {
            Some(order) => Some(format!("{name}: {word}, ordered by {}: {}", order.by, order.reason)),
            None => (mode != Mode::Act).then(|| format!("{name}: {word}")),
        }
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        return vec![];
    }
    let text = format!("Not every cause acts as usual. {}.", told.join("; "));
    vec![Alarm { text, command: None, order: Some(("mode".to_owned(), "Change a mode ...")) }]
}
