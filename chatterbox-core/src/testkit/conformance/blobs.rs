//! Blobs: streams in, streams out, all or nothing.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::Port;
use crate::ports::blob::{BlobError, BlobId, Blobs, Content, Put, Space};
use crate::tasks::Tasks;

/// One test per behaviour of [`Blobs`]; the argument makes an empty one.
#[macro_export]
macro_rules! blobs_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            blobs,
            real_time,
            $make,
            [
                what_was_put_is_read_back,
                ranges_are_cut_at_the_end_and_none_begins_behind_it,
                what_is_not_there_is_none,
                spaces_are_apart,
                a_second_put_replaces_the_first,
                nothing_is_left_of_content_that_breaks_off,
                nothing_is_left_of_content_that_is_too_long,
                content_that_is_not_what_was_announced_is_refused,
                a_put_that_nobody_waits_for_any_more_leaves_nothing,
                of_puts_at_once_one_is_there_whole,
                deleting_twice_is_fine,
                what_is_read_may_be_deleted_meanwhile,
                it_says_that_it_works,
            ]
        );
    };
}

/// More than stores take in one piece.
const LARGE: usize = (9 << 20) + 3;
const PLENTY: u64 = 64 << 20;

fn id(key: &str) -> BlobId {
    BlobId::new(Space::Originals, key).unwrap()
}

/// Bytes in which every place looks different.
fn bytes(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap()
}

/// The bytes in pieces of uneven sizes, empty ones among them.
fn pieces(bytes: &Bytes) -> Vec<io::Result<Bytes>> {
    let sizes = [1, 0, 7, 65_536, 100_000, 3].into_iter().cycle();
    let mut rest = bytes.clone();
    let mut pieces = Vec::new();
    for size in sizes {
        if rest.is_empty() {
            return pieces;
        }
        pieces.push(Ok(rest.split_to(size.min(rest.len()))));
    }
    pieces
}

fn content(bytes: &Bytes) -> Content {
    Box::pin(stream::iter(pieces(bytes)))
}

fn put(bytes: &Bytes) -> Put {
    Put {
        content: content(bytes),
        length: None,
        length_max: PLENTY,
        sha256: None,
    }
}

async fn all(mut content: Content) -> Bytes {
    let mut bytes = Vec::new();
    while let Some(some) = content.next().await {
        bytes.extend_from_slice(&some.unwrap());
    }
    bytes.into()
}

async fn read<P: Port<Target: Blobs>>(blobs: &P, id: &BlobId) -> Option<Bytes> {
    let blob = blobs.get(id, None).await.unwrap()?;
    Some(all(blob.content).await)
}

/// Whole, whatever its size, with or without its length and hash known beforehand.
pub async fn what_was_put_is_read_back<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = make().await;
    for (round, size) in [0, 1, 65_536, 100_003, LARGE].into_iter().enumerate() {
        let bytes = bytes(size, 1);
        let known = round % 2 == 0;
        let stored = blobs
            .put(
                &id("what"),
                Put {
                    length: known.then_some(size as u64),
                    sha256: known.then(|| sha256(&bytes)),
                    ..put(&bytes)
                },
            )
            .await
            .unwrap();
        assert_eq!((stored.length, stored.sha256), (size as u64, sha256(&bytes)));
        let blob = blobs.get(&id("what"), None).await.unwrap().unwrap();
        assert_eq!((blob.length, blob.range.clone()), (size as u64, 0..size as u64));
        assert!(all(blob.content).await == bytes, "{size} bytes");
        assert_eq!(blobs.length(&id("what")).await.unwrap(), Some(size as u64));
    }
}

