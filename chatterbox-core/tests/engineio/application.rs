//! The contract with the application: back-pressure, wake-ups, deadlines, one end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use chatterbox_core::engine::{CloseReason, Frame, Message, Packet};
use chatterbox_core::hub::Link;
use chatterbox_core::realtime::{Application, Config, EngineIo, Handshake, Session};
use chatterbox_core::tasks::Tasks;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use tokio::sync::{Mutex, mpsc};
use tower::ServiceExt as _;

use super::support::*;

/// Takes two messages at a time and echoes one for every token it is given.
struct Careful {
    handled: mpsc::UnboundedSender<Message>,
    tokens: Mutex<Option<mpsc::UnboundedReceiver<()>>>,
    opened: mpsc::UnboundedSender<Link>,
}

struct CarefulSession {
    link: Link,
    waiting: VecDeque<Message>,
    handled: mpsc::UnboundedSender<Message>,
    tokens: mpsc::UnboundedReceiver<()>,
    deadline: Option<Instant>,
}

impl Application for Careful {
    type Session = CarefulSession;

    fn open(self: &Arc<Self>, link: Link, _: Handshake, now: Instant) -> CarefulSession {
        self.opened.send(link.clone()).unwrap();
        CarefulSession {
            link,
            waiting: VecDeque::new(),
            handled: self.handled.clone(),
            tokens: self.tokens.try_lock().unwrap().take().unwrap(),
            deadline: Some(now + Duration::from_secs(10)),
        }
    }
}

impl Session for CarefulSession {
    fn handle(&mut self, message: Message, _: Instant) {
        assert!(self.waiting.len() < 2, "nothing is handed in to who is not ready");
        self.waiting.push_back(message.clone());
        self.handled.send(message).unwrap();
        self.deadline = None;
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        while !self.waiting.is_empty()
            && let Poll::Ready(Some(())) = self.tokens.poll_recv(context)
        {
            self.link.send(self.waiting.pop_front().unwrap().to_packet());
        }
    }

    fn ready(&self) -> bool {
        self.waiting.len() < 2
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_timeout(&mut self, _: Instant) {
        self.deadline = None;
        self.link.close(CloseReason::Unauthenticated);
    }

    fn closed(self, _: CloseReason) {}
}

struct World {
    service: EngineIo<Careful>,
    handled: mpsc::UnboundedReceiver<Message>,
    tokens: mpsc::UnboundedSender<()>,
    opened: mpsc::UnboundedReceiver<Link>,
}

fn world() -> World {
    let (handled_in, handled) = mpsc::unbounded_channel();
    let (tokens, tokens_out) = mpsc::unbounded_channel();
    let (opened_in, opened) = mpsc::unbounded_channel();
    let application = Careful {
        handled: handled_in,
        tokens: Mutex::new(Some(tokens_out)),
        opened: opened_in,
    };
    let service = EngineIo::new(Arc::new(application), Config::default(), Tasks::new());
    World {
        service,
        handled,
        tokens,
        opened,
    }
}

#[tokio::test]
async fn a_websocket_is_not_read_while_the_application_is_busy() {
    let mut world = world();
    let mut socket = piped(&world.service, "EIO=4&transport=websocket", 1 << 20).await;
    assert!(socket.text().await.starts_with("0{"));
    for number in 0..50 {
        socket.send(&format!("4{number}")).await;
    }
    for number in 0..50 {
        let handled = within(world.handled.recv()).await.unwrap();
        assert_eq!(handled, Message::Text(number.to_string().into()));
        if number > 0 {
            // The second one fills it up; each token makes room for one.
            world.tokens.send(()).unwrap();
            assert_eq!(socket.text().await, format!("4{}", number - 1));
        }
    }
}

#[tokio::test]
async fn a_post_is_answered_when_its_packets_were_taken_over() {
    let mut world = world();
    let request = |method: &str, query: &str, body: &'static str| {
        http::Request::builder()
            .method(method)
            .uri(format!("/socket.io/?{query}"))
            .body(Full::new(bytes::Bytes::from_static(body.as_bytes())))
            .unwrap()
    };
    let answer = world
        .service
        .clone()
        .oneshot(request("GET", "EIO=4&transport=polling", ""))
        .await
        .unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let query = format!(
        "EIO=4&transport=polling&sid={}",
        sid_of(std::str::from_utf8(&body).unwrap())
    );
    let posting = Tasks::new().spawn(world.service.clone().oneshot(request(
        "POST",
        &query,
        "4a\x1e4b\x1e4c",
    )));
    for expected in ["a", "b"] {
        assert_eq!(
            within(world.handled.recv()).await.unwrap(),
            Message::Text(expected.into())
        );
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(
        !posting.is_finished() && world.handled.try_recv().is_err(),
        "the third waits for room"
    );
    world.tokens.send(()).unwrap();
    assert_eq!(
        within(world.handled.recv()).await.unwrap(),
        Message::Text("c".into())
    );
    world.tokens.send(()).unwrap();
    assert_eq!(within(posting).await.unwrap().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_application_is_called_at_its_deadline() {
    let mut world = world();
    let begun = tokio::time::Instant::now();
    let mut socket = piped(&world.service, "EIO=4&transport=websocket", 4096).await;
    socket.0.next().await.unwrap().unwrap();
    let closed = socket.0.next().await.unwrap().unwrap();
    assert!(format!("{closed:?}").contains("4401"), "{closed:?}");
    assert!(begun.elapsed() >= Duration::from_secs(10) && begun.elapsed() < Duration::from_millis(10_100));
    assert!(world.opened.recv().await.unwrap().is_closed());
}

/// Counts how often its session was polled, by sending the count.
struct Woken;
struct WokenSession(Link, usize);

impl Application for Woken {
    type Session = WokenSession;

    fn open(self: &Arc<Self>, link: Link, _: Handshake, _: Instant) -> WokenSession {
        WokenSession(link, 0)
    }
}

impl Session for WokenSession {
    fn handle(&mut self, _: Message, _: Instant) {
        // Somebody else has work for this connection.
        let link = self.0.clone();
        self.1 = 1;
        std::thread::spawn(move || link.wake());
    }

    fn poll(&mut self, _: &mut Context<'_>) {
        if self.1 > 0 {
            self.0
                .send(Packet::from_elem(Frame::text(&["4", &self.1.to_string()]), 1));
            self.1 += 1;
        }
    }

    fn closed(self, _: CloseReason) {}
}

#[tokio::test]
async fn a_wake_up_from_any_thread_polls_the_session() {
    let service = EngineIo::new(Arc::new(Woken), Config::default(), Tasks::new());
    let mut socket = piped(&service, "EIO=4&transport=websocket", 4096).await;
    assert!(socket.text().await.starts_with("0{"));
    socket.send("4go").await;
    assert_eq!(socket.text().await, "41", "polled after the message");
    assert_eq!(socket.text().await, "42", "and when woken");
}
