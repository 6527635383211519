//! `cordon check`: is the policy valid, and what does it come to?

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use domain::policy::{Mode, RampKind, Redistribution, json_schema};
use domain::{EvidenceClass, Policy};

use super::{Exit, policy_file, topology};

/// The observers and the evaluation run every 10 s each, so a change is acted on at the latest this long after a rule
/// is satisfied.
pub(super) const TIMERS: Duration = Duration::from_secs(20);

/// Age of the newest sample of edge and traffic telemetry at the worst: a minute that is read 1 to 3 min after its end, every
/// 30 s (policy.toml says the same where the value stands).
const TELEMETRY_AGE_S: u64 = 270;

/// Arguments of `cordon check`.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// The policy file
    #[arg(required_unless_present = "schema", value_name = "POLICY")]
    policy: Option<PathBuf>,
    /// Print the policy's JSON Schema instead
    #[arg(long)]
    schema: bool,
    /// Explain it for the stamps in this directory's ledger, while no process holds it
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// Explain it for the stamps of this running process, such as http://127.0.0.1:7071
    #[arg(long)]
    url: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Validates and explains.
pub(super) async fn run(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if args.schema {
        writeln!(out, "{}", serde_json::to_string_pretty(&json_schema())?)?;
        return Ok(Exit::Done);
    }
    let Some(path) = &args.policy else { return Ok(Exit::Refused) };
    let policy = policy_file::read(path)?;
    let mut warned = warnings(&policy);
    let mut parts = vec![
        ("Out of rotation", leaving(&policy)),
        ("Back again", returning(&policy)),
        ("Capacity", capacity(&policy)),
        ("Told again", reminders(&policy)),
    ];
    if !policy.throughput.is_empty() {
        parts.insert(3, ("Throughput", throughput(&policy)));
    }
    if let Some(state) = topology::state(args.data.as_deref(), args.url.as_deref(), &policy).await? {
        let (lines, more) = topology::explained(&state, &policy);
        parts.push(("With the stamps that are there", lines));
        warned.extend(more);
    }
    if warned.is_empty() {
        warned.push("none".to_owned());
    }
    parts.push(("Warnings", warned));
    if args.json {
        let parts: std::collections::BTreeMap<&str, Vec<String>> = parts.into_iter().collect();
        let value = serde_json::json!({ "valid": true, "workload": policy.workload.name, "parts": parts });
        writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        return Ok(Exit::Done);
    }
    writeln!(out, "{}: valid, for the workload {}", path.display(), policy.workload.name)?;
    for (title, lines) in parts {
        writeln!(out, "\n{title}")?;
        for line in lines {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(Exit::Done)
}

fn throughput(policy: &Policy) -> Vec<String> {
    let levers = policy.throughput.iter().map(|lever| {
        format!(
            "while a stamp is out {} may have {} RU/s in every region, or as much of it as is there at once",
            lever.resource, lever.maximum
        )
    });
    let rest = policy.capacity.restore_after;
    levers
        .chain([format!(
            "given back {rest} after the last stamp serves again, if nobody changed it meanwhile; billed by the hour until then"
        )])
        .collect()
}

fn leaving(policy: &Policy) -> Vec<String> {
    let factor = policy.confirm.platform_factor;
    let both = |span: domain::policy::Span| {
        format!("{} (with a platform alert {})", words(span.get()), words(span.get().mul_f64(factor)))
    };
    vec![
        format!("hard loss, two classes agree: after {}", both(policy.confirm.after)),
        format!("hard loss, one class alone: after {}", both(policy.confirm.alone_after)),
        format!("gray failure, two classes agree: after {}", both(policy.gray.confirm_after)),
        format!("gray failure, one class alone: after {}", both(policy.gray.confirm_alone_after)),
        format!("a gray region waits for its survivors' capacity for at most {}", policy.gray.ready_deadline),
        format!("observing and evaluating add up to {}", words(TIMERS)),
        format!(
            "one region per {}; at most {} automatic cordons of a region in {}",
            policy.velocity.one_region_per, policy.budget.cordons_max, policy.budget.span
        ),
        format!(
            "the origin is disabled as well after {}, if at least {} enabled remain",
            policy.latch.after, policy.latch.origins_remaining_min
        ),
        modes(policy),
    ]
}

fn modes(policy: &Policy) -> String {
    let modes = &policy.modes;
    let watched: Vec<&str> = [
        ("hard_loss", modes.hard_loss),
        ("gray", modes.gray),
        ("platform_alert", modes.platform_alert),
        ("overload", modes.overload),
        ("readmit", modes.readmit),
    ]
    .into_iter()
    .filter(|(_, mode)| *mode != Mode::Act)
    .map(|(name, _)| name)
    .collect();
    if watched.is_empty() {
        "every cause acts".to_owned()
    } else {
        format!("recorded but not acted on: {}", watched.join(", "))
    }
}

fn returning(policy: &Policy) -> Vec<String> {
    let longest = policy.window.cap.get() + policy.window.jitter.get();
    let steps = match policy.ramp.kind {
        RampKind::Slices => policy.ramp.percents.clone(),
        RampKind::Single => vec![100],
    };
    let watched = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    vec![
        format!(
            "healthy for {} after the first cordon, longer after each further one, at most {}",
            policy.window.base,
            words(longest)
        ),
        format!(
            "then by {} of the edge locations, each watched for {}: at least {} in all",
            steps.iter().map(|percent| format!("{percent} %")).collect::<Vec<_>>().join(", "),
            policy.ramp.watch,
            words(policy.ramp.watch.get().saturating_mul(watched))
        ),
        format!("the next region's return starts {} after the end of one", policy.window.stagger),
        format!(
            "so a region that stays healthy is out for {} after the first cordon, at the longest for {}{}",
            words(policy.window.base.get() + policy.window.jitter.get() + ramp(policy, watched)),
            words(longest + policy.latch.settle.get() + ramp(policy, watched)),
            ", its origin having been disabled"
        ),
        format!(
            "after {} cordons in {} it stays out until somebody acknowledges it, however healthy it is",
            policy.budget.cordons_max, policy.budget.span
        ),
    ]
}

fn ramp(policy: &Policy, slices: u32) -> Duration {
    policy.ramp.watch.get().saturating_mul(slices)
}

/// What is valid and unsafe, or does not do what one might expect of it.
fn warnings(policy: &Policy) -> Vec<String> {
    [warnings_of_leaving(policy), warnings_of_returning(policy)].concat()
}

fn warnings_of_leaving(policy: &Policy) -> Vec<String> {
    let mut found = Vec::new();
    let mut warn = |is_so: bool, text: String| {
        if is_so {
            found.push(text);
        }
    };
    let age = |class| policy.age_max(class).as_secs();
    for (class, name) in [(EvidenceClass::Edge, "edge"), (EvidenceClass::Traffic, "traffic")] {
        warn(
            age(class) < TELEMETRY_AGE_S,
            format!(
                "evidence.age_max.{name} is {} s: the newest minute of telemetry can be {TELEMETRY_AGE_S} s old, so it lapses before the next comes and contradicts nothing meanwhile",
                age(class)
            ),
        );
        warn(
            !policy.speakers.iter().any(|speaker| speaker.class == class),
            format!(
                "no speaker is mapped to {name}: alerts of that class have no vote, only our own metrics speak for it"
            ),
        );
    }
    warn(age(EvidenceClass::Direct) < 20, "evidence.age_max.direct is shorter than two runs of our own probes: one slow run makes every stamp unobserved".to_owned());
    warn(
        policy.confirm.after.get() < Duration::from_secs(40),
        format!(
            "confirm.after is {}: fewer than four samples of our own probes, so a deployment's restart can look like a loss",
            policy.confirm.after
        ),
    );
    warn(policy.latch.origins_remaining_min < 2, "latch.origins_remaining_min is 1: with two stamps a latch leaves Front Door nothing to fail over to, for the 20 min that undoing it takes".to_owned());
    warn(
        policy.capacity.headroom < domain::lint::S2_MARGIN,
        format!(
            "capacity.headroom is {}: survivors sized so never reach the 5 % of safety rule S2, and gray regions wait for their deadline",
            policy.capacity.headroom
        ),
    );
    found
}

fn warnings_of_returning(policy: &Policy) -> Vec<String> {
    let mut found = Vec::new();
    let mut warn = |is_so: bool, text: String| {
        if is_so {
            found.push(text);
        }
    };
    warn(policy.capacity.redistribution != Redistribution::WorstCase && policy.capacity.headroom < 1.1, "capacity.headroom under 1.1 without worst-case redistribution: where more load lands than expected, a survivor is full at once".to_owned());
    warn(
        policy.ramp.watch.get() < Duration::from_secs(150),
        format!(
            "ramp.watch is {}: a slice is widened before one probe detection (90 s) and a minute of telemetry could say that it fails",
            policy.ramp.watch
        ),
    );
    warn(
        policy.ramp.kind == RampKind::Single,
        "ramp.kind is single: every client comes back at once, and a relapse hits all of them".to_owned(),
    );
    warn(policy.capacity.floor_lifetime.get() <= policy.gate.lifetime.get(), "capacity.floor_lifetime is no longer than gate.lifetime: if Cordon is gone, survivors shrink while the region is still out".to_owned());
    warn(
        policy.budget.cordons_max > 3,
        format!(
            "budget.cordons_max is {}: a region that flaps takes its clients along as often, before anybody is asked",
            policy.budget.cordons_max
        ),
    );
    warn(
        policy.window.base.get() < Duration::from_secs(300),
        format!("window.base is {}: shorter than the good moments of a gray failure", policy.window.base),
    );
    warn(policy.velocity.one_region_per.get() < policy.capacity.grow_within.get(), "velocity.one_region_per is shorter than capacity.grow_within: a second region may go before the survivors of the first have grown".to_owned());
    warn(
        policy.notify.is_empty(),
        "no notification target: nobody is told but who looks at the page".to_owned(),
    );
    warn(
        policy.modes.readmit != Mode::Act && policy.modes.hard_loss == Mode::Act,
        "regions are taken out and never let back by themselves: modes.readmit is not act".to_owned(),
    );
    found
}

fn capacity(policy: &Policy) -> Vec<String> {
    let capacity = &policy.capacity;
    let most = f64::from(capacity.instances_max) * capacity.instance_rps / capacity.headroom;
    let spread = match capacity.redistribution {
        Redistribution::Proportional => "its load spreads in proportion",
        Redistribution::Nearest => "its load goes to the nearest region",
        Redistribution::WorstCase => "all of its load may land on any one of them",
    };
    vec![
        format!(
            "when a region leaves, {spread}; a survivor needs 1 instance per {:.0} requests/s it must carry",
            capacity.instance_rps / capacity.headroom
        ),
        format!(
            "1000 requests/s need {} instances; the {} that may be asked for carry {most:.0} requests/s",
            domain::capacity::instances_for(1_000.0 * capacity.headroom, policy),
            capacity.instances_max
        ),
        format!(
            "a raised floor stands for {} without renewal and is given back {} after the last return",
            capacity.floor_lifetime, capacity.restore_after
        ),
        format!("at least {} region(s) stay effective", capacity.regions_min),
    ]
}

fn reminders(policy: &Policy) -> Vec<String> {
    vec![
        format!(
            "an approval or acknowledgement that nobody gives is asked for again every {}; the hold stands",
            policy.reminders.unanswered_every
        ),
        format!("a pause is told of every {} until it ends", policy.reminders.paused_every),
    ]
}

/// A duration as policies write it.
pub(super) fn words(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, 0, 0) => format!("{h}h"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}
