//! How long one judgement takes: decide, plan and lint, by the number of stamps.
//!
//! `cargo run --release -p tests --bin judge_bench` judges 100 workloads in four situations each, again and again, times
//! every call by itself and prints p50, p99 and the longest.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::decide::{GateRead, Situation};
use domain::facts::{CapacityFacts, Facts, LoadFacts, OriginFacts, StampFacts};
use domain::gate::{GATE_SCHEMA, GateDocument};
use domain::judge::judge;
use domain::state::{Cause, RampRun, Stage, StampCase, WorkloadState};
use domain::{
    EnabledState, EvidenceClass, FailureKind, GatePosition, Generation, InboxItem, ItemBody, ItemId, Measure,
    Policy, RegionName, Scope, Signal, StampId, Standing, Timestamp, Verdict, WorkloadId,
};

const WORKLOADS: usize = 100;
const ROUNDS: usize = 25;
const STAMPS: [usize; 4] = [3, 10, 30, 60];

/// What is the matter with the first stamp.
#[derive(Clone, Copy, Debug)]
enum Matter {
    Nothing,
    Suspect,
    Cordoned,
    Ramping,
}

fn main() {
    let policy = domain::policy::parse(cordon::drill::SHIPPED_POLICY).expect("the shipped policy is valid");
    let matters = [Matter::Nothing, Matter::Suspect, Matter::Cordoned, Matter::Ramping];
    println!("| stamps | judgements | p50 | p99 | longest | p50 per stamp |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for stamps in STAMPS {
        let situations: Vec<Situation> = (0..WORKLOADS)
            .flat_map(|workload| matters.map(|matter| situation(workload, stamps, matter, &policy)))
            .collect();
        let mut times = Vec::with_capacity(situations.len() * ROUNDS);
        for _ in 0..ROUNDS {
            for situation in &situations {
                let started = Instant::now();
                let judgement = judge(black_box(situation), black_box(&policy));
                times.push(started.elapsed());
                drop(black_box(judgement));
            }
        }
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let us = |time: Duration| format!("{:.0} us", time.as_secs_f64() * 1e6);
        let each = at(50).as_secs_f64() * 1e6 / f64::from(u32::try_from(stamps).unwrap_or(u32::MAX));
        println!(
            "| {stamps} | {} | {} | {} | {} | {each:.1} us |",
            times.len(),
            us(at(50)),
            us(at(99)),
            us(at(100))
        );
    }
}

fn situation(workload: usize, stamps: usize, matter: Matter, policy: &Policy) -> Situation {
    let now = Timestamp::from_secs(1_800_000_000);
    let mut state = WorkloadState::new(WorkloadId::new(format!("workload{workload}")), 1, now);
    let names: Vec<StampId> = (0..stamps).map(|index| StampId::new(format!("stamp{index:02}"))).collect();
    let mut items: Vec<InboxItem> = (0..30_u64)
        .map(|run| observed(&names, matter, now.before(Duration::from_secs(300 - run * 10)), run))
        .collect();
    items.retain(|item| item.event_at <= now);
    let mut gates: BTreeMap<StampId, GateRead> =
        names.iter().map(|name| (name.clone(), GateRead::Absent)).collect();
    let mut case = StampCase::new(now.before(Duration::from_secs(900)));
    case.decided_at = Some(now.before(Duration::from_secs(900)));
    case.cause = Some(Cause::HardLoss);
    let position = match matter {
        Matter::Nothing | Matter::Suspect => None,
        Matter::Cordoned => {
            case.stage = Stage::Cordoned;
            Some(GatePosition::Closed)
        }
        Matter::Ramping => {
            case.stage = Stage::Readmitting;
            case.ramp =
                Some(RampRun { slice: 1, since: now.before(Duration::from_secs(60)), emergency: false });
            Some(GatePosition::Slice(25))
        }
    };
    if let Some(position) = position {
        case.gate = position;
        state.cases.insert(names[0].clone(), case);
        gates.insert(names[0].clone(), GateRead::Is { document: document(&names[0], position, now) });
    }
    Situation::gather(state, vec![], &items, gates, policy, now)
}

fn document(stamp: &StampId, position: GatePosition, now: Timestamp) -> GateDocument {
    GateDocument {
        schema: GATE_SCHEMA,
        stamp: stamp.clone(),
        position,
        generation: Generation { epoch: 1, n: 1 },
        heartbeat_at: now,
        expires_at: now + Duration::from_secs(4 * 3_600),
        reopen_percents: vec![5, 25, 50],
        reopen_step_s: 60,
        reason: "benchmark".to_owned(),
    }
}

/// One run of the observers: every class speaks about every stamp.
fn observed(names: &[StampId], matter: Matter, at: Timestamp, run: u64) -> InboxItem {
    let mut facts = Facts { topology: Some(names.iter().map(topology).collect()), ..Facts::default() };
    let mut signals = Vec::new();
    for (index, name) in names.iter().enumerate() {
        facts.origins.insert(
            name.clone(),
            OriginFacts { read_at: at, enabled: EnabledState::Enabled, updating: false },
        );
        facts.load.insert(
            name.clone(),
            LoadFacts { observed_at: at, ready_instances: 4, requests_per_second: 300.0, saturation: 0.5 },
        );
        facts.capacity.insert(name.clone(), capacity(at));
        let bad = index == 0
            && match matter {
                Matter::Nothing | Matter::Ramping => false,
                Matter::Suspect => run > 26,
                Matter::Cordoned => true,
            };
        let peer = names[(index + 1) % names.len()].as_str();
        for (class, source) in [
            (EvidenceClass::Direct, "witness"),
            (EvidenceClass::Direct, peer),
            (EvidenceClass::Edge, "metrics"),
            (EvidenceClass::Traffic, "metrics"),
            (EvidenceClass::Data, "account"),
        ] {
            signals.push(signal(
                name,
                class,
                source,
                if bad { Verdict::Unhealthy } else { Verdict::Healthy },
                at,
            ));
        }
    }
    InboxItem {
        id: ItemId::new(format!("run-{run}")),
        event_at: at,
        received_at: at,
        body: ItemBody::Observed { signals, facts },
    }
}

fn topology(stamp: &StampId) -> StampFacts {
    StampFacts {
        stamp: stamp.clone(),
        region: RegionName::new(stamp.as_str()),
        origin_host: format!("{stamp}.example.org"),
        origin_id: format!("/origins/{stamp}"),
        autoscale_id: Some(format!("/settings/{stamp}")),
        plan_id: None,
        direct_url: format!("https://{stamp}.example.org"),
        state: None,
    }
}

fn capacity(at: Timestamp) -> CapacityFacts {
    CapacityFacts {
        read_at: at,
        instances: 4,
        minimum: 2,
        maximum: 20,
        our_floor: None,
        our_floor_until: None,
    }
}

fn signal(stamp: &StampId, class: EvidenceClass, source: &str, verdict: Verdict, at: Timestamp) -> Signal {
    let failed = if verdict == Verdict::Healthy { 0 } else { 20 };
    Signal {
        scope: Scope::Stamp(stamp.clone()),
        class,
        source: source.to_owned(),
        verdict,
        observed_at: at,
        standing: Standing::Sample,
        failure: (failed > 0).then_some(FailureKind::Unreachable),
        measure: (class == EvidenceClass::Traffic).then_some(Measure { total: 20, failed }),
        note: String::new(),
    }
}
