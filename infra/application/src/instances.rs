//! What all instances of a stamp carry together. No instance knows the others; each writes what arrives at it into a directory
//! that the platform mounts into all of them, and whoever is asked adds up what is young. Nothing is lost with it: it is
//! written anew every few seconds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::limit::Tally;

/// How often an instance tells its load: twice between two looks of the sidecar.
pub(crate) const TELL_EVERY: Duration = Duration::from_secs(5);

/// An instance that has not told for this long does not serve.
const YOUNG: Duration = Duration::from_secs(20);

/// What an instance that is gone has left is removed after this.
const GONE: Duration = Duration::from_secs(600);

/// Instances that are counted, at the most: a plan has 30.
const INSTANCES_MAX: usize = 500;

/// The load of a stamp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) ready_instances: u32,
    /// Mean over the instances.
    pub(crate) saturation: f64,
    pub(crate) requests_per_second: f64,
}

/// This instance among those of its stamp.
pub(crate) struct Instances {
    directory: Option<PathBuf>,
    name: String,
    own: Mutex<Option<Tally>>,
}

impl Instances {
    pub(crate) fn new(directory: Option<PathBuf>, name: String) -> Self {
        Self { directory, name, own: Mutex::new(None) }
    }

    /// Tells what arrived here. A directory that cannot be written is said, and the load is then unknown, not zero.
    pub(crate) async fn tell(&self, tally: Tally) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(tally);
        let Some(directory) = self.directory.clone() else { return };
        let (name, text) = (self.name.clone(), document(tally).to_string());
        let written = tokio::task::spawn_blocking(move || write(&directory, &name, &text)).await;
        if let Ok(Err(error)) = written {
            eprintln!("application: cannot tell the other instances our load: {error}; see INSTANCES_DIR");
        }
    }

    /// The load of all instances that told theirs lately; none when it cannot be known.
    pub(crate) async fn sum(&self) -> Option<Load> {
        match self.directory.clone() {
            Some(directory) => {
                let read = tokio::task::spawn_blocking(move || young(&directory)).await;
                added(&read.ok()?.ok()?)
            }
            None => added(&[(*self.own.lock().unwrap_or_else(PoisonError::into_inner))?]),
        }
    }
}

fn document(tally: Tally) -> Value {
    json!({ "requests_per_second": tally.requests_per_second, "saturation": tally.saturation })
}

/// Written whole by a rename: another instance reads while we write.
fn write(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let unfinished = directory.join(format!("{name}.tmp"));
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, directory.join(format!("{name}.json")))
}

fn young(directory: &Path) -> io::Result<Vec<Tally>> {
    let mut tallies = Vec::new();
    for entry in fs::read_dir(directory)?.take(INSTANCES_MAX) {
        let path = entry?.path();
        let Ok(written) = fs::metadata(&path).and_then(|about| about.modified()) else { continue };
        // One from the future was written by a machine whose clock is ahead: it is young.
        let age = written.elapsed().unwrap_or_default();
        if age > GONE {
            // Somebody else may have removed it first; whoever reads next tries again.
            let _ = fs::remove_file(&path);
        }
        if age > YOUNG || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        if let (Some(requests_per_second), Some(saturation)) =
            (value["requests_per_second"].as_f64(), value["saturation"].as_f64())
        {
            tallies.push(Tally { requests_per_second, saturation });
        }
    }
    Ok(tallies)
}

/// None of nobody: an instance that was just started has told nothing yet.
#[expect(clippy::cast_precision_loss, reason = "a few hundred instances")]
fn added(tallies: &[Tally]) -> Option<Load> {
    let count = u32::try_from(tallies.len()).ok().filter(|count| *count > 0)?;
    Some(Load {
        ready_instances: count,
        saturation: tallies.iter().map(|tally| tally.saturation).sum::<f64>() / tallies.len() as f64,
        requests_per_second: tallies.iter().map(|tally| tally.requests_per_second).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALLY: Tally = Tally { requests_per_second: 40.0, saturation: 0.5 };

    #[tokio::test]
    async fn instances_that_share_a_directory_are_added_up() {
        let directory = std::env::temp_dir().join(format!("cordon-instances-{}", std::process::id()));
        let one = Instances::new(Some(directory.clone()), "one".into());
        let two = Instances::new(Some(directory.clone()), "two".into());
        one.tell(TALLY).await;
        two.tell(Tally { requests_per_second: 20.0, saturation: 0.3 }).await;
        fs::write(directory.join("three.json"), "not JSON").unwrap();
        let load = one.sum().await.unwrap();
        assert_eq!((load.ready_instances, load.requests_per_second), (2, 60.0));
        assert!((load.saturation - 0.4).abs() < 1e-9);
        fs::remove_dir_all(directory).unwrap();
    }

    #[tokio::test]
    async fn an_unknown_load_is_not_zero() {
        assert_eq!(Instances::new(None, "one".into()).sum().await, None, "nothing told yet");
        let nowhere = Instances::new(Some("/nowhere/at/all".into()), "one".into());
        assert_eq!(nowhere.sum().await, None);
    }
}
