//! The light world by itself: its plant, its accountant, and each rival's rules, in small scenes.

use domain::{EnabledState, GatePosition};

use super::edge::OriginAnswer;
use super::plant::Plant;
use super::rivals::alert::AlertAndResolve;
use super::rivals::front_door::FrontDoorAlone;
use super::rivals::health_check::HealthCheck;
use super::rivals::orchestrator::Orchestrator;
use super::rivals::outlier::OutlierDetection;
use super::steering::{Hands, Steering};
use super::stream::{PINGS, Ping, Seen, StampSeen, Word};
use super::truth::{Alert, AlertSource, Expected, Fault, FaultKind, Incident, StampShape, Truth, truth_at};
use super::{CALM_S, LOOK_S, Outcome, STEP_S, now_at, run};
use crate::draw::Seed;

fn incident(faults: &[(FaultKind, Option<usize>, u32, u32)]) -> Incident {
    let fault = |(kind, stamp, from, until): &(FaultKind, Option<usize>, u32, u32)| Fault {
        kind: *kind,
        stamp: *stamp,
        from: *from,
        until: *until,
    };
    Incident {
        seed: Seed(1),
        variant: "test",
        stamps: vec![
            StampShape { region: "eastus2", share: 0.75, instances: 20 },
            StampShape { region: "centralus", share: 0.25, instances: 20 },
        ],
        demand_rps: 3_000.0,
        faults: faults.iter().map(fault).collect(),
        alerts: Vec::new(),
        expected: Expected::Either,
    }
}

/// Closes the gate of the first stamp in one second and opens it in another.
struct Closes {
    from: u32,
    until: u32,
}

impl Steering for Closes {
    fn step(&mut self, seen: &Seen, hands: &mut Hands<'_>) {
        match seen.t {
            t if t == self.from => hands.set_gate(0, GatePosition::Closed),
            t if t == self.until => hands.set_gate(0, GatePosition::Open),
            _ => {}
        }
    }

    fn is_idle(&self) -> bool {
        true
    }
}

fn under(faults: &[(FaultKind, Option<usize>, u32, u32)], steering: &mut dyn Steering) -> Outcome {
    run(&incident(faults), steering, &mut |_| {})
}

/// One second of a lie that changes nothing keeps the run going for as long as a test needs.
const NOTHING: (FaultKind, Option<usize>, u32, u32) =
    (FaultKind::PeersBlind, Some(0), CALM_S, CALM_S + 1_800);

#[test]
fn an_able_region_held_out_for_over_a_minute_is_one_wrong_cordon_and_a_short_one_is_none() {
    let long = under(&[NOTHING], &mut Closes { from: 700, until: 1_300 });
    assert_eq!((long.wrong, long.wrong_caused, long.missed), (1, 1, 0));
    assert!((400..=620).contains(&long.held_able_s), "{}", long.held_able_s);
    let short = under(&[NOTHING], &mut Closes { from: 700, until: 740 });
    assert_eq!((short.wrong, short.wrong_caused), (0, 0));
}

#[test]
fn a_lost_region_that_is_closed_and_opened_in_time_is_a_right_cordon() {
    let lost = (FaultKind::Lost, Some(0), CALM_S, CALM_S + 1_200);
    let outcome = under(&[lost], &mut Closes { from: 700, until: 2_400 });
    assert_eq!((outcome.wrong, outcome.wrong_caused, outcome.missed, outcome.to_cordon), (0, 0, 0, 1));
    assert_eq!(outcome.flaps, 0);
    assert!(outcome.held_able_s > 300, "the wait after the recovery is not hidden: {}", outcome.held_able_s);
}

#[test]
fn front_door_drops_a_lost_region_within_its_detection_and_takes_it_back() {
    let lost = (FaultKind::Lost, Some(0), CALM_S, CALM_S + 1_200);
    let outcome = under(&[lost], &mut FrontDoorAlone);
    assert_eq!(outcome.cordoned_after_s.len(), 1);
    assert!((30..=50).contains(&outcome.cordoned_after_s[0]), "{:?}", outcome.cordoned_after_s);
    assert!(outcome.full_service_after_s.is_some_and(|s| s <= 240), "{outcome:?}");
    assert_eq!((outcome.wrong, outcome.missed), (0, 0));
}

