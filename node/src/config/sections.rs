//! Every setting, its default and its range. What each does is in `docs/settings.md`; a test compares the
//! two. Units go last in names.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::Settings;
use super::key::{Key, Kind, Leaf, section};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE_MS: u64 = 60_000;
const YEAR_MS: u64 = 366 * 24 * 60 * MINUTE_MS;

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

section! {
    /// Who the node is.
    NodeSettings in node {
        /// Number of the node in the cluster, never reused.
        id: u64 = 0, 1..=i64::MAX as u64;
        /// Name of the cluster; a data directory of another cluster is refused.
        cluster_id: String = String::new();
        /// Directory of the log, the state and the snapshots; a relative path starts at the working directory.
        data_dir: PathBuf = PathBuf::new();
        /// Serve beyond loopback although there is no TLS and no authentication.
        insecure: bool = false;
        /// See what hardware there is, for the labels of the node.
        detect_hardware: bool = true;
    }
}

section! {
    /// Addresses that the node binds. Port 0 lets the system choose.
    ListenSettings in listen {
        /// Clients, gRPC.
        client: SocketAddr = local(7001);
        /// Other nodes, gRPC.
        peer: SocketAddr = local(7101);
        /// Health, metrics and console, HTTP.
        http: SocketAddr = local(7201);
    }
}

section! {
    /// Raft: its clock, its log and its queues.
    RaftSettings in raft {
        /// Time between heartbeats of the leader, in milliseconds; also the budget of one RPC.
        heartbeat_interval_ms: u64 = 75, 10..=MINUTE_MS;
        /// Least time between the end of a leader's lease and an election, in milliseconds.
        election_timeout_min_ms: u64 = 160, 20..=10 * MINUTE_MS;
        /// Most time between the end of a leader's lease and an election, and the lease itself, in milliseconds.
        election_timeout_max_ms: u64 = 320, 20..=10 * MINUTE_MS;
        /// Entries applied since the last snapshot that cause the next one.
        snapshot_entries: u64 = 100_000, 100..=1_000_000_000;
        /// Entries that stay in the log behind a snapshot, for followers that lag a little.
        log_entries_kept: u64 = 10_000, 0..=1_000_000_000;
        /// Commands in one proposal.
        proposal_commands_max: usize = 512, 1..=65_536;
        /// Bytes in one proposal; a command that is larger travels alone.
        proposal_bytes_max: usize = 256 << 10, KIB..=64 * MIB;
        /// Proposals under way at once.
        proposals_in_flight_max: usize = 2, 1..=64;
        /// Commands that may wait to be proposed; beyond it callers are told to back off.
        propose_queue_max: usize = 16_384, 1..=1_000_000;
        /// Bytes of commands that may wait to be proposed; beyond it callers are told to back off.
        propose_queue_bytes_max: usize = 64 << 20, MIB..=4 * GIB;
        /// Bytes of entries in one append to a follower; an entry that is larger travels alone.
        append_bytes_max: usize = 1 << 20, KIB..=64 * MIB;
        /// Time between the commit of an entry and its use on a node where nobody waits for it, in milliseconds.
        apply_lag_max_ms: u64 = 100, 0..=1_000;
    }
}

section! {
    /// The log as evidence.
    AuditSettings in audit {
        /// File with the Ed25519 key that signs checkpoints, the same on all nodes; without one they are unsigned.
        signing_key: PathBuf = PathBuf::new();
        /// Time between two comparisons of the log with that of the other nodes, in milliseconds; each also reads some
        /// events again.
        compare_interval_ms: u64 = 5_000, 50..=60 * MINUTE_MS;
        /// Directory of archived events; empty for `archive` in the data directory.
        archive_dir: PathBuf = PathBuf::new();
    }
}

section! {
    /// Limits of state and of requests. Those of state decide as they stand on the leader.
    LimitSettings in limits {
        /// Sessions that may exist at once in the cluster.
        sessions_max: u64 = 100_000, 1..=1_000_000_000;
        /// Variables that one session may hold.
        variables_per_session_max: u64 = 10_000, 1..=10_000_000;
        /// Size of one value, in bytes.
        value_bytes_max: u64 = 4 * MIB, KIB..=32 * MIB;
        /// Variables that one batch may set.
        batch_variables_max: u64 = 10_000, 1..=1_000_000;
        /// Size of one session's or one variable's metadata, keys and values together, in bytes.
        metadata_bytes_max: u64 = 64 * KIB, 0..=16 * MIB;
        /// Size of one variable's constraints document, in bytes.
        constraints_bytes_max: u64 = 64 * KIB, 0..=16 * MIB;
        /// Shortest life of a session, in milliseconds.
        ttl_min_ms: u64 = 1_000, 1..=YEAR_MS;
        /// Longest life of a session, in milliseconds.
        ttl_max_ms: u64 = YEAR_MS, 1_000..=100 * YEAR_MS;
        /// Variables that one variable may depend on, and that may depend on it.
        dependencies_per_variable_max: u64 = 256, 0..=100_000;
        /// Programs that one session may hold.
        programs_per_session_max: u64 = 1_000, 0..=1_000_000;
        /// Global programs that may exist at once.
        global_programs_max: u64 = 10_000, 0..=10_000_000;
        /// Tools that may be registered in one session.
        tools_per_session_max: u64 = 1_000, 0..=100_000;
        /// Pools of the cluster that may exist at once.
        pools_max: u64 = 256, 0..=10_000;
        /// Size of one pool's definition, in bytes.
        pool_bytes_max: u64 = 64 * KIB, KIB..=MIB;
        /// Subjects that may be known at once, erased ones included.
        subjects_max: u64 = 1_000_000, 1..=1_000_000_000;
        /// Watches that the node serves at once.
        watches_max: usize = 10_000, 0..=1_000_000;
        /// Updates that may wait for one watch; beyond it the watch ends, and says where to go on.
        watch_updates_max: usize = 1_024, 16..=65_536;
        /// Size of one gRPC message, in bytes. A frame of the log holds no more.
        message_bytes_max: usize = 64 << 20, 64 * KIB..=64 * MIB;
        /// Deadline of a request that brings none, in milliseconds.
        request_timeout_ms: u64 = 30_000, 100..=60 * MINUTE_MS;
        /// Requests that the node serves at once; beyond it callers are told to back off.
        concurrent_requests_max: usize = 4_096, 1..=1_000_000;
        /// Connections of the HTTP listener at once; more wait to be accepted.
        http_connections_max: usize = 256, 1..=65_536;
    }
}

