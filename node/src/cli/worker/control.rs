//! `snakepit worker restart|drain|kill`: tell the node that has the worker.

use serde_json::json;
use snakepit_client::WorkerAction;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::note;
use super::gather::all;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The worker: its id, or the beginning of it
    #[arg(required_unless_present_any = ["pool", "all"], conflicts_with_all = ["pool", "all"])]
    id: Option<String>,
    /// All workers of a pool, on all nodes
    #[arg(long, value_name = "POOL", conflicts_with = "all")]
    pool: Option<String>,
    /// All workers of all nodes
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OneArgs {
    /// The worker: its id, or the beginning of it
    pub id: String,
}

/// Restart one worker, or many.
pub(super) async fn restart(context: &Context, args: &Args) -> Result<(), CliError> {
    match &args.id {
        Some(id) => one(context, WorkerAction::Restart, id).await,
        None => many(context, args.pool.as_deref().unwrap_or("")).await,
    }
}

/// Tell one worker.
pub(super) async fn one(context: &Context, action: WorkerAction, id: &str) -> Result<(), CliError> {
    let client = context.client()?;
    let found = all(&client).await?;
    let worker = found.find(id)?;
    let node = client.at(found.node(worker.node_id)?)?;
    let told = node.control_workers(action, &worker.id, "").await?.value;
    if told.is_empty() {
        let message = format!("worker {} is gone already", worker.id);
        return Err(CliError::failed(message).hint("`snakepit worker ls` lists those there are"));
    }
    say(context, action, &told)
}

/// Restart the workers of a pool on all nodes, or all workers where it is empty.
async fn many(context: &Context, pool: &str) -> Result<(), CliError> {
    let client = context.client()?;
    let found = all(&client).await?;
    let has = |node: u64| {
        found
            .workers
            .values()
            .any(|worker| worker.node_id == node && (pool.is_empty() || worker.pool == pool))
    };
    let mut told = Vec::new();
    let mut failed = None;
    for (id, endpoint) in found.nodes.iter().filter(|(id, _)| has(**id)) {
        let node = client.at(endpoint)?;
        match node.control_workers(WorkerAction::Restart, "", pool).await {
            Ok(answer) => told.extend(answer.value),
            Err(error) => {
                note(&format!("node {id}: {error}"));
                failed = Some(error);
            }
        }
    }
    match failed {
        Some(error) if told.is_empty() => Err(error.into()),
        Some(_) => {
            say(context, WorkerAction::Restart, &told)?;
            Err(CliError::failed("not all nodes could be told"))
        }
        None if told.is_empty() && !pool.is_empty() => {
            Err(CliError::failed(format!("pool {pool} has no workers"))
                .hint("`snakepit pool ls` shows why"))
        }
        None => say(context, WorkerAction::Restart, &told),
    }
}

fn say(context: &Context, action: WorkerAction, told: &[String]) -> Result<(), CliError> {
    let verb = match action {
        WorkerAction::Restart => "restarting",
        WorkerAction::Drain => "draining",
        WorkerAction::Kill => "killed",
    };
    let sentence = match told {
        [] => "there are no workers".to_owned(),
        told => format!("{verb} {}", told.join(", ")),
    };
    let json = json!({ "action": action.name(), "workers": told });
    context.output.done(&sentence, &json)
}
