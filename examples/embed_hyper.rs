//! The whole chat inside a hyper server of your own, with everything kept in memory.
//!
//! ```text
//! cargo run -p chatterbox-examples --example embed_hyper
//! ```
//! REST and Socket.IO then answer on <http://127.0.0.1:3000>; PORT overrides.

use std::net::Ipv4Addr;

use chatterbox_core::server::{ChatServer, Ports, Settings};
use chatterbox_core::tasks::Tasks;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::ServiceExt;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let tasks = Tasks::new();
    let settings = Settings::new(b"an example's secret, which is no secret".to_vec());
    let chat = ChatServer::builder(settings, Ports::in_memory(100_000))
        .build(tasks.clone())
        .await?;

    let port: u16 = std::env::var("PORT")
        .unwrap_or_else(|_| "3000".to_owned())
        .parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // The chat limits by address, so it has to know it.
        let service = chat
            .clone()
            .map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(peer);
                request
            });
        tasks.spawn(async move {
            let connection = auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(service);
            // A client that breaks off is no failure of the server.
            let _ = connection
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}
