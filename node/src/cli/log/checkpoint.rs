//! `snakepit log checkpoint` and `snakepit log keygen`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{hex, line, note};
use crate::evidence::checkpoint::SigningKey;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Events in the tree; 0 for all that there are
    #[arg(long, default_value_t = 0, value_name = "N")]
    size: u64,
    /// Where it is written [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let found = context.client()?.checkpoint(args.size).await?;
    let text = if found.note.is_empty() {
        note("the node has no key: nobody signed this; hint: set audit.signing_key");
        let root = STANDARD.encode(&found.root);
        format!("{}\n{}\n{root}\n", found.origin, found.size)
    } else {
        found.note.clone()
    };
    let json = json!({
        "origin": found.origin,
        "size": found.size,
        "root": hex(&found.root),
        "chain_hash": hex(&found.chain_hash),
        "key": found.key,
        "note": found.note,
        "file": args.out,
    });
    match &args.out {
        None if !context.output.is_json() => line(text.trim_end_matches('\n')),
        None => context.output.done("", &json),
        Some(path) => {
            std::fs::write(path, text).map_err(CliError::file("write", path))?;
            let sentence = format!(
                "the checkpoint of {} events was written to {}, to be checked with the key\n{}",
                found.size,
                path.display(),
                found.key
            );
            context.output.done(sentence.trim_end(), &json)
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// Where the secret key is written
    file: PathBuf,
    /// Its name in signatures, for example snakepit/CLUSTER
    #[arg(long, default_value = "snakepit")]
    name: String,
}

pub(crate) fn keygen(context: &Context, args: &KeyArgs) -> Result<(), CliError> {
    let path = &args.file;
    let key = SigningKey::generate(&args.name).map_err(|error| {
        CliError::usage(format!("{}: {error}; hint: use another --name", args.name))
    })?;
    key.save(path).map_err(|error| {
        CliError::failed(format!("cannot write {}: {error}", path.display()))
            .hint("an existing key is never replaced; give another file")
    })?;
    let public = key.verifying().to_text();
    let sentence = format!(
        "the secret key was written to {}; what it signs is checked with\n{public}",
        path.display()
    );
    let json = json!({ "file": path, "key": public });
    context.output.done(&sentence, &json)
}
