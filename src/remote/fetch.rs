//! Days of a store in a folder on this machine, for those who read folders.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::xxh3_64;

use super::{address_of, below, refused};
use crate::config::Format;
use crate::error::{Error, Invariant, OptionName, Result};
use crate::event::Day;
use crate::fsio::{DAY_PREFIX, Folder, Output, StagedFile};
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::open::{DayFolder, find_days};
use crate::store::{Address, Bucket, Fault, Sequential, StoreOptions, StoredObject, Stores};

/// Where days of stores are kept on this machine.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The folder; made where it is missing.
    pub folder: PathBuf,
    /// The bytes that the days of one output may take there; without it, as many as they have.
    pub limit: Option<u64>,
}

/// Where days are kept if nobody says where: in the folder that the user's programs keep such things in, or else among temporary files.
#[must_use]
pub fn cache_folder() -> PathBuf {
    let of_user = |name: &str| std::env::var_os(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = of_user("XDG_CACHE_HOME").or_else(|| of_user("HOME").map(|home| home.join(".cache")));
    folder.unwrap_or_else(std::env::temp_dir).join("shardback")
}

/// Bytes of a file that are under way.
const UNDER_WAY: u64 = 64 << 20;

/// Bytes that are taken over at a time.
const PIECE: usize = 1 << 20;

/// How often a day is fetched anew that is replaced again and again meanwhile.
const MOST_TRIES: usize = 10;

/// So often whoever waits for another process looks whether it has fetched its days.
const PATIENCE: Duration = Duration::from_millis(200);

/// A day in a store.
struct RemoteDay {
    format: Format,
    day: Day,
    /// The name of its folder.
    key: String,
}

/// What an address turned out to be, and its days.
struct Place {
    /// The name of the output's folder.
    out: String,
    /// What of the output was asked for, as a path below it.
    asked: PathBuf,
    days: Vec<RemoteDay>,
}

/// Fetches the days at an address, an output, the folder of a format or that of a day, and gives the path of the same on this machine; a path
/// on a disk is given as it is.
///
/// What has been fetched before, and still is what the store has, is not fetched again. Each file is compared with the hash in the
/// manifest. The folder is a published output like any other; where another process fetches into it, this one waits.
///
/// # Errors
/// [`Error::Corrupt`] where no days are at the address, or files are not what their manifest says; [`Error::Option`] where the days need
/// more than the cache may hold; [`Error::Io`] for what the store or the system refuses.
pub fn fetch(path: &Path, cache: &Cache, options: &StoreOptions) -> Result<PathBuf> {
    let Some(address) = address_of(path)? else { return Ok(path.to_owned()) };
    let stores = Stores::new(options)?;
    let failed = |fault| refused("read", path.to_owned(), fault);
    let bucket = stores.bucket(&address).map_err(failed)?;
    let place = find(&bucket, &address)?;
    let mirror = cache.folder.join(mirror_name(&address, &place.out));
    let output = open_in_turn(&mirror)?;
    let wanted = with_manifests(&bucket, &address, place.days)?;
    make_room(&output, &wanted, &place.asked, cache.limit)?;
    for (day, manifest) in wanted {
        fetch_day(&bucket, &address, &output, &day, manifest)?;
    }
    output.clean()?;
    Ok(mirror.join(place.asked))
}

/// The folder of an output in the cache: of a name that says which it is, and no other has.
fn mirror_name(address: &Address, out: &str) -> String {
    let whole = address.path(out).to_string_lossy().into_owned();
    let readable: String =
        whole.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let tail: String = readable.chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{}-{:016x}", tail.trim_matches('-'), xxh3_64(whole.as_bytes()))
}

/// Opens an output, in which perhaps another process is at work at first.
fn open_in_turn(path: &Path) -> Result<Output> {
    loop {
        match Output::open(path) {
            Err(Error::Locked { .. }) => sleep(PATIENCE),
            opened => return opened,
        }
    }
}

fn find(bucket: &Bucket, address: &Address) -> Result<Place> {
    let names = Names { bucket, address };
    let (folders, objects) = names.in_folder(&address.key)?;
    if objects.iter().any(|name| name == MANIFEST_FILE) {
        return names.one_day();
    }
    let formats: Vec<Format> =
        Format::ALL.into_iter().filter(|format| folders.iter().any(|name| name == format.name())).collect();
    if !formats.is_empty() {
        let days = formats.into_iter().map(|format| names.days(&below(&address.key, format.name()), format));
        let days = days.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        return Ok(Place { out: address.key.clone(), asked: PathBuf::new(), days });
    }
    if folders.iter().any(|name| day_of(name).is_some()) {
        let (out, name) = split(&address.key);
        let format = names.format(name)?;
        let days = names.days(&address.key, format)?;
        return Ok(Place { out: out.to_owned(), asked: PathBuf::from(name), days });
    }
    Err(names.no_days())
}

/// What stands below an address, by name.
struct Names<'a> {
    bucket: &'a Bucket,
    address: &'a Address,
}

