//! Times, ages, amounts and short names in words.

use std::time::Duration;

use domain::decide::GateRead;
use domain::evidence::Discount;
use domain::facts::OriginFacts;
use domain::gate::effective_percent;
use domain::{EnabledState, FailureKind, GatePosition, StepStatus, Timestamp, Verdict};

use super::html::esc;

/// A moment as a `time` element, to the second.
pub(super) fn time(at: Timestamp) -> String {
    let exact = esc(at).to_string();
    format!("<time datetime=\"{exact}\">{}</time>", esc(plain_time(at)))
}

/// A moment for plain text, to the second.
pub(super) fn plain_time(at: Timestamp) -> String {
    let seconds = Timestamp::from_secs(at.as_millis().div_euclid(1_000)).to_string();
    seconds.replacen('T', " ", 1).replacen('Z', " UTC", 1)
}

/// Times inside a sentence of the core, as RFC 3339, as the page writes them: 2025-11-22T19:00:00.25Z is hard to read at
/// three in the morning.
pub(super) fn readable(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            words.push(' ');
        }
        let bare = word.trim_end_matches([',', ';', '.', ':', ')']);
        let looks = bare.len() >= 20 && bare.ends_with('Z') && bare.as_bytes().get(10) == Some(&b'T');
        match Timestamp::parse(bare).ok().filter(|_| looks) {
            Some(at) => {
                words.push_str(&clock_time(at));
                words.push_str(&word[bare.len()..]);
            }
            None => words.push_str(word),
        }
    }
    words
}

/// The time of day of a moment in UTC, to the second.
pub(super) fn clock_time(at: Timestamp) -> String {
    let seconds = Timestamp::from_secs(at.as_millis().div_euclid(1_000)).to_string();
    format!("{} UTC", seconds.get(11..19).unwrap_or(&seconds))
}

/// The time of day as a `time` element.
pub(super) fn short_time(at: Timestamp) -> String {
    format!("<time datetime=\"{}\">{}</time>", esc(at), esc(clock_time(at)))
}

/// A duration, to the two largest units.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, 0, _) => format!("{h} h"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, 0, ..) => format!("{d} d"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

/// How long ago.
pub(super) fn ago(now: Timestamp, at: Timestamp) -> String {
    format!("{} ago", span(now.since(at)))
}

/// How long until a moment, or that it has come.
pub(super) fn until(now: Timestamp, at: Timestamp) -> String {
    if at > now { format!("in {}", span(at.since(now))) } else { "now due".to_owned() }
}

/// A gate position.
pub(super) fn gate(position: GatePosition) -> String {
    match position {
        GatePosition::Closed => "closed".to_owned(),
        GatePosition::Slice(percent) => format!("open for {percent} % of the edge locations"),
        GatePosition::Open => "open".to_owned(),
    }
}

/// A gate as read.
pub(super) fn gate_read(read: Option<&GateRead>, now: Timestamp) -> String {
    match read {
        None => "not read".to_owned(),
        Some(GateRead::Unreadable) => "unreadable: the gate store does not answer".to_owned(),
        Some(GateRead::Absent) => "open (no document: nobody closed it)".to_owned(),
        Some(GateRead::Is { document }) => {
            let effective = GatePosition::from_percent(effective_percent(document, now));
            let life = if now >= document.expires_at {
                format!("expired {}, reopening by itself", ago(now, document.expires_at))
            } else {
                format!("expires {}", until(now, document.expires_at))
            };
            format!(
                "{}; generation {}, renewed {}, {life}",
                gate(effective),
                document.generation,
                ago(now, document.heartbeat_at)
            )
        }
    }
}

/// An origin's state.
pub(super) const fn origin(state: EnabledState) -> &'static str {
    match state {
        EnabledState::Enabled => "enabled",
        EnabledState::Disabled => "disabled",
    }
}

/// An origin as read.
pub(super) fn origin_read(read: Option<&OriginFacts>, now: Timestamp) -> String {
    match read {
        None => "never read".to_owned(),
        Some(facts) => {
            let under_way = if facts.updating { ", a change is under way" } else { "" };
            format!("{}{under_way}; read {}", origin(facts.enabled), ago(now, facts.read_at))
        }
    }
}

/// A verdict with the class it is shown in; the word itself carries the meaning.
pub(super) const fn verdict(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Healthy => ("healthy", "good"),
        Verdict::Degraded => ("degraded", "warn"),
        Verdict::Unhealthy => ("unhealthy", "bad"),
        Verdict::Unobserved => ("unobserved", "soft"),
    }
}

/// How an observation failed.
pub(super) const fn failure(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Unreachable => "no answer",
        FailureKind::ServerError => "answers with failure",
        FailureKind::Saturated => "full",
        FailureKind::Dns => "its name does not resolve",
        FailureKind::Auth => "our credentials or its certificate are refused",
        FailureKind::Dependency => "a dependency fails",
    }
}

/// Why what was seen has no vote.
pub(super) const fn discount(why: Discount) -> &'static str {
    match why {
        Discount::Masked => "no vote: our own gate or origin causes it",
        Discount::SharedDependency => "no vote: bad in several regions, so a shared dependency",
        Discount::VantagesDisagree => "no vote: the vantages contradict each other",
    }
}

/// Where a step stands.
pub(super) fn step_status(status: &StepStatus, now: Timestamp) -> String {
    match status {
        StepStatus::Pending { not_before } if *not_before > now => {
            format!("waits for its next try {}", until(now, *not_before))
        }
        StepStatus::Pending { .. } => "pending".to_owned(),
        StepStatus::Claimed { owner, deadline } => {
            format!("being done by {owner}, claim ends {}", until(now, *deadline))
        }
        StepStatus::Running { accepted_at, poll_at, .. } => {
            format!("accepted by Azure {}, next look {}", ago(now, *accepted_at), until(now, *poll_at))
        }
        StepStatus::Done { verified_at } => format!("done and read back {}", ago(now, *verified_at)),
        StepStatus::Failed { code, detail, .. } => format!("failed ({code:?}): {detail}"),
        StepStatus::Void { why, .. } => format!("void: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (754, "12 min 34 s"),
            (3_600, "1 h"),
            (3_700, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn a_time_inside_a_sentence_is_read_like_any_other() {
        assert_eq!(
            readable("x: if it had agreed since 2025-11-22T19:00:00.25Z; T12Z 2025 Z"),
            "x: if it had agreed since 19:00:00 UTC; T12Z 2025 Z"
        );
    }

    #[test]
    fn times_are_utc_to_the_second() {
        let at = Timestamp::from_millis(1_763_838_000_250);
        assert_eq!(plain_time(at), "2025-11-22 19:00:00 UTC");
        assert_eq!(time(at), "<time datetime=\"2025-11-22T19:00:00.25Z\">2025-11-22 19:00:00 UTC</time>");
    }
}
