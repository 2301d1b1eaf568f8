//! `snakepit session export`.

use std::path::PathBuf;

use serde_json::json;
use snakepit_client::export_to_json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::line;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id
    id: String,
    /// Where it is written [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let export = context.client()?.export_session(&args.id).await?.value;
    let text = export_to_json(&export)?;
    let Some(path) = &args.out else {
        return line(&text);
    };
    std::fs::write(path, text + "\n").map_err(CliError::file("write", path))?;
    let (variables, programs) = (export.variables.len(), export.programs.len());
    let sentence = format!(
        "{} was written to {}: {variables} variables, {programs} programs",
        args.id,
        path.display()
    );
    let json = json!({
        "id": args.id,
        "file": path,
        "variables": variables,
        "programs": programs,
        "revision": export.revision,
    });
    context.output.done(&sentence, &json)
}
