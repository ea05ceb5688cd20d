//! What nodes tell each other over the bus.
//!
//! ```text
//! version (1 byte) | kind (1) | body
//! entries:      conversation (12) | first seq (4) | entries
//! signal:       conversation (12) | reach (1: 0 watchers, 1 but, 2 with) | user (12, if reach) | packet
//! end sessions: reason (1) | session ids (12 each)
//! tell:         user (12) | packet
//! enter:        conversation (12) | seq (4) | user ids (12 each)
//! exit:         conversation (12) | user (12)
//! typing:       conversation (12) | user (12) | ended (1: 0 no, else why) | room (1 + n) | username (1 + n)
//! presence:     user (12) | partners | groups | except | packet;   each: number (2) | ids (12 each)
//! presence to:  user (12) | partner (1: 0 no, 1 yes) | groups: number (2) | ids (12 each) | packet
//! profile:      user (12)
//! fence:        node (12) | number (8) | conversation (12) | seq (4)
//! passed:       node (12) | number (8)
//! sign:         node (12) | sign (1: 1 new, 2 here, 3 gone)
//! missed:       nothing
//! entry:        crossing (1: 0 none, 1 in, 2 out) | user (12, if crossing)
//!               | author (1: 0 none, 1 one) | user (12, if one) | packet
//! packet:       number of frames (2) | frames;   frame: kind (1) | length (4) | payload
//! ```
//! Numbers are big endian. A version or kind that a node does not know is dropped; the log heals what it said.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::announce::{Announced, Announcement, Crossing};
use crate::app::EndReason;
use crate::domain::conversation::RoomName;
use crate::domain::entry::Seq;
use crate::engine::frame::FrameKind;
use crate::engine::{Frame, Packet};
use crate::ids::{ConversationId, NodeId, SessionId, UserId};
use crate::live::{StopReason, Typist};

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
        /// Which of them.
        reach: Reach,
        /// The event.
        packet: Packet,
    },
    /// Users became members: those of them who are connected hear the conversation from now on.
    Enter {
        /// Which.
        conversation: ConversationId,
        /// They hear what comes behind this entry.
        behind: Seq,
        /// Who.
        users: Vec<UserId>,
    },
    /// A user's membership has ended without an entry: of a room.
    Exit {
        /// Which.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Somebody types, or no longer, for this reason.
    Typing {
        /// Who, and where.
        typist: Typist,
        /// Why they have stopped, if they have.
        ended: Option<StopReason>,
    },
    /// Somebody came online or went offline.
    Presence {
        /// Who.
        user: UserId,
        /// Those who have a direct conversation with them.
        partners: Vec<UserId>,
        /// Their groups, whose onlookers hear it.
        groups: Vec<ConversationId>,
        /// Those who don't hear it.
        except: Vec<UserId>,
        /// The event.
        packet: Packet,
    },
    /// How somebody's presence looks to one other user has changed.
    PresenceTo {
        /// To whom.
        user: UserId,
        /// Whether they have a direct conversation with each other: all devices hear it.
        partner: bool,
        /// The groups whose onlookers hear it, as far as they are devices of this user.
        groups: Vec<ConversationId>,
        /// The event.
        packet: Packet,
    },
    /// What everyone may see of a user has changed.
    ProfileChanged {
        /// Whose.
        user: UserId,
    },
    /// A node asks to be told when the others have delivered up to an entry (S-068).
    Fence {
        /// Which node.
        node: NodeId,
        /// Its name for this.
        number: u64,
        /// Whose entry.
        conversation: ConversationId,
        /// Which.
        up_to: Seq,
    },
    /// A node has delivered what it was asked about.
    Passed {
        /// Which node.
        node: NodeId,
        /// The asker's name for it.
        number: u64,
    },
    /// A node with sockets is there, or no longer.
    Sign {
        /// Which.
        node: NodeId,
        /// What it says.
        sign: Sign,
    },
    /// The sender could not say everything: whoever watches something compares it with the log.
    Missed,
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

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It has just come, and knows of nobody yet.
    New,
    /// It is there.
    Here,
    /// It has no sockets any more.
    Gone,
}

