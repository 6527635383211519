//! The plan at its bounds: how long a step waits, what makes it void, what is planned anew, and whose turn it is. What decides
//! is set by hand here, so that one thing alone differs from a quiet day.

use std::time::Duration;

use crate::decide::{Action, Decision, GateRead, Situation, StepBackReason};
use crate::gate::{GATE_SCHEMA, GateDocument};
use crate::judge::{judge, transition};
use crate::overriding::{Overridable, Override};
use crate::plan::{Plan, plan};
use crate::state::{Freeze, FreezeCause, OperatorHold, Pause, Stage, StampCase};
use crate::testing::{Direct, Executor, Story, stored_step};
use crate::{
    Effect, EnabledState, FailureCode, GatePosition, Generation, OperationId, Purpose, StampId, Step, StepId,
    StepStatus, StepWrite, StoredStep, Timestamp,
};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";
const THIRD: &str = "westus";

const MOMENT: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A quiet day of three stamps, and what is to be changed about it.
#[derive(Clone)]
struct Day {
    story: Story,
    situation: Situation,
    decision: Decision,
}

impl Day {
    fn quiet() -> Self {
        let story = Story::calm(3);
        let situation = story.situation(&[]);
        let decision = judge(&situation, &story.policy).decision;
        Self { story, situation, decision }
    }

    /// `LOST` is to leave, and nobody has begun.
    fn of_a_removal() -> Self {
        let mut day = Self::quiet();
        let now = day.now();
        let case = day.case(LOST);
        (case.stage, case.decided_at, case.gate) = (Stage::Evacuating, Some(now), GatePosition::Closed);
        day
    }

    /// The origins of these stamps are latched: to be disabled where they are enabled, and the other way round.
    fn of_latches(latches: &[(&str, EnabledState)]) -> Self {
        let mut day = Self::quiet();
        let now = day.now();
        for (stamp, wanted) in latches {
            (day.case(stamp).latched_at, day.case(stamp).origin) = (Some(now), *wanted);
            day.situation.state.origins.get_mut(&StampId::from(*stamp)).unwrap().enabled = match wanted {
                EnabledState::Enabled => EnabledState::Disabled,
                EnabledState::Disabled => EnabledState::Enabled,
            };
        }
        day
    }

    fn now(&self) -> Timestamp {
        self.situation.state.as_of
    }

    fn case(&mut self, stamp: &str) -> &mut StampCase {
        self.decision.cases.get_mut(&StampId::from(stamp)).unwrap()
    }

    /// The ledger holds this step, affirmed just now.
    fn holds(&mut self, effect: Effect, purpose: Purpose, status: StepStatus) -> &mut Step {
        let stored = stored_step(effect, status, 0, self.now());
        self.situation.steps.push(StoredStep { version: 7, step: Step { purpose, ..stored.step } });
        &mut self.situation.steps.last_mut().unwrap().step
    }

    fn pending(&self) -> StepStatus {
        StepStatus::Pending { not_before: self.now() }
    }

    /// The gate of `stamp` as it was written just now, until `expires_at`.
    fn gate_reads(&mut self, stamp: &str, position: GatePosition, expires_at: Timestamp) {
        let document = GateDocument {
            schema: GATE_SCHEMA,
            stamp: stamp.into(),
            position,
            generation: Generation { epoch: 1, n: 2 },
            heartbeat_at: self.now(),
            expires_at,
            reopen_percents: vec![5, 25, 50],
            reopen_step_s: 180,
            reason: String::new(),
        };
        self.situation.gates.insert(stamp.into(), GateRead::Is { document });
    }

    fn plan(&self) -> Plan {
        let generation = self.situation.state.generation.next();
        plan(&self.decision, &self.situation, &self.story.policy, generation)
    }

    fn with(&self, change: impl Fn(&mut Self)) -> Plan {
        let mut day = self.clone();
        change(&mut day);
        day.plan()
    }
}

fn gate(stamp: &str, position: GatePosition) -> Effect {
    let expires_at = Timestamp::from_secs(1_900_000_000);
    Effect::SetGate { stamp: stamp.into(), position, expires_at, reason: String::new() }
}

fn origin(stamp: &str, enabled: EnabledState) -> Effect {
    Effect::SetOrigin { stamp: stamp.into(), enabled }
}

