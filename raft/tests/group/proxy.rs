//! The door of a node: a loopback port that stays while the node behind it comes and goes, counts what comes
//! in, and can be closed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug)]
struct Shared {
    /// Where the node listens; `None` while it is away or cut off.
    behind: watch::Sender<Option<SocketAddr>>,
    bytes_in: AtomicU64,
    /// Bytes that one connection may bring in before it breaks; taken by the first that reaches it.
    break_after: Mutex<Option<u64>>,
}

#[derive(Clone, Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            behind: watch::Sender::new(None),
            bytes_in: AtomicU64::new(0),
            break_after: Mutex::new(None),
        });
        let this = Self { address, shared };
        let proxy = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(proxy.clone().carry(stream));
            }
        });
        this
    }

    /// Lead to a node, or to nobody: then all connections end.
    pub fn lead_to(&self, node: Option<SocketAddr>) {
        self.shared.behind.send_replace(node);
    }

    /// Where it leads.
    pub fn behind(&self) -> Option<SocketAddr> {
        *self.shared.behind.borrow()
    }

    /// End the first connection that brings in more than so many bytes.
    pub fn break_after(&self, bytes: u64) {
        *self.shared.break_after.lock().unwrap() = Some(bytes);
    }

    /// Whether a connection was ended for what it brought in.
    pub fn has_broken(&self) -> bool {
        self.shared.break_after.lock().unwrap().is_none()
    }

    /// Bytes that came in, ever.
    pub fn bytes_in(&self) -> u64 {
        self.shared.bytes_in.load(Ordering::SeqCst)
    }

    async fn carry(self, stream: TcpStream) {
        let mut behind = self.shared.behind.subscribe();
        let Some(node) = *behind.borrow_and_update() else {
            return;
        };
        let Ok(onward) = TcpStream::connect(node).await else {
            return;
        };
        let _ = (stream.set_nodelay(true), onward.set_nodelay(true));
        let (mut from_peer, mut to_peer) = stream.into_split();
        let (mut from_node, mut to_node) = onward.into_split();
        tokio::select! {
            _ = async {
                let mut buffer = vec![0; 64 << 10];
                let mut bytes = 0;
                while let Ok(read) = from_peer.read(&mut buffer).await {
                    if read == 0 || to_node.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                    bytes += read as u64;
                    self.shared.bytes_in.fetch_add(read as u64, Ordering::SeqCst);
                    let mut limit = self.shared.break_after.lock().unwrap();
                    if limit.is_some_and(|limit| bytes > limit) {
                        *limit = None;
                        break;
                    }
                }
            } => {}
            _ = copy(&mut from_node, &mut to_peer) => {}
            _ = behind.changed() => {}
        }
    }
}
