//! The shipped policy is valid, complete in its schema, and every mistake has its line.

use super::load::line_of_key;
use super::validate::findings;
use super::{NotifyAuth, NotifyFormat, NotifyTarget, Policy, Span, ThroughputLever, json_schema, parse};
use crate::WorkloadId;

const SHIPPED: &str = include_str!("../../../../policy.toml");

fn first_error(from: &str, to: &str) -> String {
    assert!(SHIPPED.contains(from), "{from} is not in policy.toml");
    let errors = parse(&SHIPPED.replacen(from, to, 1)).expect_err(to);
    let line = SHIPPED.lines().position(|line| line.contains(from.lines().next().unwrap())).unwrap() + 1;
    assert_eq!(errors[0].line, line, "{}", errors[0]);
    errors[0].reason.clone()
}

#[test]
fn the_shipped_policy_is_valid() {
    parse(SHIPPED).unwrap();
}

#[test]
fn a_typo_is_named_with_its_line() {
    assert!(first_error("alone_after = \"120s\"", "alone_aftr = \"120s\"").contains("alone_aftr"));
    assert!(first_error("after = \"60s\"", "after = \"60 seconds\"").contains("write a number"));
    assert!(first_error("hard_loss = \"act\"", "hard_loss = \"actt\"").contains("actt"));
}

#[test]
fn unsafe_values_are_refused_with_their_line() {
    for (from, to) in [
        ("lifetime = \"4h\"", "lifetime = \"1h\""),
        ("percents = [5, 25, 50, 100]", "percents = [5, 50, 25, 100]"),
        ("percents = [5, 25, 50, 100]", "percents = [5, 25]"),
        ("regions_min = 1", "regions_min = 0"),
        ("headroom = 1.15", "headroom = 1.0"),
        ("error_budget = 0.05", "error_budget = 1.5"),
        ("origins_remaining_min = 2", "origins_remaining_min = 0"),
        ("witness_region = \"westus3\"", "witness_region = \"westus9\""),
        ("name = \"contoso-shoes\"", "name = \"contoso' or 1\""),
        ("alone_after = \"120s\"", "alone_after = \"10s\""),
    ] {
        first_error(from, to);
    }
}

#[test]
fn nobody_may_speak_as_direct_or_as_everybody() {
    let everybody = SHIPPED.replacen("origin-health-*", "*", 1);
    assert!(parse(&everybody).unwrap_err()[0].reason.contains("anybody"));
    let direct = SHIPPED.replacen("class = \"edge\"", "class = \"direct\"", 1);
    assert!(parse(&direct).unwrap_err()[0].reason.contains("Cordon's own"));
}

