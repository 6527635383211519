//! The handler under drill: in this process, or as a child that can be killed at any moment.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use adapters::azure::credential::IdentityEnvironment;
use adapters::embedded::EmbeddedGateReader;
use adapters::faulty::FaultSwitch;
use adapters::{GateReader, GateStore};
use anyhow::{Context, bail};
use domain::Policy;
use tokio::process::{Child, Command};

use super::stamps::STAMP_KEY;
use crate::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use crate::edge::Role;
use crate::page::{Access, Identities, OperatorPage};

/// How long a child may take until it answers `GET /`: far longer than the 50 ms it needs, for a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Where the handler runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerKind {
    /// In this process.
    InProcess,
    /// As a child process of this executable; needs the embedded store.
    Child {
        /// The `cordon` binary.
        binary: PathBuf,
    },
}

/// What the handler needs to know of its world.
pub(super) struct HandlerSetup {
    pub(super) kind: HandlerKind,
    pub(super) store: StoreKind,
    pub(super) policy: Policy,
    pub(super) azure_url: String,
    pub(super) operator_token: Option<String>,
    pub(super) ledger_faults: FaultSwitch,
    pub(super) gate_faults: FaultSwitch,
}

/// A running handler.
pub(super) struct Handler {
    setup: HandlerSetup,
    child: Option<Child>,
    starts: u32,
    /// Where it answers.
    pub(super) base: String,
    gates: Option<Arc<dyn GateStore>>,
}

impl Handler {
    pub(super) async fn start(setup: HandlerSetup) -> anyhow::Result<Self> {
        let mut handler = Self { setup, child: None, starts: 0, base: String::new(), gates: None };
        handler.run().await?;
        Ok(handler)
    }

    async fn run(&mut self) -> anyhow::Result<()> {
        self.starts += 1;
        match self.setup.kind.clone() {
            HandlerKind::InProcess => {
                let settings = ControllerSettings {
                    policies: vec![self.setup.policy.clone()],
                    store: self.setup.store.clone(),
                    clock: ClockKind::Invocation,
                    arm_base: None,
                    arm_loopback: Some(self.setup.azure_url.clone()),
                    arm_token: Some("drill".into()),
                    identity: IdentityEnvironment { identity_endpoint: None, client_id: None },
                    stamp_key: STAMP_KEY.into(),
                    instance: "drill-1".into(),
                    ledger_faults: self.setup.ledger_faults.clone(),
                    gate_faults: self.setup.gate_faults.clone(),
                };
                let app = assemble::controller(&settings, Some(Arc::new(self.page())))?;
                self.gates = match &app.role {
                    Role::Controller(app) => app.controllers.only().map(|only| Arc::clone(&only.gates)),
                    Role::Stamp(_) => None,
                };
                let (address, _server) = assemble::serve(app, 0).await?;
                self.base = format!("http://{address}");
            }
            HandlerKind::Child { binary } => self.spawn(&binary).await?,
        }
        Ok(())
    }

    /// The page, for an operator where somebody sits at it.
    fn page(&self) -> OperatorPage {
        match &self.setup.operator_token {
            None => OperatorPage::reading_only(),
            Some(token) => OperatorPage {
                access: Access {
                    identities: Identities::Development { token: token.clone() },
                    form_key: token.clone(),
                    origin: None,
                },
            },
        }
    }

    async fn spawn(&mut self, binary: &PathBuf) -> anyhow::Result<()> {
        let StoreKind::Embedded(directory) = &self.setup.store else {
            bail!("a handler as a child process needs the embedded store: use --store embedded");
        };
        std::fs::create_dir_all(directory)?;
        let policy_file = directory.join("policy.toml");
        std::fs::write(
            &policy_file,
            toml::to_string(&self.setup.policy).context("write the drill's policy")?,
        )?;
        let port = free_port()?;
        let child = Command::new(binary)
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .env("CORDON_ROLE", "controller")
            .env("CORDON_POLICY", &policy_file)
            .env("CORDON_DATA", directory)
            .env("CORDON_ARM_LOOPBACK", &self.setup.azure_url)
            .env("CORDON_ARM_TOKEN", "drill")
            .env("CORDON_CLOCK", "invocation")
            .env("CORDON_STAMP_KEY", STAMP_KEY)
            .env("CORDON_INSTANCE", format!("drill-{}", self.starts))
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        self.child = Some(child);
        self.base = format!("http://127.0.0.1:{port}");
        wait_ready(&self.base).await
    }

    /// Kills the handler without warning and starts it again, as the host does.
    pub(super) async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else {
            bail!("only a handler in a process of its own can be killed");
        };
        child.kill().await.context("kill the handler")?;
        self.run().await
    }

    /// The gates as a stamp reads them: its local replica, and the write region.
    pub(super) fn gate_readers(&self) -> (Arc<dyn GateReader>, Arc<dyn GateReader>) {
        let replica: Option<Arc<dyn GateReader>> = match &self.setup.store {
            StoreKind::Embedded(directory) => {
                let workload = &self.setup.policy.workload.name;
                Some(Arc::new(EmbeddedGateReader::new(assemble::gates_directory(directory, workload))))
            }
            _ => None,
        };
        let store = self.gates.clone().map(|gates| gates as Arc<dyn GateReader>);
        let write_region = store.clone().or_else(|| replica.clone());
        let nothing = || Arc::new(adapters::memory::MemoryGates::new()) as Arc<dyn GateReader>;
        (replica.or(store).unwrap_or_else(nothing), write_region.unwrap_or_else(nothing))
    }
}

pub(super) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

pub(super) async fn wait_ready(base: &str) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let polling = async {
        while http.get(base).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(START_LIMIT, polling).await.context("wait for the handler to answer GET /")
}
