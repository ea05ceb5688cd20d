//! The chat session: Socket.IO events and typed calls, guest and member.

pub mod encode;
