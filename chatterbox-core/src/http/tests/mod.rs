//! The API through its real router, on memory twins. Names carry the rule they prove.

mod accounts;
mod contract;
mod conversations;
mod limits;
mod messages;
mod people;
mod profile;
mod refresh;
mod rooms;
mod world;
