//! The S3 adapter against a real server: `S3_ENDPOINT`, `S3_ACCESS_KEY`, `S3_SECRET_KEY` and, if need be, `S3_REGION` say
//! which. Each test has buckets of its own there.
#![cfg(feature = "s3")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chatterbox_core::domain::secret::Secret;
use chatterbox_core::ports::blob::{BlobId, Blobs, Put, Serving, Space};
use chatterbox_core::tasks::Tasks;
use chatterbox_server::adapters::s3::{S3Blobs, S3OpenError, S3Options};
use futures_util::stream;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: these tests need an S3 server; ./test starts one, ./test quick leaves them out")
    })
}

fn random() -> String {
    let mut random = [0; 8];
    chatterbox_core::auth::fill_random(&mut random);
    random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn options() -> S3Options {
    let bucket = format!("chatterbox-test-{}", random());
    let endpoint = variable("S3_ENDPOINT");
    let endpoint = if endpoint.contains("://") {
        endpoint
    } else {
        format!("http://{endpoint}")
    };
    S3Options {
        endpoint,
        region: std::env::var("S3_REGION").unwrap_or_else(|_| "us-east-1".to_owned()),
        access_key: variable("S3_ACCESS_KEY"),
        secret_key: variable("S3_SECRET_KEY").into(),
        derived_bucket: bucket.clone(),
        bucket,
    }
}

async fn open(options: S3Options) -> Arc<S3Blobs> {
    Arc::new(S3Blobs::open(options, &Tasks::new()).await.unwrap())
}

chatterbox_core::blobs_conformance!(async || open(options()).await);

#[tokio::test]
async fn s_028_spaces_may_have_a_bucket_each() {
    let originals = options();
    let derived_bucket = format!("{}-derived", originals.bucket);
    let both = open(S3Options {
        derived_bucket: derived_bucket.clone(),
        ..originals.clone()
    })
    .await;
    // Seen from a server that keeps both in one.
    let first = open(originals.clone()).await;
    let second = open(S3Options {
        bucket: derived_bucket.clone(),
        derived_bucket,
        ..originals
    })
    .await;
    for (space, [in_first, in_second]) in [
        (Space::Originals, [Some(5), None]),
        (Space::Derived, [None, Some(5)]),
    ] {
        let id = BlobId::new(space, "where").unwrap();
        both.put(&id, put("hello")).await.unwrap();
        assert_eq!(first.length(&id).await.unwrap(), in_first, "{space:?}");
        assert_eq!(second.length(&id).await.unwrap(), in_second, "{space:?}");
    }
}

async fn refused(options: S3Options) -> S3OpenError {
    S3Blobs::open(options, &Tasks::new()).await.unwrap_err()
}

#[tokio::test]
async fn s_042_a_wrong_variable_is_named_at_the_start() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let wrong = "hunter2-hunter2-hunter2";
    for (name, changed) in [
        (
            "S3_ENDPOINT",
            S3Options {
                endpoint: nobody,
                ..options()
            },
        ),
        (
            "S3_SECRET_KEY",
            S3Options {
                secret_key: Secret::from(wrong),
                ..options()
            },
        ),
        (
            "S3_ACCESS_KEY",
            S3Options {
                access_key: "nobody-knows-me".to_owned(),
                ..options()
            },
        ),
        (
            "S3_BUCKET",
            S3Options {
                bucket: "No_Such..Name".to_owned(),
                ..options()
            },
        ),
        (
            "S3_ATTACHMENTS_BUCKET",
            S3Options {
                derived_bucket: "No_Such..Name".to_owned(),
                ..options()
            },
        ),
    ] {
        let error = refused(changed).await;
        let line = error.to_string();
        assert!(line.starts_with(&format!("{name} ")), "{name}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains(wrong), "{line}");
    }
}

/// A web server that answers each request line with a status, and nothing else.
async fn web_server(tasks: &Tasks, status: impl Fn(&str) -> &'static str + Send + 'static) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn_until_stopped(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let line = request.lines().next().unwrap_or_default();
            let head = format!(
                "HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                status(line)
            );
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    endpoint
}

/// Something that answers, but not as S3 does.
#[tokio::test]
async fn s_042_a_web_server_that_is_none_of_s3_is_told_apart() {
    let tasks = Tasks::new();
    let endpoint = web_server(&tasks, |_| "404 Not Found").await;
    let error = refused(S3Options {
        endpoint,
        ..options()
    })
    .await;
    assert!(matches!(error, S3OpenError::Endpoint { .. }), "{error}");
    tasks.stop().await;
}

/// S-042: a key that may write where blobs go is enough, and one that may not is found out. Health asks for both buckets.
#[tokio::test]
async fn s_042_what_is_checked_is_what_is_used() {
    let tasks = Tasks::new();
    let derived_is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&derived_is_gone);
    let endpoint = web_server(&tasks, move |line| {
        let is_ours = line.contains("/both/originals/") || line.contains("/made/derived/");
        match line.split(' ').next() {
            Some("PUT") if is_ours => "200 OK",
            Some("DELETE") if is_ours => "204 No Content",
            Some("HEAD") if line.contains("/made") && gone.load(Ordering::SeqCst) => "404 Not Found",
            Some("HEAD") => "200 OK",
            _ => "403 Forbidden",
        }
    })
    .await;
    let blobs = open(S3Options {
        endpoint,
        bucket: "both".to_owned(),
        derived_bucket: "made".to_owned(),
        ..options()
    })
    .await;
    assert!(blobs.works().await);
    derived_is_gone.store(true, Ordering::SeqCst);
    assert!(!blobs.works().await);
    tasks.stop().await;
}

