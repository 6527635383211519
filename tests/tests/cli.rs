//! The command line, run as a library: what it prints, what it changes, how it ends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails ends the test")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use adapters::embedded::{EmbeddedAudit, EmbeddedLedger};
use adapters::{AuditAppend, AuditStore, CommitOutcome, Ledger};
use cordon::assemble::{self, ClockKind, ControllerSettings, StoreKind};
use cordon::cli::{self, Environment, Exit};
use cordon::controller;
use cordon::edge::{App, Role};
use cordon::local::{Caller, Feed, FeedFunction, TIMERS};
use cordon::page::OperatorPage;
use cordon::stamp::Reach;
use domain::state::{StampCase, WorkloadState};
use domain::{Generation, ItemBody, OperationId, Order, Timestamp, Transition};
use tests::conformance::fixtures;

const WORKLOAD: &str = "contoso-shoes";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn policy_path() -> String {
    root().join("policy.toml").display().to_string()
}

/// A directory that goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("cordon-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn text(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

async fn run_in(environment: &Environment, args: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("cordon").chain(args.iter().copied()).map(Into::into);
    let exit = cli::run(args, environment, &mut out, &mut err).await;
    Ran { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

async fn run(args: &[&str]) -> Ran {
    run_in(&Environment::default(), args).await
}

fn app(data: &Path) -> Arc<App> {
    app_with(data, OperatorPage::reading_only())
}

fn app_with(data: &Path, page: OperatorPage) -> Arc<App> {
    let settings = ControllerSettings {
        policies: vec![domain::policy::parse(include_str!("../../policy.toml")).unwrap()],
        store: StoreKind::Embedded(data.to_owned()),
        clock: ClockKind::Invocation,
        arm_base: None,
        arm_loopback: Some("http://127.0.0.1:9".into()),
        arm_token: Some("t".into()),
        identity: Default::default(),
        stamp_key: "k".into(),
        instance: "test".into(),
        ledger_faults: Default::default(),
        gate_faults: Default::default(),
    };
    assemble::controller(&settings, Some(Arc::new(page))).unwrap()
}

fn controller(app: &App) -> &Arc<controller::Controller> {
    let Role::Controller(app) = &app.role else { panic!("a controller was assembled") };
    app.controllers.only().unwrap()
}

/// Three decisions, an hour apart.
async fn decide_thrice(app: &App) {
    for hour in 1..=3 {
        app.invocation_clock.as_ref().unwrap().set(Timestamp::from_secs(1_800_000_000 + hour * 3_700));
        controller::evaluate(controller(app)).await.unwrap();
    }
}

/// A ledger that knows the stamp `eastus2`.
async fn ledger_with_stamp(data: &Path) -> EmbeddedLedger {
    let ledger = EmbeddedLedger::open(&data.join("ledger.redb")).unwrap();
    let mut state = WorkloadState::new(WORKLOAD.into(), 1, Timestamp::from_secs(1));
    state.generation = Generation { epoch: 1, n: 1 };
    state.operation = OperationId::new("test");
    state.cases.insert("eastus2".into(), StampCase::new(Timestamp::from_secs(1)));
    let transition =
        Transition { parent: None, state, steps: vec![], forgotten: vec![], audit: None, consumed: vec![] };
    assert_eq!(ledger.commit(&transition).await.unwrap(), CommitOutcome::Committed);
    ledger
}

#[tokio::test]
async fn without_anything_it_helps_and_with_nonsense_it_refuses() {
    let help = run(&[]).await;
    assert_eq!(help.exit, Exit::Done);
    assert!(help.out.contains("Exit codes:") && help.out.contains("stamp-health"), "{}", help.out);
    let nonsense = run(&["failover-everything"]).await;
    assert_eq!(nonsense.exit, Exit::Refused);
    assert!(nonsense.err.contains("failover-everything"), "{}", nonsense.err);
    assert_eq!(run(&["check", "--help"]).await.exit, Exit::Done);
}

#[tokio::test]
async fn a_handler_without_settings_fails_with_what_to_set() {
    let policy = policy_path();
    let host = ("FUNCTIONS_CUSTOMHANDLER_PORT", "0");
    for (variables, expected) in [
        (vec![host, ("CORDON_POLICY", &policy)], "CORDON_DATA is not set"),
        (vec![host, ("CORDON_POLICY", &policy), ("CORDON_DATA", "/nowhere")], "CORDON_STAMP_KEY is not set"),
        (vec![host, ("CORDON_ROLE", "king")], "CORDON_ROLE is \"king\""),
        (vec![("FUNCTIONS_CUSTOMHANDLER_PORT", "x")], "must be a port number"),
        (vec![host, ("CORDON_POLICY", "/nowhere.toml")], "/nowhere.toml"),
        (vec![host, ("CORDON_ROLE", "stamp"), ("CORDON_POLICY", &policy)], "CORDON_STAMP is not set"),
    ] {
        let ran = run_in(&variables.into_iter().collect(), &[]).await;
        assert_eq!(ran.exit, Exit::Failed, "{}", ran.err);
        assert!(ran.err.contains(expected), "{}", ran.err);
    }
}

#[test]
fn a_stamps_settings_come_from_the_environment() {
    let policy = policy_path();
    let variables = [
        ("CORDON_POLICY", policy.as_str()),
        ("CORDON_STAMP", "eastus2"),
        ("CORDON_STAMP_KEY", "k"),
        ("CORDON_GATES_DIR", "/gates"),
        ("CORDON_COMPONENTS", "app=http://a, cosmos-read=http://b,local:cache=http://c,"),
        ("CORDON_PEERS", "eastus2=https://e,centralus=https://c?a=b"),
        ("CORDON_LOAD_URL", " "),
    ];
    let settings = cli::stamp_settings(&variables.into_iter().collect()).unwrap();
    let reaches: Vec<_> =
        settings.config.components.iter().map(|check| (check.name.as_str(), check.reach)).collect();
    assert_eq!(reaches, [("app", Reach::Local), ("cosmos-read", Reach::Shared), ("cache", Reach::Local)]);
    let peers: Vec<_> = settings.config.peers.iter().map(|peer| peer.direct_url.as_str()).collect();
    assert_eq!(peers, ["https://c?a=b"], "nobody is his own peer");
    assert_eq!(settings.config.load_url, None, "an empty variable is none");
    assert_eq!(settings.config.gate_boot_wait.as_secs(), 20);

    let clear = variables.into_iter().chain([("CORDON_PEERS", "centralus=http://c")]).collect();
    assert!(cli::stamp_settings(&clear).unwrap_err().to_string().contains("write https://"));
    let here = variables.into_iter().chain([("CORDON_PEERS", "centralus=http://127.0.0.1:7072")]).collect();
    assert!(cli::stamp_settings(&here).is_ok(), "on this machine nobody is on the way");
    assert_eq!(settings.cosmos, None);
    let account = [
        ("CORDON_CHECK_COSMOS_ENDPOINT", "https://shop.documents.azure.com/"),
        ("CORDON_CHECK_COSMOS_DATABASE", "shop"),
        ("CORDON_CHECK_COSMOS_CONTAINER", "health"),
        ("REGION_NAME", "East US 2"),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        cli::stamp_settings(&variables.into_iter().chain(more.iter().copied()).collect())
    };
    let twice = with(&account).unwrap_err().to_string();
    assert!(twice.contains("cosmos-read"), "checked twice under one name: {twice}");
    let other = [&account[..], &[("CORDON_COMPONENTS", "app=http://a")]].concat();
    let checked = with(&other).unwrap().cosmos.unwrap();
    assert_eq!((checked.account.database.as_str(), checked.container.as_str()), ("shop", "health"));
    assert_eq!(checked.account.near, Some("eastus2".into()));
    let half = with(&account[..1]).unwrap_err().to_string();
    assert!(half.contains("CORDON_CHECK_COSMOS_DATABASE is not set"), "{half}");
    let wrong = variables.into_iter().chain([("CORDON_COMPONENTS", "app")]).collect();
    assert!(cli::stamp_settings(&wrong).unwrap_err().to_string().contains("write name=http://address"));
}

#[tokio::test]
async fn check_explains_a_policy_or_names_the_line_of_each_error() {
    let good = run(&["check", &policy_path()]).await;
    assert_eq!(good.exit, Exit::Done);
    for expected in [
        "hard loss, two classes agree: after 1m (with a platform alert 30s)",
        "gray failure, one class alone: after 5m (with a platform alert 2m 30s)",
        "at most 4h 1m",
        "1000 requests/s need 8 instances; the 30 that may be asked for carry 3913 requests/s",
    ] {
        assert!(good.out.contains(expected), "lacks {expected:?}:\n{}", good.out);
    }

    let directory = Directory::new();
    let path = directory.0.join("bad.toml");
    let text = include_str!("../../policy.toml");
    let bad = text.replace("after = \"60s\"", "after = \"5s\"").replace("headroom = 1.15", "headroom = 1.0");
    std::fs::write(&path, &bad).unwrap();
    let ran = run(&["check", path.to_str().unwrap()]).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Refused, ""));
    let line = |of: &str| bad.lines().position(|line| line.starts_with(of)).unwrap() + 1;
    for (of, reason) in [("after = \"5s\"", "confirm.after:"), ("headroom", "capacity.headroom:")] {
        let expected = format!("{}:{}: {reason}", path.display(), line(of));
        assert!(ran.err.contains(&expected), "lacks {expected:?}:\n{}", ran.err);
    }
}

