//! The table as a picture: an SVG written by hand, readable on a dark page and on a light one.

use std::fmt::Write;

use simulator::fleet::PolicyKind;

use super::{Figures, Results};

const WIDTH: usize = 1_000;
const LABEL: usize = 150;
const PANEL_GAP: usize = 24;
const ROW: usize = 13;
const FAMILY_GAP: usize = 12;
const TOP: usize = 64;

/// One panel: what it shows, and the figure behind each bar.
struct Panel {
    title: &'static str,
    value: fn(&Figures) -> f64,
}

const PANELS: [Panel; 3] = [
    Panel { title: "failed requests, thousands per incident", value: |f| f.failed_k.mean },
    Panel { title: "minutes below the floor per incident", value: |f| f.below_min.mean },
    Panel { title: "wrong cordons caused per region-year", value: Figures::wrong_caused_per_region_year },
];

/// Colours that keep 3:1 against white and against the dark page, and differ for readers who see no red or no green.
const fn colour(policy: PolicyKind) -> &'static str {
    match policy {
        PolicyKind::Cordon => "#0a84c6",
        PolicyKind::FrontDoorAlone => "#8a8f98",
        PolicyKind::AlertAndResolve => "#d9730d",
        PolicyKind::Orchestrator => "#8e6bd1",
        PolicyKind::OutlierDetection => "#c4527f",
        PolicyKind::HealthCheck => "#2f9466",
    }
}

/// Draws means by family and policy. Bars are by the square root, so that small ones are still seen beside large ones.
pub fn svg(results: &Results) -> String {
    let families: Vec<_> = results.families().collect();
    let block = PolicyKind::ALL.len() * ROW + FAMILY_GAP;
    let height = TOP + families.len() * block + 24;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Cordon and its rivals, by family of faults\" font-family=\"system-ui, sans-serif\" font-size=\"11\">"
    );
    out.push_str(
        "<style>text{fill:#24292f}.v{font-size:10px}line{stroke:#d0d7de}\
         @media (prefers-color-scheme: dark){text{fill:#e6edf3}line{stroke:#3d444d}}</style>\n",
    );
    legend(&mut out);
    let panel_width = (WIDTH - LABEL) / PANELS.len() - PANEL_GAP;
    for (p, panel) in PANELS.iter().enumerate() {
        let x = LABEL + p * (panel_width + PANEL_GAP);
        let _ =
            writeln!(out, "<text x=\"{x}\" y=\"{}\" font-weight=\"600\">{}</text>", TOP - 12, panel.title);
        let all =
            families.iter().flat_map(|family| PolicyKind::ALL.map(|policy| results.figures(*family, policy)));
        let most = all.flatten().map(|figures| (panel.value)(&figures)).fold(f64::MIN_POSITIVE, f64::max);
        for (f, family) in families.iter().enumerate() {
            let y = TOP + f * block;
            if p == 0 {
                let middle = y + PolicyKind::ALL.len() * ROW / 2;
                let _ = writeln!(
                    out,
                    "<text x=\"0\" y=\"{middle}\" font-weight=\"600\">{}</text>",
                    family.name()
                );
                let rule = y - FAMILY_GAP / 2;
                let _ = writeln!(out, "<line x1=\"0\" y1=\"{rule}\" x2=\"{WIDTH}\" y2=\"{rule}\"/>");
            }
            for (k, policy) in PolicyKind::ALL.into_iter().enumerate() {
                let Some(figures) = results.figures(*family, policy) else { continue };
                let value = (panel.value)(&figures);
                bar(&mut out, (x, y + k * ROW), (value, most), panel_width - 40, colour(policy));
            }
        }
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String) {
    for (k, policy) in PolicyKind::ALL.into_iter().enumerate() {
        let x = k * 150;
        let _ =
            writeln!(out, "<rect x=\"{x}\" y=\"8\" width=\"12\" height=\"12\" fill=\"{}\"/>", colour(policy));
        let _ = writeln!(out, "<text x=\"{}\" y=\"18\">{}</text>", x + 18, policy.name());
    }
    let _ = writeln!(
        out,
        "<text x=\"0\" y=\"36\" class=\"v\">means per incident; length by the square root; less is better</text>"
    );
}

fn bar(out: &mut String, (x, y): (usize, usize), (value, most): (f64, f64), width: usize, colour: &str) {
    let length = (value / most).sqrt() * width as f64;
    let text = if value <= 0.0 {
        "0".to_owned()
    } else if value < 0.1 {
        format!("{value:.3}")
    } else if value < 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    };
    let _ = writeln!(
        out,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{}\" class=\"v\">{text}</text>",
        ROW - 3,
        x as f64 + length + 4.0,
        y + ROW - 4
    );
}
