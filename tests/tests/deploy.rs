//! `cargo xtask deploy` against the page of a real drill, with a stand-in for `az` that only writes down how it was called: it
//! deploys while all is well, refuses while a cordon stands or a stamp cannot be missed, and its override is loud.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cordon::drill::{self, Moment, Show};
use simulator::{Scenario, WorldView};
use tests::drills::{self, Directory};
use tests::host_double::built;

/// All is well.
const CALM_S: u32 = 300;
/// East US 2 is lost at 600 s and cordoned two minutes later.
const CORDONED_S: u32 = 900;

const PROD: &str = include_str!("../../infra/parameters/prod.bicepparam");

/// What a deployment said and did.
#[derive(Debug)]
struct Tried {
    code: Option<i32>,
    told: String,
    /// How `az` was called, a line each.
    az: Vec<String>,
}

/// Whoever deploys, while the drill goes on.
struct Deployer {
    directory: Directory,
    url: String,
    tried: Vec<(&'static str, Tried)>,
}

impl Deployer {
    fn new() -> Self {
        let directory = Directory::new("deploy");
        let az = directory.path().join("bin/az");
        std::fs::create_dir_all(az.parent().unwrap()).unwrap();
        std::fs::write(&az, "#!/bin/sh\necho \"$@\" >> \"$AZ_CALLS\"\n").unwrap();
        std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory, url: String::new(), tried: Vec::new() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Deploys these parameters by this page.
    fn deploy(&mut self, what: &'static str, url: &str, parameters: &Path, more: &[&str]) {
        let calls = self.directory.path().join("az-calls");
        let _ = std::fs::remove_file(&calls);
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new(built("xtask").unwrap())
            .args(["deploy", "--url", url, "--yes", "--cordon"])
            .arg(built("cordon").unwrap())
            .args(["--policy", concat!(env!("CARGO_MANIFEST_DIR"), "/../policy.toml"), "--parameters"])
            .arg(parameters)
            .args(more)
            .env("PATH", format!("{}:{path}", self.directory.path().join("bin").display()))
            .env("AZ_CALLS", &calls)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        let az = std::fs::read_to_string(&calls).unwrap_or_default();
        let tried = Tried {
            code: output.status.code(),
            told: String::from_utf8_lossy(&told).into_owned(),
            az: az.lines().map(str::to_owned).collect(),
        };
        self.tried.push((what, tried));
    }

    fn of(&self, what: &str) -> &Tried {
        &self.tried.iter().find(|(name, _)| *name == what).unwrap().1
    }
}

impl Show for Deployer {
    fn begins(&mut self, _: &Scenario, base: &str, _: Option<&str>) {
        self.url = base.to_owned();
    }

    fn moment(&mut self, _: &Moment) {}

    fn second(&mut self, view: &WorldView) {
        let url = self.url.clone();
        let all = self.file("all.bicepparam", PROD);
        match view.elapsed_s {
            CALM_S => {
                self.deploy("calm", &url, &all, &[]);
                let leaves = PROD.replacen("region: 'eastus2'", "region: 'eastus2' ", 1).replacen(
                    "'serving'",
                    "'draining'",
                    1,
                );
                let leaves = self.file("leaves.bicepparam", &leaves);
                self.deploy("the large stamp leaves", &url, &leaves, &[]);
                let strange =
                    self.file("strange.bicepparam", &PROD.replace("instancesMin: 7", "instancesMin: seven"));
                self.deploy("a file that cannot be read", &url, &strange, &[]);
            }
            CORDONED_S => {
                self.deploy("cordoned", &url, &all, &[]);
                self.deploy("cordoned, printed", &url, &all, &["--print"]);
                let reason = "ada: the certificate ends at noon";
                self.deploy("cordoned, overridden", &url, &all, &["--despite-cordon", reason]);
                self.deploy("nobody answers", "http://127.0.0.1:9", &all, &[]);
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_runs_only_while_nothing_of_ours_stands() {
    let mut scenario = drills::scenario("hard-loss");
    scenario.duration_s = CORDONED_S + 1;
    scenario.faults[0].until_s = None;
    let mut deployer = Deployer::new();
    drill::play(&drills::options(scenario), &mut deployer).await.unwrap();

    let calm = deployer.of("calm");
    let file = deployer.directory.path().join("all.bicepparam");
    let call = |verb: &str| {
        format!("deployment sub {verb} --name cordon --location westus3 --parameters {}", file.display())
    };
    assert_eq!((calm.code, &calm.az), (Some(0), &vec![call("what-if"), call("create")]), "{calm:?}");
    assert_eq!(
        calm.told.matches("a deployment may run").count(),
        2,
        "asked before and after the preview: {calm:?}"
    );

    for (what, told) in [
        ("the large stamp leaves", "centralus would have to carry"),
        ("a file that cannot be read", "instancesMin"),
        ("cordoned", "eastus2 is not serving: cordoned"),
        ("cordoned", "--despite-cordon"),
        ("nobody answers", "could not be asked"),
    ] {
        let tried = deployer.of(what);
        assert!(tried.code == Some(1) && tried.told.contains(told), "{what}: {tried:?}");
        assert_eq!(tried.az, Vec::<String>::new(), "{what}: az is not even asked for a preview");
    }

    let printed = deployer.of("cordoned, printed");
    assert_eq!((printed.code, printed.az.len()), (Some(0), 0), "{printed:?}");
    assert!(printed.told.contains("may-deploy") && printed.told.contains("sub create"), "{printed:?}");

    let overridden = deployer.of("cordoned, overridden");
    assert_eq!((overridden.code, overridden.az.len()), (Some(0), 2), "{overridden:?}");
    for told in ["DEPLOYING ALTHOUGH", "ada: the certificate ends at noon", "ENABLED", "TAKEN AWAY"] {
        assert!(overridden.told.contains(told), "{told}: {overridden:?}");
    }
}
