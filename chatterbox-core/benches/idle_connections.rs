//! What an idle websocket connection costs in memory, and what a connect costs in CPU.
//!
//! The clients are plain blocking sockets in this process: they cost the kernel memory, but next to none of ours.
//! `cargo bench -p chatterbox-core --bench idle_connections -- 5000`

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use chatterbox_core::realtime::{Caps, Config, EngineIo, engineio};
use chatterbox_core::tasks::Tasks;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;

const REQUEST: &[u8] =
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn main() {
    let count = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(5_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let (address, service) = runtime.block_on(serve());
    let connect = |number: usize| -> Vec<TcpStream> { (0..number).map(|_| client(address)).collect() };
    let warm = connect(200);
    drop(warm);
    runtime.block_on(async {
        while service.counters().sessions > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    let (rss, cpu) = (resident_bytes(), server_cpu_us());
    let clients = connect(count);
    let (grown, used) = (resident_bytes().saturating_sub(rss), server_cpu_us() - cpu);
    #[expect(clippy::print_stdout, reason = "this is what it is for")]
    {
        println!("{count} idle connections: {} bytes of RSS each", grown / count);
        println!(
            "{} us of CPU per connect in the server's thread",
            used / count as u64
        );
    }
    drop(clients);
}

async fn serve() -> (
    std::net::SocketAddr,
    EngineIo<impl chatterbox_core::realtime::Application>,
) {
    let caps = Caps {
        sessions_max: usize::MAX,
        ..Caps::default()
    };
    let tasks = Tasks::new();
    let echo = engineio::on_message(|link, message| link.send(message.to_packet()));
    let service = EngineIo::new(
        Arc::new(echo),
        Config {
            caps,
            ..Config::default()
        },
        tasks.clone(),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (mounted, owner) = (service.clone(), tasks.clone());
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(mounted.clone());
            owner.spawn(async move {
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                server
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
        }
    });
    (address, service)
}

/// Connects and reads up to the open packet.
fn client(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.write_all(REQUEST).expect("it takes the request");
    let (mut seen, mut chunk) = (Vec::new(), [0; 512]);
    while !seen.ends_with(b"\"maxPayload\":1000000}") {
        let count = stream.read(&mut chunk).expect("it answers");
        seen.extend_from_slice(&chunk[..count]);
    }
    stream
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .expect("a number")
        * 4096
}

/// CPU time of all threads but the main one, which plays the clients.
fn server_cpu_us() -> u64 {
    let main = std::process::id().to_string();
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
    let others = threads.filter(|thread| thread.file_name() != main.as_str());
    let nanos = others.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    nanos.sum::<u64>() / 1000
}