/// Which connections an event reaches that is in no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All watchers.
    Watchers,
    /// All watchers but this user's.
    But(UserId),
    /// All watchers, and all devices of this user, each once.
    With(UserId),
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
                    put_author(&mut out, entry.author);
                    put_packet(&mut out, &entry.packet);
                }
            }
            Envelope::Signal {
                conversation,
                reach,
                packet,
            } => {
                out.put_u8(2);
                out.put_slice(conversation.as_bytes());
                put_reach(&mut out, *reach);
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
            Envelope::Enter {
                conversation,
                behind,
                users,
            } => {
                out.put_u8(5);
                out.put_slice(conversation.as_bytes());
                out.put_u32(behind.0);
                for user in users {
                    out.put_slice(user.as_bytes());
                }
            }
            Envelope::Exit { conversation, user } => {
                out.put_u8(6);
                out.put_slice(conversation.as_bytes());
                out.put_slice(user.as_bytes());
            }
            Envelope::Typing { typist, ended } => {
                out.put_u8(7);
                out.put_slice(typist.conversation.as_bytes());
                out.put_slice(typist.user.as_bytes());
                out.put_u8(ended.map_or(0, stop_number));
                put_text(&mut out, typist.room.as_ref().map_or("", RoomName::as_str));
                put_text(&mut out, &typist.username);
            }
            Envelope::Presence {
                user,
                partners,
                groups,
                except,
                packet,
            } => {
                out.put_u8(8);
                out.put_slice(user.as_bytes());
                put_ids(&mut out, partners, UserId::as_bytes);
                put_ids(&mut out, groups, ConversationId::as_bytes);
                put_ids(&mut out, except, UserId::as_bytes);
                put_packet(&mut out, packet);
            }
            Envelope::ProfileChanged { user } => {
                out.put_u8(9);
                out.put_slice(user.as_bytes());
            }
            Envelope::Fence {
                node,
                number,
                conversation,
                up_to,
            } => {
                out.put_u8(10);
                out.put_slice(node.as_bytes());
                out.put_u64(*number);
                out.put_slice(conversation.as_bytes());
                out.put_u32(up_to.0);
            }
            Envelope::Passed { node, number } => {
                out.put_u8(11);
                out.put_slice(node.as_bytes());
                out.put_u64(*number);
            }
            Envelope::Sign { node, sign } => {
                out.put_u8(12);
                out.put_slice(node.as_bytes());
                out.put_u8(sign_number(*sign));
            }
            Envelope::PresenceTo {
                user,
                partner,
                groups,
                packet,
            } => {
                out.put_u8(13);
                out.put_slice(user.as_bytes());
                out.put_u8(u8::from(*partner));
                put_ids(&mut out, groups, ConversationId::as_bytes);
                put_packet(&mut out, packet);
            }
            Envelope::Missed => out.put_u8(15),
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
                        author: take_author(&mut bytes)?,
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
                    reach: take_reach(&mut bytes)?,
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
            5 => {
                let conversation = ConversationId::from_bytes(take_id(&mut bytes)?);
                let behind = Seq(bytes.try_get_u32().map_err(|_| UnknownEnvelope)?);
                let mut users = Vec::with_capacity(bytes.len() / 12);
                while bytes.has_remaining() {
                    users.push(UserId::from_bytes(take_id(&mut bytes)?));
                }
                Ok(Envelope::Enter {
                    conversation,
                    behind,
                    users,
                })
            }
            6 => Ok(Envelope::Exit {
                conversation: ConversationId::from_bytes(take_id(&mut bytes)?),
                user: UserId::from_bytes(take_id(&mut bytes)?),
            }),
            7 => {
                let conversation = ConversationId::from_bytes(take_id(&mut bytes)?);
                let user = UserId::from_bytes(take_id(&mut bytes)?);
                let ended = take_stop(&mut bytes)?;
                let room = take_text(&mut bytes)?;
                let username = take_text(&mut bytes)?;
                let typist = Typist {
                    conversation,
                    room: if room.is_empty() {
                        None
                    } else {
                        Some(RoomName::look_up(&room).ok_or(UnknownEnvelope)?)
                    },
                    user,
                    username,
                };
                Ok(Envelope::Typing { typist, ended })
            }
            8 => Ok(Envelope::Presence {
                user: UserId::from_bytes(take_id(&mut bytes)?),
                partners: take_ids(&mut bytes, UserId::from_bytes)?,
                groups: take_ids(&mut bytes, ConversationId::from_bytes)?,
                except: take_ids(&mut bytes, UserId::from_bytes)?,
                packet: take_packet(&mut bytes)?,
            }),
            9 => Ok(Envelope::ProfileChanged {
                user: UserId::from_bytes(take_id(&mut bytes)?),
            }),
            10 => Ok(Envelope::Fence {
                node: NodeId::from_bytes(take_id(&mut bytes)?),
                number: bytes.try_get_u64().map_err(|_| UnknownEnvelope)?,
                conversation: ConversationId::from_bytes(take_id(&mut bytes)?),
                up_to: Seq(bytes.try_get_u32().map_err(|_| UnknownEnvelope)?),
            }),
            11 => Ok(Envelope::Passed {
                node: NodeId::from_bytes(take_id(&mut bytes)?),
                number: bytes.try_get_u64().map_err(|_| UnknownEnvelope)?,
            }),
            12 => Ok(Envelope::Sign {
                node: NodeId::from_bytes(take_id(&mut bytes)?),
                sign: take_sign(&mut bytes)?,
            }),
            13 => Ok(Envelope::PresenceTo {
                user: UserId::from_bytes(take_id(&mut bytes)?),
                partner: bytes.try_get_u8().map_err(|_| UnknownEnvelope)? == 1,
                groups: take_ids(&mut bytes, ConversationId::from_bytes)?,
                packet: take_packet(&mut bytes)?,
            }),
            15 => Ok(Envelope::Missed),
            _ => Err(UnknownEnvelope),
        }
    }
}

