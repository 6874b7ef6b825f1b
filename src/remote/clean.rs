//! What runs that were killed have left behind in an output.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{address_of, below, refused};
use crate::config::Format;
use crate::error::{Error, Result};
use crate::fsio::{DAY_PREFIX, Output};
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::store::{Bucket, Fault, StoreOptions, StoredObject, Stores};

/// Removes what runs that ended early have left in an output, and gives the number of files and their bytes where they are known: of an
/// output in a store.
///
/// On a disk that is what the next run would remove. In a store it is every file below a day that is not of the folder which the
/// day's manifest names, if all of that run's files are older than `age`: younger ones may be of a run that is still at work.
///
/// # Errors
/// [`Error::Locked`] while a run writes to a folder; [`Error::Io`] for what the store or the system refuses.
pub fn clean(out: &Path, age: Duration, options: &StoreOptions) -> Result<Option<(u64, u64)>> {
    let Some(address) = address_of(out)? else {
        if !out.is_dir() {
            return Err(Error::io("read", out)(std::io::ErrorKind::NotFound.into()));
        }
        return Output::open(out)?.clean().map(|()| None);
    };
    let stores = Stores::new(options)?;
    let failed = |fault| refused("clean", out.to_owned(), fault);
    let bucket = stores.bucket(&address).map_err(failed)?;
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age);
    let (mut files, mut bytes) = (0, 0);
    for format in Format::ALL {
        let left = left_behind(&bucket, &below(&address.key, format.name()), before).map_err(failed)?;
        files += left.len() as u64;
        bytes += left.iter().map(|found| found.version.size).sum::<u64>();
        let keys: Vec<String> = left.into_iter().map(|found| found.key).collect();
        bucket.delete(&keys).map_err(failed)?;
    }
    Ok(Some((files, bytes)))
}

/// The files below the days of a format that no manifest names, of runs whose files are all older.
fn left_behind(bucket: &Bucket, folder: &str, before: Duration) -> Result<Vec<StoredObject>, Fault> {
    let all = bucket.list_all(&[folder.to_owned()]).only()?;
    // By day, and the folder below it.
    let mut runs: BTreeMap<(String, String), Vec<StoredObject>> = BTreeMap::new();
    for found in all.objects {
        let parts: Vec<&str> =
            found.key.strip_prefix(folder).unwrap_or_default().trim_start_matches('/').split('/').collect();
        if let [day, run, _] = parts.as_slice()
            && day.starts_with(DAY_PREFIX)
        {
            runs.entry(((*day).to_owned(), (*run).to_owned())).or_default().push(found);
        }
    }
    let mut left = Vec::new();
    for ((day, run), files) in runs {
        let is_old =
            |found: &StoredObject| Duration::from_millis(found.version.modified.max(0).unsigned_abs()) < before;
        if !files.iter().all(is_old) {
            continue;
        }
        let manifest = bucket.small(&below(folder, &format!("{day}/{MANIFEST_FILE}")))?.wait()?;
        let named = match manifest.map(|(bytes, _)| Manifest::from_bytes(&bytes)) {
            None => None,
            Some(Ok(manifest)) => manifest.folder,
            // Nothing says which of them it means.
            Some(Err(_)) => continue,
        };
        if named.as_deref() != Some(run.as_str()) {
            left.extend(files);
        }
    }
    Ok(left)
}
