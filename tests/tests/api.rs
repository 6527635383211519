//! The JSON API: every answer fits the document that describes it, also to a caller who sends nonsense.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails ends the test")]

use std::sync::Arc;

use adapters::faulty::{Fault, FaultSwitch};
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::controller;
use cordon::edge::{App, HttpBody, HttpCall, HttpReply, Page, Role};
use cordon::page::{Access, Identities, OperatorPage};
use domain::facts::StampFacts;
use domain::{Facts, InboxItem, ItemBody, ItemId, Timestamp};
use serde_json::{Value, json};

const BEARER: (&str, &str) = ("authorization", "Bearer secret");
const JSON: (&str, &str) = ("content-type", "application/json");

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T19:00:00Z").unwrap()
}

struct World {
    app: Arc<App>,
    page: OperatorPage,
    faults: FaultSwitch,
}

/// Two stamps, a few records, one of them an incident's: an operator holds a stamp.
async fn world() -> World {
    let faults = FaultSwitch::new();
    let settings = ControllerSettings {
        policies: vec![domain::policy::parse(include_str!("../../policy.toml")).unwrap()],
        store: StoreKind::Memory,
        clock: ClockKind::Invocation,
        arm_base: None,
        arm_loopback: Some("http://127.0.0.1:9".into()),
        arm_token: Some("t".into()),
        identity: Default::default(),
        stamp_key: "k".into(),
        instance: "test".into(),
        ledger_faults: faults.clone(),
        gate_faults: FaultSwitch::new(),
    };
    let identities = Identities::Development { token: "secret".into() };
    let page = OperatorPage { access: Access { identities, form_key: "k".into(), origin: None } };
    let world = World { app: assemble::controller(&settings, None).unwrap(), page, faults };
    world.app.invocation_clock.as_ref().unwrap().set(now());
    let stamp = |name: &str| StampFacts {
        stamp: name.into(),
        region: name.into(),
        origin_host: format!("{name}.example"),
        origin_id: format!("/origins/{name}"),
        autoscale_id: None,
        plan_id: None,
        direct_url: format!("https://{name}.example"),
        state: None,
    };
    let facts = Facts { topology: Some(vec![stamp("eastus2"), stamp("centralus")]), ..Facts::default() };
    let body = ItemBody::Observed { signals: vec![], facts };
    let item = InboxItem { id: ItemId::new("topology"), event_at: now(), received_at: now(), body };
    world.controller().ledger.append(&"contoso-shoes".into(), &[item]).await.unwrap();
    controller::evaluate(world.controller()).await.unwrap();
    let order = json!({ "order": { "order": "hold", "stamp": "eastus2" }, "reason": "a drill" });
    assert_eq!(world.call("POST", "orders", &[BEARER, JSON], &order.to_string()).await.status, 202);
    controller::evaluate(world.controller()).await.unwrap();
    world
}

impl World {
    fn controllers(&self) -> &controller::Controllers {
        let Role::Controller(app) = &self.app.role else { panic!("a controller was assembled") };
        &app.controllers
    }

    fn controller(&self) -> &controller::Controller {
        self.controllers().only().unwrap()
    }

    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> HttpReply {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let call = HttpCall {
            method: method.into(),
            path: format!("/api/operator/v1/{path}"),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.into(),
        };
        self.page.respond(self.controllers(), &call).await
    }
}

fn header<'a>(reply: &'a HttpReply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The body with its content type, as the document names them.
fn body(reply: &HttpReply) -> (&'static str, Value) {
    match &reply.body {
        HttpBody::Json(value) => ("application/json", value.clone()),
        HttpBody::Text { content_type, text } => (content_type, serde_json::from_str(text).unwrap()),
        HttpBody::Empty => ("", Value::Null),
    }
}

/// Whether a reply is one that the document describes: its status, its content type, its shape.
fn fits(document: &Value, method: &str, template: &str, reply: &HttpReply) {
    let operation = &document["paths"][template][method.to_lowercase()];
    let described = &operation["responses"][reply.status.to_string()];
    assert!(described.is_object(), "{method} {template}: {} is not described", reply.status);
    let (content_type, value) = body(reply);
    if content_type.is_empty() {
        return;
    }
    let schema = &described["content"][content_type]["schema"];
    assert!(!schema.is_null(), "{method} {template} {}: {content_type} is not described", reply.status);
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{method} {template} {}: {errors:?}\n{value}", reply.status);
}

#[tokio::test]
async fn every_answer_fits_the_document_also_to_nonsense() {
    let world = world().await;
    let (_, document) = body(&world.call("GET", "openapi.json", &[], "").await);
    assert_eq!(document["openapi"], "3.1.0");
    let nonsense = [
        "",
        "0",
        "1",
        "2",
        "-1",
        "x",
        "99999999999999999999",
        "%00",
        "<script>",
        "é",
        "2026-11-22T19:00:00Z",
        "*",
    ];
    let mut asked = 0;
    for (template, methods) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"] {
            let operation = &methods[method.to_lowercase()];
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for seq in ["0", "1", "2", "7", "x", "99999999999999999999"] {
                let path = template.trim_start_matches('/').replace("{seq}", seq);
                let reply = world.call(method, &path, &[BEARER], "").await;
                assert!(reply.status < 500, "{method} {path}: {}", reply.status);
                if operation.is_object() {
                    fits(&document, method, template, &reply);
                }
                for parameter in parameters.iter().filter(|one| one["in"] == "query") {
                    for value in nonsense {
                        let encoded: String =
                            url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                        let path = format!("{path}?{}={encoded}", parameter["name"].as_str().unwrap());
                        fits(&document, method, template, &world.call(method, &path, &[BEARER], "").await);
                        asked += 1;
                    }
                }
                if !template.contains("{seq}") {
                    break;
                }
            }
        }
    }
    assert!(asked > 100, "{asked}");
}

