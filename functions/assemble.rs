//! From settings to a running process: the same for the handler, a stamp's sidecar and a drill.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::azure::arm::{ArmClient, ArmEndpoint};
use adapters::azure::credential::{CredentialKind, IdentityEnvironment, SharedCredential, credential};
use adapters::azure::epoch::BlobEpoch;
use adapters::azure::http::{HttpClient, http_client};
use adapters::cosmos::{
    CosmosAccount, CosmosAudit, CosmosCheck, CosmosGates, CosmosLedger, CosmosPlaces, CosmosSettings,
};
use adapters::embedded::{EmbeddedAudit, EmbeddedGateReader, EmbeddedGates, EmbeddedLedger, EmbeddedPlaces};
use adapters::epoch::EpochStore;
use adapters::faulty::{FaultSwitch, FaultyGates, FaultyLedger};
use adapters::memory::{MemoryAudit, MemoryEpoch, MemoryGates, MemoryLedger, MemoryPlaces};
use adapters::{Clock, GateReader, GateStore, ManualClock, SystemClock};
use anyhow::Context;
use domain::{Policy, StampId, WorkloadId};
use tokio::net::TcpListener;

use crate::controller::{Azure, Cadence, Controller, Controllers, DirectClient, GatesRead, Spool};
use crate::edge::entra::Callers;
use crate::edge::{App, ControllerApp, Page, Role, router};
use crate::notify::{Means, Notifier, Patience, Secrets};

/// The only address a custom handler may bind: the host connects to it (contracts: AZURE.md 1.2).
const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// Where the time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// The machine's clock.
    System,
    /// Each invocation brings its own time: drills.
    Invocation,
}

/// Where state lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Nowhere: gone with the process.
    Memory,
    /// In files below this directory.
    Embedded(PathBuf),
    /// In Cordon's own Cosmos DB account.
    Cosmos {
        /// The account.
        account: CosmosSettings,
        /// The blob container that holds the epochs, outside the account.
        epochs: String,
        /// The data directory, in which events wait while the account is out of reach.
        data: Option<PathBuf>,
    },
    /// In an account that is at hand already: Microsoft's emulator in this process, gone with it.
    Account(CosmosAccount),
}

/// Everything a controller needs to start.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// What may be done and when: one policy for each workload.
    pub policies: Vec<Policy>,
    /// Where state lives.
    pub store: StoreKind,
    /// Where the time comes from.
    pub clock: ClockKind,
    /// ARM's base address; the public cloud if none.
    pub arm_base: Option<String>,
    /// Where ARM really is, on this machine: the simulated Azure.
    pub arm_loopback: Option<String>,
    /// A fixed token for the simulated Azure; the platform's identity if none.
    pub arm_token: Option<String>,
    /// Who we are to the identity endpoint.
    pub identity: IdentityEnvironment,
    /// The key of the stamps' ungated views.
    pub stamp_key: String,
    /// This process, for claims and logs.
    pub instance: String,
    /// Lets a drill take the ledger away.
    pub ledger_faults: FaultSwitch,
    /// Lets a drill take the gate store away.
    pub gate_faults: FaultSwitch,
}

/// Builds the controllers and what their functions share.
///
/// # Errors
/// When a store cannot be opened, a setting is no address, or two policies are of one workload.
pub fn controller(settings: &ControllerSettings, page: Option<Arc<dyn Page>>) -> anyhow::Result<Arc<App>> {
    guarded_controller(settings, page, Callers::with_keys(), Secrets::default())
}