impl Names<'_> {
    fn path(&self) -> PathBuf {
        self.address.path(&self.address.key)
    }

    /// The names of the folders and of the objects directly below a folder.
    fn in_folder(&self, folder: &str) -> Result<(Vec<String>, Vec<String>)> {
        let listing = self.bucket.list(&[folder.to_owned()]).only();
        let listing = listing.map_err(|fault| refused("list", self.address.path(folder), fault))?;
        let last = |key: &str| split(key).1.to_owned();
        Ok((
            listing.folders.iter().map(|key| last(key)).collect(),
            listing.objects.iter().map(|found| last(&found.key)).collect(),
        ))
    }

    fn days(&self, folder: &str, format: Format) -> Result<Vec<RemoteDay>> {
        let (folders, _) = self.in_folder(folder)?;
        let day = |name: &String| Some(RemoteDay { format, day: day_of(name)?, key: below(folder, name) });
        Ok(folders.iter().filter_map(day).collect())
    }

    fn one_day(&self) -> Result<Place> {
        let (folder, name) = split(&self.address.key);
        let (out, format_name) = split(folder);
        let day = day_of(name).ok_or_else(|| self.no_days())?;
        let format = self.format(format_name)?;
        let days = vec![RemoteDay { format, day, key: self.address.key.clone() }];
        Ok(Place { out: out.to_owned(), asked: Path::new(format_name).join(name), days })
    }

    fn format(&self, name: &str) -> Result<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| self.no_days())
    }

    fn no_days(&self) -> Error {
        let problem = "no days here: expected an output, the folder of a format in it (`jagged`), or that of a day (`dt=2025-08-15`)";
        Error::Corrupt { path: self.path(), problem: problem.to_owned() }
    }
}

/// What a name is in, and its last part.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('/').unwrap_or(("", key))
}

fn day_of(name: &str) -> Option<Day> {
    name.strip_prefix(DAY_PREFIX).and_then(|day| Day::parse(day.as_bytes()))
}

/// Days that are there, with their manifests: folders without one are of days that are being written.
fn with_manifests(bucket: &Bucket, address: &Address, days: Vec<RemoteDay>) -> Result<Vec<(RemoteDay, Manifest)>> {
    let requests: Vec<_> = days.iter().map(|day| bucket.small(&below(&day.key, MANIFEST_FILE))).collect();
    let mut found = Vec::with_capacity(days.len());
    for (day, request) in days.into_iter().zip(requests) {
        let path = address.path(&below(&day.key, MANIFEST_FILE));
        let bytes = request.and_then(|request| request.wait()).map_err(|fault| refused("read", path.clone(), fault))?;
        let Some((bytes, _)) = bytes else { continue };
        let manifest = Manifest::from_bytes(&bytes).map_err(|problem| Error::Corrupt { path, problem })?;
        found.push((day, manifest));
    }
    Ok(found)
}

/// Removes what the store no longer has of what was asked for, and, beyond the limit, what was fetched longest ago.
fn make_room(output: &Output, wanted: &[(RemoteDay, Manifest)], asked: &Path, limit: Option<u64>) -> Result<()> {
    let needed: u64 = wanted.iter().map(|(_, manifest)| bytes_of(manifest)).sum();
    if limit.is_some_and(|limit| needed > limit) {
        let limit = limit.unwrap_or_default();
        let problem =
            format!("the days take {needed} bytes, and the cache may hold {limit}; raise it, or open fewer days");
        return Err(Error::Option { option: OptionName::CacheLimit, problem });
    }
    let mut others = Vec::new();
    let mut held = needed;
    for place in find_days(output.path()).map(|found| found.days).unwrap_or_default() {
        let Some((format, day)) = place.format.zip(crate::open::day_of_name(&place.folder)) else { continue };
        if wanted.iter().any(|(wanted, _)| (wanted.format, wanted.day) == (format, day)) {
            continue;
        }
        // Of an output all days are wanted that are there, and so of a format; of a day, no other one.
        if asked.as_os_str().is_empty() || asked == Path::new(format.name()) {
            output.remove_day(format, day)?;
            continue;
        }
        let fetched = fs::metadata(&place.folder).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let bytes = DayFolder::open(&place.folder).map_or(u64::MAX, |day| bytes_of(day.manifest()));
        held = held.saturating_add(bytes);
        others.push((fetched, format, day, bytes));
    }
    others.sort_unstable_by_key(|&(fetched, ..)| fetched);
    for (_, format, day, bytes) in others {
        if limit.is_some_and(|limit| held > limit) {
            output.remove_day(format, day)?;
            held = held.saturating_sub(bytes);
        }
    }
    Ok(())
}

