//! What Azure Monitor counts, minute by minute, and when it can be read.

use domain::Timestamp;

use crate::draw::{About, Seed, entity};

/// A minute can be read this long after its end, in seconds: "1-3 min late" (contracts/AZURE.md 4.4).
pub(crate) const METRIC_LAG_S: (u32, u32) = (60, 180);

/// One minute of one stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Minute {
    /// Requests that the origin answered well.
    pub(crate) ok: f64,
    /// Requests that failed in the application.
    pub(crate) errors: f64,
    /// Requests that the origin refused for want of capacity.
    pub(crate) refused: f64,
    /// Requests that the origin did not answer.
    pub(crate) unanswered: f64,
    /// Front Door's probes.
    pub(crate) probes: u32,
    /// Those answered 200.
    pub(crate) good_probes: u32,
    /// Requests to the stamp's Cosmos DB region that succeeded.
    pub(crate) cosmos_ok: f64,
    /// Those it answered 503.
    pub(crate) cosmos_unavailable: f64,
}

impl Minute {
    /// `OriginHealthPercentage`; none when nothing was probed.
    pub(crate) fn health_pct(&self) -> Option<f64> {
        (self.probes > 0).then(|| 100.0 * f64::from(self.good_probes) / f64::from(self.probes))
    }
}

/// All minutes of all stamps.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    seed: Seed,
    /// Seconds of the first minute that had passed when the world began: Azure's minutes are the clock's.
    offset_s: u32,
    minutes: Vec<Vec<Minute>>,
}

impl Metrics {
    pub(crate) fn new(seed: Seed, stamps: usize, start: Timestamp) -> Self {
        let offset_s = (start.as_millis().rem_euclid(60_000) / 1_000) as u32;
        Self { seed, offset_s, minutes: vec![Vec::new(); stamps] }
    }

    /// The minute that second `t` falls into, to be added to.
    pub(crate) fn at(&mut self, stamp: usize, t: u32) -> &mut Minute {
        let index = ((t + self.offset_s) / 60) as usize;
        let minutes = &mut self.minutes[stamp];
        if minutes.len() <= index {
            minutes.resize(index + 1, Minute::default());
        }
        &mut minutes[index]
    }

    /// When the first minute began.
    pub(crate) fn first_minute(start: Timestamp) -> Timestamp {
        Timestamp::from_millis(start.as_millis() - start.as_millis().rem_euclid(60_000))
    }

    /// A finished minute, if it can be read in second `t`.
    pub(crate) fn visible(&self, metric: &str, stamp: usize, minute: u32, t: u32) -> Option<&Minute> {
        let lag = self.seed.seconds(METRIC_LAG_S, About::MetricLag, entity(metric), u64::from(minute));
        let from = (minute + 1).saturating_mul(60).saturating_add(lag);
        self.minutes[stamp].get(minute as usize).filter(|_| from <= t + self.offset_s)
    }

    /// The newest minute that can be read in second `t`, with its number.
    pub(crate) fn newest(&self, metric: &str, stamp: usize, t: u32) -> Option<(u32, &Minute)> {
        let last = (t + self.offset_s) / 60;
        (last.saturating_sub(8)..=last).rev().find_map(|m| Some((m, self.visible(metric, stamp, m, t)?)))
    }
}
