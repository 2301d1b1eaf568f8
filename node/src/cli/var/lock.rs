//! `snakepit var lock` and `snakepit var unlock`: start and stop an optimization.

use std::time::Duration;

use serde_json::json;
use snakepit_client::Optimization;

use super::super::arguments::{duration, pair};
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{note, time};
use super::InSession;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name or id
    name: String,
    /// Who optimizes; the same one renews the lock
    #[arg(long, value_name = "ID")]
    optimizer: String,
    /// The lock ends so long after its owner's last write or renewal [default: 30s]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    lease: Option<Duration>,
    /// Something to keep with the lock; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    config: Vec<(String, String)>,
    #[command(flatten)]
    session: InSession,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UnlockArgs {
    /// Its name or id
    name: String,
    /// The optimization's id; needed by others than who locked it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    optimization_id: String,
    /// Whoever holds it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let optimization = Optimization {
        optimizer_id: args.optimizer,
        config: args.config.into_iter().collect(),
        lease: args.lease,
    };
    let client = context.client()?;
    let started = client
        .start_optimization(&args.session.id, &args.name, optimization)
        .await?
        .value;
    let expires = time(started.expires_ms);
    let id = &started.optimization_id;
    note(&format!(
        "{} is locked until {expires}, unless it is renewed",
        args.name
    ));
    let json = json!({ "name": args.name, "optimization_id": id, "expires": expires });
    context.output.done(id, &json)
}

pub(super) async fn unlock(context: &Context, args: &UnlockArgs) -> Result<(), CliError> {
    let (session, name) = (&args.session.id, &args.name);
    let client = context.client()?;
    let stopped = client
        .stop_optimization(session, name, &args.optimization_id, args.force)
        .await?
        .value;
    if !stopped.existed {
        return Err(CliError::failed(format!("{name} is not locked")));
    }
    context.output.done(
        &format!(
            "{name} is not locked any more, its value is {}",
            stopped.value
        ),
        &json!({ "name": name, "value": stopped.value }),
    )
}
