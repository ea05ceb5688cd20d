//! A client of Engine.IO, written by itself so that a mistake of the engine is not made twice.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chatterbox_tests::PATIENCE;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

use super::example::Example;

/// Joins the packets of a payload.
pub(crate) const RS: char = '\x1e';

/// An Engine.IO packet with its type, a binary message, or the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Text(String),
    Binary(Bytes),
    /// The session is over; the code of the close frame, if one came.
    Closed(Option<u16>),
}

impl Packet {
    pub(crate) fn text(self) -> String {
        match self {
            Packet::Text(text) => text,
            other @ (Packet::Binary(_) | Packet::Closed(_)) => panic!("a text was expected, not {other:?}"),
        }
    }

    fn of_payload(packet: &str) -> Packet {
        match packet.strip_prefix('b') {
            Some(base64) => Packet::Binary(STANDARD.decode(base64).unwrap().into()),
            None => Packet::Text(packet.to_owned()),
        }
    }
}

impl From<&str> for Packet {
    fn from(text: &str) -> Packet {
        Packet::Text(text.to_owned())
    }
}

/// How a client gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Polling,
    Websocket,
    /// Begun on polling, then moved.
    Upgraded,
}

pub(crate) const TRANSPORTS: [Transport; 3] = [Transport::Polling, Transport::Websocket, Transport::Upgraded];

/// A client that keeps its session alive while it waits for packets.
pub(crate) enum Wire {
    Polling(Polling),
    Websocket(Box<Websocket>),
}

impl Wire {
    pub(crate) async fn open(example: &Example, path: &str, transport: Transport) -> Wire {
        match transport {
            Transport::Polling => Wire::Polling(Polling::open(example, path).await),
            Transport::Websocket => Wire::Websocket(Box::new(Websocket::open(example, path).await)),
            Transport::Upgraded => {
                let polling = Polling::open(example, path).await;
                Wire::Websocket(Box::new(polling.upgraded(example).await))
            }
        }
    }

