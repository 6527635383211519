//! Folding at its bounds: what is too old, what is forgotten, what the newest word is, and which orders have no sense.

use std::time::Duration;

use crate::evidence::WITNESS;
use crate::facts::{CapacityFacts, Facts, GatedView, LoadFacts, OriginFacts, QuotaFacts};
use crate::fold::{FoldNote, fold};
use crate::modes::ModeCause;
use crate::state::{CannotGrow, LOAD_SAMPLES_MAX, LoadSample, Stage};
use crate::testing::{Direct, Story, signal, stored_step};
use crate::{
    Command, Effect, EnabledState, EvidenceClass, FailureCode, InboxItem, ItemBody, ItemId, Order, Refusal,
    RefusalCode, RegionName, Scope, Signal, StampId, StepId, StepOutcome, StepResult, StepStatus, StoredStep,
    Timestamp, Verdict,
};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";

fn item(name: &str, at: Timestamp, body: ItemBody) -> InboxItem {
    InboxItem { id: ItemId::new(name), event_at: at, received_at: at, body }
}

fn facts(facts: Facts) -> ItemBody {
    ItemBody::Observed { signals: vec![], facts }
}

/// Folds one item into the story's state, its clock as it is.
fn folded(story: &mut Story, body: ItemBody) -> Vec<FoldNote> {
    story.items_made += 1;
    let item = item(&format!("folded-{}", story.items_made), story.now, body);
    fold(&mut story.state, &mut story.steps, &[item], &story.policy, story.now)
}

fn ordered(story: &mut Story, order: Order) -> FoldNote {
    let command = Command { by: "ada".into(), reason: "drill".into(), order };
    folded(story, ItemBody::Command { command }).remove(0)
}

#[track_caller]
fn refuses(story: &mut Story, order: Order, why: &str) {
    let FoldNote::OrderRefused { text } = ordered(story, order) else { panic!("it was obeyed") };
    assert!(text.contains(why), "{text}");
}

#[track_caller]
fn obeys(story: &mut Story, order: Order) {
    let note = ordered(story, order);
    assert!(matches!(note, FoldNote::Ordered { .. }), "{note:?}");
}

#[test]
fn an_event_as_old_as_the_horizon_counts_and_one_a_moment_older_is_refused() {
    let mut story = Story::calm(2);
    let horizon = story.policy.limits.horizon.get();
    let said = |at| ItemBody::Observed {
        signals: vec![signal(LOST, EvidenceClass::Edge, "old", Verdict::Unhealthy, at)],
        facts: Facts::default(),
    };
    for (name, at, refused) in [
        ("just", story.now.before(horizon), false),
        ("past", story.now.before(horizon + Duration::from_millis(1)), true),
    ] {
        let items = [item(name, at, said(at))];
        let notes = fold(&mut story.state, &mut story.steps, &items, &story.policy, story.now);
        let is_refused = notes
            .iter()
            .any(|note| matches!(note, FoldNote::Refused { refusal } if refusal.code == RefusalCode::TooOld));
        assert_eq!(is_refused, refused, "{name}");
        assert_eq!(story.state.seen.contains_key(&ItemId::new(name)), !refused, "{name}");
    }
}

#[test]
fn of_too_many_events_the_oldest_are_forgotten_and_no_more_than_needed() {
    let mut story = Story::calm(2);
    let start = story.now;
    let before = story.state.seen.len();
    let items: Vec<InboxItem> = (0..4_000_u64)
        .map(|n| item(&format!("event-{n}"), start + Duration::from_millis(n + 1), facts(Facts::default())))
        .collect();
    let now = start + Duration::from_secs(10);
    // As many as may be kept: none is forgotten.
    let room = 4_000 - before;
    fold(&mut story.state, &mut story.steps, &items[..room], &story.policy, now);
    assert_eq!(story.state.seen.len(), 4_000);
    assert!(story.state.seen.contains_key(&ItemId::new("item-1")), "the oldest");
    fold(&mut story.state, &mut story.steps, &items[room..], &story.policy, now);
    assert_eq!(story.state.seen.len(), 4_000);
    assert!(!story.state.seen.contains_key(&ItemId::new("item-1")));
    assert!(story.state.seen.contains_key(&ItemId::new("event-3999")));
    assert!(story.state.seen.contains_key(&ItemId::new("event-0")));
}

