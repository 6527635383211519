//! Every built-in scenario, played from seed 1: what happened as a golden text, and the claim it exists for in figures.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::collections::BTreeMap;

use domain::StampId;
use tests::drills::{self, Run};

/// A stamp may be taken out automatically so often within 24 h.
const CORDONS_MAX: usize = 2;
/// Cordon may cost all clients together this much: the same draws at other loads differ by less.
const ALL_MAX: f64 = 1.005;
/// And the clients of a stamp that never was out this much.
const SURVIVORS_MAX: f64 = 1.02;

/// Where clients were worse off with Cordon than without: scenario, whose clients, why that is right.
/// What is listed here and is no longer so fails as well.
const WORSE_WITH_CORDON: [(&str, &str, &str); 0] = [];

/// Plays a scenario and holds what must be true of every one against the run.
async fn sound(name: &str) -> Run {
    let run = drills::run(&drills::options(drills::scenario(name))).await;
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, run.golden()) });
    the_audit_holds(&run);
    nothing_irreversible_was_called(&run);
    the_budget_and_the_floor_hold(&run);
    clients_are_no_worse_off(name, &run);
    run
}

fn the_audit_holds(run: &Run) {
    let audit = &run.report.audit;
    assert!(audit.chain_holds);
    assert_eq!(audit.replayed, audit.records);
}

fn nothing_irreversible_was_called(run: &Run) {
    for exchange in &run.played.exchanges {
        let path = exchange.path.to_lowercase();
        assert!(!path.contains("failoverprioritychange") && !path.contains("offlineregion"), "{path}");
    }
}

fn the_budget_and_the_floor_hold(run: &Run) {
    for stamp in &run.played.measurements.stamps {
        let cordons = run.times_of("cordon", stamp.as_str());
        assert!(cordons.len() <= CORDONS_MAX, "{stamp} was taken out at {cordons:?}");
    }
    for (t, cases) in run.decided_cases() {
        let all_closed = !cases.is_empty() && cases.values().all(|case| case.gate.percent() == 0);
        assert!(!all_closed, "every gate is closed at {t} s");
    }
}

fn clients_are_no_worse_off(name: &str, run: &Run) {
    let mut worse = BTreeMap::new();
    let mut compare = |who: &str, (with, without): (f64, f64), most: f64| {
        if with > without * most {
            worse.insert(who.to_owned(), format!("{with:.0} failed with Cordon, {without:.0} without"));
        }
    };
    compare("all clients", run.failed(None), ALL_MAX);
    let never_out = |stamp: &&StampId| run.times_of("cordon", stamp.as_str()).is_empty();
    for stamp in run.played.measurements.stamps.iter().filter(never_out) {
        compare(stamp.as_str(), run.failed(Some(stamp)), SURVIVORS_MAX);
    }
    let excused = WORSE_WITH_CORDON.iter().filter(|(scenario, ..)| *scenario == name);
    for (_, who, reason) in excused {
        assert!(worse.remove(*who).is_some(), "{who} is no exception any more: {reason}");
    }
    assert!(worse.is_empty(), "{worse:?}");
}

/// The instant of a moment that must have happened.
fn at(time: Option<u32>) -> u32 {
    time.unwrap()
}

#[tokio::test]
async fn contoso_shoes() {
    let run = sound("contoso-shoes").await;
    let (report, times) = (&run.report, &run.report.times);
    let decision = at(times.decision_s);
    assert!(decision - at(times.first_symptom_s) <= 150);
    assert!(at(times.gate_effective_s) - decision <= 60);
    assert!(times.prescale_in_cordon_commit);
    let patches: Vec<u32> = run.effects("set_origin").into_iter().map(|(t, _)| t).collect();
    assert_eq!((report.origin_patches.len(), patches.len()), (2, 2), "disabled once, enabled once");
    assert!(report.origin_reads >= 4, "each change is read before and after");
    assert_eq!(times.step_backs_s.iter().map(|(percent, _)| *percent).collect::<Vec<_>>(), [5]);
    assert_eq!(report.capacity_below_without.seconds, 0);
    all_serve_without_a_floor(&run);
}

