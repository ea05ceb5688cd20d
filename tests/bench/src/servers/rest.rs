//! The few REST calls that set the stage.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result, TryingTo as _};

const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Posts `body` and returns what a 201 brings; anything else is an error.
pub(super) fn create(server: SocketAddr, path: &str, token: Option<&str>, body: &Value) -> Result<Value> {
    let authorization = token
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let body = body.to_string();
    let head = format!(
        "{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, answer) = exchange(server, "POST", path, &head)?;
    match serde_json::from_str(&answer) {
        Ok(value) if status == 201 => Ok(value),
        _ => Err(Error::Rest {
            request: format!("POST {path}"),
            status,
            body: answer,
        }),
    }
}

pub(super) fn get_status(server: SocketAddr, path: &str) -> Result<u16> {
    Ok(exchange(server, "GET", path, "\r\n")?.0)
}

/// One request on a connection of its own. In HTTP/1.0 the answer ends with the connection and is never chunked.
fn exchange(server: SocketAddr, method: &str, path: &str, rest: &str) -> Result<(u16, String)> {
    let what = || format!("{method} {path}");
    let mut stream = TcpStream::connect(server).trying_to(what)?;
    stream.set_read_timeout(Some(ANSWER_MAX)).trying_to(what)?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {server}\r\n{rest}").trying_to(what)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).trying_to(what)?;

    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| Error::Missing(format!("{} was not answered in HTTP", what())))?;
    Ok((status, body.to_owned()))
}