fn bytes_of(manifest: &Manifest) -> u64 {
    manifest.shards.iter().map(|shard| shard.bytes).sum()
}

/// Fetches a day that is not there yet, or is another one.
fn fetch_day(bucket: &Bucket, address: &Address, output: &Output, day: &RemoteDay, manifest: Manifest) -> Result<()> {
    let mut manifest = manifest;
    for _ in 0..MOST_TRIES {
        let local = Manifest { folder: None, ..manifest.clone() };
        let known = DayFolder::open(&output.day_folder(day.format, day.day));
        if known.is_ok_and(|known| known.manifest().build == local.build && known.manifest().shards == local.shards) {
            return Ok(());
        }
        match fetch_files(bucket, address, output, day, &manifest) {
            Err(Fetch::Gone) => {}
            Err(Fetch::Failed(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
        let again = RemoteDay { format: day.format, day: day.day, key: day.key.clone() };
        let Some((_, newer)) = with_manifests(bucket, address, vec![again])?.pop() else { break };
        manifest = newer;
    }
    let problem = "files that its manifest names are not there: it was deleted, or is replaced again and again";
    Err(Error::Corrupt { path: address.path(&day.key), problem: problem.to_owned() })
}

/// Why a day was not fetched.
enum Fetch {
    /// It has been replaced meanwhile.
    Gone,
    Failed(Error),
}

impl From<Error> for Fetch {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn fetch_files(
    bucket: &Bucket,
    address: &Address,
    output: &Output,
    day: &RemoteDay,
    manifest: &Manifest,
) -> Result<(), Fetch> {
    let path = address.path(&day.key);
    let corrupt = |problem: &str| Error::Corrupt { path: path.clone(), problem: problem.to_owned() };
    let folder = manifest.folder.as_ref().ok_or_else(|| corrupt("its manifest names no folder of its files"))?;
    let listing = bucket.list_all(&[below(&day.key, folder)]).only();
    let objects = listing.map_err(|fault| refused("list", path.clone(), fault))?.objects;
    let staged = output.stage(day.day, &[day.format])?;
    let target = staged.folder(day.format)?;
    let mut files = Vec::with_capacity(objects.len() + 1);
    for object in &objects {
        let name = split(&object.key).1.to_owned();
        let shards = manifest.shards.iter().map(|shard| (&shard.file, &shard.hash));
        let rejected = manifest.rejected.iter().map(|rejected| (&rejected.file, &rejected.hash));
        let hash = shards.chain(rejected).find(|(file, _)| **file == name).map(|(_, hash)| hash.as_str());
        let bytes = match copy(bucket, object, &address.path(&object.key), target, hash) {
            Ok(bytes) => bytes,
            Err(error) => {
                output.clean()?;
                return Err(error);
            }
        };
        files.push(StagedFile { name, bytes });
    }
    if manifest.shards.iter().any(|shard| !files.iter().any(|file| file.name == shard.file)) {
        output.clean()?;
        return Err(Fetch::Gone);
    }
    let local = Manifest { folder: None, ..manifest.clone() }.to_bytes()?;
    target.write_file(MANIFEST_FILE, &local)?;
    files.push(StagedFile { name: MANIFEST_FILE.to_owned(), bytes: local.len() as u64 });
    Ok(output.publish(staged, &[files], true)?)
}

/// Copies an object at a path into a folder, and compares it with a hash; gives its size.
fn copy(bucket: &Bucket, found: &StoredObject, path: &Path, folder: &Folder, hash: Option<&str>) -> Result<u64, Fetch> {
    let object = bucket.object(found).map_err(|fault| refused("read", path.to_owned(), fault))?;
    let mut reader = Sequential::new(object.clone(), UNDER_WAY);
    let mut file = folder.create(split(&found.key).1, object.size())?;
    let mut piece = vec![0; PIECE];
    // A fault shows when it is read.
    let _ = reader.begin_all();
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => file.write(piece.get(..length).invariant("no more is read than fits")?)?,
            Err(error) => {
                return Err(match object.fault() {
                    Some(Fault::Changed | Fault::Missing(_)) => Fetch::Gone,
                    Some(fault) => refused("read", path.to_owned(), fault).into(),
                    None => Error::io("read", path)(error).into(),
                });
            }
        }
    }
    let (written, unsynced) = file.finish()?;
    unsynced.sync()?;
    let is_other = hash.is_some_and(|hash| format!("{:032x}", written.hash) != *hash);
    if is_other {
        let problem = "what the store gave is not what the manifest says: its hash is another".to_owned();
        return Err(Error::Corrupt { path: path.to_owned(), problem }.into());
    }
    Ok(written.bytes)
}
