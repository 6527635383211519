//! Evidence at its bounds: how long a run is, what a late word changes, when a source falls silent, and what is masked.

use std::time::Duration;

use crate::evidence::{ClassView, Discount, HALF_MINUTE, PROBE_LOG, WITNESS, fold_signal, views};
use crate::state::{Evidence, MEASURES_MAX, Run, Track};
use crate::testing::{Story, shipped, signal};
use crate::{
    EnabledState, EvidenceClass, FailureKind, GatePosition, Measure, Signal, StampId, Standing, Timestamp,
    Verdict,
};

const STAMP: &str = "eastus2";
const START_S: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(START_S + second)
}

fn said(class: EvidenceClass, verdict: Verdict, second: i64) -> Signal {
    signal(STAMP, class, "metrics", verdict, at(second))
}

/// `failed` of a hundred.
fn counted(class: EvidenceClass, failed: u64, second: i64) -> Signal {
    Signal { measure: Some(Measure { failed, total: 100 }), ..said(class, Verdict::Healthy, second) }
}

fn track(signals: &[Signal]) -> Track {
    let mut evidence = Evidence::new();
    for signal in signals {
        fold_signal(&mut evidence, signal, &shipped());
    }
    evidence[&signals[0].class].values().next().unwrap().clone()
}

fn run(signals: &[Signal]) -> Run {
    track(signals).run
}

/// Verdict, since, bad since, total loss since, samples: in seconds from the start.
fn told(run: &Run) -> (Verdict, i64, Option<i64>, Option<i64>, u64) {
    let second = |at: Timestamp| at.as_millis() / 1_000 - START_S;
    (run.verdict, second(run.since), run.bad_since.map(second), run.total_since.map(second), run.count)
}

fn lost(second: i64) -> Signal {
    Signal {
        failure: Some(FailureKind::Unreachable),
        ..said(EvidenceClass::Edge, Verdict::Unhealthy, second)
    }
}

#[test]
fn a_run_goes_on_over_a_gap_as_long_as_its_class_allows_and_no_longer() {
    use Verdict::{Degraded, Healthy, Unhealthy};
    let class = EvidenceClass::Edge;
    let most = i64::try_from(shipped().age_max(class).as_secs()).unwrap();
    for (signals, expected) in [
        (vec![said(class, Healthy, 0), said(class, Healthy, most)], (Healthy, 0, None, None, 2)),
        (vec![said(class, Healthy, 0), said(class, Healthy, most + 1)], (Healthy, most + 1, None, None, 1)),
        (vec![said(class, Degraded, 0), said(class, Unhealthy, 9)], (Unhealthy, 9, Some(0), None, 1)),
        (
            vec![said(class, Degraded, 0), said(class, Unhealthy, most + 1)],
            (Unhealthy, most + 1, Some(most + 1), None, 1),
        ),
        (vec![lost(0), lost(10)], (Unhealthy, 0, Some(0), Some(0), 2)),
        (vec![lost(0), lost(most + 1)], (Unhealthy, most + 1, Some(most + 1), Some(most + 1), 1)),
        (vec![lost(0), said(class, Unhealthy, 10)], (Unhealthy, 0, Some(0), None, 2)),
        (vec![lost(0), said(class, Healthy, 10)], (Healthy, 10, None, None, 1)),
    ] {
        assert_eq!(told(&run(&signals)), expected, "{signals:?}");
    }
}

#[test]
fn a_late_sample_extends_the_run_backwards_where_it_joins_it_and_changes_nothing_else() {
    use Verdict::{Healthy, Unhealthy};
    let class = EvidenceClass::Edge;
    let most = i64::try_from(shipped().age_max(class).as_secs()).unwrap();
    let newer = || vec![lost(2 * most), lost(2 * most + 10)];
    let stands = (Unhealthy, 2 * most, Some(2 * most), Some(2 * most), 2);
    for (late, expected) in [
        (lost(most), (Unhealthy, most, Some(most), Some(most), 3)),
        (lost(most - 1), stands),
        (said(class, Unhealthy, most), (Unhealthy, most, Some(most), Some(2 * most), 3)),
        (said(class, Healthy, most), stands),
        // Of the newest moment: a sample like any other.
        (lost(2 * most + 10), (Unhealthy, 2 * most, Some(2 * most), Some(2 * most), 3)),
        (said(class, Healthy, 2 * most + 10), (Healthy, 2 * most + 10, None, None, 1)),
    ] {
        let mut signals = newer();
        signals.push(late.clone());
        assert_eq!(told(&run(&signals)), expected, "{late:?}");
        assert_eq!(run(&signals).last_seen, at(2 * most + 10), "{late:?}");
    }
}

