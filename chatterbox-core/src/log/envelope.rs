//! What nodes tell each other over the bus.
//!
//! ```text
//! version (1 byte) | kind (1) | body
//! entries:      conversation (12) | first seq (4) | entries
//! signal:       conversation (12) | packet
//! end sessions: reason (1) | session ids (12 each)
//! tell:         user (12) | packet
//! entry:        crossing (1: 0 none, 1 in, 2 out) | user (12, if crossing) | packet
//! packet:       number of frames (2) | frames;   frame: kind (1) | length (4) | payload
//! ```
//! Numbers are big endian. A version or kind that a node does not know is dropped; the log heals what it said.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::announce::{Announced, Announcement, Crossing};
use crate::app::EndReason;
use crate::domain::entry::Seq;
use crate::engine::frame::FrameKind;
use crate::engine::{Frame, Packet};
use crate::ids::{ConversationId, SessionId, UserId};

const VERSION: u8 = 1;

/// A message from node to node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// Entries were appended.
    Entries(Announcement),
    /// An event that is not in a log, for the watchers of a conversation.
    Signal {
        /// Whose watchers.
        conversation: ConversationId,
        /// The event.
        packet: Packet,
    },
    /// An event for all devices of a user.
    Tell {
        /// Whose.
        user: UserId,
        /// The event.
        packet: Packet,
    },
    /// Sessions have ended.
    EndSessions {
        /// Why.
        reason: EndReason,
        /// Which.
        sessions: Vec<SessionId>,
    },
}

/// Bytes that are no envelope this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an envelope of another version, or none at all")]
pub struct UnknownEnvelope;

impl Envelope {
    /// As bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        match self {
            Envelope::Entries(announcement) => {
                out.put_u8(1);
                out.put_slice(announcement.conversation.as_bytes());
                out.put_u32(announcement.first.0);
                for entry in &announcement.entries {
                    put_crossing(&mut out, entry.crossing);
                    put_packet(&mut out, &entry.packet);
                }
            }
            Envelope::Signal { conversation, packet } => {
                out.put_u8(2);
                out.put_slice(conversation.as_bytes());
                put_packet(&mut out, packet);
            }
            Envelope::EndSessions { reason, sessions } => {
                out.put_u8(3);
                out.put_u8(reason_number(*reason));
                for session in sessions {
                    out.put_slice(session.as_bytes());
                }
            }
            Envelope::Tell { user, packet } => {
                out.put_u8(4);
                out.put_slice(user.as_bytes());
                put_packet(&mut out, packet);
            }
        }
        out.freeze()
    }

    /// From bytes, which may come from any version.
    pub fn decode(mut bytes: Bytes) -> Result<Envelope, UnknownEnvelope> {
        if bytes.try_get_u8().map_err(|_| UnknownEnvelope)? != VERSION {
            return Err(UnknownEnvelope);
        }
        match bytes.try_get_u8().map_err(|_| UnknownEnvelope)? {
            1 => {
                let conversation = ConversationId::from_bytes(take_id(&mut bytes)?);
                let first = Seq(bytes.try_get_u32().map_err(|_| UnknownEnvelope)?);
                let mut entries = Vec::new();
                while bytes.has_remaining() {
                    entries.push(Announced {
                        crossing: take_crossing(&mut bytes)?,
                        packet: take_packet(&mut bytes)?,
                    });
                }
                Ok(Envelope::Entries(Announcement {
                    conversation,
                    first,
                    entries,
                }))
            }
            2 => {
                let conversation = ConversationId::from_bytes(take_id(&mut bytes)?);
                Ok(Envelope::Signal {
                    conversation,
                    packet: take_packet(&mut bytes)?,
                })
            }
            3 => {
                let number = bytes.try_get_u8().map_err(|_| UnknownEnvelope)?;
                let reason = REASONS
                    .into_iter()
                    .find(|reason| reason_number(*reason) == number);
                let mut sessions = Vec::with_capacity(bytes.len() / 12);
                while bytes.has_remaining() {
                    sessions.push(SessionId::from_bytes(take_id(&mut bytes)?));
                }
                Ok(Envelope::EndSessions {
                    reason: reason.ok_or(UnknownEnvelope)?,
                    sessions,
                })
            }
            4 => {
                let user = UserId::from_bytes(take_id(&mut bytes)?);
                Ok(Envelope::Tell {
                    user,
                    packet: take_packet(&mut bytes)?,
                })
            }
            _ => Err(UnknownEnvelope),
        }
    }
}

