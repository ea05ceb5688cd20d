//! What clients see: one shape for a thing, in REST answers, acks and events alike.

mod message;
mod names;
mod room;

pub use message::MessageView;
pub use names::{Names, PublicUser};
pub use room::{RoomView, room_name};
