//! Notifications: at least once, in order, each target for itself, over real HTTP; and the stores of their places.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use adapters::cosmos::CosmosPlaces;
use adapters::cosmos::emulator::CosmosEmulator;
use adapters::embedded::EmbeddedPlaces;
use adapters::memory::MemoryPlaces;
use adapters::{AuditStore, Clock, ManualClock, PlaceStore, TargetPlace};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use cordon::controller::Controller;
use cordon::notify::Secrets;
use domain::audit::AuditRecord;
use domain::policy::{NotifyAuth, NotifyTarget};
use domain::{Generation, Timestamp, WorkloadId};
use serde_json::{Value, json};
use tests::conformance::fixtures::TempDir;
use tests::fakes::{Audit, Gates, InboxLedger, azure_out_of_reach, notifier};
use tests::fixtures;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a target was sent, and what it answered.
struct Got {
    target: String,
    seq: u64,
    headers: HeaderMap,
    answered: u16,
}

/// Two targets on one port; what the second one answers can be set.
#[derive(Clone)]
struct Doubles {
    got: UnboundedSender<Got>,
    moody: Arc<AtomicU16>,
}

async fn receive(
    State(doubles): State<Doubles>,
    Path(target): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let event: Value = serde_json::from_str(&body).unwrap();
    let answered = if target == "moody" { doubles.moody.load(Ordering::SeqCst) } else { 200 };
    let seq = event["data"]["seq"].as_u64().unwrap();
    let _ = doubles.got.send(Got { target, seq, headers, answered });
    StatusCode::from_u16(answered).unwrap()
}

struct House {
    controller: Arc<Controller>,
    audit: Arc<Audit>,
    clock: Arc<ManualClock>,
    got: UnboundedReceiver<Got>,
    moody: Arc<AtomicU16>,
}

impl House {
    /// With two targets, of which the second answers 503.
    async fn new(change: impl FnOnce(&mut Vec<NotifyTarget>)) -> Self {
        let (sender, got) = unbounded_channel();
        let moody = Arc::new(AtomicU16::new(503));
        let doubles = Doubles { got: sender, moody: Arc::clone(&moody) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let route = axum::routing::post(receive);
        let router = axum::Router::new().route("/{target}", route).with_state(doubles);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut policy = fixtures::policy();
        policy.notify = ["steady", "moody"].map(|name| target(name, &format!("{base}/{name}"))).into();
        change(&mut policy.notify);
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_773_135_600)));
        let audit = Arc::new(Audit::default());
        let controller = Arc::new(Controller {
            policy,
            clock: clock.clone(),
            ledger: Arc::new(InboxLedger::new(fixtures::topology())),
            gates: Arc::new(Gates::default()),
            audit: audit.clone(),
            azure: azure_out_of_reach(),
            cadence: cordon::controller::Cadence::default(),
            gates_read: cordon::controller::GatesRead::default(),
            spool: None,
            epoch: Arc::new(adapters::memory::MemoryEpoch::new()),
            instance: "test".into(),
        });
        Self { controller, audit, clock, got, moody }
    }

    async fn record(&self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            let _ = self.audit.append(&record(seq)).await.unwrap();
        }
    }

    /// The records that a target took, up to this one, as they came; what others got on the way is kept apart.
    async fn taken_by(&mut self, target: &str, last: u64, others: &mut Vec<Got>) -> Vec<u64> {
        let mut taken = Vec::new();
        while taken.last() != Some(&last) {
            let got = self.got.recv().await.unwrap();
            if got.target == target && got.answered == 200 {
                taken.push(got.seq);
            } else {
                others.push(got);
            }
        }
        taken
    }
}

fn target(name: &str, url: &str) -> NotifyTarget {
    NotifyTarget { name: name.into(), url: url.into(), format: None, page: None, auth: None, key: None }
}

/// One of a chain: what does not follow from the record before is told as that, whatever else it is.
fn record(seq: u64) -> AuditRecord {
    AuditRecord {
        id: String::new(),
        schema: 1,
        workload: WorkloadId::new("contoso-shoes"),
        seq,
        previous: if seq > 1 { record(seq - 1).hash } else { String::new() },
        generation: Generation { epoch: 1, n: seq },
        at: Timestamp::from_secs(1_773_135_600),
        headline: "eastus2 is cordoned".into(),
        because: vec!["two classes agree".into()],
        decision: domain::canonical::JsonPart::of(&json!({"kind": "cordon"})),
        findings: json!([]),
        steps: json!([]),
        // The fifth is only observed, and calls nobody.
        explanation: if seq == 5 { json!({ "notices": ["observed"] }) } else { Value::Null },
        consumed: vec![],
        situation: domain::canonical::JsonText::of(&json!({"large": true})),
        policy_hash: String::new(),
        hash: String::new(),
    }
    .sealed()
}

#[tokio::test]
async fn a_target_that_was_down_gets_everything_in_order_and_once_and_delays_nobody() {
    let mut house = House::new(|_| {}).await;
    let notifier = notifier(Arc::new(MemoryPlaces::default()));
    house.record(1..=8).await;
    // Only news from the second on: what was before a target had a place is history.
    assert_eq!(notifier.wake(&house.controller, Some(2)), 2);
    let mut others = Vec::new();
    assert_eq!(house.taken_by("steady", 8, &mut others).await, [2, 3, 4, 6, 7, 8]);
    while !others.iter().any(|got| got.target == "moody") {
        others.push(house.got.recv().await.unwrap());
    }
    assert!(
        others.iter().all(|got| got.target == "moody" && got.seq == 2),
        "it is asked for its first again"
    );
    house.moody.store(200, Ordering::SeqCst);
    assert_eq!(house.taken_by("moody", 8, &mut others).await, [2, 3, 4, 6, 7, 8]);
    house.record([9]).await;
    notifier.wake(&house.controller, Some(9));
    others.clear();
    assert_eq!(house.taken_by("moody", 9, &mut others).await, [9], "nothing comes twice");
    assert!(others.iter().all(|got| got.target == "steady" && got.seq == 9));
}

