//! Small values that everything rests on, at their bounds: each of these was once wrong without a test that noticed.

use std::net::IpAddr;

use crate::facts::{Facts, LoadFacts};
use crate::gate::{lets_in, slice_of};
use crate::policy::Speaker;
use crate::{Effect, EnabledState, EvidenceClass, GatePosition, Measure, Timestamp};

fn speaker(source: &str) -> Speaker {
    Speaker { source: source.to_owned(), class: EvidenceClass::Edge, stamp: None }
}

#[test]
fn a_speaker_is_its_own_name_or_begins_with_what_stands_before_the_star() {
    for (ours, theirs, speaks) in [
        ("origin-health-*", "origin-health-eastus2", true),
        ("origin-health-*", " Origin-Health-EastUS2 ", true),
        ("origin-health-*", "my-origin-health-eastus2", false),
        ("origin-health-*", "origin-healt", false),
        ("api-5xx", "API-5xx", true),
        ("api-5xx", "api-5xx-eastus2", false),
        ("api-5xx", "", false),
    ] {
        assert_eq!(speaker(ours).matches(theirs), speaks, "{ours} {theirs}");
    }
}

#[test]
fn a_ratio_needs_a_sample() {
    assert_eq!(Measure { failed: 0, total: 0 }.ratio(), None);
    assert_eq!(Measure { failed: 1, total: 4 }.ratio(), Some(0.25));
    assert_eq!(Measure { failed: 1, total: 1 }.ratio(), Some(1.0));
}

#[test]
fn facts_are_empty_only_when_nothing_was_read_and_nothing_failed_to_be() {
    assert!(Facts::default().is_empty());
    let unreadable = Facts { unreadable: vec!["origins".to_owned()], ..Facts::default() };
    assert!(!unreadable.is_empty());
    let mut read = Facts::default();
    let load = LoadFacts {
        observed_at: Timestamp::default(),
        ready_instances: 0,
        requests_per_second: 0.0,
        saturation: 0.0,
    };
    read.load.insert("eastus2".into(), load);
    assert!(!read.is_empty());
}

#[test]
fn a_slice_admits_the_slices_below_its_percent_and_no_other() {
    let address = IpAddr::from([147, 243, 3, 1]);
    let slice = slice_of(address);
    for percent in 0..=100 {
        assert_eq!(lets_in(percent, Some(address)), percent > slice, "{percent} {slice}");
        assert_eq!(lets_in(percent, None), percent == 100, "{percent}");
    }
}

#[test]
fn the_slices_are_spread_over_the_locations() {
    let mut hit = [0_u32; 100];
    for a in 0..=255 {
        for b in 0..40 {
            hit[usize::from(slice_of(IpAddr::from([147, a, b, 1])))] += 1;
        }
    }
    // 10 240 prefixes: 102 in a slice on average. A hash that used one byte of its two would leave slices empty.
    assert!(hit.iter().all(|count| (60..150).contains(count)), "{hit:?}");
}

#[test]
fn two_effects_have_one_target_when_only_times_and_words_differ() {
    let gate = |stamp: &str, position, reason: &str, expires_s| Effect::SetGate {
        stamp: stamp.into(),
        position,
        expires_at: Timestamp::from_secs(expires_s),
        reason: reason.to_owned(),
    };
    let origin = |stamp: &str, enabled| Effect::SetOrigin { stamp: stamp.into(), enabled };
    let raise = |stamp: &str, minimum, until_s| Effect::RaiseFloor {
        stamp: stamp.into(),
        minimum,
        until: Timestamp::from_secs(until_s),
    };
    let restore = |stamp: &str, recorded| Effect::RestoreFloor { stamp: stamp.into(), recorded };
    let closed = || gate("eastus2", GatePosition::Closed, "gone", 1);
    for (a, b, same) in [
        (closed(), gate("eastus2", GatePosition::Closed, "still gone", 2), true),
        (closed(), gate("westus", GatePosition::Closed, "gone", 1), false),
        (closed(), gate("eastus2", GatePosition::Open, "gone", 1), false),
        (origin("eastus2", EnabledState::Disabled), origin("eastus2", EnabledState::Disabled), true),
        (origin("eastus2", EnabledState::Disabled), origin("eastus2", EnabledState::Enabled), false),
        (origin("eastus2", EnabledState::Disabled), origin("westus", EnabledState::Disabled), false),
        (raise("eastus2", 5, 1), raise("eastus2", 5, 2), true),
        (raise("eastus2", 5, 1), raise("eastus2", 6, 1), false),
        (raise("eastus2", 5, 1), raise("westus", 5, 1), false),
        (restore("eastus2", 5), restore("eastus2", 9), true),
        (restore("eastus2", 5), restore("westus", 5), false),
        (raise("eastus2", 5, 1), restore("eastus2", 5), false),
        (closed(), origin("eastus2", EnabledState::Disabled), false),
    ] {
        assert_eq!(a.same_target(&b), same, "{a:?} {b:?}");
        assert_eq!(b.same_target(&a), same, "{b:?} {a:?}");
    }
}
