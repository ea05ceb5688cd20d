//! What the servers call things. All speak Socket.IO; the peers have two events, ChatterBox has its own.

use std::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `join room`, `say room content`, heard as `said room content`.
    Peer,
    /// `join-room`, `send-room-message`, heard as `room-message`; `auth` comes first.
    ChatterBox,
}

impl Dialect {
    pub(crate) fn join_event(self, room: &str) -> String {
        match self {
            Self::Peer => format!(r#"["join","{room}"]"#),
            Self::ChatterBox => format!(r#"["join-room",{{"roomName":"{room}"}}]"#),
        }
    }

    /// Appends the event that sends `content` to `room`. No two messages of a run may share `speaker` and `number`.
    pub(super) fn push_say_event(
        self,
        event: &mut String,
        room: &str,
        content: &str,
        (speaker, number): (usize, u64),
    ) {
        // Writing to a string does not fail.
        let _ = match self {
            Self::Peer => write!(event, r#"["say","{room}","{content}"]"#),
            Self::ChatterBox => write!(
                event,
                r#"["send-room-message",{{"roomName":"{room}","content":"{content}","clientMessageId":"{speaker}-{number}"}}]"#
            ),
        };
    }

    /// How the packet begins that brings a room's message to its members.
    pub(super) fn delivery_prefix(self) -> &'static [u8] {
        match self {
            Self::Peer => br#"42["said","#,
            Self::ChatterBox => br#"42["room-message","#,
        }
    }
}

pub(crate) fn auth_event(token: &str) -> String {
    format!(r#"["auth",{{"token":"{token}"}}]"#)
}
