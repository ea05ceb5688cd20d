//! Defining namespaces and their handlers.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::ack::Ack;
use super::connect::{ConnectRequest, Refusal};
use super::server::SocketIo;
use super::socket::Socket;
use crate::engine::CloseReason;
use crate::engine::sio::{Args, Event, FromArgs, Rules};
use crate::tasks::Tasks;

/// A started handler.
pub(super) type Running<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;

type Admit = Box<dyn Fn(ConnectRequest) -> Running<Result<(), Refusal>> + Send + Sync>;
type OnConnect = Box<dyn Fn(Socket) -> Running + Send + Sync>;
type OnEvent = Box<dyn Fn(Socket, Event) -> Running + Send + Sync>;
type OnDisconnect = Box<dyn Fn(Socket, CloseReason) -> Running + Send + Sync>;

/// Collects namespaces; made by [`SocketIo::builder`].
#[derive(Debug, Default)]
pub struct Builder {
    namespaces: Vec<(Box<str>, NamespaceBuilder)>,
    attachment_bytes_max: Option<usize>,
    attachments_within: Option<Duration>,
    tasks: Option<Tasks>,
}

impl Builder {
    /// Adds a namespace; its name begins with `/`. Clients can join only what is added, `/` included. A name given
    /// twice goes on where the first one ended.
    pub fn namespace(
        mut self,
        name: &str,
        define: impl FnOnce(NamespaceBuilder) -> NamespaceBuilder,
    ) -> Builder {
        match self.namespaces.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, namespace)) => *namespace = define(std::mem::take(namespace)),
            None => self
                .namespaces
                .push((name.into(), define(NamespaceBuilder::default()))),
        }
        self
    }

    /// Sum of the binary attachments of one packet, in bytes. Default 1,000,000, the default of `maxPayload`.
    pub fn attachment_bytes_max(self, bytes: usize) -> Builder {
        Builder {
            attachment_bytes_max: Some(bytes),
            ..self
        }
    }

    /// How long the attachments of a packet may take to arrive. Default 5 s.
    pub fn attachments_within(self, duration: Duration) -> Builder {
        Builder {
            attachments_within: Some(duration),
            ..self
        }
    }

    /// Who owns the handlers that outlive their connection, to wait for them at the end. Default: tasks of its own.
    pub fn tasks(self, tasks: Tasks) -> Builder {
        Builder {
            tasks: Some(tasks),
            ..self
        }
    }

    /// Done. The result is an [`Application`](crate::realtime::application::Application) for the drivers, and the
    /// handle for everything else.
    pub fn build(self) -> SocketIo {
        let mut rules = Rules::new(self.namespaces.iter().map(|(name, _)| name.clone()));
        rules.attachment_bytes_max = self.attachment_bytes_max.unwrap_or(rules.attachment_bytes_max);
        rules.attachments_within = self.attachments_within.unwrap_or(rules.attachments_within);
        let handlers = self
            .namespaces
            .into_iter()
            .map(|(_, namespace)| namespace.0)
            .collect();
        SocketIo::new(rules, handlers, self.tasks.unwrap_or_default())
    }
}

/// The handlers of one namespace.
///
/// A handler is a closure that returns a future: `|socket, (a, b): (String, u64), ack| async move { … }`. Its
/// arguments are anything that implements [`FromArgs`]: a tuple by serde, or raw [`Args`]. An event whose arguments
/// don't fit is ignored, unless the handler takes `Result<_, ArgsError>` and answers it.
#[derive(Debug, Default)]
pub struct NamespaceBuilder(Handlers);

impl NamespaceBuilder {
    /// Decides who may join. Until it is done the client waits; without it everybody may.
    pub fn admit<F, Fut>(mut self, check: F) -> NamespaceBuilder
    where
        F: Fn(ConnectRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        let check = Arc::new(check);
        self.0.admit = Some(Box::new(move |request| {
            let check = Arc::clone(&check);
            Box::pin(async move { check(request).await })
        }));
        self
    }

    /// Runs when a socket has joined, before its first event.
    pub fn on_connect<F, Fut>(mut self, handler: F) -> NamespaceBuilder
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.0.connect = Some(Box::new(move |socket| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler(socket).await })
        }));
        self
    }

    /// Runs for each event of this name.
    pub fn on<A, F, Fut>(mut self, name: &str, handler: F) -> NamespaceBuilder
    where
        A: FromArgs + Send,
        F: Fn(Socket, A, Ack) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let on_event: OnEvent = Box::new(move |socket, event| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let ack = Ack {
                    socket: socket.clone(),
                    id: event.ack,
                };
                match A::from_args(&event.args) {
                    Ok(args) => handler(socket, args, ack).await,
                    Err(error) => tracing::debug!(event = event.name(), %error, "event ignored"),
                }
            })
        });
        self.0.events.insert(name.into(), on_event);
        self
    }

    /// Runs for each event that no other handler is named for. Without it they are ignored.
    pub fn fallback<F, Fut>(mut self, handler: F) -> NamespaceBuilder
    where
        F: Fn(Socket, String, Args, Ack) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.0.fallback = Some(Box::new(move |socket, event| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let ack = Ack {
                    socket: socket.clone(),
                    id: event.ack,
                };
                let name = event.name().to_owned();
                handler(socket, name, event.args, ack).await;
            })
        }));
        self
    }

    /// Runs when a socket has left, whatever the way, with the reason.
    pub fn on_disconnect<F, Fut>(mut self, handler: F) -> NamespaceBuilder
    where
        F: Fn(Socket, CloseReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.0.disconnect = Some(Box::new(move |socket, reason| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler(socket, reason).await })
        }));
        self
    }
}

/// What a namespace runs, with the types of the closures erased.
#[derive(Default)]
pub(super) struct Handlers {
    pub(super) admit: Option<Admit>,
    pub(super) connect: Option<OnConnect>,
    pub(super) disconnect: Option<OnDisconnect>,
    events: HashMap<Box<str>, OnEvent>,
    fallback: Option<OnEvent>,
}

impl Handlers {
    /// The handler for an event of this name.
    pub(super) fn event(&self, name: &str) -> Option<&OnEvent> {
        self.events.get(name).or(self.fallback.as_ref())
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.events.keys()).finish()
    }
}
