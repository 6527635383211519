//! An audit record as one line: enough to find it, to list it and to draw an incident, so that nobody reads ten thousand
//! records to show ten. Derived from the record and the line before it, and never part of what the hash covers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::AuditRecord;
use crate::decide::Action;
use crate::state::{LoadSample, Stage};
use crate::{Generation, StampId, Timestamp};

/// Longest headline of a line, in characters; the record has all of it.
pub const HEADLINE_CHARS_MAX: usize = 400;

/// Notes of one line, at the most: a burst of refused events is one line, not hundreds.
pub const NOTES_MAX: usize = 12;

/// Load samples of one glance, at the most: one a minute over what a case remembers.
const SAMPLES_MAX: usize = 6;

/// What a stamp said of itself longer ago shows no ready capacity.
const LOAD_AGE_MAX: Duration = Duration::from_secs(60);

/// One record as a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLine {
    /// The record's number.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// The `as_of` of its decision.
    pub at: Timestamp,
    /// The generation that its commit made.
    pub generation: Generation,
    /// One sentence, cut to `HEADLINE_CHARS_MAX`.
    pub headline: String,
    /// The incident that it belongs to: the number of the incident's first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    /// Whether that incident goes on after it.
    #[serde(default)]
    pub goes_on: bool,
    /// What was done about which stamp, or held and why; not what merely stayed or waited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<Act>,
    /// Effects that were planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<Planned>,
    /// What folding noted: orders, ends of steps, refusals, changes of the topology.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Noted>,
    /// Codes of the rules that fired and of the safety rules that refused.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rules: BTreeSet<String>,
    /// Why removals are frozen, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// The stamps at that moment; only while an incident goes on, and in the record that ends it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stamps: BTreeMap<StampId, Glance>,
}

/// What was done about a stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    /// The stamp.
    pub stamp: StampId,
    /// The action's stable code.
    pub code: String,
    /// In words.
    pub text: String,
}

/// An effect that was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// In words.
    pub text: String,
    /// Seconds to undo it, at the longest.
    pub undo_s: u64,
}

/// Something that folding noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Noted {
    /// The note's stable code: `ordered`, `overridden`, `order_refused`, `step_ended`, `refused`, `topology_changed`,
    /// `changed_elsewhere`, `quota_short`, `quota_enough`, `epoch_began`.
    pub code: String,
    /// In words.
    pub text: String,
}

/// A stamp at the moment of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Glance {
    /// Its stage.
    pub stage: Stage,
    /// The gate wanted, in percent of the edge locations that are let in.
    pub gate_percent: u8,
    /// When the present case began to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_symptom_at: Option<Timestamp>,
    /// Requests per second that must be carried.
    pub demand_rps: f64,
    /// Ready instances, as the stamp last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_instances: Option<u32>,
    /// Its load over the last minutes, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<LoadSample>,
}

/// What to look for. An empty query finds every line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Lines in which something was done or noted about this stamp.
    pub stamp: Option<StampId>,
    /// Lines with this code among their acts or notes, or `freeze`.
    pub decision: Option<String>,
    /// Lines with this rule.
    pub rule: Option<String>,
    /// Lines of this incident.
    pub incident: Option<u64>,
    /// First lines of incidents.
    pub beginnings: bool,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Not after this moment.
    pub until: Option<Timestamp>,
    /// Numbers below this one.
    pub before: Option<u64>,
}

/// The term of the first line of each incident.
const BEGINNING: &str = "beginning";

impl AuditQuery {
    /// The terms that a line must have, all of them.
    pub fn terms(&self) -> Vec<String> {
        let mut terms = Vec::new();
        terms.extend(self.incident.map(|first| format!("incident:{first}")));
        terms.extend(self.rule.as_ref().map(|rule| format!("rule:{rule}")));
        terms.extend(self.decision.as_ref().map(|code| format!("decision:{code}")));
        terms.extend(self.stamp.as_ref().map(|stamp| format!("stamp:{stamp}")));
        terms.extend(self.beginnings.then(|| BEGINNING.to_owned()));
        terms
    }

    /// Whether a line is one of those looked for.
    pub fn finds(&self, line: &AuditLine) -> bool {
        let has = line.terms();
        self.from.is_none_or(|from| line.at >= from)
            && self.until.is_none_or(|until| line.at <= until)
            && self.before.is_none_or(|before| line.seq < before)
            && self.terms().iter().all(|term| has.contains(term))
    }
}

