//! `snakepit worker`: who runs the tools. One file per verb; this one is the table.

mod control;
mod gather;
mod list;

use clap::Subcommand;
use snakepit_client::WorkerAction;

use super::error::CliError;
use super::globals::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List workers of all nodes
    Ls(list::Args),
    /// Replace workers: a new one first, then the old one finishes what runs
    Restart(control::Args),
    /// Have a worker finish what runs, and be replaced
    Drain(control::OneArgs),
    /// Kill a worker at once: its calls are lost
    Kill(control::OneArgs),
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Ls(args) => list::run(context, &args).await,
        Verb::Restart(args) => control::restart(context, &args).await,
        Verb::Drain(args) => control::one(context, WorkerAction::Drain, &args.id).await,
        Verb::Kill(args) => control::one(context, WorkerAction::Kill, &args.id).await,
    }
}
