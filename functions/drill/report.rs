//! The figures of a drill: the times that matter, and what clients felt, with Cordon and without.

use std::collections::BTreeMap;
use std::ops::Range;

use domain::audit::{AuditRecord, verify_chain};
use domain::judge::replay;
use domain::{Policy, StampId};
use serde::Serialize;
use simulator::{Measurements, stated_lags};

use super::{DrillOptions, Moment, Played};

/// Effective capacity may differ between the two runs by draws of the same seed at different loads; less than this
/// share is not a difference.
const CAPACITY_NOISE: f64 = 0.01;
/// The first minutes after a loss, in seconds: what the report calls "at the loss".
const LOSS_PHASE_S: u32 = 900;
/// After a return the report looks this much further, in seconds.
const RETURN_TAIL_S: u32 = 600;
/// Edge locations with this share of the traffic must have a change for it to count as effective.
const EFFECTIVE_SHARE: f64 = 0.99;

/// The whole report. Everything but `unstable` is the same for the same seed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// The seed.
    pub seed: u64,
    /// Simulated seconds.
    pub duration_s: u32,
    /// The stamp that the times are about, if one was taken out or failed.
    pub subject: Option<StampId>,
    /// The times that matter.
    pub times: Times,
    /// What clients felt, by phase.
    pub clients: BTreeMap<String, Phase>,
    /// Seconds in which effective capacity was below what it would have been without Cordon, and the most it was short.
    pub capacity_below_without: CapacityBelow,
    /// Origin changes sent, and how often each was read back before and after.
    pub origin_patches: Vec<String>,
    /// Origin reads.
    pub origin_reads: usize,
    /// Audit records, and whether chain and decisions hold.
    pub audit: AuditFigures,
    /// What happened.
    pub timeline: Vec<Moment>,
    /// The stamps at the end.
    pub end: BTreeMap<StampId, End>,
    /// Functions invoked.
    pub invocations: u64,
    /// The lags of the simulated world, each with its source.
    pub lags: Vec<Lag>,
    /// Fields that differ from run to run.
    pub unstable: BTreeMap<String, f64>,
}

/// Times in seconds since the drill began; none for what did not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    /// The first request that failed of the scenario's first fault.
    pub first_symptom_s: Option<u32>,
    /// Edge locations with 99 % of the traffic had dropped the stamp by their own probes.
    pub front_door_drop_s: Option<u32>,
    /// Cordon first held something against the stamp.
    pub first_signal_s: Option<u32>,
    /// The cordon was decided.
    pub decision_s: Option<u32>,
    /// The survivors' capacity was asked for, in which commit.
    pub prescale_s: Option<u32>,
    /// The pre-scale request was in the commit of the cordon.
    pub prescale_in_cordon_commit: bool,
    /// The gate was written and read back.
    pub gate_written_s: Option<u32>,
    /// Edge locations with 99 % of the traffic sent nothing any more, after the decision.
    pub gate_effective_s: Option<u32>,
    /// The survivors had all instances that were asked for.
    pub capacity_ready_s: Option<u32>,
    /// The origin's change to `Disabled` was read back.
    pub origin_disabled_s: Option<u32>,
    /// It had reached edge locations with 99 % of the traffic.
    pub origin_disabled_effective_s: Option<u32>,
    /// The stamp was healthy again by our own probes.
    pub healthy_again_s: Option<u32>,
    /// The origin's change to `Enabled` was read back.
    pub origin_enabled_s: Option<u32>,
    /// Each slice that opened: percent and time.
    pub slices_s: Vec<(u8, u32)>,
    /// Each step back: time and the percent that was open.
    pub step_backs_s: Vec<(u8, u32)>,
    /// It served again.
    pub fully_serving_s: Option<u32>,
}

