//! Decisions in words, for the person at three in the morning. Words only: nothing here is read back by a machine.

pub mod why;

use std::time::Duration;

use crate::assess::{Assessment, Condition, Rule};
use crate::decide::{Action, Decision, HoldReason, StepBackReason, WaitReason};
use crate::evidence::Discount;
use crate::modes::ModeCause;
use crate::policy::Mode;
use crate::state::{Cause, FreezeCause, Stage, StampCase};
use crate::step::{Effect, FailureCode};
use crate::{EnabledState, EvidenceClass, GatePosition, Order, RefusalCode, Timestamp, Verdict};

/// An effect in words.
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::SetGate { stamp, position: GatePosition::Closed, .. } => format!("close the gate of {stamp}"),
        Effect::SetGate { stamp, position: GatePosition::Open, .. } => format!("open the gate of {stamp}"),
        Effect::SetGate { stamp, position: GatePosition::Slice(percent), .. } => {
            format!("open the gate of {stamp} for {percent} % of the edge locations")
        }
        Effect::SetOrigin { stamp, enabled: EnabledState::Enabled } => {
            format!("enable the origin of {stamp}")
        }
        Effect::SetOrigin { stamp, enabled: EnabledState::Disabled } => {
            format!("disable the origin of {stamp}")
        }
        Effect::RaiseFloor { stamp, minimum, .. } => format!("keep at least {minimum} instances in {stamp}"),
        Effect::RestoreFloor { stamp, .. } => format!("give back the instances of {stamp}"),
        Effect::RaiseThroughput { resource, before, maximum, .. } => {
            format!("raise the throughput of {resource} from {before} to {maximum} RU/s")
        }
        Effect::RestoreThroughput { resource, before, .. } => {
            format!("give back the throughput of {resource}: {before} RU/s")
        }
    }
}

/// An order in words, to follow "ordered".
pub fn order(order: &Order) -> String {
    match order {
        Order::Hold { stamp } => format!("a hold of {stamp}"),
        Order::Release { stamp } => format!("the release of {stamp}"),
        Order::Approve { stamp, generation } => {
            format!("the cordon of {stamp} that generation {generation} held for approval")
        }
        Order::Acknowledge { stamp } => format!("the return of {stamp} although its budget is spent"),
        Order::Pause { until } => format!("a pause until {until}"),
        Order::Resume => "the end of the pause".to_owned(),
        Order::Cordon { stamp } => format!("the cordon of {stamp}"),
        Order::Readmit { stamp } => format!("the return of {stamp} before its window is over"),
        Order::Override { stamp, rule, generation } => format!(
            "an override of safety rule {rule:?} ({}) for the cordon of {stamp} that generation {generation} held",
            rule.in_words()
        ),
        Order::Mode { cause, mode: Some(mode) } => {
            format!("the mode {} for {}", mode_in_words(*mode), cause_in_words(*cause))
        }
        Order::Mode { cause, mode: None } => format!("the policy's own mode for {}", cause_in_words(*cause)),
    }
}

/// A cause that has a mode, in words.
pub const fn cause_in_words(cause: ModeCause) -> &'static str {
    match cause {
        ModeCause::HardLoss => "hard loss",
        ModeCause::Gray => "gray failure",
        ModeCause::PlatformAlert => "platform alert",
        ModeCause::Overload => "overload",
        ModeCause::Readmit => "re-admission",
    }
}

/// A mode as the policy writes it.
pub const fn mode_in_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Advise => "advise",
        Mode::Act => "act",
    }
}

/// Why a step did not come to pass, in words.
pub const fn failure(code: FailureCode) -> &'static str {
    match code {
        FailureCode::LastEnabledOrigin => "Front Door keeps its last enabled origin",
        FailureCode::Superseded => "something newer is in force",
        FailureCode::CapacityShort => "over the quota or the maximum",
        FailureCode::Forbidden => "our rights do not cover it",
        FailureCode::NotFound => "the resource is gone",
        FailureCode::NotOurs => "somebody else changed it meanwhile",
        FailureCode::Rejected => "Azure refused it",
        FailureCode::AttemptsSpent => "tried as often as allowed",
        FailureCode::Unreachable => "not reachable",
    }
}

