//! `snakepit pool`: sets of alike workers. One file per verb; this one is the table.

mod add;
mod assign;
mod gather;
mod list;
mod remove;
mod resize;
mod set;
mod show;
mod stats;

use clap::Subcommand;

use super::error::CliError;
use super::globals::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List pools, each over all nodes
    Ls,
    /// Show a pool: its settings, its tools, its share on each node
    Show(show::Args),
    /// Add a pool to the cluster
    Add(add::Args),
    /// Change settings of a pool, on all nodes
    Set(set::Args),
    /// Change how many workers a pool has on each node
    Resize(resize::Args),
    /// Remove pools; their workers finish what runs
    Rm(remove::Args),
    /// Show what became of calls, for each pool and node
    Stats(stats::Args),
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Ls => list::run(context).await,
        Verb::Show(args) => show::run(context, &args).await,
        Verb::Add(args) => add::run(context, args).await,
        Verb::Set(args) => set::run(context, args).await,
        Verb::Resize(args) => resize::run(context, &args).await,
        Verb::Rm(args) => remove::run(context, &args).await,
        Verb::Stats(args) => stats::run(context, &args).await,
    }
}
