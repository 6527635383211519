//! Chance without a generator: each draw is a hash of the seed and of what it is about, so that one draw more, or
//! another order, changes no other draw, and the same seed is the same run.

/// What a draw is about. One value per kind, so that two kinds never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum About {
    /// The shape of the world: regions, demand, edge locations.
    World = 1,
    /// When the next incident begins.
    Gap,
    /// What an incident is.
    Incident,
    /// What of ours breaks during an incident.
    Trouble,
    /// The fate of one call of an instance to a port.
    Fate,
    /// The outcome of one synthetic request.
    Ping,
    /// How late one thing is delivered.
    Lag,
    /// Who evaluates.
    Turn,
    /// What an operator presses.
    Operator,
    /// How long Azure takes.
    Azure,
    /// Which records are judged again.
    Sample,
    /// Steps of the adversary's search.
    Search,
}

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// 64 evenly spread bits.
    pub fn bits(self, about: About, entity: u64, what: u64) -> u64 {
        mix(mix(mix(self.0 ^ 0x0C0_8D0_u64, about as u64), entity), what)
    }

    /// A number in `[0, 1)`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds exactly")]
    pub fn unit(self, about: About, entity: u64, what: u64) -> f64 {
        (self.bits(about, entity, what) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `[low, high)`.
    pub fn between(self, (low, high): (f64, f64), about: About, entity: u64, what: u64) -> f64 {
        low + (high - low) * self.unit(about, entity, what)
    }

    /// A whole number in `[low, high]`.
    pub fn whole(self, (low, high): (u64, u64), about: About, entity: u64, what: u64) -> u64 {
        low + self.bits(about, entity, what) % (high - low + 1)
    }

    /// Whether something of this probability happens.
    pub fn chance(self, probability: f64, about: About, entity: u64, what: u64) -> bool {
        probability > 0.0 && self.unit(about, entity, what) < probability
    }
}

/// One round of splitmix64 over the two.
pub fn mix(state: u64, word: u64) -> u64 {
    let mut z =
        state.wrapping_add(word.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
