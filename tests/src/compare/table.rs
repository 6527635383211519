//! The table, as text for a terminal and as Markdown, with the definitions it needs.

use std::fmt::Write;

use simulator::fleet::{Family, PolicyKind};

use super::{Figures, Results, promises, worse};

const COLUMNS: [&str; 11] = [
    "policy",
    "failed, k: mean / median / worst",
    "min below floor: mean / worst",
    "of these by removal / held out",
    "zero-serving min: mean / worst",
    "wrong cordons per region-year: caused / all",
    "able but held out, min: mean / worst",
    "missed",
    "flaps: mean / worst",
    "time to cordon, s: median / p95",
    "to full service, min: median / worst",
];

/// What the columns mean.
pub fn definitions() -> String {
    "Definitions. A seed is one incident of each family, on a workload of two or three regions. Failed requests count all \
     clients over the whole run, in thousands. The floor is the demand: a minute is below it when the capacity that the \
     edge locations would use (ready, answering well, held in) is less; \"by removal\" are those in which a serving region \
     that the policy took out is the reason, \"held out\" those in which anything that the policy holds out would have \
     helped, windows after a right cordon included. Zero-serving: less than 1 % of the requests are served. A wrong cordon \
     is a region that is able to serve at least 99 % of its requests when it is taken out, and stays so, held out at more \
     than half of the locations for over 60 s: in all, and caused by an effect of the policy (Front Door's own probe drops \
     act under every policy alike). What takes over a region that was dropped for a reason is the same cordon going on; \
     how long it then goes on although the region is able again is a column of its own, in minutes, sustained-healthy \
     windows included. Missed: a regional failure of at least ten minutes and 5 % of the requests that \
     locations with 99 % of the traffic never dropped. A flap is a drop after a return. Time to cordon is until locations \
     with 99 % of the traffic have dropped the region (a missed one counts with its whole length); time to full service from the end of its last failure until they \
     have taken it back. Normal autoscaling acts under every policy alike."
        .to_owned()
}

/// The rows of one family, Cordon first.
fn rows(results: &Results, family: Family) -> Vec<[String; 11]> {
    PolicyKind::ALL
        .into_iter()
        .filter_map(|policy| Some(row(policy, &results.figures(family, policy)?)))
        .collect()
}

fn row(policy: PolicyKind, figures: &Figures) -> [String; 11] {
    let f = figures;
    [
        policy.name().to_owned(),
        format!("{:.0} / {:.0} / {:.0}", f.failed_k.mean, f.failed_k.median, f.failed_k.worst),
        format!("{:.1} / {:.0}", f.below_min.mean, f.below_min.worst),
        format!("{:.2} / {:.2}", f.sunk_min.mean, f.held_below_min.mean),
        format!("{:.2} / {:.0}", f.zero_min.mean, f.zero_min.worst),
        format!("{:.3} / {:.3}", f.wrong_caused_per_region_year(), f.wrong_per_region_year()),
        format!("{:.1} / {:.0}", f.held_able_min.mean, f.held_able_min.worst),
        if f.to_cordon == 0 { "-".to_owned() } else { format!("{} of {}", f.missed, f.to_cordon) },
        format!("{:.1} / {:.0}", f.flaps.mean, f.flaps.worst),
        if f.cordoned_after_s.worst == 0.0 {
            "-".to_owned()
        } else {
            format!("{:.0} / {:.0}", f.cordoned_after_s.median, f.cordoned_after_s.p95)
        },
        if f.full_service_min.worst == 0.0 {
            "-".to_owned()
        } else {
            format!("{:.0} / {:.0}", f.full_service_min.median, f.full_service_min.worst)
        },
    ]
}

fn heading(results: &Results, family: Family) -> String {
    let figures = results.figures(family, PolicyKind::Cordon).unwrap_or_default();
    let rate = family.rate();
    format!(
        "{}: {} incidents, {:.0} region-years at {} a year and workload ({})",
        family.name(),
        figures.incidents,
        figures.region_years,
        rate.per_workload_year,
        rate.source
    )
}

/// For a terminal.
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    for family in results.families() {
        let rows = rows(results, family);
        let mut width = COLUMNS.map(str::len);
        for row in &rows {
            for (width, cell) in width.iter_mut().zip(row) {
                *width = (*width).max(cell.len());
            }
        }
        let line = |cells: &[String]| {
            let cells = cells.iter().zip(width).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let _ = writeln!(out, "\n{}\n{}", heading(results, family), line(&COLUMNS.map(str::to_owned)));
        for row in rows {
            let _ = writeln!(out, "{}", line(&row));
        }
    }
    out
}

/// For a document: everything that the terminal shows, definitions, promises and weaknesses included. `seeds` says which
/// were played.
pub fn markdown(results: &Results, seeds: &str) -> String {
    let mut out = format!("# Cordon and its rivals on the same streams\n\n{}\n\n{seeds}\n\n", definitions());
    for policy in PolicyKind::ALL {
        let _ = writeln!(out, "- {}: {}.", policy.name(), policy.about());
    }
    out.push_str("\n## Promises\n\n");
    for promise in promises(results) {
        let _ = writeln!(out, "- {promise}");
    }
    out.push_str("\n## Where Cordon is worse than the best rival\n\n");
    for worse in worse(results) {
        let _ = writeln!(out, "- {worse}");
    }
    out.push_str("\n## Figures\n");
    for family in results.families() {
        let _ = writeln!(out, "\n{}\n\n| {} |", heading(results, family), COLUMNS.join(" | "));
        let _ = writeln!(out, "|{}", " --- |".repeat(COLUMNS.len()));
        for row in rows(results, family) {
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
    }
    out
}

/// The seeds in which Cordon did worst, so that each can be told again.
pub fn seeds_to_look_at(results: &Results) -> String {
    let mut out = String::new();
    for family in results.families() {
        let Some(figures) = results.figures(family, PolicyKind::Cordon) else { continue };
        let _ =
            writeln!(out, "{}: most failed requests in seed {}", family.name(), figures.failed_k.worst_seed);
        for (seed, played) in results.runs(family, PolicyKind::Cordon) {
            let o = &played.outcome;
            if o.wrong_caused > 0 || o.missed > 0 || o.sunk_by_removal_s > 0 {
                let (wrong, missed, sunk) = (o.wrong_caused, o.missed, o.sunk_by_removal_s);
                let _ = writeln!(
                    out,
                    "  seed {seed} ({}): wrong cordons {wrong}, missed {missed}, below the floor by a removal {sunk} s",
                    played.variant
                );
            }
        }
    }
    out
}
