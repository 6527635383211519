//! From the environment to settings. Parsed and checked before any port is bound.
//!
//! | variable | for | meaning |
//! | --- | --- | --- |
//! | `CORDON_ROLE` | both | `controller` (the default) or `stamp` |
//! | `CORDON_POLICY` | both | the policy file, or for a controller a directory of them; `policy.toml` in the app's root by default |
//! | `CORDON_CLOCK` | both | `invocation`: each invocation brings its time, for drills |
//! | `CORDON_STAMP_KEY` | both | the shared key of the stamps' ungated views |
//! | `CORDON_LEDGER` | both | where state and gates are: `embedded` (the default) or `cosmos` |
//! | `CORDON_DATA` | controller | the directory of the embedded stores, of the orders that the command line places, and of events that wait for Cosmos DB |
//! | `CORDON_COSMOS__accountEndpoint` | both | Cordon's own Cosmos DB account; the host's change feed uses the same setting |
//! | `CORDON_COSMOS_DATABASE` | both | its database; `cordon` by default |
//! | `CORDON_EPOCHS` | controller | for `cosmos`: the blob container, outside the account, that holds the ledger's epochs |
//! | `CORDON_REGION`, `REGION_NAME` | both | the region to read from first; the platform sets the second |
//! | `CORDON_ARM_BASE`, `CORDON_ARM_LOOPBACK`, `CORDON_ARM_TOKEN` | controller | another cloud, or a simulated Azure |
//! | `CORDON_INSTANCE` | controller | this process's name in claims and logs |
//! | `CORDON_ENTRA_TENANT`, `CORDON_ENTRA_AUDIENCE` | controller | whose tokens the webhooks take, and for which audiences (`a,b`) |
//! | `CORDON_ENTRA_REQUIRED` | controller | `true`: a webhook call needs a token whatever its key; `false` by default |
//! | `CORDON_EVENT_KEY` | controller | what `cloud_event` takes instead of a token; under the host nobody gets in there without one of the two |
//! | `CORDON_ENTRA_AUTHORITY` | controller | another cloud's authority; `https://login.microsoftonline.com` by default |
//! | `IDENTITY_ENDPOINT`, `AZURE_CLIENT_ID` | both | the managed identity, set by the platform |
//! | `CORDON_IDENTITY` | controller | `platform`: App Service authentication stands in front, and its header names the callers; without it nobody gives orders by the page |
//! | `CORDON_READER_ROLE`, `CORDON_OPERATOR_ROLE` | controller | app roles that may read (everybody signed in without it) and give orders (`Cordon.Operator` by default) |
//! | `CORDON_PAGE_ORIGIN` | controller | the origin in the readers' address bar, where it is not the request's host |
//! | `CORDON_STAMP` | stamp | this stamp's name |
//! | `CORDON_GATES_DIR` | stamp | the directory of the gate documents |
//! | `CORDON_COMPONENTS` | stamp | what is checked: `name=url,..`; see `components` |
//! | `CORDON_CHECK_COSMOS_ENDPOINT`, `CORDON_CHECK_COSMOS_DATABASE`, `CORDON_CHECK_COSMOS_CONTAINER` | stamp | the workload's own account, database and container (partition key `/id`) that are read and written as a check; none without them |
//! | `CORDON_LOAD_URL` | stamp | where the application tells its load |
//! | `CORDON_PEERS` | stamp | the other stamps: `stamp=url,..` |
//! | `CORDON_FRONT_DOOR_ID` | stamp | our Front Door's id, to believe its headers |
//! | `CORDON_PROBER_HEADER` | stamp | the header with the prober's address; `X-Azure-SocketIP` by default |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME` | both | a collector that gets spans and metrics by OTLP (HTTP, JSON); nothing is sent without it |
//! | `RUST_LOG` | both | what is logged |

use std::path::{Path, PathBuf};

use adapters::azure::credential::IdentityEnvironment;
use adapters::cosmos::CosmosSettings;
use adapters::faulty::FaultSwitch;
use anyhow::{Context, bail, ensure};
use domain::{Policy, RegionName, StampId};

