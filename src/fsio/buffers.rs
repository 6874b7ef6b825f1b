//! Aligned memory on its way to the disk, shared by all the files of an output.
//!
//! Memory that is new costs a page fault for every 4 KiB, so a buffer that came back from one file serves the next. And
//! since there are only so many, whoever is faster than the disk waits for it.

use std::fmt::{self, Debug, Formatter};
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytemuck::{Pod, Zeroable};

/// What the disk is handed at a time.
const BUFFER_BLOCKS: usize = 512;
/// For each thread one is filled, one is written, and the others are on their way.
const BUFFERS_PER_THREAD: usize = 6;

/// As much as any disk's block, and aligned to it.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct DiskBlock([u8; 4096]);

// SAFETY: bytes can be zero, and size and alignment agree, so there is no padding.
unsafe impl Zeroable for DiskBlock {}
// SAFETY: only bytes, and size and alignment agree, so there is no padding.
unsafe impl Pod for DiskBlock {}

/// The buffers of an output.
#[derive(Clone)]
pub(super) struct Buffers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    returned: Condvar,
    most: usize,
}

#[derive(Default)]
struct State {
    spare: Vec<Vec<DiskBlock>>,
    filling: usize,
    in_flight: usize,
}

/// Memory that is filled front to back and then handed to the disk; it goes back to the others when it is dropped.
pub(super) struct Buffer {
    blocks: Vec<DiskBlock>,
    filled: usize,
    in_flight: bool,
    buffers: Buffers,
}

/// Says how many there can be: what they hold is of no interest.
impl Debug for Buffers {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Buffers").field("most", &self.0.most).finish_non_exhaustive()
    }
}

impl Buffers {
    /// As many as the threads of the current pool can use.
    pub(super) fn new() -> Self {
        let most = BUFFERS_PER_THREAD * rayon::current_num_threads();
        Self(Arc::new(Shared { state: Mutex::default(), returned: Condvar::new(), most }))
    }

    /// An empty buffer. If all are in use it waits until the disk has taken one; if none is on its way there, and so
    /// none would come, there is one more.
    pub(super) fn take(&self) -> Buffer {
        let mut state = self.state();
        while state.spare.is_empty() && state.filling + state.in_flight >= self.0.most && state.in_flight > 0 {
            state = self.0.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.filling += 1;
        let spare = state.spare.pop();
        drop(state);
        let blocks = spare.unwrap_or_else(|| bytemuck::zeroed_vec(BUFFER_BLOCKS));
        Buffer { blocks, filled: 0, in_flight: false, buffers: self.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are right at every moment, so a panic elsewhere leaves nothing half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// Takes as many bytes as there is room for, and gives the others.
    pub(super) fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut self.blocks)[self.filled..];
        let (now, later) = bytes.split_at(bytes.len().min(room.len()));
        room[..now.len()].copy_from_slice(now);
        self.filled += now.len();
        later
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.blocks.len() * size_of::<DiskBlock>()
    }

    /// Counts it as on its way to the disk.
    pub(super) fn send_off(mut self) -> Self {
        let mut state = self.buffers.state();
        state.filling -= 1;
        state.in_flight += 1;
        drop(state);
        self.in_flight = true;
        self
    }

    /// What was filled, in whole blocks; the last one is filled up with what it held before.
    pub(super) fn blocks(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.blocks)[..self.filled.next_multiple_of(size_of::<DiskBlock>())]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut state = self.buffers.state();
        *(if self.in_flight { &mut state.in_flight } else { &mut state.filling }) -= 1;
        if state.spare.len() + state.filling + state.in_flight < self.buffers.0.most {
            state.spare.push(take(&mut self.blocks));
        }
        drop(state);
        // All of them: when the last one is back from the disk, nobody else would wake those that wait.
        self.buffers.0.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    //! Here and not in tests/it: buffers are nobody's business outside of this module, and no disk is slow when it should be.

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
    use std::thread::{self, sleep};
    use std::time::Duration;

    use rayon::ThreadPoolBuilder;

    use super::{BUFFERS_PER_THREAD, Buffer, Buffers};

    /// What is still to come after so long does not come.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// The buffers of one thread.
    fn buffers() -> Buffers {
        ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(Buffers::new)
    }

    /// Takes a buffer in a thread of its own, and hands it on.
    fn taker(buffers: &Buffers, taken: Sender<Buffer>) {
        let buffers = buffers.clone();
        thread::spawn(move || taken.send(buffers.take()));
    }

    #[test]
    fn whoever_waits_is_woken_when_nothing_is_on_its_way_any_more() {
        let buffers = buffers();
        let mut filling: Vec<Buffer> = (0..BUFFERS_PER_THREAD).map(|_| buffers.take()).collect();
        let on_its_way = filling.pop().unwrap().send_off();
        let (taken, takes) = channel();
        for _ in 0..3 {
            taker(&buffers, taken.clone());
        }
        assert_eq!(takes.recv_timeout(Duration::from_millis(300)).err(), Some(RecvTimeoutError::Timeout));
        // One of them gets this one; the others must not wait for it, since it may be long in coming.
        drop(on_its_way);
        let all: Vec<_> = (0..3).map(|_| takes.recv_timeout(PATIENCE).expect("it waits for ever")).collect();
        assert_eq!(buffers.state().filling, filling.len() + all.len());
        drop((filling, all));
        let state = buffers.state();
        assert_eq!((state.filling, state.in_flight, state.spare.len()), (0, 0, BUFFERS_PER_THREAD));
    }

    #[test]
    fn writers_that_outrun_the_disk_wait_and_go_on() {
        const WRITERS: usize = 4;
        const EACH: usize = 50;
        let buffers = buffers();
        let (full, disk) = channel::<Buffer>();
        let (done, finished) = channel();
        let sent = Arc::new(AtomicUsize::new(0));
        for writer in 0..WRITERS {
            let (buffers, full, done, sent) = (buffers.clone(), full.clone(), done.clone(), Arc::clone(&sent));
            thread::spawn(move || {
                for _ in 0..EACH {
                    let mut buffer = buffers.take();
                    buffer.fill(&[writer as u8; 100]);
                    sent.fetch_add(1, Ordering::Relaxed);
                    full.send(buffer.send_off()).unwrap();
                }
                done.send(()).unwrap();
            });
        }
        drop(full);
        thread::spawn(move || {
            // A buffer comes back only when the writers have used up all the others, and can but wait.
            for (returned, buffer) in disk.into_iter().enumerate() {
                let most = (returned + BUFFERS_PER_THREAD).min(WRITERS * EACH);
                while sent.load(Ordering::Relaxed) < most {
                    sleep(Duration::from_micros(50));
                }
                sleep(Duration::from_micros(50));
                assert_eq!(sent.load(Ordering::Relaxed), most, "there are more buffers than there may be");
                drop(buffer);
            }
            done.send(()).unwrap();
        });
        for _ in 0..=WRITERS {
            finished.recv_timeout(PATIENCE).expect("somebody waits for ever, or there were too many buffers");
        }
    }
}
