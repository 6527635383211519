//! The safety rules by themselves: a plan that nothing speaks against, and then one thing that does. What decides asks the same
//! questions before; these tests see what lint would find if it forgot to.

use std::time::Duration;

use crate::assess::{Assessment, Condition};
use crate::decide::{Action, GateRead, HoldReason, Situation, StepBackReason};
use crate::judge::{Judgement, judge};
use crate::lint::{SafetyRule, lint};
use crate::policy::Mode;
use crate::state::{Approval, Cause, Freeze, FreezeCause, OperatorHold, Pause, RampRun, Stage, StampCase};
use crate::testing::{STAGES, Story, stored_step};
use crate::throughput::ThroughputFacts;
use crate::{Effect, EnabledState, GatePosition, Generation, Purpose, StampId, Step, StepStatus, Timestamp};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";
const THIRD: &str = "westus";

/// A judgement with the situation that it was made from.
#[derive(Clone)]
struct Judged {
    story: Story,
    situation: Situation,
    judgement: Judgement,
}

impl Judged {
    /// The evaluation that cordons `LOST` of three.
    fn about_to_cordon() -> Self {
        Self::next(Story::about_to_cordon())
    }

    /// The next evaluation of a story, not stored.
    fn next(mut story: Story) -> Self {
        let situation = story.look_again();
        let judgement = judge(&situation, &story.policy);
        Self { story, situation, judgement }
    }

    fn now(&self) -> Timestamp {
        self.story.now
    }

    /// What lint finds once this was changed.
    fn found(&self, change: impl Fn(&mut Self)) -> Vec<SafetyRule> {
        let mut changed = self.clone();
        change(&mut changed);
        let Self { story, situation, judgement } = &changed;
        let found = lint(&judgement.plan, &judgement.decision, situation, &story.policy);
        let mut rules: Vec<SafetyRule> = found.into_iter().map(|finding| finding.rule).collect();
        rules.dedup();
        rules
    }

    fn case(&mut self, stamp: &str) -> &mut StampCase {
        self.judgement.decision.cases.get_mut(&StampId::from(stamp)).unwrap()
    }

    /// The one new step of the gate.
    fn gate_step(&mut self) -> &mut Step {
        let mut steps = self.judgement.plan.created.iter_mut();
        steps.find(|step| matches!(step.effect, Effect::SetGate { .. })).unwrap()
    }

    /// A plan of this one step, newly made.
    fn only(&mut self, effect: Effect, purpose: Purpose) {
        let status = StepStatus::Pending { not_before: self.now() };
        let mut step = Step { effect, purpose, status, ..self.gate_step().clone() };
        step.affirmed_at = self.situation.state.as_of;
        self.judgement.plan.created = vec![step];
    }

    fn in_flight(&mut self, effect: Effect, status: StepStatus, attempts: u32) {
        let now = self.now();
        self.situation.steps.push(stored_step(effect, status, attempts, now));
    }
}

fn closed(stamp: &str) -> Effect {
    Effect::SetGate {
        stamp: stamp.into(),
        position: GatePosition::Closed,
        expires_at: Timestamp::from_secs(1_900_000_000),
        reason: String::new(),
    }
}

fn disabled(stamp: &str) -> Effect {
    Effect::SetOrigin { stamp: stamp.into(), enabled: EnabledState::Disabled }
}

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_sound_plan_has_no_finding() {
    assert_eq!(Judged::about_to_cordon().found(|_| {}), []);
}

#[test]
fn s6_and_s9_forbid_a_removal_for_as_long_as_they_stand() {
    let base = Judged::about_to_cordon();
    let now = base.now();
    let pause = |until| Pause { by: "ada".into(), reason: "drill".into(), until, since: now, told_at: None };
    let quiet = |until| base.found(|judged| judged.situation.state.quiet_until = Some(until));
    assert_eq!(quiet(now), []);
    assert_eq!(quiet(now + MOMENT), [SafetyRule::S6]);
    let paused = |until| base.found(|judged| judged.situation.state.pause = Some(pause(until)));
    assert_eq!(paused(now), []);
    assert_eq!(paused(now + MOMENT), [SafetyRule::S9]);
    let frozen = Freeze { cause: FreezeCause::EdgeRedDirectGreen, since: now, last_seen: now };
    assert_eq!(base.found(|judged| judged.judgement.decision.freeze = Some(frozen)), [SafetyRule::S6]);
    let hold = OperatorHold { by: "ada".into(), reason: "drill".into(), since: now, resume: Stage::Serving };
    assert_eq!(base.found(|judged| judged.case(LOST).hold = Some(hold.clone())), [SafetyRule::S9]);
    // Nobody may be about to leave without a case.
    let gone = base.found(|judged| {
        judged.judgement.decision.cases.remove(&StampId::from(LOST));
    });
    assert!(gone.contains(&SafetyRule::S8), "{gone:?}");
}

