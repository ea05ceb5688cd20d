//! The question of the scripts: does it answer, with its PostgreSQL?

use std::net::SocketAddr;
use std::time::Duration;

use bson::rawdoc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::{self, Form, WireError};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Succeeds if a `ping` is answered with success.
pub(crate) async fn ping(address: SocketAddr) -> Result<(), String> {
    let answer = timeout(ANSWER_MAX, ask(address))
        .await
        .map_err(|_| format!("{address} does not answer"))?
        .map_err(|error| format!("{address}: {error}"))?;
    if answer.get("ok").ok().flatten().and_then(crate::command::whole_of) == Some(1) {
        Ok(())
    } else {
        Err(format!("{address} answers {answer:?}"))
    }
}

async fn ask(address: SocketAddr) -> Result<bson::RawDocumentBuf, WireError> {
    let mut stream = TcpStream::connect(address).await?;
    let question = wire::answer(Form::Message, 0, &rawdoc! {"ping": 1, "$db": "admin"});
    stream.write_all(&question).await?;
    let answer = wire::read(&mut stream).await?;
    answer
        .map(|answer| answer.body)
        .ok_or(WireError::Malformed("closed"))
}
