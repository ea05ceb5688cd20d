//! A session over its websocket.

use std::time::Instant;

use super::{Outputs, Session, Stage, Transport};
use crate::engine::eio::heartbeat::Flood;
use crate::engine::eio::packet::ClientPacket;
use crate::engine::websocket::{self, Event, Fault};
use crate::engine::{CloseReason, Message};

impl Session {
    /// Something came over the session's websocket.
    pub fn websocket_event(
        &mut self,
        event: Result<Event, Fault>,
        now: Instant,
        out: &mut Outputs,
    ) -> Option<Message> {
        if self.stage != Stage::Open {
            if event == Ok(Event::Close) {
                self.heard_close(out);
            }
            return None;
        }
        match event {
            Ok(Event::Text(bytes)) => return self.client_packet(ClientPacket::from_text(&bytes), now, out),
            Ok(Event::Binary(bytes)) => {
                let packet = ClientPacket::Message(Message::Binary(bytes));
                return self.client_packet(Ok(packet), now, out);
            }
            Ok(Event::Ping(_) | Event::Pong) => {
                if let Err(Flood) = self.heartbeat.control_frame(&self.config) {
                    self.close(CloseReason::Abuse, now, out);
                } else if let Ok(Event::Ping(content)) = event {
                    self.queue.push_control(websocket::pong(&content));
                }
            }
            Ok(Event::Close) => {
                self.close(CloseReason::TransportClose, now, out);
                self.heard_close(out);
            }
            Err(fault) => {
                let reason = match fault {
                    Fault::Protocol | Fault::Utf8 => CloseReason::ParseError,
                    Fault::TooLarge => CloseReason::TooLarge,
                };
                self.close_with(reason, fault.code(), now, out);
            }
        }
        None
    }

    fn heard_close(&mut self, out: &mut Outputs) {
        if let Stage::Closing { heard, .. } = &mut self.stage {
            *heard = true;
        }
        self.written(out);
    }

    /// To be called when taken frames were written: a session that both sides have closed ends with its queue.
    pub fn written(&mut self, out: &mut Outputs) {
        if self.queue.bytes() == 0 && matches!(self.stage, Stage::Closing { heard: true, .. }) {
            self.gone(out);
        }
    }

    /// Says whether a message has begun and is incomplete; it has to be complete in time.
    pub fn receiving(&mut self, within_message: bool, now: Instant) {
        if self.stage != Stage::Open || matches!(self.transport, Transport::Polling(_)) || self.post.is_some()
        {
            return;
        }
        if !within_message {
            self.receive_by = None;
        } else if self.receive_by.is_none() {
            self.receive_by = Some(now + self.config.receive_timeout);
        }
    }

    /// The session's websocket is gone; `clean`: it ended and did not fail.
    pub fn websocket_gone(&mut self, clean: bool, now: Instant, out: &mut Outputs) {
        let reason = if clean {
            CloseReason::TransportClose
        } else {
            CloseReason::TransportError
        };
        self.close(reason, now, out);
        self.gone(out);
    }
}
