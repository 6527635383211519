//! Why, and why not, in words: the rules that fired, what was rejected, what would have had to be otherwise, and what the
//! others would carry.

use std::fmt::{self, Write};

use domain::decide::Action;
use domain::explanation::{Explanation, Fired, FiredRule, Survivors};
use domain::lint::SafetyRule;
use domain::state::Cause;
use domain::{Actuator, StampId, Timestamp, explain};

use super::html::esc;
use super::words::{discount, readable};

/// Whose reasons are told.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    /// One stamp's, where its own name need not be said.
    Stamp(&'a StampId),
    /// Everybody's.
    All,
}

impl About<'_> {
    fn covers(&self, stamp: Option<&StampId>) -> bool {
        match self {
            Self::All => true,
            Self::Stamp(ours) => stamp == Some(*ours),
        }
    }
}

/// Writes all that an explanation says, as lists under headings of this level.
pub(super) fn write(
    out: &mut String,
    explanation: &Explanation,
    about: About<'_>,
    as_of: Timestamp,
    level: u8,
) -> fmt::Result {
    let fired = explanation.fired.iter().filter(|fired| about.covers(fired.stamp.as_ref()));
    let fired: Vec<String> = fired.map(|one| named(about, one.stamp.as_ref(), rule(one))).collect();
    let rejected = explanation.alternatives.iter().filter(|one| about.covers(Some(&one.stamp)));
    let rejected: Vec<String> =
        rejected.map(|one| unnamed(about, &one.stamp, explain::why::rejected(one))).collect();
    let otherwise = explanation.counterfactuals.iter().filter(|one| about.covers(Some(&one.stamp)));
    let otherwise: Vec<String> =
        otherwise.map(|one| unnamed(about, &one.stamp, explain::why::counterfactual(one, as_of))).collect();
    let survivors = explanation.survivors.iter().filter(|one| about.covers(Some(&one.without)));
    let survivors: Vec<String> = survivors.flat_map(carried).collect();
    list(out, level, "Rules that fired", &fired)?;
    list(out, level, "Not done, and why not", &rejected)?;
    list(out, level, "It would be otherwise", &otherwise)?;
    list(out, level, "What the others would carry", &survivors)
}

/// Without the stamp's name in front, where everything is about it.
fn unnamed(about: About<'_>, stamp: &StampId, text: String) -> String {
    match (about, text.strip_prefix(stamp.as_str())) {
        (About::Stamp(_), Some(rest)) => rest.trim_start_matches([':', ' ']).to_owned(),
        _ => text,
    }
}

/// A heading and its list; nothing where there is nothing.
pub(super) fn list(out: &mut String, level: u8, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h{level}>{}</h{level}>\n<ul>", esc(title))?;
    for line in lines {
        writeln!(out, "<li>{}</li>", esc(readable(line)))?;
    }
    out.write_str("</ul>\n")
}

fn named(about: About<'_>, stamp: Option<&StampId>, text: String) -> String {
    match (about, stamp) {
        (About::All, Some(stamp)) => format!("{stamp}: {text}"),
        _ => text,
    }
}

/// A rule that fired, in words.
pub(super) fn rule(fired: &Fired) -> String {
    match &fired.rule {
        FiredRule::Fails { cause: Cause::HardLoss, by } => format!("it is lost, by {}", explain::rule(by)),
        FiredRule::Fails { cause: Cause::Gray, by } => {
            format!("it fails too many requests, by {}", explain::rule(by))
        }
        FiredRule::Fails { cause: Cause::Order, by } => format!("it was taken out by {}", explain::rule(by)),
        FiredRule::Full => "it is full, not dead: it gets capacity and is not taken out".to_owned(),
        FiredRule::Alerted => "an active platform alert names its region".to_owned(),
        FiredRule::Discounted { class, because } => {
            format!("{}: {}", explain::class(*class), discount(*because))
        }
        FiredRule::Frozen { cause } => format!("removals are frozen: {}", explain::freeze(*cause)),
        FiredRule::Held { reason } => explain::action(&Action::Hold { reason: *reason }),
        FiredRule::Awaited { on } => explain::action(&Action::Wait { on: *on }),
        FiredRule::SteppedBack { because } => explain::action(&Action::StepBack { why: *because }),
        FiredRule::Overridden { safety, by, why } => {
            format!("safety rule {safety:?} was overridden by {by} ({}): {why}", safety.in_words())
        }
        FiredRule::CannotGrow => "it does not grow as it was asked to".to_owned(),
        FiredRule::Refused { safety, actuator } => {
            let actuator = match actuator {
                Actuator::Gate => "gate",
                Actuator::Origin => "origin",
                Actuator::Capacity => "capacity",
                Actuator::Throughput => "throughput",
            };
            format!("safety rule {safety:?} refused a step of its {actuator}: {}", safety_rule(*safety))
        }
    }
}

/// A safety rule in words.
pub(super) const fn safety_rule(rule: SafetyRule) -> &'static str {
    match rule {
        SafetyRule::S1 => "the floor of regions must hold",
        SafetyRule::S2 => "never the last region, never less capacity than is needed",
        SafetyRule::S3 => "one region at a time; a second needs approval",
        SafetyRule::S4 => "nothing of an older generation after a newer one",
        SafetyRule::S5 => "no step that was not affirmed in time",
        SafetyRule::S6 => "quiet after a gap in our own evidence",
        SafetyRule::S7 => "no capacity is taken away before the last return",
        SafetyRule::S8 => "what cannot be read permits nothing",
        SafetyRule::S9 => "an operator's hold and pause are obeyed",
        SafetyRule::S10 => "the database account is never failed over",
        SafetyRule::S11 => "losing the store never turns all regions red",
        SafetyRule::S12 => "a cause whose mode is not act never acts",
    }
}

fn carried(survivors: &Survivors) -> Vec<String> {
    let shares = survivors.shares.iter().map(|(stamp, share)| {
        let missing = match share.instances_missing {
            0 => String::new(),
            1 => ", 1 instance short".to_owned(),
            missing => format!(", {missing} instances short"),
        };
        format!(
            "{stamp}: {:.0} of {:.0} requests/s it can carry now; needs {} instances{missing}",
            share.demand_rps, share.ready_rps, share.instances_needed
        )
    });
    let harm = &survivors.harm;
    let compared = format!(
        "requests that fail per second: {:.0} if nothing is done, {:.0} with {} out",
        harm.doing_nothing_rps, harm.acting_rps, survivors.without
    );
    shares.chain(std::iter::once(compared)).collect()
}
