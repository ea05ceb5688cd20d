//! The frames a session has still to send: bounded in bytes and in frames, in order, sealed at its end.
//!
//! ```text
//!            push ──▶ [ frames ] ──take──▶ being written ──wrote──▶ gone
//!                         ▲                    │
//!                         └──── give_back ─────┘   what the kernel did not take
//! ```
//! Frames being written count as queued until they are gone, so the bound holds for what is really held in memory.

use std::collections::VecDeque;

use crate::engine::{Frame, Packet};

/// How much a [`SendQueue`] holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Bytes of websocket frames. A packet that is larger than this alone is taken by an empty queue.
    pub bytes_max: usize,
    /// Frames: each costs some 40 bytes of its own besides the shared content.
    pub frames_max: usize,
}

impl Default for QueueLimits {
    /// 1 MiB (DESIGN.md section 5) in at most 16,384 frames.
    fn default() -> QueueLimits {
        QueueLimits {
            bytes_max: 1 << 20,
            frames_max: 1 << 14,
        }
    }
}

/// The queue would grow over its bound: the reader is slower than what is sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct SendQueue {
    frames: VecDeque<Frame>,
    /// Bytes of all frames here and being written.
    bytes: usize,
    /// Bytes of the front frame that the kernel has taken already.
    front_written: usize,
    /// Nothing more may enter, a close frame was queued or everything was given up.
    sealed: bool,
}

impl SendQueue {
    /// Bytes held, those being written included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits to be taken (something may still be being written).
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether packets that may get lost still enter: above a quarter of a bound, in bytes or in frames, what is left
    /// is for those that may not.
    pub fn has_slack(&self, limits: QueueLimits) -> bool {
        self.bytes <= limits.bytes_max / 4 && self.frames.len() <= limits.frames_max / 4
    }

    /// Adds a packet behind all others, whole or not at all. A sealed queue swallows it.
    pub fn push(&mut self, packet: Packet, limits: QueueLimits) -> Result<(), QueueFull> {
        if self.sealed {
            return Ok(());
        }
        let size: usize = packet.iter().map(Frame::len).sum();
        let too_much =
            self.bytes + size > limits.bytes_max || self.frames.len() + packet.len() > limits.frames_max;
        if too_much && self.bytes > 0 {
            return Err(QueueFull);
        }
        self.bytes += size;
        self.frames.extend(packet);
        Ok(())
    }

