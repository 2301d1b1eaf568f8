//! `snakepit pool show`.

use serde_json::Value as Json;
use snakepit_client::Pool;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, Tone, line, text_or_none};
use super::gather::{Gathered, as_text, one};
use super::list::ready;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pool
    name: String,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let pool = one(&context.client()?, &args.name).await?;
    if context.output.is_json() {
        return context.output.json(&pool.as_json());
    }
    let none = Json::Null;
    context.output.record(settings(&pool), &none)?;
    line("")?;
    let headers = [
        "node", "ready", "starting", "waiting", "draining", "tainted", "running", "queued",
        "problem",
    ];
    let rows = pool.nodes.iter().map(row);
    context.output.table(&headers, rows.collect(), &none)
}

fn settings(pool: &Gathered) -> Vec<(&str, Cell)> {
    let mut fields = vec![
        ("name", Cell::text(&pool.name)),
        ("origin", text_or_none(&pool.origin)),
    ];
    if pool.version > 0 {
        fields.push(("version", Cell::number(pool.version)));
    }
    for (name, value) in pool.definition.iter().filter(|(name, _)| *name != "name") {
        match value {
            Json::Object(table) if !table.is_empty() => {
                let pairs: Vec<_> = table
                    .iter()
                    .map(|(key, value)| format!("{key}={}", as_text(value)))
                    .collect();
                fields.push((name.as_str(), Cell::text(pairs.join("\n"))));
            }
            Json::Object(_) => {}
            value => fields.push((name.as_str(), text_or_none(&as_text(value)))),
        }
    }
    let mut tools: Vec<_> = pool.nodes.iter().flat_map(|share| &share.tools).collect();
    tools.sort();
    tools.dedup();
    let tools: Vec<_> = tools.into_iter().map(String::as_str).collect();
    fields.push(("tools", text_or_none(&tools.join(" "))));
    fields
}

fn row(share: &Pool) -> Vec<Cell> {
    let node = Cell::number(share.node_id);
    if !share.placed {
        let mut cells = vec![node, Cell::toned("not here", Tone::Dim)];
        cells.extend(std::iter::repeat_n(Cell::none(), 7));
        return cells;
    }
    let problem = match share.problem.as_str() {
        "" => Cell::none(),
        text => Cell::toned(text, Tone::Bad),
    };
    vec![
        node,
        ready(share.ready.into(), share.desired.into()),
        Cell::number(share.starting),
        Cell::number(share.waiting),
        Cell::number(share.draining),
        Cell::number(share.tainted),
        Cell::number(format!("{}/{}", share.running, share.slots)),
        Cell::number(share.queued),
        problem,
    ]
}