/// Why an event has no vote, in words.
pub const fn refusal(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::UnknownSpeaker => "nobody whom the policy lists",
        RefusalCode::UnknownRegion => "an unknown region",
        RefusalCode::RegionWithoutStamp => "no stamp of ours in that region",
        RefusalCode::ServiceNotUsed => "a service that the workload does not use",
        RefusalCode::GlobalScope => "it names no region",
        RefusalCode::SyntheticTest => "a test notification",
        RefusalCode::TooOld => "older than the horizon",
        RefusalCode::Malformed => "not the shape of any event we know",
        RefusalCode::NotAHealthSignal => "it says nothing about health",
        RefusalCode::UnknownStamp => "no such stamp",
    }
}

const fn discount(why: Discount) -> &'static str {
    match why {
        Discount::Masked => "we caused it",
        Discount::SharedDependency => "bad in several regions at once",
        Discount::VantagesDisagree => "its vantages disagree",
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Degraded => "degraded",
        Verdict::Unhealthy => "unhealthy",
        Verdict::Unobserved => "unobserved",
    }
}

/// Why a gate stands as it does, for the reader at the stamp.
pub(crate) fn stage_reason(case: &StampCase) -> String {
    let cause = match case.cause {
        Some(Cause::HardLoss) => "hard loss",
        Some(Cause::Gray) => "gray failure",
        Some(Cause::Order) => "an operator's order",
        None => "no cause",
    };
    format!("{}, {cause}", stage(case.stage))
}

/// A stage in words.
pub const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Serving => "serving",
        Stage::Suspect => "suspect",
        Stage::Evacuating => "evacuating",
        Stage::Cordoned => "cordoned",
        Stage::Proving => "proving",
        Stage::Readmitting => "readmitting",
        Stage::Held => "held",
    }
}

/// A class in words.
pub const fn class(class: EvidenceClass) -> &'static str {
    match class {
        EvidenceClass::Platform => "platform",
        EvidenceClass::Edge => "edge",
        EvidenceClass::Data => "data",
        EvidenceClass::Direct => "direct",
        EvidenceClass::Traffic => "traffic",
    }
}

/// A cause of a freeze in words.
pub const fn freeze(cause: FreezeCause) -> &'static str {
    match cause {
        FreezeCause::MostRegionsAtOnce => "more than half of the regions turned bad at once",
        FreezeCause::EdgeRedDirectGreen => "every open stamp is red through the edge and green directly",
        FreezeCause::AuthOrDnsEverywhere => "every stamp fails with our own credentials or names",
    }
}

/// The headline and the reasons of a decision. Stamps that only stay as they are come last.
pub fn decision(decision: &Decision) -> (String, Vec<String>) {
    let mut because = Vec::new();
    let mut news = Vec::new();
    if let Some(freeze_now) = decision.freeze {
        because.push(format!("removals are frozen since {}: {}", freeze_now.since, freeze(freeze_now.cause)));
        news.push("removals are frozen".to_owned());
    }
    because.extend(decision.cases.iter().filter_map(|(stamp, case)| asked_again(stamp, case)));
    let mut quiet = Vec::new();
    for (stamp, ruling) in &decision.rulings {
        let text = format!("{stamp}: {}", action(&ruling.action));
        let next = ruling.next_at.map(|at| format!("; next possible change at {at}")).unwrap_or_default();
        let seen = decision.assessments.get(stamp).map(assessment).unwrap_or_default();
        let line = format!("{text}{next}; {seen}");
        match &ruling.action {
            Action::Stay | Action::Wait { .. } => quiet.push(line),
            Action::Hold { .. } => {
                because.push(line);
                news.push(text);
            }
            _ => {
                because.insert(0, line);
                news.insert(0, text);
            }
        }
    }
    because.extend(decision.cases.iter().filter_map(|(stamp, case)| {
        let found = case.cannot_grow?;
        let missing = found.asked.saturating_sub(found.ready);
        Some(format!(
            "{stamp} cannot grow: {} of {} instances are ready, {missing} missing; believed until {}",
            found.ready, found.asked, found.until
        ))
    }));
    because.extend(quiet);
    let headline = if news.is_empty() { "nothing to do".to_owned() } else { news.join("; ") };
    (headline, because)
}

