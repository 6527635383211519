//! What `cargo xtask package` stages has the layout that the host needs, and the host double runs both roles from that folder:
//! it finds the functions as the host does, starts the program that `host.json` names, there, and calls each function.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: to panic is to fail")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tests::drills::Directory;
use tests::host_double::{HostDouble, built};

fn json_of(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The program that is packaged: the tests' own, or the one that `cargo xtask verify` built for the package.
fn program() -> PathBuf {
    std::env::var_os("CORDON_PACKAGED").map_or_else(|| built("cordon").unwrap(), PathBuf::from)
}

fn staged(directory: &Directory, role: &str) {
    let output = Command::new(built("xtask").unwrap())
        .args(["package", "--role", role, "--out"])
        .arg(directory.path())
        .arg("--binary")
        .arg(program())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The functions as the host finds them: `function.json` in immediate subfolders. Name to the trigger's binding.
fn functions(root: &Path) -> BTreeMap<String, Value> {
    let folders = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let defined = folders.filter(|path| path.join("function.json").is_file());
    defined
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let definition = json_of(&path.join("function.json"));
            let trigger = definition["bindings"]
                .as_array()
                .unwrap()
                .iter()
                .find(|binding| binding["type"].as_str().is_some_and(|kind| kind.ends_with("Trigger")));
            (name.clone(), trigger.unwrap_or_else(|| panic!("{name} has no trigger")).clone())
        })
        .collect()
}

/// Starts the program of the package as the host does: from its folder, with only the host's variables and the app's settings.
async fn host(root: &Path, settings: &[(&str, &str)]) -> HostDouble {
    let description = &json_of(&root.join("host.json"))["customHandler"]["description"];
    let program = root.join(description["defaultExecutablePath"].as_str().unwrap());
    let text = root.display().to_string();
    let settings: Vec<(&str, &str)> =
        settings.iter().copied().chain([("FUNCTIONS_APP_ROOT_PATH", text.as_str())]).collect();
    HostDouble::start(&program, &[], &settings).await.unwrap()
}

/// Calls one function by its trigger. What it answers is the function's matter; that it answers by the rules, the double's.
async fn call(host: &HostDouble, name: &str, trigger: &Value) {
    let binding = trigger["name"].as_str().unwrap();
    let called = match trigger["type"].as_str().unwrap() {
        "timerTrigger" => host.timer(name).await,
        "queueTrigger" => host.queue(name, binding, &json!({})).await,
        "eventHubTrigger" => host.event_hub(name, &[]).await,
        "eventGridTrigger" => host.event_grid(name, json!({ "id": "1", "eventType": "strange" })).await,
        "cosmosDBTrigger" => host.change_feed(name, &[]).await,
        "httpTrigger" => {
            let route = trigger["route"].as_str().unwrap_or(name).split('/').next().unwrap();
            let method = trigger["methods"][0].as_str().unwrap().to_uppercase();
            host.forward(&method, &format!("/api/{route}"), &[], "{}").await.map(|(status, _)| {
                assert!((200..500).contains(&status), "{name} answered {status}");
                tests::host_double::Invoked { outputs: serde_json::Map::new(), logs: Vec::new() }
            })
        }
        other => panic!("{name} has a trigger {other}, which this test does not know"),
    };
    called.unwrap_or_else(|breach| panic!("{name}: {breach:?}"));
}

#[tokio::test]
async fn a_controller_runs_from_its_package() {
    let (package, data) = (Directory::new("package-controller"), Directory::new("package-data"));
    staged(&package, "controller");
    let root = package.path();
    let settings = [
        ("CORDON_ROLE", "controller"),
        ("CORDON_DATA", data.path().to_str().unwrap()),
        // Nobody answers there: observing fails, and must not fail the invocation.
        ("CORDON_ARM_LOOPBACK", "http://127.0.0.1:9"),
        ("CORDON_ARM_TOKEN", "none"),
        ("CORDON_STAMP_KEY", "none"),
        ("RUST_LOG", "error"),
    ];
    let host = host(root, &settings).await;
    let functions = functions(root);
    let ours = functions.iter().filter(|(name, _)| name.as_str() != "stamp_health");
    let mut count = 0;
    for (name, trigger) in ours {
        call(&host, name, trigger).await;
        count += 1;
    }
    assert_eq!(count, 12, "{:?}", functions.keys());
}

#[tokio::test]
async fn a_stamp_runs_from_its_package() {
    let (package, gates) = (Directory::new("package-stamp"), Directory::new("package-gates"));
    staged(&package, "stamp");
    let root = package.path();
    let settings = [
        ("CORDON_ROLE", "stamp"),
        ("CORDON_STAMP", "eastus2"),
        ("CORDON_STAMP_KEY", "secret"),
        ("CORDON_GATES_DIR", gates.path().to_str().unwrap()),
        ("RUST_LOG", "error"),
    ];
    let host = host(root, &settings).await;
    assert_eq!(functions(root).into_keys().collect::<Vec<_>>(), ["stamp_health"]);
    let (status, body) = host.forward("GET", "/api/healthz", &[], "").await.unwrap();
    assert_eq!((status, body.contains("serving")), (200, true), "{body}");
    let (status, _) =
        host.forward("GET", "/api/healthz/ungated", &[("x-cordon-key", "secret")], "").await.unwrap();
    assert_eq!(status, 200);
}

#[test]
fn a_package_has_what_the_host_needs_and_nothing_else() {
    let package = Directory::new("package-layout");
    staged(&package, "stamp");
    let mut found: Vec<String> = std::fs::read_dir(package.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, ["cordon", "host.json", "policy.toml", "stamp_health"]);
}
