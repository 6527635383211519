//! The operator's page: what is happening now and why, what happened, and the orders an operator can give. Rendered on the
//! server and whole without its one small script; nothing comes from elsewhere, and nothing that an alert says is ever
//! markup.

mod html;
mod words;
mod reasons;
mod access;
mod forecast;
mod status;
mod alarms;
mod card;
mod orders;
mod explorer;
mod record;
mod story;
mod timeline;
mod incident;
pub mod report;
pub mod span_report;
mod summary;
mod api;
mod data;
mod workloads;

use adapters::StoreError;
use async_trait::async_trait;
use domain::WorkloadId;

pub use access::{Access, Caller, Identities, Role};
pub use api::{OrderRequest, OrderTaken};
pub use data::AUDIT_PAGE_MAX;
pub use forecast::{Forecast, PlannedStep};
pub use story::{StampTimes, Story, Summary};
pub use summary::{Says, StampStatus, Status};

use crate::controller::{Controller, ControllerError, Controllers};
use crate::edge::{FunctionError, HttpBody, HttpCall, HttpReply, Page};
use access::NotLetIn;
use html::{Frame, Here};

/// The page and its JSON, below `operator/`.
#[derive(Clone, Debug)]
pub struct OperatorPage {
    /// How it knows its callers.
    pub access: Access,
}

impl OperatorPage {
    /// For everybody to read and nobody to order.
    pub const fn reading_only() -> Self {
        Self { access: Access::reading_only() }
    }
}

#[async_trait]
impl Page for OperatorPage {
    async fn respond(&self, controllers: &Controllers, call: &HttpCall) -> HttpReply {
        let place = Place::of(call);
        let reply = match self.access.caller(call) {
            Ok(caller) => match self.route(controllers, call, &place, &caller).await {
                Ok(reply) => reply,
                Err(failure) => failure.reply(&place, &caller),
            },
            Err(NotLetIn::Unknown) => Failure::SignedOut.reply(&place, &Caller::nobody()),
            Err(NotLetIn::NoRole) => {
                let why = "You are signed in and have no role here: ask for the reader or the operator role of Cordon.";
                Failure::Forbidden(why.to_owned()).reply(&place, &Caller::nobody())
            }
        };
        let reply = html::guarded(reply);
        if call.method == "HEAD" { HttpReply { body: HttpBody::Empty, ..reply } } else { reply }
    }
}

/// What every page of one workload needs.
struct View<'a> {
    controller: &'a Controller,
    frame: Frame<'a>,
    access: &'a Access,
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

    fn here(&self) -> Here {
        match self.rest.split(['/', '.']).next() {
            Some("" | "status" | "stamp") => Here::Status,
            Some("incidents" | "incident") => Here::Incidents,
            Some("audit") => Here::Audit,
            _ => Here::Elsewhere,
        }
    }
}

/// Why a request got no answer.
enum Failure {
    /// Nothing is there.
    NotFound,
    /// A parameter is no number, or out of bounds.
    BadParameter(String),
    /// Nobody is signed in, where somebody must be.
    SignedOut,
    /// Only some methods are for this address.
    Method(&'static str),
    /// Not for this caller, or not proven to come from them.
    Forbidden(String),
    /// An order that cannot be given as it is.
    Refused(String),
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
            Self::SignedOut => "Nobody is signed in.".to_owned(),
            Self::Method(allowed) => format!("only {allowed} is for this address"),
            Self::BadParameter(reason) | Self::Forbidden(reason) | Self::Refused(reason) => reason.clone(),
            Self::Unavailable(error) => error.chain(),
        }
    }

    /// The status, and what it is called.
    const fn title(&self) -> (u16, &'static str) {
        match self {
            Self::NotFound => (404, "Nothing is here"),
            Self::SignedOut => (401, "Nobody is signed in"),
            Self::BadParameter(_) => (400, "That cannot be read"),
            Self::Method(_) => (405, "Not this method"),
            Self::Forbidden(_) => (403, "Not allowed"),
            Self::Refused(_) => (409, "The order was not given"),
            Self::Unavailable(_) => (503, "The ledger cannot be read"),
        }
    }

    /// What to do next.
    const fn next(&self) -> &'static str {
        match self {
            Self::NotFound => "Go back to the status page.",
            Self::SignedOut => "Sign in through the front end of this deployment, which names you to us.",
            Self::BadParameter(_) => "Correct the address.",
            Self::Method(_) => "Use the pages, or the methods that the API description names.",
            Self::Forbidden(_) => "Load the page again and repeat the order there.",
            Self::Refused(_) => "Look at the status page: things may have moved on.",
            Self::Unavailable(_) => UNREADABLE_NEXT,
        }
    }

    fn reply(self, place: &Place, caller: &Caller) -> HttpReply {
        let (status, title) = self.title();
        let (text, next) = (self.text(), self.next());
        if let Self::Unavailable(_) = &self {
            tracing::error!(error = %text, "the page cannot read the ledger; the operator sees a 503");
        }
        let text = if status == 404 { format!("There is no page {:?}.", place.rest) } else { text };
        if place.rest.starts_with("v1/") {
            return api::problem(&self);
        }
        let reply = if place.is_json() {
            HttpReply::reason(status, format!("{text} {next}"))
        } else {
            let frame = Frame { base: &place.base, here: Here::Elsewhere, caller };
            html::document(status, frame, title, |out| html::notice(out, title, &text, next))
        };
        match self {
            Self::Unavailable(_) => reply.with_header("Retry-After", "5"),
            Self::Method(allowed) => reply.with_header("Allow", allowed),
            _ => reply,
        }
    }
}