    /// Adds a frame past every bound: for the few small control frames that must not be lost.
    pub fn push_control(&mut self, frame: Frame) {
        if !self.sealed {
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    /// Nothing more may enter.
    pub fn seal(&mut self) {
        self.sealed = true;
    }

    /// Throws away what waits, but not a frame whose first bytes are on the wire already.
    pub fn discard(&mut self) {
        let kept = usize::from(self.front_written > 0);
        self.bytes -= self
            .frames
            .drain(kept.min(self.frames.len())..)
            .map(|frame| frame.len())
            .sum::<usize>();
    }

    /// Moves frames into `to` for one write, in order: at most `frames_max`, and no further frame once `bytes_max`
    /// is reached. Returns how many bytes of the first one are on the wire already.
    pub fn take(&mut self, to: &mut Vec<Frame>, frames_max: usize, bytes_max: usize) -> usize {
        let mut bytes = 0;
        while to.len() < frames_max && bytes < bytes_max {
            let Some(frame) = self.frames.pop_front() else {
                break;
            };
            bytes += frame.len();
            to.push(frame);
        }
        // An idle session keeps no buffer: it goes at the first turn that hardly needs it, a ping at the latest.
        if self.frames.is_empty() && self.frames.capacity() > 4 && to.len() < self.frames.capacity() / 4 {
            self.frames = VecDeque::new();
        }
        std::mem::take(&mut self.front_written)
    }

    /// These bytes of taken frames are out of our hands.
    pub fn wrote(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// Puts frames that were taken but not written back to the front, in their order; `front_written` bytes of the
    /// first are on the wire.
    pub fn give_back(&mut self, frames: impl DoubleEndedIterator<Item = Frame>, front_written: usize) {
        for frame in frames.rev() {
            self.frames.push_front(frame);
        }
        self.front_written = front_written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    const SMALL: QueueLimits = QueueLimits {
        bytes_max: 100,
        frames_max: 8,
    };

    fn frame(payload_bytes: usize) -> Frame {
        Frame::binary(&vec![7; payload_bytes])
    }

    #[test]
    fn a_packet_enters_whole_or_not_at_all() {
        let mut queue = SendQueue::default();
        queue.push(smallvec![frame(38), frame(38)], SMALL).unwrap();
        assert_eq!(queue.push(smallvec![frame(8), frame(9)], SMALL), Err(QueueFull));
        assert_eq!(queue.bytes(), 80);
        queue.push(smallvec![frame(8), frame(8)], SMALL).unwrap();
        assert_eq!(queue.bytes(), 100);
    }

    #[test]
    fn an_empty_queue_takes_one_packet_of_any_size() {
        let mut queue = SendQueue::default();
        queue.push(smallvec![frame(500)], SMALL).unwrap();
        assert_eq!(queue.push(smallvec![frame(0)], SMALL), Err(QueueFull));
    }

    #[test]
    fn the_number_of_frames_is_bounded_too() {
        let mut queue = SendQueue::default();
        for _ in 0..8 {
            queue.push(smallvec![frame(0)], SMALL).unwrap();
        }
        assert_eq!(queue.push(smallvec![frame(0)], SMALL), Err(QueueFull));
    }

    #[test]
    fn what_was_not_written_goes_back_to_the_front_and_counts_all_the_time() {
        let mut queue = SendQueue::default();
        for size in [10, 20, 30] {
            queue.push(smallvec![frame(size)], SMALL).unwrap();
        }
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, 2, 1000), 0);
        assert_eq!((taken.len(), queue.bytes()), (2, 66));
        queue.wrote(12);
        queue.give_back(taken.drain(1..), 5);
        assert_eq!(queue.bytes(), 54);
        taken.clear();
        assert_eq!(queue.take(&mut taken, 64, 1000), 5);
        assert_eq!(taken.iter().map(Frame::len).collect::<Vec<_>>(), [22, 32]);
    }

    #[test]
    fn frames_given_back_keep_their_order() {
        let mut queue = SendQueue::default();
        for size in [1, 2, 3, 4] {
            queue.push(smallvec![frame(size)], SMALL).unwrap();
        }
        let mut taken = Vec::new();
        queue.take(&mut taken, 3, 1000);
        queue.give_back(taken.drain(..), 0);
        queue.take(&mut taken, 64, 1000);
        assert_eq!(
            taken
                .iter()
                .map(|frame| frame.payload().len())
                .collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn a_turn_ends_at_its_bounds() {
        let mut queue = SendQueue::default();
        for _ in 0..4 {
            queue.push(smallvec![frame(8)], SMALL).unwrap();
        }
        let mut taken = Vec::new();
        queue.take(&mut taken, 64, 15);
        assert_eq!(taken.len(), 2, "the frame that reaches the bound is the last");
    }

    #[test]
    fn discarding_spares_a_frame_that_is_half_on_the_wire() {
        let mut queue = SendQueue::default();
        for size in [10, 20] {
            queue.push(smallvec![frame(size)], SMALL).unwrap();
        }
        let mut taken = Vec::new();
        queue.take(&mut taken, 1, 1000);
        queue.give_back(taken.drain(..), 3);
        queue.discard();
        assert_eq!(queue.take(&mut taken, 64, 1000), 3);
        assert_eq!((taken.len(), queue.bytes()), (1, 12));
    }

    /// DESIGN.md section 5: hold no buffer while idle. Making one for every turn would cost a busy session as much.
    #[test]
    fn a_buffer_stays_while_turns_need_it_and_goes_with_the_next_ping() {
        let limits = QueueLimits::default();
        let (mut queue, mut taken) = (SendQueue::default(), Vec::new());
        for (frames, keeps) in [(12, true), (9, true), (1, false), (4, true), (1, true)] {
            for _ in 0..frames {
                queue.push(smallvec![frame(1)], limits).unwrap();
            }
            taken.clear();
            queue.take(&mut taken, 64, 1000);
            assert_eq!(queue.frames.capacity() > 0, keeps, "after {frames}");
        }
        assert!(queue.frames.capacity() <= 4);
    }

    #[test]
    fn nothing_enters_a_sealed_queue() {
        let mut queue = SendQueue::default();
        queue.seal();
        queue.push(smallvec![frame(1)], SMALL).unwrap();
        queue.push_control(frame(1));
        assert!(queue.is_empty());
    }
}
