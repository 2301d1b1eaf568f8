//! `snakepit log export`: events for others to read, and to check; docs/evidence.md has the formats.

mod file;
mod forms;
mod manifest;
mod raw;

use std::path::PathBuf;

use futures_util::StreamExt as _;

use super::super::error::CliError;
use super::super::globals::Context;
use super::source;
use super::view;

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// One JSON object a line
    Jsonl,
    /// One CloudEvents 1.0 object a line
    Cloudevents,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Cloudevents => "cloudevents",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: source::Selection,
    /// Write to a file, with a manifest beside it by which it can be checked; goes on where an earlier try ended
    #[arg(long, value_name = "FILE", conflicts_with = "raw")]
    out: Option<PathBuf>,
    /// How events are written
    #[arg(long, value_enum, default_value = "jsonl")]
    form: Form,
    /// Write stored bytes and hashes to a file: `snakepit.cluster.v1.StoredEvent` messages, each behind its
    /// length as protobuf's delimited streams have it
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    if let Some(path) = &args.out {
        return file::run(context, &args.source, args.form, path).await;
    }
    let mut events = source::events(context, &args.source)?;
    if let Some(path) = &args.raw {
        return raw::run(events, path).await;
    }
    let cluster = match args.form {
        Form::Jsonl => String::new(),
        Form::Cloudevents => forms::cluster_id(context, &args.source).await?,
    };
    while let Some(stored) = events.next().await {
        let stored = stored?;
        let event = view::decode(&stored)?;
        context
            .output
            .json_line(&forms::line(args.form, &cluster, &event, &stored))?;
    }
    Ok(())
}
