//! Printing many events: what is printed is made on several threads, and comes in order.

use std::num::NonZero;
use std::thread::available_parallelism;

use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use snakepit_client::StoredEvent;

use super::super::error::CliError;
use super::super::output::print;
use super::columns::{Columns, Rows};
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
    let mut made = made(events, move |stored, rows: &mut Rows<N>| {
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

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn event(position: u64) -> Result<StoredEvent, CliError> {
        Ok(StoredEvent {
            position,
            ..Default::default()
        })
    }

    /// What several threads make comes in order, and what comes before an error is there, whoever has made it.
    #[tokio::test]
    async fn what_is_made_comes_in_order_up_to_an_error() {
        let many = 10 * CHUNK_EVENTS as u64 + 7;
        let read = (1..=many).map(event);
        let broken = std::iter::once(Err(CliError::failed("the disk")));
        let events: Events = Box::pin(stream::iter(read.chain(broken).chain([event(many + 2)])));
        let all = |stored: &StoredEvent, to: &mut Vec<u64>| {
            to.push(stored.position);
            Ok(())
        };
        let made: Vec<_> = made(events, all).collect().await;
        let (last, before) = made.split_last().unwrap();
        assert!(before.iter().all(|(_, ended)| ended.is_ok()));
        assert_eq!(last.1.as_ref().unwrap_err().message, "the disk");
        let positions: Vec<u64> = made
            .iter()
            .flat_map(|(positions, _)| positions.clone())
            .collect();
        assert_eq!(positions, (1..=many).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_event_that_cannot_be_shown_ends_it() {
        let events: Events = Box::pin(stream::iter((1..=3 * CHUNK_EVENTS as u64).map(event)));
        let some = |stored: &StoredEvent, to: &mut Vec<u64>| match stored.position {
            2_000 => Err(CliError::failed("unreadable")),
            position => {
                to.push(position);
                Ok(())
            }
        };
        let mut made = made(events, some);
        assert!(made.next().await.unwrap().1.is_ok());
        let (positions, ended) = made.next().await.unwrap();
        assert_eq!(positions.last(), Some(&1_999));
        assert!(ended.is_err());
    }
}
