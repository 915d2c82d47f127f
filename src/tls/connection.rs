//! One accepted connection: its bytes, its end of life, and the places it takes.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use crate::tls::accept::Places;
use crate::tls::gather::Gathering;
use crate::tls::identity::Peer;

/// Bytes of the HTTP/2 preface, which a client sends at once.
const PREFACE_BYTES: usize = 24;

/// A connection whose client's certificate was verified.
pub struct Connection {
    stream: Gathering<TlsStream<TcpStream>>,
    peer: Arc<Peer>,
    is_h2: bool,
    /// Fires when the preface is late; then when the connection is too old.
    deadline: Pin<Box<Sleep>>,
    end_of_life: tokio::time::Instant,
    unread_preface: usize,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    _places: Places,
}

impl Connection {
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        (peer, is_h2): (Arc<Peer>, bool),
        preface_by: tokio::time::Instant,
        end_of_life: tokio::time::Instant,
        places: Places,
    ) -> Self {
        Self {
            stream: Gathering::new(stream),
            peer,
            is_h2,
            deadline: Box::pin(tokio::time::sleep_until(preface_by.min(end_of_life))),
            end_of_life,
            unread_preface: PREFACE_BYTES,
            end: Box::pin(places.lease.end.clone().cancelled_owned()),
            _places: places,
        }
    }

    /// Who is at the other end.
    pub const fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Whether HTTP/2 was agreed on.
    pub const fn is_h2(&self) -> bool {
        self.is_h2
    }

    /// An error once the connection was ended, or its preface or its end is overdue.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        if self.end.as_mut().poll(context).is_ready() {
            return Some(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the connection was ended",
            ));
        }
        if self.deadline.as_mut().poll(context).is_ready() {
            return Some(io::Error::new(io::ErrorKind::TimedOut, "the connection is overdue"));
        }
        None
    }

    fn count_preface(&mut self, read: usize) {
        if self.unread_preface > 0 {
            self.unread_preface = self.unread_preface.saturating_sub(read);
            if self.unread_preface == 0 {
                self.deadline.as_mut().reset(self.end_of_life);
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Peer>;

    fn connect_info(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.poll_end(context) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            this.count_preface(buffer.filled().len().saturating_sub(before));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(error) = this.poll_end(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(error) = this.poll_end(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.poll_end(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A client that does not read would hold its places for as long as it likes.
        if let Some(error) = this.poll_end(context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
