//! Limits that decide whether a command is taken.

use serde::{Deserialize, Serialize};

/// Longest session id, variable name, request id and principal, in bytes of UTF-8.
pub const ID_BYTES_MAX: usize = 256;
/// Longest access rules, in bytes.
pub const ACCESS_BYTES_MAX: usize = 16 << 10;
/// Shortest lease of an optimization, in milliseconds.
pub const LEASE_MIN_MS: u64 = 1_000;
/// Longest lease of an optimization, in milliseconds.
pub const LEASE_MAX_MS: u64 = 24 * 3_600_000;
/// Longest id of a worker that registers tools, in bytes.
pub const WORKER_ID_BYTES_MAX: usize = 1_024;
/// Longest name of a pool of the cluster, in bytes.
pub const POOL_NAME_BYTES_MAX: usize = 64;
/// Pools in which one session may be bound to a worker.
pub const BINDINGS_PER_SESSION_MAX: usize = 64;
/// Bytes that the arguments or the result of a call, or a batch of its chunks, may have above
/// [`Limits::value_bytes_max`].
pub const CALL_EXTRA_BYTES_MAX: u64 = 64 << 10;
/// Longest name of the type of an error that ended a call, in bytes.
pub const ERROR_TYPE_BYTES_MAX: usize = 1_024;
/// Bytes of a digest of a call's arguments or result, where there is one.
pub const DIGEST_BYTES: usize = 32;
/// Bytes of a hash of the chain, and of a root of the tree.
pub const HASH_BYTES: usize = 32;
/// What every id of a session begins with whose values are sealed, and no other's: a node knows from the id alone that
/// nothing may be proposed in plain text.
pub const SEALED_PREFIX: &str = "sealed:";
/// What sealing adds to a value at most, in bytes; it does not count against [`Limits::value_bytes_max`].
pub const SEALED_EXTRA_BYTES: u64 = 128;
/// Bytes of the id of a key, hexadecimal.
pub const KEY_ID_BYTES: usize = 32;
/// Calls that one record may hold.
pub const RECORDED_CALLS_MAX: usize = 1_024;
/// Versions of variables that are noted as read by one call.
pub const CALL_READS_MAX: usize = 256;
/// Reads that the calls of one record may have together.
pub const RECORDED_READS_MAX: usize = 8_192;
/// Chunks of a call that are put at once.
pub const CHUNKS_PER_BATCH_MAX: usize = 1_024;

/// Limits that the leader stamps on a proposal, so that all nodes decide by the same numbers even while
/// their settings differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Sessions that may exist at once in the cluster.
    pub sessions_max: u64,
    /// Variables that one session may hold.
    pub variables_per_session_max: u64,
    /// Size of one value, in bytes.
    pub value_bytes_max: u64,
    /// Variables that one batch may set.
    pub batch_variables_max: u64,
    /// Size of one session's or one variable's metadata, keys and values together, in bytes.
    pub metadata_bytes_max: u64,
    /// Size of one variable's constraints document, in bytes.
    pub constraints_bytes_max: u64,
    /// Shortest life of a session, in milliseconds.
    pub ttl_min_ms: u64,
    /// Longest life of a session, in milliseconds.
    pub ttl_max_ms: u64,
    /// Variables that one variable may depend on, and that may depend on it.
    pub dependencies_per_variable_max: u64,
    /// Programs that one session may hold.
    pub programs_per_session_max: u64,
    /// Global programs that may exist at once.
    pub global_programs_max: u64,
    /// Tools that may be registered in one session.
    pub tools_per_session_max: u64,
    /// Pools of the cluster that may exist at once.
    pub pools_max: u64,
    /// Size of one pool's definition, in bytes.
    pub pool_bytes_max: u64,
    /// Subjects that may be known at once, erased ones included.
    pub subjects_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 100_000,
            variables_per_session_max: 10_000,
            value_bytes_max: 4 << 20,
            batch_variables_max: 10_000,
            metadata_bytes_max: 64 << 10,
            constraints_bytes_max: 64 << 10,
            ttl_min_ms: 1_000,
            ttl_max_ms: 366 * 24 * 3_600_000,
            dependencies_per_variable_max: 256,
            programs_per_session_max: 1_000,
            global_programs_max: 10_000,
            tools_per_session_max: 1_000,
            pools_max: 256,
            pool_bytes_max: 64 << 10,
            subjects_max: 1_000_000,
        }
    }
}
