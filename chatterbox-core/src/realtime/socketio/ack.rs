//! Acks, both ways.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::socket::{EmitError, Socket};
use crate::engine::sio::{self, Args, EncodeError, ToArgs};

/// The callback that a client passed with an event, or none.
///
/// It answers at most once; dropped without an answer, the client's time-out tells it so.
#[derive(Debug)]
pub struct Ack {
    pub(super) socket: Socket,
    pub(super) id: Option<u64>,
}

impl Ack {
    /// Whether the client asked for an answer.
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Answers with these arguments. Does nothing if no answer is wanted.
    pub fn send(self, args: impl ToArgs) -> Result<(), EmitError> {
        let Some(id) = self.id else { return Ok(()) };
        let packet = sio::ack(self.socket.namespace_name(), id, &args)?;
        self.socket.send(packet)
    }
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum AckError {
    /// Not within the time given.
    #[error("the client did not answer in time")]
    TimedOut,
    /// The socket is gone, or went while waiting.
    #[error("the socket is disconnected")]
    Disconnected,
    /// This socket owes 1,024 answers already.
    #[error("too many answers are outstanding")]
    TooMany,
    /// The arguments could not be sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The client's answer to come. The event is on its way already; dropping this gives the answer up.
#[must_use = "the answer comes by awaiting it"]
pub struct Answer(pub(super) Pin<Box<dyn Future<Output = Result<Args, AckError>> + Send>>);

impl Future for Answer {
    type Output = Result<Args, AckError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}
