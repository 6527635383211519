//! What an operator reads at three in the morning: every state of things has words of its own.

use std::collections::BTreeSet;

use crate::assess::Rule;
use crate::decide::{Action, HoldReason, StepBackReason, WaitReason};
use crate::deployment::Objection;
use crate::evidence::Discount;
use crate::explain;
use crate::modes::ModeCause;
use crate::policy::{Mode, Span, parse};
use crate::signal::RefusalCode;
use crate::state::{Cause, FreezeCause, Stage, StampCase};
use crate::testing::{Direct, STAGES, Story};
use crate::{EvidenceClass, FailureCode, StampId, Timestamp};

const LOST: &str = "eastus2";

#[track_caller]
fn all_differ(words: &[String]) {
    let distinct: BTreeSet<&String> = words.iter().collect();
    assert_eq!(distinct.len(), words.len(), "{words:?}");
    assert!(words.iter().all(|word| word.len() > 2), "{words:?}");
}

#[test]
fn every_hold_and_every_wait_has_words_of_its_own() {
    let holds = [
        HoldReason::Operator,
        HoldReason::Paused,
        HoldReason::Frozen,
        HoldReason::Quiet,
        HoldReason::Velocity,
        HoldReason::NeedsApproval,
        HoldReason::BudgetSpent,
        HoldReason::NeedsAcknowledgement,
        HoldReason::LastServing,
        HoldReason::CapacityShort,
        HoldReason::MoreHarm,
        HoldReason::Draining,
        HoldReason::TopologyStale,
        HoldReason::GateUnreadable,
        HoldReason::FactsStale,
        HoldReason::ModeObserve,
        HoldReason::ModeAdvise,
        HoldReason::OriginsRemaining,
        HoldReason::Safety,
    ];
    let waits = [
        WaitReason::Confirmation,
        WaitReason::Contradiction,
        WaitReason::SurvivorsReady,
        WaitReason::GateEffective,
        WaitReason::Recovery,
        WaitReason::Window,
        WaitReason::ReturnCapacity,
        WaitReason::GatedView,
        WaitReason::OriginSettled,
        WaitReason::Stagger,
        WaitReason::SliceWatched,
        WaitReason::SliceLoad,
        WaitReason::OverloadRelief,
    ];
    let steps_back = [StepBackReason::BadSample, StepBackReason::Unobserved, StepBackReason::TooMuchLoad];
    let held = holds.map(|reason| explain::action(&Action::Hold { reason }));
    let waiting = waits.map(|on| explain::action(&Action::Wait { on }));
    let back = steps_back.map(|why| explain::action(&Action::StepBack { why }));
    all_differ(&[&held[..], &waiting, &back].concat());
    for (reason, text) in holds.into_iter().zip(held) {
        assert_eq!(text, format!("held: {}", explain::hold(reason)));
    }
}

#[test]
fn every_action_has_words_of_its_own() {
    let cordon = |cause| Action::Cordon { cause, by: Rule::Ordered };
    let actions = [
        Action::Stay,
        Action::Suspect,
        Action::Clear,
        cordon(Cause::HardLoss),
        cordon(Cause::Gray),
        cordon(Cause::Order),
        Action::CloseGate,
        Action::CloseByOverride,
        Action::EvacuatePartly { open_percent: 25 },
        Action::ConfirmCordon,
        Action::Latch,
        Action::StartWindow { needs_s: 605 },
        Action::RestartWindow,
        Action::EnableOrigin,
        Action::ReturnEarly { percent: 5 },
        Action::OpenSlice { percent: 5 },
        Action::EmergencyReturn,
        Action::Serve,
    ];
    all_differ(&actions.clone().map(|action| explain::action(&action)));
    assert!(explain::action(&actions[11]).ends_with("10 min 5 s"));
}

#[test]
fn every_code_class_and_stage_has_words_of_its_own() {
    all_differ(&STAGES.map(|stage| explain::stage(stage).to_owned()));
    let reason = |stage, cause| {
        explain::stage_reason(&StampCase { stage, cause, ..StampCase::new(Timestamp::default()) })
    };
    let causes = [None, Some(Cause::HardLoss), Some(Cause::Gray), Some(Cause::Order)];
    all_differ(&causes.map(|cause| reason(Stage::Cordoned, cause)));
    all_differ(&STAGES.map(|stage| reason(stage, None)));
    let codes = [
        FailureCode::LastEnabledOrigin,
        FailureCode::Superseded,
        FailureCode::CapacityShort,
        FailureCode::Forbidden,
        FailureCode::NotFound,
        FailureCode::NotOurs,
        FailureCode::Rejected,
        FailureCode::AttemptsSpent,
        FailureCode::Unreachable,
    ];
    all_differ(&codes.map(|code| explain::failure(code).to_owned()));
    let refusals = [
        RefusalCode::UnknownSpeaker,
        RefusalCode::UnknownRegion,
        RefusalCode::RegionWithoutStamp,
        RefusalCode::ServiceNotUsed,
        RefusalCode::GlobalScope,
        RefusalCode::SyntheticTest,
        RefusalCode::TooOld,
        RefusalCode::Malformed,
        RefusalCode::NotAHealthSignal,
        RefusalCode::UnknownStamp,
    ];
    all_differ(&refusals.map(|code| explain::refusal(code).to_owned()));
    all_differ(&EvidenceClass::ALL.map(|class| explain::class(class).to_owned()));
    let freezes =
        [FreezeCause::MostRegionsAtOnce, FreezeCause::EdgeRedDirectGreen, FreezeCause::AuthOrDnsEverywhere];
    all_differ(&freezes.map(|cause| explain::freeze(cause).to_owned()));
    let causes = [
        ModeCause::HardLoss,
        ModeCause::Gray,
        ModeCause::PlatformAlert,
        ModeCause::Overload,
        ModeCause::Readmit,
    ];
    all_differ(&causes.map(|cause| explain::cause_in_words(cause).to_owned()));
    let modes = [Mode::Observe, Mode::Advise, Mode::Act];
    assert_eq!(modes.map(explain::mode_in_words), ["observe", "advise", "act"], "as the policy writes them");
}

