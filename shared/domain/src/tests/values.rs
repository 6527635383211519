//! Small values that everything rests on, at their bounds: each of these was once wrong without a test that noticed.

use std::net::IpAddr;

use std::time::Duration;

use crate::facts::{Facts, LoadFacts};
use crate::gate::{lets_in, slice_of};
use crate::judge::policy_hash;
use crate::policy::{NotifyTarget, Speaker, ThroughputLever};
use crate::regions::{distance_km, is_known};
use crate::signal::note;
use crate::state::WorkloadState;
use crate::testing::{shipped, stored_step};
use crate::transition::{StepWrite, Transition};
use crate::{
    Command, Effect, EnabledState, EvidenceClass, GatePosition, InboxItem, ItemBody, Measure, Order, Step,
    StepId, StepStatus, StoredStep, Timestamp,
};

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

#[test]
fn throughput_belongs_to_the_account_and_its_target_is_the_same_whichever_stamp_asked() {
    let raise = |stamp: &str, resource: &str, maximum| Effect::RaiseThroughput {
        stamp: stamp.into(),
        resource: resource.to_owned(),
        before: 4_000,
        maximum,
    };
    let restore = |stamp: &str, resource: &str| Effect::RestoreThroughput {
        stamp: stamp.into(),
        resource: resource.to_owned(),
        before: 4_000,
        recorded: 10_000,
    };
    for (a, b, same) in [
        (raise("eastus2", "shop", 10_000), raise("westus", "shop", 10_000), true),
        (raise("eastus2", "shop", 10_000), raise("eastus2", "shop", 12_000), false),
        (raise("eastus2", "shop", 10_000), raise("eastus2", "blog", 10_000), false),
        (restore("eastus2", "shop"), restore("westus", "shop"), true),
        (restore("eastus2", "shop"), restore("eastus2", "blog"), false),
        (raise("eastus2", "shop", 10_000), restore("eastus2", "shop"), false),
    ] {
        assert_eq!(a.same_target(&b), same, "{a:?} {b:?}");
    }
    assert_eq!(raise("eastus2", "shop", 1).throughput(), Some("shop"));
    assert_eq!(restore("eastus2", "blog").throughput(), Some("blog"));
    assert_eq!(Effect::SetOrigin { stamp: "a".into(), enabled: EnabledState::Enabled }.throughput(), None);
}

#[test]
fn an_effect_says_how_long_undoing_it_takes_at_the_longest() {
    let at = Timestamp::default();
    for (effect, seconds) in [
        (
            Effect::SetGate {
                stamp: "a".into(),
                position: GatePosition::Closed,
                expires_at: at,
                reason: String::new(),
            },
            90,
        ),
        (Effect::SetOrigin { stamp: "a".into(), enabled: EnabledState::Disabled }, 1_200),
        (Effect::RaiseFloor { stamp: "a".into(), minimum: 1, until: at }, 300),
        (Effect::RestoreFloor { stamp: "a".into(), recorded: 1 }, 300),
    ] {
        assert_eq!(effect.undo_time_max(), Duration::from_secs(seconds), "{effect:?}");
    }
}

#[test]
fn two_regions_are_as_far_apart_as_their_great_circle() {
    // By the law of cosines, which is another formula; and two that anybody can look up, to the map's whole degrees.
    let law = |a: (f64, f64), b: (f64, f64)| {
        let (a, b) = ((a.0.to_radians(), a.1.to_radians()), (b.0.to_radians(), b.1.to_radians()));
        6_371.0 * (a.0.sin() * b.0.sin() + a.0.cos() * b.0.cos() * (b.1 - a.1).cos()).acos()
    };
    for (from, to) in [("westus3", "eastus2"), ("westeurope", "australiaeast"), ("brazilsouth", "japaneast")]
    {
        let place = |name: &str| {
            let (_, lat, lon) = crate::regions::REGIONS.iter().find(|(known, ..)| *known == name).unwrap();
            (f64::from(*lat), f64::from(*lon))
        };
        let told = distance_km(&from.into(), &to.into()).unwrap();
        assert!((law(place(from), place(to)) - f64::from(told)).abs() < 1.0, "{from} {to} {told}");
        assert_eq!(distance_km(&to.into(), &from.into()), Some(told));
    }
    let atlantic = distance_km(&"eastus2".into(), &"westeurope".into()).unwrap();
    assert!((6_000..6_700).contains(&atlantic), "{atlantic}");
    assert_eq!(distance_km(&"eastus2".into(), &"eastus2".into()), Some(0));
    assert_eq!(distance_km(&"eastus2".into(), &"marscentral".into()), None);
    assert!(is_known(&"westus3".into()) && !is_known(&"marscentral".into()));
}

