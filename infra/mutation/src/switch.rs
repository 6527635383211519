//! Which mutant is on: `MUTANT` in the environment, none by default. With `MUTATION_REACHED` set, the number of each
//! mutant that was passed is added to that file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Not read yet, or every switch that is passed is to be told.
const LOOK: u32 = u32::MAX;

static ACTIVE: AtomicU32 = AtomicU32::new(LOOK);

static REACHED: LazyLock<Option<File>> = LazyLock::new(|| {
    let name = std::env::var_os("MUTATION_REACHED")?;
    OpenOptions::new().create(true).append(true).open(name).ok()
});

static SEEN: [AtomicBool; 8192] = [const { AtomicBool::new(false) }; 8192];

/// Whether mutant `number` is on.
#[inline]
pub fn on(number: u32) -> bool {
    match ACTIVE.load(Ordering::Relaxed) {
        LOOK => look(number),
        active => active == number,
    }
}

#[cold]
fn look(number: u32) -> bool {
    if let Some(mut file) = REACHED.as_ref() {
        if let Some(seen) = SEEN.get(number as usize)
            && !seen.swap(true, Ordering::Relaxed)
        {
            let _ = file.write_all(format!("{number}\n").as_bytes());
        }
        return false;
    }
    let active = std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    ACTIVE.store(active, Ordering::Relaxed);
    active == number
}