/// As players of videos ask for them.
pub async fn ranges_are_cut_at_the_end_and_none_begins_behind_it<P: Port<Target: Blobs>>(
    make: impl AsyncFn() -> P,
) {
    let blobs = make().await;
    let bytes = bytes(100_000, 2);
    blobs.put(&id("range"), put(&bytes)).await.unwrap();
    for (asked, expected) in [
        (0..1, 0..1),
        (5..70_000, 5..70_000),
        (99_999..100_000, 99_999..100_000),
        (99_999..u64::MAX, 99_999..100_000),
        (0..u64::MAX, 0..100_000),
    ] {
        let blob = blobs.get(&id("range"), Some(asked)).await.unwrap().unwrap();
        assert_eq!((blob.length, blob.range.clone()), (100_000, expected.clone()));
        let place = |at: u64| usize::try_from(at).unwrap();
        let part = bytes.slice(place(expected.start)..place(expected.end));
        assert!(all(blob.content).await == part, "{expected:?}");
    }
    let behind = 100_000..100_001;
    let nothing = 7..7;
    for asked in [behind, nothing] {
        let refused = blobs.get(&id("range"), Some(asked)).await;
        assert!(
            matches!(refused, Err(BlobError::BeyondEnd { length: 100_000 })),
            "{refused:?}"
        );
    }
}

/// Without an error.
pub async fn what_is_not_there_is_none<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = make().await;
    assert!(blobs.get(&id("none"), None).await.unwrap().is_none());
    assert!(blobs.get(&id("none"), Some(0..1)).await.unwrap().is_none());
    assert_eq!(blobs.length(&id("none")).await.unwrap(), None);
}

/// The same key in both is two blobs.
pub async fn spaces_are_apart<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = make().await;
    let derived = BlobId::new(Space::Derived, "same").unwrap();
    blobs.put(&id("same"), put(&bytes(10, 3))).await.unwrap();
    assert_eq!(blobs.length(&derived).await.unwrap(), None);
    blobs.put(&derived, put(&bytes(20, 4))).await.unwrap();
    blobs.delete(&id("same")).await.unwrap();
    assert_eq!(read(&blobs, &derived).await, Some(bytes(20, 4)));
}

/// Also when it is shorter.
pub async fn a_second_put_replaces_the_first<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = make().await;
    blobs.put(&id("twice"), put(&bytes(100_000, 5))).await.unwrap();
    blobs.put(&id("twice"), put(&bytes(10, 6))).await.unwrap();
    assert_eq!(read(&blobs, &id("twice")).await, Some(bytes(10, 6)));
}

/// Early or late; and what was there before stays.
pub async fn nothing_is_left_of_content_that_breaks_off<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = make().await;
    blobs.put(&id("kept"), put(&bytes(10, 7))).await.unwrap();
    for size in [0, 1000, LARGE] {
        for key in ["broken", "kept"] {
            let mut pieces = pieces(&bytes(size, 8));
            pieces.push(Err(io::ErrorKind::ConnectionReset.into()));
            let broken = Put {
                content: Box::pin(stream::iter(pieces)),
                ..put(&Bytes::new())
            };
            let refused = blobs.put(&id(key), broken).await;
            assert!(matches!(refused, Err(BlobError::BrokenOff(_))), "{refused:?}");
        }
        assert_eq!(blobs.length(&id("broken")).await.unwrap(), None, "{size} bytes");
        assert_eq!(read(&blobs, &id("kept")).await, Some(bytes(10, 7)));
    }
}

/// I10: one byte over the bound is refused, whether it was announced or not; the bound itself is not.
pub async fn nothing_is_left_of_content_that_is_too_long<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = make().await;
    for size in [1000, LARGE] {
        let length_max = size as u64;
        for (over, known) in [(1, false), (1, true), (0, false), (0, true)] {
            let bytes = bytes(size + over, 9);
            let length = known.then_some(bytes.len() as u64);
            let answer = blobs
                .put(
                    &id("long"),
                    Put {
                        length,
                        length_max,
                        ..put(&bytes)
                    },
                )
                .await;
            if over == 0 {
                assert_eq!(answer.unwrap().length, length_max);
                blobs.delete(&id("long")).await.unwrap();
            } else {
                assert!(
                    matches!(answer, Err(BlobError::TooLong { max }) if max == length_max),
                    "{answer:?}"
                );
                assert_eq!(blobs.length(&id("long")).await.unwrap(), None);
            }
        }
    }
}

