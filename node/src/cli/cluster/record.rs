//! What was launched: `cluster.json`.

use std::fs::{self, File};
use std::io::{self, Write as _};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use snakepit_client::{Client, Endpoint};

use super::super::error::CliError;
use super::super::globals::Context;
use super::layout::Layout;
use super::process::ProcessId;

const FORMAT: u32 = 1;
/// Peers are so many ports above clients.
const PEER_OFFSET: u16 = 100;
/// HTTP is so many ports above clients.
const HTTP_OFFSET: u16 = 200;

/// A local cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    pub cluster_id: String,
    pub base_port: u16,
    pub pool: Option<PoolSpec>,
    pub raft: RaftSpec,
    pub nodes: Vec<NodeRecord>,
}

/// The workers of each node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolSpec {
    pub workers: u32,
    pub adapter: String,
    pub python: String,
}

/// Raft's times and sizes; the node's own where `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RaftSpec {
    pub heartbeat_interval_ms: Option<u64>,
    pub snapshot_entries: Option<u64>,
    pub log_entries_kept: Option<u64>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub id: u64,
    pub client: String,
    pub peer: String,
    pub http: String,
    /// Its process, as long as nobody has seen it end.
    pub process: Option<ProcessId>,
}

impl NodeRecord {
    /// Its process where it runs.
    pub fn running(&self) -> Option<&ProcessId> {
        self.process.as_ref().filter(|process| process.is_alive())
    }
}

impl Record {
    /// A new cluster on loopback.
    pub fn new(nodes: u16, base_port: u16, pool: Option<PoolSpec>, raft: RaftSpec) -> Self {
        let cluster_id = format!("c-{}", uuid::Uuid::now_v7().simple());
        let at = |port: u16| format!("127.0.0.1:{port}");
        let nodes = (0..nodes).map(|number| {
            let port = base_port + number;
            NodeRecord {
                id: u64::from(number) + 1,
                client: at(port),
                peer: at(port + PEER_OFFSET),
                http: at(port + HTTP_OFFSET),
                process: None,
            }
        });
        Self {
            format: FORMAT,
            cluster_id,
            base_port,
            pool,
            raft,
            nodes: nodes.collect(),
        }
    }

    /// The cluster in a directory; `None` where there is none.
    pub fn find(layout: &Layout) -> Result<Option<Self>, CliError> {
        let path = layout.record();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CliError::file("read", &path)(error)),
        };
        let record: Self = serde_json::from_str(&text).map_err(|error| {
            let path = path.display();
            CliError::failed(format!(
                "{path} is damaged: {error}; hint: use another --dir"
            ))
        })?;
        if record.format != FORMAT {
            let (path, format) = (path.display(), record.format);
            let hint = "hint: use the release that wrote it, or another --dir";
            return Err(CliError::failed(format!(
                "{path} has format {format}, not {FORMAT}; {hint}"
            )));
        }
        Ok(Some(record))
    }

    /// The cluster in a directory, which must be there.
    pub fn load(layout: &Layout) -> Result<Self, CliError> {
        Self::find(layout)?.ok_or_else(|| {
            let dir = layout.dir().display();
            CliError::failed(format!("there is no cluster in {dir}"))
                .hint("launch one with `snakepit cluster up`, or name its directory with --dir")
        })
    }

    /// Write it in one step.
    pub fn save(&self, layout: &Layout) -> Result<(), CliError> {
        let path = layout.record();
        let draft = path.with_extension("json.new");
        let text = serde_json::to_string_pretty(self).map_err(CliError::failed)?;
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        write().map_err(CliError::file("write", &path))
    }

    /// Note which process a node has, while nobody else writes.
    pub fn note_process(
        layout: &Layout,
        id: u64,
        process: Option<ProcessId>,
    ) -> Result<(), CliError> {
        let _lock = lock(layout)?;
        let mut record = Self::load(layout)?;
        record.node_mut(id)?.process = process;
        record.save(layout)
    }

    /// A node by its number.
    pub fn node(&self, id: u64) -> Result<&NodeRecord, CliError> {
        self.nodes
            .iter()
            .find(|node| node.id == id)
            .ok_or_else(|| self.no_node(id))
    }

    fn node_mut(&mut self, id: u64) -> Result<&mut NodeRecord, CliError> {
        let missing = self.no_node(id);
        self.nodes
            .iter_mut()
            .find(|node| node.id == id)
            .ok_or(missing)
    }

    fn no_node(&self, id: u64) -> CliError {
        CliError::failed(format!("there is no node {id}"))
            .hint(format!("the cluster has nodes 1 to {}", self.nodes.len()))
    }

    /// A client of its nodes.
    pub fn client(&self, context: &Context) -> Result<Client, CliError> {
        let endpoints = self.nodes.iter().map(|node| node.client.parse());
        context.client_of(endpoints.collect::<Result<Vec<Endpoint>, _>>()?)
    }

    /// Its client addresses, as `SNAKEPIT_ENDPOINTS` takes them.
    pub fn endpoints(&self) -> String {
        self.nodes
            .iter()
            .map(|node| node.client.as_str())
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// Hold the directory's lock until the file is dropped.
pub(crate) fn lock(layout: &Layout) -> Result<File, CliError> {
    let path = layout.lock();
    let locked = File::create(&path).and_then(|file| {
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    });
    locked.map_err(CliError::file("lock", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_their_addresses() {
        let record = Record::new(3, 7001, None, RaftSpec::default());
        let last = &record.nodes[2];
        assert_eq!((last.id, last.client.as_str()), (3, "127.0.0.1:7003"));
        assert_eq!(
            (last.peer.as_str(), last.http.as_str()),
            ("127.0.0.1:7103", "127.0.0.1:7203")
        );
        assert!(record.cluster_id.starts_with("c-"));
    }

    #[test]
    fn records_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Some(dir.path())).unwrap();
        assert!(Record::find(&layout).unwrap().is_none());
        let record = Record::new(1, 9000, None, RaftSpec::default());
        record.save(&layout).unwrap();
        let own = ProcessId::of(std::process::id()).unwrap();
        Record::note_process(&layout, 1, Some(own)).unwrap();
        let found = Record::load(&layout).unwrap();
        assert!(found.nodes[0].running().is_some());
        assert_eq!(found.cluster_id, record.cluster_id);
        assert_eq!(Record::note_process(&layout, 2, None).unwrap_err().code, 1);
    }
}
