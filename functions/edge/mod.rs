//! The wire contract with the Functions host, and nothing else: envelopes in, replies out.

mod app;
pub(crate) mod base64;
pub mod entra;
mod envelope;
mod error;
mod http;
pub mod ingest;
mod json;
mod reply;
mod router;

pub use app::{App, ControllerApp, Page, Role};
pub use envelope::{Batch, Envelope, EnvelopeError, Timer};
pub use error::FunctionError;
pub use http::{HttpBody, HttpCall, HttpOutcome, HttpReply};
pub use json::{Fields, Json};
pub use reply::Reply;
pub use router::{CALL_BODY_MAX, ENVELOPE_MAX, router};
