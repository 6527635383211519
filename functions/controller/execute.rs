//! One step at a time: claim, effect, outcome. Contains no policy: what is wanted was decided and committed before.

use std::time::Duration;

use adapters::azure::arm::{Accepted, ArmError, OperationStatus, OperationUrl, ResourceId};
use adapters::azure::{Change, ProvisioningState, autoscale, front_door};
use adapters::{ClaimOutcome, GateWrite};
use domain::facts::StampFacts;
use domain::gate::GATE_SCHEMA;
use domain::state::WorkloadState;
use domain::{
    Effect, EnabledState, FailureCode, GateDocument, InboxItem, ItemBody, ItemId, StampId, Step, StepOutcome,
    StepResult, StepStatus, StoredStep, Timestamp,
};

use super::evaluate::Evaluation;
use super::{Controller, ControllerError, epoch, floor, throughput};

/// Wait after an actuator could not be reached.
const UNREACHABLE_WAIT: Duration = Duration::from_secs(15);
/// Wait after a 409 or 429 without `Retry-After`: Front Door's operations take minutes.
const BUSY_WAIT: Duration = Duration::from_secs(20);
/// Wait between two looks at an operation without `Retry-After`.
const POLL_WAIT: Duration = Duration::from_secs(10);
/// The longest that a `Retry-After` is believed.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Executes every step that is due; returns how many outcomes it wrote.
///
/// `state` and `steps` are the ledger as this evaluation read or committed it. Whatever has changed since has another
/// version, and the claim of it is lost.
pub(super) async fn execute_due(
    controller: &Controller,
    state: &WorkloadState,
    steps: &[StoredStep],
    done: &mut Evaluation,
) -> Result<usize, ControllerError> {
    let workload = &controller.policy.workload.name;
    let now = controller.clock.now();
    let due = domain::plan::due(steps, state, &controller.policy, now);
    if due.is_empty() || !epoch::stands(controller, state).await? {
        return Ok(0);
    }
    let mut outcomes = 0;
    for stored in due {
        // The effects before this one take their time: what was due then may have grown too old meanwhile (S5).
        let now = controller.clock.now();
        if domain::plan::due(std::slice::from_ref(stored), state, &controller.policy, now).is_empty() {
            continue;
        }
        let Some(outcome) = advance(controller, stored, state, now).await? else { continue };
        done.executed += 1;
        let result =
            serde_json::to_value(&outcome.result).map(|value| value["result"].clone()).unwrap_or_default();
        tracing::info!(step = %outcome.step, result = %result, "{}", domain::explain::effect(&stored.step.effect));
        let id =
            ItemId::new(format!("outcome:{}:{}:{}", outcome.step, outcome.attempt, outcome.at.as_millis()));
        let item = InboxItem { id, event_at: now, received_at: now, body: ItemBody::Outcome { outcome } };
        outcomes += controller.ledger.append(workload, &[item]).await?;
    }
    Ok(outcomes)
}

/// A running operation is looked at; anything else is claimed, which is the fence, and then done.
async fn advance(
    controller: &Controller,
    stored: &StoredStep,
    state: &WorkloadState,
    now: Timestamp,
) -> Result<Option<StepOutcome>, ControllerError> {
    let outcome =
        |step: &Step, result| StepOutcome { step: step.id.clone(), attempt: step.attempts, at: now, result };
    if let StepStatus::Running { operation, .. } = &stored.step.status {
        let result = look_at(controller, &stored.step, operation, state, now).await;
        return Ok(Some(outcome(&stored.step, result)));
    }
    let claimed = Step {
        attempts: stored.step.attempts + 1,
        status: StepStatus::Claimed {
            owner: controller.instance.clone(),
            deadline: now + controller.policy.limits.claim.get(),
        },
        ..stored.step.clone()
    };
    let workload = &controller.policy.workload.name;
    let ClaimOutcome::Claimed(ours) = controller.ledger.replace_step(workload, stored, &claimed).await?
    else {
        return Ok(None);
    };
    // No effect starts that could outlive the claim. A step left like this is taken over after the deadline.
    let now = controller.clock.now();
    if matches!(ours.step.status, StepStatus::Claimed { deadline, .. } if deadline <= now) {
        tracing::warn!(step = %ours.step.id, "the claim ran out before the effect began; nothing was done");
        return Ok(None);
    }
    let result = perform(controller, &ours.step, state, now).await;
    Ok(Some(outcome(&ours.step, result)))
}

