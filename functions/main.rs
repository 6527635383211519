//! The `cordon` binary.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    use cordon::drill::*;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let name = std::env::args().nth(1).unwrap_or("contoso-shoes".into());
    let text = simulator::builtin().iter().find(|(n, _)| *n == name).unwrap().1;
    let scenario = simulator::Scenario::from_toml(text)?;
    let policy = policy_for(&scenario, SHIPPED_POLICY)?;
    let options = DrillOptions {
        scenario,
        seed: 1,
        policy,
        store: cordon::assemble::StoreKind::Memory,
        handler: HandlerKind::InProcess,
        speed: None,
        record: None,
        deaf_to: None,
        kill_at: vec![],
    };
    let started = std::time::Instant::now();
    let played = play(&options, &mut Terminal::new()).await?;
    eprintln!("with: {:?}", started.elapsed());
    let without = play_without(&options).await?;
    eprintln!("both: {:?}", started.elapsed());
    println!("{}", markdown(&report(&options, &played, &without)));
    if let Ok(p) = std::env::var("DUMP") {
        std::fs::write(p, serde_json::to_string_pretty(&played.audit)?)?;
    }
    Ok(())
}
