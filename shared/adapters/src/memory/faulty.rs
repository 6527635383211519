//! Stores that fail on demand, for drills: a switch that many wrappers share. The same wrappers meter each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use domain::audit::AuditRecord;
use domain::audit_line::{AuditLine, AuditQuery};
use domain::state::WorkloadState;
use domain::{
    GateDocument, InboxItem, ItemId, RegionName, StampId, Step, StepId, StoredStep, Timestamp, Transition,
    WorkloadId,
};

use super::rules;
use crate::meter::{self, METRICS};
use crate::{
    AuditAppend, AuditStore, ClaimOutcome, CommitOutcome, GateReader, GateStore, GateWrite, Ledger,
    LedgerView, StoreError,
};

/// How a store behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// As it should.
    Available,
    /// Neither reads nor writes are answered, and nothing is stored.
    Unavailable,
    /// The next write is stored and its answer lost; then all is well again. The fault that a blind retry gets wrong.
    TimesOutAfterStore,
}

/// Turns faults on and off. Clones are the same switch.
#[derive(Clone, Debug, Default)]
pub struct FaultSwitch(Arc<AtomicU8>);

impl FaultSwitch {
    const AVAILABLE: u8 = 0;
    const UNAVAILABLE: u8 = 1;
    const TIMES_OUT: u8 = 2;

    /// A switch that lets everything through.
    pub fn new() -> Self {
        Self::default()
    }

    /// Behave like this from now on.
    pub fn set(&self, fault: Fault) {
        let code = match fault {
            Fault::Available => Self::AVAILABLE,
            Fault::Unavailable => Self::UNAVAILABLE,
            Fault::TimesOutAfterStore => Self::TIMES_OUT,
        };
        self.0.store(code, Ordering::SeqCst);
    }

    /// How it behaves now.
    pub fn fault(&self) -> Fault {
        match self.0.load(Ordering::SeqCst) {
            Self::UNAVAILABLE => Fault::Unavailable,
            Self::TIMES_OUT => Fault::TimesOutAfterStore,
            _ => Fault::Available,
        }
    }

    fn admit(&self, store: &'static str) -> Result<(), StoreError> {
        match self.fault() {
            Fault::Unavailable => Err(rules::unavailable(store, "switched off by the drill")),
            Fault::Available | Fault::TimesOutAfterStore => Ok(()),
        }
    }

    /// Loses the answer of one write, if that is what is wanted.
    fn answer<T>(&self, store: &'static str, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        let armed =
            self.0.compare_exchange(Self::TIMES_OUT, Self::AVAILABLE, Ordering::SeqCst, Ordering::SeqCst);
        match armed {
            Ok(_) => Err(rules::unavailable(store, "the drill lost the answer after the write")),
            Err(_) => answer,
        }
    }
}

/// A ledger behind a switch.
#[derive(Clone, Debug)]
pub struct FaultyLedger<L> {
    inner: L,
    switch: FaultSwitch,
}

impl<L> FaultyLedger<L> {
    /// Puts the switch in front of a ledger.
    pub const fn new(inner: L, switch: FaultSwitch) -> Self {
        Self { inner, switch }
    }

    /// One call, unless the switch forbids it, with its span and metrics.
    async fn metered<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let work = async {
            self.switch.admit(rules::LEDGER)?;
            work.await
        };
        meter::call(rules::LEDGER, call, work).await
    }
}

#[async_trait]
impl<L: Ledger> Ledger for FaultyLedger<L> {
    async fn load(&self, workload: &WorkloadId, items_max: usize) -> Result<LedgerView, StoreError> {
        let view = self.metered("load", self.inner.load(workload, items_max)).await?;
        if items_max > 0 {
            // At most what was asked for: a longer inbox is folded in several commits.
            tracing::event!(
                target: METRICS, tracing::Level::TRACE,
                gauge.cordon.inbox.depth = view.inbox.len() as u64,
                workload = workload.as_str()
            );
        }
        Ok(view)
    }

    async fn state(&self, workload: &WorkloadId) -> Result<Option<WorkloadState>, StoreError> {
        self.metered("state", self.inner.state(workload)).await
    }

