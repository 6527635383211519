//! `cordon check`: is the policy valid, and what does it come to?

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use domain::Policy;
use domain::policy::{Mode, RampKind, Redistribution, json_schema};

use super::{Exit, policy_file};

/// The observers and the evaluation run every 10 s each, so a change is acted on at the latest this long after a rule
/// is satisfied.
const TIMERS: Duration = Duration::from_secs(20);

/// Arguments of `cordon check`.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// The policy file
    #[arg(required_unless_present = "schema", value_name = "POLICY")]
    policy: Option<PathBuf>,
    /// Print the policy's JSON Schema instead
    #[arg(long)]
    schema: bool,
}

/// Validates and explains.
pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if args.schema {
        writeln!(out, "{}", serde_json::to_string_pretty(&json_schema())?)?;
        return Ok(Exit::Done);
    }
    let Some(path) = &args.policy else { return Ok(Exit::Refused) };
    let policy = policy_file::read(path)?;
    writeln!(out, "{}: valid, for the workload {}", path.display(), policy.workload.name)?;
    for (title, lines) in [
        ("Out of rotation", leaving(&policy)),
        ("Back again", returning(&policy)),
        ("Capacity", capacity(&policy)),
    ] {
        writeln!(out, "\n{title}")?;
        for line in lines {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(Exit::Done)
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
    ]
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

/// A duration as policies write it.
fn words(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, 0, 0) => format!("{h}h"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}