#[test]
fn a_gray_region_is_missed_by_front_door_alone() {
    let gray = (FaultKind::AppErrors(0.3), Some(0), CALM_S, CALM_S + 1_200);
    let outcome = under(&[gray], &mut FrontDoorAlone);
    assert_eq!((outcome.missed, outcome.to_cordon), (1, 1));
    let expected = 0.3 * 2_250.0 * 1_200.0;
    assert!((outcome.failed - expected).abs() < 0.02 * expected, "{}", outcome.failed);
}

#[test]
fn taking_out_a_region_that_the_other_cannot_replace_is_below_the_floor_by_a_removal() {
    let mut short = incident(&[NOTHING, (FaultKind::Quota(7), Some(1), 0, 10_000)]);
    short.stamps[1].instances = 7;
    let outcome = run(&short, &mut Closes { from: 700, until: 1_300 }, &mut |_| {});
    assert!((500..=660).contains(&outcome.sunk_by_removal_s), "{}", outcome.sunk_by_removal_s);
    assert!(outcome.held_below_s >= outcome.sunk_by_removal_s);
}

fn plant(faults: &[(FaultKind, Option<usize>, u32, u32)]) -> (Plant, Truth) {
    let incident = incident(faults);
    (Plant::new(&incident), truth_at(&incident.faults, 2, 0))
}

/// Runs the plant for so many seconds.
fn pass(plant: &mut Plant, truth: &Truth, from: u32, seconds: u32) {
    for t in (from..from + seconds).step_by(STEP_S as usize) {
        plant.begin(t, truth);
        plant.probe(t, truth, |_, _, _| {});
        let _ = plant.serve(truth);
    }
}

#[test]
fn origin_changes_are_serialised_slow_and_never_take_the_last() {
    let (mut plant, truth) = plant(&[]);
    assert_eq!(plant.edge.set_origin(0, EnabledState::Disabled, &truth), OriginAnswer::Accepted);
    assert_eq!(plant.edge.set_origin(1, EnabledState::Disabled, &truth), OriginAnswer::Busy);
    pass(&mut plant, &truth, 0, 200);
    assert_eq!(plant.edge.set_origin(1, EnabledState::Disabled, &truth), OriginAnswer::LastEnabled);
    assert!(plant.edge.pops.iter().all(|pop| pop.enabled[0]), "no location has heard of it yet");
    pass(&mut plant, &truth, 200, 1_100);
    assert!(plant.edge.pops.iter().all(|pop| !pop.enabled[0]) && plant.edge.is_settled());
}

#[test]
fn a_frozen_front_door_takes_no_changes_and_those_under_way_stand_still() {
    let (mut plant, truth) = plant(&[]);
    assert_eq!(plant.edge.set_origin(0, EnabledState::Disabled, &truth), OriginAnswer::Accepted);
    let frozen = Truth { front_door_frozen: true, ..truth };
    pass(&mut plant, &frozen, 0, 3_000);
    assert!(plant.edge.pops.iter().all(|pop| pop.enabled[0]));
    assert_eq!(plant.edge.set_origin(0, EnabledState::Enabled, &frozen), OriginAnswer::Busy);
}

#[test]
fn a_floor_brings_instances_after_their_start_times_and_no_more_than_the_quota() {
    let (mut plant, truth) = plant(&[(FaultKind::Quota(26), Some(1), 0, 10_000)]);
    plant.stamps[1].floor = Some((30, now_at(10_000)));
    pass(&mut plant, &truth, 0, 120);
    assert_eq!(plant.stamps[1].ready, 20);
    pass(&mut plant, &truth, 120, 300);
    assert_eq!((plant.stamps[1].requested, plant.stamps[1].ready), (30, 26));
}

/// What a healthy stamp looks like.
fn well() -> StampSeen {
    StampSeen {
        pings: [Ping::Ok; PINGS],
        view: Word::Healthy,
        load: None,
        peers: vec![],
        gated_status: Some(200),
    }
}

/// Lets a rival see two stamps, and tells how the plant then stands: gates in percent, origins.
struct Bench {
    plant: Plant,
    truth: Truth,
    t: u32,
}

impl Bench {
    fn new() -> Self {
        let (plant, truth) = plant(&[]);
        Self { plant, truth, t: 0 }
    }

