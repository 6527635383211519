//! The typed models of an older generation of Microsoft's crates, which the product does without, against what the product says:
//! every Front Door body that we send and that our simulated Azure answers, and an event that our endpoint takes.
//!
//! `card-crates read RECORDED` (folders of exchanges), `card-crates publish` (started by tests/src/bin/event_peer.rs).

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;

use azure_messaging_eventgrid::Event;
use azure_mgmt_cdn::package_preview_2024_06::models::{
    AfdErrorResponse, AfdOrigin, AfdOriginGroup, AfdOriginListResult, AfdOriginUpdateParameters,
};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["read", folder] => read(Path::new(folder)),
        ["publish"] => publish(),
        _ => Err("name read RECORDED or publish".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("card-crates: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads each body into its model, and holds what the model made of it against the body: a model of optional fields takes
/// anything, so what it did not keep is counted as an error.
fn read(folder: &Path) -> Outcome {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut wrong: BTreeMap<String, u32> = BTreeMap::new();
    for drill in std::fs::read_dir(folder)? {
        for file in std::fs::read_dir(drill?.path())? {
            let exchange: Value = serde_json::from_slice(&std::fs::read(file?.path())?)?;
            for (name, model, body) in bodies(&exchange) {
                *counts.entry(name).or_default() += 1;
                if let Err(error) = model(body) {
                    *wrong.entry(format!("{name}: {error}")).or_default() += 1;
                }
            }
        }
    }
    seeded()?;
    for (name, count) in &counts {
        println!("{count:>7}  {name}");
    }
    for (error, count) in &wrong {
        eprintln!("wrong: {error} ({count} times)");
    }
    println!(
        "{} bodies of Front Door read by azure_mgmt_cdn, {} kinds of errors",
        counts.values().sum::<u32>(),
        wrong.len()
    );
    if counts.len() < 4 {
        return Err("too few kinds of bodies were recorded".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err("a body does not fit its model".into()) }
}

type Model = fn(&Value) -> Outcome;

/// The bodies of an exchange with Front Door, and their models; none of operations, which have no model.
fn bodies(exchange: &Value) -> Vec<(&'static str, Model, &Value)> {
    let (request, reply) = (&exchange["liveRequest"], &exchange["liveResponse"]);
    let url = request["url"].as_str().unwrap_or_default().to_lowercase();
    let path = url.split('?').next().unwrap_or_default();
    let Some((_, below)) = path.split_once("/providers/microsoft.cdn/profiles/") else { return Vec::new() };
    // profile, originGroups, group, origins, origin
    let depth = below.split('/').count();
    let failed = reply["statusCode"].as_str().is_some_and(|status| status >= "400");
    let mut found: Vec<(&'static str, Model, &Value)> = Vec::new();
    if !request["body"].is_null() && depth == 5 {
        found.push(("AfdOriginUpdateParameters", model::<AfdOriginUpdateParameters>, &request["body"]));
    }
    match depth {
        _ if below.contains("/providers/") => {}
        _ if failed => found.push(("AfdErrorResponse", model::<AfdErrorResponse>, &reply["body"])),
        3 => found.push(("AfdOriginGroup", model::<AfdOriginGroup>, &reply["body"])),
        4 => found.push(("AfdOriginListResult", model::<AfdOriginListResult>, &reply["body"])),
        5 => found.push(("AfdOrigin", model::<AfdOrigin>, &reply["body"])),
        _ => {}
    }
    found
}

/// Into the model and back: nothing that was said may be lost or become something else, and no state may be one that the model
/// has no name for (a validator lets those pass, because Microsoft marks these enums as open).
fn model<M: serde::de::DeserializeOwned + serde::Serialize + std::fmt::Debug>(body: &Value) -> Outcome {
    let read = serde_json::from_value::<M>(body.clone())?;
    if format!("{read:?}").contains("UnknownValue(") {
        return Err("a value is none of those that the model has".into());
    }
    lost(body, &serde_json::to_value(read)?, "").map_or(Ok(()), |what| Err(what.into()))
}

/// The first member of `said` that `kept` does not have; what is null is as if it were not said.
fn lost(said: &Value, kept: &Value, at: &str) -> Option<String> {
    match (said, kept) {
        (Value::Null, _) => None,
        // The models leave an empty list out when they write.
        (Value::Array(said), Value::Null) if said.is_empty() => None,
        (Value::Object(said), Value::Object(kept)) => said.iter().find_map(|(name, value)| {
            lost(value, kept.get(name).unwrap_or(&Value::Null), &format!("{at}/{name}"))
        }),
        (Value::Array(said), Value::Array(kept)) if said.len() == kept.len() => {
            said.iter().zip(kept).find_map(|(said, kept)| lost(said, kept, &format!("{at}/..")))
        }
        (said, kept) if said == kept => None,
        (said, kept) => Some(format!("{at} was {said} and is read as {kept}")),
    }
}

/// A check that cannot fail is none.
fn seeded() -> Outcome {
    for bad in [
        json!({ "properties": { "priority": "first" } }),
        json!({ "properties": { "enabledState": 1 } }),
        json!({ "properties": { "enabeldState": "Disabled" } }),
        json!({ "properties": { "enabledState": "Disabeld" } }),
    ] {
        if model::<AfdOriginUpdateParameters>(&bad).is_ok() {
            return Err(format!("the seeded fault {bad} was not found").into());
        }
    }
    println!("seeded faults: 4 of 4 found");
    Ok(())
}

/// Posts an event of the crate to the topic in front of `event_grid_signal`, and looks at what was recorded.
fn publish() -> Outcome {
    let (topic, key) = (std::env::var("CORDON_TOPIC")?, std::env::var("CORDON_TOPIC_KEY")?);
    let host = topic.strip_prefix("http://").ok_or("the topic is no http address")?;
    let data = json!({ "verdict": "unhealthy", "standing": "fired", "stamp": "eastus2", "note": "typed" });
    let event = Event::new(Some("typed-1".into()), "Contoso.Checkout.Errors", "checkout", data, None);
    let answer = http(host, "POST", "/api/events", &key, &serde_json::to_string(&[event])?)?;
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(format!("the event was not taken: {answer}").into());
    }
    let recorded = http(host, "GET", "/recorded", &key, "")?;
    let body = recorded.split_once("\r\n\r\n").map(|(_, body)| body).ok_or("an answer without a body")?;
    let items: Value = serde_json::from_str(body)?;
    let said = &items[0]["signals"][0];
    let good = items.as_array().is_some_and(|items| items.len() == 1)
        && said["verdict"] == "unhealthy"
        && said["scope"]["stamp"] == "eastus2";
    if !good {
        return Err(format!("something else was recorded: {items}").into());
    }
    println!(
        "an azure_messaging_eventgrid::Event is taken by event_grid_signal: {} of {}",
        said["verdict"], said["scope"]
    );
    Ok(())
}

/// One exchange. The crate has no client that works, and one for two requests is not worth a dependency.
fn http(host: &str, method: &str, path: &str, key: &str, body: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\naeg-sas-key: {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
