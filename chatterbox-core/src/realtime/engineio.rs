//! Engine.IO alone, for programs that want messages over polling and websocket and nothing above.
//!
//! ```
//! use std::sync::Arc;
//! use chatterbox_core::engine::eio;
//! use chatterbox_core::realtime::{Config, EngineIo, engineio};
//! use chatterbox_core::tasks::Tasks;
//! use http_body_util::{BodyExt, Empty};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let echo = engineio::on_message(|link, message| link.send(message.to_packet()));
//! let tasks = Tasks::new();
//! let config = Config { path: "/engine.io/".into(), ..Config::default() };
//! let service = EngineIo::new(Arc::new(echo), config, tasks.clone());
//!
//! // Any HTTP server can call the service; here we do it ourselves.
//! let request = http::Request::get("/engine.io/?EIO=4&transport=polling").body(Empty::new()).unwrap();
//! let answer = service.clone().oneshot(request).await.unwrap();
//! let body = answer.into_body().collect().await.unwrap().to_bytes();
//! assert!(body.starts_with(b"0{\"sid\":\""));
//! tasks.stop().await;
//! # }
//! ```

use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use super::application::{Application, Handshake, Session};
use crate::engine::{CloseReason, Message};
use crate::hub::Link;

/// Calls `handler` with every message, one after the other per connection. It must not wait; what takes long is
/// spawned and answers through the link.
pub fn on_message<F>(handler: F) -> OnMessage<F>
where
    F: Fn(&Link, Message) + Send + Sync + 'static,
{
    OnMessage { handler }
}

/// Made by [`on_message`].
#[derive(Debug)]
pub struct OnMessage<F> {
    handler: F,
}

/// One connection of [`OnMessage`].
#[derive(Debug)]
pub struct OnMessageSession<F> {
    application: Arc<OnMessage<F>>,
    link: Link,
}

impl<F> Application for OnMessage<F>
where
    F: Fn(&Link, Message) + Send + Sync + 'static,
{
    type Session = OnMessageSession<F>;

    fn open(self: &Arc<Self>, link: Link, _: Handshake, _: Instant) -> OnMessageSession<F> {
        OnMessageSession {
            application: Arc::clone(self),
            link,
        }
    }
}

impl<F> Session for OnMessageSession<F>
where
    F: Fn(&Link, Message) + Send + Sync + 'static,
{
    fn handle(&mut self, message: Message, _: Instant) {
        (self.application.handler)(&self.link, message);
    }

    fn poll(&mut self, _: &mut Context<'_>) {}

    fn closed(self, _: CloseReason) {}
}