/// As `controller`, with webhooks that take Entra tokens, and with what the policy only names of its notification targets.
///
/// # Errors
/// As `controller`.
pub fn guarded_controller(
    settings: &ControllerSettings,
    page: Option<Arc<dyn Page>>,
    callers: Callers,
    secrets: Secrets,
) -> anyhow::Result<Arc<App>> {
    let endpoint = match &settings.arm_base {
        Some(base) => ArmEndpoint::new(base),
        None => ArmEndpoint::public_cloud(),
    }
    .context("use the address of ARM")?;
    let endpoint = match &settings.arm_loopback {
        Some(loopback) => endpoint.with_loopback(loopback).context("use the loopback address of ARM")?,
        None => endpoint,
    };
    let http = http_client(&endpoint).context("build the HTTP client")?;
    let kind = match &settings.arm_token {
        Some(token) => CredentialKind::Static(token.clone().into()),
        None => CredentialKind::of(&settings.identity),
    };
    let credential = credential(kind, Arc::clone(&http)).context("build the credential")?;
    let arm = ArmClient::new(endpoint, Arc::clone(&credential), Arc::clone(&http));
    let direct = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
    let (clock, invocation_clock): (Arc<dyn Clock>, _) = match settings.clock {
        ClockKind::System => (Arc::new(SystemClock), None),
        ClockKind::Invocation => {
            let manual = Arc::new(ManualClock::default());
            (Arc::clone(&manual) as Arc<dyn Clock>, Some(manual))
        }
    };
    let stores = open(settings, &credential, &http)?;
    let mut controllers = Vec::new();
    for policy in &settings.policies {
        controllers.push(Arc::new(Controller {
            policy: policy.clone(),
            clock: Arc::clone(&clock),
            ledger: Arc::clone(&stores.ledger),
            gates: open_gates(settings, &stores, &policy.workload.name)?,
            spool: match &settings.store {
                StoreKind::Cosmos { data: Some(data), .. } => Some(Spool::below(data, &policy.workload.name)),
                _ => None,
            },
            epoch: open_epoch(settings, &credential, &http, &policy.workload.name)?,
            audit: Arc::clone(&stores.audit),
            azure: Azure {
                arm_observed: arm.without_retries(),
                arm: arm.clone(),
                direct: DirectClient::new(direct.clone(), settings.stamp_key.clone()),
            },
            cadence: Cadence::default(),
            gates_read: GatesRead::default(),
            instance: settings.instance.clone(),
        }));
    }
    let controllers = Controllers::new(controllers)
        .context("start the controllers: give one policy for each workload, and at least one")?;
    let notifier = Notifier::new(Means {
        http: direct.clone(),
        places: stores.places,
        credential: Some(credential),
        secrets,
        patience: Patience::USUAL,
    });
    let role = Role::Controller(ControllerApp { controllers, outbound: direct, notifier, callers, page });
    Ok(Arc::new(App { role, invocation_clock }))
}

struct Stores {
    ledger: Arc<dyn adapters::Ledger>,
    audit: Arc<dyn adapters::AuditStore>,
    places: Arc<dyn adapters::PlaceStore>,
    /// Where gates go too, if they go into an account.
    account: Option<CosmosAccount>,
}

/// What to say when a directory that we were given cannot be made.
pub(crate) fn not_writable(what: &str, directory: &Path) -> String {
    format!("make the directory for {what}, {}: name one that this user may write", directory.display())
}

/// What to do about a ledger that somebody else has open.
fn taken(error: adapters::StoreError, directory: &Path) -> anyhow::Error {
    let held = matches!(error, adapters::StoreError::Unavailable { .. });
    let error = anyhow::Error::from(error);
    if !held {
        return error;
    }
    error.context(format!(
        "open the ledger in {}: most likely another process runs on it. Ask or order that one (`cordon status --url \
         http://127.0.0.1:7071`, `cordon hold --url ..`), stop it, or name another directory",
        directory.display()
    ))
}

fn open(
    settings: &ControllerSettings,
    credential: &SharedCredential,
    http: &Arc<dyn HttpClient>,
) -> anyhow::Result<Stores> {
    let ledger_faults = settings.ledger_faults.clone();
    Ok(match &settings.store {
        StoreKind::Memory => Stores {
            ledger: Arc::new(FaultyLedger::new(MemoryLedger::new(), ledger_faults)),
            audit: Arc::new(MemoryAudit::new()),
            places: Arc::new(MemoryPlaces::default()),
            account: None,
        },
        StoreKind::Embedded(directory) => {
            std::fs::create_dir_all(directory)
                .with_context(|| not_writable("ledger, gates and audit", directory))?;
            Stores {
                ledger: Arc::new(FaultyLedger::new(
                    EmbeddedLedger::open(&directory.join("ledger.redb"))
                        .map_err(|error| taken(error, directory))?,
                    ledger_faults,
                )),
                audit: Arc::new(EmbeddedAudit::open(&directory.join("audit.redb"))?),
                places: Arc::new(EmbeddedPlaces::open(directory.join("targets"))?),
                account: None,
            }
        }
        StoreKind::Cosmos { account, .. } => in_account(
            CosmosAccount::new(account.clone(), Arc::clone(credential), Arc::clone(http))
                .context("use the address of Cosmos DB")?,
            ledger_faults,
        ),
        StoreKind::Account(account) => in_account(account.clone(), ledger_faults),
    })
}

/// Only an account with regions needs more than memory: a ledger that is in one place loses no commit.
fn open_epoch(
    settings: &ControllerSettings,
    credential: &SharedCredential,
    http: &Arc<dyn HttpClient>,
    workload: &WorkloadId,
) -> anyhow::Result<Arc<dyn EpochStore>> {
    let StoreKind::Cosmos { epochs, .. } = &settings.store else {
        return Ok(Arc::new(MemoryEpoch::new()));
    };
    let store = BlobEpoch::new(epochs, workload, Arc::clone(http), Some(Arc::clone(credential)));
    Ok(Arc::new(store.context("use CORDON_EPOCHS, https://ACCOUNT.blob.core.windows.net/CONTAINER")?))
}

