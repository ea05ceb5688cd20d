//! Websocket streams: a plain TCP stream in two halves where hyper can give it back, anything else as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::engine::Frame;
use crate::engine::websocket;
use crate::hub::driver::{ReadSide, Wire};

/// An accepted websocket that nobody reads or writes yet.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(OwnedReadHalf, OwnedWriteHalf),
    Other(Box<TokioIo<Upgraded>>),
}

impl Stream {
    /// Takes the stream out of hyper, and the bytes that came behind the request.
    ///
    /// These are copied: even an empty slice of hyper's buffer keeps all of its 8 KiB.
    pub(super) fn from_upgraded(upgraded: Upgraded) -> (Stream, Bytes) {
        // hyper-util's `auto` server wraps the stream, hyper's own does not.
        let upgraded = match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)
        {
            Ok(parts) => return (Stream::tcp(parts.io), Bytes::copy_from_slice(&parts.read_buf)),
            Err(upgraded) => upgraded,
        };
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => (Stream::tcp(parts.io), Bytes::copy_from_slice(&parts.read_buf)),
            Err(upgraded) => (Stream::Other(Box::new(TokioIo::new(upgraded))), Bytes::new()),
        }
    }

    fn tcp(io: TokioIo<TcpStream>) -> Stream {
        let stream = io.into_inner();
        // Frames are joined by us; the kernel should not wait for more. A socket that is gone says so at its first read.
        let _ = stream.set_nodelay(true);
        let (read, write) = stream.into_split();
        Stream::Tcp(read, write)
    }

    /// For a session: who writes, and what its task reads from.
    pub(super) fn split(self) -> (Wire, ReadSide) {
        match self {
            Stream::Tcp(read, write) => (Wire::Tcp(Some(write)), ReadSide::Tcp(read)),
            Stream::Other(io) => (Wire::Task, ReadSide::Other(io)),
        }
    }

    /// Writes one frame, for a websocket that carries no session.
    pub(super) async fn write(&mut self, frame: &Frame) -> io::Result<()> {
        self.write_all(frame.as_websocket()).await?;
        self.flush().await
    }

    /// Closes a websocket that carries no session, and lets the client read why.
    pub(super) async fn close(mut self) {
        let closing = async {
            self.write(&websocket::close(1000, "")).await?;
            self.shutdown().await?;
            // Data left unread would make the kernel reset the connection before the client has read.
            let mut rest = [0; 512];
            while self.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // However it ends, the stream is dropped.
        let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(read, _) => Pin::new(read).poll_read(cx, buf),
            Stream::Other(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(_, write) => Pin::new(write).poll_write(cx, buf),
            Stream::Other(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(_, write) => Pin::new(write).poll_flush(cx),
            Stream::Other(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(_, write) => Pin::new(write).poll_shutdown(cx),
            Stream::Other(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
