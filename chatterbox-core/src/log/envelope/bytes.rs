//! Envelopes as bytes.
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

use super::fields::{
    REASONS, put_author, put_crossing, put_ids, put_packet, put_reach, put_text, reason_number, sign_number,
    stop_number, take_author, take_crossing, take_id, take_ids, take_packet, take_reach, take_sign,
    take_stop, take_text,
};
use super::{Envelope, UnknownEnvelope};
use crate::domain::conversation::RoomName;
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, NodeId, SessionId, UserId};
use crate::live::Typist;
use crate::log::announce::{Announced, Announcement};

/// Of the bytes; see the [module](self).
pub(super) const VERSION: u8 = 1;

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
