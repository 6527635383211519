//! Signals become runs; runs, with their age, become what each class says about a stamp.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;
use crate::signal::{Signal, Standing};
use crate::state::{Evidence, MEASURES_MAX, Run, StampCase, TimedMeasure, Track, WorkloadState};
use crate::{EnabledState, EvidenceClass, FailureKind, GatePosition, Measure, StampId, Timestamp, Verdict};

/// The source name of Cordon's own probes from the witness region.
pub const WITNESS: &str = "witness";
/// The source name of the probe log.
pub const PROBE_LOG: &str = "probe-log";

/// What one class says about one stamp at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassView {
    /// Its verdict; `Unobserved` when nothing fresh and unmasked speaks.
    pub verdict: Verdict,
    /// Since when this verdict.
    pub since: Option<Timestamp>,
    /// Not healthy since.
    pub bad_since: Option<Timestamp>,
    /// Total loss since.
    pub total_since: Option<Timestamp>,
    /// The newest sample behind it.
    pub last_seen: Option<Timestamp>,
    /// How it fails.
    pub failure: Option<FailureKind>,
    /// Share of failures, where counted.
    pub error_ratio: Option<f64>,
    /// Why it has no vote although something was seen.
    pub discounted: Option<Discount>,
}

/// Why evidence that was seen has no vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discount {
    /// Our own gate or origin caused it.
    Masked,
    /// Bad in two or more regions at once: a shared dependency, not a regional fault.
    SharedDependency,
    /// The vantages contradict each other.
    VantagesDisagree,
}

impl ClassView {
    const NOTHING: Self = Self {
        verdict: Verdict::Unobserved,
        since: None,
        bad_since: None,
        total_since: None,
        last_seen: None,
        failure: None,
        error_ratio: None,
        discounted: None,
    };

    fn discounted(mut self, why: Discount) -> Self {
        self.verdict = Verdict::Unobserved;
        self.discounted = Some(why);
        self
    }

    /// Degraded or unhealthy, with a vote.
    pub fn is_bad(&self) -> bool {
        is_bad(self.verdict)
    }
}

const fn is_bad(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Degraded | Verdict::Unhealthy)
}

/// What the classes say about one stamp.
pub type Views = BTreeMap<EvidenceClass, ClassView>;

/// Takes one signal into the evidence about one stamp.
pub(crate) fn fold_signal(evidence: &mut Evidence, signal: &Signal, policy: &Policy) {
    let at = signal.observed_at;
    let track =
        evidence.entry(signal.class).or_default().entry(signal.source.clone()).or_insert_with(|| Track {
            run: Run {
                verdict: Verdict::Unobserved,
                since: at,
                last_seen: Timestamp::default(),
                count: 0,
                bad_since: None,
                total_since: None,
            },
            standing_since: None,
            failure: None,
            measures: std::collections::VecDeque::new(),
            note: String::new(),
        });
    if at < track.run.last_seen && signal.standing != Standing::Sample {
        return; // A late or repeated alert never overrides a newer word of the same source.
    }
    match signal.standing {
        Standing::Resolved => {
            track.standing_since = None;
            extend(&mut track.run, Verdict::Unobserved, at, Loss::Partial, policy.age_max(signal.class));
        }
        Standing::Fired => {
            track.standing_since.get_or_insert(at);
            extend(&mut track.run, signal.verdict, at, Loss::Partial, policy.evidence.standing_max.get());
        }
        Standing::Sample => {
            let (verdict, loss) = judge_sample(track, signal, policy);
            extend(&mut track.run, verdict, at, loss, policy.age_max(signal.class));
        }
    }
    if at >= track.run.last_seen {
        // A good sample within a bad run does not tell how the run fails.
        if signal.failure.is_some() || !is_bad(track.run.verdict) {
            track.failure = signal.failure;
        }
        track.note.clone_from(&signal.note);
    }
}

/// Whether a sample lost everything it asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Total,
    Partial,
}

