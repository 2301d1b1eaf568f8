//! `snakepit pool resize`.

use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::assign::assignment;
use super::set::change;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pool
    name: String,
    /// Workers on each node
    size: u32,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let (name, size) = (&args.name, args.size);
    let size_is = assignment(&format!("size={size}")).map_err(CliError::usage)?;
    let version = change(context, name, vec![size_is]).await?;
    let workers = if size == 1 { "worker" } else { "workers" };
    context.output.done(
        &format!("{name} shall have {size} {workers} on each node"),
        &json!({ "name": name, "size": size, "version": version }),
    )
}