#[test]
fn an_alert_of_the_same_moment_is_the_newer_word_and_an_older_one_is_none() {
    let alert =
        |standing, second| Signal { standing, ..said(EvidenceClass::Edge, Verdict::Unhealthy, second) };
    let (fired, resolved) = (alert(Standing::Fired, 10), alert(Standing::Resolved, 10));
    assert_eq!(track(&[fired.clone(), resolved.clone()]).standing_since, None);
    assert_eq!(track(&[resolved.clone(), fired.clone()]).standing_since, Some(at(10)));
    assert_eq!(track(&[fired.clone(), alert(Standing::Resolved, 9)]).standing_since, Some(at(10)));
    assert_eq!(track(&[fired.clone(), alert(Standing::Fired, 20)]).standing_since, Some(at(10)));
    assert_eq!(track(&[fired, resolved]).run.verdict, Verdict::Unobserved);
}

#[test]
fn how_it_fails_is_what_the_newest_failing_sample_says() {
    let class = EvidenceClass::Edge;
    let fails = |failure, second| Signal { failure, ..said(class, Verdict::Unhealthy, second) };
    let gone = Some(FailureKind::Unreachable);
    assert_eq!(track(&[fails(gone, 0), fails(None, 10)]).failure, gone, "still bad, and nobody says how");
    assert_eq!(track(&[fails(gone, 0), said(class, Verdict::Healthy, 10)]).failure, None);
    let full = Some(FailureKind::Saturated);
    assert_eq!(track(&[fails(gone, 0), fails(full, 10)]).failure, full);
    assert_eq!(track(&[fails(gone, 10), fails(full, 0)]).failure, gone, "a late word");
    let noted = |note: &str, second| Signal { note: note.to_owned(), ..fails(gone, second) };
    assert_eq!(track(&[noted("new", 10), noted("late", 0)]).note, "new");
    assert_eq!(track(&[noted("one", 10), noted("two", 10)]).note, "two");
}

#[test]
fn counts_are_bad_from_the_policys_shares_on() {
    let policy = shipped();
    let percent = |ratio: f64| (ratio * 100.0).round() as u64;
    let (budget, unhealthy, total) = (
        percent(policy.gray.error_budget),
        percent(policy.evidence.unhealthy_ratio),
        percent(policy.evidence.total_ratio),
    );
    let class = EvidenceClass::Traffic;
    for (failed, verdict, total_loss) in [
        (0, Verdict::Healthy, false),
        (budget - 1, Verdict::Healthy, false),
        (budget, Verdict::Degraded, false),
        (unhealthy - 1, Verdict::Degraded, false),
        (unhealthy, Verdict::Unhealthy, false),
        (total - 1, Verdict::Unhealthy, false),
        (total, Verdict::Unhealthy, true),
    ] {
        let run = run(&[counted(class, failed, 0)]);
        assert_eq!((run.verdict, run.total_since.is_some()), (verdict, total_loss), "{failed}");
    }
    let nothing = Signal { measure: Some(Measure { failed: 0, total: 0 }), ..counted(class, 0, 0) };
    assert_eq!(run(&[nothing]).verdict, Verdict::Unobserved);
    // Its own word of a dependency counts beside good counts, and as no more than degraded.
    let word = |verdict| Signal { verdict, ..counted(class, 0, 0) };
    assert_eq!(run(&[word(Verdict::Unhealthy)]).verdict, Verdict::Degraded);
    assert_eq!(run(&[word(Verdict::Degraded)]).verdict, Verdict::Degraded);
}

