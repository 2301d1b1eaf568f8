//! `snakepit log replay`: print events.

use super::super::error::CliError;
use super::super::globals::Context;
use super::source::{self, Selection};
use super::{printing, view};

pub(crate) async fn run(context: &Context, args: &Selection) -> Result<(), CliError> {
    let events = source::events(context, args)?;
    if context.output.is_json() {
        return printing::json_lines(events, |stored, to| {
            let event = &view::decode(stored)?;
            let hash = &stored.hash;
            to.line(&view::Told { event, hash })
        })
        .await;
    }
    let row = |stored: &_| Ok(view::row(&view::decode(stored)?));
    printing::table(view::HEADERS, events, row).await
}