fn floor(stamp: &str) -> Effect {
    Effect::RaiseFloor { stamp: stamp.into(), minimum: 5, until: Timestamp::from_secs(1_900_000_000) }
}

/// What each step that changes comes to.
fn changes(plan: &Plan) -> Vec<String> {
    let in_words = |write: &StepWrite| match &write.step.status {
        StepStatus::Void { why, .. } => why.clone(),
        StepStatus::Pending { .. } => "affirmed".to_owned(),
        other => format!("{other:?}"),
    };
    plan.changed.iter().map(in_words).collect()
}

/// Whom each new step is about, and why it is made.
fn created(plan: &Plan) -> Vec<(&str, Purpose)> {
    plan.created.iter().map(|step| (step.effect.stamp().as_str(), step.purpose)).collect()
}

#[test]
fn nothing_is_planned_on_a_quiet_day() {
    assert_eq!(Day::quiet().plan(), Plan::default());
}

#[test]
fn a_step_that_begins_or_ends_is_news_and_one_that_is_affirmed_is_none() {
    let mut day = Day::of_a_removal();
    let begins = day.plan().created;
    assert_eq!(begins.len(), 1);
    let step = day.holds(floor(OTHER), Purpose::Reinforcement, day.pending()).clone();
    let (now, why) = (day.now(), String::new());
    let write = |status| StepWrite { expected: Some(7), step: Step { status, ..step.clone() } };
    let affirmed = || write(StepStatus::Pending { not_before: now });
    let void = || write(StepStatus::Void { at: now, why: why.clone() });
    let done = || write(StepStatus::Done { verified_at: now });
    for (created, changed, is_news) in [
        (vec![], vec![], false),
        (vec![], vec![affirmed()], false),
        (vec![], vec![affirmed(), affirmed()], false),
        (vec![], vec![void()], true),
        (vec![], vec![done()], true),
        (vec![], vec![affirmed(), void()], true),
        (begins.clone(), vec![], true),
        (begins.clone(), vec![affirmed()], true),
    ] {
        let plan = Plan { created, changed, forgotten: vec![step.id.clone()] };
        assert_eq!(plan.is_news(), is_news, "{plan:?}");
    }
}

/// `limits.plan_expiry` is five minutes.
#[test]
fn a_wanted_step_is_affirmed_after_half_of_its_time_and_planned_anew_after_all_of_it() {
    for (idle_ms, expected, anew) in [
        (0, vec![], 0),
        (150_000, vec![], 0),
        (150_001, vec!["affirmed"], 0),
        (300_000, vec!["affirmed"], 0),
        (300_001, vec!["not affirmed in time; planned anew"], 1),
    ] {
        let mut day = Day::of_a_removal();
        let affirmed_at = day.now().before(Duration::from_millis(idle_ms));
        let pending = day.pending();
        day.holds(gate(LOST, GatePosition::Closed), Purpose::Removal, pending).affirmed_at = affirmed_at;
        let plan = day.plan();
        assert_eq!(changes(&plan), expected, "idle for {idle_ms} ms");
        assert_eq!(plan.created.len(), anew, "idle for {idle_ms} ms: {plan:?}");
        for write in &plan.changed {
            let stands = if anew == 0 { day.now() } else { affirmed_at };
            assert_eq!((write.expected, write.step.affirmed_at), (Some(7), stands), "idle for {idle_ms} ms");
        }
    }
}

#[test]
fn a_claim_of_what_nobody_wants_is_left_until_its_deadline_has_passed() {
    let claimed = |deadline| StepStatus::Claimed { owner: "one".into(), deadline };
    for (day, before, expected) in [
        (Day::quiet(), MOMENT, vec!["no longer wanted"]),
        (Day::quiet(), Duration::ZERO, vec![]),
        (Day::of_a_removal(), MOMENT, vec![]),
        (Day::of_a_removal(), Duration::ZERO, vec![]),
    ] {
        let deadline = day.now().before(before);
        let plan = day.with(|day| {
            day.holds(gate(LOST, GatePosition::Closed), Purpose::Removal, claimed(deadline)).attempts = 1;
        });
        assert_eq!(changes(&plan), expected, "{before:?} past the deadline");
        assert_eq!(plan.created, [], "{before:?} past the deadline");
    }
}

