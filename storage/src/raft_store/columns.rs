//! The RocksDB instance of the Raft log, and how it is tuned: written once, read seldom, deleted from the
//! front. Little memory, no compression of what is soon deleted, two background jobs.

use std::io;
use std::path::Path;

use rocksdb::{
    BlockBasedOptions, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    LogLevel, Options,
};

use crate::error::{damaged, rocks};

pub(super) const LOG: &str = "log";
pub(super) const META: &str = "meta";

const WRITE_BUFFER_BYTES: usize = 16 << 20;
const WAL_BYTES_MAX: u64 = 128 << 20;
const BACKGROUND_JOBS: i32 = 2;
const INFO_LOGS_KEPT: usize = 2;
const INFO_LOG_BYTES_MAX: usize = 4 << 20;

pub(super) fn open(path: &Path) -> io::Result<DB> {
    let columns = [(LOG, column(WRITE_BUFFER_BYTES)), (META, column(1 << 20))]
        .map(|(name, options)| ColumnFamilyDescriptor::new(name, options));
    DB::open_cf_descriptors(&instance(), path, columns)
        .map_err(rocks(&format!("open the raft log in {}", path.display())))
}

fn instance() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    // A torn end is a write that was never acknowledged. Damage before the end is the loss of one that was:
    // the node must not start. This rules out recycled WAL files, whose old content looks like damage.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_paranoid_checks(true);
    options.set_use_fsync(false);
    options.set_keep_log_file_num(INFO_LOGS_KEPT);
    options.set_max_log_file_size(INFO_LOG_BYTES_MAX);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn column(write_buffer_bytes: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.disable_cache();
    let mut options = Options::default();
    options.set_write_buffer_size(write_buffer_bytes);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&table);
    options
}

pub(super) fn handle<'a>(db: &'a DB, name: &str) -> io::Result<&'a ColumnFamily> {
    db.cf_handle(name)
        .ok_or_else(|| damaged(format_args!("the raft log has no column {name}")))
}
