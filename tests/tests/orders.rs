//! Orders from the page: who may give them, from where, what is asked before, and what becomes of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails ends the test")]

use std::sync::Arc;

use adapters::CommitOutcome;
use adapters::faulty::FaultSwitch;
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::controller;
use cordon::edge::{App, HttpBody, HttpCall, HttpReply, Page, Role};
use cordon::page::{Access, Identities, OperatorPage};
use domain::facts::{LoadFacts, OriginFacts, StampFacts};
use domain::state::{Stage, StampCase, WorkloadState};
use domain::{EnabledState, Generation, ItemBody, OperationId, StampId, Timestamp, Transition};

const TOKEN: &str = "00112233445566778899aabbccddeeff";
const HOSTILE: &str = "\"><script>alert(1)</script>&'";

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T19:00:00Z").unwrap()
}

struct World {
    app: Arc<App>,
    page: OperatorPage,
}

fn world(identities: Identities) -> World {
    let page = OperatorPage { access: Access { identities, form_key: "form key".into(), origin: None } };
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
        ledger_faults: FaultSwitch::new(),
        gate_faults: FaultSwitch::new(),
    };
    let app = assemble::controller(&settings, None).unwrap();
    app.invocation_clock.as_ref().unwrap().set(now());
    World { app, page }
}

fn development() -> World {
    world(Identities::Development { token: TOKEN.into() })
}

fn platform() -> World {
    world(Identities::Platform { reader: Some("Cordon.Reader".into()), operator: "Cordon.Operator".into() })
}

/// As App Service authentication encodes it.
fn principal(name: &str, roles: &[&str]) -> String {
    let mut claims = vec![serde_json::json!({"typ": "name", "val": name})];
    claims.extend(roles.iter().map(|role| serde_json::json!({"typ": "roles", "val": role})));
    let text =
        serde_json::json!({"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"});
    base64(text.to_string().as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|group| {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        (0..=group.len()).map(move |place| char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]))
    });
    digits.collect()
}

impl World {
    fn controllers(&self) -> &controller::Controllers {
        let Role::Controller(app) = &self.app.role else { panic!("a controller was assembled") };
        &app.controllers
    }

    fn controller(&self) -> &controller::Controller {
        self.controllers().only().unwrap()
    }

    /// Three stamps that serve; in `change` what is otherwise.
    async fn with(self, change: impl FnOnce(&mut WorkloadState)) -> Self {
        let mut state = WorkloadState::new("contoso-shoes".into(), 1, now());
        state.generation = Generation { epoch: 1, n: 1 };
        state.operation = OperationId::new("test");
        state.observed_at = Some(now());
        state.topology.read_at = Some(now());
        for name in ["centralus", "eastus2", "westus2"] {
            let facts = StampFacts {
                stamp: name.into(),
                region: name.into(),
                origin_host: format!("{name}.example"),
                origin_id: format!("/origins/{name}"),
                autoscale_id: None,
                plan_id: None,
                direct_url: format!("https://{name}.example"),
                state: None,
            };
            Arc::make_mut(&mut state.topology.stamps).insert(name.into(), facts);
            let mut case = StampCase::new(now());
            case.demand_rps = 600.0;
            state.cases.insert(name.into(), case);
            let load = LoadFacts {
                observed_at: now(),
                ready_instances: 8,
                requests_per_second: 600.0,
                saturation: 0.5,
            };
            state.load.insert(name.into(), load);
            let origin = OriginFacts { read_at: now(), enabled: EnabledState::Enabled, updating: false };
            state.origins.insert(name.into(), origin);
        }
        change(&mut state);
        let transition = Transition {
            parent: None,
            state,
            steps: vec![],
            forgotten: vec![],
            audit: None,
            consumed: vec![],
        };
        assert_eq!(self.controller().ledger.commit(&transition).await.unwrap(), CommitOutcome::Committed);
        self
    }

    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> HttpReply {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let call = HttpCall {
            method: method.into(),
            path: format!("/api/operator/{path}"),
            query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.into(),
        };
        self.page.respond(self.controllers(), &call).await
    }

