//! The demand before a fault, learnt from samples: what was there before the load left, whoever tells of it late.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::capacity::{demand_before, demand_in_calm};
use crate::state::LoadSample;
use crate::{StampId, Timestamp};

const ONE: &str = "eastus2";
const TWO: &str = "centralus";

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + second)
}

/// A second from the start, and requests per second.
type Sampled = (i64, f64);

fn samples(all: &[Sampled]) -> impl Iterator<Item = LoadSample> {
    all.iter().map(|(second, rps)| LoadSample { at: at(*second), rps: *rps })
}

/// The symptom shows at second 100, so what was sampled up to second 85 was before it.
#[test]
fn demand_is_the_last_load_before_the_symptom_and_the_one_before_a_collapse() {
    let table: [(&[Sampled], Option<f64>); 12] = [
        (&[], None),
        (&[(86, 300.0)], None),
        (&[(85, 300.0)], Some(300.0)),
        (&[(75, 300.0), (85, 290.0), (95, 20.0)], Some(290.0)),
        // Less than half of what two samples agree on: it has gone elsewhere.
        (&[(65, 300.0), (75, 300.0), (85, 149.0)], Some(300.0)),
        (&[(65, 300.0), (75, 300.0), (85, 150.0)], Some(150.0)),
        (&[(65, 300.0), (75, 300.0), (85, 200.0)], Some(200.0)),
        (&[(65, 300.0), (75, 320.0), (85, 0.0)], Some(300.0)),
        (&[(65, 320.0), (75, 300.0), (85, 0.0)], Some(300.0)),
        // One sample alone is no witness of a collapse.
        (&[(65, 100.0), (75, 900.0), (85, 90.0)], Some(90.0)),
        (&[(75, 300.0), (85, 10.0)], Some(10.0)),
        // It grew.
        (&[(65, 100.0), (75, 200.0), (85, 300.0)], Some(300.0)),
    ];
    for (all, expected) in table {
        assert_eq!(demand_before(samples(all), at(100)), expected, "{all:?}");
    }
    // Of the fifteen seconds, a millisecond less is too little.
    let early = at(100).before(Duration::from_millis(1));
    assert_eq!(demand_before(samples(&[(75, 200.0), (85, 300.0)]), early), Some(200.0));
}

/// At second 300; what was sampled up to second 120 has settled.
fn in_calm(one: &[Sampled], two: &[Sampled]) -> BTreeMap<String, f64> {
    let all = [(ONE, one), (TWO, two)].map(|(stamp, all)| (StampId::from(stamp), samples(all).collect()));
    let all = BTreeMap::from(all);
    let loads = demand_in_calm(&all, at(300)).into_iter();
    loads.map(|(stamp, rps)| (stamp.as_str().to_owned(), rps)).collect()
}

/// Then and now of the one, then and now of the other, and whether what was then is believed.
#[test]
fn demand_in_calm_is_what_is_now_unless_a_region_has_just_lost_most_of_it() {
    for ((one_then, one_now), (two_then, two_now), believes_then) in [
        ((300.0, 310.0), (200.0, 190.0), false),
        // Lost to less than half, and the other has it.
        ((300.0, 149.0), (200.0, 351.0), true),
        ((300.0, 0.0), (200.0, 300.0), true),
        ((0.3, 0.1), (0.2, 0.4), true),
        // Half is not most.
        ((300.0, 150.0), (200.0, 350.0), false),
        // It was empty, or nearly so, and came back: what the other lost is no collapse.
        ((0.0, 300.0), (400.0, 110.0), false),
        ((10.0, 300.0), (400.0, 110.0), false),
        // Of two that changed places nobody knows which was the usual.
        ((100.0, 400.0), (400.0, 100.0), false),
        ((100.0, 390.0), (400.0, 100.0), true),
        ((100.0, 410.0), (400.0, 100.0), false),
        // Nothing then and now says nothing about the other.
        ((0.0, 0.0), (400.0, 100.0), true),
        ((0.0, 0.0), (400.0, 400.0), false),
    ] {
        let got = in_calm(&[(120, one_then), (300, one_now)], &[(120, two_then), (300, two_now)]);
        let (one, two) = if believes_then { (one_then, two_then) } else { (one_now, two_now) };
        let expected = [(ONE.to_owned(), one), (TWO.to_owned(), two)].into();
        assert_eq!(got, expected, "{one_then} to {one_now}, {two_then} to {two_now}");
    }
}

#[test]
fn then_is_one_moment_for_all_three_minutes_ago() {
    let steady = [(110, 200.0), (120, 210.0), (300, 420.0)];
    for (all, then) in [
        (&[(110, 300.0), (120, 310.0), (121, 320.0), (300, 50.0)][..], 310.0),
        (&[(110, 300.0), (121, 320.0), (300, 50.0)], 300.0),
        // Who is younger has its first sample alone.
        (&[(121, 320.0), (290, 330.0), (300, 50.0)], 320.0),
    ] {
        let expected = [(ONE.to_owned(), then), (TWO.to_owned(), 210.0)].into();
        assert_eq!(in_calm(all, &steady), expected, "{all:?}");
    }
    assert_eq!(in_calm(&[], &steady), [(TWO.to_owned(), 420.0)].into(), "who was never sampled is not known");
}
