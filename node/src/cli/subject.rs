//! `snakepit subject`: whose values sealed sessions hold, and their erasure.

use serde_json::json;

use super::error::CliError;
use super::globals::Context;
use super::output::{Cell, Tone, note, time};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// List subjects, and when they were erased
    Ls,
    /// Destroy the key of a subject: nobody can read any more what its sessions have held
    Erase(EraseArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct EraseArgs {
    /// Its name
    name: String,
}

pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Ls => list(context).await,
        Verb::Erase(args) => erase(context, &args).await,
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let subjects = context.client()?.list_subjects().await?;
    let rows = subjects.iter().map(|subject| {
        vec![
            Cell::text(&subject.name),
            Cell::toned(&subject.key_id, Tone::Dim),
            Cell::text(time(subject.created_ms)),
            match subject.erased_ms {
                0 => Cell::none(),
                erased_ms => Cell::text(time(erased_ms)),
            },
        ]
    });
    let json: Vec<_> = subjects
        .iter()
        .map(|subject| {
            json!({
                "name": subject.name,
                "key_id": subject.key_id,
                "created_ms": subject.created_ms,
                "erased_ms": subject.erased_ms,
            })
        })
        .collect();
    let headers = ["name", "key", "created", "erased"];
    context.output.table(&headers, rows.collect(), &json)
}

async fn erase(context: &Context, args: &EraseArgs) -> Result<(), CliError> {
    let erasure = context.client()?.erase_subject(&args.name).await?;
    if !erasure.pending_nodes.is_empty() {
        note(&format!(
            "nodes {:?} have not said that the key is gone there; they destroy it when they are up",
            erasure.pending_nodes
        ));
    }
    let sentence = if erasure.erased {
        format!("the key of subject {} is destroyed", args.name)
    } else {
        format!("subject {} was erased before", args.name)
    };
    let json = json!({
        "name": args.name,
        "erased": erasure.erased,
        "pending_nodes": erasure.pending_nodes,
    });
    context.output.done(&sentence, &json)
}
