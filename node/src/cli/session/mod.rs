//! `snakepit session`: create, list, show, copy and end sessions. One file per verb; this one is the table.

mod create;
mod export;
mod fork;
mod import;
mod list;
mod remove;
mod show;
mod shown;

use clap::Subcommand;

use super::error::CliError;
use super::globals::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create a session and print its id; one that exists is left as it is
    Create(create::Args),
    /// List sessions
    Ls(list::Args),
    /// Show a session and what it holds
    Show(show::Args),
    /// End sessions and delete what they hold
    Rm(remove::Args),
    /// Write a session as it is at one moment, as JSON
    Export(export::Args),
    /// Make a new session of one as it was at a moment of the log
    Fork(fork::Args),
    /// Make a new session of what `export` wrote
    Import(import::Args),
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Create(args) => create::run(context, args).await,
        Verb::Ls(args) => list::run(context, args).await,
        Verb::Show(args) => show::run(context, &args).await,
        Verb::Rm(args) => remove::run(context, &args).await,
        Verb::Export(args) => export::run(context, &args).await,
        Verb::Fork(args) => fork::run(context, &args).await,
        Verb::Import(args) => import::run(context, &args).await,
    }
}
