//! The JSON API below `v1/`: the page's facts and orders for programs. One table names every operation; routing and the
//! OpenAPI document both come from it.

use domain::Order;
use domain::audit::AuditRecord;
use domain::audit_line::AuditLine;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::story::{StampTimes, Summary};
use super::summary::Status;
use super::{Failure, Forecast, View, explorer, incident, number, orders, record};
use crate::edge::{HttpBody, HttpCall, HttpReply};

/// Lines of one answer unless told otherwise, and at the most.
const LINES_DEFAULT: usize = 100;
const LINES_MAX: usize = 1_000;

/// Every operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    OpenApi,
    Me,
    Status,
    Plan,
    Audit,
    AuditRecord,
    Incidents,
    Incident,
    GiveOrder,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::OpenApi,
        Self::Me,
        Self::Status,
        Self::Plan,
        Self::Audit,
        Self::AuditRecord,
        Self::Incidents,
        Self::Incident,
        Self::GiveOrder,
    ];

    const fn method(self) -> &'static str {
        match self {
            Self::GiveOrder => "POST",
            _ => "GET",
        }
    }

    /// Below `v1/`.
    const fn path(self) -> &'static str {
        match self {
            Self::OpenApi => "openapi.json",
            Self::Me => "me",
            Self::Status => "status",
            Self::Plan => "plan",
            Self::Audit => "audit",
            Self::AuditRecord => "audit/{seq}",
            Self::Incidents => "incidents",
            Self::Incident => "incidents/{seq}",
            Self::GiveOrder => "orders",
        }
    }

    const fn says(self) -> &'static str {
        match self {
            Self::OpenApi => "This description.",
            Self::Me => "Who is asking, what they may do, and the token that a browser's order needs.",
            Self::Status => "What is happening now.",
            Self::Plan => "What the next evaluation would do, and why not something else.",
            Self::Audit => "Lines of the audit, newest first, filtered and paged.",
            Self::AuditRecord => "One whole record with the situation that was judged.",
            Self::Incidents => "Incidents, newest first, paged.",
            Self::Incident => "One incident: its figures, the times of each stamp, and every line.",
            Self::GiveOrder => {
                "Gives an order. It is recorded as a signal and obeyed at the next evaluation."
            }
        }
    }

    fn answer_schema(self, generator: &mut SchemaGenerator) -> Schema {
        match self {
            Self::OpenApi => schemars::json_schema!({ "type": "object" }),
            Self::Me => generator.subschema_for::<Me>(),
            Self::Status => generator.subschema_for::<Status>(),
            Self::Plan => generator.subschema_for::<Forecast>(),
            Self::Audit => generator.subschema_for::<AuditPage>(),
            Self::AuditRecord => generator.subschema_for::<AuditRecord>(),
            Self::Incidents => generator.subschema_for::<IncidentPage>(),
            Self::Incident => generator.subschema_for::<Incident>(),
            Self::GiveOrder => generator.subschema_for::<OrderTaken>(),
        }
    }

    /// Query parameters: name, whether it is a number, what it is.
    const fn parameters(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Self::Audit => &[
                ("stamp", "string", "Only what was done or noted about this stamp."),
                ("decision", "string", "Only this decision's code, such as cordon or hold."),
                ("rule", "string", "Only where this rule fired, such as two_classes, held.frozen or S2."),
                ("incident", "integer", "Only this incident, by the number of its first record."),
                ("from", "date-time", "Not before this moment, UTC."),
                ("until", "date-time", "Not after this moment, UTC."),
                ("before", "integer", "Only numbers below this one: the next page."),
                ("max", "integer", "At most so many, 1 to 1000."),
            ],
            Self::Incidents => &[("before", "integer", "Only numbers below this one: the next page.")],
            _ => &[],
        }
    }

    fn of(method: &str, path: &str) -> Result<(Self, Option<u64>), Failure> {
        let (head, seq) = match path.split_once('/') {
            Some((head, seq)) => (head, Some(seq.parse::<u64>().map_err(|_| Failure::NotFound)?)),
            None => (path, None),
        };
        let wanted = if seq.is_some() { format!("{head}/{{seq}}") } else { head.to_owned() };
        let found = Self::ALL.into_iter().find(|operation| operation.path() == wanted);
        let found = found.ok_or(Failure::NotFound)?;
        let method = if method == "HEAD" { "GET" } else { method };
        if method == found.method() {
            Ok((found, seq))
        } else if found.method() == "GET" {
            Err(Failure::Method("GET, HEAD"))
        } else {
            Err(Failure::Method("POST"))
        }
    }
}

/// Who is asking.
#[derive(Serialize, JsonSchema)]
struct Me {
    /// As the platform names them; null where nobody can be told.
    name: Option<String>,
    /// `reader` or `operator`.
    role: &'static str,
    /// For the header `x-cordon-token` of an order that a browser signs with a cookie or the platform with its header.
    token: String,
}

/// A page of the audit.
#[derive(Serialize, JsonSchema)]
struct AuditPage {
    /// Newest first.
    lines: Vec<AuditLine>,
    /// `before` of the next page; null at the end.
    next_before: Option<u64>,
}