#[test]
fn the_schema_requires_every_section() {
    let schema = json_schema();
    let required: Vec<&str> =
        schema["required"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    for section in [
        "confirm", "gray", "evidence", "freeze", "velocity", "window", "budget", "latch", "ramp", "capacity",
        "gate",
    ] {
        assert!(required.contains(&section), "{section}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

/// The keys that are complained of once the shipped policy was changed.
fn refused(change: impl Fn(&mut Policy)) -> Vec<&'static str> {
    let mut policy = parse(SHIPPED).unwrap();
    change(&mut policy);
    findings(&policy).into_iter().map(|(key, _)| key).collect()
}

#[test]
fn each_bound_is_allowed_and_what_lies_beyond_it_is_not() {
    type Change = fn(&mut Policy);
    let bounds: [(&str, Change, Change); 16] = [
        ("drift.reassert_max", |p| p.drift.reassert_max = 10, |p| p.drift.reassert_max = 11),
        (
            "workload.name",
            |p| p.workload.name = WorkloadId::new("a".repeat(63)),
            |p| p.workload.name = WorkloadId::new("a".repeat(64)),
        ),
        ("workload.name", |p| p.workload.name = "z-9".into(), |p| p.workload.name = "".into()),
        ("gray.error_budget", |p| p.gray.error_budget = 0.001, |p| p.gray.error_budget = 0.0),
        ("evidence.total_ratio", |p| p.evidence.total_ratio = 1.0, |p| p.evidence.total_ratio = 1.01),
        ("evidence.unhealthy_ratio", |p| p.gray.error_budget = 0.49, |p| p.gray.error_budget = 0.5),
        (
            "evidence.unhealthy_ratio",
            |p| p.evidence.unhealthy_ratio = 0.94,
            |p| p.evidence.unhealthy_ratio = 0.95,
        ),
        ("capacity.headroom", |p| p.capacity.headroom = 1.05, |p| p.capacity.headroom = 1.04),
        ("capacity.instance_rps", |p| p.capacity.instance_rps = 0.1, |p| p.capacity.instance_rps = 0.0),
        (
            "capacity.return_ready_share",
            |p| p.capacity.return_ready_share = 1.0,
            |p| p.capacity.return_ready_share = 1.1,
        ),
        (
            "confirm.after",
            |p| p.confirm.after = Span::from_secs(30),
            |p| p.confirm.after = Span::from_secs(29),
        ),
        (
            "gate.lifetime",
            |p| p.gate.lifetime = Span::from_secs(14_400),
            |p| p.gate.lifetime = Span::from_secs(14_399),
        ),
        ("ramp.watch", |p| p.ramp.watch = Span::from_secs(90), |p| p.ramp.watch = Span::from_secs(89)),
        ("ramp.load_factor_max", |p| p.ramp.load_factor_max = 1.01, |p| p.ramp.load_factor_max = 1.0),
        ("ramp.percents", |p| p.ramp.percents = vec![1, 2, 100], |p| p.ramp.percents = vec![1, 1, 100]),
        ("ramp.percents", |p| p.ramp.percents = vec![100], |p| p.ramp.percents = vec![0, 100]),
    ];
    for (number, (key, allowed, beyond)) in bounds.into_iter().enumerate() {
        assert_eq!(refused(allowed), Vec::<&str>::new(), "{number} {key}");
        let found = refused(beyond);
        assert!(found.contains(&key), "{number} {key}: {found:?}");
    }
}

#[test]
fn a_policy_for_another_binary_or_without_a_ramp_is_refused() {
    assert_eq!(refused(|policy| policy.schema = 2), ["schema"]);
    assert_eq!(refused(|policy| policy.ramp.percents = vec![]), ["ramp.percents"]);
    assert_eq!(
        refused(|policy| policy.workload.origin_group = "/profiles/x".into()),
        ["workload.origin_group"]
    );
    assert_eq!(refused(|policy| policy.speakers[0].source = "**".into()), ["speakers.source"]);
    let silent = refused(|policy| {
        policy.evidence.age_max.remove(&crate::EvidenceClass::Edge);
    });
    assert_eq!(silent, ["evidence.age_max"]);
}

fn target(name: &str, auth: Option<NotifyAuth>, key: Option<&str>) -> NotifyTarget {
    NotifyTarget {
        name: name.to_owned(),
        url: "https://example.com/hook".to_owned(),
        format: Some(NotifyFormat::CloudEvents),
        page: None,
        auth,
        key: key.map(str::to_owned),
    }
}

#[test]
fn a_target_of_notifications_has_its_own_name_and_no_key_in_the_file() {
    let with = |targets: Vec<NotifyTarget>| refused(|policy| policy.notify.clone_from(&targets));
    let sas = Some(NotifyAuth::EventGridKey);
    for (targets, keys) in [
        (vec![target("a", None, None), target("b", None, None)], vec![]),
        (vec![target("a", None, None), target("a", None, None)], vec!["notify.name", "notify.name"]),
        (vec![target("a", sas, Some("env:TOPIC_KEY"))], vec![]),
        (vec![target("a", sas, None)], vec!["notify.key"]),
        (vec![target("a", sas, Some("s3cret"))], vec!["notify.key"]),
        (vec![target("a", None, Some("s3cret"))], vec!["notify.key"]),
        (vec![target("a", None, Some("env:TOKEN"))], vec![]),
        (vec![target("a", Some(NotifyAuth::Entra), None)], vec![]),
    ] {
        assert_eq!(with(targets.clone()), keys, "{targets:?}");
    }
}

#[test]
fn a_throughput_setting_is_named_once_below_the_account_with_a_maximum_that_azure_takes() {
    let lever = |resource: &str, maximum| ThroughputLever { resource: resource.to_owned(), maximum };
    let with = |levers: Vec<ThroughputLever>| refused(|policy| policy.throughput.clone_from(&levers));
    for (resource, good) in [
        ("sqlDatabases/shop", true),
        ("SQLDATABASES/shop", true),
        ("sqlDatabases/shop/containers/orders", true),
        ("sqlDatabases/shop/Containers/or-d_e.rs", true),
        ("sqlDatabases/shop/tables/orders", false),
        ("mongoDatabases/shop", false),
        ("mongoDatabases/shop/containers/orders", false),
        ("sqlDatabases", false),
        ("sqlDatabases/", false),
        ("sqlDatabases/..", false),
        ("sqlDatabases/sh op", false),
        ("sqlDatabases/shop/containers", false),
        ("sqlDatabases/shop/containers/..", false),
        ("", false),
    ] {
        let keys = if good { vec![] } else { vec!["throughput.resource"] };
        assert_eq!(with(vec![lever(resource, 10_000)]), keys, "{resource}");
    }
    for (maximum, good) in [(1_000, true), (10_000, true), (0, false), (1_500, false), (999, false)] {
        let keys = if good { vec![] } else { vec!["throughput.maximum"] };
        assert_eq!(with(vec![lever("sqlDatabases/shop", maximum)]), keys, "{maximum}");
    }
    let twice = vec![lever("sqlDatabases/shop", 1_000), lever("sqldatabases/SHOP", 2_000)];
    assert_eq!(with(twice), ["throughput.resource", "throughput.resource"]);
    let many = |count| (0..count).map(|n| lever(&format!("sqlDatabases/d{n}"), 1_000)).collect();
    assert_eq!(with(many(8)), Vec::<&str>::new());
    assert_eq!(with(many(9)), ["throughput.resource"]);
    let without_account = refused(|policy| {
        policy.workload.cosmos_account = None;
        policy.throughput = vec![lever("sqlDatabases/shop", 1_000)];
    });
    assert_eq!(without_account, ["throughput.resource"]);
    assert_eq!(refused(|policy| policy.workload.cosmos_account = None), Vec::<&str>::new());
}

#[test]
fn a_span_in_the_schema_says_how_it_is_written() {
    let schema = serde_json::to_value(schemars::schema_for!(Span)).unwrap();
    assert_eq!((&schema["title"], &schema["type"]), (&"Span".into(), &"string".into()), "{schema}");
}

#[test]
fn a_key_is_looked_for_in_its_own_section_and_else_the_section_is_named() {
    let text = "schema = 1\n\n[a]\nkey = 1\n\n[b]\nother = 2\nkey = 3\n\n[[list]]\nkey = 4\n";
    for (dotted, line) in [
        ("a.key", 4),
        ("b.key", 8),
        ("b.missing", 6),
        ("list.key", 11),
        ("schema", 1),
        ("c.key", 1),
        ("list", 10),
    ] {
        assert_eq!(line_of_key(text, dotted), line, "{dotted}");
    }
}
