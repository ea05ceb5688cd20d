//! One server, one scenario, once.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::load::{Generator, Pace, Speaking, Tally, auth_event, percentile_ms};
use crate::metric::{Figures, Metric};
use crate::scenario::{Activity, Drive, Scenario, Talk};
use crate::servers::{self, Accounts, CpuClock, Kind, Server};

/// Nobody has heard anything for so long: the server is broken, not slow.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// What came out, and what makes it doubtful.
pub(crate) struct Measurement {
    pub(crate) figures: Figures,
    pub(crate) doubts: Vec<Doubt>,
}

/// Why a measurement may not say what it seems to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    GeneratorWasFull,
    ServerWasNotFull,
    SentLate,
    DeliveriesMissing,
}

impl Doubt {
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::GeneratorWasFull => "the load generator was the bottleneck",
            Self::ServerWasNotFull => "the server was not saturated",
            Self::SentLate => "more than 1 % of the messages were sent over 1 ms late",
            Self::DeliveriesMissing => "not every message reached every member",
        }
    }
}

/// Users who share the connections, unless that makes too many connections a user.
const USERS: usize = 16;
const SOCKETS_PER_USER: usize = 50;
/// After connecting, until timers and allocators have come to rest.
const SETTLE: Duration = Duration::from_millis(1500);

pub(crate) fn measure(server: &Server, scenario: &Scenario) -> Result<Measurement> {
    match scenario.activity {
        Activity::Talk(talk) => measure_talk(server, talk),
        Activity::Idle { connections, rooms } => measure_idle(server, connections, rooms),
    }
}

/// Users and rooms, where a server wants them to exist before anybody connects.
struct Stage {
    accounts: Option<Accounts>,
    rooms: Vec<String>,
}

impl Stage {
    fn set(server: &Server, connections: usize, rooms: usize) -> Result<Self> {
        let rooms: Vec<String> = (0..rooms).map(|number| format!("bench-{number:03}")).collect();
        let accounts = if server.kind == Kind::Chatterbox {
            let users = connections
                .div_ceil(SOCKETS_PER_USER)
                .max(USERS.min(connections.div_ceil(4)));
            let accounts = servers::register(server.address, users)?;
            servers::create_rooms(server.address, &accounts, &rooms)?;
            Some(accounts)
        } else {
            None
        };
        Ok(Self { accounts, rooms })
    }

    fn login(&self, connection: usize) -> Vec<String> {
        self.accounts
            .iter()
            .map(|accounts| auth_event(accounts.token(connection)))
            .collect()
    }
}

