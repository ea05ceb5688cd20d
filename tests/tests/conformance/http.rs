//! PROTOCOL.md sections 2, 3, 4 and 14: what HTTP requests are answered.

use reqwest::Method;
use serde_json::{Value, json};

use super::example::{Example, PATHS};
use super::wire::{Answer, Packet, Polling, RS, Transport, Websocket, Wire, client, websocket};

const ORIGIN: &str = "http://a.test";

#[tokio::test]
async fn protocol_2_the_handshake_has_five_keys_and_a_secret() {
    let example = Example::hasty().await;
    for path in PATHS {
        let query = "EIO=4&transport=polling";
        let mut sids = Vec::new();
        for url in [
            example.url(path, query),
            example.url_v6(path, query),
            example.url(path, "t=x&transport=polling&b64=1&j=0&EIO=4&user=ann"),
        ] {
            let answer = Answer::read(client().get(url).header("Origin", ORIGIN).send()).await;
            assert_eq!(answer.status, 200, "{path}");
            for (name, expected) in [
                ("content-type", "text/plain; charset=utf-8"),
                ("cache-control", "no-store"),
                ("access-control-allow-origin", "*"),
            ] {
                assert_eq!(answer.header(name).to_lowercase(), expected, "{path} {name}");
            }
            sids.push(open_packet(&answer.body, &["websocket"]));
        }
        let stream = websocket(&example, path, "EIO=4&transport=websocket").await;
        let mut socket = Websocket::unopened(stream.unwrap());
        sids.push(open_packet(&socket.next().await.text(), &[]));
        sids.sort();
        sids.dedup();
        assert_eq!(sids.len(), 4, "a new one each time");
    }
}

/// Checks it and returns the sid.
fn open_packet(packet: &str, upgrades: &[&str]) -> String {
    let mut open: Value = serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
    let sid = open["sid"].as_str().unwrap().to_owned();
    assert!(
        sid.len() >= 20
            && sid
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        "120 bits or more, safe in URLs: {sid}"
    );
    open["sid"] = Value::Null;
    let expected = json!({
        "sid": null, "upgrades": upgrades, "pingInterval": 300, "pingTimeout": 200, "maxPayload": 1_000_000
    });
    assert_eq!(open, expected);
    sid
}

#[tokio::test]
async fn protocol_2_bad_requests_have_their_codes_and_cors_headers() {
    let example = Example::calm().await;
    for path in PATHS {
        let wire = Polling::open(&example, path).await;
        let mine = format!("sid={}", wire.sid);
        let websocket_born = Wire::open(&example, path, Transport::Websocket).await;
        let other = format!("sid={}", websocket_born.sid());
        for (method, query, code) in [
            (Method::GET, "EIO=4", 0),
            (Method::GET, "EIO=4&transport=abc", 0),
            (Method::GET, "EIO=4&transport=__proto__", 0),
            (Method::GET, "EIO=4&transport=constructor", 0),
            (Method::GET, "EIO=3&transport=abc", 0),
            (Method::GET, "EIO=4&transport=polling&sid=", 1),
            (Method::GET, "EIO=4&transport=polling&sid=made-up", 1),
            (Method::GET, "EIO=4&transport=polling&sid=__proto__", 1),
            (
                Method::POST,
                "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAA",
                1,
            ),
            (Method::POST, "EIO=4&transport=polling", 2),
            (Method::PUT, "EIO=4&transport=polling", 2),
            (Method::GET, "EIO=4&transport=websocket", 3),
            (Method::GET, &format!("EIO=4&transport=websocket&{mine}"), 3),
            (Method::GET, &format!("EIO=3&transport=polling&{mine}"), 3),
            (Method::GET, &format!("EIO=4&transport=polling&{other}"), 3),
            (Method::GET, "transport=polling", 5),
            (Method::GET, "EIO=abc&transport=polling", 5),
            (Method::GET, "EIO=3&transport=polling", 5),
        ] {
            let request = client().request(method.clone(), example.url(path, query));
            let answer = Answer::read(request.header("Origin", ORIGIN).send()).await;
            assert_eq!(answer.refusal(), (400, Some(code)), "{method} {path} {query}");
            assert_eq!(answer.header("content-type"), "application/json", "{query}");
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{query}");
        }
        for query in [
            "transport=websocket",
            "EIO=abc&transport=websocket",
            "EIO=3&transport=websocket",
            "EIO=4",
            "EIO=4&transport=abc",
            "EIO=4&transport=websocket&sid=made-up",
        ] {
            assert_eq!(
                websocket(&example, path, query).await.err(),
                Some(400),
                "{path} {query}"
            );
        }
        // None of it did the sessions any harm.
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            assert_eq!(wire.request(method, "4x").await.status, 400);
        }
        assert_eq!(wire.post(["3".into()]).await.status, 200);
    }
}

