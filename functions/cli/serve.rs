//! The processes: the host's handler, `cordon serve`, `cordon stamp-health`.

use std::convert::Infallible;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::{Clock, ManualClock, SystemClock};
use anyhow::{Context, anyhow};
use clap::Args;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::settings::{
    RoleKind, StampSettings, access, callers, controller_settings, controller_with, fresh_token, host_port,
    role, secrets, stamp_settings, telemetry,
};
use super::{Environment, Exit, policy_file, spool};
use crate::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use crate::edge::{App, Page, Role, router};
use crate::local;
use crate::page::{Access, Identities, OperatorPage};
use crate::stamp::StampService;
use crate::telemetry::Telemetry;

/// What is logged unless `RUST_LOG` says otherwise: the Azure client logs each request and response at info.
const LOG_DEFAULT: &str = "info,typespec_client_core=warn";

/// The host's own local port is 7071, so people look there.
const SERVE_PORT: u16 = 7071;

/// Beside it, for a stamp on the same machine.
const STAMP_PORT: u16 = 7072;

/// Beside the stores: the token of the process that runs on them.
pub(super) const TOKEN_FILE: &str = "operator-token";

/// Arguments of `cordon serve`.
#[derive(Args)]
pub(super) struct ServeArgs {
    /// The policy file, or a directory with one for each workload
    #[arg(long, default_value = "policy.toml")]
    policy: PathBuf,
    /// The directory of the ledger, the gates and the audit
    #[arg(long)]
    data: PathBuf,
    /// The port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = SERVE_PORT)]
    port: u16,
}

/// Arguments of `cordon stamp-health`.
#[derive(Args)]
pub(super) struct StampHealthArgs {
    /// The port; 0 picks a free one
    #[arg(long, default_value_t = STAMP_PORT)]
    port: u16,
    /// The address to listen on: 0.0.0.0 for a sidecar that the ingress calls
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
}

/// The custom handler. Everything is read and checked before the port is bound; the host waits for that port.
///
/// # Errors
/// Always: a handler that ends has failed, whatever the reason.
pub(super) async fn handler(environment: &Environment) -> anyhow::Result<Infallible> {
    let telemetry = log_json(environment)?;
    let port = host_port(environment)?;
    let served = match role(environment)? {
        RoleKind::Controller => {
            let settings = controller_settings(environment)?;
            let (app, data) = controller_app(&settings, access(environment)?, environment)?;
            let served = assemble::serve(Arc::clone(&app), port).await?;
            // With the stores in Cosmos DB, too: it is where the command line places its orders.
            if let Some(data) = data.or_else(|| environment.get("CORDON_DATA").map(PathBuf::from)) {
                tokio::spawn(spool::watch(app, data));
            }
            served
        }
        RoleKind::Stamp => assemble::serve(stamp_app(stamp_settings(environment)?)?, port).await?,
    };
    let (address, server) = served;
    tracing::info!(http.address = %address, "the handler listens");
    let ended = tokio::select! {
        ended = server => match ended.context("run the server")?.context("serve") {
            Ok(()) => anyhow!("the server ended by itself"),
            Err(error) => error,
        },
        // The host kills without a word; a container's platform asks first.
        () = asked_to_stop() => anyhow!("asked to stop"),
    };
    end(telemetry).await;
    Err(ended)
}

/// The handler and its own host, until Ctrl-C.
pub(super) async fn serve(
    args: &ServeArgs,
    environment: &Environment,
    err: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let telemetry = log_json(environment)?;
    let policies = policy_file::read_all(&args.policy)?;
    let settings = controller_with(environment, policies, StoreKind::Embedded(args.data.clone()))?;
    let token = fresh_token()?;
    let access = Access {
        identities: Identities::Development { token: token.clone() },
        form_key: token.clone(),
        origin: None,
    };
    let (app, _) = controller_app(&settings, access, environment)?;
    keep_token(&args.data, &token)?;
    let (address, server) = assemble::serve(Arc::clone(&app), args.port).await?;
    writeln!(err, "cordon: the page is at http://{address}/api/operator/status; stop with Ctrl-C")?;
    writeln!(
        err,
        "cordon: to give orders there, sign in at http://{address}/api/operator/sign-in?token={token}"
    )?;
    let scheduler = local::run(Arc::clone(&app), address, Some(args.data.clone()));
    let ended = tokio::select! {
        ended = server => Err(anyhow!("the server ended: {ended:?}")),
        ended = scheduler => Err(anyhow!("the local scheduler ended: {ended:?}")),
        () = spool::watch(app, args.data.clone()) => Err(anyhow!("the watch over the orders ended")),
        () = asked_to_stop() => Ok(Exit::Done),
    };
    end(telemetry).await;
    ended
}

