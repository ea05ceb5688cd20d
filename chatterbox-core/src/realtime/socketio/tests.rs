//! Whole sessions on connections without sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::*;
use crate::engine::Message;
use crate::engine::frame::FrameKind;
use crate::hub::Detached;
use crate::realtime::application::{Application, Handshake, Session};

/// A client with its connection; it talks the wire format, without the Engine.IO type in what it sends.
struct Client {
    connection: Detached,
    session: Option<SocketIoSession>,
}

impl Client {
    fn new(io: &SocketIo) -> Client {
        let connection = Detached::new(crate::engine::eio::QueueLimits::default());
        let handshake = Handshake {
            remote: None,
            headers: http::HeaderMap::new(),
            query: "EIO=4&x=1".to_owned(),
        };
        let session = Arc::new(io.clone()).open(connection.link(), handshake, Instant::now());
        Client {
            connection,
            session: Some(session),
        }
    }

    /// Joined `/`, with the answer taken.
    async fn joined(io: &SocketIo) -> Client {
        let mut client = Client::new(io);
        assert!(client.says("0").await[0].starts_with("40{\"sid\":\""));
        client
    }

    /// Sends messages in one breath and returns what came back after everything settled.
    async fn says(&mut self, messages: impl Into<Said<'_>>) -> Vec<String> {
        let Said(messages) = messages.into();
        for text in messages {
            let message = match text.strip_prefix('#') {
                None => Message::Text(text.into()),
                Some(bytes) => Message::Binary(bytes.as_bytes().to_vec().into()),
            };
            self.session.as_mut().unwrap().handle(message, Instant::now());
        }
        self.hears().await
    }

    /// What has come since.
    async fn hears(&mut self) -> Vec<String> {
        self.settle().await;
        self.connection
            .take_sent()
            .iter()
            .map(|frame| match frame.kind() {
                FrameKind::Text => String::from_utf8(frame.payload().to_vec()).unwrap(),
                FrameKind::Binary => format!("#{}", String::from_utf8_lossy(frame.payload())),
                FrameKind::Control => panic!("no control frames here"),
            })
            .collect()
    }

    /// Runs the session and everything else until nothing moves; without time passing.
    async fn settle(&mut self) {
        for _ in 0..20 {
            std::future::poll_fn(|context| {
                if let Some(session) = &mut self.session {
                    session.poll(context);
                }
                std::task::Poll::Ready(())
            })
            .await;
            tokio::task::yield_now().await;
        }
    }

    fn ready(&self) -> bool {
        self.session.as_ref().unwrap().ready()
    }

    async fn vanishes(&mut self, reason: CloseReason) {
        self.session.take().unwrap().closed(reason);
        self.settle().await;
    }
}

/// One message or several.
struct Said<'a>(Vec<&'a str>);

impl<'a> From<&'a str> for Said<'a> {
    fn from(text: &'a str) -> Said<'a> {
        Said(vec![text])
    }
}

impl<'a, const N: usize> From<[&'a str; N]> for Said<'a> {
    fn from(texts: [&'a str; N]) -> Said<'a> {
        Said(texts.to_vec())
    }
}

/// What handlers wrote down, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn echo(root: NamespaceBuilder) -> NamespaceBuilder {
    root.on_connect(|socket| async move {
        tokio::task::yield_now().await;
        let auth = socket.auth().cloned();
        let _ = match auth {
            Some(auth) => socket.emit("auth", auth),
            None => socket.emit("auth", serde_json::json!({})),
        };
    })
    .on("message", |socket, args: Args, _ack| async move {
        let _ = socket.emit("message-back", args);
    })
    .on("message-with-ack", |_socket, args: Args, ack| async move {
        let _ = ack.send(args);
    })
}

/// PROTOCOL §10: the CONNECT answer first, then what the connect handler emits, then events.
#[tokio::test]
async fn the_answer_comes_first_and_events_wait_for_the_connect_handler() {
    let io = SocketIo::builder()
        .namespace("/", echo)
        .namespace("/custom", echo)
        .build();
    let mut client = Client::new(&io);
    let heard = client
        .says([
            "0{\"token\":\"123\"}",
            "2[\"message\",1,\"2\",{\"3\":[true]}]",
            "25[\"message-with-ack\",\"é\"]",
            "52-9[\"message-with-ack\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]",
            "#a",
            "#b",
            "2[\"nobody listens\"]",
        ])
        .await;
    assert!(heard[0].starts_with("40{\"sid\":\"") && heard[0].len() == "40{\"sid\":\"\"}".len() + 20);
    assert_eq!(
        heard[1..],
        [
            "42[\"auth\",{\"token\":\"123\"}]",
            "42[\"message-back\",1,\"2\",{\"3\":[true]}]",
            "435[\"é\"]",
            "462-9[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
            "#b",
            "#a",
        ]
    );
    assert!(client.connection.has_joined());
    let heard = client.says("0/custom,").await;
    assert_eq!(heard[1], "42/custom,[\"auth\",{}]");
    assert_eq!(
        client.says("0/random").await,
        ["44/random,{\"message\":\"Invalid namespace\"}"]
    );
}

