//! The output of a run in a store: days are made on this machine, uploaded, and put in place by their manifests.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use super::{address_of, below, day_key, refused};
use crate::config::Format;
use crate::error::{Error, Invariant, Result};
use crate::event::Day;
use crate::manifest::{MANIFEST_FILE, Manifest, SUCCESS_FILE};
use crate::open::entries;
use crate::store::{Address, Bucket, Condition, Fault, Listing, Mark, StoreOptions, Stores};

/// Files that are uploaded at once.
const FILES_AT_ONCE: usize = 4;

/// Digits of a build's hash in the name of its folder.
const BUILD_DIGITS: usize = 16;

/// The output of a run in a store.
pub(crate) struct RemoteOutput {
    bucket: Bucket,
    address: Address,
    /// What ends the names of this run's folders, and of no other's.
    run: String,
    seen: Mutex<HashMap<(Format, Day), Seen>>,
}

/// What stood in the place of a day when the run began.
#[derive(Default)]
struct Seen {
    mark: Option<Mark>,
    /// None also where what stands there is no manifest.
    manifest: Option<Manifest>,
}

impl RemoteOutput {
    /// The output at a path; `None` where it is a folder on a disk.
    pub(crate) fn of(path: &Path, stores: &Stores) -> Result<Option<Self>> {
        let Some(address) = address_of(path)? else { return Ok(None) };
        let bucket = stores.bucket(&address).map_err(|fault| refused("write to", path.to_owned(), fault))?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let run = xxh3_64(format!("{} {since}", std::process::id()).as_bytes());
        Ok(Some(Self { bucket, address, run: format!("{:08x}", run >> 32), seen: Mutex::default() }))
    }

    /// Where a format's day is.
    pub(crate) fn day_path(&self, format: Format, day: Day) -> PathBuf {
        self.address.path(&self.key(format, day))
    }

    fn key(&self, format: Format, day: Day) -> String {
        day_key(&self.address.key, format, day)
    }

    /// Looks at what stands in the places of days. What comes there after this is not written over.
    pub(crate) fn look(&self, formats: &[Format], days: &[Day]) -> Result<()> {
        let places: Vec<(Format, Day)> =
            formats.iter().flat_map(|&format| days.iter().map(move |&day| (format, day))).collect();
        let ask = |&(format, day): &(Format, Day)| self.bucket.small(&below(&self.key(format, day), MANIFEST_FILE));
        let requests: Vec<_> = places.iter().map(ask).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for ((format, day), request) in places.into_iter().zip(requests) {
            let found = request.and_then(|request| request.wait());
            let found = found.map_err(|fault| refused("read", self.day_path(format, day), fault))?;
            let what = found.map_or_else(Seen::default, |(bytes, mark)| Seen {
                manifest: Manifest::from_bytes(&bytes).ok(),
                mark: Some(mark),
            });
            seen.insert((format, day), what);
        }
        Ok(())
    }

