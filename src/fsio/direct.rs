//! Large files past the page cache: aligned buffers written by a thread of their own while the next one fills.
//!
//! Written through the page cache, a large file is copied once more, and mostly waits for the sync at its end; a disk takes
//! it at its own speed only when it is handed whole blocks (`O_DIRECT`, see `open(2)`).

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytemuck::{Pod, Zeroable};
use rustix::fs::OFlags;

/// What the disk is handed at a time.
const BUFFER_BLOCKS: usize = 1024;
/// One is filled, one is written, one is on its way.
const BUFFERS: usize = 3;

/// As much as any disk's block, and aligned to it.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Block([u8; 4096]);

// SAFETY: bytes can be zero, and size and alignment agree, so there is no padding.
unsafe impl Zeroable for Block {}
// SAFETY: only bytes, and size and alignment agree, so there is no padding.
unsafe impl Pod for Block {}

/// Takes bytes front to back and hands whole blocks to the disk.
pub(super) struct DirectWriter {
    file: Arc<File>,
    buffer: Vec<Block>,
    filled: usize,
    full: Option<SyncSender<(Vec<Block>, usize)>>,
    empty: Receiver<Vec<Block>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl DirectWriter {
    /// Creates a file for direct writing, or gives `None` where the file system has no such thing.
    pub(super) fn create(path: &Path) -> io::Result<Option<Self>> {
        let direct = OFlags::DIRECT.bits().cast_signed();
        let file = match File::options().write(true).create_new(true).custom_flags(direct).open(path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                // Some systems create the file all the same before they refuse to open it so.
                if path.exists() {
                    std::fs::remove_file(path)?;
                }
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (full, to_write) = sync_channel(BUFFERS);
        let (written, empty) = sync_channel(BUFFERS);
        for _ in 1..BUFFERS {
            // The channel has room for all.
            let _ = written.send(Vec::new());
        }
        let target = Arc::clone(&file);
        let thread = std::thread::Builder::new().name("direct writer".to_owned());
        let thread = thread.spawn(move || write_buffers(&target, &to_write, &written))?;
        let buffer = Vec::new();
        Ok(Some(Self { file, buffer, filled: 0, full: Some(full), empty, thread: Some(thread) }))
    }

    /// The file, whose length may be beyond what was written until [`DirectWriter::finish`].
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.buffer.resize(BUFFER_BLOCKS, Block::zeroed());
            let room: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut self.buffer)[self.filled..];
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == BUFFER_BLOCKS * size_of::<Block>() {
                self.hand_over()?;
            }
        }
        Ok(())
    }

    /// Hands the buffer to the thread and waits for an empty one.
    fn hand_over(&mut self) -> io::Result<()> {
        let full = (std::mem::take(&mut self.buffer), self.filled);
        self.filled = 0;
        let sent = self.full.as_ref().is_some_and(|sender| sender.send(full).is_ok());
        match self.empty.recv() {
            Ok(empty) if sent => {
                self.buffer = empty;
                Ok(())
            }
            // The thread ended, which it does early only with an error.
            _ => self.join(),
        }
    }

    /// Writes what is left and gives the file, which has its right length and is not synced.
    pub(super) fn finish(mut self, length: u64) -> io::Result<File> {
        if self.filled > 0 {
            self.hand_over()?;
        }
        self.join()?;
        self.file.set_len(length)?;
        self.file.try_clone()
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

/// Writes buffers one behind the other until no more come; the last one is filled up with what it held before.
fn write_buffers(file: &File, full: &Receiver<(Vec<Block>, usize)>, empty: &SyncSender<Vec<Block>>) -> io::Result<()> {
    let mut offset = 0;
    for (buffer, filled) in full {
        let whole = filled.next_multiple_of(size_of::<Block>());
        file.write_all_at(&bytemuck::cast_slice(&buffer)[..whole], offset)?;
        offset += whole as u64;
        if empty.send(buffer).is_err() {
            break;
        }
    }
    Ok(())
}
