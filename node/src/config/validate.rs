//! What must hold between settings. All problems are told at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use snakepit_storage::identity::CLUSTER_ID_BYTES_MAX;
use tracing_subscriber::EnvFilter;

use crate::labels::{LABELS_MAX, key_problem, value_problem};

use super::key::quoted;
use super::member::is_address;
use super::sections::keys;
use super::{Problem, Settings};

impl Settings {
    /// Every value that breaks a limit, in the order of the documentation; empty if the settings are good.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Problems {
            settings: self,
            found: Vec::new(),
        };
        problems.ranges();
        problems.node();
        problems.labels();
        problems.listen();
        problems.members();
        problems.raft();
        problems.limits();
        problems.session();
        problems.pools();
        problems.log();
        problems.telemetry();
        problems.found
    }
}

struct Problems<'a> {
    settings: &'a Settings,
    found: Vec<Problem>,
}

impl Problems<'_> {
    fn add(
        &mut self,
        field: &str,
        value: String,
        limit: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.found.push(Problem::Limit {
            field: field.to_owned(),
            value,
            limit: limit.into(),
            hint: hint.into(),
        });
    }

    /// Every number within its own range.
    fn ranges(&mut self) {
        for key in keys() {
            let (Some(range), Some(value)) = (&key.range, (key.number)(self.settings)) else {
                continue;
            };
            if !range.contains(&value) {
                let limit = format!("from {} to {}", range.start(), range.end());
                let hint = format!("set it in [{}], or with {}", key.section, key.env());
                self.add(&key.path(), value.to_string(), limit, hint);
            }
        }
    }

    fn node(&mut self) {
        let node = &self.settings.node;
        let bytes = node.cluster_id.len();
        if bytes == 0 || bytes > CLUSTER_ID_BYTES_MAX {
            self.add(
                "node.cluster_id",
                quoted(&node.cluster_id),
                format!("1 to {CLUSTER_ID_BYTES_MAX} bytes long"),
                "give all nodes of the cluster the same name, and no other cluster",
            );
        }
        match node.data_dir.to_str() {
            Some("") => self.add(
                "node.data_dir",
                quoted(""),
                "a directory",
                "set it in [node], or with --data-dir; it is made when it is missing",
            ),
            Some(_) => {}
            None => self.add(
                "node.data_dir",
                quoted(&node.data_dir.to_string_lossy()),
                "valid UTF-8",
                "choose a directory with a plain name",
            ),
        }
    }

    fn labels(&mut self) {
        let labels = &self.settings.labels;
        if labels.len() > LABELS_MAX {
            self.add(
                "node.labels",
                format!("{} labels", labels.len()),
                format!("at most {LABELS_MAX} labels"),
                "keep those that pools ask for",
            );
        }
        for (key, value) in labels {
            let field = format!("node.labels.{key}");
            if let Some((limit, hint)) = key_problem(key) {
                self.add(&field, quoted(value), limit, hint);
            }
            if let Some((limit, hint)) = value_problem(value) {
                self.add(&field, quoted(value), limit, hint);
            }
        }
    }

    fn listeners(&self) -> [(&'static str, SocketAddr); 3] {
        let listen = &self.settings.listen;
        [
            ("listen.client", listen.client),
            ("listen.peer", listen.peer),
            ("listen.http", listen.http),
        ]
    }

    fn listen(&mut self) {
        let listeners = self.listeners();
        for (at, (field, address)) in listeners.iter().enumerate() {
            if !address.ip().to_canonical().is_loopback() && !self.settings.node.insecure {
                self.add(
                    field,
                    quoted(&address.to_string()),
                    "a loopback address while node.insecure is false",
                    "there is no TLS and no authentication: listen on 127.0.0.1, or accept it on a \
                     private network with --insecure or node.insecure = true",
                );
            }
            let same = listeners[..at].iter().find(|(_, other)| other == address);
            if let (Some((other, _)), true) = (same, address.port() != 0) {
                self.add(
                    field,
                    quoted(&address.to_string()),
                    format!("another address than {other}"),
                    "give each listener its own port, or port 0",
                );
            }
        }
    }

    fn members(&mut self) {
        let settings = self.settings;
        let mut ids = BTreeMap::new();
        let mut addresses: BTreeMap<&str, String> = BTreeMap::new();
        for (at, member) in settings.members.iter().enumerate() {
            let field = format!("member[{at}]");
            if member.id == 0 || member.id > i64::MAX as u64 {
                let limit = format!("from 1 to {}", i64::MAX);
                self.add(
                    &format!("{field}.id"),
                    member.id.to_string(),
                    limit,
                    "number nodes from 1",
                );
            }
            if let Some(first) = ids.insert(member.id, at) {
                self.add(
                    &format!("{field}.id"),
                    member.id.to_string(),
                    format!("another number than that of member[{first}]"),
                    "give each node its own number",
                );
            }
            for (name, address) in member.addresses() {
                let field = format!("{field}.{name}");
                if !is_address(address) {
                    self.add(
                        &field,
                        quoted(address),
                        "host:port with a port from 1 to 65535",
                        "write it as the other nodes reach it, like 10.0.0.1:7001 or node1:7001",
                    );
                }
                if let Some(first) = addresses.insert(address, field.clone()) {
                    self.add(
                        &field,
                        quoted(address),
                        format!("another address than {first}"),
                        "give each listener of each node its own address",
                    );
                }
            }
        }
        if !settings.members.is_empty() && !ids.contains_key(&settings.node.id) {
            self.add(
                "node.id",
                settings.node.id.to_string(),
                "one of the members",
                "add a [[member]] with this id, or remove all [[member]] from a node that waits to be added",
            );
        }
    }

    fn raft(&mut self) {
        let (raft, limits) = (&self.settings.raft, &self.settings.limits);
        let twice = raft.heartbeat_interval_ms.saturating_mul(2);
        if raft.election_timeout_min_ms <= twice {
            self.add(
                "raft.election_timeout_min_ms",
                raft.election_timeout_min_ms.to_string(),
                format!("above 2 × raft.heartbeat_interval_ms ({})", raft.heartbeat_interval_ms),
                "a follower must not start an election because one heartbeat is late: raise it to 4 \
                 heartbeats",
            );
        }
        if raft.election_timeout_max_ms <= raft.election_timeout_min_ms {
            self.add(
                "raft.election_timeout_max_ms",
                raft.election_timeout_max_ms.to_string(),
                format!("above raft.election_timeout_min_ms ({})", raft.election_timeout_min_ms),
                "nodes draw their timeout between the two: set it to twice the minimum, or votes split",
            );
        }
        if raft.propose_queue_max < raft.proposal_commands_max {
            self.add(
                "raft.propose_queue_max",
                raft.propose_queue_max.to_string(),
                format!(
                    "at least raft.proposal_commands_max ({})",
                    raft.proposal_commands_max
                ),
                "a proposal is filled from the queue: raise it, or lower the other",
            );
        }
        let largest = limits.message_bytes_max.max(raft.proposal_bytes_max);
        if raft.propose_queue_bytes_max < largest {
            self.add(
                "raft.propose_queue_bytes_max",
                raft.propose_queue_bytes_max.to_string(),
                format!(
                    "at least limits.message_bytes_max ({}) and raft.proposal_bytes_max ({})",
                    limits.message_bytes_max, raft.proposal_bytes_max
                ),
                "a request that is taken must find room: raise it, or lower the others",
            );
        }
    }

    fn limits(&mut self) {
        let limits = &self.settings.limits;
        if limits.message_bytes_max as u64 <= limits.value_bytes_max {
            self.add(
                "limits.message_bytes_max",
                limits.message_bytes_max.to_string(),
                format!("above limits.value_bytes_max ({})", limits.value_bytes_max),
                "a message carries a value and its name: raise it, or lower the other",
            );
        }
        if limits.ttl_max_ms < limits.ttl_min_ms {
            self.add(
                "limits.ttl_max_ms",
                limits.ttl_max_ms.to_string(),
                format!("at least limits.ttl_min_ms ({})", limits.ttl_min_ms),
                "raise it, or lower the other",
            );
        }
    }

    fn session(&mut self) {
        let limits = &self.settings.limits;
        let ttl_s = self.settings.session.default_ttl_s;
        if !(limits.ttl_min_ms..=limits.ttl_max_ms).contains(&ttl_s.saturating_mul(1_000)) {
            self.add(
                "session.default_ttl_s",
                ttl_s.to_string(),
                format!(
                    "between limits.ttl_min_ms ({}) and limits.ttl_max_ms ({})",
                    limits.ttl_min_ms, limits.ttl_max_ms
                ),
                "it is in seconds, they are in milliseconds; sessions without a life of their own would \
                 be refused",
            );
        }
    }

    fn pools(&mut self) {
        let settings = self.settings;
        let mut names = BTreeMap::new();
        for (at, pool) in settings.pools.iter().enumerate() {
            let field = format!("pool[{at}]");
            if let Some(first) = names.insert(&pool.name, at) {
                self.add(
                    &format!("{field}.name"),
                    quoted(&pool.name),
                    format!("another name than that of pool[{first}]"),
                    "give each pool its own name; workers that are alike go into one pool with a larger size",
                );
            }
            let problems = pool.validate().into_iter();
            self.found
                .extend(problems.map(|message| Problem::Pool { at, message }));
        }
    }

    fn log(&mut self) {
        let level = &self.settings.log.level;
        if level.trim().is_empty() || EnvFilter::builder().parse(level).is_err() {
            self.add(
                "log.level",
                quoted(level),
                "a filter of records",
                "write error, warn, info, debug or trace, or name parts of the program: info,snakepit_raft=debug",
            );
        }
    }

    fn telemetry(&mut self) {
        let telemetry = &self.settings.telemetry;
        let endpoint = &telemetry.otlp_endpoint;
        if !endpoint.is_empty() && !is_plain_http(endpoint) {
            self.add(
                "telemetry.otlp_endpoint",
                quoted(endpoint),
                "http://host:port, or empty",
                "spans are sent over gRPC without TLS, to a collector's port 4317: write http://127.0.0.1:4317",
            );
        }
        let name = &telemetry.service_name;
        if name.is_empty() || name.len() > SERVICE_NAME_BYTES_MAX {
            self.add(
                "telemetry.service_name",
                quoted(name),
                format!("1 to {SERVICE_NAME_BYTES_MAX} bytes long"),
                "write the name under which the node's spans are to be found",
            );
        }
    }
}

/// Longest `telemetry.service_name`, in bytes.
const SERVICE_NAME_BYTES_MAX: usize = 255;

/// Whether it is `http://host:port`, without a path.
fn is_plain_http(text: &str) -> bool {
    text.strip_prefix("http://")
        .map(|rest| rest.strip_suffix('/').unwrap_or(rest))
        .is_some_and(is_address)
}
