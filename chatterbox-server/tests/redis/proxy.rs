//! A way to Redis that can be cut, go silent, and be restored.

use std::net::SocketAddr;

use chatterbox_core::tasks::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Connections end, and new ones do at once.
    Cut,
    /// Connections live, new ones are taken, and nothing comes through: a stopped process, a dropped route.
    Silent,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    tasks: Tasks,
}

impl Proxy {
    /// In front of the server that `url` (`redis://host:port…`) names.
    pub(crate) async fn to(url: &str, way: Way) -> Proxy {
        Proxy::at("127.0.0.1:0".parse().unwrap(), url, way).await
    }

    /// The same on a given address.
    pub(crate) async fn at(address: SocketAddr, url: &str, way: Way) -> Proxy {
        let target = url.strip_prefix("redis://").unwrap();
        let target = target.split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, ways) = watch::channel(way);
        let tasks = Tasks::new();
        let pumps = tasks.clone();
        tasks.spawn_until_stopped(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *ways.borrow() == Way::Cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&target).await else {
                    continue;
                };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                pumps.spawn_until_stopped(pump(near_in, far_out, ways.clone()));
                pumps.spawn_until_stopped(pump(far_in, near_out, ways.clone()));
            }
        });
        Proxy { address, way, tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.stop_token().cancel();
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut ways: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = tokio::select! {
            count = from.read(&mut buffer) => match count {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            },
            way = ways.wait_for(|way| *way == Way::Cut) => {
                drop(way);
                return;
            }
        };
        match ways.wait_for(|way| *way != Way::Silent).await {
            Ok(way) if *way == Way::Open => {}
            Ok(_) | Err(_) => return,
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