/// Fewer or more bytes, or others.
pub async fn content_that_is_not_what_was_announced_is_refused<P: Port<Target: Blobs>>(
    make: impl AsyncFn() -> P,
) {
    let blobs = make().await;
    for size in [1000, LARGE] {
        let right = bytes(size, 10);
        for (length, sha) in [
            (Some(size as u64 - 1), None),
            (Some(size as u64 + 1), None),
            (None, Some(sha256(b"other"))),
            (Some(size as u64), Some([0; 32])),
        ] {
            let refused = blobs
                .put(
                    &id("other"),
                    Put {
                        length,
                        sha256: sha,
                        ..put(&right)
                    },
                )
                .await;
            assert!(matches!(refused, Err(BlobError::Mismatch(_))), "{refused:?}");
            assert_eq!(blobs.length(&id("other")).await.unwrap(), None);
        }
    }
}

/// A client that goes away in the middle ends its request, and with it the put.
pub async fn a_put_that_nobody_waits_for_any_more_leaves_nothing<P: Port<Target: Blobs>>(
    make: impl AsyncFn() -> P,
) {
    let blobs = Arc::new(make().await);
    let (started, begun) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let first = stream::iter(pieces(&bytes(LARGE, 11)));
    // Comes to its last piece, and waits for ever behind it.
    let stalled = stream::poll_fn(move |_| {
        if let Some(started) = started.take() {
            let _ = started.send(());
        }
        std::task::Poll::Pending
    });
    let tasks = Tasks::new();
    let putting = tasks.spawn({
        let blobs = Arc::clone(&blobs);
        async move {
            let stalled = Put {
                content: Box::pin(first.chain(stalled)),
                ..put(&Bytes::new())
            };
            blobs.put(&id("gone"), stalled).await.map(drop)
        }
    });
    begun.await.unwrap();
    putting.abort();
    assert!(putting.await.unwrap_err().is_cancelled());
    assert_eq!(blobs.length(&id("gone")).await.unwrap(), None);
    blobs.put(&id("gone"), put(&bytes(5, 12))).await.unwrap();
    assert_eq!(read(&*blobs, &id("gone")).await, Some(bytes(5, 12)));
}

/// Never a mixture.
pub async fn of_puts_at_once_one_is_there_whole<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = Arc::new(make().await);
    let puts = super::at_once(&blobs, 8, |blobs, index| async move {
        let bytes = bytes(200_000 + index, index as u64 + 20);
        blobs.put(&id("race"), put(&bytes)).await.map(drop)
    });
    for answer in puts.await {
        answer.unwrap();
    }
    let found = read(&*blobs, &id("race")).await.unwrap();
    let index = found.len() - 200_000;
    assert!(found == bytes(200_000 + index, index as u64 + 20));
}

/// And takes the blob away.
pub async fn deleting_twice_is_fine<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = make().await;
    blobs.put(&id("deleted"), put(&bytes(10, 13))).await.unwrap();
    for _ in 0..2 {
        blobs.delete(&id("deleted")).await.unwrap();
        assert_eq!(read(&blobs, &id("deleted")).await, None);
    }
}

/// Who reads it gets the rest or an error, and never other bytes (SPEC.md section 10, 15).
pub async fn what_is_read_may_be_deleted_meanwhile<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    let blobs = make().await;
    let bytes = bytes(4 << 20, 14);
    blobs.put(&id("reading"), put(&bytes)).await.unwrap();
    let mut blob = blobs.get(&id("reading"), None).await.unwrap().unwrap();
    let mut found = blob.content.next().await.unwrap().unwrap().to_vec();
    blobs.delete(&id("reading")).await.unwrap();
    while let Some(Ok(some)) = blob.content.next().await {
        found.extend_from_slice(&some);
    }
    assert!(bytes.starts_with(&found), "{} bytes", found.len());
}

/// For health.
pub async fn it_says_that_it_works<P: Port<Target: Blobs>>(make: impl AsyncFn() -> P) {
    assert!(make().await.works().await);
}
