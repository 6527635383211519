//! The zero-harm rule in numbers: what fails per second at each position of a gate, here and where the load lands.

use std::collections::BTreeMap;

use crate::assess::{Assessment, Condition};
use crate::evidence::ClassView;
use crate::harm::{Harm, Here, failing_share, moved_by_front_door, of_moving};
use crate::policy::Redistribution;
use crate::testing::Story;
use crate::{EnabledState, EvidenceClass, FailureKind, GatePosition, StampId, Timestamp, Verdict};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";
const THIRD: &str = "westus";

/// `LOST`, `OTHER` and `THIRD`, as many as are given: requests per second, and instances of 150 that are ready.
fn carrying(stamps: &[(f64, u32)]) -> Story {
    let mut story = Story::calm(stamps.len());
    for (stamp, (demand, ready)) in [LOST, OTHER, THIRD].iter().zip(stamps) {
        let stamp = StampId::from(*stamp);
        story.state.cases.get_mut(&stamp).unwrap().demand_rps = *demand;
        story.state.load.get_mut(&stamp).unwrap().ready_instances = *ready;
    }
    story
}

fn decide_to_remove(story: &mut Story, stamp: &str, gate: GatePosition) {
    let case = story.state.cases.get_mut(&StampId::from(stamp)).unwrap();
    (case.decided_at, case.gate) = (Some(story.now), gate);
}

/// What fails if the gate of `LOST` stays at the first position, and if it moves to the second.
fn failing(story: &Story, positions: (u8, u8), here: Here, already_moved: f64) -> (f64, f64) {
    let harm = of_moving(&story.state, &LOST.into(), positions, here, already_moved, &story.policy);
    (harm.doing_nothing_rps, harm.acting_rps)
}

#[track_caller]
fn check((nothing, acting): (f64, f64), (expected_nothing, expected_acting): (f64, f64), what: &str) {
    let is_near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    assert!(
        is_near(nothing, expected_nothing) && is_near(acting, expected_acting),
        "{what}: {nothing} and {acting} fail, not {expected_nothing} and {expected_acting}"
    );
}

#[test]
fn acting_is_worse_only_by_more_than_a_millionth_of_a_request() {
    for (doing_nothing_rps, acting_rps, exceeds) in [
        (0.0, 1e-6, false),
        (0.0, 1.1e-6, true),
        (0.0, 0.9e-6, false),
        (300.0, 300.0, false),
        (300.0, 300.1, true),
        (300.0, 299.9, false),
    ] {
        let harm = Harm { doing_nothing_rps, acting_rps };
        assert_eq!(harm.exceeds(), exceeds, "{harm:?}");
    }
}

/// 400 requests per second here; the other has 300 of its own and is ready for 300, so whatever moves fails there.
#[test]
fn a_slice_fails_here_by_its_share_and_the_rest_where_there_is_no_room_for_it() {
    let story = carrying(&[(400.0, 4), (300.0, 2)]);
    for (positions, already_moved, expected) in [
        // 400 x 0.5 fail here, or 400 there.
        ((100, 0), 0.0, (200.0, 400.0)),
        // A quarter stays: 100 x 0.5 here and 300 there.
        ((100, 25), 0.0, (200.0, 350.0)),
        // Half stays: 200 x 0.5 here and 200 there.
        ((50, 25), 0.0, (300.0, 350.0)),
        ((0, 5), 0.0, (400.0, 390.0)),
        // Front Door took 60 % away: 160 x 0.5 here and 240 there, at whatever wider position.
        ((100, 0), 0.6, (320.0, 400.0)),
        ((50, 25), 0.6, (320.0, 350.0)),
        ((100, 40), 0.6, (320.0, 320.0)),
        // It took all: the gate changes nothing any more.
        ((100, 0), 1.0, (400.0, 400.0)),
    ] {
        let what = format!("{positions:?}, {already_moved} moved already");
        check(failing(&story, positions, Here::Share(0.5), already_moved), expected, &what);
    }
}

#[test]
fn a_survivor_takes_what_it_has_room_for_and_one_that_nobody_sees_takes_nothing() {
    for (ready, expected) in [
        (Some(2), (40.0, 400.0)),
        // Room for 150 of the 400.
        (Some(3), (40.0, 250.0)),
        (Some(5), (40.0, 0.0)),
        (Some(1), (190.0, 550.0)),
        (None, (40.0, 400.0)),
    ] {
        let mut story = carrying(&[(400.0, 4), (300.0, ready.unwrap_or(9))]);
        if ready.is_none() {
            story.state.load.remove(&StampId::from(OTHER));
        }
        check(failing(&story, (100, 0), Here::Share(0.1), 0.0), expected, &format!("{ready:?} ready"));
    }
}