/// The headline of a record that tells of a pause again.
pub(crate) fn still_paused(pause: &crate::state::Pause, headline: &str) -> String {
    let paused = format!(
        "the automation is paused since {} by {}, until {}: {}",
        pause.since, pause.by, pause.until, pause.reason
    );
    if headline == "nothing to do" { paused } else { format!("{paused}; {headline}") }
}

/// That a person was asked before and has not answered.
fn asked_again(stamp: &crate::StampId, case: &StampCase) -> Option<String> {
    let held = case.held_for.filter(|held| held.reason.waits_for_a_person() && held.told > 1)?;
    Some(format!("{stamp}: nobody has answered; asked {} times since {}", held.told, held.since))
}

/// What is known of a stamp, in words.
pub fn assessment(assessment: &Assessment) -> String {
    let condition = match &assessment.condition {
        Condition::Healthy => "healthy".to_owned(),
        Condition::Unobserved => "nothing fresh speaks for or against it".to_owned(),
        Condition::Suspicious { contradicted_by: Some(by), .. } => {
            format!("suspicious, contradicted by {}", class(*by))
        }
        Condition::Suspicious { .. } => "suspicious".to_owned(),
        Condition::Failing { since, by, .. } => format!("failing since {since} by {}", rule(by)),
        Condition::Overloaded { since } => format!("full, not dead, since {since}"),
    };
    let voices: Vec<String> = assessment
        .views
        .iter()
        .filter(|(_, view)| view.verdict != Verdict::Unobserved || view.discounted.is_some())
        .map(|(name, view)| match view.discounted {
            Some(why) => format!("{} has no vote ({})", class(*name), discount(why)),
            None => format!("{} {}{}", class(*name), verdict(view.verdict), since(view.since)),
        })
        .collect();
    if voices.is_empty() { condition } else { format!("{condition} ({})", voices.join(", ")) }
}

fn since(at: Option<Timestamp>) -> String {
    at.map(|at| format!(" since {at}")).unwrap_or_default()
}

/// A rule in words.
pub fn rule(rule: &Rule) -> String {
    match rule {
        Rule::TwoClasses { classes } => {
            format!(
                "two classes: {}",
                classes.iter().map(|name| class(*name)).collect::<Vec<_>>().join(" and ")
            )
        }
        Rule::Ordered => "an operator's order".to_owned(),
        Rule::OneClassAlone { class: name } => format!("one class alone, uncontradicted: {}", class(*name)),
    }
}

/// An action in words.
pub fn action(action: &Action) -> String {
    match action {
        Action::Stay => "stays as it is".into(),
        Action::Wait { on } => format!("waits: {}", wait(*on)),
        Action::Hold { reason } => format!("held: {}", hold(*reason)),
        Action::Suspect => "is suspect".into(),
        Action::Clear => "is no longer suspect".into(),
        Action::Cordon { cause: Cause::HardLoss, .. } => "is cordoned: it serves nothing any more".into(),
        Action::Cordon { cause: Cause::Order, .. } => {
            "is to be cordoned by an operator's order; the survivors grow first".into()
        }
        Action::Cordon { cause: Cause::Gray, .. } => {
            "is to be cordoned: it fails too many requests; the survivors grow first".into()
        }
        Action::CloseGate => "closes its gate: the survivors can carry its load".into(),
        Action::CloseByOverride => {
            "closes its gate although the survivors cannot carry its load: an operator overrode S2".into()
        }
        Action::EvacuatePartly { open_percent } => {
            format!(
                "is evacuated in part: {open_percent} % of the edge locations stay, the survivors cannot carry more"
            )
        }
        Action::ConfirmCordon => "is cordoned: its gate was read back".into(),
        Action::Latch => "is latched: its origin is disabled as well".into(),
        Action::StartWindow { needs_s } => {
            format!("is healthy again: it must stay so for {}", span(*needs_s))
        }
        Action::RestartWindow => "turned bad again: its window is void".into(),
        Action::EnableOrigin => "gets its origin enabled again, behind the closed gate".into(),
        Action::ReturnEarly { percent } => {
            format!(
                "comes back before its window is over, the survivors being full: {percent} % of the edge locations"
            )
        }
        Action::OpenSlice { percent } => format!("comes back: {percent} % of the edge locations"),
        Action::StepBack { why } => format!("is out again: {}", step_back(*why)),
        Action::EmergencyReturn => "comes back at once: what still served is failing".into(),
        Action::Serve => "serves again".into(),
    }
}