use super::{Environment, policy_file};
use crate::assemble::{CheckedContainer, ClockKind, ControllerSettings, GatePlace, StoreKind};
use crate::edge::entra::{AUTHORITY, Callers, EntraSettings, Tokens};
use crate::notify::Secrets;
use crate::page::{Access, Identities};
use crate::stamp::{COSMOS_READ, COSMOS_WRITE, ComponentCheck, Peer, Reach, StampConfig};
use crate::telemetry::TelemetrySettings;

/// Set by the host: where the custom handler must listen.
pub(super) const HOST_PORT: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

/// The app role of the operators unless named otherwise.
const OPERATOR_ROLE: &str = "Cordon.Operator";

/// The header that Front Door itself writes; a caller cannot, once the front door's id is checked.
const PROBER_HEADER: &str = "X-Azure-SocketIP";

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleKind {
    /// Decides and acts.
    Controller,
    /// Answers probes in a stamp.
    Stamp,
}

/// What a stamp's process needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampSettings {
    /// The health service's own.
    pub config: StampConfig,
    /// Where the gate documents are.
    pub gates: GatePlace,
    /// The workload's account, if it is looked at.
    pub cosmos: Option<CheckedContainer>,
    /// Where the time comes from.
    pub clock: ClockKind,
}

/// The role of this process.
///
/// # Errors
/// When the variable says something else.
pub fn role(environment: &Environment) -> anyhow::Result<RoleKind> {
    match environment.get("CORDON_ROLE") {
        None | Some("controller") => Ok(RoleKind::Controller),
        Some("stamp") => Ok(RoleKind::Stamp),
        Some(other) => bail!("CORDON_ROLE is {other:?}: set it to controller or stamp"),
    }
}

/// The handler's port, if the host gave one.
pub(super) fn host_port(environment: &Environment) -> anyhow::Result<u16> {
    let text = environment.required(HOST_PORT, "the port that the Functions host will call")?;
    text.trim().parse().with_context(|| format!("{HOST_PORT} is {text:?}: it must be a port number"))
}

/// The policy file or the directory of policies: where the variable says, or in the app's root, or here.
pub(super) fn policy_path(environment: &Environment) -> PathBuf {
    match (environment.get("CORDON_POLICY"), environment.get("FUNCTIONS_APP_ROOT_PATH")) {
        (Some(path), _) => path.into(),
        (None, Some(root)) => Path::new(root).join("policy.toml"),
        (None, None) => "policy.toml".into(),
    }
}

/// A controller's settings, all from the environment.
///
/// # Errors
/// When a variable is missing or says something impossible, or the policy is not valid.
pub fn controller_settings(environment: &Environment) -> anyhow::Result<ControllerSettings> {
    let policies = policy_file::read_all(&policy_path(environment))?;
    let store = match place(environment)? {
        Place::Cosmos(account) => {
            let what = "the blob container that holds the ledger's epochs, outside its account: \
                        https://ACCOUNT.blob.core.windows.net/CONTAINER";
            StoreKind::Cosmos {
                account,
                epochs: environment.required("CORDON_EPOCHS", what)?.to_owned(),
                data: environment.text("CORDON_DATA").map(PathBuf::from),
            }
        }
        Place::Embedded => {
            let what = "the directory of the ledger, the gates and the audit";
            StoreKind::Embedded(environment.required("CORDON_DATA", what)?.into())
        }
    };
    controller_with(environment, policies, store)
}