    fn show(&mut self, rival: &mut dyn Steering, first: StampSeen, alerts: Vec<Alert>) {
        pass(&mut self.plant, &self.truth, self.t, LOOK_S);
        self.t += LOOK_S;
        let seen = Seen { t: self.t, stamps: vec![first, well()], counts: vec![], alerts, arm_reads: true };
        let hands = &mut Hands { t: self.t, plant: &mut self.plant, truth: &self.truth, tell: &mut |_| {} };
        rival.step(&seen, hands);
    }

    fn gate(&self) -> Option<GatePosition> {
        self.plant.stamps[0].gate.as_ref().map(|document| document.position)
    }
}

fn failing(good: &[usize]) -> StampSeen {
    let mut pings = [Ping::ServerError; PINGS];
    good.iter().for_each(|n| pings[*n] = Ping::Ok);
    StampSeen { pings, ..well() }
}

#[test]
fn health_checks_fall_after_three_in_a_row_and_rise_after_two() {
    let (mut bench, mut rival) = (Bench::new(), HealthCheck::new(2));
    bench.show(&mut rival, failing(&[0, 2]), vec![]);
    assert_eq!(bench.gate(), None, "two in a row at the end");
    bench.show(&mut rival, failing(&[1, 2, 3, 4]), vec![]);
    assert_eq!(bench.gate(), None, "the third, and then two good ones in the same look: nothing to obey");
    bench.show(&mut rival, failing(&[0, 1]), vec![]);
    assert_eq!(bench.gate(), Some(GatePosition::Closed));
    bench.show(&mut rival, well(), vec![]);
    assert_eq!(bench.gate(), Some(GatePosition::Open));
}

#[test]
fn a_dead_region_is_failed_over_at_once_and_then_nothing_happens_for_an_hour() {
    let (mut bench, mut rival) = (Bench::new(), Orchestrator::new(2));
    let dead = |peers| StampSeen { view: Word::Unreachable, peers, ..failing(&[]) };
    bench.show(&mut rival, dead(vec![(1, Word::Healthy)]), vec![]);
    assert_eq!(bench.gate(), None, "the peer disagrees");
    bench.show(&mut rival, dead(vec![(1, Word::Unreachable)]), vec![]);
    assert_eq!(bench.gate(), Some(GatePosition::Closed));
    for _ in 0..350 {
        bench.show(&mut rival, well(), vec![]);
    }
    assert_eq!(bench.gate(), Some(GatePosition::Closed), "still within the hour");
    for _ in 0..15 {
        bench.show(&mut rival, well(), vec![]);
    }
    assert_eq!(bench.gate(), Some(GatePosition::Open));
}

#[test]
fn an_alert_disables_the_origin_and_its_resolve_enables_it() {
    let (mut bench, mut rival) = (Bench::new(), AlertAndResolve::new(2));
    let alert = |resolved| Alert {
        source: AlertSource::Service,
        instance: 1,
        stamp: 0,
        resolved,
        happened: 0,
        delivered: 0,
        copies: 1,
    };
    bench.show(&mut rival, well(), vec![alert(false)]);
    assert!(!bench.plant.edge.configured[0] && !rival.is_idle());
    for _ in 0..30 {
        bench.show(&mut rival, well(), vec![]);
    }
    assert!(!bench.plant.edge.configured[0]);
    bench.show(&mut rival, well(), vec![alert(true)]);
    assert!(bench.plant.edge.configured[0] && rival.is_idle());
}

#[test]
fn five_failures_in_a_row_eject_one_host_for_a_time_that_grows() {
    let (mut bench, mut rival) = (Bench::new(), OutlierDetection::new(2));
    bench.show(&mut rival, failing(&[4]), vec![]);
    assert!(bench.plant.edge.configured[0], "four in a row are not enough");
    bench.show(&mut rival, failing(&[]), vec![]);
    assert!(!bench.plant.edge.configured[0]);
    let mut waited = 0;
    while !bench.plant.edge.configured[0] {
        bench.show(&mut rival, well(), vec![]);
        waited += LOOK_S;
    }
    assert!((60..=200).contains(&waited), "30 s, and as long as Front Door is busy: {waited}");
}