#[test]
fn a_word_about_no_stamp_of_ours_is_refused_by_its_name() {
    let mut story = Story::calm(2);
    let about = |scope| ItemBody::Observed {
        signals: vec![Signal {
            scope,
            ..signal(
                LOST,
                EvidenceClass::Edge,
                "metrics",
                Verdict::Unhealthy,
                Timestamp::from_secs(1_800_000_170),
            )
        }],
        facts: Facts::default(),
    };
    for (scope, named) in [
        (Scope::Stamp("northpole".into()), "northpole"),
        (Scope::Region(RegionName::from("westeurope")), "westeurope"),
    ] {
        let notes = folded(&mut story, about(scope));
        let FoldNote::Refused { refusal } = &notes[0] else { panic!("{notes:?}") };
        assert_eq!(refusal.code, RefusalCode::UnknownStamp);
        assert!(refusal.note.contains(named), "{}", refusal.note);
        assert!(!story.state.evidence.contains_key(&StampId::from(named)));
    }
    assert_eq!(folded(&mut story, about(Scope::Region(RegionName::from(LOST)))), vec![]);
}

#[test]
fn only_the_witness_of_the_direct_class_is_our_own_observation() {
    let mut story = Story::calm(2);
    let before = story.state.observed_at;
    let later = story.now + Duration::from_secs(5);
    story.now = later;
    for (class, source) in [(EvidenceClass::Direct, "peer:other"), (EvidenceClass::Edge, WITNESS)] {
        let said = signal(LOST, class, source, Verdict::Healthy, later);
        folded(&mut story, ItemBody::Observed { signals: vec![said], facts: Facts::default() });
        assert_eq!(story.state.observed_at, before, "{source}");
    }
    let said = signal(LOST, EvidenceClass::Direct, WITNESS, Verdict::Healthy, later);
    folded(&mut story, ItemBody::Observed { signals: vec![said], facts: Facts::default() });
    assert_eq!(story.state.observed_at, Some(later));
}

#[test]
fn a_gap_as_long_as_allowed_starts_no_quiet_period_and_a_longer_one_does() {
    let allowed = Story::calm(2).policy.velocity.gap_max.get();
    for (more, quiet) in [(Duration::ZERO, false), (Duration::from_millis(1), true)] {
        let mut story = Story::calm(2);
        story.state.quiet_until = None;
        let at = story.state.observed_at.unwrap() + allowed + more;
        story.now = at;
        let said = signal(LOST, EvidenceClass::Direct, WITNESS, Verdict::Healthy, at);
        folded(&mut story, ItemBody::Observed { signals: vec![said], facts: Facts::default() });
        let expected = quiet.then(|| at + story.policy.velocity.quiet_after_gap.get());
        assert_eq!(story.state.quiet_until, expected, "{more:?}");
    }
}

/// A region whose window of proving runs.
fn proving() -> Story {
    let mut story = Story::calm(3);
    story.scene(LOST).direct = Direct::Down;
    for other in [OTHER, "westus"] {
        story.scene(other).ready = 12;
    }
    story.until(LOST, Stage::Cordoned, 600);
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Proving, 600);
    story.run(60);
    story
}

#[test]
fn a_window_pauses_for_a_short_gap_and_begins_again_after_a_long_one() {
    let long = proving().policy.evidence.gap_max.get();
    for (gap, paused_s, anew) in [
        (Duration::from_secs(25), 0, false),
        (Duration::from_secs(26), 26, false),
        (long, long.as_secs(), false),
        (long + Duration::from_secs(1), 0, true),
    ] {
        let mut story = proving();
        let before = *story.case(LOST).window.as_ref().unwrap();
        let at = story.now + gap;
        story.now = at;
        let said = signal(LOST, EvidenceClass::Direct, WITNESS, Verdict::Healthy, at);
        folded(&mut story, ItemBody::Observed { signals: vec![said], facts: Facts::default() });
        let window = story.case(LOST).window.unwrap();
        let started = if anew { at } else { before.started_at };
        let paused = if anew { 0 } else { before.paused_s + paused_s };
        assert_eq!((window.started_at, window.paused_s), (started, paused), "{gap:?}");
    }
}

