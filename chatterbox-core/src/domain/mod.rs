//! Pure rules: what a name, a message, a room, a role may be. Ids and plain time only; nothing here waits or fails for
//! any other reason than the rule itself.

pub mod change;
pub mod conversation;
pub mod current;
pub mod emoji;
pub mod entry;
pub mod limits;
pub mod message;
pub mod profile;
pub mod query;
pub mod rights;
mod room_name;
pub mod rule;
pub mod secret;
pub mod session;
pub mod standing;
pub mod text;
pub mod user;
pub mod user_search;
mod username;
pub mod words;
