//! `snakepit session create`.

use std::time::Duration;

use serde_json::json;
use snakepit_client::NewSession;
use snakepit_machine::SEALED_PREFIX;

use super::super::arguments::{duration, pair};
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::note;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id [default: a new one]
    id: Option<String>,
    /// Its life after its last use [default: the node's]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    ttl: Option<Duration>,
    /// Something to keep with it; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    meta: Vec<(String, String)>,
    /// Let reads be answered from a node's own rows of this age, without asking the leader [default time: the
    /// node's]
    #[arg(
        long,
        value_parser = duration,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0"
    )]
    cache: Option<Duration>,
    /// Seal its values with the key of this subject, so that they can be erased; the id begins with `sealed:` then
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    subject: String,
    /// Write one line to the nodes' logs for each of its requests
    #[arg(long)]
    telemetry: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let id = args.id.unwrap_or_else(|| {
        let prefix = if args.subject.is_empty() {
            ""
        } else {
            SEALED_PREFIX
        };
        format!("{prefix}{}", uuid::Uuid::now_v7())
    });
    let session = NewSession {
        ttl: args.ttl,
        metadata: args.meta.into_iter().collect(),
        cache: args.cache,
        telemetry: args.telemetry,
        subject: args.subject,
    };
    let client = context.client()?;
    let created = client.open_session(&id, session).await?.value;
    if !created {
        note(&format!("session {id} exists already and is left as it is"));
    }
    context
        .output
        .done(&id, &json!({ "id": id, "created": created }))
}
