//! The physics: determinism, routing, loss, overload, return.

use super::*;
use crate::scenario::builtin;

/// A world of a built-in scenario, after an edit of its text.
fn world(name: &str, edit: impl Fn(String) -> String) -> World {
    let text = builtin().iter().find(|(n, _)| *n == name).unwrap().1;
    let scenario = Scenario::from_toml(&edit(text.to_owned())).unwrap();
    World::new(&scenario, 7, Timestamp::from_secs(1_763_838_000))
}

/// Plays seconds with a health service that answers `status` of each stamp.
fn play(world: &mut World, seconds: u32, status: impl Fn(&StampId, u32) -> u16) {
    for _ in 0..seconds {
        for probe in world.due_probes() {
            let asked = || ProbeReply::Status(status(&probe.stamp, world.elapsed_s()));
            let reply = world.probe_passage(&probe).unwrap_or_else(asked);
            world.apply_probe(&probe, reply);
        }
        world.step();
    }
}

fn east() -> StampId {
    StampId::new("eastus2")
}

fn central() -> StampId {
    StampId::new("centralus")
}

fn failed_share(world: &World, class: &StampId, interval: std::ops::Range<u32>) -> f64 {
    world.outcome().failed_of(class, interval.clone()) / world.outcome().total_of(class, interval)
}

#[test]
fn the_same_seed_gives_the_same_hour_byte_for_byte() {
    let run = |seed: u64| {
        let text = builtin().iter().find(|(n, _)| *n == "survivor-overloaded-by-loss").unwrap().1;
        let mut world =
            World::new(&Scenario::from_toml(text).unwrap(), seed, Timestamp::from_secs(1_763_838_000));
        play(&mut world, 3_600, |_, _| 200);
        (world.outcome().to_bytes(), world.take_deliveries())
    };
    let (first, again, other) = (run(7), run(7), run(8));
    assert!(first == again);
    assert!(first.0 != other.0);
}

#[test]
fn a_calm_day_has_few_errors_and_low_latency() {
    let mut world = world("alert-without-evidence", |t| t);
    play(&mut world, 600, |_, _| 200);
    for class in [east(), central()] {
        assert!(failed_share(&world, &class, 0..600) < 0.001);
        let p99 = world.outcome().p99_ms(&class, 0..600).unwrap();
        assert!((60.0..400.0).contains(&p99), "{class}: {p99}");
    }
    let view = world.snapshot();
    assert!((view.stamps[0].origin.routed_share - 0.75).abs() < 1e-9, "{view:?}");
    assert!(view.stamps.iter().all(|s| s.up && !s.faulted && s.capacity_rps > s.arriving_rps));
}

#[test]
fn the_edge_drops_a_lost_stamp_within_15_to_90_seconds() {
    let mut world = world("hard-loss", |t| t);
    play(&mut world, 900, |_, _| 200);
    let share = |t: u32| world.outcome().share_routed_to(&east(), t);
    assert!((share(600) - 0.75).abs() < 1e-3);
    assert!(share(615) > 0.7, "nobody has three failures yet: {}", share(615));
    assert!(share(650) < 0.1, "busy locations are out after three probes: {}", share(650));
    let dropped = world.outcome().dropped_at(&east(), 600).unwrap();
    assert!((630..=690 + 120).contains(&dropped), "{dropped}");
    assert!(failed_share(&world, &east(), 600..615) > 0.99);
}

#[test]
fn overload_refuses_requests_and_slows_the_clients_who_were_there() {
    let mut world = world("hard-loss", |t| t);
    play(&mut world, 780, |_, _| 200);
    assert!(
        failed_share(&world, &central(), 700..760) > 0.5,
        "{}",
        failed_share(&world, &central(), 700..760)
    );
    let before = world.outcome().p99_ms(&central(), 500..600).unwrap();
    let after = world.outcome().p99_ms(&central(), 700..760).unwrap();
    assert!(after > 5.0 * before, "{before} {after}");
    assert!(world.snapshot().stamps[1].requested > 7, "the engine grows it");
    let fault = &world.outcome().faults()[0];
    assert_eq!((fault.from_s, world.outcome().first_symptom(fault)), (600, Some(600)));
}

#[test]
fn with_every_stamp_red_the_edge_uses_them_all() {
    let mut world = world("hard-loss-n1", |t| t);
    play(&mut world, 300, |_, _| 503);
    let view = world.snapshot();
    assert!((view.fail_open_share - 1.0).abs() < 1e-9);
    assert!(view.stamps.iter().all(|s| (s.origin.routed_share - 0.5).abs() < 1e-9), "{view:?}");
    assert!(failed_share(&world, &east(), 120..300) < 0.001, "requests go on");
}

#[test]
fn an_origin_is_out_below_two_good_probes_of_four() {
    let text = builtin()[1].1;
    let spec = Scenario::from_toml(text).unwrap();
    let mut edge = Edge::new(Seed(7), &spec.stamps, 40, &spec.front_door);
    let healthy = |edge: &Edge| edge.pops[0].routes()[0].0 == 0;
    for (good, expected) in [
        (false, true),
        (false, true),
        (false, false),
        (true, false),
        (true, true),
        (false, true),
        (true, true),
    ] {
        edge.judge(0, 0, if good { ProbeReply::Status(200) } else { ProbeReply::Failed });
        assert_eq!(healthy(&edge), expected);
    }
}

