//! What the figures say about the promises, and where Cordon is worse than a rival.

use std::fmt;

use simulator::fleet::{Family, PolicyKind};

use super::{Figures, Results};

/// How many times more wrong cordons a latching rival must cause.
const TIMES_FEWER: f64 = 20.0;
/// Families in which any act is harm.
const HANDS_OFF: [Family; 3] = [Family::MonitorLies, Family::AlertLies, Family::Global];
/// A difference below this share is none.
const NOTICEABLE: f64 = 0.01;

/// One promise with what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    /// What was promised.
    pub text: String,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub kept: Kept,
}

/// Whether a promise holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = match self.kept {
            Kept::Yes => "kept",
            Kept::No => "NOT KEPT",
        };
        write!(f, "{kept}: {}: {}", self.text, self.found)
    }
}

/// One figure in which a rival does better.
#[derive(Clone, Debug, PartialEq)]
pub struct Worse {
    /// The family.
    pub family: Family,
    /// The column.
    pub column: &'static str,
    /// Cordon's figure.
    pub ours: f64,
    /// The best rival's.
    pub theirs: f64,
    /// Who that is.
    pub rival: PolicyKind,
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, column, ours, theirs, rival } = self;
        write!(f, "{}, {column}: {ours:.2}, {} {theirs:.2}", family.name(), rival.name())
    }
}

fn kept(holds: impl Into<bool>) -> Kept {
    if holds.into() { Kept::Yes } else { Kept::No }
}

/// Wrong cordons caused per region-year over all families played, each at its rate.
fn wrong_rate(results: &Results, policy: PolicyKind) -> f64 {
    results
        .families()
        .filter_map(|family| results.figures(family, policy))
        .map(|figures| figures.wrong_caused_per_region_year())
        .sum()
}

/// The promises of the comparison, each with its figures.
pub fn promises(results: &Results) -> Vec<Promise> {
    let mut all = Vec::new();
    let ours = wrong_rate(results, PolicyKind::Cordon);
    for rival in PolicyKind::ALL.into_iter().filter(|policy| policy.latches()) {
        let theirs = wrong_rate(results, rival);
        all.push(Promise {
            text: format!("20 times fewer wrong cordons caused than {}", rival.name()),
            found: format!("{ours:.4} against {theirs:.4} per region-year, all families"),
            kept: kept(theirs >= TIMES_FEWER * ours && (theirs > 0.0 || ours == 0.0)),
        });
    }
    for family in results.families() {
        let pair = (
            results.figures(family, PolicyKind::Cordon),
            results.figures(family, PolicyKind::FrontDoorAlone),
        );
        let (Some(ours), Some(alone)) = pair else { continue };
        let (with, without) = (ours.failed_k.mean, alone.failed_k.mean);
        all.push(Promise {
            text: format!("no more harm than Front Door alone in {}", family.name()),
            found: format!("{with:.1} against {without:.1} thousand failed requests an incident"),
            kept: kept(with <= without * (1.0 + 1e-6)),
        });
        all.push(Promise {
            text: format!("never below the floor by a removal in {}", family.name()),
            found: format!(
                "{:.2} minutes an incident, {:.1} at the most",
                ours.sunk_min.mean, ours.sunk_min.worst
            ),
            kept: kept(ours.sunk_min.worst == 0.0),
        });
        if HANDS_OFF.contains(&family) {
            all.push(Promise {
                text: format!("no wrong cordon in {}", family.name()),
                found: format!("{} caused in {} incidents", ours.wrong_caused, ours.incidents),
                kept: kept(ours.wrong_caused == 0),
            });
        }
    }
    all
}

type Column = (&'static str, fn(&Figures) -> f64);

const COLUMNS: [Column; 14] = [
    ("failed requests, mean", |f| f.failed_k.mean),
    ("failed requests, median", |f| f.failed_k.median),
    ("failed requests, worst seed", |f| f.failed_k.worst),
    ("minutes below the floor, mean", |f| f.below_min.mean),
    ("minutes below the floor, worst seed", |f| f.below_min.worst),
    ("zero-serving minutes, mean", |f| f.zero_min.mean),
    ("wrong cordons caused per region-year", Figures::wrong_caused_per_region_year),
    ("minutes an able region is held out, mean", |f| f.held_able_min.mean),
    ("missed cordons", |f| f64::from(f.missed)),
    ("flaps, mean", |f| f.flaps.mean),
    ("time to cordon, median", |f| f.cordoned_after_s.median),
    ("time to cordon, p95", |f| f.cordoned_after_s.p95),
    ("time to full service, median", |f| f.full_service_min.median),
    ("time to full service, worst", |f| f.full_service_min.worst),
];

/// Every column of every family in which a rival does better by a noticeable part, with the best of them.
pub fn worse(results: &Results) -> Vec<Worse> {
    let mut found = Vec::new();
    for family in results.families() {
        let Some(cordon) = results.figures(family, PolicyKind::Cordon) else { continue };
        for (column, value) in COLUMNS {
            let rivals = PolicyKind::ALL.into_iter().skip(1);
            let figures = rivals.filter_map(|rival| Some((rival, value(&results.figures(family, rival)?))));
            let best = figures.min_by(|a, b| a.1.total_cmp(&b.1));
            let (ours, Some((rival, theirs))) = (value(&cordon), best) else { continue };
            if ours > theirs * (1.0 + NOTICEABLE) + 1e-9 {
                found.push(Worse { family, column, ours, theirs, rival });
            }
        }
    }
    found
}
