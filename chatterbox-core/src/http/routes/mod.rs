//! The routes: each reads its input, makes one call, and writes the reply. Rules are the use cases' affair.

pub(super) mod auth;
pub(super) mod conversations;
pub(super) mod health;
pub(super) mod messages;
pub(super) mod presence;
pub(super) mod rooms;
pub(super) mod users;
