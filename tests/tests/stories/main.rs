//! Stories over the real binaries, from outside: what a client, an operator and a power cut see.

mod configuration;
mod durability;
mod operator;
mod process;
mod rooms;
