//! The bound: what the kernel and the wire cost when the server does nothing else.
//!
//! A websocket server on bare epoll with the same two events as every other peer (`join room`, `say room content`).
//! It keeps no message, checks no rule, reads nothing of a message but the room's name, and relays the rest as it came.
//! Every saving a chat server could make is made here:
//!
//! ```text
//! epoll ──ready sockets──▶ read, cut frames ──▶ one frame per message, shared by the outboxes of the room
//!   ▲                                                                  │
//!   └──────────── one write per socket that has something ◀────────────┘   once per turn, after all reads
//! ```
//!
//! Shared with nothing in ChatterBox on purpose: it is the floor the real server is compared with.

mod connection;
mod rooms;
mod sio;
mod websocket;

use std::env;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::connection::Connection;
use crate::rooms::Rooms;
use crate::sio::Request;

const LISTENER: Token = Token(usize::MAX);
const PING_INTERVAL: Duration = Duration::from_secs(25);

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").map_err(|_| "PORT is not set")?.parse()?;
    Server::bind(port)?.run()?;
    Ok(())
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    /// A connection's place is its token; places of closed connections are used again.
    connections: Vec<Option<Connection>>,
    vacant: Vec<usize>,
    rooms: Rooms,
    /// Connections whose outbox got its first frame of this turn.
    dirty: Vec<usize>,
    /// Buffers of the turn, so that an idle connection holds none.
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Server {
    fn bind(port: u16) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Vec::new(),
            vacant: Vec::new(),
            rooms: Rooms::default(),
            dirty: Vec::new(),
            input: vec![0; 64 * 1024].into(),
            output: Vec::new(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(4096);
        let mut next_ping = Instant::now() + PING_INTERVAL;
        loop {
            let timeout = next_ping.saturating_duration_since(Instant::now());
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(place) => {
                        if event.is_writable() {
                            self.mark_dirty(place);
                        }
                        if event.is_readable() {
                            self.read(place);
                        }
                    }
                }
            }
            if Instant::now() >= next_ping {
                self.ping_all();
                next_ping += PING_INTERVAL;
            }
            self.flush();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let place = self.vacant.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(place), interest)?;
            self.connections[place] = Some(Connection::new(stream));
        }
    }

    fn read(&mut self, place: usize) {
        loop {
            // A connection that closed in this turn may have events left.
            let Some(connection) = &mut self.connections[place] else {
                return;
            };
            let Ok(requests) = connection.read(&mut self.input) else {
                return self.close(place);
            };
            let drained = requests.drained;
            for request in requests.list {
                self.answer(place, request);
            }
            if drained {
                return;
            }
        }
    }

    fn answer(&mut self, place: usize, request: Request) {
        match request {
            Request::Reply(frame) => self.send(place, frame),
            Request::Join { room, ack } => {
                self.rooms.join(room, place);
                self.send(place, ack);
            }
            Request::Say { room, frame, ack } => {
                for &member in self.rooms.members(&room) {
                    push(&mut self.connections, &mut self.dirty, member, Rc::clone(&frame));
                }
                if let Some(ack) = ack {
                    self.send(place, ack);
                }
            }
        }
    }

    fn send(&mut self, place: usize, frame: Rc<[u8]>) {
        push(&mut self.connections, &mut self.dirty, place, frame);
    }

    fn mark_dirty(&mut self, place: usize) {
        if self.connections[place]
            .as_ref()
            .is_some_and(Connection::has_backlog)
        {
            self.dirty.push(place);
        }
    }

    fn ping_all(&mut self) {
        let ping = websocket::text_frame(b"2");
        for place in 0..self.connections.len() {
            self.send(place, Rc::clone(&ping));
        }
    }

    fn flush(&mut self) {
        for place in std::mem::take(&mut self.dirty) {
            let Some(connection) = &mut self.connections[place] else {
                continue;
            };
            if connection.flush(&mut self.output).is_err() {
                self.close(place);
            }
        }
    }

    fn close(&mut self, place: usize) {
        self.connections[place] = None;
        self.rooms.leave_all(place);
        self.vacant.push(place);
    }
}

/// Apart from `Server`, so that a loop over the members of a room may call it.
fn push(connections: &mut [Option<Connection>], dirty: &mut Vec<usize>, place: usize, frame: Rc<[u8]>) {
    if let Some(connection) = &mut connections[place] {
        if connection.is_clean() {
            dirty.push(place);
        }
        connection.push(frame);
    }
}
