//! Front Door's probe path, in the stamp. The work is in `crate::stamp`.

use crate::edge::{HttpCall, HttpOutcome};
use crate::stamp::StampService;

/// Answers `healthz`, `healthz/ungated` or `healthz/peer`.
pub async fn respond(stamp: &StampService, call: &HttpCall) -> HttpOutcome {
    stamp.respond(call).await.into()
}
