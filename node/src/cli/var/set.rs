//! `snakepit var set`.

use serde_json::json;
use snakepit_client::{Assignment, ClientError, Registration, type_name_of};

use super::super::arguments::{pair, value};
use super::super::error::CliError;
use super::super::globals::Context;
use super::{Holding, InSession};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name or id
    name: String,
    /// JSON, or else text
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// Its type; it is registered with it where it does not exist [default: the value's]
    #[arg(short, long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Only if it is at this version
    #[arg(long, alias = "expect", value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    if_version: Option<u64>,
    /// Something to add to its metadata; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    meta: Vec<(String, String)>,
    #[command(flatten)]
    holding: Holding,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let client = args.holding.client(context)?;
    let session = &args.session.id;
    let assignment = Assignment {
        value: value(&args.value, args.type_name.as_deref()),
        expected_version: args.if_version,
        metadata: args.meta.into_iter().collect(),
    };
    let set = client
        .assign_variable(session, &args.name, assignment.clone())
        .await;
    let version = match set {
        // A session that is missing is found out by the registration.
        Err(ClientError::NotFound(_)) if args.if_version.is_none() => {
            let value = assignment.value;
            let type_name = args
                .type_name
                .unwrap_or_else(|| type_name_of(&value).into());
            let registration = Registration {
                name: args.name.clone(),
                type_name,
                value,
                metadata: assignment.metadata,
                ..Default::default()
            };
            client
                .register_variable(session, registration)
                .await?
                .value
                .version
        }
        other => other?.value,
    };
    told(context, &args.name, version)
}

/// Say at which version a variable is.
pub(super) fn told(context: &Context, name: &str, version: u64) -> Result<(), CliError> {
    let sentence = format!("{name} is at version {version}");
    context
        .output
        .done(&sentence, &json!({ "name": name, "version": version }))
}