/// The stamp's health service, until it is asked to stop.
pub(super) async fn stamp_health(
    args: &StampHealthArgs,
    environment: &Environment,
    err: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let telemetry = log_json(environment)?;
    let app = stamp_app(stamp_settings(environment)?)?;
    let address = SocketAddr::new(args.listen, args.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}; give another --port if this one is taken"))?;
    let address = listener.local_addr().context("read the bound address")?;
    writeln!(err, "cordon: the stamp's health is at http://{address}/healthz")?;
    let ended = tokio::select! {
        ended = async { axum::serve(listener, router(app)).await } => Err(anyhow!("the server ended: {ended:?}")),
        () = asked_to_stop() => Ok(Exit::Done),
    };
    end(telemetry).await;
    ended
}

/// For the command line of the same user: who may read the data directory may give orders anyway.
fn keep_token(data: &Path, token: &str) -> anyhow::Result<()> {
    let file = data.join(TOKEN_FILE);
    std::fs::write(&file, token).with_context(|| assemble::not_writable("the operator's token", data))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))
            .with_context(|| format!("keep {} to its owner", file.display()))?;
    }
    Ok(())
}

fn controller_app(
    settings: &ControllerSettings,
    access: Access,
    environment: &Environment,
) -> anyhow::Result<(Arc<App>, Option<PathBuf>)> {
    let data = match &settings.store {
        StoreKind::Embedded(directory) => Some(directory.clone()),
        _ => None,
    };
    let (callers, secrets) = (callers(environment)?, secrets(environment, &settings.policies)?);
    let page = Some(Arc::new(OperatorPage { access }) as Arc<dyn Page>);
    let app = assemble::guarded_controller(settings, page, callers, secrets)?;
    Ok((app, data))
}

fn stamp_app(settings: StampSettings) -> anyhow::Result<Arc<App>> {
    let (clock, invocation_clock): (Arc<dyn Clock>, _) = match settings.clock {
        ClockKind::System => (Arc::new(SystemClock), None),
        ClockKind::Invocation => {
            let manual = Arc::new(ManualClock::default());
            (Arc::clone(&manual) as Arc<dyn Clock>, Some(manual))
        }
    };
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("build the HTTP client")?;
    let (replica, write_region) = assemble::gate_readers(&settings.gates)?;
    let cosmos = settings.cosmos.map(|checked| assemble::cosmos_check(&checked, &settings.config.stamp));
    let cosmos = cosmos.transpose()?;
    let mut service = StampService::new(settings.config, clock, replica, write_region, http);
    if let Some(check) = cosmos {
        service = service.with_cosmos(check);
    }
    Ok(Arc::new(App { role: Role::Stamp(Arc::new(service)), invocation_clock }))
}

async fn end(telemetry: Option<Telemetry>) {
    if let Some(telemetry) = telemetry {
        telemetry.end().await;
    }
}

/// JSON lines on stdout, which the host and every log collector read; and to a collector of OpenTelemetry, where one is named.
/// A second call changes nothing.
fn log_json(environment: &Environment) -> anyhow::Result<Option<Telemetry>> {
    let filter = environment.get("RUST_LOG").unwrap_or(LOG_DEFAULT);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("RUST_LOG is {filter:?}: correct it"))?;
    let telemetry = match telemetry(environment)? {
        Some(settings) => {
            let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
            Some(Telemetry::start(&settings, http)?)
        }
        None => None,
    };
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).with_filter(filter);
    let layers = tracing_subscriber::registry().with(lines);
    let _ = layers.with(telemetry.as_ref().map(Telemetry::layer)).try_init();
    Ok(telemetry)
}

/// Ctrl-C, or SIGTERM, which a container's first process ignores unless it listens.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
