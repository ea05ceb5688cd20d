//! The machine without sockets: what goes in, and the steps that come out, as text.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::app::Principal;
use crate::app::rooms::RoomLeft;
use crate::clock::Timestamp;
use crate::engine::Message;
use crate::engine::sio::Rules;
use crate::error::Error;
use crate::ids::{ConversationId, RawId, SessionId, TokenId, UserId};
use crate::views::PublicUser;

struct Session {
    chat: Chat,
    now: Instant,
    queued: Vec<Request>,
}

impl Session {
    fn opened() -> Session {
        let now = Instant::now();
        let chat = Chat::new(Arc::new(Rules::new(["/"])), Arc::new(ChatRules::default()), now);
        Session {
            chat,
            now,
            queued: Vec::new(),
        }
    }

    fn connected() -> Session {
        let mut session = Session::opened();
        assert_eq!(session.hears("0"), ["joined", r#"40{"sid":"public"}"#]);
        session
    }

    fn member() -> Session {
        let mut session = Session::connected();
        session.hears(r#"20["auth",{"token":"t"}]"#);
        session.answers(Ok(Replied::Authenticated(identity(1, 900))));
        session
    }

    fn hears(&mut self, text: &str) -> Vec<String> {
        let steps = self
            .chat
            .handle(Message::Text(text.into()), || "public".to_owned(), self.now);
        self.picture(steps)
    }

    /// Begins the next request; its action runs and gives `result`.
    fn answers(&mut self, result: Result<Replied, Error>) -> Vec<String> {
        let mut request = self.queued.remove(0);
        let steps = match self.chat.begin(&mut request, self.now) {
            Begun::Answered(steps) => steps,
            Begun::Run(_) => self
                .chat
                .finish(&request, result, || "public".to_owned(), self.now),
        };
        self.picture(steps)
    }

    /// Begins the next request, which must be answered without running.
    fn begins(&mut self) -> Vec<String> {
        let mut request = self.queued.remove(0);
        match self.chat.begin(&mut request, self.now) {
            Begun::Answered(steps) => self.picture(steps),
            Begun::Run(action) => vec![format!("run {action:?}")],
        }
    }

    fn waits(&mut self, seconds: u64) -> Vec<String> {
        self.now += Duration::from_secs(seconds);
        let mut seen = Vec::new();
        while self.chat.poll_timeout().is_some_and(|due| due <= self.now) {
            let steps = self.chat.handle_timeout(self.now);
            if steps.is_empty() {
                break;
            }
            seen.extend(self.picture(steps));
        }
        seen
    }

    fn picture(&mut self, steps: Steps) -> Vec<String> {
        let pictures = steps.into_iter().map(|step| match step {
            Step::Send(packet) => String::from_utf8(packet[0].payload().to_vec()).unwrap(),
            Step::Queue(request) => {
                let picture = format!("queue {}", request.event);
                self.queued.push(*request);
                picture
            }
            Step::QueueFirst(request) => {
                let picture = format!("queue first {}", request.event);
                self.queued.insert(0, *request);
                picture
            }
            Step::Joined => "joined".to_owned(),
            Step::TooFast => "too fast".to_owned(),
            Step::Leave => "leave".to_owned(),
            Step::End(reason) => format!("end {}", reason.as_str()),
            Step::Close(reason) => format!("close {}", reason.as_str()),
        });
        pictures.collect()
    }
}

fn identity(user: u8, expires_in_secs: u64) -> Identity {
    let user = UserId(RawId([user; 12]));
    Identity {
        principal: Principal {
            user,
            session: SessionId(RawId([2; 12])),
            token: TokenId(RawId([3; 12])),
            expires_at: Timestamp::from_millis(0),
        },
        user: Arc::new(PublicUser {
            id: user,
            username: "ann".to_owned(),
            display_name: None,
        }),
        expires_in: Duration::from_secs(expires_in_secs),
        server_time: Timestamp::from_millis(0),
        resume: None,
    }
}

const AUTHENTICATED: &str = concat!(
    r#"42["authenticated",{"user":{"id":"010101010101010101010101","username":"ann"},"#,
    r#""sessionId":"020202020202020202020202","serverTime":"1970-01-01T00:00:00.000Z","#,
    r#""heartbeatInterval":30000,"limits":{"messageChars":4000,"messagesPerSecond":10}}]"#
);

#[test]
fn auth_is_acked_and_greeted_s_083_s_096() {
    let mut session = Session::connected();
    assert_eq!(
        session.hears(r#"20["auth",{"token":"t","cursors":{}}]"#),
        ["queue auth"]
    );
    let ack = concat!(
        r#"430[{"ok":true,"user":{"id":"010101010101010101010101","username":"ann"},"#,
        r#""sessionId":"020202020202020202020202"}]"#
    );
    assert_eq!(
        session.answers(Ok(Replied::Authenticated(identity(1, 900)))),
        [ack, AUTHENTICATED]
    );
}

#[test]
fn a_token_in_the_connect_payload_spares_the_guest() {
    let mut session = Session::opened();
    assert_eq!(session.hears(r#"0{"token":"t"}"#), ["queue connect"]);
    assert_eq!(
        session.hears(r#"21["heartbeat"]"#),
        Vec::<String>::new(),
        "held for the answer"
    );
    let namespace = match session.chat.begin(&mut session.queued[0], session.now) {
        Begun::Run(Action::Enter { namespace, .. }) => namespace,
        other => panic!("{other:?}"),
    };
    let request = session.queued.remove(0);
    let entered = Ok(Replied::Entered(namespace, Ok(identity(1, 900))));
    let steps = session
        .chat
        .finish(&request, entered, || "public".to_owned(), session.now);
    let seen = session.picture(steps);
    assert_eq!(
        seen,
        [
            "joined",
            r#"40{"sid":"public"}"#,
            AUTHENTICATED,
            "queue heartbeat"
        ]
    );
}

#[test]
fn a_bad_token_in_the_connect_payload_is_a_connect_error() {
    let mut session = Session::opened();
    session.hears(r#"0{"token":"bad"}"#);
    let Begun::Run(Action::Enter { namespace, .. }) = session.chat.begin(&mut session.queued[0], session.now)
    else {
        panic!("a token is looked at")
    };
    let request = session.queued.remove(0);
    let entered = Ok(Replied::Entered(namespace, Err(Error::TokenExpired)));
    let steps = session
        .chat
        .finish(&request, entered, || "public".to_owned(), session.now);
    let refusal = r#"44{"message":"the access token has expired","data":{"code":"TOKEN_EXPIRED"}}"#;
    assert_eq!(session.picture(steps), [refusal]);
}

#[test]
fn a_connect_payload_without_a_token_makes_a_guest_and_with_an_odd_one_is_refused() {
    let refused = concat!(
        r#"44{"message":"token: must be a string, given once","#,
        r#""data":{"code":"VALIDATION"}}"#
    );
    for (payload, expected) in [
        ("", vec!["joined", r#"40{"sid":"public"}"#]),
        ("{}", vec!["joined", r#"40{"sid":"public"}"#]),
        (
            r#"{"token":null,"device":"x"}"#,
            vec!["joined", r#"40{"sid":"public"}"#],
        ),
        (r#"{"token":{"$gt":""}}"#, vec![refused]),
        (r#"{"token":7}"#, vec![refused]),
        (r#"{"token":"a","token":"b"}"#, vec![refused]),
    ] {
        assert_eq!(
            Session::opened().hears(&format!("0{payload}")),
            expected,
            "{payload}"
        );
    }
}

#[test]
fn before_auth_every_other_event_is_unauthenticated_and_counted() {
    let mut session = Session::connected();
    session.hears(r#"25["join-room",{"roomName":"tea"}]"#);
    assert_eq!(
        session.begins(),
        [r#"435[{"ok":false,"error":{"code":"UNAUTHENTICATED","message":"send auth first"}}]"#]
    );
    for _ in 0..19 {
        session.hears(r#"2["heartbeat"]"#);
        let seen = session.begins();
        assert!(seen[0].starts_with(r#"42["request-error",{"event":"heartbeat","code":"UNAUTHENTICATED""#));
        assert_eq!(seen.len(), 1);
    }
    session.hears(r#"2["heartbeat"]"#);
    assert_eq!(session.begins()[1..], ["close abuse"]);
}

#[test]
fn before_auth_unknown_events_are_counted_too_s_083() {
    let mut session = Session::connected();
    for _ in 0..20 {
        session.hears(r#"2["no-such-event"]"#);
        let seen = session.begins();
        assert!(
            seen[0].starts_with(r#"42["request-error",{"event":"no-such-event","code":"UNAUTHENTICATED""#)
        );
        assert_eq!(seen.len(), 1);
    }
    session.hears(r#"2["no-such-event"]"#);
    assert_eq!(session.begins()[1..], ["close abuse"]);
}

#[test]
fn a_malformed_auth_is_told_so_and_counts_as_a_refused_token_s_096() {
    let mut session = Session::connected();
    for payload in [r#",{"token":{"$gt":""}}"#, "", r#",["t"]"#] {
        session.hears(&format!(r#"21["auth"{payload}]"#));
        let seen = session.begins();
        assert!(
            seen[0].starts_with(r#"431[{"ok":false,"error":{"code":"VALIDATION""#),
            "{payload}: {seen:?}"
        );
        let ended = seen.get(1).map(String::as_str);
        let is_third = payload.starts_with(",[");
        assert_eq!(ended, is_third.then_some("end not-authenticated"), "{payload}");
    }
}

#[test]
fn an_event_right_behind_auth_is_a_members() {
    let mut session = Session::connected();
    session.hears(r#"20["auth",{"token":"t"}]"#);
    session.hears(r#"21["join-room",{"roomName":"tea"}]"#);
    session.answers(Ok(Replied::Authenticated(identity(1, 900))));
    assert_eq!(
        session.begins(),
        [r#"run JoinRoom(JoinRoom { room_name: "tea" })"#]
    );
}

#[test]
fn three_refused_tokens_end_the_session_s_096() {
    let mut session = Session::connected();
    for attempt in 1..=3 {
        session.hears(r#"2["auth",{"token":"bad"}]"#);
        let seen = session.answers(Err(Error::Unauthenticated("the access token is not valid")));
        assert!(seen[0].starts_with(r#"42["request-error",{"event":"auth","code":"UNAUTHENTICATED""#));
        assert_eq!(seen.len(), if attempt == 3 { 2 } else { 1 });
        if attempt == 3 {
            assert_eq!(seen[1], "end not-authenticated");
        }
    }
}

#[test]
fn a_store_that_is_away_does_not_count_against_the_token() {
    let mut session = Session::connected();
    for _ in 0..5 {
        session.hears(r#"20["auth",{"token":"t"}]"#);
        assert_eq!(session.answers(Err(Error::Unavailable(None))).len(), 1);
    }
}

#[test]
fn deadlines() {
    for (name, mut session, wait, expected) in [
        (
            "no namespace",
            Session::opened(),
            10,
            vec!["close connect timeout"],
        ),
        (
            "no token",
            Session::connected(),
            10,
            vec!["end not-authenticated"],
        ),
        ("in time", Session::connected(), 9, vec![]),
        ("member, early", Session::member(), 839, vec![]),
        (
            "member, warned",
            Session::member(),
            840,
            vec![r#"42["token-expiring",{"expiresInMs":60000}]"#],
        ),
    ] {
        assert_eq!(session.waits(wait), expected, "{name}");
    }
    let mut session = Session::member();
    session.waits(840);
    assert_eq!(session.waits(59), Vec::<String>::new());
    assert_eq!(session.waits(1), ["end expired"]);
}

#[test]
fn a_new_token_prolongs_the_session_s_083() {
    let mut session = Session::member();
    session.waits(850);
    session.hears(r#"27["auth",{"token":"newer"}]"#);
    session.answers(Ok(Replied::Authenticated(identity(1, 900))));
    assert_eq!(session.waits(100), Vec::<String>::new());
}

#[test]
fn leaving_the_namespace_ends_everything_but_the_transport() {
    let mut session = Session::member();
    assert_eq!(session.hears("1"), ["leave"]);
    assert!(session.chat.principal().is_none());
    assert_eq!(session.hears("0"), ["joined", r#"40{"sid":"public"}"#]);
    assert_eq!(session.waits(10), ["end not-authenticated"]);
}

#[test]
fn a_guest_who_leaves_and_returns_gains_neither_time_nor_tries_s_083() {
    let mut session = Session::connected();
    for attempt in 1..=3 {
        session.hears(r#"2["auth",{"token":"bad"}]"#);
        let seen = session.answers(Err(Error::Unauthenticated("the access token is not valid")));
        assert_eq!(seen.len(), if attempt == 3 { 2 } else { 1 }, "{attempt}");
        session.hears("1");
        session.hears("0");
    }
    let mut session = Session::connected();
    assert_eq!(session.waits(9), Vec::<String>::new());
    session.hears("1");
    session.hears("0");
    assert_eq!(session.waits(1), ["end not-authenticated"]);
}

#[test]
fn malformed_payloads_are_answered_and_change_nothing() {
    for (event, complaint) in [
        (r#"["join-room"]"#, "payload: an object is missing"),
        (r#"["join-room",{}]"#, "roomName: required"),
        (r#"["join-room",{"roomName":null}]"#, "roomName: required"),
        (
            r#"["join-room",{"roomName":{"$gt":""}}]"#,
            "roomName: must be a string",
        ),
        (r#"["join-room",null]"#, "payload: must be an object"),
        (r#"["join-room","tea"]"#, "payload: must be an object"),
        (r#"["join-room",["tea"]]"#, "payload: must be an object"),
        (r#"["heartbeat",[true]]"#, "payload: must be an object"),
        (
            r#"["join-room",{"roomName":"a","roomName":"b"}]"#,
            "roomName: given more than once, or beside another that excludes it",
        ),
        (
            r#"["send-room-message",{"roomName":"a","content":1}]"#,
            "content: must be a string",
        ),
        (
            r#"["send-room-message",{"roomName":"a","content":"b","mentions":{}}]"#,
            "mentions: must be a JSON array",
        ),
        (
            r#"["send-room-message",{"roomName":"a","content":"b","mentions":["c",[]]}]"#,
            "mentions[1]: must be a string",
        ),
        (r#"["heartbeat",{"active":"yes"}]"#, "active: must be a boolean"),
        (r#"["auth",{"token":7}]"#, "token: must be a string"),
        (r#"["no-such-event",1]"#, "event: unknown event no-such-event"),
        (r#"["__proto__",1]"#, "event: unknown event __proto__"),
    ] {
        let mut session = Session::member();
        assert_eq!(session.hears(&format!("23{event}")).len(), 1, "{event}");
        let seen = session.begins();
        let refusal =
            format!(r#"433[{{"ok":false,"error":{{"code":"VALIDATION","message":"{complaint}"}}}}]"#);
        assert_eq!(seen, [refusal], "{event}");
    }
}

#[test]
fn complaints_don_t_send_back_what_was_sent() {
    let mut session = Session::member();
    let long = "é".repeat(10_000);
    session.hears(&format!(r#"23["auth",{{"token":7,"x":"{long}"}}]"#));
    assert!(session.begins()[0].len() < 300);
    session.hears(&format!(r#"23["join-room","{long}"]"#));
    assert!(session.begins()[0].len() < 300);
}

#[test]
fn unknown_events_without_ack_are_ignored_until_they_are_too_many() {
    let mut session = Session::member();
    session.hears(r#"2["no-such-event",1]"#);
    assert_eq!(session.begins(), Vec::<String>::new());
    session.hears(r#"2["error"]"#);
    assert_eq!(
        session.begins(),
        Vec::<String>::new(),
        "an ordinary event (CVE-2024-38355)"
    );
    for _ in 0..200 {
        session.hears(r#"2["no-such-event",1]"#);
        if session.begins().contains(&"close abuse".to_owned()) {
            return;
        }
    }
    panic!("they are counted like any other event");
}

#[test]
fn binary_attachments_are_no_part_of_our_events() {
    let mut session = Session::member();
    session.hears(r#"51-9["join-room",{"_placeholder":true,"num":0}]"#);
    let bytes = Message::Binary(vec![1, 2].into());
    let steps = session.chat.handle(bytes, || "public".to_owned(), session.now);
    session.picture(steps);
    assert!(session.begins()[0].starts_with(r#"439[{"ok":false,"error":{"code":"VALIDATION""#));
}

#[test]
fn too_many_signals_are_refused_and_in_the_end_closed_s_142() {
    let mut session = Session::member();
    let mut refused = 0;
    loop {
        session.hears(r#"24["heartbeat"]"#);
        match session.begins().as_slice() {
            [run] if run.starts_with("run") => assert_eq!(refused, 0),
            [ack] => {
                let error = r#"434[{"ok":false,"error":{"code":"RATE_LIMITED","message":"too many requests, try again in 33 ms","retryAfterMs":33}}]"#;
                assert_eq!(ack, error);
                refused += 1;
            }
            [_, close] => {
                assert_eq!(close, "close abuse");
                assert_eq!(refused, 100);
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn replies_are_written_as_clients_read_them() {
    let mut session = Session::member();
    session.hears(r#"26["leave-room",{"roomName":"tea"}]"#);
    let left = RoomLeft {
        conversation: ConversationId(RawId([4; 12])),
        room_name: "tea".to_owned(),
        member_count: 3,
    };
    assert_eq!(
        session.answers(Ok(Replied::Reply(Box::new(left.into())))),
        [r#"436[{"ok":true,"roomName":"tea","memberCount":3}]"#]
    );
    session.hears(r#"27["heartbeat",{"active":true}]"#);
    let beat = Replied::Beat(Timestamp::from_millis(1), Vec::new());
    assert_eq!(
        session.answers(Ok(beat)),
        [r#"437[{"ok":true,"serverTime":"1970-01-01T00:00:00.001Z"}]"#]
    );
    session.hears(r#"2["send-room-message",{"roomName":"tea","content":"hi","clientMessageId":"k"}]"#);
    let denied = Err(Error::RateLimited {
        retry_after: Duration::from_millis(70),
    });
    let error = concat!(
        r#"42["request-error",{"event":"send-room-message","code":"RATE_LIMITED","#,
        r#""message":"too many requests, try again in 70 ms","retryAfterMs":70,"clientMessageId":"k"}]"#
    );
    assert_eq!(session.answers(denied), [error, "too fast"]);
}

#[test]
fn a_request_error_names_the_message_also_where_its_payload_is_wrong_elsewhere() {
    let mut session = Session::member();
    for (payload, named) in [
        (
            r#"{"conversationId":"c","content":{},"clientMessageId":"k"}"#,
            true,
        ),
        (r#"{"clientMessageId":"k"}"#, true),
        (r#"{"content":{},"clientMessageId":7}"#, false),
        (
            r#"{"content":{},"clientMessageId":"k","clientMessageId":"k"}"#,
            false,
        ),
        (r#"["k"]"#, false),
        (r#""k""#, false),
    ] {
        session.hears(&format!(r#"2["send-message",{payload}]"#));
        let told = session.begins().concat();
        assert!(
            told.starts_with(r#"42["request-error",{"event":"send-message","code":"VALIDATION""#),
            "{told}"
        );
        assert_eq!(
            told.ends_with(r#","clientMessageId":"k"}]"#),
            named,
            "{payload}: {told}"
        );
    }
    let long = "k".repeat(65);
    session.hears(&format!(
        r#"2["send-message",{{"content":{{}},"clientMessageId":"{long}"}}]"#
    ));
    assert!(!session.begins().concat().contains("kk"), "no good key");
    session.hears(r#"25["send-message",{"content":{},"clientMessageId":"k"}]"#);
    assert!(session.begins().concat().starts_with(r#"435[{"ok":false"#));
}

#[test]
fn events_that_are_commands_are_read_as_such() {
    // S-086, S-088, S-091, S-130, S-131, S-132: what REST can do to messages, a socket can.
    let id = "0123456789abcdef01234567";
    for (event, payload, command) in [
        (
            "send-message",
            r#""conversationId":"ID","content":"hi""#,
            "SendMessage",
        ),
        (
            "send-room-message",
            r#""roomName":"tea","content":"hi""#,
            "SendRoomMessage",
        ),
        (
            "edit-message",
            r#""conversationId":"ID","messageId":"ID","content":"hi""#,
            "EditMessage",
        ),
        (
            "delete-message",
            r#""conversationId":"ID","messageId":"ID","scope":"me""#,
            "DeleteMessage",
        ),
        (
            "add-reaction",
            r#""conversationId":"ID","messageId":"ID","emoji":"👍""#,
            "AddReaction",
        ),
        (
            "remove-reaction",
            r#""conversationId":"ID","messageId":"ID","emoji":"👍""#,
            "RemoveReaction",
        ),
        (
            "mark-read",
            r#""conversationId":"ID","messageIds":["ID"]"#,
            "MarkRead",
        ),
    ] {
        let mut session = Session::member();
        let payload = payload.replace("ID", id);
        session.hears(&format!(r#"2["{event}",{{{payload}}}]"#));
        let begun = session.begins().remove(0);
        assert!(begun.starts_with(&format!("run Call({command}(")), "{begun}");
        // Nothing, no object, and a wrong type are refused.
        for wrong in [
            "",
            ",null",
            ",[]",
            r#",{"conversationId":{"$gt":""},"roomName":1}"#,
        ] {
            session.hears(&format!(r#"21["{event}"{wrong}]"#));
            let refused = session.begins().remove(0);
            assert!(
                refused.starts_with(r#"431[{"ok":false,"error":{"code":"VALIDATION""#),
                "{refused}"
            );
        }
    }
}