#[tokio::test]
async fn check_says_what_a_policy_means_for_the_stamps_that_are_there() {
    let directory = Directory::new();
    drop(ledger_with_stamp(&directory.0).await);
    let data = directory.text();
    let ran = run(&["check", &policy_path(), "--data", &data]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    for expected in [
        "With the stamps that are there",
        "1 stamp(s): a lost one is out within 1m 20s of its first symptom where two classes see it, within 2m 20s",
        "its origin stays enabled: 0 other(s) would remain, latch.origins_remaining_min is 2",
        "eastus2 must carry 0 requests/s",
        "of which capacity.regions_min keeps 1: none is ever taken out",
        "asked for again every 10m",
    ] {
        assert!(ran.out.contains(expected), "lacks {expected:?}:\n{}", ran.out);
    }
    let json = run(&["check", &policy_path(), "--data", &data, "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["valid"], &json["workload"]), (&serde_json::json!(true), &serde_json::json!(WORKLOAD)));
    let empty = Directory::new();
    let wrong = run(&["check", &policy_path(), "--data", &empty.text()]).await;
    assert!(wrong.exit == Exit::Failed && wrong.err.contains("there is no ledger at"), "{}", wrong.err);
}

#[tokio::test]
async fn the_published_schema_is_current_and_fits_the_shipped_policy() {
    let printed = run(&["check", "--schema"]).await;
    let published = include_str!("../../policy.schema.json");
    assert_eq!(printed.out, published, "run: cordon check --schema > policy.schema.json");
    let policy = domain::policy::parse(include_str!("../../policy.toml")).unwrap();
    let schema = serde_json::from_str(published).unwrap();
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&serde_json::to_value(policy).unwrap())
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, [] as [String; 0]);
}

#[tokio::test]
async fn an_order_lands_in_the_inbox_with_who_and_why() {
    let directory = Directory::new();
    drop(ledger_with_stamp(&directory.0).await);
    let (data, policy) = (directory.text(), policy_path());
    let common = ["--data", &data, "--policy", &policy, "--by", "sam", "--reason", "a drill"];
    for order in [
        vec!["hold", "eastus2"],
        vec!["release", "eastus2"],
        vec!["approve", "eastus2", "--generation", "1.7"],
        vec!["ack", "eastus2"],
        vec!["override", "eastus2", "--rule", "S2", "--generation", "1.7"],
        vec!["pause", "--for", "2h"],
        vec!["resume"],
    ] {
        let ran = run(&[order.as_slice(), &common].concat()).await;
        assert_eq!(ran.exit, Exit::Done, "{order:?}: {}", ran.err);
    }
    let ledger = EmbeddedLedger::open(&directory.0.join("ledger.redb")).unwrap();
    let inbox = ledger.load(&WORKLOAD.into(), 10).await.unwrap().inbox;
    let orders: Vec<&Order> = inbox
        .iter()
        .map(|item| match &item.body {
            ItemBody::Command { command } => {
                assert_eq!((command.by.as_str(), command.reason.as_str()), ("sam", "a drill"));
                &command.order
            }
            other => panic!("not an order: {other:?}"),
        })
        .collect();
    assert_eq!(orders.len(), 7);
    let generation = Generation { epoch: 1, n: 7 };
    assert!(orders.contains(&&Order::Approve { stamp: "eastus2".into(), generation }));
    assert!(orders.iter().any(|order| matches!(order, Order::Pause { .. })));
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_refused_before_it_is_recorded() {
    let directory = Directory::new();
    drop(ledger_with_stamp(&directory.0).await);
    let (data, policy) = (directory.text(), policy_path());
    let place = ["--data", &data, "--policy", &policy, "--by", "sam"];
    for (order, expected) in [
        (vec!["hold", "eastus", "--reason", "x"], "there are eastus2"),
        (vec!["hold", "eastus2", "--reason", " "], "the reason is empty"),
        (vec!["pause", "--for", "25h", "--reason", "x"], "change the modes"),
        (vec!["pause", "--for", "2d", "--reason", "x"], "no duration"),
        (vec!["approve", "eastus2", "--generation", "7", "--reason", "x"], "1.42"),
        (
            vec!["override", "eastus2", "--rule", "S8", "--generation", "1.7", "--reason", "x"],
            "no other rule",
        ),
        (vec!["resume"], "--reason"),
    ] {
        let ran = run(&[order.as_slice(), &place].concat()).await;
        assert_eq!(ran.exit, Exit::Refused, "{order:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{order:?}: {}", ran.err);
    }
    let ledger = EmbeddedLedger::open(&directory.0.join("ledger.redb")).unwrap();
    assert_eq!(ledger.load(&WORKLOAD.into(), 10).await.unwrap().inbox, []);
}

#[tokio::test]
async fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = run(&["completions", shell]).await;
        assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
        assert!(ran.out.contains("readmit"), "{shell}");
    }
}

