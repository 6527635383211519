//! How many of Front Door's probes a stamp answers per second of one core, beside a bare axum route, and how many reads of
//! Cosmos DB that takes.
//!
//! `cargo run --release -p tests --bin health_bench`. Prints; judges nothing. The gate is read from Microsoft's emulator.

use std::io::Read;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use adapters::cosmos::emulator::CosmosEmulator;
use adapters::cosmos::{CosmosGates, Kind};
use adapters::{GateStore, SystemClock};
use axum::Router;
use axum::routing::get;
use cordon::edge::{App, Role, router};
use cordon::stamp::{StampConfig, StampService};
use domain::GatePosition;
use tests::bench::Server;
use tests::conformance::fixtures::{gate, workload};
use tokio::net::TcpListener;

/// What this process is to be.
const SERVER: &str = "CORDON_BENCH_SERVER";

/// Probes before the measurement.
const WARM_UP: u64 = 20_000;

/// Probes of one measurement.
const PROBES: u64 = 400_000;

/// Measurements of each; the median is printed.
const ROUNDS: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    match std::env::var(SERVER).as_deref() {
        Ok("bare") => {
            let route = async || axum::Json(serde_json::json!({ "status": "serving" }));
            serve(Router::new().route("/api/healthz", get(route))).await;
        }
        Ok(_) => stamp().await,
        Err(_) => measure().await,
    }
}

async fn measure() {
    let mut lines = Vec::new();
    for name in ["bare", "stamp"] {
        let mut rates = Vec::new();
        let mut reads = String::new();
        for _ in 0..ROUNDS {
            let own = std::env::current_exe().expect("find this executable");
            let server = Server::start(Command::new(own).env(SERVER, name));
            server.drive(WARM_UP, 200, |_| probe()).await;
            rates.push(server.drive(PROBES, 200, |_| probe()).await.per_core());
            reads = server.last_words();
        }
        rates.sort_by(f64::total_cmp);
        lines.push((name, rates[ROUNDS / 2], reads));
    }
    println!("| route | probes per second of one core | beside the bare route | Cosmos DB reads |");
    println!("| --- | --- | --- | --- |");
    for (name, rate, reads) in &lines {
        println!("| {name} | {rate:.0} | {:.0} % | {reads} |", rate / lines[0].1 * 100.0);
    }
    println!(
        "\n{} probes per round; median of {ROUNDS}; the gate is read every 5 s whatever the rate",
        WARM_UP + PROBES
    );
}

fn probe() -> Vec<u8> {
    let head = "HEAD /api/healthz HTTP/1.1\r\nhost: eastus2.contososhoes.com\r\nuser-agent: Edge Health Probe\r\n\
        x-azure-fdid: 55ce4ed1-4b06-4bf1-b40e-4638452104da\r\nx-fd-healthprobe: 1\r\nx-azure-socketip: 147.243.3.9\r\n\r\n";
    // A HEAD's answer names a length and has no body; a GET is what one client can read like any other answer.
    head.replacen("HEAD", "GET", 1).into_bytes()
}

/// The stamp's health service, with its gate in the emulator.
async fn stamp() {
    let account = CosmosEmulator::new(Default::default()).expect("the emulator starts").account();
    let gates = CosmosGates::new(account.clone(), workload());
    let mut open = gate("eastus2", 1, GatePosition::Open);
    open.heartbeat_at = adapters::Clock::now(&SystemClock);
    open.expires_at = open.heartbeat_at + Duration::from_secs(4 * 60 * 60);
    let written = gates.write(&open).await.expect("the emulator answers");
    assert!(matches!(written, adapters::GateWrite::Written(_)));
    let before = account.charges().of(Kind::Read).requests;
    let gates: Arc<dyn adapters::GateReader> = Arc::new(gates);
    let config = StampConfig {
        stamp: "eastus2".into(),
        key: "key".into(),
        front_door_id: Some("55ce4ed1-4b06-4bf1-b40e-4638452104da".into()),
        prober_header: "X-Azure-SocketIP".into(),
        components: vec![],
        load_url: None,
        peers: vec![],
        gate_boot_wait: Duration::from_secs(20),
        gate_heartbeat_max: Duration::from_secs(3 * 60 * 60),
    };
    let http = reqwest::Client::builder().no_proxy().build().expect("build a client");
    let service = StampService::new(config, Arc::new(SystemClock), Arc::clone(&gates), gates, http);
    let app = App { role: Role::Stamp(Arc::new(service)), invocation_clock: None };
    let served = serve_until_asked(router(Arc::new(app)));
    served.await;
    println!("{}", account.charges().of(Kind::Read).requests - before);
}

async fn serve(router: Router) {
    serve_until_asked(router).await;
    println!("none");
}

/// Until the input is closed.
async fn serve_until_asked(router: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    println!("{}", listener.local_addr().expect("it is bound").port());
    let asked = tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served.expect("serve"),
        _ = asked => {}
    }
}
