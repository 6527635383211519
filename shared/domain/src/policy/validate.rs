//! What a policy may say, beyond its types.

use std::time::Duration;

use super::{NotifyAuth, NotifyTarget, Policy, Span};
use crate::EvidenceClass;

/// The shortest lifetime of a gate document: a controller region may be out for hours (DESIGN.md, "The gate's life").
const GATE_LIFETIME_MIN: Duration = Duration::from_secs(4 * 3_600);

/// The shortest watch of a slice: one probe detection (90 s at the longest) plus the least lag of edge telemetry (60 s).
const RAMP_WATCH_MIN: Duration = Duration::from_secs(90);

/// More than this is a fight: an origin change takes 20 min, so ten of them are most of a working day.
const REASSERT_MAX: u32 = 10;
/// The shortest time between two reminders: a page every few seconds is a storm, and is muted.
const REMINDER_MIN: Duration = Duration::from_secs(60);

/// Each setting is one GET every 30 s, and one PUT in a cordon.
const THROUGHPUTS_MAX: usize = 8;

type Finding = (&'static str, String);

/// All that is wrong, as dotted key and reason.
pub(super) fn findings(policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    names(policy, &mut found);
    ratios(policy, &mut found);
    spans(policy, &mut found);
    ramp(policy, &mut found);
    if policy.drift.reassert_max > REASSERT_MAX {
        let why = format!("is {}, must be at most {REASSERT_MAX}", policy.drift.reassert_max);
        found.push(("drift.reassert_max", why));
    }
    speakers(policy, &mut found);
    targets(policy, &mut found);
    throughput(policy, &mut found);
    found
}

fn names(policy: &Policy, found: &mut Vec<Finding>) {
    if policy.schema != 1 {
        found.push(("schema", format!("is {}, this binary reads 1", policy.schema)));
    }
    let name = policy.workload.name.as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        found.push(("workload.name", "must be 1 to 63 of a-z, 0-9 and -".into()));
    }
    if !policy.workload.origin_group.to_ascii_lowercase().contains("/origingroups/") {
        found.push(("workload.origin_group", "must be the ARM id of a Front Door origin group".into()));
    }
    if !crate::regions::is_known(&policy.workload.witness_region) {
        found.push((
            "workload.witness_region",
            format!("{} is no Azure region id", policy.workload.witness_region),
        ));
    }
}

fn ratios(policy: &Policy, found: &mut Vec<Finding>) {
    let share = |key, value: f64, found: &mut Vec<Finding>| {
        if !(value > 0.0 && value <= 1.0) {
            found.push((key, format!("is {value}, must be over 0 and at most 1")));
        }
    };
    share("confirm.platform_factor", policy.confirm.platform_factor, found);
    share("gray.error_budget", policy.gray.error_budget, found);
    share("evidence.unhealthy_ratio", policy.evidence.unhealthy_ratio, found);
    share("evidence.total_ratio", policy.evidence.total_ratio, found);
    share("capacity.return_ready_share", policy.capacity.return_ready_share, found);
    if !(policy.gray.error_budget < policy.evidence.unhealthy_ratio
        && policy.evidence.unhealthy_ratio < policy.evidence.total_ratio)
    {
        found.push((
            "evidence.unhealthy_ratio",
            "must lie between gray.error_budget and evidence.total_ratio".into(),
        ));
    }
    if policy.capacity.headroom < 1.05 {
        found.push(("capacity.headroom", "must be at least 1.05: S2 wants demand x 1.05 carried".into()));
    }
    if policy.capacity.instance_rps <= 0.0 {
        found.push(("capacity.instance_rps", "must be over 0".into()));
    }
    if policy.capacity.regions_min == 0 {
        found.push(("capacity.regions_min", "must be at least 1: never the last serving region (S2)".into()));
    }
    if policy.latch.origins_remaining_min == 0 {
        found.push((
            "latch.origins_remaining_min",
            "must be at least 1: Front Door refuses to disable the last".into(),
        ));
    }
}

