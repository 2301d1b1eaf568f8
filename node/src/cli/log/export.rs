//! `snakepit log export`: events for others to read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use prost::Message as _;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::note;
use super::source::{self, Events};
use super::view;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: source::Selection,
    /// Write stored bytes and hashes to a file: `snakepit.cluster.v1.StoredEvent` messages, each behind its
    /// length as protobuf's delimited streams have it
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let events = source::events(context, &args.source)?;
    match &args.raw {
        Some(path) => raw(events, path).await,
        None => lines(context, events).await,
    }
}

async fn lines(context: &Context, mut events: Events) -> Result<(), CliError> {
    while let Some(stored) = events.next().await {
        let stored = stored?;
        let event = view::decode(&stored)?;
        context
            .output
            .json_line(&view::json(&event, &stored.hash))?;
    }
    Ok(())
}

async fn raw(mut events: Events, path: &Path) -> Result<(), CliError> {
    let file = File::create(path).map_err(CliError::file("make", path))?;
    let mut out = BufWriter::new(file);
    let mut count = 0_u64;
    while let Some(stored) = events.next().await {
        let bytes = stored?.encode_length_delimited_to_vec();
        out.write_all(&bytes)
            .map_err(CliError::file("write", path))?;
        count += 1;
    }
    let file = out.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all())
        .map_err(CliError::file("write", path))?;
    note(&format!("wrote {count} events to {}", path.display()));
    Ok(())
}