const SIGNS: [Sign; 3] = [Sign::New, Sign::Here, Sign::Gone];

fn sign_number(sign: Sign) -> u8 {
    match sign {
        Sign::New => 1,
        Sign::Here => 2,
        Sign::Gone => 3,
    }
}

fn take_sign(bytes: &mut Bytes) -> Result<Sign, UnknownEnvelope> {
    let number = bytes.try_get_u8().map_err(|_| UnknownEnvelope)?;
    let sign = SIGNS.into_iter().find(|sign| sign_number(*sign) == number);
    sign.ok_or(UnknownEnvelope)
}

const STOPS: [StopReason; 4] = [
    StopReason::Stop,
    StopReason::Message,
    StopReason::Timeout,
    StopReason::Disconnect,
];

fn stop_number(reason: StopReason) -> u8 {
    match reason {
        StopReason::Stop => 1,
        StopReason::Message => 2,
        StopReason::Timeout => 3,
        StopReason::Disconnect => 4,
    }
}

fn take_stop(bytes: &mut Bytes) -> Result<Option<StopReason>, UnknownEnvelope> {
    let number = bytes.try_get_u8().map_err(|_| UnknownEnvelope)?;
    if number == 0 {
        return Ok(None);
    }
    let reason = STOPS.into_iter().find(|reason| stop_number(*reason) == number);
    reason.map(Some).ok_or(UnknownEnvelope)
}

fn put_author(out: &mut BytesMut, author: Option<UserId>) {
    out.put_u8(u8::from(author.is_some()));
    if let Some(author) = author {
        out.put_slice(author.as_bytes());
    }
}

fn take_author(bytes: &mut Bytes) -> Result<Option<UserId>, UnknownEnvelope> {
    Ok(match bytes.try_get_u8().map_err(|_| UnknownEnvelope)? {
        0 => None,
        1 => Some(UserId::from_bytes(take_id(bytes)?)),
        _ => return Err(UnknownEnvelope),
    })
}

fn put_reach(out: &mut BytesMut, reach: Reach) {
    let (number, user) = match reach {
        Reach::Watchers => (0, None),
        Reach::But(user) => (1, Some(user)),
        Reach::With(user) => (2, Some(user)),
    };
    out.put_u8(number);
    if let Some(user) = user {
        out.put_slice(user.as_bytes());
    }
}

