//! What workers write to their standard output and error, as lines of the node's log.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

/// A longer line is cut into pieces.
const LINE_BYTES_MAX: u64 = 8 * 1024;
/// What is kept of the newest line, in characters.
const WORDS_CHARS_MAX: usize = 500;
/// How long a dead worker's children may hold its output open.
const END_TIMEOUT: Duration = Duration::from_millis(200);

/// The readers of one worker's output.
pub(super) struct Output {
    readers: Vec<JoinHandle<()>>,
    last: Arc<Mutex<String>>,
}

impl Output {
    /// Read the ends of two pipes until the others are closed.
    pub(super) fn capture(
        stdout: OwnedFd,
        stderr: OwnedFd,
        worker: &str,
        pool: &str,
    ) -> io::Result<Self> {
        let last = Arc::new(Mutex::default());
        let mut readers = Vec::with_capacity(2);
        for pipe in [stdout, stderr] {
            readers.push(read(Receiver::from_owned_fd(pipe)?, worker, pool, &last));
        }
        Ok(Self { readers, last })
    }

    /// Take what is left, now that the worker is gone.
    pub(super) async fn end(&mut self) {
        let deadline = tokio::time::Instant::now() + END_TIMEOUT;
        for mut reader in self.readers.drain(..) {
            if tokio::time::timeout_at(deadline, &mut reader)
                .await
                .is_err()
            {
                reader.abort();
            }
        }
    }

    /// The newest line.
    pub(super) fn last_words(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_empty() {
            "(empty)".into()
        } else {
            last.clone()
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

fn read(
    stream: impl AsyncRead + Unpin + Send + 'static,
    worker: &str,
    pool: &str,
    last: &Arc<Mutex<String>>,
) -> JoinHandle<()> {
    let (worker, pool, last) = (worker.to_owned(), pool.to_owned(), last.clone());
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut stream)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .await
            {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if text.is_empty() {
                continue;
            }
            log(&worker, &pool, text);
            let words = text.chars().take(WORDS_CHARS_MAX).collect();
            *last.lock().unwrap_or_else(PoisonError::into_inner) = words;
        }
    })
}

/// At the level that the line begins with, as the Python side writes it.
fn log(worker: &str, pool: &str, text: &str) {
    match text.split(' ').next() {
        Some("DEBUG") => tracing::debug!(target: "worker", worker, pool, "{text}"),
        Some("WARNING") => tracing::warn!(target: "worker", worker, pool, "{text}"),
        Some("ERROR" | "CRITICAL") => tracing::error!(target: "worker", worker, pool, "{text}"),
        _ => tracing::info!(target: "worker", worker, pool, "{text}"),
    }
}
