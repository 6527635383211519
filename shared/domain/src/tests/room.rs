//! Room: how much of a gray stamp's load its survivors can take, how it moves there slice by slice, and what is given back.
//! Each stamp's demand is 300 requests per second; an instance carries 150, and a survivor keeps 5 % to spare.

use crate::decide::{Action, HoldReason, Ruling, WaitReason};
use crate::state::Stage;
use crate::testing::{Direct, held, waits};
use crate::{GatePosition, StampId};

use super::moment::{LOST, MOMENT, Moment, OTHER, THIRD, s, waiting};

const fn partly(open_percent: u8) -> Action {
    Action::EvacuatePartly { open_percent }
}

const fn short() -> Action {
    held(HoldReason::CapacityShort)
}

/// The only survivor has three instances, and the deadline is over.
fn with_three() -> Moment {
    let mut moment = Moment::of_a_wait(2);
    moment.load(OTHER).ready_instances = 3;
    moment.case(LOST).ready_deadline = None;
    moment
}

#[test]
fn at_its_deadline_a_gray_stamp_leaves_as_far_as_the_survivor_has_room_for_it() {
    // What each of three instances carries, the gate as it is, and what becomes of it.
    for (instance_rps, gate, expected) in [
        // 450 / 1.05 - 300 = 128.57, which is 42 % of 300.
        (150.0, GatePosition::Open, partly(58)),
        // 332.325 / 1.05 - 300 = 16.5, which is 5.5 %; 329.175 / 1.05 - 300 = 13.5, which is 4.5 %.
        (110.775, GatePosition::Open, partly(95)),
        (109.725, GatePosition::Open, short()),
        (100.0, GatePosition::Open, short()),
        // It does not open again for want of room.
        (100.0, GatePosition::Slice(50), short()),
        (110.775, GatePosition::Slice(50), short()),
    ] {
        let action = with_three().action(|moment| {
            moment.story.policy.capacity.instance_rps = instance_rps;
            moment.case(LOST).gate = gate;
        });
        assert_eq!(action, expected, "{instance_rps} requests per second of an instance, {gate:?}");
    }
}

/// `evidence.unhealthy_ratio` is a half; less than 5 % are not worth the risk.
#[test]
fn a_stamp_that_fails_most_requests_leaves_at_once_as_far_as_there_is_room() {
    for (error_ratio, instance_rps, expected) in [
        (0.5, 150.0, Some(58)),
        (0.49, 150.0, None),
        // 505.5 / 1.05 - 300 = 181.4, which is 60 %.
        (0.5, 168.5, Some(40)),
        (0.5, 110.775, Some(95)),
        (0.5, 109.725, None),
        (0.5, 100.0, None),
    ] {
        let moment = with_three();
        let deadline = moment.now() + s(100);
        let ruling = moment.ruled(|moment| {
            moment.story.policy.capacity.instance_rps = instance_rps;
            let case = moment.case(LOST);
            (case.error_ratio, case.ready_deadline) = (error_ratio, Some(deadline));
        });
        let waiting = Ruling { action: waits(WaitReason::SurvivorsReady), next_at: Some(deadline) };
        let expected = expected.map_or(waiting, |open| Ruling { action: partly(open), next_at: None });
        assert_eq!(ruling.1, expected, "{error_ratio}, {instance_rps} requests per second of an instance");
    }
}

/// A slice moved 10 % of the locations. What it brought must have arrived, and the next must have room beside it: from 90 to
/// 58 % that are 32 / 90 of the 300 that arrive here, 106.67, and the survivor carries 450 / 1.05 = 428.57.
#[test]
fn the_next_slice_goes_when_the_last_has_arrived_and_there_is_room_beside_it() {
    for (ago, arriving_rps, goes) in [
        (s(90), 300.0, true),
        (s(90) - MOMENT, 300.0, false),
        (s(90), 321.0, true),
        (s(90), 323.0, false),
        (s(90) - MOMENT, 323.0, false),
    ] {
        let moment = with_three();
        let (case, ruling) = moment.ruled(|moment| {
            let sliced_at = Some(moment.ago(ago));
            (moment.case(LOST).gate, moment.case(LOST).sliced_at) = (GatePosition::Slice(90), sliced_at);
            moment.load(OTHER).requests_per_second = arriving_rps;
        });
        let expected = if goes { partly(58) } else { short() };
        assert_eq!(ruling.action, expected, "sliced {ago:?} ago, {arriving_rps} requests per second arrive");
        assert_eq!(case.sliced_at == Some(moment.now()), goes);
    }
}

/// Nobody sees what arrives here: it is the demand, less what the gate keeps out, 270 of 300, of which 32 / 90 are 96.
#[test]
fn what_moves_with_a_slice_is_told_by_the_demand_where_nobody_counts() {
    for (arriving_rps, goes) in [(300.0, true), (332.5, true), (332.6, false), (400.0, false)] {
        let action = with_three().action(|moment| {
            let sliced_at = Some(moment.ago(s(90)));
            (moment.case(LOST).gate, moment.case(LOST).sliced_at) = (GatePosition::Slice(90), sliced_at);
            moment.situation.state.load.remove(&StampId::from(LOST));
            moment.load(OTHER).requests_per_second = arriving_rps;
        });
        assert_eq!(action, if goes { partly(58) } else { short() }, "{arriving_rps}");
    }
}

