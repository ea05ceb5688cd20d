//! Opening the sockets that clients connect to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use crate::config::Host;

/// Connections that wait to be accepted; a wave of reconnects after a restart should fit.
const BACKLOG: u32 = 4096;

/// How often a port picked by the system is tried on the second address.
const PICKS_MAX: usize = 20;

/// The sockets that clients connect to, all on one port.
#[derive(Debug)]
pub struct Bound {
    pub(super) sockets: Vec<TcpListener>,
    port: u16,
    host: Host,
}

impl Bound {
    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where a browser on this machine finds the server.
    pub fn url(&self) -> String {
        let host = match &self.host {
            Host::Localhost => "localhost".to_owned(),
            Host::Addresses(addresses) => match addresses.first() {
                Some(address) if address.is_unspecified() => "localhost".to_owned(),
                Some(IpAddr::V6(address)) => format!("[{address}]"),
                Some(IpAddr::V4(address)) => address.to_string(),
                None => String::new(),
            },
        };
        format!("http://{host}:{}", self.port)
    }
}

/// Listens on all addresses of `host`. With port 0 the system picks one that is free on all of them.
pub fn bind(host: &Host, port: u16) -> io::Result<Bound> {
    let mut outcome = bind_once(host, port);
    for _ in 1..PICKS_MAX {
        match outcome {
            // The port picked for the first address is taken on the second: pick another.
            Err(ref error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => {
                outcome = bind_once(host, port);
            }
            _ => break,
        }
    }
    outcome
}

fn bind_once(host: &Host, mut port: u16) -> io::Result<Bound> {
    let (addresses, optional): (Vec<IpAddr>, Option<IpAddr>) = match host {
        Host::Localhost => (vec![Ipv4Addr::LOCALHOST.into()], Some(Ipv6Addr::LOCALHOST.into())),
        Host::Addresses(addresses) => (addresses.clone(), None),
    };
    let mut sockets = Vec::new();
    for address in addresses {
        let socket = open(address, port)?;
        port = socket.local_addr()?.port();
        sockets.push(socket);
    }
    if let Some(address) = optional {
        match open(address, port) {
            Ok(socket) => sockets.push(socket),
            // A machine without IPv6 has no ::1.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Bound {
        sockets,
        port,
        host: host.clone(),
    })
}

fn open(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}"));
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
    .map_err(named)?;
    // A restarted server gets its port back at once, although old connections linger in TIME_WAIT.
    socket.set_reuseaddr(true).map_err(named)?;
    socket.bind(address).map_err(named)?;
    socket.listen(BACKLOG).map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_zero_picks_one_port_for_all_addresses() {
        // S-037.
        let bound = bind(&Host::Localhost, 0).unwrap();
        assert_ne!(bound.port(), 0);
        assert_eq!(bound.url(), format!("http://localhost:{}", bound.port()));
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().unwrap().port(), bound.port());
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = bind(&Host::Localhost, 0).unwrap();
        let message = bind(&Host::Localhost, first.port()).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("can't listen on 127.0.0.1:{}", first.port())),
            "{message}"
        );
    }
}
