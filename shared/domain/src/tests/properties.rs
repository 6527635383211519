//! Whatever happens in whatever order: what must never follow.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::assess::Condition;
use crate::audit::AuditRecord;
use crate::decide::{Action, GateRead, HoldReason};
use crate::judge::replay;
use crate::overriding::Overridable;
use crate::policy::{Mode, ModesPolicy, Policy, Span};
use crate::state::Cause;
use crate::testing::{Direct, Executor, Plane, STAMPS, Story, TICK_S, shipped};
use crate::{
    Effect, EnabledState, EvidenceClass, FailureKind, GatePosition, Order, Purpose, StampId, Standing, Step,
    StepStatus, Timestamp, Verdict,
};

/// Runs of the observers in one story, at the most.
const TICKS_MAX: u32 = 300;

/// Stories per property; more with `PROPTEST_CASES`.
const STORIES: u32 = 24;

/// Something happens, and then this many runs of the observers pass.
#[derive(Clone, Debug)]
struct Event {
    what: What,
    ticks: u32,
}

#[derive(Clone, Debug)]
enum What {
    Direct(usize, Direct),
    Edge(usize, Option<u64>),
    Traffic(usize, Option<u64>),
    Data(usize, Option<Verdict>),
    Platform(usize, Standing),
    Load(usize, u32, u32, bool),
    GateStore(Plane),
    ControlPlane(usize, Plane),
    Executor(Executor),
    Gap(u64),
    Pause(u64),
    Resume,
    Hold(usize),
    Release(usize),
    Approve(usize),
    Acknowledge(usize),
    Cordon(usize),
    Override(usize),
}

