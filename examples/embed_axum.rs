//! The whole chat beside the routes of an axum application, with everything kept in memory.
//!
//! ```text
//! cargo run -p chatterbox-examples --example embed_axum
//! ```
//! The application answers on <http://127.0.0.1:3000>, and the chat under `/api/` and `/socket.io/`; PORT overrides.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::routing::get;
use chatterbox_core::server::{ChatServer, Ports, Settings};
use chatterbox_core::tasks::Tasks;
use tokio::net::TcpListener;
use tower::ServiceExt;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Clients are told to come back over this time, so that they don't all come at once.
const SPREAD: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let tasks = Tasks::new();
    let settings = Settings::new(b"an example's secret, which is no secret".to_vec());
    let chat = ChatServer::builder(settings, Ports::in_memory(100_000))
        .build(tasks.clone())
        .await?;

    // The chat limits by address, so it has to know it.
    let service = chat.clone().map_request(|mut request: Request| {
        if let Some(&ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
            request.extensions_mut().insert(peer);
        }
        request
    });
    let app = Router::new()
        .route("/", get(async || "an application with a chat"))
        .fallback_service(service);

    let port: u16 = std::env::var("PORT")
        .unwrap_or_else(|_| "3000".to_owned())
        .parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            // Where signals can't be heard, the process is ended from outside.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            chat.drain(SPREAD).await;
        })
        .await?;
    tasks.stop().await;
    Ok(())
}
