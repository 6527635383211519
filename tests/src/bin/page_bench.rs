//! How long the operator's pages take, and how large they are, for 50 stamps and 100 000 audit records in files; how long
//! it takes to walk the chain of those records and to find one flipped byte; and how many decisions a second are run again.
//!
//! `cargo run --release -p tests --bin page_bench -- [RECORDS] [DIR]`. Each record is a durable commit: on a slow disk name a
//! directory in memory, such as one below /dev/shm. Every five hundredth record is a real judgement of 50
//! stamps, the others are short ones, so that the file stays on one disk.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot go on ends")]

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use adapters::embedded::{EmbeddedLedger, examine};
use adapters::faulty::FaultSwitch;
use adapters::{CommitOutcome, Ledger};
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::edge::{HttpBody, HttpCall, Page, Role};
use cordon::page::OperatorPage;
use domain::audit::AuditRecord;
use domain::facts::{LoadFacts, OriginFacts, StampFacts};
use domain::state::{Cause, Stage, StampCase, WorkloadState};
use domain::{
    EnabledState, EvidenceClass, Facts, GatePosition, Generation, InboxItem, ItemBody, ItemId, OperationId,
    Policy, Scope, Signal, StampId, Standing, Timestamp, Transition, Verdict,
};

const STAMPS: usize = 50;
const ROUNDS: usize = 200;
const WORKLOAD: &str = "contoso-shoes";

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T19:00:00Z").unwrap()
}

fn policy() -> Policy {
    domain::policy::parse(include_str!("../../../policy.toml")).unwrap()
}

fn stamp(number: usize) -> StampId {
    StampId::new(format!("stamp-{number:02}"))
}

/// Fifty stamps; one in five is out, in its window, or suspect.
fn state() -> WorkloadState {
    let mut state = WorkloadState::new(WORKLOAD.into(), 1, now());
    state.operation = OperationId::new("bench");
    state.observed_at = Some(now());
    state.topology.read_at = Some(now());
    for number in 0..STAMPS {
        let name = stamp(number);
        let facts = StampFacts {
            stamp: name.clone(),
            region: name.as_str().into(),
            origin_host: format!("{name}.example"),
            origin_id: format!("/origins/{name}"),
            autoscale_id: None,
            plan_id: None,
            direct_url: format!("https://{name}.example"),
            state: None,
        };
        Arc::make_mut(&mut state.topology.stamps).insert(name.clone(), facts);
        let mut case = StampCase::new(now());
        case.demand_rps = 600.0;
        if number % 5 == 0 {
            case.stage = Stage::Cordoned;
            case.cause = Some(Cause::HardLoss);
            case.gate = GatePosition::Closed;
            case.decided_at = Some(now());
            case.first_symptom_at = Some(now());
        }
        state.cases.insert(name.clone(), case);
        let load =
            LoadFacts { observed_at: now(), ready_instances: 8, requests_per_second: 640.0, saturation: 0.5 };
        state.load.insert(name.clone(), load);
        let origin = OriginFacts { read_at: now(), enabled: EnabledState::Enabled, updating: false };
        state.origins.insert(name, origin);
    }
    state
}

/// What every class says of every stamp.
fn evidence() -> InboxItem {
    let signals = (0..STAMPS).flat_map(|number| {
        EvidenceClass::ALL.map(|class| Signal {
            scope: Scope::Stamp(stamp(number)),
            class,
            source: if class == EvidenceClass::Direct { "witness".into() } else { "alert".into() },
            verdict: if number % 5 == 0 { Verdict::Unhealthy } else { Verdict::Healthy },
            observed_at: now(),
            standing: Standing::Sample,
            failure: None,
            measure: None,
            note: "what an alert says in one line of text".into(),
        })
    });
    let body = ItemBody::Observed { signals: signals.collect(), facts: Facts::default() };
    InboxItem { id: ItemId::new("bench"), event_at: now(), received_at: now(), body }
}

/// A short record, as one in which little is to be said.
fn short(seq: u64, previous: &str, large: &AuditRecord) -> AuditRecord {
    AuditRecord {
        seq,
        previous: previous.to_owned(),
        generation: Generation { epoch: 1, n: seq },
        at: Timestamp::from_millis(now().as_millis() - 100_000_000 + i64::try_from(seq).unwrap() * 900),
        headline: format!("record {seq}: nothing to do"),
        decision: domain::canonical::JsonPart::of(&serde_json::json!({
            "cases": {"stamp-00": {"stage": if seq % 50 < 10 { "cordoned" } else { "serving" }, "gate": "open", "demand_rps": 1.0}},
            "rulings": {"stamp-00": {"action": {"action": "hold", "reason": "frozen"}, "next_at": null}},
            "freeze": null,
        })),
        situation: domain::canonical::JsonText::of(&serde_json::json!({"state": {"filler": "x".repeat(1_500)}, "notes": []})),
        ..large.clone()
    }
    .sealed()
}

