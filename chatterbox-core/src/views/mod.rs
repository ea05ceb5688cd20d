//! What clients see: one shape for a thing, in REST answers, acks and events alike.

pub mod event;
mod message;
mod names;
mod people;
mod room;
mod system;

pub use message::{MessageView, ReactionView};
pub use names::{Names, PublicUser};
pub use people::People;
pub use room::{RoomView, room_name};
