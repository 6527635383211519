//! The gates in a directory, one JSON file per stamp: the stamp is another process and reads while the controller
//! writes. A rename is what makes a document whole for the reader; a lock file is what makes writers take turns.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use domain::{GateDocument, StampId};

use crate::memory::rules::{self, GATE_BYTES_MAX, GATES};
use crate::{GateReader, GateStore, GateWrite, StoreError};

/// Between two tries for the lock: a write takes a few fsyncs, that is milliseconds.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// Tries for the lock: 5 s, half of the evaluation's interval. A writer that hangs longer is a fault to be reported.
const LOCK_TRIES_MAX: u32 = 500;

/// What a stamp reads its gate through. It cannot write, and it does not create the directory: a wrong path is a store
/// out of reach, not a stamp without a gate.
#[derive(Clone, Debug)]
pub struct EmbeddedGateReader {
    directory: PathBuf,
}

/// What the controller writes the gates through.
#[derive(Clone, Debug)]
pub struct EmbeddedGates {
    reader: EmbeddedGateReader,
}

impl EmbeddedGateReader {
    /// The gates in a directory that a controller writes.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    fn document_path(&self, stamp: &StampId) -> PathBuf {
        self.directory.join(format!("{stamp}.json"))
    }

    fn read_now(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError> {
        rules::check_stamp(stamp)?;
        let mut text = Vec::new();
        match fs::File::open(self.document_path(stamp)) {
            Ok(file) => {
                let limit = u64::try_from(GATE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
                file.take(limit).read_to_end(&mut text).map_err(out_of_reach)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Absent only if one could have seen it: the directory must be there.
                fs::read_dir(&self.directory).map_err(out_of_reach)?;
                return Ok(None);
            }
            Err(error) => return Err(out_of_reach(error)),
        }
        if text.len() > GATE_BYTES_MAX {
            let cause = format!("it is larger than {GATE_BYTES_MAX} bytes");
            return Err(rules::unreadable(GATES, format!("gate document of {stamp}"), cause));
        }
        rules::decode_gate(stamp, &text).map(Some)
    }
}

impl EmbeddedGates {
    /// Opens the directory, or creates it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let reader = EmbeddedGateReader::new(directory);
        fs::create_dir_all(&reader.directory).map_err(out_of_reach)?;
        Ok(Self { reader })
    }

    /// The lock of one stamp's gate. It goes with the file handle, also when the process is killed.
    async fn lock(&self, stamp: &StampId) -> Result<fs::File, StoreError> {
        let path = self.reader.directory.join(format!("{stamp}.lock"));
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = file.map_err(out_of_reach)?;
        for _ in 0..LOCK_TRIES_MAX {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(LOCK_RETRY).await,
                Err(fs::TryLockError::Error(error)) => return Err(out_of_reach(error)),
            }
        }
        Err(rules::unavailable(GATES, format!("another writer holds the lock of {stamp}")))
    }

    fn write_now(&self, document: &GateDocument, text: &[u8]) -> Result<GateWrite, StoreError> {
        let stamp = &document.stamp;
        if let Some(present) = self.reader.read_now(stamp)?
            && rules::gate_yields(Some(present.generation), document.generation)
        {
            return Ok(GateWrite::Newer(present));
        }
        replace(&self.reader.directory, &self.reader.document_path(stamp), stamp, text)
            .map_err(out_of_reach)?;
        match self.reader.read_now(stamp)? {
            Some(read) if read == *document => Ok(GateWrite::Written(read)),
            _ => Err(rules::unavailable(GATES, format!("the gate of {stamp} reads otherwise than written"))),
        }
    }
}

#[async_trait]
impl GateReader for EmbeddedGateReader {
    async fn read(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError> {
        let (reader, stamp) = (self.clone(), stamp.clone());
        blocking(move || reader.read_now(&stamp)).await
    }
}

#[async_trait]
impl GateReader for EmbeddedGates {
    async fn read(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError> {
        self.reader.read(stamp).await
    }
}

#[async_trait]
impl GateStore for EmbeddedGates {
    async fn write(&self, document: &GateDocument) -> Result<GateWrite, StoreError> {
        let text = rules::prepare_gate(document)?;
        let lock = self.lock(&document.stamp).await?;
        let (gates, document) = (self.clone(), document.clone());
        blocking(move || {
            let written = gates.write_now(&document, &text);
            // Moved in here so that it outlives the write even when the caller goes away.
            drop(lock);
            written
        })
        .await
    }
}

/// Puts the text in place in one motion, and makes it last: file, name and directory are each synced. The temporary
/// name is fixed, since the lock admits one writer; what a killed one left behind is overwritten.
fn replace(directory: &Path, path: &Path, stamp: &StampId, text: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{stamp}.tmp"));
    let mut file = fs::File::create(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_directory(directory)
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be opened as a file; the rename is as durable as the system makes it.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

fn out_of_reach(error: io::Error) -> StoreError {
    rules::unavailable(GATES, error)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|stopped| rules::unavailable(GATES, stopped))?
}
