//! Large files past the page cache: aligned buffers written by a thread of their own while the next ones fill.
//!
//! Written through the page cache, a file is copied once more, and mostly waits for the sync at its end; a disk takes it
//! at its own speed only when it is handed whole blocks (`O_DIRECT`, see `open(2)`). Whoever fills the buffers goes on
//! to the next file while the end of the last one is still on its way.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::buffers::{Buffer, Buffers};
use super::handle::FolderHandle;

/// Takes bytes front to back and hands whole blocks to the disk.
pub(super) struct DirectWriter {
    file: Arc<File>,
    buffers: Buffers,
    buffer: Option<Buffer>,
    /// Gone once all is handed over.
    full: Option<Sender<Buffer>>,
    /// Gone once it has ended.
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl DirectWriter {
    /// Creates a file for direct writing, or gives `None` where the file system has no such thing.
    pub(super) fn create(folder: &FolderHandle, name: &str, buffers: &Buffers) -> io::Result<Option<Self>> {
        let file = match folder.fresh_file(name, OFlags::DIRECT) {
            Ok(file) => Arc::new(file),
            Err(Errno::INVAL) => {
                // Some systems create the file all the same before they refuse to open it so.
                return match folder.unlink(name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => Ok(None),
                    Err(error) => Err(error.into()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        let (full, to_write) = channel();
        let target = Arc::clone(&file);
        let thread =
            Builder::new().name("direct writer".to_owned()).spawn(move || write_buffers(&target, &to_write))?;
        Ok(Some(Self { file, buffers: buffers.clone(), buffer: None, full: Some(full), thread: Some(thread) }))
    }

    /// The file, whose length may be beyond what was written until [`DirectWriter::wait`].
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let buffer = self.buffer.get_or_insert_with(|| self.buffers.take());
            bytes = buffer.fill(bytes);
            if buffer.is_full() {
                self.hand_over()?;
            }
        }
        Ok(())
    }

    /// Hands over what is left. No more can be written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.hand_over()?;
        self.full = None;
        Ok(())
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let Some(buffer) = self.buffer.take() else { return Ok(()) };
        match &self.full {
            Some(full) if full.send(buffer.send_off()).is_ok() => Ok(()),
            // The thread ended, which it does early only with an error.
            _ => self.join(),
        }
    }

    /// Waits until the system has taken everything, and gives the file its length.
    pub(super) fn wait(&mut self, length: u64) -> io::Result<()> {
        self.join()?;
        self.file.set_len(length)
    }

    fn join(&mut self) -> io::Result<()> {
        self.full = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) | None => Err(io::Error::other("the writing thread is gone")),
        }
    }
}

impl Drop for DirectWriter {
    fn drop(&mut self) {
        // An abandoned file: whoever removes it must not meet a thread that still writes.
        if self.thread.is_some() {
            let _ = self.join();
        }
    }
}

/// Writes buffers one behind the other until no more come.
fn write_buffers(file: &File, full: &Receiver<Buffer>) -> io::Result<()> {
    let mut offset = 0;
    for buffer in full {
        file.write_all_at(buffer.blocks(), offset)?;
        offset += buffer.blocks().len() as u64;
    }
    Ok(())
}
