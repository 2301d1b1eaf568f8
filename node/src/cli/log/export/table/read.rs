//! Reading a table, some rows at a time; what is not as [`super::Writer`] makes it is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{ChunkReader, FileReader as _, SerializedFileReader};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::{Row, schema};

/// A table of a file, or of bytes.
pub(in super::super::super) struct Reader<R: ChunkReader + 'static> {
    file: SerializedFileReader<R>,
    next_group: usize,
    group: Option<Group>,
}

/// A group of rows that is being read.
struct Group {
    left: u64,
    columns: Columns,
}

impl<R: ChunkReader + 'static> Reader<R> {
    /// Open a table.
    ///
    /// # Errors
    ///
    /// Where it is no Parquet, has other columns than an export, or anything that readers may follow in place
    /// of its rows: statistics, indexes, other files, metadata of its own.
    pub(in super::super::super) fn new(from: R) -> Result<Self, String> {
        whole(|| {
            let file = SerializedFileReader::new(from).map_err(told)?;
            check(file.metadata())?;
            Ok(Self {
                file,
                next_group: 0,
                group: None,
            })
        })
    }

    /// The next rows: none at the end, else one at least, `count_max` at most, and fewer where they come to
    /// `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// Where they cannot be read.
    pub(in super::super::super) fn rows(
        &mut self,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, String> {
        whole(|| self.next_rows(count_max, bytes_max))
    }

    fn next_rows(&mut self, count_max: usize, bytes_max: usize) -> Result<Vec<Row>, String> {
        loop {
            let Some(group) = &mut self.group else {
                if self.next_group == self.file.num_row_groups() {
                    return Ok(Vec::new());
                }
                self.group = Some(self.open(self.next_group)?);
                self.next_group += 1;
                continue;
            };
            if group.left > 0 {
                let count = usize::try_from(group.left).unwrap_or(usize::MAX);
                let rows = group.columns.rows(count.min(count_max), bytes_max)?;
                group.left -= rows.len() as u64;
                return Ok(rows);
            }
            group.columns.end()?;
            self.group = None;
        }
    }

    fn open(&self, number: usize) -> Result<Group, String> {
        let group = self.file.get_row_group(number).map_err(told)?;
        let mut columns = (0..group.num_columns()).map(|at| group.get_column_reader(at));
        let rows = group.metadata().num_rows();
        Ok(Group {
            left: u64::try_from(rows).map_err(told)?,
            columns: Columns::of(&mut columns)?,
        })
    }
}

/// Read a file that somebody may have damaged on purpose: the reader of Parquet stops the thread at some of
/// what it does not expect. Nothing that it was reading is used afterwards.
fn whole<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(told("it is damaged")))
}

/// Whether the footer is that of an export.
fn check(footer: &ParquetMetaData) -> Result<(), String> {
    let about = footer.file_metadata();
    let wanted = SchemaDescriptor::new(schema().map_err(told)?);
    // Writers have other names for the whole, and say of a type in an older way too what it is.
    let kind = |column: &ColumnDescPtr| {
        (
            column.path().string(),
            column.physical_type(),
            column.logical_type_ref().cloned(),
            (column.max_def_level(), column.max_rep_level()),
        )
    };
    let found = about.schema_descr().columns().iter().map(kind);
    if !found.eq(wanted.columns().iter().map(kind)) {
        return Err("the columns are not those of an export".into());
    }
    if about.key_value_metadata().is_some_and(|of| !of.is_empty()) {
        return Err("the file has metadata of its own, which readers may follow".into());
    }
    let mut rows = 0_i64;
    for group in footer.row_groups() {
        rows = rows.saturating_add(group.num_rows());
        let sound = |column: &ColumnChunkMetaData| column.num_values() == group.num_rows();
        if group.num_rows() < 1 || !group.columns().iter().all(sound) {
            return Err("a group has columns of different lengths".into());
        }
        if group.sorting_columns().is_some() || group.columns().iter().any(is_indexed) {
            return Err(
                "the file has statistics or indexes, which readers may follow in place of its events"
                    .into(),
            );
        }
        if group.columns().iter().any(|it| it.file_path().is_some()) {
            return Err("a column is in another file".into());
        }
    }
    if rows != about.num_rows() {
        return Err(format!(
            "the file is said to have {} rows, its groups have {rows}",
            about.num_rows()
        ));
    }
    Ok(())
}

