//! `snakepit var rm`.

use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::line;
use super::{Holding, InSession};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Their names or ids
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    holding: Holding,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = args.holding.client(context)?;
    for name in &args.names {
        client.delete_variable(&args.session.id, name).await?;
        if !context.output.is_json() {
            line(&format!("deleted {name}"))?;
        }
    }
    if context.output.is_json() {
        context.output.json(&json!({ "deleted": args.names }))
    } else {
        Ok(())
    }
}
