//! The same seed is the same run, whatever keeps the state; another seed is another.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use cordon::assemble::StoreKind;
use cordon::drill::DrillOptions;
use serde_json::Value;
use tests::drills::{self, Directory};

/// Long enough for the loss, the cordon, the pre-scaling and the answer to the latch.
const DURATION_S: u32 = 1800;

/// The report without what may differ, as text: the first line that differs is what a reader wants.
async fn report(change: impl FnOnce(&mut DrillOptions)) -> String {
    let mut scenario = drills::scenario("hard-loss");
    scenario.duration_s = DURATION_S;
    let mut options = drills::options(scenario);
    change(&mut options);
    let mut report: Value = serde_json::to_value(drills::run(&options).await.report).unwrap();
    report.as_object_mut().unwrap().remove("unstable").unwrap();
    serde_json::to_string_pretty(&report).unwrap()
}

fn equal(one: &str, other: &str) {
    let differing = one.lines().zip(other.lines()).find(|(left, right)| left != right);
    assert_eq!(differing, None);
    assert_eq!(one.len(), other.len());
}

#[tokio::test]
async fn a_seed_is_a_run_and_the_store_does_not_show() {
    let directory = Directory::new("determinism");
    let first = report(|_| {}).await;
    equal(&first, &report(|_| {}).await);
    let embedded = StoreKind::Embedded(directory.path().to_owned());
    equal(&first, &report(|options| options.store = embedded).await);
    assert!(first.contains("\"kind\": \"cordon\""), "something happened in it");
}

#[tokio::test]
async fn another_seed_is_another_run() {
    let (one, two) = (report(|_| {}).await, report(|options| options.seed = 2).await);
    let unseeded = |text: &str| text.replace("\"seed\": 2", "\"seed\": 1");
    assert_ne!(unseeded(&one), unseeded(&two));
}
