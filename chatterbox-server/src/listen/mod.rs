//! The accept loop: TCP connections in, HTTP/1.1 with upgrades out to a service.
//!
//! HTTP/1.1 only: proxies speak it to their backends, websockets need it, and the floods that HTTP/2 allows
//! (THREATS.md A10) have nothing to aim at.

mod admission;
mod bind;
mod host;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::tasks::Tasks;
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceExt};
use tracing::{debug, warn};

pub use admission::{Admission, Place, Refusal};
pub use bind::{Bound, bind};

/// How long the head of a request may take to arrive, and how long a connection may lie idle between two requests
/// (THREATS.md A2).
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head of a request, as in Node (PROTOCOL.md section 13); hyper answers 431 above it, and above its own
/// limit of 100 header lines.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The pause after an accept that failed for want of descriptors or memory: trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `service` on the sockets until [`Serving::drain`].
///
/// Every request carries the peer's address as [`SocketAddr`] in its extensions. An upgraded connection gives its place
/// in [`Admission`] back: from then on it counts as a session of the realtime service, which has caps of its own.
pub fn serve<S, B>(bound: Bound, service: &S, admission: &Admission, tasks: &Tasks) -> Serving
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let graceful = Arc::new(GracefulShutdown::new());
    let accepting = Tasks::new();
    for socket in bound.sockets {
        let acceptor = Acceptor {
            service: service.clone(),
            admission: admission.clone(),
            graceful: Arc::clone(&graceful),
            tasks: tasks.clone(),
        };
        accepting.spawn_until_stopped(acceptor.run(socket));
    }
    Serving { accepting, graceful }
}

/// A running server's accept loops and connections.
#[must_use]
pub struct Serving {
    accepting: Tasks,
    graceful: Arc<GracefulShutdown>,
}

impl Serving {
    /// Stops accepting: further connections are refused by the system.
    pub async fn stop_accepting(&self) {
        self.accepting.stop().await;
    }

    /// Stops accepting, lets requests in flight finish and closes idle connections; returns when all are gone.
    /// Connections that were upgraded are their takers' business.
    pub async fn drain(self) {
        self.stop_accepting().await;
        let graceful = Arc::try_unwrap(self.graceful);
        match graceful {
            Ok(graceful) => graceful.shutdown().await,
            Err(_) => unreachable!("the accept loops held the only other handles and have ended"),
        }
    }
}

struct Acceptor<S> {
    service: S,
    admission: Admission,
    graceful: Arc<GracefulShutdown>,
    tasks: Tasks,
}

impl<S, B> Acceptor<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    async fn run(self, socket: TcpListener) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    warn!("can't accept connections for the moment: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        let place = match self.admission.admit(peer.ip()) {
            Ok(place) => place,
            // Closed unanswered: an answer would cost what the limit is to save.
            Err(refusal) => {
                debug!(client.address = %peer, "connection refused: {refusal:?} limit reached");
                return;
            }
        };
        // Frames are joined by the hub; waiting in the kernel for more only delays acks.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(client.address = %peer, "connection gone before it was served: {error}");
            return;
        }
        let service = self.service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let named = host::is_named_once(&request);
            let service = service.clone();
            async move {
                if named {
                    let answer = service.oneshot(request).await;
                    answer.map(|response| response.map(Either::Left))
                } else {
                    Ok(host::refused().map(Either::Right))
                }
            }
        });
        let connection = http_1()
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let connection = self.graceful.watch(connection);
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                // Clients that vanish, talk nonsense or stay silent: nothing an operator could act on.
                debug!(client.address = %peer, "connection ended: {error}");
            }
            drop(place);
        });
    }
}

fn http_1() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
}

/// Errors of a connection that was gone before it was accepted; the next one may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests;
