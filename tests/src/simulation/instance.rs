//! One instance of the controller: the production functions over simulated ports, polled by hand, so that it can be
//! dropped or left standing at any await.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use adapters::ManualClock;
use adapters::azure::arm::{ArmClient, ArmEndpoint};
use adapters::azure::credential::StaticCredential;
use adapters::memory::{MemoryAudit, MemoryEpoch, MemoryGates, MemoryLedger};
use cordon::controller::{
    Azure, Cadence, Controller, ControllerError, DirectClient, Evaluation, GatesRead, evaluate,
};
use domain::{Policy, Timestamp};

use super::hub::{Directive, Hub};
use super::ports::{SimGates, SimLedger, SimWire, Way};

type Invocation = Pin<Box<dyn Future<Output = Result<Evaluation, ControllerError>> + Send>>;

/// What an instance does.
enum Doing {
    Nothing,
    Working(Invocation),
    Standing(Invocation),
    Dead,
}

/// What came of polling an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// It finished, well or not.
    Finished,
    /// It died at a port.
    Died,
    /// It stands still for so many seconds.
    Stands(u64),
    /// It waits for something that nobody simulates.
    Stuck,
}

/// One instance.
pub struct Instance {
    controller: Arc<Controller>,
    clock: Arc<ManualClock>,
    doing: Doing,
}

impl Instance {
    /// Instance number `number` of a world.
    ///
    /// # Panics
    /// Never: the address of the public cloud is one.
    pub fn new(
        number: usize,
        hub: &Arc<Hub>,
        policy: &Policy,
        ledger: &MemoryLedger,
        gates: &MemoryGates,
        epoch: &MemoryEpoch,
    ) -> Self {
        let way = Way::new(hub.clone(), number);
        let endpoint = ArmEndpoint::public_cloud().expect("the public cloud has an address");
        let wire = Arc::new(SimWire { way: way.clone() });
        // The quick retries sleep on a timer of the runtime, which is not simulated; the ledger's patience is.
        let arm =
            ArmClient::new(endpoint, Arc::new(StaticCredential::new("simulated")), wire).without_retries();
        let clock = Arc::new(ManualClock::default());
        let controller = Controller {
            policy: policy.clone(),
            clock: clock.clone(),
            ledger: Arc::new(SimLedger { way: way.clone(), inner: ledger.clone() }),
            gates: Arc::new(SimGates { way, inner: gates.clone() }),
            spool: None,
            epoch: Arc::new(epoch.clone()),
            audit: Arc::new(MemoryAudit::new()),
            azure: Azure { arm: arm.clone(), arm_observed: arm, direct: DirectClient::new(http(), "none") },
            cadence: Cadence::default(),
            gates_read: GatesRead::default(),
            instance: format!("sim-{number}"),
        };
        Self { controller: Arc::new(controller), clock, doing: Doing::Nothing }
    }

    /// Whether it can take an invocation.
    pub const fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Nothing)
    }

    /// Whether it is there at all.
    pub const fn is_alive(&self) -> bool {
        !matches!(self.doing, Doing::Dead)
    }

    /// Its clock shows this from now on.
    pub fn set_clock(&self, at: Timestamp) {
        self.clock.set(at);
    }

    /// A wake-up or a timer calls it.
    pub fn invoke(&mut self, hub: &Hub) -> Polled {
        let controller = self.controller.clone();
        self.doing = Doing::Working(Box::pin(async move { evaluate(&controller).await }));
        self.poll(hub)
    }

    /// It goes on where it stood.
    pub fn go_on(&mut self, hub: &Hub) -> Polled {
        if let Doing::Standing(invocation) = std::mem::replace(&mut self.doing, Doing::Nothing) {
            self.doing = Doing::Working(invocation);
            return self.poll(hub);
        }
        Polled::Finished
    }

    /// A new process takes its place.
    pub fn restart(&mut self) {
        self.doing = Doing::Nothing;
    }

    fn poll(&mut self, hub: &Hub) -> Polled {
        let Doing::Working(mut invocation) = std::mem::replace(&mut self.doing, Doing::Nothing) else {
            return Polled::Finished;
        };
        let mut context = Context::from_waker(Waker::noop());
        if invocation.as_mut().poll(&mut context).is_ready() {
            return Polled::Finished;
        }
        match hub.lock().directive.take() {
            Some(Directive::Crash) => {
                self.doing = Doing::Dead;
                Polled::Died
            }
            Some(Directive::Pause(lasts)) => {
                self.doing = Doing::Standing(invocation);
                Polled::Stands(lasts)
            }
            None => Polled::Stuck,
        }
    }
}

/// Nobody asks over it; a controller must have one.
fn http() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(reqwest::Client::new).clone()
}

/// A skewed clock at a true time.
pub fn skewed(now: Timestamp, by_s: i64) -> Timestamp {
    let size = Duration::from_secs(by_s.unsigned_abs());
    if by_s < 0 { now.before(size) } else { now + size }
}
