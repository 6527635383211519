//! A drill: a scenario played with everything embedded. World, clock and Functions host are here; the handler is the
//! production one and is spoken to over HTTP only.

mod handler;
mod host;
mod deployed;
mod moments;
mod processes;
mod report;
mod render;
mod show;
mod stamps;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapters::ManualClock;
use adapters::faulty::{Fault, FaultSwitch};
use adapters::memory::MemoryGates;
use anyhow::Context;
use domain::audit::AuditRecord;
use domain::policy::Span;
use domain::state::{Stage, WorkloadState};
use domain::{EvidenceClass, Policy, StampId, Timestamp};
use simulator::{Delivery, Measurements, Recorder, Scenario, SimulatedAzure, World, run_probes};

use crate::assemble::{StoreKind, serve_router};
use handler::{Handler, HandlerSetup};
use host::Host;
use processes::ProcessSetup;
use stamps::Stamps;

pub use deployed::with_stamps_of;
pub use handler::HandlerKind;
pub use moments::{Moment, moments};
pub use processes::StampPrograms;
pub use render::markdown;
pub use report::{ClientFigures, Report, Times, report};
pub use show::{Quiet, Show, Terminal};

/// The policy that a drill uses unless told otherwise: the shipped one.
pub const SHIPPED_POLICY: &str = include_str!("../../policy.toml");

/// Simulated time starts here: a Tuesday, 09:00 UTC.
const START: Timestamp = Timestamp::from_secs(1_794_301_200);

/// Observers and the evaluation run every ten seconds, as their `function.json` says.
const OBSERVE_EVERY_S: u32 = 10;
/// The Cosmos observer runs every thirty.
const COSMOS_EVERY_S: u32 = 30;

/// The policy that a scenario is played under: `text`, with the scenario's own values over it.
///
/// # Errors
/// When the result is no valid policy; the lines are those of `text`, or of the merged file where the scenario differs.
pub fn policy_for(scenario: &Scenario, text: &str) -> anyhow::Result<Policy> {
    let told = |errors: Vec<domain::policy::PolicyError>| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the policy of {} is not valid:\n{}", scenario.name, lines.join("\n"))
    };
    let Some(overlay) = &scenario.policy else { return domain::policy::parse(text).map_err(told) };
    let mut merged: toml::Table = toml::from_str(text).context("parse the policy")?;
    for (section, values) in overlay {
        match (merged.get_mut(section).and_then(toml::Value::as_table_mut), values.as_table()) {
            (Some(into), Some(values)) => into.extend(values.clone()),
            _ => {
                merged.insert(section.clone(), values.clone());
            }
        }
    }
    domain::policy::parse(&merged.to_string()).map_err(told)
}

/// What to play and how.
#[derive(Clone, Debug)]
pub struct DrillOptions {
    /// The scenario.
    pub scenario: Scenario,
    /// The seed of every random draw.
    pub seed: u64,
    /// The policy; its resource ids are replaced by those of the simulated Azure.
    pub policy: Policy,
    /// Where the handler's state lives.
    pub store: StoreKind,
    /// Where the handler runs.
    pub handler: HandlerKind,
    /// Simulated seconds per second; none for as fast as the machine allows.
    pub speed: Option<f64>,
    /// Where every ARM exchange is written.
    pub record: Option<PathBuf>,
    /// A source that is not heard: for ablations.
    pub deaf_to: Option<EvidenceClass>,
    /// The token of the page's operator; without one the page only reads.
    pub operator_token: Option<String>,
    /// Seconds at which the handler is killed and started again; needs a child process.
    pub kill_at: Vec<u32>,
    /// Each stamp as the processes that it is deployed as; without it its health service is part of this process. Needs the
    /// embedded store, since another process reads the gates.
    pub stamp_programs: Option<StampPrograms>,
}

/// What came of it.
pub struct Played {
    /// The world's own record.
    pub measurements: Measurements,
    /// Every audit record.
    pub audit: Vec<AuditRecord>,
    /// The state at the end.
    pub state: WorkloadState,
    /// The steps at the end, as JSON of the operator's API.
    pub steps: serde_json::Value,
    /// What happened, in order.
    pub moments: Vec<Moment>,
    /// What was said to ARM: time, method, path, status.
    pub exchanges: Vec<simulator::ArmExchange>,
    /// Second by second, the share of the traffic whose edge location has each origin enabled.
    pub origin_share: Vec<(u32, StampId, f64)>,
    /// Functions invoked.
    pub invocations: u64,
    /// Seconds at which the handler said that it watches.
    pub heartbeats: Vec<u32>,
    /// The ids of the world.
    pub ids: simulator::SimResourceIds,
}

