//! The gate: a small expiring document that the stamp's health endpoint obeys. The fast plane.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Generation, StampId, Timestamp};

/// How far a gate is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GatePosition {
    /// Nobody.
    Closed,
    /// This many percent of the edge locations, chosen by their address prefix.
    Slice(u8),
    /// Everybody.
    Open,
}

impl GatePosition {
    /// Percent of the edge locations that may come in.
    pub const fn percent(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Slice(percent) => percent,
            Self::Open => 100,
        }
    }

    /// The position that lets in `percent`.
    pub const fn from_percent(percent: u8) -> Self {
        match percent {
            0 => Self::Closed,
            1..=99 => Self::Slice(percent),
            _ => Self::Open,
        }
    }
}

/// The stored gate document of one stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateDocument {
    /// Schema version of this document.
    pub schema: u32,
    /// Whose gate.
    pub stamp: StampId,
    /// How far open.
    pub position: GatePosition,
    /// The generation that set it; an older one never replaces it.
    pub generation: Generation,
    /// When it was last set or renewed.
    pub heartbeat_at: Timestamp,
    /// When it stops to bind by itself.
    pub expires_at: Timestamp,
    /// The steps, in percent, by which a gate that reopens by expiry does so, and how long each lasts, in seconds.
    pub reopen_percents: Vec<u8>,
    /// Seconds for each of those steps.
    pub reopen_step_s: u32,
    /// Why, for whoever reads the view at the stamp.
    pub reason: String,
}

/// The present schema of `GateDocument`.
pub const GATE_SCHEMA: u32 = 1;

/// What the stamp last learnt of its gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateMemory {
    /// Never read since the start.
    NeverRead {
        /// When this process started.
        started_at: Timestamp,
    },
    /// Read, and there was no document: nobody closed it.
    Absent,
    /// The newest document read so far.
    Read(GateDocument),
}

/// What the gate says to one prober, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateAnswer {
    /// Come in.
    Open,
    /// Closed for this prober.
    Closed,
    /// Not read yet since the start, within `gate_boot_wait`.
    Waiting,
}

/// What the gate says to the prober at `prober` at time `now`. A gate once read binds until it is replaced or expires;
/// one that expires reopens by slices. Before the first read it is closed for `boot_wait`, then fails open (S11: losing
/// the store never turns all regions red).
pub fn answer(
    memory: &GateMemory,
    prober: Option<IpAddr>,
    now: Timestamp,
    boot_wait: Duration,
) -> GateAnswer {
    match memory {
        GateMemory::NeverRead { started_at } if now.since(*started_at) < boot_wait => GateAnswer::Waiting,
        GateMemory::NeverRead { .. } | GateMemory::Absent => GateAnswer::Open,
        GateMemory::Read(document) => {
            if lets_in(effective_percent(document, now), prober) {
                GateAnswer::Open
            } else {
                GateAnswer::Closed
            }
        }
    }
}

/// Percent of the edge locations that a document lets in at `now`, its expiry and reopening steps counted in.
pub fn effective_percent(document: &GateDocument, now: Timestamp) -> u8 {
    let bound = document.position.percent();
    if now < document.expires_at {
        return bound;
    }
    let step = Duration::from_secs(u64::from(document.reopen_step_s.max(1)));
    let steps_done =
        usize::try_from(now.since(document.expires_at).as_millis() / step.as_millis()).unwrap_or(usize::MAX);
    document.reopen_percents.get(steps_done).map_or(100, |percent| bound.max(*percent))
}

/// Whether a prober is inside the first `percent` slices. Without an address a slice is all or nothing: closed until
/// it is fully open.
pub fn lets_in(percent: u8, prober: Option<IpAddr>) -> bool {
    match (percent, prober) {
        (0, _) => false,
        (100.., _) => true,
        (_, None) => false,
        (_, Some(address)) => slice_of(address) < percent,
    }
}

/// The slice, 0 to 99, of a prober's address: a hash of its prefix (/24, or /48 for IPv6), so that one edge location
/// always falls into the same slice.
pub fn slice_of(address: IpAddr) -> u8 {
    let prefix: Vec<u8> = match address {
        IpAddr::V4(v4) => v4.octets()[..3].to_vec(),
        IpAddr::V6(v6) => {
            v6.to_ipv4_mapped().map_or_else(|| v6.octets()[..6].to_vec(), |v4| v4.octets()[..3].to_vec())
        }
    };
    let digest = Sha256::digest(&prefix);
    u8::try_from((u16::from(digest[0]) << 8 | u16::from(digest[1])) % 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(position: GatePosition) -> GateDocument {
        GateDocument {
            schema: GATE_SCHEMA,
            stamp: "eastus2".into(),
            position,
            generation: Generation { epoch: 1, n: 7 },
            heartbeat_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(14_400),
            reopen_percents: vec![5, 25, 50],
            reopen_step_s: 60,
            reason: "drill".into(),
        }
    }

    #[test]
    fn before_the_first_read_it_waits_then_fails_open() {
        let memory = GateMemory::NeverRead { started_at: Timestamp::from_secs(100) };
        let wait = Duration::from_secs(20);
        assert_eq!(answer(&memory, None, Timestamp::from_secs(119), wait), GateAnswer::Waiting);
        assert_eq!(answer(&memory, None, Timestamp::from_secs(120), wait), GateAnswer::Open);
    }

    #[test]
    fn a_closed_gate_reopens_by_slices_after_its_expiry_and_not_before() {
        let closed = document(GatePosition::Closed);
        let at = |secs| effective_percent(&closed, Timestamp::from_secs(secs));
        assert_eq!(
            [at(14_399), at(14_400), at(14_459), at(14_460), at(14_520), at(14_580)],
            [0, 5, 5, 25, 50, 100]
        );
    }

    #[test]
    fn the_slices_nest_so_a_wider_one_drops_nobody() {
        for last in 0..=255u8 {
            let prober = Some(IpAddr::from([147, 243, last, 9]));
            let admitted: Vec<bool> = [5, 25, 50, 100].iter().map(|p| lets_in(*p, prober)).collect();
            assert!(admitted.is_sorted(), "{prober:?} {admitted:?}");
        }
    }

    #[test]
    fn without_an_address_a_slice_is_all_or_nothing() {
        assert!(!lets_in(50, None));
        assert!(lets_in(100, None));
    }

    #[test]
    fn one_prefix_is_one_slice() {
        assert_eq!(slice_of(IpAddr::from([147, 243, 3, 1])), slice_of(IpAddr::from([147, 243, 3, 250])));
        let mapped: IpAddr = "::ffff:147.243.3.1".parse().unwrap();
        assert_eq!(slice_of(IpAddr::from([147, 243, 3, 1])), slice_of(mapped));
    }
}
