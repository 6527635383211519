//! Events that arrive while the ledger is out of reach, in a directory that outlives the process: taken in for good before
//! the sender is told so, and appended when the ledger is back. An event's id makes a second hand-over harmless.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use adapters::{DOCUMENT_BYTES_MAX, StoreError};
use domain::state::Topology;
use domain::{InboxItem, ItemBody, WorkloadId};
use sha2::{Digest, Sha256};

use super::{Controller, ControllerError};

/// Events that wait at the most. A gateway's worth of alerts and an hour of probe logs are hundreds; beyond it senders are
/// refused and send again, as without a spool.
const WAITING_MAX: usize = 5_000;

/// Events appended in one turn.
const TURN_MAX: usize = 50;

/// The events of one workload that wait for its ledger.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    /// The last that was read: what says whose event it is, when the ledger cannot.
    topology: Mutex<Option<Topology>>,
}

impl Spool {
    /// Below a data directory; made when the first event is laid down.
    pub fn below(data: &Path, workload: &WorkloadId) -> Self {
        Self { directory: data.join("events").join(workload.as_str()), topology: Mutex::default() }
    }

    /// Remembers a topology that was just read.
    pub fn remember(&self, topology: &Topology) {
        *self.topology.lock().unwrap_or_else(PoisonError::into_inner) = Some(topology.clone());
    }

    /// The last topology that was read; none since the start of this process.
    pub fn topology(&self) -> Option<Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lays events down so that they survive the process. All of them or an error: then the sender sends again.
    ///
    /// # Errors
    /// When too many wait already, or the directory cannot be written.
    pub async fn put(&self, items: &[InboxItem]) -> io::Result<()> {
        let (directory, items) = (self.directory.clone(), items.to_vec());
        blocking(move || lay_down(&directory, &items)).await
    }

    /// Appends what waits, a turn's worth, and returns how many events left the spool. What cannot be read is put aside.
    ///
    /// # Errors
    /// When the ledger is still out of reach, or the directory cannot be used.
    pub async fn drain(&self, controller: &Controller) -> Result<usize, ControllerError> {
        let out_of_reach =
            |source: io::Error| StoreError::Unavailable { store: "spool", source: source.into() };
        let directory = self.directory.clone();
        let waiting = blocking(move || waiting(&directory)).await.map_err(out_of_reach)?;
        let mut left = 0;
        for path in waiting {
            let file = path.clone();
            match blocking(move || Ok(read(&file))).await.map_err(out_of_reach)? {
                Found::Event(item) => {
                    match controller.ledger.append(&controller.policy.workload.name, &[*item]).await {
                        // No retry can help it, and those behind it have a claim too.
                        Err(error @ StoreError::Refused { .. }) => {
                            blocking(move || put_aside(&path, &error)).await.map_err(out_of_reach)?;
                            continue;
                        }
                        appended => _ = appended?,
                    }
                    match blocking(move || fs::remove_file(&path)).await {
                        // Another instance on the same directory appended it too, which changes nothing.
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(out_of_reach(error).into());
                        }
                        _ => left += 1,
                    }
                }
                Found::Other => {
                    blocking(move || put_aside(&path, &"it is no event")).await.map_err(out_of_reach)?;
                }
                Found::Nothing => {}
            }
        }
        if left > 0 {
            tracing::info!(events = left, "the ledger is back: events that waited for it were appended");
        }
        Ok(left)
    }
}

/// Does what may wait for a disk in a thread of its own: this one has other invocations to serve.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|broken| Err(io::Error::other(broken)))
}

fn lay_down(directory: &Path, items: &[InboxItem]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let waiting = fs::read_dir(directory)?.count();
    if waiting + items.len() > WAITING_MAX {
        let why = format!("{waiting} events wait in {} already", directory.display());
        return Err(io::Error::new(io::ErrorKind::StorageFull, why));
    }
    for item in items {
        let name: String =
            Sha256::digest(item.id.as_str()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let draft = directory.join(format!("{name}.draft"));
        let mut file = fs::File::create(&draft)?;
        file.write_all(&serde_json::to_vec(item)?)?;
        file.sync_all()?;
        fs::rename(&draft, directory.join(format!("{name}.json")))?;
    }
    // The names as well as the files; not every system opens a directory.
    #[cfg(unix)]
    fs::File::open(directory)?.sync_all()?;
    Ok(())
}

/// A turn's worth of what waits.
fn waiting(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let waiting = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    Ok(waiting.take(TURN_MAX).collect())
}

/// What a file among those that wait is.
enum Found {
    Event(Box<InboxItem>),
    /// Somebody put it there, or it is damaged.
    Other,
    /// Another instance was quicker.
    Nothing,
}

/// Out of the way, and not lost: an operator may look at it.
fn put_aside(path: &Path, why: &dyn std::fmt::Display) -> io::Result<()> {
    let aside = path.with_extension("refused");
    tracing::error!(event.file = %aside.display(), "a file among the waiting events was put aside: {why}");
    fs::rename(path, &aside)
}

/// Only events: nobody lays an order or an outcome down here.
fn read(path: &Path) -> Found {
    let bounded = || {
        let longest = u64::try_from(DOCUMENT_BYTES_MAX).ok()?;
        fs::metadata(path).ok().filter(|file| file.len() <= longest)?;
        serde_json::from_slice::<InboxItem>(&fs::read(path).ok()?).ok()
    };
    match bounded() {
        Some(item) if matches!(item.body, ItemBody::Observed { .. } | ItemBody::Refused { .. }) => {
            Found::Event(Box::new(item))
        }
        _ if path.exists() => Found::Other,
        _ => Found::Nothing,
    }
}
