//! The Functions host of a drill: encodes invocations as the real host does (contracts: AZURE.md 1.4) and carries queue
//! outputs to their function.

use anyhow::{Context, bail, ensure};
use domain::Timestamp;
use serde_json::{Value, json};
use simulator::Delivery;

/// Speaks to one handler over HTTP.
pub(super) struct Host {
    http: reqwest::Client,
    base: String,
    now: Timestamp,
    wakeups: Vec<Value>,
    /// Invocations made, for the report.
    pub(super) invocations: u64,
    /// When the handler said that it watches.
    pub(super) heartbeats: Vec<Timestamp>,
}

impl Host {
    pub(super) fn new(base: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build().context("build the host's client")?;
        Ok(Self {
            http,
            base,
            now: Timestamp::default(),
            wakeups: Vec::new(),
            invocations: 0,
            heartbeats: Vec::new(),
        })
    }

    /// Moves the invocations' clock.
    pub(super) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Moves to a handler that was started anew.
    pub(super) fn move_to(&mut self, base: String) {
        self.base = base;
    }

    /// A timer fires.
    pub(super) async fn timer(&mut self, function: &str) -> anyhow::Result<()> {
        let timer =
            json!({ "Schedule": { "AdjustForDST": true }, "ScheduleStatus": null, "IsPastDue": false });
        self.invoke(function, json!({ "timer": timer })).await
    }

    /// Something from Azure arrives.
    pub(super) async fn deliver(&mut self, delivery: &Delivery) -> anyhow::Result<()> {
        match delivery {
            Delivery::ActionGroup { body } => self.webhook("azure_monitor_alert", body).await,
            Delivery::EventGrid { body } => self.invoke("event_grid_signal", json!({ "event": body })).await,
            Delivery::EventHub { hub, messages } => {
                let function = if *hub == "front-door" { "front_door_probe" } else { "azure_monitor_stream" };
                // cardinality many with dataType string: a string that holds an array of strings.
                let batch = serde_json::to_string(messages).context("encode a batch")?;
                self.invoke(function, json!({ "events": batch })).await
            }
        }
    }

    /// New documents of a change feed.
    pub(super) async fn change_feed(&mut self, function: &str, documents: &Value) -> anyhow::Result<()> {
        self.invoke(function, json!({ "documents": documents.to_string() })).await
    }

    /// Carries the wake-ups in the queue to `evaluate`. Several at once are one: they say only "look again".
    pub(super) async fn drain_queue(&mut self) -> anyhow::Result<()> {
        let Some(last) = self.wakeups.pop() else { return Ok(()) };
        self.wakeups.clear();
        // A queue message arrives encoded twice.
        let message = Value::String(Value::String(last.to_string()).to_string());
        self.invoke("evaluate", json!({ "wakeup": message })).await
    }

    /// Reads from the operator's JSON API.
    pub(super) async fn operator(&mut self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}/api/operator/{path}", self.base);
        let request = self.http.get(url).header("x-cordon-clock", self.now.to_string());
        let response = request.send().await.context("ask the operator's API")?;
        let status = response.status();
        ensure!(status.is_success(), "the operator's API answered {status} to {path}");
        response.json().await.context("read the operator's answer")
    }

    async fn webhook(&mut self, function: &str, body: &Value) -> anyhow::Result<()> {
        let text = body.to_string();
        let call = json!({
            "Url": format!("https://cordon.azurewebsites.net/api/{function}"),
            "Method": "POST",
            "Query": {},
            "Headers": { "Content-Type": ["application/json"], "Content-Length": [text.len().to_string()] },
            "Params": {},
            "Identities": [],
            "Body": text,
        });
        self.invoke(function, json!({ "req": call })).await
    }

    async fn invoke(&mut self, function: &str, data: Value) -> anyhow::Result<()> {
        self.invocations += 1;
        let id = format!("{:08x}-0000-4000-8000-000000000000", self.invocations);
        let sys = json!({ "MethodName": function, "UtcNow": self.now.to_string(), "RandGuid": id });
        let response = self
            .http
            .post(format!("{}/{function}", self.base))
            .header("x-cordon-clock", self.now.to_string())
            .header("X-Azure-Functions-InvocationId", &id)
            .json(&json!({ "Data": data, "Metadata": { "sys": sys } }))
            .send()
            .await
            .with_context(|| format!("invoke {function}"))?;
        let status = response.status();
        let body = response.text().await.with_context(|| format!("read the reply of {function}"))?;
        if status.as_u16() == 503 {
            tracing::debug!(function, body, "asked to come back later");
            return Ok(());
        }
        ensure!(status.is_success(), "{function} answered {status}: {body}");
        let reply: Value =
            serde_json::from_str(&body).with_context(|| format!("parse the reply of {function}"))?;
        let Some(outputs) = reply.get("Outputs").and_then(Value::as_object) else {
            bail!("{function} answered without Outputs, which the host would wait on: {body}");
        };
        let lines = reply["Logs"].as_array().into_iter().flatten().filter_map(Value::as_str);
        if lines.into_iter().any(|line| line.starts_with(crate::evaluate_timer::HEARTBEAT)) {
            self.heartbeats.push(self.now);
        }
        if let Some(wakeup) = outputs.get("wakeup").filter(|wakeup| !wakeup.is_null()) {
            self.wakeups.push(wakeup.clone());
        }
        Ok(())
    }
}
