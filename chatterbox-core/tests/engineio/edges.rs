//! Edge cases of SPEC.md section 10 that need a whole connection: its pings, its deadlines, its end.

use std::time::Duration;

use chatterbox_core::app::accounts::{Refresh, Refreshed, Register, Registered, SuspendUser};
use chatterbox_core::app::conversations::OpenDirect;
use chatterbox_core::app::{Actor, Principal};
use chatterbox_core::auth::HashingParams;
use chatterbox_core::domain::secret::Secret;
use chatterbox_core::ids::{SessionId, TokenId, UserId};
use chatterbox_core::server::{ChatServer, Ports, Settings};
use chatterbox_core::tasks::Tasks;
use chatterbox_core::testkit::{SeededIds, samples};
use futures_util::StreamExt as _;
use tokio::io::DuplexStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::goodbye::login;
use super::support::WebSocket;

const TOKEN_TTL: Duration = Duration::from_secs(100);

struct Person {
    id: UserId,
    token: String,
    refresh_token: Secret,
}

async fn chat() -> (ChatServer, Tasks) {
    let tasks = Tasks::new();
    let mut settings = Settings::new(b"a secret of thirty-two bytes or more".to_vec());
    settings.hashing = HashingParams {
        memory_kib: 8,
        iterations: 1,
        lanes: 1,
    };
    settings.access_token_ttl = TOKEN_TTL;
    let server = ChatServer::builder(settings, Ports::in_memory(1_000))
        .build(tasks.clone())
        .await
        .unwrap();
    (server, tasks)
}

async fn person(server: &ChatServer, name: &str) -> Person {
    let register = Register {
        username: name.to_owned(),
        email: format!("{name}@example.org"),
        password: "correct horse battery staple".into(),
        display_name: None,
        user_agent: None,
    };
    let Registered(login) = server.stack().call(Actor::Nobody, register).await.unwrap();
    Person {
        id: login.user.id,
        token: login.tokens.access_token.as_str().to_owned(),
        refresh_token: login.tokens.refresh_token,
    }
}

/// What comes next that is no ping; pings are answered.
async fn next(socket: &mut WebSocket<DuplexStream>) -> Message {
    loop {
        let message = timeout(Duration::from_mins(10), socket.0.next()).await;
        match message.expect("something comes").expect("not ended").unwrap() {
            Message::Text(text) if text.as_str() == "2" => socket.send("3").await,
            message => return message,
        }
    }
}

/// The next text that begins so.
async fn hears(socket: &mut WebSocket<DuplexStream>, beginning: &str) -> String {
    loop {
        match next(socket).await {
            Message::Text(text) if text.starts_with(beginning) => return text.to_string(),
            Message::Text(_) => {}
            other => panic!("{other:?} instead of {beginning}"),
        }
    }
}

/// `session-ended` for this reason, the Socket.IO disconnect, and the close frame, in this order and nothing else.
async fn ends(socket: &mut WebSocket<DuplexStream>, reason: &str, code: u16) {
    let told = format!(r#"42["session-ended",{{"reason":"{reason}","reconnect":false}}]"#);
    for expected in [told.as_str(), "41"] {
        match next(socket).await {
            Message::Text(text) => assert_eq!(text.as_str(), expected),
            other => panic!("{other:?} instead of {expected}"),
        }
    }
    match next(socket).await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), code),
        other => panic!("{other:?}"),
    }
}

