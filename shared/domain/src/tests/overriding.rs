//! Overriding a safety rule: named, recorded, for one removal, for a short time, and never for the last region.

use std::time::Duration;

use crate::audit::AuditRecord;
use crate::decide::{Action, HoldReason};
use crate::judge::replay;
use crate::lint::SafetyRule;
use crate::overriding::Overridable;
use crate::state::{Cause, Freeze, FreezeCause, Stage};
use crate::testing::{Direct, NO_GENERATION, Story, check, held};
use crate::{GatePosition, Generation, Order, StampId};

const ONE: &str = "eastus2";
const OTHER: &str = "centralus";

fn overriding(rule: Overridable, generation: Generation) -> Order {
    Order::Override { stamp: ONE.into(), rule, generation }
}

fn asked(story: &Story) -> Generation {
    story.case(ONE).held_for.unwrap().generation
}

/// Ordered out, and the other cannot carry it; every wait is over.
fn held_for_capacity(count: usize) -> Story {
    let mut story = Story::calm(count);
    for other in story.scenes.clone().keys().filter(|other| other.as_str() != ONE) {
        story.scene(other.as_str()).ready = 2;
    }
    story.order(Order::Cordon { stamp: ONE.into() });
    story.run_until(1_800, |story| story.action(ONE) == &held(HoldReason::CapacityShort));
    story
}

#[track_caller]
fn every_record_is_the_same_again(story: &Story) {
    for record in &story.records {
        let read: AuditRecord = serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap();
        assert_eq!(replay(&read, &story.policy), Ok(()), "{}", record.headline);
    }
}

#[test]
fn the_capacity_part_of_s2_gives_way_to_a_named_override_and_the_record_says_whose() {
    let mut story = held_for_capacity(2);
    let generation = asked(&story);
    story.order(overriding(Overridable::S2, generation));
    story.tick();
    check(&story, ONE, Stage::Evacuating, GatePosition::Closed, &Action::CloseByOverride);
    assert!(story.last.as_ref().unwrap().findings.is_empty(), "lint sees the same override");
    let record = story.records.last().unwrap();
    let text = record.because.join("\n");
    assert!(
        text.contains(&format!(
            "ada ordered an override of safety rule S2 (the survivors must be able to carry the load) for the cordon of \
             eastus2 that generation {generation} held: drill"
        )),
        "{text}"
    );
    let fired = record.explanation["fired"].as_array().unwrap();
    let named = fired.iter().find(|fired| fired["rule"]["rule"] == "overridden").unwrap();
    assert_eq!(named["rule"]["safety"], "S2");
    assert_eq!(named["rule"]["by"], "ada");
    assert_eq!(named["rule"]["why"], "drill");
    assert!(record.explanation["notices"].as_array().unwrap().iter().any(|kind| kind == "overridden"));
    story.until(ONE, Stage::Cordoned, 60);
    every_record_is_the_same_again(&story);
}

#[test]
fn an_override_names_the_very_hold_and_is_refused_for_any_other() {
    let mut story = held_for_capacity(2);
    let generation = asked(&story);
    for order in [
        overriding(Overridable::S2, NO_GENERATION),
        overriding(Overridable::S3, generation),
        overriding(Overridable::S6, generation),
        Order::Override { stamp: OTHER.into(), rule: Overridable::S2, generation },
        Order::Override { stamp: "nowhere".into(), rule: Overridable::S2, generation },
    ] {
        story.order(order);
        story.tick();
        let record = story.records.last().unwrap();
        assert!(record.because.iter().any(|line| line.starts_with("refused an order")), "{record:?}");
        assert_ne!(story.case(ONE).gate, GatePosition::Closed);
        assert!(story.state.cases.values().all(|case| case.overrides.is_empty()));
    }
    every_record_is_the_same_again(&story);
}

#[test]
fn no_override_takes_the_last_region_out() {
    // The other is lost in the very moment of the override: the automation sees it down before it acts.
    let mut story = held_for_capacity(2);
    let generation = asked(&story);
    story.scene(OTHER).direct = Direct::Down;
    story.run(20);
    story.order(overriding(Overridable::S2, generation));
    story.run(300);
    assert_ne!(story.case(ONE).gate, GatePosition::Closed, "{:?}", story.action(ONE));
    every_record_is_the_same_again(&story);

    // A region that was the last from the start is held by a reason that nobody may override.
    let mut story = Story::calm(1);
    story.order(Order::Cordon { stamp: ONE.into() });
    story.tick();
    assert_eq!(story.action(ONE), &held(HoldReason::LastServing));
    assert_eq!(story.case(ONE).overridable(), None);
    for rule in Overridable::ALL {
        story.order(overriding(rule, asked(&story)));
        story.run(60);
        assert_eq!(story.case(ONE).gate, GatePosition::Open);
        assert!(story.case(ONE).overrides.is_empty());
    }
}