impl AuditLine {
    /// The line of a record. `before` is the line of the record before it, if that is known.
    pub fn of(record: &AuditRecord, before: Option<&Self>) -> Self {
        let frozen = record.decision["freeze"]["cause"].as_str().map(str::to_owned);
        // One that cannot be read has no notes and no load to show; that it is so, `audit verify` says.
        let recorded: Recorded = record.situation.read().unwrap_or_default();
        let busy = frozen.is_some() || cases(record).any(|(_, case)| case["stage"] != "serving");
        let running = before.filter(|before| before.goes_on).and_then(|before| before.incident);
        let incident = if busy { Some(running.unwrap_or(record.seq)) } else { running };
        Self {
            seq: record.seq,
            hash: record.hash.clone(),
            at: record.at,
            generation: record.generation,
            headline: record.headline.chars().take(HEADLINE_CHARS_MAX).collect(),
            incident,
            goes_on: busy,
            acts: acts(record),
            planned: planned(record),
            notes: notes(&recorded),
            rules: rules(record),
            frozen,
            stamps: if incident.is_some() { stamps(record, &recorded) } else { BTreeMap::new() },
        }
    }

    /// What it can be found by.
    pub fn terms(&self) -> BTreeSet<String> {
        let mut terms = BTreeSet::new();
        for act in &self.acts {
            terms.insert(format!("stamp:{}", act.stamp));
            terms.insert(format!("decision:{}", act.code));
        }
        terms.extend(self.notes.iter().map(|note| format!("decision:{}", note.code)));
        terms.extend(self.frozen.iter().map(|_| "decision:freeze".to_owned()));
        terms.extend(self.rules.iter().map(|rule| format!("rule:{rule}")));
        if let Some(first) = self.incident {
            terms.insert(format!("incident:{first}"));
            if first == self.seq {
                terms.insert(BEGINNING.to_owned());
            }
        }
        terms
    }
}

/// What a line shows of a recorded situation, which is large: the rest is passed over unread.
#[derive(Default, Deserialize)]
struct Recorded {
    #[serde(default)]
    notes: Vec<Value>,
    #[serde(default)]
    state: RecordedState,
}

#[derive(Default, Deserialize)]
struct RecordedState {
    #[serde(default)]
    load: BTreeMap<String, Value>,
    #[serde(default)]
    load_samples: BTreeMap<String, Vec<LoadSample>>,
}

fn cases(record: &AuditRecord) -> impl Iterator<Item = (&String, &Value)> {
    record.decision["cases"].as_object().into_iter().flatten()
}

fn acts(record: &AuditRecord) -> Vec<Act> {
    let rulings = record.decision["rulings"].as_object().into_iter().flatten();
    rulings
        .filter_map(|(stamp, ruling)| {
            let code = ruling["action"]["action"].as_str()?;
            let action: Action = serde_json::from_value(ruling["action"].clone()).ok()?;
            let idle = matches!(action, Action::Stay | Action::Wait { .. });
            let (stamp, code) = (StampId::new(stamp), code.to_owned());
            (!idle).then(|| Act { stamp, code, text: crate::explain::action(&action) })
        })
        .collect()
}

fn planned(record: &AuditRecord) -> Vec<Planned> {
    let steps = record.steps.as_array().into_iter().flatten();
    steps
        .filter_map(|step| {
            Some(Planned { text: step["in_words"].as_str()?.to_owned(), undo_s: step["undo_s"].as_u64()? })
        })
        .collect()
}

fn notes(recorded: &Recorded) -> Vec<Noted> {
    recorded
        .notes
        .iter()
        .take(NOTES_MAX)
        .filter_map(|note| {
            let code = note["note"].as_str()?.to_owned();
            let text = match note["text"].as_str() {
                Some(text) => text.to_owned(),
                None => format!(
                    "refused an event of {}: {}",
                    note["refusal"]["source"].as_str().unwrap_or_default(),
                    note["refusal"]["note"].as_str().unwrap_or_default()
                ),
            };
            Some(Noted { code, text: text.chars().take(HEADLINE_CHARS_MAX).collect() })
        })
        .collect()
}