async fn fill(data: &Path, records: u64) -> u64 {
    std::fs::create_dir_all(data).unwrap();
    let ledger = EmbeddedLedger::open(&data.join("ledger.redb")).unwrap();
    let policy = policy();
    let situation =
        domain::decide::Situation::gather(state(), vec![], &[evidence()], Default::default(), &policy, now());
    let judgement = domain::judge::judge(&situation, &policy);
    let made =
        domain::judge::transition(&situation, &judgement, vec![], None, OperationId::new("bench"), &policy);
    let large = made.audit.expect("the first judgement is news");
    let bare = AuditRecord {
        because: vec![],
        explanation: serde_json::Value::Null,
        steps: serde_json::Value::Null,
        findings: serde_json::Value::Null,
        ..large.clone()
    };
    // Each commit stores the state, which with 50 stamps is a hundred times a short record: only the last has all of it.
    let full = made.state;
    let bare_state = WorkloadState::new(WORKLOAD.into(), 1, now());
    let (mut bytes, mut previous) = (0u64, String::new());
    for seq in 1..=records {
        let record = if seq % 500 == 0 {
            AuditRecord {
                seq,
                previous: previous.clone(),
                generation: Generation { epoch: 1, n: seq },
                ..large.clone()
            }
            .sealed()
        } else {
            short(seq, &previous, &bare)
        };
        bytes += serde_json::to_vec(&record).unwrap().len() as u64;
        let mut state = if seq == records { full.clone() } else { bare_state.clone() };
        let parent = (seq > 1).then_some(Generation { epoch: 1, n: seq - 1 });
        state.generation = Generation { epoch: 1, n: seq };
        state.operation = OperationId::new(format!("bench/{seq}"));
        state.audit_seq = seq;
        state.audit_head.clone_from(&record.hash);
        previous.clone_from(&record.hash);
        let transition = Transition {
            parent,
            state,
            steps: vec![],
            forgotten: vec![],
            audit: Some(record),
            consumed: vec![],
        };
        assert_eq!(ledger.commit(&transition).await.unwrap(), CommitOutcome::Committed);
        if seq % 10_000 == 0 {
            eprintln!("{seq} records");
        }
    }
    bytes
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let records: u64 = arguments.next().map_or(100_000, |text| text.parse().unwrap());
    let data: PathBuf =
        arguments.next().map_or_else(|| std::env::temp_dir().join("cordon-page-bench"), PathBuf::from);
    if !data.join("ledger.redb").exists() {
        let bytes = fill(&data, records).await;
        eprintln!("{records} records, {:.0} MB as JSON", bytes as f64 / 1e6);
    }
    chain(&data);
    flipped(&data, records);
    rerun(&data).await;
    pages(&data).await;
}

fn chain(data: &Path) {
    let begun = Instant::now();
    let walk = examine(&data.join("ledger.redb"), &WORKLOAD.into()).unwrap().walk;
    let seconds = begun.elapsed().as_secs_f64();
    assert!(walk.broken.is_empty(), "{:?}", walk.broken);
    println!(
        "chain: {} records, {:.0} MB, opened and walked in {seconds:.2} s ({:.0} records/s)",
        walk.records,
        walk.bytes as f64 / 1e6,
        walk.records as f64 / seconds
    );
}

/// Flips one byte of one record in a copy of the file, where it lies, and looks for it.
fn flipped(data: &Path, records: u64) {
    let copy = data.join("flipped.redb");
    for seq in [1, records / 3, records] {
        std::fs::copy(data.join("ledger.redb"), &copy).unwrap();
        // A record's id stands nowhere but in the record; pages that are no longer used may hold it too.
        let wanted = format!("\"id\":\"{seq:010}-");
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&copy).unwrap();
        let found = places(&mut file, wanted.as_bytes());
        assert!(!found.is_empty(), "record {seq} is in the file");
        for place in &found {
            // The last digit of its number: still text, and still JSON.
            file.seek(SeekFrom::Start(place + wanted.len() as u64 - 2)).unwrap();
            file.write_all(b"x").unwrap();
        }
        drop(file);
        let begun = Instant::now();
        let walk = examine(&copy, &WORKLOAD.into()).unwrap().walk;
        let seconds = begun.elapsed().as_secs_f64();
        let named: Vec<u64> = walk.broken.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(named, [seq], "{:?}", walk.broken);
        println!("one byte flipped in record {seq}: opened, walked and named in {seconds:.2} s");
    }
    std::fs::copy(data.join("ledger.redb"), &copy).unwrap();
    flipped_key(&copy, records / 3);
    std::fs::remove_file(&copy).unwrap();
}