#[tokio::test]
async fn a_second_process_on_a_ledger_is_told_what_to_do() {
    let directory = Directory::new();
    let running = app(&directory.0);
    let environment = Environment::from_iter([("CORDON_STAMP_KEY", "k")]);
    let data = directory.text();
    let ran =
        run_in(&environment, &["serve", "--data", &data, "--policy", &policy_path(), "--port", "0"]).await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.contains("another process runs on it") && ran.err.contains("--url"), "{}", ran.err);
    drop(running);
}

#[tokio::test]
async fn an_order_by_url_is_given_by_whom_the_token_names() {
    let directory = Directory::new();
    drop(ledger_with_stamp(&directory.0).await);
    let access = cordon::page::Access {
        identities: cordon::page::Identities::Development { token: "secret".into() },
        form_key: "k".into(),
        origin: None,
    };
    let app = app_with(&directory.0, OperatorPage { access });
    app.invocation_clock.as_ref().unwrap().set(Timestamp::from_secs(1_800_000_000));
    let (address, _server) = assemble::serve(Arc::clone(&app), 0).await.unwrap();
    let url = format!("http://{address}");
    let order = ["hold", "eastus2", "--reason", "seen", "--url", &url];
    let ran = run(&[order.as_slice(), &["--token", "secret", "--json"]].concat()).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let inbox = controller(&app).ledger.load(&WORKLOAD.into(), 10).await.unwrap().inbox;
    assert!(matches!(&inbox[0].body, ItemBody::Command { command } if command.by == "developer"));
    let status = run(&["status", "--url", &url]).await;
    assert!(status.out.contains("held"), "{}{}", status.out, status.err);
    let wrong = run(&[order.as_slice(), &["--token", "guess"]].concat()).await;
    assert_eq!(wrong.exit, Exit::Refused, "{}", wrong.err);
    let unknown = ["hold", "nowhere", "--reason", "seen", "--url", &url, "--token", "secret"];
    let unknown = run(&unknown).await;
    assert!(unknown.exit == Exit::Refused && unknown.err.contains("no such stamp"), "{}", unknown.err);
    let markdown = reqwest::get(format!("{url}/api/operator/v1/openapi.json")).await.unwrap();
    assert!(markdown.status().is_success());
}

