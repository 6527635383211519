//! The ports of one instance: the production stores and the production ARM client, with a place before and after every
//! call where the instance can die or stand still, and with the faults of the moment.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use adapters::memory::{MemoryGates, MemoryLedger};
use adapters::{
    ClaimOutcome, CommitOutcome, GateReader, GateStore, GateWrite, Ledger, LedgerView, StoreError,
};
use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request, StatusCode};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use domain::audit::AuditRecord;
use domain::{
    GateDocument, GatePosition, InboxItem, ItemId, RegionName, StampId, Step, StepId, StoredStep, Timestamp,
    Transition, WorkloadId,
};

use super::faults::{Fate, Port};
use super::hub::{Directive, Hub};
use super::sabotage::Sabotage;

/// Where an instance can be left standing: pending once, then ready.
struct Stand<'a> {
    hub: &'a Hub,
    directive: Option<Directive>,
}

impl Future for Stand<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.directive.take() {
            Some(directive) => {
                self.hub.lock().directive = Some(directive);
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

/// What is still to happen to a call that was let in.
enum After {
    Answer,
    LoseAnswer,
    Stand(Directive),
}

/// The way of one instance to the ports.
#[derive(Clone)]
pub struct Way {
    hub: Arc<Hub>,
    instance: usize,
}

impl Way {
    /// Of this instance.
    pub fn new(hub: Arc<Hub>, instance: usize) -> Self {
        Self { hub, instance }
    }

    /// None when the call does not get through.
    async fn enter(&self, port: Port) -> Option<After> {
        let fate = self.hub.lock().fate(self.instance, port);
        match fate {
            Fate::Go => Some(After::Answer),
            Fate::Fails => None,
            Fate::AnswerLost => Some(After::LoseAnswer),
            Fate::CrashAfter => Some(After::Stand(Directive::Crash)),
            Fate::PauseAfter(lasts) => Some(After::Stand(Directive::Pause(lasts))),
            Fate::CrashBefore => {
                self.stand(Directive::Crash).await;
                None
            }
            Fate::PauseBefore(lasts) => {
                self.stand(Directive::Pause(lasts)).await;
                Some(After::Answer)
            }
        }
    }

    async fn stand(&self, directive: Directive) {
        Stand { hub: &self.hub, directive: Some(directive) }.await;
    }

    /// Whether the answer arrives.
    async fn leave(&self, after: After) -> Option<()> {
        match after {
            After::Answer => Some(()),
            After::LoseAnswer => None,
            After::Stand(directive) => {
                self.stand(directive).await;
                Some(())
            }
        }
    }

    /// One call to a store.
    async fn call<T>(
        &self,
        port: Port,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let after = self.enter(port).await.ok_or_else(|| unavailable(port))?;
        let answer = work.await;
        self.leave(after).await.ok_or_else(|| unavailable(port))?;
        answer
    }

    fn sabotage(&self) -> Option<Sabotage> {
        self.hub.lock().sabotage
    }
}

fn unavailable(port: Port) -> StoreError {
    let store = if port == Port::Ledger { "ledger" } else { "gate store" };
    StoreError::Unavailable { store, source: "no answer in the simulation".into() }
}

/// The ledger as one instance reaches it.
pub struct SimLedger {
    /// The way there.
    pub way: Way,
    /// The store.
    pub inner: MemoryLedger,
}

impl SimLedger {
    async fn store(&self, transition: &Transition) -> Result<CommitOutcome, StoreError> {
        let tampered = {
            let hub = self.way.hub.lock();
            hub.sabotage.and_then(|sabotage| sabotage.tamper(transition, (hub.chain.0, &hub.chain.1)))
        };
        let transition = tampered.as_ref().unwrap_or(transition);
        let outcome = self.inner.commit(transition).await?;
        if outcome == CommitOutcome::Committed {
            self.way.hub.lock().committed(self.way.instance, transition);
        }
        Ok(outcome)
    }

    async fn claim(
        &self,
        workload: &WorkloadId,
        expected: &StoredStep,
        step: &Step,
    ) -> Result<ClaimOutcome, StoreError> {
        if self.way.sabotage() == Some(Sabotage::Effects) {
            return Ok(ClaimOutcome::Claimed(StoredStep {
                version: expected.version + 1,
                step: step.clone(),
            }));
        }
        let outcome = self.inner.replace_step(workload, expected, step).await?;
        if let ClaimOutcome::Claimed(stored) = &outcome {
            self.way.hub.lock().claimed(self.way.instance, stored);
        }
        Ok(outcome)
    }
}

#[async_trait]
impl Ledger for SimLedger {
    async fn load(&self, workload: &WorkloadId, items_max: usize) -> Result<LedgerView, StoreError> {
        let mut view = self.way.call(Port::Ledger, self.inner.load(workload, items_max)).await?;
        if let Some(sabotage) = self.way.sabotage() {
            sabotage.show(&mut view);
        }
        Ok(view)
    }

    async fn write_region(&self) -> Result<Option<RegionName>, StoreError> {
        let asked = async { Ok(Some(self.way.hub.lock().write_region.clone())) };
        self.way.call(Port::Ledger, asked).await
    }

    async fn append(&self, workload: &WorkloadId, items: &[InboxItem]) -> Result<usize, StoreError> {
        self.way.call(Port::Ledger, self.inner.append(workload, items)).await
    }

    async fn commit(&self, transition: &Transition) -> Result<CommitOutcome, StoreError> {
        self.way.call(Port::Ledger, self.store(transition)).await
    }

    async fn replace_step(
        &self,
        workload: &WorkloadId,
        expected: &StoredStep,
        step: &Step,
    ) -> Result<ClaimOutcome, StoreError> {
        self.way.call(Port::Ledger, self.claim(workload, expected, step)).await
    }

    async fn step(&self, workload: &WorkloadId, id: &StepId) -> Result<Option<StoredStep>, StoreError> {
        self.way.call(Port::Ledger, self.inner.step(workload, id)).await
    }

    async fn audit(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.way.call(Port::Ledger, self.inner.audit(workload, after, records_max)).await
    }

    async fn trim(&self, workload: &WorkloadId, before: Timestamp) -> Result<usize, StoreError> {
        self.way.call(Port::Ledger, self.inner.trim(workload, before)).await
    }

    async fn consumed(&self, workload: &WorkloadId, id: &ItemId) -> Result<bool, StoreError> {
        self.way.call(Port::Ledger, self.inner.consumed(workload, id)).await
    }
}

/// The gates as one instance reaches them.
pub struct SimGates {
    /// The way there.
    pub way: Way,
    /// The store.
    pub inner: MemoryGates,
}

impl SimGates {
    async fn store(&self, document: &GateDocument) -> Result<GateWrite, StoreError> {
        let sabotage = self.way.sabotage();
        let before = self.inner.read(&document.stamp).await?;
        let tampered = sabotage.map(|sabotage| sabotage.gate(document));
        let outcome = self.inner.write(tampered.as_ref().unwrap_or(document)).await?;
        if let GateWrite::Written(stored) = &outcome {
            self.way.hub.lock().gate_written(self.way.instance, stored);
            match sabotage {
                Some(Sabotage::Floor) if stored.position == GatePosition::Closed => {
                    self.close_all(stored).await?
                }
                Some(Sabotage::Generations) => self.overtake(before),
                _ => {}
            }
        }
        Ok(outcome)
    }

    async fn close_all(&self, like: &GateDocument) -> Result<(), StoreError> {
        let others: Vec<StampId> =
            self.way.hub.lock().truth.stamps.iter().map(|stamp| stamp.id.clone()).collect();
        for stamp in others.into_iter().filter(|stamp| *stamp != like.stamp) {
            let document = GateDocument { stamp, ..like.clone() };
            if let GateWrite::Written(stored) = self.inner.write(&document).await? {
                self.way.hub.lock().gate_written(self.way.instance, &stored);
            }
        }
        Ok(())
    }

    /// The write before arrives only now, and a store without order takes it.
    fn overtake(&self, before: Option<GateDocument>) {
        if let Some(before) = before {
            self.way.hub.lock().gate_written(self.way.instance, &before);
        }
    }
}

#[async_trait]
impl GateReader for SimGates {
    async fn read(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError> {
        self.way.call(Port::Gates, self.inner.read(stamp)).await
    }
}

#[async_trait]
impl GateStore for SimGates {
    async fn write(&self, document: &GateDocument) -> Result<GateWrite, StoreError> {
        self.way.call(Port::Gates, self.store(document)).await
    }
}

/// The wire to ARM of one instance, below the production client's pipeline.
pub struct SimWire {
    /// The way there.
    pub way: Way,
}

impl std::fmt::Debug for SimWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the wire of instance {}", self.way.instance)
    }
}

#[async_trait]
impl HttpClient for SimWire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let gone = || azure_core::Error::with_message(ErrorKind::Connection, "no answer in the simulation");
        let after = self.way.enter(Port::Arm).await.ok_or_else(gone)?;
        let body = match request.body() {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::SeekableStream(_) => vec![],
        };
        let (answer, now) = {
            let mut hub = self.way.hub.lock();
            let hub = &mut *hub;
            let method = request.method().to_string();
            let answer = hub.arm.answer(&method, request.url().path(), &body, hub.now_s, &hub.in_force);
            if let Some(change) = &answer.change {
                hub.arm_changed(self.way.instance, change);
            }
            (answer, hub.now())
        };
        self.way.leave(after).await.ok_or_else(gone)?;
        let mut headers = Headers::new();
        if self.way.sabotage() != Some(Sabotage::Clock) {
            headers.insert("date", date(now));
        }
        for (name, value) in answer.headers {
            headers.insert(name, value);
        }
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(answer.status), headers, answer.body.to_string()))
    }
}

/// As a header says it.
fn date(at: Timestamp) -> String {
    let seconds = at.as_millis().div_euclid(1_000);
    to_rfc7231(&OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH))
}
