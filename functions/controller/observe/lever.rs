//! What the control plane shows of the actuators: origins, capacity floors, instances.

use adapters::azure::arm::{ArmError, ResourceId};
use adapters::azure::floors::{self, Compute};
use adapters::azure::{ProvisioningState, app_service_plan, autoscale, front_door, scale_set};
use domain::Timestamp;
use domain::facts::{CapacityFacts, OriginFacts, StampFacts};
use futures_util::future::join_all;

use super::Run;
use crate::controller::Controller;

/// Why a lever could not be read.
#[derive(Debug, thiserror::Error)]
enum LeverError {
    #[error("read a capacity lever")]
    Arm(#[from] ArmError),
    #[error("read an autoscale setting")]
    Setting(#[from] autoscale::AutoscaleError),
    #[error("read a pool")]
    Pool(#[from] floors::FloorError),
    #[error("use a resource id of the topology")]
    Id(#[from] adapters::azure::arm::ResourceIdError),
}

pub(super) async fn read(controller: &Controller, stamps: &[StampFacts], now: Timestamp, run: &mut Run) {
    match origins(controller).await {
        Ok(origins) => {
            for stamp in stamps {
                let ours =
                    origins.iter().find(|origin| origin.id.as_str().eq_ignore_ascii_case(&stamp.origin_id));
                if let Some(origin) = ours {
                    let updating = matches!(origin.provisioning_state, ProvisioningState::InTransition(_));
                    run.facts.origins.insert(
                        stamp.stamp.clone(),
                        OriginFacts { read_at: now, enabled: origin.enabled, updating },
                    );
                }
            }
        }
        Err(error) => run.unreadable("origins", &error),
    }
    let levers = join_all(stamps.iter().map(|stamp| capacity(controller, stamp, now))).await;
    for (stamp, lever) in stamps.iter().zip(levers) {
        match lever {
            Ok(Some(facts)) => {
                run.facts.capacity.insert(stamp.stamp.clone(), facts);
            }
            Ok(None) => {}
            Err(error) => run.unreadable(&format!("capacity of {}", stamp.stamp), &error),
        }
    }
}

async fn origins(controller: &Controller) -> Result<Vec<front_door::OriginState>, LeverError> {
    let group = ResourceId::parse(&controller.policy.workload.origin_group)?;
    Ok(front_door::list_origins(&controller.azure.arm_observed, &group).await?)
}

async fn capacity(
    controller: &Controller,
    stamp: &StampFacts,
    now: Timestamp,
) -> Result<Option<CapacityFacts>, LeverError> {
    let (Some(setting), Some(plan)) = (&stamp.autoscale_id, &stamp.plan_id) else { return Ok(None) };
    let arm = &controller.azure.arm_observed;
    let (setting, plan) = (ResourceId::parse(setting)?, ResourceId::parse(plan)?);
    if let Some(compute) = Compute::of(&setting) {
        return Ok(Some(scaled(&floors::read(arm, compute, &setting).await?, now)));
    }
    let setting = autoscale::read(arm, &setting).await?;
    let instances = if scale_set::is_scale_set(&plan) {
        scale_set::instances(arm, &plan).await?
    } else {
        app_service_plan::get(arm, &plan).await?.number_of_workers
    };
    let in_force = autoscale::active_capacity(&setting, now)?;
    let floor = autoscale::standing_floor(&setting, autoscale::FLOOR_PROFILE, now)?;
    Ok(Some(CapacityFacts {
        read_at: now,
        instances: instances.unwrap_or(0),
        minimum: in_force.minimum,
        maximum: in_force.maximum,
        our_floor: floor.map(|(minimum, _)| minimum),
        our_floor_until: floor.map(|(_, until)| until),
    }))
}

fn scaled(pool: &floors::Scaled, now: Timestamp) -> CapacityFacts {
    let ours = pool.standing(now);
    CapacityFacts {
        read_at: now,
        instances: pool.instances.unwrap_or(0),
        minimum: pool.minimum,
        maximum: pool.maximum,
        our_floor: ours.map(|ours| ours.minimum),
        our_floor_until: ours.map(|ours| ours.until),
    }
}
