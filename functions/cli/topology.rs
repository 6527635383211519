//! What a policy means for the stamps that are there: how soon each is out, what the others need then, how long it is out at
//! the longest, and where that is unsafe.

use std::collections::BTreeSet;
use std::path::Path;

use adapters::Ledger;
use anyhow::Context;
use domain::capacity::{Share, shares_without};
use domain::state::WorkloadState;
use domain::{Policy, StampId};

use super::check::{TIMERS, words};
use super::sources::{Process, Source, open_ledger};

/// The state of the workload, from its ledger or its process; none where neither was named.
pub(super) async fn state(
    data: Option<&Path>,
    url: Option<&str>,
    policy: &Policy,
) -> anyhow::Result<Option<WorkloadState>> {
    let workload = &policy.workload.name;
    let found = match (data, url) {
        (Some(data), _) => open_ledger(data)?.load(workload, 0).await.context("read the state")?.state,
        (None, Some(url)) => {
            Source::Process(Process::new(url, Some(workload.as_str()), None)?).state().await?
        }
        (None, None) => return Ok(None),
    };
    found
        .map(Some)
        .with_context(|| format!("the ledger knows nothing of {workload} yet: let it observe once"))
}

/// Lines and warnings.
pub(super) fn explained(state: &WorkloadState, policy: &Policy) -> (Vec<String>, Vec<String>) {
    let mut lines = Vec::new();
    let mut warned = Vec::new();
    throughput(state, policy, &mut lines, &mut warned);
    let stamps = state.cases.len();
    lines.push(leaving(stamps, policy));
    if stamps <= usize::try_from(policy.capacity.regions_min).unwrap_or(usize::MAX) {
        warned.push(format!(
            "{stamps} stamp(s), of which capacity.regions_min keeps {}: none is ever taken out",
            policy.capacity.regions_min
        ));
    }
    for (stamp, case) in &state.cases {
        let ready = domain::capacity::ready_rps(state, stamp, policy);
        lines.push(format!(
            "{stamp} must carry {:.0} requests/s{}",
            case.demand_rps,
            ready.map_or("; nobody saw lately what it can".to_owned(), |ready| format!(
                " and can {ready:.0} now"
            ))
        ));
        lines.push(match domain::quota::instances_max(state, stamp) {
            Some(most) => format!("the quotas of {stamp} allow {most} instances"),
            None => format!("the quotas of {stamp} are not known"),
        });
        warned.extend(case.quota_short.as_ref().map(|short| domain::quota::in_words(stamp, short)));
        if case.demand_rps <= 0.0 {
            warned.push(format!("{stamp}: no load was measured yet, so what follows counts it as none"));
        }
        if state
            .topology
            .stamps
            .get(stamp)
            .is_some_and(|facts| facts.autoscale_id.is_none() && facts.plan_id.is_none())
        {
            warned.push(format!(
                "{stamp} has no lever: it is not pre-scaled, and its neighbours' cordons wait for it"
            ));
        }
        let shares = shares_without(state, &BTreeSet::from([stamp.clone()]), policy);
        lines.extend(shares.iter().map(|(other, share)| without(stamp, other, share)));
        let short = shares.iter().filter(|(_, share)| !share.is_ready() && !share.can_become_ready(policy));
        warned.extend(short.map(|(other, share)| {
            format!(
                "without {stamp}, {other} cannot carry its {:.0} requests/s even grown to {} instances: {stamp} is evacuated in part or held",
                share.demand_rps, share.instances_possible
            )
        }));
    }
    (lines, warned)
}

/// What the listed settings are at, and whether raising them comes to anything.
fn throughput(state: &WorkloadState, policy: &Policy, lines: &mut Vec<String>, warned: &mut Vec<String>) {
    for lever in &policy.throughput {
        let (name, wanted) = (&lever.resource, lever.maximum);
        let Some(facts) = state.throughput.get(name) else {
            warned.push(format!("the throughput of {name} could not be read yet: it would not be raised"));
            continue;
        };
        lines.push(format!("the autoscale maximum of {name} is {} RU/s", facts.maximum));
        if let Some(instant) = facts.instant.filter(|instant| *instant < wanted) {
            warned.push(format!(
                "{name} may be raised to {wanted} RU/s by the policy, and {instant} are there at once: more would split partitions \
                 for hours, and is not asked for"
            ));
        }
        if facts.maximum >= wanted {
            warned.push(format!("{name} has {} RU/s already: it would not be raised", facts.maximum));
        }
    }
}

/// How soon a stamp is out, and whether its origin follows.
fn leaving(stamps: usize, policy: &Policy) -> String {
    let decided = |span: domain::policy::Span| words(span.get() + TIMERS);
    let remain = stamps.saturating_sub(1);
    let needed = usize::try_from(policy.latch.origins_remaining_min).unwrap_or(usize::MAX);
    let latch = if remain >= needed {
        format!("its origin is disabled as well after {}", policy.latch.after)
    } else {
        format!(
            "its origin stays enabled: {remain} other(s) would remain, latch.origins_remaining_min is {needed}"
        )
    };
    format!(
        "{stamps} stamp(s): a lost one is out within {} of its first symptom where two classes see it, within {} where one \
         does; {latch}",
        decided(policy.confirm.after),
        decided(policy.confirm.alone_after)
    )
}

fn without(stamp: &StampId, other: &StampId, share: &Share) -> String {
    let now = if share.is_ready() { "can now" } else { "cannot yet" };
    format!(
        "without {stamp}, {other} must carry {:.0} requests/s and {now}: {} instances are needed, {} are asked for",
        share.demand_rps, share.instances_needed, share.instances_asked
    )
}