impl LimitSettings {
    /// The limits that the leader stamps on its proposals.
    pub fn machine_limits(&self) -> snakepit_machine::Limits {
        snakepit_machine::Limits {
            sessions_max: self.sessions_max,
            variables_per_session_max: self.variables_per_session_max,
            value_bytes_max: self.value_bytes_max,
            batch_variables_max: self.batch_variables_max,
            metadata_bytes_max: self.metadata_bytes_max,
            constraints_bytes_max: self.constraints_bytes_max,
            ttl_min_ms: self.ttl_min_ms,
            ttl_max_ms: self.ttl_max_ms,
            dependencies_per_variable_max: self.dependencies_per_variable_max,
            programs_per_session_max: self.programs_per_session_max,
            global_programs_max: self.global_programs_max,
            tools_per_session_max: self.tools_per_session_max,
            pools_max: self.pools_max,
            pool_bytes_max: self.pool_bytes_max,
            subjects_max: self.subjects_max,
        }
    }
}

section! {
    /// What a session gets when its creator does not say.
    SessionSettings in session {
        /// Life of a session, in seconds.
        default_ttl_s: u64 = 3_600, 1..=100 * YEAR_MS / 1_000;
        /// Sessions, in percent of `limits.sessions_max`, from which on the node warns.
        warn_percent: u64 = 80, 1..=100;
    }
}

section! {
    /// Records of the process, on standard error.
    LogSettings in log {
        /// What to record, in the syntax of `tracing_subscriber::EnvFilter`.
        level: String = "info,openraft=error".to_owned();
        /// How records are written.
        format: LogFormat = LogFormat::Text;
    }
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Leaf for LogFormat {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!(
                "{text:?} is not a format of records; hint: write text or json"
            )),
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::Text => "\"text\"".to_owned(),
            Self::Json => "\"json\"".to_owned(),
        }
    }
}

section! {
    /// Spans of requests, sent to a collector.
    TelemetrySettings in telemetry {
        /// Where the collector takes OTLP over gRPC; empty sends nothing and makes no spans.
        otlp_endpoint: String = String::new();
        /// The node's `service.name`.
        service_name: String = "snakepit".to_owned();
        /// Traces that begin here and are sent, in percent; those that a caller began are sent as it chose.
        sample_percent: u64 = 100, 0..=100;
        /// Time for one export, and for the last one when the node stops, in milliseconds.
        otlp_timeout_ms: u64 = 5_000, 10..=MINUTE_MS;
        /// Spans that may wait to be sent; more are dropped.
        otlp_queue_max: usize = 2_048, 1..=1_000_000;
    }
}

/// The sections and their keys, in the order of the documentation.
pub(super) const SECTIONS: &[(&str, &[Key])] = &[
    ("node", NodeSettings::KEYS),
    ("listen", ListenSettings::KEYS),
    ("raft", RaftSettings::KEYS),
    ("audit", AuditSettings::KEYS),
    ("limits", LimitSettings::KEYS),
    ("session", SessionSettings::KEYS),
    ("log", LogSettings::KEYS),
    ("telemetry", TelemetrySettings::KEYS),
];

/// The lists of tables, which only the file can set.
pub(super) const TABLES: &[&str] = &["member", "pool"];

/// A table whose keys are free, within a section. The file can set it, and `--set` one key of it.
pub(super) struct FreeTable {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// Its entries.
    pub(super) entries: fn(&Settings) -> &BTreeMap<String, String>,
    pub(super) entries_mut: fn(&mut Settings) -> &mut BTreeMap<String, String>,
}

impl FreeTable {
    /// `section.name`.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// The tables whose keys are free, in the order of the documentation.
pub(super) const FREE_TABLES: &[FreeTable] = &[FreeTable {
    section: "node",
    name: "labels",
    entries: |settings| &settings.labels,
    entries_mut: |settings| &mut settings.labels,
}];

/// The free tables of a section.
pub(super) fn free_tables(section: &str) -> impl Iterator<Item = &'static FreeTable> + Clone {
    FREE_TABLES
        .iter()
        .filter(move |table| table.section == section)
}

/// Every setting outside the tables, in the order of the documentation.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|(_, keys)| keys.iter())
}

pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    keys().find(|key| key.section == section && key.name == name)
}
