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
/// answer, with a call to the system for each. Answers of 256 bytes and more, which h2 sends in parts, leave by themselves.
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
        // h2 adds nothing to what it sends in several parts: a large frame, which is not copied.
        let is_whole = parts.iter().filter(|part| !part.is_empty()).count() <= 1;
        if is_whole {
            let bytes = parts.iter().map(|part| part.len()).sum();
            ready!(self.poll_turn(bytes, context));
        }
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use tokio::sync::Notify;

    use super::*;

    /// A connection that notes the sizes of what it is given.
    #[derive(Debug, Default)]
    struct Noted {
        writes: Vec<usize>,
        is_full: bool,
    }

    impl AsyncWrite for Noted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.is_full {
                return Poll::Pending;
            }
            self.writes.push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Debug, Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_small_write_lets_others_go_first_once_and_a_large_one_does_not() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        let mut gathered = Gathered::new(Noted::default());
        let mut write = |gathered: &mut Gathered<Noted>, bytes: usize| {
            let written = Pin::new(gathered).poll_write(&mut context, &vec![0; bytes]);
            written.map(Result::unwrap)
        };
        assert!(write(&mut gathered, 9).is_pending());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "it comes back");
        // More has come together meanwhile.
        assert_eq!(write(&mut gathered, 30), Poll::Ready(30));
        assert_eq!(
            write(&mut gathered, AT_ONCE_BYTES),
            Poll::Ready(AT_ONCE_BYTES)
        );
        assert_eq!(gathered.connection.writes, [30, AT_ONCE_BYTES]);

        assert!(write(&mut gathered, 9).is_pending());
        gathered.connection.is_full = true;
        assert!(write(&mut gathered, 9).is_pending());
        gathered.connection.is_full = false;
        assert_eq!(write(&mut gathered, 9), Poll::Ready(9), "it had its turn");
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_comes_in_parts_leaves_at_once() {
        let mut context = Context::from_waker(Waker::noop());
        let mut gathered = Gathered::new(Noted::default());
        let mut write = |parts: &[&[u8]]| {
            let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            Pin::new(&mut gathered).poll_write_vectored(&mut context, &parts)
        };
        assert!(write(&[b"head", b"payload"]).is_ready());
        assert!(write(&[b"whole", b""]).is_pending(), "others go first");
        assert!(write(&[b"whole", b""]).is_ready());
    }

    /// The worker of tokio's scheduler runs next what the running task has woken: a connection, before the others have
    /// answered.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn answers_of_the_same_moment_leave_in_one_write() {
        let (ready, said) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let connection = tokio::spawn({
            let (ready, said) = (ready.clone(), said.clone());
            async move {
                ready.notified().await;
                let mut gathered = Gathered::new(Noted::default());
                let write = |context: &mut Context<'_>| {
                    let bytes = vec![0; said.load(Ordering::Relaxed)];
                    Pin::new(&mut gathered).poll_write(context, &bytes)
                };
                poll_fn(write).await.unwrap()
            }
        });
        let answers = async move {
            for _ in 0..5 {
                let (ready, said) = (ready.clone(), said.clone());
                tokio::spawn(async move {
                    said.fetch_add(3, Ordering::Relaxed);
                    ready.notify_one();
                });
            }
        };
        tokio::spawn(answers).await.unwrap();
        assert_eq!(connection.await.unwrap(), 15);
    }
}
