//! How fast the handler is ready and how much it holds when idle, beside a bare axum server built the same way.
//!
//! `cargo build --release -p cordon && cargo run --release -p tests --bin idle`. Prints; judges nothing.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;

/// Starts per program; the median is printed.
const STARTS: usize = 9;
/// Between two looks at the port, as the Functions host does it every 25 ms; finer, to see more.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A program that does not answer by then is not going to.
const LIMIT: Duration = Duration::from_secs(20);
/// Idle time before the memory is read.
const REST: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    if let Ok(port) = std::env::var("BARE_PORT") {
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("bind");
        axum::serve(listener, Router::new().route("/", get(async || "ready"))).await.expect("serve");
        return;
    }
    let own = std::env::current_exe().expect("find this executable");
    let cordon = own.with_file_name("cordon");
    let data = std::env::temp_dir().join(format!("cordon-idle-{}", std::process::id()));
    println!("| program | ready after (median of {STARTS}) | resident when idle |\n| --- | --- | --- |");
    for (name, program) in [("bare axum", &own), ("cordon handler", &cordon)] {
        let mut ready: Vec<Duration> = Vec::new();
        let mut resident = 0;
        for _ in 0..STARTS {
            let (mut child, took) = start(program, &data).await;
            ready.push(took);
            if ready.len() == STARTS {
                tokio::time::sleep(REST).await;
                resident = resident_kib(child.id());
            }
            child.kill().expect("end the program");
            child.wait().expect("wait for the program");
        }
        ready.sort();
        println!(
            "| {name} | {:.1} ms | {:.1} MiB |",
            ready[STARTS / 2].as_secs_f64() * 1e3,
            f64::from(resident) / 1024.0
        );
    }
    let _ = std::fs::remove_dir_all(data);
}

async fn start(program: &std::path::Path, data: &std::path::Path) -> (Child, Duration) {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("find a free port").port();
    let http = reqwest::Client::builder().no_proxy().build().expect("build a client");
    let begun = Instant::now();
    let child = Command::new(program)
        .env("BARE_PORT", port.to_string())
        .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
        .env("CORDON_ROLE", "controller")
        .env("CORDON_POLICY", concat!(env!("CARGO_MANIFEST_DIR"), "/../policy.toml"))
        .env("CORDON_DATA", data)
        .env("CORDON_ARM_LOOPBACK", "http://127.0.0.1:9")
        .env("CORDON_ARM_TOKEN", "none")
        .env("CORDON_STAMP_KEY", "none")
        .stdout(Stdio::null())
        .spawn()
        .expect("start the program; build it first");
    while http.get(format!("http://127.0.0.1:{port}/")).send().await.is_err() {
        assert!(begun.elapsed() < LIMIT, "the program does not answer");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    (child, begun.elapsed())
}

/// Resident memory by the kernel's count, in KiB; 0 where there is no /proc.
fn resident_kib(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
