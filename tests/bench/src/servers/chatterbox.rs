//! Users and rooms of a ChatterBox server.

use std::net::SocketAddr;

use serde_json::json;

use super::rest;
use crate::error::{Error, Result};

/// Access tokens, one for each user.
pub(crate) struct Accounts(Vec<String>);

/// Registers `count` users, one after the other: each costs the server a password hash.
pub(crate) fn register(server: SocketAddr, count: usize) -> Result<Accounts> {
    let token_of = |number| {
        let user = json!({
            "username": format!("bench{number:04}"),
            "email": format!("bench{number:04}@example.com"),
            "password": "correct horse battery staple",
        });
        let path = "/api/auth/register";
        let answer = rest::create(server, path, None, &user)?;
        let token = answer["accessToken"].as_str().map(str::to_owned);
        token.ok_or_else(|| Error::Rest {
            request: format!("POST {path}"),
            status: 201,
            body: answer.to_string(),
        })
    };
    (0..count).map(token_of).collect::<Result<_>>().map(Accounts)
}

impl Accounts {
    /// The token of the user a connection belongs to. Moves on by one each time all had a turn, so that connections
    /// at equal distances, which share a room, belong to several users.
    pub(crate) fn token(&self, connection: usize) -> &str {
        let users = self.0.len();
        &self.0[(connection + connection / users) % users]
    }
}

/// Creates the rooms, with the users taking turns.
pub(crate) fn create_rooms(server: SocketAddr, accounts: &Accounts, rooms: &[String]) -> Result<()> {
    for (place, room) in rooms.iter().enumerate() {
        rest::create(
            server,
            "/api/rooms",
            Some(accounts.token(place)),
            &json!({ "name": room }),
        )?;
    }
    Ok(())
}
