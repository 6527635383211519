//! `cordon drill`: plays an outage with everything embedded and reports on it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use domain::EvidenceClass;
use simulator::{Scenario, builtin};

use super::settings::fresh_token;
use super::{Exit, parameters};
use crate::assemble::StoreKind;
use crate::drill::{
    self, DrillOptions, HandlerKind, Quiet, Report, SHIPPED_POLICY, Show, StampPrograms, Terminal,
};

/// The scenario that is played unless another is named.
const DEFAULT_SCENARIO: &str = "contoso-shoes";

/// The scenarios of an ablation, unless one is named: in each another source is the one that matters.
const ABLATION_SCENARIOS: [&str; 4] =
    ["hard-loss", "hard-loss-alerted-early", "cosmos-region-lost", "gray-failure"];

/// The sources that an ablation removes in turn.
const ABLATED: [(EvidenceClass, &str); 5] = [
    (EvidenceClass::Platform, "Service and Resource Health"),
    (EvidenceClass::Edge, "Front Door probes"),
    (EvidenceClass::Data, "Cosmos status"),
    (EvidenceClass::Direct, "direct probes"),
    (EvidenceClass::Traffic, "request metrics"),
];

/// Arguments of `cordon drill`.
#[derive(Args)]
pub(super) struct DrillArgs {
    /// A scenario by name, or `list`
    #[arg(value_name = "SCENARIO", default_value = DEFAULT_SCENARIO)]
    name: String,
    /// A scenario from a file instead
    #[arg(long = "scenario", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Seed of every random draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Simulated seconds per second, for the eye; as fast as the machine allows without it
    #[arg(long)]
    speed: Option<f64>,
    /// Print the report as JSON instead of Markdown
    #[arg(long)]
    json: bool,
    /// Write every ARM exchange into this directory, one JSON file each
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Where the handler keeps its state
    #[arg(long, visible_alias = "ledger", value_enum, default_value_t = Store::Embedded)]
    store: Store,
    /// Keep the embedded store here; a temporary directory without it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Run the handler as a process of its own
    #[arg(long)]
    child: bool,
    /// Kill and restart the handler at these simulated seconds; implies --child
    #[arg(long, value_name = "SECONDS", value_delimiter = ',')]
    kill_at: Vec<u32>,
    /// Run each stamp as the processes that it is deployed as: this application, and `cordon stamp-health` behind it
    #[arg(long, value_name = "PROGRAM")]
    application: Option<PathBuf>,
    /// Take the stamps from a Bicep parameter file instead of the scenario
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// A policy file instead of the shipped one
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Remove each source of signals in turn and print what changes
    #[arg(long)]
    ablate: bool,
    /// Play without this source of signals, as if it had never been configured
    #[arg(long, value_enum, value_name = "SOURCE", conflicts_with = "ablate")]
    without: Option<Source>,
    /// Show no timeline
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Store {
    Memory,
    Embedded,
    /// Microsoft's in-memory emulator of Cosmos DB
    #[cfg(feature = "cosmos-emulator")]
    CosmosEmulator,
}

/// A source of signals that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    ServiceHealth,
    FrontDoorProbes,
    CosmosStatus,
    DirectProbes,
    RequestMetrics,
}

impl From<Source> for EvidenceClass {
    fn from(source: Source) -> Self {
        match source {
            Source::ServiceHealth => Self::Platform,
            Source::FrontDoorProbes => Self::Edge,
            Source::CosmosStatus => Self::Data,
            Source::DirectProbes => Self::Direct,
            Source::RequestMetrics => Self::Traffic,
        }
    }
}

/// Plays and reports.
pub(super) async fn run(args: &DrillArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if args.name == "list" {
        return list(out);
    }
    if args.ablate {
        return ablation(args, out).await;
    }
    let scenario = with_parameters(args, scenario(args)?)?;
    let directory = Directory::for_drill(args)?;
    let options = options(args, scenario, &directory)?;
    let mut show: Box<dyn Show> = if args.quiet { Box::new(Quiet) } else { Box::new(Terminal::new()) };
    let report = play(&options, &mut *show).await?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        write!(out, "{}", drill::markdown(&report))?;
    }
    let sound = report.audit.chain_holds && report.audit.replayed == report.audit.records;
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

async fn play(options: &DrillOptions, show: &mut dyn Show) -> anyhow::Result<Report> {
    let started = Instant::now();
    let played = drill::play(options, show).await?;
    let without = drill::play_without(options).await?;
    let mut report = drill::report(options, &played, &without);
    report.unstable.insert("wall_s".to_owned(), started.elapsed().as_secs_f64());
    Ok(report)
}

fn list(out: &mut dyn Write) -> anyhow::Result<Exit> {
    for (name, text) in builtin() {
        let scenario = Scenario::from_toml(text).with_context(|| format!("read the scenario {name}"))?;
        writeln!(out, "{name:40} {}", scenario.title)?;
    }
    Ok(Exit::Done)
}

fn scenario(args: &DrillArgs) -> anyhow::Result<Scenario> {
    match &args.file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            Scenario::from_toml(&text).with_context(|| format!("read the scenario in {}", file.display()))
        }
        None => named(&args.name),
    }
}

