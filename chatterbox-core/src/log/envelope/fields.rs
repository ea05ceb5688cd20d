//! The parts of envelopes as bytes; `bytes.rs` draws them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Reach, Sign, UnknownEnvelope};
use crate::app::EndReason;
use crate::engine::frame::FrameKind;
use crate::engine::{Frame, Packet};
use crate::ids::UserId;
use crate::live::StopReason;
use crate::log::announce::Crossing;

pub(super) const SIGNS: [Sign; 3] = [Sign::New, Sign::Here, Sign::Gone];

pub(super) fn sign_number(sign: Sign) -> u8 {
    match sign {
        Sign::New => 1,
        Sign::Here => 2,
        Sign::Gone => 3,
    }
}

pub(super) fn take_sign(bytes: &mut Bytes) -> Result<Sign, UnknownEnvelope> {
    let number = bytes.try_get_u8().map_err(|_| UnknownEnvelope)?;
    let sign = SIGNS.into_iter().find(|sign| sign_number(*sign) == number);
    sign.ok_or(UnknownEnvelope)
}

pub(super) const STOPS: [StopReason; 4] = [
    StopReason::Stop,
    StopReason::Message,
    StopReason::Timeout,
    StopReason::Disconnect,
];

pub(super) fn stop_number(reason: StopReason) -> u8 {
    match reason {
        StopReason::Stop => 1,
        StopReason::Message => 2,
        StopReason::Timeout => 3,
        StopReason::Disconnect => 4,
    }
}

pub(super) fn take_stop(bytes: &mut Bytes) -> Result<Option<StopReason>, UnknownEnvelope> {
    let number = bytes.try_get_u8().map_err(|_| UnknownEnvelope)?;
    if number == 0 {
        return Ok(None);
    }
    let reason = STOPS.into_iter().find(|reason| stop_number(*reason) == number);
    reason.map(Some).ok_or(UnknownEnvelope)
}

pub(super) fn put_author(out: &mut BytesMut, author: Option<UserId>) {
    out.put_u8(u8::from(author.is_some()));
    if let Some(author) = author {
        out.put_slice(author.as_bytes());
    }
}

pub(super) fn take_author(bytes: &mut Bytes) -> Result<Option<UserId>, UnknownEnvelope> {
    Ok(match bytes.try_get_u8().map_err(|_| UnknownEnvelope)? {
        0 => None,
        1 => Some(UserId::from_bytes(take_id(bytes)?)),
        _ => return Err(UnknownEnvelope),
    })
}

pub(super) fn put_reach(out: &mut BytesMut, reach: Reach) {
    let (number, user) = match reach {
        Reach::Watchers => (0, None),
        Reach::But(user) => (1, Some(user)),
        Reach::Besides(user) => (2, Some(user)),
    };
    out.put_u8(number);
    if let Some(user) = user {
        out.put_slice(user.as_bytes());
    }
}

pub(super) fn take_reach(bytes: &mut Bytes) -> Result<Reach, UnknownEnvelope> {
    Ok(match bytes.try_get_u8().map_err(|_| UnknownEnvelope)? {
        0 => Reach::Watchers,
        1 => Reach::But(UserId::from_bytes(take_id(bytes)?)),
        2 => Reach::Besides(UserId::from_bytes(take_id(bytes)?)),
        _ => return Err(UnknownEnvelope),
    })
}

/// A name, of which at most 255 bytes travel.
pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u8::MAX))];
    out.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.put_slice(text.as_bytes());
}

pub(super) fn take_text(bytes: &mut Bytes) -> Result<String, UnknownEnvelope> {
    let length = usize::from(bytes.try_get_u8().map_err(|_| UnknownEnvelope)?);
    if bytes.remaining() < length {
        return Err(UnknownEnvelope);
    }
    let text = bytes.split_to(length);
    String::from_utf8(text.to_vec()).map_err(|_| UnknownEnvelope)
}

/// Ids, of which at most 65,535 travel.
pub(super) fn put_ids<T>(out: &mut BytesMut, ids: &[T], bytes: impl Fn(&T) -> &[u8; 12]) {
    let count = u16::try_from(ids.len()).unwrap_or(u16::MAX);
    out.put_u16(count);
    for id in &ids[..usize::from(count)] {
        out.put_slice(bytes(id));
    }
}

pub(super) fn take_ids<T>(bytes: &mut Bytes, id: impl Fn([u8; 12]) -> T) -> Result<Vec<T>, UnknownEnvelope> {
    let count = usize::from(bytes.try_get_u16().map_err(|_| UnknownEnvelope)?);
    if bytes.remaining() < count * 12 {
        return Err(UnknownEnvelope);
    }
    (0..count).map(|_| take_id(bytes).map(&id)).collect()
}

pub(super) const REASONS: [EndReason; 5] = [
    EndReason::LoggedOut,
    EndReason::Revoked,
    EndReason::Expired,
    EndReason::Suspended,
    EndReason::NotAuthenticated,
];

pub(super) fn reason_number(reason: EndReason) -> u8 {
    match reason {
        EndReason::LoggedOut => 1,
        EndReason::Revoked => 2,
        EndReason::Expired => 3,
        EndReason::Suspended => 4,
        EndReason::NotAuthenticated => 5,
    }
}

pub(super) fn put_crossing(out: &mut BytesMut, crossing: Option<Crossing>) {
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

pub(super) fn take_crossing(bytes: &mut Bytes) -> Result<Option<Crossing>, UnknownEnvelope> {
    Ok(match bytes.try_get_u8().map_err(|_| UnknownEnvelope)? {
        0 => None,
        1 => Some(Crossing::In(UserId::from_bytes(take_id(bytes)?))),
        2 => Some(Crossing::Out(UserId::from_bytes(take_id(bytes)?))),
        _ => return Err(UnknownEnvelope),
    })
}

pub(super) fn put_packet(out: &mut BytesMut, packet: &Packet) {
    out.put_u16(u16::try_from(packet.len()).unwrap_or(u16::MAX));
    for frame in packet {
        out.put_u8(u8::from(frame.kind() == FrameKind::Binary));
        out.put_u32(u32::try_from(frame.payload().len()).unwrap_or(u32::MAX));
        out.put_slice(frame.payload());
    }
}

pub(super) fn take_packet(bytes: &mut Bytes) -> Result<Packet, UnknownEnvelope> {
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

pub(super) fn take_id(bytes: &mut Bytes) -> Result<[u8; 12], UnknownEnvelope> {
    let mut id = [0; 12];
    bytes.try_copy_to_slice(&mut id).map_err(|_| UnknownEnvelope)?;
    Ok(id)
}