#[test]
fn s4_and_s5_want_a_new_generation_affirmed_just_now() {
    let base = Judged::about_to_cordon();
    let generation = base.situation.state.generation;
    assert_eq!(base.found(|judged| judged.gate_step().generation = generation), [SafetyRule::S4]);
    let next = generation.next();
    assert_eq!(base.found(|judged| judged.gate_step().generation = next), []);
    // Nothing was ever committed: the first plan is of the first generation.
    let first = Generation { epoch: generation.epoch, n: 0 };
    let at_first = base.found(|judged| {
        judged.situation.state.generation = first;
        judged.judgement.plan.created.iter_mut().for_each(|step| step.generation = first);
    });
    assert_eq!(at_first, []);
    let in_force = |generation| {
        base.found(|judged| {
            let (_, document) = document(judged, generation);
            judged.situation.gates.insert(LOST.into(), GateRead::Is { document });
        })
    };
    assert_eq!(in_force(next), []);
    assert_eq!(in_force(next.next()), [SafetyRule::S4]);
    let older = base.found(|judged| judged.gate_step().affirmed_at = base.now().before(MOMENT));
    assert_eq!(older, [SafetyRule::S5]);
    let claimed = StepStatus::Claimed { owner: "one".into(), deadline: base.now() };
    assert_eq!(base.found(|judged| judged.gate_step().status = claimed.clone()), [SafetyRule::S5]);
}

fn document(judged: &Judged, generation: Generation) -> (StampId, crate::gate::GateDocument) {
    let document = crate::gate::GateDocument {
        schema: crate::gate::GATE_SCHEMA,
        stamp: LOST.into(),
        position: GatePosition::Open,
        generation,
        heartbeat_at: judged.now(),
        expires_at: judged.now() + Duration::from_secs(600),
        reopen_percents: vec![],
        reopen_step_s: 180,
        reason: String::new(),
    };
    (LOST.into(), document)
}

#[test]
fn what_lint_refuses_is_decided_again_without_it_and_held() {
    let mut base = Judged::about_to_cordon();
    let (stamp, document) = document(&base, Generation { epoch: 1, n: 9_999 });
    base.situation.gates.insert(stamp.clone(), GateRead::Is { document });
    let judgement = judge(&base.situation, &base.story.policy);
    let held = Action::Hold { reason: HoldReason::Safety };
    assert_eq!(judgement.decision.rulings[&stamp].action, held);
    assert_eq!(judgement.findings.iter().map(|finding| finding.rule).collect::<Vec<_>>(), [SafetyRule::S4]);
    let moves = |step: &Step| matches!(step.effect, Effect::SetGate { .. });
    assert!(!judgement.plan.created.iter().any(moves), "{:?}", judgement.plan.created);
}

