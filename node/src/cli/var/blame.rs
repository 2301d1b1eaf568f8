//! `snakepit var blame`.

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::log::blame;
use super::InSession;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name
    name: String,
    /// Only this version
    #[arg(long, value_name = "N")]
    at_version: Option<u64>,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let of = blame::Args::of(args.session.id, args.name, args.at_version);
    blame::run(context, &of).await
}
