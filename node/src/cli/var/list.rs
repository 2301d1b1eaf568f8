//! `snakepit var ls`.

use snakepit_client::{Client, Variable};

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone, cut, time};
use super::{InSession, shown};

/// Variables that are asked for at once.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only names that match, with * and ?
    #[arg(default_value = "", hide_default_value = true)]
    pattern: String,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let variables = all(&context.client()?, &args.session.id, &args.pattern).await?;
    let rows = variables.iter().map(|variable| {
        let locked = variable.lock.as_ref().map_or_else(Cell::none, |lock| {
            Cell::toned(&lock.optimizer_id, Tone::Bad)
        });
        vec![
            Cell::text(&variable.name),
            Cell::text(&variable.type_name),
            Cell::text(cut(&variable.value.to_string(), 60)),
            Cell::number(variable.version),
            Cell::text(time(variable.updated_ms)),
            locked,
            Cell::text(&variable.id),
        ]
    });
    let headers = [
        "name", "type", "value", "version", "updated", "locked", "id",
    ];
    let json: Vec<_> = variables.iter().map(shown::as_json).collect();
    context.output.table(&headers, rows.collect(), &json)
}

async fn all(client: &Client, session: &str, pattern: &str) -> Result<Vec<Variable>, CliError> {
    let mut variables = Vec::new();
    let mut token = String::new();
    loop {
        let page = client
            .list_variables(session, pattern, PAGE, &token)
            .await?
            .value;
        variables.extend(page.items);
        token = page.next;
        if token.is_empty() {
            return Ok(variables);
        }
    }
}
