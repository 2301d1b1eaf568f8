//! Limits of the Raft log.

/// Bytes of payloads that may wait for the writer. The leader proposes a few MiB at a time: a queue this
/// long means that the disk has stopped.
pub const QUEUE_BYTES_MAX: usize = 256 << 20;
/// Writes that may wait for the writer.
pub const QUEUE_WRITES_MAX: usize = 65_536;
/// Bytes after which a batch is closed and flushed, so that one flush does not grow with the queue.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// Bytes of flushed entries that are kept in memory for replication and for applying. What is here is soon used, or
/// by nobody; memory that comes back soon is still mapped, and partly in the processor's cache.
pub const TAIL_BYTES_MAX: usize = 16 << 20;
/// What an entry in memory costs beside its payload, in bytes; a guess on the high side.
pub const ENTRY_OVERHEAD_BYTES: usize = 96;
/// Entries up to this number are deleted one by one; a longer range with one range tombstone.
pub const DELETE_ONE_BY_ONE_MAX: u64 = 64;
