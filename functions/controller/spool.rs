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
    pub fn put(&self, items: &[InboxItem]) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let waiting = fs::read_dir(&self.directory)?.count();
        if waiting + items.len() > WAITING_MAX {
            let why = format!("{waiting} events wait in {} already", self.directory.display());
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        for item in items {
            let name: String =
                Sha256::digest(item.id.as_str()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            let draft = self.directory.join(format!("{name}.draft"));
            let mut file = fs::File::create(&draft)?;
            file.write_all(&serde_json::to_vec(item)?)?;
            file.sync_all()?;
            fs::rename(&draft, self.directory.join(format!("{name}.json")))?;
        }
        // The names as well as the files; not every system opens a directory.
        #[cfg(unix)]
        fs::File::open(&self.directory)?.sync_all()?;
        Ok(())
    }

    /// Appends what waits, a turn's worth, and returns how many events left the spool. What cannot be read is put aside.
    ///
    /// # Errors
    /// When the ledger is still out of reach, or the directory cannot be used.
    pub async fn drain(&self, controller: &Controller) -> Result<usize, ControllerError> {
        let out_of_reach =
            |source: io::Error| StoreError::Unavailable { store: "spool", source: source.into() };
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(out_of_reach(error).into()),
        };
        let waiting = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let waiting = waiting.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let mut left = 0;
        for path in waiting.take(TURN_MAX) {
            match read(&path) {
                Some(item) => {
                    match controller.ledger.append(&controller.policy.workload.name, &[item]).await {
                        // No retry can help it, and those behind it have a claim too.
                        Err(error @ StoreError::Refused { .. }) => {
                            put_aside(&path, &error).map_err(out_of_reach)?;
                            continue;
                        }
                        appended => _ = appended?,
                    }
                    match fs::remove_file(&path) {
                        // Another instance on the same directory appended it too, which changes nothing.
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(out_of_reach(error).into());
                        }
                        _ => left += 1,
                    }
                }
                None if path.exists() => put_aside(&path, &"it is no event").map_err(out_of_reach)?,
                None => {}
            }
        }
        if left > 0 {
            tracing::info!(events = left, "the ledger is back: events that waited for it were appended");
        }
        Ok(left)
    }
}

/// Out of the way, and not lost: an operator may look at it.
fn put_aside(path: &Path, why: &dyn std::fmt::Display) -> io::Result<()> {
    let aside = path.with_extension("refused");
    tracing::error!(event.file = %aside.display(), "a file among the waiting events was put aside: {why}");
    fs::rename(path, &aside)
}

/// Only events: nobody lays an order or an outcome down here.
fn read(path: &Path) -> Option<InboxItem> {
    if fs::metadata(path).ok()?.len() > u64::try_from(DOCUMENT_BYTES_MAX).ok()? {
        return None;
    }
    let item: InboxItem = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    matches!(item.body, ItemBody::Observed { .. } | ItemBody::Refused { .. }).then_some(item)
}