#[tokio::test]
async fn protocol_14_a_preflight_is_answered() {
    let example = Example::calm().await;
    for path in PATHS {
        let request = client()
            .request(Method::OPTIONS, example.url(path, "EIO=4&transport=polling"))
            .header("Origin", ORIGIN)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "x-token,content-type");
        let answer = Answer::read(request.send()).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "x-token,content-type"
        );
    }
}

#[tokio::test]
async fn protocol_4_payloads_come_back_as_they_were_sent() {
    let example = Example::calm().await;
    for packets in [
        "4hello",
        "4",
        "4test1\u{1e}4test2\u{1e}4test3",
        "4hello\u{1e}bAQIDBA==",
        "b\u{1e}bAA==\u{1e}4é😀",
    ] {
        let ann = Polling::open(&example, "/engine.io/").await;
        let posted = ann.request(Method::POST, packets).await;
        assert_eq!((posted.status, posted.body.as_str()), (200, "ok"));
        assert!(posted.header("content-type").starts_with("text/html"));
        let polled = ann.get().await;
        assert_eq!(polled.body, packets);
        assert_eq!(
            polled.header("content-length"),
            packets.len().to_string(),
            "bytes, not characters"
        );
        for answer in [posted, polled] {
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    // Binary messages by websocket have no type in front.
    let mut bob = Websocket::open(&example, "/engine.io/").await;
    for packet in [
        Packet::from("4hello"),
        Packet::Binary(vec![1, 2, 3, 4].into()),
        Packet::Binary(vec![].into()),
        "4é😀\u{1e}".into(),
    ] {
        bob.send([packet.clone()]).await;
        assert_eq!(bob.next().await, packet);
    }
}

#[tokio::test]
async fn protocol_3_4_bad_payloads_close_and_nothing_behind_them_runs() {
    let example = Example::calm().await;
    let bodies = [
        &b"abc"[..],
        b"",
        b"2",
        b"2probe",
        b"5",
        b"6",
        b"0{}",
        b"4a\x1e",
        b"\x1e4a",
        b"4a\x1e\x1e4b",
        b"x\x1e4b",
        b"b*",
        b"4\xFF",
        &[0],
    ];
    for path in PATHS {
        for body in bodies {
            let ann = Polling::open(&example, path).await;
            assert_eq!(ann.request(Method::POST, body).await.status, 400, "{body:?}");
            assert_eq!(ann.get().await.refusal(), (400, Some(1)), "{path} {body:?}");
        }
        // Revision 3 sent binary payloads; left unanswered they are CVE-2026-59725.
        let ann = Polling::open(&example, path).await;
        let query = format!("EIO=4&transport=polling&sid={}", ann.sid);
        let request = client()
            .post(example.url(path, &query))
            .header("Content-Type", "application/octet-stream")
            .body("4hello");
        assert_eq!(Answer::read(request.send()).await.status, 400);
        assert_eq!(ann.get().await.status, 400);
        for packet in ["abc", "", "2", "2probe", "5", "6", "0{}"] {
            let mut bob = Websocket::open(&example, path).await;
            bob.send([packet.into()]).await;
            assert_eq!(bob.next().await, Packet::Closed(Some(1002)), "{path} {packet:?}");
        }
    }
}

/// CVE-2020-36048 and CVE-2020-36049.
#[tokio::test]
async fn protocol_13_megabytes_of_nothing_are_settled_in_linear_time() {
    let example = Example::calm().await;
    let ann = Polling::open(&example, "/socket.io/").await;
    ann.post(["40".into()]).await;
    // Unasked pongs are ignored, up to a bound; either way the answer is prompt and others live.
    let pongs = vec!["3"; 500_000].join(&RS.to_string());
    assert!(matches!(ann.request(Method::POST, pongs).await.status, 200 | 400));
    let bob = Polling::open(&example, "/socket.io/").await;
    let digits = format!("42{}", "1".repeat(999_000));
    bob.request(Method::POST, digits).await;
    assert!(matches!(bob.get().await.body.as_str(), "1") || bob.get().await.status == 400);
    let (mut carol, _) = Wire::joined(&example, Transport::Polling).await;
    assert_eq!(carol.count().await, 1, "neither of the two is left");
}