#[test]
fn s8_wants_to_have_read_what_it_moves() {
    let base = Judged::about_to_cordon();
    let limits = base.story.policy.limits.clone();
    let unreadable = base.found(|judged| {
        judged.situation.gates.insert(LOST.into(), GateRead::Unreadable);
    });
    assert_eq!(unreadable, [SafetyRule::S8]);
    let missing = base.found(|judged| {
        judged.situation.gates.remove(&StampId::from(LOST));
    });
    assert_eq!(missing, [SafetyRule::S8]);
    let topology = |read_at| base.found(|judged| judged.situation.state.topology.read_at = read_at);
    let age = limits.topology_age_max.get();
    assert_eq!(topology(Some(base.now().before(age))), []);
    assert_eq!(topology(Some(base.now().before(age + MOMENT))), [SafetyRule::S8]);
    assert_eq!(topology(None), [SafetyRule::S8]);

    let age = limits.fact_age_max.get();
    let floor =
        || Effect::RaiseFloor { stamp: OTHER.into(), minimum: 9, until: Timestamp::from_secs(1_900_000_000) };
    let raise = || Effect::RaiseThroughput {
        stamp: OTHER.into(),
        resource: "shop".into(),
        before: 4_000,
        maximum: 8_000,
    };
    for (old, found) in [(Duration::ZERO, vec![]), (age, vec![]), (age + MOMENT, vec![SafetyRule::S8])] {
        let read_at = base.now().before(old);
        let origin = base.found(|judged| {
            judged.only(disabled(LOST), Purpose::Removal);
            judged.situation.state.origins.get_mut(&StampId::from(LOST)).unwrap().read_at = read_at;
        });
        assert_eq!(origin, found, "origin {old:?}");
        let capacity = base.found(|judged| {
            judged.only(floor(), Purpose::Reinforcement);
            judged.situation.state.capacity.get_mut(&StampId::from(OTHER)).unwrap().read_at = read_at;
        });
        assert_eq!(capacity, found, "capacity {old:?}");
        let throughput = base.found(|judged| {
            judged.only(raise(), Purpose::Reinforcement);
            let facts = ThroughputFacts { read_at, maximum: 4_000, instant: None };
            judged.situation.state.throughput.insert("shop".into(), facts);
        });
        assert_eq!(throughput, found, "throughput {old:?}");
    }
    assert_eq!(base.found(|judged| judged.only(raise(), Purpose::Reinforcement)), [SafetyRule::S8]);
}

#[test]
fn s3_wants_a_second_region_approved_while_the_first_is_out() {
    let base = Judged::about_to_cordon();
    let first_out = |judged: &mut Judged| {
        let decided = Some(judged.now().before(Duration::from_secs(3_600)));
        judged.situation.state.cases.get_mut(&StampId::from(OTHER)).unwrap().decided_at = decided;
        judged.case(OTHER).decided_at = decided;
    };
    assert_eq!(base.found(first_out), [SafetyRule::S3]);
    let approved = base.found(|judged| {
        first_out(judged);
        let generation = judged.situation.state.generation;
        let approval = Approval { by: "ada".into(), generation };
        judged.situation.state.cases.get_mut(&StampId::from(LOST)).unwrap().approval = Some(approval);
    });
    assert_eq!(approved, []);
}

#[test]
fn s11_never_closes_the_last_gate() {
    let base = Judged::about_to_cordon();
    let close = |judged: &mut Judged, stamps: &[&str], latched: bool| {
        for stamp in stamps {
            let case = judged.situation.state.cases.get_mut(&StampId::from(*stamp)).unwrap();
            if latched {
                case.latched_at = Some(base.story.now);
            } else {
                case.gate = GatePosition::Closed;
            }
        }
    };
    for latched in [true, false] {
        let one = base.found(|judged| close(judged, &[OTHER], latched));
        assert!(!one.contains(&SafetyRule::S11), "{one:?}");
        let both = base.found(|judged| close(judged, &[OTHER, THIRD], latched));
        assert!(both.contains(&SafetyRule::S11), "{both:?}");
        let slice = base.found(|judged| {
            close(judged, &[OTHER, THIRD], latched);
            if let Effect::SetGate { position, .. } = &mut judged.gate_step().effect {
                *position = GatePosition::Slice(5);
            }
        });
        assert!(!slice.contains(&SafetyRule::S11), "{slice:?}");
    }
}

