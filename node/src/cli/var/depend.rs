//! `snakepit var depend` and `snakepit var undepend`.

use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::InSession;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The variable that depends
    from: String,
    /// What it depends on
    on: String,
    /// derives: its value comes from the other's; requires: the other cannot be deleted; relates
    #[arg(long, default_value = "derives", value_name = "KIND")]
    kind: String,
    #[command(flatten)]
    session: InSession,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UndependArgs {
    /// The variable that depends
    from: String,
    /// What it depends on
    on: String,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let Args { from, on, kind, .. } = args;
    let client = context.client()?;
    client
        .add_dependency(&args.session.id, from, on, kind)
        .await?;
    let json = json!({ "from": from, "on": on, "kind": kind });
    context
        .output
        .done(&format!("{from} depends on {on} ({kind})"), &json)
}

pub(super) async fn undo(context: &Context, args: &UndependArgs) -> Result<(), CliError> {
    let UndependArgs { from, on, session } = args;
    let client = context.client()?;
    if !client.remove_dependency(&session.id, from, on).await?.value {
        return Err(CliError::failed(format!("{from} does not depend on {on}")));
    }
    context.output.done(
        &format!("{from} depends on {on} no more"),
        &json!({ "from": from, "on": on }),
    )
}
