//! Answers that leave together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// Bytes from which a write does not wait for more: it costs more than the call to the system by itself.
const AT_ONCE_BYTES: usize = 4 << 10;

/// A connection whose small writes let what is ready to run go first, once. Many requests are answered at the same moment,
/// those of one entry for instance: without it, each answer wakes the connection, which runs next and writes that one
/// answer, with a call to the system for each. A connection that is alone waits for nobody.
#[derive(Debug)]
pub(crate) struct Gathered<C> {
    connection: C,
    /// Whether the others have had their turn.
    is_due: bool,
}

impl<C> Gathered<C> {
    pub(crate) fn new(connection: C) -> Self {
        Self {
            connection,
            is_due: false,
        }
    }

    /// Pending where others go first. Who wakes itself while it runs comes behind all that is ready.
    fn poll_turn(&mut self, bytes: usize, context: &Context<'_>) -> Poll<()> {
        if self.is_due || bytes >= AT_ONCE_BYTES {
            return Poll::Ready(());
        }
        self.is_due = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_due = written.is_pending();
        written
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gathered<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(bytes.len(), context));
        let written = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        ready!(self.poll_turn(bytes, context));
        let written = Pin::new(&mut self.connection).poll_write_vectored(context, parts);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Gathered<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<C: Connected> Connected for Gathered<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection.connect_info()
    }
}
