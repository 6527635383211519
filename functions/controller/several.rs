//! The workloads of one process: one controller each, over the same stores and the same way to Azure.

use std::sync::Arc;

use domain::{Policy, WorkloadId};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};

use super::{Controller, ControllerError};

/// Workloads worked on side by side in one invocation: each mostly waits for Azure, and a connection pool of this size
/// is still polite to ARM.
const AT_ONCE: usize = 16;

/// What is done for one workload.
pub type Turn<'a, T> = BoxFuture<'a, Result<T, ControllerError>>;

/// One controller for each workload, in the order of the policies. Never empty.
pub struct Controllers(Vec<Arc<Controller>>);

impl Controllers {
    /// None where there is none, or two watch one workload.
    pub fn new(all: Vec<Arc<Controller>>) -> Option<Self> {
        let names = || all.iter().map(|controller| &controller.policy.workload.name);
        let distinct = names().collect::<std::collections::BTreeSet<_>>().len() == all.len();
        (!all.is_empty() && distinct).then_some(Self(all))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Controller>> {
        self.0.iter()
    }

    /// The one of a workload.
    pub fn of(&self, workload: &WorkloadId) -> Option<&Arc<Controller>> {
        self.0.iter().find(|controller| controller.policy.workload.name == *workload)
    }

    /// The only one, where there is one.
    pub fn only(&self) -> Option<&Arc<Controller>> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Their policies.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.0.iter().map(|controller| &controller.policy)
    }

    /// Does the same for each workload. One that fails keeps no other from its turn.
    ///
    /// # Errors
    /// The first failure, when all have had their turn; the others are in the log.
    pub async fn each<T: Send>(
        &self,
        work: impl for<'a> Fn(&'a Controller) -> Turn<'a, T>,
    ) -> Result<Vec<T>, ControllerError> {
        let turns: Vec<Turn<'_, T>> = self.0.iter().map(|controller| work(controller)).collect();
        let done: Vec<_> = stream::iter(turns).buffered(AT_ONCE).collect().await;
        for (controller, done) in self.0.iter().zip(&done) {
            if let Err(error) = done {
                let workload = &controller.policy.workload.name;
                tracing::warn!(%workload, error = error as &dyn std::error::Error, "a workload's turn failed");
            }
        }
        done.into_iter().collect()
    }
}
