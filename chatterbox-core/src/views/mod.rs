//! What clients see: one shape for a thing, in REST answers, acks and events alike.

mod conversation;
pub mod event;
mod message;
mod names;
mod people;
mod room;
mod settings;
mod system;

pub use conversation::{
    ConversationCreated, ConversationItem, ConversationView, CreatedView, Notifications, Participant,
    ParticipantView,
};
pub use message::{MessageView, ReactionView};
pub use names::{Names, PublicUser};
pub use people::People;
pub use room::{RoomView, room_name};
pub use settings::{SettingsChanges, SettingsView};
