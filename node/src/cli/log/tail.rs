//! `snakepit log tail`: print the last events and those that come.

use std::time::Duration;

use futures_util::StreamExt as _;
use snakepit_client::EventQuery;
use tokio::time::timeout;

use super::super::error::CliError;
use super::super::globals::Context;
use super::columns::Columns;
use super::filters::Filters;
use super::source::online;
use super::view;

/// Events of the past that are shown where no position is given.
const PAST_EVENTS: u64 = 10;
/// After so much silence, what is known is printed.
const SILENCE: Duration = Duration::from_millis(150);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only events of this session
    #[arg(
        short,
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "ID"
    )]
    session: String,
    /// The first position [default: ten before the end]
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    #[command(flatten)]
    filters: Filters,
    /// End after so many; 0 for never
    #[arg(long, default_value_t = 0, value_name = "N")]
    limit: u64,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let client = context.client()?;
    let from = match args.from {
        Some(from) => from.max(1),
        None => (client.status().await?.position + 1)
            .saturating_sub(PAST_EVENTS)
            .max(1),
    };
    let query = EventQuery {
        from,
        limit: args.limit,
        session: args.session.clone(),
        follow: true,
        filter: args.filters.filter()?,
        ..Default::default()
    };
    let mut events = online(client.read_events(query));
    let mut columns = Columns::new(view::HEADERS);
    loop {
        let stored = match timeout(SILENCE, events.next()).await {
            Ok(Some(stored)) => stored?,
            Ok(None) => break,
            Err(_) => {
                if !context.output.is_json() {
                    columns.flush()?;
                }
                match events.next().await {
                    Some(stored) => stored?,
                    None => break,
                }
            }
        };
        let event = view::decode(&stored)?;
        if context.output.is_json() {
            let hash = &stored.hash;
            context.output.json_line(&view::Told {
                event: &event,
                hash,
            })?;
        } else {
            columns.row(view::row(&event))?;
        }
    }
    if context.output.is_json() {
        Ok(())
    } else {
        columns.flush()
    }
}