/// Every stamp serves, with its gate and its origin open, and nothing of ours is left in its autoscale setting.
fn all_serve_without_a_floor(run: &Run) {
    for (stamp, end) in &run.report.end {
        assert_eq!((end.stage.as_str(), end.gate_percent, end.floor), ("serving", 100, None), "{stamp}");
        assert_eq!(end.origin.as_deref(), Some("Enabled"), "{stamp}");
    }
}

fn nobody_was_taken_out(run: &Run) {
    assert_eq!(run.count("cordon"), 0);
    assert_eq!(run.effects("set_gate"), []);
    assert_eq!(run.effects("set_origin"), []);
}

#[tokio::test]
async fn alert_without_evidence() {
    let run = sound("alert-without-evidence").await;
    nobody_was_taken_out(&run);
    let raised = run.effects("raise_floor");
    assert!(!raised.is_empty(), "the alert arms the pre-scaling");
    assert!(raised.iter().all(|(t, _)| *t >= 900), "not before it was heard: {raised:?}");
    assert_eq!(run.count("freeze"), 0);
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn false_alarm_one_class() {
    let run = sound("false-alarm-one-class").await;
    nobody_was_taken_out(&run);
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn both_regions_at_once() {
    frozen_and_nobody_out("both-regions-at-once", 600, 1200).await;
}

#[tokio::test]
async fn edge_only_failure() {
    frozen_and_nobody_out("edge-only-failure", 600, 1800).await;
}

#[tokio::test]
async fn witness_blind() {
    frozen_and_nobody_out("witness-blind", 600, 2400).await;
}

#[tokio::test]
async fn cosmos_bad_in_two_regions() {
    frozen_and_nobody_out("cosmos-bad-in-two-regions", 600, 2400).await;
}

/// The freeze comes with the fault, outlasts it, and ends.
async fn frozen_and_nobody_out(name: &str, from_s: u32, until_s: u32) -> Run {
    let run = sound(name).await;
    nobody_was_taken_out(&run);
    let freezes: Vec<u32> =
        run.played.moments.iter().filter(|moment| moment.kind == "freeze").map(|moment| moment.t).collect();
    assert_eq!(freezes.len(), 2, "begins and ends: {freezes:?}");
    assert!((from_s..=from_s + 150).contains(&freezes[0]), "{freezes:?}");
    assert!(freezes[1] >= until_s, "{freezes:?}");
    all_serve_without_a_floor(&run);
    run
}

#[tokio::test]
async fn gray_failure() {
    a_gray_region_is_emptied("gray-failure").await;
}

#[tokio::test]
async fn gray_failure_n1() {
    let run = a_gray_region_is_emptied("gray-failure-n1").await;
    let closed = run.times_of("close_gate", "eastus2");
    assert_eq!(closed, run.times_of("cordon", "eastus2"), "with capacity to spare nothing is waited for");
}

async fn a_gray_region_is_emptied(name: &str) -> Run {
    let run = sound(name).await;
    let times = &run.report.times;
    assert!(at(times.decision_s) - at(times.first_symptom_s) <= 240);
    let closed = run.times_of("close_gate", "eastus2")[0];
    assert!(at(times.gate_effective_s) - closed <= 60);
    let (with, without) = run.failed(Some(&StampId::new("centralus")));
    assert!(with <= without, "{with} failed in Central US with Cordon, {without} without");
    assert!(times.prescale_in_cordon_commit);
    assert!(at(times.prescale_s) <= closed, "the survivors grow first");
    run
}

#[tokio::test]
async fn hard_loss() {
    the_gate_alone_latches_a_loss("hard-loss").await;
}

/// The alert halves the time in which total loss by `Direct` alone is believed.
#[tokio::test]
async fn hard_loss_alerted_early() {
    let run = the_gate_alone_latches_a_loss("hard-loss-alerted-early").await;
    let times = &run.report.times;
    assert!(at(times.decision_s) - at(times.first_symptom_s) <= 70, "{times:?}");
}

#[tokio::test]
async fn hard_loss_n1() {
    let run = the_gate_alone_latches_a_loss("hard-loss-n1").await;
    let (with, without) = run.failed(Some(&StampId::new("centralus")));
    assert!(with <= without, "with capacity to spare the neighbours notice nothing: {with}, {without}");
}

/// With two stamps no origin is touched; the way back is every slice once.
async fn the_gate_alone_latches_a_loss(name: &str) -> Run {
    let run = sound(name).await;
    assert!(at(run.report.times.decision_s) - at(run.report.times.first_symptom_s) <= 150);
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1);
    assert_eq!(run.effects("set_origin"), []);
    each_slice_opened_once(&run);
    run
}

fn each_slice_opened_once(run: &Run) {
    let percents: Vec<u8> = run.report.times.slices_s.iter().map(|(percent, _)| *percent).collect();
    assert_eq!((percents, run.count("step_back")), (vec![5, 25, 50, 100], 0));
    assert!(run.report.times.fully_serving_s.is_some());
}

#[tokio::test]
async fn arm_down_during_loss() {
    let run = the_gate_alone_latches_a_loss("arm-down-during-loss").await;
    assert!(at(run.report.times.gate_effective_s) < 2400, "the gate needs no control plane");
    let grown = at(run.report.times.capacity_ready_s);
    assert!((2400..=2400 + 420).contains(&grown), "the capacity follows at once: {grown}");
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn ledger_down_during_loss() {
    let run = sound("ledger-down-during-loss").await;
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1);
    let planned = ["set_gate", "set_origin", "raise_floor"].map(|tag| run.effects(tag)).concat();
    assert!(planned.iter().all(|(t, _)| *t >= 1200), "nothing without the ledger: {planned:?}");
    assert!(at(run.report.times.decision_s) <= 1200 + 120, "and once it is back, soon");
    each_slice_opened_once(&run);
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn controller_lost_while_gate_closed() {
    let run = the_gate_alone_latches_a_loss("controller-lost-while-gate-closed").await;
    let first_slice = run.report.times.slices_s[0].1;
    assert!(first_slice > 6300, "nobody opens it while the controller is away");
    let (stamp, world) = (StampId::new("eastus2"), &run.played.measurements);
    // Healthy from 2400 s on, watched by nobody from 1500 s to 6300 s.
    for t in 2400..first_slice {
        let share = world.share_routed_to(&stamp, t);
        assert!(share < 0.01, "{share} of the demand goes to a closed gate at {t} s");
    }
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn cosmos_region_lost() {
    let run = sound("cosmos-region-lost").await;
    assert!(at(run.report.times.decision_s) - at(run.report.times.first_symptom_s) <= 150);
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1);
    let (with, without) = run.failed(Some(&StampId::new("centralus")));
    assert!(with <= without, "the survivors' own clients pay nothing: {with}, {without}");
    let (with, without) = run.failed(None);
    assert!(with < without / 5.0, "{with} of {without}");
    each_slice_opened_once(&run);
}

#[tokio::test]
async fn demand_surge() {
    let run = sound("demand-surge").await;
    nobody_was_taken_out(&run);
    assert!(!run.effects("raise_floor").is_empty(), "overload is given capacity");
    let (with, without) = run.failed(None);
    assert!(with < without / 2.0, "{with} of {without}");
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn survivor_overloaded_by_loss() {
    let run = the_gate_alone_latches_a_loss("survivor-overloaded-by-loss").await;
    assert!(run.times_of("cordon", "centralus").is_empty());
    assert!(run.effects("set_gate").iter().all(|(_, stamp)| stamp == "eastus2"));
    assert!(run.effects("raise_floor").iter().any(|(t, stamp)| stamp == "centralus" && *t <= 750));
    assert_eq!(run.count("freeze"), 0, "the expected consequence of a loss is no reason to stop");
}

#[tokio::test]
async fn survivors_cannot_grow() {
    let run = sound("survivors-cannot-grow").await;
    assert!(run.times_of("cordon", "centralus").is_empty());
    assert_eq!(run.times_of("emergency_return", "eastus2").len(), 1, "a doubtful region beats none");
    assert_eq!(run.report.end[&StampId::new("eastus2")].gate_percent, 100);
}

/// What the quota does not carry is told before anything is lost, and in the loss no more is asked for than it allows.
#[tokio::test]
async fn survivors_short_of_quota() {
    let run = sound("survivors-short-of-quota").await;
    let short = |record: &&domain::audit::AuditRecord| {
        record.explanation["notices"].as_array().is_some_and(|kinds| kinds.contains(&"quota_short".into()))
    };
    let told: Vec<&domain::audit::AuditRecord> = run.played.audit.iter().filter(short).collect();
    assert_eq!(told.len(), 1, "once");
    let lost_at = run.played.audit[0].at + std::time::Duration::from_secs(600);
    assert!(told[0].at < lost_at, "{}", told[0].at);
    assert!(told[0].headline.contains("centralus would need"), "{}", told[0].headline);
    assert!(told[0].headline.contains("its quota allows 10"), "{}", told[0].headline);
    let asked = run.played.audit.iter().flat_map(|record| record.steps.as_array().into_iter().flatten());
    let of_survivor = asked.filter(|step| step["step"]["effect"]["stamp"] == "centralus");
    let asked: Vec<u64> = of_survivor.filter_map(|step| step["step"]["effect"]["minimum"].as_u64()).collect();
    assert!(!asked.is_empty() && asked.iter().all(|minimum| *minimum <= 10), "{asked:?}");
    let read = |path: &str| path.to_lowercase().contains("/microsoft.quota/quotas");
    let reads = run.played.exchanges.iter().filter(|said| read(&said.path)).count();
    // Two regions every ten minutes of 5400 s, the lost one not while it is lost.
    assert!((9 + 5..=9 + 7).contains(&reads), "{reads} reads of limits");
}

#[tokio::test]
async fn survivor_failing_while_first_out() {
    let run = sound("survivor-failing-while-first-out").await;
    let back = run.times_of("emergency_return", "eastus2");
    assert!(back.len() == 1 && (2700..=2760).contains(&back[0]), "opened at once: {back:?}");
    let other = run.times_of("cordon", "centralus");
    assert!(other.len() == 1 && other[0] >= run.times_of("serve", "eastus2")[0], "{other:?}");
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn relapse() {
    let run = sound("relapse").await;
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1, "a step back extends the same cordon");
    assert!(!run.times_of("restart_window", "eastus2").is_empty(), "a bad sample voids the window");
    let times = &run.report.times;
    assert_eq!(times.step_backs_s.iter().map(|(percent, _)| *percent).collect::<Vec<_>>(), [5]);
    let needs: Vec<&str> =
        run.moments("start_window", "eastus2").map(|moment| moment.text.as_str()).collect();
    assert!(needs.last().unwrap().contains("27 min"), "the step back lengthens the window: {needs:?}");
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn resolved_while_bad() {
    let run = the_gate_alone_latches_a_loss("resolved-while-bad").await;
    for kind in ["start_window", "open_slice", "return_early", "emergency_return"] {
        let times = run.times_of(kind, "eastus2");
        assert!(times.iter().all(|t| *t > 4800), "{kind} while it was gone: {times:?}");
    }
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn second_region_within_velocity_limit() {
    let run = sound("second-region-within-velocity-limit").await;
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1);
    assert!(run.times_of("cordon", "centralus").is_empty());
    let held: Vec<&str> = run.moments("hold", "centralus").map(|moment| moment.text.as_str()).collect();
    assert!(held.iter().any(|text| text.contains("approval")), "{held:?}");
    assert!(run.effects("set_gate").iter().all(|(_, stamp)| stamp == "eastus2"));
    assert!(run.effects("raise_floor").iter().any(|(t, stamp)| stamp == "westus2" && *t < 1200));
    each_slice_opened_once(&run);
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn three_stamps_latch_frozen_and_thawed() {
    let run = sound("three-stamps-latch-frozen-and-thawed").await;
    let times = &run.report.times;
    assert!(at(times.gate_effective_s) < 900, "the gate does not wait for Front Door's configuration");
    let latched = run.times_of("latch", "eastus2")[0];
    assert!((900..3600).contains(&latched), "asked for while frozen: {latched}");
    assert!(at(times.origin_disabled_s) >= 3600, "and done after the thaw");
    let (away, back) = (at(times.origin_disabled_effective_s), times.slices_s[0].1);
    assert!(away < back, "it does not strike after the return has begun: {away}, {back}");
    assert!(at(times.origin_enabled_s) < back, "the origin is enabled behind the closed gate");
    assert_eq!(run.report.origin_patches.len(), 2);
    each_slice_opened_once(&run);
}

/// These, and nothing else, are what somebody else was seen to do.
fn told_and_put_back(run: &Run, what: &[&str]) {
    let told: Vec<&str> = run
        .played
        .moments
        .iter()
        .filter(|moment| moment.kind == "drift")
        .map(|moment| moment.text.as_str())
        .collect();
    assert_eq!(told.len(), what.len(), "{told:?}");
    for text in what {
        assert!(told.iter().any(|told| told.contains(text)), "{text}: {told:?}");
    }
}

/// Share of the demand that goes to the stamp in the worst second of a span.
fn most_routed(run: &Run, stamp: &str, span: std::ops::Range<u32>) -> f64 {
    let stamp = StampId::new(stamp);
    span.map(|t| run.played.measurements.share_routed_to(&stamp, t)).fold(0.0, f64::max)
}

#[tokio::test]
async fn redeployment_during_cordon() {
    let run = sound("redeployment-during-cordon").await;
    told_and_put_back(
        &run,
        &[
            "somebody else enabled the origin of eastus2, which we had disabled; it is disabled again, 1 of 3",
            "changed the capacity floor of centralus",
            "changed the capacity floor of westus2",
        ],
    );
    assert!(most_routed(&run, "eastus2", 2_700..5_400) < 0.01, "the gate is no part of a deployment");
    let again = |tag: &str| run.effects(tag).into_iter().filter(|(t, _)| (2_700..3_000).contains(t)).count();
    assert_eq!((again("set_origin"), again("raise_floor")), (1, 2), "what was undone is done again, once");
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn portal_edit_during_cordon() {
    let run = sound("portal-edit-during-cordon").await;
    told_and_put_back(&run, &["the latch is given up for this cordon", "the capacity floor of centralus"]);
    assert!(most_routed(&run, "eastus2", 2_700..5_400) < 0.01, "the gate stays closed");
    let patches = run.effects("set_origin");
    assert_eq!(patches.len(), 1, "latched once, and neither again nor back: {patches:?}");
    all_serve_without_a_floor(&run);
}

#[tokio::test]
async fn stamp_removed() {
    let run = sound("stamp-removed").await;
    nobody_was_taken_out(&run);
    assert_eq!(run.count("freeze"), 0);
    let notes: Vec<(u32, &str)> = run
        .played
        .moments
        .iter()
        .filter(|moment| moment.kind == "note")
        .map(|m| (m.t, m.text.as_str()))
        .collect();
    let gone = notes.iter().find(|(_, text)| text.contains("westus2 is gone; its case is closed"));
    assert!(gone.is_some_and(|(t, _)| (3_000..3_100).contains(t)), "{notes:?}");
    told_and_put_back(&run, &["somebody else disabled the origin of westus2; it was not held by us"]);
    assert_eq!(run.count("refused"), 0, "its peers, who are told later, are not heard about it");
    assert!(!run.report.end.contains_key(&StampId::new("westus2")), "{:?}", run.report.end);
    all_serve_without_a_floor(&run);
}

/// The alert outside Cordon speaks after five minutes without a heartbeat.
const SILENCE_S: u32 = 300;

fn longest_silence(run: &Run) -> u32 {
    let beats = &run.played.heartbeats;
    beats.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(u32::MAX)
}

#[tokio::test]
async fn a_heartbeat_is_missing_when_nobody_watches_and_only_then() {
    let calm = drills::run(&drills::options(drills::scenario("false-alarm-one-class"))).await;
    assert!(longest_silence(&calm) <= 10, "{} s", longest_silence(&calm));
    let gone = drills::run(&drills::options(drills::scenario("controller-lost-while-gate-closed"))).await;
    assert!(longest_silence(&gone) >= 4_800, "{} s", longest_silence(&gone));
    let no_ledger = drills::run(&drills::options(drills::scenario("ledger-down-during-loss"))).await;
    assert!(longest_silence(&no_ledger) > SILENCE_S, "{} s", longest_silence(&no_ledger));
}

#[test]
fn every_built_in_scenario_is_played_here() {
    let text = include_str!("scenarios.rs");
    for (name, _) in simulator::builtin() {
        assert!(text.contains(&format!("async fn {}()", name.replace('-', "_"))), "{name} has no test");
    }
}
