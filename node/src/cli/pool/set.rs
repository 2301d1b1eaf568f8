//! `snakepit pool set`: read the settings, change them, put them where nobody was faster.

use serde_json::{Value as Json, json};

use super::super::error::CliError;
use super::super::globals::Context;
use super::assign::{Assignment, apply, assignment};
use super::gather;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pool
    name: String,
    /// A setting and its value, as in TOML: size=4, env.A=1, journal=full; KEY= takes it out
    #[arg(required = true, value_parser = assignment, value_name = "KEY=VALUE")]
    settings: Vec<Assignment>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let version = change(context, &args.name, args.settings).await?;
    context.output.done(
        &format!("{} is at version {version}", args.name),
        &json!({ "name": args.name, "version": version }),
    )
}

/// Change settings of a pool of the cluster; its new version.
pub(super) async fn change(
    context: &Context,
    name: &str,
    settings: Vec<Assignment>,
) -> Result<u64, CliError> {
    let client = context.client()?;
    let mut pool = gather::changeable(&client, name).await?;
    apply(&mut pool.definition, settings)?;
    let definition = Json::Object(pool.definition).to_string();
    let put = client.put_pool(name, &definition, pool.version, false);
    Ok(put.await?.value)
}
