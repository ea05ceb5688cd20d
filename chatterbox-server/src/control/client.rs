use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chatterbox_core::app::Command;
use chatterbox_core::tasks::Tasks;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{Answer, BODY_BYTES_MAX, Refused, Status, socket_path};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The server could not be understood or did not answer.
    #[error("the server does not answer on its control socket: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

/// A connection to the control socket of a running server.
#[derive(Debug)]
pub struct Client {
    requests: SendRequest<Full<Bytes>>,
    // The connection's task ends when the last request handle is dropped.
    _tasks: Tasks,
}

impl Client {
    /// Connects; `None` if no server runs on this data directory.
    pub async fn connect(data_dir: &Path) -> Result<Option<Client>, ClientError> {
        let stream = match UnixStream::connect(socket_path(data_dir)).await {
            Ok(stream) => stream,
            // No socket, or one left behind by a process that died.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(broken(error)),
        };
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let tasks = Tasks::new();
        tasks.spawn(async move {
            // Its failure is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Some(Client {
            requests,
            _tasks: tasks,
        }))
    }

    /// Has a command done; its reply as JSON.
    pub async fn call(&mut self, command: &Command) -> Result<Value, ClientError> {
        let body = serde_json::to_vec(command).map_err(broken)?;
        let answer: Answer = self.exchange(Method::POST, "/command", body).await?;
        match answer {
            Answer {
                error: Some(refused), ..
            } => Err(refused.into()),
            Answer { reply, .. } => Ok(reply.unwrap_or_default()),
        }
    }

    /// How the server is.
    pub async fn status(&mut self) -> Result<Status, ClientError> {
        self.exchange(Method::GET, "/status", Vec::new()).await
    }

    async fn exchange<T: serde::de::DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(broken)?;
        let exchange = async {
            let response = self.requests.send_request(request).await.map_err(broken)?;
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
            serde_json::from_slice(&body.map_err(ClientError::Broken)?.to_bytes()).map_err(broken)
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(broken)?
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Broken(error.into())
}
