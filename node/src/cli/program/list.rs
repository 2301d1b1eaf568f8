//! `snakepit program ls`.

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, cut, pairs, text_or_none, time};
use super::{Scope, shown};

/// Programs that are asked for at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only ids that match, with * and ?
    #[arg(default_value = "", hide_default_value = true)]
    pattern: String,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let mut programs = Vec::new();
    let mut token = String::new();
    loop {
        let page = client
            .list_programs(&args.scope.session, &args.pattern, PAGE, &token)
            .await?
            .value;
        programs.extend(page.items);
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    let rows = programs.iter().map(|program| {
        vec![
            Cell::text(&program.id),
            Cell::text(cut(&program.value.to_string(), 60)),
            Cell::number(program.version),
            Cell::text(time(program.updated_ms)),
            text_or_none(&time(program.expires_ms)),
            Cell::text(cut(&pairs(&program.metadata), 60)),
        ]
    });
    let headers = [
        "program", "value", "version", "updated", "expires", "metadata",
    ];
    let json: Vec<_> = programs.iter().map(shown::as_json).collect();
    context.output.table(&headers, rows.collect(), &json)
}
