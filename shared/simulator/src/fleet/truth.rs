//! What is true of each stamp and when: a list of faults, each with its span, and the conditions that follow from them.

use crate::draw::Seed;
use crate::stamp::{BASELINE_ERRORS, NEEDS_COSMOS};

/// Share of failed requests up to which a region counts as able to serve: the definition of a wrong cordon.
pub(crate) const ABLE_ERRORS_MAX: f64 = 0.01;
/// Share of failed requests from which a region should be cordoned: the policy's error budget for gray failures.
pub(crate) const FAILING_ERRORS_MIN: f64 = 0.05;

/// One thing that is wrong. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FaultKind {
    /// The region is gone: nobody reaches it, its instances have to start again.
    Lost,
    /// This share of the application's requests fails; its health endpoint says 200.
    AppErrors(f64),
    /// Every request fails, and the stamp's own health check says so: its endpoint answers 503.
    HardErrors,
    /// The stamp's Cosmos DB region is gone; nearly every request needs it, and the health endpoint says 200.
    CosmosLost,
    /// This share of what comes through Front Door fails, probes and requests; direct probes are fine.
    EdgeFails(f64),
    /// This share of the requests of the clients nearest to the stamp fails at the edge, whatever stamp they go to.
    ClientsFail(f64),
    /// This share of Front Door's probes fails, and nothing else.
    ProbesFail(f64),
    /// This share of the synthetic requests fails, and nothing else.
    PingsFail(f64),
    /// Our own credentials are refused at the stamp.
    AuthFails,
    /// The witness region does not reach the stamp.
    WitnessBlind,
    /// The other stamps do not reach the stamp.
    PeersBlind,
    /// Azure Monitor shows this share of the requests as failed, and they are not.
    TrafficLies(f64),
    /// Azure Monitor shows the stamp's Cosmos DB region as failing, and it is not.
    DataLies,
    /// No instance is given beyond this many.
    Quota(u32),
    /// Instances take this many times as long to start.
    SlowStart(f64),
    /// Front Door takes no changes, and those under way stand still.
    FrontDoorFrozen,
    /// Changes of Front Door take this many times as long.
    SlowFrontDoor(f64),
    /// Azure Resource Manager answers nobody.
    ArmDown,
    /// Azure Monitor's metrics cannot be read.
    MetricsDown,
}

/// One fault: what, where, when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) kind: FaultKind,
    /// Which stamp; none means all of them.
    pub(crate) stamp: Option<usize>,
    /// First second.
    pub(crate) from: u32,
    /// First second after it.
    pub(crate) until: u32,
}

/// What holds for one stamp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StampTruth {
    pub(crate) lost: bool,
    pub(crate) hard_errors: bool,
    pub(crate) app_errors: f64,
    pub(crate) cosmos_lost: bool,
    pub(crate) edge_fails: f64,
    pub(crate) clients_fail: f64,
    pub(crate) probes_fail: f64,
    pub(crate) pings_fail: f64,
    pub(crate) auth_fails: bool,
    pub(crate) witness_blind: bool,
    pub(crate) peers_blind: bool,
    pub(crate) traffic_lies: f64,
    pub(crate) data_lies: bool,
    pub(crate) quota: Option<u32>,
    pub(crate) start_factor: f64,
}

impl StampTruth {
    const CALM: Self = Self {
        lost: false,
        hard_errors: false,
        app_errors: 0.0,
        cosmos_lost: false,
        edge_fails: 0.0,
        clients_fail: 0.0,
        probes_fail: 0.0,
        pings_fail: 0.0,
        auth_fails: false,
        witness_blind: false,
        peers_blind: false,
        traffic_lies: 0.0,
        data_lies: false,
        quota: None,
        start_factor: 1.0,
    };

    /// Share of the requests that reach it and fail there for another reason than load.
    pub(crate) fn errors(&self) -> f64 {
        if self.lost || self.hard_errors {
            return 1.0;
        }
        let cosmos = if self.cosmos_lost { NEEDS_COSMOS } else { 0.0 };
        1.0 - (1.0 - BASELINE_ERRORS) * (1.0 - self.app_errors) * (1.0 - cosmos)
    }
}

/// What holds at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Truth {
    pub(crate) stamps: Vec<StampTruth>,
    pub(crate) front_door_frozen: bool,
    pub(crate) front_door_factor: f64,
    pub(crate) arm_down: bool,
    pub(crate) metrics_down: bool,
    /// Nothing changes before this second.
    pub(crate) until: u32,
}

/// What holds in second `t`.
pub(crate) fn truth_at(faults: &[Fault], stamps: usize, t: u32) -> Truth {
    let mut now = Truth {
        stamps: vec![StampTruth::CALM; stamps],
        front_door_frozen: false,
        front_door_factor: 1.0,
        arm_down: false,
        metrics_down: false,
        until: faults.iter().flat_map(|f| [f.from, f.until]).filter(|at| *at > t).min().unwrap_or(u32::MAX),
    };
    for fault in faults.iter().filter(|fault| fault.from <= t && t < fault.until) {
        match fault.kind {
            FaultKind::FrontDoorFrozen => now.front_door_frozen = true,
            FaultKind::SlowFrontDoor(factor) => now.front_door_factor = factor,
            FaultKind::ArmDown => now.arm_down = true,
            FaultKind::MetricsDown => now.metrics_down = true,
            kind => {
                let about = now.stamps.iter_mut().enumerate();
                about
                    .filter(|(s, _)| fault.stamp.is_none_or(|one| one == *s))
                    .for_each(|(_, stamp)| apply(kind, stamp));
            }
        }
    }
    now
}

