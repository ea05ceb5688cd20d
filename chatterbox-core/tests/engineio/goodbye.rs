//! The whole chat, when a connection ends from the server's side: what was taken in is answered first.

use std::sync::Arc;
use std::time::Duration;

use chatterbox_core::app::Actor;
use chatterbox_core::app::accounts::{Register, Registered, RevokeSessions};
use chatterbox_core::auth::HashingParams;
use chatterbox_core::ids::UserId;
use chatterbox_core::server::{ChatServer, Ports, Settings};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::{Gate, Slow};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::support::*;

/// A chat whose log waits on command, and somebody in a room of it.
struct Chat {
    server: ChatServer,
    tasks: Tasks,
    log: Gate,
    ann: UserId,
    token: String,
    socket: WebSocket<DuplexStream>,
}

/// A connection that has logged in.
pub(super) async fn login(server: &ChatServer, token: &str) -> WebSocket<DuplexStream> {
    let mut socket = piped(server, "EIO=4&transport=websocket", 4096).await;
    assert!(socket.text().await.starts_with("0{"));
    socket.send(&format!(r#"40{{"token":"{token}"}}"#)).await;
    assert!(socket.text().await.starts_with("40{"));
    assert!(socket.text().await.starts_with(r#"42["authenticated""#));
    socket
}

impl Chat {
    async fn start() -> Chat {
        let tasks = Tasks::new();
        let mut settings = Settings::new(b"a secret of thirty-two bytes or more".to_vec());
        settings.hashing = HashingParams {
            memory_kib: 8,
            iterations: 1,
            lanes: 1,
        };
        let mut ports = Ports::in_memory(1_000);
        let (slow, log) = Slow::new(ports.stores.log.clone());
        ports.stores.log = Arc::new(slow);
        let server = ChatServer::builder(settings, ports)
            .build(tasks.clone())
            .await
            .unwrap();
        let register = Register {
            username: "ann".to_owned(),
            email: "ann@example.org".to_owned(),
            password: "correct horse battery staple".into(),
            display_name: None,
            user_agent: None,
        };
        let Registered(login) = server.stack().call(Actor::Nobody, register).await.unwrap();
        let token = login.tokens.access_token.as_str().to_owned();
        let mut socket = self::login(&server, &token).await;
        socket.send(r#"420["join-room",{"roomName":"general"}]"#).await;
        socket.until("430[").await;
        Chat {
            server,
            tasks,
            log,
            ann: login.user.id,
            token,
            socket,
        }
    }

    /// Ann has sent two messages, which the store has not taken yet.
    async fn with_sends_under_way() -> Chat {
        let mut chat = Chat::start().await;
        chat.log.close();
        for id in [1, 2] {
            let message = format!(r#"42{id}["send-room-message",{{"roomName":"general","content":"{id}"}}]"#);
            chat.socket.send(&message).await;
        }
        // What comes behind is refused at once, when both wait for the store.
        chat.socket.send(r#"423["no-such-event",{}]"#).await;
        chat.socket.until("433[").await;
        chat.log.waiting(1).await;
        chat
    }

    async fn end_sessions(&self) {
        let revoke = RevokeSessions {
            user: self.ann,
            session: None,
        };
        let revoked = self.server.stack().call(Actor::Operator, revoke).await;
        assert_eq!(revoked.unwrap().ended.len(), 1);
    }
}

/// What comes until the close frame, by its first characters, and the frame's code. Then the client goes.
async fn farewell(mut socket: WebSocket<DuplexStream>) -> (Vec<String>, u16) {
    let mut texts = Vec::new();
    loop {
        match socket.next().await {
            Message::Text(text) => texts.push(text.chars().take(20).collect()),
            Message::Close(Some(frame)) => return (texts, frame.code.into()),
            other => panic!("{other:?}"),
        }
    }
}

const DRAINING: &str = r#"42["server-draining""#;
const MESSAGE: &str = r#"42["room-message",{""#;
const SENT: [&str; 2] = [r#"431[{"ok":true,"mess"#, r#"432[{"ok":true,"mess"#];

#[tokio::test(start_paused = true)]
async fn a_drain_answers_the_sends_under_way_first() {
    let chat = Chat::with_sends_under_way().await;
    let (server, log, began) = (chat.server.clone(), chat.log.clone(), Instant::now());
    let ((), (mut texts, code)) = tokio::join!(server.drain(Duration::ZERO), async {
        // The drain is polled first, so it has begun.
        log.open();
        farewell(chat.socket).await
    });
    texts.retain(|text| text != MESSAGE);
    let [first, second] = SENT;
    let expected = [DRAINING, first, second].map(str::to_owned);
    assert_eq!((&texts[..], code), (&expected[..], 1012));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "nobody waits longer than for the answers"
    );
    chat.tasks.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_answers_the_sends_under_way_first() {
    let mut chat = Chat::with_sends_under_way().await;
    chat.end_sessions().await;
    // What the client sends from now on is nobody's.
    chat.socket
        .send(r#"424["send-room-message",{"roomName":"general","content":"late"}]"#)
        .await;
    chat.log.open();
    let (texts, code) = farewell(chat.socket).await;
    let [first, second] = SENT;
    let expected = [first, second, r#"42["session-ended",{"#, "41"].map(str::to_owned);
    assert_eq!(
        (&texts[..], code),
        (&expected[..], 4401),
        "and hears nothing of its rooms any more"
    );
    chat.tasks.stop().await;
}

/// The end of a connection: its own clock, and the code.
async fn lost_at(socket: &mut WebSocket<DuplexStream>, began: Instant) -> (Duration, u16) {
    loop {
        match socket.next().await {
            Message::Close(Some(frame)) => return (began.elapsed(), frame.code.into()),
            Message::Text(text) => assert_ne!(text.as_str(), "41", "clients come back by themselves"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s_128_each_client_is_told_when_to_come_back_and_served_until_then() {
    let chat = Chat::start().await;
    let mut sockets = [chat.socket, login(&chat.server, &chat.token).await];
    sockets[1]
        .send(r#"420["join-room",{"roomName":"general"}]"#)
        .await;
    sockets[1].until("430[").await;
    let (server, began) = (chat.server.clone(), Instant::now());
    let spread = Duration::from_secs(4);
    let ((), ()) = tokio::join!(server.drain(spread), async {
        let mut told = Vec::new();
        for socket in &mut sockets {
            told.push(socket.until(DRAINING).await);
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "all are told at once");
        // In no certain order.
        let of = |ms: u64| format!(r#"42["server-draining",{{"reconnectAfterMs":{ms}}}]"#);
        let late = told.iter().position(|text| *text == of(2000)).unwrap();
        assert_eq!(told[1 - late], of(0));
        let (took, code) = lost_at(&mut sockets[1 - late], began).await;
        assert_eq!((took.as_secs(), code), (0, 1012));
        let send = r#"421["send-room-message",{"roomName":"general","content":"still here"}]"#;
        sockets[late].send(send).await;
        assert!(sockets[late].until("431[").await.starts_with(r#"431[{"ok":true"#));
        let (took, code) = lost_at(&mut sockets[late], began).await;
        assert_eq!((took.as_secs(), code), (2, 1012));
        drop(sockets);
    });
    assert!(
        began.elapsed() <= spread + Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    chat.tasks.stop().await;
}

/// I8: dead within a second, whatever the store does; and a drain doesn't take for ever.
#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_holds_up_no_end() {
    let chat = Chat::with_sends_under_way().await;
    let began = Instant::now();
    chat.end_sessions().await;
    let (texts, code) = farewell(chat.socket).await;
    let expected = [r#"42["session-ended",{"#, "41"].map(str::to_owned);
    assert_eq!((&texts[..], code), (&expected[..], 4401));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    let chat = Chat::with_sends_under_way().await;
    let (server, began) = (chat.server.clone(), Instant::now());
    let ((), (texts, code)) = tokio::join!(server.drain(Duration::ZERO), farewell(chat.socket));
    assert_eq!((&texts[..], code), (&[DRAINING.to_owned()][..], 1012));
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(1) && took < Duration::from_secs(3),
        "{took:?}"
    );
}
