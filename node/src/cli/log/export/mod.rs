//! `snakepit log export`: events for others to read, and to check; docs/evidence-format.md has the formats.

mod file;
mod filling;
mod forms;
mod heads;
mod manifest;
mod raw;
mod spool;
mod table;

use std::path::PathBuf;

pub(super) use self::forms::{Form, Line};
pub(super) use self::manifest::{FORMAT, Manifest};
#[cfg(test)]
pub(super) use self::table::Writer;
pub(super) use self::table::{Reader, Row};
use super::super::error::CliError;
use super::super::globals::Context;
use super::{printing, source, view};
use crate::evidence::checkpoint::origin;

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
    if args.form == Form::Parquet && args.raw.is_none() {
        return Err(CliError::usage(
            "Parquet can only be written to a file; hint: give --out FILE",
        ));
    }
    let events = source::events(context, &args.source)?;
    if let Some(path) = &args.raw {
        return raw::run(events, path).await;
    }
    let origin = match args.form {
        Form::Cloudevents => origin(&forms::cluster_id(context, &args.source).await?),
        Form::Jsonl | Form::Parquet => String::new(),
    };
    let form = args.form;
    printing::json_lines(events, move |stored, to| {
        let event = view::decode_whole(stored)?;
        to.line(&Line {
            form,
            origin: &origin,
            event: &event,
            stored: Some(stored),
        })
    })
    .await
}