#[test]
fn s1_and_s2_count_what_is_in_force_and_in_flight_and_alive() {
    let base = Judged::about_to_cordon();
    let alone = |judged: &mut Judged| {
        judged.story.policy.capacity.regions_min = 2;
    };
    assert_eq!(base.found(alone), [], "two of three are left, and two is the floor");
    let at_two = |change: &dyn Fn(&mut Judged)| {
        base.found(|judged| {
            alone(judged);
            change(judged);
        })
    };
    let claimed = || StepStatus::Claimed { owner: "one".into(), deadline: base.now() };
    let void = || StepStatus::Void { at: base.now(), why: String::new() };
    let dead = |judged: &mut Judged, stamp: &str| {
        let lost = judged.judgement.decision.assessments[&StampId::from(LOST)].clone();
        judged.judgement.decision.assessments.insert(stamp.into(), lost);
    };
    for (what, change) in [
        (
            "an origin being disabled",
            &(|judged: &mut Judged| judged.in_flight(disabled(OTHER), claimed(), 1)) as &dyn Fn(&mut Judged),
        ),
        ("a gate being closed", &|judged: &mut Judged| judged.in_flight(closed(OTHER), claimed(), 1)),
        ("an attempt nobody heard of", &|judged: &mut Judged| judged.in_flight(closed(OTHER), void(), 1)),
        ("one that is dead", &|judged: &mut Judged| dead(judged, OTHER)),
        ("one that nobody assessed", &|judged: &mut Judged| {
            judged.judgement.decision.assessments.remove(&StampId::from(OTHER));
        }),
        ("one that is closed by decision", &|judged: &mut Judged| {
            judged.case(OTHER).gate = GatePosition::Closed
        }),
    ] {
        let found = at_two(change);
        assert!(found.contains(&SafetyRule::S1), "{what}: {found:?}");
    }
    for (what, change) in [
        (
            "an origin that was disabled",
            &(|judged: &mut Judged| judged.in_flight(disabled(OTHER), void(), 0)) as &dyn Fn(&mut Judged),
        ),
        ("a gate that was never tried", &|judged: &mut Judged| judged.in_flight(closed(OTHER), void(), 0)),
        ("an origin being enabled", &|judged: &mut Judged| {
            let enabled = Effect::SetOrigin { stamp: OTHER.into(), enabled: EnabledState::Enabled };
            judged.in_flight(enabled, claimed(), 1);
        }),
    ] {
        assert_eq!(at_two(change), [], "{what}");
    }
    // Whatever the floor says: somebody must be left, and let in by what is in force.
    let nobody = base.found(|judged| {
        judged.story.policy.capacity.regions_min = 0;
        dead(judged, OTHER);
        dead(judged, THIRD);
    });
    assert!(nobody.contains(&SafetyRule::S2) && !nobody.contains(&SafetyRule::S1), "{nobody:?}");
    let wanted_only = base.found(|judged| {
        judged.story.policy.capacity.regions_min = 0;
        for stamp in [OTHER, THIRD] {
            let (_, mut document) = document(judged, Generation { epoch: 1, n: 1 });
            document.position = GatePosition::Closed;
            document.stamp = stamp.into();
            judged.situation.gates.insert(stamp.into(), GateRead::Is { document });
        }
    });
    assert!(wanted_only.contains(&SafetyRule::S2), "{wanted_only:?}");
}

#[test]
fn a_step_back_is_held_against_the_floor_although_nothing_else_stops_it() {
    let base = Judged::about_to_cordon();
    let steps_back = |judged: &mut Judged, min| {
        judged.story.policy.capacity.regions_min = min;
        judged.gate_step().purpose = Purpose::Maintenance;
        let ruling = judged.judgement.decision.rulings.get_mut(&StampId::from(LOST)).unwrap();
        ruling.action = Action::StepBack { why: StepBackReason::BadSample };
    };
    assert_eq!(base.found(|judged| steps_back(judged, 1)), []);
    assert_eq!(base.found(|judged| steps_back(judged, 3)), [SafetyRule::S1]);
    let renewed = base.found(|judged| {
        judged.story.policy.capacity.regions_min = 3;
        judged.gate_step().purpose = Purpose::Maintenance;
    });
    assert_eq!(renewed, [], "what only renews is never stopped");
}

