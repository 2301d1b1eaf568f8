//! `snakepit log replay`: print events.

use futures_util::StreamExt as _;

use super::super::error::CliError;
use super::super::globals::Context;
use super::columns::Columns;
use super::source::{self, Events, Selection};
use super::view;

pub(crate) async fn run(context: &Context, args: &Selection) -> Result<(), CliError> {
    print(context, source::events(context, args)?).await
}

/// Print events until they end.
async fn print(context: &Context, mut events: Events) -> Result<(), CliError> {
    let mut columns = Columns::new(view::HEADERS);
    while let Some(stored) = events.next().await {
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                columns.flush()?;
                return Err(error);
            }
        };
        let event = view::decode(&stored)?;
        if context.output.is_json() {
            context
                .output
                .json_line(&view::json(&event, &stored.hash))?;
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