async fn perform(controller: &Controller, step: &Step, state: &WorkloadState, now: Timestamp) -> StepResult {
    let Some(stamp) = state.topology.stamps.get(step.effect.stamp()) else {
        return failed(FailureCode::NotFound, "the stamp is not in the topology any more");
    };
    match &step.effect {
        Effect::SetGate { .. } => set_gate(controller, step, now).await,
        Effect::SetOrigin { enabled, .. } => set_origin(controller, stamp, *enabled, now).await,
        Effect::RaiseFloor { minimum, until, .. } => {
            raise_floor(controller, stamp, *minimum, *until, now).await
        }
        Effect::RestoreFloor { recorded, .. } => restore_floor(controller, stamp, *recorded, now).await,
        Effect::RaiseThroughput { resource, before, maximum, .. } => {
            let tried = throughput::Tried::of(step);
            throughput::raise(controller, resource, (*before, *maximum), tried, now).await
        }
        Effect::RestoreThroughput { resource, before, recorded, .. } => {
            throughput::restore(controller, resource, (*before, *recorded), now).await
        }
    }
}

async fn set_gate(controller: &Controller, step: &Step, now: Timestamp) -> StepResult {
    let Effect::SetGate { stamp, position, reason, .. } = &step.effect else {
        return failed(FailureCode::Rejected, "not a gate's step");
    };
    let policy = &controller.policy;
    let document = GateDocument {
        schema: GATE_SCHEMA,
        stamp: stamp.clone(),
        position: *position,
        generation: step.generation,
        heartbeat_at: now,
        expires_at: now + policy.gate.lifetime.get(),
        reopen_percents: policy.ramp.percents.iter().copied().filter(|percent| *percent < 100).collect(),
        reopen_step_s: u32::try_from(policy.gate.reopen_step.get().as_secs()).unwrap_or(u32::MAX),
        reason: reason.clone(),
    };
    match controller.gates.write(&document).await {
        Ok(GateWrite::Written(_)) => StepResult::Done { recorded: None },
        Ok(GateWrite::Newer(newer)) => {
            failed(FailureCode::Superseded, &format!("generation {} is in force already", newer.generation))
        }
        Err(error) => retry(now + UNREACHABLE_WAIT, FailureCode::Unreachable, &chain(&error)),
    }
}

async fn set_origin(
    controller: &Controller,
    stamp: &StampFacts,
    enabled: EnabledState,
    now: Timestamp,
) -> StepResult {
    let origin = match ResourceId::parse(&stamp.origin_id) {
        Ok(origin) => origin,
        Err(error) => return failed(FailureCode::NotFound, &chain(&error)),
    };
    match front_door::set_origin_enabled(&controller.azure.arm, &origin, enabled).await {
        Ok(Change::AlreadySo(seen)) if seen.provisioning_state == ProvisioningState::Succeeded => {
            StepResult::Done { recorded: None }
        }
        Ok(Change::AlreadySo(_)) => {
            retry(now + BUSY_WAIT, FailureCode::Unreachable, "the change is still under way")
        }
        Ok(Change::Sent(Accepted::Done(_))) => confirm_origin(controller, &origin, enabled, now).await,
        Ok(Change::Sent(Accepted::Running { operation, retry_after, .. })) => {
            accepted(&operation, retry_after, now)
        }
        Err(error) => of_arm_error(&error, now),
    }
}

