//! Where events come from: nodes that serve, or the directory of one that is stopped.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use snakepit_client::{EventQuery, StoredEvent};
use snakepit_storage::{DataDir, StateStore};

use super::super::error::CliError;
use super::super::globals::Context;
use super::filters::Filters;
use crate::evidence::filter;

/// Events that are read from a directory at once.
const BATCH_EVENTS: usize = 1_024;
/// And their bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Events in order.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<StoredEvent, CliError>> + Send>>;

/// Which events, and from where.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Selection {
    /// Only events of this session
    #[arg(
        short,
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "ID"
    )]
    pub session: String,
    /// The first position
    #[arg(long, default_value_t = 1, value_name = "POSITION")]
    pub from: u64,
    /// At most so many; 0 for all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub limit: u64,
    /// The last position; 0 for no end
    #[arg(
        long,
        default_value_t = 0,
        hide_default_value = true,
        value_name = "POSITION"
    )]
    pub to: u64,
    #[command(flatten)]
    pub filters: Filters,
    /// Data directory of a stopped node, instead of a running cluster
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

impl Selection {
    pub(super) fn query(&self) -> Result<EventQuery, CliError> {
        Ok(EventQuery {
            from: self.from.max(1),
            to: self.to,
            limit: self.limit,
            session: self.session.clone(),
            filter: self.filters.filter()?,
            ..Default::default()
        })
    }
}

/// The events that are asked for.
pub(crate) fn events(context: &Context, args: &Selection) -> Result<Events, CliError> {
    match &args.dir {
        None => Ok(online(context.client()?.read_events(args.query()?))),
        Some(dir) => {
            let dir = data_dirs(dir)?.swap_remove(0);
            Ok(offline(open(&dir)?, args.query()?))
        }
    }
}

/// Events of nodes that serve.
pub(crate) fn online(events: snakepit_client::EventStream) -> Events {
    Box::pin(events.map(|event| event.map_err(CliError::from)))
}

/// Events of a state on disk.
pub(crate) fn offline(state: StateStore, query: EventQuery) -> Events {
    let limit = if query.limit == 0 {
        u64::MAX
    } else {
        query.limit
    };
    let batches = stream::unfold((query.from.max(1), limit), move |(from, left)| {
        let batch = if left == 0 {
            Ok(Vec::new())
        } else {
            read(&state, &query, from)
        };
        let query = query.clone();
        async move {
            match batch.and_then(|batch| wanted(&query, batch, left)) {
                Ok((events, next, left)) => {
                    let events: Vec<_> = events.into_iter().map(Ok).collect();
                    Some((events, (next?, left)))
                }
                // One error, and the end.
                Err(error) => Some((vec![Err(error)], (u64::MAX, 0))),
            }
        }
    });
    Box::pin(batches.map(stream::iter).flatten())
}

/// Of what was read what is asked for; where to go on, if anywhere, and how many more are wanted.
fn wanted(
    query: &EventQuery,
    mut batch: Vec<StoredEvent>,
    left: u64,
) -> Result<(Vec<StoredEvent>, Option<u64>, u64), CliError> {
    let next = batch.last().map(|event| event.position + 1);
    if query.to > 0 {
        batch.retain(|event| event.position <= query.to);
    }
    if !filter::is_open(&query.filter) {
        let mut passing = Vec::with_capacity(batch.len());
        for stored in batch {
            if filter::passes(&query.filter, &super::view::decode(&stored)?) {
                passing.push(stored);
            }
        }
        batch = passing;
    }
    batch.truncate(usize::try_from(left).unwrap_or(usize::MAX));
    let left = left - batch.len() as u64;
    let next = next.filter(|next| query.to == 0 || *next <= query.to);
    Ok((batch, next, left))
}

fn read(state: &StateStore, query: &EventQuery, from: u64) -> Result<Vec<StoredEvent>, CliError> {
    let found = if !query.journal_of.is_empty() {
        state.call_events(&query.journal_of, from, BATCH_EVENTS, BATCH_BYTES)
    } else if !query.session.is_empty() {
        state.session_events(&query.session, from, BATCH_EVENTS, BATCH_BYTES)
    } else {
        state.events(from, BATCH_EVENTS, BATCH_BYTES)
    };
    let found = found.map_err(CliError::failed)?.into_iter();
    Ok(found
        .map(|event| StoredEvent {
            position: event.position,
            event: event.bytes.into(),
            hash: event.hash.to_vec().into(),
        })
        .collect())
}

/// Open the state of a stopped node.
pub(crate) fn open(dir: &Path) -> Result<StateStore, CliError> {
    StateStore::open_read_only(dir).map_err(|error| {
        let told = CliError::failed(format!("cannot open {}: {error}", dir.display()));
        match error.kind() {
            std::io::ErrorKind::ResourceBusy => {
                told.hint("leave out --dir to ask the running node, or stop it first")
            }
            std::io::ErrorKind::NotFound => {
                told.hint("give the directory of a node that has run, such as DIR/node-1/data")
            }
            _ => told,
        }
    })
}

/// The data directories that a path stands for: itself, that of a node of a local cluster, or those of all
/// nodes of one. Never empty.
pub(crate) fn data_dirs(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    let holds_data = |dir: &Path| DataDir::new(dir).identity().exists();
    let inner = path.join("data");
    if holds_data(path) || !path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    if holds_data(&inner) {
        return Ok(vec![inner]);
    }
    let listed = std::fs::read_dir(path).map_err(CliError::file("read", path))?;
    let nodes = listed.filter_map(|entry| Some(entry.ok()?.path().join("data")));
    let mut nodes: Vec<_> = nodes.filter(|dir| holds_data(dir)).collect();
    nodes.sort();
    Ok(if nodes.is_empty() {
        vec![path.to_owned()]
    } else {
        nodes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_local_clusters_are_understood() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for node in ["node-2", "node-1"] {
            std::fs::create_dir_all(at(node).join("data")).unwrap();
            std::fs::write(at(node).join("data/identity.json"), "{}").unwrap();
        }
        let both = vec![at("node-1/data"), at("node-2/data")];
        assert_eq!(data_dirs(dir.path()).unwrap(), both);
        assert_eq!(data_dirs(&at("node-1")).unwrap(), [at("node-1/data")]);
        assert_eq!(data_dirs(&at("node-1/data")).unwrap(), [at("node-1/data")]);
        assert_eq!(data_dirs(&at("missing")).unwrap(), [at("missing")]);
        assert_eq!(open(&at("missing")).err().map(|error| error.code), Some(1));
    }
}