#[tokio::test]
async fn s_044_a_missing_bucket_is_made_once_and_found_again() {
    let options = options();
    let first = open(options.clone()).await;
    let id = BlobId::new(Space::Originals, "kept").unwrap();
    first.put(&id, put("hello")).await.unwrap();
    let again = open(options).await;
    assert_eq!(again.length(&id).await.unwrap(), Some(5));
}

fn put(text: &'static str) -> Put {
    Put {
        content: Box::pin(stream::iter([Ok(Bytes::from_static(text.as_bytes()))])),
        length: None,
        length_max: 1000,
        sha256: None,
    }
}

/// What a browser gets that follows a link.
async fn fetched(link: &str) -> (u16, http::HeaderMap, Bytes) {
    let uri: http::Uri = link.parse().unwrap();
    let authority = uri.authority().unwrap().as_str().to_owned();
    let stream = tokio::net::TcpStream::connect(&authority).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let tasks = Tasks::new();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    let request = Request::get(uri.path_and_query().unwrap().as_str())
        .header("host", authority)
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let (head, body) = answer.into_parts();
    (
        head.status.as_u16(),
        head.headers,
        body.collect().await.unwrap().to_bytes(),
    )
}

#[tokio::test]
async fn s_139_a_link_gives_the_blob_as_it_is_to_be_served_and_only_for_its_time() {
    let blobs = open(options()).await;
    let id = BlobId::new(Space::Originals, "picture.png").unwrap();
    blobs.put(&id, put("hello")).await.unwrap();
    let serving = Serving {
        media_type: "image/png".to_owned(),
        disposition: "attachment; filename=\"a b.png\"".to_owned(),
    };
    let link = blobs
        .link(&id, &serving, Duration::from_secs(30))
        .await
        .unwrap()
        .unwrap();
    let (status, headers, body) = fetched(&link).await;
    assert_eq!((status, &body[..]), (200, &b"hello"[..]));
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"a b.png\"");

    let tampered = link.replace("picture.png", "other.png");
    assert!(fetched(&tampered).await.0 >= 400);
    let short = blobs
        .link(&id, &serving, Duration::from_secs(1))
        .await
        .unwrap()
        .unwrap();
    // A real server's real clock.
    let mut patience = 50;
    while fetched(&short).await.0 == 200 {
        patience -= 1;
        assert!(patience > 0, "the link lives for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
