//! The report over a span of time, for who answers for the service: detection, recovery, holds, wrong removals, time below
//! the floor, and whether what is only watched could act.

use domain::audit_line::AuditLine;
use domain::{Policy, Timestamp};

use super::report::Part;
use super::story::Story;
use super::words::{plain_time, span};

/// Days that a cause is watched at the least, and lines of what was watched.
const DAYS_MIN: u64 = 14;
const WATCHED_MAX: usize = 100;

/// What must hold before a cause goes from `observe` to `act`.
const CRITERION: &str = "A cause may go from observe to act when it was watched for at least 14 days, at least one of its \
    would-be removals was reviewed by a person, none of those reviewed was wrong, and a drill of it was played with the \
    policy in question.";

/// What a span of time came to.
pub struct Months {
    /// From.
    pub from: Timestamp,
    /// Until.
    pub until: Timestamp,
    /// Its incidents, the newest first.
    pub stories: Vec<Story>,
    /// Removals whose record shows the stamp healthy by our own probes when it was taken out.
    pub wrong: Vec<String>,
    /// What was not done for the mode of its cause, and would have been.
    pub watched: Vec<String>,
}

/// Draws it up.
pub fn parts(span_of: &Months, policy: &Policy) -> Vec<Part> {
    let summaries: Vec<_> = span_of.stories.iter().map(Story::summary).collect();
    let cordons = summaries.iter().filter(|summary| !summary.cordoned.is_empty());
    let detected: Vec<u64> = cordons.clone().filter_map(|summary| summary.detection_s).collect();
    let recovered: Vec<u64> = cordons.clone().filter_map(|summary| summary.recovery_s).collect();
    let below: u64 = span_of.stories.iter().map(|story| below_floor_s(story, policy)).sum();
    let holds: usize = summaries.iter().map(|summary| summary.holds).sum();
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let figures = vec![
        row("incidents", summaries.len().to_string()),
        row("of these with a stamp taken out", cordons.clone().count().to_string()),
        row("first symptom to decision, median and longest", median_and_longest(detected)),
        row("first symptom to out of rotation, median and longest", median_and_longest(recovered)),
        row("holds", holds.to_string()),
        row("wrong removals", span_of.wrong.len().to_string()),
        row("time below the floor", span(std::time::Duration::from_secs(below))),
        row("watched and not done", span_of.watched.len().to_string()),
    ];
    let incidents = summaries.iter().map(|summary| {
        let seconds = |s: Option<u64>| s.map_or("-".to_owned(), |s| span(std::time::Duration::from_secs(s)));
        vec![
            plain_time(summary.began),
            summary.title.clone(),
            summary.ended.map_or("goes on".to_owned(), |ended| span(ended.since(summary.began))),
            seconds(summary.detection_s),
            seconds(summary.recovery_s),
            summary.first.to_string(),
        ]
    });
    vec![
        Part::Text(format!("From {} to {}, from the audit alone.", plain_time(span_of.from), plain_time(span_of.until))),
        Part::Table(vec!["figure", "value"], figures),
        Part::Heading("Incidents".to_owned()),
        Part::Table(
            vec!["began", "what", "lasted", "detected after", "out after", "first record"],
            incidents.collect(),
        ),
        Part::Heading("Wrong removals".to_owned()),
        Part::List(if span_of.wrong.is_empty() { vec!["None.".to_owned()] } else { span_of.wrong.clone() }),
        Part::Heading("From observe to act".to_owned()),
        Part::Text(CRITERION.to_owned()),
        Part::List(watched(span_of)),
        Part::Heading("How these are counted".to_owned()),
        Part::List(vec![
            "A removal counts as wrong when our own probes saw the stamp healthy in the record that decided it, unless a person ordered it.".to_owned(),
            "Below the floor is the time between two records in the first of which the stamps in rotation had less ready capacity than all stamps together had to carry.".to_owned(),
            "Medians are of incidents with a removal; an incident that goes on counts with what it has.".to_owned(),
        ]),
    ]
}

/// What would have been done, and how much of the criterion the audit can answer.
fn watched(span_of: &Months) -> Vec<String> {
    let days = span_of.until.since(span_of.from).as_secs() / 86_400;
    let enough = if days >= DAYS_MIN { "long enough" } else { "too short" };
    let mut lines = vec![format!(
        "This report covers {days} days: {enough}. Whether somebody reviewed what follows it cannot know."
    )];
    match span_of.watched.len() {
        0 => lines.push("Nothing would have been done: there is nothing to review yet.".to_owned()),
        count => lines.push(format!("{count} would have been done, to be reviewed one by one:")),
    }
    lines.extend(span_of.watched.iter().take(WATCHED_MAX).cloned());
    lines
}

fn median_and_longest(mut seconds: Vec<u64>) -> String {
    seconds.sort_unstable();
    let (Some(longest), Some(median)) = (seconds.last(), seconds.get(seconds.len() / 2)) else {
        return "none".to_owned();
    };
    let words = |s: u64| span(std::time::Duration::from_secs(s));
    format!("{}, {}", words(*median), words(*longest))
}

fn below_floor_s(story: &Story, policy: &Policy) -> u64 {
    let short = |line: &AuditLine| {
        let open = line.stamps.values().filter(|glance| glance.gate_percent > 0);
        let ready: f64 = open
            .filter_map(|glance| glance.ready_instances)
            .map(|instances| f64::from(instances) * policy.capacity.instance_rps)
            .sum();
        let demand: f64 = line.stamps.values().map(|glance| glance.demand_rps).sum();
        demand > 0.0 && ready < demand
    };
    let pairs = story.lines.iter().zip(story.lines.iter().skip(1));
    pairs.filter(|(line, _)| short(line)).map(|(line, next)| next.at.since(line.at).as_secs()).sum()
}
