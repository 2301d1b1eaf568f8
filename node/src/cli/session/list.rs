//! `snakepit session ls`.

use std::time::Duration;

use snakepit_client::{Session, SessionQuery};

use super::super::arguments::{duration, pair};
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, cut, pairs, time};
use super::shown;

/// Sessions that are asked for at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only ids that match, with * and ?
    #[arg(default_value = "", hide_default_value = true)]
    pattern: String,
    /// Only sessions that hold this in their metadata; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    meta: Vec<(String, String)>,
    /// Only sessions that were not used for so long, to about a tenth of their life
    #[arg(long, value_parser = duration, value_name = "TIME")]
    idle: Option<Duration>,
    /// At most so many
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    limit: u32,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let query = SessionQuery {
        pattern: args.pattern,
        metadata: args.meta.into_iter().collect(),
        idle: args.idle.unwrap_or_default(),
        ..Default::default()
    };
    let client = context.client()?;
    let mut sessions: Vec<Session> = Vec::new();
    let mut token = String::new();
    loop {
        let found = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
        let wanted = args.limit.saturating_sub(found);
        if wanted == 0 {
            break;
        }
        let page = client
            .find_sessions(&query, wanted.min(PAGE), &token)
            .await?
            .value;
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
            Cell::number(session.programs),
            Cell::number(session.revision),
            Cell::text(time(session.created_ms)),
            Cell::text(time(session.expires_ms)),
            Cell::text(cut(&pairs(&session.metadata), 60)),
        ]
    });
    let headers = [
        "session",
        "variables",
        "programs",
        "revision",
        "created",
        "expires",
        "metadata",
    ];
    let json: Vec<_> = sessions.iter().map(shown::as_json).collect();
    context.output.table(&headers, rows.collect(), &json)
}
