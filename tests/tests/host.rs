//! The real binary under the host double: started, spoken to as the host speaks, killed, started again.

use std::path::PathBuf;

use serde_json::json;
use tests::host_double::{HostDouble, binary};

/// Where this test keeps the handler's stores; gone when it ends.
struct Data(PathBuf);

impl Data {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("cordon-host-test-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn start(data: &Data) -> HostDouble {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy.toml");
    let directory = data.0.to_str().expect("the temporary directory is text");
    let settings = [
        ("CORDON_ROLE", "controller"),
        ("CORDON_POLICY", policy),
        ("CORDON_DATA", directory),
        // Nobody answers there: observing fails, and must not fail the invocation.
        ("CORDON_ARM_LOOPBACK", "http://127.0.0.1:9"),
        ("CORDON_ARM_TOKEN", "none"),
        ("CORDON_STAMP_KEY", "none"),
        ("RUST_LOG", "error"),
    ];
    HostDouble::start(&binary().expect("the binary is built"), &[], &settings)
        .await
        .expect("the binary starts")
}

#[tokio::test]
async fn the_binary_serves_every_trigger_and_survives_a_kill() {
    let data = Data::new();
    let mut host = start(&data).await;
    for timer in ["observe_stamps", "cosmos_region_status", "evaluate_timer"] {
        host.timer(timer).await.unwrap();
    }
    host.queue("evaluate", "wakeup", &json!({ "workload": "contoso-shoes" })).await.unwrap();
    host.event_hub("azure_monitor_stream", &["not json".to_owned(), json!({ "records": [] }).to_string()])
        .await
        .unwrap();
    host.event_hub("front_door_probe", &[json!({ "records": [{ "category": "Other" }] }).to_string()])
        .await
        .unwrap();
    host.event_grid("event_grid_signal", json!({ "id": "1", "eventType": "Unknown", "data": {} }))
        .await
        .unwrap();
    host.change_feed("publish_audit", &[json!({ "id": "not an audit record" })]).await.unwrap();
    host.change_feed("notify", &[]).await.unwrap();
    let alert =
        json!({ "schemaId": "azureMonitorCommonAlertSchema", "data": { "essentials": { "alertId": "a" } } });
    let answer = host
        .http("azure_monitor_alert", "POST", "/api/azure_monitor_alert", &[], &alert.to_string())
        .await
        .unwrap();
    assert_eq!(answer.http_status(), Some(202), "{answer:?}");
    host.timer("evaluate_timer").await.unwrap();
    let (_, before) = host.forward("GET", "/api/operator/audit.json", &[], "").await.unwrap();
    host.kill().unwrap();

    let host = start(&data).await;
    let (status, after) = host.forward("GET", "/api/operator/audit.json", &[], "").await.unwrap();
    assert_eq!((status, &after), (200, &before), "what was committed before the kill is there after it");
    assert!(
        after.contains("malformed") || after.contains("Malformed"),
        "the refusals are in the audit: {after}"
    );
}

#[tokio::test]
async fn a_handler_that_cannot_start_says_why_and_does_not_end_with_zero() {
    let output = tokio::process::Command::new(binary().unwrap())
        .env("FUNCTIONS_CUSTOMHANDLER_PORT", "0")
        .env("CORDON_ROLE", "controller")
        .env("CORDON_POLICY", "/nowhere/policy.toml")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("/nowhere/policy.toml"), "{told}");
}
