//! The observers. Each run writes one inbox item: signals, facts, and what could not be read. Failing to observe is a
//! signal of its own, never an error of the run.

mod cosmos;
mod direct;
mod lever;
mod platform;
mod quota;
mod telemetry;
mod topology;

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use adapters::StoreError;
use adapters::meter::METRICS;
use domain::facts::StampFacts;
use domain::state::{Topology, WorkloadState};
use domain::{Facts, InboxItem, ItemBody, ItemId, Signal, Timestamp};
use futures_util::future::{Either, select};
use tokio::time::timeout;

use super::{Controller, ControllerError, own_clock};

/// Origins, levers and plans are read this often: three times within the age at which S8 stops believing them.
const LEVER_EVERY: Duration = Duration::from_secs(30);
/// Minute metrics are read this often; they come once a minute, 1 to 3 min late.
const TELEMETRY_EVERY: Duration = Duration::from_secs(30);
/// The topology is discovered this often: a new stamp shows within one evaluation after that.
const TOPOLOGY_EVERY: Duration = Duration::from_secs(60);

/// Resource Health is read this often. It is minutes behind, so that more often would show nothing sooner; and one request for
/// each stamp and minute is far below what ARM lets a caller read (a bucket of 250, refilled by 25 a second).
const PLATFORM_EVERY: Duration = Duration::from_secs(60);

/// Events are normalised by a topology that may be this old: it is discovered once a minute, and reading the whole state for
/// each event would cost more than the event.
const TOPOLOGY_AGE_MAX: Duration = Duration::from_secs(5);

/// Quotas are read this often: they change when somebody asks Azure for more, which takes minutes at the least.
const QUOTA_EVERY: Duration = Duration::from_secs(600);

/// How long the probes wait for a discovery that is due, where stamps are known already: a new one is then probed at once. Two
/// calls of ARM, which answers within a second when it is well.
const DISCOVERY_PATIENCE: Duration = Duration::from_secs(2);

/// How long the probes' evidence waits for what is read of the control plane beside it, to be one item with it.
const CONTROL_PLANE_PATIENCE: Duration = Duration::from_secs(1);

/// The longest that the control plane may take in one run. A timer's runs do not overlap, so one that waited for ARM's own
/// budget (20 s for a list, several of them) would keep the next probes from being made at all.
const CONTROL_PLANE_BUDGET: Duration = Duration::from_secs(6);

/// Between two runs: the schedule in `observe_stamps/function.json`, which the local timers keep too.
const RUN_EVERY: Duration = Duration::from_secs(10);

const _: () = assert!(
    DISCOVERY_PATIENCE.as_secs() + CONTROL_PLANE_BUDGET.as_secs() < RUN_EVERY.as_secs()
        && DISCOVERY_PATIENCE.as_secs() + quota::BUDGET.as_secs() < RUN_EVERY.as_secs(),
    "a run whose control plane hangs ends before the next one is due"
);

/// When the slower observers last looked, in this process. A restart looks at once.
#[derive(Debug, Default)]
pub struct Cadence {
    lever: Every,
    telemetry: Every,
    topology: Every,
    platform: Every,
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

