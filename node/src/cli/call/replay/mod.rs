//! `snakepit call replay`: run recorded calls again against today's tools, and tell what is another now.
//!
//! | File | |
//! |---|---|
//! | `find`, `recorded` | which calls, and what the log has of them |
//! | `copy` | a session as it was, in which a call runs again |
//! | `again` | running it |
//! | `went`, `diff`, `compare` | then and now |
//! | `report` | what is told of it |

mod again;
mod compare;
mod copy;
mod diff;
mod find;
mod recorded;
mod report;
mod went;

use std::time::Duration;

use serde_json::Value as Json;
use snakepit_client::Client;

use self::again::Again;
use self::find::Wanted;
use self::recorded::Recorded;
use self::report::Became;
use super::super::arguments::duration;
use super::super::error::{CliError, FAILED};
use super::super::globals::Context;
use super::super::log::time_ms;
use super::super::output::{line, note};

/// Recorded calls run with the arguments that the log has of them, each in a copy of its session as it was just
/// before; the copy is ended afterwards. The session, its events, and what idempotency keys have named stay as
/// they are. What a tool does outside of its session (files, the network, other sessions, programs of the
/// cluster) it does again. Only calls of pools with journal `full` can be run.
///
/// The exit code is 0 where all calls went as before, 1 where one did not, or could not be run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The calls
    #[arg(value_name = "CALL", required_unless_present_any = ["session", "tool", "since"])]
    calls: Vec<String>,
    /// Calls of this session
    #[arg(short, long, value_name = "ID", conflicts_with = "calls")]
    session: Option<String>,
    /// Calls of this tool
    #[arg(long, value_name = "TOOL", conflicts_with = "calls")]
    tool: Option<String>,
    /// Calls that began at this time or later, for example 2026-11-26T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time_ms, conflicts_with = "calls")]
    since: Option<u64>,
    /// At most so many of them, the newest
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "calls",
          value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// The pool in which they run again [default: the one that they named]
    #[arg(long, value_name = "POOL")]
    pool: Option<String>,
    /// Time that each may take [default: what it had, or else that of --timeout]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    deadline: Option<Duration>,
    /// Only tell which calls would run
    #[arg(long)]
    dry_run: bool,
    /// Run calls that were found by --session, --tool or --since, not by their ids
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let ids = ids(&client, args).await?;
    if args.dry_run {
        return plan(context, &client, &ids).await;
    }
    if args.calls.is_empty() && !args.yes {
        return Err(CliError::usage(format!(
            "what would run again, with what its tools do outside of sessions, is {} of the log; hint: look at them with --dry-run, then give --yes",
            match ids.len() {
                1 => "one call".to_owned(),
                count => format!("{count} calls"),
            }
        )));
    }
    let again = Again {
        client: &client,
        pool: args.pool.as_deref(),
        deadline: args.deadline,
    };
    let (mut rows, mut lines, mut json) = (Vec::new(), Vec::new(), Vec::new());
    let mut all_same = true;
    let mut stopped = None;
    for id in &ids {
        let call = read(&client, id).await?;
        let became = match call.runnable() {
            Err(reason) => Became::Not(reason),
            Ok(request) => match again.run(&call, request).await {
                Ok(compared) => Became::Ran(Box::new(compared)),
                Err(error) if error.code == FAILED && !error.message.is_empty() => {
                    Became::Not(told(&error))
                }
                // What was found until then is told all the same.
                Err(error) => {
                    stopped = Some(error);
                    break;
                }
            },
        };
        all_same &= became.is_same();
        rows.push(report::row(&call, &became));
        lines.extend(report::lines(&call, &became));
        json.push(report::json(&call, &became));
    }
    context.output.table(&report::HEADERS, rows, &json)?;
    if !context.output.is_json() && !lines.is_empty() {
        line(&format!("\n{}", lines.join("\n")))?;
    }
    match stopped {
        Some(error) => Err(error),
        None if all_same => Ok(()),
        None => Err(CliError::said(FAILED)),
    }
}

/// Why one call could not be run, with its hint.
fn told(error: &CliError) -> String {
    match &error.hint {
        Some(hint) => format!("{}; hint: {hint}", error.message),
        None => error.message.clone(),
    }
}

/// The calls that are asked for.
async fn ids(client: &Client, args: &Args) -> Result<Vec<String>, CliError> {
    if !args.calls.is_empty() {
        find::check(client, &args.calls).await?;
        return Ok(args.calls.clone());
    }
    let wanted = Wanted {
        session: args.session.as_deref(),
        tool: args.tool.as_deref(),
        since_ms: args.since.unwrap_or(0),
        limit: usize::try_from(args.limit).unwrap_or(usize::MAX),
    };
    let found = find::find(client, &wanted).await?;
    if found.is_empty() {
        return Err(CliError::failed(
            "the log has no such calls; hint: those of pools with journal off are not in it",
        ));
    }
    if found.len() == wanted.limit {
        note(&format!(
            "the newest {} calls; there may be more",
            found.len()
        ));
    }
    Ok(found)
}

async fn read(client: &Client, id: &str) -> Result<Recorded, CliError> {
    Recorded::read(client, id)
        .await?
        .ok_or_else(|| CliError::failed(format!("the log has no call {id}")))
}

async fn plan(context: &Context, client: &Client, ids: &[String]) -> Result<(), CliError> {
    let (mut rows, mut json): (Vec<_>, Vec<Json>) = (Vec::new(), Vec::new());
    for id in ids {
        let call = read(client, id).await?;
        rows.push(report::plan_row(&call));
        json.push(report::plan_json(&call));
    }
    context.output.table(&report::PLAN_HEADERS, rows, &json)
}