#[test]
fn s12_asks_the_mode_of_the_very_cause() {
    let base = Judged::about_to_cordon();
    let observed = |judged: &mut Judged| {
        let modes = &mut judged.story.policy.modes;
        (modes.hard_loss, modes.gray, modes.readmit) = (Mode::Observe, Mode::Observe, Mode::Observe);
    };
    for (cause, mode_of, refused) in [
        (Some(Cause::HardLoss), Cause::HardLoss, false),
        (Some(Cause::HardLoss), Cause::Gray, true),
        (Some(Cause::Gray), Cause::Gray, false),
        (Some(Cause::Gray), Cause::HardLoss, true),
        (Some(Cause::Order), Cause::Order, false),
        (None, Cause::HardLoss, true),
    ] {
        let found = base.found(|judged| {
            observed(judged);
            match mode_of {
                Cause::HardLoss => judged.story.policy.modes.hard_loss = Mode::Act,
                Cause::Gray => judged.story.policy.modes.gray = Mode::Act,
                Cause::Order => {}
            }
            judged.case(LOST).cause = cause;
        });
        assert_eq!(found.contains(&SafetyRule::S12), refused, "{cause:?} {mode_of:?} {found:?}");
    }
    let ramp = |emergency| RampRun { slice: 0, since: base.now(), emergency };
    let open = Effect::SetGate {
        stamp: LOST.into(),
        position: GatePosition::Open,
        expires_at: Timestamp::from_secs(1_900_000_000),
        reason: String::new(),
    };
    for (stage, emergency, acts, refused) in [
        (Stage::Proving, false, false, true),
        (Stage::Readmitting, false, false, true),
        (Stage::Readmitting, true, false, false),
        (Stage::Readmitting, false, true, false),
        (Stage::Serving, false, false, false),
    ] {
        let found = base.found(|judged| {
            observed(judged);
            judged.story.policy.modes.readmit = if acts { Mode::Act } else { Mode::Advise };
            judged.only(open.clone(), Purpose::Return);
            judged.case(LOST).stage = stage;
            judged.case(LOST).ramp = Some(ramp(emergency));
        });
        assert_eq!(found.contains(&SafetyRule::S12), refused, "{stage:?} {emergency} {acts} {found:?}");
    }
}

#[test]
fn s12_lets_capacity_be_added_for_what_may_act_and_for_whatever_was_decided() {
    let calm = Judged::next(Story::calm(3));
    let base = Judged::about_to_cordon();
    let floor =
        || Effect::RaiseFloor { stamp: OTHER.into(), minimum: 9, until: Timestamp::from_secs(1_900_000_000) };
    let full = Condition::Overloaded { since: base.now() };
    for (platform, overload, alert, is_full, decided, refused) in [
        (Mode::Act, Mode::Act, false, false, false, false),
        (Mode::Observe, Mode::Observe, true, true, false, true),
        (Mode::Observe, Mode::Observe, true, true, true, false),
        (Mode::Act, Mode::Observe, true, false, false, false),
        (Mode::Act, Mode::Observe, false, true, false, true),
        (Mode::Observe, Mode::Act, false, true, false, false),
        (Mode::Observe, Mode::Act, true, false, false, true),
    ] {
        let found = base.found(|judged| {
            judged.judgement.decision = calm.judgement.decision.clone();
            judged.situation.state.cases = calm.situation.state.cases.clone();
            let modes = &mut judged.story.policy.modes;
            (modes.platform_alert, modes.overload) = (platform, overload);
            judged.only(floor(), Purpose::Reinforcement);
            let about: &mut Assessment =
                judged.judgement.decision.assessments.get_mut(&StampId::from(LOST)).unwrap();
            about.platform_active = alert;
            if is_full {
                about.condition = full.clone();
            }
            if decided {
                judged.situation.state.cases.get_mut(&StampId::from(LOST)).unwrap().decided_at =
                    Some(base.now());
                judged.case(LOST).decided_at = Some(base.now());
            }
        });
        let case = (platform, overload, alert, is_full, decided);
        assert_eq!(found.contains(&SafetyRule::S12), refused, "{case:?} {found:?}");
    }
}

#[test]
fn s7_takes_no_capacity_away_before_everybody_serves() {
    let base = Judged::next(Story::calm(3));
    let give = |effect: Effect| {
        move |judged: &mut Judged| {
            let mut template = Judged::about_to_cordon();
            template.only(effect.clone(), Purpose::Restore);
            let mut step = template.judgement.plan.created.remove(0);
            step.generation = judged.situation.state.generation.next();
            step.affirmed_at = judged.situation.state.as_of;
            judged.judgement.plan.created = vec![step];
            let facts = ThroughputFacts { read_at: judged.now(), maximum: 8_000, instant: None };
            judged.situation.state.throughput.insert("shop".into(), facts);
        }
    };
    for effect in [
        Effect::RestoreFloor { stamp: OTHER.into(), recorded: 9 },
        Effect::RestoreThroughput {
            stamp: OTHER.into(),
            resource: "shop".into(),
            before: 4_000,
            recorded: 8_000,
        },
    ] {
        let give = give(effect);
        assert_eq!(base.found(&give), []);
        for stage in STAGES.into_iter().filter(|stage| *stage != Stage::Serving) {
            let found = base.found(|judged| {
                give(judged);
                judged.case(THIRD).stage = stage;
            });
            assert_eq!(found, [SafetyRule::S7], "{stage:?}");
        }
    }
}

