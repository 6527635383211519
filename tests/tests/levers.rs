//! One short drill for each lever: a region is lost, the survivor's floor is raised by its own kind of compute. It outlasts the
//! drill; that it is given back is shown beside the code in `adapters`.

use simulator::ComputeKind;
use tests::drills;

#[tokio::test]
async fn each_kind_of_compute_is_enlarged_by_its_own_lever() {
    for (compute, path) in [
        (ComputeKind::AppService, "/microsoft.insights/autoscalesettings/"),
        (ComputeKind::ScaleSet, "/microsoft.insights/autoscalesettings/"),
        (ComputeKind::AgentPool, "/microsoft.containerservice/managedclusters/"),
        (ComputeKind::ContainerApp, "/microsoft.app/containerapps/"),
    ] {
        let run = drills::run(&drills::options(drills::lever(compute))).await;
        assert!(run.report.audit.chain_holds, "{compute:?}");
        let raised = run.effects("raise_floor");
        assert!(raised.iter().any(|(_, stamp)| stamp == "centralus"), "{compute:?}: {raised:?}");
        let writes: Vec<_> = run
            .played
            .exchanges
            .iter()
            .filter(|said| said.method != "GET" && said.path.to_lowercase().contains(path))
            .map(|said| (said.method.clone(), said.status))
            .collect();
        assert!(!writes.is_empty(), "{compute:?}: {writes:?}");
        assert!(writes.iter().any(|(_, status)| *status == 200), "{compute:?}: {writes:?}");
        let times = &run.report.times;
        assert!(times.capacity_ready_s.is_some(), "{compute:?}: the capacity never came");
        assert!(times.fully_serving_s.is_some(), "{compute:?}: it never came back");
        let end = &run.report.end[&"centralus".into()];
        assert!(end.floor.is_some(), "{compute:?}: the floor did not outlast the return");
        let (with, without) = run.failed(None);
        assert!(with < without, "{compute:?}: {with:.0} failed with Cordon, {without:.0} without");
    }
}

#[test]
fn the_kinds_have_names_in_a_scenario() {
    for (name, compute) in [
        ("app-service", ComputeKind::AppService),
        ("scale-set", ComputeKind::ScaleSet),
        ("agent-pool", ComputeKind::AgentPool),
        ("container-app", ComputeKind::ContainerApp),
    ] {
        let read: ComputeKind = serde_json::from_value(serde_json::json!(name)).unwrap();
        assert_eq!(read, compute);
    }
}