    /// It took too long: the next run tries again.
    fn is_due_again(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

/// What a run has gathered so far.
#[derive(Debug, Default)]
struct Run {
    signals: Vec<Signal>,
    facts: Facts,
    /// What was read and has no vote, each an item of its own.
    refused: Vec<InboxItem>,
}

impl Run {
    /// Both in one: no two parts of a run read the same.
    fn with(mut self, other: Self) -> Self {
        let Facts { topology, origins, capacity, quota, throughput, load, demand, gated_view, unreadable } =
            other.facts;
        self.signals.extend(other.signals);
        self.refused.extend(other.refused);
        self.facts.topology = self.facts.topology.or(topology);
        self.facts.origins.extend(origins);
        self.facts.capacity.extend(capacity);
        self.facts.quota.extend(quota);
        self.facts.throughput.extend(throughput);
        self.facts.load.extend(load);
        self.facts.demand.extend(demand);
        self.facts.gated_view.extend(gated_view);
        self.facts.unreadable.extend(unreadable);
        self
    }

    fn unreadable(&mut self, what: &str, error: &(dyn std::error::Error + 'static)) {
        tracing::warn!(error, "{what} cannot be read; what was read before keeps ageing");
        tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.observe.unreadable = 1_u64, what);
        self.facts.unreadable.push(what.to_owned());
    }
}

/// Part of the control plane did not answer within the run.
#[derive(Debug, thiserror::Error)]
#[error("read it within {} s, the part of a run that the control plane has", CONTROL_PLANE_BUDGET.as_secs())]
struct TooSlow;

/// Probes the stamps, reads origins, capacity, load and edge telemetry. Returns how many new inbox items it wrote.
///
/// One item, if ARM answers in its usual time. If it does not, the probes' evidence goes first, in an item of its own: the gate
/// must be able to close while the control plane hangs.
///
/// # Errors
/// When the ledger cannot be used; failing to observe is itself a signal, not an error.
pub async fn observe_stamps(controller: &Controller) -> Result<usize, ControllerError> {
    let now = controller.clock.now();
    let state = load_state(controller).await?;
    let state = state.as_ref();
    let known: Vec<StampFacts> =
        state.map(|state| state.topology.stamps.values().cloned().collect()).unwrap_or_default();
    let mut discovery = pin!(discover(controller, known.clone(), now));
    let discovering = async {
        if known.is_empty() {
            Some(discovery.as_mut().await)
        } else {
            timeout(DISCOVERY_PATIENCE, discovery.as_mut()).await.ok()
        }
    };
    // What is seen by a wrong clock would count as newer than all that the others see.
    let (believed, found) =
        tokio::join!(own_clock::check(controller, now, state.map(|state| state.as_of)), discovering);
    believed?;
    let (found, late) = match found {
        Some(found) => (found, None),
        None => (Discovered { stamps: known, run: Run::default() }, Some(discovery)),
    };
    let Discovered { stamps, run } = found;
    let stamps = stamps.as_slice();
    let evidence = async {
        let probing = pin!(direct::probe(controller, stamps, state, now));
        let mut reading = pin!(control_plane(controller, stamps, state, now, late));
        let (probes, read) = match select(probing, reading.as_mut()).await {
            Either::Left((probes, _)) => {
                (probes, timeout(CONTROL_PLANE_PATIENCE, reading.as_mut()).await.ok())
            }
            Either::Right((read, probing)) => (probing.await, Some(read)),
        };
        let Some(read) = read else {
            let written = append(controller, "stamps", run.with(probes), now).await?;
            return Ok(written + append(controller, "control-plane", reading.await, now).await?);
        };
        append(controller, "stamps", run.with(probes).with(read), now).await
    };
    let quotas = async {
        if stamps.is_empty() || !controller.cadence.quota.is_due(now, QUOTA_EVERY) {
            return Ok(0);
        }
        let quotas = quota::read(controller, stamps, now).await;
        if quotas.facts.unreadable.iter().any(|what| what == quota::ALL) {
            controller.cadence.quota.is_due_again();
        }
        append(controller, "quotas", quotas, now).await
    };
    // Beside the rest, so that a stamp and a provider of quotas that both hang do not make a run longer than its turn.
    let (evidence, quotas): (Result<_, ControllerError>, Result<_, ControllerError>) =
        tokio::join!(evidence, quotas);
    Ok(evidence? + quotas?)
}

/// The stamps to look at, and what is to be said of the discovery.
struct Discovered {
    stamps: Vec<StampFacts>,
    run: Run,
}

/// Those that are discovered, where that is due and works; those that are known, where not.
async fn discover(controller: &Controller, known: Vec<StampFacts>, now: Timestamp) -> Discovered {
    let mut run = Run::default();
    if !known.is_empty() && !controller.cadence.topology.is_due(now, TOPOLOGY_EVERY) {
        return Discovered { stamps: known, run };
    }
    match topology::discover(controller).await {
        Ok(stamps) => {
            run.facts.topology = Some(stamps.clone());
            Discovered { stamps, run }
        }
        Err(error) => {
            run.unreadable("topology", &error);
            Discovered { stamps: known, run }
        }
    }
}

/// Origins, levers, metrics and Resource Health where they are due, and a discovery that is not done yet: side by side, so that one that hangs
/// takes nothing from the others. What was read in time counts.
async fn control_plane(
    controller: &Controller,
    stamps: &[StampFacts],
    state: Option<&WorkloadState>,
    now: Timestamp,
    late: Option<Pin<&mut impl Future<Output = Discovered>>>,
) -> Run {
    let discovered = async {
        let Some(late) = late else { return Run::default() };
        timeout(CONTROL_PLANE_BUDGET, late).await.map_or_else(
            |_| {
                let mut run = Run::default();
                run.unreadable("topology", &TooSlow);
                run
            },
            |found| found.run,
        )
    };
    let levers = async {
        let mut run = Run::default();
        if controller.cadence.lever.is_due(now, LEVER_EVERY)
            && timeout(CONTROL_PLANE_BUDGET, lever::read(controller, stamps, now, &mut run)).await.is_err()
        {
            run.unreadable("origins and capacity", &TooSlow);
        }
        run
    };
    let metrics = async {
        let mut run = Run::default();
        if controller.cadence.telemetry.is_due(now, TELEMETRY_EVERY) {
            let reading = telemetry::read(controller, stamps, state, now, &mut run);
            if timeout(CONTROL_PLANE_BUDGET, reading).await.is_err() {
                run.unreadable("edge metrics", &TooSlow);
            }
        }
        run
    };
    let platform = async {
        let mut run = Run::default();
        if controller.cadence.platform.is_due(now, PLATFORM_EVERY) {
            let reading = platform::read(controller, stamps, state, now, &mut run);
            if timeout(CONTROL_PLANE_BUDGET, reading).await.is_err() {
                run.unreadable("resource health", &TooSlow);
            }
        }
        run
    };
    let (discovered, levers, metrics, platform) = tokio::join!(discovered, levers, metrics, platform);
    discovered.with(levers).with(metrics).with(platform)
}

/// Reads the workload's Cosmos account and its per-region request metrics. Returns how many new items it wrote.
///
/// # Errors
/// As `observe_stamps`.
pub async fn observe_cosmos(controller: &Controller) -> Result<usize, ControllerError> {
    let now = controller.clock.now();
    let Some(state) = load_state(controller).await? else { return Ok(0) };
    let mut run = Run::default();
    let (believed, ()) = tokio::join!(
        own_clock::check(controller, now, Some(state.as_of)),
        cosmos::read(controller, &state, now, &mut run)
    );
    believed?;
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
    let workload = &controller.policy.workload.name;
    let mut written = 0;
    if !(run.signals.is_empty() && run.facts.is_empty()) {
        let item = InboxItem {
            id: ItemId::of_own_run(observer, now),
            event_at: now,
            received_at: now,
            body: ItemBody::Observed { signals: run.signals, facts: run.facts },
        };
        written += controller.ledger.append(workload, &[item]).await?;
    }
    // Apart, and after: these are mostly there already, and what is refused must not keep evidence waiting.
    if !run.refused.is_empty() {
        written += controller.ledger.append(workload, &run.refused).await?;
    }
    Ok(written)
}
