//! Load over loopback for the benchmarks, and what it cost the server: processor time, which does not mind what else runs
//! on the machine.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections side by side, kept open: enough that the server is never idle.
const CONNECTIONS: u64 = 16;

/// Kernel ticks of a second, on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A server in a process of its own, which printed its port.
pub struct Server {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Answers with the expected status.
    pub requests: u64,
    /// Processor time of the server, all threads, user and kernel, s.
    pub cpu_s: f64,
}

impl Run {
    /// Requests per second of one core.
    pub fn per_core(&self) -> f64 {
        f64::from(u32::try_from(self.requests).unwrap_or(u32::MAX)) / self.cpu_s.max(1e-9)
    }
}

impl Server {
    /// Starts a program that prints its port in its first line.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().expect("start the server");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("read its port");
        let port: u16 = line.trim().parse().expect("its first line is its port");
        Self { child, output, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// Sends `count` requests, each made from its number, and expects `status` of each.
    ///
    /// # Panics
    /// When an answer is another.
    pub async fn drive(
        &self,
        count: u64,
        status: u16,
        request: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
    ) -> Run {
        let (next, request) = (Arc::new(AtomicU64::new(0)), Arc::new(request));
        let before = cpu_seconds(self.child.id());
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let (next, request, address) = (Arc::clone(&next), Arc::clone(&request), self.address);
            clients.push(tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("connect");
                stream.set_nodelay(true).expect("set an option of the socket");
                let mut done = 0;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return done;
                    }
                    stream.write_all(&request(number)).await.expect("send");
                    assert_eq!(answer(&mut stream).await, status, "request {number}");
                    done += 1;
                }
            }));
        }
        let mut requests = 0;
        for client in clients {
            requests += client.await.expect("a client goes on to its end");
        }
        Run { requests, cpu_s: cpu_seconds(self.child.id()) - before }
    }

    /// Asks the server to end, by closing its input, and reads what it says last.
    ///
    /// # Panics
    /// When it says nothing.
    pub fn last_words(mut self) -> String {
        drop(self.child.stdin.take());
        let mut line = String::new();
        self.output.read_line(&mut line).expect("read its last line");
        line.trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request with a body, as the host sends it.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads one answer to its end and returns its status.
async fn answer(stream: &mut TcpStream) -> u16 {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let read = stream.read_buf(&mut bytes).await.expect("read");
        assert!(read > 0 && bytes.len() <= ANSWER_BYTES_MAX, "the server hung up, or talks without end");
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&bytes[..head]).expect("a head is text").to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
        if bytes.len() >= head + 4 + length {
            return text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        }
    }
}

/// User and kernel time of a process, all of its threads; 0 where there is no /proc.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in brackets, may contain blanks.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}
