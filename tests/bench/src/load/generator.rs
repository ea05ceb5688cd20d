//! The loop that drives all connections.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::connection::{Connection, Script, Shared};
use super::dialect::Dialect;
use super::tally::Tally;
use crate::error::{Error, Result, TryingTo as _};

/// Connections that may be on their way to ready at the same time.
const OPENING_MAX: usize = 64;
/// Connections for each source address: servers limit them, and ports are finite.
const PER_SOURCE: usize = 200;
/// Prime to the sizes of the rooms, so that every place in a room is observed in some room.
const OBSERVED_EVERY: usize = 7;
const PREPARING_MAX: Duration = Duration::from_mins(2);

pub(crate) struct Generator {
    server: SocketAddr,
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    connections: Vec<Connection>,
    shared: Shared,
    /// Time spent without anything to do, since the last `take_tally`.
    waited: Duration,
}

/// How the speakers of a run take turns.
pub(crate) enum Speaking<'a> {
    /// Each speaks again as soon as it was acknowledged.
    InAnswer,
    /// One after the other at fixed times, whatever the server does.
    OnTime(&'a mut Pace),
}

impl Generator {
    pub(crate) fn new(server: SocketAddr, dialect: Dialect) -> Result<Self> {
        Ok(Self {
            server,
            poll: Poll::new().trying_to(|| "open an epoll".to_owned())?,
            events: Events::with_capacity(1024),
            buffer: vec![0; 64 * 1024].into(),
            connections: Vec::new(),
            shared: Shared {
                dialect,
                epoch: Instant::now(),
                tally: Tally::default(),
                ready: 0,
                answer_acks: false,
                packet: String::new(),
            },
            waited: Duration::ZERO,
        })
    }

    /// Opens one connection for each script, and returns when all have played theirs.
    pub(crate) fn open(&mut self, scripts: Vec<Script>) -> Result<()> {
        self.prepare(scripts, |generator, _, script| generator.connect(script))
    }

    /// Has each connection play another script.
    pub(crate) fn play(&mut self, scripts: Vec<Script>) -> Result<()> {
        self.prepare(scripts, |generator, place, script| {
            let connection = &mut generator.connections[place];
            connection.play(script, &mut generator.shared);
            connection.flush()
        })
    }

    fn prepare(
        &mut self,
        scripts: Vec<Script>,
        start: impl Fn(&mut Self, usize, Script) -> Result<()>,
    ) -> Result<()> {
        let wanted = scripts.len();
        let deadline = Instant::now() + PREPARING_MAX;
        let mut scripts = scripts.into_iter().enumerate().peekable();
        self.shared.ready = 0;
        while self.shared.ready < wanted {
            while let Some((place, script)) =
                scripts.next_if(|&(place, _)| place < self.shared.ready + OPENING_MAX)
            {
                start(self, place, script)?;
            }
            if Instant::now() > deadline {
                let (done, seconds) = (self.shared.ready, PREPARING_MAX.as_secs());
                return Err(Error::NotAllReady {
                    done,
                    wanted,
                    seconds,
                });
            }
            self.turn(Duration::from_millis(100))?;
        }
        Ok(())
    }

    fn connect(&mut self, script: Script) -> Result<()> {
        let place = self.connections.len();
        let stream = connect_from(source_address(place), self.server)
            .trying_to(|| format!("open connection {place} to {}", self.server))?;
        let stream = mio::net::TcpStream::from_std(stream);
        let observed = place.is_multiple_of(OBSERVED_EVERY);
        let mut connection = Connection::upgrade(stream, self.server, script, observed);
        self.poll
            .registry()
            .register(
                connection.stream(),
                Token(place),
                Interest::READABLE | Interest::WRITABLE,
            )
            .trying_to(|| "watch a connection".to_owned())?;
        self.connections.push(connection);
        Ok(())
    }

    /// Lets the connection at `place` speak in `room`.
    pub(crate) fn give_voice(&mut self, place: usize, room: String) {
        self.connections[place].give_voice(place, room);
    }

    /// Has each speaker say `messages` at once; from then on acknowledgements keep as many under way.
    pub(crate) fn start_answering(&mut self, speakers: &[usize], messages: usize) -> Result<()> {
        self.shared.answer_acks = true;
        for &place in speakers {
            for _ in 0..messages {
                self.connections[place].speak(self.shared.now_ns(), &mut self.shared);
            }
            self.connections[place].flush()?;
        }
        Ok(())
    }

    pub(crate) fn run(&mut self, length: Duration, speaking: &mut Speaking<'_>) -> Result<()> {
        let end = Instant::now() + length;
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            match speaking {
                Speaking::InAnswer => self.turn((end - now).min(Duration::from_millis(100)))?,
                Speaking::OnTime(pace) => {
                    while let Some((place, due)) = pace.next_due(now) {
                        let due_ns = due.saturating_duration_since(self.shared.epoch).as_nanos();
                        let due_ns = u64::try_from(due_ns).expect("a run lasts less than 584 years");
                        self.connections[place].speak(due_ns, &mut self.shared);
                        self.connections[place].flush()?;
                    }
                    // Epoll sleeps whole milliseconds, which is too coarse here.
                    self.turn(Duration::ZERO)?;
                }
            }
        }
    }

    fn turn(&mut self, timeout: Duration) -> Result<()> {
        let started = Instant::now();
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.trying_to(|| "wait for the server".to_owned())?,
        }
        if !timeout.is_zero() || self.events.is_empty() {
            self.waited += started.elapsed();
        }
        for event in &self.events {
            self.connections[event.token().0].serve(&mut self.buffer, &mut self.shared)?;
        }
        Ok(())
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// What was counted since the last call, and how long the generator had nothing to do.
    pub(crate) fn take_tally(&mut self) -> (Tally, Duration) {
        (mem::take(&mut self.shared.tally), mem::take(&mut self.waited))
    }
}

/// Turns at equal distances, and how well they were kept.
pub(crate) struct Pace {
    speakers: Vec<usize>,
    distance: Duration,
    next_speaker: usize,
    next_due: Instant,
    pub(crate) turns: u64,
    /// Turns taken more than a millisecond after they were due.
    pub(crate) late: u64,
}

impl Pace {
    pub(crate) fn new(speakers: Vec<usize>, per_second: f64) -> Self {
        let distance = Duration::from_secs_f64(1.0 / per_second);
        Self {
            speakers,
            distance,
            next_speaker: 0,
            next_due: Instant::now() + distance,
            turns: 0,
            late: 0,
        }
    }

    fn next_due(&mut self, now: Instant) -> Option<(usize, Instant)> {
        let due = self.next_due;
        let lateness = now.checked_duration_since(due)?;
        self.next_due += self.distance;
        self.turns += 1;
        self.late += u64::from(lateness > Duration::from_millis(1));
        let place = self.speakers[self.next_speaker];
        self.next_speaker = (self.next_speaker + 1) % self.speakers.len();
        Some((place, due))
    }
}

fn source_address(place: usize) -> Ipv4Addr {
    let number = u32::try_from(place / PER_SOURCE).expect("connections are limited by open files");
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 1, 0).to_bits() + number)
}

fn connect_from(source: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    bind(&socket, &SocketAddrV4::new(source, 0))?;
    connect(&socket, &server)?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