    /// The orders that wait in the inbox.
    async fn ordered(&self) -> Vec<domain::Command> {
        let view = self.controller().ledger.load(&"contoso-shoes".into(), 100).await.unwrap();
        let orders = view.inbox.into_iter().filter_map(|item| match item.body {
            ItemBody::Command { command } => Some(command),
            _ => None,
        });
        orders.collect()
    }

    async fn case(&self, stamp: &str) -> StampCase {
        let view = self.controller().ledger.load(&"contoso-shoes".into(), 0).await.unwrap();
        view.state.unwrap().cases[&StampId::from(stamp)].clone()
    }
}

fn text(reply: &HttpReply) -> String {
    match &reply.body {
        HttpBody::Text { text, .. } => text.clone(),
        HttpBody::Json(value) => value.to_string(),
        HttpBody::Empty => String::new(),
    }
}

/// The token of the form on a page.
fn form_token(page: &HttpReply) -> String {
    let page = text(page);
    let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("no form:\n{page}"));
    rest.split('"').next().unwrap().to_owned()
}

const COOKIE: (&str, &str) = ("cookie", "theme=dark; cordon-operator=00112233445566778899aabbccddeeff");

#[tokio::test]
async fn an_order_is_confirmed_recorded_with_its_giver_and_obeyed() {
    let world = development().with(|_| {}).await;
    let page = world.call("GET", "order/hold?stamp=eastus2", &[COOKIE], "").await;
    for expected in ["Hold eastus2?", "Effect", "Undone", "an operator&#39;s hold", "Recorded as developer"] {
        assert!(text(&page).contains(expected), "lacks {expected:?}:\n{}", text(&page));
    }
    let body = format!("token={}&stamp=eastus2&reason=looking+at+%3Cit%3E", form_token(&page));
    let reply = world.call("POST", "order/hold", &[COOKIE], &body).await;
    assert_eq!(reply.status, 303, "{}", text(&reply));
    assert!(
        reply
            .headers
            .iter()
            .any(|(name, to)| name == "Location" && to.starts_with("/api/operator/status?ordered="))
    );
    let ordered = world.ordered().await;
    assert_eq!((ordered[0].by.as_str(), ordered[0].reason.as_str()), ("developer", "looking at <it>"));
    assert!(text(&world.call("GET", "status", &[COOKIE], "").await).contains("eastus2 is held by developer"));
    controller::evaluate(world.controller()).await.unwrap();
    assert_eq!(world.case("eastus2").await.stage, Stage::Held);

    world.app.invocation_clock.as_ref().unwrap().set(now() + std::time::Duration::from_secs(1));
    let again = world.call("POST", "order/hold", &[COOKIE], &body).await;
    assert_eq!(again.status, 409, "it is held already");
    let token = form_token(&world.call("GET", "order/release?stamp=eastus2", &[COOKIE], "").await);
    let body = format!("token={token}&stamp=eastus2&reason=done");
    assert_eq!(world.call("POST", "order/release", &[COOKIE], &body).await.status, 303);
    controller::evaluate(world.controller()).await.unwrap();
    assert_eq!(world.case("eastus2").await.stage, Stage::Serving);
}

#[tokio::test]
async fn a_form_without_our_token_or_from_elsewhere_changes_nothing() {
    let world = development().with(|_| {}).await;
    let token = form_token(&world.call("GET", "order/hold?stamp=eastus2", &[COOKIE], "").await);
    let good = format!("token={token}&stamp=eastus2&reason=x");
    let host = ("host", "127.0.0.1:7071");
    for (headers, body) in [
        (vec![COOKIE], "stamp=eastus2&reason=x".to_owned()),
        (vec![COOKIE], format!("token={}&stamp=eastus2&reason=x", "0".repeat(32))),
        (vec![COOKIE, host, ("origin", "https://evil.example")], good.clone()),
        (vec![COOKIE, host, ("origin", "null")], good.clone()),
        (vec![COOKIE, ("sec-fetch-site", "cross-site")], good.clone()),
        (vec![COOKIE, ("sec-fetch-site", "same-site")], good.clone()),
        (vec![], good.clone()),
        (vec![("cookie", "cordon-operator=guessed")], good.clone()),
        (vec![("x-ms-client-principal", "e30=")], good.clone()),
    ] {
        let reply = world.call("POST", "order/hold", &headers, &body).await;
        assert_eq!(reply.status, 403, "{headers:?} {body}");
    }
    assert!(world.ordered().await.is_empty());
    let ours = [COOKIE, host, ("origin", "http://127.0.0.1:7071"), ("sec-fetch-site", "same-origin")];
    assert_eq!(world.call("POST", "order/hold", &ours, &good).await.status, 303);
    // An hour later the token is still good, two hours later no more.
    for (hours, status) in [(1, 409), (2, 403)] {
        let later = now() + std::time::Duration::from_secs(3_600 * hours);
        world.app.invocation_clock.as_ref().unwrap().set(later);
        assert_eq!(
            world.call("POST", "order/hold", &[COOKIE], &good).await.status,
            status,
            "{hours} h later"
        );
    }
}

