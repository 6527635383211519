//! What was not done instead, and why not: for the stamps about which something was decided.

use serde::{Deserialize, Serialize};

use crate::assess::{Assessment, Condition};
use crate::decide::{Action, HoldReason, WaitReason};
use crate::explanation::{After, takes_more_out};
use crate::state::{Stage, StampCase};
use crate::{EnabledState, GatePosition, StampId, Timestamp};

/// Something that could have been done about a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// Nothing.
    DoNothing,
    /// Take all of it out.
    Cordon,
    /// Take it out for part of the edge locations.
    PartialEvacuation,
    /// Only let the others grow.
    PreScaleOnly,
    /// Open it at once.
    EmergencyReturn,
    /// Disable its origin as well.
    Latch,
    /// Let it back in now, all of it.
    ReturnNow,
}

/// Why it was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum WhyNot {
    /// A rule or a person forbids it.
    Forbidden {
        /// Which.
        reason: HoldReason,
    },
    /// No rule says yet that it fails.
    NotConfirmed,
    /// It is full, not dead: taking it out would make the others full.
    FullNotDead,
    /// Requests would go on failing.
    GoesOnFailing {
        /// Per second.
        rps: f64,
    },
    /// Front Door has moved its load, and would bring it back to a stamp that is only half alive.
    ComesBackHalfAlive,
    /// The survivors can carry all of it.
    SurvivorsCarryAll,
    /// The survivors cannot carry it.
    SurvivorsShort {
        /// Requests per second that would be one too many for them.
        rps: f64,
    },
    /// It fails what it gets, however large the others are.
    StillFails,
    /// Something else serves, and is not failing.
    SomethingServes,
    /// Our own probes do not see it healthy.
    NotHealthy,
    /// Not yet.
    TooSoon {
        /// When.
        until: Option<Timestamp>,
    },
    /// Each slice is watched before the next opens.
    WatchedFirst,
    /// Nothing asks for it.
    Unneeded,
}

/// One rejected alternative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// About which stamp.
    pub stamp: StampId,
    /// What.
    pub alternative: Alternative,
    /// Why not.
    pub why: WhyNot,
}

/// The alternatives that were rejected. Nothing is said of a stamp that serves and about which nothing was decided.
pub(crate) fn rejected(after: &After<'_>) -> Vec<Rejected> {
    let told = after.told();
    told.flat_map(|(stamp, case)| {
        of_stamp(after, stamp, case).into_iter().map(|(alternative, why)| Rejected {
            stamp: stamp.clone(),
            alternative,
            why,
        })
    })
    .collect()
}

fn of_stamp(after: &After<'_>, stamp: &StampId, case: &StampCase) -> Vec<(Alternative, WhyNot)> {
    use Alternative::{DoNothing, EmergencyReturn};
    let assessment = &after.decision.assessments[stamp];
    let mut found = match case.stage {
        Stage::Serving | Stage::Suspect | Stage::Held => in_rotation(after, stamp, assessment),
        Stage::Evacuating => leaving(after, stamp, case, assessment),
        Stage::Cordoned | Stage::Proving => out(after, stamp, case, assessment),
        Stage::Readmitting => vec![(Alternative::ReturnNow, WhyNot::WatchedFirst)],
    };
    let action = after.action(stamp);
    if takes_more_out(action) || matches!(action, Action::StepBack { .. }) {
        found.insert(0, (DoNothing, after.if_left(stamp)));
    }
    let is_back = *action == Action::EmergencyReturn || case.gate == GatePosition::Open;
    if case.stage != Stage::Held && case.decided_at.is_some() && !is_back {
        let healthy = assessment.direct_healthy();
        let why = if healthy { WhyNot::SomethingServes } else { WhyNot::NotHealthy };
        found.push((EmergencyReturn, why));
    }
    found
}

fn in_rotation(after: &After<'_>, stamp: &StampId, assessment: &Assessment) -> Vec<(Alternative, WhyNot)> {
    let why = match after.action(stamp) {
        Action::Hold { reason } => WhyNot::Forbidden { reason: *reason },
        Action::Clear => WhyNot::Unneeded,
        _ if matches!(assessment.condition, Condition::Overloaded { .. }) => WhyNot::FullNotDead,
        _ => WhyNot::NotConfirmed,
    };
    let mut found = vec![(Alternative::Cordon, why), (Alternative::PartialEvacuation, why)];
    // With an alert standing they do grow, if the mode lets them.
    if !assessment.platform_active {
        found.push((Alternative::PreScaleOnly, WhyNot::Unneeded));
    }
    found
}

fn leaving(
    after: &After<'_>,
    stamp: &StampId,
    case: &StampCase,
    assessment: &Assessment,
) -> Vec<(Alternative, WhyNot)> {
    let short = WhyNot::SurvivorsShort { rps: after.shortfall_rps(stamp) };
    let mut found = Vec::new();
    match (after.action(stamp), case.gate) {
        (Action::Hold { reason }, _) => {
            found.push((Alternative::Cordon, WhyNot::Forbidden { reason: *reason }));
        }
        (Action::CloseByOverride, _) => found.push((Alternative::PartialEvacuation, WhyNot::StillFails)),
        (_, GatePosition::Closed) => {
            let all = if assessment.is_dropped_by_front_door() {
                WhyNot::StillFails
            } else {
                WhyNot::SurvivorsCarryAll
            };
            found.push((Alternative::PartialEvacuation, all));
        }
        (_, GatePosition::Slice(_)) => found.push((Alternative::Cordon, short)),
        (_, GatePosition::Open) => {
            found.extend([(Alternative::Cordon, short), (Alternative::PartialEvacuation, short)]);
        }
    }
    found.push((Alternative::PreScaleOnly, WhyNot::StillFails));
    found.push((Alternative::Latch, WhyNot::TooSoon { until: after.latch_due(stamp) }));
    found
}

fn out(
    after: &After<'_>,
    stamp: &StampId,
    case: &StampCase,
    assessment: &Assessment,
) -> Vec<(Alternative, WhyNot)> {
    let ruling = after.decision.rulings.get(stamp);
    let next_at = ruling.and_then(|ruling| ruling.next_at);
    let action = after.action(stamp);
    let back = match action {
        Action::Hold { reason } if case.stage == Stage::Proving => WhyNot::Forbidden { reason: *reason },
        _ if !assessment.is_recovering() => WhyNot::NotHealthy,
        Action::Wait { on: WaitReason::Window | WaitReason::OriginSettled | WaitReason::Stagger } => {
            WhyNot::TooSoon { until: next_at }
        }
        _ => WhyNot::TooSoon { until: None },
    };
    let mut found = vec![(Alternative::ReturnNow, back)];
    if case.latched_at.is_none() && case.origin == EnabledState::Enabled {
        let latch = match action {
            Action::Hold { reason } if case.stage == Stage::Cordoned => WhyNot::Forbidden { reason: *reason },
            _ if assessment.is_recovering() => WhyNot::Unneeded,
            _ => WhyNot::TooSoon { until: after.latch_due(stamp) },
        };
        found.push((Alternative::Latch, latch));
    }
    found
}
