//! Who may call the webhooks: known-answer tokens against a tenant's key document, over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use cordon::cli::{self, Environment};
use cordon::edge::HttpCall;
use cordon::edge::entra::{Caller, Callers, EntraSettings, Tokens};
use domain::Timestamp;
use serde_json::Value;

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

/// Who has no key is turned away by the host, before we are asked; the page and the probe path have their own ways to ask.
#[test]
fn the_webhooks_ask_for_a_key_and_only_the_page_and_the_probe_do_not() {
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
            ("cloud_event", "function"),
            ("operator", "anonymous"),
            ("stamp_health", "anonymous"),
        ]
    );
}
