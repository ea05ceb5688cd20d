//! A server for the official test suites of Engine.IO and Socket.IO, and for more than they ask, by public API only.
//!
//! ```text
//! cargo run -p chatterbox-examples --example socketio_conformance
//!
//! 127.0.0.1:3000, [::1]:3000 ── /engine.io/ ── EngineIo<OnMessage>   echoes every message, text and binary
//!                            └─ /socket.io/ ── EngineIo<SocketIo>    /, /custom and /denied, see below
//! ```
//!
//! The suites are `docs/engine.io-protocol/v4-test-suite` and `docs/socket.io-protocol/v5-test-suite` of the
//! repository socketio/socket.io; `npm install` and `npm test` in each run them against this.
//!
//! `PORT`, `PING_INTERVAL` and `PING_TIMEOUT` (both in milliseconds) override the port and the heartbeat. With port 0
//! the system picks one; the only line of output says where it listens.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatterbox_core::engine::eio;
use chatterbox_core::realtime::socketio::{
    AckError, Args, Binary, NamespaceBuilder, Refusal, Socket, SocketIo, Value,
};
use chatterbox_core::realtime::{Application, Config, Cors, EngineIo, engineio};
use chatterbox_core::tasks::Tasks;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tower::Service;

/// The largest answer to `x-blob`, in bytes.
const BLOB_BYTES_MAX: usize = 16 * 1024 * 1024;

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut port = from_env("PORT", 3000)?;
    let tasks = Tasks::new();
    let config = |path: &str, connect_timeout| -> io::Result<Config> {
        Ok(Config {
            path: path.to_owned(),
            engine: eio::Config {
                ping_interval: Duration::from_millis(from_env("PING_INTERVAL", 300)?),
                ping_timeout: Duration::from_millis(from_env("PING_TIMEOUT", 200)?),
                // Suites measure the interval.
                ping_spread: Duration::ZERO,
                payload_bytes_max: 1_000_000,
                connect_timeout,
                ..eio::Config::default()
            },
            cors: Cors::Any,
            ..Config::default()
        })
    };

    let echo = engineio::on_message(|link, message| link.send(message.to_packet()));
    let echo = EngineIo::new(Arc::new(echo), config("/engine.io/", None)?, tasks.clone());
    let io = SocketIo::builder()
        .namespace("/", |root| extras(echoes(root)))
        .namespace("/custom", echoes)
        .namespace("/denied", |denied| {
            denied.admit(|_request| async {
                Err(Refusal::new("not authorized").with_data(json!({"content": "please retry later"})))
            })
        })
        .tasks(tasks.clone())
        .build();
    let connect_timeout = Some(Duration::from_secs(1));
    let sockets = EngineIo::new(
        Arc::new(io),
        config("/socket.io/", connect_timeout)?,
        tasks.clone(),
    );

    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let listener = TcpListener::bind(SocketAddr::new(address, port)).await?;
        // Both addresses on one port, also when the system picked it.
        port = listener.local_addr()?.port();
        tasks.spawn_until_stopped(serve(listener, echo.clone(), sockets.clone(), tasks.clone()));
    }
    writeln!(io::stdout(), "listening on http://localhost:{port}")?;
    tokio::signal::ctrl_c().await?;
    sockets.shutdown(Duration::ZERO).await;
    echo.shutdown(Duration::ZERO).await;
    tasks.stop().await;
    Ok(())
}

/// What the official suite talks to: the CONNECT payload comes back, and so does every message.
fn echoes(namespace: NamespaceBuilder) -> NamespaceBuilder {
    namespace
        .on_connect(|socket| async move {
            let _ = match socket.auth() {
                Some(auth) => socket.emit("auth", auth),
                None => socket.emit("auth", json!({})),
            };
        })
        .on("message", |socket, args: Args, _ack| async move {
            let _ = socket.emit("message-back", args);
        })
        .on("message-with-ack", |_socket, args: Args, ack| async move {
            let _ = ack.send(args);
        })
}

/// Everything else a server can do, each on one event.
fn extras(root: NamespaceBuilder) -> NamespaceBuilder {
    root.on("x-ask", |socket, args: Args, _ack| async move {
        let _ = match socket
            .emit_with_ack("x-question", args, Duration::from_millis(600))
            .await
        {
            Ok(reply) => socket.emit("x-answer", reply),
            Err(AckError::TimedOut) => socket.emit("x-answer-timeout", ()),
            Err(AckError::Disconnected | AckError::TooMany | AckError::Encode(_)) => return,
        };
    })
    .on("x-join", |socket, (room,): (String,), ack| async move {
        socket.join(&room);
        let _ = ack.send(());
    })
    .on("x-leave", |socket, (room,): (String,), ack| async move {
        socket.leave(&room);
        let _ = ack.send(());
    })
    .on("x-say", |socket, (room, data): (String, Value), ack| async move {
        let _ = socket.to(&room).emit("x-said", data);
        let _ = ack.send(());
    })
    .on("x-kick", |socket, (close,): (Option<bool>,), _ack| async move {
        if close == Some(true) {
            socket.disconnect_connection();
        } else {
            socket.disconnect();
        }
    })
    .on("x-blob", |socket, (bytes,): (usize,), _ack| async move {
        let blob: Bytes = (0..=u8::MAX).cycle().take(bytes.min(BLOB_BYTES_MAX)).collect();
        let _ = socket.emit("x-blob-back", Binary(blob));
    })
    .on("x-count", |socket, (): (), ack| async move {
        let _ = ack.send(socket.namespace().count());
    })
    .on(
        "x-flood",
        |socket, (count, volatile): (u32, Option<bool>), _ack| async move {
            flood(&socket, count, volatile == Some(true));
        },
    )
}

fn flood(socket: &Socket, count: u32, volatile: bool) {
    for index in 0..count {
        let sent = if volatile {
            socket.emit_volatile("x-drop", index).map(|_sent| ())
        } else {
            socket.emit("x-drop", index)
        };
        if sent.is_err() {
            return;
        }
    }
    let _ = socket.emit("x-flood-end", ());
}

/// Takes connections and hands each request to the layer that its path belongs to.
async fn serve<A: Application, B: Application>(
    listener: TcpListener,
    echo: EngineIo<A>,
    sockets: EngineIo<B>,
    tasks: Tasks,
) {
    loop {
        let Ok((stream, _peer)) = listener.accept().await else {
            // Out of file descriptors, for example: let some connections end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (mut echo, mut sockets) = (echo.clone(), sockets.clone());
        let service = tower::service_fn(move |request: Request<Incoming>| {
            if echo.matches(request.uri().path()) {
                echo.call(request)
            } else {
                sockets.call(request)
            }
        });
        tasks.spawn_until_stopped(async move {
            // An error is a client that broke HTTP or went away; its session hears of it by itself.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
                .await;
        });
    }
}

/// A number from the environment; one that can't be read is an error rather than the default.
fn from_env<T: FromStr>(name: &str, default: T) -> io::Result<T> {
    match std::env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => text
            .parse()
            .map_err(|_| io::Error::other(format!("{name} is not a number"))),
    }
}
