//! The stamp's health service: caches in front, ports behind.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use adapters::cosmos::CosmosCheck;
use adapters::{Clock, GateReader};
use axum::http::HeaderMap;
use domain::Timestamp;
use domain::gate::{GateAnswer, GateMemory, answer, effective_percent};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::cached::Cached;
use super::components::{CHECK_TIMEOUT, failed_hard, round, status};
use super::gate_reading::GatePlaces;
use super::{
    Component, GateReading, GateSource, GateView, LoadView, PeerView, StampConfig, UngatedView, bounded,
    peers,
};
use crate::edge::{HttpCall, HttpReply};

/// How old the gate may be: what it adds to the time a cordon takes.
const GATE_AGE_MAX: Duration = Duration::from_secs(5);

/// How old the checks, the load and the peers may be.
const CHECKS_AGE_MAX: Duration = Duration::from_secs(10);

/// The stamp's health service.
pub struct StampService {
    config: StampConfig,
    clock: Arc<dyn Clock>,
    replica: Arc<dyn GateReader>,
    write_region: Arc<dyn GateReader>,
    http: reqwest::Client,
    cosmos: Option<CosmosCheck>,
    gate: Cached<GateReading>,
    components: Cached<Arc<Vec<Component>>>,
    load: Cached<Option<LoadView>>,
    peers: Cached<Arc<Vec<PeerView>>>,
}

impl StampService {
    /// A service that has read nothing yet. `replica` is asked first, `write_region` when that does not help.
    pub fn new(
        config: StampConfig,
        clock: Arc<dyn Clock>,
        replica: Arc<dyn GateReader>,
        write_region: Arc<dyn GateReader>,
        http: reqwest::Client,
    ) -> Self {
        let memory = GateMemory::NeverRead { started_at: clock.now() };
        let reading = GateReading { memory, source: GateSource::Memory };
        Self {
            config,
            clock,
            replica,
            write_region,
            http,
            cosmos: None,
            gate: Cached::new(reading, GATE_AGE_MAX),
            components: Cached::new(Arc::default(), CHECKS_AGE_MAX),
            load: Cached::new(None, CHECKS_AGE_MAX),
            peers: Cached::new(Arc::default(), CHECKS_AGE_MAX),
        }
    }

    /// The workload's account is looked at, too, as often as the other components.
    #[must_use]
    pub fn with_cosmos(self, check: CosmosCheck) -> Self {
        Self { cosmos: Some(check), ..self }
    }

    /// Answers one request to `healthz/{view?}`.
    pub async fn respond(&self, call: &HttpCall) -> HttpReply {
        let reply = match (call.method.as_str(), call.route()) {
            ("GET" | "HEAD", "healthz") => self.gated(call).await,
            ("GET" | "HEAD", "healthz/ungated" | "healthz/peer") if !self.authorised(call) => {
                HttpReply::reason(401, "send the stamp's key in the header x-cordon-key")
            }
            // A peer that asks for the wrong view must not make us ask it back.
            ("GET" | "HEAD", "healthz/ungated") if !is_peer(call) => {
                let (view, peers) = tokio::join!(self.view(), self.peers());
                reply_with(&UngatedView { peers: Some(peers.to_vec()), ..view })
            }
            ("GET" | "HEAD", "healthz/ungated" | "healthz/peer") => reply_with(&self.view().await),
            ("GET" | "HEAD", _) => {
                HttpReply::reason(404, "the views are healthz, healthz/ungated and healthz/peer")
            }
            _ => HttpReply::reason(405, "use GET or HEAD").with_header("Allow", "GET, HEAD"),
        };
        let reply = reply.with_header("Cache-Control", "no-store");
        if call.method == "HEAD" { HttpReply { body: crate::edge::HttpBody::Empty, ..reply } } else { reply }
    }

    /// Whether a prober at this address gets a 200 now. For a sidecar that answers in another protocol.
    pub async fn admits(&self, prober: Option<IpAddr>) -> bool {
        let now = self.clock.now();
        let (gate, components) = tokio::join!(
            self.gate.latest(now, async |known| self.read_gate(known, now).await),
            self.components.latest(now, async |before| self.check(before, now).await),
        );
        let gate = answer(&gate.memory, prober, self.clock.now(), self.config.gate_boot_wait);
        gate == GateAnswer::Open && !failed_hard(&components)
    }

