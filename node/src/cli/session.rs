//! `snakepit session`: create, list, show and end sessions.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value as Json, json};
use snakepit_client::Session;

use super::arguments::{duration, human_ms, pair};
use super::error::CliError;
use super::globals::Context;
use super::output::{Cell, cut, line, note, time};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create a session and print its id; one that exists is left as it is
    Create {
        /// Its id [default: a new one]
        id: Option<String>,
        /// Its life after its last use [default: the node's]
        #[arg(long, value_parser = duration, value_name = "TIME")]
        ttl: Option<Duration>,
        /// Something to keep with it; may be repeated
        #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
        meta: Vec<(String, String)>,
    },
    /// List sessions
    Ls {
        /// At most so many
        #[arg(long, default_value_t = 1_000, value_name = "N")]
        limit: u32,
    },
    /// Show a session
    Show {
        /// Its id
        id: String,
    },
    /// End sessions and delete what they hold
    Rm {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// The table of verbs.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Create { id, ttl, meta } => create(context, id, ttl, meta).await,
        Verb::Ls { limit } => list(context, limit).await,
        Verb::Show { id } => show(context, &id).await,
        Verb::Rm { ids } => remove(context, &ids).await,
    }
}

async fn create(
    context: &Context,
    id: Option<String>,
    ttl: Option<Duration>,
    meta: Vec<(String, String)>,
) -> Result<(), CliError> {
    let id = id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let created = context
        .client()?
        .create_session(&id, ttl, meta.into_iter().collect())
        .await?
        .value;
    if !created {
        note(&format!("session {id} exists already and is left as it is"));
    }
    context
        .output
        .done(&id, &json!({ "id": id, "created": created }))
}

async fn list(context: &Context, limit: u32) -> Result<(), CliError> {
    let client = context.client()?;
    let mut sessions: Vec<Session> = Vec::new();
    let mut token = String::new();
    loop {
        let wanted = limit.saturating_sub(u32::try_from(sessions.len()).unwrap_or(u32::MAX));
        if wanted == 0 {
            break;
        }
        let page = client.list_sessions(wanted.min(1_000), &token).await?.value;
        sessions.extend(page.items);
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    let rows = sessions.iter().map(|session| {
        vec![
            Cell::text(&session.id),
            Cell::number(session.variables),
            Cell::number(session.revision),
            Cell::text(time(session.created_ms)),
            Cell::text(time(session.expires_ms)),
            Cell::text(cut(&metadata(session), 60)),
        ]
    });
    let headers = [
        "session",
        "variables",
        "revision",
        "created",
        "expires",
        "metadata",
    ];
    let json: Vec<_> = sessions.iter().map(as_json).collect();
    context.output.table(&headers, rows.collect(), &json)
}

async fn show(context: &Context, id: &str) -> Result<(), CliError> {
    let session = context.client()?.get_session(id).await?.value;
    let fields = vec![
        ("session", Cell::text(&session.id)),
        ("created", Cell::text(time(session.created_ms))),
        ("expires", Cell::text(time(session.expires_ms))),
        (
            "ttl",
            Cell::text(human_ms(session.ttl_s.saturating_mul(1_000))),
        ),
        ("variables", Cell::number(session.variables)),
        ("revision", Cell::number(session.revision)),
        ("metadata", Cell::text(metadata(&session))),
    ];
    context.output.record(fields, &as_json(&session))
}

async fn remove(context: &Context, ids: &[String]) -> Result<(), CliError> {
    let client = context.client()?;
    let mut missing = Vec::new();
    for id in ids {
        let existed = client.delete_session(id).await?.value;
        if !existed {
            missing.push(id.as_str());
        } else if !context.output.is_json() {
            line(&format!("ended {id}"))?;
        }
    }
    if context.output.is_json() {
        context
            .output
            .json(&json!({ "asked": ids, "missing": missing }))?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(CliError::failed(format!(
        "there is no session {}",
        missing.join(", ")
    )))
}

fn metadata(session: &Session) -> String {
    let pairs = session
        .metadata
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

fn as_json(session: &Session) -> Json {
    json!({
        "id": session.id,
        "metadata": session.metadata,
        "created": time(session.created_ms),
        "expires": time(session.expires_ms),
        "ttl_s": session.ttl_s,
        "variables": session.variables,
        "revision": session.revision,
    })
}
