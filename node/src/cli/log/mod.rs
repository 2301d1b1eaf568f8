//! `snakepit log`: the event log, through a cluster or on the directories of stopped nodes.

mod archive;
pub(super) mod blame;
mod checkpoint;
pub(super) mod columns;
mod export;
mod filters;
mod moment;
mod object;
pub(super) mod payload;
mod printing;
mod prove;
mod reads;
mod replay;
pub(super) mod source;
mod state;
mod tail;
mod verify;
pub(super) mod view;

use clap::Subcommand;

pub(super) use self::moment::{At, time_ms};
use super::error::CliError;
use super::globals::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Print events: who changed what, through which tool call, on which worker
    Replay(source::Selection),
    /// Fold the log of each node again and hold the result against what the node serves
    Verify(verify::Args),
    /// Write events as JSON lines, or as the bytes that are stored
    Export(export::Args),
    /// Print the last events and those that come
    Tail(tail::Args),
    /// Print what sessions held at a moment
    State(state::Args),
    /// Print what changed between two moments
    Diff(state::DiffArgs),
    /// Print who wrote the values of a session, through which calls
    Blame(blame::Args),
    /// Print the head of the log's Merkle tree, signed
    Checkpoint(checkpoint::Args),
    /// Prove that an event is in the tree, or that one tree is the beginning of another
    Prove(prove::Args),
    /// Move old events into segments, out of the stores of all nodes
    Archive(archive::Args),
    /// Print the segments of archived events
    Segments,
    /// Make a key that signs checkpoints
    Keygen(checkpoint::KeyArgs),
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Replay(args) => replay::run(context, &args).await,
        Verb::Verify(args) => verify::run(context, &args).await,
        Verb::Export(args) => export::run(context, &args).await,
        Verb::Tail(args) => tail::run(context, &args).await,
        Verb::State(args) => state::run(context, &args).await,
        Verb::Diff(args) => state::diff(context, &args).await,
        Verb::Blame(args) => blame::run(context, &args).await,
        Verb::Checkpoint(args) => checkpoint::run(context, &args).await,
        Verb::Prove(args) => prove::run(context, &args).await,
        Verb::Archive(args) => archive::run(context, &args).await,
        Verb::Segments => archive::list(context).await,
        Verb::Keygen(args) => checkpoint::keygen(context, &args),
    }
}
