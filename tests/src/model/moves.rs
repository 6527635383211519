//! What can happen next, in any order: each instance goes on from where it is, Front Door works, and faults strike.

use adapters::memory::rules::{self, Judgement as Verdict};
use domain::Generation;

use super::bridge::{Bridge, Parent, View, has_lost_attempt};
use super::world::{
    ATTEMPTS_MAX, Broken, Claim, Commit, Document, Gate, Instance, Key, Kind, Latch, Operation, Origin,
    Outcome, Planned, Stage, Status, Told, World,
};

/// What an evaluation decides, beyond what follows by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Choice {
    /// Nothing new.
    Stay,
    /// Nothing new, and so long after the last one that what waits has to be planned anew (S5).
    Late,
    /// Nothing new, and so long after the last one that closed gates are half over.
    Renew,
    /// A region is taken out.
    Cordon(u8),
    /// A cordon is given up before it took effect.
    Withdraw(u8),
    /// A region that is out has its origin disabled.
    Latch(u8),
    /// The origin of a region that is out is wanted enabled again.
    Enable(u8),
    /// A region is let back; with its origin still disabled: the emergency return.
    Return(u8),
    /// A region on its way back is taken out again.
    StepBack(u8),
}

impl Choice {
    /// The region that it is about.
    pub const fn region(self) -> Option<u8> {
        match self {
            Self::Stay | Self::Late | Self::Renew => None,
            Self::Cordon(region)
            | Self::Withdraw(region)
            | Self::Latch(region)
            | Self::Enable(region)
            | Self::Return(region)
            | Self::StepBack(region) => Some(region),
        }
    }

    /// Whether it counts as a decision: only going on as before does not.
    const fn is_news(self) -> bool {
        !matches!(self, Self::Stay)
    }
}

/// What an evaluation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reads {
    /// The world as it is.
    Fresh,
    /// One gate as it was before the last write.
    OlderGate(u8),
    /// One origin otherwise than it is: a fact from before a change.
    OlderOrigin(u8),
}

/// What becomes of a request to an actuator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// Carried out and answered.
    Answered,
    /// Carried out, and the answer is lost.
    ReplyLost,
    /// Not heard of for so long that the sender gives up; it arrives at some time.
    Delayed,
    /// Carried out, and the instance dies before it says so; the claim's deadline passes.
    Unreported,
}

/// One thing that happens. Instances are named by their place in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Move {
    /// An idle instance loads, reads the gates, folds, decides, plans and lints.
    Evaluate(usize, Choice, Reads),
    /// It commits what it judged.
    Commit(usize),
    /// It claims a step: the fence.
    Claim(usize, Key),
    /// It does what it claimed: the effect.
    Perform(usize, Delivery),
    /// An idle instance looks at the operation of a running step, which needs no claim, and writes down what it saw.
    Look(Key),
    /// It dies between the fence and the effect; the claim's deadline passes.
    Crash(usize),
    /// It is paused between the fence and the effect for so long that the claim's deadline passes; it will go on.
    Pause(usize),
    /// Front Door's operation ends.
    OperationEnds,
    /// Front Door forgets the operation.
    OperationLost,
    /// A delayed request arrives.
    Arrive(Key),
}

/// A rule that is left out, to see that the checker notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sabotage {
    /// Steps are done without being claimed.
    NoFence,
    /// The gate store takes any generation.
    NoGenerationCheck,
    /// The ledger takes a commit whatever it builds on.
    NoParentCheck,
    /// What a step should have done is believed, not read back.
    NoReRead,
    /// A void step is forgotten although an attempt of it may still be under way.
    NoMemoryOfLostAttempts,
}

/// The rules of the moves.
pub struct Rules {
    /// The way to the production rules.
    pub bridge: Bridge,
    /// What is left out.
    pub sabotage: Option<Sabotage>,
}

