//! `snakepit node`: run one node.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::CliError;
use crate::config::Flags;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The settings file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the log, the state and the snapshots (node.data_dir)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address for clients (listen.client)
    #[arg(long, value_name = "IP:PORT")]
    listen_client: Option<SocketAddr>,
    /// Address for other nodes (listen.peer)
    #[arg(long, value_name = "IP:PORT")]
    listen_peer: Option<SocketAddr>,
    /// Address for health, metrics and the console (listen.http)
    #[arg(long, value_name = "IP:PORT")]
    listen_http: Option<SocketAddr>,
    /// Any setting; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Serve beyond loopback although there is neither TLS nor authentication
    #[arg(long)]
    insecure: bool,
    /// Print the settings in effect and exit
    #[arg(long)]
    print_config: bool,
}

impl From<Args> for Flags {
    fn from(args: Args) -> Self {
        Self {
            config: args.config,
            data_dir: args.data_dir,
            listen_client: args.listen_client,
            listen_peer: args.listen_peer,
            listen_http: args.listen_http,
            insecure: args.insecure,
            print_config: args.print_config,
            set: args.set,
        }
    }
}

/// Run until the node is told to stop.
pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    crate::run::node(args.into())
        .await
        .map_err(|error| CliError::failed(format!("{error:#}")))
}