#[tokio::test]
async fn an_order_to_a_running_process_is_handed_over() {
    let directory = Directory::new();
    let app = app(&directory.0);
    let watch = tokio::spawn(cli::spool::watch(Arc::clone(&app), directory.0.clone()));
    let (data, policy) = (directory.text(), policy_path());
    let ran =
        run(&["pause", "--for", "1h", "--by", "sam", "--reason", "x", "--data", &data, "--policy", &policy])
            .await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    assert!(ran.out.contains("given to the running process"), "{}", ran.out);
    watch.abort();
    let _ = watch.await;
    // What was taken but not yet appended when it was stopped is found again.
    cli::spool::take(controller(&app), &directory.0).await.unwrap();
    let inbox = controller(&app).ledger.load(&WORKLOAD.into(), 10).await.unwrap().inbox;
    assert!(matches!(inbox.as_slice(), [item] if item.is_urgent()), "{inbox:?}");
    assert_eq!(std::fs::read_dir(directory.0.join("orders/contoso-shoes")).unwrap().count(), 0);
}

#[tokio::test]
async fn only_orders_are_taken_from_the_orders_directory() {
    let directory = Directory::new();
    let app = app(&directory.0);
    let orders = directory.0.join("orders/contoso-shoes");
    std::fs::create_dir_all(&orders).unwrap();
    std::fs::write(orders.join("a.json"), "{\"id\":").unwrap();
    let at = Timestamp::from_secs(1_800_000_000);
    let body = ItemBody::Observed { signals: vec![], facts: Default::default() };
    let evidence = domain::InboxItem { id: "e".into(), event_at: at, received_at: at, body };
    std::fs::write(orders.join("b.json"), serde_json::to_vec(&evidence).unwrap()).unwrap();
    assert_eq!(cli::spool::take(controller(&app), &directory.0).await.unwrap(), 0);
    assert_eq!(controller(&app).ledger.load(&WORKLOAD.into(), 10).await.unwrap().inbox, []);
    assert!(orders.join("a.refused").exists() && orders.join("b.refused").exists());
}