/// A page of incidents.
#[derive(Serialize, JsonSchema)]
struct IncidentPage {
    /// Newest first.
    incidents: Vec<Summary>,
    /// `before` of the next page; null at the end.
    next_before: Option<u64>,
}

/// One incident.
#[derive(Serialize, JsonSchema)]
struct Incident {
    /// Its figures.
    summary: Summary,
    /// The times of each stamp that was taken out.
    stamps: Vec<StampInIncident>,
    /// Its lines, the oldest first.
    lines: Vec<AuditLine>,
}

/// A stamp in an incident.
#[derive(Serialize, JsonSchema)]
struct StampInIncident {
    /// The stamp.
    stamp: domain::StampId,
    /// When what happened to it.
    times: StampTimes,
}

/// An order with its reason. The giver is who asks.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// The order.
    pub order: Order,
    /// Why; it is shown on the page and kept in the audit.
    #[schemars(length(min = 1, max = 200))]
    pub reason: String,
}

/// An order that was taken.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct OrderTaken {
    /// The id of its inbox item.
    pub id: String,
}

/// What went wrong, as RFC 9457 has it.
#[derive(Serialize, JsonSchema)]
struct Problem {
    /// `about:blank`: the title says which kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kind of problem.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// This problem.
    detail: String,
    /// What to do next.
    next: &'static str,
}

/// Answers a request below `v1/`.
pub(super) async fn respond(view: &View<'_>, call: &HttpCall, path: &str) -> HttpReply {
    match answered(view, call, path).await {
        Ok(reply) => tagged(reply, call),
        Err(failure) => problem(&failure),
    }
}

async fn answered(view: &View<'_>, call: &HttpCall, path: &str) -> Result<HttpReply, Failure> {
    let (operation, seq) = Operation::of(&call.method, path)?;
    let seq = seq.unwrap_or_default();
    let body = match operation {
        Operation::OpenApi => document(),
        Operation::Me => value(&me(view)),
        Operation::Status => value(&Status::judged(view.controller).await?),
        Operation::Plan => value(&super::data::forecast(view.controller).await?),
        Operation::Audit => value(&audit(view, call).await?),
        Operation::AuditRecord => {
            let found = record::find(view.controller, seq).await?;
            value(&found.into_iter().next().ok_or(Failure::NotFound)?)
        }
        Operation::Incidents => {
            let (incidents, more) = incident::latest(view.controller, number(call, "before")?).await?;
            let next_before = incidents.last().filter(|_| more).map(|last| last.first);
            value(&IncidentPage { incidents, next_before })
        }
        Operation::Incident => value(&one_incident(view, seq).await?),
        Operation::GiveOrder => return order(view, call).await,
    };
    Ok(HttpReply::json(200, body))
}

fn value<T: Serialize>(body: &T) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}

fn me(view: &View<'_>) -> Me {
    let caller = view.frame.caller;
    let role = if caller.may_order() { "operator" } else { "reader" };
    Me { name: caller.name.clone(), role, token: orders::token(view) }
}

async fn audit(view: &View<'_>, call: &HttpCall) -> Result<AuditPage, Failure> {
    let max = number(call, "max")?.map_or(LINES_DEFAULT, |max| usize::try_from(max).unwrap_or(LINES_MAX));
    if max == 0 || max > LINES_MAX {
        return Err(Failure::BadParameter(format!("max={max} is not between 1 and {LINES_MAX}.")));
    }
    let query = explorer::query(call)?;
    let workload = &view.controller.policy.workload.name;
    let mut lines = view.controller.ledger.audit_lines(workload, &query, max + 1).await?;
    let more = lines.len() > max;
    lines.truncate(max);
    Ok(AuditPage { next_before: lines.last().filter(|_| more).map(|line| line.seq), lines })
}

async fn one_incident(view: &View<'_>, seq: u64) -> Result<Incident, Failure> {
    let story = incident::story(view.controller, seq).await?;
    let summary = story.summary();
    let stamps = summary.cordoned.iter();
    let stamps =
        stamps.map(|stamp| StampInIncident { stamp: stamp.clone(), times: story.times(stamp) }).collect();
    Ok(Incident { summary, stamps, lines: story.lines })
}

/// A body of JSON cannot be sent by another site's form, and a script of one would have to ask first.
async fn order(view: &View<'_>, call: &HttpCall) -> Result<HttpReply, Failure> {
    orders::permit(view, call, call.header("x-cordon-token").unwrap_or_default())?;
    let is_json = call.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json {
        return Err(Failure::BadParameter("An order is sent as application/json.".to_owned()));
    }
    let request: OrderRequest = serde_json::from_slice(&call.body)
        .map_err(|error| Failure::BadParameter(format!("The order cannot be read: {error}.")))?;
    let id = orders::give(view, request.order, &request.reason).await?.to_string();
    Ok(HttpReply::json(202, value(&OrderTaken { id })))
}

