//! Built-in scenarios, played in process, and what a test asks of a run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use cordon::assemble::StoreKind;
use cordon::drill::{self, DrillOptions, HandlerKind, Moment, Played, Quiet, Report, SHIPPED_POLICY};
use domain::StampId;
use domain::policy::ThroughputLever;
use domain::state::StampCase;
use simulator::{ArmExchange, ComputeKind, Measurements, Scenario, builtin};

/// A built-in scenario.
///
/// # Panics
/// When there is none of that name.
pub fn scenario(name: &str) -> Scenario {
    let (_, text) = builtin().iter().find(|(known, _)| *known == name).expect("a built-in scenario");
    Scenario::from_toml(text).expect("a built-in scenario is valid")
}

/// How long the short drill of a lever lasts, in seconds: loss at minute 10, back at minute 20, fully serving within the hour and
/// a half after.
const LEVER_DURATION_S: u32 = 7_200;

/// `hard-loss`, shortened, with this kind of compute in both regions.
///
/// # Panics
/// Never: the scenario is built in.
pub fn lever(compute: ComputeKind) -> Scenario {
    let mut scenario = scenario("hard-loss");
    scenario.duration_s = LEVER_DURATION_S;
    for fault in &mut scenario.faults {
        fault.until_s = fault.until_s.map(|_| 1_200);
    }
    for stamp in &mut scenario.stamps {
        stamp.compute = compute;
    }
    scenario
}

/// The lever of the workload's databases, as the templates and the drills of levers call it.
pub const THROUGHPUT: &str = "throughput";

/// The one container that the simulated account has, raised to `maximum` request units a second while a stamp is out.
pub fn throughput(maximum: u32) -> ThroughputLever {
    ThroughputLever { resource: "sqlDatabases/shop/containers/orders".to_owned(), maximum }
}

/// How often the throughput was written: raised and given back is twice.
pub fn throughput_writes(exchanges: &[ArmExchange]) -> usize {
    let is_setting = |said: &&ArmExchange| {
        said.method == "PUT" && said.path.to_lowercase().contains("/throughputsettings/")
    };
    exchanges.iter().filter(is_setting).count()
}

/// Seed 1, the shipped policy, everything in memory and in this process.
///
/// # Panics
/// When the scenario's own values make no valid policy.
pub fn options(scenario: Scenario) -> DrillOptions {
    DrillOptions {
        policy: drill::policy_for(&scenario, SHIPPED_POLICY).expect("the scenario's policy is valid"),
        scenario,
        seed: 1,
        store: StoreKind::Memory,
        handler: HandlerKind::InProcess,
        speed: None,
        record: None,
        deaf_to: None,
        operator_token: None,
        kill_at: Vec::new(),
        stamp_programs: None,
    }
}

/// A run with Cordon, the same without, and the report of both.
pub struct Run {
    /// With.
    pub played: Played,
    /// Without.
    pub without: Measurements,
    /// The figures.
    pub report: Report,
}

/// Plays with and without Cordon.
///
/// # Panics
/// When the handler broke the host's contract.
pub async fn run(options: &DrillOptions) -> Run {
    let played = drill::play(options, &mut Quiet).await.expect("the drill is played to its end");
    let without = drill::play_without(options).await.expect("the drill is played without Cordon");
    let report = drill::report(options, &played, &without);
    Run { played, without, report }
}

impl Run {
    /// When something of this kind happened to the stamp.
    pub fn times_of(&self, kind: &str, stamp: &str) -> Vec<u32> {
        self.moments(kind, stamp).map(|moment| moment.t).collect()
    }