impl Rules {
    /// What can happen in `world`.
    pub fn moves(&self, world: &World) -> Vec<Move> {
        let mut moves = Vec::new();
        let due = self.bridge.due(world);
        for (index, instance) in world.instances.iter().enumerate() {
            // Instances that are in the middle of the same are one.
            if index > 0 && world.instances[index - 1] == *instance {
                continue;
            }
            match instance {
                Instance::Idle => self.idle_moves(world, index, &due, &mut moves),
                Instance::Judged(_) => moves.push(Move::Commit(index)),
                Instance::Holding { claim, .. } => {
                    moves.push(Move::Perform(index, Delivery::Answered));
                    if world.faults > 0 {
                        moves.push(Move::Crash(index));
                        if *claim == Claim::Newest {
                            moves.push(Move::Perform(index, Delivery::ReplyLost));
                            moves.push(Move::Perform(index, Delivery::Delayed));
                            moves.push(Move::Perform(index, Delivery::Unreported));
                            moves.push(Move::Pause(index));
                        }
                    }
                }
            }
        }
        if world.operation.is_some() {
            moves.push(Move::OperationEnds);
            if world.faults > 0 {
                moves.push(Move::OperationLost);
            }
        }
        moves.extend(world.net.iter().map(|key| Move::Arrive(*key)));
        moves
    }

    fn idle_moves(&self, world: &World, index: usize, due: &[Key], moves: &mut Vec<Move>) {
        for choice in choices(world) {
            moves.push(Move::Evaluate(index, choice, Reads::Fresh));
            if world.faults == 0 {
                continue;
            }
            for (region, found) in (0_u8..).zip(&world.regions) {
                if found.older.is_some() {
                    moves.push(Move::Evaluate(index, choice, Reads::OlderGate(region)));
                }
                // Facts of an origin that we never changed have no older value to be confused with.
                if found.case.latch == Latch::Latched || found.origin == Origin::Disabled {
                    moves.push(Move::Evaluate(index, choice, Reads::OlderOrigin(region)));
                }
            }
        }
        for key in due {
            let Some(step) = world.step(*key) else { continue };
            if step.status != Status::Running {
                moves.push(Move::Claim(index, *key));
            } else if world.operation.is_none_or(|operation| operation.step != Some(*key)) {
                moves.push(Move::Look(*key));
            }
        }
    }

    /// The world after a move; none if the move changes nothing.
    pub fn after(&self, world: &World, step: Move) -> Option<World> {
        let mut next = world.clone();
        match step {
            Move::Evaluate(index, choice, reads) => {
                let commit = self.bridge.evaluate(self.view(world, reads)?, choice)?;
                next.faults -= u8::from(reads != Reads::Fresh);
                next.decisions -= u8::from(choice.is_news());
                next.instances[index] = Instance::Judged(commit);
            }
            Move::Commit(index) => self.commit(&mut next, index),
            Move::Claim(index, key) => self.claim(&mut next, index, key),
            Move::Perform(index, delivery) => self.perform(&mut next, index, delivery),
            Move::Look(key) => {
                let result = if self.stands(world, key) { Told::Done } else { Told::Failed };
                next.inbox.push(Outcome { key, result });
            }
            Move::Crash(index) | Move::Pause(index) => {
                let Instance::Holding { key, claim } = next.instances[index] else { return None };
                next.faults -= 1;
                if claim == Claim::Newest {
                    next.expire(key);
                    self.drop_conflicting(&mut next, &[]);
                }
                if matches!(step, Move::Crash(_)) {
                    next.instances[index] = Instance::Idle;
                }
            }
            Move::OperationEnds => {
                let operation = next.operation.take()?;
                next.regions[usize::from(operation.region)].origin = operation.origin;
            }
            Move::OperationLost => {
                next.faults -= 1;
                next.operation = None;
            }
            Move::Arrive(key) => {
                let place = next.net.iter().position(|waiting| *waiting == key)?;
                next.net.remove(place);
                self.deliver(&mut next, key, Claim::Lost);
            }
        }
        self.forget_what_is_over(&mut next);
        let next = next.representative();
        (next != *world).then_some(next)
    }

    /// What an evaluation reads of the world.
    pub fn view(&self, world: &World, reads: Reads) -> Option<View> {
        let mut view = View {
            head: world.head,
            cases: world.regions.iter().map(|region| region.case).collect(),
            steps: world.steps.clone(),
            inbox: world.inbox.clone(),
            documents: world.regions.iter().map(|region| region.document).collect(),
            origins: world.regions.iter().map(|region| region.origin).collect(),
            older_origin: None,
            updating: world.operation.map(|operation| operation.region),
        };
        match reads {
            Reads::Fresh => {}
            Reads::OlderGate(region) => {
                view.documents[usize::from(region)] = world.regions[usize::from(region)].older?;
            }
            Reads::OlderOrigin(region) => {
                view.older_origin = Some(region);
                let origin = &mut view.origins[usize::from(region)];
                *origin = match origin {
                    Origin::Enabled => Origin::Disabled,
                    Origin::Disabled => Origin::Enabled,
                };
            }
        }
        if self.sabotage == Some(Sabotage::NoReRead) {
            self.believe(world, &mut view);
        }
        Some(view)
    }

