//! Asking a node over HTTP whether it is ready.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether `/readyz` answers 200.
pub(crate) async fn is_ready(http: &str) -> bool {
    let asked = timeout(ASK_TIMEOUT, ask(http)).await;
    matches!(asked, Ok(Ok(200)))
}

async fn ask(http: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(http).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(64).read_to_end(&mut answer).await?;
    Ok(status(&answer).unwrap_or(0))
}

/// The code of `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line)
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_read() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nx: y"), Some(200));
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(status(b""), None);
    }

    #[tokio::test]
    async fn nobody_there_is_not_ready() {
        assert!(!is_ready("127.0.0.1:1").await);
    }
}