/// What clients felt in one phase.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Seconds since the drill began: from.
    pub from_s: u32,
    /// Until.
    pub until_s: u32,
    /// With Cordon.
    pub with_cordon: BTreeMap<String, ClientFigures>,
    /// Without.
    pub without_cordon: BTreeMap<String, ClientFigures>,
}

/// One group of clients in one phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientFigures {
    /// Requests made.
    pub requests: f64,
    /// Of these, failed.
    pub failed: f64,
    /// The latency that 99 % of the answered requests stayed below, in milliseconds.
    pub p99_ms: Option<f64>,
}

/// How often and how far capacity fell below what it would have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CapacityBelow {
    /// Seconds.
    pub seconds: u32,
    /// Requests per second, at the worst.
    pub worst_rps: f64,
}

/// The audit in figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFigures {
    /// Records.
    pub records: usize,
    /// The chain holds.
    pub chain_holds: bool,
    /// Records whose decision came out the same when run again.
    pub replayed: usize,
}

/// A stamp at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// Its stage.
    pub stage: String,
    /// Its gate, in percent.
    pub gate_percent: u8,
    /// Its origin, as last read.
    pub origin: Option<String>,
    /// The floor that is still ours.
    pub floor: Option<u32>,
}

/// One lag of the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// What.
    pub name: String,
    /// How long.
    pub value: String,
    /// Where the figure is from.
    pub source: String,
}