    /// With the namespace `/` joined. Returns the socket's public id as well.
    pub(crate) async fn joined(example: &Example, transport: Transport) -> (Wire, String) {
        let mut wire = Wire::open(example, "/socket.io/", transport).await;
        wire.send(["40".into()]).await;
        let answer = wire.next().await.text();
        let answer: Value = serde_json::from_str(answer.strip_prefix("40").unwrap()).unwrap();
        assert_eq!(wire.next().await, r#"42["auth",{}]"#.into());
        (wire, answer["sid"].as_str().unwrap().to_owned())
    }

    /// The secret name of the session.
    pub(crate) fn sid(&self) -> &str {
        match self {
            Wire::Polling(polling) => &polling.sid,
            Wire::Websocket(websocket) => &websocket.sid,
        }
    }

    /// Sends packets back to back. The other side may have closed: [`next`](Wire::next) tells.
    pub(crate) async fn send<const N: usize>(&mut self, packets: [Packet; N]) {
        match self {
            Wire::Polling(polling) => {
                polling.post(packets).await;
            }
            Wire::Websocket(websocket) => websocket.send(packets).await,
        }
    }

    /// The next packet besides pings, which are answered, and noops.
    pub(crate) async fn next(&mut self) -> Packet {
        loop {
            let packet = match self {
                Wire::Polling(polling) => polling.next().await,
                Wire::Websocket(websocket) => websocket.next().await,
            };
            match packet {
                Packet::Text(text) if text == "2" => self.send(["3".into()]).await,
                other @ (Packet::Text(_) | Packet::Binary(_) | Packet::Closed(_)) => return other,
            }
        }
    }

    /// Asks `x-count`: the number of sockets in `/`.
    pub(crate) async fn count(&mut self) -> usize {
        self.send([r#"4299["x-count"]"#.into()]).await;
        let answer = self.next().await.text();
        let answer = answer
            .strip_prefix("4399[")
            .and_then(|rest| rest.strip_suffix(']'));
        answer.unwrap().parse().unwrap()
    }

    /// Waits until nobody but this client is in `/`. The end of another connection is no event that is announced.
    pub(crate) async fn alone(&mut self) {
        let alone = async {
            while self.count().await > 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, alone).await.expect("everybody else has left");
    }
}

/// A session on polling.
pub(crate) struct Polling {
    client: Client,
    path: String,
    /// With the sid.
    url: String,
    pub(crate) sid: String,
    received: VecDeque<Packet>,
}

impl Polling {
    pub(crate) async fn open(example: &Example, path: &str) -> Polling {
        let client = client();
        let url = example.url(path, "EIO=4&transport=polling");
        let open = client.get(&url).send().await.unwrap().text().await.unwrap();
        let sid = sid_of(&open);
        Polling {
            client,
            path: path.to_owned(),
            url: format!("{url}&sid={sid}"),
            sid,
            received: VecDeque::new(),
        }
    }

    /// A request of this session.
    pub(crate) async fn request(&self, method: Method, body: impl Into<reqwest::Body>) -> Answer {
        Answer::read(self.client.request(method, &self.url).body(body).send()).await
    }

    /// Polls.
    pub(crate) async fn get(&self) -> Answer {
        self.request(Method::GET, "").await
    }

    /// Sends packets in one body.
    pub(crate) async fn post<const N: usize>(&self, packets: [Packet; N]) -> Answer {
        let packets = packets.map(|packet| match packet {
            Packet::Text(text) => text,
            Packet::Binary(bytes) => format!("b{}", STANDARD.encode(bytes)),
            Packet::Closed(_) => panic!("nobody sends that"),
        });
        self.request(Method::POST, packets.join(&RS.to_string())).await
    }

    async fn next(&mut self) -> Packet {
        loop {
            match self.received.pop_front() {
                Some(Packet::Text(text)) if text == "6" => {}
                Some(Packet::Text(text)) if text == "1" => return Packet::Closed(None),
                Some(packet) => return packet,
                None => {
                    let answer = self.get().await;
                    if answer.status != 200 {
                        return Packet::Closed(None);
                    }
                    self.received
                        .extend(answer.body.split(RS).map(Packet::of_payload));
                }
            }
        }
    }

    /// Begins a websocket for this session.
    pub(crate) async fn probe(&self, example: &Example) -> Websocket {
        let query = format!("EIO=4&transport=websocket&sid={}", self.sid);
        let stream = websocket(example, &self.path, &query).await.unwrap();
        let sid = self.sid.clone();
        Websocket { stream, sid }
    }

    /// Moves a session for which nothing is queued.
    pub(crate) async fn upgraded(self, example: &Example) -> Websocket {
        let mut websocket = self.probe(example).await;
        websocket.send(["2probe".into()]).await;
        assert_eq!(websocket.next().await, "3probe".into());
        assert_eq!(self.get().await.body, "6");
        websocket.send(["5".into()]).await;
        websocket
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn read(response: impl Future<Output = reqwest::Result<Response>>) -> Answer {
        let read = async {
            let response = response.await.unwrap();
            Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                body: response.text().await.unwrap(),
            }
        };
        timeout(PATIENCE, read).await.expect("an answer comes")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, Option<u64>) {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        (self.status, body["code"].as_u64())
    }
}

/// A session on a websocket, or a websocket that would become one.
pub(crate) struct Websocket {
    pub(crate) stream: WebSocketStream<TcpStream>,
    sid: String,
}

impl Websocket {
    pub(crate) async fn open(example: &Example, path: &str) -> Websocket {
        let stream = websocket(example, path, "EIO=4&transport=websocket").await;
        let mut websocket = Websocket::unopened(stream.unwrap());
        websocket.sid = sid_of(&websocket.next().await.text());
        websocket
    }

    /// Before its first packet.
    pub(crate) fn unopened(stream: WebSocketStream<TcpStream>) -> Websocket {
        let sid = String::new();
        Websocket { stream, sid }
    }

    /// Sends packets, as one write.
    pub(crate) async fn send<const N: usize>(&mut self, packets: [Packet; N]) {
        for packet in packets {
            let message = match packet {
                Packet::Text(text) => Message::text(text),
                Packet::Binary(bytes) => Message::Binary(bytes),
                Packet::Closed(_) => panic!("nobody sends that"),
            };
            let _ = self.stream.feed(message).await;
        }
        let _ = self.stream.flush().await;
    }

    /// The next packet, pings included.
    pub(crate) async fn next(&mut self) -> Packet {
        loop {
            let message = timeout(PATIENCE, self.stream.next()).await;
            return match message.unwrap_or_else(|_| panic!("nothing came for {PATIENCE:?}")) {
                Some(Ok(Message::Text(text))) => Packet::Text(text.to_string()),
                Some(Ok(Message::Binary(bytes))) => Packet::Binary(bytes),
                Some(Ok(Message::Close(frame))) => Packet::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(_)) | None => Packet::Closed(None),
            };
        }
    }
}

/// A websocket, or the status of the refusal.
pub(crate) async fn websocket(
    example: &Example,
    path: &str,
    query: &str,
) -> Result<WebSocketStream<TcpStream>, u16> {
    let url = example.url(path, query).replacen("http", "ws", 1);
    let shaken = timeout(
        PATIENCE,
        tokio_tungstenite::client_async(url, example.tcp().await),
    );
    match shaken.await.expect("the handshake is answered") {
        Ok((stream, _response)) => Ok(stream),
        Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("neither taken nor refused: {error}"),
    }
}

/// A client that goes straight to the server.
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// The sid in an open packet.
pub(crate) fn sid_of(open: &str) -> String {
    let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}