#[tokio::test]
async fn an_admission_check_takes_its_time() {
    let open = Arc::new(Notify::new());
    let io = SocketIo::builder()
        .namespace("/", |root| {
            let open = Arc::clone(&open);
            echo(root).admit(move |request| {
                let open = Arc::clone(&open);
                async move {
                    assert_eq!((request.namespace(), request.query()), ("/", "EIO=4&x=1"));
                    open.notified().await;
                    match request.auth::<Option<String>>() {
                        Ok(None) => Ok(()),
                        Ok(Some(_)) | Err(_) => Err(Refusal::new("not authorized")
                            .with_data(serde_json::json!({"content": "please retry later"}))),
                    }
                }
            })
        })
        .build();
    let root = io.namespace("/").unwrap();

    let mut client = Client::new(&io);
    assert!(client.says(["0", "2[\"message\",1]"]).await.is_empty());
    assert_eq!(root.count(), 0);
    open.notify_one();
    assert_eq!(
        client.hears().await[1..],
        ["42[\"auth\",{}]", "42[\"message-back\",1]"]
    );
    assert_eq!(root.count(), 1);

    let mut refused = Client::new(&io);
    refused.says("0{\"x\":1}").await;
    open.notify_one();
    let error = "44{\"message\":\"not authorized\",\"data\":{\"content\":\"please retry later\"}}";
    assert_eq!(refused.hears().await, [error]);
    assert!(
        !refused.connection.has_joined(),
        "a refused CONNECT does not count"
    );

    // Gone between the check and its end (socketioxide#627).
    let mut gone = Client::new(&io);
    gone.says("0").await;
    gone.vanishes(CloseReason::TransportClose).await;
    open.notify_one();
    client.settle().await;
    assert_eq!(root.count(), 1);
}

/// Start order, concurrency, and that acks pass the events that wait.
#[tokio::test]
async fn handlers_start_in_order_and_32_run_at_once() {
    let log = Log::default();
    let notes = log.clone();
    let io = SocketIo::builder()
        .namespace("/", |root| {
            root.on("ask", move |socket, (n,): (u32,), _ack| {
                let log = notes.clone();
                async move {
                    log.note(format!("start {n}"));
                    let answer = socket.emit_with_ack("q", n, Duration::from_mins(1)).await;
                    log.note(format!(
                        "end {n} {:?}",
                        answer.unwrap().parse::<(u32,)>().unwrap().0
                    ));
                }
            })
        })
        .build();
    let mut client = Client::joined(&io).await;
    let events: Vec<String> = (0..40).map(|n| format!("2[\"ask\",{n}]")).collect();
    for event in &events {
        client.says(event.as_str()).await;
    }
    let expected: Vec<String> = (0..32).map(|n| format!("start {n}")).collect();
    assert_eq!(log.take(), expected);
    // Our ack ids count from 0; the third answer comes first.
    client.says(["32[\"x\"]", "32[3]", "37[70]", "399[1]"]).await;
    let expected = ["end 7 70", "start 32", "start 33"];
    assert_eq!(
        log.take(),
        expected,
        "the nonsense that answered number 2 was a panic, which made room too"
    );
    client.says("30[0]").await;
    assert_eq!(log.take(), ["end 0 0", "start 34"]);
}

#[tokio::test]
async fn a_client_that_sends_more_than_is_handled_has_to_wait() {
    let io = SocketIo::builder()
        .namespace("/", |root| {
            root.on("slow", |socket, _args: Args, _ack| async move {
                let _ = socket.emit_with_ack("q", (), Duration::from_secs(1)).await;
            })
        })
        .build();
    for (event, waiting) in [
        ("2[\"slow\"]".to_owned(), 1024),
        (format!("2[\"slow\",\"{}\"]", "x".repeat(300_000)), 4),
    ] {
        let mut client = Client::joined(&io).await;
        for _ in 0..32 {
            client.says(event.as_str()).await;
        }
        for _ in 0..waiting {
            assert!(client.ready());
            let message = Message::Text(event.as_str().into());
            client.session.as_mut().unwrap().handle(message, Instant::now());
        }
        client.settle().await;
        assert!(!client.ready());
        client.says("30[]").await;
        assert!(client.ready());
    }
}