/// The codes of the rules that fired: the rule's own, with its reason where it has one, and `S1` to `S12`.
fn rules(record: &AuditRecord) -> BTreeSet<String> {
    let fired = record.explanation["fired"].as_array().into_iter().flatten();
    let mut rules: BTreeSet<String> = fired
        .filter_map(|fired| {
            let rule = &fired["rule"];
            let code = rule["rule"].as_str()?;
            let more =
                ["reason", "on", "because", "cause", "safety"].iter().find_map(|field| rule[*field].as_str());
            Some(match (code, rule["by"]["rule"].as_str(), more) {
                ("fails", Some(by), _) => by.to_owned(),
                ("refused", ..) => return None,
                (code, _, Some(more)) => format!("{code}.{more}"),
                (code, ..) => code.to_owned(),
            })
        })
        .collect();
    let findings = record.findings.as_array().into_iter().flatten();
    rules.extend(findings.filter_map(|finding| finding["rule"].as_str().map(str::to_owned)));
    rules
}

fn stamps(record: &AuditRecord, recorded: &Recorded) -> BTreeMap<StampId, Glance> {
    cases(record)
        .filter_map(|(stamp, case)| {
            let load = recorded.state.load.get(stamp).unwrap_or(&Value::Null);
            let told_at = load["observed_at"].as_str().and_then(|at| Timestamp::parse(at).ok());
            let is_fresh = told_at.is_some_and(|at| record.at.since(at) <= LOAD_AGE_MAX);
            let ready = load["ready_instances"].as_u64().filter(|_| is_fresh);
            let glance = Glance {
                stage: serde_json::from_value(case["stage"].clone()).ok()?,
                gate_percent: gate_percent(&case["gate"]),
                first_symptom_at: serde_json::from_value(case["first_symptom_at"].clone()).unwrap_or(None),
                demand_rps: case["demand_rps"].as_f64().unwrap_or(0.0),
                ready_instances: ready.and_then(|ready| u32::try_from(ready).ok()),
                load: recorded.state.load_samples.get(stamp).map_or_else(Vec::new, |all| samples(all)),
            };
            Some((StampId::new(stamp), glance))
        })
        .collect()
}

fn gate_percent(gate: &Value) -> u8 {
    serde_json::from_value(gate.clone()).map_or(100, |gate: crate::GatePosition| gate.percent())
}

