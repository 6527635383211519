//! One redb file: how it is opened, how work gets off the runtime's threads, what its errors mean to a store.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Builder, ConcurrencyMode, Database, ReadOnlyDatabase, ReadableDatabase, TableDefinition};

use crate::StoreError;
use crate::memory::rules::{unavailable, unreadable};

/// Pages held in memory. A ledger is a few megabytes; the default of 1 GiB would be the whole machine.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// How the tables and their keys are laid out. A file of a newer layout is not opened.
const LAYOUT: u64 = 1;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Opens the file again.
type Opener = dyn Fn() -> Result<Database, StoreError> + Send + Sync;

/// An open file, shared by the clones of a store. One process at a time: a second one is refused at the door.
#[derive(Clone)]
pub(super) struct File {
    /// None after the disk failed, until somebody needs the file again.
    database: Arc<Mutex<Option<Arc<Database>>>>,
    open: Arc<Opener>,
    store: &'static str,
}

impl File {
    /// Opens or creates the file, checks its layout, and lets the store create its tables.
    pub(super) fn open(
        path: &Path,
        store: &'static str,
        create_tables: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<Self, StoreError> {
        let database = open(path, store)?;
        prepare(&database, store, create_tables)?;
        let path = path.to_owned();
        // The tables are there since then. Opened again, nothing is written: a disk that is still full can be read.
        let open = Arc::new(move || open(&path, store));
        Ok(Self { database: Arc::new(Mutex::new(Some(Arc::new(database)))), open, store })
    }

    /// Runs `work` where it may block: a commit waits for the disk. If the caller goes away the work is still done, so
    /// a write that was not answered may have been stored.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let database = file.current()?;
            let result = work(&database);
            if result.as_ref().is_err_and(is_of_the_disk) {
                file.close(&database);
            }
            result
        })
        .await;
        done.map_err(|stopped| unavailable(self.store, stopped))?
    }

    /// The open file. After the disk failed the store takes nothing more through the old opening, although the disk may have
    /// room again: it is opened anew, which also checks it.
    fn current(&self) -> Result<Arc<Database>, StoreError> {
        let mut current = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*current {
            return Ok(Arc::clone(database));
        }
        let database = Arc::new((self.open)()?);
        *current = Some(Arc::clone(&database));
        Ok(database)
    }

    /// Lets go of an opening through which nothing can be written any more; it is over when its last reader is.
    fn close(&self, spent: &Arc<Database>) {
        let mut current = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, spent)) {
            *current = None;
        }
    }
}

fn open(path: &Path, store: &'static str) -> Result<Database, StoreError> {
    let opened = Builder::new()
        .set_cache_size(CACHE_BYTES)
        // Without it, a file that something else has damaged could panic later instead of being reported here. Which
        // record is damaged is told by `examine`.
        .set_check_integrity_on_open(true)
        .create(path);
    let database = opened.map_err(|error| broken(store, error))?;
    check_layout(&database, store)?;
    Ok(database)
}

/// Writes the layout and lets the store create its tables.
fn prepare(
    database: &Database,
    store: &'static str,
    create_tables: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), StoreError> {
    let write = || {
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert("layout", LAYOUT)?;
        create_tables(&transaction)?;
        transaction.commit()?;
        Ok::<_, redb::Error>(())
    };
    write().map_err(|error| broken(store, error))
}

/// Whether an error came from the disk, now or before: through this opening no write succeeds any more.
fn is_of_the_disk(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else { return false };
    matches!(source.downcast_ref(), Some(redb::Error::Io(_) | redb::Error::PreviousIo))
}

/// Opens a file to look at what is in it as it lies: nothing is checked, repaired or written, so that what is damaged can
/// be named, and what may be evidence stays as it is. Reading may panic inside the store where its pages are damaged.
pub(super) fn open_as_it_is(path: &Path, store: &'static str) -> Result<ReadOnlyDatabase, StoreError> {
    let opened = Builder::new()
        .set_cache_size(CACHE_BYTES)
        // A reader in this mode needs no clean shutdown before it. A process that writes still excludes it.
        .set_concurrency_mode(ConcurrencyMode::SingleWriter)
        .open_read_only(path);
    opened.map_err(|error| broken(store, error))
}

/// What an error of the file means: damaged is not the same as out of reach.
pub(super) fn broken(store: &'static str, error: impl Into<redb::Error>) -> StoreError {
    let error = error.into();
    let damaged = match &error {
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. } => true,
        redb::Error::Io(cause) => cause.kind() == io::ErrorKind::InvalidData,
        _ => false,
    };
    if damaged { unreadable(store, "file".to_owned(), error) } else { unavailable(store, error) }
}

fn check_layout(database: &Database, store: &'static str) -> Result<(), StoreError> {
    let read = || {
        let table = match database.begin_read()?.open_table(META) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(redb::Error::from(error)),
        };
        Ok(table.get_owned("layout")?.map(|layout| layout.value()))
    };
    match read().map_err(|error| broken(store, error))? {
        Some(newer) if newer > LAYOUT => {
            let cause = format!("its layout is {newer}, the newest known here is {LAYOUT}");
            Err(unreadable(store, "file".to_owned(), cause))
        }
        _ => Ok(()),
    }
}

/// Writes a layout number, as a newer version would.
#[cfg(test)]
pub(super) fn set_layout(database: &Database, layout: u64) -> Result<(), StoreError> {
    let set = || {
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert("layout", layout)?;
        transaction.commit()?;
        Ok::<_, redb::Error>(())
    };
    set().map_err(|error| broken("file", error))
}
