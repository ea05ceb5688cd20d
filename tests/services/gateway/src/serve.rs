//! The listener, and one task a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::dispatch::Gateway;
use crate::wire::{self, WireError};

/// Connections of clients at once; more wait in the listener's queue.
const CLIENTS_MAX: usize = 2_000;

/// Takes connections for ever.
pub(crate) async fn serve(listener: TcpListener, gateway: Arc<Gateway>) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("mongo-gateway: no connection taken: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let gateway = Arc::clone(&gateway);
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with its connection; nothing waits for this program's end"
        )]
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &gateway).await
                && !matches!(error, WireError::Io(_))
            {
                eprintln!("mongo-gateway: a connection was closed: {error}");
            }
            drop(place);
        });
    }
}

/// Answers one message after the other.
async fn converse(mut stream: TcpStream, gateway: &Gateway) -> Result<(), WireError> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    while let Some(message) = wire::read(&mut reader).await? {
        let (id, form, silent) = (message.id, message.form, message.silent);
        let answer = gateway.answer(message).await;
        if !silent {
            writer.write_all(&wire::answer(form, id, &answer)).await?;
        }
    }
    Ok(())
}
