//! An export to a file: streamed, with a bar, resumed where an earlier try ended, and sealed by a manifest.
//!
//! Lines go to the file itself. A table can only be written at once, and is unreadable before: its events are
//! gathered beside it, in `FILE.spool`, from which it is made and put in place when all are there.

use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use snakepit_client::GetCheckpointResponse;

use super::super::super::error::CliError;
use super::super::super::globals::Context;
use super::super::super::output::hex;
use super::super::source;
use super::filling::{Filling, Record};
use super::heads::Heads;
use super::manifest::{FORMAT, Manifest};
use super::{Form, forms, spool, table};
use crate::evidence::checkpoint::origin;

pub(super) async fn run(
    context: &Context,
    args: &source::Selection,
    form: Form,
    path: &Path,
) -> Result<(), CliError> {
    let query = args.query()?;
    if !query.session.is_empty() || query.filter != Default::default() {
        return Err(CliError::usage(
            "a file with a manifest holds all events of a range; hint: leave out filters, or write lines to standard output",
        ));
    }
    let cluster_id = forms::cluster_id(context, args).await?;
    let heads = Heads::open(context, args, &cluster_id)?;
    let first = query.from;
    let mut end = heads.at(0).await?.size;
    if query.to > 0 {
        end = end.min(query.to);
    }
    if query.limit > 0 {
        end = end.min(first.saturating_add(query.limit - 1));
    }
    if first > end {
        return Err(CliError::usage(format!(
            "the range begins at {first} and ends at {end}; hint: give positions that the log has"
        )));
    }
    let before = match first {
        1 => GetCheckpointResponse {
            chain_hash: vec![0; 32].into(),
            ..Default::default()
        },
        _ => heads.at(first - 1).await?,
    };
    let (target, record) = target(path, form, &origin(&cluster_id))?;
    let mut filling = Filling::begin(&target, record, first, &before)?;
    if filling.last() > end {
        return Err(CliError::usage(format!(
            "{} has events up to {}, the range ends at {end}; hint: give another file",
            target.display(),
            filling.last()
        )));
    }
    let bar = bar(context, end + 1 - first);
    bar.set_position(filling.last() + 1 - first);
    if filling.last() < end {
        let mut rest = args.clone();
        (rest.from, rest.to, rest.limit) = (filling.last() + 1, end, 0);
        let mut events = heads.events(&rest)?;
        while let Some(stored) = events.next().await {
            filling.add(&target, &stored?)?;
            bar.inc(1);
        }
    }
    let head = heads.at(end).await?;
    let filled = filling.finish(&target, &head)?;
    let (bytes, sha256) = if form == Form::Parquet {
        bar.reset();
        tokio::task::block_in_place(|| table::pack(&target, path, &bar))?
    } else {
        (filled.bytes, filled.sha256)
    };
    bar.finish_and_clear();
    let manifest = Manifest {
        format: FORMAT.into(),
        form: form.name().into(),
        origin: head.origin,
        first,
        last: filled.last,
        count: filled.last + 1 - first,
        previous_hash: hex(&before.chain_hash),
        last_hash: hex(&filled.chain_hash),
        frontier: before.peaks.iter().map(|peak| hex(peak)).collect(),
        root: hex(&filled.root),
        bytes,
        sha256: hex(&sha256),
        checkpoint: Some(head.note).filter(|note| !note.is_empty()),
    };
    manifest.write(path)?;
    if target != path {
        std::fs::remove_file(&target).map_err(CliError::file("remove", &target))?;
    }
    tell(context, path, &manifest)
}

/// The file that is filled, and with what.
fn target(path: &Path, form: Form, origin: &str) -> Result<(PathBuf, Record), CliError> {
    if form != Form::Parquet {
        return Ok((path.to_owned(), Record::Line(form, origin.to_owned())));
    }
    let spool = spool::beside(path, ".spool");
    // What is replaced is an export, or what an earlier try has made.
    if path.exists() && !spool.exists() && !Manifest::path(path).exists() {
        return Err(CliError::usage(format!(
            "{} holds something else; hint: give another file, or remove it",
            path.display()
        )));
    }
    Ok((spool, Record::Stored))
}

fn bar(context: &Context, events: u64) -> ProgressBar {
    let bar = ProgressBar::new(events);
    if context.output.is_json() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}

fn tell(context: &Context, path: &Path, manifest: &Manifest) -> Result<(), CliError> {
    let sentence = format!(
        "{} events, {} to {}, were written to {}; root {}",
        manifest.count,
        manifest.first,
        manifest.last,
        path.display(),
        manifest.root
    );
    let json = json!({
        "file": path,
        "manifest": Manifest::path(path),
        "first": manifest.first,
        "last": manifest.last,
        "count": manifest.count,
        "root": manifest.root,
        "signed": manifest.checkpoint.is_some(),
    });
    context.output.done(&sentence, &json)
}
