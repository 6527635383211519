//! A drill for the eye: the timeline as it happens, load bars where there is a terminal.

use std::io::{IsTerminal, Write};

use simulator::{Scenario, WorldView};

use super::Moment;
use super::render::clock;

/// Simulated seconds between two updates of the bars.
const BARS_EVERY_S: u32 = 30;
/// Characters of a full bar.
const BAR_WIDTH: usize = 30;

/// Who watches a drill.
pub trait Show: Send {
    /// It begins; the page is below `base`, and takes orders from who has the token.
    fn begins(&mut self, scenario: &Scenario, base: &str, token: Option<&str>);
    /// Something happened.
    fn moment(&mut self, moment: &Moment);
    /// A second passed.
    fn second(&mut self, view: &WorldView);
}

/// Nobody watches.
#[derive(Debug, Default)]
pub struct Quiet;

impl Show for Quiet {
    fn begins(&mut self, _: &Scenario, _: &str, _: Option<&str>) {}
    fn moment(&mut self, _: &Moment) {}
    fn second(&mut self, _: &WorldView) {}
}

/// Standard error: the timeline as lines, and bars that redraw themselves if it is a terminal. Standard output is kept
/// for the report.
#[derive(Debug)]
pub struct Terminal {
    bars: bool,
}

impl Terminal {
    /// Bars only where they can be redrawn.
    pub fn new() -> Self {
        Self { bars: std::io::stderr().is_terminal() }
    }

    fn line(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        let clear = if self.bars { "\r\x1b[2K" } else { "" };
        let _ = writeln!(out, "{clear}{text}");
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Show for Terminal {
    fn begins(&mut self, scenario: &Scenario, base: &str, token: Option<&str>) {
        self.line(&format!("{}: {}", scenario.name, scenario.title));
        self.line(&format!(
            "page: {base}/api/operator/status (while the drill runs; --speed 60 slows it for the eye)"
        ));
        if let Some(token) = token {
            self.line(&format!("to give orders there: {base}/api/operator/sign-in?token={token}"));
        }
    }

    fn moment(&mut self, moment: &Moment) {
        let who = moment.stamp.as_ref().map(|stamp| format!("{stamp} ")).unwrap_or_default();
        self.line(&format!("{}  {who}{}", clock(moment.t), moment.text));
    }

    fn second(&mut self, view: &WorldView) {
        if !self.bars || !view.elapsed_s.is_multiple_of(BARS_EVERY_S) {
            return;
        }
        let stamps: Vec<String> = view
            .stamps
            .iter()
            .map(|stamp| {
                let load =
                    if stamp.capacity_rps > 0.0 { stamp.arriving_rps / stamp.capacity_rps } else { 0.0 };
                format!("{} {} {:>4.0}/{:<4.0}", stamp.id, bar(load), stamp.arriving_rps, stamp.capacity_rps)
            })
            .collect();
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "\r\x1b[2K{}  {}", clock(view.elapsed_s), stamps.join("  "));
        let _ = out.flush();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a bar of 30 characters"
)]
fn bar(load: f64) -> String {
    let filled = (load.clamp(0.0, 1.0) * BAR_WIDTH as f64).round() as usize;
    format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR_WIDTH - filled))
}