/// Draws up the report.
pub fn report(options: &DrillOptions, played: &Played, without: &Measurements) -> Report {
    let subject = subject(options, played);
    let times = subject.as_ref().map(|stamp| times(played, stamp)).unwrap_or_default();
    let patches = played
        .exchanges
        .iter()
        .filter(|exchange| exchange.method == "PATCH" && exchange.path.to_lowercase().contains("/origins/"));
    let origin_reads = played
        .exchanges
        .iter()
        .filter(|e| e.method == "GET" && e.path.to_lowercase().contains("/origins/"))
        .count();
    Report {
        scenario: options.scenario.name.clone(),
        title: options.scenario.title.clone(),
        seed: options.seed,
        duration_s: options.scenario.duration_s,
        clients: phases(&played.measurements, without, &times, options),
        capacity_below_without: capacity_below(&played.measurements, without),
        origin_patches: patches
            .map(|exchange| {
                format!(
                    "{} s: {} {}",
                    (exchange.at - super::START).as_secs(),
                    exchange.status,
                    last(&exchange.path)
                )
            })
            .collect(),
        origin_reads,
        audit: audit_figures(played, options),
        timeline: played.moments.clone(),
        end: ends(played),
        invocations: played.invocations,
        lags: stated_lags()
            .into_iter()
            .map(|lag| Lag {
                name: lag.name.to_string(),
                value: lag.value.to_string(),
                source: lag.source.to_string(),
            })
            .collect(),
        unstable: BTreeMap::new(),
        subject,
        times,
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The stamp that was cordoned first, else the one that the first fault hit.
fn subject(options: &DrillOptions, played: &Played) -> Option<StampId> {
    let cordoned =
        played.moments.iter().find(|moment| moment.kind == "cordon").and_then(|moment| moment.stamp.clone());
    cordoned.or_else(|| options.scenario.faults.iter().find_map(|fault| fault.stamp.clone()))
}

fn times(played: &Played, stamp: &StampId) -> Times {
    let world = &played.measurements;
    let of = |kind: &str| {
        played.moments.iter().find(|m| m.kind == kind && m.stamp.as_ref() == Some(stamp)).map(|m| m.t)
    };
    let step = |text: String| {
        played
            .moments
            .iter()
            .find(|m| m.kind == "step" && m.text.starts_with(&text) && m.text.contains("done"))
            .map(|m| m.t)
    };
    let fault = world.faults().iter().find(|fault| fault.stamp.as_ref() == Some(stamp));
    let first_symptom_s = fault.and_then(|fault| world.first_symptom(fault));
    let decision_s = of("cordon");
    let closed_from = of("close_gate").or_else(|| of("close_by_override")).or(decision_s);
    let raises = |record: &AuditRecord| {
        let raises_floor = |step: &serde_json::Value| step["step"]["effect"]["effect"] == "raise_floor";
        record.steps.as_array().is_some_and(|steps| steps.iter().any(raises_floor))
    };
    let prescale = played.audit.iter().find(|record| raises(record));
    let cordon = played.moments.iter().find(|m| m.kind == "cordon" && m.stamp.as_ref() == Some(stamp));
    let own_commit = cordon.and_then(|moment| played.audit.iter().find(|record| record.seq == moment.seq));
    let latch_s = of("latch");
    let enable_s = of("enable_origin");
    Times {
        first_symptom_s,
        front_door_drop_s: first_symptom_s.and_then(|from| world.dropped_at(stamp, from)),
        first_signal_s: of("suspect").or(decision_s),
        decision_s,
        prescale_s: prescale
            .map(|record| u32::try_from((record.at - super::START).as_secs()).unwrap_or(u32::MAX)),
        prescale_in_cordon_commit: own_commit.is_some_and(raises),
        gate_written_s: step(format!("close the gate of {stamp}")),
        gate_effective_s: closed_from.and_then(|from| world.dropped_at(stamp, from)),
        capacity_ready_s: decision_s.and_then(|from| capacity_ready(played, stamp, from)),
        origin_disabled_s: step(format!("disable the origin of {stamp}")),
        origin_disabled_effective_s: latch_s
            .and_then(|from| origin_reaches(played, stamp, from, |share| share <= 1.0 - EFFECTIVE_SHARE)),
        healthy_again_s: of("start_window"),
        origin_enabled_s: enable_s.and_then(|_| step(format!("enable the origin of {stamp}"))),
        slices_s: slices(played, stamp),
        step_backs_s: step_backs(played, stamp),
        fully_serving_s: of("serve"),
    }
}

fn origin_reaches(played: &Played, stamp: &StampId, from: u32, enough: impl Fn(f64) -> bool) -> Option<u32> {
    played
        .origin_share
        .iter()
        .find(|(t, who, share)| *t >= from && who == stamp && enough(*share))
        .map(|(t, _, _)| *t)
}

/// The survivors have every instance that the floors in force ask for.
fn capacity_ready(played: &Played, out: &StampId, from: u32) -> Option<u32> {
    let world = &played.measurements;
    let floors: BTreeMap<StampId, u32> = played
        .audit
        .iter()
        .filter(|record| record.at.since(super::START).as_secs() >= u64::from(from))
        .take(1)
        .flat_map(|record| record.decision["cases"].as_object().cloned().unwrap_or_default())
        .filter_map(|(stamp, case)| Some((StampId::new(stamp), u32::try_from(case["floor"].as_u64()?).ok()?)))
        .filter(|(stamp, _)| stamp != out)
        .collect();
    (from..world.seconds()).find(|t| {
        floors
            .iter()
            .all(|(stamp, floor)| world.stamp(stamp, *t).is_some_and(|second| second.ready >= *floor))
    })
}

fn percent_in(text: &str) -> u8 {
    text.split(" %").next().and_then(|head| head.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

fn slices(played: &Played, stamp: &StampId) -> Vec<(u8, u32)> {
    let opened = played
        .moments
        .iter()
        .filter(|m| (m.kind == "open_slice" || m.kind == "return_early") && m.stamp.as_ref() == Some(stamp));
    opened.map(|moment| (percent_in(&moment.text), moment.t)).collect()
}

fn step_backs(played: &Played, stamp: &StampId) -> Vec<(u8, u32)> {
    let open_at = |t: u32| {
        slices(played, stamp).into_iter().rev().find(|(_, at)| *at <= t).map_or(0, |(percent, _)| percent)
    };
    let backs = played.moments.iter().filter(|m| m.kind == "step_back" && m.stamp.as_ref() == Some(stamp));
    backs.map(|moment| (open_at(moment.t), moment.t)).collect()
}

fn phases(
    with: &Measurements,
    without: &Measurements,
    times: &Times,
    options: &DrillOptions,
) -> BTreeMap<String, Phase> {
    let end = options.scenario.duration_s;
    let mut spans: Vec<(&str, Range<u32>)> = vec![("whole", 0..end)];
    if let Some(symptom) = times.first_symptom_s {
        spans.push(("loss", symptom..(symptom + LOSS_PHASE_S).min(end)));
        let back = times.slices_s.first().map_or(end, |(_, at)| *at);
        spans.push(("outage", symptom..back));
    }
    // The last ramp is the return that succeeded.
    let last_first_slice = times
        .slices_s
        .iter()
        .rev()
        .find(|(percent, _)| Some(*percent) == times.slices_s.first().map(|(p, _)| *p));
    if let Some(((_, from), until)) = last_first_slice.zip(times.fully_serving_s) {
        spans.push(("return", *from..(until + RETURN_TAIL_S).min(end)));
    }
    spans
        .into_iter()
        .map(|(name, span)| {
            let phase = Phase {
                from_s: span.start,
                until_s: span.end,
                with_cordon: figures(with, &span),
                without_cordon: figures(without, &span),
            };
            (name.to_owned(), phase)
        })
        .collect()
}

fn figures(world: &Measurements, span: &Range<u32>) -> BTreeMap<String, ClientFigures> {
    let mut all = BTreeMap::new();
    all.insert(
        "all clients".to_owned(),
        ClientFigures {
            requests: world.total(span.clone()).round(),
            failed: world.failed(span.clone()).round(),
            p99_ms: world.percentile_ms(None, span.clone(), 0.99).map(f64::round),
        },
    );
    for stamp in &world.stamps {
        let figures = ClientFigures {
            requests: world.total_of(stamp, span.clone()).round(),
            failed: world.failed_of(stamp, span.clone()).round(),
            p99_ms: world.p99_ms(stamp, span.clone()).map(f64::round),
        };
        all.insert(format!("native to {stamp}"), figures);
    }
    all
}

/// Only what is useful counts: capacity beyond the demand, in either run, serves nobody.
fn capacity_below(with: &Measurements, without: &Measurements) -> CapacityBelow {
    let mut below = CapacityBelow::default();
    for t in 0..with.seconds().min(without.seconds()) {
        let demand = with.total(t..t + 1).max(without.total(t..t + 1));
        let useful = |world: &Measurements| world.effective_capacity(t).min(demand * domain::lint::S2_MARGIN);
        let short = useful(without) - useful(with);
        if short > demand * CAPACITY_NOISE {
            below.seconds += 1;
            below.worst_rps = below.worst_rps.max(short.round());
        }
    }
    below
}

fn audit_figures(played: &Played, options: &DrillOptions) -> AuditFigures {
    let policy = policy_of(played, options);
    AuditFigures {
        records: played.audit.len(),
        chain_holds: verify_chain(&played.audit, None).is_ok(),
        replayed: played.audit.iter().filter(|record| replay(record, &policy).is_ok()).count(),
    }
}

fn policy_of(played: &Played, options: &DrillOptions) -> Policy {
    let ids = played.ids.clone();
    super::with_ids_of(options, &ids)
}

fn ends(played: &Played) -> BTreeMap<StampId, End> {
    let state = &played.state;
    let end = |(stamp, case): (&StampId, &domain::state::StampCase)| {
        let origin = state.origins.get(stamp).map(|origin| format!("{:?}", origin.enabled));
        let stage = domain::explain::stage(case.stage).to_owned();
        (stamp.clone(), End { stage, gate_percent: case.gate.percent(), origin, floor: case.floor_recorded })
    };
    state.cases.iter().map(end).collect()
}
