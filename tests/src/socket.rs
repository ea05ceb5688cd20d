//! A Socket.IO client over a bare websocket: just enough of PROTOCOL.md to speak, hear and get acks, written by itself
//! so that a mistake of the engine is not made twice.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::PATIENCE;

/// A connection to the namespace `/`.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// Events that came while something else was waited for.
    heard: VecDeque<(String, Value)>,
    next_ack: u64,
    /// The public id of the socket.
    pub id: String,
}

async fn dial(from: Ipv4Addr, address: &str) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let address = address.parse().map_err(io::Error::other)?;
    socket.connect(address).await
}

/// The connection is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The websocket close code, if a close frame came.
    pub code: Option<u16>,
    /// Whether a Socket.IO disconnect (`41`) came first.
    pub disconnected: bool,
}

impl Socket {
    /// Connects to `base`, such as `http://127.0.0.1:3000`, with a CONNECT payload.
    pub async fn connect(base: &str, payload: Option<Value>) -> Result<Socket, Lost> {
        Socket::connect_from(Ipv4Addr::LOCALHOST, base, payload).await
    }

    /// The same from an address of its own (all of 127.0.0.0/8 is this machine): the server bounds what comes from one.
    pub async fn connect_from(from: Ipv4Addr, base: &str, payload: Option<Value>) -> Result<Socket, Lost> {
        let gone = || Lost {
            code: None,
            disconnected: false,
        };
        let address = base.trim_start_matches("http://");
        let stream = dial(from, address).await.map_err(|_| gone())?;
        stream.set_nodelay(true).map_err(|_| gone())?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (stream, _) = tokio_tungstenite::client_async(url, stream)
            .await
            .map_err(|_| gone())?;
        let mut socket = Socket {
            stream,
            heard: VecDeque::new(),
            next_ack: 0,
            id: String::new(),
        };
        let open = socket.packet().await?;
        assert!(open.starts_with("0{"), "the open packet comes first: {open}");
        let payload = payload.map_or_else(String::new, |payload| payload.to_string());
        socket.write(format!("40{payload}")).await?;
        let answer = socket.packet().await?;
        let connected: Value =
            serde_json::from_str(answer.strip_prefix("40").unwrap_or("null")).unwrap_or_default();
        let Some(id) = connected["sid"].as_str() else {
            panic!("CONNECT was answered with {answer}")
        };
        id.clone_into(&mut socket.id);
        Ok(socket)
    }

    /// Emits without asking for an ack.
    pub async fn emit(&mut self, event: &str, data: Value) -> Result<(), Lost> {
        self.write(format!("42{}", json!([event, data]))).await
    }

    /// Emits and waits for the ack; events that come first are kept.
    pub async fn ask(&mut self, event: &str, data: Value) -> Result<Value, Lost> {
        let id = self.submit(event, data).await?;
        loop {
            if let Some((found, answer)) = self.ack().await?
                && found == id
            {
                return Ok(answer);
            }
        }
    }

    /// Emits with an ack id, which it returns, and goes on.
    pub async fn submit(&mut self, event: &str, data: Value) -> Result<u64, Lost> {
        let id = self.next_ack;
        self.next_ack += 1;
        self.write(format!("42{id}{}", json!([event, data]))).await?;
        Ok(id)
    }

    /// Reads one packet; an ack is returned, an event kept.
    pub async fn ack(&mut self) -> Result<Option<(u64, Value)>, Lost> {
        let packet = self.packet().await?;
        if let Some(ack) = packet.strip_prefix("43") {
            let digits = ack.find('[').unwrap_or(0);
            let id = ack[..digits]
                .parse()
                .unwrap_or_else(|_| panic!("no ack: {packet}"));
            let mut answer: Vec<Value> = serde_json::from_str(&ack[digits..]).unwrap_or_default();
            assert_eq!(answer.len(), 1, "an ack of one object: {packet}");
            return Ok(Some((id, answer.remove(0))));
        }
        let event = packet
            .strip_prefix("42")
            .unwrap_or_else(|| panic!("neither event nor ack: {packet}"));
        let mut event: Vec<Value> = serde_json::from_str(event).unwrap_or_default();
        assert_eq!(event.len(), 2, "an event of one object: {packet}");
        let data = event.remove(1);
        let name = event[0].as_str().unwrap_or_default().to_owned();
        self.heard.push_back((name, data));
        Ok(None)
    }

    /// The next event of this name; events of other names are kept.
    pub async fn hear(&mut self, event: &str) -> Result<Value, Lost> {
        loop {
            if let Some(at) = self.heard.iter().position(|(name, _)| name == event) {
                return Ok(self.heard.remove(at).expect("it was found there").1);
            }
            self.ack().await?;
        }
    }

    /// The next event, whatever its name.
    pub async fn event(&mut self) -> Result<(String, Value), Lost> {
        loop {
            if let Some(event) = self.heard.pop_front() {
                return Ok(event);
            }
            self.ack().await?;
        }
    }

    /// All events that have come and were not asked for, by name.
    pub fn unheard(&self) -> Vec<&str> {
        self.heard.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Waits for the end of the connection.
    pub async fn lost(&mut self) -> Lost {
        loop {
            if let Err(lost) = self.ack().await {
                return lost;
            }
        }
    }

    /// Writes an Engine.IO packet as it is.
    pub async fn write(&mut self, packet: String) -> Result<(), Lost> {
        self.stream
            .send(Message::Text(packet.into()))
            .await
            .map_err(|_| Lost {
                code: None,
                disconnected: false,
            })
    }

    /// The next packet that is not a ping, which is answered.
    async fn packet(&mut self) -> Result<String, Lost> {
        let mut disconnected = false;
        loop {
            let next = timeout(PATIENCE, self.stream.next())
                .await
                .unwrap_or_else(|_| panic!("nothing came for {PATIENCE:?}; unheard: {:?}", self.unheard()));
            match next {
                Some(Ok(Message::Text(text))) if text == "2" => self.write("3".to_owned()).await?,
                Some(Ok(Message::Text(text))) if text == "41" => disconnected = true,
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| frame.code.into());
                    return Err(Lost { code, disconnected });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    return Err(Lost {
                        code: None,
                        disconnected,
                    });
                }
            }
        }
    }
}
