//! A session over HTTP: one GET that waits for packets to send, one POST at a time that brings some (PROTOCOL.md
//! sections 5 and 6).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::upgrade::Probe;
use super::{Output, Outputs, RequestId, Session, Stage, Transport};
use crate::engine::eio::handshake::Refusal;
use crate::engine::eio::packet::{self, ClientPacket};
use crate::engine::eio::payload::{self, Payload};
use crate::engine::{CloseReason, Frame, Message};

/// How far a POST may overtake a GET that the client sent before it on another connection.
const OVERTAKEN: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Polling {
    /// The held GET.
    pub(super) get: Option<RequestId>,
    pub(super) probe: Option<Probe>,
    /// When the held GET is released by a noop.
    pub(super) noop_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Post {
    pub(super) id: RequestId,
    /// `None` while the body is coming in.
    pub(super) packets: Option<Payload>,
}

impl Session {
    /// A GET came in: it is answered at once, or held.
    pub fn get(&mut self, id: RequestId, now: Instant, out: &mut Outputs) {
        let Transport::Polling(polling) = &mut self.transport else {
            return out.push(Output::Refuse(id, Refusal::BadRequest));
        };
        match self.stage {
            Stage::Gone => out.push(Output::Refuse(id, Refusal::UnknownSid)),
            Stage::Closing { .. } => {
                polling.get = Some(id);
                self.flush(out);
            }
            Stage::Left { .. } => {
                out.push(Output::AnswerGet(id, payload::encode(&[packet::NOOP])));
                self.gone(out);
            }
            Stage::Open if polling.get.is_some() => {
                // Two at a time: the held one hears of the end, this one is wrong.
                self.queue.discard();
                self.close(CloseReason::TransportError, now, out);
                out.push(Output::Refuse(id, Refusal::BadRequest));
            }
            Stage::Open => {
                polling.get = Some(id);
                if self.queue.is_empty() {
                    self.release_while_probed(now, out);
                } else {
                    self.flush(out);
                }
            }
        }
    }

    /// The client dropped a GET before its answer.
    pub fn get_dropped(&mut self, id: RequestId, now: Instant, out: &mut Outputs) {
        if let Transport::Polling(polling) = &mut self.transport
            && polling.get == Some(id)
        {
            polling.get = None;
            self.close(CloseReason::TransportClose, now, out);
        }
    }

    /// A held GET carries away all that is queued, but for a close packet behind others: stock clients hand packets on
    /// a tick later and drop them when a close stands in the same body, so that goes with the next GET. The reference
    /// sends them apart too.
    pub fn flush(&mut self, out: &mut Outputs) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        if self.queue.is_empty() {
            return;
        }
        let Some(id) = polling.get.take() else { return };
        polling.noop_at = None;
        if let Some(probe) = &mut polling.probe {
            probe.released |= probe.answered;
        }
        let mut frames = Vec::new();
        self.queue.take(&mut frames, usize::MAX, usize::MAX);
        let ends = frames.last() == Some(&packet::CLOSE);
        let ends_alone = ends && frames.len() == 1;
        if ends && !ends_alone {
            self.queue.give_back(frames.pop().into_iter(), 0);
        }
        self.queue.wrote(frames.iter().map(Frame::len).sum());
        out.push(Output::AnswerGet(id, payload::encode(&frames)));
        if ends_alone {
            self.gone(out);
        }
    }

    /// The head of a POST came in. `octet_stream`: with the content type of revision 3 (CVE-2026-59725).
    pub fn post(&mut self, id: RequestId, octet_stream: bool, now: Instant, out: &mut Outputs) {
        if self.stage != Stage::Open {
            return out.push(Output::Refuse(id, Refusal::UnknownSid));
        }
        if matches!(self.transport, Transport::WebSocket) {
            return out.push(Output::Refuse(id, Refusal::BadRequest));
        }
        if octet_stream || self.post.is_some() {
            out.push(Output::Refuse(id, Refusal::BadRequest));
            let reason = if octet_stream {
                CloseReason::ParseError
            } else {
                CloseReason::TransportError
            };
            return self.close(reason, now, out);
        }
        self.post = Some(Box::new(Post { id, packets: None }));
        self.receive_by = Some(now + self.config.receive_timeout);
    }

    /// The body of a POST is complete. Its packets are taken out by [`next_message`](Session::next_message).
    pub fn post_body(&mut self, id: RequestId, body: Bytes) {
        if let Some(post) = self.post.as_mut().filter(|post| post.id == id) {
            post.packets = Some(Payload::new(body));
            self.receive_by = None;
        }
    }

    /// The body of a POST was over the limit and is not read further; the driver answers 413. The session survives.
    pub fn post_too_large(&mut self, id: RequestId) {
        if self.post.as_ref().is_some_and(|post| post.id == id) {
            self.post = None;
            self.receive_by = None;
        }
    }

    /// A POST ended within its body.
    pub fn post_cut_off(&mut self, id: RequestId, now: Instant, out: &mut Outputs) {
        if self.post.as_ref().is_some_and(|post| post.id == id) {
            self.post = None;
            self.close(CloseReason::TransportError, now, out);
        }
    }

    /// Whether [`next_message`](Session::next_message) has something to do.
    pub fn has_packets(&self) -> bool {
        self.post.as_ref().is_some_and(|post| post.packets.is_some())
    }

    /// The next message of the POST body at hand. The POST is answered when all were taken.
    pub fn next_message(&mut self, now: Instant, out: &mut Outputs) -> Option<Message> {
        loop {
            let post = self.post.as_mut()?;
            let id = post.id;
            let Some(packet) = post.packets.as_mut()?.next() else {
                out.push(Output::AnswerPost(id));
                self.post = None;
                return None;
            };
            if packet == Ok(ClientPacket::Close) {
                self.post = None;
                out.push(Output::AnswerPost(id));
            }
            if let Some(message) = self.client_packet(packet, now, out) {
                return Some(message);
            }
        }
    }

    /// The client said `1`. Its held GET ends with a noop (PROTOCOL.md section 6), also if the POST overtook it.
    pub(super) fn left(&mut self, now: Instant, out: &mut Outputs) {
        let mut overtaken = false;
        if let Transport::Polling(polling) = &mut self.transport {
            match polling.get.take() {
                Some(id) => out.push(Output::AnswerGet(id, payload::encode(&[packet::NOOP]))),
                None => overtaken = true,
            }
        }
        let mut ended = Outputs::new();
        self.close(CloseReason::TransportClose, now, &mut ended);
        if overtaken && self.stage == Stage::Gone {
            ended.retain(|output| *output != Output::Gone);
            self.stage = Stage::Left {
                give_up: now + OVERTAKEN,
            };
        }
        out.extend(ended);
    }
}
