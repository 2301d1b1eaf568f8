//! `snakepit log`: the event log, through a cluster or on the directories of stopped nodes.

pub(super) mod columns;
mod export;
mod payload;
mod replay;
mod source;
mod tail;
mod verify;
mod view;

use clap::Subcommand;

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
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Replay(args) => replay::run(context, &args).await,
        Verb::Verify(args) => verify::run(context, &args).await,
        Verb::Export(args) => export::run(context, &args).await,
        Verb::Tail(args) => tail::run(context, &args).await,
    }
}