#[test]
fn only_our_own_probes_are_summed_over_a_span_and_only_over_theirs() {
    let span = i64::try_from(shipped().evidence.direct_span.get().as_secs()).unwrap();
    let sums = |class, second| {
        let signals = [counted(class, 90, 0), counted(class, 0, second)];
        track(&signals).measures.iter().map(|timed| timed.measure.failed).sum::<u64>()
    };
    assert_eq!(sums(EvidenceClass::Direct, span - 1), 90);
    assert_eq!(sums(EvidenceClass::Direct, span), 0);
    assert_eq!(sums(EvidenceClass::Traffic, 1), 0);
    let many: Vec<Signal> = (0..=MEASURES_MAX as u64)
        .map(|n| Signal {
            observed_at: at(0) + Duration::from_millis(n),
            ..counted(EvidenceClass::Direct, u64::from(n == 0), 0)
        })
        .collect();
    let kept = track(&many).measures;
    assert_eq!((kept.len(), kept.iter().map(|timed| timed.measure.failed).sum::<u64>()), (MEASURES_MAX, 0));
}

#[test]
fn the_probe_log_counts_locations_and_is_never_total_loss() {
    let enough = shipped().evidence.edge_locations_min;
    let locations = |class, source: &str, failed| Signal {
        measure: Some(Measure { failed, total: failed }),
        source: source.to_owned(),
        ..said(class, Verdict::Healthy, 0)
    };
    for (class, source, failed, verdict, total) in [
        (EvidenceClass::Edge, PROBE_LOG, enough, Verdict::Unhealthy, false),
        (EvidenceClass::Edge, PROBE_LOG, enough - 1, Verdict::Degraded, false),
        (EvidenceClass::Edge, "metrics", 1, Verdict::Unhealthy, true),
        (EvidenceClass::Traffic, PROBE_LOG, 1, Verdict::Unhealthy, true),
    ] {
        let run = run(&[locations(class, source, failed)]);
        assert_eq!((run.verdict, run.total_since.is_some()), (verdict, total), "{class:?} {source} {failed}");
    }
}

#[test]
fn a_word_without_counts_is_total_loss_only_where_nothing_could_be_reached() {
    let word = |verdict, failure| Signal { failure, ..said(EvidenceClass::Edge, verdict, 0) };
    for (verdict, failure, total) in [
        (Verdict::Unhealthy, Some(FailureKind::Unreachable), true),
        (Verdict::Unhealthy, Some(FailureKind::ServerError), false),
        (Verdict::Unhealthy, None, false),
        (Verdict::Degraded, Some(FailureKind::Unreachable), false),
    ] {
        assert_eq!(run(&[word(verdict, failure)]).total_since.is_some(), total, "{verdict:?} {failure:?}");
    }
}

/// What a class says about the first of two stamps, `after` the last run of the observers.
fn view(story: &Story, class: EvidenceClass) -> ClassView {
    views(&story.state, &story.policy)[&StampId::from(STAMP)][&class].clone()
}

/// Two stamps; the edge and the clients fail half of what they ask of the first one.
fn half_failing() -> Story {
    let mut story = Story::calm(2);
    story.scene(STAMP).edge = Some(50);
    story.scene(STAMP).traffic = Some(50);
    story.tick();
    story
}

#[test]
fn a_source_speaks_for_as_long_as_its_class_allows_and_an_alert_for_as_long_as_it_stands() {
    let mut story = half_failing();
    let (last, age) = (story.now, story.policy.age_max(EvidenceClass::Edge));
    for (age, speaks) in [(age, true), (age + Duration::from_millis(1), false)] {
        story.state.as_of = last + age;
        assert_eq!(view(&story, EvidenceClass::Edge).verdict != Verdict::Unobserved, speaks, "{age:?}");
    }
    let mut story = Story::calm(2);
    let fired = Signal {
        standing: Standing::Fired,
        observed_at: story.now,
        ..said(EvidenceClass::Edge, Verdict::Unhealthy, 0)
    };
    story.say(fired);
    story.tick();
    let (since, most) = (story.now.before(Duration::from_secs(10)), story.policy.evidence.standing_max.get());
    for (age, speaks) in [(most - Duration::from_millis(1), true), (most, false)] {
        story.state.as_of = since + age;
        assert_eq!(view(&story, EvidenceClass::Edge).verdict != Verdict::Unobserved, speaks, "{age:?}");
    }
}

