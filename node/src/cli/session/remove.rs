//! `snakepit session rm`.

use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::line;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<String>,
    /// Even where an optimization holds a variable
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let mut missing = Vec::new();
    for id in &args.ids {
        let ended = client.end_session(id, args.force).await?.value;
        if ended == 0 {
            missing.push(id.as_str());
        } else if !context.output.is_json() {
            line(&format!("ended {id}"))?;
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
        "there is no session {}",
        missing.join(", ")
    )))
}
