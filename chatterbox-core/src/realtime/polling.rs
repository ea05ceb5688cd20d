//! GETs and POSTs of polling sessions (PROTOCOL.md section 4).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;

use super::response::{self, Body};
use crate::engine::CloseReason;
use crate::engine::eio::session::RequestId;
use crate::engine::eio::{Refusal, TransportKind};
use crate::hub::Link;
use crate::hub::driver::Answer;

/// How far a GET may overtake a `5` that the client sent before it on the websocket: such a GET is refused, as one
/// behind the `5` is, and not taken for one that has to be released (PROTOCOL.md section 7).
const OVERTAKEN: Duration = Duration::from_millis(2);

/// A GET: answered when there is something to send. Dropping the future means that the client dropped the GET.
pub(super) async fn get(link: Link) -> Response<Body> {
    let (id, answer, upgrading) = link.with_requests(|session, requests, _, _| {
        let (id, answer) = requests.wait();
        (id, answer, session.is_upgrading())
    });
    let mut unanswered = UnansweredGet {
        link,
        id,
        armed: true,
    };
    if upgrading {
        tokio::time::sleep(OVERTAKEN).await;
    }
    unanswered
        .link
        .with(|session, now, out| session.get(id, now, out));
    let answer = answer.await;
    unanswered.armed = false;
    respond(answer.ok())
}

struct UnansweredGet {
    link: Link,
    id: RequestId,
    armed: bool,
}

impl Drop for UnansweredGet {
    fn drop(&mut self) {
        if self.armed {
            self.link.with_requests(|session, requests, now, out| {
                requests.forget(self.id);
                session.get_dropped(self.id, now, out);
                // It may have got its answer in this very moment, and what that carried is lost; or not have been
                // handed in yet, and the client is gone all the same.
                if session.transport() == TransportKind::Polling {
                    session.close(CloseReason::TransportClose, now, out);
                }
            });
        }
    }
}

/// A POST: answered when its packets were handed to the application. Dropping the future before the body is complete
/// means that the client cut it off.
pub(super) async fn post<B>(link: Link, headers: HeaderMap, body: B, bytes_max: usize) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
{
    let octet_stream = headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"application/octet-stream")
    });
    let (id, mut answer) = link.with_requests(|session, requests, now, out| {
        let (id, answer) = requests.wait();
        session.post(id, octet_stream, now, out);
        (id, answer)
    });
    // Refused at once: the body is not even looked at.
    if let Ok(answer) = answer.try_recv() {
        return response::and_close(respond(Some(answer)));
    }
    let mut unfinished = UnfinishedPost {
        link: link.clone(),
        id,
        armed: true,
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let body = if announced.is_some_and(|announced| announced > bytes_max as u64) {
        Err(Stopped::TooLarge)
    } else {
        tokio::select! {
            body = read_body(body, bytes_max) => body,
            // The session ended meanwhile.
            ended = &mut answer => {
                unfinished.armed = false;
                return response::and_close(respond(ended.ok()));
            }
        }
    };
    match body {
        Ok(body) => {
            unfinished.armed = false;
            link.with(|session, _, _| session.post_body(id, body));
            respond(answer.await.ok())
        }
        Err(Stopped::TooLarge) => {
            unfinished.armed = false;
            tracing::info!(
                connection.id = %link.id(), bytes_max,
                "connection {} posted more than {bytes_max} bytes", link.id(),
            );
            link.with_requests(|session, requests, _, _| {
                requests.forget(id);
                session.post_too_large(id);
            });
            response::too_large()
        }
        // The guard tells the session.
        Err(Stopped::CutOff) => response::and_close(response::refused(&Refusal::BadRequest)),
    }
}

/// Why a body was not read to its end.
enum Stopped {
    TooLarge,
    CutOff,
}

/// Reads a body of at most `bytes_max`. Allocates for what has come, never for what is announced.
async fn read_body<B>(body: B, bytes_max: usize) -> Result<Bytes, Stopped>
where
    B: http_body::Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Stopped::CutOff)?;
        // Trailers mean nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + more.len() + data.len() > bytes_max {
            return Err(Stopped::TooLarge);
        }
        if first.is_empty() && more.is_empty() {
            first = data;
        } else {
            more.extend_from_slice(&std::mem::take(&mut first));
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

struct UnfinishedPost {
    link: Link,
    id: RequestId,
    armed: bool,
}

impl Drop for UnfinishedPost {
    fn drop(&mut self) {
        if self.armed {
            self.link.with_requests(|session, requests, now, out| {
                requests.forget(self.id);
                session.post_cut_off(self.id, now, out);
            });
        }
    }
}

fn respond(answer: Option<Answer>) -> Response<Body> {
    match answer {
        Some(Answer::Packets(packets)) => response::packets(packets),
        Some(Answer::Taken) => response::ok(),
        Some(Answer::Refused(refusal)) => response::refused(&refusal),
        // The session was dropped with the process.
        None => response::refused(&Refusal::UnknownSid),
    }
}