/// Who may call the webhooks: whoever holds a function key, which the host checks, and more if the environment says so. At
/// `cloud_event` the host asks for no key, since a token may stand in for one: there it is ours to ask, and under the host it
/// is asked whether one was set or not.
///
/// # Errors
/// When a variable is missing or says something impossible.
pub fn callers(environment: &Environment) -> anyhow::Result<Callers> {
    let required = match environment.get("CORDON_ENTRA_REQUIRED") {
        None | Some("false") => Tokens::Optional,
        Some("true") => Tokens::Required,
        Some(other) => bail!("CORDON_ENTRA_REQUIRED is {other:?}: set it to true or false"),
    };
    let event_key = environment.get("CORDON_EVENT_KEY");
    let guarded = |callers: Callers| match (event_key, environment.get(HOST_PORT)) {
        (None, None) => callers,
        (key, _) => callers.asking_for(key),
    };
    let Some(tenant) = environment.get("CORDON_ENTRA_TENANT") else {
        let why =
            "CORDON_ENTRA_REQUIRED is set without CORDON_ENTRA_TENANT: name the tenant whose tokens count";
        ensure!(required == Tokens::Optional, why);
        return Ok(guarded(Callers::with_keys()));
    };
    let what = "the identifier URI or application id that the callers' tokens are for";
    let audiences = environment.required("CORDON_ENTRA_AUDIENCE", what)?;
    Ok(guarded(Callers::with_tokens(EntraSettings {
        authority: environment.text("CORDON_ENTRA_AUTHORITY").unwrap_or_else(|| AUTHORITY.to_owned()),
        tenant: tenant.to_owned(),
        audiences: audiences.split(',').map(|one| one.trim().to_owned()).collect(),
        required,
    })))
}

/// What the policies only name of their notification targets: addresses and keys in the settings of their names. One that is
/// missing is an error at the start, not a target that nobody hears of.
///
/// # Errors
/// When a setting is missing.
pub(super) fn secrets(environment: &Environment, policies: &[Policy]) -> anyhow::Result<Secrets> {
    let mut values = Vec::new();
    for target in policies.iter().flat_map(|policy| &policy.notify) {
        for setting in target.settings() {
            let what =
                format!("what the policy's notification target {:?} names by env:{setting}", target.name);
            values.push((setting.to_owned(), environment.required(setting, &what)?.to_owned()));
        }
    }
    Ok(Secrets::new(values))
}

enum Place {
    Embedded,
    Cosmos(CosmosSettings),
}

/// Where state and gates are. Said in words and not guessed from what else is set: the host's change feed needs the
/// account's address in any case.
fn place(environment: &Environment) -> anyhow::Result<Place> {
    match environment.get("CORDON_LEDGER") {
        None | Some("embedded") => Ok(Place::Embedded),
        Some("cosmos") => {
            let what = "the address of Cordon's Cosmos DB account, https://NAME.documents.azure.com/";
            Ok(Place::Cosmos(CosmosSettings {
                endpoint: environment.required("CORDON_COSMOS__accountEndpoint", what)?.to_owned(),
                database: environment.text("CORDON_COSMOS_DATABASE").unwrap_or_else(|| "cordon".to_owned()),
                near: near(environment),
            }))
        }
        Some(other) => bail!("CORDON_LEDGER is {other:?}: set it to embedded or cosmos"),
    }
}

/// The region to ask first.
fn near(environment: &Environment) -> Option<RegionName> {
    let region = environment.get("CORDON_REGION").or_else(|| environment.get("REGION_NAME"));
    region.map(RegionName::from_display)
}

/// The workload's account: all three settings or none, so that a misspelt one is no check that silently is off.
fn checked_container(environment: &Environment) -> anyhow::Result<Option<CheckedContainer>> {
    const SETTINGS: [&str; 3] =
        ["CORDON_CHECK_COSMOS_ENDPOINT", "CORDON_CHECK_COSMOS_DATABASE", "CORDON_CHECK_COSMOS_CONTAINER"];
    if SETTINGS.iter().all(|name| environment.get(name).is_none()) {
        return Ok(None);
    }
    let what = "the workload's account, its database, and a container of it whose partition key is /id;                 or set none of the three";
    let [endpoint, database, container] = SETTINGS.map(|name| environment.required(name, what));
    let account = CosmosSettings {
        endpoint: endpoint?.to_owned(),
        database: database?.to_owned(),
        near: near(environment),
    };
    Ok(Some(CheckedContainer { account, container: container?.to_owned(), identity: identity(environment) }))
}

