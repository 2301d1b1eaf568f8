//! `snakepit cluster`: launch and tend a cluster on this machine. What was launched is recorded in the
//! cluster's directory, so that any later command can tend it.

mod down;
pub(super) mod kill;
pub(super) mod layout;
pub(super) mod ports;
mod process;
pub(super) mod python;
pub(super) mod ready;
pub(super) mod record;
mod settings;
pub(super) mod spawn;
mod start;
pub(super) mod status;
mod stop;
mod transfer;
pub(super) mod up;
mod watch;

use std::path::PathBuf;

use clap::Subcommand;

use super::error::CliError;
use super::globals::Context;
use layout::Layout;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Launch a cluster, or the one that is in the directory, and stay until Ctrl-C
    Up(up::Args),
    /// Show the nodes
    Status(Place),
    /// Kill a node at once, as a crash would
    Kill(kill::Args),
    /// Start a node that is down
    Start(start::Args),
    /// Stop all nodes
    Down(Place),
    /// Have another node lead
    Transfer(transfer::Args),
}

/// Which local cluster.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// The cluster's directory [default: snakepit/default in the user's state directory]
    #[arg(long, env = "SNAKEPIT_CLUSTER_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Place {
    /// The paths in it.
    pub fn layout(&self) -> Result<Layout, CliError> {
        Layout::new(self.dir.as_deref())
    }
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Up(args) => up::run(context, args).await,
        Verb::Status(place) => status::run(context, &place).await,
        Verb::Kill(args) => kill::run(context, &args).await,
        Verb::Start(args) => start::run(context, &args).await,
        Verb::Down(place) => down::run(context, &place).await,
        Verb::Transfer(args) => transfer::run(context, &args).await,
    }
}
