//! Printing many events: what is printed is made on several threads, and comes in order.

use std::num::NonZero;
use std::thread::available_parallelism;

use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use snakepit_client::StoredEvent;

use super::super::error::CliError;
use super::super::output::print;
use super::columns::Columns;
use super::source::Events;

/// Events of which one thread makes what is printed, if so many are there.
const CHUNK_EVENTS: usize = 1_024;

/// Lines of JSON.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Add a line.
    pub fn line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.0, value).map_err(CliError::failed)?;
        self.0.push(b'\n');
        Ok(())
    }
}

/// Print the lines that `add` makes of each event.
///
/// # Errors
///
/// What `add` answers, or what the events end with; what comes before it is printed.
pub(super) async fn json_lines(
    events: Events,
    add: impl Fn(&StoredEvent, &mut Lines) -> Result<(), CliError> + Clone + Send + 'static,
) -> Result<(), CliError> {
    let mut made = made(events, add);
    while let Some((lines, ended)) = made.next().await {
        print(&lines.0)?;
        ended?;
    }
    Ok(())
}

/// Print a table with the row that `row` makes of each event.
///
/// # Errors
///
/// As [`json_lines`].
pub(super) async fn table<const N: usize>(
    headers: [&'static str; N],
    events: Events,
    row: impl Fn(&StoredEvent) -> Result<[String; N], CliError> + Clone + Send + 'static,
) -> Result<(), CliError> {
    let mut columns = Columns::new(headers);
    let mut made = made(events, move |stored, rows: &mut Vec<_>| {
        rows.push(row(stored)?);
        Ok(())
    });
    while let Some((rows, ended)) = made.next().await {
        columns.rows(rows)?;
        if ended.is_err() {
            columns.flush()?;
        }
        ended?;
    }
    columns.flush()
}

/// Of these at most, for each thread.
const CHUNKS_AHEAD: usize = 2;

/// What `add` makes of a few events at a time, and whether one of them, or reading them, failed.
fn made<T: Default + Send + 'static>(
    events: Events,
    add: impl Fn(&StoredEvent, &mut T) -> Result<(), CliError> + Clone + Send + 'static,
) -> impl Stream<Item = (T, Result<(), CliError>)> + Unpin {
    let threads = available_parallelism().map_or(1, NonZero::get);
    let making = events.ready_chunks(CHUNK_EVENTS).map(move |chunk| {
        let add = add.clone();
        let make = move || {
            let mut made = T::default();
            let mut each = chunk.into_iter();
            let ended = each.try_for_each(|stored| add(&stored?, &mut made));
            (made, ended)
        };
        async move {
            let made = tokio::task::spawn_blocking(make).await;
            made.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        }
    });
    Box::pin(making.buffered(threads * CHUNKS_AHEAD))
}
