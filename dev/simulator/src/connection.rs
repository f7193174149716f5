//! Connections that can be reset on purpose: the listener, and the switch that each request
//! carries.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Accepts connections that can be reset.
pub struct Listener(pub TcpListener);

/// The switch of one connection.
#[derive(Clone, Default)]
pub struct Switch(Arc<AtomicBool>);

impl Switch {
    /// Stops all further writes: the client sees a reset.
    pub fn reset(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the switch was used.
    pub fn is_reset(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A connection with its switch.
pub struct Connection {
    stream: TcpStream,
    switch: Switch,
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) => {
                    // This only affects the speed.
                    let _ = stream.set_nodelay(true);
                    return (
                        Connection {
                            stream,
                            switch: Switch::default(),
                        },
                        address,
                    );
                }
                // The process has most likely run out of file descriptors; other connections will
                // be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Listener>> for Switch {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.io().switch.clone()
    }
}

impl Connection {
    /// Returns an error once the switch was used; closing the socket then sends a reset.
    fn check(&self) -> io::Result<()> {
        if !self.switch.is_reset() {
            return Ok(());
        }
        self.stream.set_zero_linger()?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