fn is_indexed(column: &ColumnChunkMetaData) -> bool {
    column.statistics().is_some()
        || column.geo_statistics().is_some()
        || column.column_index_offset().is_some()
        || column.offset_index_offset().is_some()
        || column.bloom_filter_offset().is_some()
}

/// The columns of a group, in the order of the schema.
struct Columns {
    position: Column<Int64Type>,
    time: Column<Int64Type>,
    time_ms: Column<Int64Type>,
    session: Column<ByteArrayType>,
    revision: Column<Int64Type>,
    event: Column<ByteArrayType>,
    change: Column<ByteArrayType>,
    principal: Column<ByteArrayType>,
    principal_verified: Column<BoolType>,
    cause_request: Column<ByteArrayType>,
    cause_call: Column<ByteArrayType>,
    cause_tool: Column<ByteArrayType>,
    cause_worker: Column<ByteArrayType>,
    cause_node: Column<Int64Type>,
    raft_index: Column<Int64Type>,
    raft_term: Column<Int64Type>,
    hash: Column<ByteArrayType>,
    bytes: Column<ByteArrayType>,
}

impl Columns {
    fn of(
        columns: &mut impl Iterator<Item = Result<ColumnReader, ParquetError>>,
    ) -> Result<Self, String> {
        fn next<T: DataType>(
            name: &'static str,
            columns: &mut impl Iterator<Item = Result<ColumnReader, ParquetError>>,
        ) -> Result<Column<T>, String> {
            let reader = columns.next().ok_or("a column is missing")?.map_err(told)?;
            // The schema was compared: the types fit.
            let reader = get_typed_column_reader::<T>(reader);
            Ok(Column { name, reader })
        }
        Ok(Self {
            position: next("position", columns)?,
            time: next("time", columns)?,
            time_ms: next("time_ms", columns)?,
            session: next("session", columns)?,
            revision: next("revision", columns)?,
            event: next("event", columns)?,
            change: next("change", columns)?,
            principal: next("principal", columns)?,
            principal_verified: next("principal_verified", columns)?,
            cause_request: next("cause_request", columns)?,
            cause_call: next("cause_call", columns)?,
            cause_tool: next("cause_tool", columns)?,
            cause_worker: next("cause_worker", columns)?,
            cause_node: next("cause_node", columns)?,
            raft_index: next("raft_index", columns)?,
            raft_term: next("raft_term", columns)?,
            hash: next("hash", columns)?,
            bytes: next("bytes", columns)?,
        })
    }

    fn rows(&mut self, count_max: usize, bytes_max: usize) -> Result<Vec<Row>, String> {
        // The largest values one by one, as long as they are not too many bytes.
        let mut rows = Vec::new();
        let mut size = 0;
        while rows.len() < count_max && size < bytes_max {
            let row = Row {
                change: self.change.texts(1)?.pop().unwrap_or_default(),
                bytes: self.bytes.all(1)?.pop().unwrap_or_default().data().to_vec(),
                ..Row::default()
            };
            size += row.change.len() + row.bytes.len();
            rows.push(row);
        }
        let n = rows.len();
        let of = &mut rows[..];
        fill(of, self.position.numbers(n)?, |row, it| row.position = it);
        fill(of, self.time.some(n)?, |row, it| row.time = it);
        fill(of, self.time_ms.numbers(n)?, |row, it| row.time_ms = it);
        fill(of, self.session.texts(n)?, |row, it| row.session = it);
        fill(of, self.revision.numbers(n)?, |row, it| row.revision = it);
        fill(of, self.event.texts(n)?, |row, it| row.event = it);
        fill(of, self.principal.texts(n)?, |row, it| row.principal = it);
        fill(of, self.principal_verified.all(n)?, |row, it| {
            row.principal_verified = it
        });
        fill(of, self.cause_request.some_texts(n)?, |row, it| {
            row.cause_request = it
        });
        fill(of, self.cause_call.some_texts(n)?, |row, it| {
            row.cause_call = it
        });
        fill(of, self.cause_tool.some_texts(n)?, |row, it| {
            row.cause_tool = it
        });
        fill(of, self.cause_worker.some_texts(n)?, |row, it| {
            row.cause_worker = it
        });
        fill(of, self.cause_node.some(n)?, |row, it| {
            row.cause_node = it.map(i64::cast_unsigned)
        });
        fill(of, self.raft_index.numbers(n)?, |row, it| {
            row.raft_index = it
        });
        fill(of, self.raft_term.numbers(n)?, |row, it| row.raft_term = it);
        fill(of, self.hash.all(n)?, |row, it| {
            row.hash = it.data().to_vec()
        });
        Ok(rows)
    }

