//! Who may call the webhooks: known-answer tokens against a tenant's key document, over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::cli::{self, Environment};
use cordon::edge::HttpCall;
use cordon::edge::entra::{Caller, Callers, EntraSettings, Tokens};
use cordon::notify::Secrets;
use domain::Timestamp;
use serde_json::Value;
use tests::fixtures as shared;
use tests::host_double::HostDouble;

/// A tenant's authority on loopback, which can be switched off, and how often its keys were read.
struct Authority {
    url: String,
    reads: Arc<AtomicU32>,
    down: Arc<std::sync::atomic::AtomicBool>,
}

fn fixtures() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tokens/tokens.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn now(fixtures: &Value) -> Timestamp {
    Timestamp::from_secs(fixtures["now"].as_i64().unwrap())
}

async fn authority(fixtures: &Value) -> Authority {
    let (reads, down) = (Arc::new(AtomicU32::new(0)), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let answer = {
        let (reads, down, jwks) = (reads.clone(), down.clone(), fixtures["jwks"].to_string());
        move || {
            reads.fetch_add(1, Ordering::Relaxed);
            let up = !down.load(Ordering::Relaxed);
            let jwks = jwks.clone();
            async move { if up { Ok(jwks) } else { Err(StatusCode::SERVICE_UNAVAILABLE) } }
        }
    };
    let path = format!("/{}/discovery/v2.0/keys", fixtures["tenant"].as_str().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route(&path, get(answer))).await });
    Authority { url, reads, down }
}

fn callers(fixtures: &Value, authority: &Authority, required: Tokens) -> Callers {
    Callers::with_tokens(EntraSettings {
        authority: authority.url.clone(),
        tenant: fixtures["tenant"].as_str().unwrap().into(),
        audiences: vec![fixtures["audience"].as_str().unwrap().into()],
        required,
    })
}

fn call(token: Option<&str>) -> HttpCall {
    let mut call = HttpCall { method: "POST".into(), ..HttpCall::default() };
    if let Some(token) = token {
        call.headers.insert("authorization".into(), format!("Bearer {token}"));
    }
    call
}

async fn status(callers: &Callers, caller: Caller, token: Option<&str>, now: Timestamp) -> u16 {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    callers.refused(caller, &call(token), &http, now).await.map_or(200, |reply| reply.status)
}

#[tokio::test]
async fn known_tokens_get_the_known_answers() {
    let fixtures = fixtures();
    let authority = authority(&fixtures).await;
    let callers = callers(&fixtures, &authority, Tokens::Required);
    let now = now(&fixtures);
    let tokens = fixtures["tokens"].as_object().unwrap();
    assert!(tokens.len() >= 20, "{}", tokens.len());
    for (name, case) in tokens {
        for (caller, who) in [(Caller::ActionGroup, "action-group"), (Caller::EventGrid, "event-grid")] {
            let expected = if case["expect"] == who { 200 } else { 401 };
            let answer = status(&callers, caller, case["token"].as_str(), now).await;
            assert_eq!(answer, expected, "{name} at the webhook of {who}");
        }
        println!(
            "{name}: {} alone takes it",
            case["expect"].as_str().filter(|who| *who != "refused").unwrap_or("nobody")
        );
    }
    println!("{} known tokens, two webhooks each", tokens.len());
    assert_eq!(
        authority.reads.load(Ordering::Relaxed),
        1,
        "an unknown key asks no second time within the pause"
    );
}

#[tokio::test]
async fn a_call_without_a_token_has_a_key_and_that_is_enough_unless_a_token_is_required() {
    let fixtures = fixtures();
    let authority = authority(&fixtures).await;
    let now = now(&fixtures);
    for (required, expected) in [(Tokens::Optional, 200), (Tokens::Required, 401)] {
        let callers = callers(&fixtures, &authority, required);
        assert_eq!(status(&callers, Caller::EventGrid, None, now).await, expected, "{required:?}");
        let bad = fixtures["tokens"]["wrong-role"]["token"].as_str();
        assert_eq!(status(&callers, Caller::ActionGroup, bad, now).await, 401, "{required:?}");
    }
    assert_eq!(status(&Callers::with_keys(), Caller::EventGrid, None, now).await, 200);
}