/// ARM calls it done: read it again before believing so (S4: an older writer may have come after us).
async fn confirm_origin(
    controller: &Controller,
    origin: &ResourceId,
    enabled: EnabledState,
    now: Timestamp,
) -> StepResult {
    match front_door::get_origin(&controller.azure.arm, origin).await {
        Ok(seen) if seen.enabled == enabled => StepResult::Done { recorded: None },
        Ok(_) => failed(FailureCode::Superseded, "read back, it stands otherwise; somebody wrote after us"),
        Err(error) => of_arm_error(&error, now),
    }
}

/// One look at an operation under way.
async fn look_at(
    controller: &Controller,
    step: &Step,
    operation: &str,
    state: &WorkloadState,
    now: Timestamp,
) -> StepResult {
    let address = OperationUrl::new(operation);
    match controller.azure.arm.poll(&address).await {
        Ok(OperationStatus::Running { retry_after, moved }) => {
            accepted(moved.as_ref().unwrap_or(&address), retry_after, now)
        }
        Ok(OperationStatus::Succeeded) => {
            match (&step.effect, state.topology.stamps.get(step.effect.stamp())) {
                (Effect::SetOrigin { enabled, .. }, Some(stamp)) => match ResourceId::parse(&stamp.origin_id)
                {
                    Ok(origin) => confirm_origin(controller, &origin, *enabled, now).await,
                    Err(error) => failed(FailureCode::NotFound, &chain(&error)),
                },
                (Effect::RaiseThroughput { resource, maximum, .. }, _) => {
                    throughput::confirm(controller, resource, *maximum, now).await
                }
                (Effect::RestoreThroughput { resource, recorded, .. }, _) => {
                    throughput::confirm_restored(controller, resource, *recorded, now).await
                }
                _ => StepResult::Done { recorded: None },
            }
        }
        Ok(OperationStatus::Failed { code, message }) => {
            failed(FailureCode::Rejected, &format!("{code}: {message}"))
        }
        // The operation goes on whether we see it or not.
        Err(error) if error.is_transient() => {
            accepted(&address, error.retry_after().or(Some(UNREACHABLE_WAIT)), now)
        }
        Err(error) => of_arm_error(&error, now),
    }
}

async fn raise_floor(
    controller: &Controller,
    stamp: &StampFacts,
    minimum: u32,
    until: Timestamp,
    now: Timestamp,
) -> StepResult {
    if let Some(lever) = floor::lever(stamp) {
        return floor::raise(controller, lever, (minimum, until), now).await;
    }
    let (setting, current) = match read_setting(controller, stamp).await {
        Ok(read) => read,
        Err(ended) => return ended.at(now),
    };
    let request = autoscale::FloorRequest {
        profile_name: autoscale::FLOOR_PROFILE.to_owned(),
        minimum,
        maximum_cap: controller.policy.capacity.instances_max,
        // The engine compares with its own clock: a start in the past leaves no gap.
        start: now.before(Duration::from_secs(60)),
        end: until,
        standing: autoscale::StandingFloor::Merge,
    };
    let raised = match autoscale::raise_floor(&current, &request) {
        Ok(raised) => raised,
        Err(error) => return failed(FailureCode::CapacityShort, &chain(&error)),
    };
    match autoscale::write(&controller.azure.arm, &setting, &raised.body).await {
        Ok(_) => {}
        Err(error) => return of_arm_error(&error, now),
    }
    let read_back = match autoscale::read(&controller.azure.arm, &setting).await {
        Ok(value) => autoscale::standing_floor(&value, autoscale::FLOOR_PROFILE, now).ok().flatten(),
        Err(error) => return of_arm_error(&error, now),
    };
    match read_back {
        Some((stands, _)) if stands == raised.minimum => StepResult::Done { recorded: Some(raised.minimum) },
        _ => failed(FailureCode::Superseded, "read back, our floor is not there; somebody wrote after us"),
    }
}