/// Flips the highest byte of a record's key in each place of the file that holds it, one at a time: pages in use and pages
/// that no longer are.
fn flipped_key(file: &Path, seq: u64) {
    let key = [WORKLOAD.as_bytes(), &seq.to_le_bytes()].concat();
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let write = |place: u64, byte: u8| {
        let mut file = open();
        file.seek(SeekFrom::Start(place + key.len() as u64 - 1)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    let mut slowest: Option<f64> = None;
    for place in places(&mut open(), &key) {
        write(place, 0x40);
        let begun = Instant::now();
        let walk = examine(file, &WORKLOAD.into()).unwrap().walk;
        let seconds = begun.elapsed().as_secs_f64();
        write(place, 0);
        if !walk.broken.is_empty() {
            assert!(walk.broken.iter().any(|(named, _)| *named == seq), "{:?}", walk.broken);
            slowest = Some(slowest.map_or(seconds, |slowest| slowest.max(seconds)));
        }
    }
    let seconds = slowest.expect("the key in use is among them");
    println!(
        "one byte flipped in the key of record {seq}: opened, walked and named in {seconds:.2} s at most"
    );
}

/// Where a text stands in a file.
fn places(file: &mut std::fs::File, wanted: &[u8]) -> Vec<u64> {
    const CHUNK: usize = 16 * 1024 * 1024;
    let mut found = Vec::new();
    let (mut buffer, mut before) = (Vec::with_capacity(CHUNK * 2), 0u64);
    loop {
        let had = buffer.len();
        let read = file.take(CHUNK as u64).read_to_end(&mut buffer).unwrap();
        if read == 0 {
            return found;
        }
        let inside = buffer.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
        found.extend(inside.map(|(at, _)| before + at as u64));
        // A text that lies across two chunks is found with the second.
        let keep = (had + read).min(wanted.len() - 1);
        before += (had + read - keep) as u64;
        buffer.drain(..had + read - keep);
    }
}

/// Runs the decisions of records of 50 stamps again, as `cordon audit verify` does.
async fn rerun(data: &Path) {
    let ledger = EmbeddedLedger::open(&data.join("ledger.redb")).unwrap();
    let page = ledger.audit(&WORKLOAD.into(), 499, 1).await.unwrap();
    let (record, policy) = (&page[0], policy());
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        domain::judge::replay(record, &policy).unwrap();
    }
    let rate = ROUNDS as f64 / begun.elapsed().as_secs_f64();
    println!("decisions of 50 stamps run again and explained: {rate:.0} records/s on one core");
}

async fn pages(data: &Path) {
    let settings = ControllerSettings {
        policies: vec![policy()],
        store: StoreKind::Embedded(data.to_owned()),
        clock: ClockKind::Invocation,
        arm_base: None,
        arm_loopback: Some("http://127.0.0.1:9".into()),
        arm_token: Some("t".into()),
        identity: Default::default(),
        stamp_key: "k".into(),
        instance: "bench".into(),
        ledger_faults: FaultSwitch::new(),
        gate_faults: FaultSwitch::new(),
    };
    let app = assemble::controller(&settings, None).unwrap();
    app.invocation_clock.as_ref().unwrap().set(now());
    let Role::Controller(served) = &app.role else { panic!("a controller was assembled") };
    let page = Arc::new(OperatorPage::reading_only());
    println!("\n| page | p50 | p99 | size |\n| --- | --- | --- | --- |");
    for path in [
        "status",
        "stamp/stamp-05",
        "audit",
        "audit?rule=held.frozen",
        "audit?stamp=stamp-00&decision=hold&before=50000",
        "audit?until=2026-11-22T10:00:00Z",
        "audit/99999",
        "audit/500",
        "incidents",
        "incident/50",
        "incident/50/report",
        "v1/status",
        "v1/audit",
    ] {
        let (at, query) = path.split_once('?').unwrap_or((path, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let call = HttpCall {
            method: "GET".into(),
            path: format!("/api/operator/{at}"),
            query: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..HttpCall::default()
        };
        let mut millis = Vec::new();
        let mut size = 0;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let reply = page.respond(&served.controllers, &call).await;
            millis.push(begun.elapsed().as_secs_f64() * 1e3);
            assert!(matches!(reply.status, 200 | 404), "{path}: {}", reply.status);
            size = match reply.body {
                HttpBody::Text { text, .. } => text.len(),
                HttpBody::Json(value) => value.to_string().len(),
                HttpBody::Empty => 0,
            };
        }
        millis.sort_by(f64::total_cmp);
        println!(
            "| {path} | {:.1} ms | {:.1} ms | {} kB |",
            millis[ROUNDS / 2],
            millis[ROUNDS * 99 / 100],
            size / 1_000
        );
    }
}