    /// Sabotage: an origin is believed to be what was asked for last.
    fn believe(&self, world: &World, view: &mut View) {
        for (region, origin) in (0_u8..).zip(&mut view.origins) {
            let asks =
                |step: &&Planned| step.key.region == region && matches!(step.key.kind, Kind::Origin(_));
            if !world.steps.iter().any(|step| asks(&step)) {
                *origin = view.cases[usize::from(region)].origin;
            }
        }
    }

    fn commit(&self, world: &mut World, index: usize) {
        let Instance::Judged(commit) = std::mem::replace(&mut world.instances[index], Instance::Idle) else {
            return;
        };
        if self.bridge.judge(&commit, world, &[], self.parent()) != Verdict::Write {
            return;
        }
        world.head = commit.parent + 1;
        for (region, case) in &commit.cases {
            world.regions[usize::from(*region)].case = *case;
        }
        world.inbox.retain(|outcome| !commit.consumed.contains(outcome));
        world.steps.retain(|step| !commit.forgotten.contains(&step.key));
        for write in &commit.writes {
            match world.steps.iter_mut().find(|step| step.key == write.key) {
                Some(step) => *step = *write,
                None => world.steps.push(*write),
            }
        }
        let written: Vec<Key> = commit.writes.iter().map(|write| write.key).collect();
        self.drop_conflicting(world, &written);
    }

    /// The fence. Loading and claiming are one move: a claim holds only if the step is as it was loaded.
    fn claim(&self, world: &mut World, index: usize, key: Key) {
        if self.sabotage == Some(Sabotage::NoFence) {
            world.instances[index] = Instance::Holding { key, claim: Claim::Newest };
            return;
        }
        world.make_late(key);
        for step in world.steps.iter_mut().filter(|step| step.key == key) {
            debug_assert!(rules::claim_holds(Some(1), 1));
            step.status = Status::Claimed;
            step.attempts = (step.attempts + 1).min(ATTEMPTS_MAX);
        }
        world.instances[index] = Instance::Holding { key, claim: Claim::Newest };
        self.drop_conflicting(world, &[key]);
    }

    fn perform(&self, world: &mut World, index: usize, delivery: Delivery) {
        let Instance::Holding { key, claim } = world.instances[index] else { return };
        let result = match delivery {
            Delivery::Answered => self.deliver(world, key, claim),
            Delivery::ReplyLost => {
                world.faults -= 1;
                self.deliver(world, key, Claim::Lost);
                Told::Retry
            }
            Delivery::Delayed => {
                world.faults -= 1;
                world.net.push(key);
                Told::Retry
            }
            Delivery::Unreported => {
                world.faults -= 1;
                self.deliver(world, key, Claim::Lost);
                world.expire(key);
                world.instances[index] = Instance::Idle;
                return;
            }
        };
        world.instances[index] = Instance::Idle;
        if claim == Claim::Newest {
            world.inbox.push(Outcome { key, result });
        }
    }

    /// The actuator's own rules.
    fn deliver(&self, world: &mut World, key: Key, claim: Claim) -> Told {
        match key.kind {
            Kind::Gate(gate) => self.write_gate(world, key, gate),
            Kind::Origin(origin) => patch_origin(world, key, origin, claim),
        }
    }

    fn write_gate(&self, world: &mut World, key: Key, gate: Gate) -> Told {
        let region = &mut world.regions[usize::from(key.region)];
        let number = |rank: u8| Generation { epoch: 1, n: u64::from(rank) };
        let in_force = region.document.map(|document| number(document.generation));
        let checked = self.sabotage != Some(Sabotage::NoGenerationCheck);
        if checked && rules::gate_yields(in_force, number(key.generation)) {
            return Told::Failed;
        }
        if region.document.is_some_and(|document| document.generation > key.generation) {
            world.broken = Some(Broken::GateWentBack);
        }
        region.older = Some(region.document);
        region.document = Some(Document { gate, generation: key.generation });
        Told::Done
    }

    /// After an operation: read back, and believe only that.
    fn stands(&self, world: &World, key: Key) -> bool {
        let read = world.regions[usize::from(key.region)].origin;
        self.sabotage == Some(Sabotage::NoReRead) || key.kind == Kind::Origin(read)
    }

