//! A connection in the form in which lettre uses one. It ends when the server has sent more than a
//! mail server has to say.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::network::Wire;

/// The number of bytes that are read from a server.
const MOST_READ: usize = 64 * 1024;

/// The greeting of a server, which it does not repeat after STARTTLS and which lettre expects.
const GREETING: &[u8] = b"220 encrypted\r\n";

/// A connection.
pub(super) struct Line {
    /// What is read before the rest.
    ahead: &'static [u8],
    left: usize,
    /// Only ever used by its owner. lettre wants a connection that threads could share.
    wire: Mutex<Box<dyn Wire>>,
}

impl Line {
    /// A connection whose server has not said anything.
    pub(super) fn fresh(wire: Box<dyn Wire>) -> Self {
        Self {
            ahead: b"",
            left: MOST_READ,
            wire: Mutex::new(wire),
        }
    }

    /// A connection whose server has greeted before it was encrypted.
    pub(super) fn greeted(wire: Box<dyn Wire>) -> Self {
        Self {
            ahead: GREETING,
            ..Self::fresh(wire)
        }
    }

    fn wire(&mut self) -> Pin<&mut Box<dyn Wire>> {
        Pin::new(self.wire.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let ahead = self.ahead;
            let (now, later) = ahead.split_at(ahead.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.ahead = later;
            return Poll::Ready(Ok(()));
        }
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the server says too much")));
        }
        let most = self.left.min(buffer.remaining());
        let mut limited = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let polled = self.wire().poll_read(context, &mut limited);
        let read = limited.filled().len();
        buffer.advance(read);
        self.left -= read;
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire().poll_shutdown(context)
    }
}

impl AsyncTokioStream for Line {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}
