//! A folder held open: names are resolved in it, wherever its path may lead meanwhile.
//!
//! A path is looked up anew with every call, and each time may lead somewhere else: a day is replaced, a link is put in the way.
//! What goes through one handle stays in one folder (`openat(2)` and its kin), and links in it are never followed on the way to
//! something that is written, moved or removed. A call that a signal ends before it has done anything (`EINTR`, on file systems that
//! wait for a network or a user's process) is made again.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fstat, mkdirat, openat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use crate::error::{Error, OptionName, Result};

/// A folder that is open.
#[derive(Debug)]
pub(crate) struct FolderHandle {
    folder: File,
    /// Where it was when it was opened.
    path: PathBuf,
}

/// How often a folder is emptied that fills up again.
const MOST_REMOVALS: usize = 100;

impl FolderHandle {
    /// Opens the folder that a path leads to.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
        let folder = folder.map_err(|error| Error::io("read", path)(error.into()))?;
        Ok(Self { folder: folder.into(), path: path.to_owned() })
    }

    /// Opens a folder in this one; a link is no folder.
    pub(super) fn folder(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        self.open_folder(name.as_ref()).map_err(|error| self.error("look at", name.as_ref(), error))
    }

    /// Opens a folder in this one, and makes it first where nothing has its name; its name is yet to be synced.
    pub(super) fn folder_made(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = name.as_ref();
        match retry_on_intr(|| mkdirat(&self.folder, name, Mode::from_raw_mode(0o777))) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.error("create folder", name, error)),
        }
        match self.open_folder(name) {
            Err(Errno::LOOP | Errno::NOTDIR) => Err(Error::Corrupt {
                path: self.path.join(name),
                problem: format!(
                    "it is not a folder (links are not followed here, so that nothing outside of the output is touched); move it \
                     away, or choose another `{}`",
                    OptionName::Out
                ),
            }),
            opened => opened.map_err(|error| self.error("look at", name, error)),
        }
    }

    /// Makes a folder that must not be there yet.
    pub(super) fn fresh_folder(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let made = retry_on_intr(|| mkdirat(&self.folder, name.as_ref(), Mode::from_raw_mode(0o777)));
        made.map_err(|error| self.error("create folder", name.as_ref(), error))?;
        self.folder(name)
    }

    fn open_folder(&self, name: &OsStr) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = retry_on_intr(|| openat(&self.folder, name, flags, Mode::empty()))?;
        Ok(Self { folder: folder.into(), path: self.path.join(name) })
    }

    /// Creates a file that must not be there yet.
    pub(super) fn fresh_file(&self, name: &str, more: OFlags) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| openat(&self.folder, name, flags | more, Mode::from_raw_mode(0o666))).map(File::from)
    }

    /// Opens a regular file for reading. Nothing else is waited for or read: a pipe in its place would never end.
    pub(crate) fn file(&self, name: impl AsRef<OsStr>) -> Result<File> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match retry_on_intr(|| openat(&self.folder, name, flags, Mode::empty())) {
            // A socket, or a device without a driver.
            Err(Errno::NXIO) => return Err(self.no_file(name)),
            opened => opened.map_err(|error| self.error("read", name, error))?,
        };
        let found = fstat(&file).map_err(|error| self.error("read", name, error))?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(self.no_file(name));
        }
        Ok(file.into())
    }

    /// The size of a regular file, or of the one that a link leads to.
    pub(crate) fn file_size(&self, name: impl AsRef<OsStr>) -> Result<u64> {
        let name = name.as_ref();
        let found = statat(&self.folder, name, AtFlags::empty()).map_err(|error| self.error("read", name, error))?;
        match u64::try_from(found.st_size) {
            Ok(bytes) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => Ok(bytes),
            _ => Err(self.no_file(name)),
        }
    }

    fn no_file(&self, name: &OsStr) -> Error {
        Error::Corrupt { path: self.path.join(name), problem: "it is not a file".to_owned() }
    }

    /// Where it was when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder as a file: to be locked, or to make files without names in.
    pub(super) fn as_file(&self) -> &File {
        &self.folder
    }

    /// What is known of the folder itself.
    pub(crate) fn stat(&self) -> Result<Stat> {
        fstat(&self.folder).map_err(|error| Error::io("look at", &self.path)(error.into()))
    }

    /// What stands at a name, be it a link that leads nowhere; `None` where nothing does.
    pub(crate) fn look_at(&self, name: impl AsRef<OsStr>) -> Result<Option<Stat>> {
        match statat(&self.folder, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.error("look at", name.as_ref(), error)),
        }
    }

    /// The names in the folder, in no order.
    pub(crate) fn names(&self) -> Result<Vec<OsString>> {
        let list = || -> Result<Vec<OsString>, Errno> {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.folder)? {
                let name = entry?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    names.push(OsString::from_vec(name));
                }
            }
            Ok(names)
        };
        // Where it was broken off, a list cannot be gone on with.
        retry_on_intr(list).map_err(|error| Error::io("list", &self.path)(error.into()))
    }

    /// Moves something from this folder to a name in another; what has that name is replaced where the system allows it.
    pub(super) fn rename(&self, name: impl AsRef<OsStr>, to: &Self, new: impl AsRef<OsStr>) -> Result<()> {
        let renamed = retry_on_intr(|| renameat(&self.folder, name.as_ref(), &to.folder, new.as_ref()));
        renamed.map_err(|error| to.error("put in place", new.as_ref(), error))
    }

    /// Exchanges something in this folder with something in another in one step; false where the file system cannot.
    pub(super) fn exchange(&self, name: impl AsRef<OsStr>, with: &Self, other: impl AsRef<OsStr>) -> Result<bool> {
        let (name, other) = (name.as_ref(), other.as_ref());
        match retry_on_intr(|| renameat_with(&self.folder, name, &with.folder, other, RenameFlags::EXCHANGE)) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(with.error("replace", other, error)),
        }
    }

    /// Removes what stands at a name, a folder with all it holds, a link without what it leads to; nothing there is fine.
    ///
    /// Where a task on another machine was just making a file as its run ended, a folder fills while it is emptied: then it is
    /// emptied again.
    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        let refused = |error| match error {
            Errno::NOENT => Ok(()),
            error => Err(self.error("remove", name, error)),
        };
        match self.look_at(name)? {
            None => return Ok(()),
            Some(found) if FileType::from_raw_mode(found.st_mode) != FileType::Directory => {
                return self.unlink(name, AtFlags::empty()).or_else(refused);
            }
            Some(_) => {}
        }
        for _ in 0..MOST_REMOVALS {
            let folder = match self.open_folder(name) {
                Ok(folder) => folder,
                Err(error) => return refused(error),
            };
            for name in folder.names()? {
                folder.remove(name)?;
            }
            match self.unlink(name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                result => return result.or_else(refused),
            }
        }
        Err(Error::io("remove", self.path.join(name))(ErrorKind::DirectoryNotEmpty.into()))
    }

    /// Takes a name away.
    pub(super) fn unlink(&self, name: impl AsRef<OsStr>, flags: AtFlags) -> Result<(), Errno> {
        retry_on_intr(|| unlinkat(&self.folder, name.as_ref(), flags))
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync(&self) -> Result<()> {
        match retry_on_intr(|| rustix::fs::fsync(&self.folder)) {
            // Some network and user-space file systems have no fsync of folders: they have nothing to offer.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(Error::io("sync folder", &self.path)(error.into())),
        }
    }

    fn error(&self, action: &'static str, name: &OsStr, error: Errno) -> Error {
        Error::io(action, self.path.join(name))(error.into())
    }
}

/// Whether two looks saw the same file or folder.
pub(crate) fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