/// The evaluation that cordons `LOST`, but it is alive and taken out for another cause; every stamp's load is this share of
/// what it can carry. What lint says of the gate by S2.
fn s2_says(cause: Cause, share: f64, change: impl Fn(&mut Judged)) -> Vec<String> {
    let mut judged = Judged::about_to_cordon();
    let lost = StampId::from(LOST);
    let healthy = judged.judgement.decision.assessments[&StampId::from(OTHER)].clone();
    judged.judgement.decision.assessments.insert(lost.clone(), healthy);
    judged.case(LOST).cause = Some(cause);
    let load = judged.situation.state.load[&StampId::from(OTHER)].clone();
    judged.situation.state.load.insert(lost, load);
    let state = &mut judged.situation.state;
    let can = crate::capacity::ready_rps(state, &OTHER.into(), &judged.story.policy).unwrap();
    for load in state.load.values_mut() {
        load.requests_per_second = 0.0;
    }
    std::sync::Arc::make_mut(&mut state.load_samples).clear();
    for case in judged.judgement.decision.cases.values_mut() {
        case.demand_rps = can * share;
    }
    change(&mut judged);
    let found =
        lint(&judged.judgement.plan, &judged.judgement.decision, &judged.situation, &judged.story.policy);
    found.into_iter().filter(|finding| finding.rule == SafetyRule::S2).map(|finding| finding.text).collect()
}

const SINKS: &str = "effective ready capacity would fall below what is needed";
const HARMS: &str = "more requests would fail than if nothing is done";

fn sinks(cause: Cause, share: f64, change: impl Fn(&mut Judged)) -> bool {
    s2_says(cause, share, change).iter().any(|text| text == SINKS)
}

#[test]
fn s2_keeps_ready_capacity_over_the_demand_but_for_a_gray_region_whose_load_fits() {
    // Two stamps' capacity against three stamps' demand with 5 % over it.
    assert!(!sinks(Cause::Order, 0.63, |_| {}), "2.0 against 1.98");
    assert!(sinks(Cause::Order, 0.64, |_| {}), "2.0 against 2.02");
    // A gray one may go without the margin, and not without the room.
    assert!(!sinks(Cause::Gray, 0.66, |_| {}), "2.0 against 1.98");
    assert!(sinks(Cause::Gray, 0.68, |_| {}), "2.0 against 2.04");
    // What a slice leaves where it is need not fit elsewhere: three quarters move beside the two others' own.
    let slice = |judged: &mut Judged| judged.case(LOST).gate = GatePosition::Slice(25);
    assert!(!sinks(Cause::Gray, 0.72, slice), "1.98 against 2.0");
    assert!(sinks(Cause::Gray, 0.74, slice), "2.035 against 2.0");
    // Who is out carries nothing, and nothing of it.
    let without_a_third = |judged: &mut Judged| judged.case(THIRD).gate = GatePosition::Closed;
    assert!(sinks(Cause::Gray, 0.66, without_a_third), "1.32 against 1.0");
    assert!(!sinks(Cause::Gray, 0.49, without_a_third), "0.98 against 1.0");
}

#[test]
fn s2_forbids_a_removal_that_fails_more_requests_than_it_saves() {
    let harms = |share, change: &dyn Fn(&mut Judged)| {
        s2_says(Cause::Gray, share, change).iter().any(|text| text == HARMS)
    };
    // A healthy region fails nothing: any request that the survivors cannot carry is one too many.
    assert!(harms(0.9, &|_| {}));
    assert!(!harms(0.5, &|_| {}));
    // From the gate as it binds: where it is closed already, nothing moves any more.
    let in_force = |left: Duration| {
        move |judged: &mut Judged| {
            let (stamp, mut document) = document(judged, Generation { epoch: 1, n: 1 });
            document.position = GatePosition::Closed;
            document.expires_at = judged.situation.state.as_of + left;
            judged.situation.gates.insert(stamp, GateRead::Is { document });
        }
    };
    assert!(!harms(0.9, &in_force(MOMENT)));
    assert!(harms(0.9, &in_force(Duration::ZERO)), "expired: it is open");
}
