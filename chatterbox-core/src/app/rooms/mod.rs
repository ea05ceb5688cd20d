//! Rooms: conversations with a unique name that everyone registered may join (S-001, S-074 to S-076, S-084, S-085).

mod directory;
mod manage;
mod membership;

pub use directory::{Directory, Shape};
pub use manage::{ArchiveRoom, CreateRoom, GetRoom, ListRooms, RoomArchived, RoomCreated, RoomList};
pub use membership::{JoinRoom, LeaveRoom, RoomJoined, RoomLeft};
