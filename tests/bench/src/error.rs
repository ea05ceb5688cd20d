//! Why a benchmark could not be run to its end.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {what}")]
    Io { what: String, source: io::Error },
    #[error("{0}")]
    Missing(String),
    #[error("{server} did not answer within {seconds} s{log}")]
    NotReady {
        server: String,
        seconds: u64,
        log: String,
    },
    #[error("{server} ended while starting ({status}){log}")]
    EndedEarly {
        server: String,
        status: String,
        log: String,
    },
    #[error("{request} was answered with {status}: {body}")]
    Rest {
        request: String,
        status: u16,
        body: String,
    },
    #[error("the server refused `{event}`: {answer}")]
    Refused { event: String, answer: String },
    #[error("the server closed a connection: {0}")]
    Closed(String),
    #[error("only {done} of {wanted} connections were ready after {seconds} s")]
    NotAllReady {
        done: usize,
        wanted: usize,
        seconds: u64,
    },
    #[error("no message was delivered and acknowledged within {seconds} s")]
    Silence { seconds: u64 },
    #[error("the server refused {count} messages, the first with {first}")]
    MessagesRefused { count: u64, first: String },
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was tried when an I/O call failed: `File::open(path).trying_to(|| format!("open {path}"))`.
pub(crate) trait TryingTo<T> {
    fn trying_to(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> TryingTo<T> for Result<T, E> {
    fn trying_to(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Io {
            what: what(),
            source: error.into(),
        })
    }
}