#[test]
fn lint_by_itself_refuses_the_last_region_whatever_is_overridden() {
    let mut story = held_for_capacity(2);
    let generation = asked(&story);
    story.order(overriding(Overridable::S2, generation));
    // A ruling that forgot to ask: the plan alone, with the other one dead.
    let items = std::mem::take(&mut story.inbox);
    let situation = story.situation(&items);
    let mut judgement = crate::judge::judge(&situation, &story.policy);
    assert_eq!(judgement.decision.rulings[&StampId::from(ONE)].action, Action::CloseByOverride);
    assert_eq!(crate::lint::lint(&judgement.plan, &judgement.decision, &situation, &story.policy), vec![]);
    let other = StampId::from(OTHER);
    judgement.decision.cases.get_mut(&other).unwrap().gate = GatePosition::Closed;
    let found = crate::lint::lint(&judgement.plan, &judgement.decision, &situation, &story.policy);
    let of = |rule: SafetyRule| found.iter().any(|finding| finding.rule == rule);
    assert!(of(SafetyRule::S2) && of(SafetyRule::S1), "{found:?}");
}

#[test]
fn an_override_that_was_not_used_in_time_is_void() {
    let mut story = held_for_capacity(2);
    let generation = asked(&story);
    story.order(Order::Pause { until: story.now + Duration::from_secs(900) });
    story.order(overriding(Overridable::S2, generation));
    story.tick();
    assert_eq!(story.action(ONE), &held(HoldReason::Paused), "a pause stands over it");
    assert!(story.case(ONE).overrides(Overridable::S2, story.now));
    story.run(300);
    assert!(story.case(ONE).overrides.is_empty(), "void after limits.plan_expiry");
    story.order(Order::Resume);
    story.run(120);
    assert_ne!(story.case(ONE).gate, GatePosition::Closed);
    every_record_is_the_same_again(&story);
}

#[test]
fn one_region_per_ten_minutes_gives_way_to_an_override_of_s3() {
    let mut story = Story::calm(3);
    story.state.last_removal_at = Some(story.now);
    story.scene(ONE).direct = Direct::Down;
    story.scene(ONE).edge = Some(100);
    story.run(120);
    check(&story, ONE, Stage::Suspect, GatePosition::Open, &held(HoldReason::Velocity));
    story.order(overriding(Overridable::S3, asked(&story)));
    story.tick();
    assert!(matches!(story.action(ONE), Action::Cordon { cause: Cause::HardLoss, .. }));
    assert_eq!(story.case(ONE).auto_cordons.len(), 1, "it was decided by rule and only hastened: it counts");
    every_record_is_the_same_again(&story);
}

#[test]
fn a_quiet_period_gives_way_to_an_override_of_s6_and_its_step_stays_in_the_queue() {
    let mut story = Story::calm(2);
    story.scene(OTHER).ready = 30;
    story.gap(300);
    story.tick();
    story.order(Order::Cordon { stamp: ONE.into() });
    story.tick();
    assert_eq!(story.action(ONE), &held(HoldReason::Quiet));
    story.order(overriding(Overridable::S6, asked(&story)));
    story.tick();
    assert!(matches!(story.action(ONE), Action::Cordon { cause: Cause::Order, .. }));
    story.run(20);
    assert_eq!(
        story.in_force(&ONE.into()),
        GatePosition::Closed,
        "while it is still quiet for everybody else"
    );
    assert!(story.state.quiet_until.is_some_and(|until| until > story.now));
    every_record_is_the_same_again(&story);
}

#[test]
fn what_nobody_may_override_is_named_as_no_rule_of_that_kind() {
    use HoldReason as R;
    let stages =
        [Stage::Serving, Stage::Suspect, Stage::Evacuating, Stage::Cordoned, Stage::Proving, Stage::Held];
    for reason in [
        R::Operator,
        R::Paused,
        R::Frozen,
        R::NeedsApproval,
        R::BudgetSpent,
        R::NeedsAcknowledgement,
        R::LastServing,
        R::MoreHarm,
        R::Draining,
        R::TopologyStale,
        R::GateUnreadable,
        R::FactsStale,
        R::ModeObserve,
        R::ModeAdvise,
        R::OriginsRemaining,
        R::Safety,
    ] {
        assert!(stages.iter().all(|stage| Overridable::of(reason, *stage).is_none()), "{reason:?}");
    }
    // The latch is no removal that anybody may hasten.
    assert_eq!(Overridable::of(R::CapacityShort, Stage::Cordoned), None);
    assert_eq!(Overridable::of(R::CapacityShort, Stage::Evacuating), Some(Overridable::S2));
}

#[test]
fn a_freeze_stands_over_every_override() {
    let mut story = held_for_capacity(3);
    let generation = asked(&story);
    let cause = FreezeCause::EdgeRedDirectGreen;
    story.state.freeze = Some(Freeze { cause, since: story.now, last_seen: story.now });
    story.order(overriding(Overridable::S2, generation));
    story.tick();
    assert_ne!(story.case(ONE).gate, GatePosition::Closed, "{:?}", story.action(ONE));
}

#[test]
fn an_order_to_leave_obeys_s3_as_every_other_removal_does() {
    let mut story = Story::calm(3);
    story.scene(OTHER).direct = Direct::Down;
    story.scene(OTHER).edge = Some(100);
    story.until(OTHER, Stage::Cordoned, 200);
    story.order(Order::Cordon { stamp: ONE.into() });
    story.tick();
    check(&story, ONE, Stage::Serving, GatePosition::Open, &held(HoldReason::NeedsApproval));
    let generation = story.case(ONE).awaiting_approval.unwrap();
    story.order(Order::Approve { stamp: ONE.into(), generation });
    story.tick();
    assert!(matches!(story.action(ONE), Action::Cordon { cause: Cause::Order, .. }));
    every_record_is_the_same_again(&story);
}
