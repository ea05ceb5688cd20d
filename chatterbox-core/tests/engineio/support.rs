//! A server with an echo application, and clients that can also do what they must not.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use chatterbox_core::engine::{CloseReason, Message};
use chatterbox_core::hub::Link;
use chatterbox_core::realtime::{
    Application, ClientAddress, Config, EngineIo, Forbidden, Handshake, Session,
};
use chatterbox_core::tasks::Tasks;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tower::Service as _;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Echoes every message and tells the test of every session.
#[derive(Debug)]
pub(crate) struct Echo {
    opened: mpsc::UnboundedSender<Link>,
    closed: mpsc::UnboundedSender<CloseReason>,
}

#[derive(Debug)]
pub(crate) struct EchoSession {
    link: Link,
    closed: mpsc::UnboundedSender<CloseReason>,
}

impl Application for Echo {
    type Session = EchoSession;

    fn admit(&self, handshake: &Handshake) -> Result<(), Forbidden> {
        if handshake.query.contains("banned") {
            Err(Forbidden("not you".into()))
        } else {
            Ok(())
        }
    }

    fn open(self: &Arc<Self>, link: Link, _: Handshake, _: Instant) -> EchoSession {
        self.opened.send(link.clone()).ok();
        EchoSession {
            link,
            closed: self.closed.clone(),
        }
    }
}

impl Session for EchoSession {
    fn handle(&mut self, message: Message, _: Instant) {
        self.link.send(message.to_packet());
    }

    fn poll(&mut self, _: &mut Context<'_>) {}

    fn closed(self, reason: CloseReason) {
        self.closed.send(reason).ok();
    }
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) service: EngineIo<Echo>,
    pub(crate) opened: mpsc::UnboundedReceiver<Link>,
    pub(crate) closed: mpsc::UnboundedReceiver<CloseReason>,
}

impl TestServer {
    pub(crate) async fn start(config: Config) -> TestServer {
        let (opened_in, opened) = mpsc::unbounded_channel();
        let (closed_in, closed) = mpsc::unbounded_channel();
        let echo = Arc::new(Echo {
            opened: opened_in,
            closed: closed_in,
        });
        let tasks = Tasks::new();
        let service = EngineIo::new(echo, config, tasks.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mounted = service.clone();
        let owner = tasks.clone();
        tasks.spawn_until_stopped(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let mut service = mounted.clone();
                let service = tower::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                    request.extensions_mut().insert(ClientAddress(peer));
                    service.call(request)
                });
                owner.spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let service = TowerToHyperService::new(service);
                    server
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
        TestServer {
            address,
            service,
            opened,
            closed,
        }
    }

    pub(crate) async fn echo() -> TestServer {
        TestServer::start(Config::default()).await
    }

    pub(crate) async fn link(&mut self) -> Link {
        within(self.opened.recv()).await.unwrap()
    }

    pub(crate) async fn reason(&mut self) -> CloseReason {
        within(self.closed.recv()).await.unwrap()
    }

    pub(crate) async fn get(&self, query: &str) -> Reply {
        self.request("GET", query, &[], b"").await
    }

    pub(crate) async fn post(&self, query: &str, body: &[u8]) -> Reply {
        self.request("POST", query, &[], body).await
    }

    pub(crate) async fn request(&self, method: &str, query: &str, headers: &[&str], body: &[u8]) -> Reply {
        let mut stream = self.begin(method, query, headers, body.len()).await;
        // A server that has refused already may not read on.
        stream.write_all(body).await.ok();
        Reply::read(&mut stream).await
    }

