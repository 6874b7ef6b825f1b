//! Published days, opened for reading: folders found, manifests checked, shards mapped.
//!
//! ```text
//! find_days(path) ─► DayFolder::open(folder) ─┬─► Shard ─► ShardView::{Jagged, Dense}   mapped, zero-copy slices
//!                    manifest, sizes       │  └─► ParquetPart ─► PartBatch              Parquet, decoded in batches
//!                                          └────► MappedDay                           all shards, as one table of rows
//! ```
//!
//! What is opened has been checked for its form: a manifest's hash, file sizes, a shard's header, a part's columns. What
//! the rows hold is the business of [`verify`](mod@crate::verify).

mod files;
mod header;
mod mapped;
mod part;
mod shard;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Format;
use crate::error::{Error, Result};
use crate::event::{Day, ItemDtype};
use crate::fsio::{FolderHandle, STAGING_FOLDER};
use crate::layout::Header;
use crate::manifest::{MANIFEST_FILE, Manifest, RUN_FILE, SUCCESS_FILE, Shard as Entry};
use crate::schema::{ActionTypes, Contents, MAX_HISTORY};

pub(crate) use files::{Data, in_folder, is_replaced, read_manifest};

pub use files::Access;
pub use mapped::MappedDay;
pub use part::{ParquetPart, PartBatch};
pub use shard::{DenseShard, History, Items, JaggedShard, Shard, ShardView};

/// What a path turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// One format of one day.
    Day,
    /// The days of one format.
    Format,
    /// The formats of one output.
    Output,
}

/// A day's folder, and the format under whose folder it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// The format that the name of the folder above says, where one was looked at.
    pub format: Option<Format>,
}

/// What [`find_days`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayListing {
    /// What the path is.
    pub kind: PlaceKind,
    /// The days: by format in the order of [`Format::ALL`], then by day.
    pub days: Vec<Place>,
    /// Entries of a format's folder that are no days, by name.
    pub foreign: Vec<PathBuf>,
    /// The staging folder of an output, where there is one.
    pub staging: Option<PathBuf>,
}

/// Finds the days at or below a path: a day's folder, the folder of a format, or an output.
///
/// # Errors
/// [`Error::Io`] when a folder cannot be read, [`Error::Corrupt`] when the path is none of the three.
pub fn find_days(path: &Path) -> Result<DayListing> {
    if !fs::metadata(path).map_err(Error::io("read", path))?.is_dir() {
        return Err(corrupt(path, format!("it is not a folder: expected {PLACES}")));
    }
    let mut found = DayListing { kind: PlaceKind::Day, days: Vec::new(), foreign: Vec::new(), staging: None };
    let entries = entries(path)?;
    let named = |name: &str| entries.iter().any(|entry| entry.file_name().is_some_and(|file| file == name));
    if named(MANIFEST_FILE) || day_of_name(path).is_some() {
        found.days.push(Place { folder: path.to_owned(), format: None });
        return Ok(found);
    }
    if Format::ALL.iter().any(|format| named(format.name())) {
        found.kind = PlaceKind::Output;
        found.staging = named(STAGING_FOLDER).then(|| path.join(STAGING_FOLDER));
        for format in Format::ALL.into_iter().filter(|format| named(format.name())) {
            days_of_format(&path.join(format.name()), Some(format), &mut found)?;
        }
        return Ok(found);
    }
    let format = Format::ALL.into_iter().find(|format| folder_name(path).as_deref() == Some(format.name()));
    if format.is_none() && !entries.iter().any(|entry| day_of_name(entry).is_some()) {
        return Err(corrupt(path, format!("no days here: expected {PLACES}")));
    }
    found.kind = PlaceKind::Format;
    days_of_format(path, format, &mut found)?;
    Ok(found)
}

/// Opens all days at or below a path: by format, then by day.
///
/// ```
/// # use shardback::{Build, Format};
/// # let out = tempfile::tempdir()?;
/// # let build = Build::day("2025-08-16".parse()?, out.path()).formats([Format::Jagged]);
/// # build.table("impressions", "data/sample/impressions").table("clicks", "data/sample/clicks").run()?;
/// for day in shardback::open(out.path())? {
///     println!("{} of {}: {} samples", day.format().name(), day.day(), day.manifest().statistics.samples);
/// #   assert_eq!(day.manifest().statistics.samples, 190);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`find_days`] and [`DayFolder::open`].
pub fn open(path: &Path) -> Result<Vec<DayFolder>> {
    find_days(path)?.days.iter().map(|place| DayFolder::open(&place.folder)).collect()
}

/// What [`find_days`] takes.
const PLACES: &str = "a day's folder (`dt=2025-08-15`), the folder of a format, or an output folder";

