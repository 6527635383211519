//! Masked evidence: in no recorded decision does a class vote whose evidence our own gate or origin made.

use domain::{GatePosition, StampId};
use serde_json::Value;

use super::{Checker, Commit};

pub(super) struct Masked;

impl Checker for Masked {
    fn name(&self) -> &'static str {
        "masked"
    }

    fn commit(&mut self, seen: &Commit<'_>, found: &mut Vec<String>) {
        // Most records are made while every gate is open, and a decision is a long text to read.
        if seen.before.values().all(|case| case.latched_at.is_none() && case.gate == GatePosition::Open) {
            return;
        }
        let Some(assessments) =
            seen.transition.audit.as_ref().and_then(|record| record.decision["assessments"].as_object())
        else {
            return;
        };
        for (stamp, case) in seen.before {
            let Some(views) = assessments.get(stamp.as_str()).map(|assessment| &assessment["views"]) else {
                continue;
            };
            let out = case.latched_at.is_some();
            let masked = [
                ("edge", out || case.gate != GatePosition::Open),
                ("traffic", out || case.gate == GatePosition::Closed),
            ];
            for (class, _) in masked.iter().filter(|(class, masked)| *masked && votes(&views[*class])) {
                found.push(complaint(stamp, class, &views[*class]));
            }
        }
    }
}

fn votes(view: &Value) -> bool {
    view["verdict"].as_str().is_some_and(|verdict| verdict != "unobserved")
}

fn complaint(stamp: &StampId, class: &str, view: &Value) -> String {
    format!("{class} votes {} on {stamp}, whose gate or origin is not open", view["verdict"])
}
