//! A stand-in for the Functions host: starts the handler or takes a running one, encodes every trigger as the host does,
//! and is stricter than the host about the answers. What it enforces is in contracts/AZURE.md 1.3 to 1.5.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cordon::edge::{App, router};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// The host asks this often whether the handler is there.
const READY_POLL: Duration = Duration::from_millis(25);

/// The host waits this long for the first answer (`initializationTimeout`).
const READY_POLLS_MAX: u32 = 30 * 40;

/// An invocation may take this long; the host would kill the handler at `functionTimeout`.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What went wrong between host and handler, in words for the reader of a failed test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach(pub String);

/// A reply that kept every rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoked {
    /// `Outputs`.
    pub outputs: Map<String, Value>,
    /// `Logs`.
    pub logs: Vec<String>,
}

impl Invoked {
    /// The status of the output `res`.
    pub fn http_status(&self) -> Option<u64> {
        self.outputs.get("res")?.get("statusCode")?.as_u64()
    }

    /// The body of the output `res`.
    pub fn http_body(&self) -> Option<&Value> {
        self.outputs.get("res")?.get("body")
    }
}

/// The host, as one handler sees it.
pub struct HostDouble {
    base: String,
    http: reqwest::Client,
    invocations: AtomicU64,
    clock: Option<String>,
    child: Option<Child>,
}

impl HostDouble {
    /// Serves an app of this process on loopback.
    ///
    /// # Errors
    /// When no port can be bound or the router does not answer.
    pub async fn in_process(app: Arc<App>) -> Result<Self, Breach> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken("bind a port on loopback"))?;
        let port = listener.local_addr().map_err(broken("read the bound port"))?.port();
        tokio::spawn(async move { axum::serve(listener, router(app)).await });
        Self::attach(port, None).await
    }

    /// Starts the real binary as the host does.
    ///
    /// # Errors
    /// When it cannot be started, exits, or does not answer in time.
    pub async fn start(
        binary: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, Breach> {
        // Bound and let go again: the host, too, picks a free port and hopes.
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken("find a free port"))?;
            listener.local_addr().map_err(broken("read the free port"))?.port()
        };
        let child = Command::new(binary)
            .args(arguments)
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .env("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", "double")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .map_err(broken("start the handler"))?;
        Self::attach(port, Some(child)).await
    }

    /// Invocations carry this time from now on (`clock = invocation`).
    pub fn set_clock(&mut self, rfc3339: &str) {
        self.clock = Some(rfc3339.to_owned());
    }

    /// Where the handler listens: `http://127.0.0.1:<port>`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A timer tick.
    ///
    /// # Errors
    /// When the handler fails or breaks a rule.
    pub async fn timer(&self, function: &str) -> Result<Invoked, Breach> {
        let timer = json!({"Schedule": {"AdjustForDST": true}, "ScheduleStatus": null, "IsPastDue": false});
        self.invoke(function, "timer", timer).await
    }

    /// A queue message: JSON inside a JSON string inside a JSON string.
    ///
    /// # Errors
    /// As `timer`.
    pub async fn queue(&self, function: &str, binding: &str, message: &Value) -> Result<Invoked, Breach> {
        let once = Value::String(message.to_string()).to_string();
        self.invoke(function, binding, Value::String(once)).await
    }

    /// An Event Hub batch with `dataType: string`: a string that holds an array of strings.
    ///
    /// # Errors
    /// As `timer`.
    pub async fn event_hub(&self, function: &str, messages: &[String]) -> Result<Invoked, Breach> {
        self.invoke(function, "events", Value::String(json!(messages).to_string())).await
    }

    /// An Event Grid event: a real object.
    ///
    /// # Errors
    /// As `timer`.
    pub async fn event_grid(&self, function: &str, event: Value) -> Result<Invoked, Breach> {
        self.invoke(function, "event", event).await
    }

    /// A page of the change feed: a string that holds an array of documents.
    ///
    /// # Errors
    /// As `timer`.
    pub async fn change_feed(&self, function: &str, documents: &[Value]) -> Result<Invoked, Breach> {
        self.invoke(function, "documents", Value::String(json!(documents).to_string())).await
    }

    /// An HTTP request in envelope mode. The body is dropped when it is empty, as the host does without a
    /// Content-Length.
    ///
    /// # Errors
    /// As `timer`; and when there is no output `res`.
    pub async fn http(
        &self,
        function: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Invoked, Breach> {
        let fields: Map<String, Value> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
        let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let query: Map<String, Value> = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), json!(value)))
            .collect();
        let mut request = json!({
            "Url": format!("https://cordon.azurewebsites.net{path}"),
            "Method": method,
            "Query": query,
            "Headers": fields,
            "Params": {},
            "Identities": [],
        });
        if !body.is_empty() {
            request["Body"] = json!(body);
        }
        let invoked = self.invoke(function, "req", request).await?;
        match invoked.http_status() {
            Some(100..600) => Ok(invoked),
            _ => Err(Breach(format!("{function} answered an HTTP request without res.statusCode"))),
        }
    }

    /// Posts an envelope and holds the reply against every rule.
    ///
    /// # Errors
    /// When the handler fails or breaks a rule.
    pub async fn invoke(&self, function: &str, binding: &str, value: Value) -> Result<Invoked, Breach> {
        let number = self.invocations.fetch_add(1, Ordering::SeqCst);
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let envelope = json!({
            "Data": { binding: value },
            "Metadata": {
                "sys": {"MethodName": function, "UtcNow": "2026-03-10T09:00:00Z", "RandGuid": id},
                // What the host copies out of a message cannot be told from what it writes itself.
                "Id": "\"metadata is not to be trusted\"",
                "DequeueCount": "1",
            },
        });
        let mut request = self
            .http
            .post(format!("{}/{function}", self.base))
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", "Azure-Functions-Host/4.1037.0.0")
            .header("x-azure-functions-invocationid", &id)
            .header("x-azure-functions-hostversion", "4.1037.0.0")
            .timeout(INVOCATION_TIMEOUT);
        if let Some(clock) = &self.clock {
            request = request.header("x-cordon-clock", clock);
        }
        let response =
            request.body(envelope.to_string()).send().await.map_err(broken("reach the handler"))?;
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let kind = kind.to_owned();
        let body = response.text().await.map_err(broken("read the reply"))?;
        check(function, status, &kind, &body)
    }

    /// A request as the host forwards it when proxying is on.
    ///
    /// # Errors
    /// When the handler cannot be reached.
    pub async fn forward(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<(u16, String), Breach> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(broken("read the method"))?;
        let mut request = self.http.request(method, format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(clock) = &self.clock {
            request = request.header("x-cordon-clock", clock);
        }
        let response =
            request.timeout(INVOCATION_TIMEOUT).send().await.map_err(broken("reach the handler"))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(broken("read the answer"))?))
    }

    /// Kills the handler without a warning, as the host does at a time-out (kill -9).
    ///
    /// # Errors
    /// When there is no child process, or it cannot be killed.
    pub fn kill(&mut self) -> Result<(), Breach> {
        let Some(mut child) = self.child.take() else {
            return Err(Breach("there is no child process to kill: this handler runs in the test".into()));
        };
        child.kill().map_err(broken("kill the handler"))?;
        child.wait().map_err(broken("wait for the killed handler"))?;
        Ok(())
    }

    async fn attach(port: u16, child: Option<Child>) -> Result<Self, Breach> {
        // No proxy: an environment that sets one must not reroute loopback.
        let http = reqwest::Client::builder().no_proxy().build().map_err(broken("build an HTTP client"))?;
        let base = format!("http://127.0.0.1:{port}");
        let mut host = Self { base, http, invocations: AtomicU64::new(0), clock: None, child };
        let mut ticks = tokio::time::interval(READY_POLL);
        for _ in 0..READY_POLLS_MAX {
            ticks.tick().await;
            if let Some(child) = &mut host.child
                && let Some(status) = child.try_wait().map_err(broken("look after the handler"))?
            {
                return Err(Breach(format!("the handler ended before it answered: {status}")));
            }
            if host.http.get(format!("{}/", host.base)).send().await.is_ok() {
                return Ok(host);
            }
        }
        Err(Breach("the handler did not answer GET / within 30 s".into()))
    }
}

