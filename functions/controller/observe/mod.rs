//! The observers. Each run writes one inbox item: signals, facts, and what could not be read. Failing to observe is a
//! signal of its own, never an error of the run.

mod cosmos;
mod direct;
mod lever;
mod quota;
mod telemetry;
mod topology;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use adapters::StoreError;
use adapters::meter::METRICS;

use domain::facts::StampFacts;
use domain::state::{Topology, WorkloadState};
use domain::{Facts, InboxItem, ItemBody, ItemId, Signal, Timestamp};

use super::{Controller, ControllerError};

/// Origins, levers and plans are read this often: three times within the age at which S8 stops believing them.
const LEVER_EVERY: Duration = Duration::from_secs(30);
/// Minute metrics are read this often; they come once a minute, 1 to 3 min late.
const TELEMETRY_EVERY: Duration = Duration::from_secs(30);
/// The topology is discovered this often: a new stamp shows within one evaluation after that.
const TOPOLOGY_EVERY: Duration = Duration::from_secs(60);

/// Events are normalised by a topology that may be this old: it is discovered once a minute, and reading the whole state for
/// each event would cost more than the event.
const TOPOLOGY_AGE_MAX: Duration = Duration::from_secs(5);

/// Quotas are read this often: they change when somebody asks Azure for more, which takes minutes at the least.
const QUOTA_EVERY: Duration = Duration::from_secs(600);

/// When the slower observers last looked, in this process. A restart looks at once.
#[derive(Debug, Default)]
pub struct Cadence {
    lever: Every,
    telemetry: Every,
    topology: Every,
    quota: Every,
    known: Mutex<Option<(Timestamp, Topology)>>,
}

impl Cadence {
    /// The stamps by which an event is normalised: the ledger's, read again when the last look is older than
    /// `TOPOLOGY_AGE_MAX`. Before the first discovery nothing is kept, so that its result shows at once.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn topology(controller: &Controller) -> Result<Topology, StoreError> {
        let (now, known) = (controller.clock.now(), &controller.cadence.known);
        if let Some((at, topology)) = &*known.lock().unwrap_or_else(PoisonError::into_inner)
            && *at <= now
            && now.since(*at) <= TOPOLOGY_AGE_MAX
        {
            return Ok(topology.clone());
        }
        let state = controller.ledger.load(&controller.policy.workload.name, 0).await?.state;
        let topology = state.map(|state| state.topology).unwrap_or_default();
        *known.lock().unwrap_or_else(PoisonError::into_inner) =
            topology.read_at.is_some().then(|| (now, topology.clone()));
        Ok(topology)
    }
}

#[derive(Debug, Default)]
struct Every(AtomicI64);

impl Every {
    /// Whether it is time again; if so, notes that it was done.
    fn is_due(&self, now: Timestamp, every: Duration) -> bool {
        let last = Timestamp::from_millis(self.0.load(Ordering::SeqCst));
        let due = now.since(last) >= every || now < last;
        if due {
            self.0.store(now.as_millis(), Ordering::SeqCst);
        }
        due
    }
}

/// What a run has gathered so far.
#[derive(Debug, Default)]
struct Run {
    signals: Vec<Signal>,
    facts: Facts,
}

impl Run {
    fn unreadable(&mut self, what: &str, error: &(dyn std::error::Error + 'static)) {
        tracing::warn!(error, "{what} cannot be read; what was read before keeps ageing");
        tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.observe.unreadable = 1_u64, what);
        self.facts.unreadable.push(what.to_owned());
    }
}

/// Probes the stamps, reads origins, capacity, load and edge telemetry. Returns how many new inbox items it wrote.
///
/// # Errors
/// When the ledger cannot be used; failing to observe is itself a signal, not an error.
pub async fn observe_stamps(controller: &Controller) -> Result<usize, ControllerError> {
    let now = controller.clock.now();
    let state = load_state(controller).await?;
    let mut run = Run::default();
    let known = state.as_ref().map(|state| &state.topology.stamps);
    let stamps: Vec<StampFacts> = if known.is_none_or(|known| known.is_empty())
        || controller.cadence.topology.is_due(now, TOPOLOGY_EVERY)
    {
        match topology::discover(controller).await {
            Ok(found) => {
                run.facts.topology = Some(found.clone());
                found
            }
            Err(error) => {
                run.unreadable("topology", &error);
                known.map(|known| known.values().cloned().collect()).unwrap_or_default()
            }
        }
    } else {
        known.map(|known| known.values().cloned().collect()).unwrap_or_default()
    };
    direct::probe(controller, &stamps, state.as_ref(), now, &mut run).await;
    if controller.cadence.lever.is_due(now, LEVER_EVERY) {
        lever::read(controller, &stamps, now, &mut run).await;
    }
    if controller.cadence.telemetry.is_due(now, TELEMETRY_EVERY) {
        telemetry::read(controller, &stamps, state.as_ref(), now, &mut run).await;
    }
    let written = append(controller, "stamps", run, now).await?;
    if stamps.is_empty() || !controller.cadence.quota.is_due(now, QUOTA_EVERY) {
        return Ok(written);
    }
    let quotas = quota::read(controller, &stamps, now).await;
    Ok(written + append(controller, "quotas", quotas, now).await?)
}

/// Reads the workload's Cosmos account and its per-region request metrics. Returns how many new items it wrote.
///
/// # Errors
/// As `observe_stamps`.
pub async fn observe_cosmos(controller: &Controller) -> Result<usize, ControllerError> {
    let now = controller.clock.now();
    let Some(state) = load_state(controller).await? else { return Ok(0) };
    let mut run = Run::default();
    cosmos::read(controller, &state, now, &mut run).await;
    append(controller, "cosmos", run, now).await
}

async fn load_state(controller: &Controller) -> Result<Option<WorkloadState>, ControllerError> {
    Ok(controller.ledger.state(&controller.policy.workload.name).await?)
}

async fn append(
    controller: &Controller,
    observer: &str,
    run: Run,
    now: Timestamp,
) -> Result<usize, ControllerError> {
    if run.signals.is_empty() && run.facts.is_empty() {
        return Ok(0);
    }
    let item = InboxItem {
        id: ItemId::of_own_run(observer, now),
        event_at: now,
        received_at: now,
        body: ItemBody::Observed { signals: run.signals, facts: run.facts },
    };
    Ok(controller.ledger.append(&controller.policy.workload.name, &[item]).await?)
}