/// The scenario with the stamps of a parameter file, if one is named.
fn with_parameters(args: &DrillArgs, scenario: Scenario) -> anyhow::Result<Scenario> {
    match &args.parameters {
        Some(file) => drill::with_stamps_of(scenario, &parameters::read(file)?)
            .with_context(|| format!("play {} with the stamps of {}", args.name, file.display())),
        None => Ok(scenario),
    }
}

fn named(name: &str) -> anyhow::Result<Scenario> {
    let Some((_, text)) = builtin().iter().find(|(known, _)| *known == name) else {
        bail!("no scenario is called {name:?}; `cordon drill list` names them all");
    };
    Scenario::from_toml(text).with_context(|| format!("read the scenario {name}"))
}

fn options(args: &DrillArgs, scenario: Scenario, directory: &Directory) -> anyhow::Result<DrillOptions> {
    let text = match &args.policy {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?,
        None => SHIPPED_POLICY.to_owned(),
    };
    let handler = if args.child || !args.kill_at.is_empty() {
        HandlerKind::Child { binary: std::env::current_exe().context("find this executable")? }
    } else {
        HandlerKind::InProcess
    };
    let store = match args.store {
        Store::Memory => StoreKind::Memory,
        Store::Embedded => StoreKind::Embedded(directory.path().to_owned()),
        #[cfg(feature = "cosmos-emulator")]
        Store::CosmosEmulator => {
            let emulator = adapters::cosmos::emulator::CosmosEmulator::new(Default::default());
            StoreKind::Account(emulator.context("start the emulator of Cosmos DB")?.account())
        }
    };
    let stamp_programs = match &args.application {
        None => None,
        Some(application) => Some(StampPrograms {
            cordon: std::env::current_exe().context("find this executable")?,
            application: application.clone(),
        }),
    };
    Ok(DrillOptions {
        policy: drill::policy_for(&scenario, &text)?,
        scenario,
        seed: args.seed,
        store,
        handler,
        speed: args.speed,
        record: args.record.clone(),
        // A drill that runs on while somebody looks at it takes orders too.
        operator_token: args.speed.map(|_| fresh_token()).transpose()?,
        deaf_to: args.without.map(EvidenceClass::from),
        kill_at: args.kill_at.clone(),
        stamp_programs,
    })
}

/// Where the embedded store lives: the reader's directory, or a temporary one that goes with the drill.
enum Directory {
    Kept(PathBuf),
    Temporary(PathBuf),
}

impl Directory {
    fn for_drill(args: &DrillArgs) -> anyhow::Result<Self> {
        if let Some(data) = &args.data {
            if data.join("ledger.redb").exists() {
                bail!(
                    "{} holds a ledger already; a drill starts from nothing: name an empty directory",
                    data.display()
                );
            }
            return Ok(Self::Kept(data.clone()));
        }
        let path = std::env::temp_dir().join(format!("cordon-drill-{}", std::process::id()));
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
        }
        Ok(Self::Temporary(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Temporary(path) => path,
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Self::Temporary(path) = self {
            // Nothing of it is missed if it stays.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// One line of an ablation.
fn decided(report: &Report) -> String {
    match (report.times.decision_s, report.times.first_symptom_s) {
        (Some(decision), Some(symptom)) => format!("{} s", i64::from(decision) - i64::from(symptom)),
        (Some(decision), None) => format!("at {decision} s"),
        (None, _) => "no cordon".to_owned(),
    }
}

async fn ablation(args: &DrillArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let chosen: Vec<&str> =
        if args.name == DEFAULT_SCENARIO { ABLATION_SCENARIOS.to_vec() } else { vec![&args.name] };
    writeln!(out, "| scenario | source removed | decision after the first symptom | failed requests |")?;
    writeln!(out, "| --- | --- | --- | --- |")?;
    let mut matters: BTreeMap<&str, bool> = BTreeMap::new();
    for name in chosen {
        let scenario = named(name)?;
        let directory = Directory::Temporary(std::env::temp_dir().join("cordon-ablation"));
        let mut options = DrillOptions { store: StoreKind::Memory, ..options(args, scenario, &directory)? };
        let mut all = String::new();
        for (deaf_to, source) in
            std::iter::once((None, "none")).chain(ABLATED.map(|(class, name)| (Some(class), name)))
        {
            options.deaf_to = deaf_to;
            let played = drill::play(&options, &mut Quiet).await?;
            let report = drill::report(&options, &played, &played.measurements);
            let failed = played.measurements.failed(0..options.scenario.duration_s);
            let line = format!("{} | {failed:.0}", decided(&report));
            writeln!(out, "| {name} | {source} | {line} |")?;
            if deaf_to.is_none() {
                all = line;
            } else {
                *matters.entry(source).or_default() |= line != all;
            }
        }
    }
    for (source, matters) in matters {
        writeln!(out, "{source}: {}", if matters { "matters" } else { "changes nothing here" })?;
    }
    Ok(Exit::Done)
}
