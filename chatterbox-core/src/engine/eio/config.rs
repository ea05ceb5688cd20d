//! What an operator or embedder can set about Engine.IO sessions.

use std::time::Duration;

use super::QueueLimits;
use crate::engine::websocket::MessageLimits;

/// Timers and bounds of all sessions; the timers are those of PROTOCOL.md section 6.
#[derive(Debug, Clone)]
pub struct Config {
    /// From the handshake or a pong to the next ping. Default 25 s.
    pub ping_interval: Duration,
    /// Sessions that began together don't beat together: the first ping comes earlier by a random part of this, and of
    /// a quarter of the interval at most ([`Session::stagger`](super::Session::stagger)). Default 5 s.
    pub ping_spread: Duration,
    /// From a ping to the end of the session without a pong. Default 20 s.
    pub ping_timeout: Duration,
    /// How long a probing websocket may take until it carries the session. Default 10 s.
    pub upgrade_timeout: Duration,
    /// How long a session may live without a joined namespace ([`Link::joined`](crate::hub::Link::joined)); `None`:
    /// for ever, for applications without namespaces. Default `None`.
    pub connect_timeout: Option<Duration>,
    /// How long a closing session waits for a GET to carry the news, or a closing websocket for the client's own
    /// close. Default 30 s for polling; a websocket gets a tenth.
    pub close_timeout: Duration,
    /// How long one POST body or one websocket message may take to come in. Default 60 s.
    pub receive_timeout: Duration,
    /// Pause before a GET is released by a further noop while an upgrade goes on, so that a client can't spin.
    /// Default 50 ms.
    pub noop_pause: Duration,
    /// Bytes of one message or POST body, announced to clients as `maxPayload`. Default 1,000,000.
    pub payload_bytes_max: usize,
    /// Fragments of one websocket message. Default 1,024.
    pub fragments_max: u32,
    /// Websocket control frames and unasked pongs between two pings; more is [`CloseReason::Abuse`]. Default 250.
    ///
    /// [`CloseReason::Abuse`]: crate::engine::CloseReason::Abuse
    pub control_frames_max: u16,
    /// Bounds of the send queue. Default 1 MiB.
    pub queue: QueueLimits,
    /// Whether sessions may be born on polling. Default yes.
    pub polling: bool,
    /// Whether websockets are taken at all. Default yes.
    pub websocket: bool,
    /// Whether sessions may move from polling to websocket. Default yes.
    pub upgrades: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            ping_interval: Duration::from_secs(25),
            ping_spread: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            connect_timeout: None,
            close_timeout: Duration::from_secs(30),
            receive_timeout: Duration::from_mins(1),
            noop_pause: Duration::from_millis(50),
            payload_bytes_max: 1_000_000,
            fragments_max: 1024,
            control_frames_max: 250,
            queue: QueueLimits::default(),
            polling: true,
            websocket: true,
            upgrades: true,
        }
    }
}

impl Config {
    /// The bounds on one websocket message.
    pub fn message_limits(&self) -> MessageLimits {
        MessageLimits {
            bytes_max: self.payload_bytes_max,
            fragments_max: self.fragments_max,
        }
    }
}
