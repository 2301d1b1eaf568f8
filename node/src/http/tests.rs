//! The endpoints, over a real listener.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Check, ReadyChecks, serve};
use crate::telemetry::Metrics;

/// Checks that a test changes while the server runs.
#[derive(Default)]
struct Board(Mutex<Vec<Check>>);

impl Board {
    fn set(&self, checks: &[(&'static str, bool, &str)]) {
        *self.0.lock().unwrap() = checks
            .iter()
            .map(|&(name, ok, detail)| Check {
                name,
                ok,
                detail: detail.to_owned(),
            })
            .collect();
    }
}

impl ReadyChecks for Board {
    fn checks(&self) -> Vec<Check> {
        self.0.lock().unwrap().clone()
    }
}

struct Server {
    address: SocketAddr,
    board: Arc<Board>,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

async fn start(connections_max: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let board = Arc::new(Board::default());
    let stop = CancellationToken::new();
    let (_, metrics) = Metrics::build().unwrap();
    let task = tokio::spawn(serve(
        listener,
        connections_max,
        board.clone(),
        metrics,
        stop.clone(),
    ));
    Server {
        address,
        board,
        stop,
        task,
    }
}

impl Server {
    /// Status, head and body of a GET on its own connection.
    async fn get(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }
}

#[tokio::test]
async fn alive_while_not_ready() {
    let server = start(8).await;
    server.board.set(&[
        ("storage", true, ""),
        ("raft-leader", false, "no leader for 3 s"),
    ]);
    let (status, _, body) = server.get("/livez").await;
    assert_eq!((status, body.as_str()), (200, "ok"));
    let page = "[+]storage ok\n[-]raft-leader failed: no leader for 3 s\nreadyz check failed\n";
    let (status, _, body) = server.get("/readyz").await;
    assert_eq!((status, body.as_str()), (503, page));
    let (status, _, body) = server.get("/readyz?verbose").await;
    assert_eq!((status, body.as_str()), (503, page));
}

#[tokio::test]
async fn ready_when_all_checks_hold() {
    let server = start(8).await;
    server
        .board
        .set(&[("storage", true, ""), ("workers", true, "4 of 4")]);
    let (status, head, body) = server.get("/readyz").await;
    assert_eq!((status, body.as_str()), (200, "ok"));
    assert!(head.contains("cache-control: no-store"), "{head}");
    let page = "[+]storage ok\n[+]workers ok: 4 of 4\nreadyz check passed\n";
    for path in ["/readyz?verbose", "/readyz?a=b&verbose=1"] {
        assert_eq!(server.get(path).await.2, page);
    }
    assert_eq!(server.get("/readyz?verbosely").await.2, "ok");
}

#[tokio::test]
async fn pages_name_the_endpoints() {
    let server = start(8).await;
    let (status, head, body) = server.get("/").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain"), "{head}");
    for endpoint in ["/livez", "/readyz", "/metrics"] {
        assert!(body.contains(endpoint), "{body}");
    }
    let (status, _, body) = server.get("/healthz").await;
    assert_eq!(status, 404);
    assert!(
        body.starts_with("not found\nhint: did you mean /livez?\n"),
        "{body}"
    );
    assert!(
        server
            .get("/x")
            .await
            .2
            .contains("gRPC is served on the client address")
    );
}

#[tokio::test]
async fn metrics_are_served_in_the_text_format() {
    let server = start(8).await;
    let (status, head, _) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_a_place() {
    let server = start(1).await;
    let held = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut answer = Box::pin(server.get("/livez"));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut answer)
            .await
            .is_err()
    );
    drop(held);
    let answer = tokio::time::timeout(Duration::from_secs(5), answer)
        .await
        .unwrap();
    assert_eq!(answer.0, 200);
}

#[tokio::test]
async fn stops_when_told_even_with_a_silent_connection() {
    let server = start(8).await;
    assert_eq!(server.get("/livez").await.0, 200);
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.task).await;
    ended
        .expect("it ends within the grace period")
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