impl Drop for HostDouble {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // The test is over either way; a handler that is gone already is no error.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The built `cordon` beside the running test.
///
/// # Errors
/// When it is not there; the message says how to build it. Tests do not build it: they would test what they just made.
pub fn binary() -> Result<PathBuf, Breach> {
    match std::env::var_os("CARGO_BIN_EXE_cordon").or_else(|| std::env::var_os("CORDON_BINARY")) {
        Some(path) => Ok(PathBuf::from(path)),
        None => built("cordon"),
    }
}

/// A built program beside the running test: `target/<profile>/NAME`.
///
/// # Errors
/// As `binary`.
pub fn built(name: &str) -> Result<PathBuf, Breach> {
    let test = std::env::current_exe().map_err(broken("find the running test"))?;
    // target/<profile>/deps/<test>
    let profile = test.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let path = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() {
        Ok(path)
    } else {
        Err(Breach(format!("there is no {}; run `cargo build -p {name}` first", path.display())))
    }
}

/// Every rule that a reply must keep.
///
/// # Errors
/// The first rule that is broken, and what the host would do.
pub fn check(function: &str, status: u16, content_type: &str, body: &str) -> Result<Invoked, Breach> {
    let breach = |rule: &str| Err(Breach(format!("{function}: {rule} (status {status}, body {body:?})")));
    if !(200..300).contains(&status) {
        return breach("not 2xx: the host fails the invocation");
    }
    if !content_type.to_ascii_lowercase().starts_with("application/json") {
        return breach("not application/json: the host refuses the reply");
    }
    if body.trim().is_empty() {
        return breach("an empty body: the host would wait until its time-out and kill the handler");
    }
    let Ok(Value::Object(reply)) = serde_json::from_str::<Value>(body) else {
        return breach("not a JSON object: the host would wait until its time-out and kill the handler");
    };
    let names: Vec<&str> = reply.keys().map(String::as_str).collect();
    if names != ["Logs", "Outputs", "ReturnValue"] {
        return breach("not exactly Outputs, Logs and ReturnValue");
    }
    let (Some(outputs), Some(logs)) = (reply["Outputs"].as_object(), reply["Logs"].as_array()) else {
        return breach("Outputs is no object, or Logs is no array");
    };
    if outputs.values().any(|output| !output.is_object()) {
        return breach("an output is no object: the host base64-decodes strings that look like it");
    }
    let lines: Option<Vec<String>> = logs.iter().map(|line| line.as_str().map(str::to_owned)).collect();
    match lines {
        Some(logs) => Ok(Invoked { outputs: outputs.clone(), logs }),
        None => breach("a log line is no string"),
    }
}

fn broken<E: std::fmt::Display>(doing: &'static str) -> impl FnOnce(E) -> Breach {
    move |error| Breach(format!("failed to {doing}: {error}"))
}
