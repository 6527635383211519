//! What the clients went through, second by second, and the questions a report asks of it.

use std::collections::BTreeMap;
use std::ops::Range;

use domain::StampId;
use serde::{Deserialize, Serialize};

use crate::scenario::FaultKind;

/// Upper bound of the first latency bucket, in milliseconds.
pub const BUCKET_FIRST_MS: f64 = 5.0;
/// Each bucket's upper bound is this much above the one before: a percentile is exact to 7 %.
pub const BUCKET_RATIO: f64 = 1.15;
/// Buckets per histogram; the last one's bound is above 60 s, which no request takes here.
pub const BUCKETS: usize = 70;
/// A class of clients has a symptom once this part of its requests fails.
pub const SYMPTOM_RATIO: f64 = 0.01;
/// A stamp counts as dropped by the edge once no more than this part of its native share is routed to it.
pub const DROPPED_SHARE: f64 = 0.01;

/// Everything measured since the start, per second. Second `t` is the one between `start + t` and `start + t + 1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurements {
    /// The stamps, which are also the classes of clients: a client's class is the stamp nearest to it.
    pub stamps: Vec<StampId>,
    /// The share of all demand that is native to each stamp, in the order of `stamps`.
    pub native_share: Vec<f64>,
    seconds: usize,
    total: Vec<f32>,
    failed: Vec<f32>,
    histogram: Vec<f32>,
    arriving: Vec<f32>,
    capacity: Vec<f32>,
    reachable_capacity: Vec<f32>,
    routed: Vec<f32>,
    ready: Vec<u32>,
    requested: Vec<u32>,
    faults: Vec<FaultRecord>,
    marks: BTreeMap<String, u32>,
}

/// One fault, as it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// What went wrong.
    pub kind: FaultKind,
    /// Whom it hit; none means everyone.
    pub stamp: Option<StampId>,
    /// First second of the fault.
    pub from_s: u32,
    /// First second after it; none while it lasts.
    pub until_s: Option<u32>,
}

/// What one stamp went through in one second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StampSecond {
    /// Requests per second that the edge sent to it.
    pub arriving_rps: f64,
    /// Requests per second that its ready instances serve.
    pub capacity_rps: f64,
    /// Share of all demand that the edge sent to it, 0 to 1.
    pub routed_share: f64,
    /// Instances that serve.
    pub ready: u32,
    /// Instances that are asked for.
    pub requested: u32,
}

/// One second of one stamp, as the world hands it over.
pub(crate) struct StampSample {
    pub(crate) second: StampSecond,
    /// Capacity times the share of locations that would send there.
    pub(crate) reachable_capacity_rps: f64,
}

/// One second of one class of clients, as the world hands it over.
#[derive(Clone)]
pub(crate) struct ClassSample {
    pub(crate) total: f64,
    pub(crate) failed: f64,
    pub(crate) histogram: [f32; BUCKETS],
}

impl ClassSample {
    pub(crate) const EMPTY: Self = Self { total: 0.0, failed: 0.0, histogram: [0.0; BUCKETS] };

    /// Counts `requests` that were answered well after `latency_ms`.
    pub(crate) fn served(&mut self, requests: f64, latency_ms: f64) {
        self.histogram[bucket(latency_ms)] += requests as f32;
    }
}

impl Measurements {
    pub(crate) fn new(stamps: Vec<StampId>, native_share: Vec<f64>) -> Self {
        Self {
            stamps,
            native_share,
            seconds: 0,
            total: Vec::new(),
            failed: Vec::new(),
            histogram: Vec::new(),
            arriving: Vec::new(),
            capacity: Vec::new(),
            reachable_capacity: Vec::new(),
            routed: Vec::new(),
            ready: Vec::new(),
            requested: Vec::new(),
            faults: Vec::new(),
            marks: BTreeMap::new(),
        }
    }

    /// How many seconds are measured.
    pub fn seconds(&self) -> u32 {
        self.seconds as u32
    }

    /// Requests made in the interval, by all clients. Intervals are clipped to what is measured.
    pub fn total(&self, interval: Range<u32>) -> f64 {
        self.sum(&self.total, self.stamps.len(), interval)
    }

    /// Requests that failed in the interval, of all clients.
    pub fn failed(&self, interval: Range<u32>) -> f64 {
        self.sum(&self.failed, self.stamps.len(), interval)
    }

