//! The operator's page: what is happening now and why, read-only. No script, nothing from elsewhere, and nothing that an
//! alert says is ever markup. Orders are given on the command line.

mod html;
mod words;
mod forecast;
mod status;
mod card;
mod log;
mod data;

use adapters::StoreError;
use async_trait::async_trait;

pub use data::AUDIT_PAGE_MAX;
pub use forecast::{Forecast, PlannedStep};

use crate::controller::{Controller, ControllerError};
use crate::edge::{FunctionError, HttpBody, HttpCall, HttpReply, Page};

/// The page and its JSON, below `operator/`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusPage;

#[async_trait]
impl Page for StatusPage {
    async fn respond(&self, controller: &Controller, call: &HttpCall) -> HttpReply {
        if !matches!(call.method.as_str(), "GET" | "HEAD") {
            let reason =
                "the page only reads; give orders with `cordon hold|release|approve|ack|pause|resume`";
            return html::guarded(HttpReply::reason(405, reason).with_header("Allow", "GET, HEAD"));
        }
        let place = Place::of(call);
        let reply = match answer(controller, call, &place).await {
            Ok(reply) => reply,
            Err(failure) => failure.reply(&place),
        };
        let reply = html::guarded(reply);
        if call.method == "HEAD" { HttpReply { body: HttpBody::Empty, ..reply } } else { reply }
    }
}

/// Where a request points: the path up to `operator`, for links, and the rest.
struct Place {
    base: String,
    rest: String,
}

impl Place {
    fn of(call: &HttpCall) -> Self {
        let rest = call.route().strip_prefix("operator").unwrap_or_default();
        let path = call.path.trim_end_matches('/');
        let base = path.strip_suffix(rest).unwrap_or(path).to_owned();
        Self { base, rest: rest.trim_matches('/').to_owned() }
    }

    fn is_json(&self) -> bool {
        self.rest.ends_with(".json")
    }
}

/// Why a request got no answer.
enum Failure {
    /// Nothing is there.
    NotFound,
    /// A parameter is no number, or out of bounds.
    BadParameter(String),
    /// A store could not be used.
    Unavailable(FunctionError),
}

impl From<ControllerError> for Failure {
    fn from(error: ControllerError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl Failure {
    fn reply(self, place: &Place) -> HttpReply {
        let (status, title, text, next) = match self {
            Self::NotFound => (
                404,
                "Nothing is here",
                format!("There is no page {:?}.", place.rest),
                "Go back to the status page.",
            ),
            Self::BadParameter(reason) => (400, "That cannot be read", reason, "Correct the address."),
            Self::Unavailable(error) => {
                let chain = error.chain();
                tracing::error!(error = %chain, "the page cannot read the ledger; the operator sees a 503");
                (503, "The ledger cannot be read", chain, UNREADABLE_NEXT)
            }
        };
        let reply = if place.is_json() {
            HttpReply::reason(status, format!("{text} {next}"))
        } else {
            html::document(status, &place.base, title, |out| html::notice(out, title, &text, next))
        };
        if status == 503 { reply.with_header("Retry-After", "5") } else { reply }
    }
}

/// What an operator can do while the ledger is away. Gates and floors stay as they are, so the application goes on.
const UNREADABLE_NEXT: &str = "Gates, origins and floors stay as they are and Front Door's own probes go on; nothing new \
    is decided until the ledger answers. Reload this page. If it stays so, look at the store that CORDON_DATA names (is \
    it mounted, is the disk full?) and at this process's log, and if a region must leave now, follow the runbook by hand.";

async fn answer(controller: &Controller, call: &HttpCall, place: &Place) -> Result<HttpReply, Failure> {
    match place.rest.as_str() {
        "" | "status" => status::page(controller, call, &place.base).await,
        "audit" => log::list(controller, call, &place.base).await,
        "state.json" => data::state(controller).await,
        "audit.json" => data::audit(controller, call).await,
        "plan.json" => data::plan(controller).await,
        rest => match rest.strip_prefix("audit/").and_then(|seq| seq.parse().ok()) {
            Some(seq) => log::record(controller, seq, &place.base).await,
            None => Err(Failure::NotFound),
        },
    }
}

/// A number from the query.
fn number(call: &HttpCall, name: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = call.query.get(name) else { return Ok(None) };
    let wrong = |_| Failure::BadParameter(format!("{name}={text:?} is no number, such as {name}=20."));
    text.parse().map(Some).map_err(wrong)
}
