//! Others: finding them, and not wanting to hear of them.

mod blocks;
mod search;

pub use blocks::{BlockList, BlockUser, BlockView, ListBlocks, UnblockUser, UserBlocked, UserUnblocked};
pub use search::{SearchUsers, UsersFound};
