//! One lazily made channel for each node, and which node is asked first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint as Dial};

use crate::{ClientError, Endpoint};

/// Nodes that a client keeps channels to, those it heard of included.
const ENDPOINTS_MAX: usize = 64;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub endpoint: Endpoint,
    pub channel: Channel,
}

#[derive(Debug)]
pub(crate) struct Pool {
    nodes: Mutex<Vec<Node>>,
    current: AtomicUsize,
    connect_timeout: Duration,
}

impl Pool {
    pub fn new(endpoints: &[Endpoint], connect_timeout: Duration) -> Result<Self, ClientError> {
        let nodes = endpoints
            .iter()
            .map(|endpoint| dial(endpoint, connect_timeout));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        if nodes.is_empty() || nodes.len() > ENDPOINTS_MAX {
            let message = format!(
                "{} endpoints are given, 1 to {ENDPOINTS_MAX} work",
                nodes.len()
            );
            return Err(ClientError::Invalid(message));
        }
        Ok(Self {
            nodes: Mutex::new(nodes),
            current: AtomicUsize::new(0),
            connect_timeout,
        })
    }

    /// The node to ask, and its number.
    pub fn current(&self) -> (usize, Node) {
        let nodes = self.nodes();
        let number = self.current.load(Ordering::Relaxed) % nodes.len();
        (number, nodes[number].clone())
    }

    /// A node by number.
    pub fn at(&self, number: usize) -> Node {
        let nodes = self.nodes();
        nodes[number % nodes.len()].clone()
    }

    pub fn len(&self) -> usize {
        self.nodes().len()
    }

    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.nodes()
            .iter()
            .map(|node| node.endpoint.clone())
            .collect()
    }

    /// Leave a node that failed for the one after it, unless somebody else has already left it.
    pub fn leave(&self, number: usize) {
        let next = (number + 1) % self.len();
        self.prefer(number, next);
    }

    /// Leave a node that failed for the one it named.
    pub fn follow(&self, number: usize, leader: &Endpoint) {
        match self.number_of(leader) {
            Ok(leader) if leader != number => self.prefer(number, leader),
            _ => self.leave(number),
        }
    }

    /// The number of a node, which is added where it is new.
    pub fn number_of(&self, endpoint: &Endpoint) -> Result<usize, ClientError> {
        let mut nodes = self.nodes();
        if let Some(number) = nodes.iter().position(|node| node.endpoint == *endpoint) {
            return Ok(number);
        }
        if nodes.len() >= ENDPOINTS_MAX {
            let message = format!("the client knows {ENDPOINTS_MAX} endpoints already");
            return Err(ClientError::Exhausted(message));
        }
        nodes.push(dial(endpoint, self.connect_timeout)?);
        Ok(nodes.len() - 1)
    }

    fn prefer(&self, from: usize, to: usize) {
        let _ = self
            .current
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dial(endpoint: &Endpoint, connect_timeout: Duration) -> Result<Node, ClientError> {
    let channel = Dial::from_shared(endpoint.uri())
        .map_err(|error| ClientError::Invalid(format!("{endpoint} is no endpoint: {error}")))?
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .connect_lazy();
    Ok(Node {
        endpoint: endpoint.clone(),
        channel,
    })
}
