//! An incident as its audit lines tell it: when what happened, to whom, and how long it took. Nothing but the audit is
//! read, so the same figures come out a year later.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::audit_line::AuditLine;
use domain::state::Stage;
use domain::{Policy, StampId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lines of one incident that are looked at: a day of a record every three minutes. Beyond it the story says that it is
/// cut.
pub(super) const LINES_MAX: usize = 500;

/// One incident. Its lines are the oldest first, and never none.
pub struct Story {
    /// The number of its first record.
    pub first: u64,
    /// Its lines.
    pub lines: Vec<AuditLine>,
}

/// What happened to one stamp in an incident; none for what did not happen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StampTimes {
    /// It began to show.
    pub first_symptom: Option<Timestamp>,
    /// It became suspect.
    pub suspected: Option<Timestamp>,
    /// Its removal was decided.
    pub decided: Option<Timestamp>,
    /// Its gate was read back closed, or closed as far as it was to be.
    pub out: Option<Timestamp>,
    /// Its origin was to be disabled.
    pub latched: Option<Timestamp>,
    /// It was healthy again, for the last time before its return.
    pub healthy_again: Option<Timestamp>,
    /// Its first slice opened, of the return that held.
    pub return_began: Option<Timestamp>,
    /// It served again.
    pub serving: Option<Timestamp>,
    /// How often its return stepped back.
    pub step_backs: usize,
    /// How often something about it was held, each change of reason once.
    pub holds: usize,
}

/// The same for the whole incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The number of its first record, by which it is named.
    pub first: u64,
    /// The number of its last record so far.
    pub last: u64,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; none while it goes on.
    pub ended: Option<Timestamp>,
    /// One sentence.
    pub title: String,
    /// Stamps that were taken out.
    pub cordoned: Vec<StampId>,
    /// Seconds from the first symptom to the first decision to take a stamp out.
    pub detection_s: Option<u64>,
    /// Seconds from the first symptom to the stamp being out: the recovery time of its clients.
    pub recovery_s: Option<u64>,
    /// Removals were frozen at some time.
    pub frozen: bool,
    /// Holds of all stamps.
    pub holds: usize,
}

impl Story {
    /// From lines in any order; none if there are none.
    pub fn of(mut lines: Vec<AuditLine>) -> Option<Self> {
        lines.sort_by_key(|line| line.seq);
        let first = lines.first().map(|line| line.incident.unwrap_or(line.seq))?;
        Some(Self { first, lines })
    }

    /// The first line.
    pub fn begin(&self) -> &AuditLine {
        &self.lines[0]
    }

    /// The last line so far.
    pub fn end(&self) -> &AuditLine {
        &self.lines[self.lines.len() - 1]
    }

    /// When it ended; none while it goes on.
    pub fn ended(&self) -> Option<Timestamp> {
        (!self.end().goes_on).then(|| self.end().at)
    }

    /// Every stamp in it: those that were taken out, those to whom something else happened, the others.
    pub fn stamps(&self) -> Vec<StampId> {
        let told: BTreeSet<&StampId> = self.acts().map(|(_, act)| &act.stamp).collect();
        let all: BTreeSet<&StampId> = self.lines.iter().flat_map(|line| line.stamps.keys()).collect();
        let cordoned =
            |stamp: &&StampId| !self.acts().any(|(_, act)| act.stamp == **stamp && act.code == "cordon");
        let mut stamps: Vec<&StampId> = told.iter().copied().collect();
        stamps.sort_by_key(cordoned);
        stamps.into_iter().chain(all.difference(&told).copied()).cloned().collect()
    }

    fn acts(&self) -> impl Iterator<Item = (&AuditLine, &domain::audit_line::Act)> {
        self.lines.iter().flat_map(|line| line.acts.iter().map(move |act| (line, act)))
    }

