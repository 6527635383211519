//! Chance without a generator: each draw is a hash of the seed and of what it is about, so that asking for one draw
//! more, or in another order, changes no other draw.

/// What a draw is about. One value per kind, so that two kinds never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum About {
    /// Weight of a location among those of its home stamp.
    PopWeight = 1,
    /// Latency from a location to a stamp.
    PopLatency,
    /// When in its interval a location probes.
    ProbePhase,
    /// Whether one probe fails under a partial fault.
    ProbeFate,
    /// Time the control plane takes for a Front Door operation.
    ControlPlane,
    /// Time until one location obeys a Front Door operation.
    Propagation,
    /// Time an instance needs to start.
    InstanceStart,
    /// Time an instance needs to come back after its region did.
    InstanceRestart,
    /// When in its interval the autoscale engine runs.
    EnginePhase,
    /// Fate of one synthetic request.
    SyntheticRequest,
    /// Delay of one minute of one metric.
    MetricLag,
    /// Delay of one batch of probe records.
    ProbeLogLag,
    /// Delay of a Service Health communication.
    ServiceHealthLag,
    /// Identifiers that Azure would make up.
    Identifier,
    /// Second-by-second noise of the demand.
    DemandNoise,
    /// Shape of an incident of the fleet: each of its figures has a number of its own.
    FleetIncident,
    /// Fate of one synthetic request in the fleet.
    FleetPing,
    /// Delay until a stamp of the fleet has read its new gate document.
    FleetGateRead,
}

/// The seed of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    /// 64 evenly spread bits.
    pub(crate) fn bits(self, about: About, entity: u64, what: u64) -> u64 {
        mix(mix(mix(self.0 ^ 0x5EED_C0DE, about as u64), entity), what)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(self, about: About, entity: u64, what: u64) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.bits(about, entity, what) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `[low, high)`.
    pub(crate) fn between(self, (low, high): (f64, f64), about: About, entity: u64, what: u64) -> f64 {
        low + (high - low) * self.unit(about, entity, what)
    }

    /// A whole number of seconds in `[low, high]`.
    pub(crate) fn seconds(self, (low, high): (u32, u32), about: About, entity: u64, what: u64) -> u32 {
        low + (self.bits(about, entity, what) % u64::from(high - low + 1)) as u32
    }

    /// A GUID of version 4's form.
    pub(crate) fn guid(self, entity: u64, what: u64) -> String {
        let a = self.bits(About::Identifier, entity, what);
        let b = self.bits(About::Identifier, entity ^ 0xA5A5, what);
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xFFFF,
            a & 0xFFF,
            b >> 52,
            b & 0xFFFF_FFFF_FFFF
        )
    }
}

/// The number that stands for a name in a draw (FNV-1a).
pub(crate) fn entity(name: &str) -> u64 {
    name.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

/// One round of splitmix64 over the two.
fn mix(state: u64, word: u64) -> u64 {
    let mut z =
        state.wrapping_add(word.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_entity_and_matter_only() {
        let seed = Seed(7);
        let draw = seed.bits(About::PopWeight, 1, 2);
        assert_eq!(draw, Seed(7).bits(About::PopWeight, 1, 2));
        assert_ne!(draw, Seed(8).bits(About::PopWeight, 1, 2));
        assert_ne!(draw, seed.bits(About::PopWeight, 2, 1));
        assert_ne!(draw, seed.bits(About::PopLatency, 1, 2));
    }

    #[test]
    fn draws_are_even_and_bounded() {
        let seed = Seed(3);
        let mean = (0..10_000).map(|n| seed.unit(About::DemandNoise, 1, n)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!(
            (0..1_000)
                .map(|n| seed.seconds((60, 180), About::MetricLag, 1, n))
                .all(|s| (60..=180).contains(&s))
        );
    }
}