#[tokio::test]
async fn a_panic_ends_one_handler_and_nothing_else() {
    let io = SocketIo::builder()
        .namespace("/", |root| {
            echo(root).on("panic", |_socket, (late,): (bool,), _ack| async move {
                if late {
                    tokio::task::yield_now().await;
                }
                panic!("as asked");
            })
        })
        .namespace("/bad", |bad| bad.admit(|_request| async { panic!("as asked") }))
        .build();
    let mut client = Client::joined(&io).await;
    let heard = client
        .says([
            "2[\"panic\",false]",
            "2[\"panic\",true]",
            "2[\"message\"]",
            "0/bad,",
        ])
        .await;
    assert_eq!(
        heard,
        ["44/bad,{\"message\":\"internal error\"}", "42[\"message-back\"]"]
    );
    assert_eq!(
        Client::joined(&io).await.says("2[\"message\"]").await,
        ["42[\"message-back\"]"]
    );
}

#[tokio::test(start_paused = true)]
async fn acks_of_clients_come_once_late_or_never() {
    let io = SocketIo::builder().namespace("/", |root| root).build();
    let mut client = Client::joined(&io).await;
    let socket = io.namespace("/").unwrap().sockets().remove(0);

    let answer = socket.emit_with_ack("q", (1, "x"), Duration::from_millis(600));
    assert_eq!(
        client.hears().await,
        ["420[\"q\",1,\"x\"]"],
        "sent before anybody awaits"
    );
    client.says(["30[\"a\",2]", "30[\"twice\"]"]).await;
    assert_eq!(
        answer.await.unwrap().parse::<(String, u8)>().unwrap(),
        ("a".to_owned(), 2)
    );

    let answer = socket.emit_with_ack("q", (), Duration::from_millis(600));
    assert!(matches!(answer.await, Err(AckError::TimedOut)));
    client.says("31[\"late\"]").await;

    let answer = socket.emit_with_ack("q", (), Duration::from_millis(600));
    drop(answer);
    client.says("32[\"given up\"]").await;
    // THREATS B4: dropped and counted, the one that nobody ever asked for as well.
    client.says(["3777[]", "39007199254740991[]"]).await;
    assert_eq!(io.counters().unknown_acks, 5);

    let all: Vec<Answer> = (0..1024)
        .map(|_| socket.emit_with_ack("q", (), Duration::from_secs(1)))
        .collect();
    assert!(matches!(
        socket.emit_with_ack("q", (), Duration::from_secs(1)).await,
        Err(AckError::TooMany)
    ));
    drop(all);
    let answer = socket.emit_with_ack("q", (), Duration::from_secs(1));
    client.vanishes(CloseReason::PingTimeout).await;
    assert!(matches!(answer.await, Err(AckError::Disconnected)));
    assert!(matches!(
        socket.emit_with_ack("q", (), Duration::from_secs(1)).await,
        Err(AckError::Disconnected)
    ));
    assert!(matches!(socket.emit("q", ()), Err(EmitError::Disconnected)));
}

