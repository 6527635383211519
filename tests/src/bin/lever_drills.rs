//! `cargo run -p tests --bin lever_drills -- DIRECTORY`: plays one short outage for each lever and writes every ARM exchange of it
//! below DIRECTORY/LEVER. `infra/checks/renew.py operations` makes of it what the custom roles are held to.

use std::path::PathBuf;
use std::process::ExitCode;

use cordon::drill::{self, Quiet};
use simulator::ComputeKind;
use tests::drills;

/// The loss ends soon, so that floors are raised and given back within the drill.
const BACK_S: u32 = 1_200;
/// Long enough for the window, the ramp, and the floors' end after it.
const DURATION_S: u32 = 7_200;

const LEVERS: [(&str, ComputeKind); 5] = [
    ("appService", ComputeKind::AppService),
    ("scaleSet", ComputeKind::ScaleSet),
    ("agentPool", ComputeKind::AgentPool),
    ("containerApp", ComputeKind::ContainerApp),
    (drills::THROUGHPUT, ComputeKind::AppService),
];

#[tokio::main]
async fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1).map(PathBuf::from) else {
        eprintln!("lever_drills: name the directory to write to");
        return ExitCode::from(2);
    };
    for (lever, compute) in LEVERS {
        // Three stamps, so that an origin is latched too.
        let mut scenario = drills::scenario("three-stamps-latch-frozen-and-thawed");
        scenario.duration_s = DURATION_S;
        scenario.faults.truncate(1);
        scenario.faults[0].until_s = Some(BACK_S + 600);
        // One that stands for hours keeps its region suspect, and what was enlarged as it is.
        scenario.alerts.clear();
        for stamp in &mut scenario.stamps {
            stamp.compute = compute;
        }
        let mut options = drills::options(scenario);
        if lever == drills::THROUGHPUT {
            options.policy.throughput = vec![drills::throughput(12_000)];
        }
        options.record = Some(directory.join(lever));
        match drill::play(&options, &mut Quiet).await {
            Ok(played) => {
                println!("{lever}: {} exchanges", played.exchanges.len());
                let settings = drills::throughput_writes(&played.exchanges);
                if lever == drills::THROUGHPUT && settings < 2 {
                    eprintln!(
                        "lever_drills: the throughput was written {settings} times, not raised and given back"
                    );
                    return ExitCode::FAILURE;
                }
            }
            Err(error) => {
                eprintln!("lever_drills: play the outage of {lever}: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