#[test]
fn what_has_ended_is_remembered_for_an_hour() {
    let ended: [fn(Timestamp) -> StepStatus; 3] = [
        |at| StepStatus::Done { verified_at: at },
        |at| StepStatus::Failed { at, code: FailureCode::Rejected, detail: String::new() },
        |at| StepStatus::Void { at, why: String::new() },
    ];
    for status in ended {
        for (ago, forgotten) in [(HOUR, 0), (HOUR + MOMENT, 1)] {
            let mut day = Day::quiet();
            let status = status(day.now().before(ago));
            day.holds(floor(OTHER), Purpose::Reinforcement, status.clone());
            assert_eq!(day.plan().forgotten.len(), forgotten, "{status:?}, {ago:?} ago");
            // Ended only in this fold: in the ledger it is still live.
            day.situation.concluded.insert(StepId::new("1-1"));
            assert_eq!(day.plan().forgotten, [], "{status:?}, {ago:?} ago");
        }
    }
}

type Forbids = fn(&mut Day);

fn freezes(day: &mut Day) {
    let now = day.now();
    day.decision.freeze = Some(Freeze { cause: FreezeCause::MostRegionsAtOnce, since: now, last_seen: now });
}

fn pauses(day: &mut Day, until: Timestamp) {
    let since = day.now();
    let pause = Pause { by: "ada".into(), reason: "drill".into(), until, since, told_at: None };
    day.situation.state.pause = Some(pause);
}

fn holds(day: &mut Day) {
    let since = day.now();
    let hold = OperatorHold { by: "ada".into(), reason: "drill".into(), since, resume: Stage::Serving };
    day.case(LOST).hold = Some(hold);
}

fn sets_the_quiet_period_aside(day: &mut Day, stamp: &str) {
    let (at, generation) = (day.now(), Generation { epoch: 1, n: 2 });
    let (by, reason) = ("ada".to_owned(), "drill".to_owned());
    let given = Override { by, reason, at, until: at + HOUR, generation };
    let case = day.situation.state.cases.get_mut(&StampId::from(stamp)).unwrap();
    case.overrides.insert(Overridable::S6, given);
}

const FORBIDDEN: [(&str, Forbids, Option<&str>); 10] = [
    ("nothing", |_| {}, None),
    ("freeze", freezes, Some("removals are frozen")),
    ("a pause that ends now", |day| pauses(day, day.now()), None),
    ("a pause", |day| pauses(day, day.now() + MOMENT), Some("the automation is paused")),
    ("a quiet period that ends now", |day| day.situation.state.quiet_until = Some(day.now()), None),
    (
        "a quiet period",
        |day| day.situation.state.quiet_until = Some(day.now() + MOMENT),
        Some("our own evidence had a gap"),
    ),
    (
        "a quiet period set aside for it",
        |day| {
            day.situation.state.quiet_until = Some(day.now() + MOMENT);
            sets_the_quiet_period_aside(day, LOST);
        },
        None,
    ),
    (
        "a quiet period set aside for another",
        |day| {
            day.situation.state.quiet_until = Some(day.now() + MOMENT);
            sets_the_quiet_period_aside(day, OTHER);
        },
        Some("our own evidence had a gap"),
    ),
    ("a hold", holds, Some("an operator holds the stamp")),
    (
        "a hold and a freeze",
        |day| {
            holds(day);
            freezes(day);
        },
        Some("an operator holds the stamp"),
    ),
];

#[test]
fn a_removal_that_waits_is_void_once_something_forbids_removals() {
    let mut day = Day::of_a_removal();
    day.holds(gate(LOST, GatePosition::Closed), Purpose::Removal, day.pending());
    for (what, forbid, why) in FORBIDDEN {
        assert_eq!(changes(&day.with(forbid)), Vec::from_iter(why), "{what}");
    }
}

#[test]
fn a_return_that_waits_is_void_by_a_hold_alone() {
    let mut day = Day::of_latches(&[(LOST, EnabledState::Enabled)]);
    day.holds(origin(LOST, EnabledState::Enabled), Purpose::Return, day.pending());
    for (what, forbid, why) in FORBIDDEN {
        let expected = Vec::from_iter(why.filter(|why| why.contains("holds")));
        assert_eq!(changes(&day.with(forbid)), expected, "{what}");
    }
}

