//! Records every exchange with ARM of every built-in scenario, of a short drill of each lever, and of what no drill asks for,
//! for validators that are not ours: `cargo xtask verify` hands them to Microsoft's.
//!
//! `cargo run -p tests --bin exchanges -- DIRECTORY [SCENARIO..]`. One folder below DIRECTORY for each drill, as
//! `cordon drill SCENARIO --record` writes it; the names of those that are there already are left alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use adapters::azure::arm::{ArmClient, ArmEndpoint, ResourceId};
use adapters::azure::credential::StaticCredential;
use adapters::azure::http::http_client;
use adapters::azure::{app_service_plan, front_door, quota};
use async_trait::async_trait;
use cordon::assemble::serve_router;
use cordon::drill::{self, Quiet};
use domain::policy::Span;
use domain::{EnabledState, StampId, Timestamp};
use simulator::{
    ComputeKind, HealthEndpoint, HealthReply, HealthRequest, Recorder, SimulatedAzure, World, builtin,
};
use tests::drills;

/// The folder of what no drill asks for.
const ALONE: &str = "no-drill";

/// So short that a lever's drill sees its floor given back; the shipped one outlasts it.
const FLOOR_LIFETIME: Span = Span::from_secs(80 * 60);

const LEVERS: [(&str, ComputeKind); 4] = [
    ("lever-app-service", ComputeKind::AppService),
    ("lever-scale-set", ComputeKind::ScaleSet),
    ("lever-agent-pool", ComputeKind::AgentPool),
    ("lever-container-app", ComputeKind::ContainerApp),
];

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(directory) = arguments.next().map(PathBuf::from) else {
        eprintln!("name the directory that is to hold the exchanges");
        return ExitCode::from(2);
    };
    let only: Vec<String> = arguments.collect();
    let known = builtin().iter().map(|(name, _)| *name).chain(LEVERS.map(|(name, _)| name));
    let mut all = 0;
    for name in known.filter(|name| only.is_empty() || only.iter().any(|wanted| wanted == name)) {
        match record(name, &directory.join(name)).await {
            Ok(count) => {
                println!("{name:40} {count:>6}");
                all += count;
            }
            Err(error) => {
                eprintln!("{name}: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    if only.is_empty() {
        match alone(&directory.join(ALONE)).await {
            Ok(count) => {
                println!("{ALONE:40} {count:>6}");
                all += count;
            }
            Err(error) => {
                eprintln!("{ALONE}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{:40} {all:>6}", "all exchanges");
    ExitCode::SUCCESS
}

async fn record(name: &str, directory: &Path) -> Result<usize, Box<dyn std::error::Error>> {
    let lever = LEVERS.iter().find(|(known, _)| *known == name);
    let mut options = match lever {
        Some((_, compute)) => {
            let mut scenario = drills::lever(*compute);
            // An alert that stands for hours keeps its region suspect, and what was enlarged as it is.
            scenario.alerts.clear();
            drills::options(scenario)
        }
        None => drills::options(drills::scenario(name)),
    };
    if lever.is_some() {
        options.policy.capacity.floor_lifetime = FLOOR_LIFETIME;
        options.policy.throughput = vec![drills::throughput(12_000)];
    }
    // Whole or not there: a recording that was broken off is no recording.
    let draft = directory.with_extension("draft");
    let _ = std::fs::remove_dir_all(&draft);
    std::fs::create_dir_all(&draft)?;
    options.record = Some(draft.clone());
    let played = drill::play(&options, &mut Quiet).await?;
    let settings = drills::throughput_writes(&played.exchanges);
    if lever.is_some() && settings < 2 {
        return Err(format!("the throughput was not raised and given back: {settings} writes of it").into());
    }
    let _ = std::fs::remove_dir_all(directory);
    std::fs::rename(&draft, directory)?;
    Ok(played.exchanges.len())
}

/// Nobody asks for it here.
struct NoHealth;

#[async_trait]
impl HealthEndpoint for NoHealth {
    async fn ask(&self, _: &StampId, _: HealthRequest) -> HealthReply {
        HealthReply { status: 503, body: String::new() }
    }
}

/// What the adapters can say and no drill makes them say: a plan's capacity (also more than it can have), an origin group,
/// an origin that is the last one enabled, quotas.
async fn alone(directory: &Path) -> Result<usize, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(directory)?;
    let world = World::new(&drills::scenario("hard-loss"), 1, Timestamp::from_secs(1_794_301_200));
    let ids = world.resource_ids().clone();
    let world = Arc::new(Mutex::new(world));
    let recorder = Recorder::into_directory(directory.to_owned());
    let azure = SimulatedAzure::new(Arc::clone(&world), Arc::new(NoHealth), recorder);
    let (address, _server) = serve_router(azure.router(), 0).await?;
    let endpoint = ArmEndpoint::public_cloud()?.with_loopback(&format!("http://{address}"))?;
    let http = http_client(&endpoint)?;
    let arm = ArmClient::new(endpoint, Arc::new(StaticCredential::new("peer")), http);

    let group = ResourceId::parse(&ids.origin_group)?;
    front_door::get_origin_group(&arm, &group).await?;
    let stamp = ids.stamps.first().ok_or("the scenario has stamps")?;
    let plan = ResourceId::parse(&stamp.plan)?;
    let _sent = app_service_plan::set_capacity(&arm, &plan, 12).await?;
    let refused = app_service_plan::set_capacity(&arm, &plan, 900).await;
    assert!(refused.is_err(), "the simulated Azure gave 900 workers");
    for (number, stamp) in ids.stamps.iter().enumerate() {
        let origin = ResourceId::parse(&stamp.origin)?;
        let last = number + 1 == ids.stamps.len();
        let disabled = front_door::set_origin_enabled(&arm, &origin, EnabledState::Disabled).await;
        assert_eq!(disabled.is_err(), last, "{}: {disabled:?}", stamp.stamp);
        // The operation of the one before must be over.
        (0..600).for_each(|_| world.lock().expect("nobody panicked").step());
    }
    let scope =
        format!("/subscriptions/{}/providers/Microsoft.Web/locations/{}", ids.subscription, stamp.region);
    quota::read(&arm, &ResourceId::parse(&scope)?).await?;
    let recorder = azure.recorder();
    match recorder.failure() {
        Some(error) => Err(error.to_string().into()),
        None => Ok(recorder.exchanges().len()),
    }
}
