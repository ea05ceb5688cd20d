//! Engine.IO as a `tower::Service`: one request in, where it belongs, one answer out.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use smallvec::SmallVec;

use super::application::{Application, Forbidden, Handshake};
use super::connection::Connection;
use super::cors::Cors;
use super::response::{self, Body};
use super::sessions::{Caps, Counters, Place, Sessions};
use super::{polling, upgrade};
use crate::engine::eio::handshake::{self, Query, Route};
use crate::engine::eio::{self, Refusal, Sid, TransportKind};
use crate::engine::{CloseReason, Frame, Packet};
use crate::hub::flusher::{Shards, now};
use crate::hub::{Farewell, Link};
use crate::tasks::Tasks;

/// How long a connection waits at a shutdown until everything it was asked is answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// In so many steps at most the sessions are closed at a shutdown that takes its time.
const DRAIN_WAVES: u32 = 100;
/// How long a shutdown waits for clients to hear of it.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// The client's address, put into the request's extensions by the embedding server: the TCP peer, or what a trusted
/// proxy says. Without it there are no caps per address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub SocketAddr);

/// What can be set about the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it is mounted, with a slash at the end; other paths get 404. Default `/socket.io/`.
    pub path: String,
    /// Timers and bounds of sessions.
    pub engine: eio::Config,
    /// The policy towards pages of other origins. Default: no CORS.
    pub cors: Cors,
    /// How many sessions there may be.
    pub caps: Caps,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            path: "/socket.io/".to_owned(),
            engine: eio::Config::default(),
            cors: Cors::default(),
            caps: Caps::default(),
        }
    }
}

/// Runs an [`Application`] on Engine.IO sessions, as a `tower::Service` for any HTTP server that supports upgrades.
/// Cheap to clone; clones are the same server.
///
/// ```
/// # use std::sync::Arc;
/// # use chatterbox_core::{realtime::{self, engineio, EngineIo}, tasks::Tasks};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let echo = engineio::on_message(|link, message| link.send(message.to_packet()));
/// let tasks = Tasks::new();
/// let service = EngineIo::new(Arc::new(echo), realtime::Config::default(), tasks.clone());
/// // … serve it, for example with hyper_util::server::conn::auto and TowerToHyperService …
/// service.shutdown(std::time::Duration::ZERO).await;
/// tasks.stop().await;
/// # }
/// ```
pub struct EngineIo<A>(Arc<Server<A>>);

pub(super) struct Server<A> {
    application: Arc<A>,
    config: Config,
    engine: Arc<eio::Config>,
    sessions: Arc<Sessions>,
    shards: Shards,
    pub(super) tasks: Tasks,
}

impl<A: Application> EngineIo<A> {
    /// A server without sessions. Its tasks are spawned on the current tokio runtime and owned by `tasks`; when these
    /// are stopped, all sessions end at once.
    pub fn new(application: Arc<A>, config: Config, tasks: Tasks) -> EngineIo<A> {
        let sessions = Arc::new(Sessions::new(
            config.caps,
            config.engine.connect_timeout.is_some(),
        ));
        tasks.spawn({
            let (stop, sessions) = (tasks.stop_token().clone(), Arc::clone(&sessions));
            async move {
                stop.cancelled().await;
                sessions.abort();
            }
        });
        EngineIo(Arc::new(Server {
            application,
            engine: Arc::new(config.engine.clone()),
            config,
            sessions,
            shards: Shards::start(&tasks),
            tasks,
        }))
    }

    /// Whether requests for this path belong here.
    pub fn matches(&self, path: &str) -> bool {
        let mounted = &self.0.config.path;
        path == mounted || mounted.strip_suffix('/') == Some(path)
    }

    /// What runs on the sessions, for tests that bring their own connections.
    #[cfg(test)]
    pub(crate) fn application(&self) -> &Arc<A> {
        &self.0.application
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.0.sessions.counters()
    }

    /// Takes no further sessions, and closes all there are ([`CloseReason::ShuttingDown`]: clients come back by
    /// themselves, to another node) spread over a time, which each is told at once
    /// ([`Application::draining`]). Until then a session goes on as before; it is closed when what it asked for is
    /// answered, 2 s later at most. Waits 3 s at most until they are gone.
    pub async fn shutdown(&self, spread: Duration) {
        let sessions = &self.0.sessions;
        let all = sessions.close();
        let sessions_now = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let waves = if spread.is_zero() {
            1
        } else {
            sessions_now.clamp(1, DRAIN_WAVES)
        };
        let per_wave = all.len().div_ceil(waves as usize).max(1);
        let mut due = Duration::ZERO;
        for wave in all.chunks(per_wave) {
            for link in wave.iter().filter(|link| link.has_joined()) {
                if let Some(packet) = self.0.application.draining(due) {
                    link.send(packet);
                }
            }
            due += spread / waves;
        }
        for wave in all.chunks(per_wave) {
            for link in wave {
                link.finish(Farewell {
                    packets: SmallVec::new(),
                    reason: CloseReason::ShuttingDown,
                    patience: ANSWERED_WITHIN,
                });
            }
            if !spread.is_zero() {
                tokio::time::sleep(spread / waves).await;
            }
        }
        drop(all);
        if tokio::time::timeout(ANSWERED_WITHIN + GONE_WITHIN, sessions.empty())
            .await
            .is_err()
        {
            sessions.abort();
        }
    }
}

