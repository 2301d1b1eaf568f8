//! `snakepit var`: typed variables of a session. One file per verb; this one is the table.

mod access;
mod blame;
mod depend;
mod get;
mod history;
mod list;
mod lock;
mod register;
mod remove;
mod rollback;
mod set;
mod shown;
mod watch;

use clap::{Args, Subcommand};
use snakepit_client::Client;

use super::error::CliError;
use super::globals::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Give a variable a value; registers it where it does not exist
    Set(set::Args),
    /// Print a variable's value as JSON
    Get(get::Args),
    /// Print all there is to know about a variable
    Show(get::ShowArgs),
    /// List variables
    Ls(list::Args),
    /// Delete variables
    Rm(remove::Args),
    /// Register a variable with a type, constraints and access rules
    Register(register::Args),
    /// Print changes as they come, until Ctrl-C
    Watch(watch::Args),
    /// Print a variable's versions, the newest first
    History(history::Args),
    /// Print who wrote a variable's versions, through which calls
    Blame(blame::Args),
    /// Give a variable the value of an old version, as a new one
    Rollback(rollback::Args),
    /// Let a variable depend on another
    Depend(depend::Args),
    /// Let a variable depend on another no more
    Undepend(depend::UndependArgs),
    /// Lock a variable for an optimizer, or renew the lock; prints the optimization's id
    Lock(lock::Args),
    /// Unlock a variable
    Unlock(lock::UnlockArgs),
    /// Print or change who may read, write and watch a variable
    Access(access::Args),
}

#[derive(Debug, Args)]
struct InSession {
    /// The session
    #[arg(
        short = 's',
        long = "session",
        env = "SNAKEPIT_SESSION",
        value_name = "ID"
    )]
    id: String,
}

/// For writes.
#[derive(Debug, Args)]
struct Holding {
    /// The optimization that holds the variable, as `var lock` printed it
    #[arg(long, value_name = "ID")]
    optimization_id: Option<String>,
}

impl Holding {
    /// A client whose writes pass the lock.
    fn client(&self, context: &Context) -> Result<Client, CliError> {
        let client = context.client()?;
        Ok(match &self.optimization_id {
            Some(id) => client.with_optimization_id(id),
            None => client,
        })
    }
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Set(args) => set::run(context, args).await,
        Verb::Get(args) => get::run(context, &args).await,
        Verb::Show(args) => get::show(context, &args).await,
        Verb::Ls(args) => list::run(context, &args).await,
        Verb::Rm(args) => remove::run(context, &args).await,
        Verb::Register(args) => register::run(context, args).await,
        Verb::Watch(args) => watch::run(context, args).await,
        Verb::History(args) => history::run(context, &args).await,
        Verb::Blame(args) => blame::run(context, args).await,
        Verb::Rollback(args) => rollback::run(context, args).await,
        Verb::Depend(args) => depend::run(context, &args).await,
        Verb::Undepend(args) => depend::undo(context, &args).await,
        Verb::Lock(args) => lock::run(context, args).await,
        Verb::Unlock(args) => lock::unlock(context, &args).await,
        Verb::Access(args) => access::run(context, &args).await,
    }
}
