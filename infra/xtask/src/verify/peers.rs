//! Components that this project did not write, against its own: each stage builds our side, starts theirs, and compares.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::node::{Peers, source};
use crate::Failure;
use crate::repository::{cargo, run, target};
use crate::stages::Outcome;

/// How long a server may take to answer.
const SERVER_START: Duration = Duration::from_secs(30);

/// Our ARM client against Microsoft's server for the tests of generated clients: long-running operations, paging, retries.
pub(super) fn arm_client() -> Result<Outcome, Failure> {
    let Some(peers) = Peers::installed()? else { return Ok(Outcome::NotRun) };
    let port = free_port()?;
    let mut server = Command::new("node");
    server.arg(peers.file("@microsoft.azure/autorest.testserver/dist/cli/cli.js"));
    let _server = Server::start(server.args(["run", "--port", &port.to_string()]), port)?;
    let address = format!("http://localhost:{port}");
    run(&mut ours("arm_peer", &[&address])).map(|()| Outcome::Passed)
}

/// Every exchange of every drill against Microsoft's specifications, by Microsoft's validator.
pub(super) fn arm_exchanges() -> Result<Outcome, Failure> {
    let Some(peers) = Peers::installed()? else { return Ok(Outcome::NotRun) };
    // What an earlier build said proves nothing about this one.
    let folder = exchanges();
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("empty {}: {error}", folder.display()))?;
    }
    record_exchanges()?;
    peers.run(node("oav.mjs").arg(&folder)).map(|()| Outcome::Passed)
}

/// Where the exchanges of all drills are.
pub(super) fn exchanges() -> PathBuf {
    target().join("verify/exchanges")
}

/// Plays all drills and records them.
pub(super) fn record_exchanges() -> Result<(), Failure> {
    run(&mut ours("exchanges", &[&text(&exchanges())]))
}

/// Microsoft's JavaScript client of Cosmos DB reads an audit that we wrote, and works out its chain.
pub(super) fn audit_reader() -> Result<Outcome, Failure> {
    let Some(peers) = Peers::installed()? else { return Ok(Outcome::NotRun) };
    let script = text(&source("cosmos-audit.mjs"));
    peers.run(&mut ours("audit_peer", &["node", &script])).map(|()| Outcome::Passed)
}

/// Microsoft's publisher of Event Grid and the CloudEvents project's library post to our endpoints.
pub(super) fn event_publishers() -> Result<Outcome, Failure> {
    let Some(peers) = Peers::installed()? else { return Ok(Outcome::NotRun) };
    let script = text(&source("events.mjs"));
    peers.run(&mut ours("event_peer", &["node", &script])).map(|()| Outcome::Passed)
}

/// Tokens that another tool minted, each with its known answer.
pub(super) fn known_tokens() -> Result<Outcome, Failure> {
    let arguments =
        ["test", "--quiet", "-p", "tests", "--test", "callers", "--", "--nocapture", "--test-threads", "1"];
    run(&mut cargo(&arguments)).map(|()| Outcome::Passed)
}

/// An emulator of Cosmos DB by somebody else, for what it supports.
pub(super) fn second_cosmos() -> Result<Outcome, Failure> {
    let Some(peers) = Peers::installed()? else { return Ok(Outcome::NotRun) };
    let port = free_port()?;
    let mut server = Command::new("node");
    server.arg(peers.file("@vercel/cosmosdb-server/lib/cli.js"));
    let port_text = port.to_string();
    let _server = Server::start(server.args(["-p", &port_text, "--host", "127.0.0.1", "--no-ssl"]), port)?;
    let mut ours = ours("cosmos_peer", &[&format!("http://127.0.0.1:{port}")]);
    // What the service knows and this server does not: HTTP/2 with binary JSON, the metadata of a machine in Azure.
    ours.env("AZURE_COSMOS_CONNECTION_POOL_IS_HTTP2_ALLOWED", "false");
    ours.env("AZURE_COSMOS_BINARY_ENCODING_ENABLED", "false").env("COSMOS_DISABLE_IMDS", "1");
    run(&mut ours).map(|()| Outcome::Passed)
}

/// One of our programs, built and run.
pub(super) fn ours(binary: &str, arguments: &[&str]) -> Command {
    let mut command = cargo(&["run", "--quiet", "-p", "tests", "--bin", binary, "--"]);
    command.args(arguments);
    command
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(source(script));
    command
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("find a free port: {error}"))
}

/// A server that runs until it is dropped.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, port: u16) -> Result<Self, Failure> {
        // One of them writes reports of its own into the folder that it runs in.
        command.current_dir(target().join("verify")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server =
            Self(command.spawn().map_err(|error| format!("start a server of the peers: {error}"))?);
        let until = Instant::now() + SERVER_START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Ok(Some(status)) = server.0.try_wait() {
                return Err(format!("a server of the peers ended by itself: {status}"));
            }
            if Instant::now() > until {
                return Err(format!(
                    "a server of the peers did not answer within {} s",
                    SERVER_START.as_secs()
                ));
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
