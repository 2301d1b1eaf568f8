//! `snakepit var`: typed variables of a session.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use snakepit_client::{Client, ClientError, Registration, Variable, type_name_of};

use super::arguments::{pair, scalar};
use super::error::CliError;
use super::globals::Context;
use super::output::{Cell, cut, line, time};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Give a variable a value; registers it where it does not exist
    Set(SetArgs),
    /// Print a variable's value as JSON
    Get {
        /// Its name or id
        name: String,
        #[command(flatten)]
        session: InSession,
        /// Print all there is to know about it
        #[arg(long)]
        all: bool,
    },
    /// List variables
    Ls {
        /// Only names that match, with * and ?
        #[arg(default_value = "")]
        pattern: String,
        #[command(flatten)]
        session: InSession,
    },
    /// Delete variables
    Rm {
        /// Their names or ids
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        session: InSession,
    },
    /// Register a variable with a type and constraints
    Register(RegisterArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InSession {
    /// The session
    #[arg(
        short = 's',
        long = "session",
        env = "SNAKEPIT_SESSION",
        value_name = "ID"
    )]
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Its name or id
    name: String,
    /// JSON, or else text
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// Type with which it is registered: float, integer, string or boolean [default: the value's]
    #[arg(short, long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Only if it is at this version
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    expect: Option<u64>,
    #[command(flatten)]
    session: InSession,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// Its name
    name: String,
    /// JSON, or else text
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// Its type: float, integer, string or boolean [default: the value's]
    #[arg(short, long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// What its values must keep, such as '{"min": 0}'
    #[arg(long, default_value = "", value_name = "JSON")]
    constraints: String,
    /// Something to keep with it; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    meta: Vec<(String, String)>,
    #[command(flatten)]
    session: InSession,
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Set(args) => set(context, args).await,
        Verb::Get { name, session, all } => get(context, &session.id, &name, all).await,
        Verb::Ls { pattern, session } => list(context, &session.id, &pattern).await,
        Verb::Rm { names, session } => remove(context, &session.id, &names).await,
        Verb::Register(args) => register(context, args).await,
    }
}

async fn set(context: &Context, args: SetArgs) -> Result<(), CliError> {
    let client = context.client()?;
    let session = &args.session.id;
    let value = scalar(&args.value, args.type_name.as_deref());
    let version = match client
        .set_variable(session, &args.name, &value, args.expect)
        .await
    {
        // A session that is missing is found out by the registration.
        Err(ClientError::NotFound(_)) if args.expect.is_none() => {
            let type_name = args
                .type_name
                .unwrap_or_else(|| type_name_of(&value).into());
            let name = args.name.clone();
            let registration = Registration {
                name,
                type_name,
                value,
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

async fn register(context: &Context, args: RegisterArgs) -> Result<(), CliError> {
    let value = scalar(&args.value, args.type_name.as_deref());
    let registration = Registration {
        type_name: args
            .type_name
            .unwrap_or_else(|| type_name_of(&value).into()),
        name: args.name.clone(),
        value,
        constraints_json: args.constraints,
        metadata: args.meta.into_iter().collect(),
    };
    let registered = context
        .client()?
        .register_variable(&args.session.id, registration)
        .await?;
    told(context, &args.name, registered.version)
}

fn told(context: &Context, name: &str, version: u64) -> Result<(), CliError> {
    let sentence = format!("{name} is at version {version}");
    context
        .output
        .done(&sentence, &json!({ "name": name, "version": version }))
}

async fn get(context: &Context, session: &str, name: &str, all: bool) -> Result<(), CliError> {
    let variable = context.client()?.get_variable(session, name).await?.value;
    if !all {
        return if context.output.is_json() {
            context.output.json(&as_json(&variable))
        } else {
            line(&variable.value.to_string())
        };
    }
    let metadata = variable
        .metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let fields = vec![
        ("name", Cell::text(&variable.name)),
        ("id", Cell::text(&variable.id)),
        ("type", Cell::text(&variable.type_name)),
        ("value", Cell::text(variable.value.to_string())),
        ("version", Cell::number(variable.version)),
        ("constraints", Cell::text(&variable.constraints_json)),
        (
            "metadata",
            Cell::text(metadata.collect::<Vec<_>>().join(" ")),
        ),
        ("created", Cell::text(time(variable.created_ms))),
        ("updated", Cell::text(time(variable.updated_ms))),
    ];
    context.output.record(fields, &as_json(&variable))
}

async fn list(context: &Context, session: &str, pattern: &str) -> Result<(), CliError> {
    let variables = all(&context.client()?, session, pattern).await?;
    let rows = variables.iter().map(|variable| {
        vec![
            Cell::text(&variable.name),
            Cell::text(&variable.type_name),
            Cell::text(cut(&variable.value.to_string(), 60)),
            Cell::number(variable.version),
            Cell::text(time(variable.updated_ms)),
            Cell::text(&variable.id),
        ]
    });
    let headers = ["name", "type", "value", "version", "updated", "id"];
    let json: Vec<_> = variables.iter().map(as_json).collect();
    context.output.table(&headers, rows.collect(), &json)
}

async fn all(client: &Client, session: &str, pattern: &str) -> Result<Vec<Variable>, CliError> {
    let mut variables = Vec::new();
    let mut token = String::new();
    loop {
        let page = client
            .list_variables(session, pattern, 1_000, &token)
            .await?
            .value;
        variables.extend(page.items);
        token = page.next;
        if token.is_empty() {
            return Ok(variables);
        }
    }
}

async fn remove(context: &Context, session: &str, names: &[String]) -> Result<(), CliError> {
    let client = context.client()?;
    for name in names {
        client.delete_variable(session, name).await?;
        if !context.output.is_json() {
            line(&format!("deleted {name}"))?;
        }
    }
    if context.output.is_json() {
        context.output.json(&json!({ "deleted": names }))
    } else {
        Ok(())
    }
}

fn as_json(variable: &Variable) -> Json {
    let constraints: Json = serde_json::from_str(&variable.constraints_json).unwrap_or(Json::Null);
    json!({
        "name": variable.name,
        "id": variable.id,
        "type": variable.type_name,
        "value": variable.value,
        "version": variable.version,
        "constraints": constraints,
        "metadata": variable.metadata,
        "created": time(variable.created_ms),
        "updated": time(variable.updated_ms),
    })
}
