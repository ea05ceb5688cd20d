//! A minimal socketioxide server, with the same two events as every other peer:
//!
//! ```text
//! join room           -> the socket joins the room
//! say room, content   -> everybody in the room hears `said room, content`
//! ```
//!
//! `PORT` says where to listen. With `STORE` (a file name) every message is one SQLite transaction before it is
//! announced and acknowledged.

use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use rusqlite::Connection;
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef, State};
use tokio::net::TcpListener;

/// One thread: the server has one core, and a scheduler for several would only cost.
#[tokio::main(flavor = "current_thread")]
#[expect(
    clippy::disallowed_methods,
    reason = "the tasks of this server end when it is killed"
)]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").map_err(|_| "PORT is not set")?.parse()?;
    let store = env::var_os("STORE").map(Store::open).transpose()?;

    let (service, io) = SocketIo::builder().with_state(store).build_svc();
    io.ns("/", async |socket: SocketRef| {
        socket.on("join", join);
        socket.on("say", say);
    });

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service.clone())
            .with_upgrades();
        // A connection that fails is the load generator's to report.
        tokio::spawn(connection);
    }
}

async fn join(socket: SocketRef, Data(room): Data<String>, ack: AckSender) {
    socket.join(room);
    reply(ack, &json!({ "ok": true }));
}

async fn say(
    io: SocketIo,
    Data((room, content)): Data<(String, String)>,
    ack: AckSender,
    State(store): State<Option<Store>>,
) {
    if let Some(store) = store
        && let Err(error) = store.save(&room, &content)
    {
        return reply(ack, &json!({ "ok": false, "error": error.to_string() }));
    }
    // Sockets whose queue is full miss the message: the benchmark sees it as a missing delivery.
    let _ = io.to(room.clone()).emit("said", &(room, content)).await;
    reply(ack, &json!({ "ok": true }));
}

fn reply(ack: AckSender, answer: &Value) {
    // Fails when the socket has gone, and then nobody waits for it.
    let _ = ack.send(answer);
}

#[derive(Clone)]
struct Store(Arc<Mutex<Connection>>);

impl Store {
    fn open(file: impl AsRef<std::path::Path>) -> rusqlite::Result<Self> {
        let db = Connection::open(file)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.execute_batch(
            "CREATE TABLE message (id INTEGER PRIMARY KEY, room TEXT NOT NULL, content TEXT NOT NULL)",
        )?;
        Ok(Self(Arc::new(Mutex::new(db))))
    }

    /// One transaction: SQLite commits each statement by itself.
    fn save(&self, room: &str, content: &str) -> rusqlite::Result<()> {
        let db = self.0.lock().expect("no thread panics while it holds the store");
        db.prepare_cached("INSERT INTO message (room, content) VALUES (?1, ?2)")?
            .execute((room, content))?;
        Ok(())
    }
}
