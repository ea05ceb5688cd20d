//! The whole chat on connections without sockets, on one node or several, with a bus that can be made to fail.

mod comparison;
mod edges;
mod fence;
mod matrix;
mod picky;
mod presence;
mod resume;
mod setbacks;
mod subscriptions;
mod typing;
mod world;