/// S-083, S-128.
#[tokio::test(start_paused = true)]
async fn edge_6_a_token_that_expires_mid_socket_ends_it_unless_it_is_renewed_in_time() {
    let (server, tasks) = chat().await;
    let ann = person(&server, "ann").await;
    let began = Instant::now();
    let (mut lazy, mut busy) = (login(&server, &ann.token).await, login(&server, &ann.token).await);
    // At once: who doesn't listen answers no pings.
    let expiring = r#"42["token-expiring",{"expiresInMs":"#;
    tokio::join!(hears(&mut lazy, expiring), hears(&mut busy, expiring));
    let warned = TOKEN_TTL.saturating_sub(began.elapsed()).as_secs();
    assert!((59..=60).contains(&warned), "{warned} s before the end");
    let refresh = Refresh {
        refresh_token: ann.refresh_token,
    };
    let refreshed = server.stack().call(Actor::Nobody, refresh).await.unwrap();
    let Refreshed::Tokens(tokens) = refreshed else {
        panic!("{refreshed:?}")
    };
    let token = tokens.access_token.as_str();
    busy.send(&format!(r#"420["auth",{{"token":"{token}"}}]"#)).await;
    assert!(hears(&mut busy, "430[").await.starts_with(r#"430[{"ok":true"#));

    tokio::select! {
        () = ends(&mut lazy, "expired", 4401) => {}
        text = hears(&mut busy, "41") => panic!("{text}"),
    }
    let lasted = began.elapsed();
    assert!(lasted <= TOKEN_TTL + Duration::from_secs(1), "{lasted:?}");
    busy.send(r#"421["heartbeat",{}]"#).await;
    assert!(hears(&mut busy, "431[").await.starts_with(r#"431[{"ok":true"#));
    tasks.stop().await;
}

/// I8: within a second, on all devices, and for good.
#[tokio::test(start_paused = true)]
async fn edge_6_a_user_who_is_suspended_mid_socket_is_out_at_once_on_all_devices() {
    let (server, tasks) = chat().await;
    let [ann, bob] = [person(&server, "ann").await, person(&server, "bob").await];
    let mut sockets = [login(&server, &ann.token).await, login(&server, &ann.token).await];
    let mut bobs = login(&server, &bob.token).await;
    let began = Instant::now();
    let suspend = SuspendUser {
        id: ann.id,
        suspended: true,
    };
    server.stack().call(Actor::Operator, suspend).await.unwrap();
    for socket in &mut sockets {
        ends(socket, "suspended", 4403).await;
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let mut again = super::support::piped(&server, "EIO=4&transport=websocket", 4096).await;
    again.send(&format!(r#"40{{"token":"{}"}}"#, ann.token)).await;
    hears(&mut again, "44{").await;
    bobs.send(r#"421["heartbeat",{}]"#).await;
    assert!(hears(&mut bobs, "431[").await.starts_with(r#"431[{"ok":true"#));
    tasks.stop().await;
}

/// I7: a device that no longer answers is away, though nothing closed its connection.
#[tokio::test(start_paused = true)]
async fn edge_14_a_heartbeat_that_stops_while_tcp_stays_ends_in_presence_offline() {
    let (server, tasks) = chat().await;
    let [ann, bob] = [person(&server, "ann").await, person(&server, "bob").await];
    let open = OpenDirect {
        user_id: bob.id.to_string(),
    };
    let ids = SeededIds::new(1);
    let principal = Principal {
        user: ann.id,
        session: SessionId::new(&ids),
        token: TokenId::new(&ids),
        expires_at: samples::in_secs(1_000_000),
    };
    server.stack().call(Actor::User(principal), open).await.unwrap();
    let mut bobs = login(&server, &bob.token).await;
    let mut silent = login(&server, &ann.token).await;
    let online = hears(&mut bobs, r#"42["presence:online""#).await;
    assert!(online.contains(&ann.id.to_string()), "{online}");
    let began = Instant::now();
    let offline = hears(&mut bobs, r#"42["presence:offline""#).await;
    assert!(offline.contains(&ann.id.to_string()), "{offline}");
    // A ping comes within 25 s and is waited for for 20 s; who then doesn't come back within 10 to 15 s is away.
    let took = began.elapsed().as_secs();
    assert!((45..=60).contains(&took), "{took} s");
    // She would have been told.
    let mut frames = Vec::new();
    while let Some(Ok(message)) = silent.0.next().await {
        frames.push(message);
    }
    let last = frames.last();
    assert!(
        matches!(last, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1000),
        "{frames:?}"
    );
    tasks.stop().await;
}
