//! `snakepit log prove`: proofs of the tree, checked before they are shown.

use serde_json::json;
use snakepit_storage::tree::{self, Hash, ProofError};

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{hex, note};

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true, args = ["position", "old"])]
pub(crate) struct Args {
    /// The event that is to be shown in the tree
    #[arg(conflicts_with = "old", value_name = "POSITION")]
    position: Option<u64>,
    /// The smaller tree that is to be shown as the beginning of the larger one
    #[arg(long, value_name = "SIZE")]
    old: Option<u64>,
    /// Events in the tree; 0 for all that there are
    #[arg(long, default_value_t = 0, value_name = "SIZE")]
    size: u64,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let (sentence, json, proof) = if let Some(old) = args.old {
        let found = client.prove_consistency(old, args.size).await?;
        let proof = hashes(&found.proof)?;
        let (from, to) = (hash(&found.old_root)?, hash(&found.new_root)?);
        tree::verify_consistency(old, &from, found.new_size, &to, &proof).map_err(wrong)?;
        let sentence = format!(
            "the tree of {old} events, root {}, is the beginning of that of {}, root {}",
            hex(&from),
            found.new_size,
            hex(&to)
        );
        let json = json!({
            "old_size": old,
            "old_root": hex(&from),
            "size": found.new_size,
            "root": hex(&to),
        });
        (sentence, json, proof)
    } else {
        let position = args.position.unwrap_or(0);
        let found = client.prove_inclusion(position, args.size).await?;
        let proof = hashes(&found.proof)?;
        let (leaf, root) = (hash(&found.leaf)?, hash(&found.root)?);
        let index = position.saturating_sub(1);
        tree::verify_inclusion(index, &leaf, found.size, &proof, &root).map_err(wrong)?;
        let sentence = format!(
            "event {position}, leaf {}, is in the tree of {} events, root {}",
            hex(&leaf),
            found.size,
            hex(&root)
        );
        let json = json!({
            "position": position,
            "leaf": hex(&leaf),
            "size": found.size,
            "root": hex(&root),
        });
        (sentence, json, proof)
    };
    let mut json = json;
    json["proof"] = proof.iter().map(|hash| hex(hash)).collect();
    context.output.done(&sentence, &json)?;
    if !context.output.is_json() {
        for hash in &proof {
            note(&format!("  {}", hex(hash)));
        }
    }
    Ok(())
}

fn wrong(error: ProofError) -> CliError {
    CliError::failed(format!("the node's proof does not hold: {error}"))
        .hint("the node is damaged or lies; run `snakepit log verify`")
}

fn hash(bytes: &[u8]) -> Result<Hash, CliError> {
    bytes
        .try_into()
        .map_err(|_| CliError::failed("the node's proof has a hash of another length"))
}

fn hashes(all: &[bytes::Bytes]) -> Result<Vec<Hash>, CliError> {
    all.iter().map(|bytes| hash(bytes)).collect()
}