#[tokio::test]
async fn the_next_process_goes_on_where_the_last_one_stopped() {
    let mut house = House::new(|targets| targets.truncate(1)).await;
    let directory = TempDir::new();
    house.record(1..=3).await;
    let mut others = Vec::new();
    let places = || Arc::new(EmbeddedPlaces::open(directory.path()).unwrap());
    {
        let first = notifier(places());
        first.wake(&house.controller, Some(1));
        assert_eq!(house.taken_by("steady", 3, &mut others).await, [1, 2, 3]);
    }
    house.record([4]).await;
    // Nobody hands it a record: that the process is there is enough.
    let second = notifier(places());
    second.wake(&house.controller, None);
    assert_eq!(house.taken_by("steady", 4, &mut others).await, [4]);
}

#[tokio::test]
async fn a_process_that_died_while_telling_is_followed_after_its_claim() {
    let mut house = House::new(|targets| targets.truncate(1)).await;
    house.record(1..=3).await;
    let places = Arc::new(MemoryPlaces::default());
    let workload = house.controller.policy.workload.name.clone();
    let until = house.clock.now() + Duration::from_secs(60);
    let dead = TargetPlace { after: 1, owner: "somebody else".into(), until };
    assert!(places.replace(&workload, "steady", None, &dead).await.unwrap());
    let notifier = notifier(places.clone());
    notifier.wake(&house.controller, Some(1));
    tokio::task::yield_now().await;
    assert!(house.got.try_recv().is_err(), "it is somebody else's");
    house.clock.set(until);
    // The second may have been posted before the other died: it comes again rather than never.
    assert_eq!(house.taken_by("steady", 3, &mut Vec::new()).await, [2, 3]);
}

#[tokio::test]
async fn event_grid_is_shown_a_key_or_a_token_and_a_chat_nothing() {
    let mut house = House::new(|targets| {
        let base = targets[0].url.trim_end_matches("steady").to_owned();
        let with = |name: &str, auth, key: Option<&str>| NotifyTarget {
            auth: Some(auth),
            key: key.map(str::to_owned),
            ..target(name, &format!("{base}{name}"))
        };
        targets.truncate(1);
        targets.push(with("by-key", NotifyAuth::EventGridKey, Some("env:TOPIC_KEY")));
        targets.push(with("by-identity", NotifyAuth::Entra, None));
    })
    .await;
    house.record([1]).await;
    let notifier = notifier(Arc::new(MemoryPlaces::default()));
    notifier.wake(&house.controller, Some(1));
    for _ in 0..3 {
        let got = house.got.recv().await.unwrap();
        let header = |name: &str| got.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let (key, token) = match got.target.as_str() {
            "by-key" => (Some("the key".to_owned()), None),
            "by-identity" => (None, Some("Bearer a token".to_owned())),
            _ => (None, None),
        };
        assert_eq!((header("aeg-sas-key"), header("authorization")), (key, token), "{}", got.target);
        assert_eq!(header("content-type").unwrap(), "application/cloudevents+json; charset=utf-8");
    }
}

#[test]
fn what_the_policy_only_names_is_not_shown() {
    let shown =
        format!("{:?}", Secrets::new([("HOOK".to_owned(), "https://hooks.example/secret".to_owned())]));
    assert!(shown.contains("HOOK") && !shown.contains("hooks.example"), "{shown}");
}

#[tokio::test]
async fn every_store_of_places_replaces_only_what_is_as_expected() {
    let directory = TempDir::new();
    let emulator = CosmosEmulator::new(Default::default()).unwrap();
    let stores: [(&str, Box<dyn PlaceStore>); 3] = [
        ("memory", Box::new(MemoryPlaces::default())),
        ("files", Box::new(EmbeddedPlaces::open(directory.path()).unwrap())),
        ("Cosmos DB", Box::new(CosmosPlaces::new(emulator.account()))),
    ];
    let (ours, theirs) = (WorkloadId::new("ours"), WorkloadId::new("theirs"));
    let place = |after| TargetPlace { after, owner: "one".into(), until: Timestamp::from_secs(60) };
    for (name, store) in stores {
        let target = "Ops / #incidents (EMEA)";
        assert_eq!(store.read(&ours, target).await.unwrap(), None, "{name}");
        assert!(!store.replace(&ours, target, Some(&place(1)), &place(2)).await.unwrap(), "{name}");
        assert!(store.replace(&ours, target, None, &place(1)).await.unwrap(), "{name}");
        assert!(!store.replace(&ours, target, None, &place(2)).await.unwrap(), "{name}");
        assert!(store.replace(&ours, target, Some(&place(1)), &place(2)).await.unwrap(), "{name}");
        assert_eq!(store.read(&ours, target).await.unwrap(), Some(place(2)), "{name}");
        assert_eq!(store.read(&theirs, target).await.unwrap(), None, "{name}");
        assert_eq!(store.read(&ours, "another").await.unwrap(), None, "{name}");
    }
}