    /// Requests made in the interval by the clients nearest to `class`.
    pub fn total_of(&self, class: &StampId, interval: Range<u32>) -> f64 {
        self.sum_of(&self.total, class, interval)
    }

    /// Requests that failed in the interval, of the clients nearest to `class`.
    pub fn failed_of(&self, class: &StampId, interval: Range<u32>) -> f64 {
        self.sum_of(&self.failed, class, interval)
    }

    /// The latency that 99 % of the served requests of a class stayed below, in milliseconds; failed requests are
    /// counted by [`Self::failed_of`], not here. None if nothing was served.
    pub fn p99_ms(&self, class: &StampId, interval: Range<u32>) -> Option<f64> {
        self.percentile_ms(Some(class), interval, 0.99)
    }

    /// A percentile (`rank` in 0 to 1) of the latency of served requests, of one class or of all clients.
    pub fn percentile_ms(&self, class: Option<&StampId>, interval: Range<u32>, rank: f64) -> Option<f64> {
        let classes = self.stamps.len();
        let mut sums = [0.0_f64; BUCKETS];
        for t in self.clip(interval) {
            for c in (0..classes).filter(|c| class.is_none_or(|id| self.stamps[*c] == *id)) {
                let at = (t * classes + c) * BUCKETS;
                for (sum, count) in sums.iter_mut().zip(&self.histogram[at..at + BUCKETS]) {
                    *sum += f64::from(*count);
                }
            }
        }
        let all: f64 = sums.iter().sum();
        let mut below = 0.0;
        if all <= 0.0 {
            return None;
        }
        sums.iter().enumerate().find_map(|(i, count)| {
            below += count;
            (below >= all * rank).then(|| bound_ms(i))
        })
    }

    /// What one stamp went through in second `t`; none before the start and after the end.
    pub fn stamp(&self, stamp: &StampId, t: u32) -> Option<StampSecond> {
        let at = self.at(stamp, t)?;
        Some(StampSecond {
            arriving_rps: f64::from(self.arriving[at]),
            capacity_rps: f64::from(self.capacity[at]),
            routed_share: f64::from(self.routed[at]),
            ready: self.ready[at],
            requested: self.requested[at],
        })
    }

    /// Requests per second that all stamps could serve in second `t`, each counted by the share of edge locations
    /// (by traffic) that hold it healthy and enabled. Zero outside what is measured.
    pub fn effective_capacity(&self, t: u32) -> f64 {
        let stamps = self.stamps.len();
        let at = t as usize * stamps;
        self.reachable_capacity
            .get(at..at + stamps)
            .map_or(0.0, |all| all.iter().map(|c| f64::from(*c)).sum())
    }

    /// Share of all demand that the edge sent to the stamp in second `t`, 0 to 1.
    pub fn share_routed_to(&self, stamp: &StampId, t: u32) -> f64 {
        self.at(stamp, t).map_or(0.0, |at| f64::from(self.routed[at]))
    }

    /// First second from `from_s` on in which locations with 99 % of the stamp's native traffic sent nothing to it.
    pub fn dropped_at(&self, stamp: &StampId, from_s: u32) -> Option<u32> {
        let native = self.stamps.iter().position(|s| s == stamp).map(|i| self.native_share[i])?;
        (from_s..self.seconds()).find(|t| self.share_routed_to(stamp, *t) <= native * DROPPED_SHARE)
    }

    /// The faults that have begun so far, in the order of their beginning.
    pub fn faults(&self) -> &[FaultRecord] {
        &self.faults
    }

    /// First second of a fault in which a class of clients lost at least [`SYMPTOM_RATIO`] of its requests; none if it
    /// hurt nobody while it lasted.
    pub fn first_symptom(&self, fault: &FaultRecord) -> Option<u32> {
        let classes = self.stamps.len();
        let end = fault.until_s.unwrap_or(u32::MAX).min(self.seconds());
        (fault.from_s..end).find(|t| {
            let at = *t as usize * classes;
            (at..at + classes)
                .any(|i| f64::from(self.failed[i]) >= SYMPTOM_RATIO * f64::from(self.total[i]).max(1e-9))
        })
    }

    /// When each mark was set ([`crate::World::mark`]).
    pub fn marks(&self) -> &BTreeMap<String, u32> {
        &self.marks
    }