#[test]
fn a_reinforcement_that_waits_is_never_void_for_what_forbids_removals() {
    let mut day = Day::quiet();
    day.case(LOST).floor = Some(5);
    day.holds(floor(LOST), Purpose::Reinforcement, day.pending());
    for (what, forbid, _) in FORBIDDEN {
        assert_eq!(changes(&day.with(forbid)), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn what_failed_is_planned_anew_after_a_minute_and_what_front_door_refused_after_ten() {
    let day = Day::of_latches(&[(LOST, EnabledState::Disabled)]);
    assert_eq!(created(&day.plan()), [(LOST, Purpose::Removal)]);
    let (failed, refused) = (FailureCode::Rejected, FailureCode::LastEnabledOrigin);
    for (code, about, ago_ms, anew) in [
        (failed, LOST, 0, 0),
        (failed, LOST, 59_999, 0),
        (failed, LOST, 60_000, 1),
        (failed, LOST, 60_001, 1),
        (refused, LOST, 0, 0),
        (refused, LOST, 60_001, 0),
        (refused, LOST, 599_999, 0),
        (refused, LOST, 600_000, 1),
        (refused, LOST, 600_001, 1),
        (refused, OTHER, 0, 1),
    ] {
        let plan = day.with(|day| {
            let (at, detail) = (day.now().before(Duration::from_millis(ago_ms)), String::new());
            let status = StepStatus::Failed { at, code, detail };
            day.holds(origin(about, EnabledState::Disabled), Purpose::Removal, status).attempts = 1;
        });
        assert_eq!(plan.created.len(), anew, "{code:?} of {about} {ago_ms} ms ago");
    }
}

#[test]
fn a_gate_whose_document_has_expired_is_open() {
    let still = |left| {
        let day = Day::quiet();
        day.with(|day| day.gate_reads(LOST, GatePosition::Closed, day.now() + left))
    };
    assert_eq!(created(&still(Duration::ZERO)), [], "it is open, as wanted");
    assert_eq!(created(&still(MOMENT)), [(LOST, Purpose::Return)]);
    let wanted = |left| {
        let day = Day::of_a_removal();
        day.with(|day| day.gate_reads(LOST, GatePosition::Closed, day.now() + left))
    };
    assert_eq!(created(&wanted(Duration::ZERO)), [(LOST, Purpose::Removal)]);
    assert_eq!(created(&wanted(MOMENT)), [], "it is closed, as wanted, and was written just now");
}

/// What closes again is no removal where the stamp is out already, or on its way in.
#[test]
fn a_gate_that_moves_is_a_removal_only_of_a_stamp_that_was_in() {
    let back = || Action::StepBack { why: StepBackReason::BadSample };
    let (open, closed) = (GatePosition::Open, GatePosition::Closed);
    let half = || GatePosition::from_percent(50);
    for (stage, action, reads, wanted, purpose) in [
        (Stage::Evacuating, Action::CloseGate, open, closed, Purpose::Removal),
        (Stage::Evacuating, Action::CloseGate, open, half(), Purpose::Removal),
        (Stage::Readmitting, Action::Stay, half(), closed, Purpose::Removal),
        (Stage::Readmitting, back(), half(), closed, Purpose::Maintenance),
        (Stage::Cordoned, back(), half(), closed, Purpose::Maintenance),
        (Stage::Cordoned, Action::Stay, open, closed, Purpose::Maintenance),
        (Stage::Proving, Action::Stay, open, closed, Purpose::Maintenance),
        (Stage::Cordoned, Action::Stay, closed, open, Purpose::Return),
        (Stage::Proving, Action::Stay, closed, half(), Purpose::Return),
        (Stage::Readmitting, Action::Stay, closed, half(), Purpose::Return),
    ] {
        let mut day = Day::quiet();
        day.gate_reads(LOST, reads, day.now() + HOUR);
        (day.case(LOST).stage, day.case(LOST).gate) = (stage, wanted);
        day.decision.rulings.get_mut(&StampId::from(LOST)).unwrap().action = action.clone();
        let plan = day.plan();
        assert_eq!(created(&plan), [(LOST, purpose)], "{stage:?} {action:?} from {reads:?} to {wanted:?}");
    }
}

#[test]
fn of_two_origins_the_one_that_returns_goes_first() {
    let (on, off) = (EnabledState::Enabled, EnabledState::Disabled);
    for (latches, expected) in [
        ([(OTHER, off), (LOST, on), (THIRD, off)], (LOST, Purpose::Return)),
        ([(OTHER, off), (LOST, on), (THIRD, on)], (LOST, Purpose::Return)),
        ([(OTHER, on), (LOST, off), (THIRD, on)], (OTHER, Purpose::Return)),
        ([(OTHER, off), (LOST, off), (THIRD, off)], (OTHER, Purpose::Removal)),
    ] {
        assert_eq!(created(&Day::of_latches(&latches).plan()), [expected], "{latches:?}");
    }
    // What else is planned does not wait for an origin, nor takes its turn.
    let mut day = Day::of_latches(&[(LOST, off), (THIRD, on)]);
    day.gate_reads(OTHER, GatePosition::Closed, day.now() + HOUR);
    day.case(LOST).floor = Some(5);
    let expected = [(OTHER, Purpose::Return), (LOST, Purpose::Reinforcement), (THIRD, Purpose::Return)];
    assert_eq!(created(&day.plan()), expected);
}

#[test]
fn an_origin_whose_step_lives_keeps_its_turn_whoever_would_be_first() {
    let off = EnabledState::Disabled;
    let latches = [(OTHER, off), (LOST, off), (THIRD, off)];
    for turn in [OTHER, LOST, THIRD] {
        let day = Day::of_latches(&latches);
        let plan = day.with(|day| {
            day.holds(origin(turn, off), Purpose::Removal, day.pending());
        });
        assert_eq!(plan, Plan::default(), "{turn} waits, and the others for it");
        // Its end gives the turn to the first.
        let plan = day.with(|day| {
            let status = StepStatus::Done { verified_at: day.now() };
            day.holds(origin(turn, off), Purpose::Removal, status);
        });
        let next = if turn == OTHER { LOST } else { OTHER };
        assert_eq!(created(&plan), [(next, Purpose::Removal)], "after {turn}");
    }
}

/// `capacity.floor_lifetime` is eight hours.
#[test]
fn a_floor_is_renewed_when_half_of_its_life_is_over_and_raised_when_it_is_too_low() {
    let half = 4 * HOUR;
    for (stands, left, expected) in [
        (None, None, Some(Purpose::Reinforcement)),
        (Some(4), Some(8 * HOUR), Some(Purpose::Reinforcement)),
        (Some(4), Some(half - MOMENT), Some(Purpose::Reinforcement)),
        (Some(5), Some(8 * HOUR), None),
        (Some(5), Some(half), None),
        (Some(5), Some(half - MOMENT), Some(Purpose::Maintenance)),
        (Some(5), Some(Duration::ZERO), Some(Purpose::Maintenance)),
        (Some(6), Some(half), None),
        (Some(6), Some(half - MOMENT), Some(Purpose::Maintenance)),
        (Some(5), None, None),
    ] {
        let mut day = Day::quiet();
        let until = left.map(|left| day.now() + left);
        let facts = day.situation.state.capacity.get_mut(&StampId::from(LOST)).unwrap();
        (facts.our_floor, facts.our_floor_until) = (stands, until);
        day.case(LOST).floor = Some(5);
        let expected: Vec<_> = expected.map(|purpose| (LOST, purpose)).into_iter().collect();
        assert_eq!(created(&day.plan()), expected, "{stands:?} for {left:?}");
    }
}

#[test]
fn a_step_that_nothing_has_changed_is_not_written_again() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.scene(LOST).edge = Some(100);
    story.executor = Executor::Stopped;
    story.until(LOST, Stage::Evacuating, 90);
    assert!(story.steps.iter().any(|stored| stored.step.is_live()));
    let situation = story.look_again();
    let judgement = judge(&situation, &story.policy);
    let operation = OperationId::new("op-next");
    let next =
        transition(&situation, &judgement, vec![], Some(story.state.generation), operation, &story.policy);
    assert_eq!(next.steps, [], "whoever claims one meanwhile must not be in its way");
}
