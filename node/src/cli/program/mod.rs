//! `snakepit program`: named documents of a session, or of the cluster. One file per verb; this one is the
//! table.

mod get;
mod list;
mod put;
mod remove;
mod shown;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::globals::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Put a program
    Put(put::Args),
    /// Print a program as JSON
    Get(get::Args),
    /// List programs
    Ls(list::Args),
    /// Delete programs
    Rm(remove::Args),
}

#[derive(Debug, Args)]
struct Scope {
    /// The session that holds it, with which it ends [default: none, the cluster holds it]
    #[arg(
        short = 's',
        long = "session",
        default_value = "",
        hide_default_value = true,
        value_name = "ID"
    )]
    session: String,
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Put(args) => put::run(context, args).await,
        Verb::Get(args) => get::run(context, &args).await,
        Verb::Ls(args) => list::run(context, &args).await,
        Verb::Rm(args) => remove::run(context, &args).await,
    }
}
