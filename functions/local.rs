//! What the Functions host does for us, where there is no host: timers and the change feed, over the same loopback HTTP
//! and in the same envelopes. The queue's wake-ups are not here: the evaluation's timer makes up for them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use domain::audit::AuditRecord;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::controller::Controller;
use crate::edge::{App, Role};

/// As in host.json: an invocation that takes longer is given up.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(120);

/// How often the feed looks for new records.
const FEED_EVERY: Duration = Duration::from_secs(1);

/// The wait after a delivery that failed; the host retries without end, and so does this.
const FEED_RETRY: Duration = Duration::from_secs(10);

/// Documents of one delivery, as in function.json.
const FEED_PAGE_MAX: usize = 20;

/// A timer function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Its folder.
    pub function: &'static str,
    /// As its function.json says.
    pub schedule: &'static str,
    /// The same as a span.
    pub every: Duration,
    /// After the start, so that evidence is there before it is judged.
    pub first_after: Duration,
}

/// The controller's timers.
pub const TIMERS: [Timer; 3] = [
    Timer {
        function: "observe_stamps",
        schedule: "*/10 * * * * *",
        every: Duration::from_secs(10),
        first_after: Duration::ZERO,
    },
    Timer {
        function: "evaluate_timer",
        schedule: "5/10 * * * * *",
        every: Duration::from_secs(10),
        first_after: Duration::from_secs(5),
    },
    Timer {
        function: "cosmos_region_status",
        schedule: "*/30 * * * * *",
        every: Duration::from_secs(30),
        first_after: Duration::ZERO,
    },
];

/// Runs timers and change feed against the handler at `address`, without end. `data` keeps the feeds' places.
///
/// # Errors
/// When it cannot start, or a part of it ended.
pub async fn run(app: Arc<App>, address: SocketAddr, data: Option<PathBuf>) -> anyhow::Result<()> {
    let caller = Caller::new(address)?;
    let mut parts = JoinSet::new();
    for timer in TIMERS {
        parts.spawn(tick(caller.clone(), timer));
    }
    let Role::Controller(served) = &app.role else { bail!("run the local scheduler: a stamp needs none") };
    for controller in served.controllers.iter() {
        for function in [FeedFunction::PublishAudit, FeedFunction::Notify] {
            let feed = Feed::new(Arc::clone(controller), caller.clone(), function, data.as_deref())?;
            parts.spawn(follow(feed));
        }
    }
    match parts.join_next().await {
        Some(Err(error)) => Err(error).context("run a timer or a feed"),
        _ => Err(anyhow!("a timer or a feed ended by itself")),
    }
}

/// Calls functions as the host does.
#[derive(Clone, Debug)]
pub struct Caller {
    http: reqwest::Client,
    base: String,
}

impl Caller {
    /// For the handler at `address`.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(address: SocketAddr) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(INVOCATION_TIMEOUT).build()?;
        Ok(Self { http, base: format!("http://{address}") })
    }

    /// One timer tick.
    ///
    /// # Errors
    /// When the handler does not answer or says that it failed.
    pub async fn timer(&self, function: &str) -> anyhow::Result<()> {
        let timer =
            json!({ "Schedule": { "AdjustForDST": true }, "ScheduleStatus": null, "IsPastDue": false });
        self.invoke(function, "timer", timer).await
    }

    /// One page of a change feed: the host sends it as a string that holds a JSON array.
    ///
    /// # Errors
    /// When the handler does not answer or says that it failed.
    pub async fn documents(&self, function: &str, records: &[AuditRecord]) -> anyhow::Result<()> {
        self.invoke(function, "documents", Value::String(serde_json::to_string(records)?)).await
    }

    async fn invoke(&self, function: &str, binding: &str, data: Value) -> anyhow::Result<()> {
        let envelope = json!({ "Data": { binding: data }, "Metadata": {} });
        let request = self
            .http
            .post(format!("{}/{function}", self.base))
            .header("content-type", "application/json")
            .body(envelope.to_string());
        let response = request.send().await.with_context(|| format!("call {function}"))?;
        let status = response.status();
        let text = response.text().await.with_context(|| format!("read the answer of {function}"))?;
        ensure!(status.is_success(), "{function} answered {status}: {text}");
        Ok(())
    }
}

async fn tick(caller: Caller, timer: Timer) {
    let mut ticks = interval_at(Instant::now() + timer.first_after, timer.every);
    // As the host does it: a tick that came too late is not made up for by two at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if let Err(error) = caller.timer(timer.function).await {
            tracing::warn!(function.name = timer.function, error = %format!("{error:#}"), "a timer's call failed; the next tick goes on");
        }
    }
}

/// The functions behind a change feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFunction {
    /// Fed by the ledger.
    PublishAudit,
    /// Fed by the audit store, with a place of its own.
    Notify,
}

impl FeedFunction {
    const fn folder(self) -> &'static str {
        match self {
            Self::PublishAudit => "publish_audit",
            Self::Notify => "notify",
        }
    }
}

/// One change feed of one workload, with its place in it.
pub struct Feed {
    controller: Arc<Controller>,
    caller: Caller,
    function: FeedFunction,
    place: Option<PathBuf>,
    after: u64,
}

impl Feed {
    /// A feed that goes on where the one before it in `data` stopped.
    ///
    /// # Errors
    /// When its place cannot be read.
    pub fn new(
        controller: Arc<Controller>,
        caller: Caller,
        function: FeedFunction,
        data: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let place = data
            .map(|data| data.join(format!("feed-{}-{}", function.folder(), controller.policy.workload.name)));
        let after = match &place {
            Some(place) => read_place(place)?,
            None => 0,
        };
        Ok(Self { controller, caller, function, place, after })
    }

    /// Delivers the next page, if there is one. Returns how many records it had.
    ///
    /// # Errors
    /// When a store or the handler failed; the same page comes again.
    pub async fn deliver(&mut self) -> anyhow::Result<usize> {
        let controller = &self.controller;
        let workload = &controller.policy.workload.name;
        let records = match self.function {
            FeedFunction::PublishAudit => controller.ledger.audit(workload, self.after, FEED_PAGE_MAX).await,
            FeedFunction::Notify => controller.audit.list(workload, self.after, FEED_PAGE_MAX).await,
        }?;
        let Some(last) = records.last().map(|record| record.seq) else { return Ok(0) };
        self.caller.documents(self.function.folder(), &records).await?;
        self.after = last;
        if let Some(place) = &self.place {
            write_place(place, last)?;
        }
        Ok(records.len())
    }
}

async fn follow(mut feed: Feed) {
    loop {
        let wait = match feed.deliver().await {
            Ok(0) => FEED_EVERY,
            Ok(_) => continue,
            Err(error) => {
                let name = feed.function.folder();
                tracing::warn!(function.name = name, error = %format!("{error:#}"), "a feed's delivery failed; it comes again");
                FEED_RETRY
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn read_place(place: &Path) -> anyhow::Result<u64> {
    match std::fs::read_to_string(place) {
        Ok(text) => text.trim().parse().with_context(|| {
            format!("read {}: it holds no number; delete it to deliver every record again", place.display())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("read {}", place.display())),
    }
}

fn write_place(place: &Path, seq: u64) -> anyhow::Result<()> {
    let draft = place.with_extension("draft");
    std::fs::write(&draft, seq.to_string()).with_context(|| format!("write {}", draft.display()))?;
    std::fs::rename(&draft, place).with_context(|| format!("write {}", place.display()))
}