#[tokio::test]
async fn the_audit_is_read_from_files_and_holds() {
    let directory = Directory::new();
    let data = directory.text();
    let running = app(&directory.0);
    decide_thrice(&running).await;
    let held = run(&["audit", "list", "--data", &data, "--workload", WORKLOAD]).await;
    assert_eq!(held.exit, Exit::Failed);
    assert!(held.err.contains("--url http://127.0.0.1:PORT"), "{}", held.err);
    drop(running);

    let source = ["--data", &data, "--policy", &policy_path()];
    let list = run(&[["audit", "list"].as_slice(), &source].concat()).await;
    assert_eq!((list.exit, list.out.lines().count()), (Exit::Done, 3), "{}{}", list.out, list.err);
    let export = run(&[["audit", "export"].as_slice(), &source].concat()).await;
    let seqs: Vec<u64> = export
        .out
        .lines()
        .map(|line| serde_json::from_str::<domain::audit::AuditRecord>(line).unwrap().seq)
        .collect();
    assert_eq!(seqs, [1, 2, 3]);
    let held = ["audit", "list", "--rule", "no_such_rule", "--json"];
    assert_eq!(run(&[held.as_slice(), &source].concat()).await.out, "");
    let late = ["audit", "list", "--before", "3", "--from", "2020-01-01T00:00:00Z"];
    assert_eq!(run(&[late.as_slice(), &source].concat()).await.out.lines().count(), 2);
    let chain = run(&[["audit", "verify", "--chain", "--json"].as_slice(), &source].concat()).await;
    let chain_found: serde_json::Value = serde_json::from_str(&chain.out).unwrap();
    assert_eq!((chain.exit, &chain_found["records"]), (Exit::Done, &serde_json::json!(3)), "{}", chain.err);
    let status = run(&[["status", "--json"].as_slice(), &source].concat()).await;
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["audit_seq"], 3);
    let status = run(&[["status"].as_slice(), &source].concat()).await;
    assert!(status.out.contains("contoso-shoes: Cordon has not discovered"), "{}{}", status.out, status.err);
    assert!(!status.out.contains('\x1b'), "colours are for a terminal");
    let none = run(&[["report"].as_slice(), &source].concat()).await;
    assert!(none.err.contains("no incident is in this audit"), "{}", none.err);
    let month = run(&[["report", "--since", "30d"].as_slice(), &source].concat()).await;
    assert!(month.out.contains("| incidents | 0 |"), "{}{}", month.out, month.err);
    let show = run(&[["audit", "show", "2"].as_slice(), &source].concat()).await;
    assert!(show.out.contains("record 2 of contoso-shoes"), "{}", show.out);
    assert_eq!(run(&[["audit", "show", "9"].as_slice(), &source].concat()).await.exit, Exit::Failed);
    let verify = run(&[["audit", "verify"].as_slice(), &source].concat()).await;
    assert_eq!(verify.exit, Exit::Done, "{}{}", verify.out, verify.err);
    for expected in
        ["3 records, from 1 to 3", "3 give the same decision again", "0 are in the append-only copy, 3 not"]
    {
        assert!(verify.out.contains(expected), "lacks {expected:?}:\n{}", verify.out);
    }

    // One byte of the second record, where the file has it. A ledger would not open; who asks what was altered is told.
    let path = directory.0.join("ledger.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    let wanted = b"\"id\":\"0000000002-";
    let places: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(wanted)).collect();
    for at in places {
        bytes[at + 40] ^= 1;
    }
    std::fs::write(&path, &bytes).unwrap();
    let chain = run(&[["audit", "verify", "--chain"].as_slice(), &source].concat()).await;
    assert_eq!(chain.exit, Exit::Failed, "{}{}", chain.out, chain.err);
    let named: Vec<_> = chain.out.lines().filter(|line| line.starts_with("BROKEN")).collect();
    assert!(named.len() == 1 && named[0].contains("audit record 2 "), "{}", chain.out);
    let opened = run(&[["audit", "list"].as_slice(), &source].concat()).await;
    assert_eq!(opened.exit, Exit::Failed);
    assert!(opened.err.contains("`cordon audit verify --chain` names the records"), "{}", opened.err);
}

