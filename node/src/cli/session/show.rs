//! `snakepit session show`.

use super::super::arguments::human_ms;
use super::super::error::CliError;
use super::super::globals::Context;
use super::super::output::{Cell, pairs, text_or_none, time};
use super::shown;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id
    id: String,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), CliError> {
    let session = context.client()?.get_session(&args.id).await?.value;
    let cache = session.cache.map_or_else(Cell::none, |age| {
        let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Cell::text(human_ms(ms))
    });
    let fields = vec![
        ("session", Cell::text(&session.id)),
        ("created", Cell::text(time(session.created_ms))),
        ("expires", Cell::text(time(session.expires_ms))),
        (
            "ttl",
            Cell::text(human_ms(session.ttl_s.saturating_mul(1_000))),
        ),
        ("variables", Cell::number(session.variables)),
        ("locked", Cell::number(session.locks)),
        ("programs", Cell::number(session.programs)),
        ("tools", Cell::number(session.tools)),
        ("values set", Cell::number(session.updates)),
        ("revision", Cell::number(session.revision)),
        ("cache", cache),
        (
            "subject",
            match session.subject.as_str() {
                "" => Cell::none(),
                subject => Cell::text(subject),
            },
        ),
        (
            "telemetry",
            Cell::text(if session.telemetry { "on" } else { "off" }),
        ),
        ("metadata", text_or_none(&pairs(&session.metadata))),
    ];
    context.output.record(fields, &shown::as_json(&session))
}
