//! Which test catches which mutant.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tree::Suite;

/// Tests that take less are run together, in one process.
const SHORT: Duration = Duration::from_millis(60);

/// A test with a mutant may take this many times what it takes without, and this much more.
const PATIENCE: (u32, Duration) = (4, Duration::from_secs(3));

/// A test, and what it passes.
pub(crate) struct Test {
    name: String,
    takes: Duration,
    reaches: BTreeSet<u32>,
}

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A test failed.
    Caught,
    /// A test did not end.
    TimedOut,
    /// Every test that passes it is content.
    Missed,
    /// No test passes it.
    Unreached,
}

/// Runs each test alone and without a mutant: how long it takes, and which mutants it passes.
///
/// # Errors
/// When a test fails without a mutant.
pub(crate) fn reach(suite: &Suite, skip: Option<&str>, scratch: &Path, workers: usize) -> Result<Vec<Test>> {
    let listed = Command::new(&suite.program)
        .args(["--list", "--format", "terse"])
        .current_dir(&suite.folder)
        .output()
        .with_context(|| format!("list the tests of {}", suite.package))?;
    let listed = String::from_utf8(listed.stdout).context("read the names of tests")?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned);
    let names: Vec<String> = names.filter(|name| skip.is_none_or(|text| !name.contains(text))).collect();
    let found = Mutex::new(Vec::new());
    side_by_side(workers, names.len(), |index| {
        let name = &names[index];
        let file = scratch.join(format!("reached-{index}"));
        let _ = fs::remove_file(&file);
        let begun = Instant::now();
        let passed = ran(
            suite,
            std::slice::from_ref(name),
            &[("MUTATION_REACHED", &file.display().to_string())],
            Duration::from_secs(600),
        )?;
        let takes = begun.elapsed();
        if passed != Some(true) {
            bail!("run {name} of {} without a mutant: it fails", suite.package);
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(&file);
        let reaches = text.lines().filter_map(|line| line.parse().ok()).collect();
        lock(&found).push(Test { name: name.clone(), takes, reaches });
        Ok(())
    })?;
    let mut tests = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tests.sort_by(|a, b| (a.takes, &a.name).cmp(&(b.takes, &b.name)));
    Ok(tests)
}

/// Runs every mutant of `mutants` against the tests that pass it, quick ones first, until one fails.
///
/// # Errors
/// When a test cannot be started.
pub(crate) fn verdicts(
    suite: &Suite,
    tests: &[Test],
    mutants: &[u32],
    workers: usize,
    told: impl Fn(usize, u32, &Verdict) + Sync,
) -> Result<BTreeMap<u32, Verdict>> {
    let found = Mutex::new(BTreeMap::new());
    let ended = AtomicUsize::new(0);
    side_by_side(workers, mutants.len(), |index| {
        let verdict = verdict(suite, tests, mutants[index])?;
        told(ended.fetch_add(1, Ordering::Relaxed) + 1, mutants[index], &verdict);
        lock(&found).insert(mutants[index], verdict);
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn verdict(suite: &Suite, tests: &[Test], mutant: u32) -> Result<Verdict> {
    let reaching: Vec<&Test> = tests.iter().filter(|test| test.reaches.contains(&mutant)).collect();
    if reaching.is_empty() {
        return Ok(Verdict::Unreached);
    }
    let (short, long): (Vec<&Test>, Vec<&Test>) = reaching.into_iter().partition(|test| test.takes < SHORT);
    let mut batches: Vec<Vec<&Test>> = Vec::new();
    batches.extend((!short.is_empty()).then_some(short));
    batches.extend(long.into_iter().map(|test| vec![test]));
    let number = mutant.to_string();
    for batch in batches {
        let names: Vec<String> = batch.iter().map(|test| test.name.clone()).collect();
        let takes: Duration = batch.iter().map(|test| test.takes).sum();
        match ran(suite, &names, &[("MUTANT", &number)], takes * PATIENCE.0 + PATIENCE.1)? {
            Some(true) => {}
            Some(false) => return Ok(Verdict::Caught),
            None => return Ok(Verdict::TimedOut),
        }
    }
    Ok(Verdict::Missed)
}

/// Whether the named tests pass; `None` when they have not ended in time.
#[expect(clippy::disallowed_methods, reason = "no runtime here, and no test: a program is waited for")]
fn ran(
    suite: &Suite,
    names: &[String],
    environment: &[(&str, &str)],
    patience: Duration,
) -> Result<Option<bool>> {
    let mut child = Command::new(&suite.program)
        .args(["--exact", "--test-threads=1", "-q"])
        .args(names)
        .current_dir(&suite.folder)
        .env("CI", "true")
        .env("INSTA_UPDATE", "no")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_FAILURE_PERSISTENCE", "off")
        .env_remove("RUST_BACKTRACE")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("start the tests of {}", suite.package))?;
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().context("wait for tests")? {
            return Ok(Some(ExitStatus::success(&status)));
        }
        if begun.elapsed() > patience {
            child.kill().context("end tests that do not end")?;
            child.wait().context("wait for tests that were ended")?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Does `work` for 0 to `count` on some threads; the first error ends it.
fn side_by_side(workers: usize, count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || lock(&failed).is_some() {
                        return;
                    }
                    if let Err(error) = work(index) {
                        lock(&failed).get_or_insert(error);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
}
