//! A file of a table, on a disk or in a store: opened, and compared with what it was when it was found.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;

use crate::error::{Error, Result};
use crate::parquet_file::ParquetFile;
use crate::read::formats::Format;
use crate::read::stamp::Stamp;
use crate::read::{Origin, PathDay, Room, RowNumbers, SplitFacts};
use crate::store::{Fault, Loaded, Object, Sequential};

/// Bytes at the end of a Parquet file that are asked for at first: most footers are shorter.
const TAIL: u64 = 64 << 10;

/// A file of a table, not yet opened.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
    pub(super) table: Arc<str>,
    pub(super) path: Arc<PathBuf>,
    pub(super) format: Format,
    pub(super) day: Option<PathDay>,
    /// What the file was when it was found.
    pub(super) stamp: Stamp,
    /// Where it is in a store, what is read there.
    pub(super) stored: Option<Stored>,
}

/// A file in a store.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) object: Object,
    room: Room,
    /// What has been asked for before it is opened.
    begun: Arc<Mutex<Begun>>,
}

/// What of a file in a store has been asked for.
#[derive(Default)]
enum Begun {
    #[default]
    Nothing,
    Front(Sequential, Option<Held>),
    Ranges(Loaded),
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Front(..) => "Front",
            Self::Ranges(_) => "Ranges",
        })
    }
}

/// Bytes of what stores may hold, until this is dropped.
pub(super) struct Held(Object, u64);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.stores().give_back(self.1);
    }
}

impl Stored {
    pub(super) fn new(object: Object, room: &Room) -> Self {
        Self { object, room: room.clone(), begun: Arc::default() }
    }

    fn take(&self) -> Begun {
        std::mem::take(&mut self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file from its front.
    fn front(&self) -> Front {
        match self.take() {
            Begun::Front(front, held) => Front::Store(front, held),
            _ => Front::Store(Sequential::new(self.object.clone(), self.room.under_way()), None),
        }
    }
}

/// A file that is read from its front.
pub(super) enum Front {
    Disk(File),
    Store(Sequential, #[expect(dead_code, reason = "dropped when all is read")] Option<Held>),
}

impl Front {
    /// An object whose first bytes are known.
    pub(super) fn after(object: &Object, first: Bytes, room: &Room) -> Self {
        Self::Store(Sequential::after(object.clone(), first, room.under_way()), None)
    }
}

impl Read for Front {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Disk(file) => file.read(buffer),
            Self::Store(object, _) => object.read(buffer),
        }
    }
}

impl DataFile {
    /// What is known of a part of it that takes so many bytes.
    pub(super) fn facts(&self, bytes: u64, rows: Option<u64>) -> SplitFacts<'_> {
        SplitFacts { format: Some(self.format.name()), day: self.day.as_ref(), bytes, rows }
    }

    /// Where rows of this file come from.
    pub(super) fn origin(&self, rows: RowNumbers) -> Origin {
        let text = self.format != Format::Parquet;
        Origin { file: Some(Arc::clone(&self.path)), day: self.day.clone(), rows, text }
    }

    /// Opens the file, which must be the one that was found.
    pub(super) fn open(&self) -> Result<Front> {
        match &self.stored {
            Some(stored) => Ok(stored.front()),
            None => self.open_on_disk().map(Front::Disk),
        }
    }

    /// Opens a file of Parquet; of one in a store, what has been loaded is not read again.
    pub(super) fn open_parquet(&self, loaded: Option<&Arc<Loaded>>) -> Result<ParquetFile> {
        let Some(stored) = &self.stored else {
            return ParquetFile::new(self.open_on_disk()?).map_err(|source| self.unreadable("read", source));
        };
        let begun = || match stored.take() {
            Begun::Ranges(tail) => Some(Arc::new(tail)),
            _ => None,
        };
        Ok(ParquetFile::in_store(stored.object.clone(), loaded.cloned().or_else(begun)))
    }