    /// Something of what was seen in the place of a day.
    fn seen_at<T>(&self, format: Format, day: Day, what: impl FnOnce(&Seen) -> Option<T>) -> Option<T> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&(format, day)).and_then(what)
    }

    /// The manifest of a day that was there, where all of its files are.
    pub(crate) fn whole(&self, format: Format, day: Day) -> Result<Option<Manifest>> {
        let Some(manifest) = self.seen_at(format, day, |seen| seen.manifest.clone()) else { return Ok(None) };
        let Some(folder) = &manifest.folder else { return Ok(None) };
        let listing = self.list(&below(&self.key(format, day), folder));
        let listing = listing.map_err(|fault| refused("list", self.day_path(format, day), fault))?;
        let size_of = |name: &str| {
            let found = listing.objects.iter().find(|found| found.key.rsplit('/').next() == Some(name));
            found.map(|found| found.version.size)
        };
        let is_whole = manifest.shards.iter().all(|shard| size_of(&shard.file) == Some(shard.bytes));
        Ok((is_whole && size_of(SUCCESS_FILE).is_some()).then_some(manifest))
    }

    /// Uploads a format's day from a folder on this machine, and puts it in place.
    ///
    /// # Errors
    /// [`Error::Raced`] where something else has come there since the run began: it is left as it is.
    pub(crate) fn publish(&self, format: Format, day: Day, folder: &Path) -> Result<()> {
        let path = folder.join(MANIFEST_FILE);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let manifest = Manifest::from_bytes(&bytes).ok().invariant("a manifest that was written can be read")?;
        let build = manifest.build.get(..BUILD_DIGITS).invariant("the hash of a build has 32 digits")?;
        let name = format!("{build}-{}", self.run);
        let in_store = Manifest { folder: Some(name.clone()), ..manifest }.to_bytes()?;
        let key = self.key(format, day);
        let put_in_place = self.upload(folder, &below(&key, &name)).and_then(|()| {
            let mark = self.seen_at(format, day, |seen| seen.mark.clone());
            let condition = mark.map_or(Condition::Absent, Condition::Is);
            self.put_manifest(&below(&key, MANIFEST_FILE), &in_store, condition)
        });
        if let Err(fault) = put_in_place {
            // Nobody will ever look for these. Where that fails too, `clean` finds them.
            let _ = self.delete_folder(&below(&key, &name));
            return Err(match fault {
                Fault::Changed => Error::Raced { path: self.day_path(format, day) },
                fault => refused("upload", self.day_path(format, day), fault),
            });
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&(format, day));
        if let Some(replaced) = seen.and_then(|seen| seen.manifest?.folder) {
            // The new day is there, whatever becomes of the old one's files; `clean` finds what is left.
            let _ = self.delete_folder(&below(&key, &replaced));
        }
        Ok(())
    }

    fn upload(&self, folder: &Path, key: &str) -> Result<(), Fault> {
        let files = entries(folder).map_err(|error| Fault::Refused(error.to_string()))?;
        let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let files: Vec<PathBuf> = files.into_iter().filter(|path| name(path) != MANIFEST_FILE).collect();
        for group in files.chunks(FILES_AT_ONCE) {
            let requests: Vec<_> =
                group.iter().map(|path| self.bucket.put_file(&below(key, &name(path)), path)).collect();
            requests.into_iter().try_for_each(|request| request?.wait())?;
        }
        Ok(())
    }

    /// Writes a manifest where a condition holds.
    fn put_manifest(&self, key: &str, bytes: &[u8], condition: Condition) -> Result<(), Fault> {
        match self.bucket.put(key, bytes.to_vec().into(), condition) {
            // A request that the connection broke under may have been heard, and is then refused when it is made again.
            Err(Fault::Changed) if self.is_there(key, bytes)? => Ok(()),
            result => result,
        }
    }

    fn is_there(&self, key: &str, bytes: &[u8]) -> Result<bool, Fault> {
        Ok(self.bucket.small(key)?.wait()?.is_some_and(|(there, _)| there == bytes))
    }

    fn list(&self, folder: &str) -> Result<Listing, Fault> {
        self.bucket.list_all(&[folder.to_owned()]).only()
    }

    fn delete_folder(&self, folder: &str) -> Result<(), Fault> {
        let keys: Vec<String> = self.list(folder)?.objects.into_iter().map(|found| found.key).collect();
        self.bucket.delete(&keys)
    }
}

/// The manifests of days of an output in a store, format after format; of one that is not there, nothing.
///
/// # Errors
/// [`Error::Io`] for what the store refuses, [`Error::Corrupt`] for a manifest that is none.
pub fn manifests(out: &Path, formats: &[Format], days: &[Day], options: &StoreOptions) -> Result<Vec<Manifest>> {
    let stores = Stores::new(options)?;
    let Some(output) = RemoteOutput::of(out, &stores)? else { return Ok(Vec::new()) };
    output.look(formats, days)?;
    let mut seen = output.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let places = formats.iter().flat_map(|&format| days.iter().map(move |&day| (format, day)));
    Ok(places.filter_map(|place| seen.remove(&place)?.manifest).collect())
}
