//! What a connection's state holds for the drivers: the way out, the requests that wait for an answer, and a
//! websocket on its way to the connection's task.

use std::time::Instant;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::engine::CloseReason;
use crate::engine::Frame;
use crate::engine::eio::session::RequestId;
use crate::engine::eio::{Output, Outputs, Refusal, Session};
use crate::engine::websocket::Reader;

/// How a session's frames get out.
#[derive(Debug)]
pub(crate) enum Wire {
    /// In the answers of GETs; or not at all for the moment between an upgrade and the arrival of its websocket.
    None,
    /// The shard's flusher writes; it has taken the half out while it does.
    Tcp(Option<OwnedWriteHalf>),
    /// The connection's task writes: the stream is not a plain TCP one.
    Task,
}

/// The reading side of a websocket that became a session's transport.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: ReadSide,
    pub(crate) reader: Reader,
    /// Bytes that came behind the last one read so far.
    pub(crate) pending: Bytes,
}

/// What the connection's task reads from.
#[derive(Debug)]
pub(crate) enum ReadSide {
    /// Half of a plain TCP stream.
    Tcp(OwnedReadHalf),
    /// Any other stream, both directions.
    Other(Box<TokioIo<hyper::upgrade::Upgraded>>),
}

/// The end of a GET or POST.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A GET: these packets.
    Packets(Bytes),
    /// A POST: `ok`.
    Taken,
    /// An error.
    Refused(Refusal),
}

/// What a probing websocket is told.
#[derive(Debug)]
pub(crate) enum ProbeCommand {
    /// Write this.
    Write(Frame),
    /// Close.
    End,
    /// Hand the websocket over: it carries the session now.
    Become,
}

/// GETs, POSTs and the probing websocket of a session that wait to hear from it.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: RequestId,
    waiting: Vec<(RequestId, oneshot::Sender<Answer>)>,
    probe: Option<(RequestId, mpsc::Sender<ProbeCommand>)>,
}

impl Requests {
    /// Takes the place for one answer.
    pub(crate) fn wait(&mut self) -> (RequestId, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        self.last = self.last.wrapping_add(1);
        self.waiting.push((self.last, sender));
        (self.last, receiver)
    }

    /// A number for a probing websocket.
    pub(crate) fn probe_id(&mut self) -> RequestId {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// The accepted probe hears commands.
    pub(crate) fn hear(&mut self, id: RequestId) -> mpsc::Receiver<ProbeCommand> {
        // One answer, some pongs: a client that floods doesn't read, and loses its probe.
        let (sender, receiver) = mpsc::channel(8);
        self.probe = Some((id, sender));
        receiver
    }

    /// A request that nobody waits for any more.
    pub(crate) fn forget(&mut self, id: RequestId) {
        drop(self.take(id));
    }

    fn take(&mut self, id: RequestId) -> Option<oneshot::Sender<Answer>> {
        let at = self.waiting.iter().position(|(other, _)| *other == id)?;
        let (_, sender) = self.waiting.swap_remove(at);
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        Some(sender)
    }

    /// Passes on what the session decided.
    pub(super) fn answer(&mut self, output: Output, session: &mut Session, now: Instant, out: &mut Outputs) {
        match output {
            Output::AnswerGet(id, body) => {
                let answered = self.take(id).map(|sender| sender.send(Answer::Packets(body)));
                if !matches!(answered, Some(Ok(()))) {
                    // The client dropped the GET in this very moment; what it was to carry is lost.
                    session.close(CloseReason::TransportClose, now, out);
                }
            }
            Output::AnswerPost(id) => {
                // A client that is gone by now doesn't hear it; its packets were taken all the same.
                let _ = self.take(id).map(|sender| sender.send(Answer::Taken));
            }
            Output::Refuse(id, refusal) => {
                let _ = self.take(id).map(|sender| sender.send(Answer::Refused(refusal)));
            }
            Output::AnswerProbe(id, frame) => self.command(id, ProbeCommand::Write(frame), session),
            Output::EndProbe(id) => {
                self.command(id, ProbeCommand::End, session);
                self.probe = None;
            }
            Output::Upgraded(id) => {
                self.command(id, ProbeCommand::Become, session);
                self.probe = None;
            }
            Output::Closed(_) | Output::Gone => {}
        }
    }

    fn command(&mut self, id: RequestId, command: ProbeCommand, session: &mut Session) {
        if let Some((other, sender)) = &self.probe
            && *other == id
            && sender.try_send(command).is_err()
        {
            session.probe_gone(id);
        }
    }
}
