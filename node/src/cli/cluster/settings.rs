//! The settings file of each node.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::super::error::CliError;
use super::layout::Layout;
use super::record::{NodeRecord, Record};
use crate::evidence::checkpoint::{SigningKey, origin};

/// An election begins after so many missed heartbeats at least.
const ELECTION_MIN_HEARTBEATS: u64 = 4;
/// And after so many at most.
const ELECTION_MAX_HEARTBEATS: u64 = 8;

#[derive(Serialize)]
struct File<'a> {
    node: Node<'a>,
    listen: Listen<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raft: Option<Raft>,
    audit: Audit,
    member: Vec<Member<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pool: Vec<Pool<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    id: u64,
    cluster_id: &'a str,
    data_dir: String,
}

#[derive(Serialize)]
struct Listen<'a> {
    client: &'a str,
    peer: &'a str,
    http: &'a str,
}

#[derive(Serialize)]
struct Audit {
    signing_key: String,
}

#[derive(Serialize)]
struct Member<'a> {
    id: u64,
    client: &'a str,
    peer: &'a str,
    http: &'a str,
}

#[derive(Serialize)]
struct Raft {
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_interval_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    election_timeout_min_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    election_timeout_max_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_entries_kept: Option<u64>,
}

#[derive(Serialize)]
struct Pool<'a> {
    name: &'static str,
    adapter: &'a str,
    size: u32,
    python: &'a str,
}

/// Write the settings of all nodes.
pub(crate) fn write(layout: &Layout, record: &Record) -> Result<(), CliError> {
    make_key(layout, record)?;
    for node in &record.nodes {
        let dir = layout.node(node.id);
        fs::create_dir_all(&dir).map_err(CliError::file("make directory", &dir))?;
        let path = layout.settings(node.id);
        let text = render(layout, record, node)?;
        fs::write(&path, text).map_err(CliError::file("write", &path))?;
    }
    Ok(())
}

/// The key that signs checkpoints, and the one that checks them, unless there is one.
fn make_key(layout: &Layout, record: &Record) -> Result<(), CliError> {
    let path = layout.signing_key();
    if path.exists() {
        return Ok(());
    }
    let failed = |error| CliError::failed(format!("cannot make {}: {error}", path.display()));
    let key = SigningKey::generate(&origin(&record.cluster_id)).map_err(failed)?;
    let public = layout.verifying_key();
    fs::write(&public, key.verifying().to_text() + "\n")
        .map_err(CliError::file("write", &public))?;
    key.save(&path).map_err(failed)
}

fn render(layout: &Layout, record: &Record, node: &NodeRecord) -> Result<String, CliError> {
    let text = |path: PathBuf| match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(CliError::usage(format!(
            "{} is not UTF-8; hint: use another --dir",
            path.display()
        ))),
    };
    let file = File {
        node: Node {
            id: node.id,
            cluster_id: &record.cluster_id,
            data_dir: text(layout.data(node.id))?,
        },
        listen: Listen {
            client: &node.client,
            peer: &node.peer,
            http: &node.http,
        },
        raft: raft(record),
        audit: Audit {
            signing_key: text(layout.signing_key())?,
        },
        member: record.nodes.iter().map(member).collect(),
        pool: record.pool.iter().map(pool).collect(),
    };
    let text = toml::to_string(&file).map_err(CliError::failed)?;
    Ok(format!("# written by `snakepit cluster up`\n\n{text}"))
}

fn raft(record: &Record) -> Option<Raft> {
    let spec = &record.raft;
    let heartbeats = |count: u64| spec.heartbeat_interval_ms.map(|interval| interval * count);
    (*spec != Default::default()).then(|| Raft {
        heartbeat_interval_ms: spec.heartbeat_interval_ms,
        election_timeout_min_ms: heartbeats(ELECTION_MIN_HEARTBEATS),
        election_timeout_max_ms: heartbeats(ELECTION_MAX_HEARTBEATS),
        snapshot_entries: spec.snapshot_entries,
        log_entries_kept: spec.log_entries_kept,
    })
}

fn member(node: &NodeRecord) -> Member<'_> {
    Member {
        id: node.id,
        client: &node.client,
        peer: &node.peer,
        http: &node.http,
    }
}

fn pool(spec: &super::record::PoolSpec) -> Pool<'_> {
    Pool {
        name: "default",
        adapter: &spec.adapter,
        size: spec.workers,
        python: &spec.python,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::record::{PoolSpec, RaftSpec};
    use super::*;

    #[test]
    fn a_node_gets_the_settings_that_it_reads() {
        let pool = PoolSpec {
            workers: 2,
            adapter: "a.b".into(),
            python: "py\"thon".into(),
        };
        let raft = RaftSpec {
            heartbeat_interval_ms: Some(50),
            ..Default::default()
        };
        let mut record = Record::new(2, 7001, Some(pool), raft);
        record.cluster_id = "c-1".into();
        let layout = Layout::new(Some(Path::new("/d"))).unwrap();
        let told = render(&layout, &record, &record.nodes[1]).unwrap();
        let expected = r#"# written by `snakepit cluster up`

[node]
id = 2
cluster_id = "c-1"
data_dir = "/d/node-2/data"

[listen]
client = "127.0.0.1:7002"
peer = "127.0.0.1:7102"
http = "127.0.0.1:7202"

[raft]
heartbeat_interval_ms = 50
election_timeout_min_ms = 200
election_timeout_max_ms = 400

[audit]
signing_key = "/d/cluster.key"

[[member]]
id = 1
client = "127.0.0.1:7001"
peer = "127.0.0.1:7101"
http = "127.0.0.1:7201"

[[member]]
id = 2
client = "127.0.0.1:7002"
peer = "127.0.0.1:7102"
http = "127.0.0.1:7202"

[[pool]]
name = "default"
adapter = "a.b"
size = 2
python = 'py"thon'
"#;
        assert_eq!(told, expected);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        fs::write(&path, told).unwrap();
        let flags = crate::config::Flags {
            config: Some(path),
            ..Default::default()
        };
        let settings = crate::config::Settings::load(&flags, std::iter::empty()).unwrap();
        assert_eq!(
            (
                settings.node.id,
                settings.members.len(),
                settings.pools.len()
            ),
            (2, 2, 1)
        );
    }
}