/// And less what Front Door has moved by itself, 60 % here: of the 120 that are left, 42 % are 50.4.
#[test]
fn what_front_door_has_moved_does_not_move_with_a_slice() {
    let mut story = waiting(2);
    story.scene(LOST).edge = Some(60);
    let mut moment = Moment::next(story);
    moment.load(OTHER).ready_instances = 3;
    for (arriving_rps, goes) in [(300.0, true), (378.1, true), (378.2, false)] {
        let action = moment.action(|moment| {
            let sliced_at = Some(moment.ago(s(90)));
            (moment.case(LOST).ready_deadline, moment.case(LOST).sliced_at) = (None, sliced_at);
            moment.situation.state.load.remove(&StampId::from(LOST));
            moment.load(OTHER).requests_per_second = arriving_rps;
        });
        assert_eq!(action, if goes { partly(58) } else { short() }, "{arriving_rps}");
    }
}

/// Until something has moved, what arrives at the survivor counts if it is more than its demand; 90 % of the demand are all.
#[test]
fn what_arrives_at_the_survivor_counts_until_something_has_moved() {
    for (gate, here_rps, expected) in [
        // 428.57 - 350 = 78.57, which is 26 %.
        (GatePosition::Open, 300.0, partly(74)),
        (GatePosition::Open, 270.0, partly(74)),
        (GatePosition::Open, 269.0, partly(58)),
        (GatePosition::Open, 200.0, partly(58)),
        (GatePosition::Slice(90), 300.0, partly(58)),
    ] {
        let action = with_three().action(|moment| {
            moment.case(LOST).gate = gate;
            moment.load(LOST).requests_per_second = here_rps;
            moment.load(OTHER).requests_per_second = 350.0;
        });
        assert_eq!(action, expected, "{gate:?}, {here_rps} requests per second here");
    }
}

#[test]
fn a_stamp_whose_demand_nobody_knows_does_not_move_by_parts() {
    let action = with_three().action(|moment| {
        moment.load(OTHER).ready_instances = 2;
        moment.case(LOST).demand_rps = 0.0;
    });
    assert_eq!(action, short());
}

#[test]
fn a_survivor_to_which_nothing_moves_does_not_need_room() {
    let moment = Moment::of_a_wait(3);
    let action = moment.action(|moment| {
        moment.case(LOST).ready_deadline = None;
        moment.load(OTHER).ready_instances = 3;
        // In proportion to what each carries, which is nothing there.
        moment.case(THIRD).demand_rps = 0.0;
        (moment.load(THIRD).ready_instances, moment.load(THIRD).requests_per_second) = (0, 10.0);
    });
    assert_eq!(action, partly(58));
}

/// The third was taken out and is on its way back. What it had is for the only survivor too: 900, with 5 % to spare 945.
#[test]
fn a_stamp_that_is_out_is_no_survivor_and_its_load_is_to_be_carried_as_well() {
    let moment = Moment::of_a_wait(3);
    for (ready, expected) in [(6, waits(WaitReason::SurvivorsReady)), (7, Action::CloseGate)] {
        let action = moment.action(|moment| {
            let (decided, deadline) = (moment.ago(s(5_000)), moment.now() + s(100));
            let third = moment.case(THIRD);
            (third.stage, third.gate, third.decided_at) =
                (Stage::Cordoned, GatePosition::Closed, Some(decided));
            moment.case(LOST).ready_deadline = Some(deadline);
            moment.load(OTHER).ready_instances = ready;
            moment.load(THIRD).requests_per_second = 0.0;
        });
        assert_eq!(action, expected, "{ready} instances");
    }
}

/// What is over what the survivor carries with 5 % to spare, 428.57, as a share of 300.
#[test]
fn a_slice_that_fills_the_survivor_is_given_back_as_far_as_it_does() {
    for (arrives_rps, demand_rps, ago, expected) in [
        // 71.43 of 300 are 23.8 %.
        (500.0, 300.0, s(60), Some(82)),
        (500.0, 300.0, s(60) - MOMENT, None),
        // By its own measure it carries 430 now, 409.52 with room to spare: 20.48 are 6.8 % of 300 and 3.4 % of 600.
        (430.0, 300.0, s(60), Some(65)),
        (430.0, 600.0, s(60), Some(63)),
        (1_000.0, 300.0, s(60), Some(100)),
        // Of a demand that nobody knows the smallest part.
        (500.0, 0.0, s(60), Some(63)),
    ] {
        let mut story = waiting(2);
        let other = story.scene(OTHER);
        (other.direct, other.load_rps, other.saturation, other.ready) = (Direct::Full, arrives_rps, 1.0, 3);
        let moment = Moment::next(story);
        let (case, ruling) = moment.ruled(|moment| {
            let sliced_at = Some(moment.ago(ago));
            let case = moment.case(LOST);
            (case.gate, case.sliced_at) = (GatePosition::Slice(58), sliced_at);
            case.demand_rps = demand_rps;
        });
        let given_back =
            matches!(ruling.action, Action::EvacuatePartly { .. }).then_some(case.gate.percent());
        assert_eq!(given_back, expected, "{arrives_rps} of {demand_rps}, {ago:?} ago: {ruling:?}");
    }
}
