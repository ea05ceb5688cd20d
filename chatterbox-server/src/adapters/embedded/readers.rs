//! The threads that read: as many as cores, each with a connection of its own, all taking from one channel.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chatterbox_core::ports::storage::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::closed;
use super::schema::{self, OpenError};

/// Reads that may wait; beyond them callers wait before they are queued.
const WAITING_MAX: usize = 1_024;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the threads that read; they end with the last clone.
#[derive(Clone)]
pub(super) struct Readers {
    jobs: mpsc::Sender<Job>,
}

impl Readers {
    /// Starts the threads.
    pub(super) fn start(path: &Path) -> Result<Readers, OpenError> {
        let (jobs, incoming) = mpsc::channel::<Job>(WAITING_MAX);
        let incoming = Arc::new(Mutex::new(incoming));
        let threads = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        for index in 0..threads {
            let connection = schema::open_reader(path)?;
            #[cfg(feature = "measure")]
            let connection = super::measure::counted(connection);
            let incoming = Arc::clone(&incoming);
            thread::Builder::new()
                .name(format!("store-reader-{index}"))
                .spawn(move || serve(&connection, &incoming))
                .map_err(|source| OpenError::Io {
                    path: path.to_owned(),
                    source,
                })?;
        }
        Ok(Readers { jobs })
    }

    /// Runs `read` on a snapshot of what is committed now.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (asker, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A caller that gave up while this waited needs no answer.
            if !asker.is_closed() {
                let _ = asker.send(read(connection));
            }
        });
        self.jobs.send(job).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn serve(connection: &Connection, incoming: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // One thread waits in the channel, the others behind it in the lock.
        let next = incoming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        match next {
            Some(job) => job(connection),
            None => return,
        }
    }
}
