//! A stamp of a drill as it is deployed: the reference application on its port, and behind it `cordon stamp-health` on
//! loopback, two processes. What they depend on is the simulated Azure.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use adapters::{Clock, ManualClock};
use anyhow::Context;
use domain::StampId;
use simulator::{HealthReply, HealthRequest, SimResourceIds};
use tokio::process::{Child, Command};

use super::handler::{free_port, wait_ready};
use super::stamps::STAMP_KEY;

/// What brings the invocations' time to a process that was started for a drill.
const CLOCK: &str = "x-cordon-clock";

/// The header in which the ingress writes the prober's address, as the templates set it up.
const PROBER: &str = "x-azure-socketip";

/// The programs that a stamp consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampPrograms {
    /// `cordon`, for `stamp-health`.
    pub cordon: PathBuf,
    /// The reference application of `infra/application`.
    pub application: PathBuf,
}

/// What every stamp's processes are told.
pub(super) struct ProcessSetup {
    pub(super) programs: StampPrograms,
    /// The policy's file.
    pub(super) policy: PathBuf,
    /// The directory of the gate documents.
    pub(super) gates: PathBuf,
    /// Where the simulated Azure is.
    pub(super) azure: String,
    pub(super) ids: SimResourceIds,
}

/// One stamp. Both processes go with the value.
pub(super) struct StampProcesses {
    url: String,
    http: reqwest::Client,
    _application: Child,
    _health: Child,
}

impl StampProcesses {
    /// Starts both and waits until they answer.
    pub(super) async fn start(
        setup: &ProcessSetup,
        stamp: &StampId,
        http: reqwest::Client,
    ) -> anyhow::Result<Self> {
        let (health_port, application_port) = (free_port()?, free_port()?);
        let url = format!("http://127.0.0.1:{application_port}");
        let below = format!("{}/stamps/{stamp}", setup.azure);
        let component = |name: &str| format!("{name}={url}/internal/health/{name}");
        let peers = setup.ids.stamps.iter().map(|other| &other.stamp);
        let peers = peers.map(|peer| format!("{peer}={}/stamps/{peer}", setup.azure)).collect::<Vec<_>>();
        let health = quiet(&setup.programs.cordon)
            .args(["stamp-health", "--port", &health_port.to_string()])
            .env("CORDON_ROLE", "stamp")
            .env("CORDON_POLICY", &setup.policy)
            .env("CORDON_STAMP", stamp.as_str())
            .env("CORDON_STAMP_KEY", STAMP_KEY)
            .env("CORDON_GATES_DIR", &setup.gates)
            .env("CORDON_CLOCK", "invocation")
            .env("CORDON_COMPONENTS", ["app", "cosmos-read", "cosmos-write"].map(component).join(","))
            .env("CORDON_LOAD_URL", format!("{below}/load"))
            .env("CORDON_PEERS", peers.join(","))
            .env("CORDON_FRONT_DOOR_ID", &setup.ids.front_door_id)
            .env("RUST_LOG", "error")
            .spawn()
            .with_context(|| format!("start {} stamp-health", setup.programs.cordon.display()))?;
        let dependency = |name: &str| format!("{name}={below}/components/{name}");
        let application = quiet(&setup.programs.application)
            .env("PORT", application_port.to_string())
            .env("HEALTH_URL", format!("http://127.0.0.1:{health_port}/healthz"))
            .env("HEALTH_HEADERS", CLOCK)
            .env("COMPONENTS", ["cosmos-read", "cosmos-write"].map(dependency).join(","))
            .spawn()
            .with_context(|| format!("start {}", setup.programs.application.display()))?;
        wait_ready(&format!("http://127.0.0.1:{health_port}")).await?;
        wait_ready(&url).await?;
        Ok(Self { url, http, _application: application, _health: health })
    }

    /// Asks the application as its ingress would.
    pub(super) async fn ask(&self, request: HealthRequest, clock: &ManualClock) -> HealthReply {
        let view = request.view.as_ref().map_or_else(String::new, |view| format!("/{view}"));
        let method = if request.method == "HEAD" { reqwest::Method::HEAD } else { reqwest::Method::GET };
        let mut call = self.http.request(method, format!("{}/healthz{view}", self.url));
        call = call.header(CLOCK, clock.now().to_string());
        // What belongs to the connection is the ingress's own, and so is where a request came from.
        let ours = |name: &str| name.starts_with("x-") && name != "x-forwarded-for" && name != PROBER;
        for (name, value) in request.headers.iter().filter(|(name, _)| ours(name) && name != CLOCK) {
            call = call.header(name, value);
        }
        if let Some(prober) = request.prober {
            call = call.header(PROBER, prober.to_string());
        }
        let answered = async {
            let response = call.send().await.ok()?;
            let status = response.status().as_u16();
            Some(HealthReply { status, body: response.text().await.ok()? })
        };
        answered.await.unwrap_or_else(|| HealthReply { status: 502, body: String::new() })
    }
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}