/// The verdict of a sample: by its counts over the class's span where there are counts, by its word where not.
fn judge_sample(track: &mut Track, signal: &Signal, policy: &Policy) -> (Verdict, Loss) {
    let Some(measure) = signal.measure else {
        let total = signal.verdict == Verdict::Unhealthy && signal.failure == Some(FailureKind::Unreachable);
        return (signal.verdict, if total { Loss::Total } else { Loss::Partial });
    };
    if signal.class == EvidenceClass::Edge && signal.source == PROBE_LOG {
        // The log holds failures only, so the counts are edge locations that failed, of an unknown number.
        let enough = measure.failed >= policy.evidence.edge_locations_min;
        return (if enough { Verdict::Unhealthy } else { Verdict::Degraded }, Loss::Partial);
    }
    let now_total = measure.ratio().is_some_and(|ratio| ratio >= policy.evidence.total_ratio);
    let span = if signal.class == EvidenceClass::Direct {
        policy.evidence.direct_span.get()
    } else {
        Duration::ZERO
    };
    track.measures.retain(|old| signal.observed_at.since(old.at) < span);
    if track.measures.len() == MEASURES_MAX {
        track.measures.pop_front();
    }
    track.measures.push_back(TimedMeasure { at: signal.observed_at, measure });
    if now_total {
        return (Verdict::Unhealthy, Loss::Total);
    }
    let sum = track.measures.iter().fold(Measure { failed: 0, total: 0 }, |sum, timed| Measure {
        failed: sum.failed + timed.measure.failed,
        total: sum.total + timed.measure.total,
    });
    let verdict = match sum.ratio() {
        None => Verdict::Unobserved,
        Some(ratio) if ratio >= policy.evidence.unhealthy_ratio => Verdict::Unhealthy,
        Some(ratio) if ratio >= policy.gray.error_budget => Verdict::Degraded,
        // The stamp's own word about a dependency counts even when its requests still succeed.
        Some(_) => signal.verdict.min(Verdict::Degraded),
    };
    (verdict, Loss::Partial)
}

/// Extends a run, or starts the next one. A sample older than the run's newest can only extend it backwards.
fn extend(run: &mut Run, verdict: Verdict, at: Timestamp, loss: Loss, gap_max: Duration) {
    let total = loss == Loss::Total;
    let bad = is_bad(verdict);
    let gap = run.count > 0 && at.since(run.last_seen) > gap_max;
    if run.count > 0 && at < run.last_seen {
        if verdict == run.verdict && run.since.since(at) <= gap_max {
            run.since = run.since.min(at);
            run.bad_since = run.bad_since.map(|since| since.min(at));
            run.total_since =
                run.total_since.filter(|_| total).map(|since| since.min(at)).or(run.total_since);
            run.count += 1;
        }
        return;
    }
    let continues = run.count > 0 && run.verdict == verdict && !gap;
    run.bad_since = if bad { run.bad_since.filter(|_| !gap).or(Some(at)) } else { None };
    run.total_since = if total { run.total_since.filter(|_| !gap).or(Some(at)) } else { None };
    run.since = if continues { run.since } else { at };
    run.count = if continues { run.count + 1 } else { 1 };
    run.verdict = verdict;
    run.last_seen = at;
}

/// What every class says about every stamp at `state.as_of`.
pub fn views(state: &WorkloadState, policy: &Policy) -> BTreeMap<StampId, Views> {
    let mut all: BTreeMap<StampId, Views> = state
        .cases
        .iter()
        .map(|(stamp, case)| (stamp.clone(), views_of(state, stamp, case, policy)))
        .collect();
    discount_shared_dependency(&mut all, state);
    all
}

fn views_of(state: &WorkloadState, stamp: &StampId, case: &StampCase, policy: &Policy) -> Views {
    let empty = Evidence::new();
    let evidence = state.evidence.get(stamp).unwrap_or(&empty);
    EvidenceClass::ALL
        .into_iter()
        .map(|class| {
            let tracks = evidence.get(&class);
            let fresh: Vec<(&str, ClassView)> = tracks
                .into_iter()
                .flatten()
                .map(|(source, track)| (source.as_str(), track_view(track, class, state.as_of, policy)))
                .filter(|(_, view)| view.verdict != Verdict::Unobserved)
                .collect();
            let view = if class == EvidenceClass::Direct { across_vantages(&fresh) } else { newest(&fresh) };
            (class, mask(view, class, case, state.origins.get(stamp).map(|origin| origin.enabled)))
        })
        .collect()
}

fn track_view(track: &Track, class: EvidenceClass, as_of: Timestamp, policy: &Policy) -> ClassView {
    let standing =
        track.standing_since.is_some_and(|since| as_of.since(since) < policy.evidence.standing_max.get());
    let fresh = as_of.since(track.run.last_seen) <= policy.age_max(class);
    if !(standing || fresh) {
        return ClassView::NOTHING;
    }
    let sum = track.measures.iter().fold((0, 0), |(f, t), m| (f + m.measure.failed, t + m.measure.total));
    ClassView {
        verdict: track.run.verdict,
        since: Some(track.run.since),
        bad_since: track.run.bad_since,
        total_since: track.run.total_since,
        last_seen: Some(track.run.last_seen),
        failure: track.failure,
        error_ratio: Measure { failed: sum.0, total: sum.1 }.ratio(),
        discounted: None,
    }
}

