//! Orders for a running process. One process holds the embedded ledger, so an order is laid into a directory beside it:
//! who may write there may give orders, which is the file system's to say. A rename makes each hand-over whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use domain::{InboxItem, ItemBody, WorkloadId};

use crate::controller::Controller;
use crate::edge::{App, Role};

/// How often the process looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often the giver looks whether it was taken.
const TAKEN_EVERY: Duration = Duration::from_millis(100);

/// How often it does so before it takes the order back: 10 s, twenty looks of the process.
const TAKEN_LOOKS: u32 = 100;

/// Orders taken in one look.
const ORDERS_MAX: usize = 20;

/// An order is a dozen short fields; a larger file is not one.
const ORDER_BYTES_MAX: u64 = 64 * 1024;

fn directory(data: &Path, workload: &WorkloadId) -> PathBuf {
    data.join("orders").join(workload.as_str())
}

/// Lays an order down and waits until the process has it. What is not taken is taken back, so that the outcome is
/// certain.
///
/// # Errors
/// When it cannot be laid down, or nobody takes it.
pub async fn give(data: &Path, workload: &WorkloadId, item: &InboxItem) -> anyhow::Result<()> {
    let directory = directory(data, workload);
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let (draft, order) =
        (directory.join(format!("{}.draft", item.id)), directory.join(format!("{}.json", item.id)));
    fs::write(&draft, serde_json::to_vec(item)?).with_context(|| format!("write {}", draft.display()))?;
    fs::rename(&draft, &order).with_context(|| format!("write {}", order.display()))?;
    for _ in 0..TAKEN_LOOKS {
        if !order.exists() {
            return Ok(());
        }
        tokio::time::sleep(TAKEN_EVERY).await;
    }
    match fs::remove_file(&order) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("take the order back: remove {}", order.display())),
        Ok(()) => bail!(
            "the order was not given: the ledger in {} cannot be opened, and no process took the order within 10 s; \
             find out what holds the ledger, or stop it and give the order again",
            data.display()
        ),
    }
}

/// Takes orders as long as the process lives.
pub async fn watch(app: Arc<App>, data: PathBuf) {
    let Role::Controller(controller) = &app.role else { return };
    loop {
        for controller in controller.controllers.iter() {
            if let Err(error) = take(controller, &data).await {
                tracing::error!(error = %format!("{error:#}"), "orders cannot be taken; they wait in the data directory");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Takes what lies there into the inbox. Returns how many orders were new. An order is renamed first, so that its giver
/// knows; one that was taken when the process died is found again under that name.
///
/// # Errors
/// When the directory or the ledger cannot be used.
pub async fn take(controller: &Controller, data: &Path) -> anyhow::Result<usize> {
    let directory = directory(data, &controller.policy.workload.name);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).with_context(|| format!("read {}", directory.display())),
    };
    let mut new = 0;
    for entry in entries.take(ORDERS_MAX) {
        let path = entry.with_context(|| format!("read {}", directory.display()))?.path();
        let taken = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                let taken = path.with_extension("taken");
                match fs::rename(&path, &taken) {
                    Ok(()) => taken,
                    // Its giver took it back.
                    Err(_) => continue,
                }
            }
            Some("taken") => path,
            _ => continue,
        };
        let Some(item) = read(&taken) else {
            let refused = taken.with_extension("refused");
            tracing::error!(order.file = %refused.display(), "a file among the orders is no order; it was put aside");
            fs::rename(&taken, &refused).context("put a file aside that is no order")?;
            continue;
        };
        new += controller.ledger.append(&controller.policy.workload.name, &[item]).await?;
        fs::remove_file(&taken).with_context(|| format!("remove {}", taken.display()))?;
    }
    Ok(new)
}

/// Only orders: nobody lays evidence down here.
fn read(path: &Path) -> Option<InboxItem> {
    if fs::metadata(path).ok()?.len() > ORDER_BYTES_MAX {
        return None;
    }
    let item: InboxItem = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    matches!(item.body, ItemBody::Command { .. }).then_some(item)
}
