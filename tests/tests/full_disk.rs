//! The disk of an embedded ledger is full, and has room again: senders are told to come back, nothing that was taken in is
//! lost, and the process goes on by itself. While it does not, gates are not renewed.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use adapters::Ledger;
use adapters::embedded::EmbeddedLedger;
use serde_json::Value;
use tests::drills::Directory;
use tests::fixtures::payload;
use tests::host_double::binary;

/// Blocks of 512 bytes that the process may make a file of: what the stores begin with, and little more. A file that may not
/// grow is to a store what a full disk is.
const BLOCKS_MAX: u32 = 200;

/// More events than fit.
const EVENTS: u32 = 400;

struct Serve {
    process: Child,
    base: String,
}

impl Serve {
    fn start(data: &Path) -> Self {
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy.toml");
        // A write beyond the limit is an error then, and no signal that ends the process.
        let limited = format!("trap '' XFSZ; ulimit -S -f {BLOCKS_MAX}; exec \"$@\"");
        let mut process = Command::new("sh")
            .args(["-c", &limited, "sh"])
            .arg(binary().unwrap())
            .args(["serve", "--port", "0", "--policy", policy, "--data"])
            .arg(data)
            .env("CORDON_STAMP_KEY", "k")
            .env("CORDON_ARM_TOKEN", "t")
            .env("CORDON_ARM_LOOPBACK", "http://127.0.0.1:9")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
        let (sender, said) = std::sync::mpsc::channel();
        for stream in [Box::new(out) as Box<dyn std::io::Read + Send>, Box::new(err)] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let address = line.split_once("the page is at ").map(|(_, rest)| rest.to_owned());
                    let _ = address.map(|address| sender.send(address));
                }
            });
        }
        let address = said.recv_timeout(std::time::Duration::from_secs(60)).expect("it starts");
        let base = address.split("/api/").next().unwrap().to_owned();
        Self { process, base }
    }

    /// Posts an alert of its own; the status of the answer.
    async fn post(&self, http: &reqwest::Client, number: u32) -> u16 {
        let mut alert: Value =
            payload("action_group", "sample-servicehealth-common-schema-incident-test-action");
        alert["data"]["essentials"]["alertId"] = format!("/subscriptions/s/alerts/{number}").into();
        alert["data"]["essentials"]["originAlertId"] = number.to_string().into();
        let address = format!("{}/api/azure_monitor_alert", self.base);
        http.post(address).json(&alert).send().await.unwrap().status().as_u16()
    }

    fn make_room(&self) {
        let pid = self.process.id().to_string();
        let room = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
        assert!(room.success(), "prlimit of util-linux gives the room");
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_ledger_that_ran_out_of_room_goes_on_when_there_is_some() {
    let directory = Directory::new("full-disk");
    let serve = Serve::start(directory.path());
    let http = reqwest::Client::new();
    let (mut taken, mut refused) = (0_u32, 0);
    for number in 0..EVENTS {
        match serve.post(&http, number).await {
            202 => taken += 1,
            503 => refused += 1,
            other => panic!("event {number}: {other}"),
        }
        if refused > 3 {
            break;
        }
    }
    assert!(taken > 0 && refused > 3, "{taken} taken, {refused} sent back");
    // Nothing can be written, and what is there can be read.
    for path in ["status", "audit", "v1/status"] {
        let page = http.get(format!("{}/api/operator/{path}", serve.base)).send().await.unwrap();
        assert_eq!(page.status().as_u16(), 200, "{path}: {}", page.text().await.unwrap());
    }
    serve.make_room();
    // The first may still meet the file that failed.
    let after = [serve.post(&http, EVENTS).await, serve.post(&http, EVENTS + 1).await];
    assert_eq!(after[1], 202, "{after:?}");
    drop(serve);

    let ledger = EmbeddedLedger::open(&directory.path().join("ledger.redb")).unwrap();
    let records = ledger.audit(&"contoso-shoes".into(), 0, usize::MAX).await.unwrap();
    domain::audit::verify_chain(&records, None).unwrap();
    let waiting = ledger.load(&"contoso-shoes".into(), usize::MAX).await.unwrap().inbox;
    let consumed = records.iter().flat_map(|record| &record.consumed).map(domain::ItemId::new);
    let events =
        consumed.chain(waiting.into_iter().map(|item| item.id)).filter(|id| !id.is_own_run()).count();
    let answered = taken + after.iter().map(|status| u32::from(*status == 202)).sum::<u32>();
    assert!(
        events >= usize::try_from(answered).unwrap(),
        "{events} are there of {answered} that were taken in"
    );
}