#[tokio::test]
async fn an_authority_that_is_down_refuses_nobody_for_good_and_forgets_no_key() {
    let fixtures = fixtures();
    let authority = authority(&fixtures).await;
    let callers = callers(&fixtures, &authority, Tokens::Required);
    let good = fixtures["tokens"]["action-group"]["token"].as_str();
    let at = now(&fixtures);
    authority.down.store(true, Ordering::Relaxed);
    assert_eq!(status(&callers, Caller::ActionGroup, good, at).await, 503, "it may be good: send it again");
    authority.down.store(false, Ordering::Relaxed);
    let later = at + Duration::from_secs(61);
    assert_eq!(status(&callers, Caller::ActionGroup, good, later).await, 200);
    authority.down.store(true, Ordering::Relaxed);
    // Older than a day and not to be read again: the keys that are known still tell a good token from a forged one. The
    // token itself has run out by then, which only a known key can say.
    let next_day = at + Duration::from_secs(25 * 60 * 60);
    assert_eq!(status(&callers, Caller::ActionGroup, good, next_day).await, 401);
    assert_eq!(authority.reads.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn the_environment_says_whose_tokens_count() {
    let of = |variables: &[(&str, &str)]| cli::callers(&variables.iter().copied().collect::<Environment>());
    assert!(of(&[]).is_ok());
    assert!(of(&[("CORDON_ENTRA_TENANT", "t"), ("CORDON_ENTRA_AUDIENCE", "a, b")]).is_ok());
    for (variables, missing) in [
        (vec![("CORDON_ENTRA_TENANT", "t")], "CORDON_ENTRA_AUDIENCE"),
        (vec![("CORDON_ENTRA_REQUIRED", "true")], "CORDON_ENTRA_TENANT"),
        (vec![("CORDON_ENTRA_REQUIRED", "yes")], "true or false"),
    ] {
        let error = of(&variables).unwrap_err().to_string();
        assert!(error.contains(missing), "{error}");
    }
}

/// What `cloud_event` answers through the host, with a key, a token, both or neither.
async fn at_cloud_event(callers: Callers, shown: &[(&str, &str)], query: &str) -> u64 {
    let settings = ControllerSettings {
        policies: vec![shared::policy()],
        store: StoreKind::Memory,
        clock: ClockKind::Invocation,
        arm_base: None,
        arm_loopback: Some("http://127.0.0.1:9".into()),
        arm_token: Some("none".into()),
        identity: Default::default(),
        stamp_key: "key".into(),
        instance: "test".into(),
        ledger_faults: Default::default(),
        gate_faults: Default::default(),
    };
    let app = assemble::guarded_controller(&settings, None, callers, Secrets::default()).unwrap();
    let mut host = HostDouble::in_process(app).await.unwrap();
    host.set_clock(&now(&fixtures()).to_string());
    let event = serde_json::json!({
        "specversion": "1.0", "id": "s-1", "source": "/a", "type": "a.b", "data": {},
    });
    let path = format!("/api/cloud_event{query}");
    let reply = host.http("cloud_event", "POST", &path, shown, &event.to_string()).await.unwrap();
    reply.http_status().unwrap()
}

#[tokio::test]
async fn cloud_event_takes_a_key_or_a_token_and_nobody_without_one_of_them() {
    let known = fixtures();
    let authority = authority(&known).await;
    let tokens = || callers(&known, &authority, Tokens::Optional);
    let key = ("x-functions-key", "the key");
    for (callers, shown, query, expected) in [
        (tokens().asking_for(Some("the key")), vec![key], "", 202),
        (tokens().asking_for(Some("the key")), vec![], "?code=the%20key", 202),
        (tokens().asking_for(Some("the key")), vec![("x-functions-key", "the kez")], "", 401),
        (tokens().asking_for(Some("the key")), vec![("x-functions-key", "")], "", 401),
        (tokens().asking_for(Some("the key")), vec![], "", 401),
        // Without a key that was set, nobody has it; the empty one neither.
        (tokens().asking_for(None), vec![key], "", 401),
        (tokens().asking_for(None), vec![("x-functions-key", "")], "", 401),
        (Callers::with_keys().asking_for(None), vec![], "", 401),
        (Callers::with_keys().asking_for(Some("the key")), vec![key], "", 202),
        // What nobody here can judge is no token.
        (Callers::with_keys().asking_for(Some("the key")), vec![("authorization", "Bearer x")], "", 401),
        // A key does not make up for a bad token, and where tokens are required not for a missing one.
        (tokens().asking_for(Some("the key")), vec![key, ("authorization", "Bearer x")], "", 401),
        (callers(&known, &authority, Tokens::Required).asking_for(Some("the key")), vec![key], "", 401),
    ] {
        let said = format!("{callers:?} {shown:?} {query}");
        assert_eq!(at_cloud_event(callers, &shown, query).await, expected, "{said}");
    }
}

#[tokio::test]
async fn at_cloud_event_the_known_tokens_stand_in_for_a_key() {
    let known = fixtures();
    let authority = authority(&known).await;
    let mut let_in = 0;
    for (name, case) in known["tokens"].as_object().unwrap() {
        let callers = callers(&known, &authority, Tokens::Optional).asking_for(None);
        let bearer = format!("Bearer {}", case["token"].as_str().unwrap());
        let expected = if case["expect"] == "event-grid" { 202 } else { 401 };
        let answer = at_cloud_event(callers, &[("authorization", &bearer)], "").await;
        assert_eq!(answer, expected, "{name}");
        let_in += u32::from(answer == 202);
    }
    assert!(let_in > 0);
}

#[tokio::test]
async fn under_the_host_cloud_event_asks_also_where_nothing_was_set() {
    let under = |variables: &[(&str, &str)]| {
        cli::callers(&variables.iter().copied().collect::<Environment>()).unwrap()
    };
    let host = ("FUNCTIONS_CUSTOMHANDLER_PORT", "1");
    let shown = [("x-functions-key", "k")];
    assert_eq!(at_cloud_event(under(&[host]), &shown, "").await, 401);
    assert_eq!(at_cloud_event(under(&[host, ("CORDON_EVENT_KEY", "k")]), &shown, "").await, 202);
    assert_eq!(
        at_cloud_event(under(&[host, ("CORDON_EVENT_KEY", " ")]), &[("x-functions-key", " ")], "").await,
        401
    );
    assert_eq!(at_cloud_event(under(&[]), &[], "").await, 202, "on loopback nobody asks");
    assert_eq!(at_cloud_event(under(&[("CORDON_EVENT_KEY", "k")]), &[], "").await, 401);
}

/// Whom the host turns away, before we are asked. The page, the probe path and the publishers' webhook have their own ways.
#[test]
fn the_host_asks_for_the_action_groups_key_and_leaves_the_others_to_us() {
    let functions = concat!(env!("CARGO_MANIFEST_DIR"), "/../functions");
    let mut levels = std::collections::BTreeMap::new();
    for folder in std::fs::read_dir(functions).unwrap().flatten() {
        let Ok(text) = std::fs::read_to_string(folder.path().join("function.json")) else { continue };
        let definition: Value = serde_json::from_str(&text).unwrap();
        let bindings = definition["bindings"].as_array().unwrap().clone();
        for binding in bindings.into_iter().filter(|binding| binding["type"] == "httpTrigger") {
            let name = folder.file_name().into_string().unwrap();
            levels.insert(name, binding["authLevel"].as_str().unwrap().to_owned());
        }
    }
    let levels: Vec<(&str, &str)> =
        levels.iter().map(|(name, level)| (name.as_str(), level.as_str())).collect();
    assert_eq!(
        levels,
        [
            ("azure_monitor_alert", "function"),
            ("cloud_event", "anonymous"),
            ("operator", "anonymous"),
            ("stamp_health", "anonymous"),
        ]
    );
}