fn days_of_format(folder: &Path, format: Option<Format>, found: &mut DayListing) -> Result<()> {
    for entry in entries(folder)? {
        if day_of_name(&entry).is_some() && entry.is_dir() {
            found.days.push(Place { folder: entry, format });
        } else {
            found.foreign.push(entry);
        }
    }
    Ok(())
}

/// The entries of a folder, sorted by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
        .map_err(Error::io("read", folder))?;
    entries.sort_unstable();
    Ok(entries)
}

/// The day that the name of a folder says: `dt=2025-08-15`, and nothing else.
pub(crate) fn day_of_name(folder: &Path) -> Option<Day> {
    let name = folder_name(folder)?;
    name.starts_with("dt=").then(|| Day::parse(name.as_bytes())).flatten()
}

fn folder_name(folder: &Path) -> Option<String> {
    // A path such as `.` or `..` has no name of its own.
    let name = match folder.file_name() {
        Some(name) => name.to_owned(),
        None => fs::canonicalize(folder).ok()?.file_name()?.to_owned(),
    };
    name.into_string().ok()
}

/// One format of one day, its manifest read and its files there.
#[derive(Clone, Debug)]
pub struct DayFolder {
    folder: PathBuf,
    /// The folder as it was opened, so that all files are of one build whatever takes its place; none where the day was mapped as
    /// a whole, and has nothing left to be opened.
    handle: Option<Arc<FolderHandle>>,
    format: Format,
    day: Day,
    item_dtype: ItemDtype,
    types: ActionTypes,
    manifest: Manifest,
}

impl DayFolder {
    /// Opens a day's folder: reads the manifest and checks that the files it names are there, in their sizes.
    ///
    /// The folder is held open: all of it is of one build, also where the day is replaced meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`] when something cannot be read, [`Error::Corrupt`] when it is not what the manifest says.
    pub fn open(folder: &Path) -> Result<Self> {
        in_folder(folder, |handle| Self::in_handle(folder, handle))
    }

    fn in_handle(folder: &Path, handle: Arc<FolderHandle>) -> Result<Self> {
        let path = folder.join(MANIFEST_FILE);
        let bytes = read_manifest(&handle, MANIFEST_FILE)?;
        let manifest = Manifest::from_bytes(&bytes).map_err(|problem| corrupt(&path, problem))?;
        let ManifestFields { format, day, item_dtype, types } =
            ManifestFields::of(&manifest).map_err(|problem| corrupt(&path, problem))?;
        wrong_history(manifest.history).map_or(Ok(()), |problem| Err(corrupt(&path, problem)))?;
        if let Some(named) = day_of_name(folder).filter(|&named| named != day) {
            return Err(corrupt(&path, format!("it is of {day}, in the folder of {named}")));
        }
        if let Some(files) = &manifest.folder {
            let problem = format!(
                "it is the manifest of a day in an object store, with its files in `{files}`: open it at its address"
            );
            return Err(corrupt(&path, problem));
        }
        for (index, shard) in (0..).zip(&manifest.shards) {
            if shard.file != format.shard_file(index) {
                return Err(corrupt(&path, wrong_file_name(index, &shard.file, format)));
            }
            let bytes = handle.file_size(&shard.file)?;
            if bytes != shard.bytes {
                return Err(corrupt(&folder.join(&shard.file), wrong_size(bytes, shard.bytes)));
            }
        }
        Ok(Self { folder: folder.to_owned(), handle: Some(handle), format, day, item_dtype, types, manifest })
    }

