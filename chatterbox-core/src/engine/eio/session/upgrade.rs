//! From polling to a websocket that has shown that it works (PROTOCOL.md section 7).

use std::time::Instant;

use super::{Output, Outputs, RequestId, Session, Stage, Transport};
use crate::engine::CloseReason;
use crate::engine::eio::heartbeat::Flood;
use crate::engine::eio::packet::{self, ClientPacket};
use crate::engine::eio::payload;
use crate::engine::websocket::{self, Event, Fault};

#[derive(Debug)]
pub(super) struct Probe {
    pub(super) id: RequestId,
    pub(super) by: Instant,
    /// `2probe` came; no GET is held for long from now on.
    pub(super) answered: bool,
    /// A GET has been released since.
    pub(super) released: bool,
}

impl Session {
    /// A websocket with this session's sid was accepted. False: it can't take the session over and is to be closed;
    /// the session goes on as before.
    pub fn probe(&mut self, id: RequestId, now: Instant) -> bool {
        match &mut self.transport {
            Transport::Polling(polling)
                if self.stage == Stage::Open && self.config.upgrades && polling.probe.is_none() =>
            {
                let by = now + self.config.upgrade_timeout;
                polling.probe = Some(Probe {
                    id,
                    by,
                    answered: false,
                    released: false,
                });
                true
            }
            Transport::Polling(_) | Transport::WebSocket => false,
        }
    }

    /// Something came over a probing websocket. A ping is answered, a wrong packet ends the probe.
    pub fn probe_event(
        &mut self,
        id: RequestId,
        event: &Result<Event, Fault>,
        now: Instant,
        out: &mut Outputs,
    ) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        let Some(probe) = polling.probe.as_mut().filter(|probe| probe.id == id) else {
            return;
        };
        let packet = match event {
            Ok(Event::Text(bytes)) => ClientPacket::from_text(bytes).ok(),
            Ok(Event::Ping(content)) => {
                let pong = websocket::pong(content);
                return match self.heartbeat.control_frame(&self.config) {
                    Ok(()) => out.push(Output::AnswerProbe(id, pong)),
                    Err(Flood) => self.close(CloseReason::Abuse, now, out),
                };
            }
            Ok(Event::Pong) => return,
            Ok(Event::Binary(_) | Event::Close) | Err(_) => None,
        };
        match packet {
            Some(ClientPacket::Probe) if !probe.answered => {
                probe.answered = true;
                out.push(Output::AnswerProbe(id, packet::PROBED));
                self.release_while_probed(now, out);
            }
            // The reference takes a `5` without a probe as well.
            Some(ClientPacket::Upgrade) => self.upgrade(id, out),
            Some(
                ClientPacket::Probe | ClientPacket::Close | ClientPacket::Pong | ClientPacket::Message(_),
            )
            | None => {
                out.push(Output::EndProbe(id));
                self.end_probe();
            }
        }
    }

    /// A probing websocket is gone: the session stays on polling.
    pub fn probe_gone(&mut self, id: RequestId) {
        if let Transport::Polling(polling) = &self.transport
            && polling.probe.as_ref().is_some_and(|probe| probe.id == id)
        {
            self.end_probe();
        }
    }

    pub(super) fn end_probe(&mut self) {
        if let Transport::Polling(polling) = &mut self.transport {
            polling.probe = None;
            polling.noop_at = None;
        }
    }

    /// A client that saw `3probe` waits for its GET to end before it says `5`: released at once the first time, then
    /// after a pause each (PROTOCOL.md section 7).
    pub(super) fn release_while_probed(&mut self, now: Instant, out: &mut Outputs) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        let Some(probe) = polling.probe.as_mut().filter(|probe| probe.answered) else {
            return;
        };
        if polling.get.is_none() {
            return;
        }
        if probe.released {
            polling.noop_at = Some(now + self.config.noop_pause);
        } else {
            self.queue.push_control(packet::NOOP);
            self.flush(out);
        }
    }

    fn upgrade(&mut self, id: RequestId, out: &mut Outputs) {
        let Transport::Polling(polling) = &mut self.transport else {
            return;
        };
        if let Some(get) = polling.get.take() {
            out.push(Output::AnswerGet(get, payload::encode(&[packet::NOOP])));
        }
        self.transport = Transport::WebSocket;
        out.push(Output::Upgraded(id));
    }
}
