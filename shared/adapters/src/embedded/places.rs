//! The places of notification targets in a directory, one small file each. The process that holds the ledger's file is the
//! only one that writes them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domain::WorkloadId;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::memory::rules;
use crate::{PlaceStore, StoreError, TargetPlace};

/// The store's name in errors.
const PLACES: &str = "store of the notification targets' places";

/// Bytes of a name's hash that are in its file's name: targets are named by people, in any characters.
const NAME_BYTES: usize = 8;

/// Places in a directory.
#[derive(Debug)]
pub struct EmbeddedPlaces {
    directory: PathBuf,
    /// One replacement at a time: a comparison and the write that follows it belong together.
    turn: Mutex<()>,
}

impl EmbeddedPlaces {
    /// Opens the directory, or creates it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let directory = directory.into();
        fs::create_dir_all(&directory).map_err(out_of_reach)?;
        Ok(Self { directory, turn: Mutex::new(()) })
    }

    fn path(&self, workload: &WorkloadId, target: &str) -> PathBuf {
        let hash = Sha256::digest(format!("{workload}\n{target}"));
        let name: String = hash.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("{name}.json"))
    }
}

#[async_trait]
impl PlaceStore for EmbeddedPlaces {
    async fn read(&self, workload: &WorkloadId, target: &str) -> Result<Option<TargetPlace>, StoreError> {
        read_now(&self.path(workload, target))
    }

    async fn replace(
        &self,
        workload: &WorkloadId,
        target: &str,
        expected: Option<&TargetPlace>,
        next: &TargetPlace,
    ) -> Result<bool, StoreError> {
        let _turn = self.turn.lock().await;
        let path = self.path(workload, target);
        if read_now(&path)?.as_ref() != expected {
            return Ok(false);
        }
        let text = serde_json::to_vec(next)
            .map_err(|error| rules::unreadable(PLACES, format!("place of {target}"), error))?;
        write_now(&path, &text).map_err(out_of_reach)?;
        Ok(true)
    }
}

fn read_now(path: &Path) -> Result<Option<TargetPlace>, StoreError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| rules::unreadable(PLACES, path.display().to_string(), error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(out_of_reach(error)),
    }
}

/// A rename makes it whole: a process that is killed leaves the old place or the new one.
fn write_now(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = fs::File::create(&draft)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn out_of_reach(error: io::Error) -> StoreError {
    rules::unavailable(PLACES, error)
}
