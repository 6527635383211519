//! The operator's page: what is happening now and why, read-only. No script, nothing from elsewhere, and nothing that an
//! alert says is ever markup. Orders are given on the command line.

mod html;
mod words;
mod forecast;
mod status;
mod card;
mod log;
mod data;
mod workloads;

use adapters::StoreError;
use async_trait::async_trait;
use domain::WorkloadId;

pub use data::AUDIT_PAGE_MAX;
pub use forecast::{Forecast, PlannedStep};

use crate::controller::{Controller, ControllerError, Controllers};
use crate::edge::{FunctionError, HttpBody, HttpCall, HttpReply, Page};

/// The page and its JSON, below `operator/`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusPage;

#[async_trait]
impl Page for StatusPage {
    async fn respond(&self, controllers: &Controllers, call: &HttpCall) -> HttpReply {
        if !matches!(call.method.as_str(), "GET" | "HEAD") {
            let reason =
                "the page only reads; give orders with `cordon hold|release|approve|ack|pause|resume`";
            return html::guarded(HttpReply::reason(405, reason).with_header("Allow", "GET, HEAD"));
        }
        let place = Place::of(call);
        let reply = match route(controllers, call, &place).await {
            Ok(reply) => reply,
            Err(failure) => failure.reply(&place),
        };
        let reply = html::guarded(reply);
        if call.method == "HEAD" { HttpReply { body: HttpBody::Empty, ..reply } } else { reply }
    }
}

/// Where a request points: the path up to `operator` or up to `w/WORKLOAD` below it, for links, and the rest.
struct Place {
    base: String,
    workload: Option<WorkloadId>,
    rest: String,
}

impl Place {
    fn of(call: &HttpCall) -> Self {
        let rest = call.route().strip_prefix("operator").unwrap_or_default();
        let path = call.path.trim_end_matches('/');
        let base = path.strip_suffix(rest.trim_end_matches('/')).unwrap_or(path).to_owned();
        let rest = rest.trim_matches('/');
        match rest.strip_prefix("w/").map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
            Some((workload, rest)) => Self {
                base: format!("{base}/w/{workload}"),
                workload: Some(WorkloadId::new(workload)),
                rest: rest.trim_matches('/').to_owned(),
            },
            None => Self { base, workload: None, rest: rest.to_owned() },
        }
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
    /// In one line, for a place among other lines.
    fn text(&self) -> String {
        match self {
            Self::NotFound => "nothing is there".to_owned(),
            Self::BadParameter(reason) => reason.clone(),
            Self::Unavailable(error) => error.chain(),
        }
    }

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

/// The workload's own pages; without one in the address those of the only workload, or the list of them.
async fn route(controllers: &Controllers, call: &HttpCall, place: &Place) -> Result<HttpReply, Failure> {
    let named = match &place.workload {
        Some(workload) => Some(controllers.of(workload).ok_or(Failure::NotFound)?),
        None => controllers.only(),
    };
    match named {
        Some(controller) => answer(controller, call, place).await,
        None if matches!(place.rest.as_str(), "" | "status") => {
            Ok(workloads::page(controllers, &place.base).await)
        }
        None => {
            let names: Vec<&str> =
                controllers.policies().map(|policy| policy.workload.name.as_str()).collect();
            Err(Failure::BadParameter(format!(
                "Several workloads are watched here: write w/NAME/{} for one of {}.",
                place.rest,
                names.join(", ")
            )))
        }
    }
}

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
