//! One client: from the upgrade through its script to a member that listens, and perhaps speaks.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;
use std::{mem, vec};

use mio::net::TcpStream;

use super::dialect::Dialect;
use super::tally::Tally;
use super::{message, wire};
use crate::error::{Error, Result, TryingTo as _};

/// What all connections of a generator share.
pub(super) struct Shared {
    pub(super) dialect: Dialect,
    pub(super) epoch: Instant,
    pub(super) tally: Tally,
    /// Connections that have come to the end of their scripts.
    pub(super) ready: usize,
    /// Whether an acknowledgement makes a speaker speak again.
    pub(super) answer_acks: bool,
    /// For building packets.
    pub(super) packet: String,
}

impl Shared {
    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).expect("a run lasts less than 584 years")
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    stage: Stage,
    /// The start of a frame whose rest has not come yet.
    incomplete: Vec<u8>,
    unsent: Vec<u8>,
    next_ack: u64,
    voice: Option<Voice>,
    /// Whether it takes the time of what arrives.
    observed: bool,
}

enum Stage {
    Upgrading {
        script: Script,
    },
    /// Waits for the answer to its CONNECT.
    Connecting {
        script: Script,
    },
    /// Waits for the acknowledgement of `current`.
    Playing {
        current: String,
        rest: vec::IntoIter<String>,
    },
    Ready,
}

/// Events to be sent one after the other, each when the one before was acknowledged.
pub(crate) type Script = Vec<String>;

struct Voice {
    number: usize,
    room: String,
    /// When the messages were sent whose acknowledgements are to come.
    waiting: VecDeque<u64>,
}