/// Two records of one number stand in the copy where a fork, or a forger, made them. A page that ends between them must not
/// hide the second.
#[tokio::test]
async fn a_twin_at_the_end_of_a_page_of_the_copy_is_compared_too() {
    let directory = Directory::new();
    let (ledger, copy) = (directory.0.join("ledger.redb"), directory.0.join("audit.redb"));
    let last = u64::try_from(cordon::page::AUDIT_PAGE_MAX).unwrap();
    {
        let ledger = EmbeddedLedger::open(&ledger).unwrap();
        let copy = EmbeddedAudit::open(&copy).unwrap();
        for n in 1..=last {
            let state = ledger.load(&fixtures::workload(), 0).await.unwrap().state;
            let next = fixtures::audited(fixtures::follow(state.as_ref(), &n.to_string()), "one more");
            assert_eq!(ledger.commit(&next).await.unwrap(), CommitOutcome::Committed);
        }
        let mut records = ledger.audit(&fixtures::workload(), 0, usize::MAX).await.unwrap();
        assert_eq!(records.last().unwrap().seq, last, "a page is full with it");
        let known = records.last().unwrap().clone();
        let twin = |n: u32| {
            fixtures::record(last, &known.previous, known.generation, &format!("it never happened {n}"))
        };
        // One that stands after it, so that the page ends between the two.
        records.push((0..).map(twin).find(|twin| twin.id > known.id).unwrap());
        for record in &records {
            assert_eq!(copy.append(record).await.unwrap(), AuditAppend::Stored);
        }
    }
    let (data, workload) = (directory.text(), fixtures::workload().to_string());
    let verify = run(&["audit", "verify", "--data", &data, "--workload", &workload]).await;
    assert_eq!(verify.exit, Exit::Failed, "{}{}", verify.out, verify.err);
    let named: Vec<_> = verify.out.lines().filter(|line| line.starts_with("BROKEN")).collect();
    let another = format!("audit record {last} of the copy is another than the ledger's");
    assert!(named.len() == 1 && named[0].contains(&another), "{}", verify.out);
}