fn what() -> impl Strategy<Value = What> {
    let stamp = 0..STAMPS.len();
    let direct = prop_oneof![
        4 => Just(Direct::Healthy),
        4 => Just(Direct::Down),
        1 => Just(Direct::DownForWitnessOnly),
        1 => Just(Direct::VantagesDisagree),
        2 => (1..=20_u64).prop_map(Direct::Errors),
        1 => (1..=20_u64).prop_map(Direct::ErrorsNowAndThen),
        1 => (1..=20_u64).prop_map(Direct::LossyWay),
        1 => Just(Direct::Full),
        1 => Just(Direct::AuthRefused),
        1 => Just(Direct::Silent),
    ];
    let percent = || prop_oneof![Just(None), Just(Some(0)), Just(Some(100)), (1..100_u64).prop_map(Some)];
    let plane = || prop_oneof![3 => Just(Plane::Up), 1 => Just(Plane::Down)];
    let executor = prop_oneof![
        4 => Just(Executor::Works),
        1 => Just(Executor::DiesAfterTheEffect),
        1 => Just(Executor::Busy),
        1 => Just(Executor::Refused),
        1 => Just(Executor::Stopped),
    ];
    let data = prop_oneof![Just(None), Just(Some(Verdict::Healthy)), Just(Some(Verdict::Unhealthy))];
    let standing = prop_oneof![Just(Standing::Fired), Just(Standing::Resolved)];
    prop_oneof![
        12 => (stamp.clone(), direct).prop_map(|(stamp, direct)| What::Direct(stamp, direct)),
        3 => (stamp.clone(), percent()).prop_map(|(stamp, percent)| What::Edge(stamp, percent)),
        3 => (stamp.clone(), percent()).prop_map(|(stamp, percent)| What::Traffic(stamp, percent)),
        1 => (stamp.clone(), data).prop_map(|(stamp, data)| What::Data(stamp, data)),
        2 => (stamp.clone(), standing).prop_map(|(stamp, standing)| What::Platform(stamp, standing)),
        3 => (stamp.clone(), 0..800_u32, 0..8_u32, any::<bool>())
            .prop_map(|(stamp, rps, ready, full)| What::Load(stamp, rps, ready, full)),
        2 => plane().prop_map(What::GateStore),
        2 => (stamp.clone(), plane()).prop_map(|(stamp, plane)| What::ControlPlane(stamp, plane)),
        3 => executor.prop_map(What::Executor),
        1 => (1..400_u64).prop_map(What::Gap),
        1 => (1..1_200_u64).prop_map(What::Pause),
        1 => Just(What::Resume),
        1 => stamp.clone().prop_map(What::Hold),
        2 => stamp.clone().prop_map(What::Release),
        2 => stamp.clone().prop_map(What::Approve),
        1 => stamp.clone().prop_map(What::Acknowledge),
        2 => stamp.clone().prop_map(What::Cordon),
        4 => stamp.prop_map(What::Override),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((what(), 0..25_u32).prop_map(|(what, ticks)| Event { what, ticks }), 1..40)
}

fn config() -> Config {
    let default = Config::default();
    let cases = if default.cases == 256 { STORIES } else { default.cases };
    let rng_seed = if default.rng_seed == RngSeed::Random { RngSeed::Fixed(11) } else { default.rng_seed };
    Config { cases, rng_seed, failure_persistence: None, max_shrink_iters: 400, ..default }
}

/// Windows, ramps and latches of a minute, so that whole incidents fit into a story.
fn hurried() -> Policy {
    let mut policy = shipped();
    policy.window.base = Span::from_secs(60);
    policy.window.jitter = Span::from_secs(10);
    policy.window.stagger = Span::from_secs(60);
    policy.velocity.one_region_per = Span::from_secs(60);
    policy.latch.after = Span::from_secs(60);
    policy.latch.settle = Span::from_secs(60);
    policy.latch.origins_remaining_min = 1;
    policy.ramp.watch = Span::from_secs(30);
    policy.ramp.quiet_wait = Span::from_secs(20);
    policy
}

/// No cause may act.
fn watching() -> Policy {
    let mut policy = hurried();
    let (observe, advise) = (Mode::Observe, Mode::Advise);
    policy.modes = ModesPolicy {
        hard_loss: observe,
        gray: advise,
        platform_alert: observe,
        overload: observe,
        readmit: advise,
    };
    policy
}

/// What was so before an evaluation, and what is counted over all of them.
#[derive(Default)]
struct Witness {
    cordons: Vec<(StampId, Timestamp)>,
    records: usize,
}

impl Witness {
    fn look(&mut self, story: &Story) {
        self.budget(story);
        removals_are_allowed(story);
        something_is_left(story);
        no_removal_does_more_harm(story);
        for record in &story.records[self.records..] {
            let stored = serde_json::to_string(record).unwrap();
            let read: AuditRecord = serde_json::from_str(&stored).unwrap();
            assert_eq!(replay(&read, &story.policy), Ok(()), "{}", record.headline);
        }
        self.records = story.records.len();
    }

    /// At most two automatic cordons per stamp in 24 h; what was approved, and what was withdrawn, is none.
    fn budget(&mut self, story: &Story) {
        for (stamp, case) in &story.state.cases {
            // Withdrawn or given up before anything was taken out.
            let undone = matches!(
                story.action(stamp.as_str()),
                Action::Clear | Action::Hold { reason: HoldReason::Frozen }
            );
            if undone && story.in_force(stamp) == GatePosition::Open {
                self.cordons.retain(|(of, at)| of != stamp || case.auto_cordons.contains(at));
            }
            for at in &case.auto_cordons {
                if !self.cordons.contains(&(stamp.clone(), *at)) {
                    self.cordons.push((stamp.clone(), *at));
                }
            }
            if matches!(story.decision().rulings[stamp].action, Action::Cordon { .. }) {
                assert!(case.auto_cordons.len() <= 2, "{stamp}: {:?}", case.auto_cordons);
            }
        }
    }
}

/// Whether an operator had set this rule aside when it was decided.
fn is_overridden(story: &Story, stamp: &StampId, rule: Overridable) -> bool {
    story.case(stamp.as_str()).overrides(rule, story.state.as_of)
}

/// No removal is planned, and none is left in the queue, while removals are forbidden.
fn removals_are_allowed(story: &Story) {
    let state = &story.state;
    let stopped =
        state.freeze.is_some() || state.pause.as_ref().is_some_and(|pause| pause.until > state.as_of);
    let quiet = state.quiet_until.is_some_and(|until| until > state.as_of);
    // An operator may set the quiet period aside, for one stamp and for a while; never a freeze or a pause.
    let forbidden = |step: &&Step| {
        let aside = is_overridden(story, step.effect.stamp(), Overridable::S6);
        step.purpose == Purpose::Removal && (stopped || (quiet && !aside))
    };
    if stopped || quiet {
        let removal = story.created().iter().find(forbidden);
        assert_eq!(removal, None, "while removals are forbidden");
        let queued = story
            .steps
            .iter()
            .map(|stored| &stored.step)
            .find(|step| forbidden(step) && matches!(step.status, StepStatus::Pending { .. }));
        assert_eq!(queued, None, "left in the queue while removals are forbidden");
    }
}

/// No removal whose projected harm exceeds that of doing nothing; worked out here anew, for the one survivor that a
/// proportional spread with two stamps has.
fn no_removal_does_more_harm(story: &Story) {
    for step in story.created().iter().filter(|step| step.purpose == Purpose::Removal) {
        let (stamp, Effect::SetGate { position, .. }) = (step.effect.stamp(), &step.effect) else { continue };
        if is_overridden(story, stamp, Overridable::S2) {
            continue; // A person took that upon himself; that something is left is asked all the same.
        }
        let others: Vec<&StampId> = story.scenes.keys().filter(|other| *other != stamp).collect();
        let [other] = others[..] else { continue };
        let case = &story.decision().cases[stamp];
        let views = &story.decision().assessments[stamp].views;
        let direct = &views[&EvidenceClass::Direct];
        let dropped = if direct.is_bad() && direct.failure == Some(FailureKind::Unreachable) {
            1.0
        } else {
            let edge = &views[&EvidenceClass::Edge];
            if edge.verdict == Verdict::Unhealthy { edge.error_ratio.unwrap_or(1.0) } else { 0.0 }
        };
        let ratio = |class: EvidenceClass| {
            views[&class].error_ratio.filter(|_| views[&class].verdict != Verdict::Unobserved)
        };
        let fails = if direct.verdict == Verdict::Unhealthy && direct.total_since.is_some() {
            1.0
        } else {
            ratio(EvidenceClass::Traffic).or(ratio(EvidenceClass::Direct)).unwrap_or(1.0)
        };
        let survivor = story.decision().cases[other].demand_rps;
        let load = &story.state.load.get(other);
        let fresh = load.filter(|load| story.state.as_of.since(load.observed_at).as_secs() <= 60);
        let ready = fresh.map_or(survivor, |load| f64::from(load.ready_instances) * 150.0);
        let disabled = story.state.origins[other].enabled == EnabledState::Disabled;
        let failing = |percent: u8| {
            let gets = (f64::from(percent) / 100.0).min(1.0 - dropped) * case.demand_rps;
            let arrives = survivor + case.demand_rps - gets;
            let over = if disabled { case.demand_rps - gets } else { (arrives - ready).max(0.0) };
            gets * fails + over
        };
        let before = match &story.gates[stamp] {
            GateRead::Is { document } if story.state.as_of < document.expires_at => document.position,
            _ => GatePosition::Open,
        };
        let (acting, doing_nothing) = (failing(position.percent()), failing(before.percent()));
        assert!(acting <= doing_nothing + 1e-3, "{:?}: {acting} over {doing_nothing}", step.effect);
    }
}

/// Not all gates are closed; and no step that narrows a gate or disables an origin takes the last effective stamp that
/// is not failing.
fn something_is_left(story: &Story) {
    let closed = |stamp: &StampId| story.in_force(stamp) == GatePosition::Closed;
    assert!(!story.scenes.keys().all(closed), "every gate is closed: {:?}", story.decision().rulings);
    let decision = story.decision();
    for step in story.created() {
        let stamp = step.effect.stamp();
        let narrows = match &step.effect {
            Effect::SetGate { position, .. } => {
                let before = match &story.gates[stamp] {
                    GateRead::Is { document } if story.now < document.expires_at => document.position,
                    _ => GatePosition::Open,
                };
                *position < before
            }
            Effect::SetOrigin { enabled, .. } => *enabled == EnabledState::Disabled,
            Effect::RaiseFloor { .. }
            | Effect::RestoreFloor { .. }
            | Effect::RaiseThroughput { .. }
            | Effect::RestoreThroughput { .. } => false,
        };
        let fails = |stamp: &StampId| {
            let assessment = &decision.assessments[stamp];
            let direct = &assessment.views[&EvidenceClass::Direct];
            let long = direct.bad_since.is_some_and(|since| story.now.since(since).as_secs() >= 10);
            match assessment.condition {
                Condition::Failing { cause: Cause::HardLoss, .. } => true,
                Condition::Overloaded { .. } => false,
                _ => direct.verdict == Verdict::Unhealthy && long,
            }
        };
        let effective = |other: &StampId| {
            crate::capacity::is_effective(&story.state, other)
                && story.scenes[other].origin == EnabledState::Enabled
        };
        if narrows && !fails(stamp) {
            let left = story.scenes.keys().any(|other| other != stamp && effective(other) && !fails(other));
            assert!(left, "{:?} leaves nothing: {:?}", step.effect, decision.rulings);
        }
    }
}

/// While no cause may act, no step is ever made; what would be made is drawn up beside it.
fn nothing_is_done(story: &Story) {
    assert_eq!(story.steps, vec![], "{:?}", story.decision().rulings);
    assert!(story.state.cases.values().all(|case| case.decided_at.is_none() && case.floor.is_none()));
}

fn play(policy: Policy, count: usize, events: &[Event]) {
    let mut story = Story::calm_under(policy, count);
    let mut witness = Witness::default();
    let mut ticks = 0;
    for event in events {
        happen(&mut story, &event.what, count);
        for _ in 0..=event.ticks {
            if ticks == TICKS_MAX {
                return;
            }
            ticks += 1;
            story.tick();
            witness.look(&story);
            if story.policy.modes == watching().modes {
                nothing_is_done(&story);
            }
        }
    }
    for stamp in STAMPS.iter().take(count).map(|name| StampId::from(*name)) {
        // A story lasts less than an hour, so all of them fall into one span; an acknowledgement resets the budget.
        let acknowledged = events.iter().any(|event| matches!(event.what, What::Acknowledge(_)));
        let cordons = witness.cordons.iter().filter(|(of, _)| *of == stamp).count();
        assert!(acknowledged || cordons <= 2, "{stamp}: {cordons} automatic cordons");
    }
}

fn happen(story: &mut Story, what: &What, count: usize) {
    let name = |stamp: &usize| STAMPS[*stamp % count];
    match what {
        What::Direct(stamp, direct) => story.scene(name(stamp)).direct = *direct,
        What::Edge(stamp, percent) => story.scene(name(stamp)).edge = *percent,
        What::Traffic(stamp, percent) => story.scene(name(stamp)).traffic = *percent,
        What::Data(stamp, verdict) => story.scene(name(stamp)).data = *verdict,
        What::Platform(stamp, standing) => story.platform(name(stamp), *standing),
        What::Load(stamp, rps, ready, full) => {
            let scene = story.scene(name(stamp));
            scene.load_rps = f64::from(*rps);
            scene.ready = *ready;
            scene.saturation = if *full { 1.0 } else { 0.4 };
        }
        What::GateStore(plane) => story.gate_store = *plane,
        What::ControlPlane(stamp, plane) => story.scene(name(stamp)).control_plane = *plane,
        What::Executor(executor) => story.executor = *executor,
        What::Gap(seconds) => story.gap(*seconds),
        What::Pause(seconds) => {
            let until = story.now + Duration::from_secs(*seconds + TICK_S);
            story.order(Order::Pause { until });
        }
        What::Resume => story.order(Order::Resume),
        What::Hold(stamp) => story.order(Order::Hold { stamp: name(stamp).into() }),
        What::Release(stamp) => story.order(Order::Release { stamp: name(stamp).into() }),
        What::Approve(stamp) => {
            if let Some(generation) = story.case(name(stamp)).awaiting_approval {
                story.order(Order::Approve { stamp: name(stamp).into(), generation });
            }
        }
        What::Acknowledge(stamp) => story.order(Order::Acknowledge { stamp: name(stamp).into() }),
        // What a person orders out by hand no mode keeps in.
        What::Cordon(_) if story.policy.modes == watching().modes => {}
        What::Cordon(stamp) => story.order(Order::Cordon { stamp: name(stamp).into() }),
        What::Override(stamp) => {
            if let Some((rule, generation)) = story.case(name(stamp)).overridable() {
                story.order(Order::Override { stamp: name(stamp).into(), rule, generation });
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_shipped_policy_never_does_what_must_never_be_done(count in 1..=3_usize, events in events()) {
        play(shipped(), count, &events);
    }

    #[test]
    fn hurried_incidents_never_end_in_what_must_never_be_done(count in 1..=3_usize, events in events()) {
        play(hurried(), count, &events);
    }

    #[test]
    fn while_no_cause_may_act_nothing_is_done(count in 1..=3_usize, events in events()) {
        play(watching(), count, &events);
    }
}
