//! Days in object stores: how they lie there, how they come there, and how they are had from there.
//!
//! ```text
//! s3://bucket/out/jagged/dt=2025-08-16/_manifest.json             names the folder beside it that has the day's files
//! s3://bucket/out/jagged/dt=2025-08-16/9f…-4c1b2a90/shard-00000.safetensors, _run.json, _SUCCESS
//! ```
//!
//! A store has no rename. So the files of a day go under a name that no other run gives, and the day is visible by one write of its
//! manifest, which the store makes only where the manifest is still the one that the run has seen. What it replaces is deleted after
//! that. Killed anywhere, a day is the old or the new one.
//!
//! Readers know folders on disks: a day is fetched into one first, which holds what a build would have written there, byte for byte.

mod clean;
mod fetch;
mod publish;

use std::path::{Path, PathBuf};

use crate::config::Format;
use crate::error::{Error, Result};
use crate::event::Day;
use crate::fsio::DAY_PREFIX;
use crate::store::{Address, Fault, Place};

pub use clean::clean;
pub use fetch::{Cache, cache_folder, fetch};
pub(crate) use publish::RemoteOutput;
pub use publish::manifests;

/// The address at a path that is one in a store.
fn address_of(path: &Path) -> Result<Option<Address>> {
    Ok(match Place::of(path)? {
        Place::Disk(_) => None,
        Place::Store(address) => Some(address),
    })
}

/// The name of what is below a folder, which may be the bucket itself.
fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn day_key(out: &str, format: Format, day: Day) -> String {
    below(out, &format!("{}/{DAY_PREFIX}{day}", format.name()))
}

/// What it means that a store refused something.
fn refused(action: &'static str, path: PathBuf, fault: Fault) -> Error {
    match fault {
        Fault::Interrupted => Error::Interrupted,
        fault => Error::io(action, path)(fault.into()),
    }
}