/// Plays a scenario with Cordon.
///
/// # Errors
/// When the handler breaks the host's contract, or something of the drill's own does not work.
pub async fn play(options: &DrillOptions, show: &mut dyn Show) -> anyhow::Result<Played> {
    let mut stage = Theatre::build(options).await?;
    show.begins(&options.scenario, &stage.handler_base(), options.operator_token.as_deref());
    for _ in 0..options.scenario.duration_s {
        stage.second(options, show).await?;
        if let Some(speed) = options.speed {
            tokio::time::sleep(Duration::from_secs_f64(1.0 / speed.max(0.001))).await;
        }
    }
    stage.finish().await
}

/// Plays the same scenario, from the same seed, without Cordon: Front Door's probes and the normal autoscale rules are
/// all there is.
///
/// # Errors
/// As `play`.
pub async fn play_without(options: &DrillOptions) -> anyhow::Result<Measurements> {
    let world = WorldSide::build(options, Recorder::in_memory()).await?;
    let nobody = Arc::new(MemoryGates::new());
    let ids = world.lock().resource_ids().clone();
    world
        .stamps
        .start(ids, world.url.clone(), options.policy.clone(), Arc::clone(&nobody) as _, nobody)
        .await?;
    let mut up = UpOrDown::default();
    for _ in 0..options.scenario.duration_s {
        world.second(&mut up).await?;
    }
    let outcome = world.lock().outcome().clone();
    Ok(outcome)
}

/// The world's side: simulated Azure on loopback, and the stamps.
struct WorldSide {
    world: Arc<Mutex<World>>,
    azure: SimulatedAzure,
    stamps: Arc<Stamps>,
    clock: Arc<ManualClock>,
    url: String,
}

/// Which stamps were there a second ago.
#[derive(Default)]
struct UpOrDown(Vec<StampId>);

impl WorldSide {
    async fn build(options: &DrillOptions, recorder: Recorder) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::new(START));
        let mut world = World::new(&options.scenario, options.seed, START);
        if options.deaf_to == Some(EvidenceClass::Platform) {
            world.hide_resource_health();
        }
        let world = Arc::new(Mutex::new(world));
        let stamps = Arc::new(Stamps::new(Arc::clone(&clock))?);
        let azure = SimulatedAzure::new(Arc::clone(&world), Arc::clone(&stamps) as _, recorder);
        let (address, _server) = serve_router(azure.router(), 0).await?;
        let url = format!("http://{address}");
        world.lock().unwrap_or_else(PoisonError::into_inner).serve_at(&url);
        Ok(Self { world, azure, stamps, clock, url })
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One second without a controller.
    async fn second(&self, up: &mut UpOrDown) -> anyhow::Result<()> {
        self.probes(up).await?;
        self.lock().step();
        let _unheard = self.lock().take_deliveries();
        Ok(())
    }

    /// A stamp that comes back is a new process; then Front Door's probes of this second.
    async fn probes(&self, up: &mut UpOrDown) -> anyhow::Result<()> {
        let now = self.lock().now();
        self.clock.set(now);
        let here: Vec<StampId> = {
            let world = self.lock();
            let stamps = world.resource_ids().stamps.iter().map(|ids| ids.stamp.clone());
            stamps.filter(|stamp| world.stamp_available(stamp)).collect()
        };
        for stamp in here.iter().filter(|stamp| !up.0.contains(stamp)) {
            self.stamps.restart(stamp).await?;
        }
        up.0 = here;
        run_probes(&self.world, &*self.stamps).await;
        Ok(())
    }
}

/// World, handler and host together.
struct Theatre {
    side: WorldSide,
    handler: Handler,
    host: Host,
    ledger_faults: FaultSwitch,
    gate_faults: FaultSwitch,
    up: UpOrDown,
    undelivered: VecDeque<Delivery>,
    audit: Vec<AuditRecord>,
    marked: bool,
    origin_share: Vec<(u32, StampId, f64)>,
}

