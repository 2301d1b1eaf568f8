//! Which calls are run again.

use std::collections::VecDeque;

use futures_util::StreamExt as _;
use snakepit_client::{Client, EventFilter, EventQuery};
use snakepit_machine::Payload;

use super::super::super::error::CliError;
use super::super::super::log::{source, view};
use super::copy::PREFIX;

/// Which calls are looked for; all that is given must fit.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) session: Option<&'a str>,
    pub(super) tool: Option<&'a str>,
    /// Begun then or later, milliseconds since 1970; 0 for any time.
    pub(super) since_ms: u64,
    /// At most so many, the newest.
    pub(super) limit: usize,
}

impl Wanted<'_> {
    fn fits(&self, tool: &str, session: &str, started_ms: u64) -> bool {
        self.tool.is_none_or(|wanted| wanted == tool)
            && self.session.is_none_or(|wanted| wanted == session)
            && started_ms >= self.since_ms
            && !session.starts_with(PREFIX)
    }
}

/// The calls that fit, by their ids, in the order of the log. Calls that were run in copies are left out.
pub(super) async fn find(client: &Client, wanted: &Wanted<'_>) -> Result<Vec<String>, CliError> {
    let query = EventQuery {
        filter: EventFilter {
            events: vec!["CallStarted".into(), "CallsRecorded".into()],
            tool: wanted.tool.unwrap_or_default().to_owned(),
            since_ms: wanted.since_ms,
            ..Default::default()
        },
        ..Default::default()
    };
    let mut events = source::online(client.read_events(query));
    let mut found = VecDeque::new();
    while let Some(stored) = events.next().await {
        let event = view::decode(&stored?)?;
        let time_ms = event.time_ms;
        match event.payload {
            Payload::CallStarted {
                of_session,
                call_id,
                tool,
                ..
            } if wanted.fits(&tool, &of_session, time_ms) => found.push_back(call_id),
            Payload::CallsRecorded { calls } => {
                let fitting = calls
                    .into_iter()
                    .filter(|call| wanted.fits(&call.tool, &call.session_id, call.started_ms));
                found.extend(fitting.map(|call| call.call_id));
            }
            _ => {}
        }
        while found.len() > wanted.limit {
            found.pop_front();
        }
    }
    Ok(found.into())
}

/// Whether the journal knows each of the calls that were named.
///
/// # Errors
///
/// Which one it does not know.
pub(super) async fn check(client: &Client, ids: &[String]) -> Result<(), CliError> {
    for id in ids {
        let query = EventQuery {
            journal_of: id.clone(),
            limit: 1,
            ..Default::default()
        };
        let mut events = source::online(client.read_events(query));
        if events.next().await.transpose()?.is_none() {
            return Err(CliError::failed(format!(
                "the log has no call {id}; hint: find calls with `snakepit call replay --dry-run --tool TOOL`; those of pools with journal off are not in it"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_given_must_fit_and_copies_never_do() {
        let any = Wanted::default();
        assert!(any.fits("t", "s", 5) && any.fits("t", "", 5));
        assert!(!any.fits("t", "replay-1", 5));
        let wanted = Wanted {
            session: Some("s"),
            tool: Some("t"),
            since_ms: 5,
            limit: 1,
        };
        assert!(wanted.fits("t", "s", 5));
        assert!(
            !wanted.fits("u", "s", 5) && !wanted.fits("t", "r", 5) && !wanted.fits("t", "s", 4)
        );
    }
}
