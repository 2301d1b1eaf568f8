//! `snakepit log archive` and `snakepit log segments`.

use serde_json::json;
use snakepit_client::Segment;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone, hex, time};
use super::At;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The last event that is moved out: a position, or a time
    #[arg(long, value_name = "MOMENT")]
    through: At,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let made = context.client()?.archive_events(args.through.0).await?;
    let json: Vec<_> = made.iter().map(as_json).collect();
    let sentence = match (made.first(), made.last()) {
        (Some(first), Some(last)) => format!(
            "events {} to {} are archived in {} segment{}; each node moves its own out now\n{}",
            first.first,
            last.last,
            made.len(),
            if made.len() == 1 { "" } else { "s" },
            first.file,
        ),
        _ => format!("events up to {} were archived before", args.through),
    };
    context.output.done(&sentence, &json)
}

pub(crate) async fn list(context: &Context) -> Result<(), CliError> {
    let (node_id, segments) = context.client()?.segments().await?;
    let rows = segments.iter().map(|segment| {
        let tone = match segment.standing.as_str() {
            "moved" => Tone::Good,
            "missing" => Tone::Bad,
            _ => Tone::Plain,
        };
        vec![
            Cell::number(segment.first),
            Cell::number(segment.last),
            Cell::text(time(segment.archived_ms)),
            Cell::toned(&segment.standing, tone),
            match segment.bytes {
                0 => Cell::none(),
                bytes => Cell::number(bytes),
            },
            match segment.file.as_str() {
                "" => Cell::none(),
                file => Cell::text(file),
            },
        ]
    });
    let headers = ["first", "last", "archived", "standing", "bytes", "file"];
    let json = json!({
        "node_id": node_id,
        "segments": segments.iter().map(as_json).collect::<Vec<_>>(),
    });
    context.output.table(&headers, rows.collect(), &json)
}

fn as_json(segment: &Segment) -> serde_json::Value {
    json!({
        "first": segment.first,
        "last": segment.last,
        "root": hex(&segment.root),
        "hash": hex(&segment.hash),
        "archived": time(segment.archived_ms),
        "archived_ms": segment.archived_ms,
        "standing": segment.standing,
        "file": segment.file,
        "bytes": segment.bytes,
    })
}