#[tokio::test]
async fn a_browser_names_the_origin_of_our_forms() {
    let world = development().with(|_| {}).await;
    let page = world.call("GET", "order/hold?stamp=eastus2", &[COOKIE], "").await;
    let policy = page.headers.iter().find(|(name, _)| name == "Referrer-Policy").unwrap();
    assert_eq!(policy.1, "same-origin", "under no-referrer a form's origin is null");
}

#[tokio::test]
async fn a_reader_can_do_nothing_that_changes_state() {
    let world = platform().with(|_| {}).await;
    let reader = principal("kim@contoso.example", &["Cordon.Reader"]);
    let reader = [("x-ms-client-principal", reader.as_str())];
    let page = world.call("GET", "status", &reader, "").await;
    assert!(text(&page).contains("kim@contoso.example, reader"));
    assert!(!text(&page).contains("/order/"), "no order is offered");
    for kind in [
        "hold",
        "release",
        "cordon",
        "approve",
        "acknowledge",
        "readmit",
        "pause",
        "resume",
        "mode",
        "override",
    ] {
        let path = format!("order/{kind}");
        let body = "stamp=eastus2&generation=1.1&reason=x&token=x";
        assert_eq!(
            world.call("GET", &format!("{path}?stamp=eastus2&generation=1.1"), &reader, "").await.status,
            403,
            "{kind}"
        );
        assert_eq!(world.call("POST", &path, &reader, body).await.status, 403, "{kind}");
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        assert_eq!(world.call(method, "status", &reader, "").await.status, 405, "{method}");
    }
    assert_eq!(world.call("POST", "status", &reader, "").await.status, 405);
    assert!(world.ordered().await.is_empty());
}