    /// Every number measured, as bytes: two runs went the same way exactly if these are equal.
    pub fn to_bytes(&self) -> Vec<u8> {
        let floats = [
            &self.total,
            &self.failed,
            &self.histogram,
            &self.arriving,
            &self.capacity,
            &self.reachable_capacity,
            &self.routed,
        ];
        let mut bytes: Vec<u8> = floats.iter().flat_map(|f| f.iter().flat_map(|x| x.to_le_bytes())).collect();
        bytes.extend(self.ready.iter().chain(&self.requested).flat_map(|x| x.to_le_bytes()));
        bytes
    }

    pub(crate) fn record(&mut self, classes: &[ClassSample], stamps: &[StampSample]) {
        for class in classes {
            self.total.push(class.total as f32);
            self.failed.push(class.failed as f32);
            self.histogram.extend_from_slice(&class.histogram);
        }
        for stamp in stamps {
            self.arriving.push(stamp.second.arriving_rps as f32);
            self.capacity.push(stamp.second.capacity_rps as f32);
            self.reachable_capacity.push(stamp.reachable_capacity_rps as f32);
            self.routed.push(stamp.second.routed_share as f32);
            self.ready.push(stamp.second.ready);
            self.requested.push(stamp.second.requested);
        }
        self.seconds += 1;
    }

    pub(crate) fn fault_began(&mut self, fault: FaultRecord) {
        self.faults.push(fault);
    }

    pub(crate) fn fault_ended(&mut self, kind: FaultKind, stamp: Option<&StampId>, until_s: u32) {
        let open = self
            .faults
            .iter_mut()
            .find(|f| f.kind == kind && f.stamp.as_ref() == stamp && f.until_s.is_none());
        if let Some(fault) = open {
            fault.until_s = Some(until_s);
        }
    }

    pub(crate) fn marked(&mut self, label: &str, at_s: u32) {
        self.marks.entry(label.to_owned()).or_insert(at_s);
    }

    fn at(&self, stamp: &StampId, t: u32) -> Option<usize> {
        let index = self.stamps.iter().position(|s| s == stamp)?;
        ((t as usize) < self.seconds).then(|| t as usize * self.stamps.len() + index)
    }

    fn clip(&self, interval: Range<u32>) -> Range<usize> {
        let end = (interval.end as usize).min(self.seconds);
        (interval.start as usize).min(end)..end
    }

    fn sum(&self, series: &[f32], width: usize, interval: Range<u32>) -> f64 {
        let Range { start, end } = self.clip(interval);
        series[start * width..end * width].iter().map(|x| f64::from(*x)).sum()
    }

    fn sum_of(&self, series: &[f32], class: &StampId, interval: Range<u32>) -> f64 {
        let Some(c) = self.stamps.iter().position(|s| s == class) else { return 0.0 };
        self.clip(interval).map(|t| f64::from(series[t * self.stamps.len() + c])).sum()
    }
}

/// The bucket a latency falls into.
fn bucket(latency_ms: f64) -> usize {
    let steps = (latency_ms / BUCKET_FIRST_MS).ln() / BUCKET_RATIO.ln();
    (steps.ceil().max(0.0) as usize).min(BUCKETS - 1)
}

/// Upper bound of a bucket, in milliseconds.
fn bound_ms(bucket: usize) -> f64 {
    BUCKET_FIRST_MS * BUCKET_RATIO.powi(bucket as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_exact_to_one_bucket() {
        let class = StampId::new("eastus2");
        let mut measured = Measurements::new(vec![class.clone()], vec![1.0]);
        let mut sample = ClassSample::EMPTY;
        sample.total = 1_000.0;
        sample.served(985.0, 40.0);
        sample.served(15.0, 900.0);
        measured.record(&[sample], &[]);
        let p99 = measured.p99_ms(&class, 0..1).unwrap();
        assert!((900.0..=900.0 * BUCKET_RATIO).contains(&p99), "{p99}");
        let median = measured.percentile_ms(None, 0..10, 0.5).unwrap();
        assert!((40.0..=40.0 * BUCKET_RATIO).contains(&median), "{median}");
        assert_eq!(measured.p99_ms(&class, 1..2), None);
    }

    #[test]
    fn the_last_bucket_is_above_a_minute() {
        assert!(bound_ms(BUCKETS - 1) > 60_000.0);
    }
}