impl Connection {
    /// `stream` is connected and does not block.
    pub(super) fn upgrade(stream: TcpStream, server: SocketAddr, script: Script, observed: bool) -> Self {
        Self {
            stream,
            stage: Stage::Upgrading { script },
            incomplete: Vec::new(),
            unsent: wire::upgrade_request(server).into_bytes(),
            next_ack: 0,
            voice: None,
            observed,
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Lets it speak in `room`; `number` is its own.
    pub(super) fn give_voice(&mut self, number: usize, room: String) {
        self.voice = Some(Voice {
            number,
            room,
            waiting: VecDeque::new(),
        });
    }

    /// Reads all there is, reacts to it, and writes once.
    pub(super) fn serve(&mut self, buffer: &mut [u8], shared: &mut Shared) -> Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(Error::Closed("end of stream".to_owned())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).trying_to(|| "read from the server".to_owned()),
            };
            if self.incomplete.is_empty() {
                self.consume(&buffer[..count], shared)?;
            } else {
                let mut bytes = mem::take(&mut self.incomplete);
                bytes.extend_from_slice(&buffer[..count]);
                self.consume(&bytes, shared)?;
            }
            // A read that leaves room has emptied the socket.
            if count < buffer.len() {
                break;
            }
        }
        self.flush()
    }

    fn consume(&mut self, mut bytes: &[u8], shared: &mut Shared) -> Result<()> {
        if let Stage::Upgrading { script } = &mut self.stage
            && let Some(head) = wire::upgrade_answer(bytes)?
        {
            bytes = &bytes[head..];
            self.stage = Stage::Connecting {
                script: mem::take(script),
            };
        }
        if !matches!(self.stage, Stage::Upgrading { .. }) {
            while let Some(packet) = wire::take_text(&mut bytes)? {
                self.react(packet, shared)?;
            }
        }
        self.incomplete.extend_from_slice(bytes);
        Ok(())
    }

    fn react(&mut self, packet: &[u8], shared: &mut Shared) -> Result<()> {
        match packet {
            [b'4', b'2', ..] => {
                if packet.starts_with(shared.dialect.delivery_prefix()) {
                    self.delivered(packet, shared);
                }
            }
            [b'4', b'3', answer @ ..] => self.acknowledged(answer, shared)?,
            [b'2', ..] => wire::push_text(&mut self.unsent, "3"),
            [b'0', ..] => wire::push_text(&mut self.unsent, "40"),
            [b'4', b'0', ..] => {
                if let Stage::Connecting { script } = &mut self.stage {
                    let script = mem::take(script);
                    self.play(script, shared);
                }
            }
            other => {
                return Err(Error::Closed(format!(
                    "it sent {}",
                    String::from_utf8_lossy(other)
                )));
            }
        }
        Ok(())
    }

    /// Starts a script; the connection is ready when its last event was acknowledged.
    pub(super) fn play(&mut self, script: Script, shared: &mut Shared) {
        self.play_next(script.into_iter(), shared);
    }

    fn play_next(&mut self, mut rest: vec::IntoIter<String>, shared: &mut Shared) {
        if let Some(current) = rest.next() {
            shared.packet.clear();
            // Writing to a string does not fail.
            let _ = write!(shared.packet, "42{}{current}", self.take_ack());
            wire::push_text(&mut self.unsent, &shared.packet);
            self.stage = Stage::Playing { current, rest };
        } else {
            self.stage = Stage::Ready;
            shared.ready += 1;
        }
    }

    fn delivered(&mut self, packet: &[u8], shared: &mut Shared) {
        shared.tally.deliveries += 1;
        if self.observed
            && let Some(sent_ns) = message::sent_at(packet)
        {
            let time_us = micros_since(sent_ns, shared.now_ns());
            shared.tally.delivery_us.push(time_us);
        }
    }

    fn acknowledged(&mut self, answer: &[u8], shared: &mut Shared) -> Result<()> {
        let id_digits = answer.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let ok = answer[id_digits..].starts_with(br#"[{"ok":true"#);
        match mem::replace(&mut self.stage, Stage::Ready) {
            Stage::Playing { current, .. } if !ok => {
                let answer = String::from_utf8_lossy(answer).into_owned();
                Err(Error::Refused {
                    event: current,
                    answer,
                })
            }
            Stage::Playing { rest, .. } => {
                self.play_next(rest, shared);
                Ok(())
            }
            Stage::Ready => {
                self.message_acknowledged(ok, answer, shared);
                Ok(())
            }
            Stage::Upgrading { .. } | Stage::Connecting { .. } => Err(Error::Closed(
                "it acknowledged an event before the connection stood".to_owned(),
            )),
        }
    }

    fn message_acknowledged(&mut self, ok: bool, answer: &[u8], shared: &mut Shared) {
        if !ok {
            shared.tally.refused(answer);
        }
        let now_ns = shared.now_ns();
        if let Some(sent_ns) = self.voice.as_mut().and_then(|voice| voice.waiting.pop_front()) {
            shared.tally.acks += 1;
            shared.tally.ack_us.push(micros_since(sent_ns, now_ns));
        }
        if shared.answer_acks {
            self.speak(now_ns, shared);
        }
    }

    /// Says something in its room, stamped with `at_ns`; `flush` sends it.
    pub(super) fn speak(&mut self, at_ns: u64, shared: &mut Shared) {
        let number = self.take_ack();
        let Some(voice) = &mut self.voice else { return };
        voice.waiting.push_back(at_ns);
        let content = message::content(at_ns);
        let text = str::from_utf8(&content).expect("the text is ASCII");
        shared.packet.clear();
        let _ = write!(shared.packet, "42{number}");
        shared
            .dialect
            .push_say_event(&mut shared.packet, &voice.room, text, (voice.number, number));
        wire::push_text(&mut self.unsent, &shared.packet);
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).trying_to(|| "write to the server".to_owned()),
            }
        }
        Ok(())
    }

    fn take_ack(&mut self) -> u64 {
        self.next_ack += 1;
        self.next_ack - 1
    }
}

/// Paced messages carry the time they were due, which may lie a little ahead of `now_ns`.
fn micros_since(sent_ns: u64, now_ns: u64) -> u32 {
    u32::try_from(now_ns.saturating_sub(sent_ns) / 1000).unwrap_or(u32::MAX)
}