#[tokio::test]
async fn the_platforms_word_is_believed_only_where_it_was_configured() {
    let operator = principal("sam@contoso.example", &["Cordon.Operator"]);
    let header = [("x-ms-client-principal", operator.as_str())];
    for world in [development(), world(Identities::Nobody)] {
        let world = world.with(|_| {}).await;
        let page = world.call("GET", "status", &header, "").await;
        assert!(text(&page).contains("reading only"), "the header means nothing here");
        assert_eq!(world.call("GET", "order/resume", &header, "").await.status, 403);
    }
    let world = platform().with(|_| {}).await;
    assert!(text(&world.call("GET", "status", &header, "").await).contains("sam@contoso.example, operator"));
    let nobody = principal("eve@contoso.example", &["Other"]);
    let joined = format!("{operator}, {operator}");
    for (headers, status) in [
        (vec![], 401),
        (vec![("x-ms-client-principal", "not base64!")], 401),
        (vec![("x-ms-client-principal", "e30=")], 401),
        (vec![("x-ms-client-principal", joined.as_str())], 401),
        (vec![("x-ms-client-principal", nobody.as_str())], 403),
        (vec![COOKIE], 401),
    ] {
        assert_eq!(world.call("GET", "status", &headers, "").await.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn an_approval_names_its_generation_and_dies_with_it() {
    let world = development()
        .with(|state| {
            let case = state.cases.get_mut(&StampId::from("eastus2")).unwrap();
            case.stage = Stage::Suspect;
            case.awaiting_approval = Some(Generation { epoch: 1, n: 7 });
        })
        .await;
    let status = world.call("GET", "status", &[COOKIE], "").await;
    assert!(text(&status).contains("order/approve?stamp=eastus2&amp;generation=1.7"), "{}", text(&status));
    let page = world.call("GET", "order/approve?stamp=eastus2&generation=1.7", &[COOKIE], "").await;
    assert!(text(&page).contains("The floor without eastus2: 2 of 3 regions"), "{}", text(&page));
    let stale = world.call("GET", "order/approve?stamp=eastus2&generation=1.6", &[COOKIE], "").await;
    assert!(text(&stale).contains("It would be refused") && !text(&stale).contains("<form"));
    let token = form_token(&page);
    for (generation, status) in [("1.6", 409), ("x", 400), ("1.7", 303)] {
        let body = format!("token={token}&stamp=eastus2&generation={generation}&reason=go");
        assert_eq!(
            world.call("POST", "order/approve", &[COOKIE], &body).await.status,
            status,
            "{generation}"
        );
    }
}

/// eastus2 was ordered out, and the others cannot carry it.
fn held_for_capacity(state: &mut WorkloadState) {
    let case = state.cases.get_mut(&StampId::from("eastus2")).unwrap();
    case.stage = Stage::Evacuating;
    case.cause = Some(domain::state::Cause::Order);
    case.decided_at = Some(now());
    case.by_hand = Some(domain::state::ByHand { by: "sam".into(), reason: "x".into(), at: now() });
    case.held_for = Some(domain::state::HeldFor {
        reason: domain::decide::HoldReason::CapacityShort,
        generation: Generation { epoch: 1, n: 7 },
        since: now(),
        told_at: now(),
        told: 1,
    });
    for other in ["centralus", "westus2"] {
        state.load.get_mut(&StampId::from(other)).unwrap().ready_instances = 4;
    }
}

#[tokio::test]
async fn an_override_is_offered_by_name_says_what_it_costs_and_needs_the_stamps_name() {
    let world = development().with(held_for_capacity).await;
    let path = "order/override?stamp=eastus2&rule=S2&generation=1.7";
    let status = text(&world.call("GET", "status", &[COOKIE], "").await);
    assert!(status.contains("order/override?stamp=eastus2&amp;rule=S2&amp;generation=1.7"), "{status}");
    let page = world.call("GET", path, &[COOKIE], "").await;
    for expected in [
        "Override safety rule S2 and take eastus2 out all the same?",
        "The last serving region stays whatever is overridden",
        "The floor without eastus2: 2 of 3 regions",
        "not ready yet",
        "although the survivors cannot carry its load",
        "name=\"confirm\"",
    ] {
        assert!(text(&page).contains(expected), "lacks {expected:?}:\n{}", text(&page));
    }
    let token = form_token(&page);
    for (more, status) in [
        ("&rule=S2&generation=1.7&reason=bad+prices", 409),
        ("&rule=S2&generation=1.7&reason=bad+prices&confirm=eastus", 409),
        ("&rule=S2&generation=1.6&reason=bad+prices&confirm=eastus2", 409),
        ("&rule=S3&generation=1.7&reason=bad+prices&confirm=eastus2", 409),
        ("&rule=S8&generation=1.7&reason=bad+prices&confirm=eastus2", 400),
        ("&rule=S2&generation=1.7&reason=&confirm=eastus2", 409),
    ] {
        let body = format!("token={token}&stamp=eastus2{more}");
        assert_eq!(world.call("POST", "order/override", &[COOKIE], &body).await.status, status, "{more}");
    }
    assert!(world.ordered().await.is_empty());
    let body =
        format!("token={token}&stamp=eastus2&rule=S2&generation=1.7&reason=bad+prices&confirm=eastus2");
    assert_eq!(world.call("POST", "order/override", &[COOKIE], &body).await.status, 303);
    let status = text(&world.call("GET", "status", &[COOKIE], "").await);
    assert!(status.contains("Safety rule S2 is overridden for eastus2 by developer"), "{status}");
}

#[tokio::test]
async fn every_order_has_its_page_and_needs_a_reason() {
    let world = development()
        .with(|state| {
            let case = state.cases.get_mut(&StampId::from("westus2")).unwrap();
            case.stage = Stage::Proving;
            case.gate = domain::GatePosition::Closed;
            case.decided_at = Some(now());
            case.auto_cordons = vec![now(); 2];
        })
        .await;
    for (path, expected) in [
        ("order/cordon?stamp=eastus2", "The floor without eastus2: 1 of 3 regions"),
        ("order/readmit?stamp=westus2", "without waiting for the end of its window"),
        ("order/acknowledge?stamp=westus2", "the count starts anew"),
        ("order/pause?minutes=30", "ends by itself"),
        ("order/resume", "go on at the next evaluation"),
        ("order/mode", "stands over the policy"),
        ("order/hold?stamp=eastus2", "until it is released"),
    ] {
        let page = world.call("GET", path, &[COOKIE], "").await;
        assert!(page.status == 200 && text(&page).contains(expected), "{path}: {}", text(&page));
        let body = format!("token={}&stamp=eastus2&reason=+", form_token(&page));
        let kind = path.split('?').next().unwrap();
        assert_eq!(world.call("POST", kind, &[COOKIE], &body).await.status, 409, "{path} without a reason");
    }
    let token = form_token(&world.call("GET", "order/mode", &[COOKIE], "").await);
    let body = format!("token={token}&cause=gray&mode=observe&reason=tuning");
    assert_eq!(world.call("POST", "order/mode", &[COOKIE], &body).await.status, 303);
    assert!(
        text(&world.call("GET", "status", &[COOKIE], "").await)
            .contains("gray failure: observe, ordered by developer: tuning")
    );
    for (path, status) in [
        ("order/dance?stamp=eastus2", 404),
        ("order/hold", 400),
        ("order/pause?minutes=x", 400),
        ("order/mode?mode=x", 400),
    ] {
        assert_eq!(world.call("GET", path, &[COOKIE], "").await.status, status, "{path}");
    }
    let early = world.call("GET", "order/acknowledge?stamp=eastus2", &[COOKIE], "").await;
    assert!(text(&early).contains("its budget of automatic cordons is not spent"), "{}", text(&early));
    let unknown = world.call("GET", "order/hold?stamp=nowhere", &[COOKIE], "").await;
    assert!(text(&unknown).contains("no such stamp"));
}

#[tokio::test]
async fn what_an_order_says_is_text_everywhere() {
    let world = development().with(|_| {}).await;
    let encoded: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let token = form_token(&world.call("GET", "order/hold?stamp=eastus2", &[COOKIE], "").await);
    let body = format!("token={token}&stamp=eastus2&reason={encoded}");
    assert_eq!(world.call("POST", "order/hold", &[COOKIE], &body).await.status, 303);
    controller::evaluate(world.controller()).await.unwrap();
    for path in [
        "status",
        "audit",
        "audit/1",
        "incidents",
        "incident/1",
        "stamp/eastus2",
        "order/release?stamp=eastus2",
    ] {
        let page = text(&world.call("GET", path, &[COOKIE], "").await);
        assert!(!page.contains("<script>alert"), "{path}:\n{page}");
    }
    let named = format!("order/hold?stamp={HOSTILE}");
    assert!(!text(&world.call("GET", &named, &[COOKIE], "").await).contains("<script>alert"));
}

#[tokio::test]
async fn the_development_token_becomes_a_cookie_for_this_page_alone() {
    let world = development().with(|_| {}).await;
    assert_eq!(world.call("GET", "sign-in?token=guess", &[], "").await.status, 403);
    let reply = world.call("GET", &format!("sign-in?token={TOKEN}"), &[], "").await;
    assert_eq!(reply.status, 303);
    let cookie = &reply.headers.iter().find(|(name, _)| name == "Set-Cookie").unwrap().1;
    assert_eq!(cookie, &format!("cordon-operator={TOKEN}; Path=/api/operator; HttpOnly; SameSite=Strict"));
    assert_eq!(platform().call("GET", &format!("sign-in?token={TOKEN}"), &[], "").await.status, 401);
}
