//! Pings, and how long a client may stay silent (PROTOCOL.md section 6).
//!
//! ```text
//!          ping_interval                  ping_timeout
//! Resting ───────────────▶ send `2`, Waiting ──────────────▶ dead
//!    ▲                        │  │ any other packet, once per ping: the time-out starts anew
//!    └──────── pong ──────────┘  └▶ (a long upload over a thin line is a sign of life too)
//! ```

use std::time::{Duration, Instant};

use super::Config;

/// How late a deadline may be noticed and still count as noticed in time.
const LATE: Duration = Duration::from_millis(30);

/// Where one session's heartbeat stands.
#[derive(Debug)]
pub(super) struct Heartbeat {
    pub(super) deadline: Instant,
    state: State,
    /// Control frames and unasked pongs since the last ping.
    control_frames: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Resting,
    Waiting { extended: bool },
}

/// What a passed deadline asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Ping,
    Dead,
}

/// More control frames than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flood;

impl Heartbeat {
    pub(super) fn new(config: &Config, now: Instant) -> Heartbeat {
        Heartbeat {
            deadline: now + config.ping_interval,
            state: State::Resting,
            control_frames: 0,
        }
    }

    /// Brings the first ping forward. Never later: clients count on the interval (PROTOCOL.md section 6).
    pub(super) fn stagger(&mut self, config: &Config, random: u16) {
        let spread = config.ping_spread.min(config.ping_interval / 4);
        self.deadline -= spread * u32::from(random) / (u32::from(u16::MAX) + 1);
    }

    /// To be called at the deadline.
    pub(super) fn expire(&mut self, config: &Config, now: Instant) -> Beat {
        match self.state {
            State::Resting => {
                self.state = State::Waiting { extended: false };
                // From when the ping was due: a coarse timer doesn't make the time-out longer. But a process that was
                // held up doesn't take it out on its clients.
                let due = self.deadline;
                let began = if now.saturating_duration_since(due) < LATE {
                    due
                } else {
                    now
                };
                self.deadline = began + config.ping_timeout;
                self.control_frames = 0;
                Beat::Ping
            }
            State::Waiting { .. } => Beat::Dead,
        }
    }

    pub(super) fn pong(&mut self, config: &Config, now: Instant) -> Result<(), Flood> {
        match self.state {
            State::Waiting { .. } => {
                self.state = State::Resting;
                self.deadline = now + config.ping_interval;
                Ok(())
            }
            State::Resting => self.control_frame(config),
        }
    }

    pub(super) fn other_packet(&mut self, config: &Config, now: Instant) {
        if self.state == (State::Waiting { extended: false }) {
            self.state = State::Waiting { extended: true };
            self.deadline = now + config.ping_timeout;
        }
    }

    pub(super) fn control_frame(&mut self, config: &Config) -> Result<(), Flood> {
        self.control_frames = self.control_frames.saturating_add(1);
        if self.control_frames > config.control_frames_max {
            Err(Flood)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_pings_are_spread_over_the_end_of_the_interval_and_never_late() {
        let now = Instant::now();
        for (interval_ms, spread_ms, random, expected_ms) in [
            (25_000, 5_000, 0, 25_000),
            (25_000, 5_000, 0x8000, 22_500),
            (25_000, 4_096, u16::MAX, 20_904),
            (25_000, 0, u16::MAX, 25_000),
            // Short intervals stay what they are, nearly.
            (300, 5_000, 0x8000, 263),
        ] {
            let config = Config {
                ping_interval: Duration::from_millis(interval_ms),
                ping_spread: Duration::from_millis(spread_ms),
                ..Config::default()
            };
            let mut heartbeat = Heartbeat::new(&config, now);
            heartbeat.stagger(&config, random);
            let first = heartbeat.deadline - now;
            let rounded = (first + Duration::from_micros(500)).as_millis();
            assert_eq!(rounded, expected_ms, "{first:?}");
        }
    }
}