#[tokio::test]
async fn rooms_belong_to_a_namespace_and_end_with_the_socket() {
    let rooms = |namespace: NamespaceBuilder| {
        namespace
            .on("join", |socket, (room,): (String,), ack| async move {
                let _ = ack.send(socket.join(&room));
            })
            .on("leave", |socket, (room,): (String,), ack| async move {
                let _ = ack.send(socket.leave(&room));
            })
            .on("say", |socket, (room, data): (String, Value), _ack| async move {
                let _ = socket.to(&room).emit("said", data);
            })
    };
    let io = SocketIo::builder()
        .namespace("/", rooms)
        .namespace("/custom", rooms)
        .build();
    let root = io.namespace("/").unwrap();
    let mut ann = Client::joined(&io).await;
    let mut bob = Client::joined(&io).await;
    bob.says("0/custom,").await;
    assert_eq!(root.count(), 2);

    assert_eq!(ann.says("20[\"join\",\"tea\"]").await, ["430[true]"]);
    assert_eq!(
        bob.says(["21[\"join\",\"tea\"]", "22[\"leave\",\"coffee\"]"])
            .await,
        ["431[true]", "432[false]"]
    );
    assert_eq!(
        bob.says("2/custom,3[\"join\",\"tea\"]").await,
        ["43/custom,3[true]"]
    );

    assert!(
        ann.says("2[\"say\",\"tea\",{\"b\":1,\"a\":1e400}]")
            .await
            .is_empty()
    );
    assert_eq!(bob.hears().await, ["42[\"said\",{\"b\":1,\"a\":1e400}]"]);
    assert_eq!(
        root.to("tea")
            .emit("news", (1, Binary::from(b"x".to_vec())))
            .unwrap(),
        2
    );
    assert_eq!(
        ann.hears().await,
        ["451-[\"news\",1,{\"_placeholder\":true,\"num\":0}]", "#x"]
    );
    assert_eq!(bob.hears().await.len(), 2);
    assert_eq!(io.namespace("/custom").unwrap().emit("all", ()).unwrap(), 1);
    assert_eq!(bob.hears().await, ["42/custom,[\"all\"]"]);

    assert_eq!(bob.says("24[\"leave\",\"tea\"]").await, ["434[true]"]);
    assert_eq!(root.count_in("tea"), 1);
    for reason in [CloseReason::TransportClose, CloseReason::PingTimeout] {
        let mut carl = Client::joined(&io).await;
        carl.says("20[\"join\",\"tea\"]").await;
        assert_eq!((root.count(), root.count_in("tea")), (3, 2));
        carl.vanishes(reason).await;
        assert_eq!(
            (root.count(), root.count_in("tea"), root.sockets().len()),
            (2, 1, 2)
        );
    }
    bob.says("1").await;
    assert_eq!(
        (root.count(), io.namespace("/custom").unwrap().count_in("tea")),
        (1, 1)
    );
}

#[tokio::test]
async fn volatile_events_need_a_client_that_can_take_them() {
    let io = SocketIo::builder().namespace("/", |root| root).build();
    let mut client = Client::joined(&io).await;
    let root = io.namespace("/").unwrap();
    let socket = root.sockets().remove(0);
    client.connection.set_writable(false);
    assert!(!socket.emit_volatile("typing", ()).unwrap());
    assert_eq!(root.everyone().volatile().emit("typing", ()).unwrap(), 0);
    assert_eq!(socket.broadcast().emit("others", ()).unwrap(), 0);
    socket.emit("message", ()).unwrap();
    client.connection.set_writable(true);
    assert_eq!(root.everyone().volatile().emit("typing", ()).unwrap(), 1);
    assert_eq!(client.hears().await, ["42[\"message\"]", "42[\"typing\"]"]);
}

fn kicked(namespace: NamespaceBuilder, log: &Log) -> NamespaceBuilder {
    let (events, ends) = (log.clone(), log.clone());
    namespace
        .on("kick", |socket, (close,): (bool,), _ack| async move {
            let _ = socket.emit("bye", ());
            if close {
                socket.disconnect_connection();
            } else {
                socket.disconnect();
            }
            assert!(socket.emit("too late", ()).is_err());
        })
        .on("note", move |_socket, (n,): (u32,), _ack| {
            let log = events.clone();
            async move { log.note(n.to_string()) }
        })
        .on_disconnect(move |socket, reason| {
            let log = ends.clone();
            async move {
                tokio::task::yield_now().await;
                log.note(format!("{}: {}", socket.namespace().name(), reason.as_str()));
            }
        })
}

#[tokio::test]
async fn the_server_ends_a_namespace_or_the_connection() {
    let log = Log::default();
    let io = SocketIo::builder()
        .namespace("/", |root| kicked(root, &log))
        .namespace("/custom", |custom| kicked(custom, &log))
        .build();
    let mut client = Client::joined(&io).await;
    client.says("0/custom,").await;

    assert_eq!(
        client.says(["2[\"note\",1]", "2[\"kick\",false]"]).await,
        ["42[\"bye\"]", "41"]
    );
    assert_eq!(log.take(), ["1", "/: server namespace disconnect"]);
    assert_eq!(client.connection.close_reason(), None);
    // What crossed it on the way is ignored, and the client may come back.
    let heard = client.says(["2[\"note\",2]", "0", "2[\"note\",3]"]).await;
    assert!(heard[0].starts_with("40{"));
    assert_eq!(log.take(), ["3"]);

    let heard = client.says("2/custom,[\"kick\",true]").await;
    assert_eq!(heard, ["42/custom,[\"bye\"]", "41/custom,", "41"]);
    assert_eq!(client.connection.close_reason(), Some(CloseReason::ForcedClose));
    client.vanishes(CloseReason::ForcedClose).await;
    let mut ends = log.take();
    ends.sort();
    assert_eq!(
        ends,
        [
            "/: server namespace disconnect",
            "/custom: server namespace disconnect"
        ]
    );
    assert_eq!(io.namespace("/").unwrap().count(), 0);
}

