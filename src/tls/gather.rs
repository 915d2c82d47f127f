//! Small writes that follow each other closely leave together.
//!
//! HTTP/2 flushes behind each answer. When many are ready at once, each would be a TLS record and a system call of its
//! own on this side, and a wake-up on the other. So a flush that comes soon after another waits until what else is ready
//! has been written too: the task that owns the connection is polled again behind those that are ready now, and that
//! poll sends everything. A flush that comes alone is done at once.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;

/// What waits is one TLS record at most.
const BYTES_MAX: usize = 16 * 1024;
/// Larger writes are not worth a copy.
const WRITE_MAX: usize = 4 * 1024;
/// Flushes that are closer than this are under load.
const CLOSE: Duration = Duration::from_micros(200);

/// A stream whose owner polls it for reading whenever it is woken, as every HTTP/2 connection does.
pub(super) struct Gathering<S> {
    stream: S,
    waiting: Vec<u8>,
    /// What of it has been written.
    written: usize,
    /// Whether the owner believes it flushed.
    is_due: bool,
    flushed: Option<Instant>,
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, waiting: Vec::new(), written: 0, is_due: false, flushed: None }
    }

    /// Writes what waits.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.waiting.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_flush_now(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.is_due = false;
        self.flushed = Some(Instant::now());
        Poll::Ready(Ok(()))
    }

    /// Whether so many bytes more can wait.
    fn takes(&self, bytes: usize) -> bool {
        bytes <= WRITE_MAX && self.waiting.len() + bytes <= BYTES_MAX
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // If the socket takes no more for now, it wakes the owner when it does; reading goes on. It goes on if the
        // peer takes nothing any more, too: what it said before it left is worth more than the error.
        let flushed = if this.is_due { this.poll_flush_now(context) } else { Poll::Pending };
        match (Pin::new(&mut this.stream).poll_read(context, buffer), flushed) {
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (read, _) => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.takes(bytes.len()) {
            ready!(this.poll_drain(context))?;
        }
        if !this.takes(bytes.len()) {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        }
        this.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let total = slices.iter().map(|slice| slice.len()).sum();
        if !this.takes(total) {
            ready!(this.poll_drain(context))?;
        }
        if !this.takes(total) {
            return Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        }
        for slice in slices {
            this.waiting.extend_from_slice(slice);
        }
        Poll::Ready(Ok(total))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.waiting.is_empty() {
            return Pin::new(&mut this.stream).poll_flush(context);
        }
        if this.is_due || this.flushed.is_some_and(|flushed| flushed.elapsed() < CLOSE) {
            if !std::mem::replace(&mut this.is_due, true) {
                context.waker().wake_by_ref();
            }
            return Poll::Ready(Ok(()));
        }
        this.poll_flush_now(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_flush_now(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::io::DuplexStream;

    use super::*;

    /// Counts the writes that reach it.
    struct Counted {
        stream: DuplexStream,
        writes: usize,
    }

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.writes += 1;
            Pin::new(&mut self.stream).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(context)
        }
    }

    fn gathering(capacity: usize) -> (Gathering<Counted>, DuplexStream) {
        let (stream, peer) = tokio::io::duplex(capacity);
        (Gathering::new(Counted { stream, writes: 0 }), peer)
    }

    async fn write(stream: &mut Gathering<Counted>, bytes: &[u8]) {
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
    }

    async fn write_all(stream: &mut Gathering<Counted>, words: std::slice::Chunks<'_, u8>) {
        for word in words {
            write(stream, word).await;
        }
    }

    /// One turn of an owner: it reads, which finds nothing, and is polled again when it was woken.
    async fn turn(stream: &mut Gathering<Counted>) {
        let mut turns = 0;
        poll_fn(|context| {
            let mut bytes = [0; 8];
            let read = Pin::new(&mut *stream).poll_read(context, &mut ReadBuf::new(&mut bytes));
            assert!(read.is_pending());
            turns += 1;
            if turns == 2 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_alone_is_done_at_once_and_those_behind_it_leave_together() {
        let (mut stream, mut peer) = gathering(1024);
        let mut bytes = [0; 64];
        write(&mut stream, b"one").await;
        assert_eq!(peer.read(&mut bytes).await.unwrap(), 3);
        for word in [b"two", b"six", b"ten"] {
            write(&mut stream, word).await;
        }
        assert_eq!(stream.stream.writes, 1, "they wait for each other");
        turn(&mut stream).await;
        assert_eq!(stream.stream.writes, 2, "one write for three flushes");
        let read = peer.read(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..read], b"twosixten");
        tokio::time::advance(CLOSE).await;
        write(&mut stream, b"end").await;
        assert_eq!(stream.stream.writes, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_leaves_before_the_end() {
        let (mut stream, mut peer) = gathering(1024);
        for word in [b"one", b"two"] {
            write(&mut stream, word).await;
        }
        stream.shutdown().await.unwrap();
        let mut read = Vec::new();
        peer.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"onetwo");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_holds_no_more_than_the_bound() {
        let (mut stream, peer) = gathering(64);
        // Far more than the peer's 64 bytes and what may wait.
        let bytes = vec![7; 4 * BYTES_MAX];
        let writing = write_all(&mut stream, bytes.chunks(1000));
        tokio::time::timeout(Duration::from_secs(1), writing).await.unwrap_err();
        assert!(stream.waiting.len() <= BYTES_MAX, "{} bytes wait", stream.waiting.len());
        drop(peer);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_peer_said_before_it_left_is_read_first() {
        let (mut stream, mut peer) = gathering(1024);
        for word in [b"one", b"two"] {
            write(&mut stream, word).await;
        }
        assert!(stream.is_due);
        peer.write_all(b"receipt").await.unwrap();
        drop(peer);
        let mut bytes = [0; 64];
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 7, "though nothing can be written");
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 0);
    }

    proptest! {
        #[test]
        fn every_byte_arrives_once_and_in_order(
            writes in prop::collection::vec((1..9000_usize, any::<bool>()), 1..60),
            capacity in 1..40_000_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (mut stream, mut peer) = gathering(capacity);
                let mut sent = Vec::new();
                let writing = async {
                    for (number, (length, flushed)) in writes.iter().enumerate() {
                        let bytes = vec![u8::try_from(number).unwrap(); *length];
                        stream.write_all(&bytes).await.unwrap();
                        sent.extend(bytes);
                        if *flushed {
                            stream.flush().await.unwrap();
                        }
                    }
                    stream.shutdown().await.unwrap();
                };
                let mut read = Vec::new();
                let reading = peer.read_to_end(&mut read);
                let (_written, came) = tokio::join!(writing, reading);
                came.unwrap();
                assert!(read == sent, "{} of {} bytes came", read.len(), sent.len());
            });
        }
    }
}