/// Every fifth of the samples, and the last.
fn samples(all: &[LoadSample]) -> Vec<LoadSample> {
    let step = all.len().div_ceil(SAMPLES_MAX).max(1);
    let shown: Vec<LoadSample> = all.iter().rev().step_by(step).copied().collect();
    shown.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkloadId;

    fn record(seq: u64, stage: &str) -> AuditRecord {
        let decision = serde_json::json!({
            "cases": {"eastus2": {"stage": stage, "gate": "closed", "demand_rps": 600.0}},
            "rulings": {
                "eastus2": {"action": {"action": "hold", "reason": "needs_approval"}, "next_at": null},
                "centralus": {"action": {"action": "stay"}, "next_at": null},
            },
            "freeze": null,
        });
        let explanation = serde_json::json!({"fired": [
            {"stamp": "eastus2", "rule": {"rule": "held", "reason": "needs_approval"}},
            {"stamp": "eastus2", "rule": {"rule": "fails", "cause": "gray", "by": {"rule": "two_classes"}}},
            {"stamp": "eastus2", "rule": {"rule": "refused", "safety": "S2", "actuator": "gate"}},
        ]});
        AuditRecord {
            id: String::new(),
            schema: 1,
            workload: WorkloadId::new("contoso-shoes"),
            seq,
            previous: String::new(),
            generation: Generation { epoch: 1, n: seq },
            at: Timestamp::from_secs(60),
            headline: "x".repeat(1_000),
            because: vec![],
            decision: crate::canonical::JsonPart::of(&decision),
            findings: serde_json::json!([{"rule": "S2", "stamp": "eastus2", "actuator": "gate", "text": ""}]),
            steps: Value::Null,
            explanation,
            consumed: vec![],
            situation: crate::canonical::JsonText::of(
                &serde_json::json!({"notes": [{"note": "ordered", "text": "sam ordered a hold"}]}),
            ),
            policy_hash: String::new(),
            hash: String::new(),
        }
        .sealed()
    }

    #[test]
    fn an_incident_goes_from_the_first_record_that_is_not_calm_to_the_first_that_is() {
        let mut before: Option<AuditLine> = None;
        let mut of = |seq, stage| {
            let line = AuditLine::of(&record(seq, stage), before.as_ref());
            before = Some(line.clone());
            (line.incident, line.goes_on)
        };
        assert_eq!(of(1, "serving"), (None, false));
        assert_eq!(of(2, "suspect"), (Some(2), true));
        assert_eq!(of(3, "cordoned"), (Some(2), true));
        assert_eq!(of(4, "serving"), (Some(2), false), "the record that ends it belongs to it");
        assert_eq!(of(5, "serving"), (None, false));
        assert_eq!(of(6, "held"), (Some(6), true));
    }

    #[test]
    fn a_line_is_found_by_stamp_decision_rule_time_and_incident() {
        let line = AuditLine::of(&record(2, "cordoned"), None);
        assert_eq!(line.headline.chars().count(), HEADLINE_CHARS_MAX);
        assert_eq!(line.stamps[&StampId::from("eastus2")].gate_percent, 0);
        let found = |query: AuditQuery| query.finds(&line);
        assert!(found(AuditQuery::default()));
        assert!(found(AuditQuery { stamp: Some("eastus2".into()), ..AuditQuery::default() }));
        assert!(!found(AuditQuery { stamp: Some("centralus".into()), ..AuditQuery::default() }));
        for decision in ["hold", "ordered"] {
            assert!(found(AuditQuery { decision: Some(decision.into()), ..AuditQuery::default() }));
        }
        assert!(!found(AuditQuery { decision: Some("stay".into()), ..AuditQuery::default() }));
        for rule in ["held.needs_approval", "two_classes", "S2"] {
            assert!(found(AuditQuery { rule: Some(rule.into()), ..AuditQuery::default() }), "{rule}");
        }
        assert!(found(AuditQuery { beginnings: true, incident: Some(2), ..AuditQuery::default() }));
        assert!(!found(AuditQuery { before: Some(2), ..AuditQuery::default() }));
        assert!(found(AuditQuery { before: Some(3), ..AuditQuery::default() }));
        assert!(!found(AuditQuery { from: Some(Timestamp::from_secs(61)), ..AuditQuery::default() }));
        assert!(!found(AuditQuery { until: Some(Timestamp::from_secs(59)), ..AuditQuery::default() }));
    }

    #[test]
    fn a_glance_has_the_load_of_a_moment_ago_and_no_older() {
        let glance = |age_s: u64| {
            let at = Timestamp::from_secs(600);
            let told_at = at.before(Duration::from_secs(age_s));
            let state = serde_json::json!({
                "load": {"eastus2": {"observed_at": told_at, "ready_instances": 7}},
            });
            let situation =
                crate::canonical::JsonText::of(&serde_json::json!({ "state": state, "notes": [] }));
            let record = AuditRecord { at, situation, ..record(2, "cordoned") };
            AuditLine::of(&record, None).stamps[&StampId::from("eastus2")].ready_instances
        };
        let most = LOAD_AGE_MAX.as_secs();
        assert_eq!((glance(0), glance(most), glance(most + 1)), (Some(7), Some(7), None));
    }

    #[test]
    fn a_line_shows_some_of_the_samples_the_last_among_them() {
        let all = |count: u32| -> Vec<LoadSample> {
            (0..count)
                .map(|n| LoadSample { at: Timestamp::from_secs(i64::from(n)), rps: f64::from(n) })
                .collect()
        };
        assert_eq!(samples(&[]), []);
        assert_eq!(samples(&all(1)), all(1));
        for count in [1, 2, 30, 31, 100] {
            let (all, shown) = (all(count), samples(&all(count)));
            assert!(shown.len() <= SAMPLES_MAX && shown.last() == all.last(), "{count}: {shown:?}");
            assert!(shown.is_sorted_by_key(|sample| sample.at));
        }
    }

    #[test]
    fn a_line_says_what_was_planned_and_how_soon_it_is_undone() {
        let steps = serde_json::json!([
            {"step": {}, "in_words": "close the gate of eastus2", "undo_s": 90},
            {"step": {}},
        ]);
        let planned = planned(&AuditRecord { steps, ..record(2, "cordoned") });
        assert_eq!(planned, [Planned { text: "close the gate of eastus2".into(), undo_s: 90 }]);
    }

    #[test]
    fn a_gate_is_told_in_percent_and_an_unknown_one_as_open() {
        for (gate, percent) in [
            (crate::GatePosition::Closed, 0),
            (crate::GatePosition::Slice(25), 25),
            (crate::GatePosition::Open, 100),
        ] {
            assert_eq!(gate_percent(&serde_json::to_value(gate).unwrap()), percent);
        }
        assert_eq!(gate_percent(&Value::Null), 100);
    }
}
