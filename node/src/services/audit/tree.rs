//! The Merkle tree: its heads, signed where the node has the cluster's key, and its proofs.

use std::io;

use snakepit_proto::cluster::{
    GetCheckpointRequest, GetCheckpointResponse, ProveConsistencyRequest, ProveConsistencyResponse,
    ProveInclusionRequest, ProveInclusionResponse,
};
use snakepit_storage::StateStore;
use snakepit_storage::tree::{Hash, leaf_hash};

use super::super::{Ask, Failure, Node};
use crate::evidence::checkpoint::{Checkpoint, origin};

pub(super) async fn checkpoint(
    node: &Node,
    ask: &Ask,
    request: GetCheckpointRequest,
) -> Result<GetCheckpointResponse, Failure> {
    let (size, root, peaks, chain_hash) = read(node, ask, request.size, |state, size| {
        // First, for it refuses sizes that the log does not have.
        let root = state.tree_root(size)?;
        let chain_hash = match size {
            0 => [0; 32],
            _ => state.event(size)?.hash,
        };
        Ok((size, root, state.tree_peaks(size)?, chain_hash))
    })
    .await?;
    let checkpoint = Checkpoint {
        origin: origin(&node.settings.node.cluster_id),
        size,
        root,
    };
    let key = node.signing_key.as_ref();
    Ok(GetCheckpointResponse {
        note: key.map(|key| checkpoint.sign(key)).unwrap_or_default(),
        key: key.map(|key| key.verifying().to_text()).unwrap_or_default(),
        origin: checkpoint.origin,
        size,
        root: root.to_vec().into(),
        peaks: bytes(peaks),
        chain_hash: chain_hash.to_vec().into(),
    })
}

pub(super) async fn inclusion(
    node: &Node,
    ask: &Ask,
    request: ProveInclusionRequest,
) -> Result<ProveInclusionResponse, Failure> {
    let position = request.position;
    read(node, ask, request.size, move |state, size| {
        let proof = state.inclusion_proof(position, size)?;
        Ok(ProveInclusionResponse {
            size,
            leaf: leaf_hash(&state.event(position)?.bytes).to_vec().into(),
            proof: bytes(proof),
            root: state.tree_root(size)?.to_vec().into(),
        })
    })
    .await
}

pub(super) async fn consistency(
    node: &Node,
    ask: &Ask,
    request: ProveConsistencyRequest,
) -> Result<ProveConsistencyResponse, Failure> {
    let old = request.old_size;
    read(node, ask, request.new_size, move |state, new_size| {
        Ok(ProveConsistencyResponse {
            new_size,
            proof: bytes(state.consistency_proof(old, new_size)?),
            old_root: state.tree_root(old)?.to_vec().into(),
            new_root: state.tree_root(new_size)?.to_vec().into(),
        })
    })
    .await
}

/// Read of the tree of a size, of all that there is where it is 0; sizes beyond that are the caller's mistake.
async fn read<T: Send + 'static>(
    node: &Node,
    ask: &Ask,
    size: u64,
    read: impl FnOnce(&StateStore, u64) -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    if size == 0 || size > node.state.head().position {
        node.newest(ask).await;
    }
    let found = node
        .blocking(move |state| {
            let size = if size == 0 {
                state.head().position
            } else {
                size
            };
            match read(state, size) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Err(error)),
                other => other.map(Ok),
            }
        })
        .await?;
    found.map_err(|error| {
        Failure::Invalid(format!(
            "{error}; hint: ask for sizes and positions that the log has"
        ))
    })
}

fn bytes(hashes: Vec<Hash>) -> Vec<bytes::Bytes> {
    hashes
        .into_iter()
        .map(|hash| hash.to_vec().into())
        .collect()
}
