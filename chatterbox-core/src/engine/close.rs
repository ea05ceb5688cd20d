//! Why sessions end: one table of reasons, with the name users of Socket.IO know and the websocket close code.

/// Why an Engine.IO session or a Socket.IO socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The transport went away: FIN, close frame, dropped GET, Engine.IO close packet.
    TransportClose,
    /// The transport failed: TCP reset, broken websocket frame, cut-off POST.
    TransportError,
    /// No pong within the ping time-out.
    PingTimeout,
    /// A packet that the protocol does not allow.
    ParseError,
    /// A message, body or send queue over its limit.
    TooLarge,
    /// No namespace was joined within the connect time-out.
    ConnectTimeout,
    /// The application closed the connection.
    ForcedClose,
    /// The client left the namespace (`41`).
    ClientDisconnect,
    /// The server took the socket out of the namespace (`41` to the client).
    ServerDisconnect,
    /// The server is going away; clients come back by themselves.
    ShuttingDown,
    /// Not authenticated in time, expired or revoked: do not come back with this token.
    Unauthenticated,
    /// Banned or suspended.
    Forbidden,
    /// The reader was slower than its send queue could bear; it comes back and resumes.
    SlowReader,
    /// Sustained abuse of a limit.
    Abuse,
}

impl CloseReason {
    /// The name that users of Socket.IO know from the reference server.
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::TransportClose => "transport close",
            CloseReason::TransportError => "transport error",
            CloseReason::PingTimeout => "ping timeout",
            CloseReason::ParseError => "parse error",
            CloseReason::TooLarge => "too large",
            CloseReason::ConnectTimeout => "connect timeout",
            CloseReason::ForcedClose => "forced close",
            CloseReason::ClientDisconnect => "client namespace disconnect",
            CloseReason::ServerDisconnect => "server namespace disconnect",
            CloseReason::ShuttingDown => "server shutting down",
            CloseReason::Unauthenticated => "unauthenticated",
            CloseReason::Forbidden => "forbidden",
            CloseReason::SlowReader => "slow reader",
            CloseReason::Abuse => "abuse",
        }
    }

    /// The websocket close code sent for it (RFC 6455 section 7.4; 4000 and up are ours, SPEC.md section 1).
    pub fn websocket_code(self) -> u16 {
        match self {
            CloseReason::TransportClose
            | CloseReason::ConnectTimeout
            | CloseReason::ForcedClose
            | CloseReason::ClientDisconnect
            | CloseReason::ServerDisconnect
            | CloseReason::PingTimeout => 1000,
            CloseReason::TransportError | CloseReason::ParseError => 1002,
            CloseReason::TooLarge => 1009,
            CloseReason::ShuttingDown => 1012,
            CloseReason::Unauthenticated => 4401,
            CloseReason::Forbidden => 4403,
            CloseReason::SlowReader => 4408,
            CloseReason::Abuse => 4429,
        }
    }
}
