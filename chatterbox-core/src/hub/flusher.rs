//! Writing: one task per shard writes for all connections of the shard.
//!
//! ```text
//! send ─▶ queue, and the connection on the dirty list ─▶ bell ─▶ (let ready tasks add theirs) ─▶ one write each
//! ```
//! A system call per write is the floor of what a message costs, so what counts is to join frames: the flusher yields
//! once when it is woken, so that tasks that are ready add theirs, then writes each dirty connection once. Writing
//! from the sender's task would join nothing and let one room starve another (DESIGN.md section 5).

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use super::driver::Wire;
use super::link::Link;
use super::wheel::Wheel;
use crate::engine::Frame;
use crate::engine::eio::Outputs;
use crate::tasks::Tasks;

/// Bounds of one write turn of a connection, so that a busy one doesn't hold up the others.
const TURN_FRAMES: usize = 64;
/// See [`TURN_FRAMES`].
const TURN_BYTES: usize = 256 << 10;
/// Below this, copying frames together is cheaper than a list of pieces for the kernel.
const COPY_MAX: usize = 32 << 10;
/// After so many connections other tasks of the thread get a turn.
const YIELD_AFTER: usize = 128;

/// The present moment of the runtime's clock (which tests can pause).
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The connections of one core: who has something to write, and whose deadline comes next.
#[derive(Debug)]
pub(crate) struct Shard {
    dirty: Mutex<Vec<Link>>,
    bell: Notify,
    pub(crate) wheel: Wheel,
}

/// All shards of a process.
#[derive(Debug, Clone)]
pub(crate) struct Shards(Arc<[Arc<Shard>]>);

impl Shards {
    /// One shard per core, each with its flusher and its wheel running until `tasks` are stopped.
    pub(crate) fn start(tasks: &Tasks) -> Shards {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shards: Arc<[Arc<Shard>]> = (0..cores).map(|_| Arc::new(Shard::new())).collect();
        for shard in shards.iter() {
            tasks.spawn_until_stopped(Arc::clone(shard).flush());
            let shard = Arc::clone(shard);
            tasks.spawn_until_stopped(async move { shard.wheel.turn().await });
        }
        Shards(shards)
    }

    /// The shard for one more connection: `number` is spread evenly.
    pub(crate) fn pick(&self, number: usize) -> Arc<Shard> {
        Arc::clone(&self.0[number % self.0.len()])
    }
}

impl Shard {
    fn new() -> Shard {
        Shard {
            dirty: Mutex::default(),
            bell: Notify::new(),
            wheel: Wheel::new(now()),
        }
    }

    pub(super) fn mark_dirty(&self, link: Link) {
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        dirty.push(link);
        let first = dirty.len() == 1;
        drop(dirty);
        if first {
            self.bell.notify_one();
        }
    }

    async fn flush(self: Arc<Shard>) {
        let mut turn = Vec::new();
        let mut room = Room::default();
        loop {
            self.bell.notified().await;
            // Tasks that are ready to run add their frames first.
            tokio::task::yield_now().await;
            std::mem::swap(
                &mut turn,
                &mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner),
            );
            for (count, link) in turn.drain(..).enumerate() {
                link.flush(&mut room);
                if count % YIELD_AFTER == YIELD_AFTER - 1 {
                    tokio::task::yield_now().await;
                }
            }
            room.shrink();
            turn.shrink_to(1024);
        }
    }
}

/// Room for one turn's frames, used again and again.
#[derive(Debug, Default)]
struct Room {
    frames: Vec<Frame>,
    bytes: Vec<u8>,
}

impl Room {
    fn shrink(&mut self) {
        self.bytes.shrink_to(COPY_MAX);
    }
}

impl Link {
    /// Writes once what this connection has queued.
    fn flush(&self, room: &mut Room) {
        let mut state = self.lock();
        state.dirty = false;
        let half = match &mut state.wire {
            Wire::None => {
                let mut out = Outputs::new();
                state.session.flush(&mut out);
                return self.settle(&mut state, out);
            }
            Wire::Task => return self.wake(),
            Wire::Tcp(half) => half.take(),
        };
        let Some(half) = half else { return };
        let front_written = state
            .session
            .queue()
            .take(&mut room.frames, TURN_FRAMES, TURN_BYTES);
        drop(state);

        let (written, result) = write(&half, &room.frames, front_written, &mut room.bytes);

        let mut out = Outputs::new();
        let mut state = self.lock();
        let queue = state.session.queue();
        queue.wrote(written);
        let (done, front_written) = split_at(&room.frames, front_written + written);
        queue.give_back(room.frames.drain(done..), front_written);
        room.frames.clear();
        if let Wire::Tcp(slot) = &mut state.wire {
            *slot = Some(half);
        }
        match result {
            Ok(()) => state.session.written(&mut out),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                state.blocked = true;
                self.wake();
            }
            Err(_broken) => state.session.websocket_gone(false, now(), &mut out),
        }
        self.settle(&mut state, out);
    }
}

/// How many frames fit into the first `bytes`, and how many bytes are left for the next.
fn split_at(frames: &[Frame], mut bytes: usize) -> (usize, usize) {
    for (index, frame) in frames.iter().enumerate() {
        if bytes < frame.len() {
            return (index, bytes);
        }
        bytes -= frame.len();
    }
    (frames.len(), 0)
}

/// Writes frames, the first without its first `skip` bytes, until all are out or the kernel takes no more.
/// Returns how many bytes it took.
fn write(
    half: &OwnedWriteHalf,
    frames: &[Frame],
    skip: usize,
    copy: &mut Vec<u8>,
) -> (usize, io::Result<()>) {
    let total = frames.iter().map(Frame::len).sum::<usize>() - skip;
    let bytes: &[u8] = match frames {
        [only] => &only.as_websocket()[skip..],
        _ if total <= COPY_MAX => {
            copy.clear();
            for frame in frames {
                copy.extend_from_slice(frame.as_websocket());
            }
            &copy[skip..]
        }
        _ => return write_pieces(half, frames, skip, total),
    };
    let mut written = 0;
    while written < total {
        match half.try_write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn write_pieces(
    half: &OwnedWriteHalf,
    frames: &[Frame],
    skip: usize,
    total: usize,
) -> (usize, io::Result<()>) {
    let mut pieces: Vec<IoSlice<'_>> = frames
        .iter()
        .map(|frame| IoSlice::new(frame.as_websocket()))
        .collect();
    let mut pieces = &mut pieces[..];
    IoSlice::advance_slices(&mut pieces, skip);
    let mut written = 0;
    while written < total {
        match half.try_write_vectored(pieces) {
            Ok(count) => {
                written += count;
                IoSlice::advance_slices(&mut pieces, count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_ends_within_a_frame_goes_on_there() {
        let frames = [Frame::binary(&[0; 8]), Frame::binary(&[0; 18])];
        for (bytes, expected) in [(0, (0, 0)), (9, (0, 9)), (10, (1, 0)), (11, (1, 1)), (30, (2, 0))] {
            assert_eq!(split_at(&frames, bytes), expected, "{bytes}");
        }
    }
}
