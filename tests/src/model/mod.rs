//! An exhaustive check of commit, claim, fence and effect, by every interleaving within stated bounds.
//!
//! What is real: folding, planning, lint, the transition, which steps are due, what a ledger takes, when a claim holds
//! and which gate document yields are the production functions on the production types (`bridge`). What is abstracted,
//! and why nothing is lost by it:
//!
//! - `decide` and all evidence: any stamp may be called failing by any evaluation, everybody else being well at that
//!   moment; windows, budgets, velocity and approvals stand in nobody's way. That allows all that `decide` allows and
//!   more; lint alone guards the floor.
//! - Time: a claim expires, a step grows old and an operation ends at any moment. So every pause is there.
//! - Loading and reading the gates are one move, and so are loading and claiming. What happens between the two halves
//!   makes the commit or the claim fail, or is a stale read, which is a fault of its own.
//! - An effect and its report are one move unless a fault parts them. An evaluation that has not heard of it yet loaded
//!   before it, which is there.
//! - A commit that conflicts will always conflict; its instance is taken for idle at once.
//! - Slices: a gate is open or closed, and a slice is open. Suspicion, proving and operators' holds change no effect.
//! - The capacity lever: no region has one here.
//!
//! A lost reply to a commit leaves the instance idle and the commit stored, which is the state after a good one.

pub mod bridge;
pub mod moves;
pub mod repair;
pub mod world;

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use bridge::Bridge;
use moves::{Move, Rules, Sabotage};
use world::World;

/// How much is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Stamps, 2 or 3.
    pub regions: u8,
    /// Controller instances.
    pub instances: u8,
    /// Faults in one story.
    pub faults: u8,
    /// Decisions in one story that are more than going on as before: a cordon, a withdrawal, a latch, a return, a step
    /// back, a step planned anew for its age. Everything else may happen as often as it likes.
    pub decisions: u8,
}

/// The model.
pub struct Cordon {
    bounds: Bounds,
    rules: Rules,
}

impl Cordon {
    /// Within these bounds, with all rules or without one.
    pub fn new(bounds: Bounds, sabotage: Option<Sabotage>) -> Self {
        Self { bounds, rules: Rules { bridge: Bridge::new(bounds.regions), sabotage } }
    }
}

impl Model for Cordon {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let Bounds { regions, instances, faults, decisions } = self.bounds;
        vec![World::calm(regions, instances, faults, decisions).representative()]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        moves.extend(self.rules.moves(world));
    }

    fn next_state(&self, world: &World, step: Move) -> Option<World> {
        self.rules.after(world, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a gate never goes back to an older generation", |_, world: &World| {
                world.broken.is_none()
            }),
            Property::always("the world becomes as the ledger wants it", |model: &Self, world: &World| {
                repair::settles(&model.rules, world)
            }),
            Property::always(
                "one evaluation and one operation put an origin right",
                |model: &Self, world: &World| repair::origin_is_put_right(&model.rules, world),
            ),
            Property::always("at least one region stays effective", |_, world: &World| {
                (0..world.regions.len()).any(|region| world.is_effective(region))
            }),
        ]
    }
}

/// What a check came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// States generated, repeated ones included.
    pub generated: usize,
    /// Longest shortest way to a state.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// What was violated, each with a shortest story that leads there.
    pub violations: Vec<(String, String)>,
}

/// Explores everything within the bounds, or until a property is seen to be violated.
pub fn check(bounds: Bounds, sabotage: Option<Sabotage>) -> Report {
    check_to(usize::MAX, bounds, sabotage)
}

/// The same for every story of at most `depth` moves, where all of them are too many.
pub fn check_to(depth: usize, bounds: Bounds, sabotage: Option<Sabotage>) -> Report {
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = Cordon::new(bounds, sabotage)
        .checker()
        .threads(threads)
        .target_max_depth(depth)
        .finish_when(HasDiscoveries::Any)
        .spawn_bfs()
        .join();
    let mut violations: Vec<(String, String)> = checker
        .discoveries()
        .into_iter()
        .map(|(property, path)| {
            let story: Vec<String> = path
                .into_vec()
                .into_iter()
                .map(|(world, step)| match step {
                    Some(step) => format!("{world}\n  then {step:?}"),
                    None => world.to_string(),
                })
                .collect();
            (property.to_owned(), story.join("\n"))
        })
        .collect();
    violations.sort();
    Report {
        states: checker.unique_state_count(),
        generated: checker.state_count(),
        depth: checker.max_depth(),
        took: started.elapsed(),
        violations,
    }
}
