//! What a record is to whom, drawn by hand: its kinds, its headline, and what the modes kept from being done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::assess::Rule;
use crate::decide::{Action, HoldReason, Ruling, WaitReason};
use crate::explain;
use crate::fold::FoldNote;
use crate::judge::Judgement;
use crate::lint::{Finding, SafetyRule};
use crate::notice::Notice;
use crate::overriding::{Overridable, Override};
use crate::policy::{Mode, Policy};
use crate::shadow::{Shadow, Told, shadow};
use crate::state::{Cause, HeldFor, Pause, Stage};
use crate::step::{Effect, Step, StepStatus};
use crate::testing::{NO_GENERATION, held, shipped, stored_step, waits};
use crate::{Actuator, EnabledState, GatePosition, StampId, Timestamp};

use super::drawn::{Drawn, LOST, OTHER, s};

fn close_gate() -> Effect {
    let expires_at = Drawn::calm(1).now() + s(9_000);
    Effect::SetGate { stamp: LOST.into(), position: GatePosition::Closed, expires_at, reason: "lost".into() }
}

fn raise_floor(stamp: StampId, minimum: u32) -> Effect {
    Effect::RaiseFloor { stamp, minimum, until: Timestamp::from_secs(1_900_000_000) }
}

fn step(effect: Effect) -> Step {
    let planned_at = Drawn::calm(1).now();
    stored_step(effect, StepStatus::Pending { not_before: planned_at }, 0, planned_at).step
}

#[test]
fn an_override_is_news_when_it_is_given_and_when_it_is_used() {
    for (name, noted, in_case, action, expected) in [
        ("nothing", false, false, Action::Stay, false),
        ("given in this fold", true, false, Action::Stay, true),
        ("given before, not used", false, true, held(HoldReason::CapacityShort), false),
        ("given before and used", false, true, Action::CloseByOverride, true),
        ("given now and used", true, true, Action::CloseByOverride, true),
        ("none, and a gate that closes", false, false, Action::CloseGate, false),
    ] {
        let mut drawn = Drawn::ruled(2, Stage::Evacuating, action);
        let at = drawn.now();
        drawn.situation.notes.push(FoldNote::Ordered { text: "a pause".into() });
        if noted {
            drawn.situation.notes.push(FoldNote::Overridden { text: "S2".into() });
        }
        if in_case {
            let (by, reason, until) = ("ada".into(), "drill".into(), at + s(300));
            let given = Override { by, reason, at, until, generation: NO_GENERATION };
            drawn.after(LOST).overrides.insert(Overridable::S2, given);
        }
        assert_eq!(drawn.explanation().notices.contains(&Notice::Overridden), expected, "{name}");
    }
}

#[test]
fn a_hold_is_the_news_that_its_reason_makes_it() {
    for (reason, expected) in [
        (HoldReason::NeedsApproval, Notice::NeedsApproval),
        (HoldReason::NeedsAcknowledgement, Notice::NeedsAcknowledgement),
        (HoldReason::CapacityShort, Notice::CapacityShort),
        (HoldReason::ModeObserve, Notice::Observed),
        (HoldReason::ModeAdvise, Notice::Advised),
        (HoldReason::Quiet, Notice::Held),
        (HoldReason::BudgetSpent, Notice::Held),
        (HoldReason::MoreHarm, Notice::Held),
    ] {
        let drawn = Drawn::ruled(2, Stage::Suspect, held(reason));
        assert_eq!(drawn.explanation().notices, BTreeSet::from([expected]), "{reason:?}");
    }
}

