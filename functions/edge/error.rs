//! Why an invocation failed. "No" is not among these: a refusal is a successful invocation with a recorded outcome.

use std::error::Error;

use adapters::StoreError;

use super::EnvelopeError;
use crate::controller::ControllerError;

/// Why an invocation could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The host sent something other than its contract says: look at `function.json` and the host's version.
    #[error("read the host's envelope")]
    Envelope(#[from] EnvelopeError),
    /// A store could not be used; the same invocation may well succeed later.
    #[error("use a store")]
    Store(#[from] StoreError),
    /// The controller could not do its work.
    #[error("run the controller")]
    Controller(#[from] ControllerError),
}

impl FunctionError {
    /// The status for whoever called. 503 where a retry can help: action groups retry on that and never on 500
    /// (contracts/AZURE.md 2.6), and one 500 too many mutes us for 15 minutes.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Envelope(_) => 400,
            Self::Store(_) | Self::Controller(_) => 503,
        }
    }

    /// The whole chain on one line.
    pub fn chain(&self) -> String {
        let mut text = format!("failed to {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