fn take_reach(bytes: &mut Bytes) -> Result<Reach, UnknownEnvelope> {
    Ok(match bytes.try_get_u8().map_err(|_| UnknownEnvelope)? {
        0 => Reach::Watchers,
        1 => Reach::But(UserId::from_bytes(take_id(bytes)?)),
        2 => Reach::With(UserId::from_bytes(take_id(bytes)?)),
        _ => return Err(UnknownEnvelope),
    })
}

/// A name, of which at most 255 bytes travel.
fn put_text(out: &mut BytesMut, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u8::MAX))];
    out.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.put_slice(text.as_bytes());
}

fn take_text(bytes: &mut Bytes) -> Result<String, UnknownEnvelope> {
    let length = usize::from(bytes.try_get_u8().map_err(|_| UnknownEnvelope)?);
    if bytes.remaining() < length {
        return Err(UnknownEnvelope);
    }
    let text = bytes.split_to(length);
    String::from_utf8(text.to_vec()).map_err(|_| UnknownEnvelope)
}

/// Ids, of which at most 65,535 travel.
fn put_ids<T>(out: &mut BytesMut, ids: &[T], bytes: impl Fn(&T) -> &[u8; 12]) {
    let count = u16::try_from(ids.len()).unwrap_or(u16::MAX);
    out.put_u16(count);
    for id in &ids[..usize::from(count)] {
        out.put_slice(bytes(id));
    }
}

fn take_ids<T>(bytes: &mut Bytes, id: impl Fn([u8; 12]) -> T) -> Result<Vec<T>, UnknownEnvelope> {
    let count = usize::from(bytes.try_get_u16().map_err(|_| UnknownEnvelope)?);
    if bytes.remaining() < count * 12 {
        return Err(UnknownEnvelope);
    }
    (0..count).map(|_| take_id(bytes).map(&id)).collect()
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
                        author: crossing.is_none().then_some(user),
                    })
                    .to_vec(),
            }),
            Envelope::Signal {
                conversation,
                reach: Reach::Watchers,
                packet: packet.clone(),
            },
            Envelope::Signal {
                conversation,
                reach: Reach::But(user),
                packet: packet.clone(),
            },
            Envelope::Signal {
                conversation,
                reach: Reach::With(user),
                packet: packet.clone(),
            },
            Envelope::Tell {
                user: UserId::from_bytes([3; 12]),
                packet: packet.clone(),
            },
            Envelope::Enter {
                conversation,
                behind: Seq(8),
                users: vec![user, user],
            },
            Envelope::Exit { conversation, user },
            Envelope::ProfileChanged { user },
            Envelope::Fence {
                node: NodeId::from_bytes([4; 12]),
                number: 1 << 40,
                conversation,
                up_to: Seq(7),
            },
            Envelope::Passed {
                node: NodeId::from_bytes([4; 12]),
                number: 3,
            },
            Envelope::Sign {
                node: NodeId::from_bytes([4; 12]),
                sign: Sign::Gone,
            },
            Envelope::Typing {
                typist: typist(None),
                ended: None,
            },
            Envelope::Typing {
                typist: typist(RoomName::look_up("tea")),
                ended: Some(StopReason::Disconnect),
            },
            Envelope::Presence {
                user,
                partners: vec![user],
                groups: vec![conversation, conversation],
                except: Vec::new(),
                packet: packet.clone(),
            },
            Envelope::PresenceTo {
                user,
                partner: true,
                groups: vec![conversation],
                packet,
            },
            Envelope::EndSessions {
                reason: EndReason::Suspended,
                sessions: vec![SessionId::from_bytes([1; 12]), SessionId::from_bytes([2; 12])],
            },
        ]
    }

    fn typist(room: Option<RoomName>) -> Typist {
        Typist {
            conversation: ConversationId::from_bytes([7; 12]),
            room,
            user: UserId::from_bytes([8; 12]),
            username: "änn".to_owned(),
        }
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