/// Two sources of one class are one vote: the newest speaks, the worse of two equally new.
fn newest(fresh: &[(&str, ClassView)]) -> ClassView {
    fresh
        .iter()
        .map(|(_, view)| view)
        .max_by_key(|view| (view.last_seen, view.verdict))
        .cloned()
        .unwrap_or(ClassView::NOTHING)
}

/// `Direct` names its vantage. Total loss needs the witness and at least one other stamp; vantages that contradict each
/// other have no vote against the stamp.
fn across_vantages(fresh: &[(&str, ClassView)]) -> ClassView {
    let Some((_, witness)) = fresh.iter().find(|(source, _)| *source == WITNESS) else {
        // The peers' views reach us through their stamps; without the witness nobody of ours looked.
        return ClassView::NOTHING;
    };
    let peers: Vec<&ClassView> =
        fresh.iter().filter(|(source, _)| *source != WITNESS).map(|(_, view)| view).collect();
    let mut view = witness.clone();
    // Vantages contradict each other about the way to the stamp. A stamp that answered the witness with failure, or with
    // "full", has been reached: its peers ask its health view, not its application, and contradict nothing.
    let way =
        matches!(view.failure, Some(FailureKind::Unreachable | FailureKind::Dns | FailureKind::Auth) | None);
    if way && view.verdict == Verdict::Unhealthy && peers.iter().any(|peer| peer.verdict == Verdict::Healthy)
    {
        return view.discounted(Discount::VantagesDisagree);
    }
    let peers_total = peers.iter().filter_map(|peer| peer.total_since).min();
    view.total_since = view.total_since.zip(peers_total).map(|(ours, theirs)| ours.max(theirs));
    view
}

/// Azure Monitor counts by the minute and names its beginning; what we take of it bears the time of its middle.
pub const HALF_MINUTE: Duration = Duration::from_secs(30);

/// What we caused is not evidence.
fn mask(view: ClassView, class: EvidenceClass, case: &StampCase, origin: Option<EnabledState>) -> ClassView {
    let clamped = |view: ClassView, from: Option<Timestamp>| {
        let clamp = |since: Option<Timestamp>| since.map(|since| from.map_or(since, |from| since.max(from)));
        let (since, bad_since, total_since) =
            (clamp(view.since), clamp(view.bad_since), clamp(view.total_since));
        ClassView { since, bad_since, total_since, ..view }
    };
    // Telemetry of a stamp that was full arrives minutes after its relief; it must not be read as a new failure then. A
    // minute bears the time of its middle.
    let relieved = case.overloaded_until.map(|at| at + HALF_MINUTE);
    let from = match class {
        EvidenceClass::Edge => case.edge_from.max(relieved),
        EvidenceClass::Traffic => case.traffic_from.max(relieved),
        EvidenceClass::Direct if view.verdict != Verdict::Healthy => {
            return clamped(view, case.overloaded_until);
        }
        EvidenceClass::Platform | EvidenceClass::Data | EvidenceClass::Direct => return view,
    };
    let out = case.latched_at.is_some() || origin == Some(EnabledState::Disabled);
    let closed = match class {
        // Real requests come only through the edge locations inside the open slice, so they count during a ramp; the
        // edge's probes mix both sides of the slice, so they do not.
        EvidenceClass::Traffic => case.gate == GatePosition::Closed,
        _ => case.gate != GatePosition::Open,
    };
    let too_early = from.is_some_and(|from| view.last_seen.is_some_and(|seen| seen < from));
    if view.verdict != Verdict::Unobserved && (out || closed || too_early) {
        return view.discounted(Discount::Masked);
    }
    clamped(view, from)
}

fn discount_shared_dependency(all: &mut BTreeMap<StampId, Views>, state: &WorkloadState) {
    let region = |stamp: &StampId| state.topology.stamps.get(stamp).map(|facts| facts.region.clone());
    let bad: std::collections::BTreeSet<_> = all
        .iter()
        .filter(|(_, views)| views.get(&EvidenceClass::Data).is_some_and(ClassView::is_bad))
        .map(|(stamp, _)| region(stamp))
        .collect();
    if bad.len() < 2 {
        return;
    }
    for views in all.values_mut() {
        if let Some(view) = views.get_mut(&EvidenceClass::Data).filter(|view| view.is_bad()) {
            *view = view.clone().discounted(Discount::SharedDependency);
        }
    }
}