#[test]
fn of_two_readings_the_newer_stands_and_one_of_the_same_moment_replaces() {
    let mut story = Story::calm(2);
    let stamp = StampId::from(LOST);
    let (now, older) = (story.now, story.now.before(Duration::from_secs(1)));
    let read = |at, n: u32| {
        let mut read = Facts::default();
        let enabled = EnabledState::Enabled;
        read.origins.insert(stamp.clone(), OriginFacts { read_at: at, enabled, updating: n == 7 });
        read.capacity.insert(
            stamp.clone(),
            CapacityFacts {
                read_at: at,
                instances: n,
                minimum: 2,
                maximum: 30,
                our_floor: None,
                our_floor_until: None,
            },
        );
        read.quota.insert(stamp.clone(), QuotaFacts { read_at: at, instances_max: n });
        let status = u16::try_from(n).unwrap();
        read.gated_view.insert(stamp.clone(), GatedView { observed_at: at, status });
        let load =
            LoadFacts { observed_at: at, ready_instances: n, requests_per_second: 1.0, saturation: 0.0 };
        read.load.insert(stamp.clone(), load);
        facts(read)
    };
    for (at, n, stands) in [(now, 5, 5), (older, 6, 5), (now, 7, 7)] {
        folded(&mut story, read(at, n));
        let state = &story.state;
        assert_eq!(state.origins[&stamp].updating, stands == 7);
        assert_eq!(state.capacity[&stamp].instances, stands);
        assert_eq!(state.quota[&stamp].instances_max, stands);
        assert_eq!(u32::from(state.gated_view[&stamp].status), stands);
        assert_eq!(state.load[&stamp].ready_instances, stands);
    }
}

#[test]
fn the_edges_count_is_demand_only_where_the_stamp_never_told_its_own() {
    let mut story = Story::calm(2);
    let (told, silent) = (StampId::from(LOST), StampId::from(OTHER));
    story.state.load.remove(&silent);
    std::sync::Arc::make_mut(&mut story.state.load_samples).remove(&silent);
    let known = story.state.load_samples[&told].len();
    let at = story.now;
    let counted = |at, rps| {
        let mut counted = Facts::default();
        for stamp in [LOST, OTHER, "northpole"] {
            counted.demand.insert(stamp.into(), LoadSample { at, rps });
        }
        facts(counted)
    };
    folded(&mut story, counted(at, 10.0));
    // The same minute again, and an older one.
    folded(&mut story, counted(at, 20.0));
    folded(&mut story, counted(at.before(Duration::from_secs(60)), 30.0));
    assert_eq!(story.state.load_samples[&told].len(), known);
    assert_eq!(Vec::from(story.state.load_samples[&silent].clone()), vec![LoadSample { at, rps: 10.0 }]);
    assert!(!story.state.load_samples.contains_key(&StampId::from("northpole")));
    for n in 1..=LOAD_SAMPLES_MAX as u64 {
        folded(&mut story, counted(at + Duration::from_secs(60 * n), 40.0));
    }
    let samples = &story.state.load_samples[&silent];
    assert_eq!(samples.len(), LOAD_SAMPLES_MAX);
    assert_eq!(samples.front().map(|sample| sample.at), Some(at + Duration::from_secs(60)));
}

#[test]
fn an_older_list_of_stamps_is_not_believed_and_one_of_the_same_moment_is() {
    let mut story = Story::calm(2);
    let read_at = story.state.topology.read_at.unwrap();
    let all: Vec<_> = story.state.topology.stamps.values().cloned().collect();
    let listed = |name: &str, at, count: usize| {
        let topology = Some(all[..count].to_vec());
        item(name, at, facts(Facts { topology, ..Facts::default() }))
    };
    for (name, at, count, left) in
        [("older", read_at.before(Duration::from_secs(1)), 1, 2), ("same", read_at, 1, 1)]
    {
        fold(&mut story.state, &mut story.steps, &[listed(name, at, count)], &story.policy, story.now);
        assert_eq!(story.state.cases.len(), left, "{name}");
    }
}

fn step(story: &Story, effect: Effect, attempts: u32) -> StoredStep {
    let deadline = story.now + Duration::from_secs(60);
    stored_step(effect, StepStatus::Claimed { owner: "one".into(), deadline }, attempts, story.now)
}