    /// Moments of one kind and stamp.
    pub fn moments<'a>(&'a self, kind: &'a str, stamp: &'a str) -> impl Iterator<Item = &'a Moment> {
        let about = move |moment: &&Moment| moment.stamp.as_ref().is_some_and(|id| id.as_str() == stamp);
        self.played.moments.iter().filter(move |moment| moment.kind == kind).filter(about)
    }

    /// How often something of this kind happened, to anybody.
    pub fn count(&self, kind: &str) -> usize {
        self.played.moments.iter().filter(|moment| moment.kind == kind).count()
    }

    /// The planned effects of this tag (`set_gate`, `set_origin`, `raise_floor`, ..), with their time and stamp.
    pub fn effects(&self, tag: &str) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        for record in &self.played.audit {
            for step in record.steps.as_array().into_iter().flatten() {
                let effect = &step["step"]["effect"];
                if effect["effect"] == tag {
                    let stamp = effect["stamp"].as_str().unwrap_or_default().to_owned();
                    found.push((self.seconds(record.at), stamp));
                }
            }
        }
        found
    }

    /// The cases that each audit record decided, with its time.
    ///
    /// # Panics
    /// When a record's cases are not readable.
    pub fn decided_cases(&self) -> Vec<(u32, BTreeMap<StampId, StampCase>)> {
        let cases = |record: &domain::audit::AuditRecord| {
            serde_json::from_value(record.decision["cases"].clone()).expect("a record has its cases")
        };
        self.played.audit.iter().map(|record| (self.seconds(record.at), cases(record))).collect()
    }

    fn seconds(&self, at: domain::Timestamp) -> u32 {
        let start = self.played.audit.first().map_or(at, |record| record.at);
        u32::try_from(at.since(start).as_secs()).unwrap_or(u32::MAX)
    }

    /// Failed requests of the whole run, with Cordon and without, of one class of clients or of all.
    pub fn failed(&self, class: Option<&StampId>) -> (f64, f64) {
        let of = |world: &Measurements| match class {
            Some(stamp) => world.failed_of(stamp, 0..world.seconds()),
            None => world.failed(0..world.seconds()),
        };
        (of(&self.played.measurements), of(&self.without))
    }

    /// The run as text: what a change of behaviour would change.
    ///
    /// # Panics
    /// Never: writing to a string does not fail.
    pub fn golden(&self) -> String {
        let mut text = String::new();
        self.write_golden(&mut text).expect("a string takes all text");
        text
    }

    fn write_golden(&self, text: &mut String) -> std::fmt::Result {
        let report = &self.report;
        writeln!(text, "{}", report.title)?;
        self.write_times(text)?;
        writeln!(text, "\nTimeline")?;
        for moment in report.timeline.iter().filter(|moment| moment.kind != "step") {
            let stamp = moment.stamp.as_ref().map_or("", StampId::as_str);
            writeln!(text, "  {} {stamp:10} {}", clock(moment.t), moment.text)?;
        }
        writeln!(text, "\nEnd")?;
        for (stamp, end) in &report.end {
            let origin = end.origin.as_deref().unwrap_or("unread");
            let floor = end.floor.map_or("none".to_owned(), |floor| floor.to_string());
            writeln!(
                text,
                "  {:10} {}, gate {} %, origin {origin}, floor {floor}",
                stamp.as_str(),
                end.stage,
                end.gate_percent
            )?;
        }
        writeln!(text, "\nOrigin changes sent: {}", report.origin_patches.len())?;
        writeln!(text, "Failed requests in thousands, with Cordon and without")?;
        let mut line = |who: &str, (with, without): (f64, f64)| {
            writeln!(text, "  {who:20} {:7.0} {:7.0}", with / 1000.0, without / 1000.0)
        };
        line("all clients", self.failed(None))?;
        for stamp in &self.played.measurements.stamps {
            line(&format!("native to {stamp}"), self.failed(Some(stamp)))?;
        }
        let audit = &report.audit;
        let chain = if audit.chain_holds { "holds" } else { "IS BROKEN" };
        let replay = if audit.replayed == audit.records { "all" } else { "NOT ALL" };
        writeln!(text, "Audit: the chain {chain}, {replay} decisions replayed the same")
    }

    fn write_times(&self, text: &mut String) -> std::fmt::Result {
        let times = &self.report.times;
        for (name, time) in [
            ("first symptom", times.first_symptom_s),
            ("dropped by Front Door", times.front_door_drop_s),
            ("first signal", times.first_signal_s),
            ("decision", times.decision_s),
            ("capacity asked for", times.prescale_s),
            ("gate written", times.gate_written_s),
            ("gate effective", times.gate_effective_s),
            ("capacity ready", times.capacity_ready_s),
            ("origin disabled", times.origin_disabled_s),
            ("origin out everywhere", times.origin_disabled_effective_s),
            ("healthy again", times.healthy_again_s),
            ("origin enabled", times.origin_enabled_s),
            ("fully serving", times.fully_serving_s),
        ] {
            let time = time.map_or("-".to_owned(), clock);
            writeln!(text, "  {name:22} {time:>6}")?;
        }
        for (name, slices) in [("slices", &times.slices_s), ("step backs", &times.step_backs_s)] {
            let slices: Vec<String> = slices.iter().map(|(p, t)| format!("{p} % at {}", clock(*t))).collect();
            writeln!(text, "  {name:22} {}", if slices.is_empty() { "-".into() } else { slices.join(", ") })?;
        }
        let below = &self.report.capacity_below_without;
        writeln!(text, "  capacity below the run without Cordon for {} s", below.seconds)
    }
}

/// Minutes and seconds since the drill began.
fn clock(t: u32) -> String {
    format!("{:02}:{:02}", t / 60, t % 60)
}

/// A directory for the stores of one test; it goes with the value.
pub struct Directory(PathBuf);

impl Directory {
    /// An empty one; `name` tells the tests of a process apart.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cordon-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What stays is in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