#[test]
fn what_our_gate_or_our_latch_caused_is_masked_class_by_class() {
    let case = |change: &dyn Fn(&mut crate::state::StampCase), origin: EnabledState| {
        let mut story = half_failing();
        story.state.origins.get_mut(&StampId::from(STAMP)).unwrap().enabled = origin;
        change(story.state.cases.get_mut(&StampId::from(STAMP)).unwrap());
        let discounted = |class| view(&story, class).discounted == Some(Discount::Masked);
        (
            discounted(EvidenceClass::Edge),
            discounted(EvidenceClass::Traffic),
            discounted(EvidenceClass::Direct),
        )
    };
    let enabled = EnabledState::Enabled;
    assert_eq!(case(&|_| {}, enabled), (false, false, false));
    assert_eq!(case(&|case| case.gate = GatePosition::Closed, enabled), (true, true, false));
    assert_eq!(case(&|case| case.gate = GatePosition::Slice(25), enabled), (true, false, false));
    assert_eq!(case(&|case| case.latched_at = Some(at(0)), enabled), (true, true, false));
    assert_eq!(case(&|_| {}, EnabledState::Disabled), (true, true, false));
}

#[test]
fn telemetry_from_before_a_return_or_of_a_full_stamp_is_masked_and_what_is_left_begins_there() {
    for (class, from) in [
        (EvidenceClass::Edge, 0_u8),
        (EvidenceClass::Traffic, 1),
        (EvidenceClass::Edge, 2),
        (EvidenceClass::Traffic, 2),
    ] {
        for (later, masked) in [(Duration::ZERO, false), (Duration::from_millis(1), true)] {
            let mut story = half_failing();
            let moment = story.now + later;
            let case = story.state.cases.get_mut(&StampId::from(STAMP)).unwrap();
            match from {
                0 => case.edge_from = Some(moment),
                1 => case.traffic_from = Some(moment),
                _ => case.overloaded_until = Some(moment.before(HALF_MINUTE)),
            }
            let view = view(&story, class);
            assert_eq!(view.discounted == Some(Discount::Masked), masked, "{class:?} {from} {later:?}");
        }
        // A run that began before is counted from that moment on.
        let mut story = half_failing();
        story.scene(STAMP).edge = Some(100);
        story.scene(STAMP).traffic = Some(100);
        story.run(60);
        let moment = story.now.before(Duration::from_secs(20));
        let case = story.state.cases.get_mut(&StampId::from(STAMP)).unwrap();
        case.edge_from = Some(moment);
        case.traffic_from = Some(moment);
        let seen = view(&story, class);
        assert_eq!(
            (seen.since, seen.bad_since, seen.total_since),
            (Some(moment), Some(moment), Some(moment))
        );
    }
}

#[test]
fn the_failures_of_a_full_stamp_count_for_our_own_probes_only_from_its_relief_on() {
    let mut story = Story::calm(2);
    let healthy_since = view(&story, EvidenceClass::Direct).since;
    let relief = story.now;
    story.state.cases.get_mut(&StampId::from(STAMP)).unwrap().overloaded_until = Some(relief);
    assert_eq!(view(&story, EvidenceClass::Direct).since, healthy_since, "a good word is not put off");
    let at = story.now.before(Duration::from_secs(5));
    let evidence = std::sync::Arc::make_mut(&mut story.state.evidence);
    let own = evidence.get_mut(&StampId::from(STAMP)).unwrap().get_mut(&EvidenceClass::Direct).unwrap();
    let track = own.get_mut(WITNESS).unwrap();
    track.run.verdict = Verdict::Unhealthy;
    (track.run.since, track.run.bad_since, track.run.total_since) = (at, Some(at), Some(at));
    own.retain(|source, _| source == WITNESS);
    let seen = view(&story, EvidenceClass::Direct);
    assert_eq!((seen.since, seen.bad_since, seen.verdict), (Some(relief), Some(relief), Verdict::Unhealthy));
}

#[test]
fn of_two_sources_the_newer_speaks_and_of_two_equally_new_the_worse() {
    let mut story = Story::calm(2);
    let now = story.now;
    let word = |source: &str, verdict, age| Signal {
        source: source.to_owned(),
        observed_at: now.before(Duration::from_secs(age)),
        ..said(EvidenceClass::Edge, verdict, 0)
    };
    story.say(word("a", Verdict::Unhealthy, 20));
    story.say(word("b", Verdict::Healthy, 10));
    story.evaluate();
    assert_eq!(view(&story, EvidenceClass::Edge).verdict, Verdict::Healthy);
    story.say(word("c", Verdict::Degraded, 10));
    story.evaluate();
    assert_eq!(view(&story, EvidenceClass::Edge).verdict, Verdict::Degraded);
}
