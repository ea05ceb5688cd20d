//! Websockets: their handshake, sessions born on one, and those that want to take a polling session over
//! (PROTOCOL.md sections 5 and 7).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::application::{Application, Handshake};
use super::response::{self, Body};
use super::service::Server;
use super::sessions::Place;
use super::socket::Stream;
use crate::engine::eio::TransportKind;
use crate::engine::websocket::{Event, Fault, MessageLimits, Reader};
use crate::hub::Link;
use crate::hub::driver::{Arrival, ProbeCommand};

/// How long the answer 101 may take to get out.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a GET asks for a websocket as RFC 6455 section 4.1 demands: HTTP/1.1, both Upgrade headers, version 13 and
/// a key of 16 bytes.
pub(super) fn is_requested(version: Version, headers: &HeaderMap) -> bool {
    let names = |header: HeaderName, token: &str| {
        headers.get_all(header).iter().any(|value| {
            let mut tokens = value
                .as_bytes()
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii);
            tokens.any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
        })
    };
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .and_then(|key| BASE64.decode(key.as_bytes()).ok());
    version == Version::HTTP_11
        && names(CONNECTION, "upgrade")
        && names(UPGRADE, "websocket")
        && headers
            .get(SEC_WEBSOCKET_VERSION)
            .is_some_and(|version| version.as_bytes() == b"13")
        && key.is_some_and(|key| key.len() == 16)
}

/// The answer 101. No subprotocol and no extension is ever chosen.
pub(super) fn switching(request: &HeaderMap) -> Response<Body> {
    let mut response = response::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let key = request
        .get(SEC_WEBSOCKET_KEY)
        .map_or(&b""[..], HeaderValue::as_bytes);
    if let Ok(accept) = derive_accept_key(key).try_into() {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// The stream behind an answer 101, or `None` if the client went away meanwhile.
async fn switched(on_upgrade: OnUpgrade) -> Option<(Stream, Bytes)> {
    let upgraded = tokio::time::timeout(SWITCH_TIMEOUT, on_upgrade)
        .await
        .ok()?
        .ok()?;
    Some(Stream::from_upgraded(upgraded))
}

/// A session born on a websocket. It is opened when the websocket is there, so a client that goes away within its
/// handshake never was.
pub(super) async fn born<A: Application>(
    server: Arc<Server<A>>,
    on_upgrade: OnUpgrade,
    handshake: Handshake,
    place: Place,
) {
    let Some((stream, pending)) = switched(on_upgrade).await else {
        return;
    };
    let (_open_packet, connection) = server.open(TransportKind::WebSocket, handshake, place);
    let (wire, stream) = stream.split();
    connection.link().attach(
        wire,
        Arrival {
            stream,
            reader: Reader::default(),
            pending,
        },
    );
    // A task of its own: this one's memory goes, and with it what the handshake needed.
    server.tasks.spawn(connection);
}

/// A websocket that wants to take a polling session over. Returns whether it did.
pub(super) async fn probe(link: Link, on_upgrade: OnUpgrade, limits: MessageLimits) -> bool {
    let Some((stream, pending)) = switched(on_upgrade).await else {
        return false;
    };
    let accepted = link.with_requests(|session, requests, now, _| {
        let id = requests.probe_id();
        session.probe(id, now).then(|| (id, requests.hear(id)))
    });
    let Some((id, commands)) = accepted else {
        stream.close().await;
        return false;
    };
    let taken_over = Probe {
        link: link.clone(),
        id,
        stream,
        pending,
        reader: Reader::default(),
        commands,
    }
    .run(limits)
    .await;
    if !taken_over {
        link.with(|session, _, _| session.probe_gone(id));
    }
    taken_over
}

struct Probe {
    link: Link,
    id: u32,
    stream: Stream,
    pending: Bytes,
    reader: Reader,
    commands: mpsc::Receiver<ProbeCommand>,
}

impl Probe {
    async fn run(mut self, limits: MessageLimits) -> bool {
        let mut space = [0; 512];
        loop {
            // Commands first: what was just read may have made this websocket the transport.
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    ProbeCommand::Write(frame) => {
                        if self.stream.write(&frame).await.is_err() {
                            return false;
                        }
                    }
                    ProbeCommand::End => {
                        self.stream.close().await;
                        return false;
                    }
                    ProbeCommand::Become => {
                        let (wire, stream) = self.stream.split();
                        self.link.attach(
                            wire,
                            Arrival {
                                stream,
                                reader: self.reader,
                                pending: self.pending,
                            },
                        );
                        return true;
                    }
                }
            }
            let mut input = &self.pending[..];
            let event = self.reader.read(&mut input, limits);
            self.pending = self.pending.slice(self.pending.len() - input.len()..);
            match event {
                Ok(Some(event)) => self.tell(&Ok(event)),
                Err(fault) => {
                    self.pending.clear();
                    self.tell(&Err(fault));
                }
                Ok(None) => {
                    tokio::select! {
                        command = self.commands.recv() => match command {
                            Some(ProbeCommand::Write(frame)) => {
                                if self.stream.write(&frame).await.is_err() {
                                    return false;
                                }
                            }
                            Some(ProbeCommand::End | ProbeCommand::Become) | None => {
                                // `Become` follows only what is read here, so it was seen above.
                                self.stream.close().await;
                                return false;
                            }
                        },
                        read = self.stream.read(&mut space) => match read {
                            Ok(0) | Err(_) => return false,
                            Ok(count) => self.pending = Bytes::copy_from_slice(&space[..count]),
                        },
                    }
                }
            }
        }
    }

    fn tell(&self, event: &Result<Event, Fault>) {
        self.link
            .with(|session, now, out| session.probe_event(self.id, event, now, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 section 4.2.1, one broken header at a time.
    #[test]
    fn every_header_of_the_websocket_handshake_is_checked() {
        let good = [
            (CONNECTION, "keep-alive, Upgrade"),
            (UPGRADE, "WebSocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = |changed: &[(HeaderName, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in good.iter().chain(changed) {
                map.insert(name.clone(), HeaderValue::from_static(value));
            }
            map
        };
        assert!(is_requested(Version::HTTP_11, &headers(&[])));
        assert!(!is_requested(Version::HTTP_10, &headers(&[])));
        assert!(!is_requested(Version::HTTP_2, &headers(&[])));
        for broken in [
            (CONNECTION, "keep-alive"),
            (UPGRADE, "h2c"),
            (SEC_WEBSOCKET_VERSION, "8"),
            (SEC_WEBSOCKET_KEY, ""),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25j"),
        ] {
            assert!(
                !is_requested(Version::HTTP_11, &headers(std::slice::from_ref(&broken))),
                "{broken:?}"
            );
        }
        let accept = &switching(&headers(&[])).headers()[SEC_WEBSOCKET_ACCEPT].clone();
        assert_eq!(
            accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "the example of RFC 6455 section 1.3"
        );
    }
}