/// 400 requests per second here, on so many instances; what moves fails at the other, which is full.
#[test]
fn a_stamp_that_is_well_fails_only_what_it_gets_beyond_what_is_ready_there() {
    for (ready, positions, expected) in [
        (Some(1), (0, 100), (400.0, 250.0)),
        // 200 get in, 50 of them too many, and 200 stay away.
        (Some(1), (0, 50), (400.0, 250.0)),
        (Some(1), (25, 100), (300.0, 250.0)),
        (Some(3), (0, 100), (400.0, 0.0)),
        (Some(3), (5, 50), (380.0, 200.0)),
        // What nobody sees is ready for nothing.
        (None, (0, 25), (400.0, 400.0)),
    ] {
        let mut story = carrying(&[(400.0, ready.unwrap_or(9)), (300.0, 2)]);
        if ready.is_none() {
            story.state.load.remove(&StampId::from(LOST));
        }
        let what = format!("{ready:?} ready, {positions:?}");
        check(failing(&story, positions, Here::BeyondReady, 0.0), expected, &what);
    }
}

/// 400, 200 and 300 requests per second; the third is full. Half of what the first gets fails there.
#[test]
fn what_another_removal_moves_comes_on_top_and_its_stamp_carries_nothing_of_it() {
    for (gate, expected) in [
        // 200 here and nothing there; then 400 there.
        (GatePosition::Open, (200.0, 400.0)),
        // Three quarters of 200 have moved to the third.
        (GatePosition::Slice(25), (350.0, 550.0)),
        (GatePosition::Slice(50), (300.0, 500.0)),
        (GatePosition::Closed, (400.0, 600.0)),
    ] {
        let mut story = carrying(&[(400.0, 4), (200.0, 9), (300.0, 2)]);
        decide_to_remove(&mut story, OTHER, gate);
        let got = failing(&story, (100, 0), Here::Share(0.5), 0.0);
        check(got, expected, &format!("the other is to leave, at {gate:?}"));
        // That it was decided about the stamp itself, and how far its gate is, is what the positions say already.
        decide_to_remove(&mut story, LOST, GatePosition::Slice(5));
        let got = failing(&story, (100, 0), Here::Share(0.5), 0.0);
        check(got, expected, &format!("both are to leave, the other at {gate:?}"));
    }
    // As long as nothing was decided about it, the other takes its part of 400 by 200 to 300, and has room for it.
    let story = carrying(&[(400.0, 4), (200.0, 9), (300.0, 2)]);
    check(failing(&story, (100, 0), Here::Share(0.5), 0.0), (200.0, 240.0), "nothing is decided");
}

/// 400 requests per second move, to one that is full and one that has room for 300.
#[test]
fn where_the_load_lands_is_the_policys_word_and_the_worst_case_counts_once() {
    for (redistribution, acting) in [
        // 200 each: the full one fails them all.
        (Redistribution::Proportional, 200.0),
        (Redistribution::Nearest, 400.0),
        // All of it at the full one, which is worse than 100 too many at the third, and not both.
        (Redistribution::WorstCase, 400.0),
    ] {
        let mut story = carrying(&[(400.0, 4), (300.0, 2), (300.0, 4)]);
        story.policy.capacity.redistribution = redistribution;
        let got = failing(&story, (100, 0), Here::Share(0.25), 0.0);
        check(got, (100.0, acting), &format!("{redistribution:?}"));
    }
}

/// The other's origin is disabled.
#[test]
fn with_nobody_left_to_carry_it_all_that_moves_fails() {
    let mut story = carrying(&[(400.0, 4), (300.0, 9)]);
    story.state.origins.get_mut(&StampId::from(OTHER)).unwrap().enabled = EnabledState::Disabled;
    for (positions, expected) in
        [((100, 0), (200.0, 400.0)), ((100, 25), (200.0, 350.0)), ((50, 5), (300.0, 390.0))]
    {
        let got = failing(&story, positions, Here::Share(0.5), 0.0);
        check(got, expected, &format!("{positions:?}"));
    }
    // The other is on its way out, and what it had has nowhere to go either.
    decide_to_remove(&mut story, OTHER, GatePosition::Closed);
    let got = failing(&story, (100, 25), Here::Share(0.5), 0.0);
    check(got, (500.0, 650.0), "both leave");
}

#[test]
fn a_stamp_without_a_case_does_no_harm() {
    let story = carrying(&[(400.0, 4), (300.0, 1)]);
    let harm = of_moving(&story.state, &"atlantis".into(), (100, 0), Here::Share(1.0), 0.0, &story.policy);
    assert_eq!(harm, Harm { doing_nothing_rps: 0.0, acting_rps: 0.0 });
}

