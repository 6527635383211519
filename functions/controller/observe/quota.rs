//! How many instances each stamp may have, read ahead of time: during an incident nobody raises a quota, and whoever knows in
//! time that the survivors cannot grow decides otherwise. What cannot be read stays unknown: it is neither none nor plenty.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adapters::azure::arm::{ArmError, ResourceId, ResourceIdError};
use adapters::azure::floors::{self, Compute, FloorError};
use adapters::azure::quota::{self, ALL_CORES, Quota};
use adapters::azure::{app_service_plan, scale_set};
use domain::facts::{QuotaFacts, StampFacts};
use domain::{StampId, Timestamp};
use futures_util::future::join_all;

use super::Run;
use crate::controller::Controller;

/// The longest that all of it may take: it is read beside the probes of the stamps, which come every 10 s.
pub(super) const BUDGET: Duration = Duration::from_secs(5);

/// What could not be read when all of it took too long.
pub(super) const ALL: &str = "quotas";

/// Why a quota could not be read.
#[derive(Debug, thiserror::Error)]
enum QuotaError {
    #[error("read what a quota bounds")]
    Arm(#[from] ArmError),
    #[error("read the pool that a quota bounds")]
    Pool(#[from] FloorError),
    #[error("use a resource id of the topology")]
    Id(#[from] ResourceIdError),
    #[error("read all quotas within {} s", BUDGET.as_secs())]
    TooSlow,
}

/// What a stamp's instances count against.
#[derive(Debug, Default)]
struct Counted {
    /// Where its quotas are told: a resource provider in a region.
    scope: Option<ResourceId>,
    /// The quotas by name, each with the units that one instance takes of it.
    against: Vec<(String, u32)>,
    /// Instances that it is set to have, whether they came or not: in Azure's usage they are all ours.
    asked: u32,
    /// The most that the resource itself can have.
    most: Option<u32>,
}

/// The quotas of each scope that could be read.
type Known = BTreeMap<String, Vec<Quota>>;

/// Reads the quotas of all stamps, as one run of its own: it may be slow, and the probes' evidence must not wait for it.
pub(super) async fn read(controller: &Controller, stamps: &[StampFacts], now: Timestamp) -> Run {
    let mut run = Run::default();
    if tokio::time::timeout(BUDGET, gather(controller, stamps, now, &mut run)).await.is_err() {
        run.unreadable(ALL, &QuotaError::TooSlow);
    }
    run
}

async fn gather(controller: &Controller, stamps: &[StampFacts], now: Timestamp, run: &mut Run) {
    let counted = join_all(stamps.iter().map(|stamp| counted(controller, stamp))).await;
    let mut countable: Vec<(&StampId, Counted)> = Vec::new();
    for (stamp, counted) in stamps.iter().zip(counted) {
        match counted {
            Ok(counted) => countable.push((&stamp.stamp, counted)),
            Err(error) => run.unreadable(&format!("quota of {}", stamp.stamp), &error),
        }
    }
    let scopes: BTreeSet<&ResourceId> =
        countable.iter().filter_map(|(_, counted)| counted.scope.as_ref()).collect();
    let arm = &controller.azure.arm_observed;
    let read = join_all(scopes.iter().map(|scope| quota::read(arm, scope))).await;
    let mut known = Known::new();
    for (scope, quotas) in scopes.into_iter().zip(read) {
        match quotas {
            Ok(quotas) => {
                known.insert(scope.as_str().to_owned(), quotas);
            }
            // Not every resource provider tells its quotas this way.
            Err(ArmError::NotFound { .. } | ArmError::Rejected { status: 400, .. }) => {
                known.insert(scope.as_str().to_owned(), Vec::new());
            }
            Err(error) => run.unreadable(&format!("quotas of {scope}"), &QuotaError::Arm(error)),
        }
    }
    for (stamp, counted) in countable {
        if let Some(instances_max) = bound(&counted, &known) {
            run.facts.quota.insert(stamp.clone(), QuotaFacts { read_at: now, instances_max });
        }
    }
}

/// The least of the bounds. None where none is known, and where one could not be read: what was read of it before is worth more
/// than the others alone.
fn bound(counted: &Counted, known: &Known) -> Option<u32> {
    let quotas = known.get(counted.scope.as_ref()?.as_str())?;
    let told = counted.against.iter();
    told.filter_map(|(name, units)| room(quotas, name, *units, counted.asked)).chain(counted.most).min()
}

/// What the compute of a stamp counts against; nothing where nobody says how much of what an instance takes.
async fn counted(controller: &Controller, stamp: &StampFacts) -> Result<Counted, QuotaError> {
    let Some(plan) = &stamp.plan_id else { return Ok(Counted::default()) };
    let plan = ResourceId::parse(plan)?;
    let arm = &controller.azure.arm_observed;
    if scale_set::is_scale_set(&plan) {
        let set = scale_set::get(arm, &plan).await?;
        return of_size(&plan, stamp, set.size.as_deref(), set.instances);
    }
    if Compute::of(&plan) == Some(Compute::AgentPool) {
        let pool = floors::read(arm, Compute::AgentPool, &plan).await?;
        return of_size(&plan, stamp, pool.size(), pool.instances);
    }
    if !plan.as_str().to_ascii_lowercase().contains("/microsoft.web/serverfarms/") {
        return Ok(Counted::default());
    }
    let found = app_service_plan::get(arm, &plan).await?;
    Ok(Counted {
        scope: Some(scope(&plan, "Microsoft.Web", stamp)?),
        against: vec![(found.quota_name(), 1)],
        asked: found.sku.capacity.or(found.number_of_workers).unwrap_or(0),
        most: found.maximum_number_of_workers,
    })
}

/// Virtual machines count in cores, against their family and against all of the region's.
fn of_size(
    resource: &ResourceId,
    stamp: &StampFacts,
    size: Option<&str>,
    asked: Option<u32>,
) -> Result<Counted, QuotaError> {
    let Some((family, cores)) = size.and_then(quota::family_of) else { return Ok(Counted::default()) };
    Ok(Counted {
        scope: Some(scope(resource, "Microsoft.Compute", stamp)?),
        against: vec![(family, cores), (ALL_CORES.to_owned(), cores)],
        asked: asked.unwrap_or(0),
        most: None,
    })
}

fn scope(resource: &ResourceId, provider: &str, stamp: &StampFacts) -> Result<ResourceId, ResourceIdError> {
    let subscription = resource.as_str().split('/').nth(2).unwrap_or_default();
    let region = &stamp.region;
    ResourceId::parse(&format!("/subscriptions/{subscription}/providers/{provider}/locations/{region}"))
}

/// Instances of `units` each that a quota allows a stamp in all. Those that were `asked` for are among what is in use, whether
/// they came or not; they are the stamp's own, and no reason to have fewer.
fn room(quotas: &[Quota], name: &str, units: u32, asked: u32) -> Option<u32> {
    let quota = quotas.iter().find(|quota| quota.name.eq_ignore_ascii_case(name))?;
    let (units, asked) = (u64::from(units.max(1)), u64::from(asked));
    let used_by_others = quota.used.saturating_sub(asked * units);
    Some(u32::try_from(quota.limit?.saturating_sub(used_by_others) / units).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(name: &str, used: u64, limit: Option<u64>) -> Quota {
        Quota { name: name.to_owned(), used, limit }
    }

    #[test]
    fn what_was_asked_for_and_did_not_come_is_no_room_and_takes_none() {
        for (used, limit, asked, expected) in [
            // Ours alone: all that the quota allows.
            (8, Some(30), 8, Some(30)),
            // Four are on their way.
            (12, Some(30), 12, Some(30)),
            // Asked for more than there may ever be.
            (40, Some(10), 40, Some(10)),
            // Others have twenty of it.
            (28, Some(30), 8, Some(10)),
            // Others have more than there may be: none is left, and that is known.
            (40, Some(30), 8, Some(0)),
            (8, None, 8, None),
        ] {
            let room = room(&[quota("P1v3", used, limit)], "p1V3", 1, asked);
            assert_eq!(room, expected, "{used} of {limit:?} used, {asked} asked");
        }
        assert_eq!(room(&[quota("a", 48, Some(100))], "a", 4, 7), Some(20), "in cores: 20 are others'");
        assert_eq!(room(&[quota("a", 8, Some(30))], "another", 1, 8), None);
    }

    #[test]
    fn the_least_bound_holds_and_what_could_not_be_read_says_nothing() {
        let scope =
            ResourceId::parse("/subscriptions/s/providers/Microsoft.Compute/locations/eastus2").unwrap();
        let counted = |most| Counted {
            scope: Some(scope.clone()),
            against: vec![("family".to_owned(), 4), (ALL_CORES.to_owned(), 4)],
            asked: 7,
            most,
        };
        let told = |quotas: Vec<Quota>| Known::from([(scope.as_str().to_owned(), quotas)]);
        let family = || quota("family", 28, Some(400));
        assert_eq!(bound(&counted(None), &told(vec![family()])), Some(100));
        let all = quota("cores", 128, Some(160));
        assert_eq!(bound(&counted(None), &told(vec![family(), all])), Some(15), "the region has less");
        assert_eq!(
            bound(&counted(Some(12)), &told(vec![])),
            Some(12),
            "the provider tells none, the resource does"
        );
        assert_eq!(bound(&counted(Some(12)), &Known::new()), None, "unreadable");
        assert_eq!(bound(&counted(None), &Known::new()), None);
        assert_eq!(bound(&counted(None), &told(vec![])), None);
        assert_eq!(bound(&Counted::default(), &told(vec![family()])), None);
    }
}
