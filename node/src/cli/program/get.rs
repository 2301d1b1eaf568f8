//! `snakepit program get`.

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::line;
use super::{Scope, shown};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id
    id: String,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let program = client.get_program(&args.scope.session, &args.id).await?;
    if context.output.is_json() {
        context.output.json(&shown::as_json(&program))
    } else {
        line(&program.value.value.to_string())
    }
}