async fn restore_floor(
    controller: &Controller,
    stamp: &StampFacts,
    recorded: u32,
    now: Timestamp,
) -> StepResult {
    if let Some(lever) = floor::lever(stamp) {
        return floor::restore(controller, lever, recorded, now).await;
    }
    let (setting, current) = match read_setting(controller, stamp).await {
        Ok(read) => read,
        Err(ended) => return ended.at(now),
    };
    match autoscale::release_floor(&current, autoscale::FLOOR_PROFILE, recorded) {
        Ok(None) => StepResult::Done { recorded: None },
        Ok(Some(body)) => match autoscale::write(&controller.azure.arm, &setting, &body).await {
            Ok(_) => confirm_restored(controller, &setting, now).await,
            Err(error) => of_arm_error(&error, now),
        },
        Err(error @ autoscale::AutoscaleError::NotOurs { .. }) => {
            failed(FailureCode::NotOurs, &chain(&error))
        }
        Err(error) => failed(FailureCode::Rejected, &chain(&error)),
    }
}

/// A floor that stands on after it was given back would cost money until it expires.
async fn confirm_restored(controller: &Controller, setting: &ResourceId, now: Timestamp) -> StepResult {
    match autoscale::read(&controller.azure.arm, setting).await {
        Ok(value) => match autoscale::standing_floor(&value, autoscale::FLOOR_PROFILE, now) {
            Ok(None) => StepResult::Done { recorded: None },
            Ok(Some(_)) => failed(FailureCode::Superseded, "read back, our floor is still there"),
            Err(error) => failed(FailureCode::Rejected, &chain(&error)),
        },
        Err(error) => of_arm_error(&error, now),
    }
}

/// Why a setting could not be read; the time is added by who knows it.
enum Unread {
    NoLever(StampId),
    NotAnId(String),
    Arm(ArmError),
}

impl Unread {
    fn at(self, now: Timestamp) -> StepResult {
        match self {
            Self::NoLever(stamp) => {
                failed(FailureCode::NotFound, &format!("{stamp} has no autoscale setting"))
            }
            Self::NotAnId(why) => failed(FailureCode::NotFound, &why),
            Self::Arm(error) => of_arm_error(&error, now),
        }
    }
}

async fn read_setting(
    controller: &Controller,
    stamp: &StampFacts,
) -> Result<(ResourceId, serde_json::Value), Unread> {
    let id = stamp.autoscale_id.as_ref().ok_or_else(|| Unread::NoLever(stamp.stamp.clone()))?;
    let setting = ResourceId::parse(id).map_err(|error| Unread::NotAnId(chain(&error)))?;
    let current = autoscale::read(&controller.azure.arm, &setting).await.map_err(Unread::Arm)?;
    Ok((setting, current))
}

pub(super) fn accepted(
    operation: &OperationUrl,
    retry_after: Option<Duration>,
    now: Timestamp,
) -> StepResult {
    let wait = retry_after.unwrap_or(POLL_WAIT).min(WAIT_MAX);
    StepResult::Accepted { operation: operation.as_str().to_owned(), poll_at: now + wait }
}

pub(super) fn of_arm_error(error: &ArmError, now: Timestamp) -> StepResult {
    let later = |default: Duration| now + error.retry_after().unwrap_or(default).min(WAIT_MAX);
    let detail = chain(error);
    match error {
        ArmError::LastEnabledOrigin => failed(FailureCode::LastEnabledOrigin, &detail),
        ArmError::NotFound { .. } => failed(FailureCode::NotFound, &detail),
        ArmError::Forbidden { .. } => failed(FailureCode::Forbidden, &detail),
        ArmError::Busy { .. } | ArmError::Throttled { .. } => {
            retry(later(BUSY_WAIT), FailureCode::Rejected, &detail)
        }
        error if error.is_transient() => retry(later(UNREACHABLE_WAIT), FailureCode::Unreachable, &detail),
        _ => failed(FailureCode::Rejected, &detail),
    }
}

pub(super) fn retry(not_before: Timestamp, code: FailureCode, detail: &str) -> StepResult {
    StepResult::Retry { not_before, code, detail: domain::note(detail) }
}

pub(super) fn failed(code: FailureCode, detail: &str) -> StepResult {
    StepResult::Failed { code, detail: domain::note(detail) }
}

/// An error with all its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
