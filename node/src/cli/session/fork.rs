//! `snakepit session fork`.

use serde_json::json;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::log::At;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The session as it was; it may have ended since
    id: String,
    /// A position of the log, or a time, for example 2026-11-26T12:00:00Z
    #[arg(long, value_name = "POSITION|TIME")]
    at: At,
    /// Id of the new session
    #[arg(long = "as", value_name = "ID")]
    new: String,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let export = client.export_session_at(&args.id, args.at.0).await?.value;
    let position = export.position;
    let made = client.import_session(&args.new, export).await?.value;
    let sentence = format!(
        "{} was made of {} as it was after event {position}: {} variables, {} programs",
        made.session, args.id, made.variables, made.programs
    );
    let json = json!({
        "id": made.session,
        "origin": args.id,
        "position": position,
        "variables": made.variables,
        "programs": made.programs,
    });
    context.output.done(&sentence, &json)
}
