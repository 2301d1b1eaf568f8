//! `snakepit var register`.

use snakepit_client::{Registration, type_name_of};

use super::super::arguments::{pair, value};
use super::super::error::CliError;
use super::super::globals::Context;
use super::set::told;
use super::{Holding, InSession};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name
    name: String,
    /// JSON, or else text
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// Its type: float, integer, string, boolean, choice, module, embedding, tensor, map, list, bytes or null
    /// [default: the value's]
    #[arg(short, long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// What its values must keep, such as '{"min": 0}'
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "JSON"
    )]
    constraints: String,
    /// Who may read, write and watch it, such as '{"write": {"principals": ["alice"]}}'
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "JSON"
    )]
    access: String,
    /// Something to keep with it; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    meta: Vec<(String, String)>,
    #[command(flatten)]
    holding: Holding,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let value = value(&args.value, args.type_name.as_deref());
    let registration = Registration {
        type_name: args
            .type_name
            .unwrap_or_else(|| type_name_of(&value).into()),
        name: args.name.clone(),
        value,
        constraints_json: args.constraints,
        metadata: args.meta.into_iter().collect(),
        access_json: args.access,
    };
    let registered = args
        .holding
        .client(context)?
        .register_variable(&args.session.id, registration)
        .await?;
    told(context, &args.name, registered.version)
}
