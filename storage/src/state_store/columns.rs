//! The RocksDB instance of the state, and how it is tuned: small memory, two background jobs, events
//! compressed harder than rows.

use std::io;
use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, LogLevel, Options,
};

use crate::codec::keys::RowColumn;
use crate::error::rocks;

pub(super) const EVENTS: &str = "events";
pub(super) const EVENT_BY_SESSION: &str = "event_by_session";
pub(super) const SESSIONS: &str = "sessions";
pub(super) const VARIABLES: &str = "variables";
pub(super) const REQUESTS: &str = "requests";
pub(super) const DEADLINES: &str = "deadlines";
pub(super) const PROGRAMS: &str = "programs";
pub(super) const PROGRAM_DEADLINES: &str = "program_deadlines";
pub(super) const TOOLS: &str = "tools";
pub(super) const POOLS: &str = "pools";
pub(super) const SEGMENTS: &str = "segments";
pub(super) const SUBJECTS: &str = "subjects";
pub(super) const TREE: &str = "tree";
pub(super) const EVENT_BY_CALL: &str = "event_by_call";
pub(super) const SESSION_POINTS: &str = "session_points";
pub(super) const META: &str = "meta";

pub(super) const ALL: [&str; 16] = [
    EVENTS,
    EVENT_BY_SESSION,
    SESSIONS,
    VARIABLES,
    REQUESTS,
    DEADLINES,
    PROGRAMS,
    PROGRAM_DEADLINES,
    TOOLS,
    POOLS,
    SEGMENTS,
    SUBJECTS,
    TREE,
    EVENT_BY_CALL,
    SESSION_POINTS,
    META,
];

const BLOCK_CACHE_BYTES: usize = 32 << 20;
const WRITE_BUFFER_BYTES: usize = 16 << 20;
const WRITE_BUFFERS_BYTES_MAX: usize = 64 << 20;
const WAL_BYTES_MAX: u64 = 256 << 20;
const OPEN_FILES_MAX: i32 = 1_000;
const BACKGROUND_JOBS: i32 = 2;
const INFO_LOGS_KEPT: usize = 2;
const INFO_LOG_BYTES_MAX: usize = 4 << 20;
const BLOOM_BITS: f64 = 10.0;
/// Size of the filter of what is in memory, as a part of the write buffer.
const MEMTABLE_BLOOM_RATIO: f64 = 0.05;

/// The column family that holds the rows of a column; the cluster's row is one of the records in `meta`.
pub(super) fn of_rows(column: RowColumn) -> &'static str {
    match column {
        RowColumn::Head => META,
        RowColumn::Sessions => SESSIONS,
        RowColumn::Variables => VARIABLES,
        RowColumn::Requests => REQUESTS,
        RowColumn::Deadlines => DEADLINES,
        RowColumn::Programs => PROGRAMS,
        RowColumn::ProgramDeadlines => PROGRAM_DEADLINES,
        RowColumn::Tools => TOOLS,
        RowColumn::Pools => POOLS,
        RowColumn::Segments => SEGMENTS,
        RowColumn::Subjects => SUBJECTS,
    }
}

pub(super) fn open(path: &Path) -> io::Result<DB> {
    DB::open_cf_descriptors(&instance(), path, columns())
        .map_err(rocks(&format!("open the state in {}", path.display())))
}

pub(super) fn open_read_only(path: &Path) -> io::Result<DB> {
    // Another release's state may lack a column: it is opened without, so that its format can be told.
    let mut columns = columns();
    if let Ok(there) = DB::list_cf(&Options::default(), path) {
        columns.retain(|column| there.iter().any(|name| name == column.name()));
    }
    DB::open_cf_descriptors_read_only(&instance(), path, columns, false).map_err(rocks(&format!(
        "open the state in {} for reading",
        path.display()
    )))
}

fn columns() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    ALL.iter()
        .map(|name| ColumnFamilyDescriptor::new(*name, column(name, &cache)))
        .collect()
}

/// Events are read in order more often than one by one, and to begin a block has its price.
const EVENT_BLOCK_BYTES: usize = 16 << 10;

fn instance() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // All columns are flushed together, so that after a crash no column is ahead of another.
    options.set_atomic_flush(true);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES_MAX);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(INFO_LOGS_KEPT);
    options.set_max_log_file_size(INFO_LOG_BYTES_MAX);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn column(name: &str, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if name == EVENTS {
        table.set_block_size(EVENT_BLOCK_BYTES);
    }
    if matches!(name, SESSIONS | VARIABLES | REQUESTS) {
        table.set_bloom_filter(BLOOM_BITS, false);
    }
    let mut options = Options::default();
    if name == REQUESTS {
        // Nearly every request is looked for once and is not there: the filter of what is still in memory
        // answers that without a search.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
    }
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    if matches!(name, EVENTS | SESSION_POINTS) {
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
    }
    options.set_block_based_table_factory(&table);
    options
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::super::db::StateDb;
    use super::*;
    use crate::codec::meta;
    use crate::segment::SegmentFolder;

    #[test]
    fn an_earlier_state_that_lacks_a_column_is_refused_by_its_format() {
        let dir = tempfile::tempdir().unwrap();
        let db = DB::open_cf(&instance(), dir.path(), [META, SESSIONS]).unwrap();
        let column = db.cf_handle(META).unwrap();
        db.put_cf(column, meta::FORMAT_KEY, [meta::FORMAT - 1])
            .unwrap();
        drop(db);
        let segments = SegmentFolder::open_read_only(&dir.path().join("archive")).unwrap();
        let error = StateDb::open_read_only(dir.path(), segments.into())
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let told = "the state has format version 4, this build knows 5; hint: run the release that wrote it";
        assert!(error.to_string().contains(told), "{error}");
    }
}