#[tokio::test]
async fn every_order_that_is_none_is_a_problem_that_the_document_knows() {
    let world = world().await;
    let (_, document) = body(&world.call("GET", "openapi.json", &[], "").await);
    let orders = [
        "",
        "{}",
        "null",
        "[]",
        "{",
        "\u{0}",
        r#"{"order":{"order":"hold","stamp":"centralus"},"reason":""}"#,
        r#"{"order":{"order":"dance"},"reason":"x"}"#,
        r#"{"order":{"order":"hold"},"reason":"x"}"#,
        r#"{"order":{"order":"hold","stamp":"nowhere"},"reason":"x"}"#,
        r#"{"order":{"order":"pause","until":"2030-01-01T00:00:00Z"},"reason":"x"}"#,
        r#"{"order":{"order":"resume"},"reason":"x","more":1}"#,
        r#"{"order":{"order":"approve","stamp":"centralus","generation":{"epoch":1,"n":-1}},"reason":"x"}"#,
        r#"{"order":{"order":"resume"},"reason":"x"}"#,
    ];
    for order in orders {
        for headers in [vec![BEARER, JSON], vec![BEARER], vec![JSON], vec![]] {
            let reply = world.call("POST", "orders", &headers, order).await;
            fits(&document, "POST", "/orders", &reply);
        }
    }
}

#[tokio::test]
async fn who_has_an_answer_already_gets_no_body() {
    let world = world().await;
    for path in ["audit/1", "audit", "incidents", "openapi.json", "status"] {
        let first = world.call("GET", path, &[], "").await;
        let tag = header(&first, "ETag").unwrap().to_owned();
        let again = world.call("GET", path, &[("if-none-match", &tag)], "").await;
        assert_eq!((again.status, again.body), (304, HttpBody::Empty), "{path}");
        let other = world.call("GET", path, &[("if-none-match", "\"other\"")], "").await;
        assert_eq!(other.status, 200, "{path}");
        assert_eq!(header(&first, "Cache-Control"), Some("no-cache, private"));
    }
}

#[tokio::test]
async fn the_audit_and_the_incidents_come_in_pages() {
    let world = world().await;
    let (_, page) = body(&world.call("GET", "audit?max=1", &[], "").await);
    let first = page["lines"][0]["seq"].as_u64().unwrap();
    assert_eq!(page["next_before"], first);
    let (_, next) = body(&world.call("GET", &format!("audit?max=1&before={first}"), &[], "").await);
    assert_eq!(next["lines"][0]["seq"], first - 1);
    let (_, incidents) = body(&world.call("GET", "incidents", &[], "").await);
    assert_eq!(incidents["incidents"][0]["title"], "eastus2 held by an operator");
    let (_, held) = body(&world.call("GET", "audit?decision=ordered", &[], "").await);
    assert_eq!(held["lines"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_order_needs_a_proof_that_no_other_site_can_send() {
    let world = world().await;
    let order = json!({ "order": { "order": "resume" }, "reason": "x" }).to_string();
    let cookie = ("cookie", "cordon-operator=secret");
    let (_, me) = body(&world.call("GET", "me", &[cookie], "").await);
    assert_eq!((me["name"].as_str(), me["role"].as_str()), (Some("developer"), Some("operator")));
    let token = me["token"].as_str().unwrap();
    for (headers, status) in [
        (vec![cookie, JSON], 403),
        (vec![cookie, JSON, ("x-cordon-token", "0")], 403),
        (vec![cookie, ("content-type", "text/plain"), ("x-cordon-token", token)], 400),
        (
            vec![cookie, JSON, ("x-cordon-token", token), ("origin", "https://evil.example"), ("host", "a")],
            403,
        ),
        (vec![JSON], 403),
        (vec![cookie, JSON, ("x-cordon-token", token)], 202),
        (vec![BEARER, JSON], 202),
    ] {
        assert_eq!(world.call("POST", "orders", &headers, &order).await.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn a_ledger_out_of_reach_is_a_problem_that_says_what_to_do() {
    let world = world().await;
    world.faults.set(Fault::Unavailable);
    for path in ["status", "audit", "audit/1", "incidents", "plan"] {
        let reply = world.call("GET", path, &[], "").await;
        let (content_type, problem) = body(&reply);
        assert_eq!((reply.status, content_type), (503, "application/problem+json"), "{path}");
        assert!(problem["next"].as_str().unwrap().contains("Reload"), "{problem}");
    }
}