#[tokio::test]
async fn the_audit_is_read_from_a_running_process_too() {
    let directory = Directory::new();
    let app = app(&directory.0);
    decide_thrice(&app).await;
    let (address, _server) = assemble::serve(app, 0).await.unwrap();
    let (url, policy) = (format!("http://{address}"), policy_path());
    let verify = run(&["audit", "verify", "--url", &url, "--policy", &policy]).await;
    assert_eq!(verify.exit, Exit::Done, "{}{}", verify.out, verify.err);
    assert!(verify.out.contains("3 give the same decision again"), "{}", verify.out);
    let plan = run(&["plan", "--url", &url]).await;
    assert!(plan.exit == Exit::Done && plan.out.contains("nothing to do"), "{}{}", plan.out, plan.err);
}

#[tokio::test]
async fn a_broken_audit_ends_with_one() {
    let directory = Directory::new();
    let app = app(&directory.0);
    decide_thrice(&app).await;
    let ledger = &controller(&app).ledger;
    let records = ledger.audit(&WORKLOAD.into(), 0, 10).await.unwrap();
    let state = ledger.load(&WORKLOAD.into(), 0).await.unwrap().state;
    let altered = {
        let mut records = records.clone();
        records[1].headline = "all quiet".into();
        records
    };
    let recast = {
        let mut records = records.clone();
        let mut decision: serde_json::Value = records[2].decision.read().unwrap();
        decision["rulings"] = serde_json::json!({ "eastus2": "serves" });
        records[2].decision = domain::canonical::JsonPart::of(&decision);
        records[2] = records[2].clone().sealed();
        records
    };
    for (records, expected) in [
        (altered, "record 2 was changed after it was written"),
        (vec![records[0].clone(), records[2].clone()], "record 3 does not follow record 1"),
        (records[..2].to_vec(), "the end of the audit is missing"),
        (recast, "now gives another decision"),
    ] {
        let url = served(records, serde_json::json!({ "state": state, "steps": [] })).await;
        let verify = run(&["audit", "verify", "--url", &url, "--policy", &policy_path()]).await;
        assert_eq!(verify.exit, Exit::Failed, "{}{}", verify.out, verify.err);
        assert!(verify.out.contains("BROKEN: ") && verify.out.contains(expected), "{}", verify.out);
    }
}

/// A process that answers with these.
async fn served(records: Vec<domain::audit::AuditRecord>, state: serde_json::Value) -> String {
    use axum::extract::Query;
    use axum::{Json, Router, routing::get};
    let audit = async move |Query(query): Query<std::collections::BTreeMap<String, u64>>| {
        Json(records.iter().filter(|record| record.seq > query["after"]).cloned().collect::<Vec<_>>())
    };
    let router = Router::new()
        .route("/api/operator/audit.json", get(audit))
        .route("/api/operator/state.json", get(async move || Json(state.clone())));
    let (address, _server): (SocketAddr, _) = assemble::serve_router(router, 0).await.unwrap();
    format!("http://{address}")
}

#[tokio::test]
async fn a_plan_commits_nothing() {
    let directory = Directory::new();
    let ledger = ledger_with_stamp(&directory.0).await;
    let before = ledger.load(&WORKLOAD.into(), 10).await.unwrap();
    drop(ledger);
    let (data, policy) = (directory.text(), policy_path());
    let plan = run(&["plan", "--data", &data, "--policy", &policy]).await;
    assert_eq!(plan.exit, Exit::Done, "{}", plan.err);
    assert!(plan.out.contains("eastus2: "), "{}", plan.out);
    let ledger = EmbeddedLedger::open(&directory.0.join("ledger.redb")).unwrap();
    assert_eq!(ledger.load(&WORKLOAD.into(), 10).await.unwrap(), before);
}

