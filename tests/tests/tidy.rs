//! The rules of the house that no lint can express. Each says what to do instead.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Longest source file of the product: what one can hold in the head in one sitting; split it by subject.
const FILE_LINES_MAX: usize = 700;

/// Who may depend on whom, within the workspace. What is not listed may not.
const INTERNAL: [(&str, &[&str]); 8] = [
    ("mutation", &[]),
    ("domain", &[]),
    ("adapters", &["domain"]),
    ("simulator", &["adapters", "domain"]),
    ("cordon", &["adapters", "domain", "simulator"]),
    ("tests", &["adapters", "cordon", "domain", "simulator"]),
    ("xtask", &[]),
    ("application", &[]),
];

/// What would give the core a runtime, a network, a log or a cloud.
const NOT_IN_THE_CORE: [&str; 10] =
    ["async-trait", "axum", "azure", "hyper", "log", "mio", "reqwest", "rustls", "tokio", "tracing"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The workspace's Rust files under these folders, with their text.
fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut open: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules", "card-crates"].contains(&name.as_str()) {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_path_buf(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources under {folders:?}");
    found.sort();
    found
}

fn none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}\n  {}", found.join("\n  "));
}

/// Lines, by file and number, that contain one of the needles; comments apart.
fn lines_with(folders: &[&str], needles: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(folders) {
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if !code.starts_with("//") && needles.iter().any(|needle| code.contains(needle)) {
                found.push(format!("{}:{}: {code}", path.display(), number + 1));
            }
        }
    }
    found
}

#[test]
fn dependencies_run_one_way() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]))
            .unwrap();
    let allowed: BTreeMap<_, _> = INTERNAL.into_iter().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(may) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the table of this test"));
            continue;
        };
        let dependencies: BTreeSet<_> =
            package["dependencies"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
        let internal = dependencies.iter().filter(|other| allowed.contains_key(*other));
        wrong.extend(internal.filter(|other| !may.contains(other)).map(|other| format!("{name} -> {other}")));
        if name == "xtask" && !dependencies.is_empty() {
            wrong.push(format!("xtask -> {dependencies:?}: it has the standard library only"));
        }
    }
    none(&wrong, "a dependency against the direction functions -> adapters -> domain:");
}

#[test]
fn the_core_cannot_do_io() {
    let tree = cargo(&["tree", "-p", "domain", "-e", "normal", "--prefix", "none", "--offline"]);
    let crates = tree.lines().filter_map(|line| line.split_whitespace().next());
    let found: Vec<_> = crates
        .filter(|name| NOT_IN_THE_CORE.iter().any(|banned| *name == *banned || name.starts_with("azure_")))
        .map(str::to_owned)
        .collect();
    none(&found, "domain is pure; what needs these belongs in adapters:");
    let found = lines_with(
        &["shared/domain/src"],
        &["async fn", "async move", "async {", "println!", "TcpStream", "UdpSocket", "std::fs"],
    );
    none(&found, "domain returns values; whoever waits, logs or talks is in adapters or functions:");
}

#[test]
fn no_file_is_longer_than_a_sitting() {
    let long: Vec<_> = sources(&["functions", "shared"])
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    none(&long, &format!("over {FILE_LINES_MAX} lines; split by subject:"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources(&["functions", "shared", "tests", "infra"])
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    none(&silent, "a file begins with its module's doc comment:");
}

#[test]
fn a_function_folder_has_its_definition_and_its_module() {
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(root().join("functions")).unwrap() {
        let folder = entry.unwrap().path();
        let definition = folder.join("function.json");
        if !definition.is_file() {
            continue;
        }
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if !folder.join("mod.rs").is_file() {
            wrong.push(format!("{name}: function.json without mod.rs"));
        }
        if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            wrong.push(format!("{name}: the folder is the route and the module, so it is snake case"));
        }
        let text = std::fs::read_to_string(&definition).unwrap();
        match serde_json::from_str::<Value>(&text) {
            Ok(json) if json["bindings"].is_array() => {}
            Ok(_) => wrong.push(format!("{name}: function.json has no bindings")),
            Err(error) => wrong.push(format!("{name}: function.json: {error}")),
        }
    }
    none(&wrong, "one folder is one function:");
}

#[test]
fn nothing_is_allowed_skipped_or_left_for_later() {
    // Put together here, so that this file does not find itself.
    let attributes = ["allow(", "ignore", "should_panic"].map(|attribute| format!("[{attribute}"));
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let needles: Vec<&str> = attributes.iter().chain(&macros).map(String::as_str).collect();
    let found: Vec<_> = lines_with(&["functions", "shared", "tests", "infra"], &needles)
        .into_iter()
        .filter(|line| !line.contains("tidy.rs"))
        .collect();
    none(&found, "#[expect(.., reason)] instead of #[allow]; no skipped tests; nothing unfinished:");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]))
            .unwrap();
    let without: Vec<_> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| package["manifest_path"].as_str().unwrap())
        .filter(|path| !std::fs::read_to_string(path).unwrap().contains("[lints]\nworkspace = true"))
        .map(str::to_owned)
        .collect();
    none(&without, "[lints] workspace = true:");
}

/// The audit's hash is over JSON text. A dependency that turns on `preserve_order` or turns off `float_roundtrip`
/// somewhere in the tree would change that text without a word.
#[test]
fn json_is_canonical_whatever_features_the_tree_turns_on() {
    assert_eq!(serde_json::json!({"b": 1, "a": 2}).to_string(), r#"{"a":2,"b":1}"#);
    for number in [423.209_170_872_713_23, 979.621_595_650_685_9, 5e-324, f64::MAX] {
        let text = serde_json::to_string(&number).unwrap();
        assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), f64::to_bits(number), "{text}");
    }
}
