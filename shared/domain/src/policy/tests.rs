//! The shipped policy is valid, complete in its schema, and every mistake has its line.

use super::{json_schema, parse};

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
