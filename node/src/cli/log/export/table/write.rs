//! Writing a table: rows are gathered to groups of bounded size, and a file that ends is complete.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use indicatif::ProgressBar;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;
use sha2::{Digest as _, Sha256};

use super::super::super::super::error::CliError;
use super::super::super::view;
use super::super::spool;
use super::{Row, schema};

/// Rows of a group, at most.
const GROUP_ROWS_MAX: usize = 16_384;
/// Bytes of its events and changes, at most; one row may be more.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// Values between two looks at whether a page is full.
const VALUES_AT_ONCE: usize = 64;
/// Columns whose values hardly ever repeat.
const DISTINCT: [&str; 5] = ["position", "change", "cause_request", "hash", "bytes"];

/// A table that is being written.
pub(in super::super::super) struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    rows: Vec<Row>,
    bytes: usize,
}

impl<W: Write + Send> Writer<W> {
    /// An empty table.
    pub(in super::super::super) fn new(to: W) -> Result<Self, ParquetError> {
        let mut properties = WriterProperties::builder()
            .set_created_by("snakepit".into())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_write_batch_size(VALUES_AT_ONCE)
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::None);
        for name in DISTINCT {
            let path = ColumnPath::from(name);
            properties = properties.set_column_dictionary_enabled(path, false);
        }
        Ok(Self {
            file: SerializedFileWriter::new(to, schema()?, Arc::new(properties.build()))?,
            rows: Vec::new(),
            bytes: 0,
        })
    }

    /// Add a row.
    pub(in super::super::super) fn push(&mut self, row: Row) -> Result<(), ParquetError> {
        self.bytes += row.bytes.len() + row.change.len();
        self.rows.push(row);
        if self.rows.len() >= GROUP_ROWS_MAX || self.bytes >= GROUP_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Write what is left, and the end; what was written to.
    pub(in super::super::super) fn finish(mut self) -> Result<W, ParquetError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        self.file.into_inner()
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let mut group = self.file.next_row_group()?;
        write(&mut group, &rows)?;
        group.close()?;
        Ok(())
    }
}

/// All columns of some rows, in the order of the schema.
fn write<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row],
) -> Result<(), ParquetError> {
    let mut column = Columns { group, rows };
    column.numbers(|row| row.position)?;
    column.optional::<Int64Type>(|row| row.time)?;
    column.numbers(|row| row.time_ms)?;
    column.texts(|row| &row.session)?;
    column.numbers(|row| row.revision)?;
    column.texts(|row| &row.event)?;
    column.texts(|row| &row.change)?;
    column.texts(|row| &row.principal)?;
    column.required::<BoolType>(|row| row.principal_verified)?;
    column.optional_texts(|row| &row.cause_request)?;
    column.optional_texts(|row| &row.cause_call)?;
    column.optional_texts(|row| &row.cause_tool)?;
    column.optional_texts(|row| &row.cause_worker)?;
    column.optional::<Int64Type>(|row| row.cause_node.map(u64::cast_signed))?;
    column.numbers(|row| row.raft_index)?;
    column.numbers(|row| row.raft_term)?;
    column.required::<ByteArrayType>(|row| ByteArray::from(row.hash.clone()))?;
    column.required::<ByteArrayType>(|row| ByteArray::from(row.bytes.clone()))
}

struct Columns<'a, 'b, W: Write + Send> {
    group: &'a mut SerializedRowGroupWriter<'b, W>,
    rows: &'a [Row],
}

impl<W: Write + Send> Columns<'_, '_, W> {
    fn numbers(&mut self, of: impl Fn(&Row) -> u64) -> Result<(), ParquetError> {
        self.required::<Int64Type>(|row| of(row).cast_signed())
    }

    fn texts(&mut self, of: impl Fn(&Row) -> &String) -> Result<(), ParquetError> {
        self.required::<ByteArrayType>(|row| ByteArray::from(of(row).as_str()))
    }

    fn optional_texts(&mut self, of: impl Fn(&Row) -> &Option<String>) -> Result<(), ParquetError> {
        self.optional::<ByteArrayType>(|row| of(row).as_deref().map(ByteArray::from))
    }

    fn required<T: DataType>(&mut self, of: impl Fn(&Row) -> T::T) -> Result<(), ParquetError> {
        let values: Vec<_> = self.rows.iter().map(of).collect();
        self.put::<T>(&values, None)
    }

    fn optional<T: DataType>(
        &mut self,
        of: impl Fn(&Row) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let values: Vec<_> = self.rows.iter().map(of).collect();
        let levels: Vec<_> = values.iter().map(|it| i16::from(it.is_some())).collect();
        let there: Vec<_> = values.into_iter().flatten().collect();
        self.put::<T>(&there, Some(&levels))
    }

    fn put<T: DataType>(
        &mut self,
        values: &[T::T],
        levels: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let column = self.group.next_column()?;
        let mut column = column.ok_or_else(|| ParquetError::General("a column too many".into()))?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}

/// What is written, counted and hashed.
struct Hashing<W> {
    to: W,
    bytes: u64,
    sha256: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.sha256.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Make the table of a spool: whole under its name, or not there. Its size and its SHA-256.
pub(in super::super::super) fn pack(
    spool: &Path,
    path: &Path,
    bar: &ProgressBar,
) -> Result<(u64, [u8; 32]), CliError> {
    let new = spool::beside(path, ".new");
    let failed =
        |error: ParquetError| CliError::failed(format!("cannot write {}: {error}", new.display()));
    let file = File::create(&new).map_err(CliError::file("make", &new))?;
    let to = Hashing {
        to: BufWriter::new(file),
        bytes: 0,
        sha256: Sha256::new(),
    };
    let mut table = Writer::new(to).map_err(failed)?;
    let from = File::open(spool).map_err(CliError::file("read", spool))?;
    let mut records = BufReader::new(from);
    while let Some((stored, _)) =
        spool::next(&mut records).map_err(CliError::file("read", spool))?
    {
        let event = view::decode_whole(&stored)?;
        table.push(Row::of(&event, &stored)).map_err(failed)?;
        bar.inc(1);
    }
    let written = table.finish().map_err(failed)?;
    let file = written.to.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all())
        .map_err(CliError::file("write", &new))?;
    std::fs::rename(&new, path).map_err(CliError::file("write", path))?;
    Ok((written.bytes, written.sha256.finalize().into()))
}
