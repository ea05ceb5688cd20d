use std::convert::Infallible;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chatterbox_core::app::{Command, Reply};
use chatterbox_core::error::Error;
use chatterbox_core::tasks::Tasks;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixListener;
use tracing::{debug, info, warn};

use super::{Answer, BODY_BYTES_MAX, Refused, Status, socket_path};
use crate::lock::Lock;

/// Who answers on the control socket.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does a command as the operator.
    async fn call(&self, command: Command) -> Result<Reply, Error>;

    /// Says how the server is.
    fn status(&self) -> Status;
}

/// Serves the control socket of the locked directory until `tasks` stop. A socket left behind by a process that died
/// is replaced: holding the lock proves that nobody listens on it.
pub fn serve(lock: &Lock, handler: Arc<dyn Handler>, tasks: &Tasks) -> io::Result<()> {
    let listener = listen(lock.directory())?;
    let connections = tasks.clone();
    tasks.spawn_until_stopped(async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!("the control socket can't accept: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let handler = Arc::clone(&handler);
            connections.spawn_until_stopped(async move {
                let service = service_fn(move |request| answer(Arc::clone(&handler), request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    debug!("a control connection ended: {error}");
                }
            });
        }
    });
    Ok(())
}

/// Binds inside a directory that only we can enter and renames the socket into place once its mode is right, so that
/// at no moment anybody else could open it.
fn listen(directory: &Path) -> io::Result<UnixListener> {
    let private = directory.join(".ctl");
    let _ = fs::remove_dir_all(&private);
    DirBuilder::new().mode(0o700).create(&private)?;
    let path = private.join("s");
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    fs::rename(&path, socket_path(directory))?;
    fs::remove_dir(&private)?;
    Ok(listener)
}

async fn answer(
    handler: Arc<dyn Handler>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answered = match (request.method(), request.uri().path()) {
        (&Method::POST, "/command") => command(&*handler, request).await,
        (&Method::GET, "/status") => json(StatusCode::OK, &handler.status()),
        _ => refusal(StatusCode::NOT_FOUND, "there are POST /command and GET /status"),
    };
    Ok(answered)
}

async fn command(handler: &dyn Handler, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let command: Command = match serde_json::from_slice(&body) {
        Ok(command) => command,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    // The name only: a command may carry a password.
    info!("the operator asks for {}", command.name());
    let answer = match handler.call(command).await {
        Ok(reply) => Answer {
            ok: true,
            reply: serde_json::to_value(&reply).ok(),
            error: None,
        },
        Err(error) => {
            if error.is_fault() {
                warn!("a command of the operator failed: {error:?}");
            }
            refused(error.code(), &error.to_string())
        }
    };
    json(StatusCode::OK, &answer)
}

fn refused(code: &str, message: &str) -> Answer {
    Answer {
        ok: false,
        reply: None,
        error: Some(Refused {
            code: code.to_owned(),
            message: message.to_owned(),
        }),
    }
}

fn refusal(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    json(status, &refused("BAD_COMMAND", message))
}

fn json<T: serde::Serialize>(status: StatusCode, body: &T) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
