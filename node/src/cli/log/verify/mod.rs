//! `snakepit log verify`: the logs of nodes, or an export of one.

mod export;
mod nodes;

use std::path::{Path, PathBuf};

use super::super::error::CliError;
use super::super::globals::Context;
use crate::evidence::checkpoint::VerifyingKey;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An export: a file of `snakepit log export --out`, with its manifest beside it [default: the logs of nodes]
    #[arg(value_name = "EXPORT", conflicts_with = "dir")]
    export: Option<PathBuf>,
    /// Data directory of a stopped node, or the directory of a stopped local cluster; may be repeated
    #[arg(long, value_name = "DIR")]
    dir: Vec<PathBuf>,
    /// A signed checkpoint that the log must agree with
    #[arg(long, value_name = "FILE", requires = "key")]
    checkpoint: Option<PathBuf>,
    /// The key that has signed it, or the checkpoint in the export's manifest: its text, or a file with it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

impl Args {
    fn key(&self) -> Result<Option<VerifyingKey>, CliError> {
        let Some(given) = &self.key else {
            return Ok(None);
        };
        let text = match Path::new(given).exists() {
            true => {
                std::fs::read_to_string(given).map_err(CliError::file("read", Path::new(given)))?
            }
            false => given.clone(),
        };
        let key = VerifyingKey::parse(text.trim()).map_err(|error| {
            CliError::usage(format!(
                "{text}: {error}; hint: give the key that `snakepit log checkpoint` tells"
            ))
        })?;
        Ok(Some(key))
    }
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let key = args.key()?;
    let checkpoint = args.checkpoint.as_deref();
    match &args.export {
        Some(path) => {
            tokio::task::block_in_place(|| export::run(context, path, checkpoint, key.as_ref()))
        }
        None => nodes::run(context, &args.dir, checkpoint, key.as_ref()).await,
    }
}
