//! A case as it is kept: what it is again after a while away, what an override is worth, and how it is written.

use std::time::Duration;

use serde_json::Value;

use crate::overriding::{Overridable, Override};
use crate::state::{Cause, Stage, StampCase, WorkloadState};
use crate::testing::{NO_GENERATION, STAGES, Story};
use crate::{GatePosition, StampId, Timestamp};

const STAMP: &str = "eastus2";

fn case(change: impl Fn(&mut StampCase)) -> StampCase {
    let mut case = StampCase::new(Timestamp::from_secs(1_800_000_000));
    change(&mut case);
    case
}

#[test]
fn a_stamp_that_is_back_proves_itself_anew_and_forgets_what_was_only_decided() {
    let now = Timestamp::from_secs(1_800_000_600);
    let earlier = now.before(Duration::from_secs(60));
    let back = |stage, gate| {
        case(|case| {
            (case.stage, case.gate, case.cause) = (stage, gate, Some(Cause::Gray));
            (case.decided_at, case.ready_deadline, case.overloaded_until) =
                (Some(earlier), Some(now), Some(now));
        })
        .resumed(now)
    };
    for (stage, gate, then, decided) in [
        (Stage::Proving, GatePosition::Closed, Stage::Cordoned, true),
        (Stage::Cordoned, GatePosition::Closed, Stage::Cordoned, true),
        (Stage::Evacuating, GatePosition::Closed, Stage::Evacuating, true),
        (Stage::Evacuating, GatePosition::Slice(25), Stage::Evacuating, true),
        (Stage::Evacuating, GatePosition::Open, Stage::Suspect, false),
        (Stage::Held, GatePosition::Open, Stage::Held, true),
    ] {
        let back = back(stage, gate);
        assert_eq!((back.stage, back.since, back.overloaded_until), (then, now, None), "{stage:?} {gate:?}");
        assert_eq!(
            (back.decided_at.is_some(), back.cause.is_some()),
            (decided, decided),
            "{stage:?} {gate:?}"
        );
        assert_eq!((back.ready_deadline.is_some(), back.gate), (decided, gate), "{stage:?} {gate:?}");
    }
}

#[test]
fn an_override_is_worth_something_until_its_end() {
    let until = Timestamp::from_secs(1_800_000_300);
    let given = Override {
        by: "ada".into(),
        reason: "drill".into(),
        at: until.before(Duration::from_secs(300)),
        until,
        generation: NO_GENERATION,
    };
    let case = case(|case| {
        case.overrides.insert(Overridable::S6, given.clone());
    });
    let moment = Duration::from_millis(1);
    assert!(case.overrides(Overridable::S6, until.before(moment)));
    assert!(!case.overrides(Overridable::S6, until));
    assert!(!case.overrides(Overridable::S2, until.before(moment)));

    // A quiet period, and the same one set aside for this stamp.
    let mut state = Story::calm(2).state;
    let stamp = StampId::from(STAMP);
    state.as_of = until.before(moment);
    assert!(!state.is_quiet_about(&stamp));
    state.quiet_until = Some(until);
    assert!(state.is_quiet_about(&stamp));
    state.cases.get_mut(&stamp).unwrap().overrides.insert(Overridable::S6, given);
    assert!(!state.is_quiet_about(&stamp));
    assert!(state.is_quiet_about(&"centralus".into()));
    state.as_of = until;
    assert!(!state.is_quiet_about(&"centralus".into()), "it is over");
}

#[test]
fn a_region_is_out_while_it_is_cordoned_or_proves_itself() {
    let out = [Stage::Cordoned, Stage::Proving];
    for stage in STAGES {
        assert_eq!(stage.is_out(), out.contains(&stage), "{stage:?}");
    }
}

#[test]
fn a_state_is_read_as_it_was_written_and_what_never_happened_is_not_written() {
    let mut state = Story::calm(2).state;
    let case = state.cases.get_mut(&StampId::from(STAMP)).unwrap();
    (case.origin_reasserted, case.floor_reasserted) = (1, 2);
    let written = serde_json::to_value(&state).unwrap();
    assert_eq!(serde_json::from_value::<WorkloadState>(written.clone()).unwrap(), state);
    let has = |of: &Value, name: &str| of.as_object().unwrap().contains_key(name);
    assert!(has(&written, "seen"));
    for name in ["origin_reasserted", "floor_reasserted"] {
        assert!(has(&written["cases"][STAMP], name), "{name}");
        assert!(!has(&written["cases"]["centralus"], name), "{name}");
    }
    let fresh = WorkloadState::new(state.workload.clone(), 1, state.as_of);
    assert!(!has(&serde_json::to_value(fresh).unwrap(), "seen"));
}
