//! The client over a scripted transport, under a clock that stands still.

use azure_core::credentials::{AccessToken, TokenRequestOptions};
use serde_json::json;

use super::*;
use crate::azure::testing::{Answer, Script, arm, id};

const ORIGIN: &str =
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Cdn/profiles/p/originGroups/g/origins/o";
const VERSION: &str = "2025-06-01";

fn operation(query: &str) -> String {
    format!("https://management.azure.com/subscriptions/s/providers/Microsoft.Cdn/operationresults/1{query}")
}

fn running(accepted: Accepted) -> (OperationUrl, Option<Duration>) {
    match accepted {
        Accepted::Running { operation, retry_after, .. } => (operation, retry_after),
        Accepted::Done(body) => panic!("done: {body}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_is_followed_where_azure_says() {
    let updating = json!({"properties": {"provisioningState": "Updating"}});
    let succeeded = json!({"properties": {"provisioningState": "Succeeded"}});
    let resource = format!("https://management.azure.com{ORIGIN}?api-version={VERSION}");
    let cases = [
        (
            Answer::json(202, &updating)
                .header("azure-asyncoperation", operation("?t=a"))
                .header("location", operation("?t=l"))
                .header("retry-after", "5"),
            Some((operation("?t=a"), Some(Duration::from_secs(5)))),
        ),
        (Answer::empty(202).header("location", operation("?t=l")), Some((operation("?t=l"), None))),
        (
            Answer::json(200, &updating).header("azure-asyncoperation", operation("")),
            Some((operation(""), None)),
        ),
        // Microsoft's test server: done, and an address that leads nowhere.
        (Answer::json(200, &succeeded).header("azure-asyncoperation", "http://localhost/nowhere"), None),
        (Answer::json(200, &updating), Some((resource.clone(), None))),
        (Answer::json(202, &succeeded), Some((resource, None))),
        (Answer::json(201, &succeeded).header("location", operation("")), None),
        (Answer::json(200, &succeeded), None),
        (Answer::empty(204), None),
    ];
    for (answer, expected) in cases {
        let script = Script::new([answer]);
        let accepted = arm(&script).patch(&id(ORIGIN), VERSION, &json!({})).await.unwrap();
        match expected {
            None => assert!(matches!(accepted, Accepted::Done(_)), "{accepted:?}"),
            Some((address, wait)) => assert_eq!(running(accepted), (OperationUrl::new(address), wait)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_says_what_time_it_is() {
    let date = "Tue, 10 Mar 2026 09:40:30 GMT";
    let at = Timestamp::parse("2026-03-10T09:40:30Z").unwrap();
    let cases = [
        (Answer::json(200, &json!({})).header("date", date), Some(at)),
        (Answer::empty(403).header("date", date), Some(at)),
        (Answer::empty(429).header("date", date).header("retry-after", "17"), Some(at)),
        (Answer::empty(200), None),
        (Answer::empty(200).header("date", "yesterday"), None),
        (Answer::unreachable(), None),
    ];
    for (answer, expected) in cases {
        let script = Script::new([answer]);
        assert_eq!(arm(&script).time(&id(ORIGIN), VERSION).await, expected);
        assert_eq!(script.requests().len(), 1, "asked once");
    }
}

#[tokio::test(start_paused = true)]
async fn one_look_at_an_operation_is_one_request() {
    let failed = json!({"status": "Failed", "error": {"code": "Oops", "message": "why"}});
    let conflict = json!({"error": {"code": "Conflict", "message": "m"}});
    let fail =
        |code: &str, message: &str| OperationStatus::Failed { code: code.into(), message: message.into() };
    let run = |secs: Option<u64>| OperationStatus::Running {
        retry_after: secs.map(Duration::from_secs),
        moved: None,
    };
    let cases = [
        (Answer::json(200, &json!({"status": "InProgress"})).header("retry-after", "9"), run(Some(9))),
        (Answer::json(200, &json!({"status": "succeeded"})), OperationStatus::Succeeded),
        (Answer::json(200, &failed), fail("Oops", "why")),
        (Answer::json(200, &json!({"status": "Canceled"})), fail("Canceled", "")),
        (Answer::empty(202), run(None)),
        (Answer::json(202, &json!({"properties": {"provisioningState": "Succeeded"}})), run(None)),
        (Answer::empty(200), OperationStatus::Succeeded),
        (Answer::empty(204), OperationStatus::Succeeded),
        (Answer::json(200, &json!({"properties": {"provisioningState": "Updating"}})), run(None)),
        (
            Answer::json(200, &json!({"properties": {"provisioningState": "Succeeded"}})),
            OperationStatus::Succeeded,
        ),
        (Answer::json(409, &conflict), fail("Conflict", "m")),
    ];
    for (answer, expected) in cases {
        let script = Script::new([answer]);
        let status = arm(&script).poll(&OperationUrl::new(operation("?sig=x"))).await.unwrap();
        assert_eq!(status, expected);
        assert_eq!(script.requests(), [format!("GET {}", operation("?sig=x"))]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_moves_is_followed_to_its_new_address_and_never_off_the_origin() {
    let next = operation("?t=next");
    let in_progress = json!({"status": "InProgress"});
    let cases = [
        (Answer::empty(202).header("location", next.as_str()), Some(next.as_str())),
        (Answer::empty(202).header("location", operation("")), None),
        (Answer::json(202, &in_progress).header("location", next.as_str()), None),
        (Answer::json(200, &in_progress).header("azure-asyncoperation", next.as_str()), Some(&next)),
    ];
    for (answer, expected) in cases {
        let script = Script::new([answer]);
        match arm(&script).poll(&OperationUrl::new(operation(""))).await.unwrap() {
            OperationStatus::Running { moved, .. } => {
                assert_eq!(moved.as_ref().map(OperationUrl::as_str), expected);
            }
            other => panic!("{other:?}"),
        }
    }
    let script = Script::new([Answer::empty(202).header("location", "https://evil.example/x")]);
    let polled = arm(&script).poll(&OperationUrl::new(operation(""))).await;
    assert!(matches!(polled, Err(ArmError::ForeignAddress { .. })));
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operation_survives_the_ledger_and_hides_its_signature() {
    let kept = serde_json::to_string(&OperationUrl::new(operation("?sig=secret"))).unwrap();
    let operation: OperationUrl = serde_json::from_str(&kept).unwrap();
    assert!(operation.as_str().ends_with("?sig=secret"));
    assert!(!format!("{operation:?}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn foreign_addresses_are_refused_before_anything_is_sent() {
    for address in ["https://evil.example/x", "http://management.azure.com/x", "not an address"] {
        let script = Script::new([]);
        let polled = arm(&script).poll(&OperationUrl::new(address)).await;
        assert!(matches!(polled, Err(ArmError::ForeignAddress { .. })), "{address}");
        assert_eq!(script.requests(), [] as [String; 0]);

        let script = Script::new([Answer::empty(202).header("azure-asyncoperation", address)]);
        let written = arm(&script).patch(&id(ORIGIN), VERSION, &json!({})).await;
        assert!(matches!(written, Err(ArmError::ForeignAddress { .. })), "{address}");

        let script = Script::new([Answer::json(200, &json!({"value": [], "nextLink": address}))]);
        let listed = arm(&script).list(&id("/subscriptions/s"), "origins", VERSION).await;
        assert!(matches!(listed, Err(ArmError::ForeignAddress { .. })), "{address}");
        assert_eq!(script.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_has_all_its_pages_or_is_an_error() {
    let next = "https://management.azure.com/next?$skiptoken=2";
    let script = Script::new([
        Answer::json(200, &json!({"value": [1, 2], "nextLink": next})),
        Answer::json(200, &json!({"value": [3], "nextLink": ""})),
    ]);
    let items = arm(&script).list(&id("/subscriptions/s"), "origins", "v").await.unwrap();
    assert_eq!(items, [json!(1), json!(2), json!(3)]);
    assert_eq!(
        script.requests(),
        [
            "GET https://management.azure.com/subscriptions/s/origins?api-version=v".into(),
            format!("GET {next}")
        ]
    );

    let circle = vec![Answer::json(200, &json!({"value": [1], "nextLink": next})); PAGES_MAX];
    let listed = arm(&Script::new(circle)).list(&id("/subscriptions/s"), "origins", "v").await;
    assert!(matches!(listed, Err(ArmError::TooManyPages { pages: PAGES_MAX, .. })));

    let listed =
        arm(&Script::new([Answer::json(200, &json!({}))])).list(&id("/subscriptions/s"), "o", "v").await;
    assert!(matches!(listed, Err(ArmError::Malformed { .. })));
}

#[tokio::test(start_paused = true)]
async fn only_what_a_moment_cures_is_retried_and_at_most_twice() {
    let good = || Answer::json(200, &json!({"ok": true}));
    let cases = [
        (vec![Answer::empty(503), good()], 2, "ok"),
        (vec![Answer::unreachable(), Answer::empty(502), good()], 3, "ok"),
        (vec![Answer::empty(503), Answer::empty(500), Answer::empty(504), good()], 3, "Unavailable"),
        (vec![Answer::empty(503).header("retry-after", "30"), good()], 1, "Unavailable"),
        (vec![Answer::empty(503).header("retry-after", "2"), good()], 2, "ok"),
        (vec![Answer::empty(429).header("retry-after", "1"), good()], 1, "Throttled"),
        (vec![Answer::empty(409), good()], 1, "Busy"),
        (vec![Answer::empty(404), good()], 1, "NotFound"),
        (vec![Answer::text(200, "<html>"), good()], 1, "Malformed"),
    ];
    for (answers, requests, expected) in cases {
        for method in [Method::Get, Method::Put, Method::Patch] {
            let script = Script::new(answers.clone());
            let client = arm(&script);
            let outcome = match method {
                Method::Get => client.get(&id(ORIGIN), VERSION).await.map(|_| ()),
                Method::Put => client.put(&id(ORIGIN), VERSION, &json!({})).await.map(|_| ()),
                _ => client.patch(&id(ORIGIN), VERSION, &json!({})).await.map(|_| ()),
            };
            let said = outcome.map_or_else(|error| format!("{error:?}"), |()| "ok".into());
            assert!(said.starts_with(expected), "{said} instead of {expected}");
            assert_eq!(script.requests().len(), requests, "{expected}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_is_sent_once_and_a_question_again() {
    let script = Script::new([Answer::empty(503), Answer::json(200, &json!({}))]);
    let posted = arm(&script).post(&id(ORIGIN), "purge", VERSION, &json!({})).await;
    assert!(matches!(posted, Err(ArmError::Unavailable { status: 503, .. })));
    assert_eq!(script.requests().len(), 1);

    let script = Script::new([Answer::empty(503), Answer::json(200, &json!({}))]);
    arm(&script).query("/providers/Microsoft.ResourceGraph/resources", VERSION, &json!({})).await.unwrap();
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_within_its_budget() {
    let slow = Duration::from_secs(6);
    let script = Script::new(vec![Answer::empty(503).after(slow); 3]);
    let started = Instant::now();
    let outcome = arm(&script).get(&id(ORIGIN), VERSION).await;
    assert!(matches!(outcome, Err(ArmError::TimedOut { budget: CALL_BUDGET })), "{:?}", outcome.err());
    assert_eq!(started.elapsed(), CALL_BUDGET);
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_within_its_budget() {
    let next = "https://management.azure.com/next";
    let page = Answer::json(200, &json!({"value": [1], "nextLink": next})).after(Duration::from_secs(7));
    let started = Instant::now();
    let outcome = arm(&Script::new(vec![page; 9])).list(&id("/subscriptions/s"), "origins", "v").await;
    assert!(matches!(outcome, Err(ArmError::TimedOut { .. })));
    assert_eq!(started.elapsed(), LIST_BUDGET);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_not_read_to_the_end() {
    let script = Script::new([Answer::text(200, &"x".repeat(BODY_BYTES_MAX + 1))]);
    assert!(matches!(arm(&script).get(&id(ORIGIN), VERSION).await, Err(ArmError::Malformed { .. })));
}

#[tokio::test(start_paused = true)]
async fn requests_carry_the_token_and_the_body() {
    let script = Script::new([Answer::empty(200)]);
    let _ = arm(&script).patch(&id(ORIGIN), VERSION, &json!({"a": 1})).await.unwrap();
    let sent = script.sent().remove(0);
    assert_eq!(sent.body, json!({"a": 1}));
    assert_eq!(
        sent.headers.get_optional_string(&"authorization".into()).as_deref(),
        Some("Bearer test-token")
    );
    assert_eq!(sent.headers.get_optional_string(&"content-type".into()).as_deref(), Some("application/json"));
}

#[derive(Debug)]
struct NoCredential;

#[async_trait::async_trait]
impl TokenCredential for NoCredential {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Err(azure_core::Error::with_message(ErrorKind::Credential, "no identity"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_token_is_not_an_unreachable_azure() {
    let script = Script::new([]);
    let endpoint = ArmEndpoint::public_cloud().unwrap();
    let client = ArmClient::new(endpoint, Arc::new(NoCredential), script.clone());
    assert!(matches!(client.get(&id(ORIGIN), VERSION).await, Err(ArmError::NoToken { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_simulated_azure_sees_the_same_request_on_loopback() {
    let script = Script::new([
        Answer::empty(202).header("azure-asyncoperation", operation("?sig=x")),
        Answer::empty(202),
    ]);
    let endpoint = ArmEndpoint::public_cloud().unwrap().with_loopback("http://127.0.0.1:7071").unwrap();
    let credential = Arc::new(crate::azure::credential::StaticCredential::new("t"));
    let client = ArmClient::new(endpoint, credential, script.clone());
    let (operation, _) = running(client.patch(&id(ORIGIN), VERSION, &json!({})).await.unwrap());
    let _ = client.poll(&operation).await.unwrap();
    let addresses = [
        format!("PATCH http://127.0.0.1:7071{ORIGIN}?api-version={VERSION}"),
        "GET http://127.0.0.1:7071/subscriptions/s/providers/Microsoft.Cdn/operationresults/1?sig=x".into(),
    ];
    assert_eq!(script.requests(), addresses);
}