fn measure_talk(server: &Server, talk: Talk) -> Result<Measurement> {
    let connections = talk.rooms * talk.members;
    let stage = Stage::set(server, connections, talk.rooms)?;
    let dialect = server.kind.dialect();
    let mut generator = Generator::new(server.address, dialect)?;

    // Connection n is in room n % rooms, so that speakers and observers spread over the rooms.
    let room_of = |connection: usize| stage.rooms[connection % talk.rooms].as_str();
    let script_of = |connection| {
        let mut script = stage.login(connection);
        script.push(dialect.join_event(room_of(connection)));
        script
    };
    generator.open((0..connections).map(script_of).collect())?;
    let speakers: Vec<usize> = (0..talk.rooms * talk.speakers).collect();
    for &place in &speakers {
        generator.give_voice(place, room_of(place).to_owned());
    }

    let mut pace = None;
    match talk.drive {
        Drive::Saturated { under_way } => generator.start_answering(&speakers, under_way)?,
        Drive::Paced { deliveries_per_s } => {
            #[expect(clippy::cast_precision_loss, reason = "rooms have few members")]
            let sends_per_s = deliveries_per_s / talk.members as f64;
            pace = Some(Pace::new(speakers, sends_per_s));
        }
    }
    let mut speaking = pace.as_mut().map_or(Speaking::InAnswer, Speaking::OnTime);
    generator.run(talk.warm_up, &mut speaking)?;
    let deadline = Instant::now() + SILENCE_MAX;
    while generator.tally().acks == 0 || generator.tally().deliveries == 0 {
        if Instant::now() > deadline {
            return Err(Error::Silence {
                seconds: SILENCE_MAX.as_secs(),
            });
        }
        generator.run(Duration::from_millis(50), &mut speaking)?;
    }
    generator.take_tally();

    let (cpu, started) = (CpuClock::start(server.pid())?, Instant::now());
    generator.run(talk.length, &mut speaking)?;
    let (cpu, wall) = (cpu.elapsed()?, started.elapsed());
    let (mut tally, waited) = generator.take_tally();

    if let Some(first) = tally.first_refusal {
        return Err(Error::MessagesRefused {
            count: tally.refusals,
            first,
        });
    }
    let figures = talk_figures(&mut tally, cpu, wall, waited);
    let doubts = talk_doubts(&figures, &tally, talk, pace.as_ref());
    Ok(Measurement { figures, doubts })
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn talk_figures(tally: &mut Tally, cpu: Duration, wall: Duration, waited: Duration) -> Figures {
    let mut figures = Figures::default();
    let cpu_us = cpu.as_secs_f64() * 1e6;
    let wall_s = wall.as_secs_f64();
    if tally.deliveries > 0 && tally.acks > 0 {
        figures.set(Metric::CpuPerDelivery, cpu_us / tally.deliveries as f64);
        figures.set(Metric::CpuPerSend, cpu_us / tally.acks as f64);
    }
    figures.set(Metric::Deliveries, tally.deliveries as f64 / wall_s);
    figures.set(Metric::Sends, tally.acks as f64 / wall_s);
    for (times, p50, p99) in [
        (&mut tally.delivery_us, Metric::DeliveryP50, Metric::DeliveryP99),
        (&mut tally.ack_us, Metric::AckP50, Metric::AckP99),
    ] {
        for (metric, percent) in [(p50, 50), (p99, 99)] {
            if let Some(ms) = percentile_ms(times, percent) {
                figures.set(metric, ms);
            }
        }
    }
    figures.set(Metric::ServerCore, 100.0 * cpu.as_secs_f64() / wall_s);
    figures.set(
        Metric::GeneratorBusy,
        100.0 * (1.0 - waited.as_secs_f64() / wall_s),
    );
    figures
}

/// What the figures themselves say against the measurement.
fn talk_doubts(figures: &Figures, tally: &Tally, talk: Talk, pace: Option<&Pace>) -> Vec<Doubt> {
    let percent = |metric| figures.get(metric).unwrap_or_default();
    let due = tally.acks * talk.members as u64;
    let (generator_full, server_idle, late) = match pace {
        Some(pace) => (false, false, pace.late * 100 > pace.turns),
        None => (
            percent(Metric::GeneratorBusy) > 90.0,
            percent(Metric::ServerCore) < 85.0,
            false,
        ),
    };
    let found = [
        (generator_full, Doubt::GeneratorWasFull),
        (server_idle, Doubt::ServerWasNotFull),
        (late, Doubt::SentLate),
        (
            tally.deliveries.abs_diff(due) > due / 20,
            Doubt::DeliveriesMissing,
        ),
    ];
    found
        .into_iter()
        .filter_map(|(found, doubt)| found.then_some(doubt))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "sizes of a process are far below 2^52")]
fn measure_idle(server: &Server, connections: usize, rooms: usize) -> Result<Measurement> {
    let stage = Stage::set(server, connections, rooms)?;
    let dialect = server.kind.dialect();
    let mut generator = Generator::new(server.address, dialect)?;

    // What the first connections cost (code to be loaded and compiled) is not what a connection costs.
    let warm_up = connections / 20;
    generator.open((0..warm_up).map(|place| stage.login(place)).collect())?;
    generator.run(SETTLE, &mut Speaking::InAnswer)?;
    let memory_before = servers::resident_bytes(server.pid())?;

    let cpu = CpuClock::start(server.pid())?;
    generator.open(
        (warm_up..warm_up + connections)
            .map(|place| stage.login(place))
            .collect(),
    )?;
    let cpu = cpu.elapsed()?;

    if stage.accounts.is_some() {
        let joins: Vec<String> = stage.rooms.iter().map(|room| dialect.join_event(room)).collect();
        generator.play(vec![joins; warm_up + connections])?;
    }
    generator.run(SETTLE, &mut Speaking::InAnswer)?;
    let memory = servers::resident_bytes(server.pid())?.saturating_sub(memory_before);

    let mut figures = Figures::default();
    figures.set(
        Metric::CpuPerConnect,
        cpu.as_secs_f64() * 1e6 / connections as f64,
    );
    figures.set(Metric::BytesPerConnection, memory as f64 / connections as f64);
    Ok(Measurement {
        figures,
        doubts: Vec::new(),
    })
}