#[test]
fn what_is_known_of_a_stamp_names_each_voice_since_when_and_why_one_has_none() {
    let mut story = Story::calm(2);
    let calm = explain::assessment(&story.decision().assessments[&StampId::from(LOST)]);
    assert!(calm.starts_with("healthy (direct healthy since 20"), "{calm}");
    assert!(!calm.contains("edge") && !calm.contains("unobserved"), "{calm}");
    story.scene(LOST).direct = Direct::Silent;
    story.run(180);
    let silent = explain::assessment(&story.decision().assessments[&StampId::from(LOST)]);
    assert_eq!(silent, "nothing fresh speaks for or against it");

    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::VantagesDisagree;
    story.run(60);
    let mut seen = story.decision().assessments[&StampId::from(LOST)].clone();
    let text = explain::assessment(&seen);
    assert!(text.contains("direct has no vote (its vantages disagree)"), "{text}");
    let view = seen.views.get_mut(&EvidenceClass::Direct).unwrap();
    view.discounted = Some(Discount::SharedDependency);
    let text = explain::assessment(&seen);
    assert!(text.contains("direct has no vote (bad in several regions at once)"), "{text}");
}

#[test]
fn a_failing_region_is_told_with_its_rule() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.scene(LOST).edge = Some(100);
    story.run_until(300, |story| matches!(story.action(LOST), Action::Cordon { .. }));
    let text = explain::assessment(&story.decision().assessments[&StampId::from(LOST)]);
    assert!(text.starts_with("failing since 20") && text.contains("by two classes: "), "{text}");
    assert!(text.contains("direct unhealthy since"), "{text}");
    assert_eq!(explain::rule(&Rule::Ordered), "an operator's order");
    let alone = explain::rule(&Rule::OneClassAlone { class: EvidenceClass::Edge });
    assert_eq!(alone, "one class alone, uncontradicted: edge");
}

#[test]
fn every_objection_to_a_deployment_names_what_it_is_about() {
    let stamp = || StampId::from(LOST);
    for (objection, named) in [
        (Objection::Blind { observed_at: None }, "nobody has seen a stamp yet"),
        (Objection::Blind { observed_at: Some(Timestamp::default()) }, "since 1970-01-01T00:00:00Z"),
        (Objection::NotServing { stamp: stamp(), stage: Stage::Proving }, "eastus2 is not serving: proving"),
        (Objection::GateNotOpen { stamp: stamp() }, "the gate of eastus2"),
        (Objection::OriginDisabled { stamp: stamp() }, "originsHeldOut = ['eastus2']"),
        (Objection::FloorStands { stamp: stamp(), minimum: 9 }, "9"),
        (Objection::StepUnderWay { what: "close a gate".into() }, "close a gate"),
        (Objection::TooFewRegions { left: 1, regions_min: 2 }, "2"),
    ] {
        let text = objection.to_string();
        assert!(text.contains(named), "{text}");
    }
}

#[test]
fn a_span_is_written_in_its_largest_whole_unit() {
    for (seconds, text) in
        [(0, "0s"), (59, "59s"), (60, "1m"), (90, "90s"), (3_540, "59m"), (3_600, "1h"), (5_400, "90m")]
    {
        assert_eq!(Span::from_secs(seconds).to_string(), text);
    }
}

#[test]
fn a_complaint_about_the_policy_names_the_line_of_its_key_in_its_own_section() {
    let shipped = include_str!("../../../../policy.toml");
    let line_of = |section: &str, key: &str| {
        let lines: Vec<&str> = shipped.lines().map(str::trim).collect();
        let start = lines.iter().position(|line| *line == format!("[{section}]")).unwrap();
        let within = lines[start..]
            .iter()
            .position(|line| line.split('=').next().is_some_and(|left| left.trim() == key));
        start + within.unwrap() + 1
    };
    let broken = |section: &str, key: &str, value: &str| {
        let line = line_of(section, key);
        let mut lines: Vec<String> = shipped.lines().map(str::to_owned).collect();
        lines[line - 1] = format!("{key} = {value}");
        (line, parse(&lines.join("\n")).unwrap_err().iter().map(ToString::to_string).collect::<String>())
    };
    for (section, key, value) in [("gate", "lifetime", "\"1s\""), ("window", "cap", "\"1s\"")] {
        let (line, complaint) = broken(section, key, value);
        assert!(complaint.contains(&format!("line {line}")), "{section}.{key} on {line}: {complaint}");
    }
}
