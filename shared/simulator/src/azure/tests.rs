//! Over a real socket on loopback, as the production adapters will come.

use std::net::SocketAddr;

use async_trait::async_trait;
use domain::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::health::{HealthReply, run_probes};
use crate::scenario::{Scenario, builtin};

/// Answers 200, and says what it was asked.
struct Frank;

#[async_trait]
impl HealthEndpoint for Frank {
    async fn ask(&self, stamp: &StampId, request: HealthRequest) -> HealthReply {
        let prober = request.prober.map(|p| p.to_string());
        HealthReply { status: 200, body: format!("{stamp} {:?} {prober:?}", request.view) }
    }
}

async fn serve(scenario: &str) -> (Arc<Mutex<World>>, SimulatedAzure, SocketAddr) {
    let text = builtin().iter().find(|(name, _)| *name == scenario).unwrap().1;
    let world = World::new(&Scenario::from_toml(text).unwrap(), 7, Timestamp::from_secs(1_763_838_000));
    let world = Arc::new(Mutex::new(world));
    let azure = SimulatedAzure::new(Arc::clone(&world), Arc::new(Frank), Recorder::in_memory());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = azure.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (world, azure, address)
}

async fn exchange(address: SocketAddr, request_line: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!("{request_line} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn play(world: &Arc<Mutex<World>>, seconds: u32) {
    (0..seconds).for_each(|_| world.lock().unwrap().step());
}

#[tokio::test]
async fn a_token_opens_resource_manager_and_every_exchange_is_kept() {
    let (world, azure, address) = serve("hard-loss").await;
    let token = exchange(
        address,
        "GET /msi/token?resource=https%3A%2F%2Fmanagement.azure.com%2F&api-version=2019-08-01",
        "",
    )
    .await;
    assert!(token.contains("\"access_token\":\"sim\""), "{token}");
    let profile = world.lock().unwrap().resource_ids().profile.clone();
    let line = format!("GET {profile}?api-version=2025-06-01");
    let refused = exchange(address, &line, "").await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let answered = exchange(address, &line, "authorization: Bearer sim\r\n").await;
    assert!(answered.contains("frontDoorId"), "{answered}");
    assert!(
        answered.contains("date: Sat, 22 Nov 2025 19:00:00 GMT\r\n"),
        "the world's time, not the machine's: {answered}"
    );
    let statuses: Vec<u16> = azure.recorder().exchanges().iter().map(|e| e.status).collect();
    assert_eq!(statuses, [401, 200]);
}

#[tokio::test]
async fn health_is_asked_of_the_hook_and_a_lost_stamp_answers_nobody() {
    let (world, _, address) = serve("hard-loss").await;
    let view = exchange(
        address,
        "GET /stamps/eastus2/healthz/ungated",
        "x-forwarded-for: 9.9.9.9, 147.243.3.10\r\n",
    )
    .await;
    assert!(view.contains("eastus2 Some(\"ungated\") Some(\"147.243.3.10\")"), "{view}");
    let load = exchange(address, "GET /stamps/eastus2/load", "").await;
    assert!(load.contains("\"ready_instances\":20"), "{load}");
    play(&world, 600);
    for path in ["healthz", "app", "load", "components/app"] {
        let lost = exchange(address, &format!("GET /stamps/eastus2/{path}"), "").await;
        assert!(lost.starts_with("HTTP/1.1 502") && lost.contains("x-ms-ingress: unreachable"), "{lost}");
    }
    let lost_caller =
        exchange(address, "GET /stamps/centralus/healthz", "x-cordon-vantage: eastus2\r\n").await;
    assert!(lost_caller.starts_with("HTTP/1.1 502"), "who is lost asks nobody: {lost_caller}");
}

#[tokio::test]
async fn a_blind_witness_sees_nothing_while_its_peers_see() {
    let (world, _, address) = serve("witness-blind").await;
    play(&world, 600);
    let ask = |vantage: &'static str| exchange(address, "GET /stamps/eastus2/healthz", vantage);
    assert!(ask("x-cordon-vantage: witness\r\n").await.starts_with("HTTP/1.1 502"));
    assert!(ask("x-cordon-vantage: centralus\r\n").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn synthetic_requests_share_the_fate_of_the_clients() {
    let (world, _, address) = serve("gray-failure").await;
    play(&world, 600);
    let mut failed = 0;
    for n in 0..200 {
        let answer = exchange(address, "GET /stamps/eastus2/app", &format!("x-cordon-probe: {n}\r\n")).await;
        failed += u32::from(answer.starts_with("HTTP/1.1 500"));
    }
    assert!((25..=55).contains(&failed), "a fifth of 200: {failed}");
}

#[tokio::test]
async fn a_lost_cosmos_region_shows_in_the_components() {
    let (world, _, address) = serve("cosmos-region-lost").await;
    play(&world, 600);
    let ask = |path: &'static str| exchange(address, path, "");
    assert!(ask("GET /stamps/eastus2/components/cosmos-write").await.starts_with("HTTP/1.1 503"));
    assert!(ask("GET /stamps/centralus/components/cosmos-read").await.starts_with("HTTP/1.1 200"));
    assert!(ask("GET /stamps/eastus2/components/app").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_probes_of_a_second_reach_the_hook() {
    let (world, _, _) = serve("hard-loss").await;
    for _ in 0..700 {
        run_probes(&world, &Frank).await;
        world.lock().unwrap().step();
    }
    let share = world.lock().unwrap().outcome().share_routed_to(&StampId::new("eastus2"), 699);
    assert!(share < 0.02, "{share}");
}
