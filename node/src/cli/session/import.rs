//! `snakepit session import`.

use std::path::{Path, PathBuf};

use serde_json::json;
use snakepit_client::export_from_json;

use super::super::error::CliError;
use super::super::globals::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `export` wrote; - for standard input
    file: PathBuf,
    /// Id of the new session [default: that of the exported one]
    #[arg(
        long = "as",
        default_value = "",
        hide_default_value = true,
        value_name = "ID"
    )]
    id: String,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let path = &args.file;
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(CliError::file("read", path))?;
    let export = export_from_json(&text)?;
    let client = context.client()?;
    let imported = client.import_session(&args.id, export).await?.value;
    let sentence = format!(
        "{} was made: {} variables, {} programs",
        imported.session, imported.variables, imported.programs
    );
    let json = json!({
        "id": imported.session,
        "variables": imported.variables,
        "programs": imported.programs,
    });
    context.output.done(&sentence, &json)
}