impl Theatre {
    async fn build(options: &DrillOptions) -> anyhow::Result<Self> {
        // Made before the first exchange: a drill of twenty seconds must not end with nothing to show for it.
        if let Some(directory) = &options.record {
            std::fs::create_dir_all(directory)
                .with_context(|| crate::assemble::not_writable("recorded exchanges", directory))?;
        }
        let recorder = options.record.clone().map_or_else(Recorder::in_memory, Recorder::into_directory);
        let side = WorldSide::build(options, recorder).await?;
        let ids = side.lock().resource_ids().clone();
        let policy = with_ids_of(options, &ids);
        let (ledger_faults, gate_faults) = (FaultSwitch::new(), FaultSwitch::new());
        let setup = HandlerSetup {
            kind: options.handler.clone(),
            store: options.store.clone(),
            policy: policy.clone(),
            azure_url: side.url.clone(),
            operator_token: options.operator_token.clone(),
            ledger_faults: ledger_faults.clone(),
            gate_faults: gate_faults.clone(),
        };
        let handler = Handler::start(setup).await?;
        let (replica, write_region) = handler.gate_readers();
        side.stamps.run_as(process_setup(options, &policy, &ids, &side.url)?);
        side.stamps.start(ids, side.url.clone(), policy, replica, write_region).await?;
        let host = Host::new(handler.base.clone())?;
        Ok(Self {
            side,
            handler,
            host,
            ledger_faults,
            gate_faults,
            up: UpOrDown::default(),
            undelivered: VecDeque::new(),
            audit: Vec::new(),
            marked: false,
            origin_share: Vec::new(),
        })
    }

    fn handler_base(&self) -> String {
        self.handler.base.clone()
    }

    /// One second, in a fixed order: probes, events, observers, evaluation, change feed, world. Each rests before the
    /// next begins.
    async fn second(&mut self, options: &DrillOptions, show: &mut dyn Show) -> anyhow::Result<()> {
        let (now, t) = {
            let world = self.side.lock();
            (world.now(), world.elapsed_s())
        };
        self.side.probes(&mut self.up).await?;
        self.host.set_now(now);
        self.set_faults();
        if options.kill_at.contains(&t) {
            self.handler.kill_and_restart().await?;
            self.host.move_to(self.handler.base.clone());
        }
        if self.side.lock().controller_available() {
            self.invoke(t).await?;
            self.follow_audit(show, t).await?;
        }
        let view = self.side.lock().snapshot();
        if t.is_multiple_of(OBSERVE_EVERY_S) {
            let shares = view.stamps.iter().map(|stamp| (t, stamp.id.clone(), stamp.origin.enabled_share));
            self.origin_share.extend(shares);
        }
        show.second(&view);
        self.side.lock().step();
        let deliveries = self.side.lock().take_deliveries();
        self.undelivered
            .extend(deliveries.into_iter().filter(|delivery| is_heard(delivery, options.deaf_to)));
        Ok(())
    }

    fn set_faults(&self) {
        let world = self.side.lock();
        let fault = |available| if available { Fault::Available } else { Fault::Unavailable };
        self.ledger_faults.set(fault(world.ledger_available()));
        self.gate_faults.set(fault(world.gate_store_available()));
    }

    async fn invoke(&mut self, t: u32) -> anyhow::Result<()> {
        while let Some(delivery) = self.undelivered.pop_front() {
            self.host.deliver(&delivery).await?;
        }
        if t.is_multiple_of(OBSERVE_EVERY_S) {
            self.host.timer("observe_stamps").await?;
        }
        if t.is_multiple_of(COSMOS_EVERY_S) {
            self.host.timer("cosmos_region_status").await?;
        }
        self.host.drain_queue().await?;
        if t.is_multiple_of(OBSERVE_EVERY_S) {
            self.host.timer("evaluate_timer").await?;
        }
        Ok(())
    }

