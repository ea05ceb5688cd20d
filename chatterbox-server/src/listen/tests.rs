use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::*;
use crate::config::Host;

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert!(request.extensions().get::<SocketAddr>().is_some());
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}

fn limits() -> Admission {
    Admission::new(100, 100, Vec::new())
}

async fn exchange(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut answer = Vec::new();
    // The server may answer and close before everything was written.
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn heads_beyond_the_limits_are_answered_431() {
    // PROTOCOL.md section 13 (CVE-2024-37890 is about 1500 header lines), THREATS.md A4.
    let bound = bind(&Host::Localhost, 0).unwrap();
    let port = bound.port();
    let serving = serve(bound, &tower::service_fn(hello), &limits(), &Tasks::new());
    let head = |extra: &str| format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}\r\n");

    for (extra, status) in [
        (String::new(), "200"),
        ("X-A: 1\r\n".repeat(90), "200"),
        ("X-A: 1\r\n".repeat(1500), "431"),
        (format!("X-A: {}\r\n", "a".repeat(10_000)), "200"),
        (format!("X-A: {}\r\n", "a".repeat(20_000)), "431"),
    ] {
        let answer = exchange(port, &head(&extra)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{} bytes: {answer}",
            extra.len()
        );
    }
    serving.drain().await;
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    // RFC 9112 section 3.2.
    let bound = bind(&Host::Localhost, 0).unwrap();
    let port = bound.port();
    let serving = serve(bound, &tower::service_fn(hello), &limits(), &Tasks::new());
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: chat.example:3000\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: [::1]:3000\r\n", "200"),
        // A target without an authority.
        ("GET / HTTP/1.1\r\nHost:\r\n", "200"),
        (
            "GET http://chat.example/ HTTP/1.1\r\nHost: chat.example\r\n",
            "200",
        ),
        ("GET / HTTP/1.0\r\n", "200"),
        ("GET / HTTP/1.1\r\n", "400"),
        ("GET http://chat.example/ HTTP/1.1\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: me@a\r\n", "400"),
        ("GET / HTTP/1.0\r\nHost: a b\r\n", "400"),
    ] {
        let answer = exchange(port, &format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!(answer.get(9..12), Some(status), "{head:?}: {answer}");
    }
    // What is behind a refused request is nobody's.
    let answer = exchange(port, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    serving.drain().await;
}

#[tokio::test]
async fn draining_finishes_what_is_in_flight_and_refuses_new_connections() {
    let (arrived, has_arrived) = oneshot::channel();
    let (finish, may_finish) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some((arrived, may_finish))));
    let slow = tower::service_fn(move |request| {
        let once = once.lock().unwrap().take();
        async move {
            if let Some((arrived, may_finish)) = once {
                arrived.send(()).unwrap();
                may_finish.await.unwrap();
            }
            hello(request).await
        }
    });
    let bound = bind(&Host::Localhost, 0).unwrap();
    let port = bound.port();
    let serving = serve(bound, &slow, &limits(), &Tasks::new());
    let in_flight =
        Tasks::new().spawn(async move { exchange(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await });
    has_arrived.await.unwrap();

    serving.stop_accepting().await;
    TcpStream::connect(("127.0.0.1", port)).await.unwrap_err();
    finish.send(()).unwrap();
    serving.drain().await;
    assert!(in_flight.await.unwrap().ends_with("hello"));
}

#[tokio::test]
async fn a_connection_over_the_limit_of_its_address_is_closed_at_once() {
    let bound = bind(&Host::Localhost, 0).unwrap();
    let port = bound.port();
    let admission = Admission::new(100, 1, Vec::new());
    let serving = serve(bound, &tower::service_fn(hello), &admission, &Tasks::new());
    let mut first = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    assert_eq!(exchange(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, "");
    drop(first);
    serving.drain().await;
    assert_eq!(admission.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_costs_its_connection_after_ten_seconds() {
    // THREATS.md A2. The paused clock runs ahead while nothing happens.
    let bound = bind(&Host::Localhost, 0).unwrap();
    let port = bound.port();
    let serving = serve(bound, &tower::service_fn(hello), &limits(), &Tasks::new());
    let started = tokio::time::Instant::now();
    let answer = exchange(port, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow").await;
    assert!(!answer.contains("200"), "{answer}");
    assert!(started.elapsed() >= Duration::from_secs(9));
    serving.drain().await;
}