#[test]
fn what_is_done_comes_before_what_is_held_and_that_before_what_stays() {
    let done = || Action::Cordon { cause: Cause::HardLoss, by: Rule::Ordered };
    let hold = || held(HoldReason::Quiet);
    for (of_other, of_lost, headline) in [
        (done(), hold(), vec![OTHER, LOST]),
        (hold(), done(), vec![LOST, OTHER]),
        (hold(), hold(), vec![OTHER, LOST]),
        (Action::Stay, hold(), vec![LOST]),
        (waits(WaitReason::Window), done(), vec![LOST]),
    ] {
        let what = format!("{of_other:?} and {of_lost:?}");
        let mut drawn = Drawn::calm(2);
        drawn.rule(OTHER, of_other, None);
        drawn.rule(LOST, of_lost, None);
        let (found, because) = explain::decision(&drawn.judgement.decision);
        let named: Vec<&str> = found.split("; ").filter_map(|part| part.split(": ").next()).collect();
        assert!(named.starts_with(&headline), "{what}: {found}");
        let mut expected = headline.clone();
        expected.extend([OTHER, LOST].into_iter().filter(|stamp| !headline.contains(stamp)));
        let reasons: Vec<&str> = because.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(reasons, expected, "{what}: {because:?}");
    }
}

#[test]
fn only_a_person_who_was_asked_before_is_said_not_to_have_answered() {
    for (reason, told, expected) in [
        (HoldReason::NeedsApproval, 1, false),
        (HoldReason::NeedsApproval, 2, true),
        (HoldReason::NeedsAcknowledgement, 2, true),
        (HoldReason::NeedsAcknowledgement, 1, false),
        (HoldReason::Quiet, 1, false),
        (HoldReason::Quiet, 2, false),
    ] {
        let mut drawn = Drawn::ruled(2, Stage::Suspect, held(reason));
        let since = drawn.now();
        let generation = NO_GENERATION;
        drawn.after(LOST).held_for = Some(HeldFor { reason, generation, since, told_at: since, told });
        let (_, because) = explain::decision(&drawn.judgement.decision);
        let found = because.iter().any(|line| line.contains(&format!("asked {told} times since {since}")));
        assert_eq!(found, expected, "{reason:?} told {told} times: {because:?}");
    }
}

#[test]
fn a_pause_that_is_told_again_goes_before_what_is_news_and_stands_alone_where_nothing_is() {
    let since = Drawn::calm(1).now();
    let pause =
        Pause { by: "ada".into(), reason: "drill".into(), until: since + s(60), since, told_at: None };
    let alone = explain::still_paused(&pause, "nothing to do");
    assert!(alone.ends_with(": drill") && alone.contains("by ada"), "{alone}");
    assert_eq!(explain::still_paused(&pause, "removals are frozen"), format!("{alone}; removals are frozen"));
}

fn shadow_of(action: Action, effects: Vec<Effect>) -> Shadow {
    let mut drawn = Drawn::calm(2);
    drawn.rule(LOST, action, None);
    let of_lost = |(stamp, _): &(StampId, Ruling)| stamp.as_str() == LOST;
    Shadow {
        rulings: drawn.judgement.decision.rulings.into_iter().filter(of_lost).collect(),
        cases: BTreeMap::new(),
        steps: effects.into_iter().map(step).collect(),
        findings: vec![],
        told: Told::RecordOnly,
    }
}

#[test]
fn what_was_not_enforced_is_told_ruling_by_ruling_and_step_by_step() {
    let close = close_gate();
    for (action, effects, expected) in [
        (Action::CloseGate, vec![], vec!["eastus2: not enforced: it closes its gate"]),
        (waits(WaitReason::SurvivorsReady), vec![], vec!["eastus2: not enforced: waits: "]),
        (held(HoldReason::Quiet), vec![], vec!["eastus2: not enforced: held: "]),
        (
            Action::Latch,
            vec![close, raise_floor(OTHER.into(), 5)],
            vec![
                "eastus2: not enforced: it is latched",
                "not enforced: close the gate of eastus2 (undone within 90 s)",
                "not enforced: keep at least 5 instances in centralus (undone within 300 s)",
            ],
        ),
    ] {
        let told = explain::shadow(&shadow_of(action, effects));
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (line, begins) in told.iter().zip(expected) {
            assert!(line.starts_with(begins), "{line}");
        }
    }
}

