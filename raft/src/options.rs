//! Settings of the group, as values.

use std::time::Duration;

use snakepit_machine::Limits;

/// How the group is run; the same on all nodes, but nothing breaks while they differ.
#[derive(Clone, Debug)]
pub struct RaftOptions {
    /// Names the group.
    pub cluster_id: String,
    /// Time between two heartbeats of a leader, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// Least time between the end of a leader's lease and an election, in milliseconds.
    pub election_timeout_min_ms: u64,
    /// Most time between the end of a leader's lease and an election, in milliseconds. The lease is as long,
    /// from the last heartbeat on: a silent leader is replaced after the sum of both.
    pub election_timeout_max_ms: u64,
    /// Entries between two snapshots.
    pub snapshot_entries: u64,
    /// Entries that stay in the log though a snapshot covers them.
    pub log_entries_kept: u64,
    /// Bytes of entries in one message to a follower at most; an entry that is larger travels alone.
    pub append_bytes_max: usize,
    /// Commands in one entry at most.
    pub proposal_commands_max: usize,
    /// Bytes of commands after which an entry takes no more.
    pub proposal_bytes_max: usize,
    /// Entries proposed and not yet answered at most.
    pub proposals_in_flight_max: usize,
    /// Commands that wait to be proposed at most.
    pub propose_queue_max: usize,
    /// Bytes of commands that wait to be proposed at most.
    pub propose_queue_bytes_max: usize,
    /// Size of one message between nodes at most, in bytes.
    pub message_bytes_max: usize,
    /// Time at most between the commit of an entry and its use on a node where nobody waits for it: a tenth of it may go by
    /// before the node is told, the rest before it is applied together with others. 0 does both at once.
    pub apply_lag_max: Duration,
    /// Stamped on each entry this node proposes.
    pub limits: Limits,
}

impl RaftOptions {
    /// The settings of a node that has none of its own.
    pub fn new(cluster_id: impl Into<String>) -> Self {
        Self {
            cluster_id: cluster_id.into(),
            heartbeat_interval_ms: 75,
            election_timeout_min_ms: 160,
            election_timeout_max_ms: 320,
            snapshot_entries: 100_000,
            log_entries_kept: 10_000,
            append_bytes_max: 1 << 20,
            proposal_commands_max: 512,
            proposal_bytes_max: 256 << 10,
            proposals_in_flight_max: 2,
            propose_queue_max: 16_384,
            propose_queue_bytes_max: 64 << 20,
            message_bytes_max: 64 << 20,
            apply_lag_max: Duration::from_millis(100),
            limits: Limits::default(),
        }
    }

    /// How long a peer may take to answer one message.
    pub(crate) fn rpc_timeout(&self) -> Duration {
        Duration::from_millis(self.heartbeat_interval_ms.max(1))
    }

    /// openraft's form of these settings.
    pub(crate) fn config(&self) -> Result<openraft::Config, openraft::ConfigError> {
        openraft::Config {
            cluster_name: self.cluster_id.clone(),
            heartbeat_interval: self.heartbeat_interval_ms,
            election_timeout_min: self.election_timeout_min_ms,
            election_timeout_max: self.election_timeout_max_ms,
            // Bytes bound a message, see `append_bytes_max`; this only bounds the number of small entries.
            max_payload_entries: 4_096,
            replication_lag_threshold: self.snapshot_entries.saturating_add(self.log_entries_kept),
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_entries),
            max_in_snapshot_log_to_keep: self.log_entries_kept,
            install_snapshot_timeout: 600_000,
            broadcast_submitted_on_append: Some(true),
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            backoff: "20ms 50ms 100ms ..500ms".to_owned(),
            ..openraft::Config::default()
        }
        .validate()
    }
}