fn spans(policy: &Policy, found: &mut Vec<Finding>) {
    let at_least = |key, value: Span, least: Duration, found: &mut Vec<Finding>| {
        if value.get() < least {
            found.push((key, format!("is {value}, must be at least {} s", least.as_secs())));
        }
    };
    at_least("confirm.after", policy.confirm.after, Duration::from_secs(30), found);
    at_least("confirm.alone_after", policy.confirm.alone_after, policy.confirm.after.get(), found);
    at_least(
        "gray.confirm_alone_after",
        policy.gray.confirm_alone_after,
        policy.gray.confirm_after.get(),
        found,
    );
    at_least("gate.lifetime", policy.gate.lifetime, GATE_LIFETIME_MIN, found);
    at_least("capacity.floor_lifetime", policy.capacity.floor_lifetime, policy.gate.lifetime.get(), found);
    at_least("window.cap", policy.window.cap, policy.window.base.get(), found);
    at_least("window.half_life", policy.window.half_life, Duration::from_secs(60), found);
    at_least("limits.horizon", policy.limits.horizon, policy.evidence.standing_max.get(), found);
    at_least("limits.claim", policy.limits.claim, Duration::from_secs(15), found);
    at_least("gate.reopen_step", policy.gate.reopen_step, Duration::from_secs(1), found);
    at_least("reminders.unanswered_every", policy.reminders.unanswered_every, REMINDER_MIN, found);
    at_least("reminders.paused_every", policy.reminders.paused_every, REMINDER_MIN, found);
    for class in EvidenceClass::ALL {
        if !policy.evidence.age_max.contains_key(&class) {
            found.push(("evidence.age_max", format!("says nothing of {class:?}")));
        }
    }
}

fn ramp(policy: &Policy, found: &mut Vec<Finding>) {
    let percents = &policy.ramp.percents;
    if percents.last() != Some(&100) || !percents.is_sorted_by(|a, b| a < b) || percents.first() == Some(&0) {
        found.push((
            "ramp.percents",
            "must rise from above 0 and end in 100, such as [5, 25, 50, 100]".into(),
        ));
    }
    if policy.ramp.watch.get() < RAMP_WATCH_MIN {
        found.push((
            "ramp.watch",
            format!("must be at least {} s: one probe detection", RAMP_WATCH_MIN.as_secs()),
        ));
    }
    if policy.ramp.load_factor_max <= 1.0 {
        found.push(("ramp.load_factor_max", "must be over 1".into()));
    }
}

fn targets(policy: &Policy, found: &mut Vec<Finding>) {
    for target in &policy.notify {
        let name = &target.name;
        if policy.notify.iter().filter(|other| other.name == *name).count() > 1 {
            found.push((
                "notify.name",
                format!("{name:?} names two targets: each keeps its place by its name"),
            ));
        }
        match (target.auth, target.key.as_deref()) {
            (Some(NotifyAuth::EventGridKey), None) => {
                found.push((
                    "notify.key",
                    format!("{name:?} needs env:NAME, the setting that holds the topic's key"),
                ));
            }
            (_, Some(key)) if NotifyTarget::setting(key).is_none() => {
                found.push((
                    "notify.key",
                    format!("{name:?} holds the key itself: write env:NAME and set NAME to it"),
                ));
            }
            _ => {}
        }
    }
}

fn throughput(policy: &Policy, found: &mut Vec<Finding>) {
    if policy.throughput.len() > THROUGHPUTS_MAX {
        found.push(("throughput.resource", format!("lists more than {THROUGHPUTS_MAX} settings")));
    }
    if !policy.throughput.is_empty() && policy.workload.cosmos_account.is_none() {
        found.push(("throughput.resource", "needs workload.cosmos_account, of which it is a part".into()));
    }
    for lever in &policy.throughput {
        let resource = &lever.resource;
        if !names_a_setting(resource) {
            let reason =
                format!("{resource:?} is neither sqlDatabases/NAME nor sqlDatabases/NAME/containers/NAME");
            found.push(("throughput.resource", reason));
        }
        if policy.throughput.iter().filter(|other| other.resource.eq_ignore_ascii_case(resource)).count() > 1
        {
            found.push(("throughput.resource", format!("{resource:?} is listed twice")));
        }
        if lever.maximum == 0 || !lever.maximum.is_multiple_of(crate::throughput::STEP) {
            let reason = format!("is {}, must be a multiple of {}", lever.maximum, crate::throughput::STEP);
            found.push(("throughput.maximum", reason));
        }
    }
}

fn names_a_setting(resource: &str) -> bool {
    let parts: Vec<&str> = resource.split('/').collect();
    let plain = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
            && *name != ".."
    };
    let kinds = match parts.as_slice() {
        [databases, _] => databases.eq_ignore_ascii_case("sqlDatabases"),
        [databases, _, containers, _] => {
            databases.eq_ignore_ascii_case("sqlDatabases") && containers.eq_ignore_ascii_case("containers")
        }
        _ => false,
    };
    kinds && parts.iter().all(plain)
}

fn speakers(policy: &Policy, found: &mut Vec<Finding>) {
    for (index, speaker) in policy.speakers.iter().enumerate() {
        if speaker.source.trim_end_matches('*').is_empty() {
            found.push(("speakers.source", format!("entry {} would let anybody speak", index + 1)));
        }
        if speaker.class == EvidenceClass::Direct {
            found.push((
                "speakers.class",
                format!("entry {}: direct evidence is Cordon's own, nobody else's", index + 1),
            ));
        }
    }
}