/// PROTOCOL §10: every way to die runs the same clean-up, once, with its reason.
#[tokio::test]
async fn a_disconnect_handler_runs_once_and_last() {
    let log = Log::default();
    let io = SocketIo::builder()
        .namespace("/", |root| kicked(root, &log))
        .build();
    for (messages, reason, expected) in [
        (
            vec!["2[\"note\",1]"],
            CloseReason::TransportClose,
            vec!["1", "/: transport close"],
        ),
        (
            vec!["2[\"note\",1]", "1"],
            CloseReason::TransportClose,
            vec!["1", "/: client namespace disconnect"],
        ),
        (vec!["2{}"], CloseReason::ParseError, vec!["/: parse error"]),
        (
            vec!["1", "0"],
            CloseReason::PingTimeout,
            vec!["/: client namespace disconnect", "/: ping timeout"],
        ),
    ] {
        let mut client = Client::joined(&io).await;
        for message in &messages {
            client
                .session
                .as_mut()
                .unwrap()
                .handle(Message::Text((*message).into()), Instant::now());
        }
        if messages.contains(&"2{}") {
            assert_eq!(client.connection.close_reason(), Some(CloseReason::ParseError));
        }
        // Nothing was polled since: the events that came before are still handled.
        client.vanishes(reason).await;
        let mut notes = log.take();
        notes.sort();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(notes, expected, "{messages:?}");
    }
    assert_eq!(io.namespace("/").unwrap().count(), 0);
    io.stop().await;
}

#[tokio::test]
async fn handlers_go_on_when_the_client_is_gone() {
    let (log, go) = (Log::default(), Arc::new(Notify::new()));
    let io = SocketIo::builder()
        .namespace("/", |root| {
            let (log, go) = (log.clone(), Arc::clone(&go));
            root.on("work", move |_socket, _args: Args, _ack| {
                let (log, go) = (log.clone(), Arc::clone(&go));
                async move {
                    go.notified().await;
                    log.note("done");
                }
            })
        })
        .build();
    let mut client = Client::joined(&io).await;
    client.says("2[\"work\"]").await;
    client.vanishes(CloseReason::TransportError).await;
    assert!(log.take().is_empty());
    go.notify_one();
    io.stop().await;
    assert_eq!(log.take(), ["done"]);
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn orders_from_outside_wake_the_connection() {
    #[derive(Debug, PartialEq)]
    struct Name(&'static str);

    let io = SocketIo::builder()
        .namespace("/", |root| {
            root.admit(|request| async move {
                request.insert_data(Name("ann"));
                Ok(())
            })
        })
        .build();
    let mut client = Client::joined(&io).await;
    let root = io.namespace("/").unwrap();
    let id = root.sockets()[0].id().to_string();
    let socket = root.socket(&id).unwrap();
    assert!(root.socket("unknown").is_none() && root.socket(&"x".repeat(20)).is_none());
    assert_eq!(socket.data::<Name>().as_deref(), Some(&Name("ann")));
    socket.insert_data(7_u32);
    assert_eq!(
        (socket.remove_data::<u32>().as_deref(), socket.data::<u32>()),
        (Some(&7), None)
    );

    let count = Arc::new(Count(AtomicUsize::new(0)));
    client.connection.on_wake(&Waker::from(Arc::clone(&count)));
    socket.disconnect();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(!socket.is_connected() && root.count() == 0);
    assert_eq!(client.hears().await, ["41"]);
    assert!(!socket.join("room"));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_the_handlers_to_answer() {
    let io = SocketIo::builder()
        .namespace("/", |root| {
            root.on("strict", |_socket, (n,): (u32,), ack| async move {
                let _ = ack.send(n);
            })
            .on(
                "polite",
                |_socket, args: Result<(u32,), ArgsError>, ack| async move {
                    let _ = match args {
                        Ok((n,)) => ack.send(n),
                        Err(error) => ack.send(("wrong", error.index)),
                    };
                },
            )
            .fallback(|_socket, name, args, ack| async move {
                let _ = ack.send((name, args.len()));
            })
        })
        .build();
    let mut client = Client::joined(&io).await;
    let heard = client
        .says([
            "20[\"strict\",\"x\"]",
            "21[\"strict\",1]",
            "22[\"polite\",{}]",
            "23[\"error\",1,2]",
            "2[\"no ack\"]",
        ])
        .await;
    assert_eq!(heard, ["431[1]", "432[\"wrong\",0]", "433[\"error\",2]"]);
}
