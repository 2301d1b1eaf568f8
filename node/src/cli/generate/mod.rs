//! `snakepit gen`: code to begin with. One file per verb; this one is the table.

mod adapter;

use clap::Subcommand;

use super::error::CliError;
use super::globals::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Write a Python module of tools, and its tests
    Adapter(adapter::Args),
}

/// The table of verbs.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Adapter(args) => adapter::run(context, &args),
    }
}
