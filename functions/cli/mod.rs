//! The command line. With a port from the Functions host and no subcommand this process is the handler; with neither it
//! prints its help.
//!
//! Exit codes, stable:
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done; of a handler never |
//! | 1 | failed: a store, a port or a file could not be used; `audit verify` found the audit broken; a handler ended |
//! | 2 | refused: the command line or the policy is not valid, or an order cannot be given as it is |

mod environment;
mod settings;
mod policy_file;
mod drill;
mod check;
mod topology;
mod serve;
mod sources;
mod plan;
mod may_deploy;
pub mod parameters;
mod status;
mod report;
mod audit;
mod order;
pub mod spool;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::controller::order::OrderRefused;

pub use environment::Environment;
pub use policy_file::PolicyRefused;
pub use settings::{RoleKind, StampSettings, access, callers, controller_settings, role, stamp_settings};

/// How a command ended; the module's table says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1.
    Failed,
    /// 2.
    Refused,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

const EXIT_CODES: &str = "Exit codes:\n  \
    0  done (a handler never ends with 0)\n  \
    1  failed: a store, a port or a file could not be used; `audit verify` found the audit broken; a handler ended\n  \
    2  refused: the command line or the policy is not valid, or an order cannot be given as it is\n\n\
    Under the Functions host (FUNCTIONS_CUSTOMHANDLER_PORT) and without a command this is the custom handler of the\n\
    role in CORDON_ROLE, with its settings in the CORDON_* variables.";

/// Regional failover automation for Azure.
#[derive(Parser)]
#[command(name = "cordon", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Play an outage with everything embedded, and report on it
    Drill(drill::DrillArgs),
    /// Validate a policy and say what its thresholds come to
    Check(check::CheckArgs),
    /// Run the handler without a host: its timers, its change feed and the page on loopback
    Serve(serve::ServeArgs),
    /// Run the stamp's health service as a plain process or sidecar; settings in the CORDON_* variables
    StampHealth(serve::StampHealthArgs),
    /// Say what is happening now; --watch redraws
    Status(status::StatusArgs),
    /// Say what would be done now, and why not, without doing it
    Plan(plan::PlanArgs),
    /// Say whether a deployment may run now: only while every stamp serves and nothing of ours stands
    MayDeploy(may_deploy::MayDeployArgs),
    /// Read, verify and export the audit
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The report of an incident, or of a span of time, from the audit alone
    Report(report::ReportArgs),
    /// Leave a stamp as it is until released
    Hold(order::StampOrderArgs),
    /// End a hold
    Release(order::StampOrderArgs),
    /// Allow a cordon that awaits approval
    Approve(order::ApproveArgs),
    /// Acknowledge a stamp whose cordon budget is spent, so that it may return
    Ack(order::StampOrderArgs),
    /// Set a safety rule aside for one removal that it holds; never for the last region
    Override(order::OverrideArgs),
    /// No automatic removals and no returns for a while
    Pause(order::PauseArgs),
    /// End a pause
    Resume(order::OrderArgs),
    /// Take a stamp out of rotation by hand; it stays out until readmitted
    Cordon(order::StampOrderArgs),
    /// Let a stamp back as soon as it is healthy, before its window is over
    Readmit(order::StampOrderArgs),
    /// Change what a cause may do, over the policy's file
    Mode(order::ModeArgs),
    /// Print completions for a shell
    Completions(CompletionArgs),
}

/// Arguments of `cordon completions`.
#[derive(clap::Args)]
struct CompletionArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Lets a generator write where it wants a writer of known size.
struct Sink<'a>(&'a mut dyn Write);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A reader that has enough is no failure of ours, and the generator would panic over it.
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Runs one command line and returns how it ended. What is for the reader goes to `out`, what went wrong to `err`.
pub async fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let parsed = match Cli::try_parse_from(args) {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => {
            let _ = write!(err, "{}", error.render());
            return Exit::Refused;
        }
        Err(help) => {
            let _ = write!(out, "{}", help.render());
            return Exit::Done;
        }
    };
    let done = match parsed.command {
        Some(command) => perform(command, environment, out, err).await,
        None if environment.get(settings::HOST_PORT).is_some() => {
            let error = match serve::handler(environment).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            let _ = writeln!(err, "cordon: the handler ends: {error:#}");
            return Exit::Failed;
        }
        None => print_help(out),
    };
    done.unwrap_or_else(|error| report(&error, err))
}

async fn perform(
    command: Command,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Exit> {
    match command {
        Command::Drill(args) => drill::run(&args, out).await,
        Command::Check(args) => check::run(&args, out).await,
        Command::Serve(args) => serve::serve(&args, environment, err).await,
        Command::StampHealth(args) => serve::stamp_health(&args, environment, err).await,
        Command::Plan(args) => plan::run(&args, out).await,
        Command::MayDeploy(args) => may_deploy::run(&args, out).await,
        Command::Audit(command) => audit::run(&command, out).await,
        Command::Hold(args) => order::hold(&args, out).await,
        Command::Release(args) => order::release(&args, out).await,
        Command::Approve(args) => order::approve(&args, out).await,
        Command::Override(args) => order::overriding(&args, out).await,
        Command::Ack(args) => order::acknowledge(&args, out).await,
        Command::Pause(args) => order::pause(&args, out).await,
        Command::Resume(args) => order::resume(&args, out).await,
        Command::Status(args) => status::run(&args, environment, out).await,
        Command::Report(args) => report::run(&args, out).await,
        Command::Cordon(args) => order::cordon(&args, out).await,
        Command::Readmit(args) => order::readmit(&args, out).await,
        Command::Mode(args) => order::mode(&args, out).await,
        Command::Completions(args) => {
            clap_complete::generate(args.shell, &mut Cli::command(), "cordon", &mut Sink(out));
            Ok(Exit::Done)
        }
    }
}

fn print_help(out: &mut dyn Write) -> anyhow::Result<Exit> {
    write!(out, "{}", Cli::command().render_help())?;
    Ok(Exit::Done)
}

fn report(error: &anyhow::Error, err: &mut dyn Write) -> Exit {
    if let Some(refused) = error.downcast_ref::<PolicyRefused>() {
        let _ = write!(err, "{refused}");
        return Exit::Refused;
    }
    if let Some(refused) = error.downcast_ref::<OrderRefused>() {
        let _ = writeln!(err, "cordon: {refused}");
        return Exit::Refused;
    }
    // `cordon audit list | head`: the reader has enough.
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        return Exit::Done;
    }
    let _ = writeln!(err, "cordon: {error:#}");
    Exit::Failed
}