/// Adds the tag of what is answered; who has the same already gets no body.
fn tagged(reply: HttpReply, call: &HttpCall) -> HttpReply {
    let (200, HttpBody::Json(body)) = (reply.status, &reply.body) else { return reply };
    let digest = Sha256::digest(body.to_string().as_bytes());
    let tag: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let known = call.header("if-none-match").unwrap_or_default();
    let same =
        known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag);
    let reply = if same { HttpReply::empty(304) } else { reply };
    reply.with_header("ETag", tag).with_header("Cache-Control", "no-cache, private")
}

/// A failure as RFC 9457 has it.
pub(super) fn problem(failure: &Failure) -> HttpReply {
    let (status, title) = failure.title();
    if status == 503 {
        tracing::error!(error = %failure.text(), "the API cannot read the ledger; the caller sees a 503");
    }
    let body = Problem { kind: "about:blank", title, status, detail: failure.text(), next: failure.next() };
    let text = serde_json::to_string(&body).unwrap_or_default();
    let reply = HttpReply {
        status,
        headers: vec![],
        body: HttpBody::Text { content_type: "application/problem+json", text },
    };
    match failure {
        Failure::Unavailable(_) => reply.with_header("Retry-After", "5"),
        Failure::Method(allowed) => reply.with_header("Allow", *allowed),
        _ => reply,
    }
}

/// The OpenAPI document, made from the table and the types.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = SchemaGenerator::new(settings);
    let problem = generator.subschema_for::<Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for operation in Operation::ALL {
        let schema = operation.answer_schema(&mut generator);
        let mut entry = json!({
            "operationId": format!("{operation:?}"),
            "summary": operation.says(),
            "parameters": parameters(operation),
            "responses": responses(operation, &schema, &problem),
        });
        if operation == Operation::GiveOrder {
            let schema = generator.subschema_for::<OrderRequest>();
            entry["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": schema } } });
            entry["security"] = json!([{ "bearer": [] }, { "platform": [] }]);
        }
        paths.insert(format!("/{}", operation.path()), json!({ operation.method().to_lowercase(): entry }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cordon, operator API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The facts of the operator's page, and orders. Where a process watches several workloads, the \
                base is operator/w/WORKLOAD/v1.",
        },
        "servers": [{ "url": "/api/operator/v1" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "The token that `cordon serve` prints." },
                "platform": {
                    "type": "apiKey", "in": "header", "name": "x-cordon-token",
                    "description": "With App Service authentication: the token of `me`, on top of the platform's session.",
                },
            },
        },
    })
}

fn parameters(operation: Operation) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    if operation.path().contains("{seq}") {
        all.push(json!({
            "name": "seq", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 0 },
            "description": "The number of a record.",
        }));
    }
    all.extend(operation.parameters().iter().map(|(name, kind, says)| {
        let schema = match *kind {
            "integer" if *name == "max" => json!({ "type": "integer", "minimum": 1, "maximum": LINES_MAX }),
            "integer" => json!({ "type": "integer", "minimum": 0 }),
            "date-time" => json!({ "type": "string", "format": "date-time" }),
            _ => json!({ "type": "string" }),
        };
        json!({ "name": name, "in": "query", "required": false, "schema": schema, "description": says })
    }));
    all
}

fn responses(operation: Operation, schema: &Schema, problem: &Schema) -> Value {
    let content = json!({ "application/json": { "schema": schema } });
    let mut all = match operation {
        Operation::GiveOrder => json!({
            "202": { "description": "Taken; obeyed at the next evaluation.", "content": content },
            "409": { "description": "It would be refused; the detail says why." },
        }),
        _ => json!({
            "200": {
                "description": "The answer.",
                "headers": { "ETag": { "schema": { "type": "string" }, "description": "Changes when the answer does." } },
                "content": content,
            },
            "304": { "description": "The caller has it already, by If-None-Match." },
        }),
    };
    for (status, says) in [
        ("400", "A parameter or the body cannot be read."),
        ("401", "Nobody is signed in."),
        ("403", "Not for this caller."),
        ("404", "Nothing is there."),
        ("405", "Another method."),
        ("409", "It would be refused; the detail says why."),
        ("413", "The body is too long."),
        ("503", "The ledger cannot be read."),
    ] {
        if status == "409" && operation != Operation::GiveOrder {
            continue;
        }
        all[status] =
            json!({ "description": says, "content": { "application/problem+json": { "schema": problem } } });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_routed_by_its_own_path_and_described() {
        let document = document();
        for operation in Operation::ALL {
            let path = operation.path().replace("{seq}", "7");
            let found = Operation::of(operation.method(), &path);
            assert!(matches!(found, Ok((found, _)) if found == operation), "{path}");
            let method = operation.method().to_lowercase();
            let described = &document["paths"][format!("/{}", operation.path())][&method];
            assert!(described["summary"].is_string(), "{path}");
            assert!(matches!(Operation::of("DELETE", &path), Err(Failure::Method(_))), "{path}");
        }
        assert!(matches!(Operation::of("GET", "nothing"), Err(Failure::NotFound)));
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for part in text.split("\"$ref\":\"").skip(1) {
            let pointer = part.split('"').next().unwrap_or_default().trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