const REASONS: [EndReason; 5] = [
    EndReason::LoggedOut,
    EndReason::Revoked,
    EndReason::Expired,
    EndReason::Suspended,
    EndReason::NotAuthenticated,
];

fn reason_number(reason: EndReason) -> u8 {
    match reason {
        EndReason::LoggedOut => 1,
        EndReason::Revoked => 2,
        EndReason::Expired => 3,
        EndReason::Suspended => 4,
        EndReason::NotAuthenticated => 5,
    }
}

fn put_crossing(out: &mut BytesMut, crossing: Option<Crossing>) {
    match crossing {
        None => out.put_u8(0),
        Some(Crossing::In(user)) => {
            out.put_u8(1);
            out.put_slice(user.as_bytes());
        }
        Some(Crossing::Out(user)) => {
            out.put_u8(2);
            out.put_slice(user.as_bytes());
        }
    }
}

fn take_crossing(bytes: &mut Bytes) -> Result<Option<Crossing>, UnknownEnvelope> {
    Ok(match bytes.try_get_u8().map_err(|_| UnknownEnvelope)? {
        0 => None,
        1 => Some(Crossing::In(UserId::from_bytes(take_id(bytes)?))),
        2 => Some(Crossing::Out(UserId::from_bytes(take_id(bytes)?))),
        _ => return Err(UnknownEnvelope),
    })
}

fn put_packet(out: &mut BytesMut, packet: &Packet) {
    out.put_u16(u16::try_from(packet.len()).unwrap_or(u16::MAX));
    for frame in packet {
        out.put_u8(u8::from(frame.kind() == FrameKind::Binary));
        out.put_u32(u32::try_from(frame.payload().len()).unwrap_or(u32::MAX));
        out.put_slice(frame.payload());
    }
}

fn take_packet(bytes: &mut Bytes) -> Result<Packet, UnknownEnvelope> {
    let frames = bytes.try_get_u16().map_err(|_| UnknownEnvelope)?;
    let mut packet = Packet::new();
    for _ in 0..frames {
        let is_binary = bytes.try_get_u8().map_err(|_| UnknownEnvelope)? == 1;
        let length = bytes.try_get_u32().map_err(|_| UnknownEnvelope)? as usize;
        if bytes.remaining() < length {
            return Err(UnknownEnvelope);
        }
        let payload = bytes.split_to(length);
        packet.push(if is_binary {
            Frame::binary(&payload)
        } else {
            Frame::text(&[std::str::from_utf8(&payload).map_err(|_| UnknownEnvelope)?])
        });
    }
    Ok(packet)
}

fn take_id(bytes: &mut Bytes) -> Result<[u8; 12], UnknownEnvelope> {
    let mut id = [0; 12];
    bytes.try_copy_to_slice(&mut id).map_err(|_| UnknownEnvelope)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples() -> Vec<Envelope> {
        let conversation = ConversationId::from_bytes([7; 12]);
        let user = UserId::from_bytes([8; 12]);
        let packet: Packet = [Frame::text(&["42[\"é\"]"]), Frame::binary(&[1, 2])]
            .into_iter()
            .collect();
        vec![
            Envelope::Entries(Announcement {
                conversation,
                first: Seq(9),
                entries: [None, Some(Crossing::In(user)), Some(Crossing::Out(user))]
                    .map(|crossing| Announced {
                        packet: packet.clone(),
                        crossing,
                    })
                    .to_vec(),
            }),
            Envelope::Signal {
                conversation,
                packet: packet.clone(),
            },
            Envelope::Tell {
                user: UserId::from_bytes([3; 12]),
                packet,
            },
            Envelope::EndSessions {
                reason: EndReason::Suspended,
                sessions: vec![SessionId::from_bytes([1; 12]), SessionId::from_bytes([2; 12])],
            },
        ]
    }

    #[test]
    fn decoding_undoes_encoding() {
        for envelope in samples() {
            assert_eq!(Envelope::decode(envelope.encode()), Ok(envelope));
        }
    }

    #[test]
    fn other_versions_and_cut_off_envelopes_are_unknown() {
        for envelope in samples() {
            let bytes = envelope.encode();
            let mut newer = bytes.to_vec();
            newer[0] = VERSION + 1;
            assert_eq!(Envelope::decode(newer.into()), Err(UnknownEnvelope));
            assert_eq!(
                Envelope::decode(bytes.slice(..bytes.len() - 1)),
                Err(UnknownEnvelope)
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::decode(bytes.into());
        }
    }
}