#[test]
fn a_note_is_short_and_on_one_line() {
    assert_eq!(note("plain"), "plain");
    assert_eq!(note("two\nlines\u{7}"), "two lines ");
    assert_eq!(note("é"), "é");
    let long = note(&"é".repeat(300));
    assert_eq!((long.chars().count(), long.len()), (200, 400));
    assert_eq!(note(&"a".repeat(200)), "a".repeat(200));
    assert_eq!(note(&"a".repeat(201)), "a".repeat(200));
}

#[test]
fn what_an_operator_orders_waits_for_no_telemetry() {
    let item = |body| InboxItem {
        id: crate::ItemId::new("one"),
        event_at: Timestamp::default(),
        received_at: Timestamp::default(),
        body,
    };
    let command = Command { by: "ada".into(), reason: "drill".into(), order: Order::Resume };
    assert!(item(ItemBody::Command { command }).is_urgent());
    assert!(!item(ItemBody::Observed { signals: vec![], facts: Facts::default() }).is_urgent());
}

#[test]
fn a_position_and_its_percent_are_one() {
    for (percent, position) in [
        (0, GatePosition::Closed),
        (1, GatePosition::Slice(1)),
        (99, GatePosition::Slice(99)),
        (100, GatePosition::Open),
    ] {
        assert_eq!(GatePosition::from_percent(percent), position);
        assert_eq!(position.percent(), percent);
    }
}

#[test]
fn the_policy_finds_its_speakers_services_and_settings() {
    let mut policy = shipped();
    policy.speakers = vec![speaker("api-5xx"), speaker("api-*")];
    assert_eq!(policy.speaker("api-5xx").map(|found| found.source.as_str()), Some("api-5xx"));
    assert_eq!(policy.speaker("api-latency").map(|found| found.source.as_str()), Some("api-*"));
    assert!(policy.speaker("cdn").is_none());
    policy.workload.services = vec!["Azure Cosmos DB".to_owned()];
    assert!(policy.uses_service(" azure cosmos db "));
    assert!(!policy.uses_service("Azure Cosmos"));
    policy.workload.cosmos_account = Some("/subscriptions/x/databaseAccounts/shop/".to_owned());
    assert_eq!(
        ThroughputLever::setting("sqlDatabases/shop", &policy).as_deref(),
        Some("/subscriptions/x/databaseAccounts/shop/sqlDatabases/shop/throughputSettings/default")
    );
    policy.workload.cosmos_account = None;
    assert_eq!(ThroughputLever::setting("sqlDatabases/shop", &policy), None);
    assert_eq!(NotifyTarget::setting("env:CORDON_HOOK"), Some("CORDON_HOOK"));
    assert_eq!(NotifyTarget::setting("https://example.com"), None);
}

#[test]
fn what_a_commit_writes_stands_beside_what_it_left_alone() {
    let step = |id: &str, attempts| {
        let effect = Effect::RestoreFloor { stamp: "eastus2".into(), recorded: 4 };
        let status = StepStatus::Pending { not_before: Timestamp::default() };
        Step { id: StepId::new(id), ..stored_step(effect, status, attempts, Timestamp::default()).step }
    };
    let stored = |id, version, attempts| StoredStep { version, step: step(id, attempts) };
    let transition = Transition {
        parent: None,
        state: WorkloadState::new("shop".into(), 1, Timestamp::default()),
        steps: vec![
            StepWrite { expected: Some(7), step: step("changed", 2) },
            StepWrite { expected: None, step: step("new", 0) },
        ],
        forgotten: vec![StepId::new("old")],
        audit: None,
        consumed: vec![],
    };
    let before = vec![stored("kept", 3, 1), stored("changed", 7, 1), stored("old", 9, 1)];
    assert_eq!(
        transition.steps_after(before),
        [stored("kept", 3, 1), stored("changed", 8, 2), stored("new", 1, 0)]
    );
}

#[test]
fn a_policy_has_a_hash_of_its_own() {
    let (one, mut other) = (shipped(), shipped());
    other.confirm.platform_factor = 0.25;
    let hash = policy_hash(&one);
    assert!(hash.len() == 64 && hash.bytes().all(|c| c.is_ascii_hexdigit()), "{hash}");
    assert_eq!(policy_hash(&shipped()), hash);
    assert_ne!(policy_hash(&other), hash);
}
