//! Channels to peers, made lazily and kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

/// Idle time after which a peer is pinged.
const PING_AFTER: Duration = Duration::from_millis(1_000);
/// Time that a peer has to answer a ping before its connection is given up.
const PING_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Time that a peer has to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Append,
    Control,
    Snapshot,
    Forward,
}

/// One node's channels to all others.
#[derive(Debug)]
pub(crate) struct Channels {
    local: u64,
    message_bytes_max: usize,
    open: Mutex<BTreeMap<(u64, String, Purpose), Channel>>,
    awaited: watch::Sender<u64>,
}

impl Channels {
    pub(crate) fn new(local: u64, message_bytes_max: usize) -> Self {
        Self {
            local,
            message_bytes_max,
            open: Mutex::default(),
            awaited: watch::Sender::new(0),
        }
    }

    /// Another node was given an index to wait for: all are to be told at once that this is committed.
    pub(crate) fn await_commit(&self, index: u64) {
        self.awaited.send_if_modified(|awaited| {
            let grows = index > *awaited;
            *awaited = index.max(*awaited);
            grows
        });
    }

    /// The last index that another node was given to wait for.
    pub(crate) fn awaited(&self) -> watch::Receiver<u64> {
        self.awaited.subscribe()
    }

    pub(crate) fn local(&self) -> u64 {
        self.local
    }

    pub(crate) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// The channel to a node; it connects with its first use, and again after it broke.
    pub(crate) fn get(&self, target: u64, address: &str, purpose: Purpose) -> Channel {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry((target, address.to_owned(), purpose))
            .or_insert_with(|| connect(address))
            .clone()
    }
}

fn connect(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        // An address that cannot be parsed was refused with the settings; this one never answers.
        .unwrap_or_else(|_| Endpoint::from_static("http://127.0.0.1:0"));
    endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(16 << 20)
        .connect_lazy()
}