/// What an operator can do while the ledger is away. Gates and floors stay as they are, so the application goes on.
const UNREADABLE_NEXT: &str = "Gates, origins and floors stay as they are and Front Door's own probes go on; nothing new \
    is decided until the ledger answers. Reload this page. If it stays so, look at the store that CORDON_DATA names (is \
    it mounted, is the disk full?) and at this process's log, and if a region must leave now, follow the runbook by hand.";

impl OperatorPage {
    /// The workload's own pages; without one in the address those of the only workload, or the list of them.
    async fn route(
        &self,
        controllers: &Controllers,
        call: &HttpCall,
        place: &Place,
        caller: &Caller,
    ) -> Result<HttpReply, Failure> {
        if place.rest == "sign-in" && place.workload.is_none() {
            return orders::sign_in(&self.access, call, &place.base);
        }
        let named = match &place.workload {
            Some(workload) => Some(controllers.of(workload).ok_or(Failure::NotFound)?),
            None => controllers.only(),
        };
        let frame = Frame { base: &place.base, here: place.here(), caller };
        match named {
            Some(controller) => {
                let view = View { controller, frame, access: &self.access };
                if let Some(path) = place.rest.strip_prefix("v1/") {
                    return Ok(api::respond(&view, call, path).await);
                }
                if call.method == "POST" {
                    orders::post(&view, call, place).await
                } else {
                    answer(&view, call, place).await
                }
            }
            None if matches!(place.rest.as_str(), "" | "status") => {
                Ok(workloads::page(controllers, frame).await)
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
}

async fn answer(view: &View<'_>, call: &HttpCall, place: &Place) -> Result<HttpReply, Failure> {
    if !matches!(call.method.as_str(), "GET" | "HEAD") {
        return Err(Failure::Method("GET, HEAD, POST"));
    }
    let controller = view.controller;
    match place.rest.as_str() {
        "" | "status" => return status::page(view, call).await,
        "incidents" => return incident::list(view, call).await,
        "audit" => return explorer::list(view, call).await,
        "audit.csv" => return explorer::csv(view, call).await,
        "audit.jsonl" => return explorer::json_lines(view, call).await,
        "state.json" => return data::state(controller).await,
        "audit.json" => return data::audit(controller, call).await,
        "plan.json" => return data::plan(controller).await,
        _ => {}
    }
    match place.rest.split_once('/') {
        Some(("stamp", name)) => status::stamp(view, name).await,
        Some(("audit", seq)) => record::page(view, seq.parse().map_err(|_| Failure::NotFound)?).await,
        Some(("incident", rest)) => {
            let (first, kind) = rest.split_once('/').unwrap_or((rest, ""));
            let first = first.parse().map_err(|_| Failure::NotFound)?;
            match kind {
                "" => incident::page(view, first).await,
                "report" => incident::report(view, first).await,
                "report.md" => incident::report_markdown(view, first).await,
                _ => Err(Failure::NotFound),
            }
        }
        Some(("order", kind)) => orders::confirm(view, call, kind).await,
        _ => Err(Failure::NotFound),
    }
}

/// A number from the query.
fn number(call: &HttpCall, name: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = call.query.get(name) else { return Ok(None) };
    let wrong = |_| Failure::BadParameter(format!("{name}={text:?} is no number, such as {name}=20."));
    text.parse().map(Some).map_err(wrong)
}
