//! The stamps of a drill: the production health service, one per stamp, plugged into the simulated Azure; in this process, or
//! as the processes that a stamp is deployed as.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use adapters::{Clock, GateReader, ManualClock};
use async_trait::async_trait;
use domain::{Policy, StampId};
use simulator::{HealthEndpoint, HealthReply, HealthRequest, SimResourceIds};

use super::processes::{ProcessSetup, StampProcesses};
use crate::edge::{HttpBody, HttpCall};
use crate::stamp::{ComponentCheck, Peer, Reach, StampConfig, StampService};

/// The shared key of the drill's ungated views.
pub(super) const STAMP_KEY: &str = "drill";

/// Builds and holds the stamps' services. A stamp that was lost starts anew: its process remembers nothing.
pub(super) struct Stamps {
    services: Mutex<BTreeMap<StampId, Arc<StampService>>>,
    processes: Mutex<BTreeMap<StampId, Arc<StampProcesses>>>,
    setup: Mutex<Option<Arc<ProcessSetup>>>,
    clock: Arc<ManualClock>,
    http: reqwest::Client,
    parts: Mutex<Option<Parts>>,
}

/// What is known only once the simulated Azure is served.
struct Parts {
    ids: SimResourceIds,
    base: String,
    policy: Policy,
    replica: Arc<dyn GateReader>,
    write_region: Arc<dyn GateReader>,
}

impl Stamps {
    pub(super) fn new(clock: Arc<ManualClock>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            services: Mutex::default(),
            processes: Mutex::default(),
            setup: Mutex::new(None),
            clock,
            http,
            parts: Mutex::new(None),
        })
    }

    /// Says that the stamps are processes; before they are started.
    pub(super) fn run_as(&self, setup: Option<ProcessSetup>) {
        *self.setup.lock().unwrap_or_else(PoisonError::into_inner) = setup.map(Arc::new);
    }

    /// Starts every stamp.
    pub(super) async fn start(
        &self,
        ids: SimResourceIds,
        base: String,
        policy: Policy,
        replica: Arc<dyn GateReader>,
        write_region: Arc<dyn GateReader>,
    ) -> anyhow::Result<()> {
        let stamps: Vec<StampId> = ids.stamps.iter().map(|stamp| stamp.stamp.clone()).collect();
        *self.parts.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Parts { ids, base, policy, replica, write_region });
        for stamp in stamps {
            self.restart(&stamp).await?;
        }
        Ok(())
    }

    /// Starts one stamp anew.
    pub(super) async fn restart(&self, stamp: &StampId) -> anyhow::Result<()> {
        let setup = self.setup.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(setup) = setup else {
            self.restart_here(stamp);
            return Ok(());
        };
        let processes = || self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        // The old ones go first: what they know must not answer once more.
        drop(processes().remove(stamp));
        let started = StampProcesses::start(&setup, stamp, self.http.clone()).await?;
        processes().insert(stamp.clone(), Arc::new(started));
        Ok(())
    }

    fn restart_here(&self, stamp: &StampId) {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(parts) = parts.as_ref() else { return };
        let service = StampService::new(
            parts.config(stamp),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            Arc::clone(&parts.replica),
            Arc::clone(&parts.write_region),
            self.http.clone(),
        );
        self.services.lock().unwrap_or_else(PoisonError::into_inner).insert(stamp.clone(), Arc::new(service));
    }
}

impl Parts {
    fn config(&self, stamp: &StampId) -> StampConfig {
        let url = |stamp: &StampId| format!("{}/stamps/{stamp}", self.base);
        let component = |name: &str, reach| ComponentCheck {
            name: name.to_owned(),
            url: format!("{}/components/{name}", url(stamp)),
            reach,
        };
        let peers = self.ids.stamps.iter().map(|other| &other.stamp).filter(|other| *other != stamp);
        StampConfig {
            stamp: stamp.clone(),
            key: STAMP_KEY.to_owned(),
            front_door_id: Some(self.ids.front_door_id.clone()),
            prober_header: "X-Forwarded-For".to_owned(),
            components: vec![
                component("app", Reach::Local),
                component("cosmos-read", Reach::Shared),
                component("cosmos-write", Reach::Shared),
            ],
            load_url: Some(format!("{}/load", url(stamp))),
            peers: peers.map(|peer| Peer { stamp: peer.clone(), direct_url: url(peer) }).collect(),
            gate_boot_wait: self.policy.gate.boot_wait.get(),
            gate_heartbeat_max: self.policy.gate.heartbeat_max.get(),
        }
    }
}

#[async_trait]
impl HealthEndpoint for Stamps {
    async fn ask(&self, stamp: &StampId, request: HealthRequest) -> HealthReply {
        let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner).get(stamp).cloned();
        if let Some(processes) = processes {
            return processes.ask(request, &self.clock).await;
        }
        let service = self.services.lock().unwrap_or_else(PoisonError::into_inner).get(stamp).cloned();
        let Some(service) = service else { return HealthReply { status: 503, body: String::new() } };
        let path =
            request.view.as_ref().map_or_else(|| "/healthz".to_owned(), |view| format!("/healthz/{view}"));
        let mut call = HttpCall { method: request.method, path, ..HttpCall::default() };
        call.headers.extend(request.headers);
        if let Some(prober) = request.prober {
            call.headers.insert("x-forwarded-for".into(), IpAddr::to_string(&prober));
        }
        let reply = service.respond(&call).await;
        let body = match reply.body {
            HttpBody::Empty => String::new(),
            HttpBody::Json(value) => value.to_string(),
            HttpBody::Text { text, .. } => text,
        };
        HealthReply { status: reply.status, body }
    }
}
