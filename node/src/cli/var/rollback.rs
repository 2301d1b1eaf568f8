//! `snakepit var rollback`.

use snakepit_client::Rollback;

use super::super::arguments::pair;
use super::super::error::CliError;
use super::super::globals::Context;
use super::{Holding, InSession, shown};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name or id
    name: String,
    /// The version whose value it takes
    #[arg(value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    target: u64,
    /// Only if it is at this version
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    if_version: Option<u64>,
    /// Something to add to its metadata; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    meta: Vec<(String, String)>,
    #[command(flatten)]
    holding: Holding,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let rollback = Rollback {
        target_version: args.target,
        expected_version: args.if_version,
        metadata: args.meta.into_iter().collect(),
    };
    let client = args.holding.client(context)?;
    let variable = client
        .rollback_variable(&args.session.id, &args.name, rollback)
        .await?
        .value;
    let sentence = format!(
        "{} is at version {}, with the value of version {}: {}",
        variable.name, variable.version, args.target, variable.value
    );
    context.output.done(&sentence, &shown::as_json(&variable))
}
