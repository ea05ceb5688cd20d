//! Conversations through the API: direct ones, groups, who is in them as what.

mod list;
mod matrix;
mod members;
mod open;
mod others;
mod races;
mod settings;
mod town;