    /// Whether nothing is left in any of them.
    fn end(&mut self) -> Result<(), String> {
        self.position.end()?;
        self.time.end()?;
        self.time_ms.end()?;
        self.session.end()?;
        self.revision.end()?;
        self.event.end()?;
        self.change.end()?;
        self.principal.end()?;
        self.principal_verified.end()?;
        self.cause_request.end()?;
        self.cause_call.end()?;
        self.cause_tool.end()?;
        self.cause_worker.end()?;
        self.cause_node.end()?;
        self.raft_index.end()?;
        self.raft_term.end()?;
        self.hash.end()?;
        self.bytes.end()
    }
}

struct Column<T: DataType> {
    name: &'static str,
    reader: ColumnReaderImpl<T>,
}

impl<T: DataType> Column<T> {
    /// So many values, with `None` for each that is not there.
    fn some(&mut self, count: usize) -> Result<Vec<Option<T::T>>, String> {
        let (mut values, mut levels) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let read = self
            .reader
            .read_records(count, Some(&mut levels), None, &mut values);
        let (records, ..) = read.map_err(|error| format!("{}: {}", self.name, told(error)))?;
        if records < count {
            return Err(format!("{} ends too early", self.name));
        }
        let mut values = values.into_iter();
        if levels.is_empty() {
            // Of a column that is always there no levels are read.
            return Ok(values.map(Some).collect());
        }
        let there = |level: &i16| if *level == 1 { values.next() } else { None };
        Ok(levels.iter().map(there).collect())
    }

    /// So many values of a column that is always there.
    fn all(&mut self, count: usize) -> Result<Vec<T::T>, String> {
        let values: Option<Vec<_>> = self.some(count)?.into_iter().collect();
        values.ok_or_else(|| format!("{} is missing in a row", self.name))
    }

    fn end(&mut self) -> Result<(), String> {
        let mut values = Vec::new();
        let read = self
            .reader
            .read_records(1, Some(&mut Vec::new()), None, &mut values);
        match read.map_err(told)? {
            (0, _, _) => Ok(()),
            _ => Err(format!(
                "{} has more values than its group has rows",
                self.name
            )),
        }
    }
}

impl Column<Int64Type> {
    fn numbers(&mut self, count: usize) -> Result<Vec<u64>, String> {
        let values = self.all(count)?.into_iter();
        Ok(values.map(i64::cast_unsigned).collect())
    }
}

impl Column<ByteArrayType> {
    fn texts(&mut self, count: usize) -> Result<Vec<String>, String> {
        let values = self.all(count)?;
        values.iter().map(|value| self.text(value)).collect()
    }

    fn some_texts(&mut self, count: usize) -> Result<Vec<Option<String>>, String> {
        let values = self.some(count)?;
        let text = |value: &Option<ByteArray>| value.as_ref().map(|it| self.text(it)).transpose();
        values.iter().map(text).collect()
    }

    fn text(&self, value: &ByteArray) -> Result<String, String> {
        let text = value.as_utf8();
        let text = text.map_err(|_| format!("{} is not UTF-8", self.name))?;
        Ok(text.to_owned())
    }
}

/// Put a value into each row.
fn fill<V>(rows: &mut [Row], values: Vec<V>, put: impl Fn(&mut Row, V)) {
    for (row, value) in rows.iter_mut().zip(values) {
        put(row, value);
    }
}

/// What the reader of Parquet says.
fn told(error: impl std::fmt::Display) -> String {
    format!("it cannot be read as Parquet: {error}")
}