    /// Sends the head of a request only.
    pub(crate) async fn begin(
        &self,
        method: &str,
        query: &str,
        headers: &[&str],
        length: usize,
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut head = format!("{method} /socket.io/?{query} HTTP/1.1\r\nHost: us.test\r\n");
        for header in headers {
            head += header;
            head += "\r\n";
        }
        if !headers
            .iter()
            .any(|header| header.to_ascii_lowercase().starts_with("connection:"))
        {
            head += "Connection: close\r\n";
        }
        if length > 0 {
            write!(head, "Content-Length: {length}\r\n").unwrap();
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Opens a polling session: `EIO=4&transport=polling&sid=…`.
    pub(crate) async fn polling(&self) -> String {
        let reply = self.get("EIO=4&transport=polling").await;
        assert_eq!(reply.status, 200);
        format!("EIO=4&transport=polling&sid={}", sid_of(&reply.body))
    }

    pub(crate) async fn websocket(&self, query: &str) -> WebSocket {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://us.test/socket.io/?{query}");
        let (socket, _) = within(tokio_tungstenite::client_async(url, stream))
            .await
            .unwrap();
        WebSocket(socket)
    }

    /// A websocket-born session, behind its open packet.
    pub(crate) async fn connect(&self) -> WebSocket {
        let mut socket = self.websocket("EIO=4&transport=websocket").await;
        assert!(socket.text().await.starts_with("0{\"sid\":\""));
        socket
    }

    /// A websocket for a polling session.
    pub(crate) async fn upgrading(&self, polling: &str) -> WebSocket {
        self.websocket(&polling.replace("transport=polling", "transport=websocket"))
            .await
    }

    /// A websocket over a stream that is not TCP, as TLS is not; `buffer_bytes` each way.
    pub(crate) async fn piped(&self, query: &str, buffer_bytes: usize) -> WebSocket<DuplexStream> {
        piped(&self.service, query, buffer_bytes).await
    }

    /// A websocket whose frames are written by hand.
    pub(crate) async fn raw_websocket(&self) -> TcpStream {
        let headers = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let mut stream = self.begin("GET", "EIO=4&transport=websocket", &headers, 0).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        stream
    }
}

pub(crate) fn sid_of(open_packet: &str) -> String {
    let open: serde_json::Value = serde_json::from_str(&open_packet[1..]).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) async fn read(stream: &mut TcpStream) -> Reply {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match within(stream.read(&mut chunk)).await {
                // A reset behind a complete answer: the server did not read the rest of our request.
                Ok(0) | Err(_) => break,
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            }
            if Reply::parse(&bytes).is_some_and(|reply| reply.is_complete()) {
                break;
            }
        }
        Reply::parse(&bytes)
            .unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(&bytes)))
    }

    fn parse(bytes: &[u8]) -> Option<Reply> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.get(9..12)?.parse().ok()?;
        Some(Reply {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        })
    }

    fn is_complete(&self) -> bool {
        self.header("content-length")
            .is_some_and(|length| length.parse() == Ok(self.body.len()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Status and Engine.IO error code.
    pub(crate) fn refusal(&self) -> (u16, i64) {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        (self.status, body["code"].as_i64().unwrap())
    }
}

/// A websocket of this service over a stream in memory. Works with paused time.
pub(crate) async fn piped<S, B>(service: &S, query: &str, buffer_bytes: usize) -> WebSocket<DuplexStream>
where
    S: tower::Service<http::Request<hyper::body::Incoming>, Response = http::Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let (client, server) = tokio::io::duplex(buffer_bytes);
    let service = TowerToHyperService::new(service.clone());
    let serving = async move {
        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        builder
            .serve_connection_with_upgrades(TokioIo::new(server), service)
            .await
            .ok();
    };
    let url = format!("ws://us.test/socket.io/?{query}");
    let ((), connected) = tokio::join!(serving, tokio_tungstenite::client_async(url, client));
    WebSocket(connected.unwrap().0)
}

#[derive(Debug)]
pub(crate) struct WebSocket<S = TcpStream>(pub(crate) WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(WsMessage::text(text)).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> WsMessage {
        within(self.0.next()).await.expect("not ended").unwrap()
    }

    /// Reads on until a text that begins so.
    pub(crate) async fn until(&mut self, beginning: &str) -> String {
        loop {
            let text = self.text().await;
            if text.starts_with(beginning) {
                return text;
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            WsMessage::Text(text) => text.to_string(),
            other => panic!("not text: {other:?}"),
        }
    }

    /// Reads to the end. The code of the close frame, if there was one.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(Ok(message)) = within(self.0.next()).await {
            if let WsMessage::Close(Some(frame)) = message {
                code = Some(frame.code.into());
            }
        }
        code
    }
}

/// A masked client frame; the mask is zero, so the payload is as it is.
pub(crate) fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        Ok(length) => {
            bytes.push(0xFE);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0x80 | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Reads unmasked server frames until the close frame or the end.
pub(crate) async fn raw_close_code(stream: &mut TcpStream) -> Option<u16> {
    loop {
        let first = within(stream.read_u8()).await.ok()?;
        let length = match within(stream.read_u8()).await.ok()? {
            126 => usize::from(within(stream.read_u16()).await.ok()?),
            127 => usize::try_from(within(stream.read_u64()).await.ok()?).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        within(stream.read_exact(&mut payload)).await.ok()?;
        if first == 0x88 {
            return Some(u16::from_be_bytes([payload[0], payload[1]]));
        }
    }
}
