//! `snakepit pool rm`.

use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::line;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Their names
    #[arg(required = true)]
    names: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let mut missing = Vec::new();
    for name in &args.names {
        let existed = client.remove_pool(name).await?.value;
        if !existed {
            missing.push(name.as_str());
        } else if !context.output.is_json() {
            line(&format!("removed {name}"))?;
        }
    }
    if context.output.is_json() {
        context
            .output
            .json(&json!({ "asked": args.names, "missing": missing }))?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("there is no pool {} of the cluster", missing.join(", "));
    Err(CliError::failed(message).hint("`snakepit pool ls` shows where each pool comes from"))
}