    /// The times of one stamp.
    pub fn times(&self, stamp: &StampId) -> StampTimes {
        let mut times = StampTimes::default();
        let mut held = "";
        let of_stamp = self.acts().filter(|(_, act)| act.stamp == *stamp);
        for (line, act) in of_stamp {
            let at = Some(line.at);
            if act.code != "hold" {
                held = "";
            }
            match act.code.as_str() {
                "suspect" => times.suspected = times.suspected.or(at),
                "cordon" => times.decided = times.decided.or(at),
                "confirm_cordon" | "evacuate_partly" => times.out = times.out.or(at),
                "latch" => times.latched = times.latched.or(at),
                "start_window" => times.healthy_again = at,
                "open_slice" | "return_early" | "emergency_return" => {
                    times.return_began = times.return_began.or(at);
                }
                "step_back" => {
                    times.step_backs += 1;
                    times.return_began = None;
                }
                "serve" => times.serving = at,
                "hold" if held != act.text => {
                    times.holds += 1;
                    held = &act.text;
                }
                _ => {}
            }
        }
        let glances = || self.lines.iter().filter_map(|line| line.stamps.get(stamp));
        times.first_symptom = glances().filter_map(|glance| glance.first_symptom_at).min();
        times
    }

    /// The first moment after `from` at which the others had ready capacity for what all of them must carry.
    pub fn survivors_ready(&self, without: &StampId, from: Timestamp, policy: &Policy) -> Option<Timestamp> {
        let ready = |line: &&AuditLine| {
            let others = line.stamps.iter().filter(|(stamp, _)| *stamp != without);
            let carries: f64 = others
                .filter_map(|(_, glance)| glance.ready_instances)
                .map(|instances| f64::from(instances) * policy.capacity.instance_rps)
                .sum();
            let demand: f64 = line.stamps.values().map(|glance| glance.demand_rps).sum();
            demand > 0.0 && carries >= demand * domain::lint::S2_MARGIN
        };
        self.lines.iter().filter(|line| line.at >= from).find(ready).map(|line| line.at)
    }

    /// The incident in figures.
    pub fn summary(&self) -> Summary {
        let cordoned: Vec<StampId> =
            self.stamps().into_iter().filter(|stamp| self.times(stamp).decided.is_some()).collect();
        let of_first = cordoned.first().map(|stamp| self.times(stamp));
        let since = |at: fn(&StampTimes) -> Option<Timestamp>| {
            let times = of_first.as_ref()?;
            Some(span(at(times)?, times.first_symptom?).as_secs())
        };
        Summary {
            first: self.first,
            last: self.end().seq,
            began: self.begin().at,
            ended: self.ended(),
            title: self.title(&cordoned),
            detection_s: since(|times| times.decided),
            recovery_s: since(|times| times.out),
            frozen: self.lines.iter().any(|line| line.frozen.is_some()),
            holds: self.stamps().iter().map(|stamp| self.times(stamp).holds).sum(),
            cordoned,
        }
    }

    fn title(&self, cordoned: &[StampId]) -> String {
        let names =
            |stamps: &[StampId]| stamps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let with = |stage: Stage| {
            let has = |stamp: &StampId| {
                self.lines
                    .iter()
                    .any(|line| line.stamps.get(stamp).is_some_and(|glance| glance.stage == stage))
            };
            self.stamps().into_iter().filter(|stamp| has(stamp)).collect::<Vec<_>>()
        };
        let (held, suspect) = (with(Stage::Held), with(Stage::Suspect));
        if !cordoned.is_empty() {
            format!("{} taken out of rotation", names(cordoned))
        } else if self.lines.iter().any(|line| line.frozen.is_some()) {
            "Removals frozen, nothing taken out".to_owned()
        } else if !held.is_empty() {
            format!("{} held by an operator", names(&held))
        } else if !suspect.is_empty() {
            format!("{} under suspicion, nothing taken out", names(&suspect))
        } else {
            self.begin().headline.clone()
        }
    }
}

/// How much later `at` is than `from`.
pub(super) fn span(at: Timestamp, from: Timestamp) -> Duration {
    at.since(from)
}