#[test]
fn two_shadows_are_the_same_where_the_same_is_done_by_the_same_means() {
    let base = || shadow_of(Action::CloseGate, vec![raise_floor(OTHER.into(), 5)]);
    for (name, other, same) in [
        ("the same", base(), true),
        ("more instances", shadow_of(Action::CloseGate, vec![raise_floor(OTHER.into(), 6)]), true),
        ("another action", shadow_of(Action::Latch, vec![raise_floor(OTHER.into(), 5)]), false),
        ("another stamp", shadow_of(Action::CloseGate, vec![raise_floor(LOST.into(), 5)]), false),
        ("no step", shadow_of(Action::CloseGate, vec![]), false),
        ("another actuator", shadow_of(Action::CloseGate, vec![close_gate()]), false),
    ] {
        assert_eq!(base().essence() == other.essence(), same, "{name}");
    }
}

/// The shadow of a calm judgement under mode `observe` where `would` is what would come out under `act`.
fn drawn_up(real: impl Fn(&mut Judgement), would: impl Fn(&mut Judgement)) -> Option<Shadow> {
    let mut policy: Policy = shipped();
    policy.modes.hard_loss = Mode::Observe;
    let drawn = Drawn::calm(2);
    let mut enforced = drawn.judgement.clone();
    real(&mut enforced);
    shadow(&enforced, &drawn.situation, &policy, |_, lifted| {
        let mut judgement = drawn.judgement.clone();
        if lifted.modes.hard_loss == Mode::Act {
            would(&mut judgement);
        } else {
            real(&mut judgement);
        }
        judgement
    })
}

fn rules(judgement: &mut Judgement) {
    let ruling = judgement.decision.rulings.get_mut(&StampId::from(LOST)).unwrap();
    ruling.action = Action::CloseGate;
}

fn moves(judgement: &mut Judgement) {
    judgement.decision.cases.get_mut(&StampId::from(LOST)).unwrap().gate = GatePosition::Closed;
}

fn acts(judgement: &mut Judgement) {
    judgement.plan.created.push(step(close_gate()));
}

fn refuses(judgement: &mut Judgement) {
    judgement.findings.push(Finding {
        rule: SafetyRule::S2,
        stamp: LOST.into(),
        actuator: Actuator::Gate,
        text: "too few".into(),
    });
}

#[test]
fn there_is_a_shadow_where_a_ruling_or_a_case_or_a_step_would_be_another() {
    type Would = &'static [fn(&mut Judgement)];
    let table: [(&str, Would, Option<[usize; 3]>); 6] = [
        ("nothing", &[], None),
        ("a ruling", &[rules], Some([1, 0, 0])),
        ("a case", &[moves], Some([0, 1, 0])),
        ("a step", &[acts], Some([0, 0, 1])),
        ("all of them", &[rules, moves, acts], Some([1, 1, 1])),
        ("a finding alone", &[refuses], None),
    ];
    for (name, would, expected) in table {
        let found = drawn_up(|_| {}, |judgement| would.iter().for_each(|change| change(judgement)));
        let counts = found.map(|shadow| [shadow.rulings.len(), shadow.cases.len(), shadow.steps.len()]);
        assert_eq!(counts, expected, "{name}");
    }
}

#[test]
fn what_is_done_anyway_or_was_refused_anyway_is_not_in_the_shadow() {
    let enable = || step(Effect::SetOrigin { stamp: LOST.into(), enabled: EnabledState::Enabled });
    let both = |judgement: &mut Judgement| {
        acts(judgement);
        rules(judgement);
        refuses(judgement);
    };
    let only_theirs = drawn_up(acts, both).unwrap();
    assert!(only_theirs.steps.is_empty(), "the gate closes anyway: {:?}", only_theirs.steps);
    assert_eq!(only_theirs.findings.len(), 1, "refused only there");
    let refused_in_both = drawn_up(refuses, both).unwrap();
    assert!(refused_in_both.findings.is_empty(), "{:?}", refused_in_both.findings);
    assert_eq!(refused_in_both.steps.len(), 1, "the gate closes only there");
    let beside = drawn_up(|judgement| judgement.plan.created.push(enable()), both).unwrap();
    assert_eq!(beside.steps.len(), 1, "another step is another step");
    let undone = beside.steps[0].effect.undo_time_max();
    assert_eq!(undone, Duration::from_secs(90));
}