    /// The folder to open files in: the one that was opened, or where that was closed, one with the same manifest.
    fn handle(&self) -> Result<Arc<FolderHandle>> {
        if let Some(handle) = &self.handle {
            return Ok(Arc::clone(handle));
        }
        in_folder(&self.folder, |handle| {
            if read_manifest(&handle, MANIFEST_FILE)? != self.manifest.to_bytes()? {
                return Err(corrupt(&self.folder, "it was replaced since it was opened: open it again"));
            }
            Ok(handle)
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The format of its files.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The day.
    #[must_use]
    pub fn day(&self) -> Day {
        self.day
    }

    /// The width of its item ids.
    #[must_use]
    pub fn item_dtype(&self) -> ItemDtype {
        self.item_dtype
    }

    /// The types of its actions.
    #[must_use]
    pub fn types(&self) -> &ActionTypes {
        &self.types
    }

    /// The columns of its samples and actions.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.manifest.contents
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The record of the run that wrote the day, as it is.
    pub(crate) fn run_record(&self) -> Result<Vec<u8>> {
        read_manifest(&*self.handle()?, RUN_FILE)
    }

    /// Whether an error is that of a day that was replaced, and whose files are deleted: then the new one is to be opened.
    pub(crate) fn is_gone(&self, error: &Error) -> bool {
        files::is_missing(error) && self.handle.as_ref().is_some_and(|handle| is_replaced(handle))
    }

    /// Checks that the mark of success is there, which is written last.
    pub(crate) fn check_success(&self) -> Result<()> {
        self.handle()?.file_size(SUCCESS_FILE).map(drop)
    }

    /// The number of shards.
    #[must_use]
    pub fn shards(&self) -> u32 {
        // Fewer than 32 bits count: a manifest has at most 64 MiB, and a shard takes some 150 bytes of it.
        self.manifest.shards.len() as u32
    }

    /// The file of a shard.
    #[must_use]
    pub fn shard_path(&self, shard: u32) -> PathBuf {
        self.folder.join(self.format.shard_file(shard))
    }

    /// Maps a shard of a dense or jagged day, from 0.
    ///
    /// # Errors
    /// As [`Shard::open`]; also [`Error::Corrupt`] where the shard is not the one that the manifest says.
    pub fn shard(&self, shard: u32) -> Result<Shard> {
        self.shard_in(&*self.handle()?, shard, Access::Auto)
    }

    fn shard_in(&self, handle: &FolderHandle, shard: u32, access: Access) -> Result<Shard> {
        let path = self.shard_path(shard);
        let entry = self.manifest.shards.get(shard as usize);
        let entry = entry.ok_or_else(|| corrupt(&path, "the day has no such shard"))?;
        let opened = Shard::of_file(&handle.file(self.format.shard_file(shard))?, &path, access)?;
        match self.expected_header(shard, entry).difference(opened.header()) {
            Some(problem) => Err(corrupt(opened.path(), problem)),
            None => Ok(opened),
        }
    }

    /// Opens a part of a Parquet day, from 0.
    ///
    /// # Errors
    /// As [`ParquetPart::open`].
    pub fn part(&self, part: u32) -> Result<ParquetPart> {
        let file = self.handle()?.file(self.format.shard_file(part))?;
        ParquetPart::of_file(file, &self.shard_path(part), &self.manifest.contents)
    }

    fn expected_header(&self, shard: u32, entry: &Entry) -> Header {
        Header {
            format: self.format,
            day: self.day,
            history: self.manifest.history,
            shard,
            shards: self.shards(),
            rows: entry.rows,
            stored: None,
            item_dtype: self.item_dtype,
            contents: self.manifest.contents.clone(),
            content: entry.content.clone(),
        }
    }
}

/// What the texts of a manifest mean.
pub(crate) struct ManifestFields {
    pub(crate) format: Format,
    pub(crate) day: Day,
    pub(crate) item_dtype: ItemDtype,
    pub(crate) types: ActionTypes,
}

impl ManifestFields {
    /// Reads the format, the day, the item dtype and the types of actions, or says which makes no sense.
    pub(crate) fn of(manifest: &Manifest) -> Result<Self, String> {
        let format = Format::ALL
            .into_iter()
            .find(|format| manifest.format.strip_prefix("shardback.") == Some(format.name()))
            .ok_or_else(|| format!("unknown format: {}", manifest.format))?;
        let day = Day::parse(manifest.dt.as_bytes())
            .filter(|day| day.to_string() == manifest.dt)
            .ok_or_else(|| format!("`dt` cannot be parsed as a day: {}", manifest.dt))?;
        let item_dtype = [ItemDtype::I32, ItemDtype::I64]
            .into_iter()
            .find(|dtype| dtype.name() == manifest.item_dtype)
            .ok_or_else(|| format!("unknown item dtype: {}", manifest.item_dtype))?;
        manifest.contents.problem().map_or(Ok(()), |problem| Err(format!("`contents`: {problem}")))?;
        let types = ActionTypes::new(manifest.types.iter().map(|(name, &number)| (name.as_str(), number.into())));
        Ok(Self { format, day, item_dtype, types: types.map_err(|error| error.to_string())? })
    }
}

/// What is wrong with a K that no build takes: what is computed from it, such as the size of a batch, would not fit.
pub(crate) fn wrong_history(history: u64) -> Option<String> {
    let fits = (1..=MAX_HISTORY as u64).contains(&history);
    (!fits).then(|| format!("`history` is {history}, not between 1 and {MAX_HISTORY}"))
}

pub(crate) fn wrong_file_name(shard: u32, file: &str, format: Format) -> String {
    format!("shard {shard} is in `{file}`, expected `{}`", format.shard_file(shard))
}

pub(crate) fn wrong_size(bytes: u64, expected: u64) -> String {
    format!("it has {bytes} bytes, the manifest says {expected}")
}

pub(crate) fn corrupt(path: &Path, problem: impl Into<String>) -> Error {
    Error::Corrupt { path: path.to_owned(), problem: problem.into() }
}
