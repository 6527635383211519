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

/// The databases' throughput is no stamp's: one setting, raised once, and given back when all serve again.
#[tokio::test]
async fn the_throughput_of_the_databases_is_raised_for_a_cordon_and_given_back() {
    let mut scenario = drills::lever(ComputeKind::AppService);
    // An alert that stands for hours keeps its region suspect, and what was enlarged as it is.
    scenario.alerts.clear();
    let mut options = drills::options(scenario);
    options.policy.throughput = vec![drills::throughput(12_000)];
    let run = drills::run(&options).await;
    assert!(run.report.audit.chain_holds);
    assert_eq!(run.report.audit.replayed, run.report.audit.records);
    let cordoned = run.times_of("cordon", "eastus2")[0];
    let raised = run.effects("raise_throughput");
    assert_eq!(raised.iter().map(|(t, _)| *t).collect::<Vec<_>>(), [cordoned], "in the cordon's own commit");
    let served = run.report.times.fully_serving_s.unwrap();
    let restored = run.effects("restore_throughput");
    assert!(restored.len() == 1 && restored[0].0 >= served + 600, "{restored:?}, all serve at {served}");
    let of_setting =
        |said: &&simulator::ArmExchange| said.path.to_lowercase().contains("/throughputsettings/");
    let written = run.played.exchanges.iter().filter(of_setting).filter(|said| said.method != "GET");
    let written: Vec<(&str, u16)> = written.map(|said| (said.method.as_str(), said.status)).collect();
    assert_eq!(written, [("PUT", 202), ("PUT", 202)], "raised by one operation, given back by another");
    let ended = |step: &serde_json::Value| {
        let effect = step["step"]["effect"]["effect"].as_str().unwrap_or_default();
        effect.ends_with("_throughput") && step["step"]["status"]["status"] == "failed"
    };
    let steps = run.played.audit.iter().flat_map(|record| record.steps.as_array().into_iter().flatten());
    assert_eq!(steps.filter(|step| ended(step)).count(), 0, "both were read back as wanted");
    let done =
        run.played.moments.iter().filter(|moment| moment.text.contains("the throughput of sqlDatabases"));
    assert!(done.count() >= 2, "both are in the timeline");
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
