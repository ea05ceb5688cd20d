//! The whole chat as one `tower::Service`: REST under `/api/`, Socket.IO under `/socket.io/`.

mod builder;
mod ports;
mod settings;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

pub use builder::{BuildError, Builder};
pub use ports::Ports;
pub use settings::Settings;

pub use crate::role::Role;

use crate::http::RestApi;
use crate::http::client_ip::TrustedProxies;
use crate::layers::{Buckets, Presences};
use crate::log::Fences;
use crate::realtime::chat::ChatRealtime;
use crate::realtime::{ClientAddress, Counters, EngineIo};
use crate::stack::Stack;

/// A failure in the middle of an answer's body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A chat server. Cheap to clone; clones are the same server.
///
/// It is a `tower::Service` over `http::Request`, for any HTTP server that supports upgrades. The server that it is
/// mounted in puts the TCP peer's [`SocketAddr`] into each request's extensions.
///
/// ```
/// # use chatterbox_core::{memory, server::{ChatServer, Ports, Settings}, tasks::Tasks};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let tasks = Tasks::new();
/// let settings = Settings::new(b"a secret of thirty-two bytes or more".to_vec());
/// let server = ChatServer::builder(settings, Ports::in_memory(10_000)).build(tasks.clone()).await.unwrap();
/// // … serve it, for example with hyper_util::server::conn::auto and TowerToHyperService …
/// server.drain(std::time::Duration::ZERO).await;
/// tasks.stop().await;
/// # }
/// ```
#[derive(Clone)]
pub struct ChatServer {
    rest: RestApi,
    realtime: EngineIo<ChatRealtime>,
    shared: Arc<Shared>,
}

struct Shared {
    stack: Stack,
    proxies: TrustedProxies,
    draining: CancellationToken,
    role: Role,
    fences: Option<Arc<Fences>>,
    presences: Presences,
    buckets: Buckets,
}

impl ChatServer {
    /// What a server is made from.
    pub fn builder(settings: Settings, ports: Ports) -> Builder {
        Builder::new(settings, ports)
    }

    /// The command stack: for embedders, the control socket and start-up.
    pub fn stack(&self) -> &Stack {
        &self.shared.stack
    }

    /// The chat on connections, for tests that bring their own.
    #[cfg(test)]
    pub(crate) fn chat(&self) -> &Arc<ChatRealtime> {
        self.realtime.application()
    }

    /// Connections so far and now.
    pub fn connections(&self) -> Counters {
        self.realtime.counters()
    }

    /// How often this node decided about a limit by itself because the shared limiter did not answer (S-022).
    pub fn rate_limit_fallbacks(&self) -> u64 {
        self.shared.buckets.fallbacks()
    }

    /// Not ready any more from now on, while everything is served as before: load balancers look for another node.
    pub fn stop_being_ready(&self) {
        self.shared.draining.cancel();
    }

    /// Goes away politely: not ready any more, takes no further connections, tells those there are when each is closed
    /// (`server-draining`), and closes them then, spread over a time, so that clients come back by themselves, to another
    /// node. Calls under way finish. Those who don't come back are told to be offline by the other nodes when their grace
    /// is over (S-104).
    pub async fn drain(&self, spread: Duration) {
        self.stop_being_ready();
        self.realtime.shutdown(spread).await;
        if let Some(fences) = &self.shared.fences {
            fences.leave();
        }
        self.shared.presences.hand_over().await;
    }
}

type Answer =
    Pin<Box<dyn Future<Output = Result<Response<UnsyncBoxBody<Bytes, BoxError>>, Infallible>> + Send>>;

impl<B> Service<Request<B>> for ChatServer
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Answer {
        if self.shared.role.serves_sockets() && self.realtime.matches(request.uri().path()) {
            let peer = request.extensions().get::<SocketAddr>().copied();
            let client = self.shared.proxies.client_ip(peer, request.headers());
            if let (Some(ip), Some(peer)) = (client.0, peer) {
                request
                    .extensions_mut()
                    .insert(ClientAddress(SocketAddr::new(ip, peer.port())));
            }
            let answer = self.realtime.clone().oneshot(request);
            Box::pin(async move { answer.await.map(|response| response.map(boxed)) })
        } else {
            let answer = self.rest.clone().oneshot(request);
            Box::pin(async move { answer.await.map(|response| response.map(boxed)) })
        }
    }
}

fn boxed<B>(body: B) -> UnsyncBoxBody<Bytes, BoxError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}
