//! `snakepit var get` and `snakepit var show`.

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::line;
use super::{InSession, shown};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name or id
    name: String,
    #[command(flatten)]
    session: InSession,
    /// Print all there is to know about it, as `var show` does
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Its name or id
    name: String,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let variable = client.get_variable(&args.session.id, &args.name).await?;
    if args.all {
        return shown::record(context, &variable);
    }
    if context.output.is_json() {
        context.output.json(&shown::as_json(&variable))
    } else {
        line(&variable.value.value.to_string())
    }
}

pub(super) async fn show(context: &Context, args: &ShowArgs) -> Result<(), CliError> {
    let client = context.client()?;
    let variable = client.get_variable(&args.session.id, &args.name).await?;
    shown::record(context, &variable)
}