    fn open_on_disk(&self) -> Result<File> {
        let file = File::open(self.path.as_path()).map_err(|source| self.unreadable("read", source))?;
        self.compare(file.metadata())?;
        Ok(file)
    }

    /// Asks for what opening the file reads first, so that it is under way. A fault shows when it is opened.
    pub(super) fn begin_open(&self) {
        let Some(stored) = &self.stored else { return };
        let begun = if self.format == Format::Parquet {
            let size = stored.object.size();
            Loaded::begin(&stored.object, std::slice::from_ref(&(size.saturating_sub(TAIL)..size)), 0)
                .map(Begun::Ranges)
        } else {
            let mut front = Sequential::new(stored.object.clone(), stored.room.under_way());
            front.begin().map(|()| Begun::Front(front, None))
        };
        *stored.begun.lock().unwrap_or_else(PoisonError::into_inner) = begun.unwrap_or_default();
    }

    /// Asks for as much of a text file as may be under way, where there is memory for that; false where there is none.
    pub(super) fn begin_read(&self) -> bool {
        let Some(stored) = &self.stored else { return true };
        let mut begun = stored.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let room = &stored.room;
        let bytes = Sequential::under_way(&stored.object, room.under_way());
        if !stored.object.stores().take(bytes, room.held() / 2) {
            return false;
        }
        let held = Held(stored.object.clone(), bytes);
        let mut front = Sequential::new(stored.object.clone(), room.under_way());
        if front.begin().and_then(|()| front.begin_all()).is_ok() {
            *begun = Begun::Front(front, Some(held));
        }
        true
    }

    /// Checks, when all of the file has been read, that it is still what it was.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        if let Some(stored) = &self.stored {
            // Every request was answered with the version that was found, or was a fault.
            return match stored.object.fault() {
                Some(Fault::Changed) => Err(self.changed()),
                Some(Fault::Interrupted) => Err(Error::Interrupted),
                _ => Ok(()),
            };
        }
        match fs::metadata(self.path.as_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.changed()),
            metadata => self.compare(metadata),
        }
    }

    /// What reading the file gave, if it is still what it was: a file that was changed meanwhile has faults that are none.
    pub(super) fn if_unchanged<T>(&self, read: Result<T>) -> Result<T> {
        if !matches!(read, Err(Error::Interrupted)) {
            self.check_unchanged()?;
        }
        read
    }

    fn compare(&self, metadata: io::Result<fs::Metadata>) -> Result<()> {
        let metadata = metadata.map_err(|source| self.unreadable("read", source))?;
        if Stamp::of(&metadata) == self.stamp { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> Error {
        Error::Changed { table: self.table.to_string(), path: self.path.to_path_buf() }
    }

    pub(super) fn unreadable(&self, action: &'static str, source: io::Error) -> Error {
        // What a decoder makes of a fault of the store says less than the fault.
        match self.stored.as_ref().and_then(|stored| stored.object.fault()) {
            Some(fault) => of_store(&self.table, &self.path, fault),
            None => unreadable(&self.table, action, &self.path, source),
        }
    }

    pub(super) fn bad_parquet(&self, source: ParquetError) -> Error {
        match self.stored.as_ref().and_then(|stored| stored.object.fault()) {
            Some(fault) => of_store(&self.table, &self.path, fault),
            None => Error::Parquet { table: self.table.to_string(), file: self.path.to_path_buf(), source },
        }
    }

    pub(super) fn bad_text(&self, line: u64, problem: impl Into<String>) -> Error {
        Error::Text { table: self.table.to_string(), file: self.path.to_path_buf(), line, problem: problem.into() }
    }
}

pub(super) fn unreadable(table: &str, action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Unreadable { table: table.to_owned(), action, path: path.to_owned(), source }
}

/// What it means for a table that a store could not be read.
pub(super) fn of_store(table: &str, path: &Path, fault: Fault) -> Error {
    match fault {
        Fault::Changed => Error::Changed { table: table.to_owned(), path: path.to_owned() },
        Fault::Interrupted => Error::Interrupted,
        fault => unreadable(table, "read", path, fault.into()),
    }
}
