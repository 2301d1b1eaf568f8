//! `snakepit program put`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};
use snakepit_client::{PutProgram, bytes_to_json};

use super::super::arguments::{duration, json_or_text, pair};
use super::super::error::CliError;
use super::super::globals::Context;
use super::Scope;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id
    id: String,
    /// JSON, or else text
    #[arg(
        allow_negative_numbers = true,
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    value: Option<String>,
    /// Take what is in this file: JSON, or else text, or else bytes
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Something to keep with it, in place of what was kept; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    meta: Vec<(String, String)>,
    /// Only if it is at this version
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    if_version: Option<u64>,
    /// Life after its last change, of one that the cluster holds [default: 1h]
    #[arg(long, value_parser = duration, value_name = "TIME", conflicts_with = "session")]
    ttl: Option<Duration>,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let id = args.id;
    let put = PutProgram {
        value: value(args.value, args.file)?,
        metadata: args.meta.into_iter().collect(),
        expected_version: args.if_version,
        ttl: args.ttl,
    };
    let client = context.client()?;
    let version = client
        .put_program(&args.scope.session, &id, put)
        .await?
        .value;
    context.output.done(
        &format!("{id} is at version {version}"),
        &json!({ "id": id, "version": version }),
    )
}

fn value(text: Option<String>, file: Option<PathBuf>) -> Result<Json, CliError> {
    let Some(path) = file else {
        return Ok(json_or_text(&text.unwrap_or_default()));
    };
    let bytes = std::fs::read(&path).map_err(CliError::file("read", &path))?;
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => json_or_text(text),
        Err(_) => bytes_to_json(&bytes),
    })
}