fn in_account(account: CosmosAccount, ledger_faults: FaultSwitch) -> Stores {
    Stores {
        ledger: Arc::new(FaultyLedger::new(CosmosLedger::new(account.clone()), ledger_faults)),
        audit: Arc::new(CosmosAudit::new(account.clone())),
        places: Arc::new(CosmosPlaces::new(account.clone())),
        account: Some(account),
    }
}

/// Where a workload's gates lie below the data directory: two workloads may have stamps of one name.
pub fn gates_directory(data: &Path, workload: &WorkloadId) -> PathBuf {
    data.join("gates").join(workload.as_str())
}

fn open_gates(
    settings: &ControllerSettings,
    stores: &Stores,
    workload: &WorkloadId,
) -> anyhow::Result<Arc<dyn GateStore>> {
    let faults = settings.gate_faults.clone();
    if let Some(account) = &stores.account {
        let gates = CosmosGates::new(account.clone(), workload.clone());
        return Ok(Arc::new(FaultyGates::new(gates, faults)));
    }
    Ok(match &settings.store {
        StoreKind::Embedded(data) => {
            let directory = gates_directory(data, workload);
            std::fs::create_dir_all(&directory).with_context(|| not_writable("gates", &directory))?;
            Arc::new(FaultyGates::new(EmbeddedGates::open(directory)?, faults))
        }
        _ => Arc::new(FaultyGates::new(MemoryGates::new(), faults)),
    })
}

/// Where a stamp reads its gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatePlace {
    /// In files that a controller on this machine or share writes.
    Directory(PathBuf),
    /// In Cordon's Cosmos DB account.
    Cosmos {
        /// The account; `near` is the stamp's own region.
        account: CosmosSettings,
        /// Whose gates.
        workload: WorkloadId,
        /// Who we are to the identity endpoint.
        identity: IdentityEnvironment,
    },
}

/// The container of the workload's own account that a stamp looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedContainer {
    /// The account; `near` is the stamp's own region.
    pub account: CosmosSettings,
    /// The container, whose partition key is `/id`.
    pub container: String,
    /// Who we are to the identity endpoint.
    pub identity: IdentityEnvironment,
}

/// A stamp's look at its workload's account.
///
/// # Errors
/// When the account's address is none, or the platform's identity settings cannot be used.
pub fn cosmos_check(checked: &CheckedContainer, stamp: &StampId) -> anyhow::Result<CosmosCheck> {
    let (http, credential) = identified(&checked.identity)?;
    CosmosCheck::new(checked.account.clone(), checked.container.clone(), stamp.clone(), credential, http)
        .context("use CORDON_CHECK_COSMOS_ENDPOINT, https://NAME.documents.azure.com/")
}

/// The HTTP client and the identity of a process that speaks to Cosmos DB alone.
fn identified(identity: &IdentityEnvironment) -> anyhow::Result<(Arc<dyn HttpClient>, SharedCredential)> {
    let endpoint = ArmEndpoint::public_cloud().context("use the public cloud")?;
    let http = http_client(&endpoint).context("build the HTTP client")?;
    let credential =
        credential(CredentialKind::of(identity), Arc::clone(&http)).context("build the credential")?;
    Ok((http, credential))
}

/// The gates as a stamp reads them: its local replica, and the write region.
///
/// # Errors
/// When the account's address is none, or the platform's identity settings cannot be used.
pub fn gate_readers(place: &GatePlace) -> anyhow::Result<(Arc<dyn GateReader>, Arc<dyn GateReader>)> {
    match place {
        GatePlace::Directory(directory) => {
            // One directory is both.
            let gates = Arc::new(EmbeddedGateReader::new(directory));
            Ok((Arc::clone(&gates) as _, gates))
        }
        GatePlace::Cosmos { account, workload, identity } => {
            let (http, credential) = identified(identity)?;
            let reader = |settings: CosmosSettings| {
                let account = CosmosAccount::new(settings, Arc::clone(&credential), Arc::clone(&http))
                    .context("use the address of Cosmos DB")?;
                anyhow::Ok(Arc::new(CosmosGates::new(account, workload.clone())) as Arc<dyn GateReader>)
            };
            let replica = reader(account.clone())?;
            let write_region = reader(CosmosSettings { near: None, ..account.clone() })?;
            Ok((replica, write_region))
        }
    }
}

/// Serves on loopback. `port` 0 picks a free one. Returns the address; the server runs until the process ends.
///
/// # Errors
/// When the port cannot be bound.
pub async fn serve(
    app: Arc<App>,
    port: u16,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>)> {
    serve_router(router(app), port).await
}

/// As `serve`, for any router.
///
/// # Errors
/// When the port cannot be bound.
pub async fn serve_router(
    router: axum::Router,
    port: u16,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>)> {
    let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, port)))
        .await
        .with_context(|| format!("bind 127.0.0.1:{port}; is another handler running?"))?;
    let address = listener.local_addr().context("read the bound address")?;
    Ok((address, tokio::spawn(async move { axum::serve(listener, router).await })))
}