    /// As `admits`, from what is known, for a prober with these headers; none if something must be read first. Reading is
    /// for a task that no prober can break off: one with less patience than a read would keep the gate from ever being read.
    pub fn admits_by_memory(&self, headers: &HeaderMap) -> Option<bool> {
        let now = self.clock.now();
        let well = self.components.look(now, |components| !failed_hard(components))?;
        let single = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next().map(|value| value.to_str().unwrap_or_default());
            if values.next().is_some() { Err(Repeated) } else { Ok(value) }
        };
        let (id, address) = (single("x-azure-fdid").ok()?, single(&self.config.prober_header).ok()?);
        let prober = self.prober(id, address);
        let gate =
            self.gate.look(now, |gate| answer(&gate.memory, prober, now, self.config.gate_boot_wait))?;
        Some(gate == GateAnswer::Open && well)
    }

    async fn gated(&self, call: &HttpCall) -> HttpReply {
        let prober = self.prober(call.header("x-azure-fdid"), call.header(&self.config.prober_header));
        if self.admits(prober).await {
            HttpReply::json(200, json!({ "status": "serving" }))
        } else {
            HttpReply::json(503, json!({ "status": "withdrawn" }))
        }
    }

    async fn view(&self) -> UngatedView {
        let now = self.clock.now();
        let (gate, components, load) = tokio::join!(
            self.gate.fresh(now, async |known| self.read_gate(known, now).await),
            self.components.fresh(now, async |before| self.check(before, now).await),
            self.load.fresh(now, async |_| self.read_load().await),
        );
        UngatedView {
            stamp: self.config.stamp.clone(),
            status: status(&components),
            observed_at: now,
            components: components.to_vec(),
            load,
            gate: gate_view(&gate, now, self.config.gate_boot_wait),
            peers: None,
        }
    }

    async fn peers(&self) -> Arc<Vec<PeerView>> {
        let StampConfig { stamp, key, peers, .. } = &self.config;
        let look = async |_| Arc::new(peers::look(&self.http, stamp, key, peers, &*self.clock).await);
        self.peers.fresh(self.clock.now(), look).await
    }

    async fn read_gate(&self, known: GateReading, now: Timestamp) -> GateReading {
        let places = GatePlaces {
            stamp: &self.config.stamp,
            replica: &*self.replica,
            write_region: &*self.write_region,
            heartbeat_max: self.config.gate_heartbeat_max,
        };
        places.read(known.memory, now).await
    }

    async fn check(&self, before: Arc<Vec<Component>>, now: Timestamp) -> Arc<Vec<Component>> {
        let StampConfig { components, .. } = &self.config;
        Arc::new(round(&self.http, components, self.cosmos.as_ref(), &before, now).await)
    }

    /// The application's load. One that cannot be read is absent, not zero.
    async fn read_load(&self) -> Option<LoadView> {
        #[derive(Deserialize)]
        struct Load {
            ready_instances: u32,
            saturation: f64,
            requests_per_second: f64,
        }
        let response =
            self.http.get(self.config.load_url.as_deref()?).timeout(CHECK_TIMEOUT).send().await.ok()?;
        let text = bounded::text(response.error_for_status().ok()?).await?;
        let load: Load = serde_json::from_str(&text).ok()?;
        Some(LoadView {
            observed_at: self.clock.now(),
            ready_instances: load.ready_instances,
            saturation: load.saturation,
            requests_per_second: load.requests_per_second,
        })
    }

    /// Compares digests, so that the time it takes says nothing about how much of the key was right.
    fn authorised(&self, call: &HttpCall) -> bool {
        let Some(given) = call.header("x-cordon-key") else { return false };
        !self.config.key.is_empty() && Sha256::digest(given) == Sha256::digest(&self.config.key)
    }

    /// The prober's address, believed only from our own Front Door: anybody else could choose the slice by writing it.
    fn prober(&self, front_door_id: Option<&str>, address: Option<&str>) -> Option<IpAddr> {
        let ours = self.config.front_door_id.as_deref().filter(|id| !id.is_empty())?;
        if !front_door_id.is_some_and(|id| id.trim().eq_ignore_ascii_case(ours)) {
            return None;
        }
        parse_address(address?.split(',').next()?.trim())
    }
}

/// A header came more than once: what that means is for the one place that joins them.
struct Repeated;

/// The witness asks from its region, a person without naming one; every other vantage is a stamp.
fn is_peer(call: &HttpCall) -> bool {
    call.header("x-cordon-vantage").is_some_and(|vantage| vantage != domain::evidence::WITNESS)
}

fn reply_with(view: &UngatedView) -> HttpReply {
    HttpReply::json(200, json!(view))
}

fn gate_view(reading: &GateReading, now: Timestamp, boot_wait: Duration) -> GateView {
    let document = match &reading.memory {
        GateMemory::Read(document) => Some(document),
        GateMemory::NeverRead { .. } | GateMemory::Absent => None,
    };
    let percent = match (document, answer(&reading.memory, None, now, boot_wait)) {
        (Some(document), _) => effective_percent(document, now),
        (None, GateAnswer::Open) => 100,
        (None, GateAnswer::Closed | GateAnswer::Waiting) => 0,
    };
    GateView {
        position: document.map(|document| document.position),
        percent,
        generation: document.map(|document| document.generation),
        heartbeat_at: document.map(|document| document.heartbeat_at),
        source: reading.source,
    }
}

/// Reads an address with or without a port, as proxies write it.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_matches(['[', ']']).parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_address_in_every_form_that_proxies_write() {
        for (text, expected) in [
            ("147.243.3.9", Some("147.243.3.9")),
            ("112.134.128.105:41856", Some("112.134.128.105")),
            ("2a01:111:2050::1", Some("2a01:111:2050::1")),
            ("[2a01:111:2050::1]:443", Some("2a01:111:2050::1")),
            ("[2a01:111:2050::1]", Some("2a01:111:2050::1")),
            ("unknown", None),
        ] {
            assert_eq!(parse_address(text), expected.map(|text| text.parse().unwrap()), "{text}");
        }
    }
}