fn apply(kind: FaultKind, stamp: &mut StampTruth) {
    match kind {
        FaultKind::Lost => stamp.lost = true,
        FaultKind::AppErrors(share) => stamp.app_errors = stamp.app_errors.max(share),
        FaultKind::HardErrors => stamp.hard_errors = true,
        FaultKind::CosmosLost => stamp.cosmos_lost = true,
        FaultKind::EdgeFails(share) => stamp.edge_fails = stamp.edge_fails.max(share),
        FaultKind::ClientsFail(share) => stamp.clients_fail = stamp.clients_fail.max(share),
        FaultKind::ProbesFail(share) => stamp.probes_fail = stamp.probes_fail.max(share),
        FaultKind::PingsFail(share) => stamp.pings_fail = stamp.pings_fail.max(share),
        FaultKind::AuthFails => stamp.auth_fails = true,
        FaultKind::WitnessBlind => stamp.witness_blind = true,
        FaultKind::PeersBlind => stamp.peers_blind = true,
        FaultKind::TrafficLies(share) => stamp.traffic_lies = stamp.traffic_lies.max(share),
        FaultKind::DataLies => stamp.data_lies = true,
        FaultKind::Quota(most) => stamp.quota = Some(stamp.quota.map_or(most, |old| old.min(most))),
        FaultKind::SlowStart(factor) => stamp.start_factor *= factor,
        FaultKind::FrontDoorFrozen
        | FaultKind::SlowFrontDoor(_)
        | FaultKind::ArmDown
        | FaultKind::MetricsDown => {}
    }
}

/// One regional deployment of an incident's workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StampShape {
    /// Region id, which is also the stamp's name.
    pub(crate) region: &'static str,
    /// Share of all demand whose nearest stamp this is.
    pub(crate) share: f64,
    /// Instances when nothing is wrong, which is also the autoscale minimum.
    pub(crate) instances: u32,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertSource {
    /// Azure Service Health, about a region.
    Service,
    /// Azure Resource Health, about the stamp's resource.
    Resource,
    /// A metric alert on `OriginHealthPercentage`.
    OriginMetric,
}

/// One message of an alert, at the moment it is first delivered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alert {
    /// Who says it.
    pub(crate) source: AlertSource,
    /// The alert instance: `Fired` and `Resolved` share it.
    pub(crate) instance: u64,
    /// About which stamp's region.
    pub(crate) stamp: usize,
    /// Taken back, or raised.
    pub(crate) resolved: bool,
    /// By the source's clock.
    pub(crate) happened: u32,
    /// First delivery.
    pub(crate) delivered: u32,
    /// How often it is delivered.
    pub(crate) copies: u32,
}

/// What a reviewer expects of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The region must be taken out.
    Cordon,
    /// No region may be taken out.
    NoCordon,
    /// Either is right.
    Either,
}

/// One incident with the workload it happens to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Incident {
    pub(crate) seed: Seed,
    /// What kind of case it is, within its family.
    pub(crate) variant: &'static str,
    pub(crate) stamps: Vec<StampShape>,
    /// Requests per second of all clients.
    pub(crate) demand_rps: f64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) expected: Expected,
}

impl Incident {
    /// When the last fault, lie or message is over, in seconds.
    pub(crate) fn ends(&self) -> u32 {
        self.faults
            .iter()
            .map(|fault| fault.until)
            .chain(self.alerts.iter().map(|a| a.delivered))
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_holds_from_its_first_second_to_its_last_and_for_its_stamp_only() {
        let faults = [Fault { kind: FaultKind::AppErrors(0.2), stamp: Some(1), from: 100, until: 200 }];
        for (t, expected) in [(99, 0.0), (100, 0.2), (199, 0.2), (200, 0.0)] {
            let now = truth_at(&faults, 2, t);
            assert_eq!((now.stamps[0].app_errors, now.stamps[1].app_errors), (0.0, expected), "{t}");
        }
        assert_eq!(truth_at(&faults, 2, 0).until, 100);
        assert_eq!(truth_at(&faults, 2, 150).until, 200);
    }

    #[test]
    fn what_is_lost_fails_everything_and_what_is_calm_next_to_nothing() {
        let lost = [Fault { kind: FaultKind::Lost, stamp: None, from: 0, until: 10 }];
        assert!((truth_at(&lost, 1, 5).stamps[0].errors() - 1.0).abs() < f64::EPSILON);
        assert!(truth_at(&lost, 1, 10).stamps[0].errors() < ABLE_ERRORS_MAX);
    }
}
