//! What happens once the faults are over: from every state in which no instance is in the middle of anything, the world
//! is led to what the ledger wants, in a bounded number of evaluations.
//!
//! An instance that is in the middle of something has always a next move, and none of its moves needs another instance.
//! So from every state a state with idle instances is reached, and what holds of all of those holds of every fair story.

use super::moves::{Choice, Delivery, Move, Reads, Rules};
use super::world::{Gate, Instance, Latch, Origin, Region, Status, World};

/// Evaluations after which everything must have settled: one that folds and plans, one that folds what became of it and
/// plans what had to wait for that, for each of three origins, since Front Door takes one operation at a time.
pub const EVALUATIONS_MAX: usize = 6;

/// Whether `world`, if its instances are idle and no request is under way, settles by itself.
pub fn settles(rules: &Rules, world: &World) -> bool {
    let Some(mut world) = at_rest(world) else { return true };
    (0..EVALUATIONS_MAX).any(|_| {
        round(rules, &mut world);
        is_settled(&world)
    })
}

/// Whether an origin that stands otherwise than wanted, nothing being under way, is put right by one evaluation and one
/// operation.
pub fn origin_is_put_right(rules: &Rules, world: &World) -> bool {
    let Some(mut world) = at_rest(world) else { return true };
    let idle = world.operation.is_none() && world.inbox.is_empty() && !world.steps.iter().any(is_live);
    if !idle || world.regions.iter().filter(|region| !origin_is_right(region)).count() != 1 {
        return true;
    }
    round(rules, &mut world);
    world.regions.iter().all(origin_is_right)
}

/// The world with all faults over and one instance, if nobody is in the middle of anything.
fn at_rest(world: &World) -> Option<World> {
    let idle = world.instances.iter().all(|instance| *instance == Instance::Idle) && world.net.is_empty();
    idle.then(|| {
        World { faults: 0, decisions: 0, instances: vec![Instance::Idle], ..world.clone() }.representative()
    })
}

/// Front Door finishes, one evaluation, everything due is done, Front Door finishes.
fn round(rules: &Rules, world: &mut World) {
    let go = |world: &mut World, step: Move| {
        if let Some(next) = rules.after(world, step) {
            *world = next;
        }
    };
    go(world, Move::OperationEnds);
    go(world, Move::Evaluate(0, Choice::Stay, Reads::Fresh));
    go(world, Move::Commit(0));
    // Each step is done at most once, whatever else is due by then.
    for _ in 0..world.steps.len() {
        let moves = rules.moves(world);
        let due = moves.into_iter().find(|step| matches!(step, Move::Claim(..) | Move::Look(_)));
        let Some(due) = due else { break };
        go(world, due);
        go(world, Move::Perform(0, Delivery::Answered));
    }
    go(world, Move::OperationEnds);
}

fn is_settled(world: &World) -> bool {
    let gates_right = world
        .regions
        .iter()
        .all(|region| region.document.map_or(Gate::Open, |document| document.gate) == region.case.gate);
    let nothing_waits =
        world.operation.is_none() && world.inbox.is_empty() && !world.steps.iter().any(is_live);
    gates_right && nothing_waits && world.regions.iter().all(origin_is_right)
}

fn origin_is_right(region: &Region) -> bool {
    let wanted = if region.case.latch == Latch::Latched { region.case.origin } else { Origin::Enabled };
    region.origin == wanted
}

const fn is_live(step: &super::world::Planned) -> bool {
    matches!(step.status, Status::Pending | Status::Claimed | Status::Expired | Status::Running)
}
