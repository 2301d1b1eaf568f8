//! `snakepit var watch`: changes of variables as they come.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use snakepit_client::{Update, WatchQuery};
use tokio::time::sleep;

use super::super::error::CliError;
use super::super::globals::Context;
use super::super::log::columns::Columns;
use super::super::output::{cut, note, time};
use super::InSession;
use super::shown::{self, cause_json, through};

const HEADERS: [&str; 8] = [
    "position", "time", "variable", "version", "value", "change", "who", "through",
];

/// Changes that come with a value.
const VALUED: [&str; 5] = [
    "initial_value",
    "registered",
    "constraint_change",
    "value_change",
    "rollback",
];
/// After so much silence, what is known is printed.
const SILENCE: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Their names or ids [default: all of the session, also those that come later]
    names: Vec<String>,
    /// Print the values of now first
    #[arg(long, conflicts_with = "after")]
    initial: bool,
    /// Go on behind the change of this position
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    after: Option<u64>,
    #[command(flatten)]
    session: InSession,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), CliError> {
    let query = WatchQuery {
        session: args.session.id,
        identifiers: args.names,
        initial: args.initial,
        after_position: args.after.unwrap_or(0),
    };
    let mut updates = context.client()?.watch_variables(query);
    let mut columns = Columns::new(HEADERS);
    let mut stop = pin!(tokio::signal::ctrl_c());
    let (mut position, mut waiting) = (0, false);
    let ended = loop {
        let update = tokio::select! {
            _ = &mut stop => break Ok(()),
            update = updates.next() => update,
            () = sleep(SILENCE), if waiting => {
                columns.flush()?;
                waiting = false;
                continue;
            }
        };
        let update = match update {
            Some(Ok(update)) => update,
            Some(Err(error)) => break Err(error.into()),
            None => break Ok(()),
        };
        position = update.position.max(position);
        if context.output.is_json() {
            context.output.json_line(&as_json(&update))?;
        } else {
            columns.row(row(&update))?;
            waiting = true;
        }
    };
    if waiting {
        columns.flush()?;
    }
    if position > 0 {
        note(&format!("go on with --after {position}"));
    }
    ended
}

fn row(update: &Update) -> [String; HEADERS.len()] {
    let variable = &update.variable;
    let value = if VALUED.contains(&update.kind.as_str()) {
        cut(&variable.value.to_string(), 60)
    } else {
        String::new()
    };
    let position = match update.position {
        0 => String::new(),
        position => position.to_string(),
    };
    [
        position,
        time(update.time_ms),
        variable.name.clone(),
        variable.version.to_string(),
        value,
        update.kind.clone(),
        update.cause.principal.clone(),
        through(&update.cause),
    ]
}

fn as_json(update: &Update) -> Json {
    json!({
        "position": update.position,
        "time": time(update.time_ms),
        "change": update.kind,
        "variable": shown::as_json(&update.variable),
        "metadata": update.metadata,
        "index": update.raft_index,
        "cause": cause_json(&update.cause),
    })
}
