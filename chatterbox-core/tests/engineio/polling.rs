//! PROTOCOL.md sections 2, 3, 4 and 6 over HTTP.

use chatterbox_core::engine::{CloseReason, Frame, Packet};
use tokio::io::AsyncWriteExt as _;

use super::support::*;

#[tokio::test]
async fn the_handshake_answers_as_the_reference_does() {
    let server = TestServer::echo().await;
    let reply = server.get("EIO=4&transport=polling").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let (sid, rest) = reply
        .body
        .strip_prefix("0{\"sid\":\"")
        .unwrap()
        .split_once('"')
        .unwrap();
    assert_eq!(sid.len(), 22);
    assert_eq!(
        rest,
        ",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}"
    );
}

#[tokio::test]
async fn refusals_have_their_codes() {
    let server = TestServer::echo().await;
    for (method, query, expected) in [
        ("GET", "EIO=4&transport=abc", (400, 0)),
        ("GET", "EIO=4&transport=__proto__", (400, 0)),
        (
            "GET",
            "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAA",
            (400, 1),
        ),
        ("POST", "EIO=4&transport=polling", (400, 2)),
        ("GET", "EIO=4&transport=websocket", (400, 3)),
        ("GET", "EIO=4&transport=polling&banned", (403, 4)),
        ("GET", "EIO=3&transport=polling", (400, 5)),
    ] {
        let reply = server.request(method, query, &[], b"").await;
        assert_eq!(reply.refusal(), expected, "{query}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{query}");
    }
    let counters = server.service.counters();
    assert_eq!(
        (counters.unknown_sids, counters.refused, counters.opened),
        (1, 6, 0)
    );
}

#[tokio::test]
async fn messages_go_both_ways_in_order() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    let posted = server.post(&session, "4hé\x1ebAQIDBA==\x1e4b".as_bytes()).await;
    assert_eq!((posted.status, posted.body.as_str()), (200, "ok"));
    assert_eq!(posted.header("content-type"), Some("text/html"));
    let reply = server.get(&session).await;
    assert_eq!(reply.body, "4hé\x1ebAQIDBA==\x1e4b");
    assert_eq!(
        reply.header("content-length"),
        Some("17"),
        "bytes, not characters"
    );
}

#[tokio::test]
async fn a_held_get_is_answered_when_something_is_sent() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let link = server.link().await;
    assert!(
        !link.send_volatile(Packet::from_elem(Frame::text(&["4no"]), 1)),
        "no GET is held"
    );
    let mut get = server.begin("GET", &session, &[], 0).await;
    // When the GET is held, volatile packets get through.
    within(async {
        while !link.send_volatile(Packet::from_elem(Frame::text(&["4now"]), 1)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(Reply::read(&mut get).await.body, "4now");
}

#[tokio::test]
async fn a_character_may_be_cut_by_the_network() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    let body = "4h\u{1F600}".as_bytes();
    let mut post = server.begin("POST", &session, &[], body.len()).await;
    for byte in body {
        post.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(Reply::read(&mut post).await.body, "ok");
    assert_eq!(server.get(&session).await.body, "4h\u{1F600}");
}

#[tokio::test]
async fn a_second_get_ends_the_session() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let mut held = server.begin("GET", &session, &[], 0).await;
    let link = server.link().await;
    while !link.send_volatile(Packet::from_elem(Frame::text(&["4x"]), 1)) {
        tokio::task::yield_now().await;
    }
    assert_eq!(Reply::read(&mut held).await.body, "4x");
    let (mut first, mut second) = (
        server.begin("GET", &session, &[], 0).await,
        server.begin("GET", &session, &[], 0).await,
    );
    let (first, second) = (Reply::read(&mut first).await, Reply::read(&mut second).await);
    // Which of the two came first is the kernel's choice.
    let (held, refused) = if first.status == 200 {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!((held.status, held.body.as_str()), (200, "1"));
    assert_eq!(refused.refusal(), (400, 3));
    assert_eq!(server.get(&session).await.refusal(), (400, 1));
    assert_eq!(server.reason().await, CloseReason::TransportError);
}

#[tokio::test]
async fn a_dropped_get_ends_the_session_at_once() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let get = server.begin("GET", &session, &[], 0).await;
    tokio::task::yield_now().await;
    drop(get);
    assert_eq!(server.get(&session).await.status, 400);
    assert!(matches!(
        server.reason().await,
        CloseReason::TransportClose | CloseReason::TransportError
    ));
    assert_eq!(server.get(&session).await.refusal(), (400, 1));
}

#[tokio::test]
async fn a_cut_off_post_ends_the_session_at_once() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let mut post = server.begin("POST", &session, &[], 100).await;
    post.write_all(b"4half").await.unwrap();
    drop(post);
    assert_eq!(server.reason().await, CloseReason::TransportError);
    assert_eq!(server.get(&session).await.refusal(), (400, 1));
}