#[test]
fn a_closed_gate_empties_a_stamp_and_an_open_one_fills_it() {
    let mut world = world("hard-loss-n1", |t| {
        t.replace("from_s = 600", "from_s = 7000").replace("until_s = 2400", "until_s = 7100")
    });
    let gate = |stamp: &StampId, t: u32| if *stamp == east() && (60..600).contains(&t) { 503 } else { 200 };
    play(&mut world, 900, gate);
    assert!(world.outcome().share_routed_to(&east(), 500) < 1e-9);
    assert!(world.outcome().share_routed_to(&east(), 899) > 0.74);
    assert!(failed_share(&world, &east(), 0..900) < 0.001, "nobody lost a request to a gate");
}

#[test]
fn gray_errors_hurt_clients_and_not_the_probes() {
    let mut world = world("gray-failure", |t| t);
    play(&mut world, 900, |_, _| 200);
    let share = failed_share(&world, &east(), 600..900);
    assert!((0.19..0.21).contains(&share), "{share}");
    assert!(world.outcome().share_routed_to(&east(), 899) > 0.74);
}

#[test]
fn a_fault_waits_for_its_mark() {
    let mut world = world("contoso-shoes", |t| t.replace("from_s = 600", "from_s = 10"));
    play(&mut world, 3_000, |_, _| 200);
    assert!(world.stamp_available(&east()));
    world.mark("readmitting");
    play(&mut world, 59, |_, _| 200);
    assert!(world.stamp_available(&east()));
    play(&mut world, 1, |_, _| 200);
    assert!(!world.stamp_available(&east()));
    play(&mut world, 600, |_, _| 200);
    assert!(world.stamp_available(&east()));
    assert_eq!(world.outcome().faults()[1].from_s, 3_060);
    assert_eq!(world.outcome().faults()[1].until_s, Some(3_360));
}

#[test]
fn a_quota_and_a_full_region_keep_requested_instances_from_becoming_ready() {
    for name in ["survivors-short-of-quota", "survivors-cannot-grow"] {
        let mut world = world(name, |t| t);
        play(&mut world, 3_000, |_, _| 200);
        let view = world.snapshot();
        assert_eq!(view.stamps[1].ready, 10, "{name}");
        assert!(view.stamps[1].requested > 10, "{name}");
    }
}

#[test]
fn azure_tells_what_happened_late_and_on_every_channel() {
    let mut world = world("contoso-shoes", |t| t);
    let mut told = Vec::new();
    for _ in 0..3_000 {
        play(&mut world, 1, |_, _| 200);
        let at = world.elapsed_s();
        told.extend(world.take_deliveries().into_iter().map(|d| (at, d)));
    }
    let first = |what: &dyn Fn(&Delivery) -> bool| told.iter().find(|(_, d)| what(d)).map(|(at, _)| *at);
    let of_hub =
        |name: &'static str| first(&move |d| matches!(d, Delivery::EventHub { hub, .. } if *hub == name));
    let of_service = |service: &'static str| {
        first(
            &move |d| matches!(d, Delivery::ActionGroup { body } if body["data"]["essentials"]["monitoringService"] == service),
        )
    };
    let probe_log = of_hub("front-door").unwrap();
    assert!((660..=840).contains(&probe_log), "{probe_log}");
    let metric_alert = of_service("Platform").unwrap();
    assert!((700..=960).contains(&metric_alert), "{metric_alert}");
    assert_eq!((of_service("ServiceHealth"), of_hub("azure-monitor")), (Some(2_640), Some(2_640)));
    let fired = |condition: &str| {
        told.iter().any(|(_, d)| {
            matches!(d, Delivery::ActionGroup { body } if body["data"]["essentials"]["monitorCondition"] == condition)
        })
    };
    assert!(fired("Fired") && fired("Resolved"));
}

#[test]
fn every_builtin_scenario_plays_to_its_end() {
    for (name, _) in builtin() {
        let mut world = world(name, |t| t);
        let seconds = world.scenario().duration_s;
        play(&mut world, seconds, |_, _| 200);
        assert_eq!(world.outcome().seconds(), seconds, "{name}");
        assert!(world.outcome().total(0..seconds) > 0.0, "{name}");
    }
}

#[test]
fn a_calm_workload_is_left_alone_by_its_autoscale_rules() {
    let mut world = world("alert-without-evidence", |t| t);
    play(&mut world, 5_400, |_, _| 200);
    let requested: Vec<u32> = world.snapshot().stamps.iter().map(|s| s.requested).collect();
    assert_eq!(requested, [20, 7], "at the daily peak");
}

#[test]
fn a_disturbed_probe_alone_costs_the_clients_next_to_nothing() {
    let mut world = world("false-alarm-one-class", |t| t);
    play(&mut world, 2_400, |_, _| 200);
    for class in [east(), central()] {
        let share = failed_share(&world, &class, 600..2_400);
        assert!(share < 0.02, "{class}: {share}");
    }
    let alerts = world.take_deliveries();
    assert!(alerts.iter().any(|d| matches!(d, Delivery::ActionGroup { .. })), "the metric alert fires");
}