    fn parent(&self) -> Parent {
        if self.sabotage == Some(Sabotage::NoParentCheck) { Parent::Ignored } else { Parent::Compared }
    }

    /// Generations and versions only rise and a consumed item never comes back, so a commit that conflicts now always
    /// will: whoever is about to make it will load again, which is what an idle instance does.
    fn drop_conflicting(&self, world: &mut World, bumped: &[Key]) {
        for index in 0..world.instances.len() {
            let Instance::Judged(commit) = &world.instances[index] else { continue };
            if self.conflicts(commit, world, bumped) {
                world.instances[index] = Instance::Idle;
            }
        }
    }

    fn conflicts(&self, commit: &Commit, world: &World, bumped: &[Key]) -> bool {
        self.bridge.judge(commit, world, bumped, self.parent()) != Verdict::Write
    }

    /// What is over is forgotten at once unless a rule still asks for it; what is said about it is late.
    fn forget_what_is_over(&self, world: &mut World) {
        for step in world.steps.clone().iter().filter(|step| is_over(step)) {
            world.make_late(step.key);
        }
        let forgetful = self.sabotage == Some(Sabotage::NoMemoryOfLostAttempts);
        let kept = |step: &Planned| !is_over(step) || (!forgetful && self.may_matter(world, *step));
        let steps: Vec<Planned> = world.steps.iter().copied().filter(kept).collect();
        world.steps = steps;
    }

    /// Whether a rule still asks for a step that is over: an attempt of it was never heard of, and may still arrive or
    /// has left its mark.
    fn may_matter(&self, world: &World, step: Planned) -> bool {
        let region = &world.regions[usize::from(step.key.region)];
        match step.key.kind {
            Kind::Gate(_) => {
                let names_the_newest = world.faults > 0
                    && region.older.is_some()
                    && step.status == Status::Done
                    && region.document.is_some_and(|document| document.generation == step.key.generation);
                // The ledger remembers a step for an hour, and no replica lags for as long: what an older read would still
                // be held against is not forgotten while there can be one.
                let older = region.older.filter(|_| world.faults > 0);
                names_the_newest
                    || [Some(region.document), older]
                        .into_iter()
                        .flatten()
                        .any(|document| self.bridge.may_move_the_gate(step, document))
            }
            Kind::Origin(origin) => {
                let under_way = world.net.contains(&step.key)
                    || world.operation.is_some_and(|operation| operation.region == step.key.region)
                    || world.instances.iter().any(
                        |instance| matches!(instance, Instance::Holding { key, .. } if *key == step.key),
                    );
                has_lost_attempt(step) && (under_way || region.origin == origin)
            }
        }
    }
}

/// Done, failed or void.
pub const fn is_over(step: &Planned) -> bool {
    matches!(step.status, Status::Done | Status::Failed | Status::Void)
}

/// Front Door: one operation at a time, no ETag, never the last enabled origin.
fn patch_origin(world: &mut World, key: Key, origin: Origin, claim: Claim) -> Told {
    let region = usize::from(key.region);
    let updating = world.operation.is_some_and(|operation| operation.region == key.region);
    if world.regions[region].origin == origin {
        return if updating { Told::Retry } else { Told::Done };
    }
    if world.operation.is_some() {
        return Told::Retry;
    }
    let another_enabled = (0..world.regions.len())
        .any(|other| other != region && world.regions[other].origin == Origin::Enabled);
    if origin == Origin::Disabled && !another_enabled {
        return Told::Failed;
    }
    let step = (claim == Claim::Newest).then_some(key);
    world.operation = Some(Operation { region: key.region, origin, step });
    Told::Accepted
}

/// Every choice that some view of some evidence may lead to; `Bridge::evaluate` and lint refuse what they must.
fn choices(world: &World) -> Vec<Choice> {
    let mut choices = vec![Choice::Stay];
    if world.decisions == 0 {
        return choices;
    }
    if world.steps.iter().any(|step| step.status == Status::Pending) {
        choices.push(Choice::Late);
    }
    for (region, found) in (0_u8..).zip(&world.regions) {
        choices.extend(match found.case.stage {
            Stage::Serving => vec![Choice::Cordon(region)],
            Stage::Leaving => vec![Choice::Withdraw(region)],
            Stage::Out => vec![Choice::Return(region), Choice::Latch(region), Choice::Enable(region)],
            Stage::Returning => vec![Choice::StepBack(region)],
        });
    }
    choices
}
