//! Where heads of the tree come from: nodes that serve, or the directory of one that is stopped.

use snakepit_client::GetCheckpointResponse;
use snakepit_storage::StateStore;

use super::super::super::error::CliError;
use super::super::super::globals::Context;
use super::super::source::{self, Events, Selection};
use crate::evidence::checkpoint::origin;

/// Heads, and the events below them.
pub(super) enum Heads {
    Cluster(snakepit_client::Client),
    Dir(Box<StateStore>, String),
}

impl Heads {
    /// Of what is asked for.
    pub(super) fn open(
        context: &Context,
        of: &Selection,
        cluster_id: &str,
    ) -> Result<Self, CliError> {
        Ok(match &of.dir {
            None => Self::Cluster(context.client()?),
            Some(dir) => {
                let state = source::open(&source::data_dirs(dir)?.swap_remove(0))?;
                Self::Dir(Box::new(state), cluster_id.to_owned())
            }
        })
    }

    /// The head of a size; of all events for 0.
    pub(super) async fn at(&self, size: u64) -> Result<GetCheckpointResponse, CliError> {
        match self {
            Self::Cluster(client) => Ok(client.checkpoint(size).await?),
            Self::Dir(state, cluster_id) => head(state, cluster_id, size).map_err(CliError::failed),
        }
    }

    /// Events that are asked for.
    pub(super) fn events(&self, of: &Selection) -> Result<Events, CliError> {
        let query = of.query()?;
        Ok(match self {
            Self::Cluster(client) => source::online(client.read_events(query)),
            Self::Dir(state, _) => source::offline((**state).clone(), query),
        })
    }
}

fn head(state: &StateStore, cluster_id: &str, size: u64) -> std::io::Result<GetCheckpointResponse> {
    let size = match size {
        0 => state.head().position,
        size => size,
    };
    let chain = match size {
        0 => [0; 32],
        size => state.event(size)?.hash,
    };
    let peaks = state.tree_peaks(size)?;
    Ok(GetCheckpointResponse {
        origin: origin(cluster_id),
        size,
        root: state.tree_root(size)?.to_vec().into(),
        peaks: peaks.iter().map(|hash| hash.to_vec().into()).collect(),
        chain_hash: chain.to_vec().into(),
        ..Default::default()
    })
}