fn outcome(story: &mut Story, attempt: u32, result: StepResult) -> Vec<FoldNote> {
    let outcome = StepOutcome { step: StepId::new("1-1"), attempt, at: story.now, result };
    folded(story, ItemBody::Outcome { outcome })
}

fn floor(minimum: u32) -> Effect {
    Effect::RaiseFloor { stamp: OTHER.into(), minimum, until: Timestamp::from_secs(1_800_010_000) }
}

#[test]
fn the_word_of_the_last_attempt_counts_and_an_older_one_does_not() {
    for (attempt, ended) in [(1, false), (2, true), (3, true)] {
        let mut story = Story::calm(2);
        story.steps = vec![step(&story, floor(9), 2)];
        outcome(&mut story, attempt, StepResult::Done { recorded: Some(9) });
        assert_eq!(story.steps[0].step.ended_at().is_some(), ended, "{attempt}");
    }
}

#[test]
fn a_step_is_tried_as_often_as_the_policy_says_and_no_more() {
    let most = Story::calm(2).policy.limits.attempts_max;
    for (attempts, spent) in [(most - 1, false), (most, true)] {
        let mut story = Story::calm(2);
        story.steps = vec![step(&story, floor(9), attempts)];
        let not_before = story.now;
        let busy = StepResult::Retry { not_before, code: FailureCode::Rejected, detail: "busy".into() };
        let notes = outcome(&mut story, attempts, busy);
        let status = &story.steps[0].step.status;
        assert_eq!(matches!(status, StepStatus::Failed { code: FailureCode::AttemptsSpent, .. }), spent);
        assert_eq!(notes.len(), usize::from(spent));
        if let Some(FoldNote::StepEnded { text }) = notes.first() {
            assert!(text.contains("failed") && text.contains("busy"), "{text}");
        }
    }
}

#[test]
fn a_floor_that_rose_is_dated_and_one_that_fell_keeps_its_date() {
    let mut story = Story::calm(2);
    let first = story.now;
    for (minimum, later_s, set_at_s) in [(5, 0, 0), (5, 10, 0), (4, 20, 0), (6, 30, 30)] {
        story.now = first + Duration::from_secs(later_s);
        story.steps = vec![step(&story, floor(minimum), 1)];
        let notes = outcome(&mut story, 1, StepResult::Done { recorded: Some(minimum) });
        assert!(matches!(&notes[..], [FoldNote::StepEnded { text }] if text.contains("done and read back")));
        let case = story.case(OTHER);
        assert_eq!(case.floor_recorded, Some(minimum));
        assert_eq!(case.floor_set_at, Some(first + Duration::from_secs(set_at_s)), "{minimum}");
    }
}

#[test]
fn a_region_that_got_no_instances_is_known_not_to_grow_for_a_while() {
    let mut story = Story::calm(2);
    story.steps = vec![step(&story, floor(9), 1)];
    let detail = "out of capacity".to_owned();
    outcome(&mut story, 1, StepResult::Failed { code: FailureCode::CapacityShort, detail });
    let until = story.now + story.policy.capacity.grow_retry.get();
    let expected = CannotGrow { since: story.now, until, ready: 4, asked: 9 };
    assert_eq!(story.case(OTHER).cannot_grow, Some(expected));
    assert_eq!(story.case(OTHER).floor_recorded, None);
}

#[test]
fn a_pause_that_is_renewed_keeps_its_beginning_and_one_after_its_end_does_not() {
    let mut story = Story::calm(2);
    let first = story.now;
    let pause = |story: &Story| Order::Pause { until: story.now + Duration::from_secs(600) };
    for (later_s, since_s) in [(0, 0), (599, 0), (599 + 600, 599 + 600)] {
        story.now = first + Duration::from_secs(later_s);
        let order = pause(&story);
        obeys(&mut story, order);
        let since = story.state.pause.as_ref().unwrap().since;
        assert_eq!(since, first + Duration::from_secs(since_s), "{later_s}");
    }
    obeys(&mut story, Order::Resume);
    assert_eq!(story.state.pause, None);
}