impl<A: Application> Server<A> {
    /// Opens a session: its first packet, and the task that is to run it.
    pub(super) fn open(
        &self,
        transport: TransportKind,
        handshake: Handshake,
        mut place: Place,
    ) -> (Frame, Connection<A::Session>) {
        let mut random = [0; 19];
        crate::auth::fill_random(&mut random);
        let [sid @ .., shard, phase, finer_phase] = random;
        let (sid, now) = (Sid::from_random(sid), now());
        let mut session = eio::Session::new(Arc::clone(&self.engine), transport, now);
        session.stagger(u16::from_be_bytes([phase, finer_phase]));
        let link = Link::open(session, Some(self.shards.pick(usize::from(shard))));
        let open_packet = handshake::open_packet(&sid, transport, &self.engine);
        if transport == TransportKind::WebSocket {
            // Ahead of what the application sends first.
            link.send(Packet::from_elem(open_packet.clone(), 1));
        }
        place.register(sid, &link);
        let session = self.application.open(link.clone(), handshake, now);
        self.sessions.catch_up(&link);
        (
            open_packet,
            Connection::new(link, self.engine.message_limits(), session, place),
        )
    }

    async fn answer<B>(self: Arc<Self>, mut request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
    {
        if request.method() == Method::OPTIONS {
            let preflight = self.config.cors.preflight(request.headers());
            return preflight.unwrap_or_else(|| response::refused(&Refusal::BadMethod));
        }
        let wants_websocket = upgrade::is_requested(request.version(), request.headers());
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let (method, mut handshake) = (
            parts.method,
            Handshake {
                remote: address,
                headers: parts.headers,
                query,
            },
        );
        let route = {
            let headers = &handshake.headers;
            let admit = || {
                if !self.config.cors.admits(headers) {
                    return Err(Refusal::Forbidden("origin not allowed".to_owned()));
                }
                self.application
                    .admit(&handshake)
                    .map_err(|Forbidden(message)| Refusal::Forbidden(message))
            };
            let request = handshake::Request {
                method: match method {
                    Method::GET => handshake::Method::Get,
                    Method::POST => handshake::Method::Post,
                    _ => handshake::Method::Other,
                },
                query: Query::parse(&handshake.query),
                upgrade: wants_websocket,
                origin_readable: headers.get(ORIGIN).is_none_or(|origin| origin.to_str().is_ok()),
            };
            request.route(&self.engine, |sid| self.find(sid), admit)
        };
        match route {
            Ok(Route::Get(link)) => polling::get(link).await,
            Ok(Route::Post(link)) => {
                polling::post(
                    link,
                    std::mem::take(&mut handshake.headers),
                    body,
                    self.engine.payload_bytes_max,
                )
                .await
            }
            Ok(Route::Upgrade(link)) => {
                let (server, limits) = (Arc::clone(&self), self.engine.message_limits());
                self.tasks.spawn(async move {
                    if upgrade::probe(link, on_upgrade, limits).await {
                        server.sessions.upgraded.fetch_add(1, Ordering::Relaxed);
                    }
                });
                upgrade::switching(&handshake.headers)
            }
            Ok(Route::Open(transport)) => {
                let Some(place) = self.sessions.enter(address.map(|address| address.ip())) else {
                    return response::and_close(response::unavailable());
                };
                match transport {
                    TransportKind::Polling => {
                        let (open_packet, connection) = self.open(transport, handshake, place);
                        self.tasks.spawn(connection);
                        response::packets(eio::payload::encode(&[open_packet]))
                    }
                    TransportKind::WebSocket => {
                        let response = upgrade::switching(&handshake.headers);
                        self.tasks
                            .spawn(upgrade::born(Arc::clone(&self), on_upgrade, handshake, place));
                        response
                    }
                }
            }
            Err(refusal) => self.refuse(&refusal, wants_websocket),
        }
    }

    fn find(&self, sid: &Sid) -> Option<(Link, TransportKind)> {
        let link = self.sessions.find(sid)?;
        let transport = link.with(|session, now, out| {
            // The timers are coarse; whoever asks sees what is due.
            if session.deadline().is_some_and(|deadline| deadline <= now) {
                session.handle_timeout(now, out);
            }
            (!session.is_gone()).then(|| session.transport())
        })?;
        Some((link, transport))
    }

    fn refuse(&self, refusal: &Refusal, websocket: bool) -> Response<Body> {
        let counter = match refusal {
            Refusal::UnknownSid => &self.sessions.unknown_sids,
            Refusal::TransportUnknown
            | Refusal::BadMethod
            | Refusal::BadRequest
            | Refusal::Forbidden(_)
            | Refusal::UnsupportedRevision => &self.sessions.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            code = refusal.code(),
            "refused a request with code {}",
            refusal.code()
        );
        let response = response::refused(refusal);
        if websocket {
            response::and_close(response)
        } else {
            response
        }
    }
}

impl<A: Application, B> tower::Service<Request<B>> for EngineIo<A>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !self.matches(request.uri().path()) {
            return Box::pin(std::future::ready(Ok(response::empty(StatusCode::NOT_FOUND))));
        }
        let server = Arc::clone(&self.0);
        Box::pin(async move {
            let origin: Option<HeaderValue> = request.headers().get(ORIGIN).cloned();
            let mut response = Arc::clone(&server).answer(request).await;
            server.config.cors.mark(origin.as_ref(), response.headers_mut());
            Ok(response)
        })
    }
}

impl<A> Clone for EngineIo<A> {
    fn clone(&self) -> EngineIo<A> {
        EngineIo(Arc::clone(&self.0))
    }
}

impl<A> fmt::Debug for EngineIo<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineIo")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
