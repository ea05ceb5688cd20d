//! One client: its socket, what of its input is incomplete, and what it is still to get.

use std::io::{self, Read as _, Write as _};
use std::rc::Rc;

use mio::net::TcpStream;

use crate::sio::{self, Request};
use crate::websocket;

pub(crate) struct Connection {
    stream: TcpStream,
    upgraded: bool,
    /// The start of a frame (or of the HTTP head) whose rest has not come yet.
    incomplete: Vec<u8>,
    /// Frames of this turn, shared with the other members of their rooms.
    outbox: Vec<Rc<[u8]>>,
    /// What the socket did not take.
    backlog: Vec<u8>,
}

/// What one read brought.
pub(crate) struct Requests {
    pub(crate) list: Vec<Request>,
    /// The socket had no more; epoll tells when that changes.
    pub(crate) drained: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            upgraded: false,
            incomplete: Vec::new(),
            outbox: Vec::new(),
            backlog: Vec::new(),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Requests> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Requests {
                    list: Vec::new(),
                    drained: true,
                });
            }
            Err(error) => return Err(error),
        };
        let drained = count < buffer.len();
        let list = if self.incomplete.is_empty() {
            self.parse(&mut buffer[..count])?
        } else {
            let mut bytes = std::mem::take(&mut self.incomplete);
            bytes.extend_from_slice(&buffer[..count]);
            self.parse(&mut bytes)?
        };
        Ok(Requests { list, drained })
    }

    fn parse(&mut self, mut bytes: &mut [u8]) -> io::Result<Vec<Request>> {
        if !self.upgraded {
            return self.upgrade(bytes);
        }
        let mut list = Vec::new();
        while let Some(text) = websocket::unmask_first(bytes)? {
            list.extend(sio::parse(&bytes[text.clone()])?);
            bytes = &mut bytes[text.end..];
        }
        if !bytes.is_empty() {
            self.incomplete = bytes.to_vec();
        }
        Ok(list)
    }

    /// A client sends nothing behind its upgrade request before it has the answer.
    fn upgrade(&mut self, bytes: &[u8]) -> io::Result<Vec<Request>> {
        if !bytes.ends_with(b"\r\n\r\n") {
            self.incomplete = bytes.to_vec();
            return Ok(Vec::new());
        }
        let head = str::from_utf8(bytes).map_err(io::Error::other)?;
        let answer = websocket::accept_upgrade(head)?;
        self.upgraded = true;
        Ok(vec![
            Request::Reply(answer.into_bytes().into()),
            Request::Reply(sio::open_packet()),
        ])
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.outbox.is_empty()
    }

    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    pub(crate) fn push(&mut self, frame: Rc<[u8]>) {
        self.outbox.push(frame);
    }

    /// Writes the outbox at once, joined in `output`, and keeps what the socket does not take.
    pub(crate) fn flush(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        output.clear();
        output.append(&mut self.backlog);
        for frame in self.outbox.drain(..) {
            output.extend_from_slice(&frame);
        }
        let mut sent = 0;
        while sent < output.len() {
            match self.stream.write(&output[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.backlog.extend_from_slice(&output[sent..]);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