/// Where spans and metrics go, if anywhere.
///
/// # Errors
/// When the role is none.
pub(super) fn telemetry(environment: &Environment) -> anyhow::Result<Option<TelemetrySettings>> {
    let Some(endpoint) = environment.text("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
    let service = match role(environment)? {
        RoleKind::Controller => "cordon",
        RoleKind::Stamp => "cordon-stamp",
    };
    let service = environment.text("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned());
    Ok(Some(TelemetrySettings { endpoint, service, instance: instance(environment) }))
}

fn identity(environment: &Environment) -> IdentityEnvironment {
    IdentityEnvironment {
        identity_endpoint: environment.text("IDENTITY_ENDPOINT"),
        client_id: environment.text("AZURE_CLIENT_ID"),
    }
}

/// A controller's settings, given policies and store.
pub(super) fn controller_with(
    environment: &Environment,
    policies: Vec<Policy>,
    store: StoreKind,
) -> anyhow::Result<ControllerSettings> {
    let stamp_key = environment
        .required("CORDON_STAMP_KEY", "the key that the stamps' health services want in x-cordon-key")?;
    Ok(ControllerSettings {
        policies,
        store,
        clock: clock(environment)?,
        arm_base: environment.text("CORDON_ARM_BASE"),
        arm_loopback: environment.text("CORDON_ARM_LOOPBACK"),
        arm_token: environment.text("CORDON_ARM_TOKEN"),
        identity: identity(environment),
        stamp_key: stamp_key.to_owned(),
        instance: instance(environment),
        ledger_faults: FaultSwitch::new(),
        gate_faults: FaultSwitch::new(),
    })
}

/// How the page knows its callers under the host. The platform's header is believed only where `CORDON_IDENTITY` says that
/// App Service authentication stands in front: without that anybody can write it.
///
/// # Errors
/// When the variable says something else.
pub fn access(environment: &Environment) -> anyhow::Result<Access> {
    let identities = match environment.get("CORDON_IDENTITY") {
        None | Some("none") => Identities::Nobody,
        Some("platform") => Identities::Platform {
            reader: environment.text("CORDON_READER_ROLE"),
            operator: environment.text("CORDON_OPERATOR_ROLE").unwrap_or_else(|| OPERATOR_ROLE.to_owned()),
        },
        Some(other) => bail!("CORDON_IDENTITY is {other:?}: set it to platform or none"),
    };
    let form_key = environment.text("CORDON_STAMP_KEY").unwrap_or_default();
    Ok(Access { identities, form_key, origin: environment.text("CORDON_PAGE_ORIGIN") })
}

/// A token nobody can guess: 128 bits from the operating system.
///
/// # Errors
/// When the system gives none.
pub(super) fn fresh_token() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).context("draw a token from the system's random source")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A stamp's settings, all from the environment.
///
/// # Errors
/// When a variable is missing or says something impossible, or the policy is not valid.
pub fn stamp_settings(environment: &Environment) -> anyhow::Result<StampSettings> {
    let policy = policy_file::read(&policy_path(environment))?;
    let stamp = environment.required("CORDON_STAMP", "this stamp's name, as in its tag cordon:stamp")?;
    let key = environment.required("CORDON_STAMP_KEY", "the key that Cordon shows in x-cordon-key")?;
    let gates = match place(environment)? {
        Place::Cosmos(account) => GatePlace::Cosmos {
            account,
            workload: policy.workload.name.clone(),
            identity: identity(environment),
        },
        Place::Embedded => {
            let what = "the directory of the gate documents";
            GatePlace::Directory(environment.required("CORDON_GATES_DIR", what)?.into())
        }
    };
    let (components, cosmos) = (components(environment)?, checked_container(environment)?);
    let twice = components.iter().find(|check| [COSMOS_READ, COSMOS_WRITE].contains(&check.name.as_str()));
    if let (Some(check), Some(_)) = (twice, &cosmos) {
        bail!(
            "CORDON_COMPONENTS has {}, which CORDON_CHECK_COSMOS_.. checks already: give it another name or leave one of \
             the two out",
            check.name
        );
    }
    let config = StampConfig {
        stamp: StampId::new(stamp),
        key: key.to_owned(),
        front_door_id: environment.text("CORDON_FRONT_DOOR_ID"),
        prober_header: environment.text("CORDON_PROBER_HEADER").unwrap_or_else(|| PROBER_HEADER.to_owned()),
        components,
        load_url: environment.text("CORDON_LOAD_URL"),
        peers: peers(environment, stamp)?,
        gate_boot_wait: policy.gate.boot_wait.get(),
        gate_heartbeat_max: policy.gate.heartbeat_max.get(),
    };
    Ok(StampSettings { config, gates, cosmos, clock: clock(environment)? })
}

fn clock(environment: &Environment) -> anyhow::Result<ClockKind> {
    match environment.get("CORDON_CLOCK") {
        None | Some("system") => Ok(ClockKind::System),
        Some("invocation") => Ok(ClockKind::Invocation),
        Some(other) => bail!("CORDON_CLOCK is {other:?}: set it to system or invocation"),
    }
}

/// A name that two processes of one deployment do not share: claims and operation ids carry it.
fn instance(environment: &Environment) -> String {
    let given = environment.text("CORDON_INSTANCE");
    given.unwrap_or_else(|| {
        let machine = ["WEBSITE_INSTANCE_ID", "HOSTNAME", "COMPUTERNAME"]
            .into_iter()
            .find_map(|name| environment.get(name))
            .unwrap_or("local");
        format!("{machine}-{}", std::process::id())
    })
}

/// `app=http://..` and so on. Only a component that is this stamp's own may take it out of rotation: `local:name=url`
/// and `shared:name=url` say so; without either, `app` is local and everything else shared, so that a forgotten word
/// never makes all stamps leave together over one database.
fn components(environment: &Environment) -> anyhow::Result<Vec<ComponentCheck>> {
    let check = |(name, url): (String, String)| {
        let (reach, name) = match name.split_once(':') {
            Some(("local", name)) => (Reach::Local, name.to_owned()),
            Some(("shared", name)) => (Reach::Shared, name.to_owned()),
            Some((other, _)) => {
                bail!("CORDON_COMPONENTS says {other:?}: write local: or shared: before a name")
            }
            None if name == "app" => (Reach::Local, name),
            None => (Reach::Shared, name),
        };
        Ok(ComponentCheck { name, url, reach })
    };
    pairs(environment, "CORDON_COMPONENTS")?.into_iter().map(check).collect()
}

fn peers(environment: &Environment, own: &str) -> anyhow::Result<Vec<Peer>> {
    let peers = pairs(environment, "CORDON_PEERS")?;
    // Each peer is shown the stamps' key.
    let in_the_clear = |url: &str| {
        !url.starts_with("https://")
            && !url.starts_with("http://127.0.0.1:")
            && !url.starts_with("http://[::1]:")
    };
    if let Some((stamp, url)) = peers.iter().find(|(_, url)| in_the_clear(url)) {
        bail!(
            "CORDON_PEERS has {stamp}={url}: write https://, or everybody on the way reads the stamps' key"
        );
    }
    // One list for all stamps is easier to deploy; nobody is his own peer.
    Ok(peers
        .into_iter()
        .filter(|(stamp, _)| stamp != own)
        .map(|(stamp, direct_url)| Peer { stamp: StampId::new(stamp), direct_url })
        .collect())
}

/// `name=url,name=url`.
fn pairs(environment: &Environment, variable: &str) -> anyhow::Result<Vec<(String, String)>> {
    let parts = environment.get(variable).unwrap_or_default().split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, url) = part.split_once('=').unwrap_or((part, ""));
            let (name, url) = (name.trim(), url.trim());
            let known = url.starts_with("http://") || url.starts_with("https://");
            ensure!(
                !name.is_empty() && known,
                "{variable} has {part:?}: write name=http://address[,name=..]"
            );
            Ok((name.to_owned(), url.to_owned()))
        })
        .collect()
}
