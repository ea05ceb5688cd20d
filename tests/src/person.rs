//! Somebody with an account and a socket, in verbs.

use serde_json::{Value, json};

use crate::{Rest, Socket, TestServer};

/// Somebody who is logged in and connected.
#[derive(Debug)]
pub struct Person {
    /// Their username.
    pub name: String,
    /// The access token of their login.
    pub token: String,
    /// The refresh token of their login.
    pub refresh_token: String,
    /// The REST API as they see it.
    pub rest: Rest,
    /// Their socket.
    pub socket: Socket,
}

/// Good enough for every rule of passwords.
pub const PASSWORD: &str = "correct horse battery staple";

impl TestServer {
    /// Registers somebody and connects them.
    pub async fn person(&self, name: &str) -> Person {
        let account = json!({"username": name, "email": format!("{name}@example.com"), "password": PASSWORD});
        let login = self.rest().post("/api/auth/register", account).await.ok();
        let text = |key: &str| login[key].as_str().expect("a token").to_owned();
        let (token, refresh_token) = (text("accessToken"), text("refreshToken"));
        let rest = self.rest().with_token(&token);
        Person {
            name: name.to_owned(),
            socket: self.authenticated(&token).await,
            token,
            refresh_token,
            rest,
        }
    }

    /// A socket that has done `auth`.
    pub async fn authenticated(&self, token: &str) -> Socket {
        let mut socket = Socket::connect(self.url(), None)
            .await
            .expect("the server takes sockets");
        let answer = socket
            .ask("auth", json!({"token": token}))
            .await
            .expect("auth is answered");
        assert_eq!(answer["ok"], true, "{answer}");
        socket
    }
}

impl Person {
    /// Comes back, after the server did, with the same login and a new socket.
    pub async fn returns_to(&mut self, server: &TestServer) {
        self.rest = server.rest().with_token(&self.token);
        self.socket = server.authenticated(&self.token).await;
    }

    /// Joins a room; the ack.
    pub async fn joins(&mut self, room: &str) -> Value {
        self.does("join-room", json!({"roomName": room})).await
    }

    /// Leaves a room; the ack.
    pub async fn leaves(&mut self, room: &str) -> Value {
        self.does("leave-room", json!({"roomName": room})).await
    }

    /// Writes to a room; the message of the ack.
    pub async fn says(&mut self, room: &str, content: &str) -> Value {
        let answer = self
            .does("send-room-message", json!({"roomName": room, "content": content}))
            .await;
        answer["message"].clone()
    }

    /// Emits an event that must be acknowledged with success.
    pub async fn does(&mut self, event: &str, data: Value) -> Value {
        let answer = self.tries(event, data).await;
        assert_eq!(answer["ok"], true, "{}: {event}: {answer}", self.name);
        answer
    }

    /// Emits an event, whatever the ack.
    pub async fn tries(&mut self, event: &str, data: Value) -> Value {
        self.socket
            .ask(event, data)
            .await
            .expect("the event is acknowledged")
    }

    /// Emits an event that must be refused; the code.
    pub async fn is_refused(&mut self, event: &str, data: Value) -> String {
        let answer = self.tries(event, data).await;
        assert_eq!(answer["ok"], false, "{}: {event}: {answer}", self.name);
        answer["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for an event of this name.
    pub async fn hears(&mut self, event: &str) -> Value {
        self.socket.hear(event).await.expect("the connection lives")
    }
}