#[tokio::test]
async fn a_client_that_leaves_gets_a_noop_and_is_forgotten() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let mut get = server.begin("GET", &session, &[], 0).await;
    let link = server.link().await;
    while !link.send_volatile(Packet::from_elem(Frame::text(&["4x"]), 1)) {
        tokio::task::yield_now().await;
    }
    assert_eq!(Reply::read(&mut get).await.body, "4x");
    let mut get = server.begin("GET", &session, &[], 0).await;
    // A GET and a POST may overtake each other; the noop goes to whichever GET is held when the `1` is read.
    let posted = server.post(&session, b"1").await;
    assert_eq!((posted.status, posted.body.as_str()), (200, "ok"));
    let get = Reply::read(&mut get).await;
    assert!(get.body == "6" || get.refusal() == (400, 1), "{}", get.body);
    assert_eq!(server.reason().await, CloseReason::TransportClose);
    assert_eq!(server.get(&session).await.refusal(), (400, 1));
}

#[tokio::test]
async fn a_bad_packet_ends_the_session_and_nothing_behind_it_runs() {
    for body in [&b"x"[..], b"4a\x1e", b"\x1e4a", b"2", b"4a\x1e\xFF\x1e4b", b"b*"] {
        let mut server = TestServer::echo().await;
        let session = server.polling().await;
        assert_eq!(server.post(&session, body).await.status, 400, "{body:?}");
        assert_eq!(server.reason().await, CloseReason::ParseError);
        assert_eq!(server.get(&session).await.refusal(), (400, 1));
    }
}

#[tokio::test]
async fn other_methods_on_a_session_are_refused_and_harmless() {
    let server = TestServer::echo().await;
    let session = server.polling().await;
    for method in ["PUT", "DELETE", "PATCH"] {
        assert_eq!(
            server.request(method, &session, &[], b"4a").await.status,
            400,
            "{method}"
        );
    }
    assert_eq!(server.post(&session, b"4a").await.status, 200);
}

/// CVE-2026-59725.
#[tokio::test]
async fn an_octet_stream_is_refused_promptly() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let mut post = server
        .begin(
            "POST",
            &session,
            &["Content-Type: application/octet-stream"],
            1000,
        )
        .await;
    assert_eq!(Reply::read(&mut post).await.status, 400, "before the body came");
    assert_eq!(server.reason().await, CloseReason::ParseError);
}

#[tokio::test]
async fn the_application_closes_a_polling_session() {
    let mut server = TestServer::echo().await;
    let session = server.polling().await;
    let link = server.link().await;
    link.send(Packet::from_elem(Frame::text(&["4bye"]), 1));
    link.close(CloseReason::ForcedClose);
    assert_eq!(server.reason().await, CloseReason::ForcedClose);
    // Apart: stock clients drop packets that share a body with the close.
    assert_eq!(server.get(&session).await.body, "4bye");
    assert_eq!(server.get(&session).await.body, "1");
    assert_eq!(server.get(&session).await.refusal(), (400, 1));
}

#[tokio::test]
async fn another_path_is_404() {
    let server = TestServer::echo().await;
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /other/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 404);
}
