//! Attempts that were never heard of again, case by case: which may still move a gate, and which a document tells of.

use crate::decide::GateRead;
use crate::gate::GATE_SCHEMA;
use crate::stray::{is_read_back, may_move_the_gate};
use crate::testing::stored_step;
use crate::{Effect, EnabledState, GateDocument, GatePosition, Generation, Step, StepStatus, Timestamp};

const STAMP: &str = "eastus2";

/// The generation of the step.
const OWN: Generation = Generation { epoch: 1, n: 20 };

const OLDER: Generation = Generation { epoch: 1, n: 19 };
const NEWER: Generation = Generation { epoch: 1, n: 21 };

fn step(effect: Effect, attempts: u32, status: StepStatus) -> Step {
    let at = Timestamp::from_secs(1_800_000_000);
    Step { generation: OWN, ..stored_step(effect, status, attempts, at).step }
}

fn sets_gate(position: GatePosition) -> Effect {
    let expires_at = Timestamp::from_secs(1_800_010_000);
    Effect::SetGate { stamp: STAMP.into(), position, expires_at, reason: "hard loss".into() }
}

fn void() -> StepStatus {
    StepStatus::Void { at: Timestamp::from_secs(1_800_000_100), why: "no longer wanted".into() }
}

fn done() -> StepStatus {
    StepStatus::Done { verified_at: Timestamp::from_secs(1_800_000_100) }
}

fn document(generation: Generation, position: GatePosition) -> GateRead {
    let at = Timestamp::from_secs(1_800_000_050);
    let document = GateDocument {
        schema: GATE_SCHEMA,
        stamp: STAMP.into(),
        position,
        generation,
        heartbeat_at: at,
        expires_at: at,
        reopen_percents: vec![5, 25, 50],
        reopen_step_s: 180,
        reason: "hard loss".into(),
    };
    GateRead::Is { document }
}

#[test]
fn a_lost_attempt_may_move_a_gate_that_is_elsewhere_and_not_newer() {
    use GatePosition::{Closed, Open, Slice};
    for (writes, read, may) in [
        (Closed, Some(document(OLDER, Open)), true),
        (Closed, Some(document(OWN, Open)), true),
        (Closed, Some(document(NEWER, Open)), false),
        // It would write what is there.
        (Closed, Some(document(OLDER, Closed)), false),
        (Closed, Some(document(OWN, Closed)), false),
        (Closed, Some(document(NEWER, Closed)), false),
        (Slice(25), Some(document(OLDER, Slice(50))), true),
        (Slice(25), Some(document(OLDER, Slice(25))), false),
        // No document is an open gate.
        (Closed, Some(GateRead::Absent), true),
        (Open, Some(GateRead::Absent), false),
        // What nobody can read may be anything.
        (Open, Some(GateRead::Unreadable), true),
        (Open, None, true),
    ] {
        let step = step(sets_gate(writes), 1, void());
        assert_eq!(may_move_the_gate(&step, read.as_ref()), may, "{writes:?} on {read:?}");
    }
}

#[test]
fn only_an_attempt_that_is_over_and_was_not_heard_of_is_lost_and_only_a_gates_moves_a_gate() {
    let closes = || sets_gate(GatePosition::Closed);
    let origin = Effect::SetOrigin { stamp: STAMP.into(), enabled: EnabledState::Disabled };
    let pending = StepStatus::Pending { not_before: Timestamp::default() };
    for (effect, attempts, status, may) in [
        (closes(), 0, void(), false),
        (closes(), 1, void(), true),
        (closes(), 1, done(), false),
        (closes(), 2, done(), true),
        (closes(), 2, pending, false),
        (origin, 2, void(), false),
    ] {
        let step = step(effect, attempts, status);
        let read = document(OLDER, GatePosition::Open);
        assert_eq!(may_move_the_gate(&step, Some(&read)), may, "{step:?}");
    }
}

#[test]
fn a_step_is_read_back_by_the_document_of_its_own_generation_and_position_alone() {
    use GatePosition::{Closed, Open};
    let reads = [
        (Some(document(OWN, Closed)), true),
        (Some(document(OWN, Open)), false),
        (Some(document(OLDER, Closed)), false),
        (Some(document(NEWER, Closed)), false),
        (Some(document(NEWER, Open)), false),
        (Some(GateRead::Absent), false),
        (Some(GateRead::Unreadable), false),
        (None, false),
    ];
    for (read, is_it) in reads {
        let step = step(sets_gate(Closed), 1, void());
        assert_eq!(is_read_back(&step, read.as_ref()), is_it, "{read:?}");
    }
    let origin = Effect::SetOrigin { stamp: STAMP.into(), enabled: EnabledState::Disabled };
    assert!(!is_read_back(&step(origin, 1, void()), Some(&document(OWN, Closed))), "it writes no gate");
}
