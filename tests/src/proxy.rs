//! A TCP proxy that can fall silent, as a network does: connections stand, and nothing gets through.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::pushes::Pushes;

/// A proxy before one address; ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    silent: watch::Sender<bool>,
    pushes: Pushes,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on a port of its own.
    pub async fn before(target: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let silent = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let pushes = Pushes::default();
        tasks.spawn(listen(
            listener,
            target.to_owned(),
            silent.subscribe(),
            pushes.clone(),
        ));
        Proxy {
            address,
            silent,
            pushes,
            _tasks: tasks,
        }
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What Redis has pushed through it.
    pub fn pushes(&self) -> &Pushes {
        &self.pushes
    }

    /// From now on nothing gets through, in old connections and in new ones.
    pub fn falls_silent(&self) {
        self.silent.send_replace(true);
    }

    /// What has waited gets through, and everything after it.
    pub fn speaks(&self) {
        self.silent.send_replace(false);
    }
}

async fn listen(listener: TcpListener, target: String, silent: watch::Receiver<bool>, pushes: Pushes) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                connections.spawn(connect(client, target.clone(), silent.clone(), pushes.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(client: TcpStream, target: String, mut silent: watch::Receiver<bool>, pushes: Pushes) {
    if silent.wait_for(|silent| !silent).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut reader = pushes.reader();
    // Either end closing closes both.
    tokio::select! {
        () = copy(from_client, to_server, silent.clone(), |_| {}) => {}
        () = copy(from_server, to_client, silent, |bytes| reader.take(bytes)) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut silent: watch::Receiver<bool>,
    mut look: impl FnMut(&[u8]),
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        look(&bytes[..length]);
        if silent.wait_for(|silent| !silent).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
