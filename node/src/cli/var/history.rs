//! `snakepit var history`.

use serde_json::{Value as Json, json};
use snakepit_client::HistoryEntry;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, cut, text_or_none, time};
use super::InSession;
use super::shown::{cause_json, through};

/// Versions that are asked for at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name or id
    name: String,
    /// At most so many versions
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only versions before this one
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    before: Option<u64>,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let mut entries: Vec<HistoryEntry> = Vec::new();
    let mut before = args.before;
    loop {
        let wanted = args.limit.saturating_sub(entries.len() as u32);
        if wanted == 0 {
            break;
        }
        let (session, name) = (&args.session.id, &args.name);
        let page = client
            .variable_history(session, name, wanted.min(PAGE), before)
            .await?
            .value;
        entries.extend(page.entries);
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    let rows = entries.iter().map(|entry| {
        vec![
            Cell::number(entry.version),
            Cell::text(time(entry.time_ms)),
            Cell::text(cut(&entry.value.to_string(), 60)),
            Cell::text(kind(entry)),
            text_or_none(&entry.cause.principal),
            text_or_none(&through(&entry.cause)),
        ]
    });
    let headers = ["version", "time", "value", "change", "who", "through"];
    let json: Vec<_> = entries.iter().map(as_json).collect();
    context.output.table(&headers, rows.collect(), &json)
}

fn kind(entry: &HistoryEntry) -> String {
    match entry.rolled_back_to {
        Some(version) => format!("{} to {version}", entry.kind),
        None => entry.kind.clone(),
    }
}

fn as_json(entry: &HistoryEntry) -> Json {
    json!({
        "version": entry.version,
        "time": time(entry.time_ms),
        "value": entry.value,
        "change": entry.kind,
        "rolled_back_to": entry.rolled_back_to,
        "metadata": entry.metadata,
        "position": entry.position,
        "cause": cause_json(&entry.cause),
    })
}
