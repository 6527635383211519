//! `cargo xtask package`: stages a function app. The host finds `function.json` only in immediate subfolders of the app's
//! root, so the tree is flattened here and nowhere else.

use std::fs;
use std::path::{Path, PathBuf};

use crate::repository::{cargo, root, run, target};
use crate::{Failure, elf, musl};

/// The one function of a stamp: it answers Front Door's probes and holds no rights beyond reading its gate.
const STAMP_FUNCTIONS: [&str; 1] = ["stamp_health"];

/// The program's name in the package; `host.json` names the same.
const PROGRAM: &str = "cordon";

/// What the app will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Controller,
    Stamp,
}

/// Where the program comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Program {
    /// Static and stripped: what an app in Azure gets.
    Static,
    /// Built for this machine, for tests and for a host that runs here.
    Debug,
    Release,
    Given(PathBuf),
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    role: Role,
    program: Program,
    extras: Vec<PathBuf>,
    out: Option<PathBuf>,
}

/// The task.
pub(crate) fn run_task(arguments: &[String]) -> Result<(), Failure> {
    let options = parse(arguments)?;
    let program = match &options.program {
        Program::Static => musl::built(PROGRAM)?,
        Program::Given(path) => path.clone(),
        Program::Release => built(&["build", "-p", PROGRAM, "--release"], "release")?,
        Program::Debug => built(&["build", "-p", PROGRAM], "debug")?,
    };
    let kind = elf::linkage_of(&program)?;
    let size =
        fs::metadata(&program).map_err(|error| format!("look at {}: {error}", program.display()))?.len();
    let package = options.out.unwrap_or_else(|| target().join("package"));
    let functions = stage(&root(), &package, &program, options.role)?;
    for extra in &options.extras {
        let name = extra.file_name().ok_or_else(|| format!("{} is not a file", extra.display()))?;
        copy(extra, &package.join(name))?;
    }
    println!("{} with {}: {}", package.display(), functions.len(), functions.join(", "));
    println!("the program {kind}; {:.1} MB", size as f64 / 1e6);
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options, Failure> {
    let mut options = Options { role: Role::Controller, program: Program::Static, extras: vec![], out: None };
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(option) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{option} needs a value"));
        match option {
            "--release" => options.program = Program::Release,
            "--debug" => options.program = Program::Debug,
            "--out" => options.out = Some(value()?.into()),
            "--binary" => options.program = Program::Given(value()?.into()),
            "--with" => options.extras.push(value()?.into()),
            "--role" => {
                options.role = match value()? {
                    "controller" => Role::Controller,
                    "stamp" => Role::Stamp,
                    other => return Err(format!("{other} is no role; controller or stamp")),
                }
            }
            other => return Err(format!("{other} is no option of package")),
        }
    }
    Ok(options)
}

fn built(arguments: &[&str], profile: &str) -> Result<PathBuf, Failure> {
    run(&mut cargo(arguments))?;
    Ok(target().join(profile).join(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX)))
}

/// Puts the app together in `package`, which is emptied first, and returns the names of its functions.
fn stage(root: &Path, package: &Path, program: &Path, role: Role) -> Result<Vec<String>, Failure> {
    let host = root.join("host.json");
    let text = fs::read_to_string(&host).map_err(|error| format!("read {}: {error}", host.display()))?;
    if !text.contains(&format!("\"{PROGRAM}\"")) {
        return Err(format!("host.json does not name \"{PROGRAM}\" as its executable"));
    }
    let functions: Vec<String> = function_names(&root.join("functions"))?
        .into_iter()
        .filter(|name| role == Role::Controller || STAMP_FUNCTIONS.contains(&name.as_str()))
        .collect();
    if functions.is_empty() {
        return Err("no function for this role: no folder under functions/ has its function.json".to_owned());
    }
    if package.exists() {
        fs::remove_dir_all(package).map_err(|error| format!("empty {}: {error}", package.display()))?;
    }
    for name in &functions {
        let from = root.join("functions").join(name).join("function.json");
        copy(&from, &package.join(name).join("function.json"))?;
    }
    copy(&host, &package.join("host.json"))?;
    // The handler looks for its policy in the app root; a deployment may put its own over it with `--with`.
    let policy = root.join("policy.toml");
    if policy.exists() {
        copy(&policy, &package.join("policy.toml"))?;
    }
    copy(program, &package.join(PROGRAM))?;
    Ok(functions)
}

/// Folders that have a `function.json`, by name.
fn function_names(functions: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error| format!("list {}: {error}", functions.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(functions).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().join("function.json").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Copies a file with its permissions, the executable bit among them, into a folder that is made if need be.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error| format!("copy {} to {}: {error}", from.display(), to.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::copy(from, to).map(|_| ()).map_err(failed)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// A repository in miniature, under a name of its own, and the package made from it.
    fn staged(name: &str, host: &str, role: Role) -> (PathBuf, Result<Vec<String>, Failure>) {
        let root = std::env::temp_dir().join(format!("cordon-package-{}-{name}", std::process::id()));
        for function in ["evaluate", "stamp_health"] {
            fs::create_dir_all(root.join("functions").join(function)).unwrap();
            fs::write(root.join("functions").join(function).join("function.json"), "{}").unwrap();
        }
        fs::create_dir_all(root.join("functions/controller")).unwrap();
        fs::write(root.join("host.json"), host).unwrap();
        fs::write(root.join("program"), "binary").unwrap();
        let package = root.join("package");
        fs::create_dir_all(package.join("left_over")).unwrap();
        let functions = stage(&root, &package, &root.join("program"), role);
        (root, functions)
    }

    const HOST: &str = r#"{"customHandler":{"description":{"defaultExecutablePath":"cordon"}}}"#;

    #[test]
    fn a_controller_has_every_function_in_an_immediate_subfolder_and_nothing_else() {
        let (root, functions) = staged("controller", HOST, Role::Controller);
        assert_eq!(functions.unwrap(), ["evaluate", "stamp_health"]);
        let mut found: Vec<_> = fs::read_dir(root.join("package"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, ["cordon", "evaluate", "host.json", "stamp_health"]);
        assert!(root.join("package/evaluate/function.json").is_file());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_stamp_has_its_health_endpoint_alone() {
        let (root, functions) = staged("stamp", HOST, Role::Stamp);
        assert_eq!(functions.unwrap(), ["stamp_health"]);
        assert!(!root.join("package/evaluate").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_host_file_that_starts_another_program_is_found_out() {
        let (root, functions) = staged("host", "{}", Role::Stamp);
        assert!(functions.is_err());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn options_are_read_or_refused() {
        let parse = |text: &str| parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let stamp = Options {
            role: Role::Stamp,
            program: Program::Given("bin/cordon".into()),
            extras: vec!["policy.toml".into()],
            out: Some("there".into()),
        };
        assert_eq!(parse("--role stamp --binary bin/cordon --with policy.toml --out there"), Ok(stamp));
        assert_eq!(parse("").map(|options| options.program), Ok(Program::Static));
        assert_eq!(parse("--debug").map(|options| options.program), Ok(Program::Debug));
        assert_eq!(parse("--release").map(|options| options.program), Ok(Program::Release));
        for wrong in ["--role", "--role witness", "--fast", "controller"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