#[test]
fn orders_without_sense_are_refused_with_the_reason() {
    let mut story = Story::calm(3);
    let stamp = || StampId::from(LOST);
    refuses(&mut story, Order::Release { stamp: stamp() }, "it is not held");
    refuses(&mut story, Order::Readmit { stamp: stamp() }, "it is not out of rotation");
    refuses(&mut story, Order::Hold { stamp: "northpole".into() }, "no such stamp");
    refuses(&mut story, Order::Acknowledge { stamp: stamp() }, "is not spent");
    let generation = story.state.generation;
    refuses(&mut story, Order::Approve { stamp: stamp(), generation }, "awaits approval");
    obeys(&mut story, Order::Hold { stamp: stamp() });
    let held = story.case(LOST).hold.clone();
    story.now = story.now + Duration::from_secs(10);
    refuses(&mut story, Order::Hold { stamp: stamp() }, "it is held already");
    assert_eq!(story.case(LOST).hold, held, "whoever holds it first does");
    refuses(&mut story, Order::Cordon { stamp: stamp() }, "it is held; release it first");
    obeys(&mut story, Order::Release { stamp: stamp() });
    assert_eq!(story.case(LOST).stage, Stage::Serving);

    let mut story = proving();
    refuses(&mut story, Order::Cordon { stamp: stamp() }, "it is not in rotation");
    obeys(&mut story, Order::Readmit { stamp: stamp() });
    assert!(!story.case(LOST).acknowledged, "its budget was not spent");
    let first = story.case(LOST).auto_cordons.clone();
    let most = usize::try_from(story.policy.budget.cordons_max).unwrap();
    story.state.cases.get_mut(&stamp()).unwrap().auto_cordons =
        first.iter().copied().cycle().take(most).collect();
    obeys(&mut story, Order::Readmit { stamp: stamp() });
    assert!(story.case(LOST).acknowledged, "who lets it in by hand has seen that its budget is spent");
}

#[test]
fn a_budget_is_spent_for_its_span_and_not_a_moment_longer() {
    let mut story = Story::calm(2);
    let most = usize::try_from(story.policy.budget.cordons_max).unwrap();
    let span = story.policy.budget.span.get();
    let now = story.now;
    let case = story.state.cases.get_mut(&StampId::from(LOST)).unwrap();
    for (age, spent) in [(span, false), (span - Duration::from_millis(1), true)] {
        case.auto_cordons = std::iter::repeat_n(now.before(age), most).collect();
        assert_eq!(case.has_spent_budget(now, &story.policy), spent, "{age:?}");
    }
    case.auto_cordons.pop();
    assert!(!case.has_spent_budget(now, &story.policy));
}

#[test]
fn a_mode_by_order_ends_by_order() {
    let mut story = Story::calm(2);
    let cause = ModeCause::Gray;
    obeys(&mut story, Order::Mode { cause, mode: Some(crate::policy::Mode::Observe) });
    assert_eq!(story.state.modes.len(), 1);
    obeys(&mut story, Order::Mode { cause, mode: None });
    assert!(story.state.modes.is_empty());
}

#[test]
fn an_old_event_that_was_refused_keeps_the_reason_that_it_was_refused_for() {
    let mut story = Story::calm(2);
    let at = story.now.before(story.policy.limits.horizon.get() + Duration::from_secs(60));
    let refusal = Refusal {
        code: RefusalCode::UnknownRegion,
        source: "HT1X-9DG".into(),
        note: "Mars Central is no region".into(),
    };
    let items = [item("old-refused", at, ItemBody::Refused { refusal: refusal.clone() })];
    let notes = fold(&mut story.state, &mut story.steps, &items, &story.policy, story.now);
    assert_eq!(notes, [FoldNote::Refused { refusal }]);
}

#[test]
fn a_quota_that_is_read_alone_is_held_against_what_is_known_at_once() {
    let mut story = Story::calm(2);
    let mut read = Facts::default();
    read.quota.insert(OTHER.into(), QuotaFacts { read_at: story.now, instances_max: 4 });
    let notes = folded(&mut story, facts(read));
    assert!(matches!(notes[..], [FoldNote::QuotaShort { .. }]), "{notes:?}");
    assert_eq!(folded(&mut story, facts(Facts::default())), vec![], "nothing was read, nothing is learnt");
}
