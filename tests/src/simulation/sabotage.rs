//! Deliberately broken controllers: one for each property, broken at a port between judgement and world, never in the
//! production code. Each must be caught by the checker of its name.

use std::time::Duration;

use adapters::LedgerView;
use domain::{GateDocument, GatePosition, Transition};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Whatever closes one gate closes all of them.
    Floor,
    /// The gate store takes any generation, and writes overtake each other.
    Generations,
    /// Every claim is granted, without being stored.
    Effects,
    /// One of three records is left out of its commit.
    Audit,
    /// The ledger shows every gate as open, so that nothing is masked.
    Masked,
    /// Gates bind for days.
    GateLife,
    /// Records are changed after they were sealed.
    Chain,
    /// No window ever ends.
    Convergence,
    /// The ledger forgets earlier cordons.
    Flaps,
    /// Every survivor looks as if it had sixty instances.
    Overload,
    /// ARM's answers carry no date.
    Clock,
}

impl Sabotage {
    /// Every one, with the name of the checker that must catch it and the seeds within which it does, each a year long.
    pub const ALL: [(Self, &'static str, u64); 11] = [
        (Self::Floor, "floor", 2),
        (Self::Generations, "generations", 2),
        (Self::Effects, "effects", 2),
        (Self::Audit, "audit", 2),
        (Self::Masked, "masked", 2),
        (Self::GateLife, "gate-life", 6),
        (Self::Chain, "chain", 2),
        (Self::Convergence, "convergence", 2),
        (Self::Flaps, "flaps", 6),
        (Self::Overload, "overload", 6),
        (Self::Clock, "clock", 6),
    ];

    /// By the name of its checker.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, checker, _)| *checker == name).map(|(sabotage, ..)| sabotage)
    }

    /// The checker that must catch it.
    pub fn checker(self) -> &'static str {
        Self::ALL.iter().find(|(sabotage, ..)| *sabotage == self).map_or("none", |(_, checker, _)| checker)
    }

    /// What the ledger shows.
    pub(super) fn show(self, view: &mut LedgerView) {
        let Some(state) = &mut view.state else { return };
        match self {
            Self::Masked => {
                for case in state.cases.values_mut() {
                    case.gate = GatePosition::Open;
                    case.edge_from = None;
                    case.traffic_from = None;
                }
            }
            Self::Convergence => {
                state
                    .cases
                    .values_mut()
                    .flat_map(|case| &mut case.window)
                    .for_each(|run| run.needs_s = 1 << 30);
            }
            Self::Flaps => state.cases.values_mut().for_each(|case| case.auto_cordons.clear()),
            Self::Overload => state.load.values_mut().for_each(|load| load.ready_instances = 60),
            _ => {}
        }
    }

    /// What is committed instead.
    pub(super) fn tamper(self, transition: &Transition, before: (u64, &str)) -> Option<Transition> {
        let record = transition.audit.as_ref()?;
        let mut changed = transition.clone();
        match self {
            Self::Audit if record.generation.n.is_multiple_of(3) => {
                changed.audit = None;
                changed.state.audit_seq = before.0;
                changed.state.audit_head = before.1.to_owned();
            }
            Self::Chain => changed.audit.iter_mut().for_each(|record| record.headline.push_str(", all well")),
            _ => return None,
        }
        Some(changed)
    }

    /// The gate document that is written instead.
    pub(super) fn gate(self, document: &GateDocument) -> GateDocument {
        let days = Duration::from_secs(if self == Self::GateLife { 2 * 86_400 } else { 0 });
        GateDocument { expires_at: document.expires_at + days, ..document.clone() }
    }
}
