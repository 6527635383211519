//! `cargo xtask deploy`: prints and runs the `az` commands of a deployment. A deployment writes every origin's `enabledState`
//! and every autoscale setting whole; so it runs only while Cordon says that nothing of its own stands, asked before the
//! preview and again before the deployment. What cannot be asked is a no.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::repository::{cargo, root, shown};

/// The name of the deployment in the subscription; later ones replace earlier ones under it.
const NAME: &str = "cordon";

/// What must be typed after the preview.
const YES: &str = "deploy";

/// Exit code of `cordon may-deploy` when something speaks against it.
const REFUSED: i32 = 2;

/// Whether Cordon is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// The running process.
    At(String),
    /// There is none yet: the first deployment of an environment.
    First,
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    parameters: PathBuf,
    asked: Asked,
    policy: PathBuf,
    /// Somebody takes it on themselves, in their own words.
    despite: Option<String>,
    /// Say what would be run, and run nothing.
    print: bool,
    /// Do not wait for a person after the preview.
    yes: bool,
    /// The program that asks; built here without it.
    cordon: Option<PathBuf>,
}

/// The task.
pub(crate) fn run_task(arguments: &[String]) -> Result<(), Failure> {
    let options = parse(arguments)?;
    let text = fs::read_to_string(&options.parameters)
        .map_err(|error| format!("read {}: {error}", options.parameters.display()))?;
    let location = literal(&text, "witnessRegion")
        .ok_or_else(|| format!("{} has no `param witnessRegion = '..'`", options.parameters.display()))?;
    let preview = az("what-if", &location, &options);
    let create = az("create", &location, &options);
    if options.print {
        if let Asked::At(url) = &options.asked {
            println!("{}", shown(&question(&options, url)));
        }
        println!("{}\n{}", shown(&preview), shown(&create));
        return Ok(());
    }
    permitted(&options)?;
    said(preview)?;
    if !options.yes {
        confirmed()?;
    }
    // A person may have read the preview for an hour.
    permitted(&options)?;
    said(create)?;
    println!("deployed. An incremental deployment deletes nothing: infra/README.md, \"Regions come and go\"");
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options, Failure> {
    let mut options = Options {
        parameters: root().join("infra/parameters/dev.bicepparam"),
        asked: Asked::First,
        policy: root().join("policy.toml"),
        despite: None,
        print: false,
        yes: false,
        cordon: None,
    };
    let mut asked = None;
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(option) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{option} needs a value"));
        match option {
            "--parameters" => options.parameters = value()?.into(),
            "--url" => asked = Some(Asked::At(value()?.to_owned())),
            "--first" if asked.is_none() => asked = Some(Asked::First),
            "--policy" => options.policy = value()?.into(),
            "--despite-cordon" => options.despite = Some(value()?.to_owned()),
            "--cordon" => options.cordon = Some(value()?.into()),
            "--print" => options.print = true,
            "--yes" => options.yes = true,
            other => return Err(format!("{other} is no option of deploy, or not beside the others")),
        }
    }
    options.asked = asked.ok_or(
        "give --url, the address of Cordon's page, so that it is asked whether a cordon stands; \
         or --first, where no Cordon was ever deployed",
    )?;
    if options.despite.as_deref().is_some_and(|reason| reason.trim().len() < 10) {
        return Err("--despite-cordon needs who and why, in ten letters at least: it is printed".to_owned());
    }
    Ok(options)
}

/// Asks Cordon; an override is obeyed, aloud, and only where the answer was no.
fn permitted(options: &Options) -> Result<(), Failure> {
    let Asked::At(url) = &options.asked else {
        println!("no Cordon is asked: this is said to be the first deployment");
        return Ok(());
    };
    let mut question = question(options, url);
    println!("> {}", shown(&question));
    let status = question.status().map_err(|error| format!("start {}: {error}", shown(&question)))?;
    if status.success() {
        return Ok(());
    }
    let why = match status.code() {
        Some(REFUSED) => "Cordon says that a deployment must not run now (above)",
        _ => "Cordon could not be asked (above), and what cannot be asked is a no",
    };
    match &options.despite {
        Some(reason) => {
            eprintln!(
                "\n!!!! DEPLOYING ALTHOUGH {why}.\n!!!! Override: {reason}\n!!!! Origins that are not in \
                 originsHeldOut will be ENABLED, floors will be TAKEN AWAY. Cordon records it and follows its \
                 policy's [drift].\n"
            );
            Ok(())
        }
        None => Err(format!(
            "{why}. Wait until every stage is Serving; `--despite-cordon 'WHO and WHY'` overrides it"
        )),
    }
}

/// `cordon may-deploy`, by the program that is given or the one of this repository.
fn question(options: &Options, url: &str) -> Command {
    let mut command = match &options.cordon {
        Some(program) => Command::new(program),
        None => cargo(&["run", "--quiet", "--release", "-p", "cordon", "--"]),
    };
    command.args(["may-deploy", "--url", url, "--policy"]).arg(&options.policy);
    command.arg("--parameters").arg(&options.parameters);
    // The page's token comes from CORDON_TOKEN, which is inherited: what is printed must hold no secret.
    command
}

fn az(verb: &str, location: &str, options: &Options) -> Command {
    let mut command = Command::new("az");
    command.args(["deployment", "sub", verb, "--name", NAME, "--location", location, "--parameters"]);
    command.arg(&options.parameters);
    command
}

/// Prints a command and runs it.
fn said(mut command: Command) -> Result<(), Failure> {
    println!("> {}", shown(&command));
    let status = command
        .status()
        .map_err(|error| format!("start {}: {error}; is the Azure CLI installed?", shown(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", shown(&command))) }
}

fn confirmed() -> Result<(), Failure> {
    print!("type \"{YES}\" to go on: ");
    io::stdout().flush().map_err(|error| format!("ask on the terminal: {error}"))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| format!("read the answer: {error}"))?;
    if answer.trim() == YES { Ok(()) } else { Err("not deployed".to_owned()) }
}

/// The value of `param NAME = '..'`.
fn literal(text: &str, name: &str) -> Option<String> {
    let opening = format!("param {name} = '");
    let line = text.lines().find_map(|line| line.strip_prefix(&opening))?;
    Some(line.split('\'').next()?.to_owned())
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn read(text: &str) -> Result<Options, Failure> {
        parse(&text.split('|').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_is_deployed_without_saying_whom_to_ask() {
        assert!(read("--yes").unwrap_err().contains("--url"));
        assert_eq!(read("--first").unwrap().asked, Asked::First);
        assert_eq!(read("--url|http://x").unwrap().asked, Asked::At("http://x".to_owned()));
        assert!(read("--url|http://x|--first").is_err(), "one or the other");
    }

    #[test]
    fn an_override_has_a_name() {
        assert!(read("--first|--despite-cordon|no").is_err());
        assert!(read("--first|--despite-cordon|ada: certificate expires at noon").is_ok());
    }

    #[test]
    fn the_witness_region_is_read_from_the_file() {
        let text = "param workload = 'w'\nparam witnessRegion = 'westus3'\n";
        assert_eq!(literal(text, "witnessRegion").as_deref(), Some("westus3"));
        assert_eq!(literal(text, "logsRegion"), None);
    }
}