    async fn write_region(&self) -> Result<Option<RegionName>, StoreError> {
        self.switch.admit(rules::LEDGER)?;
        self.inner.write_region().await
    }

    async fn append(&self, workload: &WorkloadId, items: &[InboxItem]) -> Result<usize, StoreError> {
        self.switch.answer(rules::LEDGER, self.metered("append", self.inner.append(workload, items)).await)
    }

    async fn commit(&self, transition: &Transition) -> Result<CommitOutcome, StoreError> {
        self.switch.answer(rules::LEDGER, self.metered("commit", self.inner.commit(transition)).await)
    }

    async fn replace_step(
        &self,
        workload: &WorkloadId,
        expected: &StoredStep,
        step: &Step,
    ) -> Result<ClaimOutcome, StoreError> {
        self.switch.answer(
            rules::LEDGER,
            self.metered("replace_step", self.inner.replace_step(workload, expected, step)).await,
        )
    }

    async fn step(&self, workload: &WorkloadId, id: &StepId) -> Result<Option<StoredStep>, StoreError> {
        self.metered("step", self.inner.step(workload, id)).await
    }

    async fn audit(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.metered("audit", self.inner.audit(workload, after, records_max)).await
    }

    async fn audit_lines(
        &self,
        workload: &WorkloadId,
        query: &AuditQuery,
        lines_max: usize,
    ) -> Result<Vec<AuditLine>, StoreError> {
        self.metered("audit_lines", self.inner.audit_lines(workload, query, lines_max)).await
    }

    async fn trim(&self, workload: &WorkloadId, before: Timestamp) -> Result<usize, StoreError> {
        self.switch.answer(rules::LEDGER, self.metered("trim", self.inner.trim(workload, before)).await)
    }

    async fn consumed(&self, workload: &WorkloadId, id: &ItemId) -> Result<bool, StoreError> {
        self.metered("consumed", self.inner.consumed(workload, id)).await
    }
}

/// Gates behind a switch: one for the controller, another for each stamp, so that a partition has two sides.
#[derive(Clone, Debug)]
pub struct FaultyGates<G> {
    inner: G,
    switch: FaultSwitch,
}

impl<G> FaultyGates<G> {
    /// Puts the switch in front of the gates.
    pub const fn new(inner: G, switch: FaultSwitch) -> Self {
        Self { inner, switch }
    }
}

#[async_trait]
impl<G: GateReader> GateReader for FaultyGates<G> {
    async fn read(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError> {
        let work = async {
            self.switch.admit(rules::GATES)?;
            self.inner.read(stamp).await
        };
        let gate = meter::call(rules::GATES, "read", work).await?;
        if let Some(gate) = &gate {
            let heartbeat_s = gate.heartbeat_at.as_millis() / 1_000;
            tracing::event!(target: METRICS, tracing::Level::TRACE, gauge.cordon.gate.heartbeat = heartbeat_s, stamp = stamp.as_str());
        }
        Ok(gate)
    }
}

#[async_trait]
impl<G: GateStore> GateStore for FaultyGates<G> {
    async fn write(&self, document: &GateDocument) -> Result<GateWrite, StoreError> {
        let work = async {
            self.switch.admit(rules::GATES)?;
            self.inner.write(document).await
        };
        self.switch.answer(rules::GATES, meter::call(rules::GATES, "write", work).await)
    }
}

/// The append-only audit behind a switch.
#[derive(Clone, Debug)]
pub struct FaultyAudit<A> {
    inner: A,
    switch: FaultSwitch,
}

impl<A> FaultyAudit<A> {
    /// Puts the switch in front of the audit.
    pub const fn new(inner: A, switch: FaultSwitch) -> Self {
        Self { inner, switch }
    }
}

#[async_trait]
impl<A: AuditStore> AuditStore for FaultyAudit<A> {
    async fn append(&self, record: &AuditRecord) -> Result<AuditAppend, StoreError> {
        self.switch.admit(rules::AUDIT)?;
        self.switch.answer(rules::AUDIT, self.inner.append(record).await)
    }

    async fn list(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.switch.admit(rules::AUDIT)?;
        self.inner.list(workload, after, records_max).await
    }
}
