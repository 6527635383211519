//! A copy of the repository with every mutant in it, built once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::embed::embed;
use crate::mutant::OfFile;

/// What the copy has beside the repository's own files: the switch, and what says which were reached.
const SWITCH: &str = include_str!("switch.rs");

/// How often the compiler may name mutants that do not compile before we give up.
const MAX_PASSES: usize = 60;

/// The copy.
pub(crate) struct Tree {
    /// Its root.
    pub(crate) root: PathBuf,
    /// Where cargo builds it.
    pub(crate) target: PathBuf,
}

/// What became of the list.
pub(crate) struct Built {
    /// Mutants that can be switched on.
    pub(crate) viable: BTreeSet<u32>,
    /// Those that do not compile.
    pub(crate) unviable: BTreeSet<u32>,
    /// Those that stand where no switch can: in constants.
    pub(crate) constant: BTreeSet<u32>,
}

/// A program of tests.
#[derive(Debug, Clone)]
pub(crate) struct Suite {
    /// Whose.
    pub(crate) package: String,
    /// The program.
    pub(crate) program: PathBuf,
    /// Where its tests expect to be run.
    pub(crate) folder: PathBuf,
}

impl Tree {
    /// Copies the repository at `from`, what git knows of it or would add to it, into `to`, which is emptied first but for
    /// what was built there.
    ///
    /// # Errors
    /// When git or the file system fails.
    pub(crate) fn copy(from: &Path, to: &Path) -> Result<Self> {
        let root = to.join("tree");
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("empty {}", root.display()))?;
        }
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(from)
            .output()
            .context("run git ls-files")?;
        for name in String::from_utf8(listed.stdout).context("read git's list")?.split_terminator('\0') {
            let (source, copy) = (from.join(name), root.join(name));
            if let Some(folder) = copy.parent() {
                fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
            }
            if source.is_file() {
                fs::copy(&source, &copy).with_context(|| format!("copy {name}"))?;
            }
        }
        Ok(Self { root, target: to.join("build") })
    }

    /// Puts all mutants in and leaves out, pass by pass, what the compiler refuses.
    ///
    /// # Errors
    /// When the compiler refuses something that is no mutant.
    pub(crate) fn embed(
        &self,
        files: &BTreeMap<String, OfFile>,
        package: &str,
        crate_root: &str,
    ) -> Result<Built> {
        let sources = self.sources(crate_root)?;
        let switch = self.root.join(crate_root).with_file_name("mutation.rs");
        fs::write(&switch, SWITCH).with_context(|| format!("write {}", switch.display()))?;
        let mut refused = Refused::default();
        for pass in 1..=MAX_PASSES {
            let mut viable = BTreeSet::new();
            for (file, source) in &sources {
                let mutants = files.get(file).into_iter().flatten();
                let kept: OfFile = mutants
                    .filter(|(number, _)| !refused.mutants.contains(number))
                    .map(|(number, mutant)| (*number, mutant.clone()))
                    .collect();
                let mut done =
                    embed(source, &kept, &refused.constant).with_context(|| format!("parse {file}"))?;
                if file == crate_root {
                    done.text.push_str(" pub mod mutation;");
                }
                fs::write(self.root.join(file), done.text).with_context(|| format!("write {file}"))?;
                viable.extend(done.placed);
            }
            let before = refused.count();
            self.check(package, &mut refused)?;
            eprintln!(
                "pass {pass}: {} mutants in, {} refused by the compiler",
                viable.len(),
                refused.mutants.len()
            );
            if refused.count() == before {
                let all: BTreeSet<u32> = files.values().flat_map(BTreeMap::keys).copied().collect();
                let constant = all
                    .iter()
                    .filter(|n| !viable.contains(n) && !refused.mutants.contains(n))
                    .copied()
                    .collect();
                return Ok(Built { viable, unviable: refused.mutants, constant });
            }
        }
        bail!("embed the mutants: the compiler still refuses some after {MAX_PASSES} passes")
    }

    /// The crate's source files by their names from the root. Its tests are among them: they hold no mutant, but a constant
    /// function of theirs would call what is constant no more.
    fn sources(&self, crate_root: &str) -> Result<BTreeMap<String, String>> {
        let root = self.root.join(crate_root);
        let mut folders = vec![root.parent().context("the crate's root has a folder")?.to_owned()];
        let mut found = BTreeMap::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
                let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy().into_owned();
                    let source = fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
                    found.insert(name, source);
                }
            }
        }
        Ok(found)
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let run = Command::new("cargo")
            .args(arguments)
            .arg("--message-format=json")
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTFLAGS", "--cap-lints=allow")
            // Built once, run thousands of times; checks for overflow stay on.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("run cargo {arguments:?}"))?;
        let text = String::from_utf8(run.stdout).context("read cargo's messages")?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    fn check(&self, package: &str, refused: &mut Refused) -> Result<()> {
        let before = refused.count();
        let mut other = None;
        for message in self.cargo(&["check", "-p", package, "--lib"])? {
            let message = &message["message"];
            if message["level"] == "error" && !self.blame(message, refused) {
                other = Some(message["rendered"].to_string());
            }
        }
        match other {
            Some(text) if refused.count() == before => {
                bail!("build the mutants: {}", text.chars().take(2000).collect::<String>())
            }
            _ => Ok(()),
        }
    }

    /// The mutant that an error of the compiler is about; false where there is none.
    fn blame(&self, message: &Value, refused: &mut Refused) -> bool {
        let text = message["message"].as_str().unwrap_or_default();
        if text.contains("non-const")
            && let Some(name) = text.split('`').nth(1).filter(|name| !name.contains("mutation"))
        {
            let path = name.split('<').next().unwrap_or(name);
            refused.constant.insert(path.rsplit("::").next().unwrap_or(path).to_owned());
            return true;
        }
        let mut found = false;
        for span in
            message["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == true)
        {
            let at = usize::try_from(span["byte_start"].as_u64().unwrap_or_default()).unwrap_or_default();
            let Ok(source) =
                fs::read_to_string(self.root.join(span["file_name"].as_str().unwrap_or_default()))
            else {
                continue;
            };
            // The error may begin with the condition itself.
            let end = source.len().min(at + "if crate :: mutation :: on (".len());
            if let Some(number) = source.get(..end).and_then(last_number) {
                refused.mutants.insert(number);
                found = true;
            }
        }
        found
    }

    /// Builds the unit tests of a package.
    ///
    /// # Errors
    /// When they do not build.
    pub(crate) fn suite(&self, package: &str) -> Result<Suite> {
        let messages = self.cargo(&["test", "-p", package, "--lib", "--no-run"])?;
        let built = messages
            .iter()
            .rev()
            .find(|message| message["profile"]["test"] == true && message["executable"].is_string());
        let Some(built) = built else {
            let errors = messages.iter().filter_map(|message| message["message"]["rendered"].as_str());
            bail!("build the tests of {package}: cargo names no program\n{}", errors.collect::<String>());
        };
        let manifest = PathBuf::from(built["manifest_path"].as_str().unwrap_or_default());
        Ok(Suite {
            package: package.to_owned(),
            program: PathBuf::from(built["executable"].as_str().unwrap_or_default()),
            folder: manifest.parent().unwrap_or(&self.root).to_owned(),
        })
    }
}

/// What the compiler refused so far.
#[derive(Default)]
struct Refused {
    mutants: BTreeSet<u32>,
    /// Functions that are called where a value must be constant.
    constant: BTreeSet<String>,
}

impl Refused {
    fn count(&self) -> usize {
        self.mutants.len() + self.constant.len()
    }
}

/// The number of the last switch in `text`.
fn last_number(text: &str) -> Option<u32> {
    let (_, after) = text
        .rsplit_once("mutation :: on (")
        .filter(|(_, after)| after.starts_with(|c: char| c.is_ascii_digit()))
        .or_else(|| {
            let (before, _) = text.rsplit_once("mutation :: on (")?;
            before.rsplit_once("mutation :: on (")
        })?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
