//! Change feed of the audit store: tells the world, one message per audit record and target.
//!
//! The feed only wakes the tellers. Each target has one of its own, with its own place in the audit, which outlives the
//! process: at least once, in order for each workload, and a dead target delays nobody else and no decision. What is told is
//! read from the audit store, so that a wake-up that is lost, doubled or out of order changes nothing.

mod chain;
mod delivery;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adapters::PlaceStore;
use adapters::azure::credential::SharedCredential;
use domain::WorkloadId;
use domain::audit::AuditRecord;
use domain::notice::{self, Notice};
use domain::policy::NotifyTarget;
use tokio::sync::Notify;

use crate::controller::{Controller, Controllers};
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};
use crate::publish_audit::audit_record;
use delivery::{Teller, Turn};

/// Addresses and keys of targets that the policy names by a setting (`env:NAME`). `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// The values by the names of their settings.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// What a value of the policy stands for, or why nothing.
    fn value<'a>(&'a self, written: &'a str) -> Result<&'a str, String> {
        let Some(setting) = NotifyTarget::setting(written) else { return Ok(written) };
        let value = self.0.get(setting).map(String::as_str);
        value.ok_or_else(|| format!("{setting} is not set in the environment of this process"))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How long a target that did not take an event is left alone.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After the first failure; it doubles with each.
    pub first: Duration,
    /// At the most.
    pub longest: Duration,
}

impl Patience {
    /// As the host repeats a failed invocation: 2 s to 1 min.
    pub const USUAL: Self = Self { first: Duration::from_secs(2), longest: Duration::from_secs(60) };

    fn after(self, failures: u32) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

/// What tellers need of the process.
#[derive(Clone)]
pub struct Means {
    /// The HTTP client; it follows no redirects.
    pub http: reqwest::Client,
    /// Where the targets' places are kept.
    pub places: Arc<dyn PlaceStore>,
    /// For targets that want a token of ours.
    pub credential: Option<SharedCredential>,
    /// Addresses and keys that the policy only names.
    pub secrets: Secrets,
    /// Between tries.
    pub patience: Patience,
}

/// Tells the notification targets, each in a task of its own.
pub struct Notifier {
    means: Means,
    tellers: Mutex<BTreeMap<(WorkloadId, String), Arc<Wake>>>,
}

/// A teller's bell.
#[derive(Default)]
struct Wake {
    bell: Notify,
    /// The record that a target without a place is told first; 0 while nobody knows. Records are numbered from 1.
    first: AtomicU64,
}

impl Notifier {
    /// One that has told nobody yet.
    pub fn new(means: Means) -> Self {
        Self { means, tellers: Mutex::default() }
    }

    /// Starts the tellers of a workload's targets where there are none yet, and wakes them if there is news: `first` is the
    /// number of its first record, and what a target without a place is told first. Returns at once. A teller that was started
    /// before and hears of no news costs nothing.
    pub fn wake(&self, controller: &Arc<Controller>, first: Option<u64>) -> usize {
        let workload = &controller.policy.workload.name;
        let mut tellers = self.tellers.lock().unwrap_or_else(PoisonError::into_inner);
        for target in &controller.policy.notify {
            let key = (workload.clone(), target.name.clone());
            let wake = tellers.entry(key).or_insert_with(|| {
                let wake = Arc::new(Wake::default());
                let teller = Teller {
                    controller: Arc::clone(controller),
                    target: target.clone(),
                    means: self.means.clone(),
                };
                tokio::spawn(follow(teller, Arc::clone(&wake)));
                wake
            });
            if let Some(first) = first {
                // The earliest that was heard of stays: a second delivery may begin later.
                let _ = wake.first.compare_exchange(0, first, Ordering::SeqCst, Ordering::SeqCst);
                wake.bell.notify_one();
            }
        }
        controller.policy.notify.len()
    }

    /// Starts everybody, so that what a process left untold when it ended is told by the next one, news or not.
    pub fn start_all(&self, controllers: &Controllers) {
        for controller in controllers.iter() {
            self.wake(controller, None);
        }
    }
}

/// Tells all there is, waits for a wake-up, and goes on without end.
async fn follow(teller: Teller, wake: Arc<Wake>) {
    let mut failures = 0;
    loop {
        let first = Some(wake.first.load(Ordering::SeqCst)).filter(|first| *first > 0);
        match teller.turn(first).await {
            Turn::Told => {
                failures = 0;
                wake.bell.notified().await;
            }
            Turn::Again => {}
            Turn::Later(why) => {
                failures += 1;
                let wait = teller.means.patience.after(failures);
                let workload = teller.controller.policy.workload.name.as_str();
                tracing::warn!(
                    notify.target = teller.target.name,
                    workload,
                    why,
                    wait_s = wait.as_secs(),
                    "a notification target did not take an event; it comes again, and the audit has it"
                );
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Wakes the tellers of the workloads whose records these are.
///
/// # Errors
/// When the envelope is not what the host promises.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    let documents = envelope.batch("documents")?;
    let mut first: BTreeMap<WorkloadId, u64> = BTreeMap::new();
    // What cannot be read cannot be told; `publish_audit` has said so already.
    let records =
        documents.messages().into_iter().filter_map(|document| audit_record(document.to_value())?.ok());
    for record in records {
        let seq = first.entry(record.workload).or_insert(record.seq);
        *seq = record.seq.min(*seq);
    }
    let mut reply = Reply::default();
    for (workload, seq) in first {
        let Some(controller) = app.controllers.of(&workload) else { continue };
        let targets = app.notifier.wake(controller, Some(seq));
        reply = reply.with_log(format!("{workload}: {targets} targets are told from record {seq} on"));
    }
    Ok(reply)
}

/// What was only observed is recorded and calls nobody. A record from before there were kinds is told.
fn is_told(record: &AuditRecord) -> bool {
    kinds(record).is_none_or(|kinds| notice::is_told(&kinds))
}

/// What a record is to its reader; none where it is from before there were kinds.
fn kinds(record: &AuditRecord) -> Option<BTreeSet<Notice>> {
    serde_json::from_value(record.explanation["notices"].clone()).ok()
}