    /// The change feed: hands new audit records to `publish_audit` and `notify`, and notes the ramp's begin for the world.
    async fn follow_audit(&mut self, show: &mut dyn Show, t: u32) -> anyhow::Result<()> {
        if !t.is_multiple_of(OBSERVE_EVERY_S) || !self.side.lock().ledger_available() {
            return Ok(());
        }
        let after = self.audit.last().map_or(0, |record| record.seq);
        let documents = self.host.operator(&format!("audit.json?after={after}")).await?;
        let records: Vec<AuditRecord> =
            serde_json::from_value(documents.clone()).context("read the audit")?;
        if records.is_empty() {
            return Ok(());
        }
        self.host.change_feed("publish_audit", &documents).await?;
        self.host.change_feed("notify", &documents).await?;
        if !self.marked && records.iter().any(begins_to_return) {
            self.side.lock().mark("readmitting");
            self.marked = true;
        }
        self.audit.extend(records);
        let told = moments(&self.audit, START);
        for moment in told.iter().filter(|moment| moment.seq > after) {
            show.moment(moment);
        }
        Ok(())
    }

    async fn finish(mut self) -> anyhow::Result<Played> {
        let answer = self.host.operator("state.json").await.context("read the final state")?;
        let state = serde_json::from_value(answer["state"].clone()).context("parse the final state")?;
        let exchanges = self.side.azure.recorder().exchanges().to_vec();
        if let Some(error) = self.side.azure.recorder().failure() {
            anyhow::bail!("could not write a recorded exchange: {error}");
        }
        let moments = moments(&self.audit, START);
        let (measurements, ids) = {
            let world = self.side.lock();
            (world.outcome().clone(), world.resource_ids().clone())
        };
        Ok(Played {
            ids,
            measurements,
            audit: self.audit,
            state,
            steps: answer["steps"].clone(),
            moments,
            exchanges,
            origin_share: self.origin_share,
            invocations: self.host.invocations,
            heartbeats: self.host.heartbeats.iter().map(|at| seconds_since_start(*at)).collect(),
        })
    }
}

/// What the stamps' processes need, if they are processes.
fn process_setup(
    options: &DrillOptions,
    policy: &Policy,
    ids: &simulator::SimResourceIds,
    azure: &str,
) -> anyhow::Result<Option<ProcessSetup>> {
    let Some(programs) = options.stamp_programs.clone() else { return Ok(None) };
    let StoreKind::Embedded(directory) = &options.store else {
        anyhow::bail!("stamps as processes need the embedded store: use --store embedded");
    };
    let gates = crate::assemble::gates_directory(directory, &policy.workload.name);
    std::fs::create_dir_all(&gates).with_context(|| crate::assemble::not_writable("the gates", &gates))?;
    let file = directory.join("stamps-policy.toml");
    let text = toml::to_string(policy).context("write the stamps' policy")?;
    std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(Some(ProcessSetup { programs, policy: file, gates, azure: azure.to_owned(), ids: ids.clone() }))
}

fn seconds_since_start(at: Timestamp) -> u32 {
    u32::try_from(at.since(START).as_secs()).unwrap_or(u32::MAX)
}

fn begins_to_return(record: &AuditRecord) -> bool {
    let cases = record.decision["cases"].as_object();
    let readmitting = serde_json::json!(Stage::Readmitting);
    cases.is_some_and(|cases| cases.values().any(|case| case["stage"] == readmitting))
}

/// Alerts of the platform stand until resolved, whatever their age, so an ablation of them leaves them out.
fn is_heard(delivery: &Delivery, deaf_to: Option<EvidenceClass>) -> bool {
    let of_platform = |text: &str| {
        ["ServiceHealth", "ResourceHealth", "HealthResources"].iter().any(|known| text.contains(known))
    };
    match (deaf_to, delivery) {
        (Some(EvidenceClass::Platform), Delivery::ActionGroup { body } | Delivery::EventGrid { body }) => {
            !of_platform(&body.to_string())
        }
        (Some(EvidenceClass::Platform), Delivery::EventHub { messages, .. }) => {
            !messages.iter().any(|text| of_platform(text))
        }
        _ => true,
    }
}

/// The policy with the names of the simulated world in place of its own. A class that is not heard has no age at which
/// it still counts.
fn with_ids_of(options: &DrillOptions, ids: &simulator::SimResourceIds) -> Policy {
    let mut policy = options.policy.clone();
    policy.workload.name = domain::WorkloadId::new(&options.scenario.workload);
    policy.workload.origin_group.clone_from(&ids.origin_group);
    policy.workload.cosmos_account = Some(ids.cosmos_account.clone());
    if let Some(class) = options.deaf_to {
        policy.evidence.age_max.insert(class, Span::from_secs(0));
    }
    policy
}
