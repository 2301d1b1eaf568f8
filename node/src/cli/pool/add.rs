//! `snakepit pool add`.

use serde_json::{Map, Value as Json, json};

use super::super::arguments::pair;
use super::super::error::CliError;
use super::super::globals::Context;
use super::assign::{Assignment, apply, assignment};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names it in the cluster: letters, digits, `-` and `_`
    name: String,
    /// What its workers serve: pkg.mod or pkg.mod.Class
    #[arg(long, value_name = "PATH")]
    adapter: Option<String>,
    /// Workers on each node [default: the node's cores]
    #[arg(long, value_name = "N")]
    size: Option<u32>,
    /// Calls that a worker runs at once [default: 1]
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// How slots run at once: process (one at a time), thread or asyncio [default: process]
    #[arg(long, value_name = "HOW")]
    concurrency: Option<String>,
    /// A variable of the workers' environment; may be repeated
    #[arg(long, value_parser = pair, value_name = "KEY=VALUE")]
    env: Vec<(String, String)>,
    /// The Python to run: a path on the nodes, or a name in their PATH
    #[arg(long, value_name = "PYTHON")]
    python: Option<String>,
    /// A virtual environment on the nodes, whose Python is run
    #[arg(long, value_name = "DIR")]
    venv: Option<String>,
    /// The workers' directory on the nodes
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// A label that a node must have to run it: a value, `*` or `>=N`; may be repeated
    #[arg(long, value_parser = pair, value_name = "LABEL=VALUE")]
    place: Vec<(String, String)>,
    /// Any other setting, as in TOML; see docs/pools.md; may be repeated
    #[arg(long, value_parser = assignment, value_name = "KEY=VALUE")]
    set: Vec<Assignment>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let name = args.name.clone();
    let definition = Json::Object(definition(args)?).to_string();
    let client = context.client()?;
    let version = client.put_pool(&name, &definition, 0, true).await?.value;
    context.output.done(
        &format!("added {name}"),
        &json!({ "name": name, "version": version }),
    )
}

/// What was given; the nodes know the rest.
fn definition(args: Args) -> Result<Map<String, Json>, CliError> {
    let mut settings = Map::new();
    let texts = [
        ("adapter", args.adapter),
        ("concurrency", args.concurrency),
        ("python", args.python),
        ("venv", args.venv),
        ("cwd", args.cwd),
    ];
    for (name, value) in texts {
        settings.extend(value.map(|value| (name.to_owned(), json!(value))));
    }
    for (name, value) in [("size", args.size), ("slots", args.slots)] {
        settings.extend(value.map(|value| (name.to_owned(), json!(value))));
    }
    for (name, pairs) in [("env", args.env), ("placement", args.place)] {
        if !pairs.is_empty() {
            let table: Map<String, Json> = pairs
                .into_iter()
                .map(|(key, value)| (key, Json::String(value)))
                .collect();
            settings.insert(name.to_owned(), Json::Object(table));
        }
    }
    apply(&mut settings, args.set)?;
    if settings.contains_key("adapter") {
        return Ok(settings);
    }
    Err(CliError::usage("a pool needs an adapter").hint("name it with --adapter pkg.mod"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn read(line: &str) -> Result<Json, CliError> {
        let line = Line::try_parse_from(line.split(' ')).unwrap();
        definition(line.args).map(Json::Object)
    }

    #[test]
    fn flags_become_settings() {
        let told = read(
            "add gpu --adapter a.b --size 2 --slots 4 --concurrency thread --env A=1 --place gpu=yes \
             --set journal=full --set env.B=2 --set slots=8",
        );
        let expected = json!({
            "adapter": "a.b", "size": 2, "slots": 8, "concurrency": "thread",
            "env": {"A": "1", "B": "2"}, "placement": {"gpu": "yes"}, "journal": "full",
        });
        assert_eq!(told.unwrap(), expected);
        assert_eq!(
            read("add x --set adapter=a.b").unwrap(),
            json!({"adapter": "a.b"})
        );
        assert_eq!(
            read("add x").unwrap_err().code,
            super::super::super::error::USAGE
        );
    }
}