#[tokio::test]
async fn a_wrong_directory_is_not_an_empty_ledger() {
    let directory = Directory::new();
    let (data, policy) = (directory.text(), policy_path());
    for command in [vec!["plan"], vec!["audit", "list"], vec!["resume", "--by", "sam", "--reason", "x"]] {
        let ran = run(&[command.as_slice(), &["--data", &data, "--policy", &policy]].concat()).await;
        assert_eq!(ran.exit, Exit::Failed, "{command:?}");
        assert!(ran.err.contains("there is no ledger at"), "{}", ran.err);
    }
    assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 0, "nothing was created");
}

#[test]
fn the_local_timers_are_those_of_the_host() {
    for timer in TIMERS {
        let path = root().join("functions").join(timer.function).join("function.json");
        let folder: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(folder["bindings"][0]["schedule"], timer.schedule, "{}", timer.function);
        let seconds = timer.schedule.split(' ').next().unwrap().split_once('/').unwrap().1;
        assert_eq!(seconds.parse::<u64>().unwrap(), timer.every.as_secs(), "{}", timer.function);
    }
}

#[tokio::test]
async fn the_feed_copies_the_audit_and_remembers_its_place() {
    let directory = Directory::new();
    let app = app(&directory.0);
    let (address, _server) = assemble::serve(Arc::clone(&app), 0).await.unwrap();
    let caller = Caller::new(address).unwrap();
    for timer in TIMERS {
        caller.timer(timer.function).await.unwrap();
    }
    decide_thrice(&app).await;
    let written = controller(&app).ledger.audit(&WORKLOAD.into(), 0, 10).await.unwrap();
    let feed = |function| {
        Feed::new(Arc::clone(controller(&app)), caller.clone(), function, Some(&directory.0)).unwrap()
    };
    assert_eq!(feed(FeedFunction::Notify).deliver().await.unwrap(), 0, "nothing is told before it is kept");
    assert_eq!(feed(FeedFunction::PublishAudit).deliver().await.unwrap(), written.len());
    assert_eq!(controller(&app).audit.list(&WORKLOAD.into(), 0, 10).await.unwrap(), written);
    assert_eq!(feed(FeedFunction::Notify).deliver().await.unwrap(), written.len());
    for function in [FeedFunction::PublishAudit, FeedFunction::Notify] {
        assert_eq!(feed(function).deliver().await.unwrap(), 0, "{function:?} goes on where it stopped");
    }
}

/// Two quiet minutes: enough for ARM to be read.
const QUIET_MINUTES: &str = r#"
name = "quiet"
title = "Nothing happens"
description = "Nothing happens."
duration_s = 120

[[stamps]]
id = "eastus2"
region = "eastus2"
native_share = 0.75
instances_min = 20
instances_max = 30
instances_initial = 20

[[stamps]]
id = "centralus"
region = "centralus"
native_share = 0.25
instances_min = 7
instances_max = 30
instances_initial = 7
"#;

#[tokio::test]
async fn a_drill_makes_the_directory_for_its_exchanges_or_says_that_it_cannot() {
    let directory = Directory::new();
    let scenario = directory.0.join("quiet.toml");
    std::fs::write(&scenario, QUIET_MINUTES).unwrap();
    let scenario = scenario.to_str().unwrap();
    let exchanges = directory.0.join("made/on/the/way");
    let common = ["drill", "--scenario", scenario, "--quiet", "--store", "memory", "--record"];

    let ran = run(&[common.as_slice(), &[exchanges.to_str().unwrap()]].concat()).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    assert!(std::fs::read_dir(&exchanges).unwrap().count() > 0);

    // A file stands where the directory should.
    let ran = run(&[common.as_slice(), &[scenario]].concat()).await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.contains("name one that this user may write"), "{}", ran.err);
}
