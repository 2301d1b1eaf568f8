//! `snakepit program rm`.

use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::line;
use super::Scope;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let mut missing = Vec::new();
    for id in &args.ids {
        let existed = client.delete_program(&args.scope.session, id).await?.value;
        if !existed {
            missing.push(id.as_str());
        } else if !context.output.is_json() {
            line(&format!("deleted {id}"))?;
        }
    }
    if context.output.is_json() {
        context
            .output
            .json(&json!({ "asked": args.ids, "missing": missing }))?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(CliError::failed(format!(
        "there is no program {}",
        missing.join(", ")
    )))
}