/// What the modes kept from being done, in words.
pub fn shadow(shadow: &crate::shadow::Shadow) -> Vec<String> {
    let rulings = shadow.rulings.iter().map(|(stamp, ruling)| {
        let next =
            if matches!(ruling.action, Action::Wait { .. } | Action::Hold { .. }) { "" } else { "it " };
        format!("{stamp}: not enforced: {next}{}", action(&ruling.action))
    });
    let steps = shadow.steps.iter().map(|step| {
        let undo_s = step.effect.undo_time_max().as_secs();
        format!("not enforced: {} (undone within {undo_s} s)", effect(&step.effect))
    });
    rulings.chain(steps).collect()
}

fn span(seconds: u64) -> String {
    let span = Duration::from_secs(seconds);
    format!("{} min {} s", span.as_secs() / 60, span.as_secs() % 60)
}

const fn step_back(why: StepBackReason) -> &'static str {
    match why {
        StepBackReason::BadSample => "a voice says it is bad",
        StepBackReason::Unobserved => "nobody of ours saw it",
        StepBackReason::TooMuchLoad => "far more load arrived than the slice should bring",
    }
}

const fn wait(on: WaitReason) -> &'static str {
    match on {
        WaitReason::Confirmation => "for a rule to be satisfied",
        WaitReason::Contradiction => "another class sees it healthy",
        WaitReason::SurvivorsReady => "for the survivors' capacity to be ready",
        WaitReason::GateEffective => "for its gate to be read back",
        WaitReason::Recovery => "for it to be healthy",
        WaitReason::Window => "for its window to pass",
        WaitReason::ReturnCapacity => "for its own capacity to be ready",
        WaitReason::GatedView => "for its gated view to be seen closed",
        WaitReason::OriginSettled => "for the origin change to reach every edge location",
        WaitReason::Stagger => "for another region's return",
        WaitReason::SliceWatched => "the open slice is being watched",
        WaitReason::SliceLoad => "no load has arrived in the open slice yet",
        WaitReason::OverloadRelief => "it is full, not dead: it gets capacity",
    }
}

/// A hold in words.
pub const fn hold(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::Operator => "an operator's hold",
        HoldReason::Paused => "the automation is paused",
        HoldReason::Frozen => "removals are frozen",
        HoldReason::Quiet => "our own evidence had a gap a moment ago",
        HoldReason::Velocity => "a region was taken out a moment ago",
        HoldReason::NeedsApproval => "another region is out; a second needs an operator's approval",
        HoldReason::BudgetSpent => "its automatic cordons of the day are used up",
        HoldReason::NeedsAcknowledgement => "its return needs an operator's acknowledgement",
        HoldReason::LastServing => "nothing else would serve",
        HoldReason::CapacityShort => "the survivors cannot carry it, and doing nothing harms less",
        HoldReason::MoreHarm => "more requests would fail than if nothing is done",
        HoldReason::Draining => "it is on its way out by its own tag",
        HoldReason::TopologyStale => "the topology is too old",
        HoldReason::GateUnreadable => "the gate store cannot be read",
        HoldReason::FactsStale => "the control plane was not read lately",
        HoldReason::ModeObserve => "this cause is only observed; the record has what would be done",
        HoldReason::ModeAdvise => "this cause only advises; the record has what would be done",
        HoldReason::OriginsRemaining => "too few enabled origins would remain",
        HoldReason::Safety => "a safety rule forbids it",
    }
}