/// A view of one class: its verdict, and the share that fails where somebody counts.
fn view(verdict: Verdict, error_ratio: Option<f64>) -> ClassView {
    ClassView {
        verdict,
        since: None,
        bad_since: None,
        total_since: None,
        last_seen: None,
        failure: None,
        error_ratio,
        discounted: None,
    }
}

fn seen(views: &[(EvidenceClass, ClassView)]) -> Assessment {
    let nothing = EvidenceClass::ALL.map(|class| (class, view(Verdict::Unobserved, None)));
    let views = nothing.into_iter().chain(views.iter().cloned()).collect::<BTreeMap<_, _>>();
    Assessment { condition: Condition::Unobserved, platform_active: false, views }
}

/// One request of ten fails by the traffic, four of ten by our own probes.
#[test]
fn all_of_it_fails_where_our_probes_find_nothing_and_else_what_was_counted() {
    let at = Some(Timestamp::from_secs(1_800_000_000));
    let gone = Some(FailureKind::Unreachable);
    for (verdict, total_since, failure, expected) in [
        (Verdict::Unhealthy, at, gone, 1.0),
        (Verdict::Unhealthy, at, None, 1.0),
        (Verdict::Unhealthy, at, Some(FailureKind::ServerError), 1.0),
        (Verdict::Unhealthy, None, gone, 1.0),
        (Verdict::Unhealthy, None, None, 0.1),
        (Verdict::Unhealthy, None, Some(FailureKind::ServerError), 0.1),
        // A lossy way: some get no answer.
        (Verdict::Degraded, None, gone, 0.1),
        (Verdict::Degraded, at, None, 0.1),
        (Verdict::Healthy, None, None, 0.1),
        // Discounted: the vantages disagree.
        (Verdict::Unobserved, at, gone, 0.1),
    ] {
        let direct = ClassView { total_since, failure, ..view(verdict, Some(0.4)) };
        let traffic = view(Verdict::Degraded, Some(0.1));
        let assessment = seen(&[(EvidenceClass::Direct, direct), (EvidenceClass::Traffic, traffic)]);
        let share = failing_share(&assessment);
        assert!((share - expected).abs() < 1e-9, "{share}: {verdict:?} {total_since:?} {failure:?}");
    }
}

#[test]
fn real_requests_tell_before_our_probes_what_fails_and_what_nobody_saw_fails() {
    use Verdict::{Degraded, Healthy, Unobserved};
    for (traffic, direct, expected) in [
        (view(Degraded, Some(0.1)), view(Degraded, Some(0.4)), 0.1),
        (view(Healthy, Some(0.0)), view(Degraded, Some(0.4)), 0.0),
        (view(Unobserved, Some(0.1)), view(Degraded, Some(0.4)), 0.4),
        (view(Degraded, None), view(Healthy, Some(0.0)), 0.0),
        (view(Unobserved, Some(0.1)), view(Unobserved, Some(0.4)), 1.0),
        (view(Healthy, None), view(Healthy, None), 1.0),
    ] {
        let what = format!("{:?} {:?}", traffic.verdict, direct.verdict);
        let assessment = seen(&[(EvidenceClass::Direct, direct), (EvidenceClass::Traffic, traffic)]);
        let share = failing_share(&assessment);
        assert!((share - expected).abs() < 1e-9, "{share}: {what}");
    }
}

#[test]
fn front_door_has_moved_what_its_probes_fail_and_all_of_it_where_nobody_answers() {
    use Verdict::{Degraded, Healthy, Unhealthy, Unobserved};
    let gone = Some(FailureKind::Unreachable);
    for (direct, failure, edge, ratio, expected) in [
        (Healthy, None, Unhealthy, Some(0.6), 0.6),
        (Healthy, None, Unhealthy, None, 1.0),
        (Healthy, None, Degraded, Some(0.3), 0.0),
        (Unhealthy, gone, Healthy, Some(0.0), 1.0),
        (Degraded, gone, Unobserved, None, 1.0),
        (Unhealthy, Some(FailureKind::ServerError), Unhealthy, Some(0.6), 0.6),
        (Unobserved, gone, Unhealthy, Some(0.6), 0.6),
        (Unobserved, None, Unobserved, None, 0.0),
    ] {
        let direct_view = ClassView { failure, ..view(direct, None) };
        let assessment =
            seen(&[(EvidenceClass::Direct, direct_view), (EvidenceClass::Edge, view(edge, ratio))]);
        let share = moved_by_front_door(&assessment);
        assert!((share - expected).abs() < 1e-9, "{share}: {direct:?} {failure:?}, edge {edge:?} {ratio:?}");
    }
}
